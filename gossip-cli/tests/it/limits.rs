//! Clients that keep connections, and readers that do not read.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::Value;

use crate::node::{Node, PATIENCE, command, gossip, signal, until};

#[test]
fn idle_admin_connections_leave_open_files_for_gossip_and_for_the_operator() {
    // This test opens more files than many shells allow.
    rlimit::increase_nofile_limit(4_096).unwrap();
    let node = Node::start_with_open_files(256, &[]);
    let idle: Vec<_> = (0..1_100).map(|_| TcpStream::connect(node.admin).unwrap()).collect();
    let seed = node.gossip.to_string();
    let other = Node::start(&["--seed", &seed]);
    until("both find each other", || (node.count_up() == 2 && other.count_up() == 2).then_some(()));
    node.wait_for_log(&["WARN", "admin"]);
    let log = node.log();
    let warnings: Vec<_> =
        log.lines().filter(|line| line.contains("WARN") && line.contains("admin")).collect();
    assert!((1..=12).contains(&warnings.len()), "{log}");
    drop(idle);
}

#[test]
fn a_node_may_open_as_many_files_as_the_system_lets_it() {
    let node = Node::start(&[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", node.child.id())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_eq!(soft, hard);
}

#[test]
fn a_client_that_does_not_go_on_is_hung_up_on() {
    let node = Node::start(&[]);
    let host = format!("host: {}\r\n\r\n", node.admin);
    let request = "GET /v1/node HTTP/1.1\r\n";
    // Nothing, the beginning of a request, and a whole one, after which the connection stays open for the next.
    let clients = ["".to_owned(), request.to_owned(), request.to_owned() + &host].map(|text| {
        let mut stream = TcpStream::connect(node.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    });
    let answers = clients.map(|mut stream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    });
    assert_eq!(answers[0], "");
    assert!(!answers[1].contains("200 OK"), "{answers:?}");
    assert!(answers[2].starts_with("HTTP/1.1 200 OK"), "{answers:?}");
}

#[test]
fn a_log_that_nobody_reads_does_not_keep_a_node_from_stopping() {
    let (full, _unread) = full();
    let mut node =
        command(&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-level", "trace"])
            .stdout(Stdio::piped())
            .stderr(full)
            .spawn()
            .unwrap();
    // It has started when it says where it listens.
    assert_eq!(node.stdout.take().unwrap().read(&mut [0]).unwrap(), 1);
    signal("TERM", node.id());
    assert_eq!(until("it stops", || node.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn lines_that_the_log_had_no_room_for_are_counted_and_told() {
    let (full, unread) = full();
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let options = ["--log-level", "debug", "--transport", "datagram", "--exit-with-stdin"];
    let mut node = command(&[&run[..], &options].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(full)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addresses = line.trim_end().strip_prefix("listening on ").unwrap();
    let (listen, admin) = addresses.split_once(", admin on ").unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    until("lines are dropped", || {
        // Each packet makes a line.
        for _ in 0..1_000 {
            stranger.send_to(b"nonsense", listen).unwrap();
        }
        let info = gossip(&["info", "--admin", admin, "--format", "json"]).stdout;
        let info: Value = serde_json::from_str(&info).unwrap();
        info["counters"]["log_lines_dropped"].as_u64().filter(|count| *count > 0)
    });
    // Now the output is read.
    unread.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(unread).lines();
    let told = lines.find(|line| {
        let line = line.as_ref().unwrap();
        line.contains("WARN") && line.contains("lines of this log were dropped")
    });
    assert!(told.is_some());
    drop((lines, node.stdin.take()));
    assert_eq!(until("it ends", || node.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn a_first_line_that_nobody_reads_does_not_keep_a_node_from_stopping() {
    let (full, _unread) = full();
    let mut node = command(&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has started when it logs something.
    assert_eq!(node.stderr.take().unwrap().read(&mut [0]).unwrap(), 1);
    signal("TERM", node.id());
    assert_eq!(until("it stops", || node.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn an_error_that_nobody_reads_does_not_keep_a_command_from_ending() {
    let (full, _unread) = full();
    let mut refused = command(&["run", "--listen", "10.0.0.256"]).stderr(full).spawn().unwrap();
    assert_eq!(until("it ends", || refused.try_wait().unwrap()).code(), Some(2));
}

/// An end to write to that takes nothing more, and the other end, which is not read.
pub(crate) fn full() -> (Stdio, UnixStream) {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    for chunk in [4_096, 1] {
        let full = loop {
            if let Err(error) = writer.write(&vec![b'x'; chunk]) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
    }
    writer.set_nonblocking(false).unwrap();
    (OwnedFd::from(writer).into(), reader)
}
