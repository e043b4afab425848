//! `gossip run`.

mod events;
mod leave;
mod options;
#[cfg(test)]
mod phases;
mod publish;
mod store;
mod tls;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gossip_adapter::{
    ApplicationState, Builder, ConfigBuilder, ConfigError, Endpoint, Events, Generation, GossipOnly, KeyRing,
    Network, Pad, Runtime, StartError,
};
use gossip_core::SetStateError;
use gossip_decode::Flavour;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::admin::{self, Admin, Assassinations};
use crate::allow::seeds_outside;
use crate::config::Groups;
use crate::failure::Failure;
use crate::keys::KeySource;
use crate::load::{self, Load};
use crate::log::{LogDropped, start_log};
use crate::node::Node;
use crate::seeds::{SeedSource, Seeds};
use crate::signals::{self, Signals, stdin_ended};
use events::End;
pub(crate) use options::Args;
use options::Options;
pub(crate) use options::{RuntimeName, TransportName};
use publish::Published;
use store::{SharedStore, Store};

/// How long the log and the admin port may take to finish once the node has stopped.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// For how many intervals a node waits that one of its seeds has an address: as long as it would wait for an answer.
const SEED_PATIENCE: u32 = 60;

/// Runs one node until a signal or a command stops it.
///
/// # Errors
///
/// Misuse if an option is wrong; failure if the node cannot start, or was removed from its cluster.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let options = Options::new(args)?;
    let log = start_log(options.log_level.as_deref())?;
    // Each connection takes a descriptor, and so does each reader of the admin port.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!("the limit of open files cannot be raised: {error}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no threads can be started: {error}")))?;
    let served = runtime.block_on(serve(options, log.dropped()));
    // What still reads or writes, such as a file system that hangs, must not keep the process.
    runtime.shutdown_timeout(LAST_WORDS);
    served
}

/// The settings with which a node of these options would run.
///
/// # Errors
///
/// As [`run`], before anything starts.
pub(crate) fn effective(args: Args) -> Result<Groups, Failure> {
    Options::new(args)?.effective()
}

