//! Describing a node, and making it.

mod membership;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gossip_core::{
    Clock, ConfigBuilder, ConfigError, Datagrams, Detector, Endpoint, Generation, Limits, Member, Membership,
    Node, SavedEndpoint, Timeouts, Timestamp, Tombstone, Transport, Uuid,
};

use self::membership::Kind;
use crate::events::{Events, Feed};
use crate::handle::Handle;
use crate::mailbox::{Mailbox, Queue};
use crate::view;

/// What adapters differ in: how a node is started. Implemented by a marker type, which no value needs to exist of.
pub trait Runtime: Sized {
    /// What starting gives: a [`Handle`] and the [`Events`] from the start on, or a [`StartError`]; now or later.
    type Start<M: 'static>;

    /// Opens the socket, prepares the node, and starts its driver.
    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M>;
}

/// Stores a generation that the node has raised.
pub type PersistGeneration = Box<dyn FnMut(Generation) -> io::Result<()> + Send>;

type Change<M> = Box<dyn FnOnce(ConfigBuilder<M>) -> ConfigBuilder<M> + Send>;
type ChangeAt<M> = Box<dyn FnOnce(ConfigBuilder<M>, Endpoint) -> ConfigBuilder<M> + Send>;

/// Collects what a node is to be, and starts it.
///
/// [`Builder::new`] begins a node that says itself what it publishes. [`Builder::gossip_only`] begins a gossip-only member of a Cassandra
/// cluster, whose builder and handle know no way to publish a status or tokens:
///
/// ```compile_fail,E0599
/// # enum Mine {}
/// use gossip_adapter::{ApplicationState, Builder};
///
/// let _ = Builder::<Mine>::gossip_only("Test Cluster").state(ApplicationState::STATUS_WITH_PORT, "NORMAL,-5");
/// ```
#[must_use]
pub struct Builder<R, M = Member> {
    kind: Kind<M>,
    cluster: String,
    partitioner: Option<String>,
    listen: SocketAddr,
    broadcast: Option<SocketAddr>,
    transport: Transport,
    host_id: Option<Uuid>,
    seeds: Vec<SocketAddr>,
    saved: Vec<SavedEndpoint>,
    tombstones: Vec<Tombstone>,
    says: Vec<Change<M>>,
    says_with: Option<ChangeAt<M>>,
    generation: Option<Generation>,
    persist: Option<PersistGeneration>,
    interval: Duration,
    tune: Option<Change<M>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R, M> Builder<R, M> {
    fn of(kind: Kind<M>, cluster: String) -> Self {
        Self {
            kind,
            cluster,
            partitioner: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7000)),
            broadcast: None,
            transport: Transport::Internode,
            host_id: None,
            seeds: Vec::new(),
            saved: Vec::new(),
            tombstones: Vec::new(),
            says: Vec::new(),
            says_with: None,
            generation: None,
            persist: None,
            interval: Duration::from_secs(1),
            tune: None,
            runtime: PhantomData,
        }
    }

    /// Class name of the partitioner: who has another is not talked to. Default [`DEFAULT_PARTITIONER`](gossip_core::DEFAULT_PARTITIONER),
    /// of a gossip-only member [`CASSANDRA_PARTITIONER`](gossip_core::CASSANDRA_PARTITIONER).
    pub fn partitioner(mut self, class_name: impl Into<String>) -> Self {
        self.partitioner = Some(class_name.into());
        self
    }

    /// Where to listen. Port 0 takes a free one.
    pub const fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Under which address peers know and dial the node. Default: the address that is listened on, which must then be a
    /// specific one. Port 0 means the port that is listened on.
    pub const fn broadcast(mut self, address: SocketAddr) -> Self {
        self.broadcast = Some(address);
        self
    }

    /// Adds a seed: an address through which the node finds the others.
    pub fn seed(mut self, address: SocketAddr) -> Self {
        self.seeds.push(address);
        self
    }

    /// Adds an endpoint known from an earlier run: it is tried now and then until it is heard of.
    pub fn saved_endpoint(self, address: SocketAddr) -> Self {
        self.saved(SavedEndpoint::new(address.into()))
    }

    /// As [`Builder::saved_endpoint`], with the host id and the last contact that were saved: by these a former address is forgotten.
    pub fn saved(mut self, saved: SavedEndpoint) -> Self {
        self.saved.push(saved);
        self
    }

    /// Adds an endpoint that was removed in an earlier run: it does not come back.
    pub fn tombstone(mut self, tombstone: Tombstone) -> Self {
        self.tombstones.push(tombstone);
        self
    }

    /// The generation; it must be greater at each start. Default: the system's clock in seconds.
    pub const fn generation(mut self, generation: Generation) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Called when the node raises its own generation, before anything more is sent: a later start must be above it. Runs
    /// where blocking is allowed; the node waits for it. An error is logged, and the node goes on.
    pub fn persist_generation(
        mut self,
        persist: impl FnMut(Generation) -> io::Result<()> + Send + 'static,
    ) -> Self {
        self.persist = Some(Box::new(persist));
        self
    }

    /// The time between two rounds. Default 1 s; 1 ms to 1 h.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The failure detector.
    pub fn detector(self, detector: Detector) -> Self
    where
        M: 'static,
    {
        self.says(move |config| config.detector(detector))
    }

    /// Limits of memory and of work.
    pub fn limits(self, limits: Limits) -> Self
    where
        M: 'static,
    {
        self.says(move |config| config.limits(limits))
    }

    /// Timeouts of connections and messages.
    pub fn timeouts(self, timeouts: Timeouts) -> Self
    where
        M: 'static,
    {
        self.says(move |config| config.timeouts(timeouts))
    }

    /// How the node joins and leaves, and when it forgets other endpoints.
    ///
    /// A node of the library takes part at once unless [`Membership::shadow_round`] is set; `gossip run` and gossip-only members have
    /// it on. [`View::until_joined`](crate::View::until_joined) waits for the end of the shadow round.
    pub fn membership(self, membership: Membership) -> Self
    where
        M: 'static,
    {
        self.says(move |config| config.membership(membership))
    }

    /// Packets of [`Transport::Datagram`].
    pub fn datagrams(self, datagrams: Datagrams) -> Self
    where
        M: 'static,
    {
        self.says(move |config| config.datagrams(datagrams))
    }

    fn says(mut self, change: impl FnOnce(ConfigBuilder<M>) -> ConfigBuilder<M> + Send + 'static) -> Self {
        self.says.push(Box::new(change));
        self
    }

    /// Changes anything else of the core's configuration, last of all.
    pub fn tune(mut self, tune: impl FnOnce(ConfigBuilder<M>) -> ConfigBuilder<M> + Send + 'static) -> Self {
        self.tune = Some(Box::new(tune));
        self
    }

    /// Starts the node, in the way of the runtime.
    ///
    /// It gives the node's handle, and its events: all of them from the very start, so that none is missed. Drop the
    /// events if the program does not read them; [`Handle::subscribe`] gives later ones.
    ///
    /// # Cancel safety
    ///
    /// Where this gives a future: if that is dropped before it is ready, no node is left running.
    pub fn start(self) -> R::Start<M>
    where
        R: Runtime,
        M: 'static,
    {
        R::start(self)
    }

    /// For adapters: which socket to open.
    pub const fn chosen_transport(&self) -> Transport {
        self.transport
    }

    /// For adapters: where to listen.
    ///
    /// # Errors
    ///
    /// [`StartError::UnspecifiedBroadcast`] if peers could not know where to dial.
    pub fn listen_on(&self) -> Result<SocketAddr, StartError> {
        if self.broadcast.is_none() && self.listen.ip().is_unspecified() {
            return Err(StartError::UnspecifiedBroadcast { listen: self.listen });
        }
        Ok(self.listen)
    }

    /// For adapters: makes the node, which begins to gossip at [`Timestamp::ZERO`]. `listening` is the address that the socket
    /// got in the end.
    ///
    /// # Errors
    ///
    /// [`StartError`] if something about the node cannot be.
    pub fn prepare(self, listening: SocketAddr) -> Result<Prepared<M>, StartError> {
        let mut broadcast = self.broadcast.unwrap_or(listening);
        if broadcast.port() == 0 {
            broadcast.set_port(listening.port());
        }
        let entropy = entropy()?;
        let local = Endpoint::from(broadcast);
        let generation =
            self.generation.unwrap_or_else(|| Generation::at_start(Clock::unix_millis() / 1_000, None));
        let host_id = self.host_id.map_or_else(random_host_id, Ok)?;
        let mut config =
            (self.kind.begin)(&self.cluster, local, generation, entropy, host_id).interval(self.interval);
        if let Some(partitioner) = &self.partitioner {
            config = config.partitioner(partitioner);
        }
        for seed in self.seeds {
            config = config.seed(seed.into());
        }
        for saved in self.saved {
            config = config.saved(saved);
        }
        for tombstone in self.tombstones {
            config = config.tombstone(tombstone);
        }
        for change in self.says {
            config = change(config);
        }
        if let Some(change) = self.says_with {
            config = change(config, local);
        }
        if let Some(tune) = self.tune {
            config = tune(config);
        }
        // The socket is there already.
        let config = (self.kind.end)(config, self.transport);
        let node = Node::new(config.build().map_err(StartError::Config)?, Timestamp::ZERO);
        let (queue, feed) = (Arc::new(Queue::default()), Arc::new(Feed::default()));
        let (view, end) = (Arc::new(view::Shared::default()), Arc::new(OnceLock::new()));
        let handle = Handle::new(queue.clone(), feed.clone(), view.clone(), end.clone(), local, listening);
        let events = feed.subscribe();
        let mailbox = Mailbox::new(queue, feed, view, end);
        Ok(Prepared { node, mailbox, persist: self.persist, handle, events })
    }
}

