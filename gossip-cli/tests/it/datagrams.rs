//! Nodes that gossip in packets, and the keys that seal them.

use tempfile::TempDir;

use crate::node::{Node, until};

fn key(digit: &str) -> String {
    digit.repeat(64)
}

#[test]
fn sealed_nodes_of_all_runtimes_change_their_keys_while_they_run() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keys");
    let write = |keys: &[&str]| {
        let lines: String = keys.iter().map(|digit| format!("{}\n", key(digit))).collect();
        std::fs::write(&file, format!("# keys\n{lines}")).unwrap();
    };
    write(&["1"]);
    let sealed = ["--transport", "datagram", "--key-file", file.to_str().unwrap()];
    let first = Node::start(&[&sealed[..], &["--runtime", "tokio"]].concat());
    let seed = first.gossip.to_string();
    let start = |runtime| Node::start(&[&sealed[..], &["--seed", &seed, "--runtime", runtime]].concat());
    let nodes = [start("async-std"), start("mio"), first];
    for node in &nodes {
        until("all are up", || (node.count_up() == 3).then_some(()));
    }
    // A node without a key is not accepted, and gets no answer.
    let stranger = ["--transport", "datagram", "--seed", &seed, "--no-shadow-round"];
    let stranger = Node::start(&stranger);
    until("it is dropped and counted", || {
        let info = nodes[2].ask(&["info", "--format", "json"]).stdout;
        let info: serde_json::Value = serde_json::from_str(&info).ok()?;
        info["counters"]["unsealed"].as_u64().filter(|count| *count > 0)
    });
    assert_eq!(stranger.endpoints().len(), 1);
    let line = nodes[2].wait_for_log(&["WARN", &stranger.gossip.to_string(), "not encrypted"]);
    assert!(line.contains("--key-file"), "{line}");
    let other = dir.path().join("other");
    std::fs::write(&other, key("3")).unwrap();
    let other = ["--transport", "datagram", "--key-file", other.to_str().unwrap(), "--seed", &seed];
    let other = Node::start(&[&other[..], &["--no-shadow-round"]].concat());
    let line = nodes[2].wait_for_log(&["WARN", &other.gossip.to_string(), "no key of this node opens"]);
    assert!(line.contains("--key-file"), "{line}");
    let line = other.wait_for_log(&["WARN", "no seed has answered"]);
    assert!(line.contains("--transport datagram and the same keys"), "{line}");
    for keys in [&["1", "2"][..], &["2", "1"], &["2"]] {
        write(keys);
        for node in &nodes {
            let told = node.ask(&["reloadkeys"]);
            assert!(told.code == Some(0) && told.stdout.starts_with("Encrypting with key "), "{told:?}");
            assert!(!told.stdout.contains(&key(keys[0])), "{told:?}");
        }
        let value = format!("{}.0", keys.len());
        nodes[0].ask(&["set", &format!("LOAD={value}")]);
        until("it is heard of", || nodes[1].ask(&["gossipinfo"]).stdout.contains(&value).then_some(()));
    }
    std::fs::write(&file, "not a key\n").unwrap();
    let told = nodes[0].ask(&["reloadkeys"]);
    assert!(told.code == Some(1) && told.stderr.contains("the keys stay as they are"), "{told:?}");
    assert_eq!(stranger.ask(&["reloadkeys"]).code, Some(1), "it has no file");
    for node in &nodes {
        until("all are still up", || (node.count_up() == 3).then_some(()));
    }
}
