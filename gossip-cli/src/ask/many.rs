//! Asking several members over gossip at once: what differs between their views is what one view cannot tell.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use gossip_adapter::{HeartbeatState, MetadataId};

use super::{Contact, Question, on_a_runtime, others, standing};
use crate::address::{GOSSIP_PORT, Unresolved, check_syntax, reachable, resolve};
use crate::failure::Failure;
use crate::model::{EndpointModel, StandingModel};
use crate::names::Names;
use crate::own::check_name;
use crate::tls::{Rules, TlsArgs};

/// The most members that are asked at once.
const MAX_OBSERVERS: usize = 64;

/// Which nodes to ask over gossip, and the identity to ask with.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ObserversArgs {
    /// Asks these members over gossip, any of Cassandra 4.0 to 6.0, or ours; repeat the option, or separate them with commas; a host name means all its addresses
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',', required = true)]
    seed: Vec<String>,
    /// The name of the cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: String,
    /// The class name of its partitioner; default: Cassandra's Murmur3Partitioner; a node of ours answers with its own
    #[arg(long, value_name = "CLASS")]
    pub(crate) partitioner: Option<String>,
    /// The identifier of the metadata of a cluster of Cassandra 6.0, if its nodes do not send it; default: the nodes are asked
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    metadata_id: Option<MetadataId>,
    /// An address of this machine for the answers, which the members can reach; default: chosen by the system
    #[arg(long, value_name = "ADDR[:PORT]")]
    pub(crate) listen: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

/// A member that is asked again and again.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) seed: SocketAddr,
    partitioner: Option<String>,
    /// The heartbeat of each endpoint when it was heard of first, and when it last grew after that.
    heartbeats: BTreeMap<SocketAddr, (HeartbeatState, Option<Instant>)>,
    /// What it answered last, or why it did not answer.
    pub(crate) view: Result<Vec<EndpointModel>, String>,
}

impl ObserversArgs {
    /// Checks what is wrong whatever names stand for.
    ///
    /// # Errors
    ///
    /// Misuse.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_name(&self.cluster).map_err(|error| Failure::misuse(format!("--cluster: {error}")))?;
        for text in &self.seed {
            let checked = check_syntax(text, GOSSIP_PORT);
            let checked =
                checked.and_then(|address| address.map_or(Ok(()), |address| reachable(address).map(drop)));
            checked.map_err(|error| Failure::misuse(format!("--seed: {error}")))?;
        }
        Ok(())
    }

    /// All addresses of all seeds; and a line for each name that has none now.
    pub(crate) fn addresses(&self) -> (Vec<SocketAddr>, Vec<String>) {
        let (mut addresses, mut warnings) = (Vec::new(), Vec::new());
        for text in &self.seed {
            match resolve(text, GOSSIP_PORT) {
                Ok(found) => addresses.extend(found),
                Err(Unresolved { error, .. }) => warnings.push(format!("--seed: {error}")),
            }
        }
        // In the order in which they are named.
        let mut seen = Vec::new();
        addresses.retain(|address| {
            let is_new = !seen.contains(address);
            seen.push(*address);
            is_new
        });
        (addresses, warnings)
    }

    /// The first member that answers, and how it is to be spoken with.
    ///
    /// # Errors
    ///
    /// Why none answers, in a line.
    pub(crate) async fn find(&self, patience: Duration) -> Result<Contact, String> {
        let args = self.clone();
        let resolved = tokio::task::spawn_blocking(move || args.addresses()).await;
        let (addresses, mut reasons) = resolved.map_err(|error| error.to_string())?;
        let tls = self.tls.source(Rules::Cassandra).map_err(|failure| failure.to_string())?;
        for seed in addresses {
            let tls = tls.clone();
            let (cluster, listen) = (self.cluster.clone(), self.listen.clone());
            // Connecting blocks.
            let question = tokio::task::spawn_blocking(move || {
                Question::to(seed, &cluster, listen.as_deref(), patience, tls.as_ref())
                    .map(|question| (question.listen, question.tls))
            });
            let asked = match question.await.map_err(|error| error.to_string())? {
                Ok((listen, tls)) => {
                    let question = Question {
                        seed,
                        cluster: &self.cluster,
                        listen,
                        patience,
                        tls: tls.clone(),
                        metadata_id: self.metadata_id,
                    };
                    question
                        .ask(self.partitioner.as_deref())
                        .await
                        .map(|told| (told.partitioner, listen, tls))
                }
                Err(failure) => Err(failure),
            };
            match asked {
                Ok((partitioner, listen, tls)) => {
                    let cluster = self.cluster.clone();
                    let metadata_id = self.metadata_id;
                    return Ok(Contact { seed, cluster, partitioner, listen, tls, metadata_id });
                }
                Err(failure) => reasons.push(failure.to_string()),
            }
        }
        Err(reasons.join("; "))
    }

    /// The members to ask, each once; those whose names have no address say so.
    ///
    /// # Errors
    ///
    /// Misuse: a text is no address, or there are too many.
    pub(crate) fn observers(&self) -> Result<(Vec<Observer>, Vec<String>), Failure> {
        self.check()?;
        let (addresses, warnings) = self.addresses();
        if addresses.len() > MAX_OBSERVERS {
            return Err(Failure::misuse(format!(
                "--seed: {} addresses are too many to ask at once (name at most {MAX_OBSERVERS})",
                addresses.len()
            )));
        }
        let observer = |seed| Observer {
            seed,
            partitioner: self.partitioner.clone(),
            heartbeats: BTreeMap::new(),
            view: Err("it was not asked yet".into()),
        };
        Ok((addresses.into_iter().map(observer).collect(), warnings))
    }

    /// Asks all of them at the same time. Each has `patience` to answer.
    pub(crate) fn look(&self, observers: &mut [Observer], names: &Names, patience: Duration) {
        thread::scope(|scope| {
            for observer in observers {
                scope.spawn(|| observer.look(self, names, patience));
            }
        });
    }
}

