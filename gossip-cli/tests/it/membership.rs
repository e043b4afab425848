//! Who belongs to a cluster: leaving, being removed, meeting, being kept out.

use core::net::SocketAddr;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{INTERVAL, Node, cluster, free_address, loopback, refused, signal, until};

/// Nodes with data directories, which keep their addresses when they start again.
struct Kept {
    dirs: Vec<TempDir>,
    nodes: Vec<Option<Node>>,
    addresses: Vec<SocketAddr>,
}

impl Kept {
    fn start(count: usize) -> Self {
        let mut kept = Self { dirs: Vec::new(), nodes: Vec::new(), addresses: Vec::new() };
        for index in 0..count {
            kept.dirs.push(TempDir::new().unwrap());
            kept.nodes.push(None);
            kept.addresses.push((loopback(), 0).into());
            kept.begin(index);
        }
        for index in 0..count {
            until("all nodes are up", || (kept.node(index).count_up() == count).then_some(()));
        }
        kept
    }

    fn args(&self, index: usize) -> Vec<String> {
        let mut args = vec!["--data-dir".into(), self.dirs[index].path().to_str().unwrap().into()];
        // The first is everybody's seed, its own included.
        let seed = self.addresses[0];
        if seed.port() != 0 {
            args.extend(["--seed".into(), seed.to_string()]);
        }
        args
    }

    fn begin(&mut self, index: usize) {
        let args = self.args(index);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let node = Node::start_at(&self.addresses[index].to_string(), &args);
        self.addresses[index] = node.gossip;
        self.nodes[index] = Some(node);
    }

    fn end(&mut self, index: usize) {
        let mut node = self.nodes[index].take().unwrap();
        assert_eq!(node.ask(&["stopdaemon"]).code, Some(0));
        assert_eq!(node.wait(), Some(0));
    }

    fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().unwrap()
    }

    fn stored(&self, index: usize) -> Value {
        let file = std::fs::read(self.dirs[index].path().join("node.json")).unwrap();
        serde_json::from_slice::<Value>(&file).unwrap()["node"].clone()
    }
}

/// Whether `node` counts `address` among the members.
fn is_member(node: &Node, address: SocketAddr) -> bool {
    node.ask(&["status"]).stdout.contains(&format!("  {address} "))
}

#[test]
fn who_has_left_stays_away() {
    let mut kept = Kept::start(4);
    let (away, leaver) = (2, 3);
    let gone = kept.addresses[leaver];
    // One does not hear of it.
    kept.end(away);
    let left = kept.node(leaver).ask(&["decommission"]);
    assert_eq!(
        (left.code, left.stdout),
        (Some(0), format!("{gone} has left the cluster.\n")),
        "{}",
        left.stderr
    );
    let mut node = kept.nodes[leaver].take().unwrap();
    assert_eq!(node.wait(), Some(0), "{}", node.log());
    for index in [0, 1] {
        until("it has left", || (!is_member(kept.node(index), gone)).then_some(()));
        let seen = kept.node(index).endpoint(gone).unwrap();
        assert_eq!((&seen["status"], &seen["standing"]), (&"LEFT".into(), &"unreachable".into()));
        // At once: a crash now would not bring it back.
        until("it is stored", || {
            let stored = kept.stored(index);
            (stored["tombstones"][0]["endpoint"] == gone.to_string()).then_some(())
        });
    }
    // It comes back with what it knew, and is corrected.
    kept.begin(away);
    until("all are up", || (kept.node(away).count_up() == 3).then_some(()));
    until("it knows", || (!is_member(kept.node(away), gone)).then_some(()));
    // Nor does anybody know it as a member after all have started again.
    for index in [1, 0] {
        kept.end(index);
        kept.begin(index);
        until("all are up", || (kept.node(index).count_up() == 3).then_some(()));
    }
    for index in 0..3 {
        until("all are up", || (kept.node(index).count_up() == 3).then_some(()));
        assert!(!is_member(kept.node(index), gone), "{}", kept.node(index).ask(&["gossipinfo"]).stdout);
        let endpoints = kept.stored(index)["endpoints"].to_string();
        assert!(!endpoints.contains(&gone.to_string()), "{endpoints}");
    }

    // By itself it does not come back either.
    let args = kept.args(leaver);
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let listen = gone.to_string();
    let run =
        ["run", "--exit-with-stdin", "--listen", &listen, "--admin", "127.0.0.1:0", "--interval", INTERVAL];
    let line = refused(1, &[&run[..], &args].concat());
    assert!(line.contains("has left its cluster") && line.contains("--rejoin"), "{line}");
    let node = Node::start_at(&listen, &[&args[..], &["--rejoin"]].concat());
    until("it is back", || (node.count_up() == 4).then_some(()));
    for index in 0..3 {
        until("it is taken back", || (kept.node(index).count_up() == 4).then_some(()));
    }
}

