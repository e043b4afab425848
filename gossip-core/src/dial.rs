//! Why a peer could not be reached, or did not answer.

use core::fmt;

use crate::internode::{HandshakeError, OutboundError};
use crate::tls_fault::TlsFault;

/// Why a peer could not be reached, or did not answer: what became of the last attempt.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DialFailure {
    /// Its machine answered that nothing listens there.
    Refused,
    /// There is no way to it.
    Unreachable,
    /// Nothing came back in time.
    TimedOut,
    /// The connection was opened, and closed before a byte of the handshake was answered.
    Closed,
    /// The connection was opened, and nothing came back to the handshake in time.
    NoAnswer,
    /// An alert of TLS came where the handshake was to be answered.
    Alert,
    /// A frame of CQL, with which clients speak to Cassandra, came where the handshake was to be answered.
    Cql,
    /// The connection was opened, and what came back is no handshake that this node understands.
    Handshake,
    /// The peer speaks no version that this node does.
    Version,
    /// The handshake was answered, and the question that followed was not.
    Silent,
    /// As [`DialFailure::Silent`], and a peer has opened a connection to this node with TLS meanwhile.
    SilentAndTls,
    /// As [`DialFailure::Silent`], in a version of the messages in which no SYN carries the identifier of the cluster's metadata, though
    /// this node knows one. If `nodetool cms initialize` was run in the compatibility mode of Cassandra 6.0, no node answers any SYN.
    SilentWithoutIdentifier,
    /// As [`DialFailure::Silent`], and the peer speaks the version of Cassandra 6.0, and does not tell the identifier of its cluster's metadata
    /// either. This node knows none, and no node of 6.0 answers a SYN without it.
    SilentOnIdentifier,
    /// The peer was dialled with TLS, and that came to nothing.
    Tls(TlsFault),
    /// The system did not dial, for another reason.
    Other,
}

impl DialFailure {
    /// What it means that these bytes came back to the handshake, and no more of them.
    pub(crate) fn of_reply(reply: &[u8]) -> Self {
        match *reply {
            [] => Self::NoAnswer,
            // A TLS record of type alert.
            [0x15, 3, ..] => Self::Alert,
            // A response of CQL: versions 3 to 6, opcode ERROR.
            [0x83..=0x86, _, _, _, 0, ..] => Self::Cql,
            _ => Self::Handshake,
        }
    }

    /// Why a handshake failed in which these bytes came back.
    pub(crate) fn of_error(error: OutboundError, reply: &[u8]) -> Self {
        match error {
            OutboundError::Incompatible { .. }
            | OutboundError::Handshake(HandshakeError::LegacyReply { .. }) => Self::Version,
            OutboundError::Handshake(_) => Self::of_reply(reply),
            OutboundError::BytesAfterAccept { .. } => Self::Handshake,
        }
    }

    /// After how many of it in a row a further one would say nothing new; `None` where the next may go well.
    pub(crate) const fn is_clear_after(self) -> Option<u32> {
        match self {
            Self::Alert | Self::Cql | Self::Handshake | Self::Version => Some(1),
            Self::NoAnswer => Some(2),
            // A node that is about to stop does that as well.
            Self::Closed => Some(3),
            Self::Tls(fault) => fault.is_clear_after(),
            _ => None,
        }
    }

    /// Whether the peer has answered the handshake, and not the question.
    pub const fn is_silence(self) -> bool {
        matches!(
            self,
            Self::Silent | Self::SilentAndTls | Self::SilentWithoutIdentifier | Self::SilentOnIdentifier
        )
    }
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls(fault) => return fault.fmt(f),
            Self::Refused => "connection refused",
            Self::Unreachable => "no route to it",
            Self::TimedOut => "no answer to the dial in time",
            Self::Closed => "it closed the connection before the handshake was answered",
            Self::NoAnswer => "it took the connection and sent nothing in answer to the handshake",
            Self::Alert => "it answered the handshake with an alert of TLS",
            Self::Cql => "it answered the handshake with an error of CQL",
            Self::Handshake => "what it answered is no handshake of gossip",
            Self::Version => "it speaks no version of the messages that this node does",
            Self::Silent => "it answered the handshake and not the question",
            Self::SilentAndTls => {
                "it answered the handshake and not the question, and a connection with TLS came in meanwhile"
            }
            Self::SilentWithoutIdentifier => {
                "it answered the handshake and not the question, and no question in its version of the messages carries a metadata id"
            }
            Self::SilentOnIdentifier => {
                "it answered the handshake, and neither the question for its metadata id nor any other"
            }
            Self::Other => "the dial failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_tells_what_is_there() {
        for (reply, expected) in [
            (&b""[..], DialFailure::NoAnswer),
            (&[0x15, 3, 1, 0, 2, 2, 0x46], DialFailure::Alert),
            (&[0x85, 0, 0, 0, 0, 0, 0, 0, 60], DialFailure::Cql),
            (b"HTTP/1.1 400", DialFailure::Handshake),
            (&[0, 0, 0, 12], DialFailure::Handshake),
        ] {
            assert_eq!(DialFailure::of_reply(reply), expected, "{reply:x?}");
        }
    }
}
