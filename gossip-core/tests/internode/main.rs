//! The connection layer: the byte examples of `docs/protocol` and the scenarios of its families B, C and D.
mod errors;
mod frames;
mod handshake;
mod header;
mod properties;
mod receiver;

use gossip_core::internode::{
    Accept, CRC_HEADER, CRC_TRAILER, ConnectionKind, ConnectionType, CrossNodeTimeout, FrameEncodeError,
    FrameHeader, FrameKind, Framing, HandshakeError, Header, Inbound, InboundError, InboundEvent,
    InboundLimits, Initiate, Lz4Encoder, MAX_FRAME_PAYLOAD, MAX_HEADER, MessageLoss, Outbound, OutboundError,
    OutboundEvent, Param, Params, Scratch, VersionRange, created_at_millis, infer_size, negotiate, wrap,
};
use gossip_core::message::{Codec, Message};
use gossip_core::wire::{DecodeError, Full, Reader, Writer, crc24, crc32};
use gossip_core::{Endpoint, MessagingVersion, Verb};
use proptest::prelude::*;

const V12: MessagingVersion = MessagingVersion::V12;
const CREATED: u64 = 1_700_000_000_000;
const CREATED_LOW: u32 = 0xcfe5_6800;
const LOOPBACK: Endpoint = Endpoint::v4([127, 0, 0, 1], 7000);
const PROTECTED: [Framing; 2] = [Framing::Lz4, Framing::Crc];

const ECHO_REQ: &str = "01 cf e5 68 00 a7 10 1f 00 00 00";
const SYN: &str = "
    02 cf e5 68 00 c4 93 e0 0e 00 00 5d 00 0c 54 65
    73 74 20 43 6c 75 73 74 65 72 00 2b 6f 72 67 2e
    61 70 61 63 68 65 2e 63 61 73 73 61 6e 64 72 61
    2e 64 68 74 2e 4d 75 72 6d 75 72 33 50 61 72 74
    69 74 69 6f 6e 65 72 00 00 00 02 06 0a 00 00 01
    1b 58 65 53 f1 00 00 00 00 2a 06 0a 00 00 02 1b
    58 65 53 f1 64 00 00 00 07";
const LZ4_SYN_FRAME: &str = "
    cd 00 00 02 04 fe c8 68 f5 60 03 cf e5 68 00 c4
    93 e0 0e 00 00 80 f3 00 0c 54 65 73 74 20 43 6c
    75 73 74 65 72 00 2b 6f 72 67 2e 61 70 61 63 68
    65 2e 63 61 73 73 61 6e 64 72 61 2e 64 68 74 2e
    4d 75 72 6d 75 72 33 50 61 72 74 69 74 69 6f 6e
    65 72 00 00 00 0c 06 0a 00 00 01 1b 58 65 53 f1
    00 00 00 00 01 06 0a 00 00 02 1b 58 65 53 f1 00
    00 00 00 02 06 0a 00 00 03 1e 00 65 03 06 0a 00
    00 04 1e 00 65 04 06 0a 00 00 05 0f 00 65 05 06
    0a 00 00 06 0f 00 65 06 06 0a 00 00 07 0f 00 65
    07 06 0a 00 00 08 0f 00 65 08 06 0a 00 00 09 0f
    00 65 09 06 0a 00 00 0a 0f 00 65 0a 06 0a 00 00
    0b 0f 00 f0 01 0b 06 0a 00 00 0c 1b 58 65 53 f1
    00 00 00 00 0c 76 27 d4 e6";

/// An event without its borrows.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Initiated { accept: [u8; 12], incompatible: bool },
    Message { id: u64, verb: Verb, payload: Vec<u8> },
    Skipped { verb: Verb, id: u64, size: usize },
    FrameDropped { len: usize },
    MessageDropped(MessageLoss),
    Failed(InboundError),
}

fn echo(id: u64) -> Seen {
    Seen::Message { id, verb: Verb::ECHO_REQ, payload: vec![] }
}

/// An accepted connection and what it needs.
struct Peer {
    inbound: Inbound,
    scratch: Scratch,
}

