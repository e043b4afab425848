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

/// The port on which Cassandra serves its clients.
const NATIVE_PORT: u16 = 9042;

/// What a gossip-only member says of itself.
#[derive(Clone, Debug)]
pub(super) struct Cassandra {
    local: Endpoint,
    host_id: Uuid,
    data_center: String,
    rack: String,
    native: Endpoint,
}

impl Cassandra {
    pub(super) fn new(local: Endpoint, host_id: Uuid) -> Self {
        Self {
            local,
            host_id,
            data_center: "datacenter1".to_owned(),
            rack: "rack1".to_owned(),
            native: Endpoint::new(local.ip(), NATIVE_PORT),
        }
    }

    /// What is published from the start, in Cassandra's order (`gossip-messages.md` §10.5, `internode.md` D.1). Release and schema come
    /// when it is known what the members have.
    pub(super) fn states(&self) -> Vec<(ApplicationState, String)> {
        [
            (ApplicationState::NET_VERSION, VersionRange::SUPPORTED.max.to_string()),
            (ApplicationState::HOST_ID, self.host_id.to_string()),
            (ApplicationState::NATIVE_ADDRESS_AND_PORT, self.native.java_address_and_port().to_string()),
            (ApplicationState::RPC_ADDRESS, self.native.java_address().to_string()),
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

    /// The address that is published for clients; none are served there. Default: the node's own, port 9042.
    pub fn native_address(self, endpoint: Endpoint) -> Self {
        self.with(|cassandra| cassandra.native = endpoint)
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
