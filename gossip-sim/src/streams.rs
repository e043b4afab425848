//! Connections in memory: what a driver does with sockets, for every node of a cluster.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use gossip_core::{ConnectionId, Endpoint, Input, Output, Timestamp};

use crate::cluster::{Cluster, Happening, observe_node};
use crate::host::{Host, Process};
use crate::hostile::{self, is_invented};
use crate::network::Network;
use crate::probe::Probe;
use crate::queue::Queue;

/// All connections of a cluster.
#[derive(Debug)]
pub(crate) struct Streams {
    pipes: BTreeMap<u64, Pipe>,
    next: u64,
    chunk: usize,
    socket_buffer: usize,
    /// What is read next.
    read: Vec<u8>,
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Dialler,
    Acceptor,
}

#[derive(Debug)]
struct Pipe {
    ends: [End; 2],
    /// What each end writes.
    lanes: [Lane; 2],
}

#[derive(Debug)]
struct End {
    host: usize,
    connection: Option<ConnectionId>,
    state: EndState,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum EndState {
    /// The dial has not arrived here, and may never.
    Unreached,
    /// The machine has accepted; the process may not have.
    Open,
    Gone,
}

#[derive(Debug, Default)]
struct Lane {
    /// What was taken and is not yet read.
    wire: VecDeque<u8>,
    /// What is left of a write, in the hands of the driver.
    remainder: VecDeque<u8>,
    writes: u64,
    /// When the last of what was sent arrives.
    last: Timestamp,
    /// How much has come as far as a partition, and whether the end has.
    held: usize,
    is_end_held: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamHappening {
    /// A dial arrives at the machine.
    Dial {
        pipe: u64,
    },
    /// The process learns of it.
    Accept {
        pipe: u64,
    },
    /// The dialler learns that its dial was taken, or not.
    Opened {
        pipe: u64,
    },
    Failed {
        pipe: u64,
    },
    /// So many bytes arrive.
    Bytes {
        pipe: u64,
        to: Side,
        len: usize,
    },
    /// There was room for all that was written.
    Writable {
        pipe: u64,
        side: Side,
    },
    /// The other end is gone, or the network has broken the connection.
    End {
        pipe: u64,
        to: Side,
        broken: bool,
    },
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Dialler => 0,
            Self::Acceptor => 1,
        }
    }
}

impl Pipe {
    const fn host(&self, side: Side) -> usize {
        self.ends[side.index()].host
    }

    fn is_open(&self, side: Side) -> bool {
        self.ends[side.index()].state == EndState::Open
    }
}

impl Streams {
    pub(crate) const fn new(chunk: usize, socket_buffer: usize) -> Self {
        Self { pipes: BTreeMap::new(), next: 0, chunk, socket_buffer, read: Vec::new() }
    }

    /// The host whose process something happens to.
    pub(crate) fn concerned(&self, happening: &StreamHappening) -> Option<usize> {
        let (pipe, side) = match *happening {
            // Machines answer dials, whatever their processes do.
            StreamHappening::Dial { .. } => return None,
            StreamHappening::Accept { pipe } => (pipe, Side::Acceptor),
            StreamHappening::Opened { pipe } | StreamHappening::Failed { pipe } => (pipe, Side::Dialler),
            StreamHappening::Bytes { pipe, to, .. } | StreamHappening::End { pipe, to, .. } => (pipe, to),
            StreamHappening::Writable { pipe, side } => (pipe, side),
        };
        Some(self.pipes.get(&pipe)?.host(side))
    }

    /// Whether the dialler of a connection still has it.
    pub(crate) fn is_dialled(&self, pipe: u64) -> bool {
        self.pipes.get(&pipe).is_some_and(|pipe| pipe.is_open(Side::Dialler))
    }

    /// Whether the machine at the other end has accepted it, and neither end has closed it since.
    pub(crate) fn is_accepted(&self, pipe: u64) -> bool {
        self.pipes.get(&pipe).is_some_and(|pipe| pipe.is_open(Side::Acceptor))
    }

