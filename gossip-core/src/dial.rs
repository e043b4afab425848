//! Why a peer could not be reached.

use core::fmt;

/// Why a peer could not be reached: what became of the last attempt to connect to it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum DialFailure {
    /// Its machine answered that nothing listens there.
    Refused,
    /// There is no way to it.
    Unreachable,
    /// Nothing came back in time.
    TimedOut,
    /// The connection was opened, and closed before the handshake was over.
    Closed,
    /// The connection was opened, and what came back is no handshake that this node understands.
    Handshake,
    /// The system did not dial, for another reason.
    Other,
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Unreachable => "no route to it",
            Self::TimedOut => "no answer to the dial in time",
            Self::Closed => "it closed the connection before the handshake was over",
            Self::Handshake => "what it answered is no handshake of gossip",
            Self::Other => "the dial failed",
        })
    }
}
