//! How a connection is opened (`docs/protocol/handshake.md`, `docs/protocol/before-4-0.md` and `docs/protocol/before-4-0.md#mixed-clusters`).

use gossip_core::MessagingVersion;
use gossip_core::internode::{Accept, ConnectionKind, HandshakeError, Initiate};
use gossip_core::wire::{AddressForm, DecodeError, Reader};

use super::answer::{Answer, Greeting};
use super::frames::{Frames, framing_name};
use super::legacy::Legacy;
use super::seek::{Seek, Why};
use super::tls::{Refusal, Session, alert_text};
use super::{Connection, MAX_WAIT_US, MAX_WAITING, Phase, STREAMING, TLS};
use crate::env::{End, Env, Step};
use crate::fault::Fault;
use crate::legacy::{LegacyHeader, MAGIC};
use crate::message::kind_name;
use crate::record::{self, Handshake, Record};
use crate::tokens::hex;
use crate::version::Version;

/// The flags of a handshake of before 4.0 that say something.
const LEGACY_COMPRESSED: u8 = 1 << 2;
const LEGACY_STREAMING: u8 = 1 << 3;
/// The versions that are asked for by handshakes of before 4.0. 8 and 9 are those of Cassandra 2.
const LEGACY_REQUESTS: core::ops::RangeInclusive<u8> = 8..=12;
/// The versions that an answer of before 4.0, or to a node of before 4.0, says in four bytes.
const OLD_VERSIONS: core::ops::RangeInclusive<u32> = 10..=14;
/// The greatest number that is believed to be a version.
const MAX_VERSION: u32 = 255;

impl Connection {
    /// Takes one step of the dialler's part of the handshake.
    pub(super) fn open(&mut self, env: &mut Env<'_>) -> Step {
        if self.dialler.input.is_empty() {
            return Step::Wait;
        }
        match self.opening.greeting() {
            None => self.read_greeting(env),
            Some(Greeting::Modern(initiate)) => self.await_answer(&initiate, env),
            Some(Greeting::Legacy { request, is_compressed, .. }) => {
                self.read_identity(request, is_compressed, env)
            }
        }
    }