    /// Sends on as much of what was written as there is room for.
    fn pump(
        &mut self,
        id: u64,
        side: Side,
        now: Timestamp,
        network: &mut Network,
        queue: &mut Queue<Happening>,
    ) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        let (from, to) = (pipe.host(side), pipe.host(side.other()));
        let lane = &mut pipe.lanes[side.index()];
        let mut left = self.socket_buffer.saturating_sub(lane.wire.len()).min(lane.remainder.len());
        move_bytes(&mut lane.remainder, left, |bytes| lane.wire.extend(bytes));
        while left > 0 {
            let len = if left <= 1 || self.chunk == usize::MAX {
                left
            } else {
                // No chunk is longer than what is left, which fits.
                1 + usize::try_from(network.rng.below(self.chunk.min(left) as u64)).unwrap_or(0)
            };
            left -= len;
            lane.last = lane.last.max(now + network.travel(from, to));
            let bytes = StreamHappening::Bytes { pipe: id, to: side.other(), len };
            queue.push(lane.last, Happening::Stream(bytes));
        }
    }
}

impl<P: Probe> Cluster<P> {
    /// Breaks all connections between two hosts: both ends learn of it at once, and what was under way is lost.
    pub fn reset(&mut self, one: usize, other: usize) {
        for (id, pipe) in &self.streams.pipes {
            let hosts = (pipe.ends[0].host, pipe.ends[1].host);
            if hosts != (one, other) && hosts != (other, one) {
                continue;
            }
            for to in [Side::Dialler, Side::Acceptor].into_iter().filter(|side| pipe.is_open(*side)) {
                let end = StreamHappening::End { pipe: *id, to, broken: true };
                self.queue.push(self.now, Happening::Stream(end));
            }
        }
    }

    /// How many connections the process on `host` has, dialled and accepted.
    pub fn connections(&self, host: usize) -> usize {
        match &self.hosts[host].process {
            Some(Process::Node(process)) => process.sockets.len(),
            _ => 0,
        }
    }

    /// How many bytes the node on `host` has given away that its connections have not taken yet.
    pub fn unsent(&self, host: usize) -> usize {
        let lanes = self.streams.pipes.values().flat_map(|pipe| pipe.ends.iter().zip(&pipe.lanes));
        lanes.filter(|(end, _)| end.host == host).map(|(_, lane)| lane.remainder.len()).sum()
    }

    pub(crate) fn drain_node(&mut self, host: usize) {
        let mut buffer = mem::take(&mut self.buffer);
        let mut last = None;
        loop {
            let Self { hosts, probe, now, .. } = self;
            let Some(Process::Node(process)) = hosts[host].process.as_mut() else { break };
            let output = observe_node(probe, host, &mut process.node, |node| node.poll(&mut buffer));
            probe.on_output(*now, host, &output);
            match output {
                Output::Connect { connection, to } => self.connect(host, connection, to),
                Output::Write { connection, bytes } => self.write(host, connection, bytes),
                Output::Close { connection } => {
                    if let Some((pipe, side)) = process.sockets.remove(&connection) {
                        self.close_end(pipe, side);
                    }
                }
                Output::Datagram { to, bytes } => self.send_packet(host, to, bytes, &mut last),
                Output::Event(event) => self.on_event(host, event),
                Output::Timeout(until) => {
                    self.sleep(host, until);
                    break;
                }
                other => panic!("a driver does not know what to do with {other:?}"),
            }
        }
        self.buffer = buffer;
    }

    pub(crate) fn on_stream(&mut self, happening: StreamHappening) {
        match happening {
            StreamHappening::Dial { pipe } => self.on_dial(pipe),
            StreamHappening::Accept { pipe } => self.on_accept(pipe),
            StreamHappening::Opened { pipe } => self.on_dialled(pipe, true),
            StreamHappening::Failed { pipe } => self.on_dialled(pipe, false),
            StreamHappening::Bytes { pipe, to, len } => self.on_bytes(pipe, to, len),
            StreamHappening::Writable { pipe, side } => self.on_writable(pipe, side),
            StreamHappening::End { pipe, to, broken } => self.on_end(pipe, to, broken),
        }
    }

