//! Faults of the machine, on real processes: kills, pauses, full disks, no open files, wrong clocks, cut links, floods.
//!
//! What a machine does not permit is skipped, and the test says so. Nothing here is measured: the simulation says how fast a cluster
//! recovers.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::node::{Node, cluster, command, loopback, signal, until};

/// Generation and host id, as the node is known by.
fn identity(node: &Node) -> (i64, String) {
    let (status, body) = node.http(&["GET /v1/node HTTP/1.1", &format!("host: {}", node.admin)], "");
    assert_eq!(status, 200, "{body}");
    (body["generation"].as_i64().unwrap(), body["host_id"].as_str().unwrap().into())
}

fn kill(node: &mut Node) {
    node.child.kill().unwrap();
    node.child.wait().unwrap();
}

/// The files are written at the start, and each time that endpoints are saved: twenty times a second here. It ends anywhere in between.
#[test]
fn a_node_that_is_killed_while_it_writes_keeps_its_identity() {
    let dir = TempDir::new().unwrap();
    let args = ["--data-dir", dir.path().to_str().unwrap(), "--interval", "10ms"];
    let other = Node::start(&["--interval", "10ms"]);
    let seed = other.gossip.to_string();
    let args = [&args[..], &["--seed", &seed]].concat();
    let mut node = Node::start(&args);
    let address = node.gossip.to_string();
    let (mut generation, host_id) = identity(&node);
    for turn in 0..20_u64 {
        kill(&mut node);
        // A start that does not come as far as to listen.
        let mut start = command(&["run", "--listen", &address, "--admin", "127.0.0.1:0"]);
        let mut start = start.args(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(turn * 7 % 60));
        start.kill().unwrap();
        start.wait().unwrap();
        node = Node::start_at(&address, &args);
        let now = identity(&node);
        assert_eq!(now.1, host_id, "turn {turn}");
        assert!(now.0 > generation, "turn {turn}: {} > {generation}", now.0);
        generation = now.0;
        assert!(!node.log().contains("is corrupt"), "{}", node.log());
        thread::sleep(Duration::from_millis(turn * 13 % 100));
    }
    until("both are up again", || (node.count_up() == 2 && other.count_up() == 2).then_some(()));
}

/// Its threshold of phi is reached by a silence of 18 s. So it would convict the others after this pause, but no slow machine does it.
#[test]
fn a_node_that_stood_still_for_twenty_seconds_convicts_nobody_and_is_up_again() {
    let first = Node::start(&[]);
    let seed = first.gossip.to_string();
    let nodes = [Node::start(&["--seed", &seed]), Node::start(&["--seed", &seed, "--phi", "40"]), first];
    let all_up = || {
        for node in &nodes {
            until("all are up", || (node.count_up() == 3).then_some(()));
        }
    };
    all_up();
    let stopped = &nodes[1];
    let (generation, _) = identity(stopped);
    signal("STOP", stopped.child.id());
    let began = Instant::now();
    until("the others find it down", || (nodes[0].count_up() == 2 && nodes[2].count_up() == 2).then_some(()));
    thread::sleep(Duration::from_secs(20).saturating_sub(began.elapsed()));
    signal("CONT", stopped.child.id());
    all_up();
    stopped.wait_for_log(&["WARN", "stood still"]);
    assert!(!stopped.log().contains(" is DOWN"), "{}", stopped.log());
    assert_eq!(identity(stopped).0, generation, "no other node claimed anything about it");
}

/// Starts a node whose data directory is a file system of its own, of 256 KiB; `None` where the system does not allow that.
fn with_small_disk(dir: &Path, args: &[&str]) -> Option<Node> {
    let mount = "mount -t tmpfs -o size=256k none \"$DISK\"";
    let is_allowed = Command::new("unshare").args(["-m", "sh", "-c", mount]).env("DISK", dir).output();
    if !is_allowed.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let mut shell = Command::new("unshare");
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    shell.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_gossip")]).env("DISK", dir);
    let data = dir.join("data");
    let data_dir = ["--data-dir", data.to_str().unwrap()];
    Some(Node::spawn(shell, &format!("{}:0", loopback()), &[&data_dir[..], args].concat()))
}