#[test]
fn a_dead_node_is_assassinated_and_a_live_one_is_not() {
    let mut nodes = cluster(3, &[]);
    let mut dead = nodes.pop().unwrap();
    dead.child.kill().unwrap();
    dead.child.wait().unwrap();
    let [first, second] = &nodes[..] else { panic!("two nodes") };
    for node in &nodes {
        until("it is down", || node.endpoint(dead.gossip).filter(|seen| seen["standing"] == "unreachable"));
    }
    let alive = first.ask(&["assassinate", &second.gossip.to_string()]);
    assert_eq!((alive.code, alive.stdout.as_str()), (Some(1), ""));
    let lines: Vec<_> = alive.stderr.lines().collect();
    let [waiting, end] = lines[..] else { panic!("{}", alive.stderr) };
    assert!(waiting.starts_with("waiting 6s for a sign of life"), "{waiting}");
    assert!(end.contains("was not assassinated: it shows a sign of life"), "{end}");
    let done = first.ask(&["assassinate", &dead.gossip.to_string()]);
    assert_eq!((done.code, done.stdout), (Some(0), format!("{} is declared as left.\n", dead.gossip)));
    for node in &nodes {
        until("it is gone", || (!is_member(node, dead.gossip)).then_some(()));
        assert_eq!(node.endpoint(dead.gossip).unwrap()["status"], "LEFT");
        until("the others are up", || (node.count_up() == 2).then_some(()));
        assert!(node.ask(&["gossipinfo"]).stdout.contains("STATUS_WITH_PORT:"), "{node:?}");
    }
    assert_eq!(first.ask(&["assassinate", &first.gossip.to_string()]).code, Some(1));
}

#[test]
fn a_node_that_runs_stops_when_it_was_removed() {
    let dir = TempDir::new().unwrap();
    let nodes = cluster(2, &[]);
    let seed = nodes[0].gossip.to_string();
    let args = ["--seed", &seed, "--data-dir", dir.path().to_str().unwrap()];
    let mut removed = Node::start(&args);
    until("it is up", || (nodes[0].count_up() == 3 && removed.count_up() == 3).then_some(()));
    // It stands still for long enough to be taken for dead.
    signal("STOP", removed.child.id());
    until("it is down", || {
        nodes[0].endpoint(removed.gossip).filter(|seen| seen["standing"] == "unreachable")
    });
    assert_eq!(nodes[0].ask(&["assassinate", &removed.gossip.to_string()]).code, Some(0));
    signal("CONT", removed.child.id());
    assert_eq!(removed.wait(), Some(1), "{}", removed.log());
    removed.wait_for_log(&["error:", "was removed from the cluster under generation"]);
    // A supervisor that starts it again does not undo the decision of the operator.
    let address = removed.gossip.to_string();
    let run = ["run", "--exit-with-stdin", "--listen", &address, "--admin", "127.0.0.1:0"];
    let line = refused(1, &[&run[..], &args].concat());
    assert!(line.contains("was removed from it") && line.contains("--rejoin"), "{line}");
}

#[test]
fn members_that_crashed_are_forgotten_where_that_is_wanted() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().to_str().unwrap();
    let args = ["--interval", INTERVAL, "--dead-endpoint-ttl", "8s"];
    let first = Node::start(&[&args[..], &["--data-dir", data]].concat());
    let mut dead = Node::start(&[&args[..], &["--seed", &first.gossip.to_string()]].concat());
    until("both are up", || (first.count_up() == 2).then_some(()));
    dead.child.kill().unwrap();
    dead.child.wait().unwrap();
    first.wait_for_log(&[&dead.gossip.to_string(), "is DOWN: convicted at phi"]);
    let line = first.wait_for_log(&[&dead.gossip.to_string(), "is forgotten"]);
    assert!(line.contains("dead for longer"), "{line}");
    assert_eq!(first.endpoints().len(), 1);
    until("its tombstone is stored", || {
        let stored = std::fs::read_to_string(dir.path().join("node.json")).unwrap();
        let stored: Value = serde_json::from_str(&stored).unwrap();
        (stored["node"]["tombstones"][0]["endpoint"] == dead.gossip.to_string()).then_some(())
    });
    // It starts anew, and is taken back.
    let again = Node::start_at(
        &dead.gossip.to_string(),
        &[&args[..], &["--seed", &first.gossip.to_string()]].concat(),
    );
    until("it is back", || (first.count_up() == 2 && again.count_up() == 2).then_some(()));
}