async fn serve(options: Options, log_dropped: LogDropped) -> Result<(), Failure> {
    let open = |dir| Store::open(dir, &options.cluster, options.host_id, options.rejoin);
    let store = options.data_dir.as_deref().map(open);
    let mut store = store.transpose()?;
    if let Some(store) = &mut store {
        store.name_place(&options.dc, &options.rack);
    }
    let host_id = store.as_ref().map(Store::host_id).or(options.host_id).unwrap_or_else(Uuid::new_v4);
    let store = store.map(SharedStore::new);

    let mut signals = Signals::listen_without_hangup()?;
    let mut hangups = signals::hangups()?;
    let admin_listener = TcpListener::bind(options.admin).await.map_err(|error| {
        Failure::failed(format!(
            "the admin port {} cannot be opened: {error} (choose another with --admin)",
            options.admin
        ))
    })?;
    let admin_address = admin_listener.local_addr();
    let admin_address = admin_address.map_err(|error| Failure::failed(format!("the admin port: {error}")))?;

    let can_wait = store.as_ref().is_none_or(|store| store.known_endpoints().is_empty());
    let seeds = tokio::select! {
        seeds = first_seeds(&options, can_wait) => seeds?,
        signal = signals.next() => {
            tracing::info!("stopped before it had a seed: {signal}");
            return Ok(());
        }
    };
    let is_unresolved = seeds.is_unresolved;
    let seeds = seeds.addresses;
    let (node, events) = start(&options, seeds, host_id, store.clone()).await?;
    let handle = node.common();
    let listening = format!("listening on {}, admin on {admin_address}\n", handle.listen_address());
    // The node does not wait for a reader of this line.
    let write =
        move || std::io::stdout().write_all(listening.as_bytes()).and_then(|()| std::io::stdout().flush());
    let _ = tokio::time::timeout(LAST_WORDS, tokio::task::spawn_blocking(write)).await;
    tokio::spawn(log_dropped.clone().tell());
    tracing::info!(
        "gossiping as {} in cluster \"{}\", host id {host_id}",
        handle.local_endpoint(),
        options.cluster
    );

    let stop = Arc::new(Notify::new());
    let answers_end = Arc::new(Notify::new());
    let leaving = Arc::new(Notify::new());
    let load = Arc::new(Load::new(&options.set));
    let admin = Admin {
        load: load.clone(),
        log_dropped,
        handle: handle.clone(),
        node: node.clone(),
        names: options.names.clone(),
        cluster: options.cluster.clone(),
        partitioner: options.partitioner().into(),
        host_id,
        interval: options.interval,
        phi: options.tuning.groups.detector.phi_convict_threshold,
        started: Instant::now(),
        address: admin_address,
        token: options.admin_token.clone(),
        seeds: options.seeds.clone(),
        allowed: options.allowed.clone(),
        keys: options.keys.clone(),
        tls: options.tls.clone(),
        assassinations: Assassinations::default(),
        stop: stop.clone(),
        leaving: leaving.clone(),
    };
    let admin = Arc::new(admin);
    let reloading = admin.clone();
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            admin::reload(reloading.clone()).await;
        }
    });
    let admin_server = tokio::spawn(admin::serve(admin_listener, admin, answers_end.clone()));
    tokio::spawn(options.seeds.clone().look_up_again(handle.clone(), options.interval, is_unresolved));
    let log = tokio::spawn(events::log_events(events.clone(), handle.clone(), options.clone()));
    if let Some(source) = options.tls.clone() {
        tokio::spawn(tls::follow(source, handle.clone()));
    }
    if let Node::Member(handle) = node {
        tokio::spawn(load::publish_load(handle, options.interval, load));
    }
    if let Some(store) = &store {
        tokio::spawn(store.clone().follow(handle.clone(), events, options.interval));
    }
    let left = tokio::spawn(leave::follow(handle.clone(), leaving.clone(), store.clone(), options.interval));

    let mut ended = End::Unknown;
    let cause = tokio::select! {
        signal = signals.next() => Some(signal),
        () = stop.notified() => Some("asked to on the admin port"),
        () = stdin_ended(), if options.exit_with_stdin => Some("standard input has ended"),
        end = handle.stopped() => {
            ended = End::from(end);
            None
        }
    };
    let Some(cause) = cause else {
        // The client that requested the stop is answered.
        answers_end.notify_one();
        let last = tokio::time::timeout(LAST_WORDS, async { tokio::join!(log, admin_server) }).await;
        let silence = last.ok().and_then(|(log, _)| log.ok()).unwrap_or_default();
        let is_saved = left.await.unwrap_or_default();
        if ended.is_for_good()
            && !is_saved
            && let Some(store) = store
        {
            store.save_left().await;
        }
        if is_saved || ended == End::Left {
            tracing::info!("left the cluster");
            return Ok(());
        }
        return Err(ended.failure(&handle, &options, &silence));
    };
    tracing::info!("stopping: {cause} (another signal stops at once)");
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(signals.exit_code());
    });
    if let Some(store) = &store {
        store.clone().save_endpoints(&handle).await;
    }
    // Stopped already is as good.
    let _ = handle.shutdown().await;
    // It may have been removed in the same moment.
    if End::from(handle.stopped().await).is_for_good()
        && let Some(store) = store
    {
        store.save_left().await;
    }
    answers_end.notify_one();
    let _ = tokio::time::timeout(LAST_WORDS, admin_server).await;
    tracing::info!("stopped");
    Ok(())
}

