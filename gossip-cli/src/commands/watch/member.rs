//! Watching as a gossip-only member of the cluster, without an admin port.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeSet;

use gossip_adapter::{EndpointInfo, Event, EventsError, GossipOnly, Handle, Phase, Standing, Uuid};
use gossip_tokio::Builder;

use super::{Printing, tell};
use crate::ask::{Contact, SeedArgs};
use crate::changes::Changes;
use crate::ends::{host_id_of_member, kept_away, metadata_id_refused};
use crate::failure::Failure;
use crate::model::{EndpointModel, WatchModel};
use crate::names::Names;
use crate::signals::{Signals, reader_gone};

/// How long nothing may change before it is looked whether the node still runs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes part, and prints what changes until a signal comes.
///
/// # Errors
///
/// The member does not answer, or others already know this address; see [`SeedArgs::ask`].
pub(super) fn watch(
    seed: &SeedArgs,
    patience: Duration,
    names: Names,
    printing: &Printing<'_>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no threads can be started: {error}")))?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let watching = async {
            let contact = seed
                .find(patience)
                .await
                .unwrap_or_else(|| Err(Failure::misuse("--seed names no member")))?;
            Ok((join(&contact).await?, contact.partitioner))
        };
        let (node, partitioner) = tokio::select! {
            joined = watching => joined?,
            _ = signals.next() => return Ok(()),
            () = reader_gone() => return Ok(()),
        };
        let followed = follow(&node, &partitioner, names, printing, &mut signals).await;
        // A further signal ends it at once.
        tokio::select! {
            _ = node.shutdown() => {}
            _ = signals.next() => {}
        }
        followed
    })
}

/// Takes part in the cluster, as a gossip-only member.
///
/// # Errors
///
/// Others know this address as that of another node, the cluster is being upgraded, or the member does not answer any more.
pub(crate) async fn join(contact: &Contact) -> Result<Handle<GossipOnly>, Failure> {
    let Contact { seed, cluster, partitioner, listen, tls, metadata_id } = contact;
    let (tls, metadata_id) = (tls.clone(), *metadata_id);
    let mut node = Builder::gossip_only(cluster).partitioner(partitioner).listen(*listen).seed(*seed);
    // Under an address that was asked for it is the same each time: an earlier one may still be known.
    if listen.port() != 0 {
        node = node.host_id(host_id(*listen));
    }
    let node = node.tune(move |config| {
        let mut config = config.change_limits(|limits| {
            limits.max_endpoints = 100_000;
            limits.max_states = 250;
        });
        if let Some(id) = metadata_id {
            config = config.metadata_id(id);
        }
        match tls {
            Some(tls) => config.tls(tls),
            None => config,
        }
    });
    let node = node.start().await;
    let started = node.map_err(|error| Failure::failed(format!("the cluster cannot be joined: {error}")));
    let (node, mut events) = started?;
    loop {
        // The phase decides, because events may have been missed.
        if node.phase().await == Ok(Phase::Running) {
            return Ok(node);
        }
        match events.recv().await {
            Ok(Event::AddressConflict { .. }) => {
                return Err(Failure::failed(format!(
                    "other members know {} under another host id (choose another address or port with --listen)",
                    node.local_endpoint()
                )));
            }
            Ok(Event::HostIdOfMember { endpoint }) => {
                return Err(Failure::failed(host_id_of_member(endpoint)));
            }
            Ok(Event::MetadataIdRefused { by, given, theirs }) => {
                return Err(Failure::failed(metadata_id_refused(by, given, theirs)));
            }
            Ok(Event::Withdrawn { by, sign }) => return Err(Failure::failed(kept_away(by, sign))),
            Ok(_) | Err(EventsError::Lagged(_)) => {}
            Err(EventsError::Stopped) => {
                return Err(Failure::failed(format!("{seed} does not answer any more")));
            }
        }
    }
}

/// Prints the endpoints of the cluster, then what changes, until a signal comes or the node stops by itself.
async fn follow(
    node: &Handle<GossipOnly>,
    partitioner: &str,
    names: Names,
    printing: &Printing<'_>,
    signals: &mut Signals,
) -> Result<(), Failure> {
    // The events of the first answer have been handed out by now, and are no changes.
    let _ = node.generation().await;
    let mut changes = Changes::new(node.common(), names);
    let known = node.endpoints().await.unwrap_or_default();
    tell(&WatchModel::new("watching", Some(node.local_endpoint())), printing)?;
    let same_ip = |info: &&EndpointInfo| !info.is_local && info.endpoint.ip() == node.local_endpoint().ip();
    if let Some(beside) = known.iter().filter(same_ip).find(|info| info.has_tokens()) {
        eprintln!("warning: the node {} has the address of this command, and another port", beside.endpoint);
    }
    // Endpoints that are live already. An event may say so once more.
    let mut live = BTreeSet::new();
    for info in known.iter().filter(|info| !info.is_local) {
        let known = known_model(info, partitioner);
        tell(&known, printing)?;
        if info.standing == Standing::Live {
            live.insert((known.endpoint, known.generation));
            tell(&WatchModel { event: "up".into(), value: None, ..known }, printing)?;
        }
    }
    loop {
        let models = tokio::select! {
            models = changes.next(PATIENCE) => models,
            _ = signals.next() => return Ok(()),
            () = reader_gone() => return Ok(()),
        };
        let Some(models) = models else {
            return Err(Failure::failed(
                "this command was removed from the cluster, or its address is in use",
            ));
        };
        for model in &models {
            if model.event == "withdrawn" {
                eprintln!(
                    "warning: the cluster is being upgraded to Cassandra 6.0, and this command has left in silence: no change is seen \
                     until it comes back, some ten minutes after `nodetool cms initialize` at the latest"
                );
            }
            let was_told = live.remove(&(model.endpoint, model.generation));
            if !(was_told && model.event == "up") {
                tell(model, printing)?;
            }
        }
    }
}

fn known_model(info: &EndpointInfo, partitioner: &str) -> WatchModel {
    let is_gossip_only = EndpointModel::new(info, &Names::default()).in_cluster(partitioner).gossip_only;
    WatchModel {
        gossip_only: is_gossip_only.then_some(true),
        generation: Some(info.heartbeat.generation.get()),
        value: info.status_text().map(Into::into),
        ..WatchModel::new("known", Some(info.endpoint))
    }
}

/// The same for the same address and port.
fn host_id(listen: SocketAddr) -> Uuid {
    let ip = match listen.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let [high, low] = listen.port().to_be_bytes();
    let mut bytes = ip.octets();
    bytes[0] ^= high;
    bytes[1] ^= low;
    Uuid::random(bytes)
}
