//! Clusters that gossip in packets.

use gossip_core::{ApplicationState, Standing, Version};
use gossip_sim::{Cluster, seconds};

#[test]
fn a_cluster_converges_and_sees_who_stops_restarts_and_dies() {
    let mut cluster = Cluster::new(20).seed(3).datagrams().start();
    cluster.run_until(|view| view.all_live(), seconds(30));
    cluster.set_state(3, ApplicationState::LOAD, "7.0").unwrap();
    let endpoint = cluster.endpoint(3);
    cluster.run_until(|view| view.all_have(endpoint, ApplicationState::LOAD, "7.0"), seconds(15));

    cluster.stop(4);
    let stopped = cluster.endpoint(4);
    cluster.run_until(|view| view.all_see(stopped, Standing::Unreachable), seconds(10));
    assert!(cluster.view().knows_version(stopped, Version::SHUTDOWN));

    let restarted = cluster.restart(4);
    cluster.run_until(|view| view.all_know(restarted) && view.all_live(), seconds(30));

    cluster.run_rounds(60);
    cluster.kill(5);
    let killed = cluster.endpoint(5);
    cluster.run_until(|view| view.all_see(killed, Standing::Unreachable), seconds(40));
}
