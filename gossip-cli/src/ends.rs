//! Why a member of a Cassandra cluster cannot join or stay, in words for its operator.

use gossip_adapter::{Endpoint, MetadataId, UpgradeSign};

/// Why a gossip-only member does not join under its host id.
pub(crate) fn host_id_of_member(endpoint: Endpoint) -> String {
    format!(
        "the Cassandra node {endpoint} has the host id of this member (start it with another --host-id, or with a --data-dir of its \
         own)"
    )
}

/// Why a node does not join, or is not answered, under an identifier that was given by hand.
pub(crate) fn metadata_id_refused(by: Endpoint, given: MetadataId, theirs: MetadataId) -> String {
    format!(
        "--metadata-id is {given}, and {by} says that the identifier of its cluster's metadata is {theirs} (leave the option out: \
         nodes of Cassandra 6.0 are asked for it)"
    )
}

/// Why a gossip-only member has left its cluster, and when it may come back.
pub(crate) fn withdrawn(by: Endpoint, sign: UpgradeSign) -> String {
    format!(
        "this member has left in silence, and stays away: the cluster is being upgraded to Cassandra 6.0, as {by} shows ({sign}), and \
         nodes that start then count everybody who is in gossip (it comes back by itself, some ten minutes after `nodetool cms \
         initialize` at the latest; start it again if the upgrade was undone)"
    )
}

/// Why a command that would be a gossip-only member does not join.
pub(crate) fn kept_away(by: Endpoint, sign: UpgradeSign) -> String {
    format!(
        "this command does not join: the cluster is being upgraded to Cassandra 6.0, as {by} shows ({sign}), and nodes that start then \
         count everybody who is in gossip (start it again after `nodetool cms initialize`, or once the upgrade is undone)"
    )
}
