//! How fast news is everywhere, and how fast and how surely silence is found: promises in numbers, which `docs/simulation.md` records.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod crowds;
mod datagrams;

use std::fmt;
use std::time::Duration;

use gossip_core::{ApplicationState, DownCause, Event, PHI_FACTOR, Standing, Timestamp};
use gossip_sim::{Cluster, seconds};

const INTERVAL: Duration = seconds(1);
const THRESHOLD: f64 = 8.0;

/// What was measured, in ascending order.
struct Sorted(Vec<f64>);

impl Sorted {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The smallest value that at least so many of 100 do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1]
    }

    fn min(&self) -> f64 {
        self.percentile(0)
    }

    fn max(&self) -> f64 {
        self.percentile(100)
    }
}

impl fmt::Display for Sorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "min {:.2}", self.min())?;
        for percent in [50, 90, 99] {
            write!(f, ", {percent}th percentile {:.2}", self.percentile(percent))?;
        }
        write!(f, ", max {:.2} of {}", self.max(), self.0.len())
    }
}

/// In how many rounds each of so many updates was everywhere, one after the other in one cluster.
fn rounds_to_be_everywhere(cluster: &mut Cluster, hosts: usize, updates: usize) -> Sorted {
    // Any sequence does that knows nothing of the cluster.
    let mut chance = cluster.seed();
    let rounds = (0..updates).map(|update| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let host = usize::try_from((chance >> 33) % hosts as u64).unwrap();
        let version = cluster.set_state(host, ApplicationState::LOAD, &format!("{update}.0")).unwrap();
        let endpoint = cluster.endpoint(host);
        let took = cluster.run_until(|view| view.knows_version(endpoint, version), seconds(90));
        assert!(cluster.view().all_have(endpoint, ApplicationState::LOAD, &format!("{update}.0")));
        if hosts >= 2_000 {
            // The next takes minutes.
            eprintln!("{hosts} nodes: update {update} of host {host} is everywhere after {took:?}");
        }
        took.div_duration_f64(INTERVAL).ceil()
    });
    let rounds = Sorted::new(rounds.collect());
    eprintln!("{hosts} nodes: rounds until an update is everywhere: {rounds}");
    rounds
}

/// A cluster in which everybody has found everybody live.
fn steady(hosts: usize) -> Cluster {
    let mut cluster = Cluster::new(hosts).seed(1).start();
    cluster.run_until(|view| view.all_live(), seconds(60));
    cluster.run_rounds(20);
    cluster
}

#[test]
fn update_is_everywhere_among_100_nodes_in_8_rounds() {
    assert!(rounds_to_be_everywhere(&mut steady(100), 100, 100).percentile(99) <= 8.0);
}

#[test]
#[ignore = "five minutes: cargo test --release -p gossip-sim --test bounds -- --ignored --nocapture"]
fn update_is_everywhere_among_1000_nodes_in_10_rounds() {
    assert!(rounds_to_be_everywhere(&mut steady(1_000), 1_000, 100).percentile(99) <= 10.0);
}

#[test]
fn fifth_of_all_messages_lost_convicts_nobody_in_1000_rounds() {
    let hosts = 100;
    let mut cluster = Cluster::new(hosts).seed(1).loss_percent(20).start();
    let took = cluster.run_until(|view| view.all_live(), seconds(120));
    cluster.run_rounds(1_000);
    let convictions: Vec<_> = (0..hosts)
        .flat_map(|host| cluster.events(host).iter().map(move |(at, event)| (host, *at, *event)))
        .filter(|(.., event)| matches!(event, Event::Down { .. }))
        .collect();
    eprintln!("{hosts} nodes at 20 % loss: all live after {took:?}; {} convictions", convictions.len());
    assert_eq!(convictions, []);
    assert!(cluster.view().all_live());
}

/// What one node made of the silence of another.
struct Conviction {
    /// The mean interval between heartbeats, as known when the verdict fell.
    mean: Duration,
    /// The same when the other was killed: it still changes, since news of the dead is under way for some rounds.
    mean_at_kill: Duration,
    /// From the last heartbeat that arrived to the verdict.
    silence: Duration,
    /// From the kill to the verdict.
    after_kill: Duration,
}

