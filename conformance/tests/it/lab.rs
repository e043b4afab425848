//! Where a scenario gets its nodes from.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::time::Duration;

use gossip_adapter::{Event, Events, GossipOnly, Handle, StartError, Transport};

use crate::adapters::{Adapter, NodeSpec};
use crate::member::{Member, all_live, eventually, told_to_the_end};

/// The times between two rounds at which a scenario is tried, one after the other. At the first a node is convicted after some 0.9 s of
/// silence, at the last after 14 s.
const INTERVALS: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];

/// Why a scenario ended: nodes were silent for longer than the interval lets them be. Either the machine was too slow for that interval,
/// or a node is wrong. A longer interval tells which.
pub(crate) struct TooSlow(pub(crate) String);

impl TooSlow {
    /// Ends the scenario.
    pub(crate) fn end(self) -> ! {
        panic::resume_unwind(Box::new(self))
    }
}

/// How the nodes of a scenario speak with each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Internode,
    /// As `Internode`, under TLS alone.
    Tls,
    /// As `Internode`, between nodes that behave like those of Cassandra 6.0: messaging version 14, with an identifier of the metadata.
    Cassandra6,
    Datagram,
}

impl Kind {
    const fn transport(self) -> Transport {
        match self {
            Self::Internode | Self::Tls | Self::Cassandra6 => Transport::Internode,
            Self::Datagram => Transport::Datagram,
        }
    }
}

pub(crate) struct Lab {
    cluster: String,
    kind: Kind,
    adapters: &'static [Adapter],
    pub(crate) transport: Transport,
    /// The time between two rounds of its nodes.
    pub(crate) interval: Duration,
    started: Cell<usize>,
}

impl Lab {
    /// Each scenario has a cluster of its own, so that a node that gets the former port of another is left alone.
    fn new(name: &str, adapters: &'static [Adapter], first: usize, kind: Kind, interval: Duration) -> Self {
        let cluster = format!("{name} {first} {interval:?} {}", process::id());
        Self { cluster, kind, adapters, transport: kind.transport(), interval, started: Cell::new(first) }
    }

    /// Runs a scenario once for each adapter to be the first, so that each of them has each part in it. If nodes are convicted that
    /// should not be, it is run again with a longer interval: a node that is wrong is convicted at each of them.
    pub(crate) fn each(name: &str, adapters: &'static [Adapter], kind: Kind, scenario: impl Fn(&Self)) {
        for first in 0..adapters.len() {
            let is_done = INTERVALS.iter().any(|interval| {
                let lab = Self::new(name, adapters, first, kind, *interval);
                match panic::catch_unwind(AssertUnwindSafe(|| scenario(&lab))) {
                    Ok(()) => true,
                    Err(end) => match end.downcast::<TooSlow>() {
                        Ok(why) => {
                            eprintln!("{name}, every {interval:?}: {}", why.0);
                            false
                        }
                        Err(failure) => panic::resume_unwind(failure),
                    },
                }
            });
            assert!(is_done, "{name} fails at each interval");
        }
    }

    pub(crate) fn spec(&self) -> NodeSpec {
        let spec = self.plain_spec();
        match self.kind {
            Kind::Tls => spec.tune(|config| config.tls(crate::tls::required())),
            Kind::Cassandra6 => spec.tune(crate::scenarios::like_6_0),
            Kind::Internode | Kind::Datagram => spec,
        }
    }

    /// Whether its nodes take TLS alone.
    pub(crate) fn is_secured(&self) -> bool {
        self.kind == Kind::Tls
    }

    /// A node without TLS, whatever the others have.
    pub(crate) fn plain_spec(&self) -> NodeSpec {
        NodeSpec::new(self.cluster.clone(), self.transport, self.interval)
    }

    /// Starts a node, of each adapter in turn.
    pub(crate) fn try_start(&self, spec: NodeSpec) -> Result<Member, StartError> {
        let adapter = self.adapters[self.started.get() % self.adapters.len()];
        self.started.set(self.started.get() + 1);
        (adapter.start)(spec).map(|(handle, events)| Member::new(handle, events, adapter.name))
    }

    /// Starts a gossip-only member, of the adapter whose turn it is.
    pub(crate) fn start_guest(&self, spec: NodeSpec) -> Member<GossipOnly> {
        let (handle, events, adapter) = self.guest(spec);
        Member::new(handle, events, adapter)
    }

    /// Starts a gossip-only member that ends by itself, and waits for that. It may have ended before it can be asked anything.
    pub(crate) fn told_by_guest(&self, spec: NodeSpec) -> Vec<Event> {
        let (_handle, events, _) = self.guest(spec);
        told_to_the_end(events)
    }

    fn guest(&self, spec: NodeSpec) -> (Handle<GossipOnly>, Events, &'static str) {
        let adapter = self.adapters[self.started.get() % self.adapters.len()];
        self.started.set(self.started.get() + 1);
        let (handle, events) = (adapter.start_guest)(spec).expect("a guest starts");
        (handle, events, adapter.name)
    }

    pub(crate) fn start(&self, spec: NodeSpec) -> Member {
        self.try_start(spec).unwrap_or_else(|error| panic!("{}: {error}", self.cluster))
    }

    /// So many nodes that find each other live. The first is the seed of all.
    pub(crate) fn cluster(&self, nodes: usize) -> Vec<Member> {
        let mut members = vec![self.start(self.spec())];
        while members.len() < nodes {
            members.push(self.start(self.spec().seed(members[0].listen_address())));
        }
        all_live(&members);
        members
    }

    /// Starts a later process of a node that has stopped. Another process may have its port for a moment.
    pub(crate) fn restart(&self, address: SocketAddr, spec: impl Fn() -> NodeSpec) -> Member {
        let mut restarted = None;
        eventually(("start again on", address), || match self.try_start(spec().listen(address)) {
            Ok(member) => {
                restarted = Some(member);
                true
            }
            Err(StartError::Bind { .. }) => false,
            Err(error) => panic!("{error}"),
        });
        restarted.expect("it has started")
    }

    /// Whether a node could listen there.
    pub(crate) fn is_free(&self, address: SocketAddr) -> bool {
        match self.transport {
            Transport::Datagram => UdpSocket::bind(address).is_ok(),
            _ => TcpListener::bind(address).is_ok(),
        }
    }
}
