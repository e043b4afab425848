//! Exchanges over loopback with a node on each adapter and transport, beside a bare loop: see `benches/README.md`.

#[path = "../shared/adapters.rs"]
mod adapters;
mod bare;
mod client;
mod cluster;
#[path = "../shared/frames.rs"]
mod frames;
mod process;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adapters::Adapter;
use client::{Client, Prepared};
use cluster::Cluster;
use gossip_benches::interleaved::Effort;
use process::{Kind, Process};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// For how long the node and the loop take turns. Short, so that a machine that changes its speed changes both, and that no endpoint seems
/// silent meanwhile.
const TURN: Duration = Duration::from_millis(20);

/// For how long exchanges go on before they are measured. A node that has learned of many endpoints answers more for some rounds.
const SETTLING: Duration = Duration::from_secs(4);

/// How long it may take until the node finds all endpoints live.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == process::ARGUMENT => process::run(rest),
        _ => bench(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end_to_end: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &[String]) -> Fallible<()> {
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if has("--list") {
        return Ok(());
    }
    if !cfg!(target_os = "linux") {
        println!("end_to_end: nothing is measured, since all of 127.0.0.0/8 is needed, which Linux gives");
        return Ok(());
    }
    // `cargo bench` says so; `cargo test`, which says nothing, only sees that it runs.
    let effort = if has("--bench") { Effort::from_args() } else { Effort::Test };
    let (sizes, turns, settling) = match effort {
        Effort::Test => ([10, 50], 2, Duration::ZERO),
        Effort::Quick => ([10, 1_000], 50, SETTLING),
        Effort::Full => ([10, 1_000], 250, SETTLING),
    };
    println!(
        "| adapter | transport | endpoints | exchanges/s | bare loop/s | times the bare loop | CPU µs an exchange: node, \
         bare loop | bytes: SYN, ACK, ACK2 |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for adapter in Adapter::ALL {
        for is_datagram in [true, false] {
            for count in sizes {
                println!("{}", measure(adapter, is_datagram, count, turns, settling)?);
            }
        }
    }
    Ok(())
}

/// What was counted in all turns of one side.
#[derive(Default)]
struct Side {
    exchanges: u32,
    took: Duration,
    /// How long one exchange took, for each turn.
    each: Vec<f64>,
}

impl Side {
    fn add(&mut self, exchanges: usize, took: Duration) -> Fallible<()> {
        let exchanges = u32::try_from(exchanges)?;
        self.exchanges += exchanges;
        self.took += took;
        self.each.push(took.as_secs_f64() / f64::from(exchanges.max(1)));
        Ok(())
    }

    fn rate(&self) -> f64 {
        f64::from(self.exchanges) / self.took.as_secs_f64()
    }
}

fn measure(
    adapter: Adapter,
    is_datagram: bool,
    count: u16,
    turns: usize,
    settling: Duration,
) -> Fallible<String> {
    let mut node = Process::start(Kind::Node, adapter, is_datagram)?;
    let mut client = Client::connect(is_datagram, node.address)?;
    let mut cluster = Cluster::new(count, client.port()?);
    client.teach(&cluster)?;
    let began = Instant::now();
    while node.report()?.live < cluster.len() {
        if began.elapsed() > PATIENCE {
            return Err(format!("{}: not all endpoints are live", adapter.name()).into());
        }
        client.exchange(&client.prepare(&mut cluster))?;
    }
    // How many exchanges there are in a turn, and how many bytes the answers have.
    let (mut in_a_turn, mut answer) = (1, 0);
    let began = Instant::now();
    loop {
        let prepared: Vec<Prepared> = (0..in_a_turn).map(|_| client.prepare(&mut cluster)).collect();
        let start = Instant::now();
        for exchange in &prepared {
            answer = client.exchange(exchange)?;
        }
        if start.elapsed() < TURN / 2 {
            in_a_turn *= 2;
        } else if began.elapsed() >= settling {
            break;
        }
    }

    let mut floor_process = Process::start(Kind::Bare, adapter, is_datagram)?;
    let mut bare = bare::Client::connect(is_datagram, floor_process.address)?;
    let sizes = client.prepare(&mut cluster);
    client.exchange(&sizes)?;
    let each = answer / sizes.syns.len();
    let answered: Vec<Vec<u8>> = sizes.syns.iter().map(|syn| bare::request(syn.len(), each)).collect();
    let unanswered: Vec<Vec<u8>> = sizes.ack2s.iter().map(|ack2| bare::request(ack2.len(), 0)).collect();
    let mut buffer = vec![0; 1 << 17];

    let (mut ours, mut floor) = (Side::default(), Side::default());
    let before = (node.report()?.cpu, floor_process.report()?.cpu);
    for _ in 0..turns {
        let prepared: Vec<Prepared> = (0..in_a_turn).map(|_| client.prepare(&mut cluster)).collect();
        let start = Instant::now();
        for exchange in &prepared {
            client.exchange(exchange)?;
        }
        ours.add(prepared.len(), start.elapsed())?;
        let start = Instant::now();
        for _ in &prepared {
            bare.exchange(&answered, each, &unanswered, &mut buffer)?;
        }
        floor.add(prepared.len(), start.elapsed())?;
    }
    let (report, bare_report) = (node.report()?, floor_process.report()?);
    let cpu = |now: Duration, before: Duration, side: &Side| {
        now.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(side.exchanges)
    };
    let (node_cpu, bare_cpu) = (cpu(report.cpu, before.0, &ours), cpu(bare_report.cpu, before.1, &floor));
    let mut ratios: Vec<f64> = ours.each.iter().zip(&floor.each).map(|(ours, floor)| ours / floor).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let live = report.live;
    if live < cluster.len() {
        println!(
            "of {count} endpoints, {live} are live at the end: the machine paused, and the next line counts less"
        );
    }
    let bytes = |messages: &[Vec<u8>]| messages.iter().map(Vec::len).sum::<usize>();
    Ok(format!(
        "| {} | {} | {count} | {:.0} | {:.0} | {:.2} | {node_cpu:.1}, {bare_cpu:.1} | {}, {answer}, {} |",
        adapter.name(),
        if is_datagram { "datagram" } else { "internode" },
        ours.rate(),
        floor.rate(),
        ratios[ratios.len() / 2],
        bytes(&sizes.syns),
        bytes(&sizes.ack2s),
    ))
}
