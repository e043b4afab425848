//! The views of several observers, compared.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use gossip_adapter::ApplicationState;
use serde::Serialize;

use crate::ask::Observer;
use crate::model::{EndpointModel, StandingModel};
use crate::text::printable;

/// How many problems the line names; the others are counted.
const MAX_TOLD: usize = 5;

/// From when on something is worth a warning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    pub(super) warning: usize,
    pub(super) critical: usize,
    pub(super) clock_skew: Duration,
    pub(super) mixed_releases: bool,
}

/// How bad it is, as Nagios has it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Severity {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl Severity {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// A word for programs.
    pub(super) kind: &'static str,
    /// For people.
    pub(super) text: String,
}

/// What an observer thinks of an endpoint.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Opinion {
    Up,
    /// It has said that it stops.
    Stopped,
    /// Its heartbeat did not grow.
    Silent,
    /// It is not known there.
    Unknown,
}

/// All that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) severity: Severity,
    pub(super) problems: Vec<Problem>,
    /// Who answered.
    observers: Vec<SocketAddr>,
    seeds: usize,
    up: usize,
    down: usize,
    split: usize,
    schemas: usize,
    releases: usize,
    /// What each observer thinks of each member.
    members: BTreeMap<SocketAddr, BTreeMap<SocketAddr, Opinion>>,
}

impl Report {
    pub(super) fn new(
        observers: &[Observer],
        unresolved: &[String],
        thresholds: Thresholds,
        unix: Duration,
    ) -> Self {
        let mut problems = Vec::new();
        let mut problem = |severity, kind, text| problems.push(Problem { severity, kind, text });
        let seeds = observers.len() + unresolved.len();
        for text in unresolved {
            problem(Severity::Critical, "seed", text.clone());
        }
        for observer in observers {
            if let Err(why) = &observer.view {
                problem(Severity::Critical, "seed", why.clone());
            }
        }
        let answering: Vec<&Observer> = observers.iter().filter(|observer| observer.view.is_ok()).collect();
        let members = opinions(&answering);
        let (mut up, mut down, mut split) = (0, 0, 0);
        let mut missing = Vec::new();
        for (member, of) in &members {
            let who = |opinions: &[Opinion]| -> Vec<String> {
                let holders = of.iter().filter(|(_, opinion)| opinions.contains(opinion));
                holders.map(|(observer, _)| observer.to_string()).collect()
            };
            let (finds_up, finds_down) = (who(&[Opinion::Up]), who(&[Opinion::Stopped, Opinion::Silent]));
            match (finds_up.is_empty(), finds_down.is_empty()) {
                (false, true) => up += 1,
                (false, false) => {
                    split += 1;
                    let text = format!(
                        "{member} is up for {} and down for {}",
                        finds_up.join(", "),
                        finds_down.join(", ")
                    );
                    problem(Severity::Critical, "split", text);
                }
                (true, _) => {
                    down += 1;
                    let stopped = of.values().any(|opinion| *opinion == Opinion::Stopped);
                    missing.push(format!("{member}{}", if stopped { " (stopped)" } else { "" }));
                }
            }
            let strangers = who(&[Opinion::Unknown]);
            if !strangers.is_empty() {
                let text = format!("{member} is not known to {}", strangers.join(", "));
                problem(Severity::Warning, "unknown", text);
            }
        }
        let severity = match down {
            0 => Severity::Ok,
            _ if down >= thresholds.critical => Severity::Critical,
            _ if down >= thresholds.warning => Severity::Warning,
            _ => Severity::Ok,
        };
        if severity > Severity::Ok {
            problem(severity, "down", format!("{down} down for all: {}", missing.join(", ")));
        }
        for (member, of) in &members {
            let told = of.keys().filter_map(|observer| {
                let observer = answering.iter().find(|other| other.seed == *observer)?;
                Some((observer.seed, observer.tells_of(*member)?))
            });
            for (kind, text) in differences(*member, &told.collect::<Vec<_>>()) {
                problem(Severity::Warning, kind, text);
            }
        }
        let newest = newest(&members, &answering);
        let schemas = counted(&newest, ApplicationState::SCHEMA);
        let releases = counted(&newest, ApplicationState::RELEASE_VERSION);
        if schemas.len() > 1 {
            problem(Severity::Warning, "schema", format!("{} schemas: {}", schemas.len(), listed(&schemas)));
        }
        if releases.len() > 1 && !thresholds.mixed_releases {
            problem(
                Severity::Warning,
                "release",
                format!("{} releases: {}", releases.len(), listed(&releases)),
            );
        }
        let limit = unix.saturating_add(thresholds.clock_skew).as_secs();
        for (member, model) in &newest {
            if u64::try_from(model.generation).is_ok_and(|started| started > limit) {
                let ahead =
                    u64::try_from(model.generation).unwrap_or_default().saturating_sub(unix.as_secs());
                let text = format!(
                    "{member} was started {ahead} s from now: its clock is ahead, or that of this machine is behind"
                );
                problem(Severity::Warning, "clock", text);
            }
        }
        let severity = if answering.is_empty() {
            Severity::Unknown
        } else {
            problems.iter().map(|problem| problem.severity).max().unwrap_or(Severity::Ok)
        };
        problems.sort_by_key(|problem| core::cmp::Reverse(problem.severity));
        Self {
            severity,
            problems,
            observers: answering.iter().map(|observer| observer.seed).collect(),
            seeds,
            up,
            down,
            split,
            schemas: schemas.len(),
            releases: releases.len(),
            members,
        }
    }

