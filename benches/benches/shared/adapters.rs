//! A node on each of the adapters.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gossip_adapter::{Builder, Events, Handle, StartError};
use gossip_core::{ApplicationState, ConfigBuilder, Transport};

/// What drives the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Adapter {
    Tokio,
    Smol,
    AsyncStd,
    Mio,
}

impl Adapter {
    pub(crate) const ALL: [Self; 4] = [Self::Tokio, Self::Smol, Self::AsyncStd, Self::Mio];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Smol => "smol",
            Self::AsyncStd => "async-std",
            Self::Mio => "mio",
        }
    }

    /// The adapter of that name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|adapter| adapter.name() == name)
    }
}

/// Settings of a node that listens on a free port of 127.0.0.1.
pub(crate) struct Spec {
    pub(crate) cluster: &'static str,
    pub(crate) seed: Option<SocketAddr>,
    pub(crate) interval: Duration,
    pub(crate) transport: Transport,
    /// Everything else.
    pub(crate) tune: Box<dyn FnOnce(ConfigBuilder) -> ConfigBuilder + Send>,
}

/// Starts a node. It runs until the process ends.
pub(crate) fn start(adapter: Adapter, spec: Spec) -> Result<(Handle, Events), Box<dyn Error>> {
    Ok(match adapter {
        Adapter::Tokio => start_on_tokio(spec)?,
        Adapter::Smol => smol::block_on(builder::<gossip_smol::Smol>(spec).start())?,
        Adapter::AsyncStd => async_std::task::block_on(builder::<gossip_async_std::AsyncStd>(spec).start())?,
        Adapter::Mio => builder::<gossip_mio::Mio>(spec).start()?,
    })
}

fn start_on_tokio(spec: Spec) -> Result<(Handle, Events), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (send, started) = mpsc::channel::<Result<(Handle, Events), StartError>>();
    thread::spawn(move || {
        runtime.block_on(async {
            let started = builder::<gossip_tokio::Tokio>(spec).start().await;
            let stopped = started.as_ref().ok().map(|(handle, _)| handle.stopped());
            if send.send(started).is_ok()
                && let Some(stopped) = stopped
            {
                stopped.await;
            }
        });
    });
    Ok(started.recv()??)
}

/// Those settings.
pub(crate) fn builder<R>(spec: Spec) -> Builder<R> {
    let Spec { cluster, seed, interval, transport, tune } = spec;
    let builder = Builder::new(cluster)
        .listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .interval(interval)
        .transport(transport)
        .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0")
        .state(ApplicationState::DC, "datacenter1")
        .state(ApplicationState::RACK, "rack1")
        .tune(tune);
    seed.into_iter().fold(builder, Builder::seed)
}
