//! The options of `gossip run`, and what is made of them before anything starts.

use core::net::SocketAddr;
use core::time::Duration;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use gossip_adapter::{
    ApplicationState, ConfigBuilder, Endpoint, Generation, MetadataId, Pad, StartError, Transport,
};
use gossip_core::{CASSANDRA_PARTITIONER, Config, DEFAULT_PARTITIONER, Release};
use gossip_decode::Flavour;
use uuid::Uuid;

use crate::address::{ADMIN, ADMIN_PORT, GOSSIP_PORT, parse_interval, parse_patience, resolve_one};
use crate::allow::AllowSource;
use crate::config::{Groups, option_of};
use crate::failure::Failure;
use crate::keys::KeySource;
use crate::lists::assignments;
use crate::names::{Names, StateArgs, is_pad_name};
use crate::own::{check_name, own_state};
use crate::reach;
use crate::seeds::SeedSource;
use crate::tls::{Rules, TlsArgs, TlsSource};
use crate::token::Token;

/// What stays the same from release to release.
const AFTER_HELP: &str = "\
Once the node listens it prints one line on standard output, with its real addresses:
  listening on 127.0.0.1:7000, admin on 127.0.0.1:7079
The log goes to standard error. At SIGTERM and SIGINT the node announces its stop and ends; a second one ends it at once. At SIGHUP it reads its
files of seeds, of keys and of allowed addresses again.

With --cassandra the node leaves in silence, however it ends: nodes find it down after some 20 s and forget it 30 s after its last
heartbeat. Started again within 30 s it is up at once; later they ignore it until 90 s are over. Stop it at least 30 s before the
cluster is upgraded to Cassandra 6.0, and start it after `nodetool cms initialize`. A node that sees the upgrade leaves by itself; it
asks a node now and then, and comes back once the service is initialised.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// A file with options and further settings (TOML, as --print-config prints it); options on the command line override its keys; default: only the command line
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints the effective configuration as a file for --config, and exits
    #[arg(long)]
    pub(crate) print_config: bool,
    /// What the file says of settings that are in groups.
    #[arg(skip)]
    pub(crate) groups: Groups,
    /// Name of the cluster; nodes with another name are rejected
    #[arg(long, value_name = "NAME", default_value = "Test Cluster")]
    cluster: String,
    /// Takes part in a Cassandra cluster, as a gossip-only member: never in the ring, with no tokens and no status
    #[arg(long, conflicts_with_all = ["transport", "key_file", "release_version", "native_port", "no_shadow_round", "rejoin"])]
    cassandra: bool,
    /// With --cassandra: the identifier of the metadata of a cluster of Cassandra 6.0, if its nodes do not send it; default: the nodes are asked
    #[arg(long, value_name = "NUMBER", requires = "cassandra", allow_negative_numbers = true)]
    metadata_id: Option<MetadataId>,
    /// Class name of the partitioner; must be the same on all nodes. Default: one of our own, with --cassandra its Murmur3Partitioner
    #[arg(long, value_name = "CLASS")]
    partitioner: Option<String>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR[:PORT]", default_value = "127.0.0.1:7000")]
    listen: String,
    /// Address under which other nodes reach this one; default: the listen address
    #[arg(long, value_name = "ADDR[:PORT]")]
    broadcast: Option<String>,
    /// Seed nodes to contact first; repeat the option, or separate seeds with commas
    #[arg(long, value_name = "ADDR[:PORT]", value_delimiter = ',')]
    seed: Vec<String>,
    /// A file with further seeds, one a line, read again by `gossip reloadseeds` and at SIGHUP; default: only --seed
    #[arg(long, value_name = "FILE")]
    seeds_file: Option<PathBuf>,
    /// Addresses and networks that other nodes may have; repeat the option, or separate them with commas; default: all, if --allow-file is absent, too
    #[arg(long, value_name = "ADDR[/LENGTH]", value_delimiter = ',')]
    allow: Vec<String>,
    /// A file of further addresses and networks for --allow, one in each line, read again at SIGHUP; default: only --allow
    #[arg(long, value_name = "FILE")]
    allow_file: Option<PathBuf>,
    /// Data center
    #[arg(long, value_name = "NAME", default_value = "datacenter1")]
    dc: String,
    /// Rack
    #[arg(long, value_name = "NAME", default_value = "rack1")]
    rack: String,
    #[command(flatten)]
    states: StateArgs,
    /// Publishes a state from the start; repeat it for several
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A file with further states to publish, one KEY=VALUE a line; default: only those of --set
    #[arg(long, value_name = "FILE")]
    set_file: Option<PathBuf>,
    /// Folder for the generation, the host id and the known endpoints; default: nothing is kept after the process ends
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Joins again with the --data-dir of a node that has left its cluster or was removed from it
    #[arg(long, requires = "data_dir")]
    rejoin: bool,
    /// Address of the admin port, which answers the other commands; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN)]
    admin: String,
    /// A file with a token that each request must carry; default: no token, and every client that reaches the admin port is answered
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// How messages travel; must be the same on all nodes
    #[arg(long, value_enum, default_value_t)]
    transport: TransportName,
    /// The runtime of the node's sockets; other nodes see no difference
    #[arg(long, value_enum, default_value_t)]
    runtime: RuntimeName,
    /// A file of keys that encrypt datagrams, 64 hexadecimal digits a line: the first key encrypts, all keys decrypt; read again by `gossip reloadkeys` and at SIGHUP; default: no encryption
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsArgs,
    /// Gossip interval; must be the same on all nodes
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
    interval: Duration,
    /// Asks the seeds before it joins whether another node has this address; the default
    #[arg(long, overrides_with = "no_shadow_round")]
    shadow_round: bool,
    /// Takes this address from a member with another host id that is no longer live; default: the node does not join then
    #[arg(long, conflicts_with = "no_shadow_round")]
    replace: bool,
    /// Joins without asking the seeds first
    #[arg(long, overrides_with = "shadow_round")]
    no_shadow_round: bool,
    /// Compression of sent messages
    #[arg(long, value_enum, default_value_t = Compression::None)]
    compression: Compression,
    /// The phi above which a silent endpoint is convicted, from 1 to 1000
    #[arg(long, value_name = "THRESHOLD", default_value_t = 8.0, value_parser = parse_phi)]
    phi: f64,
    /// Forgets crashed members after this silence; default: never
    #[arg(long, value_name = "DURATION", value_parser = parse_patience)]
    dead_endpoint_ttl: Option<Duration>,
    /// The most endpoints to keep; at least 2
    #[arg(long, value_name = "COUNT", default_value_t = 20_000)]
    max_endpoints: usize,
    /// The most states to keep of one endpoint
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    max_states: usize,
    /// The most bytes of states to keep of one endpoint; at least 4096
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_state_bytes: usize,
    /// Host id; default: the stored one, else a random one
    #[arg(long, value_name = "UUID", value_parser = parse_host_id)]
    host_id: Option<Uuid>,
    /// Release to publish
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    release_version: String,
    /// Publishes a client address: the broadcast address with this port; default: none
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    native_port: Option<u16>,
    /// Log level: off, error, warn, info, debug, trace, or a filter such as info,gossip_core=trace; default: RUST_LOG, else info
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Stops when standard input ends
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

