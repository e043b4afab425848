//! Three nodes on a simulated Ethernet: TCP is that of smoltcp, the wire is a queue of frames, and time is a number. There is no
//! socket, thread or clock of the standard library, so it would run without an operating system just as well.
//!
//! ```text
//! cargo run -p gossip-examples --example smoltcp
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use gossip_core::{
    ApplicationState, Config, ConfigError, ConnectionId, Endpoint, Event, Generation, Input, Node, Output,
    Timestamp,
};
use smoltcp::iface::{Config as InterfaceConfig, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

/// Where all nodes listen.
const PORT: u16 = 7_000;

/// How many sockets listen at the same time: a socket that takes a connection listens no longer.
const BACKLOG: usize = 4;

/// How much a socket buffers in each direction.
const SOCKET_BUFFER: usize = 64 * 1024;

/// The network card of a host: frames that have come, and frames to be sent.
#[derive(Default)]
struct Card {
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);

struct Sent<'c>(&'c mut VecDeque<Vec<u8>>);

impl Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sent<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Received(frame), Sent(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = vec![0; len];
        let written = write(&mut frame);
        self.0.push_back(frame);
        written
    }
}

/// A connection of the node.
struct Stream {
    socket: SocketHandle,
    /// Whether it is still being dialled.
    is_dialled: bool,
    /// What the socket has not taken yet of the last write.
    unwritten: Vec<u8>,
}

/// A host with a network card, a TCP stack, and a node.
struct Host {
    node: Node,
    buffer: Vec<u8>,
    deadline: Option<Timestamp>,
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    listening: Vec<SocketHandle>,
    streams: BTreeMap<ConnectionId, Stream>,
    /// Sockets that are closed once the peer has all of their bytes.
    closing: Vec<SocketHandle>,
    next_port: u16,
    stopped: bool,
}

impl Host {
    /// The host with the address 10.0.0.`number`.
    fn new(number: u8, seed: Endpoint) -> Result<Self, ConfigError> {
        let local = Endpoint::v4([10, 0, 0, number], PORT);
        let config = Config::builder("smoltcp", local, Generation::new(1_700_000_000), [number; 32])
            .seed(seed)
            .state(ApplicationState::DC, "dc1")
            .build()?;
        let mut card = Card::default();
        let mut hardware = InterfaceConfig::new(EthernetAddress([2, 0, 0, 0, 0, number]).into());
        hardware.random_seed = number.into();
        let mut interface = Interface::new(hardware, &mut card, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // There is room for one at least.
            let _ = addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, number), 24));
        });
        Ok(Self {
            node: Node::new(config, Timestamp::ZERO),
            buffer: vec![0; Node::MIN_BUFFER],
            deadline: Some(Timestamp::ZERO),
            card,
            interface,
            sockets: SocketSet::new(Vec::new()),
            listening: Vec::new(),
            streams: BTreeMap::new(),
            closing: Vec::new(),
            next_port: 49_152,
            stopped: false,
        })
    }

    /// Does what is to be done at this moment.
    fn turn(&mut self, now: Timestamp, millis: i64) {
        let instant = Instant::from_millis(millis);
        self.interface.poll(instant, &mut self.card, &mut self.sockets);
        self.accept(now);
        self.follow_streams(now);
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let unix_ms = 1_700_000_000_000 + millis.unsigned_abs();
            self.node.handle_input(now, Input::WallClock { unix_ms });
            self.node.handle_input(now, Input::Timeout);
        }
        self.drain(now);
        self.interface.poll(instant, &mut self.card, &mut self.sockets);
    }

    /// Takes the connections that have come, and has other sockets listen in their place.
    fn accept(&mut self, now: Timestamp) {
        for socket in std::mem::take(&mut self.listening) {
            match self.sockets.get::<Socket<'_>>(socket).state() {
                State::Listen | State::SynReceived => self.listening.push(socket),
                State::Established | State::CloseWait => match self.node.accept(now) {
                    Some(connection) => {
                        let stream = Stream { socket, is_dialled: false, unwritten: Vec::new() };
                        self.streams.insert(connection, stream);
                    }
                    None => self.close(socket),
                },
                _ => self.close(socket),
            }
        }
        while self.listening.len() < BACKLOG && self.node.is_listening() {
            let mut socket = new_socket();
            if socket.listen(PORT).is_ok() {
                self.listening.push(self.sockets.add(socket));
            }
        }
    }

    /// Tells the node what became of its connections.
    fn follow_streams(&mut self, now: Timestamp) {
        let connections: Vec<ConnectionId> = self.streams.keys().copied().collect();
        for connection in connections {
            let Some(stream) = self.streams.get_mut(&connection) else { continue };
            let socket = self.sockets.get_mut::<Socket<'_>>(stream.socket);
            if stream.is_dialled {
                match socket.state() {
                    State::SynSent | State::SynReceived => continue,
                    State::Closed => {
                        self.forget(connection);
                        self.node.handle_input(now, Input::Failed { connection });
                        continue;
                    }
                    _ => {
                        stream.is_dialled = false;
                        self.node.handle_input(now, Input::Opened { connection });
                    }
                }
            }
            while socket.can_recv() {
                let received = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap_or_default();
                self.node.handle_input(now, Input::Bytes { connection, bytes: &received });
            }
            if !stream.unwritten.is_empty() && write(socket, &mut stream.unwritten) {
                self.node.handle_input(now, Input::Writable { connection });
            }
            if !socket.may_recv() {
                self.forget(connection);
                self.node.handle_input(now, Input::Closed { connection });
            }
        }
        let sockets = &mut self.sockets;
        self.closing.retain(|closing| {
            let is_open =
                !matches!(sockets.get::<Socket<'_>>(*closing).state(), State::Closed | State::TimeWait);
            if !is_open {
                sockets.remove(*closing);
            }
            is_open
        });
    }

    /// Does all that the node wants done, and learns until when to wait.
    fn drain(&mut self, now: Timestamp) {
        loop {
            match self.node.poll(&mut self.buffer) {
                Output::Connect { connection, to } => {
                    let mut socket = new_socket();
                    self.next_port = self.next_port.checked_add(1).unwrap_or(49_152);
                    let dialled = match to.ip() {
                        IpAddr::V4(ip) => {
                            socket.connect(self.interface.context(), (ip, to.port()), self.next_port).is_ok()
                        }
                        IpAddr::V6(_) => false,
                    };
                    if dialled {
                        let socket = self.sockets.add(socket);
                        let stream = Stream { socket, is_dialled: true, unwritten: Vec::new() };
                        self.streams.insert(connection, stream);
                    } else {
                        self.node.handle_input(now, Input::Failed { connection });
                    }
                }
                Output::Write { connection, bytes } => {
                    let Some(stream) = self.streams.get_mut(&connection) else { continue };
                    stream.unwritten.extend_from_slice(bytes);
                    let socket = self.sockets.get_mut::<Socket<'_>>(stream.socket);
                    if write(socket, &mut stream.unwritten) {
                        self.node.handle_input(now, Input::Writable { connection });
                    }
                }
                Output::Close { connection } => self.forget(connection),
                Output::Event(event) => {
                    self.stopped |= event == Event::Stopped;
                    println!("{now:?} {}: {event:?}", self.node.gossiper().local_endpoint());
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
                _ => {}
            }
        }
    }

    fn forget(&mut self, connection: ConnectionId) {
        if let Some(stream) = self.streams.remove(&connection) {
            self.close(stream.socket);
        }
    }

    fn close(&mut self, socket: SocketHandle) {
        self.sockets.get_mut::<Socket<'_>>(socket).close();
        self.closing.push(socket);
    }

    /// How many others it finds live.
    fn live(&self) -> usize {
        self.node.gossiper().live_endpoints().count()
    }
}

fn new_socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; SOCKET_BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    // Heartbeats are small, and each is awaited.
    socket.set_nagle_enabled(false);
    socket
}

