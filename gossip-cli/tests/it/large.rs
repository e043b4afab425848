//! States that are too large for ordinary messages, and compression.

use std::fmt::Write;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{Node, cluster, gossip, until};

/// The values of a node: together 1.7 MB, each close to what Cassandra can take. With those that every node has they
/// stay below the 64 that others keep of one endpoint.
const VALUES: usize = 52;
const VALUE_LEN: usize = 32_700;
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
        // One of them compresses what it sends.
        let compression = if name == 'b' { "lz4" } else { "none" };
        let args = [
            "--set-file",
            file,
            "--max-state-bytes",
            MAX_STATE_BYTES,
            "--interval",
            "100ms",
            "--compression",
            compression,
        ];
        nodes.push(Node::start(&[&args[..], &seed.iter().map(String::as_str).collect::<Vec<_>>()].concat()));
        seed = vec!["--seed".to_owned(), nodes[0].gossip.to_string()];
    }
    for node in &nodes {
        until("all is known", || knows_all(node, &nodes).then_some(()));
    }
    let seed = nodes[0].gossip.to_string();
    let limits = ["--max-state-bytes", MAX_STATE_BYTES];
    let newcomer = Node::start(&[&limits[..], &["--seed", &seed, "--interval", "100ms"]].concat());
    until("the newcomer knows all", || knows_all(&newcomer, &nodes).then_some(()));
    until("all are up", || (newcomer.count_up() == 4).then_some(()));
    // The answer to its question went out whole.
    assert!(get(&nodes[0], "/v1/counters")["snapshots"].as_u64().unwrap() > 0);
    let received = get(&newcomer, "/v1/counters")["bytes_received"].as_u64().unwrap();
    assert!(received > 5_000_000, "{received}");

    // A node that only asks gets as much, plain or compressed.
    for node in &nodes[..2] {
        let seed = node.gossip.to_string();
        let asked = gossip(&["gossipinfo", "--seed", &seed, "--cluster", "Test Cluster", "--timeout", "60s"]);
        assert_eq!(asked.code, Some(0), "{}", asked.stderr);
        assert!(asked.stdout.len() > 5_000_000, "{}", asked.stdout.len());
        assert!(asked.stdout.contains(&value('b', VALUES - 1)));
    }
}

/// Asks directly: commands would take their time over megabytes.
fn get(node: &Node, path: &str) -> Value {
    let (status, body) = node.http(&[&format!("GET {path} HTTP/1.1"), &format!("host: {}", node.admin)], "");
    assert_eq!(status, 200);
    body
}

fn value(name: char, number: usize) -> String {
    format!("{name}{number}").chars().cycle().take(VALUE_LEN).collect()
}

/// Whether `node` shows all values of all `others`.
fn knows_all(node: &Node, others: &[Node]) -> bool {
    // Looking at megabytes keeps a node busy, so they are looked at only when they could be there.
    let own = usize::from(others.iter().any(|other| other.gossip == node.gossip));
    let learned = get(node, "/v1/counters")["values_grown"].as_u64().unwrap();
    if learned < ((others.len() - own) * VALUES) as u64 {
        return false;
    }
    let endpoints = get(node, "/v1/endpoints");
    let endpoints = endpoints.as_array().unwrap();
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
