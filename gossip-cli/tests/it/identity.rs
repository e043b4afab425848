//! Seeds, addresses and host ids, where nodes come, go and move.

use std::fs;

use tempfile::TempDir;

use crate::node::{Node, free_address, refused, until};

/// RFC 6761: no name under this has an address.
const NOBODY: &str = "nobody.invalid";

fn at(dir: &TempDir) -> [&str; 2] {
    ["--data-dir", dir.path().to_str().unwrap()]
}

#[test]
fn a_seed_without_an_address_keeps_no_node_from_starting() {
    let seed = Node::start(&[]);
    let node = Node::start(&["--seed", NOBODY, "--seed", &seed.gossip.to_string()]);
    node.wait_for_log(&["WARN", NOBODY]);
    until("both are up", || (node.count_up() == 2).then_some(()));
}

#[test]
fn a_bad_line_does_not_keep_the_others_from_being_reloaded() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("seeds");
    fs::write(&file, "127.0.0.1:7001\n").unwrap();
    let node = Node::start(&["--seeds-file", file.to_str().unwrap()]);
    fs::write(&file, format!("127.0.0.1:7002\n10.0.0\n{NOBODY}\n")).unwrap();
    let output = node.ask(&["reloadseeds"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("127.0.0.1:7002") && !output.stdout.contains("7001"), "{output:?}");
    assert!(output.stderr.contains("10.0.0") && output.stderr.contains(NOBODY), "{output:?}");
    fs::write(&file, "10.0.0\n").unwrap();
    let output = node.ask(&["reloadseeds"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(node.ask(&["getseeds"]).stdout.contains("127.0.0.1:7002"));
}

#[test]
fn addresses_that_cannot_work_are_misuse() {
    let run = ["run", "--exit-with-stdin", "--admin", "127.0.0.1:0"];
    for args in [
        // RFC 5737: no machine has this address.
        &["--listen", "127.0.0.1:0", "--seed", "192.0.2.1"][..],
        &["--listen", "239.1.1.1:7000"],
        &["--listen", "0.0.0.0:7000", "--broadcast", "[fe80::1]:7000"],
        &["--listen", "127.0.0.1:0", "--seed", "239.1.1.1"],
    ] {
        let line = refused(2, &[&run[..], args].concat());
        assert!(line.contains("reach"), "{line}");
    }
}

#[test]
fn the_error_of_the_dial_is_told_with_the_silence_of_a_seed() {
    // No process listens there any more.
    let gone = free_address();
    let node = Node::start(&["--seed", &gone]);
    let line = node.wait_for_log(&["WARN", "no seed has answered"]);
    assert!(line.contains(&format!("{gone}: connection refused")), "{line}");
}

#[test]
fn a_cluster_that_was_stopped_as_a_whole_comes_back_without_its_seed() {
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let mut seed = Node::start(&[]);
    let seeds = ["--seed", &seed.gossip.to_string()];
    let mut nodes: Vec<Node> = dirs.iter().map(|dir| Node::start(&[&seeds[..], &at(dir)].concat())).collect();
    for node in &nodes {
        until("all are up", || (node.count_up() == 3).then_some(()));
    }
    let addresses: Vec<String> = nodes.iter().map(|node| node.gossip.to_string()).collect();
    for node in nodes.iter_mut().chain([&mut seed]) {
        assert_eq!(node.ask(&["stopdaemon"]).code, Some(0));
        node.wait();
    }
    let again: Vec<Node> = (0..2)
        .map(|index| Node::start_at(&addresses[index], &[&seeds[..], &at(&dirs[index])].concat()))
        .collect();
    for node in &again {
        until("both are up again", || (node.count_up() == 2).then_some(()));
    }
    let told = again.iter().filter(|node| node.log().contains("goes on as a seed would")).count();
    assert!(told > 0, "at least one of them began");
}

#[test]
fn the_place_of_a_stopped_member_is_taken_if_asked_for_and_told_everywhere() {
    let seed = Node::start(&[]);
    let args = ["--seed", &seed.gossip.to_string()];
    let mut first = Node::start(&args);
    until("both are up", || (seed.count_up() == 2).then_some(()));
    let address = first.gossip.to_string();
    assert_eq!(first.ask(&["stopdaemon"]).code, Some(0));
    first.wait();
    let other = Node::start_at(&address, &[&args[..], &["--replace"]].concat());
    until("the other is in its place", || (other.count_up() == 2).then_some(()));
    seed.wait_for_log(&["WARN", &address, "came back as another host"]);
}

#[test]
fn a_copy_of_a_live_node_is_refused() {
    let [dir, copy] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let seed = Node::start(&[]);
    let args = ["--seed", &seed.gossip.to_string()];
    let first = Node::start(&[&args[..], &at(&dir)].concat());
    until("both are up", || (seed.count_up() == 2).then_some(()));
    fs::copy(dir.path().join("node.json"), copy.path().join("node.json")).unwrap();
    let mut second = Node::start(&[&args[..], &at(&copy)].concat());
    assert_eq!(second.wait(), Some(1));
    let line = second.wait_for_log(&["error: the node", &first.gossip.to_string()]);
    assert!(line.contains("is live and has the host id of this one"), "{line}");

    // If it does not ask, all nodes see it.
    let second = Node::start(&[&args[..], &at(&copy), &["--no-shadow-round"]].concat());
    for node in [&seed, &first, &second] {
        let line = node.wait_for_log(&["WARN", "have one host id"]);
        assert!(line.contains(&second.gossip.to_string()), "{line}");
        until("the table shows it", || {
            let table = node.ask(&["status"]).stdout;
            (table.matches('!').count() == 3 && table.contains("of several live nodes")).then_some(())
        });
    }
}