fn entropy<const N: usize>() -> Result<[u8; N], StartError> {
    let mut entropy = [0; N];
    getrandom::fill(&mut entropy).map_err(|error| StartError::Entropy(error.into()))?;
    Ok(entropy)
}

fn random_host_id() -> Result<Uuid, StartError> {
    entropy().map(Uuid::random)
}

impl<R, M> fmt::Debug for Builder<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("cluster", &self.cluster)
            .field("listen", &self.listen)
            .field("broadcast", &self.broadcast)
            .field("seeds", &self.seeds)
            .finish_non_exhaustive()
    }
}

/// What a driver drives.
#[must_use]
pub struct Prepared<M = Member> {
    /// The node.
    pub node: Node,
    /// Where its commands come from and its events go to.
    pub mailbox: Mailbox,
    /// To be called when the node has raised its generation, before anything else is taken from it.
    pub persist: Option<PersistGeneration>,
    /// For the application.
    pub handle: Handle<M>,
    /// For the application: what happens from the start on.
    pub events: Events,
}

impl<M> fmt::Debug for Prepared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Why a node could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The node would listen on all addresses, and no address was given for others to dial.
    UnspecifiedBroadcast {
        /// The address.
        listen: SocketAddr,
    },
    /// Something is out of its range.
    Config(ConfigError),
    /// The operating system gave no entropy.
    Entropy(io::Error),
    /// The operating system gave nothing that could drive the node: a thread, or what it waits with.
    Drive(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::UnspecifiedBroadcast { listen } => {
                write!(f, "{listen} is no address that peers could dial: give the one that they should")
            }
            Self::Config(error) => error.fmt(f),
            Self::Entropy(error) => write!(f, "the operating system gives no entropy: {error}"),
            Self::Drive(error) => write!(f, "there is nothing that could drive the node: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { error, .. } | Self::Entropy(error) | Self::Drive(error) => Some(error),
            Self::Config(error) => Some(error),
            Self::UnspecifiedBroadcast { .. } => None,
        }
    }
}
