//! A simulated cluster of any size. All members answer echoes. One of them also answers shadow rounds, and sends new heartbeats of all.
//! Nothing else is answered.

use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gossip_core::internode::{
    Accept, ConnectionType, FrameHeader, FrameKind, Framing, Header, Initiate, MAX_HEADER, Params,
    VersionRange, wrap,
};
use gossip_core::wire::{Reader, Writer};
use gossip_core::{ApplicationState, MessagingVersion, Verb};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

/// How often all of them have a new heartbeat.
const BEAT: Duration = Duration::from_secs(1);

/// How much of a message goes into a frame.
const PIECE: usize = 100_000;

/// Members at addresses of this machine, until it is dropped.
pub(crate) struct Played {
    pub(crate) seed: SocketAddr,
    others: Arc<Others>,
    // What runs in it ends with it.
    _runtime: Runtime,
}

struct Others {
    count: usize,
    port: u16,
    started: u32,
    /// So many of them have no new heartbeats.
    silent: AtomicUsize,
    /// Whether a peer has got all already.
    tells: AtomicBool,
}

impl Played {
    /// As many members; `None` where this machine has too few addresses, or a process may open too few files.
    pub(crate) fn start(count: usize) -> Option<Self> {
        // The node dials each of them, and each answers on a connection of its own.
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
        (usize::try_from(files).unwrap_or(usize::MAX) > 3 * count).then_some(())?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpListener::bind((member(count - 1), 0)).ok()?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let started = u32::try_from(since.as_secs()).unwrap() - 3_600;
        let others = Arc::new(Others {
            count,
            port,
            started,
            silent: AtomicUsize::new(0),
            tells: AtomicBool::new(false),
        });
        let accepting = others.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Closed connections get no more answers.
                tokio::spawn(converse(stream, accepting.clone()));
            }
        });
        Some(Self { seed: (member(0), port).into(), others, _runtime: runtime })
    }

    /// From now on the last so many of them have no new heartbeats.
    pub(crate) fn silence(&self, count: usize) {
        self.others.silent.store(count, Ordering::Relaxed);
    }
}

/// Their addresses, which no other test uses.
fn member(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 78, high, low)
}

/// A connection from the node, to its end.
async fn converse(mut stream: TcpStream, others: Arc<Others>) -> io::Result<()> {
    let SocketAddr::V4(own) = stream.local_addr()? else { return Ok(()) };
    let own = SocketAddr::from((*own.ip(), others.port));
    let mut head = Vec::new();
    let initiate = loop {
        head.push(stream.read_u8().await?);
        match Initiate::decode(&head) {
            Ok(Some((initiate, _))) => break initiate,
            Ok(None) => {}
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
    };
    let Initiate { framing, from, .. } = initiate;
    let version = u32::from(VersionRange::WITHOUT_METADATA.max);
    stream.write_all(&Accept { max: version, version }.to_bytes()).await?;
    loop {
        let mut frame = vec![0; framing.header_len()];
        stream.read_exact(&mut frame).await?;
        let Ok(Some(FrameHeader { len, .. })) = FrameHeader::decode(framing, &frame) else { return Ok(()) };
        let mut payload = vec![0; len + framing.trailer_len()];
        stream.read_exact(&mut payload).await?;
        let mut reader = Reader::new(&payload[..len]);
        while let Ok(header) = Header::decode(&mut reader, MessagingVersion::V13) {
            let Ok(_) = reader.bytes(header.payload_size, "the body") else { break };
            let (id, node) = (header.id, SocketAddr::from(from));
            match header.verb {
                Verb::ECHO_REQ => {
                    tokio::spawn(async move { tell(own, node, Verb::ECHO_RSP, id, &[]).await.map(drop) });
                }
                Verb::GOSSIP_DIGEST_SYN
                    if own.ip() == member(0) && !others.tells.swap(true, Ordering::Relaxed) =>
                {
                    tokio::spawn(tell_of_all(own, node, others.clone()));
                }
                _ => {}
            }
        }
    }
}

/// Answers the question of a node before it joins, then tells of new heartbeats.
async fn tell_of_all(own: SocketAddr, node: SocketAddr, others: Arc<Others>) -> io::Result<()> {
    let mut stream =
        tell(own, node, Verb::GOSSIP_DIGEST_ACK, 0, &others.ack(others.count, 100, true)).await?;
    let mut ticks = tokio::time::interval(BEAT);
    for heartbeat in 101.. {
        ticks.tick().await;
        let heard = others.count - others.silent.load(Ordering::Relaxed);
        send(&mut stream, Verb::GOSSIP_DIGEST_ACK, 0, &others.ack(heard, heartbeat, false)).await?;
    }
    Ok(())
}

/// Dials the node as one of the members, and sends a message.
async fn tell(own: SocketAddr, node: SocketAddr, verb: Verb, id: u64, body: &[u8]) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(own.ip(), 0))?;
    let mut stream = socket.connect(node).await?;
    let mut buffer = [0; Initiate::MAX_SIZE];
    let mut out = Writer::new(&mut buffer);
    let versions = VersionRange::WITHOUT_METADATA;
    let initiate = Initiate::messaging(ConnectionType::Large, Framing::Crc, versions, own.into());
    initiate.encode(&mut out).map_err(|_| io::Error::other("no room"))?;
    stream.write_all(out.written()).await?;
    stream.read_exact(&mut [0; Accept::SIZE]).await?;
    send(&mut stream, verb, id, body).await?;
    Ok(stream)
}

