//! Frames, and the messages in them (`docs/protocol/framing.md`, `docs/protocol/message-header.md` and `docs/protocol/framing.md#errors-in-frames`).

use gossip_core::internode::{FrameHeader, FrameHeaderError, FrameKind, Framing, Header};
use gossip_core::message::{Codec, Message};
use gossip_core::wire::{Reader, crc32};
use gossip_core::{Endpoint, MessagingVersion, Verb};
use lz4_flex::block::decompress_into;

use super::input::Input;
use crate::body::is_decoded;
use crate::env::{End, Env, Step, Who};
use crate::fault::{Fault, bytes_of, end_after};
use crate::message::{Head, Spot};
use crate::record::{Frame, Place, Record};
use crate::tokens::hex;
use crate::version::Version;

/// The frames of a connection, from its handshake or from wherever they were found on.
pub(super) struct Frames {
    framing: Framing,
    version: Version,
    large: Large,
    /// Whether what comes next may be in the middle of a message in pieces.
    is_resumed: bool,
}

/// How far a message is that comes in pieces.
enum Large {
    /// There is none.
    None,
    /// There is the front of one.
    Partial(Partial),
    /// The `left` bytes that are still to come are skipped: the message was reported, or a piece of it is lost.
    Skipped { left: usize, is_lost: bool },
    /// There is one, and where it ends is not known.
    Endless,
}

struct Partial {
    spot: Spot,
    total: usize,
    pieces: Vec<u8>,
}

impl Frames {
    pub(super) const fn new(framing: Framing, version: Version) -> Self {
        Self { framing, version, large: Large::None, is_resumed: false }
    }

    /// Frames that go on where something is missing before.
    pub(super) fn resumed(framing: Framing, version: Version) -> Self {
        Self { is_resumed: true, ..Self::new(framing, version) }
    }

