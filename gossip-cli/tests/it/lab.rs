//! The lab, whole, interrupted and killed.

use core::net::SocketAddr;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::node::{INTERVAL, command, gossip, signal, until};

#[test]
fn all_checks_pass() {
    let output = gossip(&["lab", "--interval", INTERVAL]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{}", output.stdout);
    let last = output.stdout.lines().last().unwrap();
    assert!(last.starts_with("lab: all ") && last.contains("checks passed in"), "{last}");
}

#[test]
fn all_checks_pass_under_tls() {
    let output = gossip(&["lab", "--interval", INTERVAL, "--tls", "--runtime", "mixed"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{}", output.stdout);
    assert!(output.stdout.lines().any(|line| line.contains("under TLS")), "{}", output.stdout);
}

#[test]
fn an_interrupted_lab_leaves_nothing_behind() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let dir = TempDir::new().unwrap();
        let (mut lab, admins) = start_lab(&dir);
        signal(name, lab.id());
        let status = until("the lab ends", || lab.try_wait().unwrap());
        assert_eq!(status.code(), Some(code));
        for admin in admins {
            assert!(TcpStream::connect(admin).is_err(), "{admin} still answers");
        }
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}

#[test]
fn a_lab_whose_lines_nobody_reads_goes_on_and_can_be_interrupted() {
    let (full, _unread) = crate::limits::full();
    let closed = std::io::pipe().unwrap().1;
    for stdout in [full, closed.into()] {
        let dir = TempDir::new().unwrap();
        let mut lab = command(&["lab", "--interval", INTERVAL])
            .env("TMPDIR", dir.path())
            .stdout(stdout)
            .spawn()
            .unwrap();
        // All nodes have logs once they were started.
        until("the nodes are started", || {
            let scratch = dir.path().read_dir().unwrap().next()?.unwrap().path();
            scratch.join("node-3.log").exists().then_some(())
        });
        assert!(lab.try_wait().unwrap().is_none());
        signal("INT", lab.id());
        let status = until("the lab ends", || lab.try_wait().unwrap());
        assert_eq!(status.code(), Some(130));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}

#[test]
fn a_killed_lab_leaves_no_process_behind() {
    let dir = TempDir::new().unwrap();
    let (mut lab, admins) = start_lab(&dir);
    lab.kill().unwrap();
    lab.wait().unwrap();
    for admin in admins {
        until("the node ends", || TcpStream::connect(admin).err());
    }
}

/// Starts a lab that keeps its files in `dir`, and waits until all its nodes run; returns their admin ports.
fn start_lab(dir: &TempDir) -> (Child, Vec<SocketAddr>) {
    let mut lab = command(&["lab", "--interval", INTERVAL])
        .env("TMPDIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut admins = Vec::new();
    let mut lines = BufReader::new(lab.stdout.take().unwrap()).lines();
    while admins.len() < 3 {
        let line = lines.next().unwrap().unwrap();
        admins.extend(line.split_once("admin on ").map(|(_, admin)| admin.parse::<SocketAddr>().unwrap()));
    }
    (lab, admins)
}
