//! A gossip-only member leaves its cluster in silence, however it ends: all that it sends is recorded on its way, and decoded.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use gossip_adapter::{Builder, GossipOnly, Handle};
use gossip_core::internode::Initiate;
use gossip_core::wire::Writer;
use serde_json::Value;
use tempfile::TempDir;

use crate::node::{INTERVAL, Node, command, free_address, gossip, signal, until};

const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

/// What was sent over one connection.
struct Recording {
    from: SocketAddr,
    bytes: Vec<u8>,
    has_ended: bool,
}

/// A node that looks like a real one, and a listener at the address that it is known by, which records what comes for it.
struct Recorded {
    node: Node,
    address: SocketAddr,
    recordings: Arc<Mutex<Vec<Recording>>>,
}

impl Recorded {
    /// Members speak at most `version` with it.
    fn start(version: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let node = Node::start(&["--partitioner", PARTITIONER, "--broadcast", &address.to_string()]);
        let recordings = Arc::new(Mutex::new(Vec::new()));
        let (to, shared) = (node.gossip, recordings.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || record(stream, to, version, &shared));
            }
        });
        Self { node, address, recordings }
    }

    fn is_live(&self, member: SocketAddr) -> bool {
        self.node.endpoint(member).is_some_and(|shown| shown["standing"] == "live")
    }

    /// Waits until nothing comes from a member any more, and asserts what may have come.
    fn assert_silent_end(&self, member: SocketAddr, version: u8, how: &str) {
        until(&format!("all connections of {how} end"), || {
            let recordings = self.recordings.lock().unwrap();
            recordings.iter().all(|recording| recording.from != member || recording.has_ended).then_some(())
        });
        let (dir, mut verbs) = (TempDir::new().unwrap(), Vec::new());
        let file = dir.path().join("bytes");
        for recording in self.recordings.lock().unwrap().iter().filter(|recording| recording.from == member) {
            fs::write(&file, &recording.bytes).unwrap();
            let decoded = gossip(&["decode", file.to_str().unwrap(), "--format", "json"]);
            assert_eq!(decoded.code, Some(0), "{how}: {decoded:?}");
            assert!(!decoded.stdout.contains("shutdown,"), "{how}: {}", decoded.stdout);
            for line in decoded.stdout.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                if line["type"] == "message" {
                    assert_eq!(line["version"], version, "{how}: {line}");
                    verbs.push(line["verb"].as_u64().unwrap());
                }
            }
        }
        // SYN, and the answer to an echo: it took part.
        assert!(verbs.contains(&14) && verbs.contains(&91), "{how}: {verbs:?}");
        assert!(!verbs.contains(&29), "{how} announces its shutdown: {verbs:?}");
    }
}

/// Passes a connection on, and keeps what the dialler sends.
fn record(mut dialler: TcpStream, to: SocketAddr, version: u8, recordings: &Mutex<Vec<Recording>>) {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    let (mut initiate, size) = loop {
        match dialler.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&buffer[..count]),
        }
        if let Some(found) = Initiate::decode(&head).unwrap() {
            break found;
        }
    };
    initiate.max = initiate.max.min(version);
    let mut room = [0; 64];
    let mut out = Writer::new(&mut room);
    initiate.encode(&mut out).unwrap();
    let head = [out.written(), &head[size..]].concat();
    let place = {
        let mut recordings = recordings.lock().unwrap();
        let from = initiate.from.into();
        recordings.push(Recording { from, bytes: head.clone(), has_ended: false });
        recordings.len() - 1
    };
    if let Ok(mut node) = TcpStream::connect(to) {
        let _ = node.write_all(&head);
        let (mut answers, mut back) = (node.try_clone().unwrap(), dialler.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut answers, &mut back);
            let _ = back.shutdown(Shutdown::Both);
        });
        while let Ok(count @ 1..) = dialler.read(&mut buffer) {
            recordings.lock().unwrap()[place].bytes.extend_from_slice(&buffer[..count]);
            if node.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = node.shutdown(Shutdown::Both);
    }
    recordings.lock().unwrap()[place].has_ended = true;
}

/// Ways in which the command ends, or takes no part any more.
const WAYS: [&str; 5] = ["SIGTERM", "SIGINT", "stopdaemon", "disablegossip", "end of input"];