    pub(super) const fn framing(&self) -> Framing {
        self.framing
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    pub(super) const fn held(&self) -> usize {
        match &self.large {
            Large::Partial(partial) => partial.pieces.capacity(),
            _ => 0,
        }
    }

    /// Takes one frame.
    pub(super) fn step(&mut self, input: &mut Input, who: &Who, env: &mut Env<'_>) -> Step {
        let framing = self.framing;
        let header = match FrameHeader::decode(framing, input.rest()) {
            Ok(Some(header)) => header,
            Ok(None) => return Step::Wait,
            Err(FrameHeaderError { expected, found }) => {
                let place = who.place(End::Dialler, input.offset(), input.seen_all(framing.header_len()));
                // As they stand in the header, of which the checksum is the end.
                let [expected, found] = [expected, found].map(|sum| hex(&sum.to_le_bytes()[..3]));
                env.damage(place, format!("a frame header with the checksum {expected}"), found);
                return Step::Lost;
            }
        };
        let size = framing.header_len() + header.len + framing.trailer_len();
        let Some(frame) = input.rest().get(..size) else { return Step::Wait };

        let place = who.place(End::Dialler, input.offset(), input.seen_all(size));
        let (payload, trailer) = frame.split_at(framing.header_len()).1.split_at(header.len);
        let sums = trailer.first_chunk().map(|trailer| (crc32(payload), u32::from_le_bytes(*trailer)));
        env.tell(Record::Frame(Frame {
            place,
            framing: framing_name(framing),
            kind: match header.kind {
                FrameKind::SelfContained => "self_contained",
                FrameKind::Piece => "piece",
            },
            length: header.len,
            uncompressed_length: header.decompressed,
            checksum: match sums {
                None => "none",
                Some((expected, found)) if expected == found => "ok",
                Some(_) => "wrong",
            },
        }));
        let start = Place { offset: place.offset + framing.header_len() as u64, ..place };
        match sums {
            Some((expected, found)) if expected != found => {
                let place = Place { offset: start.offset + header.len as u64, ..place };
                let [expected, found] = [expected, found].map(|sum| hex(&sum.to_le_bytes()));
                env.damage(place, format!("the payload's checksum {expected}"), found);
                self.lose(header, env);
            }
            _ => self.payload(header, payload, start, who, env),
        }
        input.consume(size);
        Step::Again
    }

    /// Ends reading of a connection that ends after `rest`: what should have come, after how many bytes it ends, and
    /// how many bytes are lost.
    pub(super) fn unfinished(&self, rest: &[u8]) -> Option<(String, usize, usize)> {
        let held = match &self.large {
            Large::Partial(partial) => partial.pieces.len(),
            _ => 0,
        };
        if !rest.is_empty() {
            let what = match FrameHeader::decode(self.framing, rest) {
                Ok(Some(header)) => {
                    let size = self.framing.header_len() + header.len + self.framing.trailer_len();
                    format!("a frame of {size} bytes")
                }
                _ => "a frame header".to_owned(),
            };
            return Some((what, rest.len(), rest.len() + held));
        }
        match &self.large {
            Large::None | Large::Endless => None,
            Large::Partial(partial) => {
                Some((format!("a message of {} bytes in pieces", partial.total), held, held))
            }
            Large::Skipped { left, .. } => {
                Some((format!("{} more of a message in pieces", bytes_of(*left as u64)), 0, 0))
            }
        }
    }

    /// Forgets the message that is there in part.
    pub(super) fn give_up(&mut self, env: &mut Env<'_>) {
        if let Large::Partial(partial) = &self.large {
            env.lose(partial.pieces.len());
        }
        self.large = Large::None;
    }

    /// Counts a frame as lost whose payload is damaged, and finds out what that means for a message in pieces.
    fn lose(&mut self, header: FrameHeader, env: &mut Env<'_>) {
        env.lose(header.len);
        if header.kind == FrameKind::SelfContained {
            return;
        }
        let length = header.payload_len();
        self.large = match &self.large {
            Large::Partial(partial) => {
                env.lose(partial.pieces.len());
                Large::after(partial.total - partial.pieces.len(), length, true)
            }
            Large::Skipped { left, is_lost } => Large::after(*left, length, *is_lost),
            // Without the length that stands in the first piece, the end of the message is unknown.
            Large::None | Large::Endless => Large::Endless,
        };
    }

    fn payload(&mut self, header: FrameHeader, payload: &[u8], start: Place, who: &Who, env: &mut Env<'_>) {
        let Some(length) = header.decompressed else {
            self.contents(header.kind, payload, start, who, env);
            return;
        };
        let mut scratch = core::mem::take(env.scratch);
        scratch.resize(length, 0);
        match decompress_into(payload, &mut scratch) {
            Ok(decompressed) if decompressed == length => {
                let start = Place { uncompressed_offset: Some(0), ..start };
                self.contents(header.kind, &scratch, start, who, env);
            }
            outcome => {
                let found = match outcome {
                    Ok(bytes) => format!("one of {bytes} bytes"),
                    Err(error) => error.to_string(),
                };
                env.damage(start, format!("an LZ4 block that decompresses to {length} bytes"), found);
                self.lose(header, env);
            }
        }
        *env.scratch = scratch;
    }

    fn contents(&mut self, kind: FrameKind, bytes: &[u8], start: Place, who: &Who, env: &mut Env<'_>) {
        match kind {
            FrameKind::SelfContained => {
                self.settle(bytes, start, env);
                // Where the last message in pieces ended cannot matter to what begins after this.
                if let Large::Endless = self.large {
                    self.large = Large::None;
                    self.is_resumed = true;
                }
                messages(bytes, self.version, start, who, env);
            }
            FrameKind::Piece => self.piece(bytes, start, who, env),
        }
    }

    /// Finds the version that fits `bytes`, which are complete messages, if it was not given.
    fn settle(&mut self, bytes: &[u8], start: Place, env: &mut Env<'_>) {
        if !self.version.is_assumed {
            return;
        }
        let number = self.version.number;
        if let Some(better) = candidates(number).find(|candidate| splits(bytes, *candidate))
            && better != number
        {
            self.version = Version::assumed(better);
            let better = better.number();
            env.note(start, format!("version {better} is assumed from here on, which fits what is there"));
        }
    }

    fn piece(&mut self, piece: &[u8], start: Place, who: &Who, env: &mut Env<'_>) {
        if piece.is_empty() {
            env.damage(start, "a piece of a message", "an empty one");
            return;
        }
        self.large = match core::mem::replace(&mut self.large, Large::None) {
            Large::None => self.first_piece(piece, start, who, env),
            Large::Partial(mut partial) => {
                partial.pieces.extend_from_slice(piece);
                partial.spot.place.unix_us = start.unix_us;
                partial.spot.place.packet = start.packet;
                self.whole_or_partial(partial, start, who, env)
            }
            Large::Skipped { left, is_lost } => {
                if is_lost {
                    env.lose(piece.len());
                }
                let large = Large::after(left, piece.len(), is_lost);
                if let Large::Endless = large {
                    overrun(left, piece.len(), start, env);
                }
                large
            }
            Large::Endless => {
                env.lose(piece.len());
                Large::Endless
            }
        };
    }

    fn first_piece(&mut self, piece: &[u8], start: Place, who: &Who, env: &mut Env<'_>) -> Large {
        if self.version.is_assumed
            && let Some(better) =
                candidates(self.version.number).find(|version| begins_a_message(piece, *version))
        {
            self.version = Version::assumed(better);
        }
        let mut reader = Reader::new(piece);
        let header = match Header::decode(&mut reader, self.version.number) {
            _ if self.is_resumed && !begins_a_message(piece, self.version.number) => {
                env.lose(piece.len());
                return Large::None;
            }
            Ok(header) => header,
            Err(error) => {
                let Fault { at, expected, found } = Fault::new(error, piece, &reader);
                env.lose(piece.len());
                let spot = Spot { place: start, is_contiguous: true };
                env.damage(spot.at(at), format!("{expected}, in the first piece of a message"), found);
                return Large::Endless;
            }
        };
        self.is_resumed = false;
        let total = piece.len() - reader.len() + header.payload_size;
        let spot = Spot { place: start, is_contiguous: false };
        let limit = env.options.max_message;
        if is_decoded(header.verb) && total <= limit {
            let partial = Partial { spot, total, pieces: piece.to_vec() };
            return self.whole_or_partial(partial, start, who, env);
        }
        if is_decoded(header.verb) {
            env.note(
                start,
                format!("{} of {total} bytes, and {limit} are the most that are kept", header.verb),
            );
            env.lose(header.payload_size);
        }
        head(&header, total, self.version, who).tell(None, spot, env);
        let large = Large::after(total, piece.len(), false);
        if let Large::Endless = large {
            overrun(total, piece.len(), start, env);
        }
        large
    }

    fn whole_or_partial(&mut self, partial: Partial, last: Place, who: &Who, env: &mut Env<'_>) -> Large {
        let Partial { spot, total, pieces } = &partial;
        if pieces.len() < *total {
            return Large::Partial(partial);
        }
        if pieces.len() > *total {
            env.lose(pieces.len());
            overrun(*total, pieces.len(), last, env);
            return Large::Endless;
        }
        let mut reader = Reader::new(pieces);
        if let Ok(header) = Header::decode(&mut reader, self.version.number) {
            head(&header, *total, self.version, who).tell(Some(reader.rest()), *spot, env);
        }
        Large::None
    }
}

impl Large {
    /// What is left to pass over when `piece` more of the last `left` bytes of a message came.
    const fn after(left: usize, piece: usize, is_lost: bool) -> Self {
        match left.checked_sub(piece) {
            Some(0) => Self::None,
            Some(left) => Self::Skipped { left, is_lost },
            None => Self::Endless,
        }
    }
}

fn overrun(announced: usize, there: usize, place: Place, env: &mut Env<'_>) {
    let expected = format!("pieces of {announced} bytes in all, as the message announces");
    env.damage(place, expected, format!("{there} bytes"));
}

/// Takes whole messages until `bytes` end.
pub(crate) fn messages(bytes: &[u8], version: Version, start: Place, who: &Who, env: &mut Env<'_>) {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let message = reader;
        let at = bytes.len() - message.len();
        let spot = Spot { place: Spot { place: start, is_contiguous: true }.at(at), is_contiguous: true };
        let header = match Header::decode(&mut reader, version.number) {
            Ok(header) => header,
            Err(error) => {
                let Fault { at, expected, found } = Fault::new(error, message.rest(), &reader);
                env.damage(spot.at(at), format!("{expected}, in the header of a message"), found);
                env.lose(message.len());
                return;
            }
        };
        let body_at = message.len() - reader.len();
        match reader.bytes(header.payload_size, "the body") {
            Ok(body) => {
                head(&header, message.len() - reader.len(), version, who).tell(Some(body), spot, env);
            }
            Err(_) => {
                let (verb, size) = (header.verb, header.payload_size);
                let expected = format!("the body of {verb} id {}, {size} bytes", header.id.cast_signed());
                env.damage(spot.at(body_at), expected, end_after(reader.len()));
                env.lose(message.len());
                return;
            }
        }
    }
}

