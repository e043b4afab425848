//! What can be asked of a running node.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::{Node, PATIENCE, cluster, command, gossip, refused, signal, until};

#[test]
fn a_cluster_is_described() {
    let mut nodes = cluster(3, &["--dc", "east", "--set", "SCHEMA=v1", "--partitioner", "org.example.P"]);
    nodes[1].ask(&["set", "SCHEMA=v2"]);
    let mut last = nodes.pop().unwrap();
    last.ask(&["stopdaemon"]);
    last.wait();
    let [first, second] = &nodes[..] else { panic!("two nodes") };
    let mut all = [first.gossip, second.gossip, last.gossip];
    all.sort_unstable();
    let [a, b, c] = all;
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "Cluster Information:\n\tName: Test Cluster\n\tPartitioner: org.example.P\n\tSchema versions:\n\
         \t\tUNREACHABLE: [{}]\n\n\t\tv1: [{}]\n\n\t\tv2: [{}]\n\n\
         Stats for all nodes:\n\tLive: 2\n\tJoining: 0\n\tMoving: 0\n\tLeaving: 0\n\tUnreachable: 1\n\n\
         Data Centers: \n\teast #Nodes: 3 #Down: 1\n\n\
         Database versions:\n\t{version}: [{a}, {b}, {c}]\n\n",
        last.gossip, first.gossip, second.gossip
    );
    until("it is as expected", || (first.ask(&["describecluster"]).stdout == expected).then_some(()));
    let json: Value =
        serde_json::from_str(&first.ask(&["describecluster", "--format", "json"]).stdout).unwrap();
    assert_eq!((&json["live"], &json["data_centers"]["east"]["down"]), (&2.into(), &1.into()));
    assert_eq!(json["schema_versions"]["v2"][0], second.gossip.to_string());
}

#[test]
fn info_tells_the_counters() {
    let nodes = cluster(2, &[]);
    let info = nodes[0].ask(&["info"]).stdout;
    for line in [
        "Gossip active          : true",
        "Live endpoints         : 2",
        "Data Center            : datacenter1",
    ] {
        assert!(info.lines().any(|other| other == line), "{line}: {info}");
    }
    assert!(info.lines().any(|line| line.starts_with("  rounds               : ")), "{info}");
    let verbose = nodes[0].ask(&["info", "-v"]).stdout;
    let (_, counters) = verbose.split_once("Counters\n").unwrap();
    assert!(counters.lines().count() > 40, "{verbose}");
    for line in counters.lines() {
        assert!(line.ends_with('.') && line.contains("  "), "it says what it counts: {line}");
    }
    let json: Value = serde_json::from_str(&nodes[0].ask(&["info", "--format", "json"]).stdout).unwrap();
    assert!(json["counters"]["syns_received"].as_u64().unwrap() > 0, "{json}");
    assert_eq!(json["endpoints"]["live"], 2);
    assert!(json["node"]["generation"].is_i64());
}

#[test]
fn gossip_is_disabled_and_enabled() {
    let nodes = cluster(2, &[]);
    let [first, second] = &nodes[..] else { panic!("two nodes") };
    let generation = |seen: &Value| seen["generation"].as_i64().unwrap();
    let before = first.endpoint(second.gossip).unwrap();
    assert_eq!(second.ask(&["statusgossip"]).stdout, "running\n");
    assert_eq!(second.ask(&["disablegossip"]).code, Some(0));
    assert_eq!(second.ask(&["statusgossip"]).stdout, "not running\n");
    until("it is down", || first.endpoint(second.gossip).filter(|seen| seen["status"] == "shutdown"));
    assert_eq!(second.ask(&["set", "SEVERITY=1"]).code, Some(0), "it is kept for later");
    assert_eq!(second.ask(&["decommission"]).code, Some(1));
    assert_eq!(second.ask(&["enablegossip"]).code, Some(0));
    assert_eq!(second.ask(&["statusgossip"]).stdout, "running\n");
    until("it is back, with a greater generation", || {
        let seen = first.endpoint(second.gossip)?;
        let is_up = seen["standing"] == "live" && seen["status"] == "NORMAL";
        (is_up && generation(&seen) > generation(&before)).then_some(())
    });
    until("what was set meanwhile is known", || {
        let seen = first.endpoint(second.gossip)?;
        seen["states"].as_array()?.iter().any(|state| state["name"] == "SEVERITY").then_some(())
    });
}

