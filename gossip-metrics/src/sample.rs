//! What a node knew at one moment, as far as it is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_adapter::{KnownEndpoint, Snapshot, Vitals};
use gossip_core::{ApplicationState, Endpoint, Generation, Phase, Pulse, Standing, StatusKind, Version};

use crate::Settings;
use crate::labels::{endpoint_label, text_label};
use crate::ring::Ring;

/// How many heartbeats show that an endpoint is heard of.
const HEARTBEATS: u16 = 2;

/// What was measured last.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) rows: Vec<Row>,
    /// How many endpoints would have had a row but for the limit.
    pub(crate) omitted: usize,
    pub(crate) counts: Counts,
    pub(crate) is_settled: bool,
    pub(crate) known: Arc<Snapshot>,
    pub(crate) vitals: Vitals,
}

/// An endpoint that has series.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) data_center: String,
    pub(crate) rack: String,
    pub(crate) is_live: bool,
    pub(crate) generation: i32,
    pub(crate) phi: Option<f64>,
    pub(crate) heard_ago: Option<Duration>,
    pub(crate) downtime: Duration,
    pub(crate) info: [(&'static str, String); 6],
    pub(crate) load: Option<f64>,
    pub(crate) severity: Option<f64>,
    pub(crate) rpc_ready: Option<bool>,
    pub(crate) disk_usage: Option<&'static str>,
    pub(crate) index_not_ready: Option<usize>,
    pub(crate) tokens: Option<usize>,
    pub(crate) share: Option<f64>,
}

/// How many endpoints there are of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) up: usize,
    pub(crate) down: usize,
    pub(crate) unverified: usize,
    /// Those that take part in gossip and have no place in the cluster.
    pub(crate) gossip_only: usize,
    pub(crate) schemas: usize,
    pub(crate) releases: usize,
}

/// What is remembered from one sample to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    downtimes: BTreeMap<Endpoint, Downtime>,
    ring: CachedRing,
}

#[derive(Clone, Copy, Debug)]
struct Downtime {
    total: Duration,
    seen: Instant,
    was_live: bool,
}

/// Decoding a hundred thousand tokens takes longer than all else, and they hardly ever change.
#[derive(Debug, Default)]
struct CachedRing {
    of: Vec<(Endpoint, Generation, Version)>,
    shares: BTreeMap<Endpoint, f64>,
    counts: BTreeMap<Endpoint, usize>,
}

impl Sample {
    pub(crate) fn new(
        settings: &Settings,
        memory: &mut Memory,
        now: Instant,
        known: Arc<Snapshot>,
        mut vitals: Vitals,
    ) -> Self {
        vitals.pulses.sort_unstable_by_key(|pulse| pulse.endpoint);
        let pulse_of = |endpoint: Endpoint| {
            let place = vitals.pulses.binary_search_by_key(&endpoint, |pulse| pulse.endpoint);
            place.ok().map(|place| &vitals.pulses[place])
        };
        let is_settled = is_settled(&known, &vitals, pulse_of);
        let homes = homes(&known);
        let is_replaced = |known: &KnownEndpoint| {
            let home = known.text(ApplicationState::HOST_ID).and_then(|host_id| homes.get(host_id));
            !known.is_live && home.is_some_and(|generation| *generation > known.generation)
        };
        let shown: Vec<&KnownEndpoint> = known
            .endpoints()
            .filter(|known| is_here(known) && settings.wants(known) && !is_replaced(known))
            .collect();
        let mut counts = Counts::default();
        let (mut schemas, mut releases) = (BTreeSet::new(), BTreeSet::new());
        for endpoint in &shown {
            match standing(endpoint, pulse_of(endpoint.endpoint)) {
                Standing::Live => counts.up += 1,
                Standing::Unreachable => counts.down += 1,
                _ => counts.unverified += 1,
            }
            if endpoint.is_live {
                schemas.extend(endpoint.text(ApplicationState::SCHEMA));
                releases.extend(endpoint.text(ApplicationState::RELEASE_VERSION));
            }
        }
        counts.gossip_only = known.endpoints().filter(|known| is_here(known) && !known.has_place()).count();
        (counts.schemas, counts.releases) = (schemas.len(), releases.len());
        memory.ring.refresh(&shown);
        let omitted = shown.len().saturating_sub(settings.max_endpoints);
        let rows = shown
            .iter()
            .take(settings.max_endpoints)
            .map(|endpoint| {
                let downtime = memory.downtime(endpoint, now);
                Row::new(endpoint, pulse_of(endpoint.endpoint), downtime, &memory.ring)
            })
            .collect();
        // Nothing is kept of who is gone.
        memory.downtimes.retain(|_, downtime| downtime.seen == now);
        drop((shown, homes));
        Self { rows, omitted, counts, is_settled, known, vitals }
    }
}

/// Whether an endpoint is known by more than its address, and neither left the cluster nor was removed from it.
pub(crate) fn is_here(known: &KnownEndpoint) -> bool {
    known.generation.get() > 0 && !matches!(known.status, StatusKind::Left | StatusKind::Removed)
}

/// The newest generation of each host id that is live: an older one at another address was replaced by it.
fn homes(known: &Snapshot) -> BTreeMap<&str, Generation> {
    let mut homes = BTreeMap::new();
    for known in known.live() {
        if let Some(host_id) = known.text(ApplicationState::HOST_ID) {
            let newest = homes.entry(host_id).or_insert(known.generation);
            *newest = (*newest).max(known.generation);
        }
    }
    homes
}

