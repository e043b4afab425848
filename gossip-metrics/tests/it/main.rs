//! What a scrape answers, and what it costs.

mod open_metrics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_adapter::{Builder, Events, Handle, Prepared, Runtime, Snapshot, StartError, Vitals};
use gossip_benches::messages::{full_states, ordinary_states, peer};
use gossip_benches::world::World;
use gossip_core::{ApplicationState, Endpoint, Gossiper, OpenConnections, Timestamp, Verb};
use gossip_metrics::{Format, GossipMetrics, max_series};

use crate::open_metrics::{Exposition, parse};

/// What names the `n`-th peer in labels.
fn address(n: u32) -> String {
    peer(n).ip().to_string()
}

/// A gossiper that knows so many peers, all of them live.
fn gossiper(count: u32, states: impl Fn(u32) -> Vec<(ApplicationState, String)> + Copy) -> Gossiper {
    World::new(count, 5, states).gossiper
}

/// What is known of `gossiper` now, as metrics.
fn metrics_of(gossiper: &Gossiper) -> GossipMetrics {
    let metrics = GossipMetrics::detached("Prod");
    put(&metrics, gossiper);
    metrics
}

fn put(metrics: &GossipMetrics, gossiper: &Gossiper) {
    let room = Vec::with_capacity(gossiper.endpoint_count());
    metrics.put(Arc::new(Snapshot::of(gossiper)), Vitals::of(gossiper, OpenConnections::default(), room));
}

fn scrape(metrics: &GossipMetrics) -> Exposition {
    let text = metrics.text(Format::OpenMetrics).expect("there is memory");
    parse(&text).expect("it is OpenMetrics")
}

#[test]
fn an_open_metrics_parser_accepts_what_is_told() {
    let told = scrape(&metrics_of(&gossiper(5, ordinary_states)));
    let third = address(3);
    let labels = [("cassandra_cluster", "Prod"), ("endpoint", &*third), ("endpoint_datacenter", "dc1")];
    assert_eq!(told.value("cassandra_endpoint_active", &labels), Some(1.0));
    assert_eq!(told.value("cassandra_endpoint_generation", &labels), Some(1.0));
    assert_eq!(told.value("cassandra_endpoint_load_bytes", &labels), Some(224_279.0));
    assert_eq!(told.value("cassandra_endpoint_tokens", &labels), Some(1.0));
    assert_eq!(told.value("cassandra_endpoint_downtime_seconds_total", &labels), Some(0.0));
    let said = [&labels[..], &[("release_version", "4.1.7"), ("status", "NORMAL")]].concat();
    assert_eq!(told.value("cassandra_endpoint_info", &said), Some(1.0));
    assert_eq!(told.value("gossip_view_settled", &[]), Some(1.0));
    assert_eq!(told.value("gossip_messages_total", &[("verb", "ack2"), ("direction", "in")]), Some(1.0));
    let shares: f64 = told.all("cassandra_token_ownership_ratio").map(|(_, value)| value).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
}

#[test]
fn the_older_format_has_the_same_samples() {
    let metrics = metrics_of(&gossiper(3, ordinary_states));
    let open = metrics.text(Format::OpenMetrics).unwrap();
    let older = metrics.text(Format::Prometheus).unwrap();
    // The labels of an info come in another order.
    let samples = |text: &str| {
        let sorted = |line: &str| {
            let mut parts: Vec<_> = line.split(['{', ',', '}']).map(str::to_owned).collect();
            parts.sort();
            parts
        };
        text.lines().filter(|line| !line.starts_with('#')).map(sorted).collect::<Vec<_>>()
    };
    assert_eq!(samples(&open), samples(&older));
    // There each series has the type under its own name, and there is no end.
    assert!(older.contains("# TYPE gossip_rounds_total counter\n") && !older.contains("# EOF"), "{older}");
    assert!(older.contains("# TYPE cassandra_endpoint_info gauge\n"), "{older}");
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let prometheus_3 =
        "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    assert_eq!(Format::of_accept(Some(prometheus_3)), Format::OpenMetrics);
    for accept in [None, Some("*/*"), Some("text/html,text/plain")] {
        assert_eq!(Format::of_accept(accept), Format::Prometheus);
    }
}

