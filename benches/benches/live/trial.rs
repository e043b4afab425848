//! One cluster: it starts, comes to rest, is measured, hears news, and loses a tenth of its nodes.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use gossip_benches::usage::{self, Usage};

use crate::adapters::Adapter;
use crate::hosts::unix_micros;
use crate::process::{Crew, Process, Totals, add};

/// Which cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) adapter: Adapter,
    pub(crate) is_datagram: bool,
    pub(crate) nodes: u32,
    pub(crate) interval: Duration,
    /// The time during which the nodes start, one after the other.
    pub(crate) within: Duration,
}

/// How long each part takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How long a cluster may take to see all its nodes, a value to reach all of them, and a dead node to be found down.
    pub(crate) patience: Duration,
    /// How long the cluster is left alone before it is measured.
    pub(crate) settling: Duration,
    pub(crate) measured: Duration,
    /// How many values are published.
    pub(crate) news: u32,
    /// Whether it is said on standard error how far the cluster is.
    pub(crate) says_progress: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Since the first node started.
    pub(crate) all_see_all: Duration,
    /// Processor time of all nodes during `measured`.
    pub(crate) cpu: Duration,
    pub(crate) measured: Duration,
    pub(crate) before: Totals,
    pub(crate) after: Totals,
    /// The counters of all nodes, by their order: how much they have grown during `measured`.
    pub(crate) counters: Vec<u64>,
    /// By value: how long until all nodes knew it.
    pub(crate) news: Vec<Duration>,
    /// By verdict: how long after the kill.
    pub(crate) verdicts: Vec<Duration>,
    pub(crate) false_verdicts: u64,
    /// The longest time by which a thread of the processes was woken too late.
    pub(crate) late: Duration,
    /// Events that were not counted, since a process was too far behind.
    pub(crate) missed: u64,
    pub(crate) processes: usize,
}

/// How often the processes are asked how far they are.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is said how far a cluster is.
const PROGRESS: Duration = Duration::from_secs(2);

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

struct Trial {
    run: Run,
    plan: Plan,
    /// Those whose nodes are killed.
    doomed: Vec<Process>,
    others: Vec<Process>,
    late: Duration,
}

/// Runs such a cluster, and says what was found.
pub(crate) fn run(run: Run, plan: Plan) -> Fallible<Found> {
    let began = Instant::now();
    let mut trial = Trial::start(run, plan)?;
    let processes = trial.others.len() + trial.doomed.len();
    let all_see_all = trial.await_everybody(began)?;
    thread::sleep(plan.settling);
    let mut found = Found { all_see_all, processes, ..Found::default() };
    trial.measure(&mut found)?;
    found.news = trial.spread()?;
    // Those of the doomed count, too.
    Trial::judge(&mut trial.doomed, &mut found)?;
    found.verdicts = trial.kill()?;
    trial.look_at_clock()?;
    Trial::judge(&mut trial.others, &mut found)?;
    found.late = trial.late;
    Ok(found)
}

