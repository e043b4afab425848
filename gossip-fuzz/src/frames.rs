//! The frames that connections carry.

use arbitrary::Arbitrary;
use gossip_core::internode::{
    FrameKind, Framing, Header, Inbound, InboundEvent, InboundLimits, Initiate, Lz4Encoder,
    MAX_FRAME_PAYLOAD, Params, Scratch, VersionRange, wrap,
};
use gossip_core::message::{Codec, Message};
use gossip_core::wire::{crc24, crc32};
use gossip_core::{MessagingVersion, Verb};

use crate::content::{Letter, Said};
use crate::handshake::{Dialler, chunks, written};
use crate::{script, show};

/// Once a stream is so long nothing more is written, in bytes.
const MAX_STREAM: usize = 1 << 20;

#[derive(Arbitrary, Debug)]
struct Stream<'a> {
    dialler: Dialler,
    parts: Vec<Part<'a>>,
    chunks: Vec<u8>,
}

/// What a stream is made of.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Part<'a> {
    /// Whole messages in one frame.
    Messages {
        letters: Vec<Letter<'a>>,
    },
    /// A message in pieces of that size.
    Large {
        letter: Letter<'a>,
        piece: u16,
    },
    /// A question for an answer over a connection of some type.
    Ping {
        kind: u8,
    },
    /// A message of a verb that is none of gossip.
    Foreign {
        verb: u16,
        body: &'a [u8],
    },
    /// The header of a message that is announced as longer than it is.
    Announced {
        letter: Letter<'a>,
        size: u32,
        kind: bool,
    },
    /// A frame whose checksums are right, whatever is in it.
    Noise {
        payload: &'a [u8],
        kind: bool,
    },
    /// A compressed frame whose checksums are right, whatever its block is.
    Block {
        block: &'a [u8],
        announced: u16,
        kind: bool,
    },
    /// A byte of what was written so far is changed.
    Flip {
        back: u16,
        bits: u8,
    },
    Raw {
        bytes: &'a [u8],
    },
}

/// What a connection brings, without its borrows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Message { verb: Verb, id: u64, payload: Vec<u8> },
    Else(String),
}

/// Frames of any framing, damaged or not, cut anywhere: the same comes out as in one piece; what was sent whole comes out whole;
/// memory is taken for what came, not for what was announced; nothing comes of a connection that failed.
pub fn frames(data: &[u8]) {
    let Some(stream) = script::<Stream<'_>>(data) else { return };
    let initiate = stream.dialler.initiate();
    let Some(version) = again(&initiate).version() else { return };
    let mut writer = FrameWriter::new(initiate.framing, version);
    for part in &stream.parts {
        writer.write(part);
    }
    let FrameWriter { bytes, sent, .. } = writer;

    let whole = seen(&initiate, &[&bytes]);
    assert_eq!(seen(&initiate, &chunks(&bytes, &stream.chunks)), whole);
    let failed = whole.iter().position(|seen| matches!(seen, Seen::Else(text) if text.starts_with("Failed")));
    assert!(failed.is_none_or(|at| at + 1 == whole.len()), "something comes after the end: {whole:?}");
    if let Some(sent) = sent {
        assert_eq!(whole, sent);
    }
    for seen in &whole {
        if let Seen::Message { verb, payload, .. } = seen
            && let Some(Ok(message)) = Message::decode(*verb, payload, Codec::new(version))
        {
            let _ = Said::of(&message);
        }
    }
}

/// A connection after its handshake.
fn again(initiate: &Initiate) -> Inbound {
    let mut inbound = Inbound::new(VersionRange { min: 12, max: 14 }, InboundLimits::default());
    let bytes = written(|out| initiate.encode(out));
    let mut input = &bytes[..];
    while inbound.next(&mut input, &mut Scratch::new()).is_some() {}
    inbound
}

fn seen(initiate: &Initiate, chunks: &[&[u8]]) -> Vec<Seen> {
    let (mut inbound, framing) = (again(initiate), initiate.framing);
    let mut scratch = Scratch::new();
    let mut seen = Vec::new();
    let mut given = 0;
    for chunk in chunks {
        given += chunk.len();
        let mut input = *chunk;
        while let Some(event) = inbound.next(&mut input, &mut scratch) {
            seen.push(match event {
                InboundEvent::Message { header, payload } => {
                    assert_eq!(header.payload_size, payload.len());
                    Seen::Message { verb: header.verb, id: header.id, payload: payload.to_vec() }
                }
                other => Seen::Else(format!("{other:?}")),
            });
        }
        assert!(input.is_empty(), "all input is taken");
        // A compressed byte stands for 255 at the most; there are two buffers, which double.
        let held = given * if framing == Framing::Lz4 { 256 } else { 1 };
        assert!(inbound.buffered() <= held);
        assert!(inbound.capacity() <= 4 * held + 256, "{} bytes for {given}", inbound.capacity());
    }
    seen
}

/// Puts a stream of frames together.
pub(crate) struct FrameWriter {
    framing: Framing,
    version: MessagingVersion,
    lz4: Option<Lz4Encoder>,
    next_id: u64,
    pub(crate) bytes: Vec<u8>,
    /// What must come out of it; `None` once there is something in it that cannot be known.
    pub(crate) sent: Option<Vec<Seen>>,
}

