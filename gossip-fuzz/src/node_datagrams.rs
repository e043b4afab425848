//! A whole node over packets, and the senders of these.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use gossip_core::datagram::Cookie;
use gossip_core::{Endpoint, Generation, Input, Timestamp, Transport, Verb};

use crate::content::{LOCAL, Letter, Number, START, Said, Who};
use crate::packets::{packet, read};
use crate::watched::{Command, SECOND, Tuning, Wanted, Watched};
use crate::{script, show};

#[derive(Arbitrary, Debug)]
struct Life<'a> {
    tuning: Tuning,
    seed: Option<Who>,
    steps: Vec<Step<'a>>,
}

/// What happens next.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Time passes, and the node hears of it.
    Pass {
        millis: u16,
        is_long: bool,
    },
    /// The driver's clock goes back.
    Back {
        millis: u16,
    },
    WallClock {
        seconds: Number,
    },
    Timeout,
    /// A peer sends something, and proves its address or not.
    Packet {
        from: Who,
        generation: Number,
        is_proven: bool,
        letters: Vec<Letter<'a>>,
        damages: Vec<(u16, u8)>,
        cut: u8,
    },
    /// A peer answers the echo that it was sent.
    Answer {
        from: Who,
    },
    Any {
        bytes: &'a [u8],
    },
    Command(Command<'a>),
    /// The driver does not ask what the node wants after the next step.
    Hold,
}

/// A node over packets, given anything in any order: it does not panic, says at last that nothing is left, keeps its limits and its
/// rate, and never goes back. Whatever it sends can be read.
pub fn node_datagrams(data: &[u8]) {
    let Some(life) = script::<Life<'_>>(data) else { return };
    let config = life.tuning.config(Transport::Datagram, LOCAL, Generation::new(START));
    let mut config = life.tuning.with_the_past(config);
    if let Some(seed) = life.seed.and_then(Who::reachable) {
        config = config.seed(seed);
    }
    let mut world = World {
        node: Watched::new(config.build().expect("it is valid"), Timestamp::ZERO),
        max_size: life.tuning.max_datagram_size(),
        budget: Budget::full(),
        cookies: BTreeMap::new(),
        echoes: BTreeMap::new(),
    };
    world.node.input(Input::WallClock { unix_ms: u64::from(START.unsigned_abs()) * 1_000 });
    let mut is_held = false;
    for step in &life.steps {
        if matches!(step, Step::Hold) {
            is_held = true;
            continue;
        }
        world.step(step);
        if !core::mem::take(&mut is_held) {
            world.drain();
        }
    }
    world.drain();
}

struct World {
    node: Watched,
    max_size: usize,
    budget: Budget,
    /// What the node wants of each to be repeated.
    cookies: BTreeMap<Endpoint, Cookie>,
    /// The echo that each was sent last.
    echoes: BTreeMap<Endpoint, u64>,
}

/// How many bytes may be sent: a bucket that holds those of a second.
struct Budget {
    /// In thousand millionths of a byte.
    level: u128,
    filled: Timestamp,
}

/// What [`Tuning`] sets, in bytes a second.
const RATE: u128 = 1 << 14;

impl Budget {
    const fn full() -> Self {
        Self { level: RATE * SECOND as u128, filled: Timestamp::ZERO }
    }

    fn fill(&mut self, now: Timestamp) {
        let passed = now.saturating_since(self.filled).as_nanos();
        self.filled = self.filled.max(now);
        self.level = (self.level + passed * RATE).min(RATE * u128::from(SECOND));
    }

    fn spend(&mut self, bytes: usize) {
        let left = self.level.checked_sub(bytes as u128 * u128::from(SECOND));
        self.level = left.expect("no more is sent than the limit allows");
    }
}

impl World {
    fn step(&mut self, step: &Step<'_>) {
        match step {
            Step::Pass { millis, is_long } => {
                let millis = u64::from(*millis) * if *is_long { 1_000 } else { 1 };
                self.node.pass(millis * 1_000_000);
                self.node.input(Input::Timeout);
            }
            Step::Back { millis } => {
                let back = u64::from(*millis) * 1_000_000;
                self.node.now = Timestamp::from_nanos(self.node.now.as_nanos().saturating_sub(back));
            }
            Step::WallClock { seconds } => {
                let unix_ms = i64::from(seconds.generation().get()).cast_unsigned().wrapping_mul(1_000);
                self.node.input(Input::WallClock { unix_ms });
            }
            Step::Timeout => self.node.input(Input::Timeout),
            Step::Packet { from, generation, is_proven, letters, damages, cut } => {
                let (from, generation) = (from.endpoint(), generation.generation());
                let said: Vec<Said> = letters.iter().map(Letter::said).collect();
                let cookie = self.cookies.get(&from).filter(|_| *is_proven).copied();
                let mut bytes = packet(from, generation, cookie.unwrap_or(Cookie::NONE), &said);
                for (at, bits) in damages {
                    if let Some(byte) = bytes.get_mut(usize::from(*at)) {
                        *byte ^= bits;
                    }
                }
                bytes.truncate(bytes.len() - usize::from(*cut).min(bytes.len()));
                self.node.input(Input::Datagram { bytes: &bytes });
            }
            Step::Answer { from } => {
                let from = from.endpoint();
                let (Some(cookie), Some(id)) = (self.cookies.get(&from), self.echoes.remove(&from)) else {
                    return;
                };
                let mut bytes = packet(from, Generation::new(START), *cookie, &[]);
                bytes.push(u8::try_from(Verb::ECHO_RSP.number()).expect("it is 91"));
                bytes.extend(u32::try_from(id).expect("ids have 31 bits").to_be_bytes());
                bytes.extend([0; 2]);
                self.node.input(Input::Datagram { bytes: &bytes });
            }
            Step::Any { bytes } => self.node.input(Input::Datagram { bytes }),
            Step::Command(command) => self.node.command(command),
            Step::Hold => {}
        }
        self.budget.fill(self.node.now);
    }

    fn drain(&mut self) {
        for wanted in self.node.drain() {
            let Wanted::Packet(to, bytes) = wanted else { panic!("a node over packets wants {wanted:?}") };
            assert!(bytes.len() <= self.max_size, "{} bytes", bytes.len());
            self.budget.spend(bytes.len());
            let (header, echoes) = read(&bytes);
            assert!(header.sender == LOCAL && to != LOCAL && !to.is_unspecified(), "to {to}");
            assert_eq!(header.generation, self.node.node.gossiper().generation());
            self.cookies.insert(to, header.given);
            if let Some(id) = echoes.last() {
                self.echoes.insert(to, *id);
            }
        }
    }
}

/// How an input of [`node_datagrams`] reads.
pub(crate) fn show_node_datagrams(data: &[u8]) -> String {
    show::<Life<'_>>(data)
}
