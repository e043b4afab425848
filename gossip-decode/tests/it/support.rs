//! What tests share: connections to capture, and what comes of captures.

use core::net::SocketAddrV4;

use etherparse::{PacketBuilder, TcpHeader};
use gossip_core::internode::{
    Accept, ConnectionType, FrameKind, Framing, Header, Initiate, Lz4Encoder, Params, VersionRange, wrap,
};
use gossip_core::wire::Writer;
use gossip_core::{Endpoint, MessagingVersion, Verb};
use gossip_decode::{
    Damage, Decoder, Finished, Handshake, Message, Options, Record, Shape, Summary, Unrecognised,
    decode_bytes,
};

pub(crate) const DIALLER: &str = "10.0.0.1:50000";
pub(crate) const ACCEPTOR: &str = "10.0.0.2:7000";
/// When the first packet of a capture is captured, in microseconds since the Unix epoch.
pub(crate) const START_US: u64 = 1_700_000_000_000_000;

/// The bytes that hexadecimal text stands for, with any spaces.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    text.parse::<core::net::SocketAddr>().unwrap().into()
}

/// What a dialler sends first.
pub(crate) fn initiate(connection: ConnectionType, framing: Framing, min: u8, max: u8) -> Vec<u8> {
    let versions = VersionRange { min, max };
    written(|out| Initiate::messaging(connection, framing, versions, endpoint("10.0.0.1:7000")).encode(out))
}

/// An urgent connection of version 12 with checksums.
pub(crate) fn usual_initiate() -> Vec<u8> {
    initiate(ConnectionType::Urgent, Framing::Crc, 12, 12)
}

pub(crate) fn accept(version: u32, max: u32) -> Vec<u8> {
    Accept { max, version }.to_bytes().to_vec()
}

/// A message with its header.
pub(crate) fn message(version: MessagingVersion, verb: Verb, id: u64, body: &[u8]) -> Vec<u8> {
    let header = Header {
        id,
        epoch: 3,
        created_at: 0xcfe5_6800,
        expires_in: 10_000,
        verb,
        flags: 0,
        params: Params::NONE,
        payload_size: body.len(),
    };
    let mut message = written(|out| header.encode(version, out));
    message.extend_from_slice(body);
    message
}

/// An ECHO_REQ in a frame of its own, with checksums.
pub(crate) fn echo(id: u64) -> Vec<u8> {
    frame(Framing::Crc, &message(MessagingVersion::V12, Verb::ECHO_REQ, id, b""))
}

pub(crate) fn frame(framing: Framing, payload: &[u8]) -> Vec<u8> {
    frame_of(framing, FrameKind::SelfContained, payload)
}

/// A frame. What can be compressed is, where the framing has it.
pub(crate) fn frame_of(framing: Framing, kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    if framing == Framing::Lz4 {
        let mut buffer = vec![0; Lz4Encoder::room(payload.len())];
        let size = Lz4Encoder::new().encode(kind, payload, &mut buffer).unwrap();
        buffer.truncate(size);
        return buffer;
    }
    let head = framing.header_len();
    let mut buffer = vec![0; head + payload.len() + framing.trailer_len()];
    buffer[head..head + payload.len()].copy_from_slice(payload);
    wrap(framing, kind, &mut buffer, head..head + payload.len()).unwrap();
    buffer
}

fn written<E: core::fmt::Debug>(write: impl FnOnce(&mut Writer<'_>) -> Result<(), E>) -> Vec<u8> {
    let mut buffer = [0; 128];
    let mut out = Writer::new(&mut buffer);
    write(&mut out).unwrap();
    out.written().to_vec()
}

/// Both ends of a TCP connection, whose packets are captured.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    ends: [SocketAddrV4; 2],
    /// The number of each end's next byte.
    next: [u32; 2],
    pub(crate) packets: Vec<Packet>,
}

/// A captured packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) unix_us: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Talk {
    /// A connection that is not open yet.
    pub(crate) fn new(dialler: &str, acceptor: &str) -> Self {
        let ends = [dialler, acceptor].map(|end| end.parse().unwrap());
        // Numbers wrap around soon.
        Self { ends, next: [u32::MAX - 20, 0x7fff_fff0], packets: Vec::new() }
    }

    /// An open connection with its handshake.
    pub(crate) fn greeted(initiate: &[u8], accept: &[u8]) -> Self {
        let mut talk = Self::new(DIALLER, ACCEPTOR);
        talk.open();
        talk.dial(initiate);
        talk.answer(accept);
        talk
    }

    /// As [`Talk::greeted`], with the usual handshake.
    pub(crate) fn usual() -> Self {
        Self::greeted(&usual_initiate(), &accept(12, 12))
    }

    pub(crate) fn open(&mut self) {
        self.flagged(0, |tcp| tcp.syn = true);
        self.flagged(1, |tcp| {
            tcp.syn = true;
            tcp.ack = true;
        });
        self.flagged(0, |tcp| tcp.ack = true);
    }

    /// The dialler sends `bytes` in one packet.
    pub(crate) fn dial(&mut self, bytes: &[u8]) {
        self.packet(0, bytes, |tcp| tcp.ack = true);
    }

    /// The acceptor sends `bytes` in one packet.
    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        self.packet(1, bytes, |tcp| tcp.ack = true);
    }

    /// The acceptor has everything.
    pub(crate) fn acknowledge(&mut self) {
        self.flagged(1, |tcp| tcp.ack = true);
    }

    pub(crate) fn close(&mut self) {
        for end in [0, 1] {
            self.flagged(end, |tcp| {
                tcp.fin = true;
                tcp.ack = true;
            });
        }
    }

    pub(crate) fn reset(&mut self) {
        self.flagged(1, |tcp| tcp.rst = true);
    }

    fn flagged(&mut self, end: usize, set: impl FnOnce(&mut TcpHeader)) {
        self.packet(end, b"", set);
    }

    fn packet(&mut self, end: usize, bytes: &[u8], set: impl FnOnce(&mut TcpHeader)) {
        let (from, to) = (self.ends[end], self.ends[1 - end]);
        let mut tcp = TcpHeader::new(from.port(), to.port(), self.next[end], 65_535);
        set(&mut tcp);
        if tcp.ack {
            tcp.acknowledgment_number = self.next[1 - end];
        }
        let length = u32::try_from(bytes.len()).unwrap() + u32::from(tcp.syn) + u32::from(tcp.fin);
        self.next[end] = self.next[end].wrapping_add(length);
        let mut packet = Vec::new();
        let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4(from.ip().octets(), to.ip().octets(), 64);
        builder.tcp_header(tcp).write(&mut packet, bytes).unwrap();
        let unix_us = self.packets.last().map_or(START_US, |last| last.unix_us + 1_000);
        self.packets.push(Packet { unix_us, bytes: packet });
    }

    /// What comes of the capture of it.
    pub(crate) fn decode(&self) -> Decoded {
        decode_packets(&self.packets)
    }
}