/// What is done to frames before they are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Compression {
    /// Nothing
    None,
    /// LZ4, as in Cassandra
    Lz4,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum TransportName {
    /// Cassandra's connections, over TCP
    #[default]
    Internode,
    /// Packets of bounded size, over UDP: for clusters that are not Cassandra's
    Datagram,
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Internode => Self::Internode,
            TransportName::Datagram => Self::Datagram,
        }
    }
}

/// What runs a node's sockets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum RuntimeName {
    /// The most common async runtime
    #[default]
    Tokio,
    /// A small async runtime
    Smol,
    /// Discontinued upstream
    AsyncStd,
    /// A thread of its own around the system's poll
    Mio,
}

/// Options that have been checked.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) cluster: String,
    /// Whether to take part in a Cassandra cluster, as a gossip-only member.
    pub(crate) cassandra: bool,
    pub(crate) metadata_id: Option<MetadataId>,
    pub(crate) partitioner: Option<String>,
    pub(crate) listen: SocketAddr,
    /// Port 0 stands for the port that is listened on.
    pub(crate) broadcast: Option<SocketAddr>,
    pub(crate) seeds: SeedSource,
    pub(crate) allowed: AllowSource,
    pub(crate) dc: String,
    pub(crate) rack: String,
    pub(crate) names: Names,
    pub(crate) set: Vec<(ApplicationState, String)>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) rejoin: bool,
    pub(crate) admin: SocketAddr,
    pub(crate) admin_token: Option<Token>,
    pub(crate) transport: Transport,
    pub(crate) runtime: RuntimeName,
    pub(crate) keys: Option<KeySource>,
    pub(crate) tls: Option<TlsSource>,
    pub(crate) interval: Duration,
    pub(crate) tuning: Tuning,
    pub(crate) host_id: Option<Uuid>,
    pub(crate) release_version: String,
    pub(crate) native_port: Option<u16>,
    pub(crate) log_level: Option<String>,
    pub(crate) exit_with_stdin: bool,
}

