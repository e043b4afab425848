//! The adapters, seen from where they are all alike.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use gossip_adapter::{
    ApplicationState, Builder, ConfigBuilder, Events, Generation, GossipOnly, Handle, Member, MetadataId,
    StartError, Transport,
};
use tokio::runtime::Runtime;

/// Something that drives nodes.
#[derive(Clone, Copy)]
pub(crate) struct Adapter {
    pub(crate) name: &'static str,
    pub(crate) start: fn(NodeSpec) -> Started<Member>,
    /// The same for a gossip-only member of a Cassandra cluster.
    pub(crate) start_guest: fn(NodeSpec) -> Started<GossipOnly>,
}

/// What starting a node gives.
type Started<M> = Result<(Handle<M>, Events), StartError>;

/// All there are.
pub(crate) const ALL: &[Adapter] = &[TOKIO, MIO, SMOL, ASYNC_STD];

pub(crate) const TOKIO: Adapter = Adapter {
    name: "tokio",
    start: |spec| {
        block_on(async {
            drop(tokio::spawn(tick_in_tokio(spec.ticks.clone())));
            spec.builder::<gossip_tokio::Tokio>().start().await
        })
    },
    start_guest: |spec| block_on(async { spec.guest::<gossip_tokio::Tokio>().start().await }),
};

/// Each node has a runtime of its own, with one thread for the node and for the application's tasks.
pub(crate) const TOKIO_ONE_THREAD: Adapter =
    Adapter { name: "tokio on one thread", start: start_in_one_thread, ..TOKIO };

pub(crate) const MIO: Adapter = Adapter {
    name: "mio",
    start: |spec| spec.builder::<gossip_mio::Mio>().start(),
    start_guest: |spec| spec.guest::<gossip_mio::Mio>().start(),
};

pub(crate) const SMOL: Adapter = Adapter {
    name: "smol",
    start: |spec| {
        let ticks = spec.ticks.clone();
        let tick = async move {
            while Arc::strong_count(&ticks) > 1 {
                smol::Timer::after(TICK).await;
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        };
        smol::spawn(tick).detach();
        smol::block_on(spec.builder::<gossip_smol::Smol>().start())
    },
    start_guest: |spec| smol::block_on(spec.guest::<gossip_smol::Smol>().start()),
};

pub(crate) const ASYNC_STD: Adapter = Adapter {
    name: "async-std",
    start: |spec| {
        let ticks = spec.ticks.clone();
        drop(async_std::task::spawn(async move {
            while Arc::strong_count(&ticks) > 1 {
                async_std::task::sleep(TICK).await;
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        }));
        block_on(spec.builder::<gossip_async_std::AsyncStd>().start())
    },
    start_guest: |spec| block_on(spec.guest::<gossip_async_std::AsyncStd>().start()),
};

/// How long a task of the application sleeps at a time.
const TICK: Duration = Duration::from_millis(5);

/// A task of the application, beside the node in the same runtime. It ends when the test does.
async fn tick_in_tokio(ticks: Arc<AtomicU64>) {
    while Arc::strong_count(&ticks) > 1 {
        tokio::time::sleep(TICK).await;
        ticks.fetch_add(1, Ordering::Relaxed);
    }
}

fn start_in_one_thread(spec: NodeSpec) -> Started<Member> {
    let (sender, started) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the system has what a runtime needs").block_on(async {
            drop(tokio::spawn(tick_in_tokio(spec.ticks.clone())));
            let started = spec.builder::<gossip_tokio::Tokio>().start().await;
            // The test alone holds the node, so that the node stops when the test drops its handle.
            let end = started.as_ref().ok().map(|(handle, _)| handle.stopped());
            let _ = sender.send(started);
            if let Some(end) = end {
                end.await;
            }
        });
    });
    started.recv().expect("the thread does not panic")
}

/// Waits in the tokio runtime of all tests. Nodes of async-std can be started anywhere.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("threads can be started")).block_on(future)
}

/// The shortest time between two rounds where the test itself keeps the machine busy.
pub(crate) const BUSY_INTERVAL: Duration = Duration::from_millis(200);

/// What a node is to be.
pub(crate) struct NodeSpec {
    pub(crate) cluster: String,
    pub(crate) transport: Transport,
    pub(crate) interval: Duration,
    pub(crate) listen: SocketAddr,
    pub(crate) broadcast: Option<SocketAddr>,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) saved: Vec<SocketAddr>,
    pub(crate) generation: Option<Generation>,
    /// Counted up by a task of the application, where the adapter has a runtime to share with it. The task ends when the test
    /// and the specification have dropped theirs.
    pub(crate) ticks: Arc<AtomicU64>,
    /// For a gossip-only member: the identifier of the cluster's metadata, by hand.
    metadata_id: Option<MetadataId>,
    tune: Vec<Tune>,
}

type Tune = Box<dyn FnOnce(ConfigBuilder) -> ConfigBuilder + Send>;

impl NodeSpec {
    pub(crate) fn new(cluster: String, transport: Transport, interval: Duration) -> Self {
        Self {
            cluster,
            transport,
            interval,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            broadcast: None,
            seeds: Vec::new(),
            saved: Vec::new(),
            generation: None,
            ticks: Arc::default(),
            metadata_id: None,
            tune: Vec::new(),
        }
    }

    pub(crate) fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    pub(crate) fn seed(mut self, address: SocketAddr) -> Self {
        self.seeds.push(address);
        self
    }

    pub(crate) const fn metadata_id(mut self, id: MetadataId) -> Self {
        self.metadata_id = Some(id);
        self
    }

    pub(crate) fn tune(mut self, tune: impl FnOnce(ConfigBuilder) -> ConfigBuilder + Send + 'static) -> Self {
        self.tune.push(Box::new(tune));
        self
    }

    /// A gossip-only member. What else the specification says is not for such a member.
    fn guest<R>(self) -> Builder<R, GossipOnly> {
        let builder = Builder::gossip_only(self.cluster).interval(self.interval).listen(self.listen);
        let builder = self.seeds.into_iter().fold(builder, Builder::seed);
        match self.metadata_id {
            Some(id) => builder.tune(move |config| config.metadata_id(id)),
            None => builder,
        }
    }

    fn builder<R>(self) -> Builder<R> {
        let mut builder = Builder::new(self.cluster)
            .transport(self.transport)
            .interval(self.interval)
            .listen(self.listen)
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0");
        if let Some(broadcast) = self.broadcast {
            builder = builder.broadcast(broadcast);
        }
        if let Some(generation) = self.generation {
            builder = builder.generation(generation);
        }
        let builder = self.seeds.into_iter().fold(builder, Builder::seed);
        let builder = self.saved.into_iter().fold(builder, Builder::saved_endpoint);
        builder.tune(|config| self.tune.into_iter().fold(config, |config, tune| tune(config)))
    }
}
