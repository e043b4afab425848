//! What the admin port says, in JSON: the server writes it, the client commands read it.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use gossip_adapter::{
    ApplicationState, Endpoint, EndpointInfo, MetadataId, MetadataOrigin, Standing, StatusKind,
};
use gossip_core::{DEFAULT_PARTITIONER, JavaAddress, JavaAddressAndPort, decode_tokens, wire};
use serde::{Deserialize, Serialize};

use crate::names::{Names, flavour_of};

/// What the asked node knows of an endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct EndpointModel {
    /// Address and port under which it gossips.
    pub(crate) endpoint: SocketAddr,
    /// Whether it is the asked node itself.
    pub(crate) local: bool,
    /// Whether it is a seed of the asked node.
    pub(crate) seed: bool,
    /// Whether the asked node takes it for live.
    pub(crate) standing: StandingModel,
    /// The keyword of its status, such as `NORMAL` or `shutdown`.
    pub(crate) status: Option<String>,
    /// Where it serves clients, with a port if it says it: the newer of the values for it.
    pub(crate) native_address: Option<String>,
    /// Its private address, likewise.
    pub(crate) internal_address: Option<String>,
    pub(crate) generation: i32,
    pub(crate) heartbeat: i32,
    /// Its suspicion level, on the scale of the threshold.
    pub(crate) phi: Option<f64>,
    /// The mean interval between its heartbeats as they arrive.
    pub(crate) mean_interval_ms: Option<f64>,
    /// How long ago the newest of them arrived.
    pub(crate) heard_ago_ms: Option<f64>,
    /// Whether it takes part in gossip and has no place in the cluster: no tokens in a Cassandra cluster, no status in one of ours.
    #[serde(default)]
    pub(crate) gossip_only: bool,
    /// Where its host is now, if that came back at another address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaced: Option<SocketAddr>,
    /// By ascending key.
    pub(crate) states: Vec<StateModel>,
}

/// As [`Standing`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StandingModel {
    Unverified,
    Live,
    Unreachable,
}

/// A gossiped value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct StateModel {
    /// The number on the wire.
    pub(crate) key: i32,
    /// Its name in the release of the endpoint, or a configured one.
    pub(crate) name: String,
    pub(crate) version: i32,
    pub(crate) value: String,
}

/// The asked node itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct NodeModel {
    /// Address and port under which it gossips.
    pub(crate) endpoint: SocketAddr,
    pub(crate) cluster: String,
    pub(crate) partitioner: String,
    /// Address and port where it listens.
    pub(crate) listen: SocketAddr,
    pub(crate) generation: i32,
    pub(crate) host_id: String,
    pub(crate) interval_ms: u64,
    /// Whether it takes part in gossip.
    pub(crate) gossip_active: bool,
    pub(crate) uptime_seconds: u64,
    /// The release of the program.
    pub(crate) version: String,
    /// The identifier of the cluster's metadata, in clusters of Cassandra 6.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<MetadataModel>,
}

/// The identifier of a cluster's metadata.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct MetadataModel {
    pub(crate) id: i32,
    /// Where it is from.
    pub(crate) origin: String,
}

impl MetadataModel {
    /// Nothing where there is none.
    pub(crate) fn of((id, origin): (MetadataId, MetadataOrigin)) -> Option<Self> {
        (origin != MetadataOrigin::None).then(|| Self { id: id.get(), origin: origin.to_string() })
    }
}

impl fmt::Display for MetadataModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.origin)
    }
}

/// Asks for a state to be changed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SetRequest {
    /// A name or a number.
    pub(crate) key: String,
    pub(crate) value: String,
}

/// A state was changed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SetResponse {
    pub(crate) key: i32,
    pub(crate) name: String,
    /// The version that the new value took.
    pub(crate) version: i32,
}

/// The node stops.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct StopResponse {
    pub(crate) stopping: bool,
    pub(crate) endpoint: SocketAddr,
}

/// The node leaves its cluster, and stops when others know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LeaveResponse {
    pub(crate) leaving: bool,
    pub(crate) endpoint: SocketAddr,
}

/// Has the node take part in gossip, or not.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct GossipRequest {
    pub(crate) active: bool,
}

