//! Whatever happens to a cluster, once it stops happening all nodes agree again.

use gossip_core::ApplicationState;
use gossip_sim::{Builder, Cluster, seconds};

use crate::support::{Choices, all_agree};

const HOSTS: usize = 9;

fn meddle(builder: Builder, seed: u64) {
    let mut cluster = builder.seed(seed).start();
    let mut choices = Choices(seed);
    for _ in 0..120 {
        let host = choices.below(HOSTS);
        let is_running = cluster.view().gossiper(host).is_some();
        match choices.below(12) {
            0 => cluster.kill(host),
            1 if is_running => cluster.shutdown(host),
            2 | 3 => {
                cluster.restart(host);
            }
            4 => {
                let split = 1 + choices.below(HOSTS - 1);
                cluster.partition(0..split, split..HOSTS);
            }
            5 | 6 => cluster.heal(),
            7 => cluster.stall(host),
            8 | 9 => cluster.resume(host),
            10 => cluster.reset(host, choices.below(HOSTS)),
            _ if is_running => {
                // A node that is stopping takes no more.
                let _ = cluster.set_state(host, ApplicationState::LOAD, &"7".repeat(choices.below(60)));
            }
            _ => {}
        }
        cluster.run_for(seconds(1 + choices.below(25) as u64));
    }
    cluster.heal();
    for host in 0..HOSTS {
        cluster.resume(host);
    }
    cluster.run_rounds(5);
    for host in 0..HOSTS {
        if cluster.view().gossiper(host).is_none() {
            cluster.restart(host);
        }
    }
    let took = cluster.run_until(|view| view.all_live() && all_agree(view), seconds(120));
    cluster.run_rounds(60);
    assert!(cluster.view().all_live() && all_agree(&cluster.view()), "it was so after {took:?}, and no more");
}

#[test]
fn nodes_agree_when_it_is_over() {
    for seed in 1..=5 {
        meddle(Cluster::new(HOSTS).loss_percent(5).duplicate_percent(5).reorder(), seed);
        meddle(Cluster::new(HOSTS).loss_percent(5).streams().chunks(2_000).socket_buffer(5_000), seed);
    }
}
