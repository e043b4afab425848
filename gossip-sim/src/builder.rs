//! Setting a cluster up.

use std::fmt;
use std::time::Duration;

use gossip_core::{ConfigBuilder, Event, Gossiper, MAX_URGENT_MESSAGE, MessagingVersion, Node, Timestamp};

use crate::cluster::Cluster;
use crate::host::Host;
use crate::network::Network;
use crate::probe::{NoProbe, Probe};
use crate::queue::Queue;
use crate::rng::Rng;
use crate::streams::Streams;

/// The environment variable that takes the place of every seed in a program: with it a failed run is repeated.
pub const SEED_VARIABLE: &str = "GOSSIP_SIM_SEED";

/// Collects what a cluster is to be like; [`Builder::start`] makes it.
#[must_use]
pub struct Builder<P = NoProbe> {
    pub(crate) settings: Settings,
    hosts: usize,
    latency: (Duration, Duration),
    loss_percent: u32,
    duplicate_percent: u32,
    reorders: bool,
    probe: P,
}

/// What travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Travel {
    Messages,
    Streams,
    Datagrams,
}

/// What stays as it is for a whole run.
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) seeds: usize,
    pub(crate) interval: Duration,
    pub(crate) versions: Vec<MessagingVersion>,
    pub(crate) travel: Travel,
    pub(crate) has_one_state: bool,
    pub(crate) guests: Vec<usize>,
    pub(crate) chunk: usize,
    pub(crate) socket_buffer: usize,
    pub(crate) work: Duration,
    pub(crate) room: usize,
    pub(crate) configure: Configure,
    pub(crate) remembers: Remembers,
}

type Remembers = Box<dyn Fn(&Event) -> bool + Send>;
type Configure = Box<dyn Fn(usize, ConfigBuilder) -> ConfigBuilder + Send>;

impl Builder {
    pub(crate) fn new(hosts: usize) -> Self {
        Self {
            settings: Settings {
                seed: 1,
                seeds: 3,
                interval: Duration::from_secs(1),
                versions: vec![MessagingVersion::V13; hosts],
                travel: Travel::Messages,
                has_one_state: false,
                guests: Vec::new(),
                chunk: usize::MAX,
                socket_buffer: 256 * 1024,
                work: Duration::ZERO,
                room: MAX_URGENT_MESSAGE,
                configure: Box::new(|_, config| config),
                remembers: Box::new(|_| true),
            },
            hosts,
            latency: (Duration::from_millis(1), Duration::from_millis(10)),
            loss_percent: 0,
            duplicate_percent: 0,
            reorders: false,
            probe: NoProbe,
        }
    }
}

impl<P: Probe> Builder<P> {
    /// Where all chance of the run comes from. Default 1. [`SEED_VARIABLE`] takes its place.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How many of the hosts, counted from 0, are seeds of all. Default 3.
    pub const fn seeds(mut self, count: usize) -> Self {
        self.settings.seeds = count;
        self
    }

    /// The time between two rounds. Default 1 s.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// How long a message travels: each time anything from `min` to `max`. Default 1 to 10 ms.
    pub const fn latency(mut self, min: Duration, max: Duration) -> Self {
        self.latency = (min, max);
        self
    }

    /// How many of 100 messages vanish; over streams, how many of 100 writes, once the handshake is done. Default 0.
    pub const fn loss_percent(mut self, percent: u32) -> Self {
        self.loss_percent = percent;
        self
    }

    /// How many of 100 messages arrive twice. Over streams nothing does. Default 0.
    pub const fn duplicate_percent(mut self, percent: u32) -> Self {
        self.duplicate_percent = percent;
        self
    }

    /// Lets messages overtake each other. Over streams nothing does.
    pub const fn reorder(mut self) -> Self {
        self.reorders = true;
        self
    }

    /// The messaging version in which whole messages are written. Default 13. Over streams it is negotiated.
    pub fn messaging_version(mut self, version: MessagingVersion) -> Self {
        self.settings.versions.fill(version);
        self
    }

