//! The adapters, seen from where they are all alike.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use gossip_adapter::{
    ApplicationState, Builder, ConfigBuilder, Events, Generation, Handle, StartError, Transport,
};
use tokio::runtime::Runtime;

/// Something that drives nodes.
#[derive(Clone, Copy)]
pub(crate) struct Adapter {
    pub(crate) name: &'static str,
    pub(crate) start: fn(NodeSpec) -> Result<(Handle, Events), StartError>,
}

/// All there are.
pub(crate) const ALL: &[Adapter] = &[TOKIO, MIO, ASYNC_STD];

pub(crate) const TOKIO: Adapter =
    Adapter { name: "tokio", start: |spec| block_on(spec.builder::<gossip_tokio::Tokio>().start()) };

pub(crate) const MIO: Adapter =
    Adapter { name: "mio", start: |spec| spec.builder::<gossip_mio::Mio>().start() };

pub(crate) const ASYNC_STD: Adapter = Adapter {
    name: "async-std",
    start: |spec| block_on(spec.builder::<gossip_async_std::AsyncStd>().start()),
};

/// Waits in the tokio runtime of all tests. Nodes of async-std can be started anywhere.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("threads can be started")).block_on(future)
}

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
    tune: Vec<Tune>,
}

type Tune = Box<dyn FnOnce(ConfigBuilder) -> ConfigBuilder + Send>;

impl NodeSpec {
    pub(crate) fn new(cluster: String, transport: Transport) -> Self {
        Self {
            cluster,
            transport,
            interval: Duration::from_millis(50),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            broadcast: None,
            seeds: Vec::new(),
            saved: Vec::new(),
            generation: None,
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

    pub(crate) fn tune(mut self, tune: impl FnOnce(ConfigBuilder) -> ConfigBuilder + Send + 'static) -> Self {
        self.tune.push(Box::new(tune));
        self
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
