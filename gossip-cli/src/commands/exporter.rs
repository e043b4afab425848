//! `gossip exporter`: a gossip-only member that answers monitoring for its whole cluster.

mod views;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use gossip_adapter::{End, GossipOnly, Handle};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::address::resolve_one;
use crate::ask::ObserversArgs;
use crate::commands::watch::join;
use crate::ends::host_id_of_member;
use crate::failure::Failure;
use crate::log::start_log;
use crate::observe::{self, Discovery, Observed};
use crate::server;
use crate::signals::Signals;

/// Where monitoring is answered, if nothing else is said: the port of exporters for Cassandra.
const HTTP: &str = "127.0.0.1:9500";
/// The port, if only an address is written.
const HTTP_PORT: u16 = 9500;
/// How long a seed may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is waited while no seed answers.
const RETRY: Duration = Duration::from_secs(5);
/// How often the names of seeds are looked up again.
const LOOK_UP_EVERY: Duration = Duration::from_mins(1);
/// How long the last answers may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Once it listens it prints one line on standard output, with its real address:
  exporter on 127.0.0.1:9500
GET /           the cluster live, as a page for a browser; with several seeds also who of them sees whom
GET /metrics    metrics of the cluster and of this node, in OpenMetrics or in Prometheus' text format
GET /sd         the members as targets of Prometheus; query: port, label, state; 503 while the view is not settled
GET /healthz    200 while the process does its work
GET /readyz     200 once the view is settled
It changes nothing and answers nothing else, so --http may be an address that others reach.
In the cluster it is a gossip-only member: never in the ring, with no tokens and no status, and it leaves in silence. While no seed answers it tries again, and names are \
looked up again. Stop it before the cluster is upgraded to Cassandra 6.0, and start it after `nodetool cms initialize` with a release that speaks messaging version 14; \
this one leaves by itself when it sees the upgrade.")]
pub(crate) struct Args {
    /// A file with options (TOML, as --print-config prints it); options on the command line override its keys; default: only the command line
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the effective options as a file for --config, and exits
    #[arg(long)]
    pub(crate) print_config: bool,
    #[command(flatten)]
    seeds: ObserversArgs,
    /// Where to answer monitoring; port 0 takes a free one
    #[arg(long, value_name = "ADDR[:PORT]", default_value = HTTP)]
    http: String,
    #[command(flatten)]
    discovery: Discovery,
    /// Log level: off, error, warn, info, debug, trace, or a filter such as info,gossip_core=trace; default: RUST_LOG, else info
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Args {
    /// Checks all options. Gives the address to answer at.
    ///
    /// # Errors
    ///
    /// Misuse: the first thing that is wrong.
    pub(crate) fn check(&self) -> Result<SocketAddr, Failure> {
        self.seeds.check()?;
        resolve_one("--http", &self.http, HTTP_PORT)
    }
}

/// Answers monitoring until it has to stop.
///
/// # Errors
///
/// Misuse if an option is wrong; failure if the address is taken, or the cluster does not want this member any more.
pub(crate) fn exporter(args: &Args) -> Result<(), Failure> {
    let http = args.check()?;
    let _log = start_log(args.log_level.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no threads can be started: {error}")))?;
    let served = runtime.block_on(serve(args, http));
    runtime.shutdown_timeout(LAST_WORDS);
    served
}

async fn serve(args: &Args, http: SocketAddr) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let opened = TcpListener::bind(http).await;
    let listener = opened.map_err(|error| {
        Failure::failed(format!("{http} cannot be opened: {error} (choose another address with --http)"))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::failed(format!("--http: {error}")))?;
    let observed = Arc::new(Observed::new(&args.seeds.cluster, args.discovery.clone()));
    let end = Arc::new(Notify::new());
    let ending = end.clone();
    let router = observe::routes(observed.clone());
    let answering = tokio::spawn(async move {
        server::serve("exporter", listener, router, ending.notified()).await;
    });
    // If this line is not read, the exporter does not wait.
    let write = move || {
        let mut out = std::io::stdout();
        out.write_all(format!("exporter on {address}\n").as_bytes()).and_then(|()| out.flush())
    };
    let _ = tokio::time::timeout(LAST_WORDS, tokio::task::spawn_blocking(write)).await;
    let looking = tokio::spawn(views::compare(args.seeds.clone(), observed.clone()));
    let ended = tokio::select! {
        ended = observe(args, &observed) => ended,
        signal = signals.next() => {
            tracing::info!("stopping: {signal}");
            Ok(())
        }
    };
    looking.abort();
    end.notify_one();
    let _ = tokio::time::timeout(LAST_WORDS, answering).await;
    ended
}

/// Takes part in the cluster for as long as that lets it.
async fn observe(args: &Args, observed: &Observed) -> Result<(), Failure> {
    let node = joined(args).await;
    tracing::info!("gossiping as {} in cluster \"{}\"", node.local_endpoint(), args.seeds.cluster);
    observed.begin(&node.common());
    observed.keep_history();
    tokio::select! {
        end = node.stopped() => Err(Failure::failed(why(end))),
        () = look_up_again(args, &node) => Ok(()),
    }
}

/// The member that this process is, once a seed has answered.
async fn joined(args: &Args) -> Handle<GossipOnly> {
    let mut told = String::new();
    loop {
        let joined = match args.seeds.find(PATIENCE).await {
            Ok(contact) => join(&contact).await.map_err(|failure| failure.to_string()),
            Err(why) => Err(why),
        };
        match joined {
            Ok(node) => return node,
            // The same again is no news.
            Err(why) if why != told => {
                tracing::warn!(
                    "the cluster cannot be joined yet, and it is tried again every {RETRY:?}: {why}"
                );
                told = why;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Gives the node all addresses that its seeds have, again and again: it was started with the one that answered first.
async fn look_up_again(args: &Args, node: &Handle<GossipOnly>) {
    let mut told = Vec::new();
    loop {
        let seeds = args.seeds.clone();
        if let Ok((addresses, warnings)) = tokio::task::spawn_blocking(move || seeds.addresses()).await {
            let endpoints = addresses.into_iter().map(Into::into).collect();
            if node.set_seeds(endpoints).await.is_err() {
                // The node has stopped, which its end tells.
                core::future::pending::<()>().await;
            }
            if warnings != told {
                warnings.iter().for_each(|warning| tracing::warn!("{warning}; it is looked up again"));
                told = warnings;
            }
        }
        tokio::time::sleep(LOOK_UP_EVERY).await;
    }
}

/// Why the member is none any more.
fn why(end: End) -> String {
    match end {
        End::HostIdOfMember { endpoint } => host_id_of_member(endpoint),
        _ => "this exporter was removed from the cluster, or its address is in use (start it again)".into(),
    }
}
