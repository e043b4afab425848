//! Asking a live member straight over gossip: by a shadow round, which leaves no trace in the cluster.

mod many;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{TcpStream, UdpSocket};

use gossip_adapter::{
    DialFailure, Endpoint, EndpointInfo, Event, Events, EventsError, Handle, HeartbeatState, MetadataId,
    Phase, StartError, Version,
};
use gossip_core::{Tls, TlsFault};
use gossip_tokio::Builder;
use tokio::time::{sleep, timeout};

use crate::address::{GOSSIP_PORT, reachable, resolve_one};
use crate::client::ClientArgs;
use crate::ends::metadata_id_refused;
use crate::failure::Failure;
use crate::model::{EndpointModel, MetadataModel, StandingModel};
use crate::names::Names;
use crate::own::check_name;
use crate::tls::{Rules, TlsArgs, TlsSource};
use crate::unanswered::{Asked, advice, outcome, tls_advice};
pub(crate) use many::{Observer, ObserversArgs};

/// What nearly all clusters of Cassandra have. Cassandra logs a warning about any other; a node of ours that has another says which.
const FIRST_PARTITIONER: &str = gossip_core::CASSANDRA_PARTITIONER;

/// The question is repeated after five of these.
const INTERVAL: Duration = Duration::from_millis(500);

/// After how long a heartbeat that lives has grown: in a large cluster news takes some rounds to get around. It is looked twice.
const HEARTBEATS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(2)];

/// The longest name of which a node knows the whole; of longer ones it knows the beginning.
const WHOLE_NAME: usize = 63;

/// Which node to ask over gossip, and the identity to ask with.
#[derive(Debug, clap::Args)]
pub(crate) struct SeedArgs {
    /// Asks this member over gossip instead of an admin port: any of Cassandra 4.0 to 6.0, or ours; default: an admin port is asked
    #[arg(long, value_name = "HOST[:PORT]", requires = "cluster", conflicts_with_all = ["admin", "host", "port", "token_file"])]
    seed: Option<String>,
    /// The name of the cluster of --seed; required with it
    #[arg(long, value_name = "NAME", requires = "seed")]
    cluster: Option<String>,
    /// With --seed: the class name of its partitioner; default: Cassandra's Murmur3Partitioner; a node of ours answers with its own
    #[arg(long, value_name = "CLASS", requires = "seed")]
    partitioner: Option<String>,
    /// With --seed: the identifier of the metadata of a cluster of Cassandra 6.0, if its nodes do not send it; default: the nodes are asked
    #[arg(long, value_name = "NUMBER", requires = "seed", allow_negative_numbers = true)]
    metadata_id: Option<MetadataId>,
    /// With --seed: an address of this machine for its answer, which the member can reach; default: chosen by the system
    #[arg(long, value_name = "ADDR[:PORT]", requires = "seed")]
    listen: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// What a member answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) cluster: String,
    pub(crate) partitioner: String,
    pub(crate) metadata: Option<MetadataModel>,
    /// Everybody that the member knows.
    pub(crate) endpoints: Vec<EndpointModel>,
}

/// A member that answers, and how it is to be spoken with.
#[derive(Debug)]
pub(crate) struct Contact {
    pub(crate) seed: SocketAddr,
    pub(crate) cluster: String,
    pub(crate) partitioner: String,
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<Tls>,
    /// The identifier of the cluster's metadata, if it was given.
    pub(crate) metadata_id: Option<MetadataId>,
}

impl SeedArgs {
    /// Whether a member is named.
    pub(crate) const fn is_given(&self) -> bool {
        self.seed.is_some()
    }

    /// What the member knows of every endpoint, if one is named. It has `patience` to answer.
    ///
    /// # Errors
    ///
    /// Misuse if an address is none; failure if it does not answer.
    pub(crate) fn ask(&self, names: &Names, patience: Duration) -> Option<Result<Answer, Failure>> {
        let question = self.question(patience)?;
        Some(question.and_then(|question| {
            on_a_runtime(async {
                let told = question.ask(self.partitioner.as_deref()).await?;
                Ok(question.answer(&told, names))
            })
        }))
    }

    /// The endpoints and which of them are live, as the seed reports them, or else the node behind `client`.
    ///
    /// # Errors
    ///
    /// Neither can be asked, or it does not answer.
    pub(crate) fn endpoints(&self, client: &ClientArgs) -> Result<Vec<EndpointModel>, Failure> {
        match self.ask_who_is_live(&Names::default(), client.timeout) {
            Some(asked) => Ok(asked?.endpoints),
            None => client.client()?.endpoints(),
        }
    }

