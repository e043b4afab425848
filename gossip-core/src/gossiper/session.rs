//! What a message needs to know of its connection, and what is said of a message that was written.

use crate::verb::Verb;
use crate::version::{Generation, MessagingVersion};

/// Which process of an endpoint is at the other end of a connection, as far as is known.
///
/// A shutdown without a body says nothing of the generation that it ends; it counts only for the one that its
/// connection belongs to.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Session {
    pub(super) generation: Option<Generation>,
    /// How many bytes the body of an answer may take, if the asking peer has not proven its address.
    pub(super) reply_limit: Option<u32>,
    /// Whether it came in a packet: what does not fit one comes in several.
    pub(super) is_packet: bool,
    /// Whether what came fills a packet, so that the rest of it may be in others.
    pub(super) may_follow: bool,
    /// Whether SYNs over the connection carry the identifier of the cluster's metadata.
    pub(super) has_metadata_id: bool,
}

impl Session {
    /// That of a new connection, from a peer whose process is known or not.
    pub(super) const fn of_connection(generation: Option<Generation>) -> Self {
        Self { generation, reply_limit: None, is_packet: false, may_follow: false, has_metadata_id: false }
    }

    /// That of one packet, which names the process that sent it.
    pub(crate) const fn of_packet(generation: Generation, reply_limit: Option<u32>) -> Self {
        Self {
            generation: Some(generation),
            reply_limit,
            is_packet: true,
            may_follow: false,
            has_metadata_id: false,
        }
    }

    /// The same, of a packet that is full, or not.
    #[must_use]
    pub(crate) const fn filled(mut self, is_full: bool) -> Self {
        self.may_follow = is_full;
        self
    }

    /// The same, of a connection that speaks this version.
    #[must_use]
    pub const fn in_version(mut self, version: MessagingVersion) -> Self {
        self.has_metadata_id = version.has_metadata_id();
        self
    }
}

/// A message that was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// What it is.
    pub verb: Verb,
    /// Its id; that of the request if it is a response.
    pub id: u64,
}