/// The seeds to start with. Where none of them has an address yet, they are waited for: alone, the node would begin a cluster of its own.
async fn first_seeds(options: &Options, can_wait: bool) -> Result<Seeds, Failure> {
    let started = Instant::now();
    let patience = options.interval * SEED_PATIENCE;
    let mut told = Vec::new();
    loop {
        let source = options.seeds.clone();
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        let mut seeds = read.unwrap_or_else(|error| Err(error.to_string())).map_err(Failure::misuse)?;
        for warning in options.own().check_seeds(&mut seeds.addresses)? {
            if !told.contains(&warning) {
                tracing::warn!("{warning}");
                told.push(warning);
            }
        }
        options.seeds.warn(&seeds);
        if !seeds.addresses.is_empty() || options.seeds.is_empty() || !can_wait {
            return Ok(seeds);
        }
        let reasons = seeds.warnings.join("; ");
        if !seeds.is_unresolved {
            return Err(Failure::misuse(format!("there is no seed that could be asked: {reasons}")));
        }
        if started.elapsed() > patience {
            return Err(Failure::failed(format!(
                "no seed has had an address for {:.0} s: {reasons}",
                started.elapsed().as_secs_f64()
            )));
        }
        tokio::time::sleep(SeedSource::pause(options.interval).min(patience)).await;
    }
}

/// Starts the node on the runtime that was asked for. The admin port is on tokio in any case.
async fn start(
    options: &Options,
    seeds: Vec<SocketAddr>,
    host_id: Uuid,
    store: Option<SharedStore>,
) -> Result<(Node, Events), Failure> {
    let keys = options.keys.as_ref().map(KeySource::read).transpose();
    let keys = keys.map_err(|error| Failure::misuse(format!("--key-file: {error}")))?;
    let tls = options.tls.as_ref().map(|source| source.read(options.own_ip())).transpose();
    let tls = tls.map_err(Failure::misuse)?;
    let allowed = options.allowed.read().map_err(Failure::misuse)?;
    for warning in seeds_outside(&allowed, &seeds) {
        tracing::warn!("{warning}");
    }
    let plan = Plan { options, keys, tls, allowed, seeds, host_id, store };
    let started = if options.cassandra {
        match options.runtime {
            RuntimeName::Tokio => plan.gossip_only::<gossip_tokio::Tokio>().start().await,
            RuntimeName::Smol => plan.gossip_only::<gossip_smol::Smol>().start().await,
            RuntimeName::AsyncStd => plan.gossip_only::<gossip_async_std::AsyncStd>().start().await,
            RuntimeName::Mio => plan.gossip_only::<gossip_mio::Mio>().start(),
        }
        .map(|(handle, events)| (Node::GossipOnly(handle), events))
    } else {
        match options.runtime {
            RuntimeName::Tokio => plan.member::<gossip_tokio::Tokio>().start().await,
            RuntimeName::Smol => plan.member::<gossip_smol::Smol>().start().await,
            RuntimeName::AsyncStd => plan.member::<gossip_async_std::AsyncStd>().start().await,
            RuntimeName::Mio => plan.member::<gossip_mio::Mio>().start(),
        }
        .map(|(handle, events)| (Node::Member(handle), events))
    };
    started.map_err(|error| start_failure(error, options))
}

/// All that decides what the node will be.
struct Plan<'a> {
    options: &'a Options,
    keys: Option<KeyRing>,
    tls: Option<gossip_core::Tls>,
    allowed: Vec<Network>,
    seeds: Vec<SocketAddr>,
    host_id: Uuid,
    store: Option<SharedStore>,
}

