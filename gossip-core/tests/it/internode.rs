//! A decoder of captured internode connections, written from the specification alone. It shares nothing with the crate's
//! own but the checksums, so that the two can disagree.

use gossip_core::wire::{crc24, crc32};
use gossip_core::{Endpoint, MessagingVersion, Verb};

use crate::pcap::{Connection, Stream};

/// A message as it was captured.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    /// When its last byte was captured, in microseconds since the Unix epoch.
    pub(crate) micros: u64,
    /// Who sent it: the identity in the dialler's handshake.
    pub(crate) from: Endpoint,
    /// Who got it.
    pub(crate) to: Endpoint,
    /// The kind of connection it came on.
    pub(crate) kind: Kind,
    /// The version negotiated for that connection.
    pub(crate) version: MessagingVersion,
    pub(crate) id: u64,
    /// The low 32 bits of the sender's clock in milliseconds.
    pub(crate) created_at: u32,
    /// Milliseconds; what is left of a request's time can be negative.
    pub(crate) expires_in: i64,
    pub(crate) verb: Verb,
    pub(crate) flags: u64,
    /// How many parameters the header holds.
    pub(crate) parameters: usize,
    pub(crate) payload: Vec<u8>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Urgent,
    Small,
    Large,
}

/// How a connection's bytes are cut.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Framing {
    Unprotected,
    Lz4,
    Crc,
}

/// What a connection turned out to be.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// There was no listener, or it sent nothing.
    Silent,
    /// Dialled, but never answered.
    Unanswered,
    /// Bulk data, left alone.
    Streaming,
    Messaging(Messaging),
}

#[derive(Debug)]
pub(crate) struct Messaging {
    pub(crate) kind: Kind,
    pub(crate) framing: Framing,
    pub(crate) version: MessagingVersion,
    pub(crate) messages: Vec<Captured>,
    pub(crate) frames: usize,
    /// Frames that were compressed, not only stored.
    pub(crate) compressed: usize,
    /// Messages that came in several pieces.
    pub(crate) in_pieces: usize,
    /// How many bytes of a last frame, or of the pieces of a last message, the end cut off from the rest.
    pub(crate) unfinished: usize,
}

/// Decodes `connection`.
///
/// # Panics
///
/// If any of it is not what the specification says.
pub(crate) fn decode(connection: &Connection) -> Decoded {
    let sent = Bytes::of(&connection.sent);
    let received = Bytes::of(&connection.received);
    if sent.all.is_empty() {
        assert!(received.all.is_empty(), "an acceptor never begins");
        return Decoded::Silent;
    }
    assert!(connection.sent.is_whole && connection.received.is_whole, "a part of {connection:?} is missing");
    let initiate = Initiate::decode(&sent.all);
    if initiate.is_streaming {
        return Decoded::Streaming;
    }
    if received.all.is_empty() {
        assert_eq!(sent.all.len(), initiate.size, "nothing is sent before the answer");
        return Decoded::Unanswered;
    }
    let kind = match initiate.kind {
        1 => Kind::Urgent,
        2 => Kind::Small,
        3 => Kind::Large,
        other => panic!("connection type {other}"),
    };
    let version = accepted(&received.all, &initiate);
    let mut frames = Frames {
        framing: initiate.framing,
        version,
        rest: &sent.all[initiate.size..],
        large: Vec::new(),
        pieces: 0,
        messages: Vec::new(),
        frames: 0,
        compressed: 0,
        in_pieces: 0,
    };
    while frames.frame(sent.all.len()) {}
    let unfinished = frames.rest.len() + frames.large.len();
    let messages = frames.messages.into_iter().map(|(end, header, payload)| Captured {
        micros: sent.time_of_byte(end - 1),
        from: initiate.from,
        to: connection.to.into(),
        kind,
        version,
        id: header.id,
        created_at: header.created_at,
        expires_in: header.expires_in,
        verb: header.verb,
        flags: header.flags,
        parameters: header.parameters,
        payload,
    });
    Decoded::Messaging(Messaging {
        kind,
        framing: initiate.framing,
        version,
        messages: messages.collect(),
        frames: frames.frames,
        compressed: frames.compressed,
        in_pieces: frames.in_pieces,
        unfinished,
    })
}

