//! What changes the node's part in its cluster.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use gossip_adapter::{
    AbortCause, AssassinateError, Common, Endpoint, Event, Events, EventsError, Handle, LeaveError, Phase,
    StatusKind, Stopped,
};

use super::{Admin, stopped};
use crate::model::{
    AssassinateRequest, AssassinationModel, GossipRequest, KeysModel, LeaveResponse, Outcome, SeedsModel,
};
use crate::server::refusal;
use crate::tls::TlsSource;

/// For how many endpoints it is remembered what became of their assassination.
const MAX_OUTCOMES: usize = 64;
/// After how many intervals nothing is to come of an assassination; the core decides after 30.
const ASSASSINATION_PATIENCE: u32 = 60;

/// Answers when the node has begun to leave; it stops by itself.
pub(super) async fn decommission(State(admin): State<Arc<Admin>>) -> Response {
    let leaving = match admin.node.leave() {
        Ok(leaving) => leaving,
        Err(error) => {
            let why = format!("{error} (stop a gossip-only member with `gossip stopdaemon`)");
            return refusal(StatusCode::CONFLICT, &why);
        }
    };
    // The node does what it is asked to in order: when it answers this question, it has done or refused the request before it.
    let _ = admin.handle.generation().await;
    match leaving.now_or_never() {
        Some(Err(LeaveError::NotRunning)) => return not_running(&admin).await,
        Some(Err(error)) => return refusal(StatusCode::CONFLICT, &error.to_string()),
        _ => {}
    }
    admin.leaving.notify_one();
    tracing::info!("leaving the cluster, as asked to on the admin port");
    Json(LeaveResponse { leaving: true, endpoint: admin.handle.local_endpoint().into() }).into_response()
}

/// Refuses what only a node can do that takes part in gossip, and says what this one does instead.
async fn not_running(admin: &Admin) -> Response {
    let why = match admin.handle.phase().await {
        Err(Stopped) => return stopped(),
        Ok(Phase::Asking) => "the node has not joined: it still asks its seeds",
        Ok(Phase::Leaving) => "the node is leaving the cluster already",
        Ok(Phase::Left) => "the node has left the cluster, and stops by itself",
        Ok(Phase::Disabling | Phase::Disabled) => {
            "gossip is disabled (first enable it with `gossip enablegossip`)"
        }
        Ok(Phase::Stopping) => "the node is stopping",
        Ok(_) => "the node takes no part in gossip now",
    };
    refusal(StatusCode::CONFLICT, why)
}

/// Answers at once; whether it is done shows in what the node says of itself.
pub(super) async fn gossip(
    State(admin): State<Arc<Admin>>,
    request: Result<Json<GossipRequest>, JsonRejection>,
) -> Response {
    let Json(request) = match request {
        Ok(request) => request,
        Err(error) => return refusal(error.status(), &error.body_text()),
    };
    let refused = match request.active {
        true => admin.handle.enable().await.err().map(|error| error.to_string()),
        false => admin.handle.disable().await.err().map(|error| error.to_string()),
    };
    let what = if request.active { "enabled" } else { "disabled" };
    match refused {
        None => {
            tracing::info!("gossip is {what}, as asked to on the admin port");
            Json(request).into_response()
        }
        Some(why) => refusal(StatusCode::CONFLICT, &format!("gossip cannot be {what}: {why}")),
    }
}

pub(super) async fn seeds(State(admin): State<Arc<Admin>>) -> Response {
    match admin.handle.seeds().await {
        Ok(seeds) => Json(SeedsModel::new(seeds, Vec::new())).into_response(),
        Err(Stopped) => stopped(),
    }
}

pub(super) async fn reload_seeds(State(admin): State<Arc<Admin>>) -> Response {
    if !admin.seeds.has_file() {
        let why = "the node has no file of seeds to read (start it with --seeds-file)";
        return refusal(StatusCode::CONFLICT, why);
    }
    let source = admin.seeds.clone();
    // Names may have to be resolved.
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    let read = read.unwrap_or_else(|_| Err("the seeds could not be read".into()));
    match read {
        Ok(read) if read.addresses.is_empty() => {
            let error = read.warnings.join("; ");
            tracing::warn!("the seeds stay as they are: {error}");
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &format!("the seeds stay as they are: {error}"))
        }
        Ok(read) => {
            admin.seeds.warn(&read);
            let addresses = read.addresses.iter().copied().map(Endpoint::from).collect();
            if admin.handle.set_seeds(addresses).await == Ok(true) {
                tracing::info!("the seeds have changed");
            }
            let look_up = admin.seeds.clone();
            tokio::spawn(look_up.look_up_again(admin.handle.clone(), admin.interval, read.is_unresolved));
            match admin.handle.seeds().await {
                Ok(seeds) => Json(SeedsModel::new(seeds, read.warnings)).into_response(),
                Err(Stopped) => stopped(),
            }
        }
        Err(error) => {
            tracing::warn!("the seeds stay as they are: {error}");
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &format!("the seeds stay as they are: {error}"))
        }
    }
}

