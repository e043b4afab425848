//! A connection that we accepted: bytes in, messages out (`docs/protocol/handshake.md`, `docs/protocol/framing.md` and `docs/protocol/framing.md#errors-in-frames`).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::{fmt, mem};

use lz4_flex::block::decompress_into;

use super::frame::{FrameHeader, FrameHeaderError, FrameKind, MAX_FRAME_PAYLOAD};
use super::handshake::{Accept, ConnectionKind, Framing, HandshakeError, Initiate, VersionRange, negotiate};
use super::header::Header;
use super::outbound::usable_version;
use crate::endpoint::Endpoint;
use crate::verb::Verb;
use crate::version::MessagingVersion;
use crate::wire::{DecodeError, Reader, crc32};

/// The capacity up to which the buffer of a large message is kept for the next one, in bytes.
const KEPT_CAPACITY: usize = 128 * 1024;

/// A connection that we accepted.
///
/// Give it whatever arrives, by calling [`Inbound::next`] until that returns `None`. A frame that lies whole in what
/// arrived is read where it lies; one that comes in parts is put together in a buffer that is kept. No length that a
/// peer announces ever sizes a buffer: they grow with the bytes that did arrive, up to one frame (about 128 KiB) and
/// one large message ([`InboundLimits::max_message`]).
#[derive(Debug)]
pub struct Inbound {
    versions: VersionRange,
    limits: InboundLimits,
    state: State,
    initiate: Option<Initiate>,
    version: Option<MessagingVersion>,
    /// The front of the handshake or of a frame, while the rest is not there.
    buffer: Vec<u8>,
    /// The header of the frame whose front is in `buffer`.
    frame: Option<FrameHeader>,
    /// How many bytes to pass over before anything else.
    skip: usize,
    /// What is still to be handed out of the frame or large message last read.
    pending: Pending,
    /// How far the message is that comes in pieces.
    large: Large,
    /// The pieces of that message.
    pieces: Vec<u8>,
    growths: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Handshake,
    Open { version: MessagingVersion, framing: Framing },
    Closed,
}

/// Messages that are checked and not yet handed out: `left` bytes of them, from `at` on.
#[derive(Clone, Copy, Debug)]
struct Pending {
    source: Source,
    at: usize,
    left: usize,
}

/// Where pending messages lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    /// At the front of the input.
    Input,
    /// In the connection's own buffer.
    Buffer,
    /// In the scratch memory, where they were decompressed to.
    Scratch,
    /// In the buffer of large messages.
    Pieces,
}

/// How far a message is that comes in pieces.
#[derive(Clone, Copy, Debug)]
enum Large {
    /// There is none.
    None,
    /// Of `total` bytes there is what `Inbound::pieces` holds.
    Partial { total: usize },
    /// It is not wanted, or a piece of it was bad; `left` bytes are still to come.
    Skipped { left: usize },
    /// Its pieces were more than it announced, so the start of the next one is unknown. As in Cassandra, no message
    /// in pieces comes through any more.
    Overrun,
}

/// What an accepted connection may cost, and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct InboundLimits {
    /// The largest message that is taken, header included, in bytes. A larger one ends the connection. Default: 16 MiB
    /// (Cassandra: 128 MiB).
    pub max_message: usize,
    /// Which messages are handed out; all others are skipped, whatever their size. Default: [`is_wanted`].
    pub wanted: fn(Verb) -> bool,
}

impl Default for InboundLimits {
    fn default() -> Self {
        Self { max_message: 16 * 1024 * 1024, wanted: is_wanted }
    }
}

/// Whether a gossiping process has a use for messages of this kind: those of gossip itself, and the two questions that
/// Cassandra puts to every member.
pub const fn is_wanted(verb: Verb) -> bool {
    verb.is_gossip()
        || matches!(
            verb,
            Verb::PING_REQ
                | Verb::SCHEMA_VERSION_REQ
                | Verb::TCM_FETCH_PEER_LOG_REQ
                | Verb::TCM_FETCH_PEER_LOG_RSP
        )
}

