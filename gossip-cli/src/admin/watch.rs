//! The stream of changes: JSON, one line each, for as long as it is read.

use core::convert::Infallible;
use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, stream};
use gossip_adapter::{ApplicationState, EndpointInfo, Event, Events, EventsError};

use super::Admin;
use crate::model::WatchModel;

/// How many changes are told together at most. Values are read once for all of them.
const BATCH: usize = 256;
/// An empty line is sent when nothing has changed for so long: it shows either side whether the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(super) async fn watch(State(admin): State<Arc<Admin>>) -> Response {
    let first = line(&WatchModel::new("watching", Some(admin.handle.local_endpoint())));
    let watcher = Watcher { events: admin.handle.subscribe(), admin, first: Some(first), has_ended: false };
    let lines = stream::unfold(watcher, |mut watcher| async {
        watcher.next().await.map(|lines| (Ok::<_, Infallible>(lines), watcher))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

struct Watcher {
    admin: Arc<Admin>,
    events: Events,
    /// Tells the reader that from now on nothing is missed.
    first: Option<String>,
    has_ended: bool,
}

impl Watcher {
    /// What to send next; `None` when the node has stopped.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if self.has_ended {
            return None;
        }
        let Ok(event) = tokio::time::timeout(KEEP_ALIVE, self.events.recv()).await else {
            return Some("\n".into());
        };
        let mut batch = vec![event];
        while batch.len() < BATCH
            && let Some(event) = self.events.recv().now_or_never()
        {
            batch.push(event);
        }
        let has_values = batch.iter().any(|event| matches!(event, Ok(Event::StateChanged { .. })));
        // A node that has just stopped tells no values any more.
        let endpoints = match has_values {
            true => self.admin.handle.endpoints().await.unwrap_or_default(),
            false => Vec::new(),
        };
        let mut lines = String::new();
        for event in batch {
            match event {
                Ok(event) => {
                    lines.extend(self.describe(event, &endpoints).map(|model| line(&model)));
                    self.has_ended |= event == Event::Stopped;
                }
                Err(EventsError::Lagged(count)) => {
                    lines.push_str(&line(&WatchModel {
                        count: Some(count),
                        ..WatchModel::new("missed", None)
                    }));
                }
                Err(EventsError::Stopped) => {
                    self.has_ended = true;
                    break;
                }
            }
        }
        // Nothing of it was worth a line: an empty one does no harm.
        Some(if lines.is_empty() { "\n".into() } else { lines })
    }

    fn describe(&self, event: Event, endpoints: &[EndpointInfo]) -> Option<WatchModel> {
        let model = |kind, endpoint| WatchModel::new(kind, Some(endpoint));
        let local = self.admin.handle.local_endpoint();
        let cause = |cause: &dyn core::fmt::Display| Some(cause.to_string());
        Some(match event {
            Event::Joined { endpoint, generation } => {
                WatchModel { generation: Some(generation.get()), ..model("joined", endpoint) }
            }
            Event::Restarted { endpoint, old, new } => WatchModel {
                old_generation: Some(old.get()),
                generation: Some(new.get()),
                ..model("restarted", endpoint)
            },
            Event::Up { endpoint, generation } => {
                WatchModel { generation: Some(generation.get()), ..model("up", endpoint) }
            }
            Event::Down { endpoint, generation, cause: why } => WatchModel {
                generation: Some(generation.get()),
                cause: cause(&why),
                ..model("down", endpoint)
            },
            Event::Left { endpoint, generation } => {
                WatchModel { generation: Some(generation.get()), ..model("left", endpoint) }
            }
            Event::Forgotten { endpoint, generation, cause: why } => WatchModel {
                generation: Some(generation.get()),
                cause: cause(&why),
                ..model("forgotten", endpoint)
            },
            Event::Assassinated { endpoint, generation } => {
                WatchModel { generation: Some(generation.get()), ..model("assassinated", endpoint) }
            }
            Event::AssassinationAborted { endpoint } => model("assassination_aborted", endpoint),
            Event::ProbeFailed { endpoint, silence } => WatchModel {
                cause: cause(&format_args!("silent for {:.1} s", silence.as_secs_f64())),
                ..model("probe_failed", endpoint)
            },
            Event::StateChanged { endpoint, key, version } => {
                let state = endpoints.iter().find(|info| info.endpoint == endpoint);
                let state = state.and_then(|info| info.state(key));
                WatchModel {
                    key: Some(key.number()),
                    name: Some(self.admin.names.name(key)),
                    // The value may be a later one than the event tells of, and is told under its own version.
                    version: Some(state.map_or(version, |state| state.version).get()),
                    value: state.filter(|_| key != ApplicationState::TOKENS).map(|state| state.value.clone()),
                    ..model("state", endpoint)
                }
            }
            Event::GenerationRaised { old, new } => WatchModel {
                old_generation: Some(old.get()),
                generation: Some(new.get()),
                ..model("generation_raised", local)
            },
            Event::AddressConflict { generation } => {
                WatchModel { generation: Some(generation.get()), ..model("address_conflict", local) }
            }
            Event::Removed { generation } => {
                WatchModel { generation: Some(generation.get()), ..model("removed", local) }
            }
            Event::ForeignCluster { from } => model("foreign_cluster", from),
            Event::ForeignPartitioner { from } => model("foreign_partitioner", from),
            Event::Lost { count } => WatchModel { count: Some(count.into()), ..model("missed", local) },
            Event::Stopped => model("stopped", local),
            // What concerns the node's own working is in its log.
            _ => return None,
        })
    }
}

impl WatchModel {
    fn new(event: &str, endpoint: Option<gossip_adapter::Endpoint>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            event: event.into(),
            endpoint: endpoint.map(Into::into),
            ..Self::default()
        }
    }
}

fn line(model: &WatchModel) -> String {
    // Nothing in it can fail.
    serde_json::to_string(model).unwrap_or_default() + "\n"
}
