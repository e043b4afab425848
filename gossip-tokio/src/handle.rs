//! What an application keeps of its node.

use std::fmt;
use std::net::SocketAddr;

use gossip_core::{
    ApplicationState, AssassinateError, Endpoint, EndpointInfo, Event, Generation, LeaveError, Node, Stats,
    Timestamp, Tombstone, Version,
};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Something to be done where the node is.
pub(crate) type Command = Box<dyn FnOnce(&mut Node, Timestamp) + Send>;

/// A running node. Clones are of the same one.
///
/// The node runs until [`Handle::shutdown`]. When the last handle is dropped, it shuts itself down in the same way.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    local: Endpoint,
    listening: SocketAddr,
}

impl Handle {
    pub(crate) const fn new(
        commands: mpsc::Sender<Command>,
        events: broadcast::Sender<Event>,
        local: Endpoint,
        listening: SocketAddr,
    ) -> Self {
        Self { commands, events, local, listening }
    }

    /// Under which endpoint the node gossips.
    pub const fn local_endpoint(&self) -> Endpoint {
        self.local
    }

    /// The address that is listened on.
    pub const fn listen_address(&self) -> SocketAddr {
        self.listening
    }

    /// Publishes a value of the node's own, under a fresh version.
    ///
    /// # Errors
    ///
    /// [`SetStateError`] if it could never be sent, or the node has stopped.
    pub async fn set_state(
        &self,
        key: ApplicationState,
        value: impl Into<String>,
    ) -> Result<Version, SetStateError> {
        let value = value.into();
        let set = self.call(move |node, now| node.set_state(now, key, &value)).await;
        set.map_err(|Stopped| SetStateError::Stopped)?.map_err(|error| match error {
            gossip_core::SetStateError::Stopped => SetStateError::Stopped,
            refused => SetStateError::Refused(refused),
        })
    }

    /// Everybody known, the node itself included, by ascending endpoint.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the node has stopped; likewise for all that asks the node.
    pub async fn endpoints(&self) -> Result<Vec<EndpointInfo>, Stopped> {
        self.call(|node, _| node.gossiper().snapshot()).await
    }

    /// The counters.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn stats(&self) -> Result<Stats, Stopped> {
        self.call(|node, _| *node.stats()).await
    }

    /// Who sent the SYN of another cluster that was told last ([`Event::ForeignCluster`]), and the name of that cluster.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn foreign_cluster(&self) -> Result<Option<(Endpoint, String)>, Stopped> {
        self.call(|node, _| node.gossiper().foreign_cluster()).await
    }

    /// As [`Handle::foreign_cluster`], of the partitioner ([`Event::ForeignPartitioner`]).
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn foreign_partitioner(&self) -> Result<Option<(Endpoint, String)>, Stopped> {
        self.call(|node, _| node.gossiper().foreign_partitioner()).await
    }

    /// Leaves the cluster for good, and returns when others had time to hear of it and the node has stopped.
    ///
    /// # Errors
    ///
    /// [`LeaveError`] if it is no member, or takes no part in gossip now.
    pub async fn leave(&self) -> Result<(), LeaveError> {
        let left = self.call(|node, now| node.leave(now)).await;
        left.unwrap_or(Err(LeaveError::NotRunning))?;
        self.stopped().await;
        Ok(())
    }

    /// Begins to declare an endpoint as left that cannot do so itself; [`Event::Assassinated`] or
    /// [`Event::AssassinationAborted`] follows.
    ///
    /// # Errors
    ///
    /// [`AssassinateError`] if that cannot be begun.
    pub async fn assassinate(&self, endpoint: Endpoint) -> Result<(), AssassinateError> {
        let begun = self.call(move |node, now| node.assassinate(now, endpoint)).await;
        begun.unwrap_or(Err(AssassinateError::NotRunning))
    }

    /// Announces a shutdown, and takes no part in gossip until [`Handle::enable`]. Returns at once; the announcement takes
    /// two intervals.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn disable(&self) -> Result<(), Stopped> {
        self.call(|node, now| node.disable(now)).await
    }

    /// Takes part in gossip again, with a greater generation.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn enable(&self) -> Result<(), Stopped> {
        self.call(|node, now| node.enable(now)).await
    }

    /// Whether the node takes part in gossip.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn is_enabled(&self) -> Result<bool, Stopped> {
        self.call(|node, _| node.gossiper().is_enabled()).await
    }

    /// The node's generation, as it is now.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn generation(&self) -> Result<Generation, Stopped> {
        self.call(|node, _| node.gossiper().generation()).await
    }

    /// The seeds, the node itself left out.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn seeds(&self) -> Result<Vec<Endpoint>, Stopped> {
        self.call(|node, _| node.gossiper().seeds().to_vec()).await
    }

    /// Replaces the seeds; says whether that changed anything. An empty list changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn set_seeds(&self, seeds: Vec<Endpoint>) -> Result<bool, Stopped> {
        self.call(move |node, _| node.set_seeds(&seeds)).await
    }

    /// The endpoints that are gone for good: to be kept across restarts, and given to
    /// [`Builder::tombstone`](crate::Builder::tombstone). They change with [`Event::Left`] and [`Event::Forgotten`].
    ///
    /// # Errors
    ///
    /// As [`Handle::endpoints`].
    pub async fn tombstones(&self) -> Result<Vec<Tombstone>, Stopped> {
        self.call(|node, _| node.gossiper().tombstones().collect()).await
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> Events {
        Events { receiver: self.events.subscribe(), is_over: false }
    }

    /// Announces the shutdown to all live members, goes on for two intervals so that all hear of it, and stops. Returns when
    /// that is done; so does a second call meanwhile.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the node had stopped before.
    pub async fn shutdown(&self) -> Result<(), Stopped> {
        self.call(|node, now| node.shutdown(now)).await?;
        self.stopped().await;
        Ok(())
    }

    /// Returns when the node has stopped, for whatever reason.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }

    async fn call<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Node, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let command: Command = Box::new(move |node, now| {
            // Who asked may have gone meanwhile.
            let _ = answer.send(command(node, now));
        });
        self.commands.send(command).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("local", &self.local).field("listening", &self.listening).finish()
    }
}

/// What happens to a node, in order.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    is_over: bool,
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    ///
    /// [`EventsError::Lagged`] once, if events were missed because this was not called for too long: the node never waits for its
    /// subscribers. [`EventsError::Stopped`] when the node has stopped and all is told.
    pub async fn recv(&mut self) -> Result<Event, EventsError> {
        // Nothing follows this one, however many handles still hold the other end.
        if self.is_over {
            return Err(EventsError::Stopped);
        }
        let event = self.receiver.recv().await;
        self.is_over = event == Ok(Event::Stopped);
        event.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(missed) => EventsError::Lagged(missed),
            broadcast::error::RecvError::Closed => EventsError::Stopped,
        })
    }
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventsError {
    /// So many events were missed; what they said can be read from the node.
    Lagged(u64),
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for EventsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(missed) => write!(f, "{missed} events were missed"),
            Self::Stopped => Stopped.fmt(f),
        }
    }
}

impl std::error::Error for EventsError {}

/// The node has stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node has stopped")
    }
}

impl std::error::Error for Stopped {}

/// Why a value was not published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SetStateError {
    /// It could never be sent.
    Refused(gossip_core::SetStateError),
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for SetStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Stopped => Stopped.fmt(f),
        }
    }
}

impl std::error::Error for SetStateError {}
