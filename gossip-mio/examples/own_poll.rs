//! A program with a poll of its own, which watches two things: a node, and a UDP socket on which it answers how
//! many others are live. Another node and a client are there for the demonstration; it ends when the client has seen enough.
//!
//! ```text
//! cargo run -p gossip-mio --example own_poll
//! ```

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gossip_mio::{Builder, Driver, Handle};
use mio::net::UdpSocket;
use mio::{Interest, Poll, Token};

const WAKER: Token = Token(0);
const QUESTIONS: Token = Token(1);
/// The node's, and all above.
const GOSSIP: Token = Token(2);

fn main() -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let waker = gossip_mio::waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
    let (mut driver, handle, _) = Driver::new(builder()?, poll.registry(), GOSSIP.., &waker)?;
    let mut questions = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    poll.registry().register(&mut questions, QUESTIONS, Interest::READABLE)?;

    let view = handle.view();
    // It is answered in the next turn.
    driver.turn();
    let mut view = view.wait()?;
    let service = questions.local_addr()?;
    let asker = thread::spawn(move || ask(service, &handle).map_err(|error| error.to_string()));

    let mut events = mio::Events::with_capacity(64);
    loop {
        let wait = driver.turn();
        if driver.is_stopped() {
            break;
        }
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            // Where it was the waker, the driver has what it wants by its next turn.
            if !driver.on_event(event) && event.token() == QUESTIONS {
                // What the node has learned in a turn is there after it.
                answer(&questions, view.snapshot().live_count() - 1)?;
            }
        }
    }
    println!("the node has stopped");
    asker.join().map_err(|_| "who asks has panicked")??;
    Ok(())
}

/// Answers all questions that wait: a poll reports an event only once.
fn answer(questions: &UdpSocket, live: usize) -> io::Result<()> {
    loop {
        match questions.recv_from(&mut [0; 64]) {
            Ok((_, from)) => questions.send_to(live.to_string().as_bytes(), from)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
    }
}

/// Asks until another node is found, and until it is gone; then stops the first.
fn ask(service: SocketAddr, handle: &Handle) -> Result<(), Box<dyn Error>> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect(service)?;
    let ask_until = |expected: &str| -> io::Result<()> {
        loop {
            socket.send(b"how many?")?;
            let mut buffer = [0; 64];
            let len = socket.recv(&mut buffer)?;
            if &buffer[..len] == expected.as_bytes() {
                println!("others that are live: {expected}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
    };
    ask_until("0")?;
    let (other, _) = builder()?.seed(handle.listen_address()).start()?;
    ask_until("1")?;
    other.shutdown().wait()?;
    ask_until("0")?;
    handle.shutdown().wait()?;
    Ok(())
}

fn builder() -> Result<Builder, Box<dyn Error>> {
    Ok(Builder::new("own poll").listen("127.0.0.1:0".parse()?).interval(Duration::from_millis(200)))
}