    fn read_greeting(&mut self, env: &mut Env<'_>) -> Step {
        let input = &mut self.dialler.input;
        let rest = input.rest();
        if is_tls(rest, self.dialler.from_start) {
            self.tls = Some(Box::new(Session::new(self.dialler.from_start, self.acceptor.from_start)));
            self.phase = Phase::Passing(TLS);
            // An answer that came before could not be read without the question.
            self.work_answer(env);
            return Step::Again;
        }
        if may_become_tls(rest) && !self.dialler.has_ended {
            return Step::Wait;
        }
        let (front, _) = rest.split_at(rest.len().min(MAGIC.len()));
        if !MAGIC.starts_with(front) {
            if !self.dialler.from_start {
                self.phase = Phase::Seeking(Seek::anything(Why::Middle, env.options));
                return Step::Again;
            }
            let place = self.who.place(End::Dialler, input.offset(), input.seen_all(front.len()));
            let shown = front.iter().map(|byte| char::from(*byte).escape_default().to_string());
            let found = format!("{} (\"{}\")", hex(front), shown.collect::<String>());
            env.damage(place, "a handshake, which begins with ca552dfa, or TLS", found);
            self.phase = Phase::Lost;
            return Step::Again;
        }
        let place =
            |at: usize| self.who.place(End::Dialler, input.offset() + at as u64, input.seen_all(at + 1));
        let (greeting, size) = match Initiate::decode(rest) {
            Ok(None) => return Step::Wait,
            Ok(Some((initiate, size))) => (Greeting::Modern(initiate), size),
            Err(HandshakeError::Legacy { .. }) => {
                let [_, _, _, _, max, min, request, flags, ..] = *rest else { return Step::Wait };
                let is_message = LegacyHeader::decode(&mut Reader::new(rest), 0).is_ok();
                if is_message && !self.dialler.from_start {
                    self.phase = Phase::Seeking(Seek::anything(Why::Middle, env.options));
                    return Step::Again;
                }
                if !LEGACY_REQUESTS.contains(&request) {
                    env.damage(place(6), "a version that is asked for, 10 to 14", request.to_string());
                    env.lose(8);
                    input.consume(8);
                    return Step::Lost;
                }
                let is_compressed = flags & LEGACY_COMPRESSED != 0;
                let is_streaming = flags & LEGACY_STREAMING != 0;
                (Greeting::Legacy { request, min, max, is_compressed, is_streaming }, 8)
            }
            Err(error) => {
                // Where the address ends is known but for the case that it is the address that is wrong.
                let (at, size, expected, found) = match error {
                    HandshakeError::Crc { expected, found } => {
                        let size = if rest.get(8) == Some(&18) { 31 } else { 19 };
                        let sum = format!("the handshake's checksum {expected:08x}");
                        (size - 4, size, sum, format!("{found:08x}"))
                    }
                    HandshakeError::Framing { id } => {
                        let size = if rest.get(8) == Some(&18) { 31 } else { 19 };
                        (7, size, "framing 0, 1 or 2".to_owned(), id.to_string())
                    }
                    HandshakeError::AddressLength { length } => {
                        (8, 9, "an address of 6 or 18 bytes".to_owned(), format!("length {length}"))
                    }
                    error => (0, 4, "a handshake".to_owned(), error.to_string()),
                };
                env.damage(place(at), expected, found);
                env.lose(size);
                input.consume(size);
                return Step::Lost;
            }
        };
        let seen = input.seen_all(size);
        input.consume(size);
        self.opening.greeting = Some((greeting, seen));
        match greeting {
            Greeting::Modern(initiate) => {
                self.who.identity = Some(initiate.from);
                self.who.kind = Some(initiate.kind);
                // An answer that came before could not be read without the question.
                self.work_answer(env);
            }
            Greeting::Legacy { is_streaming, .. } => {
                self.work_answer(env);
                if is_streaming {
                    self.who.kind = Some(ConnectionKind::Streaming);
                    self.tell_handshake(env);
                    self.phase = Phase::Passing(STREAMING);
                }
            }
        }
        Step::Again
    }

    /// The dialler's first bytes are there after its greeting, which it sends when it has the answer.
    fn await_answer(&mut self, initiate: &Initiate, env: &mut Env<'_>) -> Step {
        let input = &self.dialler.input;
        let next = self.who.place(End::Dialler, input.offset(), self.dialler.last);
        if self.answer.is_awaited() {
            let now = self.dialler.last.unix_us.unwrap_or_default();
            let since = *self.opening.waiting_since.get_or_insert(now);
            let is_late = now.saturating_sub(since) > MAX_WAIT_US || input.len() > MAX_WAITING;
            if !is_late && !self.dialler.has_ended {
                return Step::Wait;
            }
            self.answer = Answer::Absent;
        }
        // A hand-written session may have the answer between the bytes of the dialler.
        if let (None, Ok(Some((accept, size)))) = (self.who.ends, Accept::decode(self.dialler.input.rest()))
            && matches!(self.answer, Answer::Absent)
        {
            self.answer = Answer::Modern(accept);
            self.dialler.input.consume(size);
            return Step::Again;
        }
        self.tell_handshake(env);
        if initiate.kind == ConnectionKind::Streaming {
            self.phase = Phase::Passing(STREAMING);
            return Step::Again;
        }
        let version = match self.answer {
            Answer::Legacy(version) => {
                let found = format!("{} bytes", self.dialler.input.len());
                let expected =
                    format!("no more bytes after the answer {version}, which refuses this handshake");
                env.damage(next, expected, found);
                self.phase = Phase::Lost;
                return Step::Again;
            }
            Answer::Modern(accept) => {
                if !initiate.versions().contains(accept.version) {
                    let text = format!(
                        "the dialler takes {} to {} and not {}, so that both ends close",
                        initiate.min, initiate.max, accept.version
                    );
                    env.note(next, text);
                }
                match MessagingVersion::from_number(accept.version).filter(|it| *it >= MessagingVersion::V12)
                {
                    Some(version) => Version::known(version),
                    None => {
                        let text = format!("version {} is not known; 14 is assumed", accept.version);
                        env.note(next, text);
                        Version::assumed(MessagingVersion::V14)
                    }
                }
            }
            Answer::Awaited | Answer::Absent => self.guess_version(initiate, env),
        };
        if version.is_assumed && matches!(self.answer, Answer::Absent) {
            let text = format!(
                "the acceptor's answer is not here; version {} is assumed (--version names another)",
                version.number.number()
            );
            env.note(next, text);
        }
        if let (Some(target), false) = (self.who.target(), version.is_assumed) {
            env.learned.set_version(target, version.number);
        }
        self.phase = Phase::Frames(Frames::new(initiate.framing, version));
        Step::Again
    }

