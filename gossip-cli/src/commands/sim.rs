//! `gossip sim`.

mod curves;

use core::fmt::Write as _;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gossip_sim::{Carrier, Plan, Report, SEED_VARIABLE, Trial, Trouble};
use serde_json::{Value, json};

use self::curves::Curves;
use crate::client::Format;
use crate::failure::{Failure, print, print_json};
use crate::progress::Progress;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// How many nodes there are; the first three are seeds
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    nodes: u32,
    /// How many rounds are simulated, one a second
    #[arg(long, value_name = "COUNT", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rounds: u32,
    /// Where all chance comes from: the same seed gives the same run
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Runs so many seeds, from --seed on, over all processors, and prints which of them failed; default: only --seed
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["trace", "svg"])]
    seeds: Option<u64>,
    /// How messages travel
    #[arg(long, value_enum, default_value_t = TransportArg::Messages)]
    transport: TransportArg,
    /// How many of 100 messages are lost
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    loss: u32,
    /// How many of 100 messages arrive twice; over internode none does
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    duplicate: u32,
    /// Messages overtake each other; over internode none does
    #[arg(long)]
    reorder: bool,
    /// Nodes have as little room as they can do with: tables, messages, packets, connections; in half of the seeds, also few requests and echoes at once
    #[arg(long)]
    tight: bool,
    /// Half of the nodes ask their seeds before they join (`membership.shadow_round`); a refused node starts again
    #[arg(long)]
    ask_first: bool,
    /// The longest that a message travels, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    latency: u64,
    #[command(flatten)]
    troubles: Troubles,
    /// Prints what happens, in order
    #[arg(long)]
    trace: bool,
    /// Draws the run into this file: who knows an update, the greatest phi, bytes; default: no drawing
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, hide_possible_values = true, value_name = "text|json", default_value_t = Format::Text)]
    format: Format,
}

/// What goes wrong in the first two thirds of a run. Without any of these nothing does.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What goes wrong in the first two thirds of the run")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Troubles {
    /// Two groups of nodes are cut off from each other
    #[arg(long)]
    partition: bool,
    /// What a node sends does not reach some others, though it hears them
    #[arg(long)]
    one_way: bool,
    /// All links of a node stop, and go on later
    #[arg(long)]
    clog: bool,
    /// Nodes are killed, stopped and started again
    #[arg(long)]
    churn: bool,
    /// Nodes are killed, and start again without what they had stored
    #[arg(long)]
    restart_without_data: bool,
    /// Processes pause for 30 seconds
    #[arg(long)]
    pause: bool,
    /// Wall clocks jump by up to an hour
    #[arg(long)]
    clock_jump: bool,
    /// Wall clocks run fast or slow, by up to a tenth
    #[arg(long)]
    clock_drift: bool,
    /// All seeds are down at once
    #[arg(long)]
    seeds_down: bool,
    /// All nodes are killed and start again
    #[arg(long)]
    mass_restart: bool,
    /// Nodes are killed, and start again under another address; the first, a seed, keeps its own
    #[arg(long)]
    new_address: bool,
    /// Nodes are killed, and start again under another host id
    #[arg(long)]
    new_host_id: bool,
    /// Disks are full for a while: a raised generation is not stored, and no node starts there
    #[arg(long)]
    full_disk: bool,
    /// Every third timer of some nodes fires late, by up to two seconds
    #[arg(long)]
    late_timers: bool,
    /// All of these
    #[arg(long)]
    all_troubles: bool,
}

const AFTER_HELP: &str = "\
A run fails if knowledge goes back, a node knows a value that no node published, a removed node comes back, or a node
holds more than its limits permit. It also fails if not all nodes agree when it ends, though nothing goes wrong in the
last third; or if a node still finds an address live where nothing runs, though its failure detector should have found
it down. With more than 64 nodes only the end is checked.

With --format json the result is an object:
  seed, nodes, rounds, transport     what was run; with --seeds also seeds
  convergence                        rounds until all know an update: samples, p50, p99, max
  false_convictions                  live and reachable nodes that were taken for dead
  detection                          seconds until a killed node is taken for dead: samples, p50, p99, max
  messages_per_node_round, bytes_per_node_round
  us_per_node_round                  processor time for each node and round, in microseconds; the time that the run took
                                     where the system does not tell it
  recovery                           rounds of calm until all agree, after trouble: samples, p50, p99, max
  failed                             seeds that failed, each with violations and the command that repeats it
  trace                              what happened, with --trace

Exit codes: 0 nothing failed, 1 a run failed, 2 misuse.

