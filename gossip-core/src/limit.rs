//! The limits that bound memory and work, as events report them.

use core::fmt;

use crate::stats::Stats;

/// A limit that was reached, or a refusal that is otherwise only counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Limit {
    /// [`Stats::table_full`].
    Endpoints,
    /// [`Stats::values_refused`].
    Values,
    /// [`Stats::values_unsendable`].
    UnsendableValues,
    /// [`Stats::old_generations`].
    OldGenerations,
    /// [`Stats::unspecified`].
    UnspecifiedAddresses,
    /// [`Stats::connections_refused`].
    Connections,
    /// [`Stats::exchanges_dropped`].
    Exchanges,
    /// [`Stats::messages_displaced`].
    DisplacedMessages,
    /// [`Stats::throttled`].
    DatagramRate,
    /// [`Stats::expired`].
    ExpiredMessages,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 10] = [
        Self::Endpoints,
        Self::Values,
        Self::UnsendableValues,
        Self::OldGenerations,
        Self::UnspecifiedAddresses,
        Self::Connections,
        Self::Exchanges,
        Self::DisplacedMessages,
        Self::DatagramRate,
        Self::ExpiredMessages,
    ];

    /// How often it was reached since the node was made.
    pub const fn count(self, stats: &Stats) -> u64 {
        match self {
            Self::Endpoints => stats.table_full,
            Self::Values => stats.values_refused,
            Self::UnsendableValues => stats.values_unsendable,
            Self::OldGenerations => stats.old_generations,
            Self::UnspecifiedAddresses => stats.unspecified,
            Self::Connections => stats.connections_refused,
            Self::Exchanges => stats.exchanges_dropped,
            Self::DisplacedMessages => stats.messages_displaced,
            Self::DatagramRate => stats.throttled,
            Self::ExpiredMessages => stats.expired,
        }
    }

    /// The name of its counter in [`Stats`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoints => "table_full",
            Self::Values => "values_refused",
            Self::UnsendableValues => "values_unsendable",
            Self::OldGenerations => "old_generations",
            Self::UnspecifiedAddresses => "unspecified",
            Self::Connections => "connections_refused",
            Self::Exchanges => "exchanges_dropped",
            Self::DisplacedMessages => "messages_displaced",
            Self::DatagramRate => "throttled",
            Self::ExpiredMessages => "expired",
        }
    }
}

/// What happens at the limit.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoints => "endpoints were not taken, because the table is full",
            Self::Values => "values were refused, because their endpoint has too many or too long ones",
            Self::UnsendableValues => "values were not passed on, because they fit no packet of this node",
            Self::OldGenerations => {
                "states were refused, because a later generation of their endpoint is known"
            }
            Self::UnspecifiedAddresses => "states were refused, because their address cannot be dialled",
            Self::Connections => "connections were refused, because there are too many",
            Self::Exchanges => "exchanges were dropped, because too many wait for their peers",
            Self::DisplacedMessages => {
                "messages were dropped for others, because their peers did not take them"
            }
            Self::DatagramRate => {
                "times datagrams had to wait, because the limit on bytes a second was reached"
            }
            Self::ExpiredMessages => "messages were dropped, because they had expired when they arrived",
        })
    }
}