    /// The version of frames whose handshake was not answered as far as is known.
    fn guess_version(&self, initiate: &Initiate, env: &Env<'_>) -> Version {
        let offered = initiate.versions();
        let is_offered = |version: &MessagingVersion| offered.contains(version.number());
        if let Some(version) = env.options.version.filter(|version| *version >= MessagingVersion::V12) {
            return Version::known(version);
        }
        // No acceptor that takes such a handshake answers less than 12.
        if initiate.max == 12 {
            return Version::known(MessagingVersion::V12);
        }
        let agreed = self.who.target().and_then(|target| env.learned.version(target)).filter(is_offered);
        let newest = MessagingVersion::ALL.into_iter().rev().find(is_offered);
        Version::assumed(agreed.or(newest).unwrap_or(MessagingVersion::V12))
    }

    /// The third message of a handshake of before 4.0.
    fn read_identity(&mut self, request: u8, is_compressed: bool, env: &mut Env<'_>) -> Step {
        let storage_port = self.who.target().map_or(env.options.storage_port(), |target| target.port());
        let input = &mut self.dialler.input;
        let mut reader = Reader::new(input.rest());
        let identity = reader
            .u32("the dialler's version")
            .and_then(|version| Ok((version, reader.endpoint(AddressForm::WithoutPort { storage_port })?)));
        match identity {
            Err(DecodeError::Truncated { .. }) => return Step::Wait,
            Ok(identity) => {
                self.who.identity = Some(identity.1);
                self.opening.identity = Some(identity);
                input.consume(input.len() - reader.len());
            }
            Err(error) => {
                let Fault { at, expected, found } = Fault::new(error, input.rest(), &reader);
                let place = self.who.place(End::Dialler, input.offset() + at as u64, input.seen_all(at + 1));
                env.damage(place, expected, found);
                env.lose(at);
                input.consume(at);
                return Step::Lost;
            }
        }
        self.tell_handshake(env);
        let number = if request <= 10 { MessagingVersion::V10 } else { MessagingVersion::V11 };
        self.phase = Phase::Legacy(Legacy::new(Version::known(number), storage_port, is_compressed));
        Step::Again
    }

