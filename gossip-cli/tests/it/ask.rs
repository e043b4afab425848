//! Asking a member over gossip, and joining nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::node::{Node, free_address, gossip, refused, until};

const CLUSTER: [&str; 2] = ["--cluster", "Test Cluster"];

/// The lines of `gossipinfo` that do not change by themselves.
fn lasting(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains("heartbeat:") && !line.contains("LOAD:")).collect()
}

fn two_nodes(options: &[&str]) -> [Node; 2] {
    let first = Node::start(options);
    let second = Node::start(&[options, &["--seed", &first.gossip.to_string()]].concat());
    for node in [&first, &second] {
        until("both are up", || (node.count_up() == 2).then_some(()));
    }
    [first, second]
}

#[test]
fn a_member_tells_all_it_knows_and_nobody_hears_of_the_question() {
    for options in [&[][..], &["--compression", "lz4"]] {
        let nodes = two_nodes(options);
        for (node, other) in [(0, 1), (1, 0)] {
            let seed = nodes[node].gossip.to_string();
            let asked = gossip(&[&["gossipinfo", "-pp", "--seed", &seed], &CLUSTER[..]].concat());
            assert_eq!(asked.code, Some(0), "{asked:?}");
            let known = nodes[other].ask(&["gossipinfo", "-pp"]).stdout;
            assert_eq!(lasting(&asked.stdout), lasting(&known));
        }
        for node in &nodes {
            assert_eq!(node.endpoints().len(), 2);
            // The asker got the partitioner, which it had guessed wrongly. That is no fault.
            assert!(!node.log().contains("rejected a SYN"), "{}", node.log());
        }
    }
}

#[test]
fn what_is_wrong_with_a_question_is_one_line() {
    let node = Node::start(&[]);
    let seed = node.gossip.to_string();
    let ask = ["gossipinfo", "--timeout", "60s", "--seed"];
    let line = refused(1, &[&ask[..], &[&seed, "--cluster", "another"]].concat());
    assert!(
        line.contains("is called \"Test Cluster\", and not \"another\"") && line.contains("--cluster"),
        "{line}"
    );
    let line = refused(1, &[&ask[..], &[&seed], &CLUSTER, &["--partitioner", "another"]].concat());
    assert!(line.contains("NoPartitioner") && line.contains("--partitioner"), "{line}");
    // What answers is no member.
    let line = refused(1, &[&ask[..], &[&node.admin.to_string()], &CLUSTER].concat());
    assert!(line.contains("handshake") && line.contains("storage port"), "{line}");
    let nobody = free_address();
    let line = refused(1, &[&ask[..], &[&nobody], &CLUSTER].concat());
    assert!(line.contains(&nobody) && line.contains("cannot be reached"), "{line}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let line = refused(1, &[&["gossipinfo", "--timeout", "3s", "--seed", &silent], &CLUSTER[..]].concat());
    assert!(line.contains("no answer from") && !line.contains("TLS"), "nothing is known: {line}");

    // RFC 5737: no machine has this address.
    let line = refused(1, &[&ask[..], &[&seed, "--listen", "192.0.2.1"], &CLUSTER].concat());
    assert!(line.contains("192.0.2.1") && line.contains("with --listen"), "{line}");

    refused(2, &["gossipinfo", "--seed", &seed]);
    refused(2, &["gossipinfo", "--cluster", "x"]);
    refused(2, &[&ask[..], &[&seed, "--admin", &node.admin.to_string()], &CLUSTER].concat());
    refused(2, &[&ask[..], &[&seed, "--listen", "0.0.0.0"], &CLUSTER].concat());
    refused(2, &[&ask[..], &["no such host"], &CLUSTER].concat());
    assert_eq!(node.endpoints().len(), 1);
}

/// A listener that takes connections, reads what opens them, writes `answer` and closes.
pub(crate) fn closing(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut initiate = [0; 64];
            let _ = stream.read(&mut initiate);
            let _ = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn what_is_known_of_a_seed_that_does_not_answer_is_said() {
    for (answer, outcome, cause) in [
        (&b""[..], "closed the connection before the handshake was answered, 3 times", "may require TLS"),
        (&[0x15, 3, 1, 0, 2, 2, 0x46], "an alert of TLS", "nothing but TLS"),
        (&[0x85, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 10], "an error of CQL", "port for clients"),
    ] {
        let seed = closing(answer).to_string();
        for command in [&["gossipinfo"][..], &["status"], &["describecluster"], &["watch"]] {
            let line = refused(1, &[command, &["--timeout", "60s", "--seed", &seed], &CLUSTER].concat());
            assert!(line.contains(outcome) && line.contains(cause) && line.contains(&seed), "{line}");
            assert!(!line.contains("--partitioner"), "nothing else is guessed: {line}");
        }
        let run =
            ["run", "--cassandra", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--seed", &seed];
        let ended = gossip(&run);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let line = ended.stderr.lines().last().unwrap();
        assert!(line.contains(outcome) && line.contains(cause), "{line}");
        assert!(!line.contains("partitioner"), "nothing else is guessed: {line}");
    }
}
