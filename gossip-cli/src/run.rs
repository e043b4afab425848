//! `gossip run`.

mod events;
mod files;
mod keys;
mod leave;
mod options;
mod publish;
mod signals;
mod store;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gossip_adapter::{Builder, Endpoint, Generation, Handle, KeyRing, Runtime, StartError};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::admin::{self, Admin, Assassinations};
use crate::failure::Failure;
use events::End;
pub(crate) use keys::KeySource;
pub(crate) use options::Args;
pub(crate) use options::SeedSource;
pub(crate) use options::is_identity;
use options::{Compression, Options};
pub(crate) use options::{RuntimeName, TransportName};
use publish::Published;
pub(crate) use signals::{Signals, stdin_ended};
use store::{SharedStore, Store};

/// How long the log and the admin port may take to finish once the node has stopped.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs one node until it is told to stop.
///
/// # Errors
///
/// Misuse if an option is wrong; failure if the node cannot start, or was removed from its cluster.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let options = Options::new(args)?;
    events::start_log(options.log_level.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no threads can be started: {error}")))?;
    runtime.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), Failure> {
    let open = |dir| Store::open(dir, &options.cluster, options.host_id, options.rejoin);
    let store = options.data_dir.as_deref().map(open);
    let store = store.transpose()?;
    let host_id = store.as_ref().map(Store::host_id).or(options.host_id).unwrap_or_else(Uuid::new_v4);
    let store = store.map(SharedStore::new);

    let mut signals = Signals::listen()?;
    let admin_listener = TcpListener::bind(options.admin).await.map_err(|error| {
        Failure::failed(format!(
            "the admin port {} cannot be opened: {error} (choose another with --admin)",
            options.admin
        ))
    })?;
    let admin_address = admin_listener.local_addr();
    let admin_address = admin_address.map_err(|error| Failure::failed(format!("the admin port: {error}")))?;

    let seeds = options.seeds.read().map_err(Failure::misuse)?;
    let handle = start(&options, seeds, host_id, store.clone()).await?;
    let end = tokio::spawn(events::end(handle.subscribe()));
    let events = handle.subscribe();
    let listening = format!("listening on {}, admin on {admin_address}\n", handle.listen_address());
    // Whoever does not read this line has asked for nothing.
    let _ = std::io::stdout().write_all(listening.as_bytes()).and_then(|()| std::io::stdout().flush());
    tracing::info!(
        "gossiping as {} in cluster \"{}\", host id {host_id}",
        handle.local_endpoint(),
        options.cluster
    );

    let stop = Arc::new(Notify::new());
    let answers_end = Arc::new(Notify::new());
    let leaving = Arc::new(Notify::new());
    let admin = Admin {
        handle: handle.clone(),
        names: options.names.clone(),
        cluster: options.cluster.clone(),
        partitioner: options.partitioner.clone(),
        host_id,
        interval: options.interval,
        started: Instant::now(),
        address: admin_address,
        token: options.admin_token.clone(),
        seeds: options.seeds.clone(),
        keys: options.keys.clone(),
        assassinations: Assassinations::default(),
        stop: stop.clone(),
        leaving: leaving.clone(),
    };
    let admin_server = tokio::spawn(admin::serve(admin_listener, admin, answers_end.clone()));
    let log = tokio::spawn(events::log_events(events, handle.clone(), options.clone()));
    tokio::spawn(publish::publish_load(handle.clone(), options.interval));
    if let Some(store) = &store {
        tokio::spawn(store.clone().follow(handle.clone(), handle.subscribe(), options.interval));
    }
    let left = tokio::spawn(leave::follow(handle.clone(), leaving.clone(), store.clone(), options.interval));

    let cause = tokio::select! {
        signal = signals.next() => Some(signal),
        () = stop.notified() => Some("asked to on the admin port"),
        () = stdin_ended(), if options.exit_with_stdin => Some("standard input has ended"),
        () = handle.stopped() => None,
    };
    let Some(cause) = cause else {
        // Whoever asked for it is answered.
        answers_end.notify_one();
        let _ = tokio::time::timeout(LAST_WORDS, async { tokio::join!(log, admin_server) }).await;
        if left.await.unwrap_or_default() {
            tracing::info!("left the cluster");
            return Ok(());
        }
        let end = tokio::time::timeout(LAST_WORDS, end).await;
        let end = end.ok().and_then(Result::ok).unwrap_or(End::Unknown);
        if let (End::Removed { .. }, Some(store)) = (end, store) {
            store.save_left().await;
        }
        return Err(end.failure(&handle, &options));
    };
    tracing::info!("stopping in good order: {cause} (a further signal stops at once)");
    tokio::spawn(async move {
        signals.next().await;
        std::process::exit(signals.exit_code());
    });
    if let Some(store) = &store {
        store.clone().save_endpoints(&handle).await;
    }
    // Stopped already is as good.
    let _ = handle.shutdown().await;
    answers_end.notify_one();
    let _ = tokio::time::timeout(LAST_WORDS, admin_server).await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts the node on the runtime that was asked for. The admin port is on tokio in any case.
async fn start(
    options: &Options,
    seeds: Vec<SocketAddr>,
    host_id: Uuid,
    store: Option<SharedStore>,
) -> Result<Handle, Failure> {
    let keys = options.keys.as_ref().map(KeySource::read).transpose();
    let keys = keys.map_err(|error| Failure::misuse(format!("--key-file: {error}")))?;
    let started = match options.runtime {
        RuntimeName::Tokio => {
            builder::<gossip_tokio::Tokio>(options, keys, seeds, host_id, store).start().await
        }
        RuntimeName::AsyncStd => {
            builder::<gossip_async_std::AsyncStd>(options, keys, seeds, host_id, store).start().await
        }
        RuntimeName::Mio => builder::<gossip_mio::Mio>(options, keys, seeds, host_id, store).start(),
    };
    started.map_err(start_failure)
}

fn builder<R: Runtime>(
    options: &Options,
    keys: Option<KeyRing>,
    seeds: Vec<SocketAddr>,
    host_id: Uuid,
    store: Option<SharedStore>,
) -> Builder<R> {
    let published = Published { options: options.clone(), host_id };
    let tuning = options.tuning;
    let mut builder = Builder::new(options.cluster.clone())
        .partitioner(options.partitioner.clone())
        .listen(options.listen)
        .transport(options.transport)
        .interval(options.interval);
    if let Some(broadcast) = options.broadcast {
        builder = builder.broadcast(broadcast);
    }
    if let Some(phi) = tuning.phi {
        builder = builder.phi_convict_threshold(phi);
    }
    if let Some(keys) = keys {
        builder = builder.keys(keys);
    }
    for seed in seeds {
        builder = builder.seed(seed);
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
    // Whoever names no seed is one: if all that it knew of is gone, it starts alone.
    let is_own_seed = options.seeds.is_empty();
    builder = builder.tune(move |mut config| {
        config = config.shadow_round(tuning.shadow_round).compression(tuning.compression == Compression::Lz4);
        if let Some(endpoint) = local.get().filter(|_| is_own_seed) {
            config = config.seed(*endpoint);
        }
        if let Some(ttl) = tuning.dead_endpoint_ttl {
            config = config.dead_endpoint_ttl(ttl);
        }
        if let Some(count) = tuning.max_endpoints {
            config = config.max_endpoints(count);
        }
        if let Some(count) = tuning.max_states {
            config = config.max_states(count);
        }
        if let Some(bytes) = tuning.max_state_bytes {
            config = config.max_state_bytes(bytes);
        }
        config
    });
    if let Some(store) = store {
        for endpoint in store.known_endpoints() {
            builder = builder.saved_endpoint(endpoint);
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

fn start_failure(error: StartError) -> Failure {
    match error {
        StartError::Bind { address, error } => Failure::failed(format!(
            "cannot listen on {address}: {error} (choose another address or port with --listen)"
        )),
        StartError::UnspecifiedBroadcast { listen } => options::wildcard_without_broadcast(listen),
        StartError::Config(error) => {
            Failure::misuse(format!("the node cannot run so: {error} (see `gossip run --help`)"))
        }
        error => Failure::failed(format!("the node cannot start: {error}")),
    }
}