    /// One line, with performance data behind a bar.
    pub(super) fn line(&self) -> String {
        let Self { up, down, split, schemas, releases, seeds, .. } = self;
        let observers = self.observers.len();
        let told = if self.problems.is_empty() {
            format!("{up} members are up for all of {observers} observers")
        } else {
            let texts: Vec<_> =
                self.problems.iter().take(MAX_TOLD).map(|problem| problem.text.as_str()).collect();
            let more = match self.problems.len().saturating_sub(MAX_TOLD) {
                0 => String::new(),
                more => format!("; and {more} more (--format json shows all)"),
            };
            texts.join("; ") + &more
        };
        // The bar begins the performance data.
        let told = printable(&told).replace('|', "/");
        format!(
            "GOSSIP {}: {told} | up={up} down={down} split={split} schemas={schemas} releases={releases} \
             observers={observers} seeds={seeds}",
            self.severity.name()
        )
    }
}

/// What each observer thinks of each member of the cluster.
pub(crate) fn opinions(answering: &[&Observer]) -> BTreeMap<SocketAddr, BTreeMap<SocketAddr, Opinion>> {
    let views = || answering.iter().filter_map(|observer| Some((*observer, observer.view.as_ref().ok()?)));
    let is_member = |model: &&EndpointModel| !model.gossip_only && !model.is_gone() && model.generation > 0;
    let all: BTreeSet<SocketAddr> =
        views().flat_map(|(_, view)| view.iter().filter(is_member).map(|model| model.endpoint)).collect();
    let opinion = |observer: &Observer, member| match observer.tells_of(member) {
        None => Opinion::Unknown,
        // One that has left for this observer alone is not known to it as a member.
        Some(model) if model.is_gone() => Opinion::Unknown,
        Some(model) => match observer.standing(model) {
            StandingModel::Live => Opinion::Up,
            StandingModel::Unreachable => Opinion::Stopped,
            StandingModel::Unverified => Opinion::Silent,
        },
    };
    let heartbeat = |observer: &Observer, member| {
        observer.tells_of(member).map(|model| (model.generation, model.heartbeat))
    };
    all.into_iter()
        .map(|member| {
            let told = views().map(|(observer, _)| {
                (observer.seed, (opinion(observer, member), heartbeat(observer, member)))
            });
            (member, settle(told.collect()))
        })
        .collect()
}