/// A `gossip watch` that runs.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(node: &Node, args: &[&str]) -> Self {
        let admin = node.admin.to_string();
        let mut child =
            command(&[&["watch", "--admin", &admin], args].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let watch = Self { child, lines };
        watch.wait_for(&["watching"]);
        watch
    }

    /// The next line with all of `words` in it.
    fn wait_for(&self, words: &[&str]) -> String {
        let mut seen = String::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
            seen += &(line + "\n");
        }
        panic!("no line with {words:?}:\n{seen}");
    }

    fn wait(&mut self) -> Option<i32> {
        until("the watch ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn states_are_called_as_by_the_release_that_published_them_or_by_the_user() {
    let first = Node::start(&[
        "--release-version",
        "4.1.8",
        "--set",
        "DISK_USAGE=FULL",
        "--set",
        "X1=a",
        "--set",
        "21=b",
    ]);
    let seed = first.gossip.to_string();
    let shows = |output: &str, state: &str| output.lines().any(|line| line.trim_start().starts_with(state));
    let output = first.ask(&["gossipinfo"]).stdout;
    for state in ["DISK_USAGE:", "X1:", "X2:"] {
        assert!(shows(&output, state), "{state} {output}");
    }
    let over_gossip = ["gossipinfo", "--seed", &seed, "--cluster", "Test Cluster", "--state", "21=WORKLOAD"];
    for output in [gossip(&over_gossip), first.ask(&["gossipinfo", "--state", "21=WORKLOAD"])] {
        assert!(shows(&output.stdout, "X1:") && shows(&output.stdout, "WORKLOAD:"), "{output:?}");
        assert!(!shows(&output.stdout, "X2:"), "{output:?}");
    }
    let second = Node::start(&["--seed", &seed]);
    let watch = Watch::start(&second, &["--state", "21=WORKLOAD"]);
    // The first pad of 4.1 is 20, the second 21.
    let set = first.ask(&["set", "X1=c", "--format", "json"]);
    let set: Value = serde_json::from_str(&set.stdout).unwrap();
    assert_eq!((&set["key"], &set["name"]), (&20.into(), &"X1".into()));
    assert_eq!(first.ask(&["set", "X2=d"]).code, Some(0));
    watch.wait_for(&["state WORKLOAD=d"]);

    for command in ["gossipinfo", "watch", "run"] {
        for (definition, words) in
            [("21", "NUMBER=NAME"), ("5=A", "RELEASE_VERSION"), ("21=TOKENS", "another")]
        {
            let line = refused(2, &[command, "--state", definition]);
            assert!(line.contains(words), "{command}: {line}");
        }
    }
}

#[test]
fn changes_are_watched() {
    let mut first = Node::start(&["--state", "1000=ROLE"]);
    let mut people = Watch::start(&first, &[]);
    let mut program = Watch::start(&first, &["--format", "json"]);
    let mut second = Node::start(&["--seed", &first.gossip.to_string()]);
    let (first_address, address) = (first.gossip.to_string(), second.gossip.to_string());
    people.wait_for(&[&address, "joined, generation"]);
    people.wait_for(&[&address, "up, generation"]);
    assert_eq!(second.ask(&["set", "1000=leader"]).code, Some(0));
    people.wait_for(&[&address, "state ROLE=leader (version "]);
    let line = program.wait_for(&["\"ROLE\""]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["event"], &line["endpoint"], &line["value"]),
        (&"state".into(), &address.clone().into(), &"leader".into())
    );
    second.ask(&["stopdaemon"]);
    second.wait();
    people.wait_for(&[&address, "down, generation", ": shut down"]);
    let _second = Node::start_at(&address, &["--seed", &first_address, "--no-shadow-round"]);
    people.wait_for(&[&address, "restarted, generation", " -> "]);

    signal("INT", program.child.id());
    assert_eq!(program.wait(), Some(0));
    // The other ends with the node, which does not wait for it.
    assert_eq!(first.ask(&["stopdaemon"]).code, Some(0));
    assert_eq!(first.wait(), Some(0));
    people.wait_for(&[&first_address, "stopped"]);
    assert_eq!(people.wait(), Some(0));
}

