//! The question for entries of the cluster metadata's log, and its answer (`docs/protocol/cassandra-6.md`). Neither is gossip, but the answer tells the
//! identifier that a SYN has to carry.

use crate::metadata::MetadataId;
use crate::wire::{DecodeError, Full, Reader, Writer};

/// The first version of the answer that tells the identifier.
const FIRST_WITH_ID: u64 = 2;

/// The body of a TCM_FETCH_PEER_LOG_REQ: asks for all that follows an epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerLogRequest {
    /// What follows it is asked for. 0 asks for the whole state of the cluster, which is long.
    pub epoch: i64,
}

impl PeerLogRequest {
    /// Asks for nothing but the identifier: no cluster comes to such an epoch.
    pub const FAR_AHEAD: Self = Self { epoch: 1 << 62 };

    /// Takes one out of a message.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Truncated`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.uvint("the epoch").map(|epoch| Self { epoch: epoch.cast_signed() })
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room; nothing is written then.
    pub fn encode(self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.uvint(self.epoch.cast_unsigned())
    }
}

/// The beginning of the body of a TCM_FETCH_PEER_LOG_RSP, up to the first thing whose form depends on the release.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerLog {
    /// In which version the answer is written: the lowest of all nodes of the cluster.
    pub serialization_version: u64,
    /// The cluster's identifier. Versions below 2 do not tell it.
    pub metadata_id: Option<MetadataId>,
    /// How many entries follow. Unknown where a state of the cluster stands before them.
    pub entries: Option<i32>,
}

impl PeerLog {
    /// What a node answers that has nothing newer than what was asked for.
    pub const fn empty(metadata_id: MetadataId) -> Self {
        Self { serialization_version: 4, metadata_id: Some(metadata_id), entries: Some(0) }
    }

    /// Takes the beginning of one out of a message, and leaves the reader before the state or the entries.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the beginning.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let serialization_version = reader.uvint("the serialization version")?;
        let has_id = serialization_version >= FIRST_WITH_ID;
        let metadata_id = if has_id { Some(MetadataId::decode(reader)?) } else { None };
        let has_base_state = reader.u8("whether a state follows")? != 0;
        let entries = if has_base_state { None } else { Some(reader.i32("the number of entries")?) };
        Ok(Self { serialization_version, metadata_id, entries })
    }

    /// Writes one without a state. The entries are to follow.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room; nothing is written then.
    pub fn encode(self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            out.uvint(self.serialization_version)?;
            if self.serialization_version >= FIRST_WITH_ID {
                self.metadata_id.unwrap_or_default().encode(out)?;
            }
            out.u8(0)?;
            out.i32(self.entries.unwrap_or(0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answers_survive_the_round_trip() {
        let id = MetadataId::new(2_130_713_573);
        let answers: [(PeerLog, &[u8]); 3] = [
            (PeerLog::empty(id), &[4, 0xf0, 0x7f, 0, 0x1b, 0xe5, 0, 0, 0, 0, 0]),
            (PeerLog::empty(MetadataId::NONE), &[4, 0, 0, 0, 0, 0, 0]),
            (PeerLog { serialization_version: 1, metadata_id: None, entries: Some(3) }, &[1, 0, 0, 0, 0, 3]),
        ];
        let mut buffer = [0; 32];
        for (answer, bytes) in answers {
            let mut out = Writer::new(&mut buffer);
            answer.encode(&mut out).unwrap();
            assert_eq!(out.written(), bytes);
            let mut reader = Reader::new(bytes);
            assert_eq!(PeerLog::decode(&mut reader), Ok(answer));
            assert!(reader.is_empty());
            for end in 0..bytes.len() {
                assert!(PeerLog::decode(&mut Reader::new(&bytes[..end])).is_err(), "{end} bytes");
            }
        }
        for (epoch, bytes) in [
            (PeerLogRequest::FAR_AHEAD.epoch, &[0xff, 0x40, 0, 0, 0, 0, 0, 0, 0][..]),
            (100, &[0x64]),
            (i64::MIN + 1, &[0xff, 0x80, 0, 0, 0, 0, 0, 0, 1]),
        ] {
            let mut out = Writer::new(&mut buffer);
            PeerLogRequest { epoch }.encode(&mut out).unwrap();
            assert_eq!(out.written(), bytes);
            assert_eq!(PeerLogRequest::decode(&mut Reader::new(bytes)), Ok(PeerLogRequest { epoch }));
        }
    }

    #[test]
    fn the_identifier_is_found_before_a_state_that_nobody_can_read() {
        let bytes = [5, 0x9b, 0x59, 1, 0xde, 0xad];
        let mut reader = Reader::new(&bytes);
        let found = PeerLog::decode(&mut reader).unwrap();
        assert_eq!((found.metadata_id, found.entries), (Some(MetadataId::new(7_001)), None));
        assert_eq!(reader.len(), 2);
    }
}
