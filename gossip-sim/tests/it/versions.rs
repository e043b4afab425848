//! What a node knows of an endpoint never gets older.

use std::collections::BTreeMap;

use gossip_core::{Endpoint, Generation, Gossiper, Version};
use gossip_sim::{Builder, Cluster, Probe, seconds};

/// Compares what a node knows of everybody after each call with what it knew before.
#[derive(Default)]
struct NeverBack {
    known: BTreeMap<(usize, Endpoint), (Generation, Version)>,
    checks: u64,
}

impl Probe for NeverBack {
    fn on_start(&mut self, host: usize, _: &Gossiper) {
        // A process begins with nothing.
        self.known.retain(|(observer, _), _| *observer != host);
    }

    fn after(&mut self, host: usize, gossiper: &Gossiper) {
        for endpoint in gossiper.endpoints() {
            let generation = gossiper.heartbeat(endpoint).unwrap().generation;
            let now = (generation, gossiper.max_version(endpoint).unwrap());
            let known = self.known.entry((host, endpoint)).or_insert(now);
            assert!(*known <= now, "host {host} knew {known:?} of {endpoint}, and knows {now:?}");
            *known = now;
            self.checks += 1;
        }
    }
}

/// Everything that can go wrong, one after the other and at once.
fn go_through_faults(builder: Builder<NeverBack>) -> u64 {
    let mut cluster = builder.start();
    cluster.run_rounds(20);
    for round in 0..4 {
        cluster.restart(1 + round);
        cluster.partition([0, 1, 2], [3, 4, 5, 6, 7]);
        cluster.run_rounds(25);
        cluster.stop(6);
        cluster.heal();
        cluster.stall(5);
        cluster.run_rounds(5);
        cluster.reset(0, 7);
        cluster.kill(2);
        cluster.run_rounds(20);
        cluster.resume(5);
        cluster.restart(6);
        cluster.restart(2);
        cluster.run_rounds(10);
    }
    cluster.run_until(|view| view.all_live(), seconds(120));
    cluster.probe().checks
}

#[test]
fn versions_never_go_back_whatever_happens() {
    for seed in 1..=4 {
        let faulty = || Cluster::new(8).seed(seed).loss_percent(10).probe(NeverBack::default());
        let messages = go_through_faults(faulty().duplicate_percent(10).reorder());
        let streams = go_through_faults(faulty().streams().chunks(700));
        assert!(messages > 100_000 && streams > 100_000, "{messages} and {streams} checks");
    }
}
