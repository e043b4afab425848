//! A gossiper and the reference model of it, under messages of honest peers in any order.

use core::time::Duration;
use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use gossip_core::message::{Codec, Digest, Message};
use gossip_core::wire::Writer;
use gossip_core::{
    ApplicationState, Config, DEFAULT_PARTITIONER, Endpoint, Event, Generation, Gossiper, HeartbeatState,
    MAX_URGENT_MESSAGE, MessagingVersion, Session, Timestamp, Verb, Version,
};
use gossip_reference::Twin;

use crate::content::{CLUSTER, LOCAL, START, Said, State, java};
use crate::{script, show};

/// All messages travel in it.
const VERSION: MessagingVersion = MessagingVersion::V13;

/// How many peers there are.
const PEERS: usize = 5;

/// How many processes a peer has, one after the other.
const BOOTS: i32 = 3;

/// So many steps are read.
const MAX_STEPS: usize = 160;

/// How far the life of a process goes.
const LAST_VERSION: i32 = 60;

/// At this version a process publishes the status of its end.
const END: i32 = 40;

/// Peers send only values that a process has published. Their messages may come in any order, late, twice, or never.
#[derive(Arbitrary, Debug)]
struct Story {
    /// How the processes of each peer end.
    ends: [EndOf; PEERS],
    steps: Vec<Step>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum EndOf {
    Stays,
    Leaving,
    Left,
    Stops,
    Removed,
    /// It joins at first, and becomes a member.
    Joins,
    Hibernates,
    Moves,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Pass {
        deciseconds: u8,
    },
    /// The process gets no time.
    Pause {
        deciseconds: u8,
    },
    Clock {
        minutes: i8,
    },
    Publish {
        value: u8,
    },
    Syn {
        from: Sender,
        known: Vec<Known>,
    },
    Ack {
        from: Sender,
        wanted: Vec<Known>,
        told: Vec<Told>,
    },
    Ack2 {
        from: Sender,
        told: Vec<Told>,
    },
    EchoRequest {
        from: Sender,
    },
    /// Under the id of the last request, or another one.
    EchoResponse {
        from: Sender,
        is_late: bool,
    },
    /// It is the last that a process says.
    Shutdown {
        from: Sender,
    },
    Leave,
    Stop,
}

/// Which process of which peer.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Sender {
    peer: u8,
    boot: u8,
}

/// An endpoint up to a version; the number of the node itself is 0.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Known {
    who: u8,
    boot: u8,
    upto: u8,
}

/// The values of an endpoint that are newer than the version `above`, as far as the peer knows the endpoint.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Told {
    known: Known,
    above: u8,
}

impl Sender {
    fn number(self) -> usize {
        1 + usize::from(self.peer) % PEERS
    }

    fn boot(self) -> i32 {
        i32::from(self.boot) % BOOTS
    }
}

fn endpoint(number: usize) -> Endpoint {
    if number == 0 {
        return LOCAL;
    }
    Endpoint::v4([10, 0, 0, u8::try_from(number + 1).expect("a few")], 7000)
}

/// Processes of peers are older than the node: a later one has a greater generation.
fn generation(number: usize, boot: i32) -> Generation {
    if number == 0 {
        return Generation::new(START - 100 * (BOOTS - 1 - boot));
    }
    Generation::new(START - 1_000 + 100 * boot + i32::try_from(number).expect("a few"))
}

fn version(upto: u8) -> i32 {
    i32::from(upto) % (LAST_VERSION + 1)
}

/// The version that a process has reached. Before its first version no other process knows it.
fn reached(upto: u8) -> i32 {
    version(upto).max(1)
}

impl Known {
    fn number(self, sender: Sender) -> (usize, i32) {
        let number = usize::from(self.who) % (PEERS + 1);
        // A process knows itself, and none that comes after it.
        let boot = if number == sender.number() { sender.boot() } else { i32::from(self.boot) % BOOTS };
        (number, boot)
    }
}

impl EndOf {
    /// The first status, and the one at the end.
    fn statuses(self, number: usize) -> (String, String) {
        let normal = format!("NORMAL,{number}");
        let last = match self {
            Self::Stays => return (normal.clone(), normal),
            Self::Joins => return (format!("BOOT,{number}"), normal),
            Self::Leaving => format!("LEAVING,{number}"),
            Self::Moves => format!("MOVING,{number}"),
            Self::Left => format!("LEFT,{number},{}000", START + 86_400),
            Self::Removed => {
                format!("removed,00000000-0000-4000-8000-{number:012x},{}000", START + 86_400)
            }
            Self::Stops => "shutdown,true".into(),
            Self::Hibernates => "hibernate,true".into(),
        };
        (normal, last)
    }
}

