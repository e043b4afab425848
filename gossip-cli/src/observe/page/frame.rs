//! What an open page gets: the complete view once, then what has changed.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use gossip_adapter::{
    ApplicationState, Endpoint, KnownEndpoint, Phase, Pulse, Snapshot, Standing, StatusKind,
};
use serde::Serialize;

use super::history::History;
use super::views::Matrix;
use crate::model::{StandingModel, WatchModel};
use crate::text::{Layout, json};

/// How many members are shown at most: those with the smallest addresses.
const MAX_MEMBERS: usize = 10_000;
/// How many bytes of a value are shown at most.
const MAX_TEXT: usize = 128;
/// By how much phi must differ to be sent without a new heartbeat, in hundredths.
const PHI_STEP: i32 = 25;

/// What is shown of an endpoint, apart from what changes at each heartbeat.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Member {
    endpoint: SocketAddr,
    local: bool,
    /// Whether it has a place in the cluster, and does not only take part in gossip.
    place: bool,
    generation: i32,
    dc: String,
    rack: String,
    status: String,
    /// Whether its status says that it has stopped.
    stopped: bool,
    release: String,
    schema: String,
    host_id: String,
    native: String,
    load: Option<f64>,
}

/// What changes all the time: number of the member, heartbeat, phi in hundredths, milliseconds since the last heartbeat, liveness.
type PulseRow = (u32, i32, Option<i32>, Option<u64>, StandingModel);

/// What the node knows at one moment.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) members: Arc<BTreeMap<Endpoint, Arc<Member>>>,
    pulses: Vec<Pulse>,
    phase: Phase,
    is_settled: bool,
    omitted: usize,
}

/// What one page was sent.
#[derive(Debug, Default)]
pub(super) struct Told {
    has_begun: bool,
    has_waited: bool,
    next_id: u32,
    members: Arc<BTreeMap<Endpoint, Arc<Member>>>,
    pulses: BTreeMap<Endpoint, PulseRow>,
    node: Option<(Phase, bool, usize)>,
    history: u64,
    views: Option<Arc<Matrix>>,
}

/// A frame. What has not changed is left out.
#[derive(Debug, Serialize)]
struct Frame<'a> {
    unix_ms: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    whole: Option<Whole<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeFrame>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Numbered<'a>>,
    /// The numbers of those that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone: Vec<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pulses: Vec<PulseRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<&'a WatchModel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    views: Option<&'a Matrix>,
}

/// What is sent only at the beginning.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    cluster: &'a str,
    /// From which phi on members are convicted.
    threshold: f64,
    /// Since when history is kept.
    since: u64,
    version: &'static str,
}

/// The node that looks.
#[derive(Debug, Serialize)]
struct NodeFrame {
    phase: &'static str,
    settled: bool,
    /// How many members are not shown.
    omitted: usize,
}

#[derive(Debug, Serialize)]
struct Numbered<'a> {
    id: u32,
    #[serde(flatten)]
    member: &'a Member,
}

impl Look {
    /// What `before` has already is taken from there.
    pub(super) fn new(
        known: &Snapshot,
        pulses: Vec<Pulse>,
        is_settled: bool,
        before: &BTreeMap<Endpoint, Arc<Member>>,
    ) -> Self {
        let mut homes = BTreeMap::new();
        for live in known.live() {
            if let Some(host_id) = live.text(ApplicationState::HOST_ID) {
                let newest = homes.entry(host_id).or_insert(live.generation);
                *newest = live.generation.max(*newest);
            }
        }
        let is_shown = |known: &&KnownEndpoint| {
            let home = known.text(ApplicationState::HOST_ID).and_then(|host_id| homes.get(host_id));
            let is_replaced = !known.is_live && home.is_some_and(|home| *home > known.generation);
            let is_gone = matches!(known.status, StatusKind::Left | StatusKind::Removed);
            known.generation.get() > 0 && !is_gone && !is_replaced
        };
        let shown: Vec<&KnownEndpoint> = known.endpoints().filter(is_shown).collect();
        let omitted = shown.len().saturating_sub(MAX_MEMBERS);
        let members = shown.into_iter().take(MAX_MEMBERS).map(|known| {
            let member = Member::new(known);
            let kept = before.get(&known.endpoint).filter(|before| ***before == member).cloned();
            (known.endpoint, kept.unwrap_or_else(|| Arc::new(member)))
        });
        Self { members: Arc::new(members.collect()), pulses, phase: known.phase(), is_settled, omitted }
    }

    fn pulse(&self, endpoint: Endpoint, id: u32, member: &Member) -> PulseRow {
        let place = self.pulses.binary_search_by_key(&endpoint, |pulse| pulse.endpoint);
        let Ok(pulse) = place.map(|place| &self.pulses[place]) else {
            return (id, 0, None, None, StandingModel::Unverified);
        };
        let standing = match pulse.standing {
            _ if member.local => Standing::Live,
            Standing::Unverified if member.stopped => Standing::Unreachable,
            standing => standing,
        };
        let phi = pulse.phi.filter(|phi| !member.local && phi.is_finite());
        // Far above any threshold it is only large.
        #[expect(clippy::cast_possible_truncation, reason = "it is clamped before")]
        let phi = phi.map(|phi| (phi.clamp(0.0, 10_000.0) * 100.0).round() as i32);
        let age = pulse.heard_ago.filter(|_| !member.local);
        let age = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        (id, pulse.heartbeat.version.get(), phi, age, standing.into())
    }
}

