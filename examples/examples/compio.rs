//! Three nodes on compio, whose sockets are driven by io_uring: a read or a write is given its buffer, and gives it back when it
//! is done. Where the kernel does not permit io_uring, compio polls instead, and the example says so.
//!
//! One task drives each node. Each connection has a task that reads, and one for the write that is under way; all report over a
//! channel. That is the loop of `gossip-core/examples/blocking.rs`, with tasks in the place of threads.
//!
//! ```text
//! cargo run -p gossip-examples --example compio
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use compio::net::{TcpListener, TcpStream};
use compio::runtime::{JoinHandle, Runtime, spawn};
use compio::time::timeout;
use futures_channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use futures_util::StreamExt;
use gossip_core::{
    ApplicationState, Clock, Config, ConnectionId, Endpoint, Event, Generation, Input, Node, Output,
    Timestamp,
};

/// How much is read at once.
const READ: usize = 16 * 1024;

/// What a task has to tell.
enum Report {
    Accepted(TcpStream),
    Dialled(ConnectionId, io::Result<TcpStream>),
    Received(ConnectionId, Vec<u8>),
    Written(ConnectionId, io::Result<()>),
    Ended(ConnectionId),
}

/// A connection, and the tasks that work for it. They end when they are dropped.
struct Stream {
    /// None while it is being dialled.
    stream: Option<TcpStream>,
    _reading: JoinHandle<()>,
    _writing: Option<JoinHandle<()>>,
}

/// A node and its sockets.
struct Driver {
    node: Node,
    clock: Clock,
    buffer: Vec<u8>,
    streams: BTreeMap<ConnectionId, Stream>,
    reports: UnboundedReceiver<Report>,
    reporter: UnboundedSender<Report>,
    /// Accepts until the driver is dropped.
    _accepting: JoinHandle<()>,
}

impl Driver {
    fn start(listener: TcpListener, config: Config) -> Self {
        let (reporter, reports) = mpsc::unbounded();
        let accepted = reporter.clone();
        let accepting = spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if accepted.unbounded_send(Report::Accepted(stream)).is_err() {
                    return;
                }
            }
        });
        let clock = Clock::start();
        let node = Node::new(config, clock.now());
        Self {
            node,
            clock,
            buffer: vec![0; Node::MIN_BUFFER],
            streams: BTreeMap::new(),
            reports,
            reporter,
            _accepting: accepting,
        }
    }

    /// Gossips until `done` says that it is enough, or the node has stopped.
    async fn run(&mut self, mut done: impl FnMut(&Node, Timestamp) -> bool) {
        self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
        loop {
            // One way out: do what the node wants, until it has nothing more.
            let deadline = loop {
                match self.node.poll(&mut self.buffer) {
                    Output::Connect { connection, to } => self.dial(connection, to),
                    Output::Write { connection, bytes } => {
                        let bytes = bytes.to_vec();
                        self.write(connection, bytes);
                    }
                    Output::Close { connection } => drop(self.streams.remove(&connection)),
                    Output::Event(Event::Stopped) => return,
                    Output::Event(event) => println!("{}: {event:?}", self.node.gossiper().local_endpoint()),
                    Output::Timeout(deadline) => break deadline,
                    _ => {}
                }
            };
            if done(&self.node, self.clock.now()) {
                return;
            }
            // One way in: tell what happened, or that time has passed.
            let wait =
                deadline.map_or(Duration::from_secs(3_600), |at| at.saturating_since(self.clock.now()));
            if wait.is_zero() {
                self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
                self.input(Input::Timeout);
            }
            // Else it is time.
            if let Ok(Some(report)) = timeout(wait, self.reports.next()).await {
                self.on_report(report);
            }
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Accepted(stream) => {
                if let Some(connection) = self.node.accept(self.clock.now()) {
                    self.open(connection, stream);
                }
            }
            // What the node does not want any more has no entry.
            Report::Dialled(connection, dialled) if self.streams.contains_key(&connection) => match dialled {
                Ok(stream) => {
                    self.open(connection, stream);
                    self.input(Input::Opened { connection });
                }
                Err(_) => {
                    self.streams.remove(&connection);
                    self.input(Input::Failed { connection });
                }
            },
            Report::Received(connection, bytes) if self.streams.contains_key(&connection) => {
                self.input(Input::Bytes { connection, bytes: &bytes });
            }
            Report::Written(connection, Ok(())) if self.streams.contains_key(&connection) => {
                self.input(Input::Writable { connection });
            }
            Report::Written(connection, Err(_)) | Report::Ended(connection) => {
                if self.streams.remove(&connection).is_some() {
                    self.input(Input::Closed { connection });
                }
            }
            Report::Dialled(..) | Report::Received(..) | Report::Written(..) => {}
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.clock.now(), input);
    }

    fn dial(&mut self, connection: ConnectionId, to: Endpoint) {
        let reporter = self.reporter.clone();
        let reading = spawn(async move {
            let dialled = TcpStream::connect(SocketAddr::from(to)).await;
            let _ = reporter.unbounded_send(Report::Dialled(connection, dialled));
        });
        self.streams.insert(connection, Stream { stream: None, _reading: reading, _writing: None });
    }

    fn open(&mut self, connection: ConnectionId, stream: TcpStream) {
        // Heartbeats are small, and each is awaited. It works without.
        let _ = stream.set_nodelay(true);
        let (reporter, mut reader) = (self.reporter.clone(), stream.clone());
        let reading = spawn(async move {
            let mut buffer = Vec::with_capacity(READ);
            loop {
                let BufResult(read, filled) = reader.read(buffer).await;
                let Ok(1..) = read else { break };
                if reporter.unbounded_send(Report::Received(connection, filled.clone())).is_err() {
                    return;
                }
                buffer = filled;
                buffer.clear();
            }
            let _ = reporter.unbounded_send(Report::Ended(connection));
        });
        self.streams.insert(connection, Stream { stream: Some(stream), _reading: reading, _writing: None });
    }

    /// Writes all of it, and reports that. Nothing more is written until then: the node waits for it.
    fn write(&mut self, connection: ConnectionId, bytes: Vec<u8>) {
        let Some(stream) = self.streams.get_mut(&connection) else { return };
        let Some(mut writer) = stream.stream.clone() else { return };
        let reporter = self.reporter.clone();
        stream._writing = Some(spawn(async move {
            let BufResult(written, _) = writer.write_all(bytes).await;
            let _ = reporter.unbounded_send(Report::Written(connection, written));
        }));
    }
}