impl Peer {
    fn new(versions: VersionRange) -> Self {
        Self { inbound: Inbound::new(versions, InboundLimits::default()), scratch: Scratch::new() }
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let mut input = bytes;
        let mut seen = Vec::new();
        while let Some(event) = self.inbound.next(&mut input, &mut self.scratch) {
            seen.push(match event {
                InboundEvent::Initiated { accept, incompatible, .. } => {
                    Seen::Initiated { accept, incompatible }
                }
                InboundEvent::Message { header, payload } => {
                    assert_eq!(header.payload_size, payload.len());
                    Seen::Message { id: header.id, verb: header.verb, payload: payload.to_vec() }
                }
                InboundEvent::Skipped { verb, id, size } => Seen::Skipped { verb, id, size },
                InboundEvent::FrameDropped { len } => Seen::FrameDropped { len },
                InboundEvent::MessageDropped { reason } => Seen::MessageDropped(reason),
                InboundEvent::Failed(error) => Seen::Failed(error),
            });
        }
        assert!(input.is_empty(), "all input is taken");
        seen
    }

    fn feed_in_pieces(&mut self, bytes: &[u8], size: usize) -> Vec<Seen> {
        bytes.chunks(size).flat_map(|chunk| self.feed(chunk)).collect()
    }

    fn feed_in_chunks(&mut self, bytes: &[u8], sizes: &[usize]) -> Vec<Seen> {
        let mut rest = bytes;
        let mut seen = Vec::new();
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            seen.extend(self.feed(chunk));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        seen
    }
}

fn connected(framing: Framing) -> Peer {
    connected_within(framing, InboundLimits::default())
}

fn connected_within(framing: Framing, limits: InboundLimits) -> Peer {
    let mut peer =
        Peer { inbound: Inbound::new(VersionRange::WITHOUT_METADATA, limits), scratch: Scratch::new() };
    let seen = peer.feed(&encode_initiate(&initiate(framing, 12, 12)));
    assert!(matches!(seen[..], [Seen::Initiated { incompatible: false, .. }]));
    peer
}

fn initiate(framing: Framing, min: u8, max: u8) -> Initiate {
    let versions = VersionRange { min, max };
    Initiate { request: 12, ..Initiate::messaging(ConnectionType::Urgent, framing, versions, LOOPBACK) }
}

fn encode_initiate(initiate: &Initiate) -> Vec<u8> {
    let mut buffer = [0; Initiate::MAX_SIZE];
    let mut out = Writer::new(&mut buffer);
    initiate.encode(&mut out).expect("it is no longer than the longest");
    out.written().to_vec()
}

fn assert_initiate(initiate: &Initiate, text: &str) {
    let bytes = hex(text);
    assert_eq!(encode_initiate(initiate), bytes);
    assert_eq!(Initiate::decode(&bytes), Ok(Some((*initiate, bytes.len()))));
    for len in 0..bytes.len() {
        assert_eq!(Initiate::decode(&bytes[..len]), Ok(None));
    }
    let more = [&bytes[..], &[1, 2, 3]].concat();
    assert_eq!(Initiate::decode(&more), Ok(Some((*initiate, bytes.len()))));
    assert_eq!(initiate.encode(&mut Writer::new(&mut vec![0; bytes.len() - 1])), Err(Full));
}

/// Checks the outcome in the pure function and on both ends of a connection.
fn assert_negotiation(dialler: (u8, u8), acceptor: (u8, u8), version: u32, compatible: bool) {
    let range = |(min, max)| VersionRange { min, max };
    let negotiated = negotiate(range(dialler), range(acceptor));
    let accept = Accept { max: u32::from(acceptor.1), version };
    assert_eq!((negotiated.accept, negotiated.compatible), (accept, compatible));

    let initiate = initiate(Framing::Crc, dialler.0, dialler.1);
    let mut inbound = Peer::new(range(acceptor));
    let accept = accept.to_bytes();
    let seen = inbound.feed(&encode_initiate(&initiate));
    assert_eq!(seen, [Seen::Initiated { accept, incompatible: !compatible }]);
    let known = MessagingVersion::from_number(version).filter(|_| compatible);
    assert_eq!(inbound.inbound.version(), known);

    let peer_max = u32::from(acceptor.1);
    let expected = match known {
        Some(version) => OutboundEvent::Established { version, peer_max },
        None => {
            OutboundEvent::Failed(OutboundError::Incompatible { version, peer_max, ours: range(dialler) })
        }
    };
    assert_eq!(Outbound::new(initiate).handle_bytes(&accept), Some(expected));
}

