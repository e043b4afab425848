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
    /// Values that were new, or longer than what their place could hold.
    pub values_grown: u64,
    /// Connections dialled or accepted; over datagrams, peers that were met.
    pub connections: u64,
    /// Messages too large for the ordinary connections, each held in memory of its own.
    pub snapshots: u64,
    /// Messages of these that were sent from the memory of another: peers asked for everything in the same interval.
    pub answers_shared: u64,
    /// Buffers that had to grow for a frame or message that came in parts.
    pub buffers_grown: u64,

    /// Messages whose body could not be decoded.
    pub malformed: u64,
    /// Messages that came while gossip was disabled.
    pub while_disabled: u64,
    /// Questions under another cluster or partitioner, whose sender was told ours.
    pub questions_corrected: u64,
    /// SYNs of another cluster.
    pub foreign_cluster: u64,
    /// SYNs under another partitioner.
    pub foreign_partitioner: u64,
    /// Messages that had expired when they arrived.
    pub expired: u64,
    /// States of a generation smaller than the one known.
    pub old_generations: u64,
    /// States of a generation more than a year ahead of the wall clock.
    pub future_generations: u64,
    /// States of endpoints under which nobody could be reached.
    pub unspecified: u64,
    /// ACKs that answer nothing this process has asked.
    pub stray_acks: u64,
    /// States of unknown endpoints, or of greater generations, that were not asked for from the start.
    pub hollow_states: u64,
    /// Shutdowns that concern another generation than the one known, or somebody unknown.
    pub stale_shutdowns: u64,
    /// Answers to echoes that nobody waits for any more.
    pub late_echoes: u64,
    /// Endpoints that found no room in the table.
    pub table_full: u64,
    /// Endpoints forgotten: left, silent, or dead for too long.
    pub endpoints_forgotten: u64,
    /// States of endpoints that are gone.
    pub quarantined: u64,
    /// Direct probes sent to live endpoints.
    pub probes_sent: u64,
    /// Direct probes that were not answered.
    pub probes_failed: u64,
    /// Values refused for being too many or too much for one endpoint.
    pub values_refused: u64,
    /// SYNs kept from nodes of Cassandra 6.0 that would not answer them, since they carry another metadata id.
    pub syns_withheld: u64,
    /// SYNs with another metadata id than that of this node, which behaves like one of Cassandra 6.0.
    pub foreign_metadata: u64,
    /// Values kept from receivers whose release cannot decode them, counted at each message that would have held them.
    pub values_withheld: u64,
    /// Values that fit no packet of ours, and were not passed on: somebody with larger packets set them.
    pub values_unsendable: u64,
    /// Exchanges dropped because too many were waiting for their peers.
    pub exchanges_dropped: u64,
    /// Messages dropped because their peer could not be reached, or too many peers were waited for.
    pub messages_dropped: u64,
    /// Messages dropped because their peer did not take them, and others needed the room.
    pub messages_displaced: u64,
    /// Events that found no room.
    pub events_lost: u64,

    /// Frames dropped for a wrong checksum, or messages within them that could not be read.
    pub corrupt_frames: u64,
    /// Connections closed for what came over them.
    pub connections_failed: u64,
    /// Connections closed because somebody did not do in time what was waited for.
    pub timeouts: u64,
    /// Connections refused because there were too many.
    pub connections_refused: u64,
    /// Connections closed because there were too many, and others needed the room more.
    pub connections_displaced: u64,
    /// Connections on which the handshake of TLS came to its end.
    pub tls_opened: u64,
    /// Connections that were closed because TLS failed on them.
    pub tls_failed: u64,
    /// Connections closed because they were plain, and TLS is demanded.
    pub plain_refused: u64,
    /// Connections closed because they began with TLS, and TLS is off for connections that are accepted.
    pub tls_refused: u64,
    /// Peers that were dialled without TLS, because they did not answer to it.
    pub tls_fallbacks: u64,
    /// Calls to the system that failed for reasons of our own when something was to be accepted, received or sent.
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
    /// Messages dropped because their sender had not repeated the cookie that it was given.
    pub unproven: u64,
    /// How often something had to wait because the ceiling on bytes per second was reached.
    pub throttled: u64,
    /// Packets dropped because they were not sealed, though they have to be; or were, and cannot be opened here.
    pub unsealed: u64,
    /// Packets dropped because no key of ours opens them, or something about them was changed.
    pub forged: u64,
    /// Packets dropped because they had come before, are too old to tell, or are of another process of the sender than the one that
    /// proved to be its latest.
    pub replayed: u64,
}

impl Stats {
    /// How often something happened for which the core may take memory. While it stands still, nothing is allocated.
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
