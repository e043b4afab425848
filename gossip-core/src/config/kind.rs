//! As what a node takes part: a member that says itself what it publishes, or a gossip-only member of a Cassandra cluster.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ConfigBuilder;
use crate::application_state::{ApplicationState, Pad};
use crate::endpoint::Endpoint;
use crate::internode::VersionRange;
use crate::uuid::Uuid;

/// Marks what belongs to a node that publishes what it likes. No value of it exists.
#[derive(Clone, Copy, Debug)]
pub enum Member {}

/// Marks what belongs to a gossip-only member of a Cassandra cluster, which publishes neither status nor tokens. No value of it
/// exists.
#[derive(Clone, Copy, Debug)]
pub enum GossipOnly {}

/// What a gossip-only member says of itself.
#[derive(Clone, Debug)]
pub(super) struct Cassandra {
    local: Endpoint,
    host_id: Uuid,
    data_center: String,
    rack: String,
}

impl Cassandra {
    pub(super) fn new(local: Endpoint, host_id: Uuid) -> Self {
        Self { local, host_id, data_center: "datacenter1".to_owned(), rack: "rack1".to_owned() }
    }

    /// What is published from the start, in Cassandra's order (`docs/protocol/application-states.md#what-a-node-publishes-and-when`, `docs/protocol/gossip-only-member.md#what-to-publish`). Release, schema and
    /// version 14 come when it is known what the members have.
    pub(super) fn states(&self) -> Vec<(ApplicationState, String)> {
        let nowhere = if self.local.ip().is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        [
            (ApplicationState::NET_VERSION, VersionRange::WITHOUT_METADATA.max.to_string()),
            (ApplicationState::HOST_ID, self.host_id.to_string()),
            // Where this is not published, nodes tell their clients of our address with the port 9042 when we are gone. It may be a real
            // node's, which they then take for down (`docs/protocol/gossip-only-member.md#leave-in-silence`).
            (ApplicationState::NATIVE_ADDRESS_AND_PORT, nowhere.to_owned()),
            (ApplicationState::RPC_ADDRESS, "0.0.0.0".to_owned()),
            (ApplicationState::INTERNAL_ADDRESS_AND_PORT, self.local.java_address_and_port().to_string()),
            (ApplicationState::DC, self.data_center.clone()),
            (ApplicationState::RACK, self.rack.clone()),
            // Every receiver reads it as a number.
            (ApplicationState::LOAD, "0.0".to_owned()),
            (ApplicationState::RPC_READY, "false".to_owned()),
        ]
        .into()
    }
}

impl ConfigBuilder<GossipOnly> {
    /// Name of the data center. Default `datacenter1`; the members need not have one of that name.
    pub fn data_center(self, name: &str) -> Self {
        self.with(|cassandra| cassandra.data_center = name.to_owned())
    }

    /// Name of the rack. Default `rack1`.
    pub fn rack(self, name: &str) -> Self {
        self.with(|cassandra| cassandra.rack = name.to_owned())
    }

    /// Adds a value of one's own that is published from the start.
    pub fn pad(mut self, pad: Pad, value: &str) -> Self {
        self.states.push((pad.state(), value.to_owned()));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Cassandra)) -> Self {
        self.cassandra.as_mut().map(change);
        self
    }
}
