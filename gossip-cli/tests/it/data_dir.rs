//! What a node keeps from one run to the next.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{Node, refused, until};

fn identity(node: &Node) -> (i64, String) {
    let (status, body) = node.http(&["GET /v1/node HTTP/1.1", &format!("host: {}", node.admin)], "");
    assert_eq!(status, 200, "{body}");
    (body["generation"].as_i64().unwrap(), body["host_id"].as_str().unwrap().into())
}

#[test]
fn a_restart_keeps_the_host_id_and_raises_the_generation() {
    let dir = TempDir::new().unwrap();
    let args = ["--data-dir", dir.path().to_str().unwrap()];
    let mut node = Node::start(&args);
    let (generation, host_id) = identity(&node);
    assert_eq!(node.ask(&["stopdaemon"]).code, Some(0));
    assert_eq!(node.wait(), Some(0));
    let again = identity(&Node::start(&args));
    assert_eq!(again.1, host_id);
    assert!(again.0 > generation, "{} > {generation}", again.0);
}

#[test]
fn endpoints_are_remembered_and_lead_back_into_the_cluster() {
    let dir = TempDir::new().unwrap();
    let args = ["--data-dir", dir.path().to_str().unwrap()];
    let other = Node::start(&[]);
    let seed = other.gossip.to_string();
    let mut node = Node::start(&[&args[..], &["--seed", &seed]].concat());
    let address = node.gossip.to_string();
    until("both are up", || (node.count_up() == 2).then_some(()));
    assert_eq!(node.ask(&["stopdaemon"]).code, Some(0));
    assert_eq!(node.wait(), Some(0));
    let stored: Value = serde_json::from_slice(&fs::read(dir.path().join("node.json")).unwrap()).unwrap();
    assert_eq!(stored["node"]["endpoints"][0]["address"], seed.as_str(), "{stored}");

    // No seed is named: what is remembered must do.
    let node = Node::start_at(&address, &args);
    until("both are up again", || (node.count_up() == 2).then_some(()));
}

#[test]
fn corrupt_data_is_set_aside_with_a_warning() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("node.json"), "{\"format\": 1, ").unwrap();
    let node = Node::start(&["--data-dir", dir.path().to_str().unwrap()]);
    let line = node.wait_for_log(&["WARN", "node.json is corrupt"]);
    assert!(line.contains("new host id"), "{line}");
    let aside =
        fs::read_dir(dir.path()).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(aside.filter(|name| name.starts_with("node.json.corrupt-")).count(), 1);
}

#[test]
fn a_directory_in_use_or_of_another_cluster_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let run =
        ["run", "--exit-with-stdin", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", path];
    let node = Node::start(&["--data-dir", path]);
    let line = refused(1, &run);
    assert!(line.contains("another process"), "{line}");
    drop(node);
    let line = refused(1, &[&run[..], &["--cluster", "other"]].concat());
    assert!(line.contains("Test Cluster") && line.contains("--cluster"), "{line}");
}