/// Memory to decompress into, borrowed by [`Inbound::next`]: one serves all connections of a thread.
///
/// It allocates 128 KiB when the first compressed frame comes, and never again.
#[derive(Debug, Default)]
pub struct Scratch {
    decompressed: Box<[u8]>,
}

impl Scratch {
    /// Allocates nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What an accepted connection says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InboundEvent<'a> {
    /// The handshake is there: write `accept` to the connection.
    Initiated {
        /// What the dialler said.
        initiate: Initiate,
        /// The answer.
        accept: [u8; Accept::SIZE],
        /// Whether the dialler speaks no version that we do. The answer, which tells it ours, is written all the same;
        /// then the connection is to be closed. Nothing more comes of it.
        incompatible: bool,
    },
    /// A message that is wanted.
    Message {
        /// What stands before its body.
        header: Header<'a>,
        /// Its body.
        payload: &'a [u8],
    },
    /// A message that is not wanted was skipped, or the rest of it will be.
    ///
    /// Deviation: Cassandra closes the connection at a verb that it does not know.
    Skipped {
        /// What it is.
        verb: Verb,
        /// Its id.
        id: u64,
        /// Its size with its header, in bytes.
        size: usize,
    },
    /// A frame of whole messages had a wrong checksum. All its messages are lost, the connection goes on.
    FrameDropped {
        /// The size of the payload that was lost, in bytes.
        len: usize,
    },
    /// A message is lost, the connection goes on.
    MessageDropped {
        /// How that came.
        reason: MessageLoss,
    },
    /// The connection is of no use any more: close it. Nothing more comes of it.
    Failed(InboundError),
}

/// How a single message was lost.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum MessageLoss {
    /// A frame of whole messages ends inside this one.
    ///
    /// Deviation: Cassandra reads on into the frame's checksum, and acts on what it finds.
    Truncated,
    /// A piece of it, not the first, had a wrong checksum.
    Crc,
    /// Its pieces have more bytes than it announced. As in Cassandra, no message in pieces comes through on this
    /// connection any more.
    Overrun,
}

impl fmt::Display for MessageLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the frame ends inside the message",
            Self::Crc => "a piece of the message has a wrong checksum",
            Self::Overrun => "the pieces of the message are longer than the message",
        })
    }
}

/// Why an accepted connection is of no use any more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum InboundError {
    /// It does not begin with a handshake that we understand. Nothing was answered.
    Handshake(HandshakeError),
    /// It is for bulk data, which we do not take. Nothing was answered.
    Streaming,
    /// The header of a frame is damaged.
    FrameHeader(FrameHeaderError),
    /// The first piece of a large message has a wrong checksum.
    FirstPieceCrc {
        /// What it should be.
        expected: u32,
        /// What it is.
        found: u32,
    },
    /// A compressed payload does not decompress to what its frame announces.
    Lz4 {
        /// The announced size, in bytes.
        announced: usize,
    },
    /// A piece of a large message has no bytes.
    EmptyPiece,
    /// The first piece of a large message does not hold the whole header of that message.
    PieceWithoutHeader,
    /// The header of a message makes no sense.
    Header(DecodeError),
    /// A message is larger than [`InboundLimits::max_message`].
    MessageTooLarge {
        /// What it is.
        verb: Verb,
        /// Its size with its header, in bytes.
        size: usize,
        /// The largest size that is taken, in bytes.
        limit: usize,
    },
    /// The caller gave other input before all of the last was taken.
    InputWithdrawn,
}

impl fmt::Display for InboundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Handshake(error) => error.fmt(f),
            Self::Streaming => f.write_str("the connection is for streaming"),
            Self::FrameHeader(error) => error.fmt(f),
            Self::FirstPieceCrc { expected, found } => {
                write!(
                    f,
                    "the checksum of a message's first piece is {found:#010x} and should be {expected:#010x}"
                )
            }
            Self::Lz4 { announced } => write!(f, "a payload does not decompress to its {announced} bytes"),
            Self::EmptyPiece => f.write_str("a piece of a message is empty"),
            Self::PieceWithoutHeader => f.write_str("the first piece of a message ends inside its header"),
            Self::Header(error) => write!(f, "in the header of a message: {error}"),
            Self::MessageTooLarge { verb, size, limit } => {
                write!(f, "{verb} of {size} bytes, and {limit} are the most")
            }
            Self::InputWithdrawn => f.write_str("the input changed while a frame was being read"),
        }
    }
}