/// Declares an endpoint as left.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AssassinateRequest {
    pub(crate) endpoint: SocketAddr,
    /// Also if it is not known.
    #[serde(default)]
    pub(crate) force: bool,
}

/// How far an assassination is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct AssassinationModel {
    pub(crate) endpoint: SocketAddr,
    pub(crate) outcome: Outcome,
    /// Why it was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What became of an assassination.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It is waited for a sign of life.
    Pending,
    /// The endpoint is declared as left.
    Assassinated,
    /// Nothing was done: the endpoint is alive, or the reason says why.
    Aborted,
    /// The node does not know it any more, or stopped.
    Gone,
}

/// The seeds of the node, itself left out.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SeedsModel {
    pub(crate) seeds: Vec<SocketAddr>,
    /// A line for each that was named and is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

impl SeedsModel {
    pub(crate) fn new(seeds: Vec<Endpoint>, warnings: Vec<String>) -> Self {
        Self { seeds: seeds.into_iter().map(Into::into).collect(), warnings }
    }
}

/// The ids of the keys that a node opens datagrams with; it seals with the first.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KeysModel {
    pub(crate) keys: Vec<String>,
}

/// Something that changed, as the node tells it when it happens.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct WatchModel {
    /// When it was reported, in milliseconds since the Unix epoch.
    pub(crate) unix_ms: u64,
    /// Whether the endpoint is only in gossip; comes with `known`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gossip_only: Option<bool>,
    /// What: `watching` first of all, over gossip then `known` for each endpoint; then `joined`, `up`, `down`, `state` and so on; `missed` if the reader was too slow.
    pub(crate) event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) old_generation: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<String>,
    /// Where the host of an endpoint is now; comes with `replaced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaced_by: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<i32>,
    /// Absent for tokens, which are bytes, and where it is gone already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    /// How many were missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
}

/// The counters of the node, by name.
pub(crate) type CountersModel = BTreeMap<String, u64>;

/// The counter that is the command's and not the core's: its name, and what it counts.
pub(crate) const LOG_LINES_DROPPED: (&str, &str) =
    ("log_lines_dropped", "Lines of the log that were dropped because its reader was too slow.");

/// Why a request was refused.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ErrorResponse {
    pub(crate) error: String,
}

#[cfg(test)]
impl EndpointModel {
    /// A live endpoint without values.
    pub(crate) fn sample(address: &str) -> Self {
        Self {
            endpoint: address.parse().unwrap(),
            local: false,
            seed: false,
            standing: StandingModel::Live,
            status: None,
            native_address: None,
            internal_address: None,
            generation: 1,
            heartbeat: 1,
            phi: None,
            mean_interval_ms: None,
            heard_ago_ms: None,
            gossip_only: false,
            replaced: None,
            states: Vec::new(),
        }
    }
}

impl EndpointModel {
    pub(crate) fn new(info: &EndpointInfo, names: &Names) -> Self {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let status = info.status_text().and_then(|text| text.split(',').next());
        let flavour = flavour_of(|key| info.text(key));
        Self {
            endpoint: info.endpoint.into(),
            local: info.is_local,
            seed: info.is_seed,
            standing: info.standing.into(),
            status: status.map(Into::into),
            native_address: info.native_address().map(Into::into),
            internal_address: info.internal_address().map(Into::into),
            generation: info.heartbeat.generation.get(),
            heartbeat: info.heartbeat.version.get(),
            phi: info.phi,
            mean_interval_ms: info.mean_interval.map(milliseconds),
            heard_ago_ms: info.heard_ago.map(milliseconds),
            gossip_only: false,
            replaced: None,
            states: info
                .states
                .iter()
                .map(|state| StateModel {
                    key: state.key.number(),
                    name: names.name(state.key, flavour),
                    version: state.version.get(),
                    value: state.value.clone(),
                })
                .collect(),
        }
    }

    /// Says whether it is only in gossip, which depends on the cluster's partitioner: only members of ours have no tokens.
    pub(crate) fn in_cluster(mut self, partitioner: &str) -> Self {
        let status = self.status_kind();
        let has_place = match partitioner {
            DEFAULT_PARTITIONER => status != StatusKind::None,
            _ => self.tokens().is_some_and(|tokens| !tokens.is_empty()),
        };
        // Of a saved one nothing is known; who joins or is gone says so by its status.
        let is_known = self.generation > 0 && !self.states.is_empty();
        self.gossip_only = is_known && !has_place && !status.is_dead() && !status.is_bootstrapping();
        self
    }

