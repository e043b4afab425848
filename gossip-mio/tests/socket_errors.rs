//! What the driver does while its sockets fail: it goes on with everything else, asks the system rarely, and counts.
//!
//! The errors are the system's own. The process runs out of descriptors for the whole of a test, so that nothing else may run in it:
//! this file has one test.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use gossip_adapter::ACCEPT_PAUSE;
use gossip_mio::{Builder, Handle, Transport};
use rlimit::Resource;

#[test]
fn a_node_keeps_its_rounds_while_its_sockets_fail() {
    no_connection_can_be_accepted();
    no_packet_can_be_sent();
}

/// There is no descriptor left for the connection that waits.
fn no_connection_can_be_accepted() {
    let (handle, _events) = builder(Transport::Internode).start().expect("it can listen");
    let (soft, hard) = Resource::NOFILE.get().expect("the system tells it");
    let spare = File::open("/dev/null").expect("there is room");
    // The lowest number that is free, and all below it are taken.
    Resource::NOFILE.set(highest_descriptor() + 1, hard).expect("a lower limit is allowed");
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    drop(spare);
    let _client = TcpStream::connect(handle.listen_address()).expect("one descriptor is left for it");
    until(&handle, |handle| handle.stats().wait().expect("it runs").socket_errors > 0);

    let (began, before) = (Instant::now(), stats(&handle));
    until(&handle, |handle| stats(handle).0 >= before.0 + 10);
    let after = stats(&handle);
    // However slow the machine is, no pause is shorter.
    let pauses = began.elapsed().as_nanos() / ACCEPT_PAUSE.as_nanos();
    assert!(u128::from(after.1 - before.1) <= pauses + 2, "{before:?}, {after:?} within {pauses} pauses");
    assert_eq!(handle.stats().wait().expect("it runs").connections, 0);

    // It notices that there are descriptors again.
    drop(taken);
    until(&handle, |handle| handle.stats().wait().expect("it runs").connections == 1);
    Resource::NOFILE.set(soft, hard).expect("a lower limit is allowed");
    let rounds = stats(&handle).0;
    until(&handle, |handle| stats(handle).0 >= rounds + 3);
    handle.shutdown().wait().expect("it runs");
}

/// A socket that did not ask for it may not send to all hosts of a network.
fn no_packet_can_be_sent() {
    let everybody = SocketAddr::from((Ipv4Addr::BROADCAST, 7_000));
    let (handle, _events) = builder(Transport::Datagram).seed(everybody).start().expect("it can listen");
    until(&handle, |handle| stats(handle).0 >= 10);
    assert!(stats(&handle).1 > 0, "its seed is asked");
    handle.shutdown().wait().expect("it runs");
}

fn builder(transport: Transport) -> Builder {
    Builder::new("a")
        .listen((Ipv4Addr::LOCALHOST, 0).into())
        .interval(Duration::from_millis(20))
        .transport(transport)
}

/// Rounds, and calls to the system that failed.
fn stats(handle: &Handle) -> (u64, u64) {
    let stats = handle.stats().wait().expect("it runs");
    (stats.rounds, stats.socket_errors)
}

fn until(handle: &Handle, is_so: impl Fn(&Handle) -> bool) {
    while !is_so(handle) {
        thread::sleep(Duration::from_millis(1));
    }
}

fn highest_descriptor() -> u64 {
    let numbers = fs::read_dir("/proc/self/fd").expect("Linux has it");
    let number = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    numbers.filter_map(number).max().expect("standard input is one")
}