async fn send(stream: &mut TcpStream, verb: Verb, id: u64, body: &[u8]) -> io::Result<()> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let header = Header {
        id,
        epoch: 0,
        created_at: u32::try_from(created & u128::from(u32::MAX)).unwrap(),
        expires_in: 10_000,
        verb,
        flags: 0,
        params: Params::NONE,
        payload_size: body.len(),
    };
    let mut buffer = [0; MAX_HEADER];
    let mut out = Writer::new(&mut buffer);
    header.encode(MessagingVersion::V13, &mut out).map_err(|_| io::Error::other("no room"))?;
    let message = [out.written(), body].concat();
    let kind = if message.len() <= PIECE { FrameKind::SelfContained } else { FrameKind::Piece };
    for piece in message.chunks(PIECE) {
        let mut frame = [&[0; 6], piece, &[0; 4]].concat();
        let place = wrap(Framing::Crc, kind, &mut frame, 6..6 + piece.len()).map_err(io::Error::other)?;
        stream.write_all(&frame[place]).await?;
    }
    Ok(())
}

impl Others {
    /// An ACK that asks for nothing and tells of the first `count`: their heartbeats, and their states if that is wanted.
    fn ack(&self, count: usize, heartbeat: u32, with_states: bool) -> Vec<u8> {
        let mut body = Vec::new();
        let int = |body: &mut Vec<u8>, value: usize| body.extend(u32::try_from(value).unwrap().to_be_bytes());
        int(&mut body, 0);
        int(&mut body, count);
        for number in 0..count {
            body.push(6);
            body.extend(member(number).octets());
            body.extend(self.port.to_be_bytes());
            body.extend(self.started.to_be_bytes());
            body.extend(heartbeat.to_be_bytes());
            let states = if with_states { states(number) } else { Vec::new() };
            int(&mut body, states.len());
            for (version, (key, value)) in (1_u32..).zip(states) {
                int(&mut body, usize::try_from(key.number()).unwrap());
                body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
                body.extend(value.as_bytes());
                body.extend(version.to_be_bytes());
            }
        }
        body
    }
}

/// What a member says of itself.
fn states(number: usize) -> Vec<(ApplicationState, String)> {
    vec![
        (ApplicationState::DC, ["east", "west", "south"][number % 3].into()),
        (ApplicationState::RACK, format!("r{}", number / 3 % 3 + 1)),
        (ApplicationState::RELEASE_VERSION, if number.is_multiple_of(10) { "0.1.1" } else { "0.1.0" }.into()),
        (ApplicationState::SCHEMA, "9b2b6b1e-5c3e-4b06-8f8a-4a3d57a0a001".into()),
        (ApplicationState::HOST_ID, format!("00000000-0000-4000-8000-{number:012x}")),
        (ApplicationState::STATUS_WITH_PORT, format!("NORMAL,{number}")),
    ]
}
