//! A whole node over connections, and whoever dials it or is dialled.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use gossip_core::internode::{
    Accept, Inbound, InboundEvent, InboundLimits, Scratch, VersionRange, negotiate,
};
use gossip_core::message::{Codec, Message};
use gossip_core::{
    Config, ConfigBuilder, ConnectionId, Endpoint, Generation, Input, Timestamp, Transport, Verb,
};

use crate::content::{LOCAL, Number, START, Who};
use crate::frames::{FrameWriter, Part};
use crate::handshake::{Dialler, chunks, damage, written};
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
    /// Time passes, and the node is told.
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
    /// Somebody dials and says who it is.
    Accept {
        dialler: Dialler,
        damages: Vec<(u8, u8)>,
    },
    /// Somebody dials and says anything.
    AcceptAny {
        bytes: &'a [u8],
    },
    /// Somebody who has dialled sends something.
    Bytes {
        connection: u8,
        parts: Vec<Part<'a>>,
        pieces: Vec<u8>,
    },
    /// Somebody who has dialled answers the echo that it was sent.
    Answer {
        connection: u8,
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
    /// Somebody who was dialled accepts, or says that it does.
    Reply {
        connection: u8,
        instead: Option<(u8, u8)>,
        damages: Vec<(u8, u8)>,
    },
    /// Somebody who was dialled says anything.
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
    Accepted { from: Option<Endpoint>, writer: Option<Box<FrameWriter>>, is_answered: bool },
    Dialled(Box<Dialled>),
}

/// A connection that the node dialled, and somebody at its other end who reads what the node writes.
struct Dialled {
    to: Endpoint,
    is_open: bool,
    is_busy: bool,
    /// `None` once it was told something that the reader does not know of.
    reader: Option<Inbound>,
    accept: Option<[u8; Accept::SIZE]>,
}

/// A node over connections, told anything in any order: it does not panic, says at last that nothing is left, breaks no contract with
/// its driver, keeps its limits, and never goes back. Whatever it writes can be read.
pub fn node_streams(data: &[u8]) {
    let Some(life) = script::<Life<'_>>(data) else { return };
    let generation = Generation::new(START);
    let node = if life.tuning.is_gossip_only() {
        Watched::gossip_only(life.built(life.tuning.gossip_only(LOCAL, generation)), Timestamp::ZERO)
    } else {
        let config = life.built(life.tuning.config(Transport::Internode, LOCAL, generation));
        Watched::new(config, Timestamp::ZERO)
    };
    let mut world =
        World { node, sockets: BTreeMap::new(), ever: 0, echoes: BTreeMap::new(), scratch: Scratch::new() };
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

impl Life<'_> {
    fn built<M>(&self, config: ConfigBuilder<M>) -> Config {
        let mut config = self.tuning.with_the_past(config);
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
    /// What the readers share.
    scratch: Scratch,
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
                    self.node.input(Input::Bytes { connection, bytes });
                }
            }
            Step::Bytes { connection, parts, pieces } => self.send(*connection, parts, pieces),
            Step::Answer { connection } => self.answer(*connection),
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
                    self.sockets.remove(&connection);
                    self.node.input(Input::Failed { connection });
                }
            }
            Step::Closed { connection } => {
                let at = usize::from(*connection) % self.sockets.len().max(1);
                if let Some(connection) = self.sockets.keys().nth(at).copied() {
                    self.sockets.remove(&connection);
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
                    self.node.input(Input::Bytes { connection, bytes });
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
            self.node.input(Input::Bytes { connection, bytes: &bytes });
        }
    }

    fn accepted(&mut self, from: Option<Endpoint>, writer: Option<Box<FrameWriter>>) -> Option<ConnectionId> {
        let connection = self.node.accept()?;
        self.open(connection, Socket::Accepted { from, writer, is_answered: false });
        Some(connection)
    }

    fn open(&mut self, connection: ConnectionId, socket: Socket) {
        assert!(self.sockets.insert(connection, socket).is_none(), "{connection} is named twice");
        self.ever += 1;
        assert!(self.sockets.len() <= MAX_CONNECTIONS);
    }

    /// Those whom the node dialled.
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
            self.node.input(Input::Bytes { connection, bytes });
        }
    }

    fn answer(&mut self, n: u8) {
        let Some((_, from, _)) = self.writer(n) else { return };
        let Some(id) = self.echoes.remove(&from) else { return };
        let Some((connection, _, writer)) = self.writer(n) else { return };
        writer.answer(Verb::ECHO_RSP, id);
        let bytes = core::mem::take(&mut writer.bytes);
        self.node.input(Input::Bytes { connection, bytes: &bytes });
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
        self.node.input(Input::Bytes { connection, bytes: &bytes });
    }

    fn drain(&mut self) {
        for wanted in self.node.drain() {
            match wanted {
                Wanted::Connect(connection, to) => {
                    assert!(!to.is_unspecified() && to != LOCAL, "{to} is dialled");
                    // Every other peer speaks version 12 alone.
                    let max = if to.port().is_multiple_of(2) { 13 } else { 12 };
                    let reader = Inbound::new(VersionRange { min: 12, max }, InboundLimits::default());
                    let dialled =
                        Dialled { to, is_open: false, is_busy: false, reader: Some(reader), accept: None };
                    self.open(connection, Socket::Dialled(Box::new(dialled)));
                }
                Wanted::Write(connection, bytes) => self.on_write(connection, &bytes),
                Wanted::Close(connection) => {
                    assert!(self.sockets.remove(&connection).is_some(), "{connection} is not open");
                }
                Wanted::Packet(to, _) => panic!("a packet to {to}"),
            }
        }
        assert_eq!(self.node.node.stats().connections, self.ever);
    }

    fn on_write(&mut self, connection: ConnectionId, bytes: &[u8]) {
        match self.sockets.get_mut(&connection).expect("a node writes to connections that it has") {
            Socket::Accepted { is_answered, .. } => {
                assert_eq!(bytes.len(), Accept::SIZE, "an acceptor sends nothing but its answer");
                assert!(!core::mem::replace(is_answered, true), "it answers once");
            }
            Socket::Dialled(dialled) => {
                assert!(dialled.is_open && !dialled.is_busy, "{connection} is not writable");
                dialled.is_busy = true;
                dialled.read(bytes, &mut self.scratch, &mut self.echoes, &self.node);
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
                    match Message::decode(header.verb, payload, Codec::new(version)) {
                        Some(Ok(Message::EchoRequest)) => drop(echoes.insert(self.to, header.id)),
                        Some(decoded) => {
                            node.check_trace(&decoded.expect("what the node writes can be read"));
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

/// How an input of [`node_streams`] reads.
pub(crate) fn show_node_streams(data: &[u8]) -> String {
    show::<Life<'_>>(data)
}
