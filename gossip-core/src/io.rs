//! The whole conversation between a node and its driver.

use core::fmt;

use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::time::Timestamp;

/// Names a connection, dialled or accepted. Given out by the node, never twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}

/// How many connections a node has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpenConnections {
    /// Connections that were accepted.
    pub accepted: u32,
    /// Connections that were dialled.
    pub dialled: u32,
}

/// What happened: the input of a node. An unknown or forgotten connection is ignored.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Input<'a> {
    /// Time has passed: the moment has come that [`Output::Timeout`] named. Any other input after that moment does as well, since the node
    /// looks at the time on each.
    Timeout,
    /// The wall clock reads so. Pass it at the start and before each round (whenever a timeout is due, say, and before any other
    /// input then): creation times of messages follow it, and generations are held against it.
    WallClock {
        /// Milliseconds since the Unix epoch.
        unix_ms: u64,
    },
    /// A dialled connection is open, and can be written to.
    Opened {
        /// Which.
        connection: ConnectionId,
    },
    /// A dial came to nothing. The connection is gone.
    Failed {
        /// Which.
        connection: ConnectionId,
    },
    /// The other side closed the connection, or it broke. It is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// All that was to be written to the connection is written.
    Writable {
        /// Which.
        connection: ConnectionId,
    },
    /// Bytes arrived.
    Bytes {
        /// Over which connection.
        connection: ConnectionId,
        /// The bytes; all of them are taken.
        bytes: &'a [u8],
    },
    /// A datagram arrived. Who sent it stands in it; the address that the system names is not looked at.
    Datagram {
        /// All of it.
        bytes: &'a [u8],
    },
}

/// What the driver is to do: the output of a node.
#[derive(Clone, Copy)]
#[must_use]
#[non_exhaustive]
pub enum Output<'b> {
    /// Dial `to`, and say how it went: [`Input::Opened`] or [`Input::Failed`].
    Connect {
        /// The name of the new connection.
        connection: ConnectionId,
        /// Where to.
        to: Endpoint,
    },
    /// Write all of `bytes`, now or as the connection takes them, and say [`Input::Writable`] when the last is written. Until
    /// then nothing more comes for this connection but perhaps its end.
    Write {
        /// Where.
        connection: ConnectionId,
        /// In the buffer of the driver.
        bytes: &'b [u8],
    },
    /// Close the connection, whatever is still to be written. It is gone, nothing is to be said of it any more.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Send a datagram, now or never: where the system has no room for it, it is lost, as any datagram may be.
    Datagram {
        /// Where to.
        to: Endpoint,
        /// In the buffer of the driver.
        bytes: &'b [u8],
    },
    /// Something happened.
    Event(Event),
    /// There is nothing left to do before this moment, or before the next input: sleep.
    ///
    /// When the moment has come, [`Input::WallClock`] and [`Input::Timeout`] go before whatever else waits. A driver that is busy
    /// with other input looks at its clock all the same, each time before it gives some: the node does what is due on any
    /// input, by the `now` that comes with it. What a driver must not do is to take a `now` once for many inputs, or to put off
    /// [`Node::poll`](crate::Node::poll) until there are no more.
    Timeout(Option<Timestamp>),
}
