//! What a node tells to monitoring: metrics, targets, and whether it is well. Nothing here changes anything.
//!
//! The admin port of a node answers this beside its own requests; an exporter answers nothing else.

mod discovery;
mod page;

use core::time::Duration;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gossip_adapter::{Common, Handle};
use gossip_metrics::{Format, GossipMetrics};
use tokio::sync::Mutex;

pub(crate) use self::discovery::{Discovery, Target, Targets};
use self::page::Page;
pub(crate) use self::page::{Matrix, PAGE_PATH};
use crate::server::{EVENTS_PATH, refusal};

/// For how long an answer is given again: a crowd of scrapers costs the node no more than one of them.
const MAX_AGE: Duration = Duration::from_millis(500);

/// Why there is no answer yet.
const UNSETTLED: &str =
    "the view is not settled: the node has not heard of every endpoint yet (try again in some seconds)";

/// A node that is observed, once there is one.
#[derive(Debug)]
pub(crate) struct Observed {
    cluster: String,
    discovery: Discovery,
    node: OnceLock<Node>,
    cache: Mutex<Cache>,
    page: Page,
}

#[derive(Debug)]
struct Node {
    handle: Handle<Common>,
    metrics: GossipMetrics,
}

/// Answers that were given lately.
#[derive(Debug, Default)]
struct Cache {
    refreshed: Option<Instant>,
    open_metrics: Option<Bytes>,
    prometheus: Option<Bytes>,
}

impl Observed {
    pub(crate) fn new(cluster: &str, discovery: Discovery) -> Self {
        Self {
            cluster: cluster.into(),
            discovery,
            node: OnceLock::new(),
            cache: Mutex::default(),
            page: Page::default(),
        }
    }

    /// From which phi on members are convicted, if it is not the usual one.
    pub(crate) fn phi_convict_threshold(mut self, phi: f64) -> Self {
        self.page = self.page.phi_convict_threshold(phi);
        self
    }

    /// From now on there is a node.
    pub(crate) fn begin(&self, handle: &Handle<Common>) {
        let metrics = GossipMetrics::new(handle, self.cluster.clone()).members_only();
        // The first one stays.
        let _ = self.node.set(Node { handle: handle.clone(), metrics });
    }

    /// Takes over what the node knows, unless that was done just now; gives the metrics and the cache, if the node runs.
    async fn refreshed(&self) -> Option<(&Node, tokio::sync::MutexGuard<'_, Cache>)> {
        let mut cache = self.cache.lock().await;
        let node = self.node.get()?;
        if cache.refreshed.is_none_or(|refreshed| refreshed.elapsed() > MAX_AGE) {
            *cache = Cache::default();
            node.metrics.refresh().await.ok()?;
            cache.refreshed = Some(Instant::now());
        }
        Some((node, cache))
    }

    /// The node, if what it knows can be relied on.
    async fn settled(&self) -> Option<&Node> {
        let (node, _) = self.refreshed().await?;
        node.metrics.is_settled().then_some(node)
    }

    async fn text(&self, format: Format) -> Option<Bytes> {
        let Some((node, mut cache)) = self.refreshed().await else {
            // Readers of the view see that there is none.
            return GossipMetrics::detached(self.cluster.clone()).text(format).ok().map(Bytes::from);
        };
        let kept = match format {
            Format::OpenMetrics => &mut cache.open_metrics,
            Format::Prometheus => &mut cache.prometheus,
        };
        if let Some(text) = kept {
            return Some(text.clone());
        }
        // Megabytes may have to be written, for which gossip should not wait.
        let metrics = node.metrics.clone();
        let written = tokio::task::spawn_blocking(move || metrics.text(format)).await;
        let text = Bytes::from(written.ok()?.ok()?);
        *kept = Some(text.clone());
        Some(text)
    }
}

/// The paths that are observed.
pub(crate) fn routes(observed: Arc<Observed>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/sd", get(targets))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route(PAGE_PATH, get(page::html))
        .route(EVENTS_PATH, get(page::events))
        .with_state(observed)
}

async fn metrics(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::of_accept(accept);
    match observed.text(format).await {
        Some(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        None => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written"),
    }
}

async fn targets(State(observed): State<Arc<Observed>>, RawQuery(query): RawQuery) -> Response {
    let discovery = match observed.discovery.clone().with_query(query.as_deref().unwrap_or_default()) {
        Ok(discovery) => discovery,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error),
    };
    let known = observed.settled().await.and_then(|node| node.metrics.known());
    // An empty list would end all scrapes; on an error Prometheus keeps the list that it has.
    let Some(known) = known else { return refusal(StatusCode::SERVICE_UNAVAILABLE, UNSETTLED) };
    let members = known.endpoints().filter(|known| known.has_place());
    let targets = Targets::new(&discovery, &observed.cluster, members.filter_map(Target::of_known));
    axum::Json(targets).into_response()
}

/// Whether the process does its work: a load balancer or a supervisor ends it otherwise.
async fn healthz(State(observed): State<Arc<Observed>>) -> Response {
    match observed.node.get() {
        // It still looks for its cluster.
        None => "ok\n".into_response(),
        Some(node) => match node.handle.phase().await {
            Ok(_) => "ok\n".into_response(),
            Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "the node has stopped"),
        },
    }
}

/// Whether what it tells can be relied on.
async fn readyz(State(observed): State<Arc<Observed>>) -> Response {
    match observed.settled().await {
        Some(_) => "ok\n".into_response(),
        None => refusal(StatusCode::SERVICE_UNAVAILABLE, UNSETTLED),
    }
}