impl core::error::Error for InboundError {}

/// What one step of reading came to.
enum Step {
    /// All input is taken.
    Starved,
    /// There may be more to do.
    Again,
    /// There is something to hand out that borrows nothing.
    Event(InboundEvent<'static>),
    /// There are pending messages.
    Messages,
}

impl Inbound {
    /// A connection that was just accepted by a node that speaks `versions`.
    ///
    /// A dialler with which no version from 12 to 14 can be agreed on is incompatible, whatever `versions` says.
    pub const fn new(versions: VersionRange, limits: InboundLimits) -> Self {
        Self {
            versions,
            limits,
            state: State::Handshake,
            initiate: None,
            version: None,
            buffer: Vec::new(),
            frame: None,
            skip: 0,
            pending: Pending { source: Source::Input, at: 0, left: 0 },
            large: Large::None,
            pieces: Vec::new(),
            growths: 0,
        }
    }

    /// What the dialler opened the connection with, once it is known.
    pub const fn initiate(&self) -> Option<&Initiate> {
        self.initiate.as_ref()
    }

    /// The sender of the messages, once it is known: the endpoint that the dialler names, not the address that it dials from.
    pub fn peer(&self) -> Option<Endpoint> {
        self.initiate.map(|initiate| initiate.from)
    }

    /// The version the messages are in, once it is agreed on.
    pub const fn version(&self) -> Option<MessagingVersion> {
        self.version
    }

    /// How many bytes of an unfinished handshake, frame or large message are held.
    pub const fn buffered(&self) -> usize {
        self.buffer.len() + self.pieces.len()
    }

    /// Whether it holds some pieces of a message and not all. Whole messages may come between them.
    pub const fn has_pieces(&self) -> bool {
        matches!(self.large, Large::Partial { .. })
    }

    /// How many bytes of memory the connection's buffers take.
    pub const fn capacity(&self) -> usize {
        self.buffer.capacity() + self.pieces.capacity()
    }

