//! A silent endpoint is convicted, and no other one is.

use gossip_core::Standing;
use gossip_sim::{Cluster, seconds};

use crate::support::convictions;

#[test]
fn killed_node_is_convicted_by_everybody_and_nobody_else_is() {
    for streams in [false, true] {
        let hosts = 20;
        let mut builder = Cluster::new(hosts).seed(2);
        if streams {
            builder = builder.streams();
        }
        let mut cluster = builder.start();
        cluster.run_rounds(100);
        assert!(cluster.view().all_live());
        let at = cluster.now();
        cluster.kill(7);
        let dead = cluster.endpoint(7);
        cluster.run_until(|view| view.all_see(dead, Standing::Unreachable), seconds(60));
        cluster.run_for(seconds(60));
        let convictions = convictions(&cluster, hosts);
        let after: Vec<_> =
            convictions.iter().map(|(.., when)| when.saturating_since(at).as_secs_f64()).collect();
        let (min, max) =
            after.iter().fold((f64::MAX, 0.0_f64), |(min, max), after| (min.min(*after), max.max(*after)));
        eprintln!("streams: {streams}: convicted after {min:.1} to {max:.1} s");
        assert_eq!(convictions.len(), hosts - 1);
        assert!(convictions.iter().all(|(_, endpoint, _)| *endpoint == dead), "{convictions:?}");
        assert!(min >= 15.0 && max <= 40.0, "convicted after {min} to {max} s");
    }
}

#[test]
fn partition_convicts_the_other_side_and_heals() {
    for streams in [false, true] {
        let mut builder = Cluster::new(10).seed(4);
        if streams {
            builder = builder.streams();
        }
        let mut cluster = builder.start();
        cluster.run_rounds(100);
        cluster.partition(0..5, 5..10);
        cluster.run_for(seconds(60));
        for (host, gossiper) in cluster.view().running() {
            for other in (0..10).filter(|other| *other != host) {
                let standing = gossiper.standing(cluster.endpoint(other));
                let same_side = (host < 5) == (other < 5);
                let expected = if same_side { Standing::Live } else { Standing::Unreachable };
                assert_eq!(standing, Some(expected), "{host} about {other}");
            }
        }
        cluster.heal();
        let took = cluster.run_until(|view| view.all_live(), seconds(60));
        eprintln!("streams: {streams}: all live {took:?} after the partition");
        assert_eq!(convictions(&cluster, 10).len(), 50, "each convicted the five others, once");
    }
}

#[test]
fn restart_after_a_conviction_is_found() {
    let mut cluster = Cluster::new(6).seed(9).start();
    cluster.run_rounds(60);
    cluster.kill(5);
    let dead = cluster.endpoint(5);
    cluster.run_until(|view| view.all_see(dead, Standing::Unreachable), seconds(60));
    cluster.run_for(seconds(120));
    let restarted = cluster.restart(5);
    cluster.run_until(|view| view.all_know(restarted) && view.all_live(), seconds(30));
}

#[test]
fn held_up_node_convicts_nobody_when_it_goes_on() {
    let mut cluster = Cluster::new(6).seed(5).start();
    cluster.run_rounds(60);
    let stalled = cluster.endpoint(3);
    cluster.stall(3);
    cluster.run_for(seconds(60));
    assert!(convictions(&cluster, 6).iter().all(|(host, endpoint, _)| *endpoint == stalled && *host != 3));
    cluster.resume(3);
    cluster.run_until(|view| view.all_live(), seconds(30));
    cluster.run_for(seconds(60));
    assert!(convictions(&cluster, 6).iter().all(|(host, ..)| *host != 3), "its silence was its own");
}

#[test]
fn hundred_nodes_under_loss_convict_nobody() {
    let mut cluster = Cluster::new(100).seed(1).loss_percent(5).start();
    let took = cluster.run_until(|view| view.all_live(), seconds(40));
    eprintln!("100 nodes at 5 % loss: everybody live everywhere after {took:?}");
    cluster.run_rounds(300);
    assert_eq!(convictions(&cluster, 100), []);
    let traffic = cluster.traffic();
    eprintln!("{} messages, {} bytes a node and round", traffic.sent, traffic.bytes / 100 / 300);
}