/// What changes how the node works, and not who it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    pub(crate) compression: Compression,
    pub(crate) groups: Groups,
}

impl Options {
    /// The node's own addresses.
    pub(super) fn own(&self) -> reach::Own {
        let Self { listen, broadcast, admin, transport, .. } = *self;
        reach::Own { listen, broadcast, admin, transport }.canonical()
    }

    /// Under which address others know the node, as far as that is known before it starts.
    pub(super) fn own_ip(&self) -> core::net::IpAddr {
        self.broadcast.unwrap_or(self.listen).ip()
    }

    /// Under which partitioner the node gossips.
    pub(crate) fn partitioner(&self) -> &str {
        let default = if self.cassandra { CASSANDRA_PARTITIONER } else { DEFAULT_PARTITIONER };
        self.partitioner.as_deref().unwrap_or(default)
    }

    /// Checks `args`, and resolves the names in them.
    ///
    /// # Errors
    ///
    /// Misuse: the first thing that is wrong.
    pub(crate) fn new(args: Args) -> Result<Self, Failure> {
        let of = |option: &'static str| move |error: String| Failure::misuse(format!("{option}: {error}"));
        check(&args)?;
        let listen = resolve_one("--listen", &args.listen, GOSSIP_PORT)?;
        // Without a port of its own the broadcast address takes the one that is listened on.
        let broadcast =
            args.broadcast.as_deref().map(|text| resolve_one("--broadcast", text, 0)).transpose()?;
        match broadcast {
            None if listen.ip().is_unspecified() => return Err(wildcard_without_broadcast(listen)),
            Some(broadcast) if broadcast.ip().is_unspecified() => {
                return Err(Failure::misuse(format!(
                    "--broadcast: no node can reach {} (name the address of this machine)",
                    broadcast.ip()
                )));
            }
            _ => {}
        }
        let own_ip = broadcast.unwrap_or(listen).ip();
        let seeds = SeedSource::new(args.seed, args.seeds_file, own_ip).map_err(Failure::misuse)?;
        if args.cassandra && seeds.is_empty() {
            return Err(Failure::misuse(
                "--cassandra: there is no node to learn the cluster from (name one of its nodes with --seed)",
            ));
        }
        let allowed = AllowSource::new(&args.allow, args.allow_file).map_err(Failure::misuse)?;
        allowed.read().map_err(Failure::misuse)?;
        let admin = resolve_one("--admin", &args.admin, ADMIN_PORT)?;
        reach::Own { listen, broadcast, admin, transport: args.transport.into() }.canonical().check()?;
        let admin_token = args.admin_token_file.as_deref().map(Token::read).transpose();
        let admin_token = admin_token.map_err(of("--admin-token-file"))?;
        if !admin.ip().is_loopback() && admin_token.is_none() {
            return Err(Failure::misuse(format!(
                "--admin: {} is not a loopback address: every host that reaches the admin port could stop the node (use \
                 127.0.0.1:{}, or require a token with --admin-token-file)",
                admin.ip(),
                admin.port()
            )));
        }
        if args.key_file.is_some() && args.transport != TransportName::Datagram {
            return Err(Failure::misuse(
                "--key-file: keys encrypt datagrams (add --transport datagram, or leave the keys out)",
            ));
        }
        if args.compression == Compression::Lz4 && args.transport == TransportName::Datagram {
            return Err(Failure::misuse(
                "--compression: datagrams are not compressed (leave it out, or use --transport internode)",
            ));
        }
        let rules = if args.cassandra { Rules::Cassandra } else { Rules::Strict };
        let tls = args.tls.source(rules)?;
        if tls.is_some() && args.transport == TransportName::Datagram {
            return Err(Failure::misuse(
                "--tls: datagrams are encrypted with keys instead (use --key-file, or --transport internode)",
            ));
        }
        if let Some(source) = &tls {
            source.read(own_ip).map_err(Failure::misuse)?;
        }
        let keys = args.key_file.map(KeySource::new).transpose().map_err(of("--key-file"))?;
        let names = args.states.names_in(args.cassandra)?;
        let flavour = Flavour::of(Some(&args.release_version), None).unwrap_or_default();
        let mut set = Vec::new();
        let from_file = args.set_file.as_deref().map(assignments).transpose().map_err(of("--set-file"))?;
        let from_file = from_file.unwrap_or_default().into_iter().map(|(number, text)| {
            let file = args.set_file.as_deref().unwrap_or_else(|| Path::new(""));
            (format!("--set-file: {}, line {number}", file.display()), text)
        });
        let given = args.set.iter().map(|text| ("--set".to_owned(), text.clone()));
        for (origin, text) in given.chain(from_file) {
            let text = text.as_str();
            let of = |error: String| Failure::misuse(format!("{origin}: {error}"));
            let (key, value) = names.assignment(text, flavour).map_err(of)?;
            // The release to publish is that of the cluster, which is not known yet.
            if args.cassandra && text.split_once('=').is_some_and(|(name, _)| is_pad_name(name)) {
                return Err(of(format!(
                    "'{text}': pads are called so under other numbers in each release (write the number, \
                     21 to 28)"
                )));
            }
            if args.cassandra && Pad::new(key.number()).is_none() {
                let error = gossip_core::SetStateError::NotPad { key };
                return Err(of(error.to_string()));
            }
            own_state(key, value).map_err(of)?;
            if set.iter().any(|(other, _)| *other == key) {
                return Err(of(format!("{} is set twice (set it once)", names.name(key, flavour))));
            }
            set.push((key, value.to_owned()));
        }
        let mut groups = args.groups;
        groups.detector.phi_convict_threshold = args.phi;
        groups.limits.max_endpoints = args.max_endpoints;
        groups.limits.max_states = args.max_states;
        groups.limits.max_state_bytes = args.max_state_bytes;
        groups.membership.shadow_round = !args.no_shadow_round;
        groups.membership.replace = args.replace;
        groups.membership.dead_endpoint_ttl = args.dead_endpoint_ttl;
        groups.membership.fat_client_timeout.get_or_insert(args.interval * FORGET_NO_MEMBER);
        let tuning = Tuning { compression: args.compression, groups };
        let options = Self {
            cluster: args.cluster,
            cassandra: args.cassandra,
            metadata_id: args.metadata_id,
            partitioner: args.partitioner,
            listen,
            broadcast,
            seeds,
            allowed,
            dc: args.dc,
            rack: args.rack,
            names,
            set,
            data_dir: args.data_dir,
            rejoin: args.rejoin,
            admin,
            admin_token,
            transport: args.transport.into(),
            runtime: args.runtime,
            keys,
            tls,
            interval: args.interval,
            tuning,
            host_id: args.host_id,
            release_version: args.release_version,
            native_port: args.native_port,
            log_level: args.log_level,
            exit_with_stdin: args.exit_with_stdin,
        };
        options.effective()?;
        Ok(options)
    }