    /// The process on `host` is gone, and its machine closes its connections.
    pub(crate) fn close_all(&mut self, host: usize) {
        let mut open = Vec::new();
        for (id, pipe) in &self.streams.pipes {
            for side in [Side::Dialler, Side::Acceptor] {
                if pipe.host(side) == host && pipe.is_open(side) {
                    open.push((*id, side));
                }
            }
        }
        for (pipe, side) in open {
            self.close_end(pipe, side);
        }
    }

    /// A partition is over.
    pub(crate) fn release_bytes(&mut self) {
        for (id, pipe) in &mut self.streams.pipes {
            for side in [Side::Dialler, Side::Acceptor] {
                let (from, to) = (pipe.host(side), pipe.host(side.other()));
                let lane = &mut pipe.lanes[side.index()];
                if lane.held == 0 && !lane.is_end_held {
                    continue;
                }
                lane.last = lane.last.max(self.now + self.network.travel(from, to));
                let (pipe, to) = (*id, side.other());
                let len = mem::take(&mut lane.held);
                self.queue.push(lane.last, Happening::Stream(StreamHappening::Bytes { pipe, to, len }));
                if mem::take(&mut lane.is_end_held) {
                    let end = StreamHappening::End { pipe, to, broken: false };
                    self.queue.push(lane.last, Happening::Stream(end));
                }
            }
        }
    }

    fn connect(&mut self, host: usize, connection: ConnectionId, to: Endpoint) {
        let id = self.streams.next;
        self.streams.next += 1;
        let target = Host::find(&self.hosts, to);
        let Some(Process::Node(process)) = self.hosts[host].process.as_mut() else { return };
        let known = process.sockets.insert(connection, (id, Side::Dialler));
        assert!(known.is_none(), "{connection} is given out twice");
        let dialler = End { host, connection: Some(connection), state: EndState::Open };
        // If no host is there, the dialler's own machine says so.
        let acceptor = End { host: target.unwrap_or(host), connection: None, state: EndState::Unreached };
        self.streams.pipes.insert(id, Pipe { ends: [dialler, acceptor], lanes: Default::default() });
        if is_invented(to) {
            return;
        }
        let at = self.now + self.network.travel(host, target.unwrap_or(host));
        let happening = match target {
            Some(_) => StreamHappening::Dial { pipe: id },
            None => StreamHappening::Failed { pipe: id },
        };
        self.queue.push(at, Happening::Stream(happening));
    }

    /// Opens a connection from a hostile host, and names it.
    pub(crate) fn dial_as_attacker(&mut self, host: usize, to: usize) -> u64 {
        let id = self.streams.next;
        self.streams.next += 1;
        let dialler = End { host, connection: None, state: EndState::Open };
        let acceptor = End { host: to, connection: None, state: EndState::Unreached };
        self.streams.pipes.insert(id, Pipe { ends: [dialler, acceptor], lanes: Default::default() });
        let at = self.now + self.network.travel(host, to);
        self.queue.push(at, Happening::Stream(StreamHappening::Dial { pipe: id }));
        id
    }

    /// Writes to a connection of a hostile host, as far as there is room.
    pub(crate) fn write_as_attacker(&mut self, id: u64, bytes: &[u8]) {
        let Self { now, streams, network, queue, .. } = self;
        let Some(pipe) = streams.pipes.get_mut(&id).filter(|_| !bytes.is_empty()) else { return };
        let lane = &mut pipe.lanes[Side::Dialler.index()];
        if lane.remainder.is_empty() {
            lane.remainder.extend(bytes);
            streams.pump(id, Side::Dialler, *now, network, queue);
        }
    }

    /// A hostile host answers the handshake, so that it gets what it will not answer.
    fn accept_as_attacker(&mut self, id: u64) {
        let Self { now, streams, network, queue, .. } = self;
        let Some(pipe) = streams.pipes.get_mut(&id) else { return };
        let lane = &mut pipe.lanes[Side::Acceptor.index()];
        if lane.writes == 0 {
            lane.writes = 1;
            lane.remainder.extend(hostile::accept());
            streams.pump(id, Side::Acceptor, *now, network, queue);
        }
    }

