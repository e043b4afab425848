//! A network that can be cut: each node is known to others by the address of a front, which hands on what comes to it. Under TLS a front
//! shakes hands with both ends, so that it reads who dials, and captures what was encrypted.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use gossip_adapter::{Endpoint, Transport};
use gossip_core::internode::Initiate;

use crate::adapters::NodeSpec;
use crate::dead_ends;
use crate::lab::Lab;
use crate::member::Member;
use crate::stream::Stream;

/// How much is kept of a connection, and of how many connections and packets.
const CAPTURED_BYTES: usize = 16 * 1024;
const CAPTURED: usize = 256;

/// All fronts. They close when it is dropped.
pub(crate) struct Network {
    shared: Arc<Shared>,
    transport: Transport,
    is_secured: bool,
    /// How much connections take before they are read from, if that is to be little.
    receive_buffer: Option<usize>,
    fronts: Vec<SocketAddr>,
}

/// What a node sent, as it came.
#[derive(Clone)]
pub(crate) struct Captured {
    pub(crate) to: Endpoint,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a node is no longer held up, and at the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// Which node is known as whom: listening address to endpoint.
    names: HashMap<SocketAddr, Endpoint>,
    /// From whom nothing gets to whom.
    cut: HashSet<(Endpoint, Endpoint)>,
    /// The nodes whose connections are not read.
    held_up: HashSet<Endpoint>,
    links: Vec<Link>,
    /// How many connections were dialled to whom.
    dialled: HashMap<Endpoint, u64>,
    captured: Vec<Captured>,
}

/// A connection that is handed on.
struct Link {
    from: Endpoint,
    to: Endpoint,
    ends: [Stream; 2],
}

impl Network {
    pub(crate) fn new(lab: &Lab) -> Self {
        Self {
            shared: Arc::default(),
            transport: lab.transport,
            is_secured: lab.is_secured(),
            receive_buffer: None,
            fronts: Vec::new(),
        }
    }

    /// A network whose connections are soon full when they are not read.
    pub(crate) fn with_small_buffers(lab: &Lab) -> Self {
        let mut network = Self::new(lab);
        network.receive_buffer = Some(4 * 1024);
        network
    }

    /// Starts a node behind a front of its own.
    pub(crate) fn start(&mut self, lab: &Lab, spec: NodeSpec) -> Member {
        match self.transport {
            Transport::Datagram => self.start_with_packets(lab, spec),
            _ => self.start_with_streams(lab, spec),
        }
    }

    /// So many nodes behind fronts, of which the first is the seed of all.
    pub(crate) fn cluster(&mut self, lab: &Lab, nodes: usize) -> Vec<Member> {
        let mut members = vec![self.start(lab, lab.spec())];
        while members.len() < nodes {
            members.push(self.start(lab, lab.spec().seed(address(members[0].endpoint()))));
        }
        crate::member::all_live(&members);
        members
    }

    /// Nothing gets from one side to the other any more.
    pub(crate) fn cut(&self, left: &[Endpoint], right: &[Endpoint]) {
        let mut state = self.shared.lock();
        for (one, other) in left.iter().flat_map(|one| right.iter().map(move |other| (*one, *other))) {
            state.cut.extend([(one, other), (other, one)]);
        }
        let State { cut, links, .. } = &mut *state;
        links.retain(|link| {
            let passes = !cut.contains(&(link.from, link.to));
            if !passes {
                link.close();
            }
            passes
        });
    }

    /// Everything gets everywhere again.
    pub(crate) fn heal(&self) {
        self.shared.lock().cut.clear();
    }

    /// Connections to that node are not read any more.
    pub(crate) fn hold_up(&self, to: Endpoint) {
        self.shared.lock().held_up.insert(to);
    }

    /// All connections are read again.
    pub(crate) fn let_go(&self) {
        self.shared.lock().held_up.clear();
        self.shared.changed.notify_all();
    }

    /// How many connections were dialled to that node so far.
    pub(crate) fn dialled(&self, to: Endpoint) -> u64 {
        self.shared.lock().dialled.get(&to).copied().unwrap_or(0)
    }

    /// The packets, or what went over each connection.
    pub(crate) fn captured(&self) -> Vec<Captured> {
        self.shared.lock().captured.clone()
    }

    fn start_with_streams(&mut self, lab: &Lab, mut spec: NodeSpec) -> Member {
        let (listener, front) = dead_ends::listen(128, self.receive_buffer);
        spec.broadcast = Some(front);
        let member = lab.start(spec);
        let (shared, to, is_secured) = (self.shared.clone(), member.listen_address(), self.is_secured);
        thread::spawn(move || accept(&shared, &listener, front.into(), to, is_secured));
        self.fronts.push(front);
        member
    }

