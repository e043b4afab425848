//! A crowd of live chitchat nodes on one machine: how soon all see all, and what a node costs then. What `live` measures for this library.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use chitchat::transport::UdpTransport;
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion, spawn_chitchat,
};
use gossip_benches::messages::{CLUSTER, ordinary_states};
use gossip_benches::usage::Usage;
use tokio::time::sleep;

const INTERVAL: Duration = Duration::from_secs(1);

/// Within which time all nodes start.
const START: Duration = Duration::from_secs(1);

/// How long is waited for all to see all.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long after that the measurement begins, and how long it takes.
const SETTLE: Duration = Duration::from_secs(45);
const MEASURED: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (nodes, settle, measured) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (200, SETTLE, MEASURED),
        // To see that it runs.
        ["--test"] => (5, Duration::ZERO, INTERVAL),
        [nodes] if nodes.parse::<u32>().is_ok_and(|nodes| (2..=1_000).contains(&nodes)) => {
            (nodes.parse().unwrap_or(2), SETTLE, MEASURED)
        }
        _ => {
            eprintln!("usage: crowd [NODES | --test], with 2 to 1000 NODES; 200 by default");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(crowd(nodes, settle, measured)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crowd: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn crowd(nodes: u32, settle: Duration, measured: Duration) -> anyhow::Result<()> {
    // Ports that are free now. Another program may take one before its node does, and then that fails.
    let sockets: Vec<UdpSocket> =
        (0..nodes).map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let addresses: Vec<SocketAddr> = sockets.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
    drop(sockets);
    let memory = Usage::of(process::id())?.resident_kb;
    let began = Instant::now();
    let mut handles = Vec::new();
    for (n, address) in (0..).zip(&addresses) {
        sleep((START * n / nodes).saturating_sub(began.elapsed())).await;
        handles.push(start(n, *address, addresses[0]).await?);
    }
    while !all_see_all(&handles).await {
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "not all {nodes} nodes see all others after {PATIENCE:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
    let joined = began.elapsed();
    sleep(settle).await;
    let (before, traffic) = (Usage::of(process::id())?, loopback()?);
    sleep(measured).await;
    let (after, later) = (Usage::of(process::id())?, loopback()?);
    let each = |total: f64| total / f64::from(nodes);
    let rate = |total: u64| each(total as f64) / measured.as_secs_f64();
    let used = (after.user + after.system).saturating_sub(before.user + before.system);
    println!(
        "chitchat, {nodes} nodes: all see all after {:.1} s; then a node takes {:.2} ms of processor time a second, sends {:.1} packets \
         and {:.0} bytes a second with their headers, and {:.0} KB of memory",
        joined.as_secs_f64(),
        each(used.as_secs_f64() * 1e3) / measured.as_secs_f64(),
        rate(later.packets - traffic.packets),
        rate(later.bytes - traffic.bytes),
        each((after.resident_kb - memory) as f64),
    );
    anyhow::ensure!(all_see_all(&handles).await, "a live node was found down");
    Ok(())
}

/// Starts the `n`th node, with as many values as one of this library has.
async fn start(n: u32, address: SocketAddr, seed: SocketAddr) -> anyhow::Result<ChitchatHandle> {
    let config = ChitchatConfig {
        chitchat_id: ChitchatId::new(format!("node-{n:05}"), 1, address),
        cluster_id: CLUSTER.into(),
        gossip_interval: INTERVAL,
        listen_addr: address,
        seed_nodes: vec![seed.to_string()],
        failure_detector_config: FailureDetectorConfig::default(),
        marked_for_deletion_grace_period: Duration::from_secs(3_600),
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    };
    let values = ordinary_states(n).into_iter().map(|(key, value)| (format!("{key:?}"), value)).collect();
    spawn_chitchat(config, values, &UdpTransport).await
}

async fn all_see_all(handles: &[ChitchatHandle]) -> bool {
    for handle in handles {
        if handle.with_chitchat(|chitchat| chitchat.live_nodes().count()).await < handles.len() {
            return false;
        }
    }
    true
}

/// What was sent over the loopback interface since the system started.
struct Traffic {
    bytes: u64,
    packets: u64,
}

fn loopback() -> anyhow::Result<Traffic> {
    let all = fs::read_to_string("/proc/net/dev")?;
    let line = all.lines().find_map(|line| line.trim_start().strip_prefix("lo:"));
    let numbers: Vec<u64> =
        line.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect();
    // Eight columns are about what was received.
    let sent = numbers.get(8).zip(numbers.get(9));
    let (bytes, packets) = sent.ok_or_else(|| anyhow::anyhow!("/proc/net/dev has no loopback interface"))?;
    Ok(Traffic { bytes: *bytes, packets: *packets })
}