/// One direction as a whole, with the time of each byte.
struct Bytes {
    all: Vec<u8>,
    /// Where each segment ends, and when it was captured.
    ends: Vec<(usize, u64)>,
}

impl Bytes {
    fn of(stream: &Stream) -> Self {
        let mut bytes = Self { all: Vec::new(), ends: Vec::new() };
        for (micros, segment) in &stream.segments {
            bytes.all.extend(segment);
            bytes.ends.push((bytes.all.len(), *micros));
        }
        bytes
    }

    fn time_of_byte(&self, at: usize) -> u64 {
        self.ends.iter().find(|(end, _)| at < *end).unwrap().1
    }
}

/// The first message of a dialler (`docs/protocol/handshake.md#initiate`).
struct Initiate {
    kind: u32,
    framing: Framing,
    is_streaming: bool,
    min: u32,
    max: u32,
    from: Endpoint,
    size: usize,
}

impl Initiate {
    fn decode(bytes: &[u8]) -> Self {
        assert_eq!(be32(bytes, 0), 0xca55_2dfa, "the magic number");
        let flags = be32(bytes, 4);
        let (from, end) = match bytes[8] {
            6 => (Endpoint::v4(array(bytes, 9), be16(bytes, 13)), 15),
            18 => (Endpoint::v6(array(bytes, 9), be16(bytes, 25)), 27),
            length => panic!("an address of length {length}"),
        };
        assert_eq!(be32(bytes, end), crc32(&bytes[..end]), "the checksum of an Initiate");
        assert_eq!(flags >> 5 & 7, 0, "spare bits of an Initiate");
        let framing = match flags >> 2 & 1 | flags >> 3 & 2 {
            0 => Framing::Unprotected,
            1 => Framing::Lz4,
            2 => Framing::Crc,
            other => panic!("framing {other}"),
        };
        let requested = flags >> 8 & 0xff;
        assert!(requested >= 12, "a handshake of before version 12: {requested}");
        Self {
            kind: flags & 3,
            framing,
            is_streaming: flags >> 3 & 1 == 1,
            min: flags >> 16 & 0xff,
            max: flags >> 24,
            from,
            size: end + 4,
        }
    }
}

/// The version that the answer of an acceptor settles (`docs/protocol/handshake.md#accept`).
fn accepted(bytes: &[u8], initiate: &Initiate) -> MessagingVersion {
    assert_eq!(bytes.len(), 12, "an acceptor sends its answer and nothing else");
    assert_eq!(be32(bytes, 8), crc32(&bytes[..8]), "the checksum of an Accept");
    let (max, used) = (be32(bytes, 0), be32(bytes, 4));
    assert_eq!(used, initiate.max.min(max));
    assert!((initiate.min..=initiate.max).contains(&used), "version {used}");
    MessagingVersion::from_number(used).unwrap()
}

struct Frames<'a> {
    framing: Framing,
    version: MessagingVersion,
    rest: &'a [u8],
    /// What came of a message in several pieces.
    large: Vec<u8>,
    pieces: usize,
    /// Each message with the position in the stream at which its frame ends.
    messages: Vec<(usize, Header, Vec<u8>)>,
    frames: usize,
    compressed: usize,
    in_pieces: usize,
}

