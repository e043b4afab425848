//! Asking a live member straight over gossip: by one shadow round, after which nobody has heard of us.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::net::{TcpStream, UdpSocket};

use gossip_adapter::{EndpointInfo, Event, Handle, Stats};
use gossip_tokio::Builder;
use tokio::time::{sleep, timeout};

use crate::address::{GOSSIP_PORT, parse_patience, resolve_one};
use crate::failure::Failure;
use crate::model::EndpointModel;
use crate::names::Names;

/// What nearly all clusters of Cassandra have, and what ours have. Who has another does not answer.
const PARTITIONERS: [&str; 2] =
    ["org.apache.cassandra.dht.Murmur3Partitioner", gossip_core::DEFAULT_PARTITIONER];

/// How long the first partitioner is tried alone: Cassandra logs a warning about any other.
const HEAD_START: Duration = Duration::from_millis(1_500);

/// The question is repeated after five of these.
const INTERVAL: Duration = Duration::from_millis(500);

/// Whom to ask over gossip, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct SeedArgs {
    /// Asks this member over gossip instead of an admin port: any of Cassandra 4.0 to 5.0, or ours. Joins nothing
    #[arg(long, value_name = "HOST[:PORT]", requires = "cluster", conflicts_with_all = ["admin", "token_file"])]
    seed: Option<String>,
    /// With --seed: the name of its cluster
    #[arg(long, value_name = "NAME", requires = "seed")]
    cluster: Option<String>,
    /// With --seed: the class name of its partitioner; without, Cassandra's Murmur3Partitioner and our own are tried
    #[arg(long, value_name = "CLASS", requires = "seed")]
    partitioner: Option<String>,
    /// With --seed: where it is to send its answer, an address of this machine that it can reach; without, the one that leads there
    #[arg(long, value_name = "ADDR[:PORT]", requires = "seed")]
    listen: Option<String>,
    /// With --seed: how long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    timeout: Duration,
}

impl SeedArgs {
    /// What the member knows of every endpoint, if one is named.
    ///
    /// # Errors
    ///
    /// Misuse if an address is none; failure if it does not answer.
    pub(crate) fn endpoints(&self) -> Option<Result<Vec<EndpointModel>, Failure>> {
        let (seed, cluster) = (self.seed.as_ref()?, self.cluster.as_ref()?);
        Some(self.ask(seed, cluster))
    }

    fn ask(&self, seed: &str, cluster: &str) -> Result<Vec<EndpointModel>, Failure> {
        let misuse = |option: &'static str| move |error| Failure::misuse(format!("{option}: {error}"));
        let seed = resolve_one(seed, GOSSIP_PORT).map_err(misuse("--seed"))?;
        let listen = self.listen.as_deref().map(|text| resolve_one(text, 0)).transpose();
        let listen = listen.map_err(misuse("--listen"))?;
        if listen.is_some_and(|listen| listen.ip().is_unspecified()) {
            return Err(Failure::misuse("--listen: the member needs one address that it can dial (name it)"));
        }
        let failed = |what: &str, error| Failure::failed(format!("{what}: {error}"));
        // Whatever goes wrong with the connection itself is told apart from what is refused in silence.
        TcpStream::connect_timeout(&seed, self.timeout).map_err(|error| {
            Failure::failed(format!(
                "{seed} cannot be reached: {error} (check the host, and its storage port)"
            ))
        })?;
        let listen = match listen {
            Some(listen) => listen,
            None => SocketAddr::new(
                leads_to(seed).map_err(|error| failed("no address of this machine leads there", error))?,
                0,
            ),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed("no thread can be started", error))?;
        let partitioners: Vec<&str> =
            self.partitioner.as_deref().map_or_else(|| PARTITIONERS.to_vec(), |given| vec![given]);
        let question = Question { seed, cluster, listen, patience: self.timeout };
        let infos = runtime.block_on(question.ask(&partitioners))?;
        let names = Names::default();
        let others = infos.iter().filter(|info| !info.is_local);
        // One answer says nothing of how heartbeats arrive.
        let model = |info| EndpointModel {
            phi: None,
            mean_interval_ms: None,
            heard_ago_ms: None,
            ..EndpointModel::new(info, &names)
        };
        Ok(others.map(model).collect())
    }
}

/// The address of this machine from which `seed` is reached.
fn leads_to(seed: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if seed.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    // Connecting a datagram socket sends nothing; the system only chooses the way.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(seed)?;
    Ok(socket.local_addr()?.ip())
}

/// One question, under every partitioner that may be the right one.
struct Question<'a> {
    seed: SocketAddr,
    cluster: &'a str,
    listen: SocketAddr,
    patience: Duration,
}

impl Question<'_> {
    async fn ask(&self, partitioners: &[&str]) -> Result<Vec<EndpointInfo>, Failure> {
        let mut asking = Vec::new();
        let answered = timeout(self.patience, async {
            for partitioner in partitioners {
                asking.push(self.begin(partitioner).await?);
                // The last has all the time that is left.
                let is_last = asking.len() == partitioners.len();
                let answers =
                    futures_util::future::select_all(asking.iter().map(|node| Box::pin(answer(node))));
                tokio::select! {
                    (answer, ..) = answers => return Ok(answer),
                    () = sleep(HEAD_START), if !is_last => {}
                }
            }
            Err(Failure::failed("there is no partitioner to ask under"))
        })
        .await;
        match answered {
            Ok(answered) => answered,
            Err(_) => Err(self.no_answer(&asking).await),
        }
    }

    async fn begin(&self, partitioner: &str) -> Result<Handle, Failure> {
        let listen = SocketAddr::new(self.listen.ip(), self.listen.port());
        let node = Builder::new(self.cluster)
            .partitioner(partitioner)
            .listen(listen)
            .seed(self.seed)
            .interval(INTERVAL)
            // Whatever the member holds is to be shown.
            .tune(|config| {
                config.only_asks(true).max_endpoints(100_000).max_states(250).max_state_bytes(64 << 20)
            });
        node.start().await.map_err(|error| Failure::failed(format!("the question cannot be asked: {error}")))
    }

    /// Says what may be wrong, as far as it can be told apart.
    async fn no_answer(&self, asking: &[Handle]) -> Failure {
        let mut failed = 0;
        for node in asking {
            failed += node.stats().await.map_or(0, |stats: Stats| stats.connections_failed + stats.timeouts);
        }
        let Self { seed, cluster, listen, patience } = self;
        let ip = listen.ip();
        Failure::failed(if failed > 0 {
            format!(
                "{seed} accepts connections and does not complete the handshake (is it the storage port of a member, \
                 and without TLS? TLS is not supported)"
            )
        } else {
            format!(
                "no answer from {seed} within {patience:?}: its cluster may not be called \"{cluster}\", its \
                 partitioner may be another (--partitioner), or it cannot dial {ip} (--listen)"
            )
        })
    }
}

/// What the node has learned, once it has; never, if it learns nothing.
async fn answer(node: &Handle) -> Vec<EndpointInfo> {
    let mut events = node.subscribe();
    loop {
        // It may have come before we listened.
        let known = node.endpoints().await.unwrap_or_default();
        if known.len() > 1 && node.is_enabled().await == Ok(false) {
            return known;
        }
        match events.recv().await {
            Ok(Event::ShadowRoundDone) => return node.endpoints().await.unwrap_or_default(),
            Ok(_) => {}
            Err(_) => std::future::pending().await,
        }
    }
}
