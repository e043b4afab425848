//! Finding on, where the start of a connection or a part of it is not there or is damaged.

use gossip_core::MessagingVersion;
use gossip_core::internode::{FrameHeader, FrameKind, Framing};
use gossip_core::wire::{Reader, crc32};

use super::answer::{Answer, Greeting};
use super::frames::{Frames, framing_name, is_known, splits};
use super::input::Input;
use super::legacy::Legacy;
use crate::env::{End, Env, Who};
use crate::fault::bytes_of;
use crate::legacy::{BLOCK_HEADER, BlockHeader, LegacyHeader, MAGIC, Unread};
use crate::options::Options;
use crate::record::Place;
use crate::version::Version;

/// How many bytes may be checked beyond those that are looked through, for each of those: what looks like a header at
/// every place must not cost a checksum of a whole frame at every place.
const CHECKED_PER_BYTE: u64 = 64;
/// After how many bytes without a frame none is looked for any more: whatever it is, it is no messages.
const MAX_PASSED: u64 = 4 << 20;
/// How many bytes may be checked in any case.
const CHECKED_AT_LEAST: u64 = 1 << 20;

/// Why something is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    /// The capture begins inside the connection.
    Middle,
    /// Bytes are missing in the capture.
    Gap,
    /// Bytes are damaged.
    Damage,
}

/// The search for whatever can be recognised next.
pub(super) struct Seek {
    why: Why,
    framings: &'static [Framing],
    /// Whether messages of before 4.0 may be found.
    may_be_legacy: bool,
    /// What is known from before.
    version: Option<Version>,
    passed: u64,
    /// How many bytes may still be checked.
    budget: u64,
    /// Up to which offset the bytes were counted for the budget.
    counted: u64,
}

/// What the dialler's next bytes are.
pub(super) enum Next {
    Frames(Frames),
    Legacy(Legacy),
    /// Nothing that could be decoded.
    Lost,
}

/// What stands at some place.
enum Found {
    Nothing,
    /// Something may, and the rest of it is not there.
    Incomplete,
    Frames(Framing),
    Legacy {
        is_compressed: bool,
    },
}

impl Seek {
    /// For a connection of which nothing is known.
    pub(super) fn anything(why: Why, options: &Options) -> Self {
        let framings = options.framing.map_or(&ALL[..], only);
        let version = options.version.map(Version::known);
        Self::new(why, framings, options.framing.is_none(), version)
    }

    /// For frames that were read before.
    pub(super) fn for_frames(why: Why, frames: &Frames) -> Self {
        Self::new(why, only(frames.framing()), false, Some(frames.version()))
    }

    /// For a connection whose handshake is known in part.
    pub(super) fn in_opening(
        why: Why,
        greeting: Option<Greeting>,
        answer: &Answer,
        options: &Options,
    ) -> Self {
        let version = options.version.or(answer.version()).map(Version::known);
        match greeting {
            None => Self::anything(why, options),
            Some(Greeting::Modern(initiate)) => Self::new(why, only(initiate.framing), false, version),
            Some(Greeting::Legacy { request, .. }) => {
                let number = if request <= 10 { MessagingVersion::V10 } else { MessagingVersion::V11 };
                Self::new(why, &[], true, Some(Version::known(number)))
            }
        }
    }

    const fn new(
        why: Why,
        framings: &'static [Framing],
        may_be_legacy: bool,
        version: Option<Version>,
    ) -> Self {
        Self { why, framings, may_be_legacy, version, passed: 0, budget: CHECKED_AT_LEAST, counted: 0 }
    }

    /// Looks through the input; what comes next if something was found.
    pub(super) fn step(
        &mut self,
        input: &mut Input,
        who: &Who,
        has_ended: bool,
        env: &mut Env<'_>,
    ) -> Option<Next> {
        let end = input.offset() + input.len() as u64;
        self.budget += end.saturating_sub(self.counted.max(input.offset())) * CHECKED_PER_BYTE;
        self.counted = self.counted.max(end);

        let rest = input.rest();
        let port = who.target().map_or(env.options.storage_port(), |target| target.port());
        let mut at = 0;
        let found = loop {
            let Some(bytes) = rest.get(at..).filter(|bytes| !bytes.is_empty()) else { break Found::Nothing };
            match self.look_at(bytes, port) {
                Found::Nothing => at += 1,
                Found::Incomplete if has_ended => at += 1,
                found => break found,
            }
        };
        let seen = input.seen_all(at + 1);
        input.consume(at);
        self.passed += at as u64;
        env.lose(at);
        let place = who.place(End::Dialler, input.offset(), seen);
        let phase = match found {
            Found::Nothing | Found::Incomplete if self.passed > MAX_PASSED => {
                self.give_up(0, place, env);
                Next::Lost
            }
            Found::Nothing | Found::Incomplete => return None,
            Found::Frames(framing) => {
                let version = self.version.unwrap_or_else(|| {
                    let agreed = who.target().and_then(|target| env.learned.version(target));
                    Version::assumed(agreed.unwrap_or(MessagingVersion::V12))
                });
                self.tell(framing_name(framing), version, place, env);
                Next::Frames(Frames::resumed(framing, version))
            }
            Found::Legacy { is_compressed } => {
                let before_4 = |version: &Version| version.number < MessagingVersion::V12;
                let version = self.version.filter(before_4);
                let version = version.unwrap_or(Version::assumed(MessagingVersion::V11));
                let what = if is_compressed { "lz4_block" } else { "none" };
                self.tell(what, version, place, env);
                Next::Legacy(Legacy::resumed(version, port, is_compressed))
            }
        };
        Some(phase)
    }