/// Reads the files that may change again, as a signal asks for. What comes of it is in the log.
pub(crate) async fn reload(admin: Arc<Admin>) {
    let (has_seeds, has_keys, has_tls) = (admin.seeds.has_file(), admin.keys.is_some(), admin.tls.is_some());
    let has_allowed = admin.allowed.has_file();
    if has_allowed {
        tracing::info!("SIGHUP: reading the allowed addresses again");
        reload_allowed(&admin).await;
    }
    if has_seeds {
        tracing::info!("SIGHUP: reading the seeds again");
        reload_seeds(State(admin.clone())).await;
    }
    if has_keys {
        tracing::info!("SIGHUP: reading the keys again");
        reload_keys(State(admin.clone())).await;
    }
    if has_tls {
        tracing::info!("SIGHUP: reading the files of TLS again");
        reload_ssl(State(admin)).await;
    }
    if !has_seeds && !has_keys && !has_tls && !has_allowed {
        tracing::info!(
            "SIGHUP: there is no file to read again (--seeds-file, --allow-file, --key-file, --tls); stop the node with SIGTERM"
        );
    }
}

/// Reads the addresses again that peers may have. If something is wrong in the file, all stays as it is.
async fn reload_allowed(admin: &Admin) {
    let source = admin.allowed.clone();
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    match read.unwrap_or_else(|_| Err("the allowed addresses could not be read".into())) {
        Ok(networks) => {
            let count = networks.len();
            if admin.handle.set_allowed(networks).await.is_ok() {
                tracing::info!(
                    "peers may have addresses in {count} networks; connections of others are closed"
                );
            }
        }
        Err(error) => tracing::warn!("the allowed addresses stay as they are: {error}"),
    }
}

/// Reads the files of TLS again.
pub(super) async fn reload_ssl(State(admin): State<Arc<Admin>>) -> Response {
    let Some(source) = admin.tls.clone() else {
        let why = "the node has no files of TLS to read (start it with --tls)";
        return refusal(StatusCode::CONFLICT, why);
    };
    match reload_tls(source, &admin.handle).await {
        Ok(()) => Json(serde_json::json!({ "reloaded": true })).into_response(),
        Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &error),
    }
}

/// Reads the files of TLS, and has the node use them. If something is wrong in them, all stays as it is.
///
/// # Errors
///
/// What is wrong, which was logged as well.
pub(crate) async fn reload_tls(source: TlsSource, handle: &Handle<Common>) -> Result<(), String> {
    let address = core::net::SocketAddr::from(handle.local_endpoint()).ip();
    let read = tokio::task::spawn_blocking(move || source.read(address)).await;
    match read.unwrap_or_else(|_| Err("the files of TLS could not be read".into())) {
        Ok(tls) => {
            if handle.set_tls(Some(tls)).await.is_err() {
                return Err("the node has stopped".into());
            }
            tracing::info!("new connections use the certificates as they are now; those that are open go on");
            Ok(())
        }
        Err(error) => {
            let error = format!("the certificates in use stay: {error}");
            tracing::warn!("{error}");
            Err(error)
        }
    }
}

/// Answers with the ids of the keys: they are no secret.
pub(super) async fn reload_keys(State(admin): State<Arc<Admin>>) -> Response {
    let Some(source) = admin.keys.clone() else {
        let why = "the node has no file of keys to read (start it with --transport datagram --key-file)";
        return refusal(StatusCode::CONFLICT, why);
    };
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    match read.unwrap_or_else(|_| Err("the keys could not be read".into())) {
        Ok(keys) => {
            let ids: Vec<_> = keys.ids().map(|id| id.to_string()).collect();
            let Ok(_) = admin.handle.set_keys(keys).await else { return stopped() };
            tracing::info!("datagrams are encrypted with key {}; accepted: {}", ids[0], ids.join(" "));
            Json(KeysModel { keys: ids }).into_response()
        }
        Err(error) => {
            tracing::warn!("the keys stay as they are: {error}");
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &format!("the keys stay as they are: {error}"))
        }
    }
}

