//! The families of metrics, and how they are written.

use std::fmt;

use gossip_core::Stats;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use crate::labels::Labels;
use crate::sample::{Row, Sample};

/// The series of an endpoint, at most.
pub(crate) const PER_ENDPOINT: usize = 13;
/// All other series, at most.
pub(crate) const OTHERS: usize = 64;

/// Counters of what a node refuses. The name of the counter is the reason.
const REFUSED: [&str; 41] = [
    "malformed",
    "while_disabled",
    "foreign_cluster",
    "foreign_partitioner",
    "expired",
    "old_generations",
    "future_generations",
    "unspecified",
    "stray_acks",
    "unrequested_states",
    "own_claims",
    "stale_shutdowns",
    "late_echoes",
    "table_full",
    "quarantined",
    "values_refused",
    "values_unsendable",
    "foreign_metadata",
    "exchanges_dropped",
    "messages_dropped",
    "messages_displaced",
    "events_lost",
    "corrupt_frames",
    "connections_failed",
    "timeouts",
    "connections_refused",
    "connections_displaced",
    "not_allowed",
    "connections_limited",
    "messages_limited",
    "bytes_limited",
    "endpoints_limited",
    "dials_limited",
    "tls_failed",
    "plain_refused",
    "tls_refused",
    "packets_malformed",
    "unproven",
    "unsealed",
    "forged",
    "replayed",
];

/// The gauge that says whether the others can be relied on, and its help.
const SETTLED: (&str, &str) =
    ("gossip_view_settled", "Whether this node has taken part for long enough to know each endpoint.");

/// Writes all families.
pub(crate) fn encode(
    cluster: &str,
    sample: &Sample,
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let mut families = Families { cluster, encoder };
    families.of_endpoints(&sample.rows)?;
    families.of_cluster(sample)?;
    families.of_node(sample)
}

/// Says that nothing is known.
pub(crate) fn encode_unsettled(cluster: &str, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let (name, help) = SETTLED;
    Families { cluster, encoder }.number(name, help, 0)
}

struct Families<'a, 'e> {
    cluster: &'a str,
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Families<'_, '_> {
    fn of_endpoints(&mut self, rows: &[Row]) -> Result<(), fmt::Error> {
        let flag = |is_so: bool| Some(i64::from(is_so));
        let count = |count: Option<usize>| count.map(|count| count as u64);
        let seconds = |duration: std::time::Duration| duration.as_secs_f64();
        self.gauges(
            "cassandra_endpoint_active",
            "Whether the failure detector takes the endpoint for up.",
            rows,
            |row| flag(row.is_live),
        )?;
        self.gauges(
            "cassandra_endpoint_phi",
            "Suspicion level of the endpoint, on the scale of the threshold, which is usually 8.",
            rows,
            |row| row.phi,
        )?;
        self.gauges(
            "cassandra_endpoint_generation",
            "Generation of the endpoint: the time of its start, in seconds since the Unix epoch.",
            rows,
            |row| Some(i64::from(row.generation)),
        )?;
        self.gauges(
            "cassandra_endpoint_heartbeat_age_seconds",
            "Time since the newest heartbeat of the endpoint arrived.",
            rows,
            |row| row.heard_ago.map(seconds),
        )?;
        let mut family = self.encoder.encode_descriptor(
            "cassandra_endpoint_downtime_seconds",
            "Time for which the endpoint was not up, as far as this node saw it.",
            None,
            MetricType::Counter,
        )?;
        for row in rows {
            counter(&mut family, &row.labels(self.cluster), &row.downtime.as_secs_f64())?;
        }
        let mut family = self.encoder.encode_descriptor(
            "cassandra_endpoint",
            "What the endpoint says of itself.",
            None,
            MetricType::Info,
        )?;
        for row in rows {
            let said = Labels(row.info.each_ref().map(|(name, value)| (*name, value.as_str())));
            family.encode_family(&row.labels(self.cluster))?.encode_info(&said)?;
        }
        self.gauges(
            "cassandra_endpoint_load_bytes",
            "Size of the data of the endpoint, as it publishes it.",
            rows,
            |row| row.load,
        )?;
        self.gauges(
            "cassandra_endpoint_severity",
            "Severity that the endpoint publishes for dynamic snitches.",
            rows,
            |row| row.severity,
        )?;
        self.gauges(
            "cassandra_endpoint_rpc_ready",
            "Whether the endpoint says that it serves clients.",
            rows,
            |row| row.rpc_ready.and_then(flag),
        )?;
        self.gauges(
            "cassandra_endpoint_index_not_ready",
            "Number of secondary indexes of the endpoint that are not built.",
            rows,
            |row| count(row.index_not_ready),
        )?;
        self.gauges("cassandra_endpoint_tokens", "Number of tokens of the endpoint.", rows, |row| {
            count(row.tokens)
        })?;
        self.gauges(
            "cassandra_token_ownership_ratio",
            "Share of the ring that the endpoint owns by its tokens, without replication.",
            rows,
            |row| row.share,
        )?;
        let mut family = self.encoder.encode_descriptor(
            "cassandra_endpoint_disk_usage",
            "State of the disk usage guardrail of the endpoint, in the label state.",
            None,
            MetricType::Gauge,
        )?;
        for row in rows {
            if let Some(state) = row.disk_usage {
                gauge(&mut family, &(row.labels(self.cluster), Labels([("state", state)])), &1_i64)?;
            }
        }
        Ok(())
    }

    fn of_cluster(&mut self, sample: &Sample) -> Result<(), fmt::Error> {
        let counts = sample.counts;
        let standings = [("up", counts.up), ("down", counts.down), ("unverified", counts.unverified)];
        let name = "cassandra_endpoints";
        let help = "Number of endpoints that this node takes for up, for down, or has not verified yet.";
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (state, count) in standings {
            let labels = Labels([("cassandra_cluster", self.cluster), ("state", state)]);
            gauge(&mut family, &labels, &(count as u64))?;
        }
        let numbers = [
            ("cassandra_schema_versions", "Number of schema versions among live endpoints.", counts.schemas),
            ("cassandra_release_versions", "Number of releases among live endpoints.", counts.releases),
            (
                "cassandra_gossip_only_endpoints",
                "Number of endpoints in gossip that have no place in the cluster.",
                counts.gossip_only,
            ),
            (
                "gossip_endpoints_omitted",
                "Number of endpoints that have no series, since there would be too many.",
                sample.omitted,
            ),
            (SETTLED.0, SETTLED.1, usize::from(sample.is_settled)),
        ];
        for (name, help, value) in numbers {
            self.number(name, help, value as u64)?;
        }
        Ok(())
    }

    fn of_node(&mut self, sample: &Sample) -> Result<(), fmt::Error> {
        let stats = &sample.vitals.stats;
        self.counters("gossip_rounds", "Gossip rounds of this node.", [([], stats.rounds)])?;
        self.counters("gossip_messages", "Messages of gossip exchanges.", messages(stats))?;
        self.counters(
            "gossip_bytes",
            "Bytes of connections or packets.",
            [([("direction", "in")], stats.bytes_received), ([("direction", "out")], stats.bytes_sent)],
        )?;
        let refused = stats.counters().filter(|counter| REFUSED.contains(&counter.name));
        self.counters(
            "gossip_refused",
            "What this node refused or dropped, by reason.",
            refused.map(|counter| ([("reason", counter.name)], counter.value)),
        )?;
        let name = "gossip_connections";
        let mut family =
            self.encoder.encode_descriptor(name, "Open connections.", None, MetricType::Gauge)?;
        let open = sample.vitals.connections;
        for (direction, count) in [("in", open.accepted), ("out", open.dialled)] {
            let labels = Labels([("cassandra_cluster", self.cluster), ("direction", direction)]);
            gauge(&mut family, &labels, &count)?;
        }
        Ok(())
    }

    fn gauges<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: &[Row],
        value: impl Fn(&Row) -> Option<V>,
    ) -> Result<(), fmt::Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for row in rows {
            if let Some(value) = value(row) {
                gauge(&mut family, &row.labels(self.cluster), &value)?;
            }
        }
        Ok(())
    }

    fn number(&mut self, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        gauge(&mut family, &Labels([("cassandra_cluster", self.cluster)]), &value)
    }

    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'l str); N], u64)>,
    ) -> Result<(), fmt::Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let labels = (Labels([("cassandra_cluster", self.cluster)]), Labels(labels));
            counter(&mut family, &labels, &value)?;
        }
        Ok(())
    }
}

