//! What a node knows of an endpoint, as a value of its own: for applications that look at it outside the core.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::status::StatusKind;
use crate::version::{HeartbeatState, Version};

/// Where an endpoint stands with the node that looks at it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Standing {
    /// Known, and not (yet) proven reachable: its answer to an echo is awaited.
    #[default]
    Unverified,
    /// Up: it answered an echo, and its heartbeats arrive.
    Live,
    /// Down: convicted, stopped, or remembered from an earlier run and not heard of since.
    Unreachable,
}

/// What a node knows of an endpoint.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct EndpointInfo {
    /// Who.
    pub endpoint: Endpoint,
    /// Whether it is the node itself, which always counts as live.
    pub is_local: bool,
    /// Whether it is one of the configured seeds.
    pub is_seed: bool,
    /// Where it stands.
    pub standing: Standing,
    /// What the keyword of its status says.
    pub status: StatusKind,
    /// Its generation and heartbeat.
    pub heartbeat: HeartbeatState,
    /// Its suspicion level now, on the scale of the threshold; `None` before its first heartbeat.
    pub phi: Option<f64>,
    /// The mean interval between its heartbeats as they arrive here; `None` before the first.
    pub mean_interval: Option<Duration>,
    /// How long ago the newest of its heartbeats arrived; `None` before the first.
    pub heard_ago: Option<Duration>,
    /// Its values, by ascending key.
    pub states: Vec<StateInfo>,
}

/// What changes of an endpoint at each heartbeat, without its values: small, and copied without taking memory.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Pulse {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Where it stands.
    pub standing: Standing,
    /// Its generation and heartbeat.
    pub heartbeat: HeartbeatState,
    /// Its suspicion level now, on the scale of the threshold; `None` before its first heartbeat.
    pub phi: Option<f64>,
    /// How long ago the newest of its heartbeats arrived; `None` before the first.
    pub heard_ago: Option<Duration>,
    /// How many of its heartbeats the failure detector counts, at most the size of its window.
    pub heartbeats: u16,
}

impl EndpointInfo {
    /// The value under `key`.
    pub fn state(&self, key: ApplicationState) -> Option<&StateInfo> {
        self.states.iter().find(|state| state.key == key)
    }

    /// The text under `key`.
    pub fn text(&self, key: ApplicationState) -> Option<&str> {
        self.state(key).map(|state| state.value.as_str())
    }

    /// Its status, whole: the newer of STATUS_WITH_PORT and STATUS.
    pub fn status_text(&self) -> Option<&str> {
        self.newer(ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS)
    }

    /// Where it serves clients: the newer of NATIVE_ADDRESS_AND_PORT and RPC_ADDRESS, which has no port.
    pub fn native_address(&self) -> Option<&str> {
        self.newer(ApplicationState::NATIVE_ADDRESS_AND_PORT, ApplicationState::RPC_ADDRESS)
    }

    /// Its private address: the newer of INTERNAL_ADDRESS_AND_PORT and INTERNAL_IP, which has no port.
    pub fn internal_address(&self) -> Option<&str> {
        self.newer(ApplicationState::INTERNAL_ADDRESS_AND_PORT, ApplicationState::INTERNAL_IP)
    }

    /// Whether it has published tokens, and so a place in Cassandra's ring.
    pub fn has_tokens(&self) -> bool {
        self.text(ApplicationState::TOKENS).is_some_and(StateInfo::names_tokens)
    }

    fn newer(&self, with_port: ApplicationState, without: ApplicationState) -> Option<&str> {
        let value = |key| self.state(key).map(|state| (state.version, state.value.as_str()));
        StateInfo::newer(value(with_port), value(without))
    }
}

impl StateInfo {
    /// Whether a value of TOKENS names any.
    pub fn names_tokens(text: &str) -> bool {
        // A list of none is a length of 0, one character a byte.
        !text.is_empty() && !text.starts_with("\0\0\0\0")
    }

    /// The newer of a pair of values that say the same, one with a port and one from before 4.0; where both are equally new, or name the
    /// same address, the former (`docs/protocol/gossip-messages.md#invalid-bodies`).
    pub fn newer<'a>(
        with_port: Option<(Version, &'a str)>,
        without: Option<(Version, &'a str)>,
    ) -> Option<&'a str> {
        let newer = match (with_port, without) {
            (Some(with_port), Some(without))
                if without.0 > with_port.0 && address_of(with_port.1) != Some(without.1) =>
            {
                Some(without)
            }
            (with_port, without) => with_port.or(without),
        };
        newer.map(|(_, text)| text)
    }
}

