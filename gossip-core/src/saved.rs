//! What a node keeps of others across its restarts.

use crate::endpoint::Endpoint;
use crate::uuid::Uuid;

/// An endpoint that is known from an earlier run of the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct SavedEndpoint {
    /// Its address.
    pub endpoint: Endpoint,
    /// The host that had this address, if it is known. The address is forgotten when this host is found live at another one.
    pub host_id: Option<Uuid>,
    /// When news of it came last, in milliseconds since the Unix epoch, if it is known. The address is forgotten once this is longer
    /// ago than [`Membership::tombstone_ttl`](crate::Membership::tombstone_ttl), unless it is heard of.
    pub heard_unix_ms: Option<u64>,
}

impl SavedEndpoint {
    /// An endpoint of which only the address is known.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, host_id: None, heard_unix_ms: None }
    }
}

/// What is saved of an endpoint. `saved` is sorted.
pub(crate) fn find(saved: &[SavedEndpoint], endpoint: Endpoint) -> Option<&SavedEndpoint> {
    let at = saved.binary_search_by_key(&endpoint, |saved| saved.endpoint).ok()?;
    saved.get(at)
}
