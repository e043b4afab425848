//! Hundreds of nodes that start at the same time: how soon all see all, and what it costs.

use std::str::FromStr;
use std::time::Duration;

use gossip_core::Event;
use gossip_sim::{Builder, Cluster, seconds};

use super::Sorted;

/// How the nodes of a crowd exchange messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Carrier {
    Streams,
    Datagrams,
}

const CARRIERS: [Carrier; 2] = [Carrier::Streams, Carrier::Datagrams];

impl Carrier {
    fn builder(self, hosts: usize) -> Builder {
        match self {
            Self::Streams => Cluster::new(hosts).streams(),
            Self::Datagrams => Cluster::new(hosts).datagrams(),
        }
    }
}

/// The counters of all nodes together.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    all: u64,
    exchanges: u64,
    probes: u64,
    bytes: u64,
    dropped: u64,
}

impl Sent {
    fn of(cluster: &Cluster) -> Self {
        cluster.view().running().fold(Self::default(), |sum, (_, gossiper)| {
            let stats = gossiper.stats();
            Self {
                all: sum.all + stats.messages_sent,
                exchanges: sum.exchanges + stats.syns_sent + stats.acks_sent + stats.ack2s_sent,
                probes: sum.probes + stats.probes_sent,
                bytes: sum.bytes + stats.bytes_sent,
                dropped: sum.dropped + stats.exchanges_dropped + stats.messages_dropped,
            }
        })
    }

    /// What each of so many nodes sent in a second since `before`.
    #[expect(clippy::cast_precision_loss, reason = "counts of a test are far below 2^52")]
    fn rates_since(self, before: Self, hosts: usize, time: Duration) -> Rates {
        let rate = |now: u64, before: u64| (now - before) as f64 / hosts as f64 / time.as_secs_f64();
        Rates {
            all: rate(self.all, before.all),
            exchanges: rate(self.exchanges, before.exchanges),
            probes: rate(self.probes, before.probes),
            bytes: rate(self.bytes, before.bytes),
            dropped: rate(self.dropped, before.dropped),
        }
    }
}

/// What a node sends in a second.
#[derive(Clone, Copy, Debug)]
struct Rates {
    all: f64,
    exchanges: f64,
    probes: f64,
    bytes: f64,
    dropped: f64,
}

impl Rates {
    fn print(self, what: &str) {
        let Self { all, exchanges, probes, bytes, dropped } = self;
        eprintln!(
            "  {what}: each node sends {all:.1} messages and {bytes:.0} bytes a second: \
             {exchanges:.1} of exchanges, {probes:.1} probes; {dropped:.1} are dropped"
        );
    }
}

/// Starts all nodes within a second, and says how long after that all see all.
fn join(carrier: Carrier, hosts: usize, seed: u64) -> (Cluster, Duration) {
    let builder = carrier.builder(hosts).seed(seed).remember(|event| matches!(event, Event::Down { .. }));
    let mut cluster = builder.start();
    let took = cluster.run_until(|view| view.all_live(), seconds(120));
    eprintln!("{hosts} nodes, {carrier:?}, seed {seed}: all see all {took:?} after the last start");
    let rates = Sent::of(&cluster).rates_since(Sent::default(), hosts, took + seconds(1));
    rates.print("join");
    (cluster, took)
}

/// What each node sends in the next `time`.
fn rates_for(cluster: &mut Cluster, hosts: usize, time: Duration) -> Rates {
    let before = Sent::of(cluster);
    cluster.run_for(time);
    Sent::of(cluster).rates_since(before, hosts, time)
}

/// How many hosts have found another down.
fn downs(cluster: &Cluster, hosts: usize) -> usize {
    let is_down = |event: &&(_, Event)| matches!(event.1, Event::Down { .. });
    (0..hosts).map(|host| cluster.events(host).iter().filter(is_down).count()).sum()
}

#[test]
fn two_hundred_that_start_together_see_each_other_within_6_s() {
    for (carrier, seed) in CARRIERS.into_iter().zip(1..) {
        let (cluster, took) = join(carrier, 200, seed);
        assert!(took <= seconds(6), "{carrier:?}: {took:?}");
        assert_eq!(downs(&cluster, 200), 0);
    }
}

