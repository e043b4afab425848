//! A whole node over connections, and the peers that dial it or are dialled.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use gossip_core::internode::{
    Accept, Inbound, InboundEvent, InboundLimits, Scratch, VersionRange, negotiate,
};
use gossip_core::message::{Codec, Message};
use gossip_core::{
    Config, ConfigBuilder, ConnectionId, Endpoint, Generation, Input, MessagingVersion, Timestamp, Transport,
    Verb,
};

use crate::content::{LOCAL, Number, START, Who, write_metadata_id};
use crate::frames::{FrameWriter, Part};
use crate::handshake::{Dialler, chunks, damage, written};
use crate::shell::{Harm, Policy, Shell, Weather};
use crate::watched::{Command, MAX_CONNECTIONS, Tuning, Wanted, Watched};
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
    /// A peer dials and names itself.
    Accept {
        dialler: Dialler,
        damages: Vec<(u8, u8)>,
    },
    /// A peer dials and sends anything.
    AcceptAny {
        bytes: &'a [u8],
    },
    /// A peer that has dialled sends something.
    Bytes {
        connection: u8,
        parts: Vec<Part<'a>>,
        pieces: Vec<u8>,
    },
    /// A peer that has dialled answers the echo that it was sent.
    Answer {
        connection: u8,
    },
    /// A peer that has dialled says which identifier the cluster's metadata has, as it was asked.
    Identify {
        connection: u8,
        serialization: u8,
        id: i32,
    },
    Opened {
        connection: u8,
    },
    Failed {
        connection: u8,
    },
    Closed {
        connection: u8,
    },
    Writable {
        connection: u8,
    },
    /// A peer that was dialled accepts, or says that it does.
    Reply {
        connection: u8,
        instead: Option<(u8, u8)>,
        damages: Vec<(u8, u8)>,
    },
    /// A peer that was dialled sends anything.
    Say {
        connection: u8,
        bytes: &'a [u8],
    },
    Datagram {
        bytes: &'a [u8],
    },
    Command(Command<'a>),
    /// The driver does not ask what the node wants after the next step.
    Hold,
}

/// The driver's end of a connection.
enum Socket {
    Accepted { from: Option<Endpoint>, writer: Option<Box<FrameWriter>>, is_answered: bool, is_busy: bool },
    Dialled(Box<Dialled>),
}

/// A connection that the node dialled, and a peer at its other end that reads what the node writes.
struct Dialled {
    to: Endpoint,
    is_open: bool,
    is_busy: bool,
    /// Whether the node has written anything.
    has_heard: bool,
    /// `None` once it was sent something that the reader does not know of.
    reader: Option<Inbound>,
    accept: Option<[u8; Accept::SIZE]>,
}

/// A node over connections, given anything in any order: it does not panic, says at last that nothing is left, breaks no contract with
/// its driver, keeps its limits, and never goes back. Whatever it writes can be read.
pub fn node_streams(data: &[u8]) {
    let Some(life) = script::<Life<'_>>(data) else { return };
    life.run(None);
}

/// A life under TLS.
#[derive(Arbitrary, Debug)]
struct Secured<'a> {
    policy: Policy,
    harms: Vec<Harm>,
    pieces: Vec<u8>,
    life: Life<'a>,
}

/// The same for a node under TLS, whose peers are `rustls` at work. What they send is damaged on its way, and comes in pieces of any size.
/// Nothing is written in the clear that has to be encrypted.
pub fn node_streams_tls(data: &[u8]) {
    let Some(Secured { policy, harms, pieces, life }) = script::<Secured<'_>>(data) else { return };
    life.run(Some(Under { policy, weather: Weather::new(&harms, &pieces), shells: BTreeMap::new() }));
}

