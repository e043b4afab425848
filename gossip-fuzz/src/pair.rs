//! Two nodes of one cluster: what becomes of their processes, and when they agree.

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use gossip_core::{ApplicationState, Config, Endpoint, Generation, Gossiper, Input, Timestamp, Transport};

use crate::content::{LOCAL, START};
use crate::watched::{Command, SECOND, Tuning, Watched};

/// Who they are.
pub(crate) const ENDPOINTS: [Endpoint; 2] = [LOCAL, Endpoint::v4([10, 0, 0, 2], 7000)];

/// Within how many rounds in which nothing is lost they agree. A node that has lost what it stored jumps above its earlier generation
/// once in ten minutes, which are 600 rounds; everything else takes less than two.
const MAX_ROUNDS: u32 = 720;

/// With so many endpoints a node assassinates none. Each that it invents takes a place in both tables for days, and in one where all places
/// are taken the other node would find none.
const MANY_ENDPOINTS: usize = 5;

/// Whereby others know who a node is and where it stands. Its application could keep both from agreeing by these.
const IDENTITY: [ApplicationState; 3] =
    [ApplicationState::STATUS, ApplicationState::STATUS_WITH_PORT, ApplicationState::HOST_ID];

/// What happens to one of them, or both.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Event<'a> {
    /// Time passes for both, and they hear of it.
    Pass {
        millis: u16,
    },
    /// One of them is held up meanwhile.
    PassFor {
        who: bool,
        millis: u16,
    },
    Timeout {
        who: bool,
    },
    Command {
        who: bool,
        command: Command<'a>,
    },
    /// A process ends without a word, and another begins; it may have lost what the first has stored.
    Restart {
        who: bool,
        is_lost: bool,
    },
}

/// The processes on two hosts.
pub(crate) struct Pair {
    pub(crate) nodes: [Watched; 2],
    tuning: Tuning,
    transport: Transport,
    /// What each host has stored.
    stored: [Option<Generation>; 2],
    /// The generations that its processes started with.
    used: [BTreeSet<Generation>; 2],
}

impl Pair {
    pub(crate) fn new(tuning: Tuning, transport: Transport) -> Self {
        let generation = Generation::new(START);
        let nodes = [0, 1].map(|at| start(config(at, tuning, transport, generation), Timestamp::ZERO));
        Self {
            nodes,
            tuning,
            transport,
            stored: [Some(generation); 2],
            used: [0, 1].map(|_| BTreeSet::from([generation])),
        }
    }

    /// Lets something happen; says whose process was replaced by another, if any was.
    pub(crate) fn happen(&mut self, event: &Event<'_>) -> Option<usize> {
        match event {
            Event::Pass { millis } => (0..2).for_each(|at| self.pass(at, u64::from(*millis) * 1_000_000)),
            Event::PassFor { who, millis } => self.pass(usize::from(*who), u64::from(*millis) * 1_000_000),
            Event::Timeout { who } => self.nodes[usize::from(*who)].input(Input::Timeout),
            // What a node says of itself is believed: that it has stopped, or is another host.
            Event::Command { command: Command::Set { key, .. }, .. } if IDENTITY.contains(&key.key()) => {}
            // Who has no keys gets none: the other could not hear it any more.
            Event::Command { command: Command::Keys { .. }, .. } if !self.tuning.is_sealed() => {}
            Event::Command { who, command: Command::Assassinate { .. } }
                if self.nodes[usize::from(*who)].node.gossiper().endpoint_count() >= MANY_ENDPOINTS => {}
            Event::Command { who, command } => self.nodes[usize::from(*who)].command(command),
            Event::Restart { who, is_lost } => {
                let at = usize::from(*who);
                if *is_lost {
                    self.stored[at] = None;
                } else {
                    self.store(at);
                }
                self.restart(at);
                return Some(at);
            }
        }
        None
    }

    fn pass(&mut self, at: usize, nanos: u64) {
        let node = &mut self.nodes[at];
        node.pass(nanos);
        node.input(Input::WallClock { unix_ms: unix_ms(node.now) });
        node.input(Input::Timeout);
    }

    fn store(&mut self, at: usize) {
        self.stored[at] = self.stored[at].max(Some(self.nodes[at].stored));
    }

    fn restart(&mut self, at: usize) {
        let mut now = self.nodes[at].now;
        let mut generation = Generation::at_start(unix_ms(now) / 1_000, self.stored[at]);
        // Two processes of one generation look alike: with what it had stored lost, the next takes until another second.
        while self.used[at].contains(&generation) {
            now = Timestamp::from_nanos(now.as_nanos() + SECOND);
            generation = Generation::at_start(unix_ms(now) / 1_000, self.stored[at]);
        }
        self.used[at].insert(generation);
        self.stored[at] = Some(generation);
        self.nodes[at] = start(config(at, self.tuning, self.transport, generation), now);
    }

    /// Lets rounds go by until both agree, everything that is wanted being done by `settle`. Its second argument is whose process
    /// was replaced just before.
    pub(crate) fn calm_down(&mut self, mut settle: impl FnMut(&mut Self, Option<usize>)) {
        // Their operators see to it that they can find and hear each other, also where the clock of the sender decides what is
        // too late.
        let latest = self.nodes[0].now.max(self.nodes[1].now);
        for (at, node) in self.nodes.iter_mut().enumerate() {
            node.now = latest;
            node.node.set_seeds(&[ENDPOINTS[1 - at]]);
            if self.tuning.is_sealed() {
                node.command(&Command::Keys { ring: 0 });
            }
        }
        settle(self, None);
        for _ in 0..MAX_ROUNDS {
            for at in 0..2 {
                self.pass(at, SECOND);
                self.store(at);
                if self.nodes[at].is_stopped() {
                    self.restart(at);
                    settle(self, Some(at));
                } else if !self.nodes[at].node.gossiper().is_enabled() {
                    self.nodes[at].command(&Command::Enable);
                }
            }
            settle(self, None);
            if self.agree() {
                return;
            }
        }
        let [a, b] = [0, 1].map(|at| self.nodes[at].node.gossiper().snapshot());
        panic!("they do not agree after {MAX_ROUNDS} rounds: {a:#?}, and {b:#?}");
    }

    /// Whether each finds the other live, and knows all that the other says of itself.
    fn agree(&self) -> bool {
        let [a, b] = [&self.nodes[0], &self.nodes[1]];
        a.finds_live(ENDPOINTS[1])
            && b.finds_live(ENDPOINTS[0])
            && knows(a.node.gossiper(), b.node.gossiper())
            && knows(b.node.gossiper(), a.node.gossiper())
    }
}

fn knows(observer: &Gossiper, other: &Gossiper) -> bool {
    let endpoint = other.local_endpoint();
    let Some(known) = observer.heartbeat(endpoint) else { return false };
    // Its heartbeat goes on; its values are what they are.
    known.generation == other.generation()
        && Some(known.version) <= other.heartbeat(endpoint).map(|heartbeat| heartbeat.version)
        && observer.values(endpoint).eq(other.values(endpoint))
}

fn config(at: usize, tuning: Tuning, transport: Transport, generation: Generation) -> Config {
    let config = tuning.config(transport, ENDPOINTS[at], generation);
    config.seed(ENDPOINTS[1 - at]).build().expect("it is valid")
}

fn start(config: Config, now: Timestamp) -> Watched {
    let mut node = Watched::new(config, now);
    node.input(Input::WallClock { unix_ms: unix_ms(now) });
    node
}

fn unix_ms(now: Timestamp) -> u64 {
    u64::from(START.unsigned_abs()) * 1_000 + now.as_nanos() / 1_000_000
}