#[test]
#[ignore = "minutes: cargo test --release -p gossip-sim --test bounds crowds -- --ignored --nocapture"]
fn a_thousand_that_start_together_see_each_other_within_25_s() {
    let (mut cluster, took) = join(Carrier::Datagrams, 1_000, 1);
    rates_for(&mut cluster, 1_000, seconds(20)).print("first 20 s");
    rates_for(&mut cluster, 1_000, seconds(10)).print("then");
    assert!(took <= seconds(25), "{took:?}");
    assert_eq!(downs(&cluster, 1_000), 0);
}

#[test]
fn probes_cost_the_same_in_clusters_of_any_size_and_nothing_while_many_join() {
    for hosts in [25, 50, 100] {
        let (mut cluster, _) = join(Carrier::Streams, hosts, 3);
        assert_eq!(Sent::of(&cluster).probes, 0, "{hosts} nodes, during the join");
        // Who took part in no exchange with a node for two rounds for each node is probed.
        cluster.run_rounds(2 * u32::try_from(hosts).unwrap_or(u32::MAX));
        let rates = rates_for(&mut cluster, hosts, seconds(60));
        rates.print("steady state");
        assert!(rates.probes > 0.0 && rates.probes <= 0.15, "{hosts} nodes: {rates:?}");
        assert!(rates.all <= 3.5, "{hosts} nodes: {rates:?}");
    }
}

/// Two nodes of 20 do not reach each other, and hear each other's heartbeats from all others.
#[test]
fn a_link_that_is_cut_is_found_within_three_rounds_for_each_node() {
    for carrier in CARRIERS {
        let hosts = 20;
        let mut cluster = carrier.builder(hosts).seed(5).start();
        cluster.run_until(|view| view.all_live(), seconds(60));
        cluster.run_for(seconds(20));
        cluster.cut(3, 4);
        cluster.cut(4, 3);
        // Silent for two rounds for each node, then its turn, then ten intervals to answer.
        cluster.run_for(seconds(40 + 20 + 12));
        for (host, other) in [(3, 4), (4, 3)] {
            let other = cluster.endpoint(other);
            let is_found = |(_, event): &(_, Event)| matches!(event, Event::ProbeFailed { endpoint, is_relayed: true, .. } if *endpoint == other);
            assert!(cluster.events(host).iter().any(is_found), "{carrier:?}: host {host}");
        }
        assert_eq!(downs(&cluster, hosts), 0, "the others still hear both");
    }
}

/// Prints what a crowd of `HOSTS` costs, over the carriers whose name holds `CARRIER`.
#[test]
#[ignore = "prints figures: HOSTS=500 cargo test -p gossip-sim --test bounds figures -- --ignored --nocapture"]
fn figures_of_a_crowd() {
    fn set<T: FromStr>(variable: &str) -> Option<T> {
        std::env::var(variable).ok()?.parse().ok()
    }
    let hosts = set("HOSTS").unwrap_or(200);
    let only: String = set("CARRIER").unwrap_or_default();
    for carrier in CARRIERS.into_iter().filter(|carrier| format!("{carrier:?}").contains(&only)) {
        let (mut cluster, _) = join(carrier, hosts, set("SEED").unwrap_or(1));
        rates_for(&mut cluster, hosts, seconds(20)).print("first 20 s");
        rates_for(&mut cluster, hosts, seconds(20)).print("then");
    }
}

/// A tenth of the nodes is killed. Heartbeats of the dead are still under way for some rounds.
#[test]
fn over_packets_the_dead_are_found_within_25_s_of_100_times_99() {
    let hosts = 60;
    let mut times = Vec::new();
    for seed in 1..=3 {
        let (mut cluster, _) = join(Carrier::Datagrams, hosts, seed);
        cluster.run_for(seconds(80));
        assert_eq!(downs(&cluster, hosts), 0);
        let killed = cluster.now();
        let dead: Vec<_> = (0..hosts).skip(5).step_by(10).collect();
        for host in &dead {
            cluster.kill(*host);
        }
        cluster.run_for(seconds(45));
        let dead: Vec<_> = dead.into_iter().map(|host| (host, cluster.endpoint(host))).collect();
        for host in (0..hosts).filter(|host| dead.iter().all(|(dead, _)| dead != host)) {
            for (at, event) in cluster.events(host) {
                let endpoint = event.endpoint().unwrap();
                assert!(dead.iter().any(|(_, dead)| *dead == endpoint), "{endpoint} lives");
                times.push(at.saturating_since(killed).as_secs_f64());
            }
        }
    }
    let pairs = 3 * 54 * 6;
    let times = Sorted::new(times);
    eprintln!("{hosts} nodes over packets, six killed: seconds until they were found down: {times}");
    assert_eq!(times.0.len(), pairs, "each of the dead is found by all");
    assert!(times.percentile(99) <= 25.0 && times.min() >= 13.0);
}