    /// Takes what the acceptor sent.
    pub(super) fn work_answer(&mut self, env: &mut Env<'_>) {
        let input = &mut self.acceptor.input;
        if input.is_empty() {
            return;
        }
        if let Phase::Passing(_) = self.phase {
            self.pass(End::Acceptor);
            return;
        }
        if !self.answer.is_awaited() {
            self.pass_over_rest(env);
            return;
        }
        let greeting = self.opening.greeting();
        let rest = input.rest();
        if greeting.is_some() {
            match Refusal::of(rest) {
                Refusal::None => {}
                Refusal::Front if !self.acceptor.has_ended => return,
                Refusal::Front => {}
                Refusal::Alert(number) => {
                    let place = self.who.place(End::Acceptor, input.offset(), input.seen_all(Refusal::SIZE));
                    let alert = alert_text(number);
                    let text = format!(
                        "the acceptor answers the plain handshake with the TLS alert {alert}, as a node does that accepts TLS only"
                    );
                    env.note(place, text);
                    self.answered = Some(input.seen_all(Refusal::SIZE));
                    input.consume(Refusal::SIZE);
                    self.answer = Answer::Absent;
                    self.tell_handshake(env);
                    self.pass_over_rest(env);
                    self.work(env);
                    return;
                }
            }
        }
        let word = rest.first_chunk().map(|word| u32::from_be_bytes(*word));
        let is_legacy = match (greeting, word) {
            (_, None) => return,
            (Some(Greeting::Legacy { max: 0, .. }), _) => true,
            (Some(_), Some(word)) => word < 12,
            // Only the dialler's bytes can tell what is answered, unless they never come.
            (None, Some(_))
                if self.acceptor.from_start && !self.acceptor.has_ended && rest.len() < MAX_WAITING =>
            {
                return;
            }
            (None, Some(word)) if rest.len() == 4 => OLD_VERSIONS.contains(&word),
            (None, Some(_)) => false,
        };
        let place =
            |at: usize| self.who.place(End::Acceptor, input.offset() + at as u64, input.seen_all(at + 1));
        let answer = match (is_legacy, word) {
            (true, Some(version)) if version <= MAX_VERSION => Ok((Answer::Legacy(version), 4)),
            (true, word) => {
                let found = word.map_or_else(String::new, |word| format!("{word:08x}"));
                Err((place(0), "the acceptor's version".to_owned(), found))
            }
            (false, _) => match Accept::decode(rest) {
                Ok(None) => return,
                Ok(Some((accept, size))) => Ok((Answer::Modern(accept), size)),
                Err(HandshakeError::Crc { expected, found }) => {
                    Err((place(8), format!("the answer's checksum {expected:08x}"), format!("{found:08x}")))
                }
                Err(error) => Err((place(0), "an answer to the handshake".to_owned(), error.to_string())),
            },
        };
        match answer {
            Ok((answer, size)) => {
                self.answer = answer;
                self.answered = Some(input.seen_all(size));
                input.consume(size);
            }
            Err((place, expected, found)) => {
                // Without the question it cannot be known that the answer is wrong.
                if greeting.is_some() {
                    env.damage(place, expected, found);
                }
                self.answer = Answer::Absent;
            }
        }
        if self.is_answer_complete() {
            self.tell_handshake(env);
        }
        self.pass_over_rest(env);
        self.work(env);
    }

    /// Whether nothing more is to come of the handshake.
    fn is_answer_complete(&self) -> bool {
        matches!(self.opening.greeting(), Some(Greeting::Modern(_))) && !self.answer.is_awaited()
    }

    /// An acceptor sends nothing but its answer.
    fn pass_over_rest(&mut self, env: &mut Env<'_>) {
        if self.acceptor.input.is_empty() {
            return;
        }
        if self.who.kind == Some(ConnectionKind::Streaming) && matches!(self.phase, Phase::Opening) {
            // The dialler's first bytes after the handshake come later.
            self.tell_handshake(env);
            self.phase = Phase::Passing(STREAMING);
        }
        if let Phase::Passing(_) = self.phase {
            self.pass(End::Acceptor);
            return;
        }
        let input = &mut self.acceptor.input;
        let found = format!("{} bytes", input.len());
        if !self.is_acceptor_odd {
            self.is_acceptor_odd = true;
            let place = self.who.place(End::Acceptor, input.offset(), input.seen_all(1));
            match self.answer {
                // An unknown end cannot be wrong.
                _ if self.opening.greeting.is_none() => {
                    env.note(place, "what the acceptor sends here could not be recognised");
                }
                Answer::Absent => env.note(place, "what the acceptor sends here could not be recognised"),
                _ => env.damage(place, "nothing from the acceptor after its answer", found),
            }
        }
        env.lose(input.len());
        input.consume(input.len());
    }