    /// The settings with which the node runs; those that depend on others are all known.
    ///
    /// # Errors
    ///
    /// Misuse: one that is out of its range.
    pub(crate) fn effective(&self) -> Result<Groups, Failure> {
        // Who the node is changes no setting.
        let mut told = self.broadcast.unwrap_or(self.listen);
        if told.port() == 0 {
            told.set_port(GOSSIP_PORT);
        }
        let local = Endpoint::from(told);
        let (first, entropy) = (Generation::new(1), [0; 32]);
        let config = if self.cassandra {
            let host_id = gossip_adapter::Uuid::from_bytes([1; 16]);
            let config = Config::gossip_only(&self.cluster, local, first, entropy, host_id);
            self.tuning.apply(config).interval(self.interval).build()
        } else {
            let config = Config::builder(&self.cluster, local, first, entropy).transport(self.transport);
            self.tuning.apply(config).interval(self.interval).build()
        };
        let config = match config {
            Ok(config) => config,
            Err(error) => {
                return Err(match error.setting() {
                    Some(setting) => Failure::misuse(match option_of(setting) {
                        Some(option) => format!("--{option}: {error}"),
                        None => error.to_string(),
                    }),
                    None => super::start_failure(StartError::Config(error), self),
                });
            }
        };
        Ok(Groups {
            detector: config.detector(),
            limits: config.limits(),
            timeouts: config.timeouts(),
            membership: config.membership(),
            datagrams: config.datagrams(),
        })
    }
}