#[test]
fn over_packets_nobody_is_found_down_where_a_fifth_is_lost() {
    let hosts = 40;
    for seed in 1..=2 {
        let builder = Carrier::Datagrams.builder(hosts).seed(seed).loss_percent(20);
        let mut cluster = builder.remember(|event| matches!(event, Event::Down { .. })).start();
        cluster.run_until(|view| view.all_live(), seconds(60));
        cluster.run_for(seconds(300));
        assert_eq!(downs(&cluster, hosts), 0, "seed {seed}");
    }
}

/// Echoes and their answers get lost, too, and have to be repeated.
#[test]
fn over_packets_a_crowd_joins_within_a_minute_where_a_fifth_is_lost() {
    for seed in 1..=3 {
        let builder = Carrier::Datagrams.builder(200).seed(seed).loss_percent(20);
        let mut cluster = builder.remember(|event| matches!(event, Event::Down { .. })).start();
        let took = cluster.run_until(|view| view.all_live(), seconds(60));
        eprintln!("200 nodes over packets of which a fifth is lost, seed {seed}: all see all after {took:?}");
        assert_eq!(downs(&cluster, 200), 0, "seed {seed}");
    }
}

/// All is well for long, then a fifth of all packets is lost from one moment on.
#[test]
fn over_packets_nobody_is_found_down_when_loss_begins() {
    let hosts = 40;
    let (mut cluster, _) = join(Carrier::Datagrams, hosts, 7);
    cluster.run_for(seconds(90));
    cluster.set_loss_percent(20);
    cluster.run_for(seconds(150));
    assert_eq!(downs(&cluster, hosts), 0);
}

#[test]
#[ignore = "minutes: cargo test --release -p gossip-sim --test bounds crowds -- --ignored --nocapture"]
fn over_packets_nobody_of_200_is_found_down_in_1000_rounds_where_a_fifth_is_lost() {
    let hosts = 200;
    for seed in 1..=3 {
        let builder = Carrier::Datagrams.builder(hosts).seed(seed).loss_percent(20);
        let mut cluster = builder.remember(|event| matches!(event, Event::Down { .. })).start();
        cluster.run_until(|view| view.all_live(), seconds(60));
        cluster.run_for(seconds(1_000));
        assert_eq!(downs(&cluster, hosts), 0, "seed {seed}");
    }
}

/// More than there are places for pending messages, before it stops.
#[test]
fn a_clean_stop_is_announced_to_all_of_three_hundred() {
    for carrier in CARRIERS {
        let hosts = 300;
        let (mut cluster, _) = join(carrier, hosts, 4);
        cluster.stop(7);
        cluster.run_for(seconds(2));
        assert_eq!(downs(&cluster, hosts), hosts - 1, "{carrier:?}");
    }
}

/// Of 118 connections that each of them would have, each may have 60, and then 40.
#[test]
fn a_crowd_joins_and_stays_with_fewer_connections_than_it_has_pairs() {
    let hosts = 60;
    for places in [60, 40] {
        let few = move |_, config: gossip_core::ConfigBuilder| {
            config.change_limits(|limits: &mut gossip_core::Limits| limits.max_connections = places)
        };
        let builder = Carrier::Streams.builder(hosts).seed(1).configure(few);
        let mut cluster = builder.remember(|event| matches!(event, Event::Down { .. })).start();
        let took = cluster.run_until(|view| view.all_live(), seconds(60));
        let joined = connections(&cluster);
        rates_for(&mut cluster, hosts, seconds(60)).print("steady state");
        let later = connections(&cluster) - joined;
        eprintln!(
            "{hosts} nodes with {places} connections each: all see all after {took:?}, {joined} connections; then {later} in a minute"
        );
        assert!(took <= seconds(30), "{places} places: {took:?}");
        assert_eq!(downs(&cluster, hosts), 0, "{places} places");
    }
}

