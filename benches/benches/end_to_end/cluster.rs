//! The endpoints that the node knows, and the messages of exchanges about them.

use std::net::SocketAddr;

use gossip_benches::messages::{CLUSTER, CODEC, body, int, ordinary_states, string};
use gossip_core::wire::Writer;
use gossip_core::{DEFAULT_PARTITIONER, Endpoint};

/// The generation of all of them.
pub(crate) const GENERATION: i32 = 1_700_000_000;

/// Where their heartbeats begin: above the versions of all values.
const FIRST_HEARTBEAT: i32 = 100;

/// The endpoints, and the heartbeat of each that the node knows.
pub(crate) struct Cluster {
    port: u16,
    heartbeats: Vec<i32>,
    exchanges: usize,
}

/// The bodies of one exchange. Each SYN is answered by an ACK, and that by the ACK2 in the same place.
pub(crate) struct Exchange {
    pub(crate) syns: Vec<Vec<u8>>,
    pub(crate) ack2s: Vec<Vec<u8>>,
}

impl Cluster {
    /// So many endpoints on this port. The first one speaks to the node.
    pub(crate) fn new(count: u16, port: u16) -> Self {
        Self { port, heartbeats: vec![FIRST_HEARTBEAT; usize::from(count)], exchanges: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.heartbeats.len()
    }

    /// The first is at 127.0.0.1, the others each at an address of 127.1.0.0/16.
    pub(crate) fn endpoint(&self, nth: usize) -> Endpoint {
        let [.., high, low] = nth.to_be_bytes();
        match nth {
            0 => Endpoint::v4([127, 0, 0, 1], self.port),
            _ => Endpoint::v4([127, 1, high, low], self.port),
        }
    }

    pub(crate) fn address(&self, nth: usize) -> SocketAddr {
        self.endpoint(nth).into()
    }

    /// Which of them has that address.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<usize> {
        (0..self.len()).find(|nth| self.address(*nth) == address)
    }

    /// A SYN that lists these.
    pub(crate) fn syn(&self, which: &[usize]) -> Vec<u8> {
        self.syn_of(which.iter().map(|nth| (*nth, FIRST_HEARTBEAT)))
    }

    /// An ACK2 with everything that these publish.
    pub(crate) fn whole_states(&self, which: &[usize]) -> Vec<u8> {
        body(|out| {
            count(out, which.len());
            for nth in which {
                let states = ordinary_states(u32::try_from(*nth).expect("a few thousand"));
                self.head(out, *nth, FIRST_HEARTBEAT, states.len());
                for (version, (key, text)) in (1..).zip(&states) {
                    int(out, key.number());
                    let mut encoded = Vec::new();
                    gossip_core::wire::encode_str(text, &mut encoded);
                    let text = gossip_core::wire::JavaStr::new(&encoded).expect("just encoded");
                    out.string(text).expect("room");
                    int(out, version);
                }
            }
        })
    }

    /// The next exchange, with at most so many digests in a SYN. A third of the endpoints have a newer heartbeat here, and a third at the
    /// node, other ones each time.
    pub(crate) fn exchange(&mut self, per_syn: usize) -> Exchange {
        self.exchanges += 1;
        let (mut syns, mut ack2s) = (Vec::new(), Vec::new());
        let all: Vec<usize> = (0..self.len()).collect();
        for part in all.chunks(per_syn) {
            let newer: Vec<usize> =
                part.iter().copied().filter(|nth| (nth + self.exchanges).is_multiple_of(3)).collect();
            for nth in &newer {
                self.heartbeats[*nth] += 1;
            }
            syns.push(self.syn_of(part.iter().map(|nth| {
                let is_older = (nth + self.exchanges) % 3 == 1;
                (*nth, self.heartbeats[*nth] - i32::from(is_older))
            })));
            ack2s.push(body(|out| {
                count(out, newer.len());
                for nth in &newer {
                    self.head(out, *nth, self.heartbeats[*nth], 0);
                }
            }));
        }
        Exchange { syns, ack2s }
    }

    fn syn_of(&self, digests: impl ExactSizeIterator<Item = (usize, i32)>) -> Vec<u8> {
        body(|out| {
            string(out, CLUSTER);
            string(out, DEFAULT_PARTITIONER);
            count(out, digests.len());
            for (nth, version) in digests {
                out.endpoint(self.endpoint(nth), CODEC.address_form()).expect("room");
                int(out, GENERATION);
                int(out, version);
            }
        })
    }

    fn head(&self, out: &mut Writer<'_>, nth: usize, heartbeat: i32, values: usize) {
        out.endpoint(self.endpoint(nth), CODEC.address_form()).expect("room");
        int(out, GENERATION);
        int(out, heartbeat);
        count(out, values);
    }
}

fn count(out: &mut Writer<'_>, len: usize) {
    int(out, i32::try_from(len).expect("a list that fits a message"));
}
