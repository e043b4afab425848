//! The other end of the exchanges: a blocking socket that sends what was written before, and counts what comes back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use gossip_benches::messages::{CLUSTER, body};
use gossip_core::datagram::{ClusterId, Cookie, DatagramMessages, Header};
use gossip_core::internode::{
    ConnectionType, Framing, Inbound, InboundEvent, InboundLimits, Initiate, Outbound, OutboundEvent, Scratch,
};
use gossip_core::{DEFAULT_PARTITIONER, Endpoint, Generation, Verb};

use crate::cluster::{Cluster, Exchange, GENERATION};
use crate::frames::{VERSION, frame};

/// How long an answer may take. Nothing is lost over loopback.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many digests a SYN has in a packet of the default size.
const DIGESTS_PER_PACKET: usize = 85;

/// What is sent, and to be answered, in one exchange.
pub(crate) struct Prepared {
    /// Each is answered once.
    pub(crate) syns: Vec<Vec<u8>>,
    /// None is answered.
    pub(crate) ack2s: Vec<Vec<u8>>,
}

/// Speaks with a node.
pub(crate) enum Client {
    Packets(Packets),
    Streams(Box<Streams>),
}

impl Client {
    /// Reaches the node that listens at this address.
    pub(crate) fn connect(is_datagram: bool, node: SocketAddr) -> io::Result<Self> {
        Ok(match is_datagram {
            true => Self::Packets(Packets::connect(node)?),
            false => Self::Streams(Box::new(Streams::connect(node)?)),
        })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(match self {
            Self::Packets(packets) => packets.socket.local_addr()?.port(),
            Self::Streams(streams) => streams.listener.local_addr()?.port(),
        })
    }

    /// Makes the node know all endpoints, and find them live.
    pub(crate) fn teach(&mut self, cluster: &Cluster) -> io::Result<()> {
        match self {
            Self::Packets(packets) => packets.teach(cluster),
            Self::Streams(streams) => streams.teach(cluster),
        }
    }

    /// Writes the messages of the next exchange.
    pub(crate) fn prepare(&self, cluster: &mut Cluster) -> Prepared {
        match self {
            Self::Packets(packets) => {
                let Exchange { syns, ack2s } = cluster.exchange(DIGESTS_PER_PACKET);
                let packet = |verb| move |body: &Vec<u8>| packets.packet(verb, 1, body);
                Prepared {
                    syns: syns.iter().map(packet(Verb::GOSSIP_DIGEST_SYN)).collect(),
                    ack2s: ack2s.iter().map(packet(Verb::GOSSIP_DIGEST_ACK2)).collect(),
                }
            }
            Self::Streams(_) => {
                let Exchange { syns, ack2s } = cluster.exchange(usize::MAX);
                let framed = |verb| move |body: &Vec<u8>| frame(verb, 1, body);
                Prepared {
                    syns: syns.iter().map(framed(Verb::GOSSIP_DIGEST_SYN)).collect(),
                    ack2s: ack2s.iter().map(framed(Verb::GOSSIP_DIGEST_ACK2)).collect(),
                }
            }
        }
    }

    /// Does one exchange, and says how many bytes the answers had.
    pub(crate) fn exchange(&mut self, prepared: &Prepared) -> io::Result<usize> {
        match self {
            Self::Packets(packets) => packets.exchange(prepared),
            Self::Streams(streams) => streams.exchange(prepared),
        }
    }
}

/// Speaks in packets.
pub(crate) struct Packets {
    socket: UdpSocket,
    node: SocketAddr,
    header: Header,
    buffer: Vec<u8>,
}

impl Packets {
    fn connect(node: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let header = Header {
            cluster: ClusterId::new(CLUSTER.as_bytes(), DEFAULT_PARTITIONER.as_bytes()),
            sender: socket.local_addr()?.into(),
            generation: Generation::new(GENERATION),
            given: Cookie::NONE,
            repeated: Cookie::NONE,
            seal: None,
        };
        Ok(Self { socket, node, header, buffer: vec![0; 1 << 16] })
    }