fn members_leave_in_silence(runtime: &str) {
    for version in [12, 13] {
        let real = Recorded::start(version);
        let seed = real.address.to_string();
        let options = ["--cassandra", "--seed", &seed, "--runtime", runtime];
        // They live side by side, and end one after the other.
        let members = WAYS.map(|way| (way, Node::start(&options)));
        for (way, mut member) in members {
            let how = format!("{way}, {runtime}, version {version}");
            until(&format!("both are up before {how}"), || {
                let sees = member.endpoint(real.address).is_some_and(|shown| shown["standing"] == "live");
                (sees && real.is_live(member.gossip)).then_some(())
            });
            match way {
                "SIGTERM" => signal("TERM", member.child.id()),
                "SIGINT" => signal("INT", member.child.id()),
                "stopdaemon" => assert_eq!(member.ask(&["stopdaemon"]).code, Some(0)),
                "end of input" => drop(member.child.stdin.take()),
                _ => {
                    let shown = real.node.endpoint(member.gossip);
                    let before = shown.and_then(|shown| shown["generation"].as_i64());
                    assert_eq!(member.ask(&["disablegossip"]).code, Some(0));
                    real.assert_silent_end(member.gossip, version, &how);
                    assert!(member.child.try_wait().unwrap().is_none(), "the process goes on");
                    let dialled = || TcpStream::connect(member.gossip).map_err(|error| error.kind());
                    until(&format!("the listener is closed: {how}"), || {
                        (dialled().err() == Some(ErrorKind::ConnectionRefused)).then_some(())
                    });
                    assert_eq!(member.ask(&["enablegossip"]).code, Some(0), "{how}");
                    until(&format!("it listens again: {how}"), || dialled().ok());
                    until(&format!("it is up again: {how}"), || {
                        let shown = real.node.endpoint(member.gossip)?;
                        let is_later = shown["generation"].as_i64() > before;
                        (is_later && shown["standing"] == "live").then_some(())
                    });
                    signal("TERM", member.child.id());
                }
            }
            assert_eq!(member.wait(), Some(0), "{how}: {}", member.log());
            real.assert_silent_end(member.gossip, version, &how);
            let shown = real.node.endpoint(member.gossip).unwrap_or_default();
            assert_eq!(shown["status"], Value::Null, "{how}");
        }
    }
}

#[test]
fn members_on_tokio_leave_in_silence() {
    members_leave_in_silence("tokio");
}

#[test]
fn members_on_async_std_leave_in_silence() {
    members_leave_in_silence("async-std");
}

#[test]
fn members_on_mio_leave_in_silence() {
    members_leave_in_silence("mio");
}

/// A child, killed when it is dropped.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watching_ends_in_silence() {
    for (version, name) in [(12, "TERM"), (13, "INT")] {
        let real = Recorded::start(version);
        let listen: SocketAddr = free_address().parse().unwrap();
        let (seed, at) = (real.address.to_string(), listen.to_string());
        let args = ["watch", "--seed", &seed, "--cluster", "Test Cluster", "--listen", &at];
        let mut watching = Watching(command(&args).stdout(Stdio::null()).spawn().unwrap());
        until("it is up", || real.is_live(listen).then_some(()));
        signal(name, watching.0.id());
        assert_eq!(until("it ends", || watching.0.try_wait().unwrap()).code(), Some(0));
        real.assert_silent_end(listen, version, &format!("watch, {name}"));
    }
}

/// Handles in a program: the last is dropped, also because its thread panics.
#[test]
fn members_whose_handle_is_dropped_leave_in_silence() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for version in [12, 13] {
        let real = Recorded::start(version);
        for panics in [false, true] {
            let handles = [
                ("tokio", runtime.block_on(builder::<gossip_tokio::Tokio>(&real).start()).unwrap().0),
                (
                    "async-std",
                    runtime.block_on(builder::<gossip_async_std::AsyncStd>(&real).start()).unwrap().0,
                ),
                ("mio", builder::<gossip_mio::Mio>(&real).start().unwrap().0),
            ];
            for (name, handle) in handles {
                end(&real, handle, panics, version, name);
            }
        }
    }
}

fn builder<R: gossip_adapter::Runtime>(real: &Recorded) -> Builder<R, GossipOnly> {
    let millis = INTERVAL.trim_end_matches("ms").parse().unwrap();
    Builder::gossip_only("Test Cluster")
        .listen("127.0.0.1:0".parse().unwrap())
        .seed(real.address)
        .interval(Duration::from_millis(millis))
}

fn end(real: &Recorded, handle: Handle<GossipOnly>, panics: bool, version: u8, runtime: &str) {
    let local = SocketAddr::from(handle.local_endpoint());
    until("it is up", || real.is_live(local).then_some(()));
    let dropped = thread::spawn(move || {
        let _handle = handle;
        assert!(!panics, "as the test wants");
    });
    assert_eq!(dropped.join().is_err(), panics);
    real.assert_silent_end(local, version, &format!("drop, panic {panics}, {runtime}, version {version}"));
}
