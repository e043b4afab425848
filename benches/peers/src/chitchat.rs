//! chitchat: a SYN goes to its UDP server over loopback, and its SYN-ACK comes back. How it handles a message is private, so the whole
//! exchange is timed; beside it a bare loop that receives and sends as many bytes, on the same runtime.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use async_trait::async_trait;
use chitchat::transport::{Socket, Transport, UdpTransport};
use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, DeletionStatus, FailureDetectorConfig,
    ProtocolVersion, VersionedValue, spawn_chitchat,
};
use gossip_benches::messages::{CLUSTER, ordinary_states, peer};
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;

use crate::{Subject, record, time};

/// How many nodes its digest has room for in a datagram, in its older format, with ids as short as these.
pub const MOST: u32 = 1_000;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const VALUES: u64 = 12;

fn id(n: u32) -> ChitchatId {
    ChitchatId::new(format!("node-{n:05}"), 1, SocketAddr::new(peer(n).ip(), peer(n).port()))
}

/// A SYN in the older format. The `nth` peer has the heartbeat that `heartbeat` says.
fn syn(known: u32, heartbeat: impl Fn(u32) -> u64) -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend(u16::try_from(text.len()).expect("a short text").to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let mut bytes = 45_139_u16.to_le_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes.extend(u16::try_from(known).expect("they fit a datagram").to_le_bytes());
    for n in 0..known {
        let ChitchatId { node_id, generation_id, gossip_advertise_addr } = id(n);
        text(&mut bytes, &node_id);
        bytes.extend(generation_id.to_le_bytes());
        let SocketAddr::V4(address) = gossip_advertise_addr else {
            unreachable!("the peers have IPv4 addresses")
        };
        bytes.push(4);
        bytes.extend(address.ip().octets());
        bytes.extend(address.port().to_le_bytes());
        for number in [heartbeat(n), 0, VALUES] {
            bytes.extend(number.to_le_bytes());
        }
    }
    text(&mut bytes, CLUSTER);
    bytes
}

/// The UDP transport, which also says where its socket listens.
struct Telling(Sender<SocketAddr>);

#[async_trait]
impl Transport for Telling {
    async fn open(&self, address: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let socket = UdpTransport.open(address).await?;
        self.0.send(socket.local_addr()?)?;
        Ok(socket)
    }
}

/// A chitchat server, and a socket that plays one of its peers.
struct Server {
    handle: ChitchatHandle,
    address: SocketAddr,
    client: UdpSocket,
    buffer: Vec<u8>,
}

impl Server {
    /// One that knows so many nodes, with twelve values each.
    async fn start(known: u32, protocol_version: ProtocolVersion) -> anyhow::Result<Self> {
        let (tell, told) = mpsc::channel();
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new("local", 1, ANY),
            cluster_id: CLUSTER.into(),
            // It starts no exchange by itself.
            gossip_interval: Duration::from_secs(3_600),
            listen_addr: ANY,
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig::default(),
            marked_for_deletion_grace_period: Duration::from_secs(3_600),
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version,
        };
        let handle = spawn_chitchat(config, Vec::new(), &Telling(tell)).await?;
        let client = UdpSocket::bind(ANY).await?;
        let mut server = Self { handle, address: told.recv()?, client, buffer: vec![0; 1 << 16] };
        server.exchange(&syn(known, |_| 1)).await?;
        let teach = |chitchat: &mut Chitchat| {
            for n in 0..known {
                let values = (1..).zip(ordinary_states(n)).map(|(version, (key, value))| {
                    (format!("{key:?}"), VersionedValue { value, version, status: DeletionStatus::Set })
                });
                chitchat.reset_node_state_if_update(&id(n), values, VALUES, 0);
            }
        };
        server.handle.with_chitchat(teach).await;
        Ok(server)
    }

    /// Sends a SYN, and waits for its SYN-ACK; gives back the size of that.
    async fn exchange(&mut self, syn: &[u8]) -> std::io::Result<usize> {
        self.client.send_to(syn, self.address).await?;
        let (size, _) = self.client.recv_from(&mut self.buffer).await?;
        Ok(size)
    }

    /// The SYN that it sends itself.
    async fn own_syn(&mut self) -> anyhow::Result<Vec<u8>> {
        self.handle.gossip(self.client.local_addr()?)?;
        let (size, _) = self.client.recv_from(&mut self.buffer).await?;
        Ok(self.buffer[..size].to_vec())
    }
}