/// Starts three nodes, waits until each has found the other two live, and stops them cleanly.
///
/// # Errors
///
/// If a socket fails, or the nodes have not found each other within a minute.
pub(crate) fn run(interval: Duration) -> io::Result<()> {
    let runtime = Runtime::new()?;
    if runtime.driver_type().is_iouring() {
        println!("compio: over io_uring");
    } else {
        println!(
            "compio: io_uring is not permitted on this machine, so compio polls ({:?})",
            runtime.driver_type()
        );
    }
    runtime.block_on(async {
        let mut listeners = Vec::new();
        for _ in 0..3 {
            listeners.push(TcpListener::bind("127.0.0.1:0").await?);
        }
        let seed = Endpoint::from(listeners[0].local_addr()?);
        let mut nodes = Vec::new();
        for (number, listener) in (1_u8..).zip(listeners) {
            let local = Endpoint::from(listener.local_addr()?);
            let generation = Generation::at_start(Clock::unix_millis() / 1_000, None);
            // An application would ask the operating system for entropy.
            let config = Config::builder("compio", local, generation, [number; 32])
                .seed(seed)
                .interval(interval)
                .state(ApplicationState::DC, "dc1")
                .build()
                .map_err(io::Error::other)?;
            nodes.push(spawn(async move { drive(Driver::start(listener, config)).await }));
        }
        for node in nodes {
            node.await.map_err(|_| io::Error::other("a node panicked"))??;
        }
        Ok(())
    })
}

async fn drive(mut driver: Driver) -> io::Result<()> {
    let found = |node: &Node| node.gossiper().live_endpoints().count() == 2;
    driver.run(|node, now| found(node) || now > Timestamp::from_millis(60_000)).await;
    if !found(&driver.node) {
        return Err(io::Error::other("the nodes have not found each other within a minute"));
    }
    // Others may not have found us yet: go on for a few rounds before leaving.
    let rounds = driver.node.stats().rounds + 5;
    driver.run(|node, _| node.stats().rounds >= rounds).await;
    driver.node.shutdown(driver.clock.now());
    driver.run(|_, _| false).await;
    println!("{}: stopped", driver.node.gossiper().local_endpoint());
    Ok(())
}

fn main() -> io::Result<()> {
    run(Duration::from_millis(500))
}