    fn start_with_packets(&mut self, lab: &Lab, mut spec: NodeSpec) -> Member {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let front = socket.local_addr().expect("it is bound");
        spec.broadcast = Some(front);
        let member = lab.start(spec);
        let (shared, to) = (self.shared.clone(), member.listen_address());
        shared.lock().names.insert(to, front.into());
        thread::spawn(move || hand_on_packets(&shared, &socket, front.into(), to));
        self.fronts.push(front);
        member
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.links.drain(..).for_each(|link| link.close());
        drop(state);
        self.shared.changed.notify_all();
        if self.transport == Transport::Internode {
            for front in &self.fronts {
                // A waiting listener gets a dial.
                let _ = TcpStream::connect(front);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when connections to that node may be read.
    fn wait_while_held_up(&self, to: Endpoint) {
        let state = self.lock();
        let waited = self.changed.wait_while(state, |state| !state.is_closed && state.held_up.contains(&to));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn passes(&self, from: Endpoint, to: Endpoint) -> bool {
        !self.is_closed && !self.cut.contains(&(from, to))
    }

    fn capture(&mut self, to: Endpoint, bytes: &[u8]) {
        if self.captured.len() < CAPTURED {
            self.captured.push(Captured { to, bytes: bytes.to_vec() });
        }
    }
}

impl Link {
    fn close(&self) {
        self.ends.iter().for_each(Stream::shutdown);
    }
}

/// The address of an endpoint.
pub(crate) fn address(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.ip(), endpoint.port())
}

fn hand_on_packets(shared: &Shared, socket: &UdpSocket, front: Endpoint, to: SocketAddr) {
    let wait = Some(Duration::from_millis(50));
    socket.set_read_timeout(wait).expect("a wait that is not zero");
    let mut buffer = vec![0; 1 << 16];
    loop {
        let received = socket.recv_from(&mut buffer);
        let mut state = shared.lock();
        if state.is_closed {
            return;
        }
        let Ok((count, from)) = received else { continue };
        let passes = state.names.get(&from).is_none_or(|from| state.passes(*from, front));
        if passes {
            state.capture(front, &buffer[..count]);
            drop(state);
            // As any packet, it may be lost.
            let _ = socket.send_to(&buffer[..count], to);
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, front: Endpoint, to: SocketAddr, is_secured: bool) {
    for stream in listener.incoming() {
        let mut state = shared.lock();
        if state.is_closed {
            return;
        }
        *state.dialled.entry(front).or_default() += 1;
        drop(state);
        let Ok(stream) = stream else { continue };
        let shared = shared.clone();
        thread::spawn(move || hand_on_stream(&shared, stream, front, to, is_secured));
    }
}

/// Hands on a connection once it is known who has dialled. Where anything fails, its end is the answer.
fn hand_on_stream(
    shared: &Arc<Shared>,
    dialler: TcpStream,
    front: Endpoint,
    to: SocketAddr,
    is_secured: bool,
) -> Option<()> {
    let mut captured = Vec::new();
    let mut dialler = Stream::accepted(dialler, is_secured).ok()?;
    let from = read_initiate(&mut dialler, &mut captured)?;
    let mut node = Stream::dial(to, is_secured).ok()?;
    for end in [&dialler, &node] {
        end.socket().set_nodelay(true).ok()?;
    }
    let ends = [dialler.try_clone().ok()?, node.try_clone().ok()?];
    let mut state = shared.lock();
    if !state.passes(from, front) {
        return None;
    }
    state.links.push(Link { from, to: front, ends });
    drop(state);
    node.write_all(&captured).ok()?;
    let (mut answers, mut back) = (node.try_clone().ok()?, dialler.try_clone().ok()?);
    thread::spawn(move || {
        // Whatever ends one direction ends the other.
        let _ = std::io::copy(&mut answers, &mut back);
        back.shutdown();
    });
    let mut buffer = [0; 16 * 1024];
    loop {
        shared.wait_while_held_up(front);
        let count = dialler.read(&mut buffer).unwrap_or(0);
        if count == 0 || node.write_all(&buffer[..count]).is_err() {
            break;
        }
        let room = CAPTURED_BYTES.saturating_sub(captured.len());
        captured.extend_from_slice(&buffer[..count.min(room)]);
    }
    [&dialler, &node].into_iter().for_each(Stream::shutdown);
    shared.lock().capture(front, &captured);
    Some(())
}

/// Who dials says so first.
fn read_initiate(dialler: &mut Stream, bytes: &mut Vec<u8>) -> Option<Endpoint> {
    let mut buffer = [0; 1024];
    loop {
        let count = dialler.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        if let Some((initiate, _)) = Initiate::decode(bytes).ok()? {
            return Some(initiate.from);
        }
    }
}
