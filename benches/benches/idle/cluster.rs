//! Everybody but the node: their sockets, in one thread.

use std::io::{self, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gossip_benches::messages::{CODEC, body};
use gossip_core::internode::{
    ConnectionType, Framing, Header, Inbound, InboundEvent, InboundLimits, Initiate, Outbound, OutboundEvent,
    Scratch,
};
use gossip_core::message::Message;
use gossip_core::{Endpoint, Verb};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::frames::{VERSION, frame};
use crate::secured::{Configs, Session};
use crate::world::{Who, World, mix};

/// Tokens from 1 on are of connections.
const LISTENER: Token = Token(0);

/// How many exchanges others open with the node in an interval: each of them chooses one endpoint, and seeds a little oftener.
const SYNS_PER_INTERVAL: f64 = 1.2;

/// How many others probe the node in an interval. Members that run this crate do so: each probes 16 of the endpoints from which it has heard
/// nothing for ten intervals, which in a large cluster are most, whether they are reachable. In a small one there are fewer.
const MAX_PROBES_PER_INTERVAL: f64 = 16.0;
const ENDPOINTS_PER_PROBE: f64 = 50.0;

/// What went to the node and came from it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) states_in: u64,
    pub(crate) states_out: u64,
}

/// The played endpoints, to be [run](Cluster::run_until).
pub(crate) struct Cluster {
    poll: Poll,
    listener: TcpListener,
    world: World,
    /// Set where all connections are under TLS.
    tls: Option<Configs>,
    node: Option<SocketAddr>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// By endpoint: over which connection it speaks to the node.
    dialled: Vec<Option<usize>>,
    traffic: Traffic,
    syns: Schedule,
    probes: Schedule,
    chance: Chance,
    next_id: u64,
    scratch: Scratch,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    session: Option<Session>,
    whose: Who,
    side: Side,
    unsent: Vec<u8>,
}

impl Connection {
    /// Writes pending bytes to the socket and returns their number. It is 0 when no bytes are pending.
    fn write(&mut self) -> io::Result<usize> {
        if let Some(session) = &mut self.session {
            session.queue(&mem::take(&mut self.unsent))?;
            return session.write(&mut self.stream);
        }
        if self.unsent.is_empty() {
            return Ok(0);
        }
        let count = self.stream.write(&self.unsent)?;
        self.unsent.drain(..count);
        Ok(count)
    }
}

enum Side {
    /// Brings messages of the node to whom it has dialled.
    Accepted(Box<Inbound>),
    /// Brings messages to the node: those that wait for the handshake, until it is done.
    Dialled { machine: Outbound, waiting: Option<Vec<u8>> },
}

impl Cluster {
    pub(crate) fn new(count: u16, interval: Duration, tls: Option<Configs>) -> io::Result<Self> {
        let poll = Poll::new()?;
        // All of 127.0.0.0/8 is ours.
        let mut listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let port = listener.local_addr()?.port();
        let probes = (f64::from(count) / ENDPOINTS_PER_PROBE).min(MAX_PROBES_PER_INTERVAL);
        Ok(Self {
            poll,
            listener,
            world: World::new(count, port, interval),
            tls,
            node: None,
            connections: Vec::new(),
            free: Vec::new(),
            dialled: vec![None; usize::from(count)],
            traffic: Traffic::default(),
            syns: Schedule::new(interval.div_f64(SYNS_PER_INTERVAL)),
            probes: Schedule::new(interval.div_f64(probes)),
            chance: Chance(1),
            next_id: 0,
            scratch: Scratch::new(),
            buffer: vec![0; 1 << 16],
        })
    }

    /// Whom a node may be given as its seed.
    pub(crate) fn seed(&self) -> Endpoint {
        self.world.endpoint(Who(0))
    }

    /// Where the node listens. From now on they speak to it.
    pub(crate) fn meet(&mut self, node: SocketAddr) {
        self.node = Some(node);
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic { states_in: self.world.states_in, states_out: self.world.states_out, ..self.traffic }
    }