    fn teach(&mut self, cluster: &Cluster) -> io::Result<()> {
        // The first answer has the cookie that everything else has to repeat.
        let greeting = self.packet(Verb::GOSSIP_DIGEST_SYN, 1, &cluster.syn(&[0]));
        self.socket.send_to(&greeting, self.node)?;
        let size = self.socket.recv(&mut self.buffer)?;
        let (header, _) = Header::decode(&self.buffer[..size]).map_err(io::Error::other)?;
        self.header.repeated = header.given;
        self.teach_one_by_one(cluster, &[0])?;
        let all: Vec<usize> = (1..cluster.len()).collect();
        for part in all.chunks(DIGESTS_PER_PACKET / 2) {
            let sockets: Vec<UdpSocket> =
                part.iter().map(|nth| UdpSocket::bind(cluster.address(*nth))).collect::<Result<_, _>>()?;
            self.teach_one_by_one(cluster, part)?;
            for (nth, socket) in part.iter().zip(&sockets) {
                self.answer_echo(socket, cluster.endpoint(*nth))?;
            }
        }
        let socket = self.socket.try_clone()?;
        self.answer_echo(&socket, cluster.endpoint(0))
    }

    fn teach_one_by_one(&mut self, cluster: &Cluster, which: &[usize]) -> io::Result<()> {
        let syn = self.packet(Verb::GOSSIP_DIGEST_SYN, 1, &cluster.syn(which));
        // The echo that the first endpoint is sent may come first, and is repeated until it is answered.
        self.exchange(&Prepared { syns: vec![syn], ack2s: Vec::new() })?;
        for nth in which {
            let state = self.packet(Verb::GOSSIP_DIGEST_ACK2, 1, &cluster.whole_states(&[*nth]));
            self.socket.send_to(&state, self.node)?;
        }
        Ok(())
    }

    /// Waits until the node asks that endpoint whether it is there, and answers.
    fn answer_echo(&mut self, socket: &UdpSocket, endpoint: Endpoint) -> io::Result<()> {
        socket.set_read_timeout(Some(PATIENCE))?;
        loop {
            let size = socket.recv(&mut self.buffer)?;
            let (header, messages) = Header::decode(&self.buffer[..size]).map_err(io::Error::other)?;
            for message in DatagramMessages::new(messages) {
                let message = message.map_err(io::Error::other)?;
                if message.verb == Verb::ECHO_REQ {
                    let own = Header { sender: endpoint, repeated: header.given, ..self.header };
                    socket.send_to(&packet(&own, Verb::ECHO_RSP, message.id, &[]), self.node)?;
                    return Ok(());
                }
            }
        }
    }

    fn packet(&self, verb: Verb, id: u64, body: &[u8]) -> Vec<u8> {
        packet(&self.header, verb, id, body)
    }

    fn exchange(&mut self, prepared: &Prepared) -> io::Result<usize> {
        for syn in &prepared.syns {
            self.socket.send_to(syn, self.node)?;
        }
        let (mut answers, mut bytes) = (0, 0);
        while answers < prepared.syns.len() {
            let size = self.socket.recv(&mut self.buffer)?;
            let (_, messages) = Header::decode(&self.buffer[..size]).map_err(io::Error::other)?;
            for message in DatagramMessages::new(messages) {
                answers += usize::from(message.map_err(io::Error::other)?.verb == Verb::GOSSIP_DIGEST_ACK);
            }
            bytes += size;
        }
        for ack2 in &prepared.ack2s {
            self.socket.send_to(ack2, self.node)?;
        }
        Ok(bytes)
    }
}

fn packet(header: &Header, verb: Verb, id: u64, message: &[u8]) -> Vec<u8> {
    body(|out| {
        header.encode(out).expect("room");
        out.u8(u8::try_from(verb.number()).expect("a verb of gossip")).expect("room");
        out.u32(u32::try_from(id).expect("ids in packets have 32 bits")).expect("room");
        out.u16(u16::try_from(message.len()).expect("it fits a packet")).expect("room");
        out.bytes(message).expect("room");
    })
}

/// Speaks over connections: one that it has dialled, and one that the node has dialled for its answers.
pub(crate) struct Streams {
    listener: TcpListener,
    node: SocketAddr,
    dialled: TcpStream,
    accepted: Option<Accepted>,
}

