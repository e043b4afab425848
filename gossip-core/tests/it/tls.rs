//! Nodes under TLS, in memory and in virtual time: who has to use it, whose certificate holds, and what bad input costs.

mod hostile;
mod identity;
mod keys;
mod policies;
mod running;

use alloc::collections::{BTreeMap, VecDeque};
use core::net::IpAddr;
use core::time::Duration;

use gossip_core::{
    Config, ConfigBuilder, ConnectionId, Endpoint, Event, Generation, Input, Node, Output, Standing, Stats,
    Timestamp, Tls, TlsBuilder, TlsFault,
};

use self::keys::Keys;
use crate::support::CLUSTER;

/// What the wall clock reads at the start, in milliseconds since the Unix epoch.
const NOW: u64 = 1_700_000_000_000;

/// The address of the node of that number.
fn address(number: usize) -> Endpoint {
    Endpoint::v4([10, 0, 0, u8::try_from(number + 1).unwrap()], 7000)
}

fn config(number: usize) -> ConfigBuilder {
    let generation = Generation::new(100);
    let entropy = [u8::try_from(number + 7).unwrap(); 32];
    Config::builder(CLUSTER, address(number), generation, entropy).seed(address(0))
}

/// A node whose certificate names its address, with the strict rules.
fn strict(keys: &Keys, number: usize) -> TlsBuilder {
    let (chain, key) = keys.node(number);
    Tls::builder(keys::provider()).identity(chain, key).trusted(vec![keys.authority()])
}

struct Member {
    node: Node,
    endpoint: Endpoint,
    /// Which address its dials come from.
    source: IpAddr,
    events: Vec<Event>,
    deadline: Option<Timestamp>,
}

/// What is on its way to a node.
enum Arrival {
    Opened,
    Failed,
    Bytes(Vec<u8>),
    Writable,
    Closed,
}

/// Nodes whose connections are queues in memory.
struct Net {
    members: Vec<Member>,
    now: Timestamp,
    /// The other end of each connection.
    ends: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
    arrivals: VecDeque<(usize, ConnectionId, Arrival)>,
    /// All that was written, by which node.
    written: Vec<(usize, ConnectionId, Vec<u8>)>,
    /// Which of the connections that were dialled began with TLS, by dialler and acceptor.
    begun: Vec<(usize, usize, bool)>,
}

impl Net {
    fn new(configs: impl IntoIterator<Item = ConfigBuilder>) -> Self {
        let mut net = Self {
            members: Vec::new(),
            now: Timestamp::ZERO,
            ends: BTreeMap::new(),
            arrivals: VecDeque::new(),
            written: Vec::new(),
            begun: Vec::new(),
        };
        for config in configs {
            net.add(config);
        }
        net
    }

    fn add(&mut self, config: ConfigBuilder) {
        let endpoint = address(self.members.len());
        let mut node = Node::new(config.build().unwrap(), self.now);
        node.handle_input(self.now, Input::WallClock { unix_ms: self.unix_ms() });
        self.members.push(Member {
            node,
            endpoint,
            source: endpoint.ip(),
            events: Vec::new(),
            deadline: Some(self.now),
        });
    }

    fn unix_ms(&self) -> u64 {
        NOW + self.now.as_nanos() / 1_000_000
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        loop {
            let due = self.members.iter().filter_map(|member| member.deadline).min();
            let Some(due) = due.filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            for at in 0..self.members.len() {
                if self.members[at].deadline.is_some_and(|deadline| deadline <= self.now) {
                    let unix_ms = self.unix_ms();
                    let node = &mut self.members[at].node;
                    node.handle_input(self.now, Input::WallClock { unix_ms });
                    node.handle_input(self.now, Input::Timeout);
                }
            }
            self.settle();
        }
        self.now = end;
    }