    /// Reports the handshake once, with what is known about it.
    pub(super) fn tell_handshake(&mut self, env: &mut Env<'_>) {
        let answer = match self.answer {
            Answer::Modern(Accept { max, version }) => Some(record::Answer { version, max }),
            Answer::Legacy(version) => Some(record::Answer { version, max: version }),
            Answer::Awaited | Answer::Absent => None,
        };
        let seen = match (self.opening.greeting, self.answered) {
            (Some((_, greeted)), answered) => answered.unwrap_or(greeted),
            (None, Some(answered)) => answered,
            (None, None) => return,
        };
        if core::mem::replace(&mut self.is_told, true) {
            return;
        }
        let mut handshake = Handshake {
            place: self.who.place(End::Dialler, 0, seen),
            source: self.who.ends.map(|(source, _)| source),
            answer,
            ..Handshake::default()
        };
        match self.opening.greeting() {
            Some(Greeting::Modern(initiate)) => {
                handshake.connection_type = Some(kind_name(initiate.kind));
                handshake.framing = Some(framing_name(initiate.framing));
                handshake.request = Some(initiate.request);
                handshake.min = Some(initiate.min);
                handshake.max = Some(initiate.max.into());
            }
            Some(Greeting::Legacy { request, min, max, is_compressed, is_streaming }) => {
                handshake.legacy = true;
                handshake.connection_type = Some(if is_streaming { STREAMING } else { "messaging" });
                handshake.framing = Some(if is_compressed { "lz4_block" } else { "none" });
                handshake.request = Some(request);
                handshake.min = (min > 0).then_some(min);
                handshake.max = match self.opening.identity {
                    Some((version, _)) => Some(version),
                    None => (max > 0).then_some(max.into()),
                };
            }
            None => handshake.legacy = matches!(self.answer, Answer::Legacy(_)),
        }
        env.tell(Record::Handshake(handshake));
    }
}

/// Whether `bytes`, with which a direction begins or which begin somewhere in it, are records of TLS.
fn is_tls(bytes: &[u8], from_start: bool) -> bool {
    const HANDSHAKE: u8 = 0x16;
    match bytes {
        [HANDSHAKE, 3, 0..=4, ..] => true,
        [0x14..=0x17, 3, 0..=4, ..] => !from_start,
        _ => false,
    }
}

/// Whether `bytes` are too few to tell, and may be the front of a record of TLS.
const fn may_become_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17] | [0x14..=0x17, 3])
}

/// The answer alone, given as such.
pub(crate) fn loose_answer(bytes: &[u8]) -> Result<(Handshake, usize), Fault> {
    let mut handshake = Handshake::default();
    match Accept::decode(bytes) {
        Ok(Some((Accept { max, version }, size))) => {
            handshake.answer = Some(record::Answer { version, max });
            Ok((handshake, size))
        }
        Err(HandshakeError::LegacyReply { version }) => {
            handshake.legacy = true;
            handshake.answer = Some(record::Answer { version, max: version });
            Ok((handshake, 4))
        }
        // A newer acceptor answers an old dialler in four bytes, too.
        Ok(None) if bytes.len() == 4 => {
            let version = bytes.first_chunk().map(|word| u32::from_be_bytes(*word)).unwrap_or_default();
            handshake.legacy = true;
            handshake.answer = Some(record::Answer { version, max: version });
            if version > MAX_VERSION {
                let found = format!("{version:08x}");
                return Err(Fault { at: 0, expected: "the acceptor's version".to_owned(), found });
            }
            Ok((handshake, 4))
        }
        Ok(None) => Err(Fault {
            at: bytes.len(),
            expected: "an answer of 12 bytes, or of 4 before 4.0".to_owned(),
            found: crate::fault::end_after(bytes.len()),
        }),
        Err(HandshakeError::Crc { expected, found }) => Err(Fault {
            at: 8,
            expected: format!("the answer's checksum {expected:08x}"),
            found: format!("{found:08x}"),
        }),
        Err(error) => {
            Err(Fault { at: 0, expected: "an answer to a handshake".to_owned(), found: error.to_string() })
        }
    }
}