#[test]
fn clusters_that_started_apart_meet_through_a_seed_that_came_later() {
    let (first_seed, second_seed) = (free_address(), free_address());
    let seeds = format!("{first_seed},{second_seed}");
    let mut nodes = vec![Node::start_at(&first_seed, &["--seed", &seeds])];
    nodes.push(Node::start(&["--seed", &seeds]));
    for node in &nodes {
        until("the first is up", || (node.count_up() == 2).then_some(()));
    }
    // The second knows nothing of the first.
    nodes.push(Node::start_at(&second_seed, &["--seed", &second_seed]));
    nodes.push(Node::start(&["--seed", &second_seed]));
    for node in &nodes {
        until("both are one", || (node.count_up() == 4).then_some(()));
    }
}

#[test]
fn clusters_meet_when_their_seeds_are_crossed_while_they_run() {
    let dir = TempDir::new().unwrap();
    let files = ["a", "b"].map(|name| dir.path().join(name));
    let mut clusters = Vec::new();
    for file in &files {
        let first = Node::start(&[]);
        std::fs::write(file, first.gossip.to_string()).unwrap();
        let second = Node::start(&["--seeds-file", file.to_str().unwrap()]);
        until("both are up", || (second.count_up() == 2).then_some(()));
        clusters.push([first, second]);
    }
    let [[first_seed, first], [second_seed, second]] = &clusters[..] else { panic!("two clusters") };
    for node in clusters.iter().flatten() {
        until("the halves are up", || (node.count_up() == 2).then_some(()));
        assert_eq!(node.endpoints().len(), 2);
    }
    assert_eq!(
        first.ask(&["getseeds"]).stdout,
        format!("Current list of seed node IPs, excluding the current node's IP: /{}\n", first_seed.gossip)
    );
    std::fs::write(&files[0], "# nobody\n").unwrap();
    let line = first.ask(&["reloadseeds"]);
    assert!(line.code == Some(1) && line.stderr.contains("stay as they are"), "{line:?}");
    assert_eq!(first_seed.ask(&["reloadseeds"]).code, Some(1), "it has no file");
    assert!(first.ask(&["getseeds"]).stdout.contains(&first_seed.gossip.to_string()));
    std::fs::write(&files[0], format!("{}\n{}\n", first_seed.gossip, second_seed.gossip)).unwrap();
    std::fs::write(&files[1], format!("{}\n{}\n", second_seed.gossip, first_seed.gossip)).unwrap();
    for node in [first, second] {
        let reloaded = node.ask(&["reloadseeds"]).stdout;
        assert!(reloaded.starts_with("Updated seed node IP list, excluding"), "{reloaded}");
        assert!(reloaded.contains(&first_seed.gossip.to_string()), "{reloaded}");
        assert!(reloaded.contains(&second_seed.gossip.to_string()), "{reloaded}");
    }
    for node in clusters.iter().flatten() {
        until("both are one", || (node.count_up() == 4).then_some(()));
    }
}

#[test]
fn an_address_in_use_under_another_host_id_is_refused() {
    let dir = TempDir::new().unwrap();
    let seed = Node::start(&[]);
    let args = ["--seed", &seed.gossip.to_string()];
    let mut first = Node::start(&[&args[..], &["--data-dir", dir.path().to_str().unwrap()]].concat());
    until("both are up", || (seed.count_up() == 2).then_some(()));
    let address = first.gossip.to_string();
    assert_eq!(first.ask(&["stopdaemon"]).code, Some(0));
    first.wait();
    // Without its data directory it is another node.
    let mut other = Node::start_at(&address, &args);
    assert_eq!(other.wait(), Some(1));
    let line = other.wait_for_log(&["error: a node with the address", &address]);
    assert!(line.contains("host id") && line.contains("--replace"), "{line}");
    let again =
        Node::start_at(&address, &[&args[..], &["--data-dir", dir.path().to_str().unwrap()]].concat());
    until("the one that it was is let in", || (again.count_up() == 2).then_some(()));
}