Examples:
  gossip sim --nodes 100 --loss 10
  gossip sim --all-troubles --tight --rounds 240 --seed 1 --seeds 1000
  gossip sim --nodes 50 --churn --seed 7 --trace --svg run.svg";

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum TransportArg {
    /// Whole messages, without connections: the quickest
    Messages,
    /// Cassandra's connections
    Internode,
    /// Packets
    Datagram,
}

impl TransportArg {
    const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Internode => "internode",
            Self::Datagram => "datagram",
        }
    }

    const fn carrier(self) -> Carrier {
        match self {
            Self::Messages => Carrier::Messages,
            Self::Internode => Carrier::Internode,
            Self::Datagram => Carrier::Datagram,
        }
    }
}

impl Troubles {
    /// Each switch, what it is called, and what it does.
    const fn switches(&self) -> [(bool, &'static str, Trouble); 14] {
        [
            (self.partition, "--partition", Trouble::Partition),
            (self.one_way, "--one-way", Trouble::OneWay),
            (self.clog, "--clog", Trouble::Clog),
            (self.churn, "--churn", Trouble::Churn),
            (self.restart_without_data, "--restart-without-data", Trouble::Wipe),
            (self.pause, "--pause", Trouble::Pause),
            (self.clock_jump, "--clock-jump", Trouble::ClockJump),
            (self.clock_drift, "--clock-drift", Trouble::ClockDrift),
            (self.seeds_down, "--seeds-down", Trouble::SeedsDown),
            (self.mass_restart, "--mass-restart", Trouble::MassRestart),
            (self.new_address, "--new-address", Trouble::NewAddress),
            (self.new_host_id, "--new-host-id", Trouble::NewHostId),
            (self.full_disk, "--full-disk", Trouble::FullDisk),
            (self.late_timers, "--late-timers", Trouble::LateTimers),
        ]
    }
}

impl Args {
    fn plan(&self) -> Plan {
        let chosen = self.troubles.switches().into_iter().filter(|(is_on, ..)| *is_on);
        let longest = Duration::from_millis(self.latency);
        Plan {
            nodes: self.nodes as usize,
            rounds: self.rounds,
            carrier: self.transport.carrier(),
            loss_percent: self.loss,
            duplicate_percent: self.duplicate,
            reorders: self.reorder,
            latency: (longest.min(Duration::from_millis(1)), longest),
            troubles: if self.troubles.all_troubles {
                Trouble::ALL.to_vec()
            } else {
                chosen.map(|(_, _, trouble)| trouble).collect()
            },
            is_tight: self.tight,
            ask_first: self.ask_first,
        }
    }

    /// The command that repeats one run.
    fn repeat(&self, seed: u64) -> String {
        let mut line = format!("gossip sim --nodes {} --rounds {} --seed {seed}", self.nodes, self.rounds);
        if self.transport != TransportArg::Messages {
            let _ = write!(line, " --transport {}", self.transport.name());
        }
        for (option, value, default) in [
            ("--loss", u64::from(self.loss), 0),
            ("--duplicate", u64::from(self.duplicate), 0),
            ("--latency", self.latency, 10),
        ] {
            if value != default {
                let _ = write!(line, " {option} {value}");
            }
        }
        if self.reorder {
            line.push_str(" --reorder");
        }
        if self.tight {
            line.push_str(" --tight");
        }
        if self.ask_first {
            line.push_str(" --ask-first");
        }
        if self.troubles.all_troubles {
            line.push_str(" --all-troubles");
        } else {
            for (_, option, _) in self.troubles.switches().iter().filter(|(is_on, ..)| *is_on) {
                let _ = write!(line, " {option}");
            }
        }
        line.push_str(" --trace");
        line
    }
}

/// What one or more runs have shown together.
#[derive(Debug, Default)]
struct Total {
    runs: u64,
    convergence: Vec<f64>,
    detection: Vec<f64>,
    recovery: Vec<f64>,
    false_convictions: u64,
    messages: f64,
    bytes: f64,
    took: Duration,
    failed: Vec<(u64, Vec<String>)>,
}

impl Total {
    fn add(&mut self, seed: u64, report: Report, took: Duration) {
        self.runs += 1;
        self.convergence.extend(report.convergence);
        self.detection.extend(report.detection);
        self.recovery.extend(report.recovery);
        self.false_convictions += report.false_convictions;
        self.messages += report.messages;
        self.bytes += report.bytes;
        self.took += took;
        if !report.violations.is_empty() {
            self.failed.push((seed, report.violations));
        }
    }

    fn per_run(&self, sum: f64) -> f64 {
        sum / self.runs.max(1) as f64
    }