/// Exchanges with a server that knows so many nodes, and the bare loop with the sizes of its messages.
///
/// # Panics
///
/// If a server cannot be started, or does not answer.
pub fn subjects(known: u32, runtime: &Runtime) -> Vec<Subject<'_>> {
    let start = |version| runtime.block_on(Server::start(known, version)).expect("chitchat starts");
    let old = Rc::new(RefCell::new(start(ProtocolVersion::V0)));
    let new = Rc::new(RefCell::new(start(ProtocolVersion::V1)));
    let newer_format = runtime.block_on(new.borrow_mut().own_syn()).expect("chitchat sends a SYN");
    let older_format = syn(known, |_| 1);
    let sizes = [&older_format, &newer_format].map(|syn| syn.len());
    let answers = [(&old, &older_format), (&new, &newer_format)]
        .map(|(server, syn)| runtime.block_on(server.borrow_mut().exchange(syn)).expect("chitchat answers"));
    let runs = (4_000 / known).max(1);
    let items = u64::from(known) * u64::from(runs);
    let exchanges = move |server: &Rc<RefCell<Server>>, messages: &[Vec<u8>]| {
        let mut server = server.borrow_mut();
        time(|| {
            runtime.block_on(async {
                for message in messages {
                    let size = server.exchange(message).await.expect("chitchat answers");
                    assert!(size > known as usize, "it tells of everybody");
                }
            });
        })
    };
    let mut heartbeat = 1;
    let (first, second, third) = (Rc::clone(&old), old, new);
    let mut subjects = vec![
        Subject {
            step: record::SYN_NOTHING,
            name: CHITCHAT_OLD.into(),
            items,
            run: Box::new(move || exchanges(&first, &vec![older_format.clone(); runs as usize])),
        },
        Subject {
            step: record::SYN_TWO_THIRDS,
            name: CHITCHAT_OLD.into(),
            items,
            run: Box::new(move || {
                let messages: Vec<Vec<u8>> = (0..runs)
                    .map(|nth| {
                        heartbeat += 1;
                        // A third is ahead here, a third there.
                        syn(known, |n| if (n + nth) % 3 == 0 { heartbeat } else { 1 })
                    })
                    .collect();
                exchanges(&second, &messages)
            }),
        },
        Subject {
            step: record::SYN_NOTHING,
            name: CHITCHAT_NEW.into(),
            items,
            run: Box::new(move || exchanges(&third, &vec![newer_format.clone(); runs as usize])),
        },
    ];
    for ((name, size), answer) in [BARE_OLD, BARE_NEW].into_iter().zip(sizes).zip(answers) {
        let mut bare = runtime.block_on(Bare::start(size, answer)).expect("a bare loop starts");
        subjects.push(Subject {
            step: record::SYN_NOTHING,
            name: name.into(),
            items,
            run: Box::new(move || {
                time(|| runtime.block_on(async { bare.exchange(runs).await.expect("the loop answers") }))
            }),
        });
    }
    subjects
}

/// Name of the measurement of chitchat's older wire format.
pub const CHITCHAT_OLD: &str = "chitchat over UDP, format 0";
/// Name of the measurement of chitchat's newer wire format.
pub const CHITCHAT_NEW: &str = "chitchat over UDP, format 1 (zstd)";
/// Name of the measurement of a bare loop with the message sizes of the older format.
pub const BARE_OLD: &str = "bare UDP loop, sizes of format 0";
/// Name of the measurement of a bare loop with the message sizes of the newer format.
pub const BARE_NEW: &str = "bare UDP loop, sizes of format 1";

/// A loop that receives and sends, and does nothing else.
struct Bare {
    client: UdpSocket,
    server: SocketAddr,
    message: Vec<u8>,
    buffer: Vec<u8>,
}

impl Bare {
    async fn start(size: usize, answer: usize) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(ANY).await?;
        let server = socket.local_addr()?;
        tokio::spawn(async move {
            let (mut buffer, answer) = (vec![0; 1 << 16], vec![7; answer]);
            while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
                if socket.send_to(&answer, from).await.is_err() {
                    return;
                }
            }
        });
        let client = UdpSocket::bind(ANY).await?;
        Ok(Self { client, server, message: vec![7; size], buffer: vec![0; 1 << 16] })
    }

    async fn exchange(&mut self, times: u32) -> std::io::Result<()> {
        for _ in 0..times {
            self.client.send_to(&self.message, self.server).await?;
            self.client.recv_from(&mut self.buffer).await?;
        }
        Ok(())
    }
}
