//! `gossip lab`: a cluster of real processes on this machine, taken through what a cluster goes through.

mod certificates;
mod interrupt;
mod process;
mod report;
mod scratch;
mod steps;
mod view;

use core::time::Duration;
use std::thread;
use std::time::Instant;

use clap::ValueEnum;

use crate::address::{parse_interval, show_interval};
use crate::commands::run::{RuntimeName, TransportName};
use crate::failure::Failure;
use interrupt::Interrupt;
use process::{NodeProcess, Settings};
use report::Report;
use scratch::Scratch;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Gossip interval of the nodes; the time of the lab grows with it
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
    interval: Duration,
    /// How many nodes
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=16))]
    nodes: u8,
    /// How messages travel
    #[arg(long, value_enum, default_value_t)]
    transport: TransportName,
    /// What runs the nodes' sockets
    #[arg(long, value_enum, default_value_t)]
    runtime: LabRuntime,
    /// Lets the nodes speak TLS only, with certificates made for the lab
    #[arg(long)]
    tls: bool,
}

/// What runs the sockets of the nodes of a lab.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum LabRuntime {
    /// The most common async runtime
    #[default]
    Tokio,
    /// A small async runtime
    Smol,
    /// Discontinued upstream
    AsyncStd,
    /// A thread of its own around the system's poll
    Mio,
    /// One of these for each node in turn
    Mixed,
}

impl LabRuntime {
    /// That of a node, which are counted from 1.
    fn of(self, node: u8) -> RuntimeName {
        match (self, node % 4) {
            (Self::Tokio, _) | (Self::Mixed, 1) => RuntimeName::Tokio,
            (Self::Smol, _) | (Self::Mixed, 2) => RuntimeName::Smol,
            (Self::Mio, _) | (Self::Mixed, 3) => RuntimeName::Mio,
            (Self::AsyncStd, _) | (Self::Mixed, _) => RuntimeName::AsyncStd,
        }
    }
}

/// How a value is called on the command line.
pub(super) fn option_name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// How long an interrupted lab waits for a reader of its last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// About how many gossip intervals the lab takes.
const ROUNDS: u32 = 35;

/// Runs the lab, and says on standard output what happens.
///
/// # Errors
///
/// Something that had to happen did not, or a signal came.
pub(crate) fn lab(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    if args.tls && args.transport == TransportName::Datagram {
        return Err(Failure::misuse(
            "--tls: datagrams have no TLS (leave it out, or use --transport internode)",
        ));
    }
    let scratch = Scratch::new()?;
    if args.tls {
        certificates::make(scratch.path())?;
    }
    let node = |number| {
        let runtime = args.runtime.of(number);
        let (interval, transport) = (args.interval, args.transport);
        let tls = args.tls;
        NodeProcess::new(
            number,
            &Settings { interval, transport, runtime, tls, dir: scratch.path().to_owned() },
        )
    };
    let nodes = (1..=args.nodes).map(node).collect();
    let mut lab = Lab { nodes, interval: args.interval, report: Report::start(), interrupt };
    lab.report.title(&format!(
        "A cluster of {} nodes on 127.0.0.1, gossiping every {} over {} ({})",
        args.nodes,
        show_interval(args.interval),
        match args.transport {
            TransportName::Internode if args.tls => "Cassandra's connections under TLS",
            TransportName::Internode => "Cassandra's connections",
            TransportName::Datagram => "datagrams",
        },
        option_name(args.runtime)
    ));
    lab.report.remark(&format!("This takes about {:.0} s.", (ROUNDS * args.interval).as_secs_f64() + 5.0));
    // It goes with the nodes, or stays if a check has failed.
    let mut scratch = Some(scratch);
    let walked = tell(&mut lab, &mut scratch);
    // What is left to be read is waited for until a signal comes; after one, for a second.
    let deadline = Instant::now() + LAST_WORDS;
    let Lab { report, interrupt, .. } = &mut lab;
    report.end(|| interrupt.check().is_ok() || Instant::now() < deadline);
    drop(lab);
    walked
}

/// Walks through all steps, and says how it ended.
fn tell(lab: &mut Lab, scratch: &mut Option<Scratch>) -> Result<(), Failure> {
    match steps::walk(lab) {
        Ok(()) => {
            lab.report.finish();
            Ok(())
        }
        Err(Halt::Interrupted(signal)) => {
            lab.report.say("interrupted: stopping all nodes");
            Err(Failure::Interrupted(signal))
        }
        Err(Halt::Broken(failure)) => Err(failure),
        Err(Halt::Unmet(unmet)) => {
            lab.report.fail(&unmet);
            for node in unmet.suspects.iter().filter_map(|suspect| lab.nodes.get(*suspect)) {
                lab.report.quote(&format!("the end of the log of {node}:"), &node.log_tail());
            }
            let kept = scratch.take().map(Scratch::keep).unwrap_or_default();
            Err(Failure::failed(format!(
                "lab: a check failed (data and logs are kept in {})",
                kept.display()
            )))
        }
    }
}

/// The cluster and its chronicle.
#[derive(Debug)]
struct Lab {
    /// The first is the seed.
    nodes: Vec<NodeProcess>,
    interval: Duration,
    report: Report,
    interrupt: Interrupt,
}

/// Why the lab ends early.
#[derive(Debug)]
enum Halt {
    /// By this signal.
    Interrupted(u8),
    /// This machine does not let us run it.
    Broken(Failure),
    /// What had to happen did not.
    Unmet(Unmet),
}

/// A check that failed.
#[derive(Debug)]
struct Unmet {
    expected: String,
    seen: String,
    waited: Duration,
    /// The nodes whose logs may tell why.
    suspects: Vec<usize>,
}

/// However the lab ends, no process outlives it. All get the signal before the first is waited for.
impl Drop for Lab {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.dismiss();
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

impl Lab {
    /// Some time to start and to be scheduled, and `rounds` gossip intervals.
    fn patience(&self, rounds: u32) -> Duration {
        Duration::from_secs(30) + self.interval * rounds
    }

    /// Looks again and again until `look` sees what is `expected`, or says only what it sees instead for too long.
    fn until<T>(
        &mut self,
        rounds: u32,
        suspects: &[usize],
        expected: &str,
        mut look: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<T, Halt> {
        let (started, patience) = (Instant::now(), self.patience(rounds));
        let pause = (self.interval / 10).clamp(Duration::from_millis(10), Duration::from_millis(100));
        loop {
            self.interrupt.check()?;
            self.check_processes(expected, started)?;
            let seen = match look(self) {
                Ok(found) => return Ok(found),
                Err(seen) => seen,
            };
            if started.elapsed() > patience {
                // A signal to the whole group may have stopped the nodes first.
                self.interrupt.check()?;
                return Err(Halt::Unmet(Unmet {
                    expected: expected.into(),
                    seen,
                    waited: started.elapsed(),
                    suspects: suspects.into(),
                }));
            }
            thread::sleep(pause);
        }
    }

    /// No node may end unless the lab stops it.
    fn check_processes(&mut self, expected: &str, since: Instant) -> Result<(), Halt> {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if let Some(status) = node.ended_by_itself() {
                return Err(Halt::Unmet(Unmet {
                    expected: expected.into(),
                    seen: format!("{node} ended by itself ({status})"),
                    waited: since.elapsed(),
                    suspects: vec![index],
                }));
            }
        }
        Ok(())
    }
}
