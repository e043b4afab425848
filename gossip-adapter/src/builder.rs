//! Describing a node, and making it.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gossip_core::{
    ApplicationState, Clock, Config, ConfigError, DEFAULT_PARTITIONER, Endpoint, Generation, Node, Timestamp,
    Tombstone, Transport,
};

use crate::events::Feed;
use crate::handle::Handle;
use crate::mailbox::{Mailbox, Queue};

/// What adapters differ in: how a node is started. Implemented by a marker type, which no value needs to exist of.
pub trait Runtime: Sized {
    /// What starting gives: a [`Handle`] or a [`StartError`], now or later.
    type Start;

    /// Opens the socket, prepares the node, and sees that somebody drives it.
    fn start(builder: Builder<Self>) -> Self::Start;
}

/// Stores a generation that the node has raised.
pub type PersistGeneration = Box<dyn FnMut(Generation) -> io::Result<()> + Send>;

type StatesWith = Box<dyn FnOnce(Endpoint) -> Vec<(ApplicationState, String)> + Send>;
type Tune = Box<dyn FnOnce(gossip_core::ConfigBuilder) -> gossip_core::ConfigBuilder + Send>;

/// Collects what a node is to be, and starts it.
#[must_use]
pub struct Builder<R> {
    cluster: String,
    partitioner: String,
    listen: SocketAddr,
    broadcast: Option<SocketAddr>,
    transport: Transport,
    #[cfg(feature = "seal")]
    keys: Option<gossip_core::KeyRing>,
    seeds: Vec<SocketAddr>,
    saved: Vec<SocketAddr>,
    tombstones: Vec<Tombstone>,
    states: Vec<(ApplicationState, String)>,
    states_with: Option<StatesWith>,
    generation: Option<Generation>,
    persist: Option<PersistGeneration>,
    interval: Duration,
    phi_convict_threshold: Option<f64>,
    tune: Option<Tune>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Builder<R> {
    /// A node of the cluster of this name, which listens on 127.0.0.1:7000 unless told otherwise.
    pub fn new(cluster: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            partitioner: DEFAULT_PARTITIONER.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7000)),
            broadcast: None,
            transport: Transport::Internode,
            #[cfg(feature = "seal")]
            keys: None,
            seeds: Vec::new(),
            saved: Vec::new(),
            tombstones: Vec::new(),
            states: Vec::new(),
            states_with: None,
            generation: None,
            persist: None,
            interval: Duration::from_secs(1),
            phi_convict_threshold: None,
            tune: None,
            runtime: PhantomData,
        }
    }

    /// Class name of the partitioner: who has another is not talked to. Default [`DEFAULT_PARTITIONER`].
    pub fn partitioner(mut self, class_name: impl Into<String>) -> Self {
        self.partitioner = class_name.into();
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

    /// How messages travel: the same for all nodes of a cluster. Default [`Transport::Internode`]. It is chosen here, not by
    /// [`Builder::tune`], since the socket depends on it.
    pub const fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Seals all packets, and takes only such as are sealed under one of these keys. Only [`Transport::Datagram`] seals.
    #[cfg(feature = "seal")]
    pub fn keys(mut self, keys: gossip_core::KeyRing) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Adds somebody through whom others are found.
    pub fn seed(mut self, address: SocketAddr) -> Self {
        self.seeds.push(address);
        self
    }

    /// Adds an endpoint known from an earlier run: it is tried now and then until it is heard of.
    pub fn saved_endpoint(mut self, address: SocketAddr) -> Self {
        self.saved.push(address);
        self
    }

    /// Adds an endpoint that was removed in an earlier run: it does not come back.
    pub fn tombstone(mut self, tombstone: Tombstone) -> Self {
        self.tombstones.push(tombstone);
        self
    }

    /// Adds a value that is published from the start. Versions are given out in the order of the calls.
    pub fn state(mut self, key: ApplicationState, value: impl Into<String>) -> Self {
        self.states.push((key, value.into()));
        self
    }

    /// Adds values that depend on the endpoint as which the node gossips in the end, which port 0 leaves open until it
    /// listens. They come after those of [`Builder::state`].
    pub fn states_with(
        mut self,
        states: impl FnOnce(Endpoint) -> Vec<(ApplicationState, String)> + Send + 'static,
    ) -> Self {
        self.states_with = Some(Box::new(states));
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

    /// The phi above which a silent endpoint is convicted. Default 8; 0 to 1,000.
    pub const fn phi_convict_threshold(mut self, threshold: f64) -> Self {
        self.phi_convict_threshold = Some(threshold);
        self
    }

    /// Changes anything else of the core's configuration, last of all.
    pub fn tune(
        mut self,
        tune: impl FnOnce(gossip_core::ConfigBuilder) -> gossip_core::ConfigBuilder + Send + 'static,
    ) -> Self {
        self.tune = Some(Box::new(tune));
        self
    }

    /// Starts the node, in the way of the runtime.
    pub fn start(self) -> R::Start
    where
        R: Runtime,
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
    pub fn prepare(self, listening: SocketAddr) -> Result<Prepared, StartError> {
        let mut broadcast = self.broadcast.unwrap_or(listening);
        if broadcast.port() == 0 {
            broadcast.set_port(listening.port());
        }
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(|error| StartError::Entropy(error.into()))?;
        let local = Endpoint::from(broadcast);
        let generation =
            self.generation.unwrap_or_else(|| Generation::at_start(Clock::unix_millis() / 1_000, None));
        let mut config = Config::builder(&self.cluster, local, generation, entropy)
            .partitioner(&self.partitioner)
            .interval(self.interval);
        if let Some(threshold) = self.phi_convict_threshold {
            config = config.phi_convict_threshold(threshold);
        }
        #[cfg(feature = "seal")]
        if let Some(keys) = self.keys {
            config = config.keys(keys);
        }
        for seed in self.seeds {
            config = config.seed(seed.into());
        }
        for saved in self.saved {
            config = config.saved_endpoint(saved.into());
        }
        for tombstone in self.tombstones {
            config = config.tombstone(tombstone);
        }
        let late = self.states_with.map_or_else(Vec::new, |states| states(local));
        for (key, value) in self.states.iter().chain(&late) {
            config = config.state(*key, value);
        }
        if let Some(tune) = self.tune {
            config = tune(config);
        }
        // The socket is there already.
        let config = config.transport(self.transport);
        let node = Node::new(config.build().map_err(StartError::Config)?, Timestamp::ZERO);
        let (queue, feed) = (Arc::new(Queue::default()), Arc::new(Feed::default()));
        let handle = Handle::new(queue.clone(), feed.clone(), local, listening);
        Ok(Prepared { node, mailbox: Mailbox::new(queue, feed), persist: self.persist, handle })
    }
}

impl<R> fmt::Debug for Builder<R> {
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
pub struct Prepared {
    /// The node.
    pub node: Node,
    /// Where its commands come from and its events go to.
    pub mailbox: Mailbox,
    /// To be called when the node has raised its generation, before anything else is taken from it.
    pub persist: Option<PersistGeneration>,
    /// For the application.
    pub handle: Handle,
}

impl fmt::Debug for Prepared {
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
    /// The node would listen on all addresses, and nobody was told under which it is to be dialled.
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
