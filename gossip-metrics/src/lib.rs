//! Metrics of a cluster as one of its nodes sees it, for Prometheus: who is up, how suspicious the silence of each endpoint is, which
//! releases and schema versions there are, and what the node itself does. The names are those that dashboards for Cassandra already use.
//!
//! [`GossipMetrics`] is a collector over the [`Handle`] of any adapter. A program that has metrics of its own registers it in its registry:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use gossip_metrics::GossipMetrics;
//! use prometheus_client::{encoding::text, registry::Registry};
//!
//! let (node, _) = gossip_tokio::Builder::new("my cluster").listen("127.0.0.1:0".parse()?).start().await?;
//! let metrics = GossipMetrics::new(&node, "my cluster");
//! let mut registry = Registry::default();
//! registry.register_collector(Box::new(metrics.clone()));
//! // At each scrape:
//! metrics.refresh().await?;
//! let mut answer = String::new();
//! text::encode(&mut answer, &registry)?;
//! assert!(answer.contains("cassandra_endpoint_active{"));
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - A node with N endpoints has at most [`max_series(N)`](max_series) series. Of more than [`GossipMetrics::max_endpoints`] endpoints the
//!   others have none, and `gossip_endpoints_omitted` says how many.
//! - An endpoint that has left or was removed has no series.
//! - `gossip_view_settled` is 0 until the node takes part in gossip and knows of each endpoint whether it is up. Alerts should wait for it.
//! - A scrape takes no memory where the node runs: the node writes a few numbers for each endpoint into memory that this crate gives it.
//!   The values of the endpoints come from the [`View`] that all readers share.
//! - Labels of published values are cut after 128 bytes.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod encode;
mod labels;
mod ring;
mod sample;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gossip_adapter::{Common, Handle, KnownEndpoint, Pulse, Snapshot, Stopped, View, Vitals, WeakHandle};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

pub use ring::{Lost, Ring};
use sample::{Memory, Sample};

/// How many endpoints have series, if nothing else is said.
const MAX_ENDPOINTS: usize = 20_000;
/// Room for endpoints that become known between two samples.
const SPARE_PULSES: usize = 16;

/// The most series that a node with so many endpoints has.
pub const fn max_series(endpoints: usize) -> usize {
    endpoints.saturating_mul(encode::PER_ENDPOINT).saturating_add(encode::OTHERS)
}

/// The metrics of a node and of its cluster. Clones are of the same one.
///
/// It shows what was so at the last [`refresh`](GossipMetrics::refresh). Before the first, and when the node has stopped, it only says that
/// its view is not settled. It does not keep the node running.
#[derive(Clone)]
pub struct GossipMetrics {
    shared: Arc<Shared>,
    settings: Settings,
}

/// What is shown.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    cluster: String,
    is_members_only: bool,
    max_endpoints: usize,
}

impl Settings {
    fn wants(&self, known: &KnownEndpoint) -> bool {
        !self.is_members_only || known.has_place()
    }
}

struct Shared {
    node: Option<WeakHandle<Common>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    view: Option<View>,
    /// Memory for the next sample.
    room: Vec<Pulse>,
    memory: Memory,
    sample: Option<Arc<Sample>>,
}

/// A text format of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own text format, 0.0.4.
    Prometheus,
}