#[test]
fn nothing_is_told_of_an_endpoint_that_is_gone() {
    let mut world = World::new(3, 5, ordinary_states);
    let metrics = metrics_of(&world.gossiper);
    assert!(metrics.text(Format::OpenMetrics).unwrap().contains(&address(2)));
    let left = |n| {
        let mut states = ordinary_states(n);
        let status = states.pop().map(|(key, _)| key);
        assert_eq!(status, Some(ApplicationState::STATUS_WITH_PORT));
        // Under a version that is not known yet.
        states
            .extend([(ApplicationState::new(1_000), "x".into()), (ApplicationState::new(1_001), "x".into())]);
        states.push((ApplicationState::STATUS_WITH_PORT, "LEFT,5,99999999999999".into()));
        states
    };
    world.handle(Verb::GOSSIP_DIGEST_ACK2, &full_states(&[2], 50, left));
    put(&metrics, &world.gossiper);
    let told = metrics.text(Format::OpenMetrics).unwrap();
    assert!(told.contains(&address(1)) && !told.contains(&address(2)), "{told}");
}

#[test]
fn whatever_is_published_makes_no_bad_line_and_no_further_series() {
    let hostile = |n: u32| {
        let mut states = ordinary_states(n);
        for (key, value) in &mut states {
            if *key != ApplicationState::TOKENS {
                *value = format!("a\"b\\c\nd{{}}# EOF\n{}", "x".repeat(5_000));
            }
        }
        states.push((ApplicationState::DISK_USAGE, format!("MINE{n}")));
        states.push((ApplicationState::INDEX_STATUS, "[".repeat(10_000)));
        states.push((ApplicationState::SEVERITY, "NaN".into()));
        states
    };
    let told = scrape(&metrics_of(&gossiper(4, hostile)));
    let first = address(1);
    let series = [("endpoint", &*first), ("state", "OTHER")];
    assert_eq!(told.value("cassandra_endpoint_disk_usage", &series), Some(1.0));
    assert!(told.samples.iter().all(|sample| sample.labels.values().all(|value| value.len() <= 128)));
    assert!(told.all("cassandra_endpoint_load_bytes").next().is_none());
    assert!(told.samples.len() <= max_series(5));
}

#[test]
fn there_are_no_more_series_than_promised() {
    let gossiper = gossiper(100, |n| {
        let mut states = ordinary_states(n);
        states.push((ApplicationState::DISK_USAGE, "FULL".into()));
        states.push((ApplicationState::SEVERITY, "0.5".into()));
        states.push((ApplicationState::RPC_READY, "true".into()));
        states.push((ApplicationState::INDEX_STATUS, "{}".into()));
        states
    });
    let told = scrape(&metrics_of(&gossiper));
    assert!(told.samples.len() <= max_series(101), "{} of {}", told.samples.len(), max_series(101));
    let metrics = GossipMetrics::detached("Prod").max_endpoints(10);
    put(&metrics, &gossiper);
    let told = scrape(&metrics);
    assert_eq!(told.all("cassandra_endpoint_active").count(), 10);
    assert_eq!(told.value("gossip_endpoints_omitted", &[]), Some(91.0));
    assert!(told.samples.len() <= max_series(10));
    // Who only takes part in gossip has no place among the members.
    let metrics = GossipMetrics::detached("Prod").members_only();
    put(&metrics, &gossiper);
    assert_eq!(scrape(&metrics).all("cassandra_endpoint_active").count(), 100);
    assert_eq!(scrape(&metrics).value("cassandra_gossip_only_endpoints", &[]), Some(1.0));
}