    /// As [`SeedArgs::ask`], but asks up to twice more, until each endpoint is known to be up or down. An endpoint is up if its heartbeat has
    /// grown between two answers. It is down if its status says that it stops or is gone. Of others nothing is known.
    ///
    /// # Errors
    ///
    /// As [`SeedArgs::ask`].
    pub(crate) fn ask_who_is_live(
        &self,
        names: &Names,
        patience: Duration,
    ) -> Option<Result<Answer, Failure>> {
        let question = self.question(patience)?;
        Some(question.and_then(|question| {
            on_a_runtime(async {
                let first = question.ask(self.partitioner.as_deref()).await?;
                let before: BTreeMap<SocketAddr, HeartbeatState> =
                    first.infos.iter().map(|info| (info.endpoint.into(), info.heartbeat)).collect();
                let mut answer = question.answer(&AllTold { infos: Vec::new(), ..first }, names);
                for wait in HEARTBEATS {
                    sleep(wait).await;
                    let told = question.ask(Some(&answer.partitioner)).await?;
                    answer = question.answer(&told, names);
                    for (model, info) in answer.endpoints.iter_mut().zip(others(&told.infos)) {
                        model.standing = standing(before.get(&model.endpoint).copied(), info);
                    }
                    if answer.endpoints.iter().all(|model| model.standing != StandingModel::Unverified) {
                        break;
                    }
                }
                EndpointModel::mark_replaced(&mut answer.endpoints);
                Ok(answer)
            })
        }))
    }

    /// Finds out under which partitioner the member answers, if one is named.
    ///
    /// # Errors
    ///
    /// As [`SeedArgs::ask`].
    pub(crate) async fn find(&self, patience: Duration) -> Option<Result<Contact, Failure>> {
        let question = self.question(patience)?;
        Some(match question {
            Err(failure) => Err(failure),
            Ok(question) => question.ask(self.partitioner.as_deref()).await.map(|told| Contact {
                seed: question.seed,
                cluster: question.cluster.into(),
                partitioner: told.partitioner,
                listen: question.listen,
                tls: question.tls,
                metadata_id: self.metadata_id,
            }),
        })
    }

    /// The question to the member, if one is named that can be reached.
    fn question(&self, patience: Duration) -> Option<Result<Question<'_>, Failure>> {
        let (seed, cluster) = (self.seed.as_ref()?, self.cluster.as_ref()?);
        // Most clusters that are asked are Cassandra's, and the rules of our own are no use there.
        let tls = self.tls.source(Rules::Cassandra);
        let question =
            tls.and_then(|tls| Question::new(seed, cluster, self.listen.as_deref(), patience, tls.as_ref()));
        Some(question.map(|question| Question { metadata_id: self.metadata_id, ..question }))
    }
}

/// One question, under the partitioner that the member has.
struct Question<'a> {
    seed: SocketAddr,
    cluster: &'a str,
    listen: SocketAddr,
    patience: Duration,
    tls: Option<Tls>,
    metadata_id: Option<MetadataId>,
}

/// All that a member answered.
struct AllTold {
    partitioner: String,
    metadata: Option<MetadataModel>,
    infos: Vec<EndpointInfo>,
}

impl<'a> Question<'a> {
    fn new(
        seed: &str,
        cluster: &'a str,
        listen: Option<&str>,
        patience: Duration,
        tls: Option<&TlsSource>,
    ) -> Result<Self, Failure> {
        let misuse = |option: &'static str| move |error| Failure::misuse(format!("{option}: {error}"));
        let seed = reachable(resolve_one("--seed", seed, GOSSIP_PORT)?).map_err(misuse("--seed"))?;
        Self::to(seed, cluster, listen, patience, tls)
    }

