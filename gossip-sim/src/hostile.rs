//! Hosts that mean harm: what one of them takes must not be missing to the others.

use std::time::Duration;

use gossip_core::internode::{
    Accept, ConnectionType, FrameKind, Framing, Header, Initiate, Params, VersionRange, wrap,
};
use gossip_core::message::{Codec, Digest};
use gossip_core::wire::{Writer, encode_str};
use gossip_core::{
    DEFAULT_PARTITIONER, Endpoint, Generation, MAX_URGENT_MESSAGE, MessagingVersion, Verb, Version,
};

use crate::cluster::{Cluster, Happening};
use crate::host::{CLUSTER, Process};
use crate::probe::Probe;

/// How often within an interval a hostile host does something, on average.
const TURNS: u32 = 5;

/// How many connections it opens to each other host in one turn, and how many it has at most.
const OPENED_IN_A_TURN: usize = 5;
const MAX_OPEN: usize = 40;

/// After how many turns it sends another byte of a message that it never finishes.
const DRIP: u32 = 8 * TURNS;

/// How many endpoints that do not exist it names in one message.
const INVENTED: u32 = 256;

/// How many of those there are in all.
const MAX_INVENTED: u32 = 4_096;

/// How much of a message is sent that is never finished, one after the other, in bytes.
const PARTS: [usize; 5] = [60_000, 60_000, 2_000, 200, 60];

/// What hostile hosts speak.
const VERSION: MessagingVersion = MessagingVersion::V12;

/// What a hostile host does to all others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Attack {
    /// It opens connections, and never says whose they are.
    SilentConnections,
    /// It opens connections under names of its own making, and says nothing more.
    IdleConnections,
    /// It opens connections under names of its own making, and begins messages that it never finishes.
    UnfinishedMessages,
    /// It opens connections under names of its own making, and asks to be answered there. Dials to such a name hang.
    UnreachableNames,
    /// It says that it knows a newer state of every host, and endpoints that do not exist. It never gives any of them.
    EmptyClaims,
}

impl Attack {
    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::SilentConnections,
        Self::IdleConnections,
        Self::UnfinishedMessages,
        Self::UnreachableNames,
        Self::EmptyClaims,
    ];
}

/// A process that attacks.
#[derive(Debug)]
pub(crate) struct HostileProcess {
    attack: Attack,
    turn: u32,
    /// How many names it has made.
    names: u32,
    connections: Vec<HostileConnection>,
}

/// A connection that it dialled.
#[derive(Clone, Copy, Debug)]
struct HostileConnection {
    pipe: u64,
    to: usize,
    /// What it is called there.
    name: Endpoint,
    /// How many connections there were before.
    number: u32,
    is_greeted: bool,
}

/// An address that a hostile host made up.
fn invented(n: u32) -> Endpoint {
    let [_, a, b, c] = n.to_be_bytes();
    Endpoint::v4([172, a, b, c], 7000)
}

/// Whether no answer ever comes from there, not even a refusal.
pub(crate) fn is_invented(endpoint: Endpoint) -> bool {
    matches!(endpoint.ip(), std::net::IpAddr::V4(ip) if ip.octets()[0] == 172)
}

impl<P: Probe> Cluster<P> {
    /// Lets a hostile process attack all other hosts from `host`, in place of the one that may run there, until
    /// [`Cluster::kill`] or [`Cluster::restart`].
    ///
    /// # Panics
    ///
    /// If there is no such host, or what travels is not bytes ([`Builder::streams`](crate::Builder::streams)).
    pub fn attack(&mut self, host: usize, attack: Attack) {
        assert!(self.carries_bytes(), "a hostile process opens connections");
        self.kill(host);
        let state = &mut self.hosts[host];
        state.boot += 1;
        let process = HostileProcess { attack, turn: 0, names: 0, connections: Vec::new() };
        state.process = Some(Process::Hostile(Box::new(process)));
        self.queue.push(self.now, Happening::Attack { host, boot: state.boot });
    }

    /// One turn of a hostile process, and when the next is.
    pub(crate) fn on_attack(&mut self, host: usize, boot: u32) {
        if self.hosts[host].boot != boot {
            return;
        }
        let Some(Process::Hostile(process)) = &mut self.hosts[host].process else { return };
        process.turn += 1;
        let HostileProcess { attack, turn, mut names, .. } = **process;
        let mut connections = std::mem::take(&mut process.connections);
        connections.retain(|connection| self.streams.is_dialled(connection.pipe));
        let most = if attack == Attack::EmptyClaims { 1 } else { MAX_OPEN };
        for to in (0..self.hosts.len()).filter(|to| *to != host) {
            if !matches!(self.hosts[to].process, Some(Process::Node(_))) {
                continue;
            }
            let open = connections.iter().filter(|connection| connection.to == to).count();
            let at_once = if attack == Attack::UnfinishedMessages { 2 } else { OPENED_IN_A_TURN };
            for _ in open..most.min(open + at_once) {
                let pipe = self.dial_as_attacker(host, to);
                // Every other idle connection is of one and the same name.
                let is_own =
                    attack == Attack::EmptyClaims || (attack == Attack::IdleConnections && names % 2 == 0);
                let name = if is_own {
                    self.hosts[host].endpoint
                } else {
                    let host = u32::try_from(host).expect("there are few hosts");
                    invented(host * 100_000 + names)
                };
                connections.push(HostileConnection { pipe, to, name, number: names, is_greeted: false });
                names += 1;
            }
        }
        for connection in &mut connections {
            if self.streams.is_accepted(connection.pipe) {
                let bytes = self.hostile_bytes(attack, turn, connection);
                self.write_as_attacker(connection.pipe, &bytes);
            }
        }
        if let Some(Process::Hostile(process)) = &mut self.hosts[host].process {
            process.connections = connections;
            process.names = names;
        }
        let pause = self.network.rng.between(Duration::ZERO, self.settings.interval * 2 / TURNS);
        self.queue.push(self.now + pause, Happening::Attack { host, boot });
    }