#[test]
fn a_token_is_wanted_where_one_is_configured() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    let file = file.to_str().unwrap();
    std::fs::write(file, "0123456789abcdef\n").unwrap();
    let node = Node::start(&["--admin-token-file", file]);
    let host = format!("host: {}", node.admin);
    for (expected, authorization) in [
        (401, "x-none: x"),
        (401, "authorization: Bearer 0123456789abcdeF"),
        (401, "authorization: Basic 0123456789abcdef"),
        (200, "authorization: Bearer 0123456789abcdef"),
    ] {
        let (status, body) = node.http(&["GET /v1/node HTTP/1.1", &host, authorization], "");
        assert_eq!(status, expected, "{authorization}: {body}");
    }
    let admin = node.admin.to_string();
    let line = refused(1, &["status", "--admin", &admin]);
    assert!(line.contains("--token-file") && line.contains("GOSSIP_TOKEN"), "{line}");
    assert_eq!(node.ask(&["status", "--token-file", file]).code, Some(0));
    let wrong =
        command(&["status", "--admin", &admin]).env("GOSSIP_TOKEN", "fedcba9876543210").output().unwrap();
    let line = String::from_utf8(wrong.stderr).unwrap();
    assert!(line.contains("is not that of this admin port"), "{line}");
    let output = command(&["status", "--admin", &admin]).env("GOSSIP_TOKEN", " 0123456789abcdef\n").output();
    assert!(output.unwrap().status.success());
    drop(node);

    // With one, others may ask, too.
    let open = ["run", "--exit-with-stdin", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"];
    let line = refused(2, &open);
    assert!(line.contains("loopback") && line.contains("--admin-token-file"), "{line}");
    let run = [&open[..], &["--admin-token-file", file]].concat();
    // It stops at once: its standard input is at its end.
    assert_eq!(gossip(&run).code, Some(0));
    std::fs::write(file, "short\n").unwrap();
    let line = refused(2, &run);
    assert!(line.contains("16 ASCII characters"), "{line}");
}

#[test]
fn shells_learn_the_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = gossip(&["completions", shell]);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        assert!(output.stdout.contains("describecluster"));
    }
}

#[test]
fn the_admin_port_is_named_as_users_of_nodetool_do() {
    let node = Node::start(&[]);
    let (host, port) = (node.admin.ip().to_string(), node.admin.port().to_string());
    let expected = node.ask(&["status", "--print-port"]).stdout;
    assert!(expected.contains(&node.gossip.to_string()), "{expected}");
    let [attached_host, attached_port] = [format!("-h{host}"), format!("-p{port}")];
    for line in [
        &["-h", &host, "-p", &port, "-pp", "status"][..],
        &[&attached_host, &attached_port, "status", "-r"],
        &["status", &attached_host, &attached_port, "--resolve-ip"],
        &["status", "-h", &host, "-p", &port, "-pp"],
        &["--port", &port, "status", "-pp"],
        &["--admin", &node.admin.to_string(), "status", "--print-port"],
    ] {
        let output = gossip(line);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{line:?}");
        assert_eq!(output.stdout.lines().count(), expected.lines().count(), "{line:?}");
    }
    let asked = |admin: &str| command(&["statusgossip"]).env("GOSSIP_ADMIN", admin).output().unwrap();
    assert!(asked(&format!(" {} ", node.admin)).status.success());
    let wrong = asked("7079");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().starts_with("error: GOSSIP_ADMIN: '7079'"));
    for line in [&["-h"][..], &["status", "-h"], &["-h", "status"]] {
        let output = gossip(line);
        assert!(output.code == Some(0) && output.stdout.contains("Usage:"), "{line:?}");
    }
}