fn standing(known: &KnownEndpoint, pulse: Option<&Pulse>) -> Standing {
    if known.is_live {
        Standing::Live
    } else if known.status.is_dead() || known.status == StatusKind::Shutdown {
        Standing::Unreachable
    } else {
        pulse.map_or(Standing::Unverified, |pulse| pulse.standing)
    }
}

/// Whether what the node knows can be relied on: it takes part in gossip, and of each endpoint it has heard two heartbeats, or found
/// whether it is up. With seeds, it also knows another endpoint.
fn is_settled<'a>(
    known: &Snapshot,
    vitals: &Vitals,
    pulse_of: impl Fn(Endpoint) -> Option<&'a Pulse>,
) -> bool {
    let mut others =
        known.endpoints().filter(|known| !known.is_local && known.generation.get() > 0).peekable();
    let is_alone = others.peek().is_none();
    let is_told = |other: &KnownEndpoint| {
        let pulse = pulse_of(other.endpoint);
        standing(other, pulse) != Standing::Unverified
            || pulse.is_some_and(|pulse| pulse.heartbeats >= HEARTBEATS)
    };
    vitals.phase == Phase::Running
        && vitals.pulses.len() == vitals.known
        && !(is_alone && (vitals.has_seeds || known.len() > 1))
        && others.all(is_told)
}

impl Memory {
    /// How long the endpoint was not live, as far as that was seen.
    fn downtime(&mut self, known: &KnownEndpoint, now: Instant) -> Duration {
        let fresh = Downtime { total: Duration::ZERO, seen: now, was_live: known.is_live };
        let downtime = self.downtimes.entry(known.endpoint).or_insert(fresh);
        // Of the time in which it changed nothing is known; it counts as up.
        if !downtime.was_live && !known.is_live {
            downtime.total += now.saturating_duration_since(downtime.seen);
        }
        (downtime.seen, downtime.was_live) = (now, known.is_live);
        downtime.total
    }
}

impl CachedRing {
    fn refresh(&mut self, shown: &[&KnownEndpoint]) {
        let with_tokens =
            || shown.iter().filter_map(|known| Some((known, known.state(ApplicationState::TOKENS)?)));
        let now = with_tokens().map(|(known, state)| (known.endpoint, known.generation, state.version));
        if now.clone().eq(self.of.iter().copied()) {
            return;
        }
        self.of = now.collect();
        self.counts = with_tokens()
            .filter_map(|(known, state)| Some((known.endpoint, Ring::count(&state.value)?)))
            .collect();
        // Those that join own nothing yet.
        let owners = with_tokens()
            .filter(|(known, _)| !known.status.is_bootstrapping())
            .map(|(known, state)| (known.endpoint, &*state.value));
        self.shares = Ring::new(owners).map(|ring| ring.shares()).unwrap_or_default();
    }
}

impl Row {
    fn new(known: &KnownEndpoint, pulse: Option<&Pulse>, downtime: Duration, ring: &CachedRing) -> Self {
        let label = |key| text_label(known.text(key).unwrap_or_default()).into_owned();
        let number = |key| known.text(key).and_then(|text| text.trim().parse::<f64>().ok());
        let finite = |number: &f64| number.is_finite();
        Self {
            label: endpoint_label(known.endpoint),
            data_center: label(ApplicationState::DC),
            rack: label(ApplicationState::RACK),
            is_live: known.is_live,
            generation: known.generation.get(),
            phi: pulse.filter(|_| !known.is_local).and_then(|pulse| pulse.phi),
            heard_ago: pulse.filter(|_| !known.is_local).and_then(|pulse| pulse.heard_ago),
            downtime,
            info: [
                ("host_id", label(ApplicationState::HOST_ID)),
                ("release_version", label(ApplicationState::RELEASE_VERSION)),
                ("schema", label(ApplicationState::SCHEMA)),
                ("status", text_label(known.status_keyword().unwrap_or_default()).into_owned()),
                ("net_version", label(ApplicationState::NET_VERSION)),
                ("native_address", text_label(known.native_address().unwrap_or_default()).into_owned()),
            ],
            load: number(ApplicationState::LOAD).filter(finite),
            severity: number(ApplicationState::SEVERITY).filter(finite),
            rpc_ready: known.text(ApplicationState::RPC_READY).map(|text| text.eq_ignore_ascii_case("true")),
            disk_usage: known.text(ApplicationState::DISK_USAGE).map(disk_usage),
            index_not_ready: known.text(ApplicationState::INDEX_STATUS).and_then(indexes_not_ready),
            tokens: ring.counts.get(&known.endpoint).copied(),
            share: ring.shares.get(&known.endpoint).copied(),
        }
    }
}

/// One of the words that Cassandra has: an endpoint cannot make further series with words of its own.
fn disk_usage(text: &str) -> &'static str {
    let known = ["NOT_AVAILABLE", "SPACIOUS", "STUFFED", "FULL"];
    known.into_iter().find(|known| *known == text).unwrap_or("OTHER")
}

/// How many indexes are not built, of a JSON map of states.
fn indexes_not_ready(text: &str) -> Option<usize> {
    let states: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    Some(states.values().filter(|state| *state != "BUILD_SUCCEEDED").count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_counted_and_nonsense_is_not() {
        assert_eq!(indexes_not_ready(r#"{"a.i":"BUILD_SUCCEEDED","a.j":"BUILD_FAILED"}"#), Some(1));
        assert_eq!(indexes_not_ready("{}"), Some(0));
        assert_eq!(indexes_not_ready("[[[["), None);
        assert_eq!((disk_usage("FULL"), disk_usage("x\ny")), ("FULL", "OTHER"));
    }
}
