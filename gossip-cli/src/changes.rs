//! What changes in a cluster, as a node of this process tells it.

use core::hash::BuildHasher;
use core::time::Duration;
use std::collections::{HashMap, HashSet};
use std::hash::RandomState;
use std::time::SystemTime;

use futures_util::FutureExt;
use gossip_adapter::{
    ApplicationState, Common, Endpoint, Event, Events, EventsError, Generation, Handle, KnownEndpoint,
    Snapshot, StatusKind, Uuid, View,
};

use crate::model::WatchModel;
use crate::names::{Names, flavour_of};
use crate::text::{Layout, json};

/// How many changes are printed together at most. Values are read once for all of them.
const BATCH: usize = 256;

/// The changes that a node reports.
#[derive(Debug)]
pub(crate) struct Changes {
    handle: Handle<Common>,
    names: Names,
    events: Events,
    /// What all watchers share, from the first wait for changes on.
    view: Option<View>,
    seen: Seen,
    tells_values: bool,
    has_begun: bool,
    has_ended: bool,
}

impl Changes {
    /// What `handle` tells from now on.
    pub(crate) fn new(handle: Handle<Common>, names: Names) -> Self {
        Self {
            events: handle.subscribe(),
            handle,
            names,
            view: None,
            seen: Seen::default(),
            tells_values: true,
            has_begun: false,
            has_ended: false,
        }
    }

    /// Leaves the values out, but for the status.
    pub(crate) fn without_values(mut self) -> Self {
        self.tells_values = false;
        self
    }

    /// The next changes; none if there is nothing for so long, and `None` when the node has stopped.
    pub(crate) async fn next(&mut self, patience: Duration) -> Option<Vec<WatchModel>> {
        if self.has_ended {
            return None;
        }
        let is_first = !core::mem::replace(&mut self.has_begun, true);
        if is_first {
            // A node that has just stopped tells no values any more.
            self.view = self.handle.view().await.ok();
            let known = self.view.as_mut().map(View::snapshot);
            let told = known.iter().filter(|_| self.tells_values);
            for info in told.flat_map(|known| known.endpoints()) {
                for state in &info.states {
                    self.seen.note(info.endpoint, state.key, &state.value);
                }
            }
        }
        // Events from before the values were read may have changed them: none of these is left out.
        let patience = if is_first { Duration::ZERO } else { patience };
        let Ok(event) = tokio::time::timeout(patience, self.events.recv()).await else {
            return Some(Vec::new());
        };
        let mut batch = vec![event];
        while batch.len() < BATCH
            && let Some(event) = self.events.recv().now_or_never()
        {
            batch.push(event);
        }
        // It is at least as new as the events.
        let known = self.view.as_mut().map(View::snapshot);
        let mut models = Vec::new();
        for event in batch {
            match event {
                Ok(event) => {
                    self.has_ended |= event == Event::Stopped;
                    if !self.tells_values && is_value(&event) {
                        continue;
                    }
                    if !is_first && self.seen.is_known(&event, known.as_deref()) {
                        continue;
                    }
                    models.extend(self.describe(event, known.as_deref()));
                }
                Err(EventsError::Lagged(count)) => {
                    models.push(WatchModel { count: Some(count), ..WatchModel::new("missed", None) });
                }
                Err(EventsError::Stopped) => {
                    self.has_ended = true;
                    break;
                }
            }
        }
        Some(models)
    }

    fn describe(&self, event: Event, known: Option<&Snapshot>) -> Option<WatchModel> {
        let status = |endpoint| known.and_then(|known| known.get(endpoint)).map(|info| info.status);
        let (kind, endpoint, generation) = match told(event, status) {
            Told::AsItIs => return self.describe_as_it_is(event, known),
            Told::Not => return None,
            Told::Removing { endpoint, generation } => ("removing", endpoint, generation),
            Told::Removed { endpoint, generation } => ("removed", endpoint, generation),
        };
        Some(WatchModel { generation: Some(generation.get()), ..WatchModel::new(kind, Some(endpoint)) })
    }

