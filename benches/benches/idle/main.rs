//! What a node costs that has nothing to do: see `benches/README.md`.

#[path = "../shared/adapters.rs"]
mod adapters;
mod cluster;
#[path = "../shared/frames.rs"]
mod frames;
mod node;
mod secured;
mod world;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adapters::Adapter;
use cluster::{Cluster, Traffic};
use gossip_benches::usage::{self, Usage};
use node::{Process, Report};
use secured::Keys;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// How long it may take until the node finds everybody live.
const PATIENCE: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, rest)) if first == node::ARGUMENT => node::run(rest),
        _ => Options::parse(&arguments).and_then(|options| bench(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Fallible<()> {
    // With each adapter plain at first, then under TLS, so that the two are neighbours in time.
    let each = Adapter::ALL.into_iter().flat_map(|adapter| [(adapter, false), (adapter, true)]);
    let wanted: Vec<_> = each.filter(|(adapter, is_secured)| options.wants(*adapter, *is_secured)).collect();
    if options.lists_only || wanted.is_empty() {
        return Ok(());
    }
    if !cfg!(target_os = "linux") {
        println!("idle: nothing is measured, since processor time is read from Linux's /proc");
        return Ok(());
    }
    enough_files(options.endpoints)?;
    let Options { endpoints, interval, measured, .. } = *options;
    println!("a node that knows {endpoints} endpoints, interval {interval:?}, during {measured:?}:");
    println!();
    println!(
        "| adapter | CPU ms | user, system | of a core | messages/s in, out | KB/s in, out | states/s in, out \
         | sleeps/s | connections | resident MB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let keys = Keys::make()?;
    for (adapter, is_secured) in wanted {
        println!("{}", measure(adapter, is_secured.then_some(&keys), options)?);
    }
    Ok(())
}

fn name(adapter: Adapter, is_secured: bool) -> String {
    format!("{}{}", adapter.name(), if is_secured { "-tls" } else { "" })
}

/// One connection each way with everybody, in the node's process and in ours.
fn enough_files(endpoints: u16) -> Fallible<()> {
    let needed = 2 * u64::from(endpoints) + 100;
    match usage::max_open_files() {
        Some(limit) if limit < needed => Err(format!(
            "{needed} open files are needed and {limit} allowed: raise the limit (ulimit -n {needed}) or ask for fewer \
             --endpoints"
        )
        .into()),
        _ => Ok(()),
    }
}

fn measure(adapter: Adapter, keys: Option<&Keys>, options: &Options) -> Fallible<String> {
    let others = keys.map(Keys::others).transpose()?;
    let mut cluster = Cluster::new(options.endpoints, options.interval, others)?;
    let mut process = Process::start(adapter, cluster.seed().into(), options.interval, keys)?;
    let began = Instant::now();
    let address = next_line(&mut cluster, &process)?;
    cluster.meet(address.parse()?);
    let everybody = u64::from(options.endpoints);
    loop {
        let report = ask(&mut cluster, &mut process)?;
        if report.live == everybody {
            break;
        }
        if began.elapsed() > PATIENCE {
            let name = adapter.name();
            return Err(
                format!("{name}: after {PATIENCE:?} of {everybody} not all are live: {report:?}").into()
            );
        }
        cluster.run_until(Instant::now() + options.interval)?;
    }
    cluster.run_until(Instant::now() + options.settling)?;

    let before = ask(&mut cluster, &mut process)?;
    let (usage, traffic, start) = (Usage::of(process.id())?, cluster.traffic(), Instant::now());
    cluster.run_until(start + options.measured)?;
    let used = Used {
        name: name(adapter, keys.is_some()),
        before: usage,
        after: Usage::of(process.id())?,
        sent: traffic,
        now_sent: cluster.traffic(),
        connections: cluster.connection_count(),
        elapsed: start.elapsed(),
    };
    let after = ask(&mut cluster, &mut process)?;
    // What is found here is no measure of a node at rest.
    if after.live != everybody || after != before {
        return Err(format!("{}: not at rest: {before:?}, then {after:?}", adapter.name()).into());
    }
    Ok(used.row())
}

/// What the process says next. The others go on meanwhile.
fn next_line(cluster: &mut Cluster, process: &Process) -> io::Result<String> {
    let began = Instant::now();
    loop {
        if let Some(line) = process.line()? {
            return Ok(line);
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("the node does not answer"));
        }
        cluster.run_until(Instant::now() + Duration::from_millis(5))?;
    }
}

fn ask(cluster: &mut Cluster, process: &mut Process) -> io::Result<Report> {
    process.ask()?;
    let line = next_line(cluster, process)?;
    Report::parse(&line).ok_or_else(|| io::Error::other(format!("the node says {line:?}")))
}

/// What was measured.
struct Used {
    name: String,
    before: Usage,
    after: Usage,
    sent: Traffic,
    now_sent: Traffic,
    connections: usize,
    elapsed: Duration,
}

impl Used {
    #[expect(clippy::cast_precision_loss, reason = "it is shown")]
    fn row(&self) -> String {
        let (user, system) = (self.after.user - self.before.user, self.after.system - self.before.system);
        let share = (user + system).as_secs_f64() / self.elapsed.as_secs_f64() * 100.0;
        let (before, after) = (&self.sent, &self.now_sent);
        format!(
            "| {} | {} | {}, {} | {share:.2} % | {:.1}, {:.1} | {:.1}, {:.1} | {:.0}, {:.0} | {:.0} | {} | {:.1} |",
            self.name,
            (user + system).as_millis(),
            user.as_millis(),
            system.as_millis(),
            self.rate(before.messages_in, after.messages_in),
            self.rate(before.messages_out, after.messages_out),
            self.rate(before.bytes_in, after.bytes_in) / 1_000.0,
            self.rate(before.bytes_out, after.bytes_out) / 1_000.0,
            self.rate(before.states_in, after.states_in),
            self.rate(before.states_out, after.states_out),
            self.rate(self.before.sleeps, self.after.sleeps),
            self.connections,
            self.after.resident_kb as f64 / 1_000.0,
        )
    }

    #[expect(clippy::cast_precision_loss, reason = "it is shown")]
    fn rate(&self, before: u64, after: u64) -> f64 {
        after.saturating_sub(before) as f64 / self.elapsed.as_secs_f64()
    }
}

/// What to measure.
struct Options {
    endpoints: u16,
    interval: Duration,
    settling: Duration,
    measured: Duration,
    /// Words of which one is to occur in `idle/ADAPTER`, as with criterion.
    filters: Vec<String>,
    lists_only: bool,
}

impl Options {
    const FULL: Self = Self {
        endpoints: 1_000,
        interval: Duration::from_secs(1),
        settling: Duration::from_secs(15),
        measured: Duration::from_secs(30),
        filters: Vec::new(),
        lists_only: false,
    };

    /// To see that it runs.
    const TEST: Self = Self {
        endpoints: 50,
        interval: Duration::from_millis(200),
        settling: Duration::from_secs(1),
        measured: Duration::from_secs(2),
        filters: Vec::new(),
        lists_only: false,
    };

    /// Whatever else may follow `--`, most of it for criterion, is ignored.
    fn parse(arguments: &[String]) -> Fallible<Self> {
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        // `cargo bench` says so; `cargo test`, which says nothing, is after a test.
        let is_test = has("--test") || !has("--bench");
        let mut options = if is_test { Self::TEST } else { Self::FULL };
        options.lists_only = has("--list");
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a number"));
            match argument.as_str() {
                "--seconds" => options.measured = Duration::from_secs(value()?.parse()?),
                "--endpoints" => options.endpoints = value()?.parse::<u16>()?.clamp(1, 4_000),
                "--test" | "--bench" | "--list" | "--quick" | "--quiet" | "--verbose" | "--noplot"
                | "--exact" => {}
                // It may have a value of its own.
                flag if flag.starts_with('-') => {
                    if !flag.contains('=')
                        && rest.as_slice().first().is_some_and(|next| !next.starts_with('-'))
                    {
                        rest.next();
                    }
                }
                filter => options.filters.push(filter.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, adapter: Adapter, is_secured: bool) -> bool {
        let name = format!("idle/{}", name(adapter, is_secured));
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}