/// 60 nodes share a processor that their dials alone keep busy for 15 s. Later it is 20 times as slow for a minute.
#[test]
fn a_crowd_joins_and_comes_back_on_a_machine_that_is_busy_for_long_with_its_connections_alone() {
    let (hosts, work) = (60, Duration::from_micros(500));
    let mut cluster = Carrier::Streams.builder(hosts).seed(1).work(work).start();
    let joined = cluster.run_until(|view| view.all_live(), seconds(60));
    let (dialled, needed) = (connections(&cluster), 2 * hosts * (hosts - 1));
    eprintln!(
        "{hosts} nodes on a slow machine: all see all after {joined:?}, {dialled} connections for {needed}"
    );
    assert!(dialled < needed + needed / 4, "work is repeated because it is late");
    assert_eq!(downs(&cluster, hosts), 0, "during the join");
    cluster.run_for(seconds(10));
    overload(&mut cluster, hosts, (work, 20), seconds(60));
}

/// The machine is so slow for so long that nodes find most others down, and their connections end.
#[test]
fn a_crowd_that_an_overload_has_torn_apart_is_whole_again_within_a_minute() {
    let (hosts, work) = (60, Duration::from_micros(500));
    for carrier in CARRIERS {
        let mut cluster = carrier.builder(hosts).seed(1).work(work).start();
        cluster.run_until(|view| view.all_live(), seconds(60));
        cluster.run_for(seconds(10));
        let lost = overload(&mut cluster, hosts, (work, 60), seconds(150));
        assert!(lost > hosts * (hosts - 1) / 3, "{carrier:?}: {lost} were found down, so it was hardly one");
    }
}

/// Their rounds alone take a fifth of the processor, or a third, and joining takes all of it for a minute or two.
#[test]
fn a_crowd_that_joins_on_a_machine_that_hardly_keeps_up_repeats_few_dials() {
    let hosts = 100;
    for (micros, within) in [(500, 90), (800, 200)] {
        let builder = Carrier::Streams.builder(hosts).seed(1).work(Duration::from_micros(micros));
        let mut cluster = builder.remember(|event| matches!(event, Event::Down { .. })).start();
        let joined = cluster.run_until(|view| view.all_live(), seconds(within));
        let (dialled, needed) = (connections(&cluster), 2 * hosts * (hosts - 1));
        eprintln!(
            "{hosts} nodes, {micros} µs a step: all see all after {joined:?}, {dialled} connections for {needed}"
        );
        assert!(dialled < needed + needed / 4, "work is repeated because it is late");
        assert_eq!(downs(&cluster, hosts), 0, "{micros} µs");
    }
}

/// Each minute some more see each other, though joining and rounds together take more than there is for ten minutes.
#[test]
#[ignore = "minutes: cargo test --release -p gossip-sim --test bounds crowds -- --ignored --nocapture"]
fn a_crowd_whose_rounds_alone_keep_its_machine_half_busy_joins_within_20_minutes() {
    let hosts = 100;
    let mut cluster = Carrier::Streams.builder(hosts).seed(1).work(Duration::from_micros(1_300)).start();
    let joined = cluster.run_until(|view| view.all_live(), seconds(1_200));
    eprintln!("{hosts} nodes on a machine that is far too slow: all see all after {joined:?}");
}

/// How many connections all nodes had so far, at both ends.
fn connections(cluster: &Cluster) -> usize {
    let all: u64 = cluster.view().running().map(|(_, gossiper)| gossiper.stats().connections).sum();
    usize::try_from(all).unwrap_or(usize::MAX)
}

/// The machine is so many times as slow for `long`, and then as before: all are live again within a minute. Says how many were found down.
fn overload(cluster: &mut Cluster, hosts: usize, (work, times): (Duration, u32), long: Duration) -> usize {
    let before = downs(cluster, hosts);
    cluster.set_work(work * times);
    cluster.run_for(long);
    let lost = downs(cluster, hosts) - before;
    cluster.set_work(work);
    let back = cluster.run_until(|view| view.all_live(), seconds(60));
    eprintln!("{hosts} nodes after an overload in which {lost} were found down: all see all after {back:?}");
    lost
}