fn header(id: u64, verb: Verb, payload_size: usize) -> Header<'static> {
    Header {
        id,
        epoch: 0,
        created_at: CREATED_LOW,
        expires_in: 10_000,
        verb,
        flags: 0,
        params: Params::NONE,
        payload_size,
    }
}

fn encode_header(version: MessagingVersion, header: &Header<'_>) -> Vec<u8> {
    let mut buffer = [0; 1_024];
    let mut out = Writer::new(&mut buffer);
    header.encode(version, &mut out).expect("the buffer is large");
    out.written().to_vec()
}

fn assert_header(version: MessagingVersion, header: &Header<'_>, bytes: &[u8]) {
    assert_eq!(encode_header(version, header), bytes);
    assert_eq!(header.encoded_len(version), bytes.len());
    let mut reader = Reader::new(bytes);
    assert_eq!(Header::decode(&mut reader, version), Ok(*header));
    assert!(reader.is_empty());
}

fn message(id: u64, verb: Verb, body: &[u8]) -> Vec<u8> {
    let mut bytes = encode_header(V12, &header(id, verb, body.len()));
    bytes.extend(body);
    bytes
}

/// A frame as a sender makes it: compressed if that is the framing.
fn frame(framing: Framing, kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    if framing != Framing::Lz4 {
        return stored_frame(framing, kind, payload);
    }
    let mut out = vec![0; Lz4Encoder::room(payload.len())];
    let size = Lz4Encoder::new().encode(kind, payload, &mut out).expect("there is room");
    out.truncate(size);
    out
}

fn stored_frame(framing: Framing, kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; framing.header_len()];
    bytes.extend(payload);
    bytes.resize(bytes.len() + framing.trailer_len(), 0);
    let start = framing.header_len();
    let frame = wrap(framing, kind, &mut bytes, start..start + payload.len()).expect("there is room");
    assert_eq!(frame, 0..bytes.len());
    bytes
}

fn crc_frame(payload: &[u8]) -> Vec<u8> {
    frame(Framing::Crc, FrameKind::SelfContained, payload)
}

/// A self-contained LZ4 frame whose checksums are good, whatever its block is.
fn lz4_frame(block: &[u8], announced: usize) -> Vec<u8> {
    let bits = block.len() as u64 | (announced as u64) << 17 | 1 << 34;
    let header = &bits.to_le_bytes()[..5];
    let crc = &crc24(header).to_le_bytes()[..3];
    [header, crc, block, &crc32(block).to_le_bytes()].concat()
}

/// The frames in which Cassandra sends a large message.
fn pieces(framing: Framing, message: &[u8]) -> Vec<Vec<u8>> {
    message.chunks(32_768).map(|piece| frame(framing, FrameKind::Piece, piece)).collect()
}

fn with_crc(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32(bytes).to_be_bytes()].concat()
}

/// Bytes that compress.
fn runs(len: usize) -> Vec<u8> {
    (0..=255_u8).cycle().flat_map(|byte| [byte; 7]).take(len).collect()
}

/// Bytes that do not.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1;
    (0..len).map(|_| next_random(&mut state).to_le_bytes()[4]).collect()
}

/// Runs of random bytes of random length.
fn random_runs(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let [byte, run, ..] = next_random(&mut state).to_le_bytes();
        let end = len.min(bytes.len() + 1 + usize::from(run));
        bytes.resize(end, byte);
    }
    bytes
}

/// Xorshift.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {text}");
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).expect("two digits")).collect()
}