    /// What is written over a connection in this turn.
    fn hostile_bytes(&self, attack: Attack, turn: u32, connection: &mut HostileConnection) -> Vec<u8> {
        if attack == Attack::SilentConnections {
            return Vec::new();
        }
        let is_first = !std::mem::replace(&mut connection.is_greeted, true);
        let mut bytes = if is_first { initiate(connection.name) } else { Vec::new() };
        match attack {
            Attack::SilentConnections | Attack::IdleConnections => {}
            Attack::UnfinishedMessages if is_first => {
                let part = PARTS[connection.number as usize % PARTS.len()];
                bytes.extend_from_slice(&unfinished()[..part]);
            }
            Attack::UnfinishedMessages => {
                if (turn + connection.number).is_multiple_of(DRIP) {
                    bytes.push(0);
                }
            }
            Attack::UnreachableNames => bytes.extend(frame(Verb::ECHO_REQ, &[])),
            Attack::EmptyClaims => {
                let claim = |endpoint, generation: Generation| Digest {
                    endpoint,
                    generation,
                    max_version: Version::new(1_000_000),
                };
                let hosts = self.hosts.iter().filter_map(|host| Some(claim(host.endpoint, host.generation?)));
                let first = turn.wrapping_mul(INVENTED);
                let others = (0..INVENTED).map(|n| invented(first.wrapping_add(n) % MAX_INVENTED));
                let others = others.map(|endpoint| claim(endpoint, Generation::new(1_700_000_000)));
                bytes.extend(frame(Verb::GOSSIP_DIGEST_SYN, &syn(hosts.chain(others))));
            }
        }
        bytes
    }
}

fn written<E: std::fmt::Debug>(size: usize, write: impl FnOnce(&mut Writer<'_>) -> Result<(), E>) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut out = Writer::new(&mut bytes);
    write(&mut out).expect("it fits");
    let len = out.len();
    bytes.truncate(len);
    bytes
}

fn initiate(from: Endpoint) -> Vec<u8> {
    let versions = VersionRange { min: 12, max: 12 };
    let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, versions, from);
    written(Initiate::MAX_SIZE, |out| initiate.encode(out))
}

/// The answer to the handshake of a node.
pub(crate) fn accept() -> impl Iterator<Item = u8> {
    Accept { max: 12, version: 12 }.to_bytes().into_iter()
}

/// A message in a frame of its own.
fn frame(verb: Verb, body: &[u8]) -> Vec<u8> {
    wrapped(FrameKind::SelfContained, &[header(verb, body.len()), body.to_vec()].concat())
}

/// The first frame of a message of which there never is another.
fn unfinished() -> Vec<u8> {
    let mut payload = header(Verb::GOSSIP_DIGEST_ACK2, 1 << 19);
    payload.resize(70_000, 0);
    wrapped(FrameKind::Piece, &payload)
}

fn header(verb: Verb, payload_size: usize) -> Vec<u8> {
    let header = Header {
        id: 1,
        epoch: 0,
        created_at: 0,
        expires_in: i64::from(i32::MAX),
        verb,
        flags: 0,
        params: Params::NONE,
        payload_size,
    };
    written(256, |out| header.encode(VERSION, out))
}

fn wrapped(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    const MARGIN: usize = 32;
    let end = MARGIN + payload.len();
    let mut buffer = vec![0; end + MARGIN];
    buffer[MARGIN..end].copy_from_slice(payload);
    let frame = wrap(Framing::Crc, kind, &mut buffer, MARGIN..end).expect("a frame has room for it");
    buffer[frame].to_vec()
}

/// The body of a SYN.
fn syn(digests: impl Iterator<Item = Digest>) -> Vec<u8> {
    let digests: Vec<_> = digests.collect();
    let mut body = Vec::new();
    for text in [CLUSTER, DEFAULT_PARTITIONER] {
        let mut encoded = Vec::new();
        encode_str(text, &mut encoded);
        body.extend(u16::try_from(encoded.len()).expect("a name is short").to_be_bytes());
        body.extend(encoded);
    }
    body.extend(i32::try_from(digests.len()).expect("there are few").to_be_bytes());
    body.extend(written(MAX_URGENT_MESSAGE, |out| {
        digests.iter().try_for_each(|digest| digest.encode(Codec::new(VERSION), out))
    }));
    body
}
