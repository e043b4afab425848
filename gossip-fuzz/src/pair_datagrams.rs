//! Two nodes, and a network that loses packets, repeats them and lets them overtake each other.

use arbitrary::Arbitrary;
use gossip_core::{Input, Transport};

use crate::pair::{ENDPOINTS, Event, Pair};
use crate::watched::{Tuning, Wanted};
use crate::{script, show};

/// How many packets may be under way; what is more is lost.
const MAX_UNDER_WAY: usize = 64;

/// How many may go to and fro before both are done with it.
const MAX_PACKETS: usize = 4_096;

#[derive(Arbitrary, Debug)]
struct Schedule<'a> {
    tuning: Tuning,
    steps: Vec<Step<'a>>,
}

/// What happens next.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Deliver {
        which: u8,
    },
    DeliverAll,
    /// A packet arrives, and will arrive again.
    Repeat {
        which: u8,
    },
    Lose {
        which: u8,
    },
    /// A packet arrives with another byte. Without a seal this could not be noticed; the checksum of UDP is not ours.
    Change {
        which: u8,
        at: u16,
        bits: u8,
    },
    Event(Event<'a>),
}

/// Two nodes over packets, under any schedule of what happens to them and to their packets: neither panics, goes back, or breaks its
/// limits; and once nothing is lost any more they agree.
pub fn pair_datagrams(data: &[u8]) {
    let Some(schedule) = script::<Schedule<'_>>(data) else { return };
    let mut pair = Pair::new(schedule.tuning, Transport::Datagram);
    let mut network = Network { is_sealed: schedule.tuning.is_sealed(), under_way: Vec::new() };
    network.take(&mut pair);
    for step in &schedule.steps {
        network.step(&mut pair, step);
        network.take(&mut pair);
    }
    pair.calm_down(|pair, _| network.settle(pair));
}

struct Network {
    is_sealed: bool,
    /// Packets, and their receivers.
    under_way: Vec<(usize, Vec<u8>)>,
}

impl Network {
    fn step(&mut self, pair: &mut Pair, step: &Step<'_>) {
        match step {
            Step::Deliver { which } => {
                if let Some(at) = self.one(*which) {
                    let (to, packet) = self.under_way.swap_remove(at);
                    pair.nodes[to].input(Input::Datagram { bytes: &packet });
                }
            }
            Step::DeliverAll => {
                for (to, packet) in core::mem::take(&mut self.under_way) {
                    pair.nodes[to].input(Input::Datagram { bytes: &packet });
                }
            }
            Step::Repeat { which } => {
                if let Some((to, packet)) = self.one(*which).map(|at| &self.under_way[at]) {
                    pair.nodes[*to].input(Input::Datagram { bytes: packet });
                }
            }
            Step::Lose { which } => {
                if let Some(at) = self.one(*which) {
                    self.under_way.swap_remove(at);
                }
            }
            Step::Change { which, at, bits } => {
                if let Some(which) = self.one(*which).filter(|_| self.is_sealed) {
                    let (_, packet) = &mut self.under_way[which];
                    let at = usize::from(*at) % packet.len();
                    packet[at] ^= bits;
                }
            }
            Step::Event(event) => drop(pair.happen(event)),
        }
    }

    fn one(&self, which: u8) -> Option<usize> {
        usize::from(which).checked_rem(self.under_way.len())
    }

    /// Takes what both want sent.
    fn take(&mut self, pair: &mut Pair) {
        for node in &mut pair.nodes {
            for wanted in node.drain() {
                let Wanted::Packet(to, packet) = wanted else {
                    panic!("a node over packets wants {wanted:?}")
                };
                if let Some(to) = ENDPOINTS.iter().position(|endpoint| *endpoint == to)
                    && self.under_way.len() < MAX_UNDER_WAY
                {
                    self.under_way.push((to, packet));
                }
            }
        }
    }

    /// Delivers until nothing is under way.
    fn settle(&mut self, pair: &mut Pair) {
        let mut count = 0;
        self.take(pair);
        while !self.under_way.is_empty() {
            count += self.under_way.len();
            assert!(count < MAX_PACKETS, "they go on and on");
            self.step(pair, &Step::DeliverAll);
            self.take(pair);
        }
    }
}

/// How an input of [`pair_datagrams`] reads.
pub(crate) fn show_pair_datagrams(data: &[u8]) -> String {
    show::<Schedule<'_>>(data)
}