    /// The greatest messaging version of one host: with each other the lesser of both is spoken.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn messaging_version_of(mut self, host: usize, version: MessagingVersion) -> Self {
        self.settings.versions[host] = version;
        self
    }

    /// Lets bytes travel over connections between [`Node`]s, instead of messages between
    /// [`Gossiper`](gossip_core::Gossiper)s.
    pub const fn streams(mut self) -> Self {
        self.settings.travel = Travel::Streams;
        self
    }

    /// Lets packets travel between [`Node`]s, instead of messages between [`Gossiper`](gossip_core::Gossiper)s.
    pub const fn datagrams(mut self) -> Self {
        self.settings.travel = Travel::Datagrams;
        self
    }

    /// Over streams, lets bytes arrive in pieces of at most so many, cut at random. Default: as they were written.
    pub fn chunks(mut self, max: usize) -> Self {
        self.settings.chunk = max.max(1);
        self
    }

    /// Over streams, how many bytes are under way or not yet read before a write has to wait. Default 256 KiB.
    pub fn socket_buffer(mut self, bytes: usize) -> Self {
        self.settings.socket_buffer = bytes.max(1);
        self
    }

    /// Lets all hosts share one processor, which takes so long for each thing that happens to one of them: what is due meanwhile waits.
    /// Default: nothing takes time. [`Cluster::set_work`] changes it.
    pub const fn work(mut self, each: Duration) -> Self {
        self.settings.work = each;
        self
    }

    /// Where whole messages travel, how many bytes an ordinary one may have: what finds no room waits for another exchange. What fits no
    /// ordinary message goes out in one of its own. Default and greatest: [`MAX_URGENT_MESSAGE`]; at least [`Gossiper::MIN_ROOM`].
    pub fn room(mut self, bytes: usize) -> Self {
        self.settings.room = bytes.clamp(Gossiper::MIN_ROOM, MAX_URGENT_MESSAGE);
        self
    }

    /// Lets each node publish its status alone, where memory is short; else it publishes what ordinary ones do.
    pub const fn one_state(mut self) -> Self {
        self.settings.has_one_state = true;
        self
    }

    /// Lets some hosts run gossip-only members of a Cassandra cluster, which the others must seem to be: `configure` gives those
    /// Cassandra's partitioner. It is not asked for these hosts.
    pub fn guests(mut self, hosts: impl IntoIterator<Item = usize>) -> Self {
        self.settings.guests.extend(hosts);
        self
    }

    /// Says which events [`Cluster::events`] keeps, where memory is short: all others are gone once they have happened. Default: all.
    pub fn remember(mut self, is_kept: impl Fn(&Event) -> bool + Send + 'static) -> Self {
        self.settings.remembers = Box::new(is_kept);
        self
    }

    /// Changes the configuration of each process before it starts; the first argument is its host. A second call changes what the first
    /// has made.
    pub fn configure(
        mut self,
        configure: impl Fn(usize, ConfigBuilder) -> ConfigBuilder + Send + 'static,
    ) -> Self {
        let before = std::mem::replace(&mut self.settings.configure, Box::new(|_, config| config));
        self.settings.configure = Box::new(move |host, config| configure(host, before(host, config)));
        self
    }

    /// Watches every call into the protocol.
    pub fn probe<Q: Probe>(self, probe: Q) -> Builder<Q> {
        let Self { settings, hosts, latency, loss_percent, duplicate_percent, reorders, probe: _ } = self;
        Builder { settings, hosts, latency, loss_percent, duplicate_percent, reorders, probe }
    }

    /// Starts a process on every host, one after the other in an order of chance; within one interval, which has passed then.
    ///
    /// # Panics
    ///
    /// If [`Builder::configure`] makes a configuration that is not valid, or [`SEED_VARIABLE`] is no number.
    pub fn start(self) -> Cluster<P> {
        let hosts = self.hosts;
        self.start_only(0..hosts)
    }

    /// Starts a process on some hosts; on the others later, by [`Cluster::restart`].
    ///
    /// # Panics
    ///
    /// As [`Builder::start`].
    pub fn start_only(mut self, hosts: impl IntoIterator<Item = usize>) -> Cluster<P> {
        if let Ok(seed) = std::env::var(SEED_VARIABLE) {
            self.settings.seed = seed.parse().expect("the seed in the environment is a number");
        }
        let mut network = Network::new(Rng::new(self.settings.seed), self.latency);
        network.loss_percent = self.loss_percent;
        network.duplicate_percent = self.duplicate_percent;
        network.reorders = self.reorders;
        let mut cluster = Cluster {
            streams: Streams::new(self.settings.chunk, self.settings.socket_buffer),
            settings: self.settings,
            now: Timestamp::ZERO,
            queue: Queue::new(),
            hosts: (0..self.hosts).map(Host::new).collect(),
            network,
            probe: self.probe,
            buffer: vec![0; Node::MIN_BUFFER].into(),
        };
        for host in hosts {
            cluster.start_later(host);
        }
        cluster.run_rounds(1);
        cluster
    }
}

impl<P: fmt::Debug> fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .field("hosts", &self.hosts)
            .field("latency", &self.latency)
            .field("loss_percent", &self.loss_percent)
            .field("duplicate_percent", &self.duplicate_percent)
            .field("reorders", &self.reorders)
            .field("probe", &self.probe)
            .finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("seed", &self.seed)
            .field("seeds", &self.seeds)
            .field("interval", &self.interval)
            .field("travel", &self.travel)
            .finish_non_exhaustive()
    }
}