impl Format {
    /// The format that a client prefers which sends this header `Accept`: OpenMetrics if it names it, otherwise Prometheus'.
    pub fn of_accept(accept: Option<&str>) -> Self {
        let names_open_metrics =
            accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("application/openmetrics-text"));
        if names_open_metrics { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The value of the header `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }

    /// Writes all metrics of a registry in this format.
    ///
    /// # Errors
    ///
    /// A collector failed.
    pub fn write(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        match self {
            Self::OpenMetrics => text::encode(&mut text, registry)?,
            Self::Prometheus => prometheus_text::encode(&mut text, registry)?,
        }
        Ok(text)
    }
}

impl GossipMetrics {
    /// The metrics of a node in the cluster of this name.
    pub fn new<M>(node: &Handle<M>, cluster: impl Into<String>) -> Self {
        Self::with(Some(node.common().downgrade()), cluster.into())
    }

    /// Metrics without a node: they show what [`GossipMetrics::put`] is given. For programs that drive a node without an adapter.
    pub fn detached(cluster: impl Into<String>) -> Self {
        Self::with(None, cluster.into())
    }

    fn with(node: Option<WeakHandle<Common>>, cluster: String) -> Self {
        let settings = Settings { cluster, is_members_only: false, max_endpoints: MAX_ENDPOINTS };
        Self { shared: Arc::new(Shared { node, state: Mutex::default() }), settings }
    }

    /// Leaves endpoints out that only take part in gossip, without tokens and without a status: exporters, for instance.
    #[must_use]
    pub fn members_only(mut self) -> Self {
        self.settings.is_members_only = true;
        self
    }

    /// How many endpoints have series at most; without, 20,000. Those with the smallest addresses have them.
    #[must_use]
    pub const fn max_endpoints(mut self, max: usize) -> Self {
        self.settings.max_endpoints = max;
        self
    }

    /// Takes over what the node knows now. To be called before each scrape.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the node has stopped. There are no metrics of endpoints then.
    pub async fn refresh(&self) -> Result<(), Stopped> {
        let refreshed = self.take().await;
        if refreshed.is_err() {
            self.lock().sample = None;
        }
        refreshed
    }

    async fn take(&self) -> Result<(), Stopped> {
        let node = self.shared.node.as_ref().and_then(WeakHandle::upgrade).ok_or(Stopped)?;
        if self.lock().view.is_none() {
            let view = node.view().await?;
            self.lock().view = Some(view);
        }
        let room = std::mem::take(&mut self.lock().room);
        let mut vitals = node.vitals(room).await?;
        if vitals.pulses.len() < vitals.known {
            vitals = node.vitals(Vec::with_capacity(vitals.known + SPARE_PULSES)).await?;
        }
        // Taken after the pulses, it is at least as new as they are.
        let known = self.lock().view.as_mut().map(View::snapshot).ok_or(Stopped)?;
        self.put(known, vitals);
        Ok(())
    }

    /// Takes over what a node knows that is driven without an adapter.
    pub fn put(&self, known: Arc<Snapshot>, vitals: Vitals) {
        let mut state = self.lock();
        let sample = Sample::new(&self.settings, &mut state.memory, Instant::now(), known, vitals);
        let before = state.sample.replace(Arc::new(sample));
        // The memory of a sample without readers is used for the next.
        if let Some(before) = before.and_then(Arc::into_inner) {
            state.room = before.vitals.pulses;
        }
    }

    /// Whether the node has taken part for long enough to know of each endpoint whether it is up, as of the last refresh.
    pub fn is_settled(&self) -> bool {
        self.lock().sample.as_ref().is_some_and(|sample| sample.is_settled)
    }

    /// What the node knew at the last refresh; `None` before the first, and after the node has stopped.
    pub fn known(&self) -> Option<Arc<Snapshot>> {
        self.lock().sample.as_ref().map(|sample| sample.known.clone())
    }

    /// What changed at each heartbeat, as of the last refresh, by ascending endpoint; nothing where [`GossipMetrics::known`] is `None`.
    pub fn pulses(&self) -> Vec<Pulse> {
        self.lock().sample.as_ref().map(|sample| sample.vitals.pulses.clone()).unwrap_or_default()
    }

    /// All of these metrics in a text format, without a registry.
    ///
    /// # Errors
    ///
    /// Never: the text is written into memory.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        format.write(&registry)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for GossipMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sample = self.lock().sample.clone();
        match sample {
            Some(sample) => encode::encode(&self.settings.cluster, &sample, &mut encoder),
            None => encode::encode_unsettled(&self.settings.cluster, &mut encoder),
        }
    }
}

impl fmt::Debug for GossipMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GossipMetrics").field("settings", &self.settings).finish_non_exhaustive()
    }
}