#[test]
fn a_load_that_is_given_is_left_alone() {
    let load = |node: &Node| {
        let seen = node.endpoint(node.gossip).unwrap();
        let load = seen["states"].as_array().unwrap().iter().find(|state| state["name"] == "LOAD").cloned();
        (seen["heartbeat"].as_i64().unwrap(), load.map(|load| load["value"].as_str().unwrap().to_owned()))
    };
    // Heartbeats count the rounds: the node tells its own load after two, and again after every sixty.
    let after = |node: &Node, rounds: i64| {
        let (began, _) = load(node);
        until("rounds go by", || Some(load(node)).filter(|(now, _)| *now > began + rounds)).1
    };
    let given = Node::start(&["--interval", "20ms", "--set", "LOAD=5.0", "--set", "RPC_READY=true"]);
    assert_eq!(after(&given, 70).as_deref(), Some("5.0"));
    let own = Node::start(&["--interval", "20ms"]);
    until("it tells its own", || load(&own).1);
    assert_eq!(own.ask(&["set", "LOAD=6.5"]).code, Some(0));
    assert_eq!(after(&own, 130).as_deref(), Some("6.5"));
    for (assignment, words) in [
        ("LOAD=abc", "number of bytes"),
        ("LOAD=-1", "number of bytes"),
        ("DC=x", "--dc"),
        ("TOKENS=x", "own"),
    ] {
        let refused = own.ask(&["set", assignment]);
        assert!(refused.code == Some(1) && refused.stderr.contains(words), "{assignment}: {refused:?}");
    }
}

#[test]
fn sighup_has_a_node_read_its_files_again() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("seeds");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("127.0.0.1:1\n");
    let mut node = Node::start(&["--seeds-file", file.to_str().unwrap(), "--no-shadow-round"]);
    write("127.0.0.1:2 , 127.0.0.1:3\n");
    signal("HUP", node.child.id());
    node.wait_for_log(&["SIGHUP: reading the seeds again"]);
    node.wait_for_log(&["the seeds have changed"]);
    let seeds = node.ask(&["getseeds"]).stdout;
    assert!(seeds.contains("127.0.0.1:2") && seeds.contains("127.0.0.1:3"), "{seeds}");
    let mut plain = Node::start(&[]);
    signal("HUP", plain.child.id());
    plain.wait_for_log(&["there is no file to read again"]);
    for node in [&mut node, &mut plain] {
        signal("TERM", node.child.id());
        assert_eq!(node.wait(), Some(0));
    }
}

#[test]
fn messages_are_logged_with_their_peer_and_whose_they_are() {
    let first = Node::start(&["--log-level", "trace"]);
    let second = Node::start(&["--log-level", "debug", "--seed", &first.gossip.to_string()]);
    let (one, other) = (first.gossip.to_string(), second.gossip.to_string());
    let (of_one, of_other) = (format!("node{{at={one}}}"), format!("node{{at={other}}}"));
    for (done, verb) in [
        ("received", "GOSSIP_DIGEST_SYN"),
        ("received", "GOSSIP_DIGEST_ACK"),
        ("sent", "GOSSIP_DIGEST_ACK"),
        ("sent", "GOSSIP_DIGEST_ACK2"),
    ] {
        let (verb, peer) = (format!("verb={verb} "), if done == "sent" { "to=" } else { "from=" });
        first.wait_for_log(&["TRACE", &of_one, done, &format!("{peer}{other}"), &verb]);
    }
    second.wait_for_log(&[
        "DEBUG",
        &of_other,
        "a dialled connection is open",
        "connection=",
        &format!("peer={one}"),
    ]);
    drop(first);
    second.wait_for_log(&["DEBUG", &of_other, "a connection is gone", &format!("peer={one}")]);
    assert!(!second.log().contains("TRACE"));
}