    fn write(&mut self, host: usize, connection: ConnectionId, bytes: &[u8]) {
        let Self { hosts, probe, now, streams, network, queue, .. } = self;
        let Some(Process::Node(process)) = hosts[host].process.as_mut() else { return };
        let (id, side) =
            *process.sockets.get(&connection).expect("a node writes only to connections that it has");
        let pipe = streams.pipes.get_mut(&id).expect("a connection that a process has is there");
        let lane = &mut pipe.lanes[side.index()];
        assert!(lane.remainder.is_empty(), "{connection} was written to before it was writable");
        network.count(bytes.len());
        lane.writes += 1;
        // Each write after the handshake is whole frames.
        if side == Side::Acceptor || lane.writes == 1 || !network.loses() {
            lane.remainder.extend(bytes);
            streams.pump(id, side, *now, network, queue);
        }
        let is_done =
            streams.pipes.get(&id).is_some_and(|pipe| pipe.lanes[side.index()].remainder.is_empty());
        if is_done {
            let input = Input::Writable { connection };
            observe_node(probe, host, &mut process.node, |node| node.handle_input(*now, input));
        }
    }

    /// One end is closed: the other learns of it behind all bytes under way.
    fn close_end(&mut self, id: u64, side: Side) {
        let Self { streams, network, queue, now, .. } = self;
        let Some(pipe) = streams.pipes.get_mut(&id) else { return };
        let (from, to) = (pipe.host(side), pipe.host(side.other()));
        pipe.ends[side.index()].state = EndState::Gone;
        if !pipe.is_open(side.other()) {
            streams.pipes.remove(&id);
            return;
        }
        let lane = &mut pipe.lanes[side.index()];
        lane.remainder.clear();
        lane.last = lane.last.max(*now + network.travel(from, to));
        let end = StreamHappening::End { pipe: id, to: side.other(), broken: false };
        queue.push(lane.last, Happening::Stream(end));
    }

    fn on_dial(&mut self, id: u64) {
        let Self { streams, network, queue, now, hosts, .. } = self;
        let Some(pipe) = streams.pipes.get_mut(&id) else { return };
        let (from, to) = (pipe.host(Side::Dialler), pipe.host(Side::Acceptor));
        if network.is_cut(from, to) {
            return;
        }
        let back = *now + network.travel(to, from);
        if hosts[to].process.is_none() {
            queue.push(back, Happening::Stream(StreamHappening::Failed { pipe: id }));
            return;
        }
        pipe.ends[Side::Acceptor.index()].state = EndState::Open;
        // Whatever arrives later arrives behind this, and the answer behind what the acceptor says.
        pipe.lanes[Side::Acceptor.index()].last = back;
        queue.push(*now, Happening::Stream(StreamHappening::Accept { pipe: id }));
        queue.push(back, Happening::Stream(StreamHappening::Opened { pipe: id }));
    }

    fn on_accept(&mut self, id: u64) {
        let Self { hosts, probe, now, streams, .. } = self;
        let Some(pipe) = streams.pipes.get_mut(&id).filter(|pipe| pipe.is_open(Side::Acceptor)) else {
            return;
        };
        let host = pipe.host(Side::Acceptor);
        let source = hosts[pipe.host(Side::Dialler)].endpoint.ip();
        let Some(Process::Node(process)) = hosts[host].process.as_mut() else { return };
        let accepted =
            observe_node(probe, host, &mut process.node, |node| node.accept_from(*now, Some(source)));
        match accepted {
            Some(connection) => {
                pipe.ends[Side::Acceptor.index()].connection = Some(connection);
                process.sockets.insert(connection, (id, Side::Acceptor));
            }
            None => self.close_end(id, Side::Acceptor),
        }
        self.drain(host);
    }