/// What became of assassinations, for those who ask later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assassinations {
    outcomes: Arc<Mutex<Outcomes>>,
}

/// Which node coordinates it; and why it was aborted.
type Outcomes = BTreeMap<SocketAddr, (Outcome, Option<AbortCause>)>;

impl Assassinations {
    fn set(&self, endpoint: SocketAddr, outcome: Outcome, cause: Option<AbortCause>) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if outcomes.len() >= MAX_OUTCOMES {
            outcomes.retain(|_, (outcome, _)| *outcome == Outcome::Pending);
        }
        outcomes.insert(endpoint, (outcome, cause));
    }
}

/// Begins; what becomes of it is asked for later.
pub(super) async fn assassinate(
    State(admin): State<Arc<Admin>>,
    request: Result<Json<AssassinateRequest>, JsonRejection>,
) -> Response {
    let Json(AssassinateRequest { endpoint, force }) = match request {
        Ok(request) => request,
        Err(error) => return refusal(error.status(), &error.body_text()),
    };
    if !force && admin.handle.endpoint(endpoint.into()).await.is_ok_and(|known| known.is_none()) {
        let why = format!(
            "{endpoint} is not known here: nothing was done (check the address; --force declares it as left all the same, and \
             that stays in everybody's gossip for three days)"
        );
        return refusal(StatusCode::CONFLICT, &why);
    }
    let events = admin.handle.subscribe();
    // Before it is asked for: an endpoint that is not known is assassinated at once, and that is logged, too.
    tracing::warn!("{endpoint} is to be assassinated, as asked on the admin port");
    if let Err(error) = admin.node.assassinate(endpoint.into()).await {
        tracing::warn!("{endpoint} was not assassinated: {error}");
        return match error {
            AssassinateError::NotRunning => not_running(&admin).await,
            error => refusal(StatusCode::CONFLICT, &error.to_string()),
        };
    }
    admin.assassinations.set(endpoint, Outcome::Pending, None);
    let pending = AssassinationModel { endpoint, outcome: Outcome::Pending, reason: None };
    let patience = admin.interval * ASSASSINATION_PATIENCE;
    tokio::spawn(async move {
        let (outcome, cause) = outcome(&admin.handle, events, endpoint.into(), patience).await;
        admin.assassinations.set(endpoint, outcome, cause);
    });
    Json(pending).into_response()
}

pub(super) async fn assassinations(State(admin): State<Arc<Admin>>) -> Response {
    let outcomes = admin.assassinations.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    let models = outcomes.iter().map(|(endpoint, (outcome, cause))| AssassinationModel {
        endpoint: *endpoint,
        outcome: *outcome,
        reason: cause.map(|cause| cause.to_string()),
    });
    Json(models.collect::<Vec<_>>()).into_response()
}

async fn outcome(
    handle: &Handle<Common>,
    mut events: Events,
    whom: Endpoint,
    patience: Duration,
) -> (Outcome, Option<AbortCause>) {
    let told = async {
        loop {
            match events.recv().await {
                Ok(Event::Assassinated { endpoint, .. }) if endpoint == whom => {
                    return Some((Outcome::Assassinated, None));
                }
                Ok(Event::AssassinationAborted { endpoint, cause }) if endpoint == whom => {
                    return Some((Outcome::Aborted, Some(cause)));
                }
                Ok(Event::Stopped) | Err(EventsError::Stopped) => return None,
                _ => {}
            }
        }
    };
    match tokio::time::timeout(patience, told).await {
        Ok(told) => told.unwrap_or((Outcome::Gone, None)),
        // The event may have been missed.
        Err(_) => (seen(handle, whom).await, None),
    }
}

/// What the node shows of `whom` if no event came.
async fn seen(handle: &Handle<Common>, whom: Endpoint) -> Outcome {
    let endpoints = handle.endpoints().await.unwrap_or_default();
    match endpoints.iter().find(|info| info.endpoint == whom).map(|info| info.status) {
        None => Outcome::Gone,
        Some(StatusKind::Left | StatusKind::Removed) => Outcome::Assassinated,
        Some(_) => Outcome::Aborted,
    }
}