impl Conviction {
    /// How many seconds the silence was longer than what convicts at this mean.
    fn beyond(&self, mean: Duration) -> f64 {
        self.silence.as_secs_f64() - THRESHOLD / PHI_FACTOR * mean.as_secs_f64()
    }
}

/// Kills one of `hosts` nodes after 100 rounds.
fn convictions_of_the_dead(hosts: usize, seed: u64) -> Vec<Conviction> {
    let victim = hosts / 2;
    let mut cluster = Cluster::new(hosts).seed(seed).start();
    let dead = cluster.endpoint(victim);
    // The node's own account of when it heard is what the verdict came from, so it is not asked.
    let mut heard = vec![(None, Timestamp::ZERO); hosts];
    let mut watch = |cluster: &mut Cluster, duration: Duration| {
        let end = cluster.now() + duration;
        while cluster.now() < end && cluster.step() {
            for (host, gossiper) in cluster.view().running() {
                let heartbeat = gossiper.heartbeat(dead);
                if heartbeat != heard[host].0 {
                    heard[host] = (heartbeat, cluster.now());
                }
            }
        }
    };
    let mean = |cluster: &Cluster, observer: usize| {
        cluster.gossiper(observer).endpoint_info(dead).unwrap().mean_interval.unwrap()
    };
    watch(&mut cluster, INTERVAL * 100);
    assert!(cluster.view().all_live());
    let observers: Vec<usize> = (0..hosts).filter(|host| *host != victim).collect();
    let means_at_kill: Vec<Duration> = observers.iter().map(|observer| mean(&cluster, *observer)).collect();
    let killed = cluster.now();
    cluster.kill(victim);
    watch(&mut cluster, seconds(60));
    assert!(cluster.view().all_see(dead, Standing::Unreachable));
    let convictions = observers.iter().zip(means_at_kill).map(|(observer, mean_at_kill)| {
        let downs: Vec<_> = cluster
            .events(*observer)
            .iter()
            .filter_map(|(at, event)| match event {
                Event::Down { endpoint, cause, .. } => Some((*at, *endpoint, *cause)),
                _ => None,
            })
            .collect();
        let [(at, endpoint, DownCause::Convicted { .. })] = downs[..] else {
            panic!("host {observer} found down: {downs:?}");
        };
        assert_eq!(endpoint, dead);
        Conviction {
            // Nothing has arrived since the verdict that could have changed it.
            mean: mean(&cluster, *observer),
            mean_at_kill,
            silence: at.saturating_since(heard[*observer].1),
            after_kill: at.saturating_since(killed),
        }
    });
    convictions.collect()
}

#[test]
fn dead_is_convicted_a_round_after_18_mean_intervals_of_silence() {
    let hosts = 50;
    let convictions: Vec<_> = (1..=10).flat_map(|seed| convictions_of_the_dead(hosts, seed)).collect();
    let all = |measure: fn(&Conviction) -> f64| Sorted::new(convictions.iter().map(measure).collect());
    let after_kill = all(|conviction| conviction.after_kill.as_secs_f64());
    let beyond = all(|conviction| conviction.beyond(conviction.mean));
    eprintln!("{hosts} nodes, one killed, in seconds:");
    eprintln!("  from the kill to the verdict: {after_kill}");
    eprintln!("  mean interval: {}", all(|conviction| conviction.mean.as_secs_f64()));
    eprintln!("  silence: {}", all(|conviction| conviction.silence.as_secs_f64()));
    eprintln!("  beyond 18.42 mean intervals: {beyond}");
    eprintln!("  by the mean at the kill: {}", all(|conviction| conviction.beyond(conviction.mean_at_kill)));
    // Means are printed in full microseconds, rounded down.
    let slack = 0.000_1;
    assert!(beyond.min() >= 0.0 && beyond.max() <= INTERVAL.as_secs_f64() + slack);
    assert!(after_kill.min() >= 15.0 && after_kill.max() <= 30.0);
}