/// Writes what the socket has room for; says whether that is all.
fn write(socket: &mut Socket<'_>, unwritten: &mut Vec<u8>) -> bool {
    // An error shows as the end of the connection.
    let taken = socket.send_slice(unwritten).unwrap_or(0);
    unwritten.drain(..taken);
    unwritten.is_empty()
}

/// Hosts, and the wire between them: each frame arrives at all others, a millisecond later.
struct Ethernet {
    hosts: Vec<Host>,
    millis: u32,
}

impl Ethernet {
    /// Lets time pass until it is so; false if it is not within a minute.
    fn run_until(&mut self, mut is_so: impl FnMut(&[Host]) -> bool) -> bool {
        let end = self.millis + 60_000;
        while !is_so(&self.hosts) {
            if self.millis == end {
                return false;
            }
            let now = Timestamp::ZERO + Duration::from_millis(self.millis.into());
            for host in &mut self.hosts {
                host.turn(now, self.millis.into());
            }
            for from in 0..self.hosts.len() {
                for frame in std::mem::take(&mut self.hosts[from].card.sent) {
                    let others = self.hosts.iter_mut().enumerate().filter(|(to, _)| *to != from);
                    others.for_each(|(_, host)| host.card.received.push_back(frame.clone()));
                }
            }
            self.millis += 1;
        }
        true
    }
}

/// Starts three nodes, waits until each has found the other two live, and stops one cleanly, which the others see.
///
/// # Errors
///
/// What has not come true within a minute of the simulated time.
pub(crate) fn run() -> Result<(), String> {
    let seed = Endpoint::v4([10, 0, 0, 1], PORT);
    let hosts: Result<Vec<Host>, ConfigError> = (1..=3).map(|number| Host::new(number, seed)).collect();
    let mut ethernet = Ethernet { hosts: hosts.map_err(|error| error.to_string())?, millis: 0 };
    if !ethernet.run_until(|hosts| hosts.iter().all(|host| host.live() == 2)) {
        return Err("the nodes have not found each other".into());
    }
    println!("all three are live after {} ms", ethernet.millis);
    let now = Timestamp::ZERO + Duration::from_millis(ethernet.millis.into());
    ethernet.hosts[2].node.shutdown(now);
    if !ethernet.run_until(|hosts| hosts[2].stopped && hosts[..2].iter().all(|host| host.live() == 1)) {
        return Err("the others have not seen that one has stopped".into());
    }
    println!("two are left after {} ms", ethernet.millis);
    Ok(())
}

fn main() -> Result<(), String> {
    run()
}
