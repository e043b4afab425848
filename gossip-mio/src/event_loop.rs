//! A loop that has nothing else to do.

use std::io;
use std::sync::Arc;

use gossip_adapter::{Builder, Events, Handle, StartError};
use mio::{Poll, Token};

use crate::mark::Mio;
use crate::{Driver, waker};

const WAKER: Token = Token(0);
const FIRST: Token = Token(1);

/// How many sockets are reported at once; the others follow.
const EVENTS: usize = 256;

/// A node and a loop of its own, for whatever thread is to run it.
///
/// ```
/// use gossip_mio::{Builder, EventLoop};
///
/// let (event_loop, handle, _) = EventLoop::new(Builder::new("my cluster").listen("127.0.0.1:0".parse()?))?;
/// let driving = std::thread::spawn(|| event_loop.run());
/// handle.shutdown().wait()?;
/// driving.join().expect("it does not panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventLoop {
    driver: Driver,
    poll: Poll,
    events: mio::Events,
}

impl EventLoop {
    /// Opens the socket and prepares the node. Others can reach it when it runs.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the address cannot be listened on, or something about the node cannot be.
    pub fn new<M>(builder: Builder<Mio, M>) -> Result<(Self, Handle<M>, Events), StartError> {
        let poll = Poll::new().map_err(StartError::Drive)?;
        let wakes = mio::Waker::new(poll.registry(), WAKER).map_err(StartError::Drive)?;
        let (driver, handle, events) =
            Driver::new(builder, poll.registry(), FIRST.., &waker(Arc::new(wakes)))?;
        Ok((Self { driver, poll, events: mio::Events::with_capacity(EVENTS) }, handle, events))
    }

    /// Drives the node on this thread until it has stopped. Nothing that is waited for on the same thread meanwhile comes.
    ///
    /// # Errors
    ///
    /// If the system does not say any more which sockets are ready. The node is gone then, without a word to its peers.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let wait = self.driver.turn();
            if self.driver.is_stopped() {
                return Ok(());
            }
            match self.poll.poll(&mut self.events, wait) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &self.events {
                self.driver.on_event(event);
            }
        }
    }
}
