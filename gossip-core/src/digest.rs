//! Comparing digests with what is known: who is ahead, and by how much (`gossip-semantics.md` §6).

use alloc::vec::Vec;

use crate::endpoint::Endpoint;
use crate::message::Digests;
use crate::quarantine::Quarantine;
use crate::table::{Cursor, EndpointTable, Slot};
use crate::time::Timestamp;
use crate::version::{Generation, Version};

/// How many known endpoints one exchange can be about: what an ACK has room for if it asks for all of them.
pub(crate) const MAX_ENTRIES: usize = 4_368;

/// How many unknown endpoints are asked for in one exchange. Others follow in the next.
///
/// Deviation: Cassandra asks for all; what comes back would be more than one message holds.
pub(crate) const MAX_UNKNOWN: usize = 512;

/// What is owed to a peer in an exchange: endpoints to ask it for, and endpoints to tell it of.
///
/// Nothing of this is a promise: everything is looked up again when the message is written.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) entries: Vec<Entry>,
    pub(crate) unknown: Vec<Unknown>,
    /// How far messages about it have come, where one is not enough.
    pub(crate) progress: Progress,
}

/// Up to which entry each kind of thing is written. What is before it is done with, whether it found room or not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Progress {
    pub(crate) requests: usize,
    pub(crate) unknown: usize,
    pub(crate) heartbeats: usize,
    pub(crate) values: usize,
}

/// An endpoint that one side knows better.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    /// The slot, and in the topmost bit whether we want (1) or give (0): a list of these is walked for every message.
    slot_and_side: u32,
    /// What the peer said of it.
    pub(crate) generation: Generation,
    pub(crate) version: Version,
}

/// Who is behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// We are: we ask.
    Want,
    /// The peer is: we tell.
    Give,
}

/// An endpoint that only the peer knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unknown {
    pub(crate) endpoint: Endpoint,
    pub(crate) generation: Generation,
}

impl Entry {
    const WANT: u32 = 1 << 31;

    pub(crate) fn new(slot: Slot, side: Side, generation: Generation, version: Version) -> Self {
        let side = if side == Side::Want { Self::WANT } else { 0 };
        Self { slot_and_side: slot.number() | side, generation, version }
    }

    pub(crate) const fn slot(self) -> Slot {
        Slot::from_number(self.slot_and_side & !Self::WANT)
    }

    pub(crate) const fn side(self) -> Side {
        if self.slot_and_side & Self::WANT == 0 { Side::Give } else { Side::Want }
    }
}

impl Pending {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.unknown.clear();
        self.progress = Progress::default();
    }

    /// Whether nothing is left to tell.
    pub(crate) fn has_no_more_states(&self) -> bool {
        self.progress.heartbeats >= self.entries.len() && self.progress.values >= self.entries.len()
    }

    /// Whether nothing is left to ask for.
    pub(crate) fn has_no_more_requests(&self) -> bool {
        self.progress.requests >= self.entries.len() && self.progress.unknown >= self.unknown.len()
    }

    /// Takes out a row that will be somebody else's. What was written of others may be written again, which does no harm.
    pub(crate) fn forget_slot(&mut self, slot: Slot) {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.slot() != slot);
        if self.entries.len() != before {
            self.progress = Progress::default();
        }
    }

    /// Takes memory for an exchange about all of `endpoints` known endpoints.
    pub(crate) fn reserve(&mut self, endpoints: usize) {
        self.entries.reserve(endpoints.min(MAX_ENTRIES).saturating_sub(self.entries.len()));
        self.unknown.reserve(MAX_UNKNOWN.saturating_sub(self.unknown.len()));
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        // Whatever finds no room goes next time.
        if self.entries.len() < self.entries.capacity() {
            self.entries.push(entry);
        }
    }
}

/// What a list of digests says of whom, beside what goes into [`Pending`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Examined {
    /// The generation under which the sender lists itself.
    pub(crate) sender: Option<Generation>,
    /// How many digests were of a generation too far in the future.
    pub(crate) future: u32,
}

/// In what light digests are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Who sent them.
    pub(crate) sender: Endpoint,
    /// Later generations are not asked for.
    pub(crate) newest: Generation,
    pub(crate) now: Timestamp,
}

/// Compares every digest with the table, and notes in `pending` what either side lacks.
///
/// Deviation: who is gone is not asked for, where Cassandra asks and then ignores the answer (`pitfalls.md` §4.3).
pub(crate) fn examine(
    table: &EndpointTable,
    quarantine: &Quarantine,
    digests: &Digests<'_>,
    context: &Context,
    pending: &mut Pending,
) -> Examined {
    let Context { sender, newest, now } = *context;
    let mut examined = Examined::default();
    let mut cursor = Cursor::default();
    let sender_slot = table.find(sender);
    for digest in digests.iter() {
        let slot = table.find_next(digest.endpoint, &mut cursor);
        let is_sender = if slot.is_some() { slot == sender_slot } else { digest.endpoint == sender };
        if is_sender {
            examined.sender = Some(digest.generation);
        }
        if digest.generation > newest {
            examined.future += 1;
            continue;
        }
        let Some(slot) = slot else {
            if digest.endpoint.is_unspecified()
                || quarantine.refuses(digest.endpoint, digest.generation, digest.max_version, now)
            {
                continue;
            }
            if pending.unknown.len() < pending.unknown.capacity() {
                pending.unknown.push(Unknown { endpoint: digest.endpoint, generation: digest.generation });
            }
            continue;
        };
        let known = table.known(slot);
        let theirs = (digest.generation, digest.max_version);
        let ours = (known.generation, known.max_version);
        if theirs == ours {
            continue;
        }
        let side = if theirs > ours { Side::Want } else { Side::Give };
        pending.push(Entry::new(slot, side, digest.generation, digest.max_version));
    }
    examined
}
