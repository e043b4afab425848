//! Real nodes and their models, in simulated clusters.

use std::time::Duration;

use gossip_core::{ApplicationState, MessagingVersion};
use gossip_reference::{Compare, Deviations, Settings, Twin};
use gossip_sim::Cluster;

const CLUSTER: &str = "simulated";

/// Seeds of the band.
const SEEDS: u64 = 30;

fn compare(settings: Settings) -> Compare {
    Compare::new(settings, MessagingVersion::V13)
}

/// Numbers from a seed, for what happens in a run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        // The constants of SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn host(&mut self, hosts: usize) -> usize {
        usize::try_from(self.below(hosts as u64)).expect("it is small")
    }
}

/// A cluster of six with faults of all kinds, of chance.
fn troubled(seed: u64, settings: Settings) -> Cluster<Compare> {
    const HOSTS: usize = 6;
    let mut chance = Chance(seed);
    let builder = Cluster::new(HOSTS)
        .seed(seed)
        .latency(Duration::from_millis(1), Duration::from_millis(1 + chance.below(400)))
        .loss_percent(u32::try_from(chance.below(20)).expect("small"))
        .duplicate_percent(u32::try_from(chance.below(20)).expect("small"))
        .probe(compare(settings));
    let builder = if chance.below(2) == 0 { builder.reorder() } else { builder };
    let mut cluster = builder.start();
    for _ in 0..60 {
        let host = chance.host(HOSTS);
        match chance.below(10) {
            0 => cluster.kill(host),
            1 => cluster.shutdown(host),
            2 | 3 => {
                if cluster.view().gossiper(host).is_none() {
                    cluster.restart(host);
                }
            }
            4 => cluster.cut(host, chance.host(HOSTS)),
            5 => cluster.heal(),
            6 => cluster.set_clock(host, i64::try_from(chance.below(7_200)).expect("small") - 3_600),
            7 if cluster.view().gossiper(host).is_some() => {
                let value = format!("{}", chance.below(1_000));
                // A node that stops takes no more values.
                let _ = cluster.set_state(host, ApplicationState::LOAD, &value);
            }
            _ => {}
        }
        cluster.run_rounds(1 + u32::try_from(chance.below(8)).expect("small"));
    }
    cluster
}

#[test]
fn a_calm_cluster_does_what_the_model_says() {
    let mut cluster = Cluster::new(5).seed(1).probe(compare(Twin::settings(CLUSTER))).start();
    cluster.run_rounds(60);
    assert_eq!(cluster.probe().differences(), Vec::<String>::new());
    assert!(cluster.probe().compared() > 1_000);
}

#[test]
fn a_troubled_cluster_does_what_the_model_says() {
    let mut all = Vec::new();
    for seed in 1..=SEEDS {
        let cluster = troubled(seed, Twin::settings(CLUSTER));
        for difference in cluster.probe().differences() {
            all.push(format!("seed {seed}: {difference}"));
        }
    }
    assert!(all.is_empty(), "{} differences: {:#?}", all.len(), all.iter().take(12).collect::<Vec<_>>());
}

#[test]
fn a_model_with_cassandras_rules_differs() {
    let settings = Settings { deviations: Deviations::NONE, ..Twin::settings(CLUSTER) };
    let cluster = troubled(1, settings);
    assert!(!cluster.probe().differences().is_empty());
}
