//! The admin port: HTTP and JSON, for the other commands and for programs.

mod guard;
mod operations;
mod watch;

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gossip_adapter::{ApplicationState, Common, Handle, Phase, SetStateError, Stats, Stopped};
use gossip_decode::Flavour;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::allow::AllowSource;
use crate::keys::KeySource;
use crate::load::Load;
use crate::log::LogDropped;
use crate::model::{
    CountersModel, EndpointModel, LOG_LINES_DROPPED, MetadataModel, NodeModel, SetRequest, SetResponse,
    StopResponse,
};
use crate::names::{Names, unknown};
use crate::node::Node;
use crate::observe::{self, Discovery, Observed};
use crate::own::own_state;
use crate::seeds::SeedSource;
use crate::server::{self, WATCH_PATH, refusal};
use crate::tls::TlsSource;
use crate::token::Token;
pub(crate) use operations::{Assassinations, reload, reload_tls};

/// What the handlers know.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) handle: Handle<Common>,
    pub(crate) load: Arc<Load>,
    pub(crate) log_dropped: LogDropped,
    /// For what not all nodes can do.
    pub(crate) node: Node,
    pub(crate) names: Names,
    pub(crate) cluster: String,
    pub(crate) partitioner: String,
    pub(crate) host_id: Uuid,
    pub(crate) interval: Duration,
    /// From which phi on it convicts.
    pub(crate) phi: f64,
    pub(crate) started: Instant,
    /// Where it is listened.
    pub(crate) address: SocketAddr,
    /// What every request must know, if anything.
    pub(crate) token: Option<Token>,
    pub(crate) seeds: SeedSource,
    pub(crate) allowed: AllowSource,
    pub(crate) keys: Option<KeySource>,
    pub(crate) tls: Option<TlsSource>,
    pub(crate) assassinations: Assassinations,
    /// Notified when the node shall stop.
    pub(crate) stop: Arc<Notify>,
    /// Notified when the node has begun to leave.
    pub(crate) leaving: Arc<Notify>,
}

/// Answers on `listener`; from `end` on only the answers that are under way.
pub(crate) async fn serve(listener: TcpListener, admin: Arc<Admin>, end: Arc<Notify>) {
    let observed = Observed::new(&admin.cluster, Discovery::default()).phi_convict_threshold(admin.phi);
    let observed = Arc::new(observed);
    observed.begin(&admin.handle);
    let router = Router::new()
        .route("/v1/endpoints", get(endpoints))
        .route("/v1/node", get(node))
        .route("/v1/counters", get(counters))
        .route("/v1/states", post(set_state))
        .route("/v1/stop", post(stop))
        .route("/v1/decommission", post(operations::decommission))
        .route("/v1/gossip", post(operations::gossip))
        .route("/v1/assassinations", get(operations::assassinations).post(operations::assassinate))
        .route("/v1/seeds", get(operations::seeds))
        .route("/v1/seeds/reload", post(operations::reload_seeds))
        .route("/v1/keys/reload", post(operations::reload_keys))
        .route("/v1/ssl/reload", post(operations::reload_ssl))
        .route(WATCH_PATH, get(watch::watch))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is no such path") })
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "the path does not have this method")
        })
        .with_state(admin.clone())
        .merge(observe::routes(observed))
        .layer(middleware::from_fn_with_state(admin, guard::check));
    server::serve("admin port", listener, router, end.notified()).await;
}

async fn endpoints(State(admin): State<Arc<Admin>>) -> Response {
    let Ok(endpoints) = admin.handle.endpoints().await else { return stopped() };
    // Megabytes may have to be written, for which gossip should not wait.
    let write = move || {
        let mut models: Vec<_> = endpoints
            .iter()
            .map(|info| EndpointModel::new(info, &admin.names).in_cluster(&admin.partitioner))
            .collect();
        EndpointModel::mark_replaced(&mut models);
        Json(models).into_response()
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(response) => response,
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written"),
    }
}

async fn node(State(admin): State<Arc<Admin>>) -> Response {
    let Ok(generation) = admin.handle.generation().await else { return stopped() };
    let Ok(gossip_active) = admin.handle.is_enabled().await else { return stopped() };
    let Ok(metadata_id) = admin.handle.metadata_id().await else { return stopped() };
    Json(NodeModel {
        endpoint: admin.handle.local_endpoint().into(),
        cluster: admin.cluster.clone(),
        partitioner: admin.partitioner.clone(),
        listen: admin.handle.listen_address(),
        generation: generation.get(),
        host_id: admin.host_id.to_string(),
        interval_ms: u64::try_from(admin.interval.as_millis()).unwrap_or(u64::MAX),
        gossip_active,
        uptime_seconds: admin.started.elapsed().as_secs(),
        version: env!("CARGO_PKG_VERSION").into(),
        metadata: MetadataModel::of(metadata_id),
    })
    .into_response()
}

async fn set_state(
    State(admin): State<Arc<Admin>>,
    request: Result<Json<SetRequest>, JsonRejection>,
) -> Response {
    let Json(SetRequest { key: text, value }) = match request {
        Ok(request) => request,
        Err(error) => return refusal(error.status(), &error.body_text()),
    };
    // Names are those of the release that the node publishes, as gossipinfo prints them.
    let local = admin.handle.local_endpoint();
    let release = admin.handle.value(local, ApplicationState::RELEASE_VERSION).await.ok().flatten();
    let flavour =
        Flavour::of(release.as_ref().map(|(release, _)| release.as_str()), None).unwrap_or_default();
    let Some(key) = admin.names.find(&text, flavour) else {
        return refusal(StatusCode::BAD_REQUEST, &unknown(&text));
    };
    if let Err(why) = own_state(key, &value) {
        return refusal(StatusCode::CONFLICT, &why);
    }
    let set = admin.node.set_state(key, value);
    let set = if key == ApplicationState::LOAD { admin.load.give(set).await } else { set.await };
    match set {
        Ok(version) => {
            let name = admin.names.name(key, flavour);
            Json(SetResponse { key: key.number(), name, version: version.get() }).into_response()
        }
        Err(SetStateError::Refused(error)) => {
            let why = admin.names.cannot_be_set(key, flavour, &error);
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &why)
        }
        // The core calls it stopped, too, when it is on the way out.
        Err(_) => match admin.handle.phase().await {
            Ok(Phase::Left) => {
                refusal(StatusCode::CONFLICT, "the node has left the cluster, and stops by itself")
            }
            Ok(_) => refusal(StatusCode::CONFLICT, "the node is stopping"),
            Err(Stopped) => stopped(),
        },
    }
}

async fn counters(State(admin): State<Arc<Admin>>) -> Response {
    match admin.handle.stats().await {
        Ok(stats) => {
            let mut counters = counters_of(&stats);
            counters.insert(LOG_LINES_DROPPED.0.into(), admin.log_dropped.lines());
            Json(counters).into_response()
        }
        Err(Stopped) => stopped(),
    }
}

/// All counters by their names.
fn counters_of(stats: &Stats) -> CountersModel {
    stats.counters().map(|counter| (counter.name.to_owned(), counter.value)).collect()
}

async fn stop(State(admin): State<Arc<Admin>>) -> Response {
    admin.stop.notify_one();
    let endpoint = admin.handle.local_endpoint().into();
    Json(StopResponse { stopping: true, endpoint }).into_response()
}

fn stopped() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the node has stopped")
}