impl Life<'_> {
    fn run(&self, under: Option<Under>) {
        let generation = Generation::new(START);
        let policy = under.as_ref().map(|under| under.policy);
        let node = if self.tuning.is_gossip_only() {
            let config = self.tuning.gossip_only(LOCAL, generation);
            Watched::gossip_only(self.built(config, policy), Timestamp::ZERO)
        } else {
            let config = self.tuning.config(Transport::Internode, LOCAL, generation);
            Watched::new(self.built(config, policy), Timestamp::ZERO)
        };
        let mut world = World {
            node,
            sockets: BTreeMap::new(),
            ever: 0,
            echoes: BTreeMap::new(),
            questions: BTreeMap::new(),
            scratch: Scratch::new(),
            under,
        };
        world.node.input(Input::WallClock { unix_ms: u64::from(START.unsigned_abs()) * 1_000 });
        let mut is_held = false;
        for step in &self.steps {
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

    fn built<M>(&self, config: ConfigBuilder<M>, policy: Option<Policy>) -> Config {
        let mut config = self.tuning.with_the_past(config);
        if let Some(policy) = policy {
            config = config.tls(policy.tls());
        }
        if let Some(seed) = self.seed.and_then(Who::reachable) {
            config = config.seed(seed);
        }
        config.build().expect("it is valid")
    }
}

struct World {
    node: Watched,
    sockets: BTreeMap<ConnectionId, Socket>,
    /// How many connections were named so far.
    ever: u64,
    /// The echo that each peer was sent last.
    echoes: BTreeMap<Endpoint, u64>,
    /// The question for the identifier of the cluster's metadata that each peer was sent last.
    questions: BTreeMap<Endpoint, u64>,
    /// What the readers share.
    scratch: Scratch,
    under: Option<Under>,
}

/// What connections are under, if that is TLS.
struct Under {
    policy: Policy,
    weather: Weather,
    /// The other ends of those that are.
    shells: BTreeMap<ConnectionId, Shell>,
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
            Step::Accept { dialler, damages } => self.accept(*dialler, damages),
            Step::AcceptAny { bytes } => {
                if let Some(connection) = self.accepted(None, None) {
                    self.say(connection, bytes);
                }
            }
            Step::Bytes { connection, parts, pieces } => self.send(*connection, parts, pieces),
            Step::Answer { connection } => self.answer(*connection),
            Step::Identify { connection, serialization, id } => {
                self.identify(*connection, *serialization, *id);
            }
            Step::Opened { connection } => {
                if let Some((connection, dialled)) = self.dialled(*connection)
                    && !dialled.is_open
                {
                    dialled.is_open = true;
                    self.node.input(Input::Opened { connection });
                }
            }
            Step::Failed { connection } => {
                if let Some((connection, _)) =
                    self.dialled(*connection).filter(|(_, dialled)| !dialled.is_open)
                {
                    self.forget(connection);
                    self.node.input(Input::Failed { connection });
                }
            }
            Step::Closed { connection } => {
                let at = usize::from(*connection) % self.sockets.len().max(1);
                if let Some(connection) = self.sockets.keys().nth(at).copied() {
                    self.forget(connection);
                    self.node.input(Input::Closed { connection });
                }
            }
            Step::Writable { connection } => {
                if let Some((connection, dialled)) =
                    self.dialled(*connection).filter(|(_, dialled)| dialled.is_busy)
                {
                    dialled.is_busy = false;
                    self.node.input(Input::Writable { connection });
                }
            }
            Step::Reply { connection, instead, damages } => self.reply(*connection, *instead, damages),
            Step::Say { connection, bytes } => {
                if let Some((connection, dialled)) = self.dialled(*connection) {
                    dialled.reader = None;
                    self.say(connection, bytes);
                }
            }
            Step::Datagram { bytes } => self.node.input(Input::Datagram { bytes }),
            Step::Command(command) => self.node.command(command),
            Step::Hold => {}
        }
    }

    fn accept(&mut self, dialler: Dialler, damages: &[(u8, u8)]) {
        let initiate = dialler.initiate();
        let mut bytes = written(|out| initiate.encode(out));
        damage(&mut bytes, damages);
        let negotiated = negotiate(initiate.versions(), VersionRange::SUPPORTED);
        let version = gossip_core::MessagingVersion::from_number(negotiated.accept.version);
        let writer = version.map(|version| Box::new(FrameWriter::new(initiate.framing, version)));
        if let Some(connection) = self.accepted(Some(initiate.from), writer) {
            if let Some(under) = &mut self.under
                && !under.policy.dials_plain(self.ever)
            {
                under.shells.insert(connection, under.policy.dialler());
            }
            self.tell(connection, &bytes);
        }
    }

    /// The other end of a connection sends `bytes`, under TLS if the connection is.
    fn tell(&mut self, connection: ConnectionId, bytes: &[u8]) {
        match self.under.as_mut().and_then(|under| under.shells.get_mut(&connection)) {
            Some(shell) => {
                shell.send(bytes);
                self.pass_on(connection);
            }
            None => self.node.input(Input::Bytes { connection, bytes }),
        }
    }

    /// The other end of a connection sends `bytes`, whatever the connection is under.
    fn say(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.node.input(Input::Bytes { connection, bytes });
    }

    /// Whatever the other end of a connection under TLS has to write gets on its way. Says whether there is any.
    fn pass_on(&mut self, connection: ConnectionId) -> bool {
        let Some(under) = &mut self.under else { return false };
        let Some(shell) = under.shells.get_mut(&connection) else { return false };
        let flight = shell.take();
        if flight.is_empty() {
            return false;
        }
        for bytes in under.weather.pass(flight) {
            self.node.input(Input::Bytes { connection, bytes: &bytes });
        }
        true
    }

    fn forget(&mut self, connection: ConnectionId) -> Option<Socket> {
        if let Some(under) = &mut self.under {
            under.shells.remove(&connection);
        }
        self.sockets.remove(&connection)
    }

    fn accepted(&mut self, from: Option<Endpoint>, writer: Option<Box<FrameWriter>>) -> Option<ConnectionId> {
        let connection = self.node.accept()?;
        self.open(connection, Socket::Accepted { from, writer, is_answered: false, is_busy: false });
        Some(connection)
    }

    fn open(&mut self, connection: ConnectionId, socket: Socket) {
        assert!(self.sockets.insert(connection, socket).is_none(), "{connection} is named twice");
        self.ever += 1;
    }

    /// The peers that the node dialled.
    fn dialled(&mut self, n: u8) -> Option<(ConnectionId, &mut Dialled)> {
        let mut dialled: Vec<_> = self
            .sockets
            .iter_mut()
            .filter_map(|(connection, socket)| match socket {
                Socket::Dialled(dialled) => Some((*connection, &mut **dialled)),
                Socket::Accepted { .. } => None,
            })
            .collect();
        let at = usize::from(n).checked_rem(dialled.len())?;
        Some(dialled.swap_remove(at))
    }

    /// Those who dialled the node.
    fn writer(&mut self, n: u8) -> Option<(ConnectionId, Endpoint, &mut FrameWriter)> {
        let mut writers: Vec<_> = self
            .sockets
            .iter_mut()
            .filter_map(|(connection, socket)| match socket {
                Socket::Accepted { from: Some(from), writer: Some(writer), .. } => {
                    Some((*connection, *from, &mut **writer))
                }
                _ => None,
            })
            .collect();
        let at = usize::from(n).checked_rem(writers.len())?;
        Some(writers.swap_remove(at))
    }

    fn send(&mut self, n: u8, parts: &[Part<'_>], pieces: &[u8]) {
        let Some((connection, _, writer)) = self.writer(n) else { return };
        parts.iter().for_each(|part| writer.write(part));
        let bytes = core::mem::take(&mut writer.bytes);
        for bytes in chunks(&bytes, pieces) {
            self.tell(connection, bytes);
        }
    }

    fn answer(&mut self, n: u8) {
        let Some((_, from, _)) = self.writer(n) else { return };
        let Some(id) = self.echoes.remove(&from) else { return };
        let Some((connection, _, writer)) = self.writer(n) else { return };
        writer.answer(Verb::ECHO_RSP, id, &[]);
        let bytes = core::mem::take(&mut writer.bytes);
        self.tell(connection, &bytes);
    }

    /// Answers the question for the identifier, without a base state and without entries of the log.
    fn identify(&mut self, n: u8, serialization: u8, id: i32) {
        let Some((_, from, _)) = self.writer(n) else { return };
        let Some(question) = self.questions.remove(&from) else { return };
        let Some((connection, _, writer)) = self.writer(n) else { return };
        let mut body = vec![serialization % 128];
        if serialization % 128 >= 2 {
            write_metadata_id(id, &mut body);
        }
        body.extend([0; 5]);
        writer.answer(Verb::TCM_FETCH_PEER_LOG_RSP, question, &body);
        let bytes = core::mem::take(&mut writer.bytes);
        self.tell(connection, &bytes);
    }

    fn reply(&mut self, n: u8, instead: Option<(u8, u8)>, damages: &[(u8, u8)]) {
        let Some((connection, dialled)) = self.dialled(n) else { return };
        let mut bytes = match (instead, dialled.accept) {
            (Some((max, version)), _) => {
                dialled.reader = None;
                Accept { max: u32::from(max % 16), version: u32::from(version % 16) }.to_bytes()
            }
            (None, Some(accept)) => accept,
            (None, None) => return,
        };
        damage(&mut bytes, damages);
        self.tell(connection, &bytes);
    }

    fn drain(&mut self) {
        loop {
            self.drain_once();
            if !self.answer_shells() {
                return;
            }
        }
    }

    /// The other ends under TLS answer, and what was written to them is done. Says whether anything happened.
    fn answer_shells(&mut self) -> bool {
        if self.under.is_none() {
            return false;
        }
        let mut has_happened = false;
        let all: Vec<_> = self.sockets.keys().copied().collect();
        for connection in all {
            let is_opening = under_shell(self.under.as_ref(), connection).is_some_and(Shell::is_opening);
            let is_done = match self.sockets.get_mut(&connection) {
                Some(Socket::Accepted { is_busy, .. }) => core::mem::take(is_busy),
                Some(Socket::Dialled(dialled)) => is_opening && core::mem::take(&mut dialled.is_busy),
                None => false,
            };
            if is_done {
                self.node.input(Input::Writable { connection });
            }
            has_happened |= is_done | self.pass_on(connection);
        }
        has_happened
    }

    fn drain_once(&mut self) {
        for wanted in self.node.drain() {
            match wanted {
                Wanted::Connect(connection, to) => {
                    assert!(!to.is_unspecified() && to != LOCAL, "{to} is dialled");
                    // Every other peer speaks version 12 alone. The others are of 6.0 where the node is a guest.
                    let max = match (to.port().is_multiple_of(2), self.node.is_gossip_only()) {
                        (true, true) => 14,
                        (true, false) => 13,
                        (false, _) => 12,
                    };
                    let reader = Inbound::new(VersionRange { min: 12, max }, InboundLimits::default());
                    let dialled = Dialled {
                        to,
                        is_open: false,
                        is_busy: false,
                        has_heard: false,
                        reader: Some(reader),
                        accept: None,
                    };
                    self.open(connection, Socket::Dialled(Box::new(dialled)));
                }
                Wanted::Write(connection, bytes) => self.on_write(connection, &bytes),
                Wanted::Close(connection) => {
                    assert!(self.forget(connection).is_some(), "{connection} is not open");
                }
                Wanted::Packet(to, _) => panic!("a packet to {to}"),
            }
        }
        assert_eq!(self.node.node.stats().connections, self.ever);
        // Not before: the close of a connection that gave way to an accepted one is told by the next poll. A node that has stopped tells none.
        assert!(self.node.is_stopped() || self.sockets.len() <= MAX_CONNECTIONS);
    }

    fn on_write(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let socket = self.sockets.get_mut(&connection).expect("a node writes to connections that it has");
        if let Socket::Accepted { is_busy, .. } = socket {
            *is_busy = true;
        }
        let mut plain = None;
        if let Some(under) = &mut self.under {
            // It may dial with TLS first, and then without.
            if matches!(socket, Socket::Dialled(dialled) if !dialled.has_heard) && is_record(bytes) {
                under.shells.insert(connection, under.policy.acceptor());
            }
            match under.shells.get_mut(&connection) {
                Some(shell) => {
                    assert!(!bytes.starts_with(&MAGIC), "{connection} is under TLS, and begins in the clear");
                    plain = Some(shell.receive(bytes));
                }
                // If TLS is required, a peer that dialled without it, or sent anything else, gets an alert.
                None if matches!(socket, Socket::Accepted { .. }) && is_record(bytes) => return,
                None => {}
            }
        }
        if plain.as_ref().is_some_and(Vec::is_empty) && matches!(socket, Socket::Accepted { .. }) {
            return;
        }
        let bytes = plain.as_deref().unwrap_or(bytes);
        match socket {
            Socket::Accepted { is_answered, .. } => {
                assert_eq!(bytes.len(), Accept::SIZE, "an acceptor sends nothing but its answer");
                assert!(!core::mem::replace(is_answered, true), "it answers once");
            }
            Socket::Dialled(dialled) => {
                assert!(dialled.is_open && !dialled.is_busy, "{connection} is not writable");
                dialled.is_busy = true;
                dialled.has_heard = true;
                dialled.read(bytes, &mut self.scratch, &mut self.echoes, &mut self.questions, &self.node);
            }
        }
    }
}

