//! How much a node keeps, and how much it does at the same time.

use super::{Bounds, all_in_range, group};
use crate::config::{ConfigError, MIN_PEERS};
use crate::message::MAX_STATES;

group! {
    /// Limits of memory and of work. They hold whatever peers send.
    ///
    /// ```
    /// # use gossip_core::Limits;
    /// let limits = Limits { max_connections: 512, ..Limits::default() };
    /// ```
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct Limits {
        /// The number of endpoints that are kept, the node itself included. An endpoint with ordinary values takes about 1 KiB,
        /// and at most `max_state_bytes`. Further endpoints are not learned; they are counted.
        /// Default 20,000; at least 1.
        pub max_endpoints: usize,
        /// The number of values that one endpoint may have. Default 64; 1 to 253.
        pub max_states: usize,
        /// The encoded bytes that the values of one endpoint may take together. Default 1 MiB; at least 1.
        pub max_state_bytes: usize,
        /// The number of removed endpoints that are remembered, about 50 bytes each. Default 1,024; at least 1.
        pub max_tombstones: usize,
        /// The number of exchanges that may wait for peers that are slow or not connected yet, at most about 52 KiB each.
        /// Further SYNs are dropped and counted. Default 8; 2 to 65,535.
        pub max_pending_acks: usize,
        /// The number of peers for which messages may be pending at the same time, 160 bytes each. Memory is taken for a quarter of the
        /// known endpoints, at least for 256; for all of them when the node stops. If all places are taken, a pending message of a peer
        /// that does not read is dropped and counted. Default 8,192; at least 256.
        pub max_pending_peers: usize,
        /// The number of events that may wait for the application, 48 bytes each. Further events are counted and reported by
        /// `Event::Lost`. Default 4,096; at least 16.
        pub max_pending_events: usize,
        /// The number of open connections, dialled and accepted together. If all are taken, the least used give way. Of more than half
        /// as many, those are closed that carried nothing but echoes for 300 rounds. A cluster of N endpoints has up to 2 (N − 1) of
        /// them. Default 896, which leaves 128 descriptors of the 1,024 that a process often has; at least 2.
        pub max_connections: usize,
        /// The number of dials in progress. Messages that need a further dial are dropped and counted. Endpoints that were never live may
        /// take three quarters, and give way to others. Those whose names came from the address with the most of them give way first.
        /// Default 64; at least 1.
        pub max_dials: usize,
        /// The number of accepted connections in their handshake. If there are more, the oldest of them is closed and counted.
        /// Default 256; at least 1.
        pub max_handshakes: usize,
        /// The bytes of the largest message that is read. A peer that sends a larger one loses its connection. In the shadow
        /// round `max_inbound_bytes` is the limit, if that is greater: the whole cluster comes in one message then.
        /// Default 16 MiB; 64 KiB to 1 GiB.
        pub max_message: usize,
        /// The bytes that all connections together may hold of unfinished messages and frames. Beyond it, the connection that
        /// holds the most, or holds it the longest, is closed. Default 64 MiB; at least 1 MiB.
        pub max_inbound_bytes: usize,
        /// The bytes that messages which are too large for the ordinary connections may take while they wait to be sent.
        /// Default 64 MiB; at least 1 MiB.
        pub max_large_bytes: usize,
        /// The number of connections that one address may have to this node at the same time. An address of IPv6 counts with all
        /// that share its first 64 bits. If places run out, connections of the address with the most give way first, whatever this is.
        /// Default 4,096, more than the default of `max_connections`; at least 1.
        pub max_address_connections: usize,
        /// The number of connections a second that one address may open. Sixteen times as many may come at once. Further
        /// connections are refused and counted. Default 256; at least 1.
        pub max_address_handshakes: usize,
        /// The number of messages a second that one address may send. Sixteen times as many may come at once. An address that
        /// sends more loses the connection. Nodes behind one address share the limit, and a flood of one of them would cut off all.
        /// Default 4,294,967,295, which is no limit; at least 1.
        pub max_address_messages: usize,
        /// The number of bytes a second that one address may send. Sixteen times as many may come at once. An address that sends
        /// more loses the connection. Nodes behind one address share this limit, too.
        /// Default 4,294,967,295, which is no limit; at least 64 KiB.
        pub max_address_bytes: usize,
        /// The number of new endpoints a minute that connections of one address may announce after the shadow round. Four times as
        /// many may come at once. Further ones are not learned from it for now. Default 2,048; at least 1.
        pub max_address_endpoints: usize,
        /// The number of dials a second to endpoints that were never live. Sixteen times as many may be done at once. Further
        /// dials are put off and counted. Default 256; at least 1.
        pub max_stranger_dials: usize,
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_endpoints: 20_000,
            max_states: 64,
            max_state_bytes: 1 << 20,
            max_tombstones: 1_024,
            max_pending_acks: 8,
            max_pending_peers: 8_192,
            max_pending_events: 4_096,
            max_connections: 896,
            max_dials: 64,
            max_handshakes: 256,
            max_message: 16 << 20,
            max_inbound_bytes: 64 << 20,
            max_large_bytes: 64 << 20,
            max_address_connections: 4_096,
            max_address_handshakes: 256,
            max_address_messages: u32::MAX as usize,
            max_address_bytes: u32::MAX as usize,
            max_address_endpoints: 2_048,
            max_stranger_dials: 256,
        }
    }
}

impl Limits {
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        all_in_range([
            Bounds("limits.max_endpoints", self.max_endpoints, 1, u32::MAX as usize),
            // A receiver may add three when the endpoint stops.
            Bounds("limits.max_states", self.max_states, 1, MAX_STATES - 3),
            Bounds("limits.max_state_bytes", self.max_state_bytes, 1, usize::MAX),
            Bounds("limits.max_tombstones", self.max_tombstones, 1, 1 << 24),
            Bounds("limits.max_pending_acks", self.max_pending_acks, 2, 65_535),
            Bounds("limits.max_pending_peers", self.max_pending_peers, MIN_PEERS, 1 << 24),
            Bounds("limits.max_pending_events", self.max_pending_events, 16, 1 << 24),
            Bounds("limits.max_connections", self.max_connections, 2, 1 << 24),
            Bounds("limits.max_dials", self.max_dials, 1, 1 << 24),
            Bounds("limits.max_handshakes", self.max_handshakes, 1, 1 << 24),
            Bounds("limits.max_message", self.max_message, 1 << 16, 1 << 30),
            Bounds("limits.max_inbound_bytes", self.max_inbound_bytes, 1 << 20, usize::MAX),
            Bounds("limits.max_large_bytes", self.max_large_bytes, 1 << 20, usize::MAX),
            Bounds("limits.max_address_connections", self.max_address_connections, 1, usize::MAX),
            Bounds("limits.max_address_handshakes", self.max_address_handshakes, 1, usize::MAX),
            Bounds("limits.max_address_messages", self.max_address_messages, 1, usize::MAX),
            Bounds("limits.max_address_bytes", self.max_address_bytes, 1 << 16, usize::MAX),
            Bounds("limits.max_address_endpoints", self.max_address_endpoints, 1, usize::MAX),
            Bounds("limits.max_stranger_dials", self.max_stranger_dials, 1, usize::MAX),
        ])
    }
}
