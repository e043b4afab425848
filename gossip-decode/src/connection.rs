//! One connection: what its two ends sent becomes records.
//!
//! The dialler's bytes carry everything; of the acceptor's only the answer to the handshake matters. [`Connection`] is
//! a switch: what the dialler's bytes are at the moment stands in its [`Phase`], and each phase has a module that takes
//! one thing at a time from the front of the [`Input`].

mod answer;
mod frames;
mod handshake;
mod input;
mod legacy;
mod seek;
mod tls;

use core::net::SocketAddr;

use gossip_core::internode::Framing;

use self::answer::{Answer, Opening};
use self::frames::Frames;
pub(crate) use self::frames::{messages, splits};
pub(crate) use self::handshake::loose_answer;
use self::input::Input;
use self::legacy::Legacy;
pub(crate) use self::seek::framing_of;
use self::seek::{Next, Seek, Why};
use self::tls::Session;
use crate::env::{End, Ending, Env, Seen, Step, Who};
use crate::fault::{bytes_of, end_after};
use crate::record::{Passed, Record};
use crate::version::Version;

/// How many bytes of the dialler wait for the acceptor's answer. Then it is not in the capture.
const MAX_WAITING: usize = 256 * 1024;
/// For how long they wait, in microseconds of the capture: their sender already had the answer.
const MAX_WAIT_US: u64 = 1_000_000;

/// A connection.
pub(crate) struct Connection {
    who: Who,
    phase: Phase,
    dialler: Side,
    acceptor: Side,
    opening: Opening,
    answer: Answer,
    /// When the answer came.
    answered: Option<Seen>,
    /// Whether the handshake was reported.
    is_told: bool,
    /// Whether the acceptor sent what it should not. It is reported once.
    is_acceptor_odd: bool,
    /// Whether it carried a byte so far, or should have.
    has_carried: bool,
    is_closed: bool,
    /// How many bytes were skipped, by end.
    passed: [u64; 2],
    /// The TLS session, if that is what is skipped.
    tls: Option<Box<Session>>,
}

#[derive(Default)]
struct Side {
    input: Input,
    /// Whether its first byte is known to be the first of the direction.
    from_start: bool,
    has_ended: bool,
    last: Seen,
}

/// What the dialler's next bytes are.
enum Phase {
    /// The handshake.
    Opening,
    /// Frames, from 4.0 on.
    Frames(Frames),
    /// Messages without frames, before 4.0.
    Legacy(Legacy),
    /// Not known: the next thing that can be recognised is looked for.
    Seeking(Seek),
    /// What is not decoded, and need not be.
    Passing(&'static str),
    /// What should be decoded and cannot: no protocol that we know, or after a refusal.
    Lost,
}

impl Connection {
    /// A connection between these ends. It gets its number with its first byte.
    pub(crate) fn new(source: SocketAddr, target: SocketAddr) -> Self {
        let ends = Some((source, target));
        Self::with(Who { ends, ..Who::default() }, Phase::Opening)
    }

    /// One direction of a connection, from its handshake on.
    pub(crate) fn loose() -> Self {
        let mut connection = Self::with(Who::default(), Phase::Opening);
        connection.dialler.from_start = true;
        connection.answer = Answer::Absent;
        connection
    }

    /// Frames without a handshake.
    pub(crate) fn loose_frames(framing: Framing, version: Version) -> Self {
        let mut connection = Self::loose();
        connection.phase = Phase::Frames(Frames::new(framing, version));
        connection
    }

    /// Messages of before 4.0 without a handshake.
    pub(crate) fn loose_legacy(version: Version, storage_port: u16) -> Self {
        let mut connection = Self::loose();
        connection.phase = Phase::Legacy(Legacy::new(version, storage_port, false));
        connection
    }

    fn with(who: Who, phase: Phase) -> Self {
        Self {
            who,
            phase,
            dialler: Side::default(),
            acceptor: Side::default(),
            opening: Opening::default(),
            answer: Answer::default(),
            answered: None,
            is_told: false,
            is_acceptor_odd: false,
            has_carried: false,
            is_closed: false,
            passed: [0; 2],
            tls: None,
        }
    }

    /// The first byte of what `end` sends is known: the connection was seen to begin.
    pub(crate) const fn starts(&mut self, end: End) {
        match end {
            End::Dialler => self.dialler.from_start = true,
            End::Acceptor => self.acceptor.from_start = true,
        }
    }

