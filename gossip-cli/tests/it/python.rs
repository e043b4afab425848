//! A peer that is written in Python, from `docs/protocol` alone.

use std::process::{Command, Stdio};

use crate::node::{Node, loopback};

const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

/// Whether Python is there. A developer may have none.
fn is_there() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: python3 is not installed");
    }
    found
}

#[test]
fn a_shadow_round_in_python_prints_what_the_node_knows() {
    if !is_there() {
        return;
    }
    let node =
        Node::start(&["--partitioner", PARTITIONER, "--dc", "east", "--set", "1000=h\u{e9}llo \u{1f600}"]);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python/shadow_round.py");
    let own = format!("{}:0", loopback());
    let output = Command::new("python3")
        .args([program, &node.gossip.to_string(), &own, "Test Cluster"])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("{} generation ", node.gossip)), "{text}");
    let values: Vec<_> = text.lines().filter_map(|line| line.trim().split_once(':')).collect();
    let value = |key: &str| {
        let (_, rest) = values.iter().find(|(number, _)| *number == key)?;
        rest.split_once(':').map(|(_, value)| value)
    };
    assert_eq!((value("3"), value("1000")), (Some("east"), Some("h\u{e9}llo \u{1f600}")), "{text}");
    assert_eq!(value("13"), Some("<hidden>"), "{text}");
}
