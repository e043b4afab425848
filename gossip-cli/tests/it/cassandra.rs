//! Gossip-only members of a cluster that looks like Cassandra's, and watching as one.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{INTERVAL, Node, PATIENCE, command, free_address, gossip, refused, signal, until};

const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";
const SCHEMA: &str = "59adb24e-f3cd-3e02-97f0-5b395827453f";

/// A node that publishes what a real one does, as far as a gossip-only member looks at it.
fn real(release: &str, options: &[&str]) -> Node {
    let schema = format!("SCHEMA={SCHEMA}");
    Node::start(
        &[&["--partitioner", PARTITIONER, "--release-version", release, "--set", &schema], options].concat(),
    )
}

/// The values that `node` shows of an endpoint, by name.
fn states(node: &Node, of: &Node) -> Option<Vec<(String, String)>> {
    let shown = node.endpoint(of.gossip)?;
    let text = |state: &Value, field: &str| state[field].as_str().unwrap_or_default().to_owned();
    Some(
        shown["states"].as_array()?.iter().map(|state| (text(state, "name"), text(state, "value"))).collect(),
    )
}

fn value(node: &Node, of: &Node, name: &str) -> Option<String> {
    states(node, of)?.into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

fn is_live(node: &Node, other: &Node) -> bool {
    node.endpoint(other.gossip).is_some_and(|shown| shown["standing"] == "live")
}

#[test]
fn a_gossip_only_member_is_up_follows_and_leaves_nothing_behind() {
    for runtime in ["tokio", "smol", "async-std", "mio"] {
        let first = real("4.1.7", &[]);
        let seed = first.gossip.to_string();
        let second = real("4.0.14", &["--seed", &seed]);
        until("the second is up", || is_live(&first, &second).then_some(()));
        let dir = TempDir::new().unwrap();
        let data_dir = dir.path().to_str().unwrap();
        let member = [
            "--cassandra",
            "--seed",
            &seed,
            "--runtime",
            runtime,
            "--data-dir",
            data_dir,
            "--set",
            "27=here",
        ];
        let mut third = Node::start(&member);
        for node in [&first, &second] {
            until("it is up with all that it follows", || {
                let follows = value(node, &third, "RELEASE_VERSION")? == "4.0.14"
                    && value(node, &third, "SCHEMA")? == SCHEMA;
                (is_live(node, &third) && follows).then_some(())
            });
            let expected = "LOAD SCHEMA DC RACK RELEASE_VERSION RPC_ADDRESS NET_VERSION HOST_ID RPC_READY \
                            INTERNAL_ADDRESS_AND_PORT NATIVE_ADDRESS_AND_PORT X9";
            until("it publishes what it should, and nothing else", || {
                let names: Vec<_> = states(node, &third)?.into_iter().map(|(name, _)| name).collect();
                (names.join(" ") == expected).then_some(())
            });
            // The ninth pad of 4.0, which it publishes.
            assert_eq!(value(node, &third, "X9").unwrap(), "here");
        }
        until("it finds both up", || (third.count_up() == 2).then_some(()));
        let status = third.ask(&["status"]).stdout;
        let (table, last) = status.trim_end().rsplit_once('\n').unwrap();
        assert!(!table.contains(&third.gossip.to_string()), "it has no place in the ring: {status}");
        assert_eq!(last, format!("Gossip-only, no members: {} (up)", third.gossip));
        let description = first.ask(&["describecluster", "--format", "json"]).stdout;
        let description: Value = serde_json::from_str(&description).unwrap();
        assert_eq!(description["gossip_only"], serde_json::json!([third.gossip.to_string()]));
        assert_eq!(description["data_centers"]["datacenter1"]["nodes"], 2);
        assert_eq!(third.ask(&["set", "X10=there"]).code, Some(0));
        until("what it sets arrives", || value(&first, &third, "X10").filter(|value| value == "there"));
        let refused = third.ask(&["set", "SEVERITY=1"]);
        assert!(refused.code == Some(1) && refused.stderr.contains("pads 21 to 28"), "{refused:?}");
        let refused = third.ask(&["set", "X1=1"]);
        assert!(refused.code == Some(1) && refused.stderr.contains("X1 (19)"), "{refused:?}");
        let refused = third.ask(&["decommission"]);
        assert!(refused.code == Some(1) && refused.stderr.contains("stopdaemon"), "{refused:?}");
        let refused = third.ask(&["assassinate", &seed]);
        assert!(refused.code == Some(1) && refused.stderr.contains("nodetool"), "{refused:?}");

        // It leaves in silence, and restarts under the same host id, in a later generation.
        let (address, before) = (third.gossip.to_string(), first.endpoint(third.gossip).unwrap());
        signal("TERM", third.child.id());
        assert_eq!(third.wait(), Some(0));
        for node in [&first, &second] {
            // Nothing if it is forgotten already.
            let shown = node.endpoint(third.gossip).unwrap_or_default();
            assert_eq!((&shown["status"], shown["heartbeat"] == i32::MAX), (&Value::Null, false), "{shown}");
        }
        let mut third = Node::start_at(&address, &member);
        let back = until("it is back", || {
            // No node has heard that the earlier process ended: it still counts as live.
            let is_later = |shown: &Value| shown["generation"].as_i64() > before["generation"].as_i64();
            first.endpoint(third.gossip).filter(|shown| shown["standing"] == "live" && is_later(shown))
        });
        let host_id = |shown: &Value| {
            let states = shown["states"].as_array().unwrap();
            states.iter().find(|state| state["name"] == "HOST_ID").unwrap()["value"].clone()
        };
        assert_eq!(host_id(&back), host_id(&before));
        // Killed, it is convicted; thirty intervals after its last heartbeat nothing is left of it.
        third.child.kill().unwrap();
        let _ = third.wait();
        for node in [&first, &second] {
            until("it is forgotten", || node.endpoint(third.gossip).is_none().then_some(()));
        }
    }
}

#[test]
fn who_needs_somebody_to_learn_from_is_told() {
    let line = refused(2, &["run", "--cassandra"]);
    assert!(line.contains("--seed"), "{line}");
    for option in [
        ["--transport", "datagram"],
        ["--release-version", "5.0"],
        ["--native-port", "9042"],
        ["--set", "SEVERITY=1"],
        ["--set", "STATUS=NORMAL,1"],
        ["--set", "STATUS_WITH_PORT=NORMAL,1"],
        ["--set", "TOKENS=x"],
        ["--set", "NATIVE_ADDRESS_AND_PORT=10.0.0.1:9042"],
    ] {
        refused(2, &[&["run", "--cassandra", "--seed", "127.0.0.1"], &option[..]].concat());
    }
}

/// `gossip watch --seed`, and the lines that it prints.
pub(crate) struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    pub(crate) fn start(seed: &str, options: &[&str]) -> Self {
        let args = ["watch", "--seed", seed, "--cluster", "Test Cluster"];
        let mut child = command(&[&args, options].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Waits for a line with all of these words.
    pub(crate) fn wait_for(&self, words: &[&str]) -> String {
        let (mut before, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
            before.push(line);
        }
        panic!("no line with {words:?} after {before:#?}");
    }

    fn stop(&mut self) {
        signal("TERM", self.child.id());
        assert_eq!(until("it ends", || self.child.try_wait().unwrap()).code(), Some(0));
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn changes_are_watched_as_a_gossip_only_member() {
    // Also in clusters of ours, whose partitioner is found out.
    for options in [&["--partitioner", PARTITIONER][..], &[]] {
        let first = Node::start(options);
        let seed = first.gossip.to_string();
        let mut watching = Watching::start(&seed, &["--state", "1000=ROLE"]);
        let line = watching.wait_for(&["watching"]);
        let local = line.split(' ').nth(1).unwrap().to_owned();
        watching.wait_for(&[&seed, "known, generation", "NORMAL"]);
        watching.wait_for(&[&seed, "up, generation"]);
        let host_id = "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30";
        let member = [options, &["--seed", &seed, "--dc", "dc7", "--host-id", host_id]].concat();
        let second = Node::start(&member);
        let address = second.gossip.to_string();
        watching.wait_for(&[&address, "joined, generation"]);
        watching.wait_for(&[&address, "state DC=dc7"]);
        watching.wait_for(&[&address, "up, generation"]);
        assert_eq!(second.ask(&["set", "1000=leader"]).code, Some(0));
        watching.wait_for(&[&address, "state ROLE=leader"]);
        assert_eq!(second.ask(&["stopdaemon"]).code, Some(0));
        watching.wait_for(&[&address, "down, generation", "shut down"]);
        let third = Node::start_at(&address, &[&member[..], &["--rack", "rack9"]].concat());
        watching.wait_for(&[&address, "restarted, generation"]);
        // The values that are the same as before come first, and are left out.
        let mut told = Vec::new();
        while !told.last().is_some_and(|line: &String| line.contains("state RACK=rack9")) {
            told.push(watching.wait_for(&[&address]));
        }
        assert!(!told.iter().any(|line| line.contains("state DC=")), "{told:#?}");
        assert_eq!(third.ask(&["decommission"]).code, Some(0));
        watching.wait_for(&[&address, "left, generation"]);
        let local = local.parse().unwrap();
        assert_eq!(first.endpoint(local).unwrap()["standing"], "live");
        watching.stop();
        until("nothing is left of it", || first.endpoint(local).is_none().then_some(()));
    }
}

#[test]
fn only_the_changes_that_are_asked_for_are_told() {
    let first = Node::start(&[]);
    let seed = first.gossip.to_string();
    let mut all = Watching::start(&seed, &[]);
    let mut wanted = Watching::start(&seed, &["--only", "up,down"]);
    all.wait_for(&["up, generation"]);
    let line = wanted.wait_for(&[""]);
    assert!(line.contains("up, generation"), "{line}");
    wanted.stop();
    let mut others = Watching::start(&seed, &["--endpoint", "192.0.2.1", "--only", "up,watching"]);
    others.wait_for(&["watching"]);
    others.stop();
    assert!(others.lines.iter().next().is_none(), "of no other node");
    all.stop();
    let line = refused(2, &["watch", "--admin", "127.0.0.1:1", "--only", "upp"]);
    assert!(line.contains("upp"), "{line}");
}

#[test]
fn changes_are_lines_of_json_if_that_is_wished() {
    let first = Node::start(&[]);
    let seed = first.gossip.to_string();
    let mut watching = Watching::start(&seed, &["--format", "json"]);
    for event in ["watching", "known", "up"] {
        let line: Value =
            serde_json::from_str(&watching.wait_for(&[&format!("\"event\":\"{event}\"")])).unwrap();
        assert!(line["unix_ms"].is_u64(), "{line}");
        if event != "watching" {
            assert_eq!(line["endpoint"], seed);
        }
    }
    watching.stop();
}

#[test]
fn a_member_that_is_asked_over_gossip_feeds_status_and_describecluster() {
    let first = real("4.0.14", &[]);
    let seed = first.gossip.to_string();
    let second = real("4.1.7", &["--seed", &seed]);
    let third = real("4.1.7", &["--seed", &seed]);
    until("all are up", || (first.count_up() == 3).then_some(()));
    assert_eq!(third.ask(&["stopdaemon"]).code, Some(0));
    let asked = ["--seed", &seed, "--cluster", "Test Cluster"];
    let status = gossip(&[&["status"], &asked[..]].concat());
    assert_eq!(status.code, Some(0), "{status:?}");
    for (node, letters) in [(&first, "UN"), (&second, "UN"), (&third, "DN")] {
        let address = node.gossip.to_string();
        let line = status.stdout.lines().find(|line| line.contains(&address)).unwrap();
        assert!(line.starts_with(letters), "{line}");
    }
    let description = gossip(&[&["describecluster", "--format", "json"], &asked[..]].concat());
    assert_eq!(description.code, Some(0), "{description:?}");
    let description: Value = serde_json::from_str(&description.stdout).unwrap();
    assert_eq!(description["partitioner"], PARTITIONER);
    assert_eq!((&description["live"], &description["unreachable"]), (&2.into(), &1.into()));
    assert_eq!(description["schema_versions"][SCHEMA].as_array().unwrap().len(), 2);
    assert_eq!(description["database_versions"]["4.1.7"].as_array().unwrap().len(), 2);
}

/// A fixed port serves one question after the other, under each partitioner.
#[test]
fn a_question_may_have_a_port_of_its_own() {
    let node = Node::start(&["--interval", INTERVAL]);
    let free = free_address();
    for _ in 0..2 {
        let asked = gossip(&[
            "gossipinfo",
            "--seed",
            &node.gossip.to_string(),
            "--cluster",
            "Test Cluster",
            "--listen",
            &free,
        ]);
        assert_eq!(asked.code, Some(0), "{asked:?}");
    }
}