    /// As [`Question::new`], to an address.
    fn to(
        seed: SocketAddr,
        cluster: &'a str,
        listen: Option<&str>,
        patience: Duration,
        tls: Option<&TlsSource>,
    ) -> Result<Self, Failure> {
        let misuse = |option: &'static str| move |error| Failure::misuse(format!("{option}: {error}"));
        if cluster.trim().is_empty() {
            return Err(Failure::misuse("--cluster: the name is empty (write that of the member's cluster)"));
        }
        check_name(cluster).map_err(misuse("--cluster"))?;
        let listen = listen.map(|text| resolve_one("--listen", text, 0)).transpose()?;
        if listen.is_some_and(|listen| listen.ip().is_unspecified()) {
            return Err(Failure::misuse("--listen: the member needs one address that it can dial (name it)"));
        }
        // A fault of the connection itself is reported as such. A refusal is silent, and comes later.
        TcpStream::connect_timeout(&seed, patience).map_err(|error| {
            Failure::failed(format!(
                "{seed} cannot be reached: {error} (check the host, and its storage port)"
            ))
        })?;
        let listen = match listen {
            Some(listen) => listen,
            None => {
                let ip = leads_to(seed).map_err(|error| {
                    Failure::failed(format!("no address of this machine leads there: {error}"))
                })?;
                SocketAddr::new(ip, 0)
            }
        };
        let tls = tls.map(|source| source.read(listen.ip())).transpose().map_err(Failure::misuse)?;
        Ok(Self { seed, cluster, listen, patience, tls, metadata_id: None })
    }

    /// What the member knows, and under which partitioner it said so: the given one, else that which it has.
    async fn ask(&self, given: Option<&str>) -> Result<AllTold, Failure> {
        let mut partitioner = given.unwrap_or(FIRST_PARTITIONER).to_owned();
        let mut is_told = false;
        loop {
            let (node, mut events) = self.begin(&partitioner).await?;
            let mut last = Outcome::default();
            let told = timeout(self.patience, answer(&node, &mut events, &mut last)).await;
            let listen = node.local_endpoint().into();
            let metadata = node.metadata_id().await.ok().and_then(MetadataModel::of);
            // Its port is free again then.
            let _ = node.shutdown().await;
            match told.unwrap_or(Told::Nothing) {
                Told::Nothing => {
                    let is_secured = self.tls.is_some();
                    let asked =
                        Asked { cluster: self.cluster, partitioner: &partitioner, listen, is_secured };
                    return Err(self.no_answer(last, asked, metadata.as_ref()));
                }
                Told::State(infos) => return Ok(AllTold { partitioner, metadata, infos }),
                Told::MetadataId { by, given, theirs } => {
                    return Err(Failure::failed(metadata_id_refused(by, given, theirs)));
                }
                Told::Partitioner(theirs) if given.is_none() && !is_told && theirs.len() <= WHOLE_NAME => {
                    is_told = true;
                    partitioner = theirs;
                }
                Told::Partitioner(theirs) => {
                    return Err(Failure::failed(format!(
                        "the partitioner of {} is \"{theirs}\", and not \"{partitioner}\" (name it with --partitioner)",
                        self.seed
                    )));
                }
                Told::Cluster(theirs) => {
                    return Err(Failure::failed(format!(
                        "the cluster of {} is called \"{theirs}\", and not \"{}\" (name it with --cluster)",
                        self.seed, self.cluster
                    )));
                }
            }
        }
    }

    async fn begin(&self, partitioner: &str) -> Result<(Handle, Events), Failure> {
        let (tls, metadata_id) = (self.tls.clone(), self.metadata_id);
        let node = Builder::new(self.cluster)
            .partitioner(partitioner)
            .listen(self.listen)
            .seed(self.seed)
            .interval(INTERVAL)
            // Whatever the member holds is to be shown.
            .tune(move |config| {
                let mut config = config
                    .change_membership(|membership| membership.only_asks = true)
                    .change_limits(|limits| {
                        limits.max_endpoints = 100_000;
                        limits.max_states = 250;
                        limits.max_state_bytes = 64 << 20;
                    });
                if let Some(id) = metadata_id {
                    config = config.metadata_id(id);
                }
                match tls {
                    Some(tls) => config.tls(tls),
                    None => config,
                }
            });
        node.start().await.map_err(|error| {
            let advice = match error {
                StartError::Bind { .. } => {
                    " (name an address of this machine with --listen, or leave it out)"
                }
                _ => "",
            };
            Failure::failed(format!("the question cannot be asked: {error}{advice}"))
        })
    }

    fn answer(&self, told: &AllTold, names: &Names) -> Answer {
        let AllTold { partitioner, metadata, infos } = told;
        // One answer says nothing of how heartbeats arrive.
        let model = |info| EndpointModel {
            phi: None,
            mean_interval_ms: None,
            heard_ago_ms: None,
            ..EndpointModel::new(info, names).in_cluster(partitioner)
        };
        let endpoints = others(infos).map(model).collect();
        let (partitioner, metadata) = (partitioner.clone(), metadata.clone());
        Answer { cluster: self.cluster.into(), partitioner, metadata, endpoints }
    }

