//! What reading a connection works with: whose bytes they are, when they were seen, and where records go.

use core::net::SocketAddr;

use gossip_core::Endpoint;
use gossip_core::internode::ConnectionKind;

use crate::learned::Learned;
use crate::options::Options;
use crate::record::{Damage, Note, Place, Record, Summary};

/// When and in which packet bytes were captured; nothing of it for bytes that were given as such.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) packet: Option<u64>,
    pub(crate) unix_us: Option<u64>,
}

/// Which end of a connection sent something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Dialler,
    Acceptor,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// Its sender closed it in order, or the bytes were given as a whole: nothing may be left over.
    Finished,
    /// It was cut off: by a reset, by the end of the capture, or because nothing more is remembered of it.
    Cut,
}

/// What a connection works with that is not its own.
pub(crate) struct Env<'a> {
    pub(crate) options: &'a Options,
    pub(crate) learned: &'a mut Learned,
    pub(crate) summary: &'a mut Summary,
    /// What payloads are decompressed to.
    pub(crate) scratch: &'a mut Vec<u8>,
    pub(crate) sink: &'a mut dyn FnMut(Record),
}

impl Env<'_> {
    pub(crate) fn tell(&mut self, record: Record) {
        match &record {
            Record::Handshake(_) => self.summary.handshakes += 1,
            Record::Frame(_) => self.summary.frames += 1,
            Record::Message(message) => {
                self.summary.messages += 1;
                let verb = gossip_core::Verb::new(message.verb);
                self.summary.gossip_messages += u64::from(verb.is_gossip());
            }
            Record::Damage(_) => self.summary.damages += 1,
            Record::Body(_) | Record::Passed(_) | Record::Note(_) | Record::Summary(_) => {}
        }
        (self.sink)(record);
    }

    pub(crate) fn note(&mut self, place: Place, text: impl Into<String>) {
        self.tell(Record::Note(Note { place, text: text.into() }));
    }

    pub(crate) fn damage(&mut self, place: Place, expected: impl Into<String>, found: impl Into<String>) {
        self.tell(Record::Damage(Damage {
            place,
            within: None,
            expected: expected.into(),
            found: found.into(),
        }));
    }

    /// Counts bytes that should have been decoded.
    pub(crate) fn lose(&mut self, bytes: usize) {
        self.summary.undecoded_bytes += bytes as u64;
    }
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Who {
    /// Its number; none for bytes that were given as such.
    pub(crate) number: Option<u64>,
    /// Where it was dialled from, and where to.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    /// Who the dialler says it is.
    pub(crate) identity: Option<Endpoint>,
    pub(crate) kind: Option<ConnectionKind>,
}

impl Who {
    pub(crate) fn target(&self) -> Option<SocketAddr> {
        self.ends.map(|(_, target)| target)
    }

    /// The sender of the dialler's messages.
    pub(crate) fn sender(&self) -> Option<SocketAddr> {
        self.identity.map(SocketAddr::from).or(self.ends.map(|(source, _)| source))
    }

    pub(crate) fn place(&self, end: End, offset: u64, seen: Seen) -> Place {
        let (from, to) = match end {
            End::Dialler => (self.sender(), self.target()),
            End::Acceptor => (self.target(), self.sender()),
        };
        Place {
            unix_us: seen.unix_us,
            packet: seen.packet,
            connection: self.number,
            from,
            to,
            offset,
            uncompressed_offset: None,
        }
    }
}

/// What came of taking one thing from the front of the input.
pub(crate) enum Step {
    /// There may be more.
    Again,
    /// More bytes are needed.
    Wait,
    /// Where the next thing begins is not known any more.
    Lost,
}