    /// Whether it carried a byte so far.
    pub(crate) const fn has_carried(&self) -> bool {
        self.has_carried
    }

    /// How much memory is held for bytes that wait.
    pub(crate) fn held(&self) -> usize {
        let phase = match &self.phase {
            Phase::Frames(frames) => frames.held(),
            Phase::Legacy(legacy) => legacy.held(),
            _ => 0,
        };
        let tls = self.tls.as_ref().map_or(0, |session| session.held());
        self.dialler.input.held() + self.acceptor.input.held() + phase + tls
    }

    /// Takes the next bytes of a direction.
    pub(crate) fn bytes(&mut self, end: End, bytes: &[u8], seen: Seen, env: &mut Env<'_>) {
        self.begin(env);
        env.summary.bytes += bytes.len() as u64;
        let side = self.side(end);
        side.last = seen;
        side.input.push(bytes, seen);
        match end {
            End::Dialler => self.work(env),
            End::Acceptor => self.work_answer(env),
        }
    }

    /// The capture lacks the next bytes of a direction, and has what follows.
    pub(crate) fn gap(&mut self, end: End, missing: u64, seen: Seen, env: &mut Env<'_>) {
        self.begin(env);
        env.summary.missing_bytes += missing;
        let side = self.side(end);
        let (offset, lost) = (side.input.offset() + side.input.len() as u64, side.input.len());
        side.last = seen;
        side.input.leap(missing);
        let place = self.who.place(end, offset, seen);
        if let Phase::Passing(_) = self.phase {
            if let Some(session) = &mut self.tls {
                session.lose(end);
            }
            env.note(place, format!("{} missing in the capture", bytes_of(missing)));
            return;
        }
        env.lose(lost);
        env.damage(place, bytes_of(missing), "nothing: missing in the capture");
        match end {
            End::Acceptor if self.answer.is_awaited() => {
                self.answer = Answer::Absent;
                self.work(env);
            }
            End::Acceptor => {}
            End::Dialler => self.seek(Why::Gap, env),
        }
    }

    /// Nothing more comes of a direction.
    pub(crate) fn end(&mut self, end: End, ending: Ending, env: &mut Env<'_>) {
        if self.side(end).has_ended {
            return;
        }
        self.side(end).has_ended = true;
        match end {
            End::Acceptor => {
                self.work_answer(env);
                if self.answer.is_awaited() {
                    self.answer = Answer::Absent;
                    self.work(env);
                }
                self.end_of_acceptor(ending, env);
            }
            End::Dialler => {
                // A dialler that has sent everything had the answer.
                if self.answer.is_awaited() && !self.dialler.input.is_empty() {
                    self.work_answer(env);
                }
                self.work(env);
                self.end_of_dialler(ending, env);
            }
        }
    }

    /// Nothing more comes at all.
    pub(crate) fn close(&mut self, env: &mut Env<'_>) {
        self.end(End::Acceptor, Ending::Cut, env);
        self.end(End::Dialler, Ending::Cut, env);
        if !self.has_carried || core::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.tell_handshake(env);
        let last = core::cmp::max_by_key(self.dialler.last, self.acceptor.last, |seen| seen.packet);
        let place = self.who.place(End::Dialler, self.dialler.input.offset(), last);
        if let Phase::Passing(what) = self.phase {
            let [sent, received] = self.passed;
            env.summary.passed_bytes += sent + received;
            match what {
                TLS => env.summary.encrypted_connections += 1,
                _ => env.summary.streaming_connections += 1,
            }
            let tls = self.tls.take().map(|session| session.into_told());
            env.tell(Record::Passed(Passed { place, what, sent, received, tls }));
        }
        (self.dialler.input, self.acceptor.input) = (Input::default(), Input::default());
    }

    /// Passes over all that came from `end`.
    fn pass(&mut self, end: End) {
        let (side, passed) = match end {
            End::Dialler => (&mut self.dialler, &mut self.passed[0]),
            End::Acceptor => (&mut self.acceptor, &mut self.passed[1]),
        };
        if let Some(session) = &mut self.tls {
            session.take(end, side.input.rest());
        }
        *passed += side.input.len() as u64;
        side.input.consume(side.input.len());
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Dialler => &mut self.dialler,
            End::Acceptor => &mut self.acceptor,
        }
    }