    fn on_dialled(&mut self, id: u64, is_open: bool) {
        let Some(pipe) = self.streams.pipes.get(&id) else { return };
        let (host, other) = (pipe.host(Side::Dialler), pipe.host(Side::Acceptor));
        // A hostile host sees for itself what became of its dial.
        if pipe.ends[0].connection.is_none() {
            if !is_open {
                self.streams.pipes.remove(&id);
            }
            return;
        }
        // An answer that does not get through is none: the dialler waits.
        let Some(connection) = pipe.ends[0].connection.filter(|_| !self.network.is_cut(other, host)) else {
            return;
        };
        if is_open {
            self.input(host, Input::Opened { connection });
        } else {
            self.streams.pipes.remove(&id);
            self.forget(host, connection);
            self.input(host, Input::Failed { connection });
        }
        self.drain(host);
    }

    fn on_bytes(&mut self, id: u64, to: Side, len: usize) {
        let Self { hosts, probe, now, streams, network, queue, .. } = self;
        let from = to.other();
        let Some(pipe) = streams.pipes.get_mut(&id) else { return };
        let host = pipe.host(to);
        let lane = &mut pipe.lanes[from.index()];
        if network.is_cut(pipe.ends[from.index()].host, host) {
            lane.held += len;
            return;
        }
        let had_remainder = !lane.remainder.is_empty();
        streams.read.clear();
        move_bytes(&mut lane.wire, len, |bytes| streams.read.extend_from_slice(bytes));
        let connection = pipe.ends[to.index()].connection.filter(|_| pipe.is_open(to));
        if let (Some(connection), Some(Process::Node(process))) = (connection, hosts[host].process.as_mut()) {
            let input = Input::Bytes { connection, bytes: &streams.read };
            observe_node(probe, host, &mut process.node, |node| node.handle_input(*now, input));
        }
        streams.pump(id, from, *now, network, queue);
        let is_done =
            streams.pipes.get(&id).is_some_and(|pipe| pipe.lanes[from.index()].remainder.is_empty());
        if had_remainder && is_done {
            let writable = StreamHappening::Writable { pipe: id, side: from };
            queue.push(*now, Happening::Stream(writable));
        }
        if to == Side::Acceptor && matches!(self.hosts[host].process, Some(Process::Hostile(_))) {
            self.accept_as_attacker(id);
        }
        self.drain(host);
    }

    fn on_writable(&mut self, id: u64, side: Side) {
        let Some(pipe) = self.streams.pipes.get(&id).filter(|pipe| pipe.is_open(side)) else { return };
        let host = pipe.host(side);
        if let Some(connection) = pipe.ends[side.index()].connection {
            self.input(host, Input::Writable { connection });
            self.drain(host);
        }
    }

    fn on_end(&mut self, id: u64, to: Side, broken: bool) {
        let Self { streams, network, .. } = self;
        let Some(pipe) = streams.pipes.get_mut(&id) else { return };
        let (host, other) = (pipe.host(to), pipe.host(to.other()));
        if !broken && network.is_cut(other, host) {
            pipe.lanes[to.other().index()].is_end_held = true;
            return;
        }
        let end = &mut pipe.ends[to.index()];
        let was_open = mem::replace(&mut end.state, EndState::Gone) == EndState::Open;
        let connection = end.connection.filter(|_| was_open);
        if !pipe.is_open(to.other()) {
            streams.pipes.remove(&id);
        }
        if let Some(connection) = connection {
            self.forget(host, connection);
            self.input(host, Input::Closed { connection });
            self.drain(host);
        }
    }

    fn forget(&mut self, host: usize, connection: ConnectionId) {
        if let Some(Process::Node(process)) = self.hosts[host].process.as_mut() {
            process.sockets.remove(&connection);
        }
    }

    fn input(&mut self, host: usize, input: Input<'_>) {
        let Self { hosts, probe, now, .. } = self;
        if let Some(Process::Node(process)) = hosts[host].process.as_mut() {
            observe_node(probe, host, &mut process.node, |node| node.handle_input(*now, input));
        }
    }
}

/// Takes the first `count` bytes out of `from`, in at most two pieces: one by one, they would be most of a run's time.
fn move_bytes(from: &mut VecDeque<u8>, count: usize, mut to: impl FnMut(&[u8])) {
    let (front, back) = from.as_slices();
    let in_front = count.min(front.len());
    to(&front[..in_front]);
    to(&back[..count - in_front]);
    from.drain(..count);
}