impl Member {
    fn new(known: &KnownEndpoint) -> Self {
        let text = |key| cut(known.text(key).unwrap_or_default());
        let load = known.text(ApplicationState::LOAD).and_then(|load| load.trim().parse::<f64>().ok());
        Self {
            endpoint: known.endpoint.into(),
            local: known.is_local,
            place: known.has_place(),
            generation: known.generation.get(),
            dc: text(ApplicationState::DC),
            rack: text(ApplicationState::RACK),
            status: cut(known.status_keyword().unwrap_or_default()),
            stopped: known.status.is_dead() || known.status == StatusKind::Shutdown,
            release: text(ApplicationState::RELEASE_VERSION),
            schema: text(ApplicationState::SCHEMA),
            host_id: text(ApplicationState::HOST_ID),
            native: cut(known.native_address().unwrap_or_default()),
            load: load.filter(|load| load.is_finite()),
        }
    }
}

impl Told {
    /// Says that there is no node, or none any more, unless that was said already.
    pub(super) fn without_a_node(&mut self, cluster: &str, has_ended: bool) -> Option<String> {
        #[derive(Serialize)]
        struct Waiting<'a> {
            cluster: &'a str,
            ended: bool,
        }
        let is_new = !core::mem::replace(&mut self.has_waited, true);
        (is_new || has_ended)
            .then(|| json(&Waiting { cluster, ended: has_ended }, Layout::Line).unwrap_or_default())
    }

    /// The kind of the next frame, and what it says; `None` if nothing has changed.
    pub(super) fn frame(
        &mut self,
        cluster: &str,
        threshold: f64,
        look: &Look,
        history: &History,
        views: Option<Arc<Matrix>>,
    ) -> Option<(&'static str, String)> {
        let (happened, count) = match history.after(self.history) {
            (Some(happened), count) if self.has_begun => (happened, count),
            // It is sent again as a whole.
            _ => {
                *self = Self::default();
                history.all()
            }
        };
        let whole = (!self.has_begun).then_some(Whole {
            cluster,
            threshold,
            since: history.since,
            version: env!("CARGO_PKG_VERSION"),
        });
        self.has_begun = true;
        self.history = count;

        let mut gone = Vec::new();
        self.pulses.retain(|endpoint, row| {
            let stays = look.members.contains_key(endpoint);
            if !stays {
                gone.push(row.0);
            }
            stays
        });
        let (mut members, mut pulses) = (Vec::new(), Vec::new());
        for (endpoint, member) in look.members.iter() {
            let before = self.pulses.get(endpoint).copied();
            let id = before.map_or(self.next_id, |row| row.0);
            if before.is_none() {
                self.next_id += 1;
            }
            if !self.members.get(endpoint).is_some_and(|told| Arc::ptr_eq(told, member)) {
                members.push(Numbered { id, member });
            }
            let row = look.pulse(*endpoint, id, member);
            if before.is_none_or(|before| is_worth_telling(before, row)) {
                pulses.push(row);
                self.pulses.insert(*endpoint, row);
            }
        }
        self.members = look.members.clone();
        let node = (look.phase, look.is_settled, look.omitted);
        let is_new = self.node.replace(node) != Some(node);
        let node = is_new.then_some(NodeFrame {
            phase: phase(look.phase),
            settled: look.is_settled,
            omitted: look.omitted,
        });
        let new_views =
            views.filter(|views| !self.views.as_ref().is_some_and(|told| Arc::ptr_eq(told, views)));
        if new_views.is_some() {
            self.views.clone_from(&new_views);
        }
        let has_news = node.is_some() || new_views.is_some();
        if members.is_empty() && gone.is_empty() && pulses.is_empty() && happened.is_empty() && !has_news {
            return None;
        }
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let kind = if whole.is_some() { "whole" } else { "change" };
        let frame = Frame {
            unix_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            whole,
            node,
            members,
            gone,
            pulses,
            history: happened.iter().map(|model| &**model).collect(),
            views: new_views.as_deref(),
        };
        // Nothing in it can fail.
        Some((kind, json(&frame, Layout::Line).unwrap_or_default()))
    }
}

/// Whether a page should know that `before` is now `now`. How old a heartbeat is it finds itself.
fn is_worth_telling(before: PulseRow, now: PulseRow) -> bool {
    let phi_differs = match (before.2, now.2) {
        (Some(before), Some(now)) => before.abs_diff(now) >= PHI_STEP.unsigned_abs(),
        (before, now) => before != now,
    };
    (before.1, before.4) != (now.1, now.4) || phi_differs
}

/// The beginning of a value that may be long.
fn cut(text: &str) -> String {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    match end {
        Some(end) if end < text.len() => format!("{}…", &text[..end]),
        _ => text.into(),
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Asking => "asking its seeds",
        Phase::Running => "running",
        Phase::Leaving => "leaving",
        Phase::Left => "left",
        Phase::Stopping => "stopping",
        Phase::Disabling | Phase::Disabled => "gossip is disabled",
        _ => "stopped",
    }
}
