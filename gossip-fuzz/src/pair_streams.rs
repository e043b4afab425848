//! Two nodes, and connections between them that are slow, break, and damage what they carry.

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use gossip_core::{ConnectionId, Input, Transport};

use crate::pair::{ENDPOINTS, Event, Pair};
use crate::watched::{Tuning, Wanted, Watched};
use crate::{script, show};

/// How much may go to and fro before both are done with it.
const MAX_CARRIED: usize = 4_096;

#[derive(Arbitrary, Debug)]
struct Schedule<'a> {
    tuning: Tuning,
    steps: Vec<Step<'a>>,
}

/// What happens next.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// A dial gets through, and all that was written so far arrives, as well as the answers to it.
    Settle,
    /// A dial gets through.
    Open {
        pipe: u8,
    },
    Fail {
        pipe: u8,
    },
    /// So many bytes arrive at one end.
    Deliver {
        pipe: u8,
        side: bool,
        bytes: u16,
    },
    /// A connection breaks, with all that was under way.
    Break {
        pipe: u8,
    },
    /// A byte under way is changed.
    Change {
        pipe: u8,
        side: bool,
        at: u16,
        bits: u8,
    },
    Event(Event<'a>),
}

/// Two nodes over connections, under any schedule of what happens to them and to their connections: neither panics, goes back, or
/// breaks its limits or the contract with its driver; and once nothing breaks any more they agree.
pub fn pair_streams(data: &[u8]) {
    let Some(schedule) = script::<Schedule<'_>>(data) else { return };
    let mut pair = Pair::new(schedule.tuning, Transport::Internode);
    let mut network = Network::default();
    network.take(&mut pair);
    for step in &schedule.steps {
        network.step(&mut pair, step);
        network.take(&mut pair);
    }
    pair.calm_down(|pair, replaced| {
        if let Some(who) = replaced {
            network.forget(who);
        }
        network.settle(pair);
    });
}

/// A connection between the two, or what is left of one.
struct Pipe {
    /// Who dialled.
    dialler: usize,
    /// The names that both ends gave it, the dialler's first; `None`: the acceptor has none yet, or the end is closed.
    ends: [Option<ConnectionId>; 2],
    is_open: bool,
    /// Whether a process listens at the other address.
    is_nowhere: bool,
    /// What is under way from each end.
    lanes: [VecDeque<u8>; 2],
    is_busy: [bool; 2],
}

#[derive(Default)]
struct Network {
    pipes: Vec<Pipe>,
}

impl Pipe {
    /// Whose end it is.
    const fn host(&self, side: usize) -> usize {
        if side == 0 { self.dialler } else { 1 - self.dialler }
    }

    fn is_over(&self) -> bool {
        self.ends == [None; 2]
    }
}

impl Network {
    fn step(&mut self, pair: &mut Pair, step: &Step<'_>) {
        match step {
            Step::Settle => self.settle(pair),
            Step::Open { pipe } => {
                if let Some(at) = self.one(*pipe) {
                    self.open(pair, at);
                }
            }
            Step::Fail { pipe } => {
                if let Some(at) = self.one(*pipe) {
                    self.fail(pair, at);
                }
            }
            Step::Deliver { pipe, side, bytes } => {
                if let Some(at) = self.one(*pipe) {
                    self.deliver(pair, at, usize::from(*side), usize::from(*bytes) + 1);
                }
            }
            Step::Break { pipe } => {
                if let Some(at) = self.one(*pipe).filter(|at| self.pipes[*at].is_open) {
                    let pipe = self.pipes.swap_remove(at);
                    for side in 0..2 {
                        close(&mut pair.nodes[pipe.host(side)], pipe.ends[side]);
                    }
                }
            }
            Step::Change { pipe, side, at, bits } => {
                if let Some(pipe) = self.one(*pipe).map(|at| &mut self.pipes[at])
                    && let Some(byte) = pipe.lanes[usize::from(*side)].get_mut(usize::from(*at))
                {
                    *byte ^= bits;
                }
            }
            Step::Event(event) => {
                if let Some(who) = pair.happen(event) {
                    self.forget(who);
                }
            }
        }
    }

    fn one(&self, pipe: u8) -> Option<usize> {
        usize::from(pipe).checked_rem(self.pipes.len())
    }

    fn open(&mut self, pair: &mut Pair, at: usize) {
        let pipe = &mut self.pipes[at];
        if pipe.is_open || pipe.is_nowhere {
            return;
        }
        let Some(connection) = pair.nodes[1 - pipe.dialler].accept() else { return self.fail(pair, at) };
        pipe.is_open = true;
        pipe.ends[1] = Some(connection);
        if let Some(connection) = pipe.ends[0] {
            pair.nodes[pipe.dialler].input(Input::Opened { connection });
        }
    }

