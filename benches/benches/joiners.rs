//! A hundred joiners ask one node for everything that it knows, all in one second: what that takes of the node. See
//! `benches/README.md`.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use gossip_benches::interleaved::Effort;
use gossip_benches::messages::{CLUSTER, body, peer, syn};
use gossip_core::internode::{
    Accept, ConnectionType, FrameKind, Framing, Header, Initiate, Params, VersionRange, wrap,
};
use gossip_core::{
    ApplicationState, Config, ConnectionId, Endpoint, Generation, Input, Limits, MessagingVersion, Node,
    Output, Timestamp, Verb,
};

const VERSION: MessagingVersion = MessagingVersion::V12;

/// How many values the node publishes, and how long each is: about 5 MB.
const VALUES: i32 = 166;
const VALUE_LEN: usize = 30_000;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let joiners: &[u32] = match Effort::from_args() {
        Effort::Test => &[10],
        _ => &[1, 10, 100],
    };
    println!("joiners   most memory     time of the node   sent");
    for joiners in joiners {
        let mut node = Served::new();
        let mut spent = Duration::ZERO;
        let most = measure(|| spent = node.serve(*joiners)).bytes_max;
        let sent = node.sent.values().sum::<usize>();
        assert!(node.sent.len() == *joiners as usize, "all are answered");
        assert!(node.sent.values().all(|sent| *sent > VALUES as usize * VALUE_LEN), "all get everything");
        println!(
            "{joiners:<9} {:>8.1} MB {:>13.1} ms {:>12.1} MB",
            most as f64 / 1e6,
            spent.as_secs_f64() * 1e3,
            sent as f64 / 1e6
        );
    }
}

/// A node that knows much, and how much it has sent to each joiner.
struct Served {
    node: Node,
    now: Timestamp,
    buffer: Vec<u8>,
    sent: BTreeMap<Endpoint, usize>,
    opened: BTreeMap<ConnectionId, Joiner>,
}

struct Joiner {
    endpoint: Endpoint,
    is_established: bool,
}

impl Served {
    fn new() -> Self {
        let value = "x".repeat(VALUE_LEN);
        let config = Config::builder(CLUSTER, peer(0), Generation::new(1_700_000_000), [7; 32])
            .limits(Limits { max_states: VALUES as usize + 64, ..Limits::default() });
        let config =
            (0..VALUES).fold(config, |config, n| config.state(ApplicationState::new(1_000 + n), &value));
        let node = Node::new(config.build().expect("the settings are right"), Timestamp::ZERO);
        let mut served = Self {
            node,
            now: Timestamp::ZERO,
            buffer: vec![0; Node::MIN_BUFFER],
            sent: BTreeMap::new(),
            opened: BTreeMap::new(),
        };
        served.node.handle_input(Timestamp::ZERO, Input::WallClock { unix_ms: 1_700_000_000_000 });
        served
    }

    /// Lets so many ask, one after the other, all within a second; all take what they are sent at the same pace. Says how long the node
    /// took.
    fn serve(&mut self, joiners: u32) -> Duration {
        let mut spent = Duration::ZERO;
        let mut writable = VecDeque::new();
        for n in 1..=joiners {
            self.now = self.now + Duration::from_millis(1_000) / joiners;
            let asked = question(peer(n));
            let begun = Instant::now();
            let connection = self.node.accept(self.now).expect("there is room for connections");
            self.node.handle_input(self.now, Input::Bytes { connection, bytes: &asked });
            spent += begun.elapsed();
            spent += self.drain(&mut writable);
            // Each joiner takes a piece while the next one comes.
            for _ in 0..writable.len() {
                spent += self.take(&mut writable);
            }
        }
        while !writable.is_empty() {
            spent += self.take(&mut writable);
        }
        spent
    }

    /// The joiner whose turn it is has taken what it was sent.
    fn take(&mut self, writable: &mut VecDeque<ConnectionId>) -> Duration {
        let Some(connection) = writable.pop_front() else { return Duration::ZERO };
        let begun = Instant::now();
        self.node.handle_input(self.now, Input::Writable { connection });
        begun.elapsed() + self.drain(writable)
    }

    /// Does what the node wants.
    fn drain(&mut self, writable: &mut VecDeque<ConnectionId>) -> Duration {
        let mut spent = Duration::ZERO;
        loop {
            let begun = Instant::now();
            let wanted = self.node.poll(&mut self.buffer);
            spent += begun.elapsed();
            match wanted {
                Output::Connect { connection, to } => {
                    self.opened.insert(connection, Joiner { endpoint: to, is_established: false });
                    self.node.handle_input(self.now, Input::Opened { connection });
                }
                Output::Write { connection, bytes } => {
                    let Some(joiner) = self.opened.get_mut(&connection) else { continue };
                    if joiner.is_established {
                        *self.sent.entry(joiner.endpoint).or_default() += bytes.len();
                    } else {
                        joiner.is_established = true;
                        let accept = Accept { max: 12, version: 12 }.to_bytes();
                        self.node.handle_input(self.now, Input::Bytes { connection, bytes: &accept });
                    }
                    writable.push_back(connection);
                }
                Output::Event(_) => {}
                Output::Close { .. } => panic!("no connection is closed"),
                _ => return spent,
            }
        }
    }
}

/// What a joiner sends over the connection that it opens.
fn question(from: Endpoint) -> Vec<u8> {
    const MARGIN: usize = 32;
    let versions = VersionRange { min: 12, max: 12 };
    let initiate = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, versions, from);
    let mut asked = body(|out| initiate.encode(out).expect("there is room"));
    let syn = syn(&[]);
    let header = Header {
        id: 1,
        epoch: 0,
        created_at: 0,
        expires_in: i64::from(i32::MAX),
        verb: Verb::GOSSIP_DIGEST_SYN,
        flags: 0,
        params: Params::NONE,
        payload_size: syn.len(),
    };
    let message = [body(|out| header.encode(VERSION, out).expect("there is room")), syn].concat();
    let end = MARGIN + message.len();
    let mut frame = vec![0; end + MARGIN];
    frame[MARGIN..end].copy_from_slice(&message);
    let framed =
        wrap(Framing::Crc, FrameKind::SelfContained, &mut frame, MARGIN..end).expect("there is room");
    asked.extend_from_slice(&frame[framed]);
    asked
}
