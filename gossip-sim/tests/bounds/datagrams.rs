//! The same over packets of 1,400 bytes.

use std::str::FromStr;
use std::time::{Duration, Instant};

use gossip_core::Event;
use gossip_sim::{Builder, Cluster, View, seconds};

use super::rounds_to_be_everywhere;

const NOBODY: [String; 0] = [];

/// A cluster that gossips in packets, of which so many of 100 are lost, and in which everybody has found everybody live.
fn steady(hosts: usize, loss_percent: u32, tune: impl FnOnce(Builder) -> Builder) -> Cluster {
    let mut cluster = tune(Cluster::new(hosts).seed(1).datagrams().loss_percent(loss_percent)).start();
    join(&mut cluster, None);
    cluster.run_rounds(20);
    cluster
}

/// Runs until everybody has found everybody live, or for so long.
fn join(cluster: &mut Cluster, patience: Option<Duration>) {
    let began = Instant::now();
    let start = cluster.now();
    let mut next = start + seconds(10);
    let is_done = |view: &View<'_>| {
        if view.now() >= next {
            next = view.now() + seconds(10);
            print_progress(view, began);
        }
        patience.is_some_and(|patience| view.now() >= start + patience) || view.all_live()
    };
    let took = cluster.run_until(is_done, seconds(600));
    let state = if cluster.view().all_live() { "all live" } else { "not waited any longer" };
    eprintln!("{state} after {took:?} ({:.0?})", began.elapsed());
}

/// Prints how far a cluster has come; of thousands it takes minutes to hear anything else.
fn print_progress(view: &View<'_>, began: Instant) {
    let (mut known, mut live) = (0, 0);
    for (_, gossiper) in view.running() {
        known += gossiper.endpoint_count() - 1;
        live += gossiper.live_endpoints().count();
    }
    eprintln!("{:?}: {known} pairs know each other, {live} are live ({:.0?})", view.now(), began.elapsed());
}

/// Runs on, and prints what each node sends.
fn print_traffic(cluster: &mut Cluster, hosts: usize, rounds: u32) {
    let before = cluster.traffic();
    cluster.run_rounds(rounds);
    let after = cluster.traffic();
    #[expect(clippy::cast_precision_loss, reason = "it is printed")]
    let per_node = |count: u64| count as f64 / hosts as f64 / f64::from(rounds);
    eprintln!(
        "{hosts} nodes: {:.0} bytes in {:.1} packets sent by each in a second",
        per_node(after.bytes - before.bytes),
        per_node(after.sent - before.sent)
    );
}

/// Whom anybody found down, and when.
fn downs(cluster: &Cluster, hosts: usize) -> Vec<String> {
    let of_host = |host| {
        let down = |event: &&(_, Event)| matches!(event.1, Event::Down { .. });
        let events = cluster.events(host).iter().filter(down);
        events.map(move |(at, event)| format!("host {host} at {at:?}: {event:?}"))
    };
    (0..hosts).flat_map(of_host).collect()
}

#[test]
fn update_is_everywhere_among_100_nodes_in_8_rounds() {
    let mut cluster = steady(100, 0, |builder| builder);
    print_traffic(&mut cluster, 100, 20);
    assert!(rounds_to_be_everywhere(&mut cluster, 100, 100).percentile(99) <= 8.0);
    assert_eq!(downs(&cluster, 100), NOBODY);
}

/// 100 nodes of which a SYN lists at most a third.
#[test]
fn partial_digests_spread_news_as_fast_and_convict_nobody() {
    let partial = |builder: Builder| {
        builder.configure(|_, config| {
            config.change_datagrams(|datagrams| {
                datagrams.max_size = 512;
                datagrams.max_per_syn = 1;
            })
        })
    };
    let mut cluster = steady(100, 10, partial);
    let rotation = cluster.gossiper(7).digest_rotation();
    eprintln!("100 nodes, packets of 512 bytes: everybody is listed within {rotation} SYNs");
    assert!(rotation >= 3);
    assert!(rounds_to_be_everywhere(&mut cluster, 100, 100).percentile(99) <= 15.0);
    cluster.run_rounds(500);
    assert_eq!(downs(&cluster, 100), NOBODY);
}

#[test]
#[ignore = "minutes: cargo test --release -p gossip-sim --test bounds datagrams -- --ignored --nocapture"]
fn update_is_everywhere_among_1000_nodes_in_20_rounds() {
    let mut cluster = steady(1_000, 0, |builder| builder);
    print_traffic(&mut cluster, 1_000, 20);
    assert!(rounds_to_be_everywhere(&mut cluster, 1_000, 100).percentile(99) <= 20.0);
    assert_eq!(downs(&cluster, 1_000), NOBODY);
}

#[test]
#[ignore = "minutes: cargo test --release -p gossip-sim --test bounds datagrams -- --ignored --nocapture"]
fn update_is_everywhere_among_1000_nodes_in_30_rounds_at_20_percent_loss() {
    let mut cluster = steady(1_000, 20, |builder| builder);
    assert!(rounds_to_be_everywhere(&mut cluster, 1_000, 100).percentile(99) <= 30.0);
    assert_eq!(downs(&cluster, 1_000), NOBODY);
}

/// A number from the environment, to change the test.
fn set<T: FromStr>(variable: &str) -> Option<T> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value}")))
}

/// As many as fit the memory: each of so many nodes knows all the others. `docs/simulation.md` says what 10,000 take, and what came of it.
#[test]
#[ignore = "gigabytes: HOSTS=4000 cargo test --release -p gossip-sim --test bounds among_thousands -- --ignored --nocapture"]
fn update_is_everywhere_among_thousands_of_nodes_in_25_rounds() {
    let hosts = set("HOSTS").unwrap_or(2_000);
    // Of the last few it takes long to hear: so many seconds after the start they are not waited for.
    let patience = set("JOIN_SECONDS").map(Duration::from_secs_f64);
    let updates = set("UPDATES").unwrap_or(5);
    let cluster = Cluster::new(hosts).seed(1).datagrams().one_state();
    let cluster = cluster.remember(|event| matches!(event, Event::Down { .. }));
    let cluster = cluster.configure(move |_, config| {
        let config = config
            .change_detector(|detector| detector.arrival_window = 8)
            .change_limits(|limits| limits.max_endpoints = hosts);
        config.change_limits(|limits| {
            limits.max_pending_acks = 2;
            limits.max_pending_peers = 256;
            limits.max_pending_events = 16;
        })
    });
    let mut cluster = cluster.start();
    join(&mut cluster, patience);
    cluster.run_rounds(1);
    let rotation = cluster.gossiper(7).digest_rotation();
    eprintln!("{hosts} nodes: everybody is listed within {rotation} SYNs");
    print_traffic(&mut cluster, hosts, 1);
    assert!(rounds_to_be_everywhere(&mut cluster, hosts, updates).max() <= 25.0);
    assert_eq!(downs(&cluster, hosts), NOBODY);
}

#[test]
#[ignore = "minutes: cargo test --release -p gossip-sim --test bounds datagrams -- --ignored --nocapture"]
fn tenth_of_all_packets_lost_convicts_nobody_of_1000_in_1000_rounds() {
    let mut cluster = steady(1_000, 10, |builder| builder);
    print_traffic(&mut cluster, 1_000, 1_000);
    assert_eq!(downs(&cluster, 1_000), NOBODY);
    assert!(cluster.view().all_live());
}