    /// Marks each endpoint that is not live and whose host id a live one has, under a greater generation: its host came back at another
    /// address, as a pod does.
    pub(crate) fn mark_replaced(endpoints: &mut [Self]) {
        let mut homes: BTreeMap<String, (i32, SocketAddr)> = BTreeMap::new();
        for model in endpoints.iter().filter(|model| model.standing() == StandingModel::Live) {
            if let Some(host_id) = model.text(ApplicationState::HOST_ID) {
                let here = (model.generation, model.endpoint);
                let home = homes.entry(host_id.into()).or_insert(here);
                *home = (*home).max(here);
            }
        }
        for model in endpoints.iter_mut().filter(|model| model.standing() != StandingModel::Live) {
            let home = model.text(ApplicationState::HOST_ID).and_then(|host_id| homes.get(host_id));
            let home = home.filter(|(generation, _)| *generation > model.generation);
            model.replaced = home.map(|(_, endpoint)| *endpoint);
        }
    }

    /// Calls its states as `names` has it, where it has a name.
    pub(crate) fn rename(&mut self, names: &Names) {
        for state in &mut self.states {
            if let Some(given) = names.given(ApplicationState::new(state.key)) {
                state.name = given.into();
            }
        }
    }

    /// The value under `key`.
    pub(crate) fn text(&self, key: ApplicationState) -> Option<&str> {
        self.states.iter().find(|state| state.key == key.number()).map(|state| state.value.as_str())
    }

    pub(crate) fn status_kind(&self) -> StatusKind {
        StatusKind::of_keyword(self.status.as_deref().unwrap_or_default())
    }

    /// Whether it has left, or was removed.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.status_kind(), StatusKind::Left | StatusKind::Removed)
    }

    /// Where it stands; the node itself counts as live.
    pub(crate) fn standing(&self) -> StandingModel {
        if self.local { StandingModel::Live } else { self.standing }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.standing == StandingModel::Live
    }

    /// The raw bytes of its tokens.
    pub(crate) fn tokens(&self) -> Option<Vec<Vec<u8>>> {
        let mut encoded = Vec::new();
        wire::encode_str(self.text(ApplicationState::TOKENS)?, &mut encoded);
        decode_tokens(wire::JavaStr::new(&encoded).ok()?)
    }
}

impl From<Standing> for StandingModel {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Live => Self::Live,
            Standing::Unreachable => Self::Unreachable,
            _ => Self::Unverified,
        }
    }
}

/// How endpoints are printed: by their address, or also by their port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ports {
    Hidden,
    Shown,
}

