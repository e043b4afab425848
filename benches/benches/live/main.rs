//! What a node costs among many that live, and what a cluster of them does: see `benches/README.md`.

#[path = "../shared/adapters.rs"]
mod adapters;
mod floor;
mod hosts;
mod process;
mod trial;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use adapters::Adapter;
use trial::{Found, Plan, Run};

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    // The processes that are started have the same limit.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        eprintln!("live: the limit of open files cannot be raised: {error}");
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == process::ARGUMENT => hosts::hold(rest),
        _ if arguments.iter().any(|argument| argument == "--floor") => floor::run(),
        _ => Options::parse(&arguments).and_then(|options| bench(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Fallible<()> {
    if options.runs.is_empty() {
        return Ok(());
    }
    if !cfg!(target_os = "linux") {
        println!("live: nothing is measured, since processor time is read from Linux's /proc");
        return Ok(());
    }
    println!(
        "| run | all see all, s | CPU ms a node and second | messages, bytes a node and second | KB a node | \
         connections a node: open, ever | one value known to all, rounds: p50, greatest | 10 % killed, DOWN after s: \
         p50, p99, greatest | false verdicts | woken late by at most, ms; processes |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut failures = Vec::new();
    for run in &options.runs {
        match trial::run(*run, options.plan) {
            Ok(found) => {
                println!("{}", row(run, &found));
                if options.says_counters {
                    say_counters(run, &found);
                }
                failures.extend(fault(run, &found));
            }
            Err(error) => failures.push(format!("{}: {error}", name(run))),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nlive: ").into()) }
}

/// After how many intervals of silence a node that is not late itself is found down, at the least.
const SILENCE: u32 = 16;

/// What must not be. Verdicts are not judged where the machine held a process up for half of the time after which a silent node is found down:
/// they are not the fault of the nodes.
fn fault(run: &Run, found: &Found) -> Option<String> {
    let said = match (found.false_verdicts, found.missed) {
        (0, 0) => return None,
        (0, missed) => format!("{}: {missed} events were lost, which may be false verdicts", name(run)),
        (count, _) => format!("{}: {count} live nodes were found down", name(run)),
    };
    if found.late > run.interval * (SILENCE / 2) {
        eprintln!("live: {said}, which is not judged: a process was woken {:?} too late", found.late);
        return None;
    }
    Some(said)
}

fn name(run: &Run) -> String {
    let transport = if run.is_datagram { "datagram" } else { "TCP" };
    format!("{transport} {}, {}, {:?}", run.nodes, run.adapter.name(), run.interval)
}

#[expect(clippy::cast_precision_loss, reason = "it is shown")]
fn row(run: &Run, found: &Found) -> String {
    let nodes = f64::from(run.nodes);
    let node_seconds = nodes * found.measured.as_secs_f64();
    let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / node_seconds;
    let rounds = |time: Duration| time.as_secs_f64() / run.interval.as_secs_f64();
    let (before, after) = (&found.before, &found.after);
    format!(
        "| {} | {:.1} | {:.2} | {:.1}, {:.0} | {:.0} | {:.0}, {:.0} | {:.1}, {:.1} | {:.1}, {:.1}, {:.1} | {} | {:.0}; {} |",
        name(run),
        found.all_see_all.as_secs_f64(),
        found.cpu.as_secs_f64() * 1_000.0 / node_seconds,
        rate(before.messages, after.messages),
        rate(before.bytes, after.bytes),
        after.memory_kb as f64 / nodes,
        after.connections as f64 / nodes,
        after.dials as f64 / nodes,
        rounds(share(&found.news, 50)),
        rounds(share(&found.news, 100)),
        share(&found.verdicts, 50).as_secs_f64(),
        share(&found.verdicts, 99).as_secs_f64(),
        share(&found.verdicts, 100).as_secs_f64(),
        found.false_verdicts,
        found.late.as_secs_f64() * 1_000.0,
        found.processes,
    )
}

/// What a node has counted in a second of the measured time. What is less than once in a hundred seconds is left out.
#[expect(clippy::cast_precision_loss, reason = "it is shown")]
fn say_counters(run: &Run, found: &Found) {
    let node_seconds = f64::from(run.nodes) * found.measured.as_secs_f64();
    for (counter, count) in gossip_core::Stats::default().counters().zip(&found.counters) {
        let rate = *count as f64 / node_seconds;
        if rate >= 0.01 {
            eprintln!("live: {rate:10.2} {}", counter.name);
        }
    }
}

/// Of times in order: the one that so many of a hundred do not exceed.
fn share(times: &[Duration], percent: usize) -> Duration {
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// What to run.
struct Options {
    runs: Vec<Run>,
    plan: Plan,
    /// Whether the counters of a node are said on standard error.
    says_counters: bool,
}

impl Options {
    /// Whatever else may follow `--`, most of it for criterion, is ignored.
    fn parse(arguments: &[String]) -> Fallible<Self> {
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let is_short = has("--short");
        let mut sizes = if is_short { vec![100] } else { vec![50, 200] };
        let mut adapters = vec![Adapter::Tokio];
        let mut transports = vec![true, false];
        let mut interval = Duration::from_millis(if is_short { 300 } else { 1_000 });
        let mut within = None;
        let mut plan = Plan {
            patience: Duration::from_mins(2),
            settling: Duration::from_secs(45),
            measured: Duration::from_secs(30),
            news: 20,
            says_progress: has("--progress"),
        };
        if is_short {
            (plan.settling, plan.measured, plan.news) = (Duration::from_secs(1), Duration::from_secs(3), 5);
        }
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--nodes" => sizes = list(value()?, |size| size.parse().ok().filter(|size| *size >= 10))?,
                "--adapter" => adapters = list(value()?, Adapter::find)?,
                "--transport" => {
                    transports = list(value()?, |name| match name {
                        "datagram" => Some(true),
                        "tcp" => Some(false),
                        _ => None,
                    })?;
                }
                "--interval-ms" => interval = Duration::from_millis(value()?.parse()?),
                "--within-ms" => within = Some(Duration::from_millis(value()?.parse()?)),
                "--seconds" => plan.measured = Duration::from_secs(value()?.parse()?),
                "--settle" => plan.settling = Duration::from_secs(value()?.parse()?),
                "--patience" => plan.patience = Duration::from_secs(value()?.parse()?),
                _ => {}
            }
        }
        // `cargo test` and `cargo bench -- --test` only see that it builds: the short run is a step of its own.
        let is_wanted = (has("--bench") || is_short) && !has("--test") && !has("--list");
        let mut runs = Vec::new();
        for adapter in adapters {
            for nodes in &sizes {
                for is_datagram in &transports {
                    let default = Duration::from_secs(if *nodes >= 500 && !is_datagram { 5 } else { 1 });
                    let within = within.unwrap_or(default);
                    runs.push(Run { adapter, is_datagram: *is_datagram, nodes: *nodes, interval, within });
                }
            }
        }
        runs.retain(|_| is_wanted);
        Ok(Self { runs, plan, says_counters: has("--counters") })
    }
}

/// The values of a list with commas.
fn list<T>(words: &str, parse: impl Fn(&str) -> Option<T>) -> Fallible<Vec<T>> {
    let parse = |word| parse(word).ok_or_else(|| format!("{word:?} is none of the values").into());
    words.split(',').map(parse).collect()
}