impl Trial {
    fn start(run: Run, plan: Plan) -> Fallible<Self> {
        let doomed = run.nodes / 10;
        let room = nodes_in_a_process(run)?;
        let processors =
            thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1));
        let mut trial = Self { run, plan, doomed: Vec::new(), others: Vec::new(), late: Duration::ZERO };
        let mut seed: Option<SocketAddr> = None;
        for (is_doomed, nodes, at_least) in [(false, run.nodes - doomed, processors), (true, doomed, 1)] {
            let processes = nodes.div_ceil(room).max(at_least).min(nodes);
            for place in 0..processes {
                let count = nodes / processes + u32::from(place < nodes % processes);
                let (process, first) = Process::start(&Crew { run, count, seed })?;
                if is_doomed {
                    trial.doomed.push(process)
                } else {
                    trial.others.push(process)
                }
                seed.get_or_insert(first);
            }
        }
        Ok(trial)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Process> {
        self.others.iter_mut().chain(&mut self.doomed)
    }

    fn await_everybody(&mut self, began: Instant) -> Fallible<Duration> {
        let peers = u64::from(self.run.nodes) - 1;
        let deadline = Instant::now() + self.plan.patience;
        let mut next = Duration::ZERO;
        loop {
            let (mut fewest, mut sum) = (u64::MAX, 0);
            for process in self.all() {
                let (of_one, of_all) = process.pair("live")?;
                fewest = fewest.min(of_one);
                sum += of_all;
            }
            if fewest == peers {
                return Ok(began.elapsed());
            }
            if self.plan.says_progress && began.elapsed() > next {
                next = began.elapsed() + PROGRESS;
                let (cpu, totals) = (self.cpu()?, self.totals()?);
                let (mean, elapsed) = (sum / u64::from(self.run.nodes), began.elapsed());
                eprintln!(
                    "live: {elapsed:.1?}: fewest {fewest}, mean {mean} of {peers}; CPU {cpu:?}; {totals:?}"
                );
            }
            if Instant::now() > deadline {
                let mean = sum / u64::from(self.run.nodes);
                let totals = self.totals()?;
                return Err(format!(
                    "no convergence: after {:?} a node sees {mean} of {peers} live, and one {fewest}; {totals:?}",
                    began.elapsed()
                )
                .into());
            }
            thread::sleep(LOOK);
        }
    }

    fn totals(&mut self) -> io::Result<Totals> {
        let mut totals = Totals::default();
        for process in self.all() {
            totals.add(&process.totals()?);
        }
        Ok(totals)
    }

    fn cpu(&mut self) -> io::Result<Duration> {
        let mut cpu = Duration::ZERO;
        for process in self.all() {
            let usage = Usage::of(process.id())?;
            cpu += usage.user + usage.system;
        }
        Ok(cpu)
    }

    fn counters(&mut self) -> io::Result<Vec<u64>> {
        let mut sums = Vec::new();
        for process in self.all() {
            add(&mut sums, process.numbers("counters")?);
        }
        Ok(sums)
    }

    fn measure(&mut self, found: &mut Found) -> Fallible<()> {
        found.before = self.totals()?;
        let counters = self.counters()?;
        let (began, cpu) = (Instant::now(), self.cpu()?);
        thread::sleep(self.plan.measured);
        (found.measured, found.cpu) = (began.elapsed(), self.cpu()?.saturating_sub(cpu));
        found.after = self.totals()?;
        found.counters = self.counters()?;
        for (after, before) in found.counters.iter_mut().zip(counters) {
            *after = after.saturating_sub(before);
        }
        Ok(())
    }

    /// Publishes values, each at another node, and waits until all nodes know all of them.
    fn spread(&mut self) -> Fallible<Vec<Duration>> {
        let mut news = Vec::new();
        for number in 0..self.plan.news {
            let place = number as usize % self.others.len();
            let answer = self.others[place].ask(&format!("publish {number} news-{number}"))?;
            let (value, at) = answer.rsplit_once(' ').ok_or("nothing is said of the value")?;
            news.push((value.to_owned(), at.parse::<u64>()?));
            thread::sleep(self.run.interval / 4);
        }
        let deadline = Instant::now() + self.plan.patience;
        let mut times = Vec::new();
        for (value, at) in news {
            loop {
                let (mut known, mut last) = (0, 0);
                for process in self.all() {
                    let (count, when) = process.pair(&format!("known {value}"))?;
                    known += count;
                    last = last.max(when);
                }
                if known == u64::from(self.run.nodes) {
                    times.push(Duration::from_micros(last.saturating_sub(at)));
                    break;
                }
                if Instant::now() > deadline {
                    let nodes = self.run.nodes;
                    return Err(
                        format!("no convergence: {known} of {nodes} nodes know the value {value}").into()
                    );
                }
                thread::sleep(LOOK);
            }
        }
        times.sort();
        Ok(times)
    }

    /// Counts the false verdicts of these processes.
    fn judge(processes: &mut [Process], found: &mut Found) -> Fallible<()> {
        for process in processes {
            let (false_verdicts, missed) = process.pair("false")?;
            found.false_verdicts += false_verdicts;
            found.missed += missed;
        }
        Ok(())
    }

    /// Kills the doomed nodes, and waits until all others have found all of them down.
    fn kill(&mut self) -> Fallible<Vec<Duration>> {
        let mut ports = Vec::new();
        for process in &mut self.doomed {
            ports.push(process.ask("ports")?);
        }
        let doomed = format!("doomed {}", ports.join(" "));
        for process in &mut self.others {
            process.ask(&doomed)?;
        }
        self.look_at_clock()?;
        let killed: u32 = self.doomed.iter().map(|process| process.count).sum();
        let survivors: u32 = self.others.iter().map(|process| process.count).sum();
        let wanted = u64::from(killed) * u64::from(survivors);
        let at = unix_micros();
        // Dropped, they are killed.
        self.doomed.clear();
        let deadline = Instant::now() + self.plan.patience;
        loop {
            thread::sleep(LOOK);
            let live = u64::from(survivors) - 1;
            let mut is_done = true;
            for process in &mut self.others {
                let (_, sum) = process.pair("live")?;
                is_done &= sum <= live * u64::from(process.count);
            }
            if is_done {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "no convergence: not all of {wanted} verdicts on dead nodes were reached"
                )
                .into());
            }
        }
        let mut verdicts = Vec::new();
        for process in &mut self.others {
            let moments: Vec<u64> = process.numbers("verdicts")?;
            verdicts
                .extend(moments.into_iter().map(|moment| Duration::from_micros(moment.saturating_sub(at))));
        }
        verdicts.sort();
        Ok(verdicts)
    }

    /// Notes by how much the processes were woken too late since the last look.
    fn look_at_clock(&mut self) -> io::Result<()> {
        let mut late = self.late;
        for process in self.all() {
            let micros: Vec<u64> = process.numbers("late")?;
            late = late.max(Duration::from_micros(micros.into_iter().max().unwrap_or(0)));
        }
        self.late = late;
        Ok(())
    }
}

/// For how many nodes a process may open files: over connections each has two with each of the others.
fn nodes_in_a_process(run: Run) -> Fallible<u32> {
    if run.is_datagram {
        return Ok(u32::MAX);
    }
    let limit = usage::max_open_files().unwrap_or(1_024);
    let of_a_node = u64::from(2 * run.nodes + 80);
    match u32::try_from(limit.saturating_sub(60) / of_a_node) {
        Ok(0) => {
            Err(format!("a node needs {of_a_node} open files, and {limit} are allowed: raise ulimit -n")
                .into())
        }
        Ok(nodes) => Ok(nodes),
        Err(_) => Ok(u32::MAX),
    }
}