/// What a process had published at a version, without what it had at another.
fn state(end: EndOf, number: usize, boot: i32, above: i32, upto: i32) -> State {
    let mut values = BTreeMap::new();
    let mut heartbeat = 0;
    let (first, last) = end.statuses(number);
    for at in 1..=upto {
        let (key, text) = match at {
            1 => (ApplicationState::HOST_ID, format!("00000000-0000-4000-8000-{number:012x}")),
            2 => (ApplicationState::STATUS_WITH_PORT, first.clone()),
            3 => (ApplicationState::RELEASE_VERSION, "5.0.2".into()),
            4 => (ApplicationState::RPC_READY, "true".into()),
            END => (ApplicationState::STATUS_WITH_PORT, last.clone()),
            _ if at % 5 == 0 => (ApplicationState::LOAD, at.to_string()),
            _ if at % 7 == 0 => (ApplicationState::SEVERITY, at.to_string()),
            _ => {
                heartbeat = at;
                continue;
            }
        };
        values.insert(key, (java(&text), Version::new(at)));
    }
    values.retain(|_, (_, version)| version.get() > above);
    let generation = generation(number, boot);
    State { heartbeat: HeartbeatState { generation, version: Version::new(heartbeat) }, values }
}

/// Messages, times and losses: the node and its model know the same and answer the same.
pub fn reference(data: &[u8]) {
    let Some(story) = script::<Story>(data) else { return };
    let mut run = Run::new(&story);
    for step in story.steps.iter().take(MAX_STEPS) {
        if run.is_over {
            break;
        }
        run.step(step);
        if let Some(difference) = run.twin.difference() {
            panic!("{difference}");
        }
    }
}

struct Run {
    ends: [EndOf; PEERS],
    gossiper: Gossiper,
    twin: Twin,
    now: Timestamp,
    /// By how many milliseconds the wall clock is wrong.
    clock: i64,
    sessions: BTreeMap<(usize, i32), Session>,
    /// The id of the last echo request to each.
    echoes: BTreeMap<Endpoint, u64>,
    buffer: Vec<u8>,
    is_over: bool,
}

impl Run {
    fn new(story: &Story) -> Self {
        let config = Config::builder(CLUSTER, LOCAL, Generation::new(START), [7; 32])
            .state(ApplicationState::HOST_ID, "00000000-0000-4000-8000-000000000000")
            .state(ApplicationState::RELEASE_VERSION, "5.0.2")
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0")
            .seed(endpoint(1))
            .build()
            .expect("the configuration is valid");
        let gossiper = Gossiper::new(config, Timestamp::ZERO);
        let twin = Twin::new(&gossiper, Twin::settings(CLUSTER), Timestamp::ZERO, 0);
        let mut run = Self {
            ends: story.ends,
            gossiper,
            twin,
            now: Timestamp::ZERO,
            clock: 0,
            sessions: BTreeMap::new(),
            echoes: BTreeMap::new(),
            buffer: vec![0; MAX_URGENT_MESSAGE],
            is_over: false,
        };
        run.tell_time();
        run.drain();
        run
    }

    fn tell_time(&mut self) {
        let unix_ms = i64::from(START) * 1_000 + self.clock;
        let unix_ms = unix_ms.unsigned_abs() + self.now.as_nanos() / 1_000_000;
        self.twin.on_clock(self.now, unix_ms);
        self.gossiper.handle_wall_clock(self.now, unix_ms);
    }

    fn wake(&mut self) {
        self.tell_time();
        self.gossiper.handle_timeout(self.now);
        self.twin.after_wake(self.now, &self.gossiper);
        self.drain();
    }

    fn pass(&mut self, deciseconds: u8) {
        let end = self.now + Duration::from_millis(100) * u32::from(deciseconds);
        while let Some(due) = self.gossiper.poll_timeout().filter(|due| *due <= end && !self.is_over) {
            self.now = self.now.max(due);
            self.wake();
        }
        self.now = end;
    }