    /// Says what became of the question, and what may be wrong.
    fn no_answer(&self, last: Outcome, asked: Asked<'_>, metadata: Option<&MetadataModel>) -> Failure {
        let Self { seed, patience, .. } = self;
        // Where the question was taken and the answer was refused here, that says more than the silence.
        let is_silence = last.failure.is_none_or(|(failure, _)| failure.is_silence());
        if let Some(fault) = last.refused.filter(|_| is_silence) {
            let advice = tls_advice(fault).unwrap_or("its log may say more");
            return Failure::failed(format!(
                "no answer from {seed}: a connection to {} was refused here meanwhile: {fault} ({advice})",
                asked.listen
            ));
        }
        Failure::failed(match last.failure {
            Some((failure, times)) => {
                let outcome = outcome(failure, times);
                let advice =
                    advice(failure, asked).unwrap_or_else(|| "check the host, and its storage port".into());
                // Only what such a question carried can have been refused for it.
                let metadata = metadata.filter(|_| failure == DialFailure::Silent).map_or_else(
                    String::new,
                    |metadata| {
                        format!(
                            "; or it is of Cassandra 6.0, and its cluster's metadata id is not {metadata}"
                        )
                    },
                );
                format!("no answer from {seed}: {outcome} ({advice}{metadata})")
            }
            None => format!("no answer from {seed} within {patience:?} (wait longer with --timeout)"),
        })
    }
}

fn on_a_runtime<T>(question: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no thread can be started: {error}")))?;
    runtime.block_on(question)
}

/// All endpoints but the asking one.
fn others(infos: &[EndpointInfo]) -> impl Iterator<Item = &EndpointInfo> {
    infos.iter().filter(|info| !info.is_local)
}

/// Where an endpoint stands, by its heartbeat a few seconds ago and now.
fn standing(before: Option<HeartbeatState>, now: &EndpointInfo) -> StandingModel {
    let has_grown = before.is_some_and(|before| {
        (now.heartbeat.generation, now.heartbeat.version) > (before.generation, before.version)
    });
    if now.status.is_dead() || now.heartbeat.version == Version::SHUTDOWN {
        StandingModel::Unreachable
    } else if has_grown {
        StandingModel::Live
    } else {
        StandingModel::Unverified
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

/// What became of a question so far.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    /// What the last attempt failed for, and how often in a row.
    failure: Option<(DialFailure, u32)>,
    /// For what a connection to us was refused meanwhile.
    refused: Option<TlsFault>,
}

/// What a member answers.
enum Told {
    /// Another identifier of its cluster's metadata than was given.
    MetadataId { by: Endpoint, given: MetadataId, theirs: MetadataId },
    /// Nothing, and there is nothing to come.
    Nothing,
    /// All that it knows.
    State(Vec<EndpointInfo>),
    /// That its cluster is called otherwise: only a node of ours says so.
    Cluster(String),
    /// That it has another partitioner, likewise.
    Partitioner(String),
}

/// What the node was answered, once it was; `last` becomes what the last attempt failed for, and how often in a row.
async fn answer(node: &Handle, events: &mut Events, last: &mut Outcome) -> Told {
    loop {
        // The phase decides, because events may have been missed. It takes no part once it has its answer.
        if node.phase().await == Ok(Phase::Disabled) {
            return Told::State(node.endpoints().await.unwrap_or_default());
        }
        let may_be_refused = match events.recv().await {
            Ok(Event::ForeignCluster { .. } | Event::ForeignPartitioner { .. })
            | Err(EventsError::Lagged(_)) => true,
            Ok(Event::DialFailed { failure, times, .. }) => {
                last.failure = Some((failure, times));
                false
            }
            Ok(Event::TlsFailed { is_dialled: false, fault, .. }) => {
                last.refused = Some(fault);
                false
            }
            Ok(Event::MetadataIdRefused { by, given, theirs }) => {
                return Told::MetadataId { by, given, theirs };
            }
            Ok(_) => false,
            Err(EventsError::Stopped) => return Told::Nothing,
        };
        if may_be_refused {
            if let Ok(Some((_, theirs))) = node.foreign_cluster().await {
                return Told::Cluster(theirs);
            }
            if let Ok(Some((_, theirs))) = node.foreign_partitioner().await {
                return Told::Partitioner(theirs);
            }
        }
    }
}