impl Plan<'_> {
    fn member<R: Runtime>(self) -> Builder<R> {
        let Self { options, host_id, .. } = self;
        let published = Published { options: options.clone(), host_id };
        let mut builder = Builder::new(options.cluster.clone()).transport(options.transport);
        if let Some(keys) = self.keys.clone() {
            builder = builder.keys(keys);
        }
        for (key, value) in published.before_the_address_is_known() {
            builder = builder.state(key, value);
        }
        let local = Arc::new(OnceLock::new());
        let address = local.clone();
        builder = builder.states_with(move |endpoint: Endpoint| {
            // It is called once.
            let _ = address.set(endpoint);
            published.once_the_address_is_known(endpoint)
        });
        // A node without seeds is one itself: if all endpoints that it knew are gone, it starts alone.
        let is_own_seed = options.seeds.is_empty();
        self.with_the_rest(builder, move |config| match local.get().filter(|_| is_own_seed) {
            Some(endpoint) => config.seed(*endpoint),
            None => config,
        })
    }

    fn gossip_only<R: Runtime>(self) -> Builder<R, GossipOnly> {
        let Self { options, host_id, .. } = self;
        let mut builder = Builder::<R>::gossip_only(options.cluster.clone())
            .host_id(gossip_adapter::Uuid::from_bytes(host_id.into_bytes()))
            .data_center(options.dc.clone())
            .rack(options.rack.clone());
        for (key, value) in &options.set {
            // Nothing else passed the check of the options.
            if let Some(pad) = Pad::new(key.number()) {
                builder = builder.pad(pad, value.clone());
            }
        }
        let given = options.metadata_id;
        let saved = self.store.as_ref().and_then(SharedStore::metadata_id);
        self.with_the_rest(builder, move |mut config| {
            if let Some(id) = given {
                config = config.metadata_id(id);
            }
            match saved {
                Some(id) => config.saved_metadata_id(id),
                None => config,
            }
        })
    }

    /// Adds what does not hang on the kind of the node.
    fn with_the_rest<R, M: 'static>(
        self,
        mut builder: Builder<R, M>,
        tune: impl FnOnce(ConfigBuilder<M>) -> ConfigBuilder<M> + Send + 'static,
    ) -> Builder<R, M> {
        let Self { options, seeds, store, tls, allowed, .. } = self;
        let tuning = options.tuning;
        builder = builder.listen(options.listen).interval(options.interval);
        if let Some(partitioner) = &options.partitioner {
            builder = builder.partitioner(partitioner.clone());
        }
        if let Some(broadcast) = options.broadcast {
            builder = builder.broadcast(broadcast);
        }
        for seed in seeds {
            builder = builder.seed(seed);
        }
        builder = builder.tune(move |config| {
            let config = tune(tuning.apply(config));
            let config = allowed.into_iter().fold(config, ConfigBuilder::allow);
            match tls {
                Some(tls) => config.tls(tls),
                None => config,
            }
        });
        if let Some(store) = store {
            for endpoint in store.known_endpoints() {
                builder = builder.saved(endpoint);
            }
            for tombstone in store.tombstones() {
                builder = builder.tombstone(tombstone);
            }
            builder = builder
                .generation(store.generation())
                .persist_generation(move |generation: Generation| store.save_generation(generation));
        }
        builder
    }
}

fn start_failure(error: StartError, options: &Options) -> Failure {
    match error {
        StartError::Bind { address, error } => Failure::failed(format!(
            "cannot listen on {address}: {error} (choose another address or port with --listen)"
        )),
        StartError::UnspecifiedBroadcast { listen } => options::wildcard_without_broadcast(listen),
        StartError::Config(ConfigError::TooManyStates { count, max }) => Failure::misuse(format!(
            "--max-states: this node publishes {count} states, and {max} would be kept (take at least {count})"
        )),
        StartError::Config(ConfigError::State(
            error @ (SetStateError::TooLong { key, .. }
            | SetStateError::TooMany { key, .. }
            | SetStateError::TooMuch { key, .. }),
        )) => {
            let flavour = Flavour::of(Some(&options.release_version), None).unwrap_or_default();
            let option = match key {
                ApplicationState::DC => "--dc: ",
                ApplicationState::RACK => "--rack: ",
                _ if options.set.iter().any(|(set, _)| *set == key) => "--set: ",
                _ => "",
            };
            let why = options.names.cannot_be_set(key, flavour, &error);
            Failure::misuse(format!("{option}{why} (see `gossip run --help`)"))
        }
        StartError::Config(error) => {
            Failure::misuse(format!("the node cannot run so: {error} (see `gossip run --help`)"))
        }
        error => Failure::failed(format!("the node cannot start: {error}")),
    }
}
