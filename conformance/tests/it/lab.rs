//! Where a scenario gets its nodes from.

use std::cell::Cell;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process;

use gossip_adapter::{StartError, Transport};

use crate::adapters::{Adapter, NodeSpec};
use crate::member::{Member, all_live, eventually};

pub(crate) struct Lab {
    cluster: String,
    adapters: &'static [Adapter],
    pub(crate) transport: Transport,
    started: Cell<usize>,
}

impl Lab {
    /// Each scenario has a cluster of its own, so that nodes that get a port that somebody else has given up are left alone.
    fn new(name: &str, adapters: &'static [Adapter], first: usize, transport: Transport) -> Self {
        let cluster = format!("{name} {first} {}", process::id());
        Self { cluster, adapters, transport, started: Cell::new(first) }
    }

    /// Runs a scenario once for each adapter to be the first, so that each of them has each part in it.
    pub(crate) fn each(
        name: &str,
        adapters: &'static [Adapter],
        transport: Transport,
        scenario: impl Fn(&Self),
    ) {
        for first in 0..adapters.len() {
            scenario(&Self::new(name, adapters, first, transport));
        }
    }

    pub(crate) fn spec(&self) -> NodeSpec {
        NodeSpec::new(self.cluster.clone(), self.transport)
    }

    /// Starts a node, of each adapter in turn.
    pub(crate) fn try_start(&self, spec: NodeSpec) -> Result<Member, StartError> {
        let adapter = self.adapters[self.started.get() % self.adapters.len()];
        self.started.set(self.started.get() + 1);
        (adapter.start)(spec).map(|(handle, events)| Member::new(handle, events, adapter.name))
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

    /// Starts a later process of a node that has stopped. Somebody else may have its port for a moment.
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