    /// How long a node and a round took, in microseconds.
    fn pace(&self, args: &Args) -> f64 {
        self.per_run(self.took.as_secs_f64()) * 1e6 / f64::from(args.nodes) / f64::from(args.rounds)
    }
}

/// The middle, the hundredth greatest of a hundred, and the greatest.
fn percentiles(samples: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some([sorted[last / 2], sorted[last * 99 / 100], sorted[last]])
}

/// Simulates a cluster.
///
/// # Errors
///
/// A run failed, or the drawing cannot be written.
pub(crate) fn sim(args: &Args) -> Result<(), Failure> {
    if std::env::var_os(SEED_VARIABLE).is_some() {
        return Err(Failure::misuse(format!(
            "the variable {SEED_VARIABLE} is set (unset it, and use --seed)"
        )));
    }
    let plan = args.plan();
    let mut trace = Vec::new();
    let mut total = Total::default();
    match args.seeds {
        Some(count) => total = run_band(&plan, args.seed, count),
        None => {
            let started = Stopwatch::start();
            let mut curves = args.svg.is_some().then(Curves::default);
            let report = run_one(&plan, args, curves.as_mut());
            trace.clone_from(&report.trace);
            total.add(args.seed, report, started.read());
            if let (Some(path), Some(curves)) = (&args.svg, curves) {
                std::fs::write(path, curves.draw()).map_err(|error| {
                    Failure::failed(format!("the drawing cannot be written to {}: {error} (name a file in a folder that is there)", path.display()))
                })?;
            }
        }
    }
    match args.format {
        Format::Json => print_json(&as_json(args, &total, &trace))?,
        Format::Text => print(&as_text(args, &total, &trace))?,
    }
    if total.failed.is_empty() { Ok(()) } else { Err(Failure::Told) }
}

/// Measures the processor time of a thread: other programs do not count.
#[derive(Clone, Copy, Debug)]
struct Stopwatch {
    began: Instant,
    used: Option<Duration>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { began: Instant::now(), used: processor_time() }
    }

    fn read(self) -> Duration {
        let used = processor_time().zip(self.used).map(|(now, before)| now.saturating_sub(before));
        used.unwrap_or_else(|| self.began.elapsed())
    }
}