    /// Tells that nothing was found up to the end.
    pub(super) fn give_up(&mut self, left: usize, place: Place, env: &mut Env<'_>) {
        let passed = self.passed + left as u64;
        if passed > 0 {
            let why = match self.why {
                Why::Middle => " (the capture begins inside the connection: it may be for streaming, or TLS)",
                Why::Gap | Why::Damage => "",
            };
            env.note(place, format!("no frame is in the {} before{why}", bytes_of(passed)));
        }
    }

    fn tell(&self, framing: &str, version: Version, place: Place, env: &mut Env<'_>) {
        let passed = bytes_of(self.passed);
        let text = match self.why {
            Why::Middle => {
                let number = version.number.number();
                let how =
                    if version.is_assumed { "assumed (--version names another)" } else { "as was said" };
                format!(
                    "the capture begins inside this connection; skipped {passed} before its first frame; \
                     framing {framing}; version {number}, {how}"
                )
            }
            Why::Gap | Why::Damage => {
                format!("decoding resumes here; skipped {passed}")
            }
        };
        env.note(place, text);
    }

    /// What `bytes` begin with.
    fn look_at(&mut self, bytes: &[u8], port: u16) -> Found {
        let mut is_incomplete = false;
        if self.may_be_legacy {
            match legacy(bytes, port) {
                Found::Nothing => {}
                Found::Incomplete => is_incomplete = true,
                found => return found,
            }
        }
        for framing in self.framings {
            match self.frame(*framing, bytes) {
                Found::Nothing => {}
                Found::Incomplete => is_incomplete = true,
                found => return found,
            }
        }
        if is_incomplete { Found::Incomplete } else { Found::Nothing }
    }

    fn frame(&mut self, framing: Framing, bytes: &[u8]) -> Found {
        let header = match FrameHeader::decode(framing, bytes) {
            Ok(None) => return Found::Incomplete,
            Ok(Some(header)) if is_plausible(framing, header, bytes) => header,
            Ok(Some(_)) | Err(_) => return Found::Nothing,
        };
        let Some(after) = bytes.get(framing.header_len()..) else { return Found::Incomplete };
        let (Some(payload), Some(trailer)) =
            (after.get(..header.len), after.get(header.len..header.len + framing.trailer_len()))
        else {
            return Found::Incomplete;
        };
        let Some(budget) = self.budget.checked_sub(header.len as u64) else { return Found::Nothing };
        self.budget = budget;
        let is_right = match trailer.first_chunk() {
            Some(trailer) => crc32(payload) == u32::from_le_bytes(*trailer),
            // Without a checksum only what it says can tell.
            None => {
                let versions = [MessagingVersion::V12, MessagingVersion::V13, MessagingVersion::V14];
                header.kind == FrameKind::SelfContained
                    && versions.into_iter().any(|version| splits(payload, version))
            }
        };
        if is_right { Found::Frames(framing) } else { Found::Nothing }
    }
}

/// In this order: what an unprotected frame looks like, one with a checksum does too.
const ALL: [Framing; 3] = [Framing::Crc, Framing::Lz4, Framing::Unprotected];

const fn only(framing: Framing) -> &'static [Framing] {
    match framing {
        Framing::Crc => &[Framing::Crc],
        Framing::Lz4 => &[Framing::Lz4],
        Framing::Unprotected => &[Framing::Unprotected],
    }
}

/// The framing with which `bytes` begin a frame; `None` if with none.
pub(crate) fn framing_of(bytes: &[u8]) -> Option<Framing> {
    ALL.into_iter().find(|framing| {
        matches!(FrameHeader::decode(*framing, bytes), Ok(Some(header)) if is_plausible(*framing, header, bytes))
    })
}

/// Whether a header whose checksum is right is one that a node would write.
fn is_plausible(framing: Framing, header: FrameHeader, bytes: &[u8]) -> bool {
    let spare_bits = match framing {
        Framing::Crc | Framing::Unprotected => bytes.get(2).map_or(0, |byte| byte & 0xfc),
        Framing::Lz4 => bytes.get(4).map_or(0, |byte| byte & 0xf8),
    };
    spare_bits == 0 && header.len > 0 && header.decompressed.is_none_or(|length| length > header.len)
}

/// What of before 4.0 `bytes` begin with.
fn legacy(bytes: &[u8], port: u16) -> Found {
    let is_front_of = |magic: &[u8]| bytes.starts_with(magic) || magic.starts_with(bytes);
    if is_front_of(&MAGIC) {
        return match LegacyHeader::decode(&mut Reader::new(bytes), port) {
            Ok(header) if is_known(header.verb) => Found::Legacy { is_compressed: false },
            Err(Unread::Truncated) => Found::Incomplete,
            Ok(_) | Err(Unread::Wrong(_)) => Found::Nothing,
        };
    }
    match BlockHeader::decode(bytes) {
        Ok(header) => match header.contents(bytes.get(BLOCK_HEADER..).unwrap_or_default()) {
            Ok(_) => Found::Legacy { is_compressed: true },
            Err(Unread::Truncated) => Found::Incomplete,
            Err(Unread::Wrong(_)) => Found::Nothing,
        },
        Err(Unread::Truncated) => Found::Incomplete,
        Err(Unread::Wrong(_)) => Found::Nothing,
    }
}