impl Ports {
    /// Shows ports if they were asked for, or if two endpoints would look the same without.
    pub(crate) fn choose(asked: bool, endpoints: &[EndpointModel]) -> Self {
        let mut addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.endpoint.ip()).collect();
        addresses.sort_unstable();
        let collide = addresses.windows(2).any(|pair| pair.first() == pair.last());
        if asked || collide { Self::Shown } else { Self::Hidden }
    }

    /// `endpoint` in Java's textual form.
    pub(crate) fn show(self, endpoint: SocketAddr) -> String {
        let endpoint = Endpoint::from(endpoint);
        let (bare, with_port): (JavaAddress, JavaAddressAndPort) =
            (endpoint.java_address(), endpoint.java_address_and_port());
        match self {
            Self::Hidden => bare.to_string(),
            Self::Shown => with_port.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use gossip_adapter::{StateInfo, Version};

    use super::*;

    fn endpoint(states: &[(i32, i32, &str)]) -> EndpointInfo {
        EndpointInfo {
            endpoint: Endpoint::from(SocketAddr::from(([10, 0, 0, 1], 7000))),
            is_local: false,
            is_seed: false,
            standing: Standing::Live,
            status: StatusKind::Normal,
            heartbeat: Default::default(),
            phi: None,
            mean_interval: None,
            heard_ago: None,
            states: states
                .iter()
                .map(|(key, version, value)| StateInfo {
                    key: ApplicationState::new(*key),
                    version: Version::new(*version),
                    value: (*value).into(),
                })
                .collect(),
        }
    }

    #[test]
    fn the_newer_of_two_values_for_the_same_counts() {
        for (states, status, internal, native) in [
            (&[][..], None, None, None),
            // As real nodes write them: the one without a port just after, and saying the same.
            (
                &[(0, 18, "NORMAL,5"), (8, 4, "10.0.0.1"), (16, 5, "10.0.0.1:9042"), (17, 17, "NORMAL,5")],
                Some("NORMAL"),
                None,
                Some("10.0.0.1:9042"),
            ),
            // Published later, and without the port.
            (&[(8, 40, "10.0.0.1"), (16, 5, "10.0.0.1:9042")], None, None, Some("10.0.0.1:9042")),
            (
                &[(7, 40, "2001:db8:0:0:0:0:0:1"), (15, 5, "[2001:db8:0:0:0:0:0:1]:7000")],
                None,
                Some("[2001:db8:0:0:0:0:0:1]:7000"),
                None,
            ),
            // From before 4.0.
            (
                &[(0, 9, "LEAVING,5"), (7, 2, "192.168.0.1"), (8, 3, "10.0.0.9")],
                Some("LEAVING"),
                Some("192.168.0.1"),
                Some("10.0.0.9"),
            ),
            (
                &[
                    (0, 30, "LEAVING,5"),
                    (7, 31, "192.168.0.2"),
                    (8, 32, "10.0.0.9"),
                    (15, 15, "192.168.0.1:7000"),
                    (16, 16, "10.0.0.1:9042"),
                    (17, 17, "NORMAL,5"),
                ],
                Some("LEAVING"),
                Some("192.168.0.2"),
                Some("10.0.0.9"),
            ),
            (
                &[
                    (0, 7, "NORMAL,5"),
                    (7, 15, "192.168.0.2"),
                    (15, 15, "192.168.0.1:7000"),
                    (17, 17, "shutdown,true"),
                ],
                Some("shutdown"),
                Some("192.168.0.1:7000"),
                None,
            ),
        ] {
            let model = EndpointModel::new(&endpoint(states), &Names::default());
            assert_eq!(model.status.as_deref(), status, "{states:?}");
            assert_eq!(model.internal_address.as_deref(), internal, "{states:?}");
            assert_eq!(model.native_address.as_deref(), native, "{states:?}");
        }
    }

    #[test]
    fn states_have_the_names_of_the_release_that_published_them() {
        let names = |release: &[(i32, i32, &str)]| {
            let states = [release, &[(18, 1, ""), (19, 1, ""), (20, 1, ""), (21, 1, "")]].concat();
            let model = EndpointModel::new(&endpoint(&states), &Names::default());
            let named = model.states.into_iter().filter(|state| state.key >= 18);
            named.map(|state| state.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[(5, 1, "3.11.10")]), ["X4", "X5", "X6", "X7"]);
        assert_eq!(names(&[(5, 1, "4.0.14")]), ["SSTABLE_VERSIONS", "X1", "X2", "X3"]);
        assert_eq!(names(&[(5, 1, "4.1.8")]), ["SSTABLE_VERSIONS", "DISK_USAGE", "X1", "X2"]);
        assert_eq!(names(&[(5, 1, "5.0.2")]), ["SSTABLE_VERSIONS", "DISK_USAGE", "INDEX_STATUS", "X1"]);
        assert_eq!(names(&[]), ["SSTABLE_VERSIONS", "DISK_USAGE", "INDEX_STATUS", "X1"]);
        assert_eq!(
            names(&[(5, 1, "4.0.0.670"), (11, 1, "512")]),
            ["STORAGE_PORT_SSL", "JMX_PORT", "SCHEMA_COMPATIBILITY_VERSION", "X21"]
        );
    }

    #[test]
    fn names_that_the_user_gives_come_first() {
        let mut model = EndpointModel::new(&endpoint(&[(5, 1, "4.0.14"), (21, 2, "a")]), &Names::default());
        let names = crate::names::StateArgs::of(&["21=WORKLOAD"]).names().unwrap();
        model.rename(&names);
        let called: Vec<_> = model.states.iter().map(|state| state.name.as_str()).collect();
        assert_eq!(called, ["RELEASE_VERSION", "WORKLOAD"]);
    }
}