    fn fail(&mut self, pair: &mut Pair, at: usize) {
        if !self.pipes[at].is_open {
            let pipe = self.pipes.swap_remove(at);
            if let Some(connection) = pipe.ends[0] {
                pair.nodes[pipe.dialler].input(Input::Failed { connection });
            }
        }
    }

    /// Lets bytes from one end arrive at the other, or its end. Says whether there was anything.
    fn deliver(&mut self, pair: &mut Pair, at: usize, side: usize, bytes: usize) -> bool {
        let pipe = &mut self.pipes[at];
        let (from, to) = (pipe.host(side), pipe.host(1 - side));
        if !pipe.is_open {
            return false;
        }
        let lane = &mut pipe.lanes[side];
        if lane.is_empty() {
            // Behind all bytes the end arrives, if there is one.
            let is_end = pipe.ends[side].is_none() && pipe.ends[1 - side].is_some();
            if is_end {
                close(&mut pair.nodes[to], pipe.ends[1 - side].take());
            }
            return is_end;
        }
        let bytes: Vec<u8> = lane.drain(..bytes.min(lane.len())).collect();
        let is_done = lane.is_empty() && core::mem::take(&mut pipe.is_busy[side]);
        if let Some(connection) = pipe.ends[1 - side] {
            pair.nodes[to].input(Input::Bytes { connection, bytes: &bytes });
        }
        if let Some(connection) = pipe.ends[side].filter(|_| is_done) {
            pair.nodes[from].input(Input::Writable { connection });
        }
        true
    }

    /// A process is gone, and its host closes its connections.
    fn forget(&mut self, who: usize) {
        for pipe in &mut self.pipes {
            for side in 0..2 {
                if pipe.host(side) == who {
                    pipe.ends[side] = None;
                }
            }
        }
        // Dials without a waiter.
        self.pipes.retain(|pipe| pipe.is_open || pipe.ends[0].is_some());
    }

    /// Takes what both want.
    fn take(&mut self, pair: &mut Pair) {
        for (who, node) in pair.nodes.iter_mut().enumerate() {
            for wanted in node.drain() {
                match wanted {
                    Wanted::Connect(connection, to) => self.pipes.push(Pipe {
                        dialler: who,
                        ends: [Some(connection), None],
                        is_open: false,
                        is_nowhere: to != ENDPOINTS[1 - who],
                        lanes: Default::default(),
                        is_busy: [false; 2],
                    }),
                    Wanted::Write(connection, bytes) => {
                        let (pipe, side) = self.find(who, connection);
                        assert!(pipe.is_open && !pipe.is_busy[side], "{connection} is not writable");
                        // An answer is written whatever is under way; there is nothing.
                        assert!(pipe.lanes[side].is_empty(), "{connection} has not written what it had to");
                        pipe.lanes[side].extend(bytes);
                        pipe.is_busy[side] = true;
                    }
                    Wanted::Close(connection) => {
                        let (pipe, side) = self.find(who, connection);
                        pipe.ends[side] = None;
                    }
                    Wanted::Packet(to, _) => panic!("a packet to {to}"),
                }
            }
        }
        self.pipes.retain(|pipe| !pipe.is_over() && (pipe.is_open || pipe.ends[0].is_some()));
    }

    fn find(&mut self, who: usize, connection: ConnectionId) -> (&mut Pipe, usize) {
        let found = self.pipes.iter_mut().find_map(|pipe| {
            let side = (0..2).find(|side| pipe.host(*side) == who && pipe.ends[*side] == Some(connection));
            side.map(|side| (pipe, side))
        });
        found.expect("a node names connections that it has")
    }

    /// Opens, fails and delivers until nothing is left to do.
    fn settle(&mut self, pair: &mut Pair) {
        self.take(pair);
        for _ in 0..MAX_CARRIED {
            let mut is_done = true;
            for at in (0..self.pipes.len()).rev() {
                if !self.pipes[at].is_open {
                    is_done = false;
                    if self.pipes[at].is_nowhere { self.fail(pair, at) } else { self.open(pair, at) }
                } else {
                    for side in 0..2 {
                        is_done &= !self.deliver(pair, at, side, usize::MAX);
                    }
                }
            }
            self.take(pair);
            if is_done {
                return;
            }
        }
        panic!("they go on and on");
    }
}

fn close(node: &mut Watched, connection: Option<ConnectionId>) {
    if let Some(connection) = connection {
        node.input(Input::Closed { connection });
    }
}

/// How an input of [`pair_streams`] reads.
pub(crate) fn show_pair_streams(data: &[u8]) -> String {
    show::<Schedule<'_>>(data)
}