impl Frames<'_> {
    /// Takes the next frame (`docs/protocol/framing.md`); `false` if no complete one is left.
    fn frame(&mut self, stream_len: usize) -> bool {
        let fields = if self.framing == Framing::Lz4 { 5 } else { 3 };
        let trailer = if self.framing == Framing::Unprotected { 0 } else { 4 };
        let Some(header) = self.rest.get(..fields + 3) else { return false };
        assert_eq!(
            le(&header[fields..]),
            u64::from(crc24(&header[..fields])),
            "the checksum of a frame header"
        );
        let bits = le(&header[..fields]);
        let length = usize::try_from(bits & 0x1_ffff).unwrap();
        let (unpacked_length, flags) =
            if self.framing == Framing::Lz4 { (bits >> 17 & 0x1_ffff, bits >> 34) } else { (0, bits >> 17) };
        assert!(flags <= 1, "spare bits of a frame header");
        let start = fields + 3;
        let Some(frame) = self.rest.get(..start + length + trailer) else { return false };
        let payload = &frame[start..start + length];
        if trailer > 0 {
            let checksum = u64::from(crc32(payload));
            assert_eq!(le(&frame[start + length..]), checksum, "the checksum of a frame");
        }
        self.rest = &self.rest[frame.len()..];
        self.frames += 1;
        let payload = match usize::try_from(unpacked_length).unwrap() {
            0 => payload.to_vec(),
            unpacked_length => {
                self.compressed += 1;
                let mut unpacked = vec![0; unpacked_length];
                let length = lz4_flex::block::decompress_into(payload, &mut unpacked).unwrap();
                assert_eq!(length, unpacked_length, "the length of a block");
                unpacked
            }
        };
        let end = stream_len - self.rest.len();
        if flags == 1 {
            self.messages(end, &payload)
        } else {
            self.piece(end, &payload)
        }
        true
    }

    /// Whole messages, one after the other.
    fn messages(&mut self, end: usize, mut payload: &[u8]) {
        assert!(!payload.is_empty(), "an empty frame");
        while !payload.is_empty() {
            let (header, size) = Header::decode(payload, self.version);
            let (body, rest) = payload[size..].split_at(header.payload_size);
            self.messages.push((end, header, body.to_vec()));
            payload = rest;
        }
    }

    /// A piece of a message that has more than one.
    fn piece(&mut self, end: usize, payload: &[u8]) {
        self.large.extend(payload);
        self.pieces += 1;
        let (header, size) = Header::decode(&self.large, self.version);
        let whole = size + header.payload_size;
        assert!(self.large.len() <= whole, "the last piece holds nothing else");
        if self.large.len() == whole {
            let body = self.large.split_off(size);
            self.large.clear();
            self.in_pieces += usize::from(self.pieces > 1);
            self.pieces = 0;
            self.messages.push((end, header, body));
        }
    }
}

/// What stands before a message's payload (`docs/protocol/message-header.md#header`).
struct Header {
    id: u64,
    created_at: u32,
    expires_in: i64,
    verb: Verb,
    flags: u64,
    parameters: usize,
    payload_size: usize,
}

impl Header {
    /// Also says how many bytes it takes.
    fn decode(bytes: &[u8], version: MessagingVersion) -> (Self, usize) {
        let mut at = 0;
        let id = uvint(bytes, &mut at);
        if version >= MessagingVersion::V14 {
            // The epoch of the cluster metadata.
            uvint(bytes, &mut at);
        }
        let created_at = be32(bytes, at);
        at += 4;
        let expires_in = uvint(bytes, &mut at).cast_signed();
        let verb = Verb::new(uvint(bytes, &mut at));
        let flags = uvint(bytes, &mut at);
        let parameters = usize::try_from(uvint(bytes, &mut at)).unwrap();
        for _ in 0..parameters {
            uvint(bytes, &mut at);
            let length = uvint(bytes, &mut at);
            at += usize::try_from(length).unwrap();
        }
        let payload_size = usize::try_from(uvint(bytes, &mut at)).unwrap();
        (Self { id, created_at, expires_in, verb, flags, parameters, payload_size }, at)
    }
}

/// An unsigned variable-length integer (`docs/protocol/primitives.md#unsigned-vint`), which must have its shortest form.
fn uvint(bytes: &[u8], at: &mut usize) -> u64 {
    let first = bytes[*at];
    let extra = usize::try_from(first.leading_ones()).unwrap();
    let mut value = if extra < 7 { u64::from(first & (0xff >> (extra + 1))) } else { 0 };
    for byte in &bytes[*at + 1..=*at + extra] {
        value = value << 8 | u64::from(*byte);
    }
    assert!(extra == 0 || value >> (7 * extra) != 0, "a longer form");
    *at += 1 + extra;
    value
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}

fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