/// What observers think in the end, by what they think and the newest heartbeat that each knows.
///
/// The last heartbeat that got out of an endpoint reaches some observers later than others, and has grown for these alone. So an observer
/// that finds it silent has the last word over all that know no newer heartbeat than it.
fn settle(told: BTreeMap<SocketAddr, (Opinion, Option<(i32, i32)>)>) -> BTreeMap<SocketAddr, Opinion> {
    let silent = told.values().filter(|(opinion, _)| *opinion == Opinion::Silent);
    let silent = silent.filter_map(|(_, heartbeat)| *heartbeat).max();
    let settled = |(opinion, heartbeat): (Opinion, Option<(i32, i32)>)| {
        let is_over = silent.is_some() && heartbeat <= silent;
        if is_over && opinion == Opinion::Up { Opinion::Silent } else { opinion }
    };
    told.into_iter().map(|(observer, told)| (observer, settled(told))).collect()
}

/// What observers tell differently of one member.
fn differences(member: SocketAddr, told: &[(SocketAddr, &EndpointModel)]) -> Vec<(&'static str, String)> {
    let text = |model: &EndpointModel, key| model.text(key).unwrap_or("none").to_owned();
    type Fact<'a> = &'a dyn Fn(&EndpointModel) -> String;
    let facts: [(&'static str, Fact<'_>); 4] = [
        ("generation", &|model| model.generation.to_string()),
        ("status", &|model| model.status.clone().unwrap_or_else(|| "none".into())),
        ("schema", &|model| text(model, ApplicationState::SCHEMA)),
        ("release", &|model| text(model, ApplicationState::RELEASE_VERSION)),
    ];
    let mut differences = Vec::new();
    for (kind, fact) in facts {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (observer, model) in told {
            values.entry(fact(model)).or_default().push(observer.to_string());
        }
        if values.len() > 1 {
            let shown: Vec<_> =
                values.iter().map(|(value, who)| format!("{value} for {}", who.join(", "))).collect();
            differences.push((kind, format!("the {kind} of {member} differs: {}", shown.join("; "))));
        }
    }
    differences
}

/// Of each member that is up for at least one observer, what the observer with the newest heartbeat tells.
fn newest<'a>(
    members: &BTreeMap<SocketAddr, BTreeMap<SocketAddr, Opinion>>,
    answering: &[&'a Observer],
) -> BTreeMap<SocketAddr, &'a EndpointModel> {
    let is_up = |of: &BTreeMap<SocketAddr, Opinion>| of.values().any(|opinion| *opinion == Opinion::Up);
    members
        .iter()
        .filter(|(_, of)| is_up(of))
        .filter_map(|(member, _)| {
            let told = answering.iter().filter_map(|observer| observer.tells_of(*member));
            Some((*member, told.max_by_key(|model| (model.generation, model.heartbeat))?))
        })
        .collect()
}

/// How many members publish each value.
fn counted(newest: &BTreeMap<SocketAddr, &EndpointModel>, key: ApplicationState) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for value in newest.values().filter_map(|model| model.text(key)) {
        *counts.entry(value.to_owned()).or_default() += 1;
    }
    counts
}

fn listed(counts: &BTreeMap<String, usize>) -> String {
    let shown = counts.iter().map(|(value, count)| format!("{value} ({count})"));
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(told: &[(Opinion, i32)]) -> Vec<Opinion> {
        let told = told.iter().zip(1..).map(|((opinion, heartbeat), n)| {
            (SocketAddr::from(([10, 0, 0, n], 7000)), (*opinion, Some((1, *heartbeat))))
        });
        settle(told.collect()).into_values().collect()
    }

    #[test]
    fn the_last_heartbeat_of_an_endpoint_that_has_died_is_no_split() {
        use Opinion::{Silent, Stopped, Unknown, Up};
        // It reached the first observer late, and grew there alone.
        assert_eq!(settled(&[(Up, 90), (Silent, 90)]), [Silent, Silent]);
        // Here it goes on for the first one.
        assert_eq!(settled(&[(Up, 95), (Silent, 90)]), [Up, Silent]);
        assert_eq!(settled(&[(Up, 95), (Up, 94), (Silent, 90)]), [Up, Up, Silent]);
        // It is alone, and its last heartbeat before that reached the second one late.
        assert_eq!(settled(&[(Up, 95), (Up, 90), (Silent, 90)]), [Up, Silent, Silent]);
        assert_eq!(settled(&[(Up, 95), (Stopped, i32::MAX), (Unknown, 0)]), [Up, Stopped, Unknown]);
    }
}