/// What comes of something that is decoded.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) records: Vec<Record>,
    pub(crate) summary: Summary,
}

impl Decoded {
    /// What `pick` takes of all records.
    fn all<'a, T>(&'a self, pick: impl Fn(&'a Record) -> Option<T>) -> Vec<T> {
        self.records.iter().filter_map(pick).collect()
    }

    pub(crate) fn messages(&self) -> Vec<&Message> {
        self.all(|record| if let Record::Message(message) = record { Some(message) } else { None })
    }

    /// The ids of all messages, in their order.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.messages().iter().map(|message| message.id).collect()
    }

    pub(crate) fn handshakes(&self) -> Vec<&Handshake> {
        self.all(|record| if let Record::Handshake(handshake) = record { Some(handshake) } else { None })
    }

    pub(crate) fn damages(&self) -> Vec<&Damage> {
        self.all(|record| if let Record::Damage(damage) = record { Some(damage) } else { None })
    }

    /// Where the only damage is, what should be there and what is.
    pub(crate) fn damage(&self) -> (u64, &str, &str) {
        let [damage] = &self.damages()[..] else { panic!("not one damage: {:#?}", self.damages()) };
        (damage.place.offset, &damage.expected, &damage.found)
    }

    pub(crate) fn notes(&self) -> Vec<&str> {
        self.all(|record| if let Record::Note(note) = record { Some(note.text.as_str()) } else { None })
    }

    /// Asserts that it is all there, and right.
    pub(crate) fn assert_whole(&self) {
        let Summary { damages, undecoded_bytes, missing_bytes, .. } = self.summary;
        assert_eq!((damages, undecoded_bytes, missing_bytes), (0, 0, 0), "{:#?}", self.records);
    }
}

pub(crate) fn decode_packets(packets: &[Packet]) -> Decoded {
    decode_capture(&pcap(packets), Options::default()).0
}

/// Decodes a capture file that comes in one piece.
pub(crate) fn decode_capture(file: &[u8], options: Options) -> (Decoded, Finished) {
    decode_pieces([file], options)
}

pub(crate) fn decode_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    options: Options,
) -> (Decoded, Finished) {
    let mut records = Vec::new();
    let mut decoder = Decoder::new(options);
    for piece in pieces {
        decoder.feed(piece, &mut |record| records.push(record));
    }
    let finished = decoder.finish(&mut |record| records.push(record));
    (Decoded { records: checked(records), summary: finished.summary.clone() }, finished)
}

/// Decodes bytes whose kind is given.
pub(crate) fn decode_shape(bytes: &[u8], shape: Shape, options: &Options) -> Decoded {
    try_decode(bytes, Some(shape), options).unwrap()
}

/// Decodes bytes that say themselves what they are.
pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    try_decode(bytes, None, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn try_decode(
    bytes: &[u8],
    shape: Option<Shape>,
    options: &Options,
) -> Result<Decoded, Unrecognised> {
    let mut records = Vec::new();
    let summary = decode_bytes(bytes, shape, options, &mut |record| records.push(record))?;
    Ok(Decoded { records: checked(records), summary })
}

/// The records without the last one, which counts the others right.
fn checked(mut records: Vec<Record>) -> Vec<Record> {
    let Some(Record::Summary(summary)) = records.pop() else { panic!("the last record is no summary") };
    let count = |is: fn(&Record) -> bool| records.iter().filter(|record| is(record)).count() as u64;
    assert_eq!(summary.handshakes, count(|record| matches!(record, Record::Handshake(_))));
    assert_eq!(summary.frames, count(|record| matches!(record, Record::Frame(_))));
    assert_eq!(summary.messages, count(|record| matches!(record, Record::Message(_))));
    assert_eq!(summary.damages, count(|record| matches!(record, Record::Damage(_))));
    records
}

/// A capture file of these packets.
pub(crate) fn pcap(packets: &[Packet]) -> Vec<u8> {
    let mut file = hex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000");
    for Packet { unix_us, bytes } in packets {
        let len = u32::try_from(bytes.len()).unwrap();
        let [seconds, micros] =
            [unix_us / 1_000_000, unix_us % 1_000_000].map(|it| u32::try_from(it).unwrap());
        file.extend([seconds, micros, len, len].map(u32::to_le_bytes).concat());
        file.extend_from_slice(bytes);
    }
    file
}
