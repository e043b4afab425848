//! Which changes are printed.

use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use crate::model::WatchModel;

/// All kinds of change. The end of the command, and missed changes, are printed in any case.
const CHANGES: [&str; 27] = [
    "watching",
    "known",
    "joined",
    "up",
    "down",
    "state",
    "restarted",
    "left",
    "forgotten",
    "assassinated",
    "assassination_aborted",
    "probe_failed",
    "generation_raised",
    "address_conflict",
    "removing",
    "removed",
    "shared_host_id",
    "host_id_changed",
    "future_generation",
    "ignored_by",
    "shared_address",
    "accepted_by",
    "foreign_cluster",
    "foreign_partitioner",
    "packet_refused",
    "withdrawn",
    "returned",
];

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Filter {
    /// Prints these changes only, such as up,down; default: all
    #[arg(long, value_name = "CHANGE", value_delimiter = ',', value_parser = CHANGES, hide_possible_values = true)]
    only: Vec<String>,
    /// Prints what concerns this endpoint only, under any port if none is given; may be repeated. Without, all
    #[arg(long = "endpoint", value_name = "ADDR[:PORT]")]
    endpoints: Vec<Wanted>,
}

impl Filter {
    /// Whether `model` is to be printed.
    pub(super) fn takes(&self, model: &WatchModel) -> bool {
        let event = model.event.as_str();
        if matches!(event, "missed" | "stopped" | "withdrawn" | "returned") {
            return true;
        }
        let is_of = |endpoint| self.endpoints.iter().any(|wanted| wanted.is(endpoint));
        (self.only.is_empty() || self.only.iter().any(|only| only == event))
            && (self.endpoints.is_empty() || event == "watching" || model.endpoint.is_some_and(is_of))
    }
}

/// An endpoint, or all of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wanted {
    ip: IpAddr,
    port: Option<u16>,
}

impl Wanted {
    fn is(self, endpoint: SocketAddr) -> bool {
        self.ip == endpoint.ip() && self.port.is_none_or(|port| port == endpoint.port())
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(endpoint) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: endpoint.ip(), port: Some(endpoint.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let ip = bare.parse().map_err(|_| "an IP address is wanted, with or without a port (no name)")?;
        Ok(Self { ip, port: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_printed() {
        let model = |event: &str, endpoint: &str| WatchModel {
            event: event.into(),
            endpoint: endpoint.parse().ok(),
            ..WatchModel::default()
        };
        let filter = |only: &[&str], endpoints: &[&str]| Filter {
            only: only.iter().map(ToString::to_string).collect(),
            endpoints: endpoints.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let up = model("up", "10.0.0.1:7000");
        for (filter, is_taken) in [
            (filter(&[], &[]), true),
            (filter(&["up", "down"], &[]), true),
            (filter(&["state"], &[]), false),
            (filter(&[], &["10.0.0.1"]), true),
            (filter(&[], &["10.0.0.2", "10.0.0.1:7000"]), true),
            (filter(&[], &["10.0.0.1:7001"]), false),
            (filter(&["up"], &["[::1]"]), false),
            (filter(&["down"], &["10.0.0.1"]), false),
        ] {
            assert_eq!(filter.takes(&up), is_taken, "{filter:?}");
            for event in ["missed", "stopped", "withdrawn", "returned"] {
                assert!(filter.takes(&model(event, "10.0.0.9:7000")), "{event} {filter:?}");
            }
        }
        assert!("localhost".parse::<Wanted>().is_err());
    }
}
