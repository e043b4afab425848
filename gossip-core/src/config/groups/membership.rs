//! How a node joins, leaves, and forgets others.

use core::time::Duration;

use super::group;

group! {
    /// How a node joins and leaves, and when it forgets other endpoints. A duration that is `None` has the default that its field
    /// names.
    ///
    /// ```
    /// # use gossip_core::Membership;
    /// let membership = Membership { shadow_round: true, ..Membership::default() };
    /// ```
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct Membership {
        /// Whether the node asks its seeds for the state of the cluster before it takes part: the shadow round
        /// (`docs/protocol/life-cycle.md#shadow-round`). It so finds out whether another node uses its address, and begins with all that is
        /// known. If no node answers within 60 intervals, the node stops, so that not all nodes of a cluster can start with
        /// it at once unless its seeds are among them. Default: off, because a service may start before its seeds do. A
        /// gossip-only member of a Cassandra cluster always asks.
        pub shadow_round: bool,
        /// Whether the node may take the address of a member with another host id, if the shadow round shows that this member is not
        /// live. A node whose host id is known at another address, where it is not live, or which has saved endpoints, has
        /// moved and may do so without. Default: off, and the node stops with `Event::AddressConflict`.
        pub replace: bool,
        /// Whether the node only asks for the state of the cluster, by a shadow round, and never takes part: no node learns of it. When
        /// the answer is there (`Event::ShadowRoundDone`), it can be read, and nothing more happens. Default: off.
        pub only_asks: bool,
        /// The time that a node goes on after it has announced its shutdown. Default 2 intervals.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub shutdown_announce: Option<Duration>,
        /// The time that a leaving node is LEAVING, and then LEFT, before it is silent. Default 5 intervals.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub leaving_delay: Option<Duration>,
        /// The time that an endpoint which is to be assassinated has to show a sign of life. Default 30 intervals.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub ring_delay: Option<Duration>,
        /// The time for which news of an endpoint is refused after the endpoint was forgotten. Default 60 intervals.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub quarantine: Option<Duration>,
        /// Endpoints that are no members (they published none of NORMAL, LEAVING, MOVING or shutdown) are forgotten after this
        /// silence. Cassandra takes 30 intervals, and so does a gossip-only member of its clusters. Default: never.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub fat_client_timeout: Option<Duration>,
        /// As `fat_client_timeout`, for endpoints that are joining. Cassandra takes 60 intervals in 4.x and 300 in 5.0, and a
        /// gossip-only member does as the members of its cluster. Default: never.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub failed_bootstrap_timeout: Option<Duration>,
        /// Members that crashed are forgotten after this silence, and refused from then on. Default: never.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text::optional"))]
        pub dead_endpoint_ttl: Option<Duration>,
        /// The time for which a removal is remembered once the state of the endpoint is forgotten. It should be longer than any node
        /// may be away. Default 10 days.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text"))]
        pub tombstone_ttl: Duration,
    }
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            shadow_round: false,
            replace: false,
            only_asks: false,
            shutdown_announce: None,
            leaving_delay: None,
            ring_delay: None,
            quarantine: None,
            fat_client_timeout: None,
            failed_bootstrap_timeout: None,
            dead_endpoint_ttl: None,
            tombstone_ttl: Duration::from_hours(240),
        }
    }
}

/// A [`Membership`] whose durations are known. `None` is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedMembership {
    pub(crate) shadow_round: bool,
    pub(crate) replace: bool,
    pub(crate) only_asks: bool,
    pub(crate) shutdown_announce: Duration,
    pub(crate) leaving_delay: Duration,
    pub(crate) ring_delay: Duration,
    pub(crate) quarantine: Duration,
    pub(crate) fat_client_timeout: Option<Duration>,
    pub(crate) failed_bootstrap_timeout: Option<Duration>,
    pub(crate) dead_endpoint_ttl: Option<Duration>,
    pub(crate) tombstone_ttl: Duration,
}

impl Membership {
    pub(in crate::config) fn resolve(&self, interval: Duration, is_gossip_only: bool) -> ResolvedMembership {
        let intervals = |set: Option<Duration>, count| set.unwrap_or(interval.saturating_mul(count));
        // `docs/protocol/life-cycle.md#times-and-settings`.
        let fat_client_timeout = is_gossip_only.then(|| interval.saturating_mul(30));
        ResolvedMembership {
            shadow_round: self.shadow_round || self.only_asks || is_gossip_only,
            replace: self.replace,
            only_asks: self.only_asks,
            shutdown_announce: intervals(self.shutdown_announce, 2),
            leaving_delay: intervals(self.leaving_delay, 5),
            ring_delay: intervals(self.ring_delay, 30),
            quarantine: intervals(self.quarantine, 60),
            fat_client_timeout: self.fat_client_timeout.or(fat_client_timeout),
            failed_bootstrap_timeout: self.failed_bootstrap_timeout,
            dead_endpoint_ttl: self.dead_endpoint_ttl,
            tombstone_ttl: self.tombstone_ttl,
        }
    }
}

impl From<ResolvedMembership> for Membership {
    fn from(resolved: ResolvedMembership) -> Self {
        Self {
            shadow_round: resolved.shadow_round,
            replace: resolved.replace,
            only_asks: resolved.only_asks,
            shutdown_announce: Some(resolved.shutdown_announce),
            leaving_delay: Some(resolved.leaving_delay),
            ring_delay: Some(resolved.ring_delay),
            quarantine: Some(resolved.quarantine),
            fat_client_timeout: resolved.fat_client_timeout,
            failed_bootstrap_timeout: resolved.failed_bootstrap_timeout,
            dead_endpoint_ttl: resolved.dead_endpoint_ttl,
            tombstone_ttl: resolved.tombstone_ttl,
        }
    }
}