impl Tuning {
    /// Puts it into a configuration.
    pub(crate) fn apply<M>(self, config: ConfigBuilder<M>) -> ConfigBuilder<M> {
        let Groups { detector, limits, timeouts, membership, datagrams } = self.groups;
        let config = config.compression(self.compression == Compression::Lz4);
        config
            .detector(detector)
            .limits(limits)
            .timeouts(timeouts)
            .membership(membership)
            .datagrams(datagrams)
    }
}

/// The refusal of a listen address that others cannot dial.
pub(crate) fn wildcard_without_broadcast(listen: SocketAddr) -> Failure {
    Failure::misuse(format!(
        "--listen {listen} is every address of this machine, and others need one (name it with --broadcast)"
    ))
}

/// Refuses what could be asked for, and could not work.
fn check(args: &Args) -> Result<(), Failure> {
    let names = [
        ("--cluster", Some(&args.cluster)),
        ("--partitioner", args.partitioner.as_ref()),
        ("--dc", Some(&args.dc)),
        ("--rack", Some(&args.rack)),
    ];
    for (option, name) in names.into_iter().filter_map(|(option, name)| Some((option, name?))) {
        check_name(name).map_err(|error| Failure::misuse(format!("{option}: {error}")))?;
    }
    let error = if Release::parse(&args.release_version).is_none() {
        format!("--release-version: '{}' is no release (write numbers, such as 4.1.8)", args.release_version)
    } else if args.host_id.is_some_and(|id| id.is_nil()) {
        "--host-id: the nil UUID identifies no host (leave it out for a random one)".into()
    } else if args.max_endpoints < 2 {
        "--max-endpoints: a node that may only know itself cannot gossip (at least 2)".into()
    } else if args.max_state_bytes < MIN_STATE_BYTES {
        format!("--max-state-bytes: what a node says of itself has no room (at least {MIN_STATE_BYTES})")
    } else if args.dead_endpoint_ttl.is_some_and(|ttl| ttl < args.interval * MIN_TTL) {
        format!(
            "--dead-endpoint-ttl: the living may be silent for so long (at least {MIN_TTL} times the --interval: \
             {:?})",
            args.interval * MIN_TTL
        )
    } else {
        return Ok(());
    };
    Err(Failure::misuse(error))
}

/// After how many intervals of silence an endpoint that is no member is forgotten, such as one that only watched: Cassandra's fat client time-out.
const FORGET_NO_MEMBER: u32 = 30;
/// The fewest bytes that hold what any node says of itself.
const MIN_STATE_BYTES: usize = 4_096;
/// The fewest intervals after which a silent endpoint may be forgotten: a conviction takes some 18.
const MIN_TTL: u32 = 30;

fn parse_host_id(text: &str) -> Result<Uuid, String> {
    text.trim().parse().map_err(|_| {
        "it is no UUID (write 32 hexadecimal digits, as in 8c9b5bd1-0a0e-4b4e-9f53-2f8a1e1d6a10, or leave it out)".into()
    })
}

