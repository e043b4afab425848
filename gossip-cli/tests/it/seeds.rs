//! Members that come back at other addresses, and seeds that are named and not numbered.

use std::net::SocketAddr;

use crate::node::{Node, cluster, until};

#[test]
fn a_member_that_comes_back_at_another_address_replaces_its_former_one() {
    let host_id = "0b7cf2f5-7d35-4a5c-9b3c-6ab84d2a4d6a";
    let nodes = cluster(1, &[]);
    let seed = nodes[0].gossip.to_string();
    let start = || Node::start(&["--seed", &seed, "--host-id", host_id]);
    let former = start();
    let old = former.gossip;
    until("both are up", || (nodes[0].count_up() == 2).then_some(()));
    drop(former);
    until("it is down", || nodes[0].endpoint(old).filter(|endpoint| endpoint["standing"] == "unreachable"));
    let pod = start();
    assert_ne!(pod.gossip, old);
    nodes[0].wait_for_log(&[&old.to_string(), "was replaced by", &pod.gossip.to_string()]);
    until("only the new address is left", || {
        let known = nodes[0].endpoints();
        (known.len() == 2 && known.iter().all(|endpoint| endpoint["endpoint"] != old.to_string()))
            .then_some(())
    });
    let metrics = nodes[0].ask(&["status"]).stdout;
    assert!(!metrics.contains("DN"), "{metrics}");
}

#[test]
fn seeds_are_found_again_when_all_addresses_of_their_name_change_at_once() {
    let dir = tempfile::TempDir::new().unwrap();
    let hosts = dir.path().join("hosts");
    let resolve = |address: SocketAddr| {
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{} seeds.test\n", address.ip())).unwrap();
    };
    let first = Node::start_at("127.0.0.2:0", &[]);
    resolve(first.gossip);
    let name = format!("seeds.test:{}", first.gossip.port());
    let Some(node) = Node::start_with_hosts(&hosts, "127.0.0.1:0", &["--seed", &name]) else {
        // Mounting needs privileges, which a developer may not have.
        eprintln!("skipped: names cannot be given other addresses here");
        return;
    };
    until("both are up", || (node.count_up() == 2).then_some(()));
    let port = first.gossip.port();
    drop(first);
    let second = Node::start_at(&format!("127.0.0.3:{port}"), &[]);
    resolve(second.gossip);
    until("the cluster is whole again", || {
        (second.endpoint(node.gossip)?["standing"] == "live").then_some(())
    });
    until("they know it alike", || (node.endpoint(second.gossip)?["standing"] == "live").then_some(()));
}