    /// Takes all that the node wants to send. What becomes of it is up to the script.
    fn drain(&mut self) {
        while let Some(peer) = self.gossiper.next_peer() {
            self.gossiper.take_reset(peer);
            loop {
                let mut out = Writer::new(&mut self.buffer);
                let codec = Codec::new(VERSION);
                let Some(outgoing) = self.gossiper.encode(peer, codec, &mut out) else { break };
                if outgoing.verb == Verb::ECHO_REQ {
                    self.echoes.insert(peer, outgoing.id);
                }
                self.twin.on_message(self.now, peer, codec, outgoing, out.written());
            }
        }
        while let Some(event) = self.gossiper.poll_event() {
            self.is_over |= event == Event::Stopped;
        }
    }

    fn digests(sender: Sender, known: &[Known], upto: fn(u8) -> i32) -> Vec<Digest> {
        let digest = |known: &Known| {
            let (number, boot) = known.number(sender);
            let endpoint = endpoint(number);
            let max_version = Version::new(upto(known.upto));
            (endpoint, Digest { endpoint, generation: generation(number, boot), max_version })
        };
        let digests: BTreeMap<_, _> = known.iter().map(digest).collect();
        digests.into_values().collect()
    }

    fn states(&self, sender: Sender, told: &[Told]) -> Vec<(Endpoint, State)> {
        let mut states = BTreeMap::new();
        for told in told {
            let (number, boot) = told.known.number(sender);
            // Claims about the node itself are not for the model to judge.
            if let Some(end) = number.checked_sub(1).map(|at| self.ends[at]) {
                let upto = reached(told.known.upto);
                let state = state(end, number, boot, version(told.above) % upto, upto);
                states.insert(endpoint(number), state);
            }
        }
        states.into_iter().collect()
    }

    fn receive(&mut self, sender: Sender, id: u64, said: &Said) {
        let from = endpoint(sender.number());
        let body = said.body(VERSION);
        let message = Message::decode(said.verb(), &body, Codec::new(VERSION))
            .expect("a verb of gossip")
            .expect("it was written so");
        let session = self
            .sessions
            .entry((sender.number(), sender.boot()))
            .or_insert_with(|| self.gossiper.open_session(from));
        self.twin.on_receive(self.now, &self.gossiper, from, id, &message);
        self.gossiper.handle_message(self.now, from, id, session, &message);
        self.twin.after(&self.gossiper);
        self.drain();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Pass { deciseconds } => self.pass(*deciseconds),
            Step::Pause { deciseconds } => {
                self.now = self.now + Duration::from_millis(100) * u32::from(*deciseconds);
                self.wake();
            }
            Step::Clock { minutes } => self.clock = i64::from(*minutes) * 60_000,
            Step::Publish { value } => {
                // A node that stops takes no more values.
                let _ = self.gossiper.set_state(self.now, ApplicationState::LOAD, &value.to_string());
                self.drain();
            }
            Step::Syn { from, known } => {
                let digests = Self::digests(*from, known, reached);
                let (cluster, partitioner) = (java(CLUSTER), java(DEFAULT_PARTITIONER));
                self.receive(*from, 1, &Said::Syn { cluster, partitioner, metadata_id: 0, digests });
            }
            Step::Ack { from, wanted, told } => {
                let (requests, states) = (Self::digests(*from, wanted, version), self.states(*from, told));
                self.receive(*from, 1, &Said::Ack { requests, states });
            }
            Step::Ack2 { from, told } => {
                let states = self.states(*from, told);
                self.receive(*from, 1, &Said::Ack2 { states });
            }
            Step::EchoRequest { from } => self.receive(*from, 1, &Said::Echo { verb: Verb::ECHO_REQ }),
            Step::EchoResponse { from, is_late } => {
                let last = self.echoes.get(&endpoint(from.number())).copied().unwrap_or_default();
                let id = if *is_late { last + 1_000 } else { last };
                self.receive(*from, id, &Said::Echo { verb: Verb::ECHO_RSP });
            }
            Step::Shutdown { from } => {
                let (number, upto) = (from.number(), LAST_VERSION);
                let mut state = state(self.ends[number - 1], number, from.boot(), 0, upto);
                let stopped = (java("shutdown,true"), Version::new(upto + 1));
                state.values.insert(ApplicationState::STATUS_WITH_PORT, stopped);
                self.receive(*from, 1, &Said::Shutdown { state: Some(state) });
            }
            Step::Leave => {
                // One that stops does not leave.
                let _ = self.gossiper.leave(self.now);
                self.drain();
            }
            Step::Stop => {
                self.gossiper.shutdown(self.now);
                self.drain();
            }
        }
    }
}

/// How an input of [`reference`] reads.
pub(crate) fn show_reference(data: &[u8]) -> String {
    show::<Story>(data)
}