/// A threshold of phi. Cassandra takes 5 to 16.
fn parse_phi(text: &str) -> Result<f64, String> {
    let phi = text.parse().ok().filter(|phi| (1.0..=1_000.0).contains(phi));
    phi.ok_or_else(|| "a threshold of phi is a number from 1 to 1000 (Cassandra takes 5 to 16)".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use gossip_core::Membership;

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
        assert!(options.tuning.groups.membership.shadow_round && options.admin_token.is_none());
    }

    #[test]
    fn seeds_come_repeated_and_in_lists() {
        let options = options(&["--seed", "10.0.0.1,10.0.0.2:7001", "--seed", "10.0.0.3"]).unwrap();
        let seeds: Vec<_> = options.seeds.read().unwrap().addresses.iter().map(ToString::to_string).collect();
        assert_eq!(seeds, ["10.0.0.1:7000", "10.0.0.2:7001", "10.0.0.3:7000"]);
    }

    #[test]
    fn blanks_around_seeds_do_no_harm() {
        let options = options(&["--seed", "10.0.0.1, 10.0.0.2:7001 ", "--seed", "\t10.0.0.3"]).unwrap();
        let seeds: Vec<_> = options.seeds.read().unwrap().addresses.iter().map(ToString::to_string).collect();
        assert_eq!(seeds, ["10.0.0.1:7000", "10.0.0.2:7001", "10.0.0.3:7000"]);
    }

    #[test]
    fn load_and_readiness_may_be_given() {
        let options = options(&["--set", "LOAD=5.0", "--set", "RPC_READY=true"]).unwrap();
        let expected = [(ApplicationState::LOAD, "5.0".into()), (ApplicationState::RPC_READY, "true".into())];
        assert_eq!(options.set, expected);
    }

    #[test]
    fn the_defaults_are_those_of_the_core() {
        let given = options(&[]).unwrap().tuning;
        let config = Config::builder(
            "c",
            Endpoint::from(SocketAddr::from(([10, 0, 0, 1], 1))),
            Generation::new(1),
            [0; 32],
        );
        let told = given.apply(config.clone()).build().unwrap();
        let membership = Membership {
            shadow_round: true,
            fat_client_timeout: Some(Duration::from_secs(30)),
            ..Membership::default()
        };
        let config = config.membership(membership);
        let expected = config.build().unwrap();
        assert_eq!(told.detector(), expected.detector());
        assert_eq!(told.limits(), expected.limits());
        assert_eq!(told.membership(), expected.membership());
    }

    #[test]
    fn the_last_word_on_the_shadow_round_counts() {
        for (line, expected) in [
            (&["--no-shadow-round"][..], false),
            (&["--shadow-round"], true),
            (&["--no-shadow-round", "--shadow-round"], true),
            (&["--shadow-round", "--no-shadow-round"], false),
        ] {
            assert_eq!(options(line).unwrap().tuning.groups.membership.shadow_round, expected, "{line:?}");
        }
    }

    #[test]
    fn a_wildcard_wants_a_broadcast_address() {
        let line = ["--listen", "0.0.0.0", "--broadcast", "10.0.0.1"];
        assert_eq!(options(&line).unwrap().broadcast, Some("10.0.0.1:0".parse().unwrap()));
        assert!(matches!(options(&line[..2]), Err(Failure::Misuse(_))));
    }

    #[test]
    fn pads_are_those_of_the_release_that_is_published() {
        for (line, number) in [
            (&["--set", "X1=a"][..], 21),
            (&["--set", "X1=a", "--release-version", "4.0.14"], 19),
            (&["--set", "JOB=a", "--state", "25=JOB"], 25),
            (&["--cassandra", "--seed", "10.0.0.1", "--set", "JOB=a", "--state", "25=JOB"], 25),
        ] {
            assert_eq!(options(line).unwrap().set, [(ApplicationState::new(number), "a".into())], "{line:?}");
        }
    }

    #[test]
    fn misuse_is_one_line() {
        for line in [
            &["--listen", "10.0.0"][..],
            &["--broadcast", "0.0.0.0"],
            &["--admin", "10.0.0.1:7079"],
            &["--seed", "10.0.0.1:0"],
            &["--set", "DC=x"],
            &["--cassandra"],
            &["--cassandra", "--seed", "10.0.0.1", "--set", "SEVERITY=1"],
            &["--cassandra", "--seed", "10.0.0.1", "--set", "29=1"],
            &["--cassandra", "--seed", "10.0.0.1", "--set", "X1=1"],
            &["--set", "SEVERITY"],
            &["--set", "LOAD=abc"],
            &["--set", "LOAD=NaN"],
            &["--set", "LOAD=-1"],
            &["--set", "RPC_READY=maybe"],
            &["--set", "STATUS_WITH_PORT=NORMAL"],
            &["--dc", ""],
            &["--dc", " "],
            &["--rack", ""],
            &["--rack", "a\nb"],
            &["--cluster", ""],
            &["--cluster", "a\u{202e}b"],
            &["--partitioner", ""],
            &["--release-version", "banana"],
            &["--host-id", "00000000-0000-0000-0000-000000000000"],
            &["--max-endpoints", "1"],
            &["--max-state-bytes", "1"],
            &["--dead-endpoint-ttl", "10ms"],
            &["--seed", ""],
            &["--set", "SEVERITY=1", "--set", "10=2"],
            &["--state", "5=x"],
            &["--state", "99=FOO"],
            &["--cassandra", "--seed", "10.0.0.1", "--state", "1000=ROLE"],
            &["--key-file", "keys"],
            &["--key-file", "there-is-none", "--transport", "datagram"],
            &["--compression", "lz4", "--transport", "datagram"],
        ] {
            let failure = options(line).unwrap_err();
            assert!(matches!(failure, Failure::Misuse(_)));
            assert_eq!(failure.to_string().lines().count(), 1, "{failure}");
        }
    }
}