    /// Until nothing happens any more.
    fn settle(&mut self) {
        loop {
            for at in 0..self.members.len() {
                self.drain(at);
            }
            let Some((at, connection, arrival)) = self.arrivals.pop_front() else { return };
            let node = &mut self.members[at].node;
            match &arrival {
                Arrival::Opened => node.handle_input(self.now, Input::Opened { connection }),
                Arrival::Failed => node.handle_input(self.now, Input::Failed { connection }),
                Arrival::Bytes(bytes) => node.handle_input(self.now, Input::Bytes { connection, bytes }),
                Arrival::Writable => node.handle_input(self.now, Input::Writable { connection }),
                Arrival::Closed => node.handle_input(self.now, Input::Closed { connection }),
            }
        }
    }

    fn drain(&mut self, at: usize) {
        let mut buffer = vec![0; Node::MIN_BUFFER];
        loop {
            match self.members[at].node.poll(&mut buffer) {
                Output::Connect { connection, to } => self.connect(at, connection, to),
                Output::Write { connection, bytes } => {
                    if let Some((other, end)) = self.ends.get(&(at, connection)).copied() {
                        self.arrivals.push_back((other, end, Arrival::Bytes(bytes.to_vec())));
                        let is_first =
                            !self.written.iter().any(|(_, known, _)| *known == connection || *known == end);
                        if is_first || !self.has_begun(at, connection) {
                            self.note_begun(at, other, connection, bytes);
                        }
                    }
                    self.written.push((at, connection, bytes.to_vec()));
                    self.arrivals.push_back((at, connection, Arrival::Writable));
                }
                Output::Close { connection } => self.close(at, connection),
                Output::Event(event) => self.members[at].events.push(event),
                Output::Timeout(deadline) => {
                    self.members[at].deadline = deadline;
                    return;
                }
                output => panic!("{output:?}"),
            }
        }
    }

    fn has_begun(&self, at: usize, connection: ConnectionId) -> bool {
        self.written.iter().any(|(by, known, _)| (*by, *known) == (at, connection))
    }

    fn note_begun(&mut self, at: usize, other: usize, connection: ConnectionId, bytes: &[u8]) {
        // Who dials writes first.
        let (end, _) = (self.ends[&(at, connection)].1, ());
        if !self.has_begun(other, end) {
            self.begun.push((at, other, bytes[0] == 0x16));
        }
    }

    fn connect(&mut self, at: usize, connection: ConnectionId, to: Endpoint) {
        let found = self.members.iter().position(|member| member.endpoint == to);
        let source = self.members[at].source;
        let accepted = found.filter(|found| self.members[*found].node.is_listening()).and_then(|found| {
            let end = self.members[found].node.accept_from(self.now, Some(source))?;
            Some((found, end))
        });
        let Some((other, end)) = accepted else {
            self.arrivals.push_back((at, connection, Arrival::Failed));
            return;
        };
        self.ends.insert((at, connection), (other, end));
        self.ends.insert((other, end), (at, connection));
        self.arrivals.push_back((at, connection, Arrival::Opened));
    }

    fn close(&mut self, at: usize, connection: ConnectionId) {
        if let Some((other, end)) = self.ends.remove(&(at, connection)) {
            self.ends.remove(&(other, end));
            self.arrivals.push_back((other, end, Arrival::Closed));
        }
    }

    fn stats(&self, at: usize) -> Stats {
        *self.members[at].node.stats()
    }

    fn is_live(&self, at: usize, other: usize) -> bool {
        self.members[at].node.gossiper().standing(address(other)) == Some(Standing::Live)
    }

    fn are_all_live(&self) -> bool {
        let all = 0..self.members.len();
        all.clone().all(|at| all.clone().all(|other| self.is_live(at, other)))
    }

    /// The reported faults of TLS: the endpoint, whether it was dialled, and the fault.
    fn faults(&self, at: usize) -> Vec<(Option<Endpoint>, bool, TlsFault)> {
        self.members[at]
            .events
            .iter()
            .filter_map(|event| match *event {
                Event::TlsFailed { peer, is_dialled, fault } => Some((peer, is_dialled, fault)),
                _ => None,
            })
            .collect()
    }

    fn downs(&self) -> usize {
        let events = self.members.iter().flat_map(|member| &member.events);
        events.filter(|event| matches!(event, Event::Down { .. })).count()
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