/// The address in front of a port.
fn address_of(text: &str) -> Option<&str> {
    let (address, _) = text.rsplit_once(':')?;
    let inner = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
    Some(inner.unwrap_or(address))
}

/// A value and its version.
#[derive(Clone, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct StateInfo {
    /// What it is.
    pub key: ApplicationState,
    /// The version under which it was set.
    pub version: Version,
    /// The text. A surrogate that stands alone, which no text can hold, is U+FFFD.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use super::*;

    fn info(states: &[(ApplicationState, i32, &str)]) -> EndpointInfo {
        let states = states.iter().map(|(key, version, value)| StateInfo {
            key: *key,
            version: Version::new(*version),
            value: (*value).to_owned(),
        });
        EndpointInfo {
            endpoint: Endpoint::v4([10, 0, 0, 1], 7_000),
            is_local: false,
            is_seed: false,
            standing: Standing::Live,
            status: StatusKind::Normal,
            heartbeat: HeartbeatState::default(),
            phi: None,
            mean_interval: None,
            heard_ago: None,
            states: states.collect(),
        }
    }

    /// What is shown of a pair of values.
    type Shown = fn(&EndpointInfo) -> Option<&str>;

    #[test]
    fn of_a_value_with_and_without_port_the_newer_is_shown() {
        let pairs: [(_, _, Shown); 3] = [
            (ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS, EndpointInfo::status_text),
            (
                ApplicationState::NATIVE_ADDRESS_AND_PORT,
                ApplicationState::RPC_ADDRESS,
                EndpointInfo::native_address,
            ),
            (
                ApplicationState::INTERNAL_ADDRESS_AND_PORT,
                ApplicationState::INTERNAL_IP,
                EndpointInfo::internal_address,
            ),
        ];
        for (with_port, without, shown) in pairs {
            let both = |newest: i32, other: i32| {
                info(&[(without, other, "10.0.0.2"), (with_port, newest, "10.0.0.1:9042")])
            };
            assert_eq!(shown(&info(&[])), None);
            assert_eq!(shown(&info(&[(without, 1, "10.0.0.2")])), Some("10.0.0.2"));
            assert_eq!(shown(&info(&[(with_port, 1, "10.0.0.1:9042")])), Some("10.0.0.1:9042"));
            assert_eq!(shown(&both(5, 4)), Some("10.0.0.1:9042"));
            assert_eq!(shown(&both(5, 5)), Some("10.0.0.1:9042"), "equally new: the one that says more");
            assert_eq!(shown(&both(5, 6)), Some("10.0.0.2"));
        }
    }

    #[test]
    fn a_newer_value_without_port_that_names_the_same_address_says_nothing_new() {
        let newer = |with_port, without| {
            StateInfo::newer(Some((Version::new(1), with_port)), Some((Version::new(2), without)))
        };
        assert_eq!(newer("10.0.0.1:9042", "10.0.0.1"), Some("10.0.0.1:9042"));
        assert_eq!(newer("10.0.0.1:9042", "10.0.0.2"), Some("10.0.0.2"));
        assert_eq!(newer("[2001:db8::1]:9042", "2001:db8::1"), Some("[2001:db8::1]:9042"));
        assert_eq!(newer("[2001:db8::1]:9042", "2001:db8::2"), Some("2001:db8::2"));
        assert_eq!(newer("no address", "10.0.0.1"), Some("10.0.0.1"));
    }

    #[test]
    fn whoever_has_published_no_token_has_none() {
        let with = |text| info(&[(ApplicationState::TOKENS, 1, text)]);
        assert!(!info(&[]).has_tokens());
        assert!(!with("").has_tokens());
        assert!(!with("\0\0\0\0").has_tokens(), "a list of none");
        assert!(with("\0\0\0\u{8}\0\0\0\0\0\0\0\u{1}\0\0\0\0").has_tokens());
        assert!(with("t").has_tokens());
        assert_eq!(with("t").text(ApplicationState::TOKENS), Some("t"));
        assert_eq!(with("t").text(ApplicationState::LOAD), None);
    }
}