impl Dialled {
    /// Asserts that what the node writes can be read: whole, in frames, each message of it.
    fn read(
        &mut self,
        bytes: &[u8],
        scratch: &mut Scratch,
        echoes: &mut BTreeMap<Endpoint, u64>,
        questions: &mut BTreeMap<Endpoint, u64>,
        node: &Watched,
    ) {
        let Some(reader) = &mut self.reader else { return };
        let version = reader.version();
        let mut input = bytes;
        while let Some(event) = reader.next(&mut input, scratch) {
            match event {
                InboundEvent::Initiated { initiate, accept, incompatible } => {
                    assert!(!incompatible && initiate.from == LOCAL);
                    self.accept = Some(accept);
                }
                InboundEvent::Message { header, payload } => {
                    let version = version.expect("messages come after the handshake");
                    assert_eq!(header.epoch, 0, "a node tells no epoch");
                    match Message::decode(header.verb, payload, Codec::new(version)) {
                        Some(Ok(Message::EchoRequest)) => drop(echoes.insert(self.to, header.id)),
                        Some(decoded) => {
                            node.check_trace(&decoded.expect("what the node writes can be read"));
                        }
                        None if header.verb == Verb::TCM_FETCH_PEER_LOG_REQ => {
                            assert!(
                                node.is_gossip_only() && version == MessagingVersion::V14,
                                "it is not to be asked"
                            );
                            questions.insert(self.to, header.id);
                        }
                        None => assert_eq!(header.verb, Verb::PING_RSP),
                    }
                }
                InboundEvent::Skipped { verb, .. } => assert_eq!(verb, Verb::PING_RSP),
                other => panic!("the node has written {other:?}"),
            }
        }
    }
}

/// What connections begin with.
const MAGIC: [u8; 4] = [0xca, 0x55, 0x2d, 0xfa];

/// Whether `bytes` begin as records of TLS do.
const fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, ..])
}

fn under_shell(under: Option<&Under>, connection: ConnectionId) -> Option<&Shell> {
    under.and_then(|under| under.shells.get(&connection))
}

/// How an input of [`node_streams_tls`] reads.
pub(crate) fn show_node_streams_tls(data: &[u8]) -> String {
    show::<Secured<'_>>(data)
}

/// How an input of [`node_streams`] reads.
pub(crate) fn show_node_streams(data: &[u8]) -> String {
    show::<Life<'_>>(data)
}