    /// Gives back the memory of buffers in which nothing lies.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        if self.pieces.is_empty() {
            self.pieces = Vec::new();
        }
    }

    /// How often a buffer had to grow, the borrowed scratch memory included: nothing else of a connection allocates.
    pub const fn buffer_growths(&self) -> u64 {
        self.growths
    }

    /// Takes the next event out of `input`, and from the front of `input` what was needed for it.
    ///
    /// To be called until `None`: all of `input` is taken then, and what is incomplete is kept inside. Until then the
    /// next call must be given what the last one left, and the same `scratch`, which no other connection may have been
    /// given meanwhile.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        scratch: &'a mut Scratch,
    ) -> Option<InboundEvent<'a>> {
        loop {
            match self.step(input, scratch) {
                Step::Starved => return None,
                Step::Again => {}
                Step::Event(event) => return Some(event),
                Step::Messages => break,
            }
        }
        let State::Open { version, .. } = self.state else { return None };
        let Pending { source, at, left } = self.pending;
        let end = at.saturating_add(left);
        let messages = match source {
            Source::Input => input.get(..left),
            Source::Buffer => self.buffer.get(at..end),
            Source::Scratch => scratch.decompressed.get(at..end),
            Source::Pieces => self.pieces.get(at..end),
        };
        let (event, taken) = match messages {
            Some(messages) => take_message(messages, version, self.limits),
            None => (InboundEvent::Failed(InboundError::InputWithdrawn), 0),
        };
        if let InboundEvent::Failed(_) = event {
            self.state = State::Closed;
        }
        self.pending = Pending { source, at: at + taken, left: left - taken };
        if source == Source::Input {
            *input = input.get(taken..).unwrap_or_default();
        }
        Some(event)
    }

    fn step(&mut self, input: &mut &[u8], scratch: &mut Scratch) -> Step {
        if let State::Closed = self.state {
            *input = &[];
            self.buffer = Vec::new();
            self.pieces = Vec::new();
            return Step::Starved;
        }
        if self.pending.left > 0 {
            return Step::Messages;
        }
        self.release();
        if self.skip > 0 {
            let skipped = take_front(input, self.skip);
            self.skip -= skipped.len();
        }
        if input.is_empty() {
            return Step::Starved;
        }
        let step = match self.state {
            State::Handshake => self.read_handshake(input),
            State::Open { framing, version } => self.read_frame(framing, version, input, scratch),
            State::Closed => Ok(Step::Starved),
        };
        step.unwrap_or_else(|error| {
            self.state = State::Closed;
            Step::Event(InboundEvent::Failed(error))
        })
    }

    /// Empties the buffer that the last messages lay in.
    fn release(&mut self) {
        match self.pending.source {
            Source::Buffer => self.buffer.clear(),
            Source::Pieces => self.drop_pieces(),
            Source::Input | Source::Scratch => {}
        }
        self.pending.source = Source::Input;
    }

    fn drop_pieces(&mut self) {
        if self.pieces.capacity() > KEPT_CAPACITY {
            self.pieces = Vec::new();
        } else {
            self.pieces.clear();
        }
    }

    /// Puts bytes from the front of `input` into the buffer until it holds `len`. Whether it does.
    fn fill(&mut self, len: usize, input: &mut &[u8]) -> bool {
        let bytes = take_front(input, len.saturating_sub(self.buffer.len()));
        append(&mut self.buffer, bytes, len, &mut self.growths);
        self.buffer.len() >= len
    }

    fn read_handshake(&mut self, input: &mut &[u8]) -> Result<Step, InboundError> {
        let held = self.buffer.len();
        let whole = if held == 0 {
            *input
        } else {
            // What this takes too much is given back below.
            let mut rest = *input;
            self.fill(Initiate::MAX_SIZE, &mut rest);
            &self.buffer
        };
        let Some((initiate, used)) = Initiate::decode(whole).map_err(InboundError::Handshake)? else {
            if held == 0 {
                self.fill(Initiate::MAX_SIZE, input);
            }
            *input = &[];
            return Ok(Step::Starved);
        };
        *input = input.get(used.saturating_sub(held)..).unwrap_or_default();
        self.buffer.clear();
        self.initiate = Some(initiate);
        if initiate.kind == ConnectionKind::Streaming {
            return Err(InboundError::Streaming);
        }
        let negotiated = negotiate(initiate.versions(), self.versions);
        self.version = usable_version(negotiated.accept.version).filter(|_| negotiated.compatible);
        self.state = match self.version {
            Some(version) => State::Open { version, framing: initiate.framing },
            None => State::Closed,
        };
        Ok(Step::Event(InboundEvent::Initiated {
            initiate,
            accept: negotiated.accept.to_bytes(),
            incompatible: self.version.is_none(),
        }))
    }

    fn read_frame(
        &mut self,
        framing: Framing,
        version: MessagingVersion,
        input: &mut &[u8],
        scratch: &mut Scratch,
    ) -> Result<Step, InboundError> {
        let header_len = framing.header_len();
        let header = match self.frame {
            Some(header) => header,
            None => {
                let front = if self.buffer.is_empty() && input.len() >= header_len {
                    *input
                } else if self.fill(header_len, input) {
                    &self.buffer
                } else {
                    return Ok(Step::Starved);
                };
                let Some(header) = FrameHeader::decode(framing, front).map_err(InboundError::FrameHeader)?
                else {
                    return Ok(Step::Starved);
                };
                if header.kind == FrameKind::Piece && self.pass_over(framing, header)? {
                    return Ok(Step::Again);
                }
                header
            }
        };

        let size = header_len + header.len + framing.trailer_len();
        let source = if self.buffer.is_empty() && input.len() >= size {
            Source::Input
        } else if self.fill(size, input) {
            Source::Buffer
        } else {
            self.frame = Some(header);
            return Ok(Step::Starved);
        };
        self.frame = None;

        // The buffer is set aside so that reading from it does not borrow the connection.
        let buffer = mem::take(&mut self.buffer);
        let frame = if source == Source::Input { input.get(..size).unwrap_or_default() } else { &buffer };
        let step = self.read_payload(frame, header, source, framing, version, scratch);
        self.buffer = buffer;
        let is_pending_in_place = self.pending.left > 0 && self.pending.source == source;
        match source {
            Source::Input if is_pending_in_place => {
                take_front(input, header_len);
                self.skip = framing.trailer_len();
            }
            Source::Input => {
                take_front(input, size);
            }
            _ if is_pending_in_place => self.pending.at = header_len,
            _ => self.buffer.clear(),
        }
        step
    }

    /// Skips a piece of an unwanted message, its checksum included. Returns whether it was one.
    fn pass_over(&mut self, framing: Framing, header: FrameHeader) -> Result<bool, InboundError> {
        if header.payload_len() == 0 {
            return Err(InboundError::EmptyPiece);
        }
        self.large = match self.large {
            Large::Skipped { left } => Large::after(left, header.payload_len()),
            Large::Overrun => Large::Overrun,
            Large::None | Large::Partial { .. } => return Ok(false),
        };
        // The buffer holds the header, or nothing if the header is still in the input.
        self.skip = framing.header_len() + header.len + framing.trailer_len() - self.buffer.len();
        self.buffer.clear();
        Ok(true)
    }

    /// Checks the payload of a whole frame, decompresses it and makes its messages pending.
    fn read_payload(
        &mut self,
        frame: &[u8],
        header: FrameHeader,
        source: Source,
        framing: Framing,
        version: MessagingVersion,
        scratch: &mut Scratch,
    ) -> Result<Step, InboundError> {
        let payload = frame.get(framing.header_len()..).unwrap_or_default();
        let Some((payload, trailer)) = payload.split_at_checked(header.len) else { return Ok(Step::Again) };
        // An unprotected frame has no trailer.
        if let Some(trailer) = trailer.first_chunk() {
            let (expected, found) = (crc32(payload), u32::from_le_bytes(*trailer));
            if found != expected {
                return self.on_payload_crc(header, expected, found);
            }
        }
        let (payload, source) = match header.decompressed {
            None => (payload, source),
            Some(len) => (scratch.decompress(payload, len, &mut self.growths)?, Source::Scratch),
        };
        match header.kind {
            FrameKind::SelfContained => {
                self.pending = Pending { source, at: 0, left: payload.len() };
                Ok(Step::Again)
            }
            FrameKind::Piece => self.read_piece(payload, source, version),
        }
    }

    fn on_payload_crc(
        &mut self,
        header: FrameHeader,
        expected: u32,
        found: u32,
    ) -> Result<Step, InboundError> {
        match (header.kind, self.large) {
            (FrameKind::SelfContained, _) => Ok(Step::Event(InboundEvent::FrameDropped { len: header.len })),
            (FrameKind::Piece, Large::Partial { total }) => {
                self.large = Large::after(total - self.pieces.len(), header.payload_len());
                self.drop_pieces();
                Ok(Step::Event(InboundEvent::MessageDropped { reason: MessageLoss::Crc }))
            }
            // Without the length that stands in the first piece, the end of the message is unknown.
            (FrameKind::Piece, _) => Err(InboundError::FirstPieceCrc { expected, found }),
        }
    }

    fn read_piece(
        &mut self,
        piece: &[u8],
        source: Source,
        version: MessagingVersion,
    ) -> Result<Step, InboundError> {
        let total = match self.large {
            Large::None => {
                let mut reader = Reader::new(piece);
                let header = Header::decode(&mut reader, version).map_err(|error| match error {
                    DecodeError::Truncated { .. } => InboundError::PieceWithoutHeader,
                    error => InboundError::Header(error),
                })?;
                let size = piece.len() - reader.len() + header.payload_size;
                if !(self.limits.wanted)(header.verb) {
                    self.large = Large::after(size, piece.len());
                    let (verb, id) = (header.verb, header.id);
                    return Ok(Step::Event(InboundEvent::Skipped { verb, id, size }));
                }
                check_size(header.verb, size, self.limits)?;
                if piece.len() == size {
                    self.pending = Pending { source, at: 0, left: size };
                    return Ok(Step::Again);
                }
                size
            }
            Large::Partial { total } => total,
            // Such pieces are skipped unread.
            Large::Skipped { .. } | Large::Overrun => return Ok(Step::Again),
        };
        match total.cmp(&(self.pieces.len() + piece.len())) {
            Ordering::Less => {
                self.large = Large::Overrun;
                self.drop_pieces();
                Ok(Step::Event(InboundEvent::MessageDropped { reason: MessageLoss::Overrun }))
            }
            Ordering::Equal => {
                append(&mut self.pieces, piece, total, &mut self.growths);
                self.large = Large::None;
                self.pending = Pending { source: Source::Pieces, at: 0, left: total };
                Ok(Step::Again)
            }
            Ordering::Greater => {
                append(&mut self.pieces, piece, total, &mut self.growths);
                self.large = Large::Partial { total };
                Ok(Step::Again)
            }
        }
    }
}