impl Row {
    fn labels<'a>(&'a self, cluster: &'a str) -> Labels<'a, 4> {
        Labels([
            ("cassandra_cluster", cluster),
            ("endpoint", &self.label),
            ("endpoint_datacenter", &self.data_center),
            ("endpoint_rack", &self.rack),
        ])
    }
}

fn messages(stats: &Stats) -> [([(&'static str, &'static str); 2], u64); 6] {
    let series = |verb, direction, value| ([("verb", verb), ("direction", direction)], value);
    [
        series("syn", "in", stats.syns_received),
        series("ack", "in", stats.acks_received),
        series("ack2", "in", stats.ack2s_received),
        series("syn", "out", stats.syns_sent),
        series("ack", "out", stats.acks_sent),
        series("ack2", "out", stats.ack2s_sent),
    ]
}

fn gauge(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: &impl EncodeGaugeValue,
) -> Result<(), fmt::Error> {
    family.encode_family(labels)?.encode_gauge(value)
}

fn counter(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: &impl EncodeCounterValue,
) -> Result<(), fmt::Error> {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(value, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All other counters: they count work, and no refusals.
    const DONE: [&str; 30] = [
        "rounds",
        "syns_received",
        "acks_received",
        "ack2s_received",
        "messages_sent",
        "syns_sent",
        "acks_sent",
        "ack2s_sent",
        "endpoints_learned",
        "generations_learned",
        "values_grown",
        "connections",
        "snapshots",
        "answers_shared",
        "buffers_grown",
        "questions_corrected",
        "endpoints_forgotten",
        "probes_sent",
        "probes_failed",
        "syns_withheld",
        "values_withheld",
        "tls_opened",
        "tls_fallbacks",
        "socket_errors",
        "skipped",
        "bytes_received",
        "bytes_sent",
        "packets_received",
        "packets_sent",
        "throttled",
    ];

    #[test]
    fn each_counter_is_either_of_what_is_refused_or_of_what_is_done() {
        let names: Vec<&str> = Stats::default().counters().map(|counter| counter.name).collect();
        for name in &names {
            assert_ne!(
                REFUSED.contains(name),
                DONE.contains(name),
                "{name}: add it to REFUSED, or to DONE of this test"
            );
        }
        for name in REFUSED.iter().chain(&DONE) {
            assert!(names.contains(name), "{name} is no counter of Stats");
        }
    }
}
