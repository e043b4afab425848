//! What this machine takes for what every node has to do, whatever it is written in: to wake up, to send and receive a packet, and to get
//! and use a connection.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

use gossip_benches::usage::Usage;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// How often each is done. The system counts processor time in steps of 10 ms.
const TIMES: u32 = 10_000;

/// How many connections stay open at most.
const CONNECTIONS: u32 = 8_000;

/// About the mean length of a packet of a node among two hundred.
const LENGTH: usize = 1_000;

/// Says what a wake-up takes, what a packet takes behind it and in a loop that never waits, and what a connection takes, in microseconds of
/// processor time.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.connect(receiver.local_addr()?)?;
    let mut buffer = [7; LENGTH];
    let mut packet = || -> io::Result<()> {
        sender.send(&buffer)?;
        receiver.recv(&mut buffer).map(drop)
    };
    let sleep = || thread::sleep(Duration::from_micros(500));
    let wake_up = each(TIMES, || {
        sleep();
        Ok(())
    })?;
    let both = each(TIMES, || {
        sleep();
        packet()
    })?;
    let in_a_loop = each(TIMES, &mut packet)?;
    println!(
        "a wake-up {wake_up:.1} µs, a packet sent and received behind it {:.1} µs, and in a loop {in_a_loop:.1} µs",
        both - wake_up
    );
    let descriptors = rlimit::Resource::NOFILE.get_soft()?;
    // Each takes a descriptor at both ends.
    let connections = CONNECTIONS.min(u32::try_from(descriptors / 4).unwrap_or(u32::MAX));
    let mut ends = Ends::listen()?;
    let before = Usage::of(std::process::id())?;
    ends.connect(connections)?;
    let connection = microseconds(before, connections)?;
    println!(
        "a connection, from the dial until the echo, among {connections} that stay open: {connection:.1} µs"
    );
    Ok(())
}

/// The processor time of one of many, in microseconds.
fn each(times: u32, mut what: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let before = Usage::of(std::process::id())?;
    for _ in 0..times {
        what()?;
    }
    microseconds(before, times)
}

/// What this process took since then, for each of so many.
fn microseconds(before: Usage, times: u32) -> io::Result<f64> {
    let after = Usage::of(std::process::id())?;
    let took = (after.user + after.system).saturating_sub(before.user + before.system);
    Ok(took.as_secs_f64() * 1e6 / f64::from(times))
}

/// Both ends of connections that stay open, in one thread that waits for all, as the nodes of a process do.
struct Ends {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    /// The dialled end of a connection, then the accepted one.
    open: Vec<TcpStream>,
}

const LISTENER: Token = Token(usize::MAX - 1);

impl Ends {
    fn listen() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, events: Events::with_capacity(256), listener, open: Vec::new() })
    }

    /// Dials and accepts so many. Then each sends what it takes until a peer is found live: the handshake both ways, then an echo both ways.
    /// All send the first message before any sends the next, since in a cluster a connection is not in the caches either when one arrives.
    fn connect(&mut self, connections: u32) -> io::Result<()> {
        for _ in 0..connections {
            let dialled = TcpStream::connect(self.listener.local_addr()?)?;
            self.wait_for_a_connection()?;
            let (accepted, _) = self.listener.accept()?;
            for mut end in [dialled, accepted] {
                end.set_nodelay(true)?;
                let token = Token(self.open.len());
                self.poll.registry().register(&mut end, token, Interest::READABLE | Interest::WRITABLE)?;
                self.open.push(end);
            }
        }
        // About the lengths of an `Initiate`, its answer, an echo and its answer in frames of Cassandra 4.0.
        for (from_accepted, length) in [(false, 26), (true, 16), (false, 60), (true, 50)] {
            for end in self.open.iter_mut().skip(usize::from(from_accepted)).step_by(2) {
                end.write_all(&[7; 64][..length])?;
            }
            let mut unread = connections;
            while unread > 0 {
                self.poll.poll(&mut self.events, None)?;
                for event in self.events.iter().filter(|event| event.is_readable()) {
                    self.open[event.token().0].read_exact(&mut [0; 64][..length])?;
                    unread -= 1;
                }
            }
        }
        Ok(())
    }

    fn wait_for_a_connection(&mut self) -> io::Result<()> {
        loop {
            self.poll.poll(&mut self.events, None)?;
            if self.events.iter().any(|event| event.token() == LISTENER) {
                return Ok(());
            }
        }
    }
}
