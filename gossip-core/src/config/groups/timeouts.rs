//! How long connections and messages may take.

use core::time::Duration;

use super::{Bounds, durations_in_range, group};
use crate::config::ConfigError;

group! {
    /// Timeouts of connections and messages.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use gossip_core::Timeouts;
    /// let timeouts = Timeouts { connect: Duration::from_millis(500), ..Timeouts::default() };
    /// ```
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct Timeouts {
        /// The time that a dial may take. Default 2 s; at least 1 ms.
        ///
        /// Dials are looked at once a second, and one is given up at the second look at which it takes too long: one to two seconds later.
        /// Where other dials took long until they were answered, since a machine or the network is busy, a dial may take twice that time
        /// in addition, and up to four times as long as this in all.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text"))]
        pub connect: Duration,
        /// The time that a handshake may take once the connection is open, on either side. Default 30 s; at least 1 ms.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text"))]
        pub handshake: Duration,
        /// A connection over which nothing was sent or received for this time is closed. Default 1 h; at least 1 ms.
        #[cfg_attr(feature = "serde", serde(with = "super::duration_text"))]
        pub idle: Duration,
        /// Whether the clock of the sender decides if a message has expired, as in Cassandra. If it does, a sender whose clock
        /// is 10 s behind is never found live (`docs/protocol/pitfalls.md#generations-and-clocks`). Default: off.
        pub cross_node_timeout: bool,
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            handshake: Duration::from_secs(30),
            idle: Duration::from_hours(1),
            // Deviation: off by default.
            cross_node_timeout: false,
        }
    }
}

impl Timeouts {
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        let least = Duration::from_millis(1);
        durations_in_range([
            Bounds("timeouts.connect", self.connect, least, Duration::MAX),
            Bounds("timeouts.handshake", self.handshake, least, Duration::MAX),
            Bounds("timeouts.idle", self.idle, least, Duration::MAX),
        ])
    }
}