impl Observer {
    fn look(&mut self, args: &ObserversArgs, names: &Names, patience: Duration) {
        let question = args.tls.source(Rules::Cassandra).and_then(|tls| {
            Question::to(self.seed, &args.cluster, args.listen.as_deref(), patience, tls.as_ref())
                .map(|question| Question { metadata_id: args.metadata_id, ..question })
        });
        let asked = question.and_then(|question| {
            on_a_runtime(async {
                let told = question.ask(self.partitioner.as_deref()).await?;
                Ok((question.answer(&told, names).endpoints, told.partitioner, told.infos))
            })
        });
        let now = Instant::now();
        self.view =
            asked.map_err(|failure| failure.to_string()).map(|(mut endpoints, partitioner, infos)| {
                for (model, info) in endpoints.iter_mut().zip(others(&infos)) {
                    let before = self.heartbeats.entry(model.endpoint).or_insert((info.heartbeat, None));
                    model.standing = standing(Some(before.0), info);
                    if model.standing == StandingModel::Live {
                        *before = (info.heartbeat, Some(now));
                    }
                }
                // An endpoint that is missing from an answer begins anew when it appears again.
                self.heartbeats
                    .retain(|endpoint, _| endpoints.iter().any(|model| model.endpoint == *endpoint));
                self.partitioner = Some(partitioner);
                endpoints
            });
    }

    /// What it reports about an endpoint.
    pub(crate) fn tells_of(&self, endpoint: SocketAddr) -> Option<&EndpointModel> {
        self.view.as_ref().ok()?.iter().find(|model| model.endpoint == endpoint)
    }

    /// Where an endpoint stands for this observer: it is live if its heartbeat has grown since the first look, and unreachable if it has
    /// stopped or is gone.
    pub(crate) fn standing(&self, model: &EndpointModel) -> StandingModel {
        let has_grown = self.heartbeats.get(&model.endpoint).is_some_and(|(_, grown)| grown.is_some());
        match model.standing {
            StandingModel::Unverified if has_grown => StandingModel::Live,
            standing => standing,
        }
    }

    /// How long ago the heartbeat of an endpoint grew for the last time, as far as that was seen.
    pub(crate) fn grown_ago(&self, endpoint: SocketAddr) -> Option<Duration> {
        self.heartbeats.get(&endpoint)?.1.map(|grown| grown.elapsed())
    }
}