/// How long this thread has kept a processor, where Linux tells it.
fn processor_time() -> Option<Duration> {
    let numbers = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    numbers.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn run_one(plan: &Plan, args: &Args, mut curves: Option<&mut Curves>) -> Report {
    let mut trial = Trial::new(plan, args.seed, args.trace);
    let mut progress = Progress::of_steps(u64::from(plan.rounds), "rounds");
    while trial.step() {
        progress.step_to(u64::from(trial.round()));
        if let Some(curves) = &mut curves {
            curves.take(&trial);
        }
    }
    trial.finish()
}

fn run_band(plan: &Plan, first: u64, count: u64) -> Total {
    let next = AtomicU64::new(0);
    let total = Mutex::new((Total::default(), Progress::of_steps(count, "seeds")));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let seed = first.wrapping_add(number);
            let started = Stopwatch::start();
            // A run that panics has found something as well, and the others go on.
            let report = catch_unwind(AssertUnwindSafe(|| Trial::run(plan, seed))).unwrap_or_else(|_| {
                Report { violations: vec!["it panicked, as standard error says".into()], ..Report::default() }
            });
            let mut held = total.lock().expect("no run panics while it holds the result");
            let (total, progress) = &mut *held;
            total.add(seed, report, started.read());
            progress.step_to(total.runs);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (mut total, _) = total.into_inner().expect("no run panics while it holds the result");
    total.failed.sort();
    total
}

fn spread(samples: &[f64]) -> Value {
    match percentiles(samples) {
        Some([p50, p99, max]) => json!({ "samples": samples.len(), "p50": p50, "p99": p99, "max": max }),
        None => json!({ "samples": 0 }),
    }
}

fn as_json(args: &Args, total: &Total, trace: &[String]) -> Value {
    let failed: Vec<_> = total
        .failed
        .iter()
        .map(|(seed, violations)| {
            json!({ "seed": seed, "violations": violations, "repeat": args.repeat(*seed) })
        })
        .collect();
    let mut object = json!({
        "seed": args.seed,
        "nodes": args.nodes,
        "rounds": args.rounds,
        "transport": args.transport.name(),
        "convergence": spread(&total.convergence),
        "false_convictions": total.false_convictions,
        "detection": spread(&total.detection),
        "messages_per_node_round": total.per_run(total.messages),
        "bytes_per_node_round": total.per_run(total.bytes),
        "us_per_node_round": total.pace(args),
        "recovery": spread(&total.recovery),
        "failed": failed,
    });
    if args.seeds.is_some() {
        object["seeds"] = json!(total.runs);
    }
    if args.trace {
        object["trace"] = json!(trace);
    }
    object
}

fn as_text(args: &Args, total: &Total, trace: &[String]) -> String {
    let mut text = String::new();
    for line in trace {
        let _ = writeln!(text, "{line}");
    }
    let line = |text: &mut String, name: &str, value: &str| {
        let _ = writeln!(text, "{name:<22} {value}");
    };
    let spread = |samples: &[f64], unit: &str| match percentiles(samples) {
        Some([p50, p99, max]) => {
            format!("p50 {p50:.1}, p99 {p99:.1}, greatest {max:.1} {unit} ({} samples)", samples.len())
        }
        None => "nothing to measure".to_owned(),
    };
    let seeds = match args.seeds {
        Some(_) => format!("seeds {} to {}", args.seed, args.seed.wrapping_add(total.runs.saturating_sub(1))),
        None => format!("seed {}", args.seed),
    };
    let (nodes, rounds, transport) = (args.nodes, args.rounds, args.transport.name());
    line(&mut text, "Run", &format!("{nodes} nodes, {rounds} rounds, {transport}, {seeds}"));
    line(&mut text, "Convergence", &spread(&total.convergence, "rounds"));
    line(&mut text, "False convictions", &total.false_convictions.to_string());
    line(&mut text, "Time to detect", &spread(&total.detection, "s"));
    if !total.recovery.is_empty() {
        line(&mut text, "Recovery", &spread(&total.recovery, "rounds"));
    }
    line(&mut text, "Messages", &format!("{:.1} a node and round", total.per_run(total.messages)));
    line(&mut text, "Bytes", &format!("{:.0} a node and round", total.per_run(total.bytes)));
    line(&mut text, "Processor time", &format!("{:.1} µs a node and round", total.pace(args)));
    line(&mut text, "Failed", &format!("{} of {}", total.failed.len(), total.runs));
    for (seed, violations) in &total.failed {
        let _ = writeln!(text, "seed {seed}: {}", violations.join("; "));
        let _ = writeln!(text, "  {}", args.repeat(*seed));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn percentiles_are_samples() {
        assert_eq!(percentiles(&[]), None);
        assert_eq!(percentiles(&[7.0]), Some([7.0; 3]));
        let hundred: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        assert_eq!(percentiles(&hundred), Some([51.0, 100.0, 101.0]));
    }

    #[test]
    fn a_thread_that_sleeps_uses_no_processor_time() {
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(300));
        let used = watch.read();
        let most = if watch.used.is_some() { Duration::from_millis(150) } else { Duration::MAX };
        assert!(used < most, "{used:?}");
        let sum: u64 = (0..3_000_000).map(|n| std::hint::black_box(n) % 7).sum();
        assert!(sum > 0 && watch.read() > used, "{used:?}");
    }

    #[test]
    fn a_seed_that_failed_is_named_with_the_command_that_repeats_it() {
        let args = Line::parse_from(["sim", "--seeds", "2", "--pause"]).args;
        let mut total = Total::default();
        total.add(1, Report::default(), Duration::from_secs(1));
        let broken = Report { violations: vec!["round 3: a version went back".into()], ..Report::default() };
        total.add(2, broken, Duration::from_secs(1));
        let text = as_text(&args, &total, &[]);
        let repeat = "gossip sim --nodes 20 --rounds 120 --seed 2 --pause --trace";
        assert!(text.contains("Failed                 1 of 2\n"), "{text}");
        assert!(text.ends_with(&format!("seed 2: round 3: a version went back\n  {repeat}\n")), "{text}");
        let json = as_json(&args, &total, &[]);
        assert_eq!(json["failed"][0]["seed"], 2);
        assert_eq!(json["failed"][0]["repeat"], repeat);
    }

    #[test]
    fn the_command_that_repeats_a_run_is_a_command() {
        let args =
            Line::parse_from(["sim", "--churn", "--clog", "--loss", "5", "--transport", "datagram"]).args;
        let repeated = args.repeat(7);
        let again = Line::parse_from(repeated.split(' ').skip(1)).args;
        assert_eq!(again.seed, 7);
        assert_eq!(format!("{:?}", again.plan()), format!("{:?}", args.plan()));
        let all = Line::parse_from(["sim", "--all-troubles", "--reorder"]).args;
        let again = Line::parse_from(all.repeat(1).split(' ').skip(1)).args;
        assert_eq!(format!("{:?}", again.plan()), format!("{:?}", all.plan()));
    }
}
