//! Messages become records.

use gossip_core::internode::{ConnectionKind, Header};
use gossip_core::message::Codec;
use gossip_core::wire::{AddressForm, Reader};
use gossip_core::{Endpoint, MessagingVersion, Verb};

use crate::body::{Body, Reading, connection_type_name, uuid};
use crate::env::Env;
use crate::fault::Fault;
use crate::record::{Damage, Message, Param, Place, Record};
use crate::tokens::hex;
use crate::version::Version;

/// Where a message lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) place: Place,
    /// Whether its bytes follow each other there; those of a message in pieces do not.
    pub(crate) is_contiguous: bool,
}

impl Spot {
    /// The same, for a message that names its sender.
    pub(crate) fn from(mut self, sender: Endpoint) -> Self {
        self.place.from = Some(sender.into());
        self
    }

    /// The place so many bytes into the message.
    pub(crate) fn at(&self, bytes: usize) -> Place {
        let bytes = bytes as u64;
        match self.place.uncompressed_offset {
            _ if !self.is_contiguous => self.place,
            Some(offset) => Place { uncompressed_offset: Some(offset + bytes), ..self.place },
            None => Place { offset: self.place.offset + bytes, ..self.place },
        }
    }
}

/// What stands before a body, whatever the version.
pub(crate) struct Head {
    pub(crate) kind: Option<ConnectionKind>,
    pub(crate) version: Version,
    pub(crate) storage_port: u16,
    pub(crate) sender: Option<Endpoint>,
    pub(crate) verb: Verb,
    pub(crate) id: i64,
    pub(crate) epoch: Option<i64>,
    pub(crate) created_at: u32,
    pub(crate) expires_in: Option<i64>,
    pub(crate) flags: u64,
    pub(crate) params: Vec<Param>,
    /// The size of header and body.
    pub(crate) size: usize,
    pub(crate) payload_size: usize,
}

impl Head {
    /// What `header` says.
    pub(crate) fn of(header: &Header<'_>, size: usize, version: Version) -> Self {
        let has_epoch = version.number >= MessagingVersion::V14;
        Self {
            kind: None,
            version,
            storage_port: 0,
            sender: None,
            verb: header.verb,
            id: header.id.cast_signed(),
            epoch: has_epoch.then_some(header.epoch),
            created_at: header.created_at,
            expires_in: Some(header.expires_in),
            flags: header.flags,
            params: header.params.iter().map(|param| modern_param(param.id, param.value)).collect(),
            size,
            payload_size: header.payload_size,
        }
    }

    /// Reports the message, whose body is at hand or is not to be decoded.
    pub(crate) fn tell(self, body: Option<&[u8]>, spot: Spot, env: &mut Env<'_>) {
        let decoded = body.and_then(|bytes| {
            let codec = Codec { version: self.version.number, storage_port: self.storage_port };
            let mut reading =
                Reading { codec, sender: self.sender, learned: env.learned, names: &env.options.names };
            Body::decode(self.verb, bytes, &mut reading)
        });
        let (body, fault) = match decoded {
            None => (None, None),
            Some(Ok(body)) => (Some(body), None),
            Some(Err(fault)) => (None, Some(fault)),
        };
        let (verb, id) = (self.verb, self.id);
        let (header_size, payload_size) = (self.size - self.payload_size, self.payload_size);
        env.tell(Record::Message(self.record(body, spot.place)));
        if let Some(Fault { at, expected, found }) = fault {
            env.lose(payload_size);
            let within = Some(format!("{verb} id {id}, byte {at} of the {payload_size} of its body"));
            env.tell(Record::Damage(Damage { place: spot.at(header_size + at), within, expected, found }));
        }
    }

    fn record(self, body: Option<Body>, place: Place) -> Message {
        let flag_names = FLAGS.iter().filter(|(bit, _)| self.flags >> bit & 1 != 0).map(|(_, name)| *name);
        Message {
            place,
            connection_type: self.kind.map(kind_name),
            version: self.version.number.number(),
            version_assumed: self.version.is_assumed,
            verb: self.verb.number(),
            verb_name: self.verb.name(),
            verb_group: self.verb.group(),
            id: self.id,
            epoch: self.epoch,
            created_at: self.created_at,
            created_unix_ms: place.unix_us.and_then(|now| created_unix_ms(self.created_at, now / 1_000)),
            expires_in: self.expires_in,
            flags: self.flags,
            flag_names: flag_names.collect(),
            params: self.params,
            length: self.payload_size,
            size: self.size,
            body,
        }
    }
}

/// The names of flags, by bit (`docs/protocol/message-header.md#header`).
const FLAGS: [(u32, &str); 4] =
    [(0, "CALL_BACK_ON_FAILURE"), (1, "TRACK_REPAIRED_DATA"), (2, "TRACK_WARNINGS"), (3, "URGENT")];

/// The printed names of kinds of connections.
pub(crate) const fn kind_name(kind: ConnectionKind) -> &'static str {
    match kind {
        ConnectionKind::Messaging(connection) => connection_type_name(connection),
        ConnectionKind::Untyped => "untyped",
        ConnectionKind::Streaming => "streaming",
    }
}

/// The moment closest to `now_ms` whose low 32 bits are these.
fn created_unix_ms(low: u32, now_ms: u64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    let ahead = low.wrapping_sub(now_ms as u32).cast_signed();
    now_ms.checked_add_signed(ahead.into())
}

/// A parameter as versions from 12 on have it.
fn modern_param(id: u64, value: &[u8]) -> Param {
    let name = match id {
        0 => Some("FORWARD_TO"),
        1 => Some("RESPOND_TO"),
        5 => Some("TRACE_SESSION"),
        6 => Some("TRACE_TYPE"),
        14 => Some("CUSTOM_MAP"),
        _ => None,
    };
    let mut reader = Reader::new(value);
    let meaning = match id {
        1 => reader.endpoint(AddressForm::WithPort).ok().map(|endpoint| endpoint.to_string()),
        5 => reader.array("a UUID").ok().map(uuid),
        6 => reader.u8("a type of trace").ok().map(|number| number.to_string()),
        _ => None,
    };
    let meaning = meaning.filter(|_| reader.is_empty());
    Param { id: Some(id), name: name.map(str::to_owned), value: hex(value), meaning }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creation_times_are_those_closest_to_the_capture() {
        let now = 1_700_000_000_000;
        let low = 0xcfe5_6800;
        assert_eq!(created_unix_ms(low, now), Some(now));
        assert_eq!(created_unix_ms(low - 5, now), Some(now - 5));
        assert_eq!(created_unix_ms(low, now + 0x7fff_ffff), Some(now), "three weeks late");
        assert_eq!(created_unix_ms(u32::MAX, 0), None, "before 1970");
    }

    #[test]
    fn parameters_are_named_and_read() {
        let address = [6, 10, 0, 0, 1, 0x1b, 0x58];
        assert_eq!(modern_param(1, &address).meaning.as_deref(), Some("10.0.0.1:7000"));
        assert_eq!(modern_param(1, &address[..5]).meaning, None);
        assert_eq!(modern_param(6, &[1]).name.as_deref(), Some("TRACE_TYPE"));
        assert_eq!((modern_param(16, &[1]).name, modern_param(16, &[1]).value), (None, "01".into()));
        let session = modern_param(5, &[0xab; 16]).meaning;
        assert_eq!(session.as_deref(), Some("abababab-abab-abab-abab-abababababab"));
    }
}
