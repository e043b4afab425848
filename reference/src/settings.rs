//! Constants, and the switches for where nodes of ours depart from Cassandra.

use std::time::Duration;

/// Constants of the protocol (`docs/protocol/life-cycle.md#times-and-settings`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the cluster.
    pub cluster: String,
    /// The partitioner that all nodes name.
    pub partitioner: String,
    /// The time between two rounds.
    pub interval: Duration,
    /// An endpoint above this phi is convicted.
    pub threshold: f64,
    /// So many intervals are kept of each endpoint.
    pub window: usize,
    /// The interval that the first arrival stands for.
    pub first_interval: Duration,
    /// Longer intervals are not recorded.
    pub longest_interval: Duration,
    /// Arrivals are measured in units of this.
    pub resolution: Duration,
    /// A longer time between two checks is a pause of the node itself.
    pub longest_pause: Duration,
    /// An echo waits so long for its answer.
    pub echo_timeout: Duration,
    /// How long an address is refused after a removal.
    pub quarantine: Duration,
    /// A gossip-only endpoint is forgotten after this silence. `None`: never.
    pub silence: Option<Duration>,
    /// An endpoint that joins is forgotten after this silence. `None`: never.
    pub failed_join: Option<Duration>,
    /// Which rules are ours.
    pub deviations: Deviations,
}

impl Settings {
    /// A node of Cassandra 4.0 or later, at an interval of a second.
    pub fn cassandra(cluster: &str, partitioner: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            partitioner: partitioner.to_owned(),
            interval: Duration::from_secs(1),
            threshold: 8.0,
            window: 1_000,
            first_interval: Duration::from_secs(2),
            longest_interval: Duration::from_secs(2),
            resolution: Duration::from_nanos(1),
            longest_pause: Duration::from_secs(5),
            echo_timeout: Duration::from_secs(10),
            quarantine: Duration::from_secs(60),
            silence: Some(Duration::from_secs(30)),
            failed_join: Some(Duration::from_secs(60)),
            deviations: Deviations::NONE,
        }
    }

    /// A node of this repository with its defaults (`docs/deviations.md`).
    pub fn ours(cluster: &str, partitioner: &str) -> Self {
        Self {
            window: 64,
            resolution: Duration::from_micros(50),
            silence: None,
            failed_join: None,
            deviations: Deviations::ALL,
            ..Self::cassandra(cluster, partitioner)
        }
    }
}

/// The departures of `docs/deviations.md` that change what a node answers or knows. A field that is false is Cassandra's rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deviations {
    /// The state of an unknown or restarted endpoint is taken only if it was requested from version 0, or if it answers our own SYN,
    /// which listed a smaller generation. Otherwise it is requested.
    pub whole_only_if_requested: bool,
    /// Values of a state whose greatest version is not above ours are accepted one by one, if each is newer.
    pub values_by_their_own_version: bool,
    /// A heartbeat never goes back within a generation.
    pub greatest_heartbeat_stays: bool,
    /// Legacy values are kept; of two statuses the newer counts.
    pub legacy_values_stay: bool,
    /// A generation far in the future is refused at the first contact too.
    pub future_is_refused_at_once: bool,
    /// A request for another generation gets everything (if ours is greater) or nothing.
    pub requests_name_a_generation: bool,
    /// A shutdown message counts for the stored generation only.
    pub stops_name_a_generation: bool,
    /// A status `shutdown` that others relay marks the endpoint down at once.
    pub stops_are_believed: bool,
    /// What a receiver writes for a stopped endpoint has constant versions just below the greatest.
    pub marks_are_constant: bool,
    /// An endpoint that stopped gets no echo before it restarts.
    pub stopped_get_no_echo: bool,
    /// One echo at a time is pending for an endpoint. Its answer counts for the generation that was asked.
    pub one_echo: bool,
    /// An endpoint that does not answer its echo is unreachable.
    pub silent_echo_is_unreachable: bool,
    /// A node that announced its stop answers no echo.
    pub stopping_is_silent: bool,
    /// A pause is measured between two rounds, not between two verdicts.
    pub pause_between_rounds: bool,
    /// After a removal a generation is refused and all before it, not the address.
    pub quarantine_by_generation: bool,
    /// What quarantine would refuse is not requested, nor an endpoint that the sender knows by its address alone.
    pub refused_is_not_requested: bool,
    /// LEFT or removed without an expiry, or with one over a month away, ends after three days.
    pub expiry_has_a_limit: bool,
    /// A state without a host id in an ACK2 to a young process, or to one with a host id, may be a part: it is requested once more.
    pub parts_are_doubted: bool,
    /// Whether an endpoint is a member follows from the statuses of its generation, not from the token ring.
    pub members_by_status: bool,
}

impl Deviations {
    /// Cassandra's rules.
    pub const NONE: Self = Self::all(false);
    /// Ours.
    pub const ALL: Self = Self::all(true);

    const fn all(on: bool) -> Self {
        Self {
            whole_only_if_requested: on,
            values_by_their_own_version: on,
            greatest_heartbeat_stays: on,
            legacy_values_stay: on,
            future_is_refused_at_once: on,
            requests_name_a_generation: on,
            stops_name_a_generation: on,
            stops_are_believed: on,
            marks_are_constant: on,
            stopped_get_no_echo: on,
            one_echo: on,
            silent_echo_is_unreachable: on,
            stopping_is_silent: on,
            pause_between_rounds: on,
            quarantine_by_generation: on,
            refused_is_not_requested: on,
            expiry_has_a_limit: on,
            parts_are_doubted: on,
            members_by_status: on,
        }
    }
}
