//! Counters: what was taken in, what was refused and why, and when memory was taken.

/// A counter of [`Stats`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counter {
    /// What it is called.
    pub name: &'static str,
    /// How often it has happened.
    pub value: u64,
    /// What it counts, in a sentence.
    pub meaning: &'static str,
}

/// Makes the counters, and the list of them with what they mean: each is named once.
macro_rules! stats {
    ($($(#[doc = $doc:literal])+ pub $name:ident: u64,)+) => {
        /// Counters since the node was made. They only grow.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
        // Counters of later releases are not missed in what earlier ones have written.
        #[cfg_attr(feature = "serde", serde(default))]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Stats {
            /// All counters, with their names and what they count.
            pub fn counters(&self) -> impl Iterator<Item = Counter> + use<> {
                [$(Counter {
                    name: stringify!($name),
                    value: self.$name,
                    meaning: concat!($($doc),+).trim_ascii(),
                },)+]
                .into_iter()
            }
        }
    };
}

stats! {
    /// Rounds done.
    pub rounds: u64,
    /// SYNs taken in.
    pub syns_received: u64,
    /// ACKs taken in.
    pub acks_received: u64,
    /// ACK2s taken in.
    pub ack2s_received: u64,
    /// Messages handed to the transport, of all kinds.
    pub messages_sent: u64,
    /// SYNs handed to the transport.
    pub syns_sent: u64,
    /// ACKs handed to the transport.
    pub acks_sent: u64,
    /// ACK2s handed to the transport.
    pub ack2s_sent: u64,

    // These take memory, up to `buffers_grown`.
    /// Endpoints that became known.
    pub endpoints_learned: u64,
    /// Greater generations that became known of endpoints.
    pub generations_learned: u64,
    /// Values that were new, or longer than their place.
    pub values_grown: u64,
    /// Connections dialled or accepted; over datagrams, peers that were met.
    pub connections: u64,
    /// Messages too large for the ordinary connections, each in memory of its own.
    pub snapshots: u64,
    /// Snapshots that were sent from the copy of another one, because several peers requested everything in the same interval.
    pub answers_shared: u64,
    /// Buffers that grew for a frame or message that arrived in parts, and lists of exchanges at their first use.
    pub buffers_grown: u64,

    /// Messages whose body could not be decoded.
    pub malformed: u64,
    /// Messages that arrived while gossip was disabled.
    pub while_disabled: u64,
    /// Shadow SYNs under another cluster or partitioner that were answered with our names.
    pub questions_corrected: u64,
    /// SYNs of another cluster.
    pub foreign_cluster: u64,
    /// SYNs under another partitioner.
    pub foreign_partitioner: u64,
    /// Messages that had expired when they arrived.
    pub expired: u64,
    /// States of a generation older than the known one.
    pub old_generations: u64,
    /// States of a generation more than a year ahead of the wall clock.
    pub future_generations: u64,
    /// States of endpoints with an address that cannot be dialled.
    pub unspecified: u64,
    /// ACKs without a SYN of this process.
    pub stray_acks: u64,
    /// States of unknown endpoints, or of greater generations, that were not requested from version 0.
    pub unrequested_states: u64,
    /// Claims about this node that are newer than what it has published.
    pub own_claims: u64,
    /// Shutdowns of an unknown endpoint, or of another generation than the known one.
    pub stale_shutdowns: u64,
    /// Echo responses that arrived too late.
    pub late_echoes: u64,
    /// Endpoints that were refused because the table is full.
    pub table_full: u64,
    /// Endpoints forgotten: left, silent, or dead for too long.
    pub endpoints_forgotten: u64,
    /// States of endpoints in quarantine.
    pub quarantined: u64,
    /// Direct probes sent to live endpoints.
    pub probes_sent: u64,
    /// Direct probes that were not answered.
    pub probes_failed: u64,
    /// Values refused because one endpoint has too many, or too many bytes of them.
    pub values_refused: u64,
    /// SYNs withheld from nodes of Cassandra 6.0 that would not answer, because they have another metadata id.
    pub syns_withheld: u64,
    /// SYNs with another metadata id than that of this node, which behaves like one of Cassandra 6.0.
    pub foreign_metadata: u64,
    /// Values withheld from receivers whose release cannot decode them, counted in each message.
    pub values_withheld: u64,
    /// Values of other nodes that fit no packet of this node, and were not relayed.
    pub values_unsendable: u64,
    /// Exchanges dropped because too many were pending.
    pub exchanges_dropped: u64,
    /// Messages dropped because their peer could not be reached, or too many peers were pending.
    pub messages_dropped: u64,
    /// Messages dropped because their peer did not read, and other peers needed the room.
    pub messages_displaced: u64,
    /// Events dropped because the queue was full.
    pub events_lost: u64,

    /// Frames dropped for a wrong checksum, or messages within them that could not be read.
    pub corrupt_frames: u64,
    /// Connections closed because of invalid bytes.
    pub connections_failed: u64,
    /// Connections closed because a peer exceeded a time-out.
    pub timeouts: u64,
    /// Connections refused because there were too many.
    pub connections_refused: u64,
    /// Connections closed because there were too many, and others had precedence.
    pub connections_displaced: u64,
    /// Connections, packets and dials refused because their address is not on the list of allowed ones.
    pub not_allowed: u64,
    /// Connections refused because their address has or opens too many.
    pub connections_limited: u64,
    /// Connections closed because their address sends too many messages.
    pub messages_limited: u64,
    /// Connections closed because their address sends too many bytes.
    pub bytes_limited: u64,
    /// New endpoints refused because one address announces too many.
    pub endpoints_limited: u64,
    /// Dials put off because too many endpoints were dialled that were never live.
    pub dials_limited: u64,
    /// Connections that completed the TLS handshake.
    pub tls_opened: u64,
    /// Connections that were closed because TLS failed on them.
    pub tls_failed: u64,
    /// Connections closed because they were plain, and TLS is required.
    pub plain_refused: u64,
    /// Connections closed because they began with TLS, and TLS is off for accepted connections.
    pub tls_refused: u64,
    /// Peers that were dialled without TLS, because they closed connections with TLS.
    pub tls_fallbacks: u64,
    /// Failed system calls to accept, receive or send, for reasons of this machine.
    pub socket_errors: u64,
    /// Messages of verbs that do not concern gossip.
    pub skipped: u64,
    /// Bytes of connections or packets taken in.
    pub bytes_received: u64,
    /// Bytes handed to connections, or in packets.
    pub bytes_sent: u64,

    /// Packets taken in.
    pub packets_received: u64,
    /// Packets handed to the driver.
    pub packets_sent: u64,
    /// Packets of another version or shape, dropped.
    pub packets_malformed: u64,
    /// Messages dropped because their sender had not repeated its cookie.
    pub unproven: u64,
    /// How often sending waited because of the limit of bytes a second.
    pub throttled: u64,
    /// Packets dropped because they were plain where this node has keys, or encrypted where it has none.
    pub unsealed: u64,
    /// Packets dropped because no key of this node opens them, or because they were changed.
    pub forged: u64,
    /// Packets dropped because they are repeated, too old to check, or from another process of the sender than its proven latest
    /// one.
    pub replayed: u64,
}

impl Stats {
    /// How often the core took memory. While this stays the same, nothing is allocated.
    pub const fn growth(&self) -> u64 {
        self.endpoints_learned
            + self.generations_learned
            + self.values_grown
            + self.connections
            + self.snapshots
            + self.buffers_grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_says_what_it_counts() {
        let stats = Stats { rounds: 5, replayed: 7, ..Stats::default() };
        let counters: alloc::vec::Vec<Counter> = stats.counters().collect();
        // Each is eight bytes.
        assert_eq!(counters.len() * size_of::<u64>(), size_of::<Stats>());
        assert_eq!(counters[0], Counter { name: "rounds", value: 5, meaning: "Rounds done." });
        assert!(counters.iter().any(|counter| (counter.name, counter.value) == ("replayed", 7)));
        for Counter { name, meaning, .. } in counters {
            assert!(meaning.ends_with('.') && !meaning.contains(['\n', '`', '[']), "{name}: {meaning}");
        }
    }
}