impl Large {
    /// What is left to pass over when `piece` more of the last `left` bytes of a message came.
    const fn after(left: usize, piece: usize) -> Self {
        match left.checked_sub(piece) {
            Some(0) => Self::None,
            Some(left) => Self::Skipped { left },
            None => Self::Overrun,
        }
    }
}

impl Scratch {
    fn decompress(&mut self, block: &[u8], len: usize, growths: &mut u64) -> Result<&[u8], InboundError> {
        if self.decompressed.is_empty() {
            self.decompressed = vec![0; MAX_FRAME_PAYLOAD].into_boxed_slice();
            *growths += 1;
        }
        let out = self.decompressed.get_mut(..len).unwrap_or_default();
        match decompress_into(block, out) {
            Ok(decompressed) if decompressed == len => Ok(out),
            _ => Err(InboundError::Lz4 { announced: len }),
        }
    }
}

/// Takes the first of `messages`, which are not empty. Also says how many of their bytes are done with.
fn take_message(
    messages: &[u8],
    version: MessagingVersion,
    limits: InboundLimits,
) -> (InboundEvent<'_>, usize) {
    const TRUNCATED: InboundEvent<'static> = InboundEvent::MessageDropped { reason: MessageLoss::Truncated };
    let mut reader = Reader::new(messages);
    let header = match Header::decode(&mut reader, version) {
        Ok(header) => header,
        Err(DecodeError::Truncated { .. }) => return (TRUNCATED, messages.len()),
        Err(error) => return (InboundEvent::Failed(InboundError::Header(error)), 0),
    };
    let is_wanted = (limits.wanted)(header.verb);
    let size = messages.len() - reader.len() + header.payload_size;
    if is_wanted && let Err(error) = check_size(header.verb, size, limits) {
        return (InboundEvent::Failed(error), 0);
    }
    match reader.bytes(header.payload_size, "the body") {
        Ok(payload) if is_wanted => (InboundEvent::Message { header, payload }, size),
        Ok(_) => (InboundEvent::Skipped { verb: header.verb, id: header.id, size }, size),
        Err(_) => (TRUNCATED, messages.len()),
    }
}

fn check_size(verb: Verb, size: usize, limits: InboundLimits) -> Result<(), InboundError> {
    let limit = limits.max_message;
    if size > limit { Err(InboundError::MessageTooLarge { verb, size, limit }) } else { Ok(()) }
}

/// Takes `len` bytes from the front of `input`, or all of it.
fn take_front<'i>(input: &mut &'i [u8], len: usize) -> &'i [u8] {
    let (front, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    front
}

/// Puts `bytes` at the end of `buffer`, which is to hold `limit` bytes in the end.
///
/// It grows by doubling what did arrive; the limit, which may be a peer's word, can only make that less.
fn append(buffer: &mut Vec<u8>, bytes: &[u8], limit: usize, growths: &mut u64) {
    const FIRST_CAPACITY: usize = 64;
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let doubled = buffer.capacity().saturating_mul(2).max(FIRST_CAPACITY).min(limit);
        buffer.reserve_exact(doubled.max(needed) - buffer.len());
        *growths += 1;
    }
    buffer.extend_from_slice(bytes);
}