    fn describe_as_it_is(&self, event: Event, known: Option<&Snapshot>) -> Option<WatchModel> {
        let model = |kind, endpoint| WatchModel::new(kind, Some(endpoint));
        let local = self.handle.local_endpoint();
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
            Event::AssassinationAborted { endpoint, .. } => model("assassination_aborted", endpoint),
            Event::ProbeFailed { endpoint, silence, .. } => WatchModel {
                cause: cause(&format_args!("silent for {:.1} s", silence.as_secs_f64())),
                ..model("probe_failed", endpoint)
            },
            Event::StateChanged { endpoint, key, version } => {
                let info = known.and_then(|known| known.get(endpoint));
                let state = info.and_then(|info| info.state(key));
                let flavour = info.map(|info| flavour_of(|key| info.text(key))).unwrap_or_default();
                WatchModel {
                    key: Some(key.number()),
                    name: Some(self.names.name(key, flavour)),
                    // The value may be a later one than that of the event, and is shown with its own version.
                    version: Some(state.map_or(version, |state| state.version).get()),
                    value: state
                        .filter(|_| key != ApplicationState::TOKENS)
                        .map(|state| state.value.to_string()),
                    ..model("state", endpoint)
                }
            }
            Event::GenerationRaised { old, new, .. } => WatchModel {
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
            Event::Replaced { endpoint, host_id } => WatchModel {
                replaced_by: known.and_then(|known| home(known, host_id)).map(Into::into),
                cause: cause(&format_args!("its host, {host_id}, is live at another address")),
                ..model("replaced", endpoint)
            },
            Event::SharedHostId { endpoint, .. } => model("shared_host_id", endpoint),
            Event::HostIdChanged { endpoint, old } => WatchModel {
                cause: cause(&format_args!("its host id was {old}")),
                ..model("host_id_changed", endpoint)
            },
            Event::FutureGeneration { endpoint, generation, .. } => {
                WatchModel { generation: Some(generation.get()), ..model("future_generation", endpoint) }
            }
            Event::Ignored { by, at_most } => WatchModel {
                cause: cause(&format_args!(
                    "if it dropped this member for its silence, for {} s more at most",
                    at_most.as_secs()
                )),
                ..model("ignored_by", by)
            },
            Event::MetadataIdChanged { by, old, new } => WatchModel {
                cause: cause(&format_args!("{new}, and was {old}: {by} tells it")),
                ..model("metadata_id", local)
            },
            Event::Withdrawn { by, sign } => WatchModel {
                cause: cause(&format_args!("{by} runs Cassandra 6.0: {sign}")),
                ..model("withdrawn", local)
            },
            Event::Returned { by } => WatchModel {
                cause: cause(&format_args!("{by} tells the identifier of the cluster's metadata")),
                ..model("returned", local)
            },
            Event::SharedAddress { with } => model("shared_address", with),
            Event::Accepted { by } => model("accepted_by", by),
            Event::ForeignCluster { from } => model("foreign_cluster", from),
            Event::ForeignPartitioner { from } => model("foreign_partitioner", from),
            Event::PacketRefused { from, refusal } => {
                WatchModel { cause: cause(&refusal), ..model("packet_refused", from) }
            }
            Event::Lost { count } => WatchModel { count: Some(count.into()), ..model("missed", local) },
            Event::Stopped => model("stopped", local),
            // What concerns the node's own working is in its log.
            _ => return None,
        })
    }
}

/// Whether an event is about a value other than the status.
const fn is_value(event: &Event) -> bool {
    let Event::StateChanged { key, .. } = event else { return false };
    !matches!(*key, ApplicationState::STATUS | ApplicationState::STATUS_WITH_PORT)
}

/// How an event is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    AsItIs,
    /// Others remove it.
    Removing {
        endpoint: Endpoint,
        generation: Generation,
    },
    /// Others have removed it.
    Removed {
        endpoint: Endpoint,
        generation: Generation,
    },
    /// Another event tells it.
    Not,
}

