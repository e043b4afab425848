//! The options of `gossip run`, and what is made of them before anything starts.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::path::PathBuf;

use gossip_tokio::ApplicationState;
use uuid::Uuid;

use crate::address::{ADMIN, ADMIN_PORT, GOSSIP_PORT, parse_interval, resolve, resolve_one};
use crate::failure::Failure;
use crate::names::Names;

/// The partitioner of clusters that are not Cassandra's: they partition nothing. Nodes of different partitioners
/// refuse each other.
const NO_PARTITIONER: &str = "org.gossip.NoPartitioner";

/// What stays the same from release to release.
const AFTER_HELP: &str = "\
Once the node listens it prints one line on standard output, with its real addresses:
  listening on 127.0.0.1:7000, admin on 127.0.0.1:7079
The log goes to standard error. SIGTERM and SIGINT stop the node in good order, a second one at once.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Name of the cluster; nodes of another name are refused
    #[arg(long, value_name = "NAME", default_value = "Test Cluster")]
    cluster: String,
    /// Class name of the partitioner; must be the same on all nodes
    #[arg(long, value_name = "CLASS", default_value = NO_PARTITIONER)]
    partitioner: String,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR[:PORT]", default_value = "127.0.0.1:7000")]
    listen: String,
    /// Under which address others reach this node, where it is not the one it listens on
    #[arg(long, value_name = "ADDR[:PORT]")]
    broadcast: Option<String>,
    /// Whom to ask first; several by repetition or with commas
    #[arg(long, value_name = "ADDR[:PORT]", value_delimiter = ',')]
    seed: Vec<String>,
    /// Data center
    #[arg(long, value_name = "NAME", default_value = "datacenter1")]
    dc: String,
    /// Rack
    #[arg(long, value_name = "NAME", default_value = "rack1")]
    rack: String,
    /// Names a custom state, from number 1000 on; repeatable
    #[arg(long, value_name = "NUMBER=NAME")]
    state: Vec<String>,
    /// Publishes a state from the start; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where to keep the generation, the host id and the known endpoints
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to answer the other commands; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN)]
    admin: String,
    /// Gossip interval; must be the same on all nodes
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
    interval: Duration,
    /// Host id to use instead of a random or stored one
    #[arg(long, value_name = "UUID")]
    host_id: Option<Uuid>,
    /// Release to publish
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    release_version: String,
    /// Publishes a client address: the broadcast address with this port
    #[arg(long, value_name = "PORT")]
    native_port: Option<u16>,
    /// What to log: error, warn, info, debug, trace, or a filter as in RUST_LOG
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Stops in good order when standard input ends
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

/// Options that have been checked.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) cluster: String,
    pub(crate) partitioner: String,
    pub(crate) listen: SocketAddr,
    /// Port 0 stands for the port that is listened on.
    pub(crate) broadcast: Option<SocketAddr>,
    pub(crate) seeds: Vec<SocketAddr>,
    pub(crate) dc: String,
    pub(crate) rack: String,
    pub(crate) names: Names,
    pub(crate) set: Vec<(ApplicationState, String)>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) admin: SocketAddr,
    pub(crate) interval: Duration,
    pub(crate) host_id: Option<Uuid>,
    pub(crate) release_version: String,
    pub(crate) native_port: Option<u16>,
    pub(crate) log_level: Option<String>,
    pub(crate) exit_with_stdin: bool,
}

impl Options {
    /// Checks `args`, and resolves the names in them.
    ///
    /// # Errors
    ///
    /// Misuse: the first thing that is wrong.
    pub(crate) fn new(args: Args) -> Result<Self, Failure> {
        let of = |option: &'static str| move |error: String| Failure::misuse(format!("{option}: {error}"));
        let listen = resolve_one(&args.listen, GOSSIP_PORT).map_err(of("--listen"))?;
        // Without a port of its own the broadcast address takes the one that is listened on.
        let broadcast = args.broadcast.as_deref().map(|text| resolve_one(text, 0)).transpose();
        let broadcast = broadcast.map_err(of("--broadcast"))?;
        match broadcast {
            None if listen.ip().is_unspecified() => return Err(wildcard_without_broadcast(listen)),
            Some(broadcast) if broadcast.ip().is_unspecified() => {
                return Err(Failure::misuse(format!(
                    "--broadcast: nobody can reach {} (name the address of this machine)",
                    broadcast.ip()
                )));
            }
            _ => {}
        }
        let own_ip = broadcast.unwrap_or(listen).ip();
        let mut seeds = Vec::new();
        for text in &args.seed {
            seeds.extend(seed_addresses(text, own_ip).map_err(of("--seed"))?);
        }
        let admin = resolve_one(&args.admin, ADMIN_PORT).map_err(of("--admin"))?;
        if !admin.ip().is_loopback() {
            return Err(Failure::misuse(format!(
                "--admin: {} is not a loopback address: whoever reaches the admin port may stop the node (use \
                 127.0.0.1:{})",
                admin.ip(),
                admin.port()
            )));
        }
        let names = Names::new(&args.state).map_err(Failure::misuse)?;
        let mut set = Vec::new();
        for text in &args.set {
            let (key, value) = names.assignment(text).map_err(of("--set"))?;
            if let Some(instead) = published_by_run(key) {
                return Err(Failure::misuse(format!(
                    "--set: {key} is published by the node itself ({instead})"
                )));
            }
            if set.iter().any(|(other, _)| *other == key) {
                return Err(Failure::misuse(format!(
                    "--set: {} is set twice (set it once)",
                    names.name(key)
                )));
            }
            set.push((key, value.to_owned()));
        }
        Ok(Self {
            cluster: args.cluster,
            partitioner: args.partitioner,
            listen,
            broadcast,
            seeds,
            dc: args.dc,
            rack: args.rack,
            names,
            set,
            data_dir: args.data_dir,
            admin,
            interval: args.interval,
            host_id: args.host_id,
            release_version: args.release_version,
            native_port: args.native_port,
            log_level: args.log_level,
            exit_with_stdin: args.exit_with_stdin,
        })
    }
}