impl FrameWriter {
    pub(crate) fn new(framing: Framing, version: MessagingVersion) -> Self {
        let lz4 = (framing == Framing::Lz4).then(Lz4Encoder::new);
        Self { framing, version, lz4, next_id: 1, bytes: Vec::new(), sent: Some(Vec::new()) }
    }

    pub(crate) fn write(&mut self, part: &Part<'_>) {
        if self.bytes.len() > MAX_STREAM {
            return;
        }
        match part {
            Part::Messages { letters } => {
                let payload: Vec<u8> = letters.iter().flat_map(|letter| self.letter(letter)).collect();
                self.frame(FrameKind::SelfContained, &payload);
            }
            Part::Large { letter, piece } => {
                let message = self.letter(letter);
                // The first piece has to hold the whole header.
                for piece in message.chunks(usize::from(*piece).max(64)) {
                    self.frame(FrameKind::Piece, piece);
                }
            }
            Part::Ping { kind } => {
                let message = self.message(Verb::PING_REQ, &[*kind]);
                self.frame(FrameKind::SelfContained, &message);
            }
            Part::Foreign { verb, body } => {
                self.sent = None;
                let message = self.message(Verb::new(u64::from(*verb)), body);
                self.frame(FrameKind::SelfContained, &message);
            }
            Part::Announced { letter, size, kind } => {
                self.sent = None;
                let body = letter.said().through(self.version).body(self.version);
                let mut message = self.header(letter.said().verb(), *size as usize & 0x7fff_ffff);
                message.extend(body);
                self.frame(frame_kind(*kind), &message);
            }
            Part::Noise { payload, kind } => {
                self.sent = None;
                self.frame(frame_kind(*kind), payload);
            }
            Part::Block { block, announced, kind } => {
                self.sent = None;
                let flag = u64::from(*kind) << 34;
                let bits = block.len() as u64 | u64::from(*announced) << 17 | flag;
                let header = &bits.to_le_bytes()[..5];
                let crc = &crc24(header).to_le_bytes()[..3];
                self.bytes.extend([header, crc, block, &crc32(block).to_le_bytes()].concat());
            }
            Part::Flip { back, bits } => {
                if let Some(byte) = self.bytes.iter_mut().rev().nth(usize::from(*back)) {
                    *byte ^= bits;
                    self.sent = None;
                }
            }
            Part::Raw { bytes } => {
                self.sent = None;
                self.bytes.extend(*bytes);
            }
        }
    }

    fn letter(&mut self, letter: &Letter<'_>) -> Vec<u8> {
        let said = letter.said().through(self.version);
        self.message(said.verb(), &said.body(self.version))
    }

    /// A message under the id of the one that it answers.
    pub(crate) fn answer(&mut self, verb: Verb, id: u64, body: &[u8]) {
        self.next_id = id;
        let message = self.message(verb, body);
        self.frame(FrameKind::SelfContained, &message);
    }

    fn message(&mut self, verb: Verb, body: &[u8]) -> Vec<u8> {
        let mut message = self.header(verb, body.len());
        if let Some(sent) = &mut self.sent {
            sent.push(Seen::Message { verb, id: self.next_id - 1, payload: body.to_vec() });
        }
        message.extend(body);
        message
    }

    fn header(&mut self, verb: Verb, payload_size: usize) -> Vec<u8> {
        let header = Header {
            id: self.next_id,
            epoch: 0,
            created_at: 0,
            expires_in: i64::from(i32::MAX),
            verb,
            flags: 0,
            params: Params::NONE,
            payload_size,
        };
        self.next_id += 1;
        written(|out| header.encode(self.version, out))
    }

    fn frame(&mut self, kind: FrameKind, payload: &[u8]) {
        // Longer payloads fit no frame, and an empty piece is none.
        if payload.len() > MAX_FRAME_PAYLOAD || (payload.is_empty() && kind == FrameKind::Piece) {
            self.sent = None;
        }
        let payload = &payload[..payload.len().min(MAX_FRAME_PAYLOAD)];
        let begin = self.bytes.len();
        if let Some(encoder) = &mut self.lz4 {
            self.bytes.resize(begin + Lz4Encoder::room(payload.len()), 0);
            let size = encoder.encode(kind, payload, &mut self.bytes[begin..]).expect("there is room");
            self.bytes.truncate(begin + size);
        } else {
            let start = self.framing.header_len();
            self.bytes.resize(begin + start, 0);
            self.bytes.extend(payload);
            self.bytes.resize(self.bytes.len() + self.framing.trailer_len(), 0);
            let range = start..start + payload.len();
            wrap(self.framing, kind, &mut self.bytes[begin..], range).expect("there is room");
        }
    }
}

const fn frame_kind(is_self_contained: bool) -> FrameKind {
    if is_self_contained { FrameKind::SelfContained } else { FrameKind::Piece }
}

/// How an input of [`frames`] reads.
pub(crate) fn show_frames(data: &[u8]) -> String {
    show::<Stream<'_>>(data)
}
