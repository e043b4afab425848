//! What is known of a handshake that is under way: what the dialler said, and what the acceptor answered.

use gossip_core::internode::{Accept, Initiate};
use gossip_core::{Endpoint, MessagingVersion};

use crate::env::Seen;

/// What is known of a handshake that is under way.
#[derive(Default)]
pub(super) struct Opening {
    pub(super) greeting: Option<(Greeting, Seen)>,
    /// What a dialler of before 4.0 says last: its version, and who it is.
    pub(super) identity: Option<(u32, Endpoint)>,
    /// Since when bytes of the dialler wait for the answer.
    pub(super) waiting_since: Option<u64>,
}

/// What a dialler says first.
#[derive(Clone, Copy)]
pub(super) enum Greeting {
    /// One of 4.0 or later.
    Modern(Initiate),
    /// One of before 4.0, or one that believes the acceptor to be so old.
    Legacy { request: u8, min: u8, max: u8, is_compressed: bool, is_streaming: bool },
}

/// What the acceptor says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Answer {
    #[default]
    Awaited,
    Modern(Accept),
    /// One of before 4.0: its version.
    Legacy(u32),
    /// It is not in the capture, or cannot be read.
    Absent,
}

impl Answer {
    pub(super) const fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited)
    }

    /// The version that it settles, if it is one that we know.
    pub(super) fn version(&self) -> Option<MessagingVersion> {
        match self {
            Self::Modern(accept) => MessagingVersion::from_number(accept.version),
            Self::Legacy(version) => MessagingVersion::from_number(*version),
            Self::Awaited | Self::Absent => None,
        }
    }
}

impl Opening {
    pub(super) fn greeting(&self) -> Option<Greeting> {
        self.greeting.map(|(greeting, _)| greeting)
    }
}