/// The refusal of a listen address that nobody can be told of.
pub(crate) fn wildcard_without_broadcast(listen: SocketAddr) -> Failure {
    Failure::misuse(format!(
        "--listen {listen} is every address of this machine, and others need one (name it with --broadcast)"
    ))
}

/// A name may have addresses of both families, of which our peers hear only one.
fn seed_addresses(text: &str, own_ip: IpAddr) -> Result<Vec<SocketAddr>, String> {
    let addresses = resolve(text, GOSSIP_PORT)?;
    if let Some(nowhere) =
        addresses.iter().find(|address| address.ip().is_unspecified() || address.port() == 0)
    {
        return Err(format!("nobody can be reached at {nowhere} (name the address and port of a seed)"));
    }
    let same_family: Vec<_> =
        addresses.iter().copied().filter(|address| address.is_ipv4() == own_ip.is_ipv4()).collect();
    Ok(if same_family.is_empty() { addresses } else { same_family })
}

/// What to do instead of setting a state that the node publishes itself from the start.
fn published_by_run(key: ApplicationState) -> Option<&'static str> {
    match key {
        ApplicationState::DC => Some("use --dc"),
        ApplicationState::RACK => Some("use --rack"),
        ApplicationState::RELEASE_VERSION => Some("use --release-version"),
        ApplicationState::HOST_ID => Some("use --host-id"),
        ApplicationState::NATIVE_ADDRESS_AND_PORT => Some("use --native-port"),
        ApplicationState::INTERNAL_ADDRESS_AND_PORT => Some("use --broadcast"),
        ApplicationState::RPC_READY => Some("use `gossip set` once it runs"),
        ApplicationState::NET_VERSION
        | ApplicationState::LOAD
        | ApplicationState::STATUS
        | ApplicationState::STATUS_WITH_PORT
        | ApplicationState::TOKENS => Some("leave it out"),
        _ => None,
    }
}

/// Whether the value under `key` says who or where a node is: it is the node's own to change.
pub(crate) fn is_identity(key: ApplicationState) -> bool {
    matches!(
        key,
        ApplicationState::HOST_ID
            | ApplicationState::NET_VERSION
            | ApplicationState::STATUS
            | ApplicationState::STATUS_WITH_PORT
            | ApplicationState::TOKENS
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn options(line: &[&str]) -> Result<Options, Failure> {
        Options::new(Line::try_parse_from(["run"].iter().chain(line)).unwrap().args)
    }

    #[test]
    fn defaults() {
        let options = options(&[]).unwrap();
        assert_eq!(options.listen, "127.0.0.1:7000".parse().unwrap());
        assert_eq!(options.admin, "127.0.0.1:7079".parse().unwrap());
        assert_eq!(options.interval, Duration::from_secs(1));
        assert!(options.seeds.is_empty() && options.broadcast.is_none());
    }

    #[test]
    fn seeds_come_repeated_and_in_lists() {
        let options = options(&["--seed", "10.0.0.1,10.0.0.2:7001", "--seed", "10.0.0.3"]).unwrap();
        let seeds: Vec<_> = options.seeds.iter().map(ToString::to_string).collect();
        assert_eq!(seeds, ["10.0.0.1:7000", "10.0.0.2:7001", "10.0.0.3:7000"]);
    }

    #[test]
    fn a_wildcard_wants_a_broadcast_address() {
        let line = ["--listen", "0.0.0.0", "--broadcast", "10.0.0.1"];
        assert_eq!(options(&line).unwrap().broadcast, Some("10.0.0.1:0".parse().unwrap()));
        assert!(matches!(options(&line[..2]), Err(Failure::Misuse(_))));
    }

    #[test]
    fn misuse_is_one_line() {
        for line in [
            &["--listen", "10.0.0"][..],
            &["--broadcast", "0.0.0.0"],
            &["--admin", "10.0.0.1:7079"],
            &["--seed", "10.0.0.1:0"],
            &["--set", "DC=x"],
            &["--set", "SEVERITY"],
            &["--set", "SEVERITY=1", "--set", "10=2"],
            &["--state", "5=x"],
        ] {
            let failure = options(line).unwrap_err();
            assert!(matches!(failure, Failure::Misuse(_)));
            assert_eq!(failure.to_string().lines().count(), 1, "{failure}");
        }
    }
}
