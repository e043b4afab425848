//! Connections that break, block, or never come to be.

use std::time::Duration;

use gossip_core::{Node, Output, Standing, Timestamp};
use gossip_sim::{Cluster, Probe, seconds};

use crate::support::convictions;

/// Counts what nodes want done.
#[derive(Debug, Default)]
struct Wanted {
    dials: usize,
    closes: usize,
}

impl Probe for Wanted {
    fn on_output(&mut self, _: Timestamp, _: usize, output: &Output<'_>) {
        match output {
            Output::Connect { .. } => self.dials += 1,
            Output::Close { .. } => self.closes += 1,
            _ => {}
        }
    }
}

#[test]
fn frames_may_come_byte_by_byte() {
    let mut cluster = Cluster::new(4).seed(3).streams().chunks(1).probe(Wanted::default()).start();
    cluster.run_until(|view| view.all_live(), seconds(20));
    cluster.run_rounds(30);
    assert_eq!(convictions(&cluster, 4), []);
    // The first round comes at once: a node that starts before its seed dials it in vain.
    assert!(cluster.probe().dials <= 4 * 3 + 3, "{:?}: each dials each once at most", cluster.probe());
    for (_, gossiper) in cluster.view().running() {
        assert_eq!((gossiper.stats().corrupt_frames, gossiper.stats().connections_failed), (0, 0));
    }
}

#[test]
fn narrow_connections_make_nodes_wait_and_lose_nothing() {
    let mut cluster = Cluster::new(8).seed(3).streams().socket_buffer(100).start();
    cluster.run_until(|view| view.all_live(), seconds(30));
    cluster.run_rounds(60);
    assert_eq!(convictions(&cluster, 8), []);
}

#[test]
fn stalled_peer_costs_a_bounded_amount_and_harms_nobody_else() {
    let hosts = 8;
    let mut cluster =
        Cluster::new(hosts).seed(12).streams().socket_buffer(2_000).probe(Wanted::default()).start();
    cluster.run_rounds(60);
    assert!(cluster.view().all_live());
    let stalled = cluster.endpoint(5);
    let growth: Vec<u64> = (0..hosts).map(|host| cluster.gossiper(host).stats().growth()).collect();
    let dials = cluster.probe().dials;
    cluster.stall(5);
    let rounds = 600_u32;
    for _ in 0..rounds {
        cluster.run_rounds(1);
        for host in (0..hosts).filter(|host| *host != 5) {
            // One write for each connection, of whatever size.
            assert!(cluster.unsent(host) <= Node::MIN_BUFFER, "{} bytes wait", cluster.unsent(host));
            assert!(cluster.connections(host) <= 4 * hosts, "{} connections", cluster.connections(host));
        }
    }
    assert!(cluster.view().all_see(stalled, Standing::Unreachable));
    assert!(
        convictions(&cluster, hosts).iter().all(|(host, endpoint, _)| *endpoint == stalled || *host == 5)
    );
    for host in (0..hosts).filter(|host| *host != 5) {
        let stats = cluster.gossiper(host).stats();
        let grown = stats.growth() - growth[host];
        eprintln!("host {host}: growth {grown}, dropped {}", stats.messages_dropped);
        assert!(grown < u64::from(rounds) / 5, "host {host} took memory {grown} times");
        assert_eq!(stats.exchanges_dropped, 0, "host {host}");
    }
    eprintln!("{} dials", cluster.probe().dials - dials);
    cluster.resume(5);
    cluster.run_until(|view| view.all_live(), seconds(60));
}

#[test]
fn reset_connections_are_made_again() {
    let mut cluster = Cluster::new(6).seed(21).streams().start();
    cluster.run_until(|view| view.all_live(), seconds(20));
    for _ in 0..200 {
        for one in 0..6 {
            for other in 0..one {
                cluster.reset(one, other);
            }
        }
        cluster.run_rounds(1);
    }
    assert!(cluster.view().all_live());
    assert_eq!(convictions(&cluster, 6), []);
}

#[test]
fn dials_that_nobody_answers_end() {
    let mut cluster = Cluster::new(4).seed(2).streams().probe(Wanted::default()).start_only([0, 1, 2]);
    // A machine that is cut off answers nothing, unlike one without a process.
    cluster.partition([3], 0..3);
    cluster.run_rounds(60);
    assert!((0..3).all(|host| cluster.gossiper(host).stats().timeouts == 0), "no node knows the fourth");
    cluster.restart(3);
    cluster.run_rounds(60);
    let stats = *cluster.gossiper(3).stats();
    assert!(stats.timeouts >= 10, "{stats:?}");
    // A seed is dialled once a second; a dial is given up after two.
    assert!(cluster.connections(3) <= 3, "{}", cluster.connections(3));
    cluster.heal();
    cluster.run_until(|view| view.all_live(), seconds(20));
}

#[test]
fn slow_hosts_are_live_all_the_same() {
    let mut cluster = Cluster::new(6).seed(14).streams().start_only(0..6);
    cluster.delay(2, Duration::from_millis(400));
    cluster.run_until(|view| view.all_live(), seconds(40));
    cluster.run_rounds(100);
    assert_eq!(convictions(&cluster, 6), []);
}

#[test]
fn connections_survive_a_short_partition() {
    let mut cluster = Cluster::new(6).seed(15).streams().probe(Wanted::default()).start();
    cluster.run_rounds(60);
    let dials = cluster.probe().dials;
    cluster.partition(0..3, 3..6);
    cluster.run_rounds(8);
    cluster.heal();
    cluster.run_rounds(30);
    assert!(cluster.view().all_live());
    assert_eq!(convictions(&cluster, 6), []);
    let dialled = cluster.probe().dials - dials;
    assert!(dialled <= 9, "{dialled} dials, where all connections were there");
}
