//! Same configuration, seed and inputs: same outputs, byte for byte.

use std::fmt::Write as _;
use std::time::Duration;

use gossip_core::{ApplicationState, Endpoint, Outgoing, Output, Timestamp};
use gossip_sim::{Builder, Cluster, Probe};

/// Everything that came out of all nodes of a run, in order.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    text: String,
}

impl Log {
    fn note(&mut self, now: Timestamp, host: usize, what: &str, bytes: &[u8]) {
        self.text.clear();
        let _ = writeln!(self.text, "{} {host} {what} {}", now.as_nanos(), bytes.len());
        self.bytes.extend_from_slice(self.text.as_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

impl Probe for Log {
    fn on_message(&mut self, now: Timestamp, host: usize, to: Endpoint, outgoing: Outgoing, body: &[u8]) {
        self.note(now, host, &format!("{to} {outgoing:?}"), body);
    }

    fn on_output(&mut self, now: Timestamp, host: usize, output: &Output<'_>) {
        match output {
            Output::Write { connection, bytes } => self.note(now, host, &format!("{connection}"), bytes),
            Output::Datagram { to, bytes } => self.note(now, host, &format!("{to}"), bytes),
            output => self.note(now, host, &format!("{output:?}"), &[]),
        }
    }
}

#[test]
fn nodes_repeat_themselves_byte_for_byte() {
    let run = |seed| outputs(Cluster::new(8).seed(seed).streams().chunks(900));
    let first = run(7);
    assert!(first.len() > 500_000, "{} bytes came out", first.len());
    assert!(first == run(7), "the same seed gave other outputs");
    assert!(first != run(8), "another seed gave the same outputs");
}

#[test]
fn packets_repeat_themselves_byte_for_byte() {
    let run = |seed| outputs(Cluster::new(8).seed(seed).datagrams().duplicate_percent(5));
    let first = run(7);
    assert!(first.len() > 500_000, "{} bytes came out", first.len());
    assert!(first == run(7), "the same seed gave other outputs");
    assert!(first != run(8), "another seed gave the same outputs");
}

#[test]
fn gossipers_repeat_themselves_byte_for_byte() {
    let run = |seed| outputs(Cluster::new(8).seed(seed).duplicate_percent(5).reorder());
    let first = run(7);
    assert!(first.len() > 500_000, "{} bytes came out", first.len());
    assert!(first == run(7), "the same seed gave other outputs");
    assert!(first != run(8), "another seed gave the same outputs");
}

/// Lets a cluster go through faults, and returns all that came out of its nodes.
fn outputs(builder: Builder) -> Vec<u8> {
    let mut cluster = builder.loss_percent(5).probe(Log::default()).start();
    cluster.run_rounds(30);
    for host in 2..6 {
        cluster.restart(host);
        cluster.run_for(Duration::from_millis(5_300));
        cluster.set_state(host, ApplicationState::LOAD, "77.5").expect("it may be set");
        cluster.reset(0, host);
    }
    cluster.partition(0..4, 4..8);
    cluster.run_rounds(40);
    cluster.heal();
    cluster.shutdown(7);
    cluster.run_rounds(30);
    std::mem::take(&mut cluster.probe_mut().bytes)
}