/// Runs a script where the node sees its own disk.
fn beside(node: &Node, dir: &Path, script: &str) -> String {
    let output = Command::new("nsenter")
        .args(["-t", &node.child.id().to_string(), "-m", "sh", "-c", script])
        .env("DISK", dir)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_full_disk_stops_no_gossip_and_is_written_again_when_there_is_room() {
    let dir = TempDir::new().unwrap();
    let Some(node) = with_small_disk(dir.path(), &[]) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    beside(&node, dir.path(), "cat /dev/zero > \"$DISK/filler\"");
    let seed = node.gossip.to_string();
    let _second = Node::start(&["--seed", &seed]);
    // It wants to save the endpoint that it knows now.
    node.wait_for_log(&["WARN", "cannot be saved"]);
    let third = Node::start(&["--seed", &seed]);
    until("it gossips all the same", || (node.count_up() == 3).then_some(()));
    beside(&node, dir.path(), "rm \"$DISK/filler\"");
    node.wait_for_log(&["INFO", "can be written again"]);
    let address = third.gossip.to_string();
    until("what it knows is saved", || {
        let stored = beside(&node, dir.path(), "cat \"$DISK/data/node.json\"");
        let stored: Value = serde_json::from_str(&stored).ok()?;
        stored.to_string().contains(&address).then_some(())
    });
}

/// Connections that say nothing take all files that a node may open. More than these would fill the queue of the system.
#[test]
fn a_node_without_open_files_goes_on_when_there_are_some_again() {
    let node = Node::start_with_open_files(80, &[]);
    let seed = node.gossip.to_string();
    let other = Node::start(&["--seed", &seed]);
    until("both are up", || (node.count_up() == 2 && other.count_up() == 2).then_some(()));
    let idle: Vec<_> = (0..120).filter_map(|_| std::net::TcpStream::connect(node.gossip).ok()).collect();
    assert!(idle.len() > 80, "{}", idle.len());
    let third = Node::start(&["--seed", &seed]);
    drop(idle);
    until("all are up", || {
        (node.count_up() == 3 && other.count_up() == 3 && third.count_up() == 3).then_some(())
    });
}

/// Starts a node whose clock is moved by what is in the file; `None` where there is no faketime.
fn with_clock(file: &Path, args: &[&str]) -> Option<Node> {
    let library =
        ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime"]
            .into_iter()
            .map(|folder| Path::new(folder).join("libfaketimeMT.so.1"))
            .find(|library| library.exists())?;
    let mut command = command(&[]);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Some(Node::spawn(command, &format!("{}:0", loopback()), args))
}

/// With this threshold of phi only a silence of minutes convicts, or a clock that goes wrong.
const PATIENT: [&str; 2] = ["--phi", "1000"];

#[test]
fn a_clock_that_is_moved_costs_no_node_its_peers() {
    let dir = TempDir::new().unwrap();
    let clock = |name: &str, offset: &str| {
        let file = dir.path().join(name);
        fs::write(&file, offset).unwrap();
        file
    };
    let first = Node::start(&PATIENT);
    let seed = first.gossip.to_string();
    let args = [&PATIENT[..], &["--seed", &seed]].concat();
    let Some(moved) = with_clock(&clock("moved", "+0"), &args) else {
        eprintln!("skipped: there is no faketime here");
        return;
    };
    let all_up = |count| {
        until("all are up", || (first.count_up() == count && moved.count_up() == count).then_some(()));
    };
    all_up(2);
    let (generation, _) = identity(&moved);
    for offset in ["+3h", "-2d", "+300d", "-300d", "+0"] {
        clock("moved", offset);
        // Another node joins under that clock, and stops again.
        let mut joined = Node::start(&["--seed", &seed]);
        all_up(3);
        signal("TERM", joined.child.id());
        assert_eq!(joined.wait(), Some(0));
        all_up(2);
        assert_eq!(identity(&moved).0, generation, "{offset}");
    }
    // Only its start takes a generation from the clock. One of more than a year ahead is refused.
    let far = [&args[..], &["--no-shadow-round"]].concat();
    let ahead = with_clock(&clock("ahead", "+500d"), &far).unwrap();
    first.wait_for_log(&["WARN", &ahead.gossip.to_string(), "ahead of the clock here"]);
    all_up(2);
    for (node, other) in [(&first, &moved), (&moved, &first)] {
        assert!(!node.log().contains(&format!("{} is DOWN", other.gossip)), "{}", node.log());
    }
}

/// Connections from one address that say nothing, opened anew as they end.
struct Flood {
    opened: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Keeps one connection open.
async fn keep_one(from: SocketAddr, to: SocketAddr, opened: Arc<AtomicUsize>, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::Relaxed) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        if socket.bind(from).is_ok()
            && let Ok(mut stream) = socket.connect(to).await
        {
            opened.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read(&mut [0]).await;
        }
        // A flood, and no test of the processor.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Flood {
    /// `None` where the system has no such address.
    fn start(from: SocketAddr, count: usize, targets: &[SocketAddr]) -> Option<Self> {
        std::net::TcpListener::bind(from).ok()?;
        let (opened, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, over, targets) = (opened.clone(), is_over.clone(), targets.to_vec());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                for to in targets.iter().flat_map(|to| core::iter::repeat_n(*to, count)) {
                    tokio::spawn(keep_one(from, to, counter.clone(), over.clone()));
                }
                while !over.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        });
        Some(Self { opened, is_over, thread: Some(thread) })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// As many as a node has places for connections that have not said who they are.
const PLACES: usize = 256;

/// Three seconds are the bound. It is held under virtual time, by
/// `a_restarted_neighbour_is_live_within_three_seconds_while_one_host_floods_all_others`: here a slow machine would break it.
#[test]
fn a_restarted_node_is_live_again_while_one_address_takes_all_places() {
    rlimit::increase_nofile_limit(4_096).unwrap();
    let mut nodes = cluster(2, &[]);
    let seed = nodes[0].gossip.to_string();
    let dir = TempDir::new().unwrap();
    let args = ["--seed", &seed, "--data-dir", dir.path().to_str().unwrap()];
    nodes.push(Node::start(&args));
    let from = SocketAddr::from(([127, 250, 1, 1], 0));
    let targets: Vec<_> = nodes[..2].iter().map(|node| node.gossip).collect();
    let Some(flood) = Flood::start(from, PLACES, &targets) else {
        eprintln!("skipped: {from} is no address of this machine");
        return;
    };
    until("all places are taken", || {
        (flood.opened.load(Ordering::Relaxed) >= PLACES * targets.len()).then_some(())
    });
    for _ in 0..3 {
        let address = nodes[2].gossip.to_string();
        kill(&mut nodes[2]);
        let restarted = Instant::now();
        nodes[2] = Node::start_at(&address, &args);
        let generation = identity(&nodes[2]).0;
        for node in &nodes {
            until("the restarted node is up", || {
                let known = node.endpoint(nodes[2].gossip)?;
                (node.count_up() == 3 && known["generation"] == generation).then_some(())
            });
        }
        eprintln!("live again after {:.1} s", restarted.elapsed().as_secs_f64());
    }
    nodes[0].wait_for_log(&["WARN", "127.250.1.1 was refused", "it had the most"]);
}

#[test]
fn only_allowed_addresses_are_heard_and_the_file_of_them_is_read_again() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("allowed");
    fs::write(&file, "127.0.0.0/8\n").unwrap();
    let node = Node::start(&["--allow-file", file.to_str().unwrap()]);
    let seed = node.gossip.to_string();
    let other = Node::start(&["--seed", &seed]);
    until("both are up", || (node.count_up() == 2 && other.count_up() == 2).then_some(()));
    fs::write(&file, "127.0.0.0/40\n").unwrap();
    signal("HUP", node.child.id());
    node.wait_for_log(&["WARN", "stay as they are", "line 1"]);
    fs::write(&file, "10.0.0.0/8\n").unwrap();
    signal("HUP", node.child.id());
    node.wait_for_log(&["WARN", "127.", "was refused", "not on the list", "--allow"]);
    until("no other node is heard any more", || {
        (node.count_up() == 1 && other.count_up() == 1).then_some(())
    });
    fs::write(&file, "127.0.0.0/8\n").unwrap();
    signal("HUP", node.child.id());
    until("both are up again", || (node.count_up() == 2 && other.count_up() == 2).then_some(()));
}