    /// Gives the connection its number, with its first byte.
    fn begin(&mut self, env: &mut Env<'_>) {
        if !core::mem::replace(&mut self.has_carried, true) {
            env.summary.connections += 1;
            self.who.number = self.who.ends.map(|_| env.summary.connections);
        }
    }

    /// Takes whatever can be taken of the dialler's bytes.
    fn work(&mut self, env: &mut Env<'_>) {
        loop {
            let input = &mut self.dialler.input;
            let step = match &mut self.phase {
                Phase::Opening => self.open(env),
                Phase::Frames(frames) => frames.step(input, &self.who, env),
                Phase::Legacy(legacy) => legacy.step(input, &self.who, self.dialler.has_ended, env),
                Phase::Seeking(_) => self.look(env),
                Phase::Passing(_) => {
                    self.pass(End::Dialler);
                    Step::Wait
                }
                Phase::Lost => {
                    env.lose(input.len());
                    input.consume(input.len());
                    Step::Wait
                }
            };
            match step {
                Step::Again => {}
                Step::Wait => return,
                Step::Lost => self.seek(Why::Damage, env),
            }
        }
    }

    /// From here on the next thing that can be recognised is looked for.
    fn seek(&mut self, why: Why, env: &mut Env<'_>) {
        let seek = match &mut self.phase {
            Phase::Opening => Seek::in_opening(why, self.opening.greeting(), &self.answer, env.options),
            Phase::Frames(frames) => {
                frames.give_up(env);
                Seek::for_frames(why, frames)
            }
            Phase::Legacy(legacy) => {
                // It looks itself for what comes next.
                legacy.lose(env);
                return;
            }
            Phase::Seeking(_) | Phase::Passing(_) | Phase::Lost => return,
        };
        self.tell_handshake(env);
        self.phase = Phase::Seeking(seek);
    }

    fn look(&mut self, env: &mut Env<'_>) -> Step {
        let Phase::Seeking(seek) = &mut self.phase else { return Step::Again };
        let has_ended = self.dialler.has_ended;
        match seek.step(&mut self.dialler.input, &self.who, has_ended, env) {
            Some(next) => {
                self.phase = match next {
                    Next::Frames(frames) => Phase::Frames(frames),
                    Next::Legacy(legacy) => Phase::Legacy(legacy),
                    Next::Lost => Phase::Lost,
                };
                Step::Again
            }
            None => Step::Wait,
        }
    }

    fn end_of_dialler(&mut self, ending: Ending, env: &mut Env<'_>) {
        let input = &mut self.dialler.input;
        let left = input.len();
        let place = self.who.place(End::Dialler, input.offset() + left as u64, self.dialler.last);
        let unfinished = match &mut self.phase {
            Phase::Opening => (left > 0).then(|| ("the rest of a handshake".to_owned(), left, left)),
            Phase::Frames(frames) => frames.unfinished(input.rest()),
            Phase::Legacy(legacy) => legacy.unfinished(input.rest(), env),
            Phase::Seeking(seek) => {
                seek.give_up(left, place, env);
                None
            }
            Phase::Passing(_) | Phase::Lost => None,
        };
        input.consume(left);
        let Some((what, after, lost)) = unfinished else {
            // What was looked for does not begin any more.
            env.lose(left);
            return;
        };
        env.lose(lost);
        match ending {
            Ending::Finished => env.damage(place, what, end_after(after)),
            Ending::Cut => env.note(place, format!("cut off {}, where {what} is due", end_after(after))),
        }
    }

    fn end_of_acceptor(&mut self, ending: Ending, env: &mut Env<'_>) {
        let left = self.acceptor.input.len();
        if left == 0 {
            return;
        }
        let end_of_bytes = self.acceptor.input.offset() + left as u64;
        let place = self.who.place(End::Acceptor, end_of_bytes, self.acceptor.last);
        if let Phase::Passing(_) = self.phase {
            self.pass(End::Acceptor);
            return;
        }
        self.acceptor.input.consume(left);
        env.lose(left);
        match ending {
            Ending::Finished if self.acceptor.from_start => {
                env.damage(place, "a whole answer to the handshake", end_after(left));
            }
            _ => {
                env.note(place, format!("{} of the acceptor could not be recognised", bytes_of(left as u64)))
            }
        }
    }
}

/// What the bytes of an encrypted connection are called.
const TLS: &str = "tls";
/// What bulk data is called.
const STREAMING: &str = "streaming";