    /// How many connections there are.
    pub(crate) fn connection_count(&self) -> usize {
        self.connections.len() - self.free.len()
    }

    pub(crate) fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            let now = Instant::now();
            if now >= deadline {
                return Ok(());
            }
            if self.node.is_some() {
                if self.syns.is_due(now, &mut self.chance) {
                    let who = self.anybody();
                    let syn = self.world.syn(who);
                    self.send(who, Verb::GOSSIP_DIGEST_SYN, None, &syn);
                }
                if self.probes.is_due(now, &mut self.chance) {
                    let who = self.anybody();
                    self.send(who, Verb::ECHO_REQ, None, &[]);
                }
            }
            let next = deadline.min(self.syns.next).min(self.probes.next);
            match self.poll.poll(&mut events, Some(next.saturating_duration_since(now))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(token) => {
                        if event.is_writable() {
                            self.flush(token - 1);
                        }
                        if event.is_readable() {
                            self.read(token - 1);
                        }
                    }
                }
            }
        }
    }

    fn anybody(&mut self) -> Who {
        let count = self.dialled.len() as u64;
        Who(u16::try_from(self.chance.next() % count).unwrap_or(0))
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            // The address that was dialled tells whom the node means.
            let Some(whose) = self.world.find(stream.local_addr()?.into()) else { continue };
            let inbound = Inbound::new(VERSION, InboundLimits::default());
            let session = self.tls.as_ref().map(Configs::accept).transpose()?;
            self.open(stream, session, whose, Side::Accepted(Box::new(inbound)), Vec::new())?;
        }
    }

    fn open(
        &mut self,
        mut stream: TcpStream,
        session: Option<Session>,
        whose: Who,
        side: Side,
        unsent: Vec<u8>,
    ) -> io::Result<usize> {
        let place = self.free.pop().unwrap_or(self.connections.len());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(place + 1), both)?;
        let connection = Some(Connection { stream, session, whose, side, unsent });
        match self.connections.get_mut(place) {
            Some(free) => *free = connection,
            None => self.connections.push(connection),
        }
        Ok(place)
    }

    fn close(&mut self, place: usize) {
        let Some(closed) = self.connections[place].take() else { return };
        self.free.push(place);
        let dialled = &mut self.dialled[usize::from(closed.whose.0)];
        if *dialled == Some(place) {
            *dialled = None;
        }
    }

    /// Says something to the node as this endpoint, which dials it first if it has to.
    fn send(&mut self, who: Who, verb: Verb, id: Option<u64>, body: &[u8]) {
        self.next_id += 1;
        let frame = frame(verb, id.unwrap_or(self.next_id), body);
        let known = self.dialled[usize::from(who.0)];
        let Some(place) = known.or_else(|| self.dial(who)) else { return };
        let Some(connection) = &mut self.connections[place] else { return };
        self.traffic.messages_in += 1;
        match &mut connection.side {
            Side::Dialled { waiting: Some(waiting), .. } => waiting.extend(frame),
            _ => connection.unsent.extend(frame),
        }
        self.flush(place);
    }

    fn dial(&mut self, who: Who) -> Option<usize> {
        let stream = TcpStream::connect(self.node?).ok()?;
        let from = self.world.endpoint(who);
        let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, VERSION, from);
        let bytes = body(|out| initiate.encode(out).expect("room"));
        let side = Side::Dialled { machine: Outbound::new(initiate), waiting: Some(Vec::new()) };
        let session = self.tls.as_ref().map(Configs::dial).transpose().ok()?;
        let place = self.open(stream, session, who, side, bytes).ok()?;
        self.dialled[usize::from(who.0)] = Some(place);
        Some(place)
    }

    fn flush(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) else { return };
        loop {
            match connection.write() {
                Ok(0) => return,
                Ok(count) => self.traffic.bytes_in += count as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The poll reports room, or the outcome of the dial.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) =>
                {
                    return;
                }
                Err(_) => return self.close(place),
            }
        }
    }

    fn read(&mut self, place: usize) {
        let mut buffer = mem::take(&mut self.buffer);
        while let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) {
            match connection.stream.read(&mut buffer) {
                Ok(count) if count > 0 => {
                    self.traffic.bytes_out += count as u64;
                    let Some(session) = &mut connection.session else {
                        self.take(place, &buffer[..count]);
                        continue;
                    };
                    match session.decrypt(&buffer[..count]) {
                        Ok(plain) => {
                            self.flush(place);
                            self.take(place, &plain);
                        }
                        Err(_) => self.close(place),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(_) | Err(_) => self.close(place),
            }
        }
        self.buffer = buffer;
    }

    fn take(&mut self, place: usize, mut bytes: &[u8]) {
        let Some(connection) = &mut self.connections[place] else { return };
        let whose = connection.whose;
        match &mut connection.side {
            Side::Dialled { machine, waiting } => match machine.handle_bytes(bytes) {
                Some(OutboundEvent::Established { .. }) => {
                    connection.unsent.extend(waiting.take().unwrap_or_default());
                    self.flush(place);
                }
                Some(OutboundEvent::Failed(_)) => self.close(place),
                None => {}
            },
            Side::Accepted(inbound) => {
                // What is answered goes over other connections.
                let none = Inbound::new(VERSION, InboundLimits::default());
                let mut inbound = mem::replace(inbound, Box::new(none));
                let mut scratch = mem::take(&mut self.scratch);
                let mut has_failed = false;
                while let Some(event) = inbound.next(&mut bytes, &mut scratch) {
                    match event {
                        InboundEvent::Initiated { accept, .. } => self.answer_initiate(place, &accept),
                        InboundEvent::Message { header, payload } => self.handle(whose, &header, payload),
                        InboundEvent::Failed(_) => has_failed = true,
                        _ => {}
                    }
                }
                self.scratch = scratch;
                if has_failed {
                    self.close(place);
                } else if let Some(Connection { side, .. }) = &mut self.connections[place] {
                    *side = Side::Accepted(inbound);
                }
            }
        }
    }

    fn answer_initiate(&mut self, place: usize, accept: &[u8]) {
        if let Some(connection) = &mut self.connections[place] {
            connection.unsent.extend(accept);
        }
        self.flush(place);
    }

    /// The node has said something to this endpoint.
    fn handle(&mut self, who: Who, header: &Header<'_>, body: &[u8]) {
        self.traffic.messages_out += 1;
        match Message::decode(header.verb, body, CODEC) {
            Some(Ok(Message::Syn(syn))) => {
                let ack = self.world.answer_syn(who, &syn);
                self.send(who, Verb::GOSSIP_DIGEST_ACK, None, &ack);
            }
            Some(Ok(Message::Ack(ack))) => {
                for ack2 in self.world.answer_ack(who, &ack) {
                    self.send(who, Verb::GOSSIP_DIGEST_ACK2, None, &ack2);
                }
            }
            Some(Ok(Message::Ack2(ack2))) => self.world.take_ack2(&ack2),
            Some(Ok(Message::EchoRequest)) => self.send(who, Verb::ECHO_RSP, Some(header.id), &[]),
            _ => {}
        }
    }
}

/// When something happens next that happens every now and then.
struct Schedule {
    mean: Duration,
    next: Instant,
}

impl Schedule {
    fn new(mean: Duration) -> Self {
        Self { mean, next: Instant::now() }
    }

    /// Whether it is time; if so, it is again after up to twice the mean.
    fn is_due(&mut self, now: Instant, chance: &mut Chance) -> bool {
        if now < self.next {
            return false;
        }
        #[expect(clippy::cast_precision_loss, reason = "it is a matter of chance")]
        let part = (chance.next() >> 11) as f64 / (1_u64 << 53) as f64;
        self.next = now.max(self.next + self.mean.mul_f64(2.0 * part));
        true
    }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}