fn head(header: &Header<'_>, size: usize, version: Version, who: &Who) -> Head {
    let sender = who.identity.or(who.ends.map(|(source, _)| Endpoint::from(source)));
    Head { kind: who.kind, sender, ..Head::of(header, size, version) }
}

/// The versions that frames can be in, the likeliest first. 13 differs from 12 in one body alone.
fn candidates(first: MessagingVersion) -> impl Iterator<Item = MessagingVersion> {
    let others = [MessagingVersion::V12, MessagingVersion::V13, MessagingVersion::V14];
    core::iter::once(first).chain(others.into_iter().filter(move |version| *version != first))
}

/// Whether `bytes` are whole messages of `version`, of kinds that there are, with bodies that are right.
pub(crate) fn splits(bytes: &[u8], version: MessagingVersion) -> bool {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let Ok(header) = Header::decode(&mut reader, version) else { return false };
        let Ok(body) = reader.bytes(header.payload_size, "the body") else { return false };
        let is_body =
            |verb: Verb| Message::decode(verb, body, Codec::new(version)).is_none_or(|it| it.is_ok());
        if !is_known(header.verb) || !is_body(header.verb) {
            return false;
        }
    }
    true
}

/// Whether `piece` looks like the beginning of a message of `version`: what is in the middle of one seldom does.
fn begins_a_message(piece: &[u8], version: MessagingVersion) -> bool {
    const MAX_EXPIRY_MS: i64 = 24 * 60 * 60 * 1_000;
    const MAX_PARAMS: u64 = 16;
    const MAX_FLAGS: u64 = 0xff;
    let mut reader = Reader::new(piece);
    let Ok(header) = Header::decode(&mut reader, version) else { return false };
    is_known(header.verb)
        && (-MAX_EXPIRY_MS..=MAX_EXPIRY_MS).contains(&header.expires_in)
        && header.flags <= MAX_FLAGS
        && header.params.len() <= MAX_PARAMS
        && header.payload_size >= reader.len()
}

pub(crate) const fn is_known(verb: Verb) -> bool {
    verb.name().is_some() || verb.group().is_some()
}

/// The printed names of framings.
pub(crate) const fn framing_name(framing: Framing) -> &'static str {
    match framing {
        Framing::Unprotected => "unprotected",
        Framing::Lz4 => "lz4",
        Framing::Crc => "crc",
    }
}
