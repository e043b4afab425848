//! Three nodes over blocking sockets of the standard library: no runtime, no dependency but the core.
//!
//! One thread drives each node. Whatever blocks (accepting, dialling, reading) has a thread of its own and reports over a
//! channel; the driver waits on that channel until the node's next deadline.
//!
//! ```text
//! cargo run -p gossip-core --example blocking
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use gossip_core::{
    ApplicationState, Clock, Config, ConnectionId, Endpoint, Event, Generation, Input, Node, Output,
    Timestamp,
};

/// What a thread that blocks has to tell.
enum Report {
    Accepted(TcpStream),
    Dialled(ConnectionId, io::Result<TcpStream>),
    Received(ConnectionId, Vec<u8>),
    Ended(ConnectionId),
}

/// A node and its sockets.
struct Driver {
    node: Node,
    clock: Clock,
    buffer: Vec<u8>,
    streams: BTreeMap<ConnectionId, TcpStream>,
    dialling: BTreeSet<ConnectionId>,
    reports: Receiver<Report>,
    reporter: Sender<Report>,
}

impl Driver {
    fn start(listener: TcpListener, config: Config) -> Self {
        let (reporter, reports) = mpsc::channel();
        let accepted = reporter.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepted.send(Report::Accepted(stream)).is_err() {
                    break;
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
            dialling: BTreeSet::new(),
            reports,
            reporter,
        }
    }

    // loop: shown in docs/embedding.md
    /// Gossips until `done` says that it is enough, or the node has stopped.
    fn run(&mut self, mut done: impl FnMut(&mut Node, Timestamp) -> bool) {
        self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
        loop {
            // One way out: do what the node wants, until it has nothing more.
            let deadline = loop {
                match self.node.poll(&mut self.buffer) {
                    Output::Connect { connection, to } => self.dial(connection, to),
                    Output::Write { connection, bytes } => {
                        let written = self.streams.get(&connection).map(|mut stream| stream.write_all(bytes));
                        match written {
                            Some(Ok(())) => self.input(Input::Writable { connection }),
                            _ => self.lose(connection),
                        }
                    }
                    Output::Close { connection } => self.hang_up(connection),
                    Output::Event(Event::Stopped) => return,
                    Output::Event(event) => println!("{}: {event:?}", self.node.gossiper().local_endpoint()),
                    Output::Timeout(deadline) => break deadline,
                    _ => {}
                }
            };
            if done(&mut self.node, self.clock.now()) {
                return;
            }
            // One way in: tell what happened, or that time has passed.
            let wait = deadline.map_or(Duration::MAX, |at| at.saturating_since(self.clock.now()));
            if wait.is_zero() {
                self.input(Input::WallClock { unix_ms: Clock::unix_millis() });
                self.input(Input::Timeout);
            }
            match self.reports.recv_timeout(wait) {
                Ok(Report::Accepted(stream)) => {
                    if let Some(connection) = self.node.accept(self.clock.now()) {
                        self.open(connection, stream);
                    }
                }
                Ok(Report::Dialled(connection, dialled)) => {
                    match (self.dialling.remove(&connection), dialled) {
                        (false, _) => {} // The node does not want it any more.
                        (true, Err(_)) => self.input(Input::Failed { connection }),
                        (true, Ok(stream)) => {
                            self.open(connection, stream);
                            self.input(Input::Opened { connection });
                        }
                    }
                }
                Ok(Report::Received(connection, bytes)) => {
                    self.input(Input::Bytes { connection, bytes: &bytes })
                }
                Ok(Report::Ended(connection)) => self.lose(connection),
                Err(_) => {} // It is time.
            }
        }
    }
    // loop: end

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.clock.now(), input);
    }

    fn dial(&mut self, connection: ConnectionId, to: Endpoint) {
        self.dialling.insert(connection);
        let reporter = self.reporter.clone();
        thread::spawn(move || {
            let dialled = TcpStream::connect_timeout(&SocketAddr::from(to), Duration::from_secs(2));
            let _ = reporter.send(Report::Dialled(connection, dialled));
        });
    }

    fn open(&mut self, connection: ConnectionId, stream: TcpStream) {
        // A peer that does not read must not hold us up for long.
        let prepared =
            stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(Duration::from_secs(1))));
        let Ok(mut reader) = prepared.and_then(|()| stream.try_clone()) else { return self.lose(connection) };
        self.streams.insert(connection, stream);
        let reporter = self.reporter.clone();
        thread::spawn(move || {
            let mut chunk = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                if reporter.send(Report::Received(connection, chunk[..count].to_vec())).is_err() {
                    return;
                }
            }
            let _ = reporter.send(Report::Ended(connection));
        });
    }

    /// The connection is gone without the node having asked for it.
    fn lose(&mut self, connection: ConnectionId) {
        self.hang_up(connection);
        self.input(Input::Closed { connection });
    }

    /// Ends both halves: the thread that reads has one of its own.
    fn hang_up(&mut self, connection: ConnectionId) {
        self.dialling.remove(&connection);
        if let Some(stream) = self.streams.remove(&connection) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        for stream in self.streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Starts three nodes, waits until each has found the other two live, and stops them cleanly.
///
/// # Errors
///
/// If a socket fails, or the nodes have not found each other within a minute.
pub(crate) fn run(interval: Duration) -> io::Result<()> {
    let listeners: Vec<TcpListener> =
        (0..3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    let seed = Endpoint::from(listeners[0].local_addr()?);
    let mut threads = Vec::new();
    for (number, listener) in (1_u8..).zip(listeners) {
        let local = Endpoint::from(listener.local_addr()?);
        let generation = Generation::at_start(Clock::unix_millis() / 1_000, None);
        // An application would ask the operating system for entropy.
        let config = Config::builder("blocking", local, generation, [number; 32])
            .seed(seed)
            .interval(interval)
            .state(ApplicationState::DC, "dc1")
            .build()
            .map_err(io::Error::other)?;
        threads.push(thread::spawn(move || {
            let mut driver = Driver::start(listener, config);
            let found = |node: &Node| node.gossiper().live_endpoints().count() == 2;
            driver.run(|node, now| found(node) || now > Timestamp::from_millis(60_000));
            if !found(&driver.node) {
                return Err(io::Error::other("the nodes have not found each other within a minute"));
            }
            // Others may not have found us yet: go on for a few rounds before leaving.
            let rounds = driver.node.stats().rounds + 5;
            driver.run(|node, _| node.stats().rounds >= rounds);
            driver.node.shutdown(driver.clock.now());
            driver.run(|_, _| false);
            println!("{local}: stopped");
            Ok(())
        }));
    }
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a node panicked"))??;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    run(Duration::from_millis(500))
}
