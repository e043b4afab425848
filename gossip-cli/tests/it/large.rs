//! States that are too large for ordinary messages, and compression.

use std::fmt::Write;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{Node, cluster, until};

/// The values of a node: together 1.8 MB, each close to what Cassandra can take.
const VALUES: usize = 60;
const VALUE_LEN: usize = 30_000;
const MAX_STATE_BYTES: &str = "4000000";

#[test]
fn a_newcomer_learns_more_than_five_megabytes() {
    let dir = TempDir::new().unwrap();
    let mut nodes: Vec<Node> = Vec::new();
    let mut seed = Vec::new();
    for name in ['a', 'b', 'c'] {
        let file = dir.path().join(name.to_string());
        let mut text = String::new();
        for number in 0..VALUES {
            writeln!(text, "{}={}", 1_000 + number, value(name, number)).unwrap();
        }
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let args = ["--set-file", file, "--max-state-bytes", MAX_STATE_BYTES];
        nodes.push(Node::start(&[&args[..], &seed.iter().map(String::as_str).collect::<Vec<_>>()].concat()));
        seed = vec!["--seed".to_owned(), nodes[0].gossip.to_string()];
    }
    for node in &nodes {
        until("all is known", || knows_all(node, &nodes).then_some(()));
    }
    let seed = nodes[0].gossip.to_string();
    let newcomer = Node::start(&["--seed", &seed, "--max-state-bytes", MAX_STATE_BYTES]);
    until("the newcomer knows all", || knows_all(&newcomer, &nodes).then_some(()));
    until("all are up", || (newcomer.count_up() == 4).then_some(()));
    // The answer to its question went out whole.
    let counters = |node: &Node| {
        let info = node.ask(&["info", "--format", "json"]).stdout;
        serde_json::from_str::<Value>(&info).unwrap()["counters"].clone()
    };
    assert!(counters(&nodes[0])["snapshots"].as_u64().unwrap() > 0, "{}", counters(&nodes[0]));
    let received = counters(&newcomer)["bytes_received"].as_u64().unwrap();
    assert!(received > 5_000_000, "{received}");
}

fn value(name: char, number: usize) -> String {
    format!("{name}{number}").chars().cycle().take(VALUE_LEN).collect()
}

/// Whether `node` shows all values of all `others`.
fn knows_all(node: &Node, others: &[Node]) -> bool {
    let endpoints = node.endpoints();
    others.iter().zip(['a', 'b', 'c']).all(|(other, name)| {
        let shown = endpoints.iter().find(|shown| shown["endpoint"] == other.gossip.to_string());
        let Some(states) = shown.and_then(|shown| shown["states"].as_array()) else { return false };
        (0..VALUES).all(|number| {
            let key = 1_000 + number;
            states.iter().any(|state| state["key"] == key && state["value"] == value(name, number))
        })
    })
}

#[test]
fn compressed_clusters_converge() {
    let nodes = cluster(3, &["--compression", "lz4"]);
    let plain = Node::start(&["--seed", &nodes[0].gossip.to_string()]);
    until("one that does not compress understands them", || (plain.count_up() == 4).then_some(()));
    assert_eq!(nodes[1].ask(&["set", "1000=x"]).code, Some(0));
    until("values arrive", || {
        let seen = plain.endpoint(nodes[1].gossip)?;
        seen["states"].as_array()?.iter().any(|state| state["value"] == "x").then_some(())
    });
}