/// The figure is in `benches/README.md`. This bound is a hundred times as much: it only fails if the work grows out of proportion.
#[test]
fn a_thousand_endpoints_are_told_at_once() {
    let gossiper = gossiper(1_000, ordinary_states);
    let metrics = metrics_of(&gossiper);
    // The view is there already; it is shared with all that read it.
    let known = Arc::new(Snapshot::of(&gossiper));
    let mut times = Vec::new();
    for _ in 0..21 {
        let began = Instant::now();
        let room = Vec::with_capacity(gossiper.endpoint_count());
        metrics.put(known.clone(), Vitals::of(&gossiper, OpenConnections::default(), room));
        let text = metrics.text(Format::OpenMetrics).unwrap();
        times.push(began.elapsed());
        assert!(text.lines().count() > 9_000, "{}", text.lines().count());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    assert!(median < Duration::from_secs(1), "{times:?}");
    println!("1,000 endpoints: {median:?}");
}

/// An adapter without sockets, whose node and mailbox the test has in its own hands.
enum InHand {}

impl Runtime for InHand {
    type Start<M: 'static> = Result<(Prepared<M>, Handle<M>, Events), StartError>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        let listening = builder.listen_on()?;
        let prepared = builder.prepare(listening)?;
        let (handle, events) = (prepared.handle.clone(), prepared.events.clone());
        Ok((prepared, handle, events))
    }
}

#[test]
fn a_scrape_takes_no_memory_where_the_node_runs() {
    const ENDPOINTS: u32 = 1_000;
    let mut builder = Builder::<InHand>::new("Prod");
    for n in 1..=ENDPOINTS {
        builder = builder.saved_endpoint(peer(n).into());
    }
    let (mut prepared, handle, _events) = builder.start().unwrap();
    let mut room = Vec::new();
    for turn in 0..5 {
        let mut answer = handle.vitals(room);
        let used = allocation_counter::measure(|| {
            prepared.mailbox.run(&mut prepared.node, Timestamp::from_millis(turn));
        });
        let vitals = answer.try_take().expect("it is answered").expect("it runs");
        assert_eq!(vitals.known, ENDPOINTS as usize + 1);
        room = vitals.pulses;
        if turn == 0 {
            // There was no room.
            assert!(room.is_empty());
            room = Vec::with_capacity(vitals.known);
        } else {
            assert_eq!(room.len(), vitals.known);
        }
        // The mailbox has taken its own memory by then.
        if turn > 1 {
            assert_eq!((used.count_total, used.bytes_total), (0, 0), "turn {turn}");
        }
    }
}

#[tokio::test]
async fn a_node_that_has_stopped_tells_only_that_it_knows_nothing() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let (node, _) = gossip_tokio::Builder::new("c").listen(listen).start().await.unwrap();
    let metrics = GossipMetrics::new(&node, "c");
    assert!(!metrics.is_settled() && !metrics.text(Format::OpenMetrics).unwrap().contains("active"));
    metrics.refresh().await.unwrap();
    assert!(metrics.is_settled(), "a node without seeds knows all that there is");
    assert_eq!(scrape(&metrics).all("cassandra_endpoint_active").count(), 1);
    node.shutdown().await.unwrap();
    assert!(metrics.refresh().await.is_err());
    let told = scrape(&metrics);
    assert_eq!((told.samples.len(), told.value("gossip_view_settled", &[])), (1, Some(0.0)));
}

#[tokio::test]
async fn a_node_is_settled_when_it_knows_who_is_up() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let builder = || gossip_tokio::Builder::new("c").listen(listen).interval(Duration::from_millis(50));
    let (first, _) = builder().start().await.unwrap();
    let (second, _) = builder().seed(first.listen_address()).start().await.unwrap();
    let metrics = GossipMetrics::new(&second, "c");
    metrics.refresh().await.unwrap();
    assert!(!metrics.is_settled(), "it has not heard of its seed");
    second.view().await.unwrap().until_live(2).await.unwrap();
    metrics.refresh().await.unwrap();
    assert!(metrics.is_settled());
    assert_eq!(scrape(&metrics).value("cassandra_endpoints", &[("state", "up")]), Some(2.0));
    let first: Endpoint = first.local_endpoint();
    assert!(metrics.text(Format::OpenMetrics).unwrap().contains(&first.to_string()));
}