impl Streams {
    fn connect(node: SocketAddr) -> io::Result<Self> {
        // All of 127.0.0.0/8 is ours.
        let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], 0)))?;
        let from = Endpoint::v4([127, 0, 0, 1], listener.local_addr()?.port());
        Ok(Self { listener, node, dialled: dial(node, from)?, accepted: None })
    }

    fn teach(&mut self, cluster: &Cluster) -> io::Result<()> {
        let all: Vec<usize> = (0..cluster.len()).collect();
        let (first, others) = all.split_at(1);
        self.dialled.write_all(&frame(Verb::GOSSIP_DIGEST_SYN, 1, &cluster.syn(first)))?;
        let (stream, _) = self.listener.accept()?;
        let mut accepted = Accepted::new(stream)?;
        accepted.wait_for(Verb::GOSSIP_DIGEST_ACK)?;
        self.dialled.write_all(&frame(Verb::GOSSIP_DIGEST_ACK2, 1, &cluster.whole_states(first)))?;
        let (id, _) = accepted.wait_for(Verb::ECHO_REQ)?;
        self.dialled.write_all(&frame(Verb::ECHO_RSP, id, &[]))?;
        for part in others.chunks(50) {
            self.dialled.write_all(&frame(Verb::GOSSIP_DIGEST_SYN, 1, &cluster.syn(part)))?;
            accepted.wait_for(Verb::GOSSIP_DIGEST_ACK)?;
            self.dialled.write_all(&frame(Verb::GOSSIP_DIGEST_ACK2, 1, &cluster.whole_states(part)))?;
            let mut waiting = part.to_vec();
            while !waiting.is_empty() {
                let (stream, _) = self.listener.accept()?;
                // The node may have chosen one for its round that was taught before.
                let whose = cluster.find(stream.local_addr()?);
                let Some(place) = waiting.iter().position(|nth| Some(*nth) == whose) else { continue };
                let nth = waiting.swap_remove(place);
                let (id, _) = Accepted::new(stream)?.wait_for(Verb::ECHO_REQ)?;
                dial(self.node, cluster.endpoint(nth))?.write_all(&frame(Verb::ECHO_RSP, id, &[]))?;
            }
        }
        self.accepted = Some(accepted);
        Ok(())
    }

    fn exchange(&mut self, prepared: &Prepared) -> io::Result<usize> {
        let accepted = self.accepted.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut bytes = 0;
        for syn in &prepared.syns {
            self.dialled.write_all(syn)?;
            bytes += accepted.wait_for(Verb::GOSSIP_DIGEST_ACK)?.1;
        }
        for ack2 in &prepared.ack2s {
            self.dialled.write_all(ack2)?;
        }
        Ok(bytes)
    }
}

/// A connection over which messages can be sent as that endpoint.
fn dial(node: SocketAddr, from: Endpoint) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(node)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, VERSION, from);
    stream.write_all(&body(|out| initiate.encode(out).expect("room")))?;
    let (mut machine, mut buffer) = (Outbound::new(initiate), [0; 64]);
    loop {
        let size = stream.read(&mut buffer)?;
        match machine.handle_bytes(&buffer[..size]) {
            Some(OutboundEvent::Established { .. }) => return Ok(stream),
            None if size > 0 => {}
            Some(_) | None => return Err(io::Error::other("the node refuses a connection")),
        }
    }
}

/// A connection over which the node sends.
struct Accepted {
    stream: TcpStream,
    machine: Inbound,
    scratch: Scratch,
    buffer: Vec<u8>,
    /// Where bytes begin and end that were read and not looked at.
    unread: std::ops::Range<usize>,
}

impl Accepted {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let machine = Inbound::new(VERSION, InboundLimits::default());
        Ok(Self { stream, machine, scratch: Scratch::new(), buffer: vec![0; 1 << 16], unread: 0..0 })
    }

    /// Reads until a message with that verb comes; gives its id, and how many bytes its body has.
    fn wait_for(&mut self, verb: Verb) -> io::Result<(u64, usize)> {
        loop {
            let mut bytes = &self.buffer[self.unread.clone()];
            while let Some(event) = self.machine.next(&mut bytes, &mut self.scratch) {
                match event {
                    InboundEvent::Initiated { accept, .. } => (&self.stream).write_all(&accept)?,
                    InboundEvent::Message { header, payload } if header.verb == verb => {
                        let found = (header.id, payload.len());
                        self.unread.start = self.unread.end - bytes.len();
                        return Ok(found);
                    }
                    InboundEvent::Failed(error) => return Err(io::Error::other(error.to_string())),
                    _ => {}
                }
            }
            let size = self.stream.read(&mut self.buffer)?;
            if size == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread = 0..size;
        }
    }
}