/// How `event` is shown, where `status` is what an endpoint has now.
///
/// A node that removes a dead member publishes its state under later generations, and gossip may bring members that have left. Neither of
/// them has started, or joined.
fn told(event: Event, status: impl Fn(Endpoint) -> Option<StatusKind>) -> Told {
    match event {
        Event::Restarted { endpoint, new, .. } => match status(endpoint) {
            Some(StatusKind::Removing) => Told::Removing { endpoint, generation: new },
            // Event::Left follows.
            Some(StatusKind::Removed | StatusKind::Left) => Told::Not,
            _ => Told::AsItIs,
        },
        Event::Joined { endpoint, .. } => match status(endpoint) {
            Some(StatusKind::Removing | StatusKind::Removed | StatusKind::Left) => Told::Not,
            _ => Told::AsItIs,
        },
        Event::Left { endpoint, generation } if status(endpoint) == Some(StatusKind::Removed) => {
            Told::Removed { endpoint, generation }
        }
        _ => Told::AsItIs,
    }
}

/// Where a host is live.
fn home(known: &Snapshot, host_id: Uuid) -> Option<Endpoint> {
    let text =
        |known: &KnownEndpoint| known.text(ApplicationState::HOST_ID).and_then(|text| text.parse().ok());
    known.live().find(|known| text(known) == Some(host_id)).map(|known| known.endpoint)
}

/// What every value was the last time, so that a restart tells only of those that it changed.
#[derive(Debug, Default)]
struct Seen {
    /// Hashes of the values.
    values: HashMap<Endpoint, HashMap<ApplicationState, u64>>,
    /// Who has restarted since: only of these are values left out.
    restarted: HashSet<Endpoint>,
    hasher: RandomState,
}

impl Seen {
    /// Notes a value, and tells whether it was the same before.
    fn note(&mut self, endpoint: Endpoint, key: ApplicationState, value: &str) -> bool {
        let hash = self.hasher.hash_one(value);
        self.values.entry(endpoint).or_default().insert(key, hash) == Some(hash)
    }

    /// Whether `event` says only what was so before a restart.
    fn is_known(&mut self, event: &Event, known: Option<&Snapshot>) -> bool {
        match *event {
            Event::Restarted { endpoint, .. } => {
                self.restarted.insert(endpoint);
                false
            }
            Event::Forgotten { endpoint, .. } => {
                self.values.remove(&endpoint);
                self.restarted.remove(&endpoint);
                false
            }
            Event::StateChanged { endpoint, key, .. } => {
                let state = known.and_then(|known| known.get(endpoint)).and_then(|info| info.state(key));
                let is_same = state.is_some_and(|state| self.note(endpoint, key, &state.value));
                is_same && self.restarted.contains(&endpoint)
            }
            _ => false,
        }
    }
}

impl WatchModel {
    /// Something that happens now.
    pub(crate) fn new(event: &str, endpoint: Option<Endpoint>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            event: event.into(),
            endpoint: endpoint.map(Into::into),
            ..Self::default()
        }
    }

    /// As a line of JSON.
    pub(crate) fn line(&self) -> String {
        // Nothing in it can fail.
        json(self, Layout::Line).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_told_as_a_removal() {
        let endpoint: Endpoint = "10.0.0.3:7000".parse().unwrap();
        let generation = Generation::new;
        let of = |event, status| told(event, |_| status);
        let restarted = |new| Event::Restarted { endpoint, old: generation(new - 1), new: generation(new) };
        let removing = Told::Removing { endpoint, generation: generation(6) };
        assert_eq!(of(restarted(6), Some(StatusKind::Removing)), removing);
        assert_eq!(of(restarted(7), Some(StatusKind::Removed)), Told::Not);
        let left = Event::Left { endpoint, generation: generation(7) };
        let removed = Told::Removed { endpoint, generation: generation(7) };
        assert_eq!(of(left, Some(StatusKind::Removed)), removed);

        // Who has left by itself has, who really starts again does, and who is gone has not joined.
        assert_eq!(of(left, Some(StatusKind::Left)), Told::AsItIs);
        assert_eq!(of(restarted(8), Some(StatusKind::Normal)), Told::AsItIs);
        let joined = Event::Joined { endpoint, generation: generation(7) };
        for status in [StatusKind::Removing, StatusKind::Removed, StatusKind::Left] {
            assert_eq!(of(joined, Some(status)), Told::Not);
        }
        assert_eq!(of(joined, None), Told::AsItIs);
    }
}
