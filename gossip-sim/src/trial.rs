//! A cluster that is troubled for a while, and then left alone: what `gossip sim` runs.

mod nodes;

use std::collections::BTreeSet;
use std::time::Duration;

use gossip_core::{ApplicationState, DownCause, Event, Gossiper, Phase, Pulse, Standing, Stats};

use crate::cluster::Cluster;
use crate::rng::Rng;
use crate::watch::Watch;

/// Up to so many nodes everything is checked after each step.
const MAX_WATCHED: usize = 64;

/// After trouble ends, so many rounds pass before a conviction counts as false: until then silence may have been real.
const AFTERMATH: u32 = 60;

/// Every so many rounds a value is published, to see how soon all know it.
const PUBLISHES_EVERY: u32 = 5;

/// In so many rounds at the end no value is published: at the end all must know all that was.
const LAST_WORDS: u32 = 20;

/// A clean stop takes some rounds, so that in as many before the calm none begins.
const STOP: u32 = 5;

/// For how many rounds, of a second each, a process pauses at a time.
const PAUSE: u32 = 30;

/// By how many seconds a wall clock jumps, at the most, either way.
const JUMP: u64 = 3_600;

/// By how many parts of a million a wall clock runs fast or slow, at the most.
const DRIFT: u64 = 100_000;

/// After so many rounds of calm no node hears anything new of an address where nothing runs. In bands of 10,000 seeds,
/// 99 of 100 runs agree within 14 rounds, and the slowest within 25; what is slow then is something else than such an address.
const LAST_NEWS: u32 = 20;

/// A refused process starts again after so many rounds. So does one that nobody answered.
const RETRY: u32 = 5;

/// How many zeros follow a value at most, where nodes have little room.
const LONGEST_VALUE: usize = 400;

/// How messages travel in a trial.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Carrier {
    /// Whole messages between gossipers: the quickest.
    #[default]
    Messages,
    /// Bytes over connections between nodes, as in a Cassandra cluster.
    Internode,
    /// Packets between nodes.
    Datagram,
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// Nothing gets from one group of hosts to the other, nor back, until it is healed.
    Partition,
    /// Nothing gets from one host to some others; what they send gets through.
    OneWay,
    /// The links of a host stop and go on in turn.
    Clog,
    /// Processes are killed, stopped cleanly, and started again.
    Churn,
    /// Processes are killed, and their hosts lose what was stored.
    Wipe,
    /// Processes pause for half a minute.
    Pause,
    /// Wall clocks jump by up to an hour.
    ClockJump,
    /// Wall clocks run fast or slow, by up to a tenth.
    ClockDrift,
    /// All seeds are killed, and start again later.
    SeedsDown,
    /// All processes are killed, and start again.
    MassRestart,
    /// Processes are killed, and start again under another address.
    NewAddress,
    /// Processes are killed, and start again under another host id.
    NewHostId,
    /// Disks are full for a while: no generation that is raised is stored, and no process starts.
    FullDisk,
    /// Timers of a host fire late, by up to two rounds.
    LateTimers,
}

impl Trouble {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Partition,
        Self::OneWay,
        Self::Clog,
        Self::Churn,
        Self::Wipe,
        Self::Pause,
        Self::ClockJump,
        Self::ClockDrift,
        Self::SeedsDown,
        Self::MassRestart,
        Self::NewAddress,
        Self::NewHostId,
        Self::FullDisk,
        Self::LateTimers,
    ];
}

/// What a trial is like. Two trials of one plan and one seed are the same.
#[derive(Clone, Debug)]
#[must_use]
pub struct Plan {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many rounds it takes, trouble and calm together. With trouble the last third is calm.
    pub rounds: u32,
    /// How messages travel.
    pub carrier: Carrier,
    /// How many of 100 messages vanish.
    pub loss_percent: u32,
    /// How many of 100 messages arrive twice.
    pub duplicate_percent: u32,
    /// Whether messages overtake each other.
    pub reorders: bool,
    /// How long a message travels, at the least and at the most.
    pub latency: (Duration, Duration),
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
    /// Whether nodes have as little room as they can do with. The seed decides, for each node and each kind of room; see [`Builder::room`](crate::Builder::room),
    /// [`Limits`](gossip_core::Limits) and, in half of the seeds, [`Budgets`](gossip_core::Budgets).
    pub is_tight: bool,
    /// Whether half of the nodes ask their seeds before they join. The seed of the trial decides which.
    pub ask_first: bool,
}

impl Plan {
    /// The greatest phi that a node has of an endpoint that it finds live, some rounds after all trouble.
    ///
    /// The threshold is 8, and each node looks at all others once a round. In a round phi grows by 0.43 divided by the mean interval, which is
    /// at least nine tenths of a round. Over packets it is twice as high while they get lost. It is also twice as high while answers are late
    /// in a crowd: more than 32 addresses, of which each host has two, or more than a low budget.
    const fn greatest_phi(&self) -> f64 {
        let is_crowd = self.is_tight || 2 * self.nodes > 32;
        match self.carrier {
            Carrier::Messages | Carrier::Internode if !is_crowd => 8.5,
            _ => 16.5,
        }
    }
}

/// What a trial has shown.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// After how many rounds all knew a value that one published, one number for each value.
    pub convergence: Vec<f64>,
    /// How many live and reachable nodes were taken for dead by their silence.
    pub false_convictions: u64,
    /// After how many seconds a node that was killed was taken for dead, one number for each other that did.
    pub detection: Vec<f64>,
    /// How many messages each node sent in a round, on average; where bytes travel, writes.
    pub messages: f64,
    /// How many bytes.
    pub bytes: f64,
    /// After how many rounds of calm all agreed, if there was trouble.
    pub recovery: Option<f64>,
    /// What went wrong that must not.
    pub violations: Vec<String>,
    /// What happened, in order, if that was asked for.
    pub trace: Vec<String>,
}

/// A trial that runs, round by round.
#[derive(Debug)]
pub struct Trial {
    plan: Plan,
    cluster: Cluster<Watch>,
    rng: Rng,
    round: u32,
    report: Report,
    /// When each host was last in trouble.
    troubled: Vec<u32>,
    /// Until when a process pauses.
    paused: Vec<Option<u32>>,
    /// Processes that were killed, and when.
    killed: Vec<Option<f64>>,
    /// The disks that are full.
    full: Vec<bool>,
    /// The hosts whose timers are late.
    late: Vec<bool>,
    /// When a process was refused, or gave up because nobody answered it.
    refused: Vec<Option<u32>>,
    /// How many events of each host were looked at.
    seen: Vec<usize>,
    /// The value that is under way: whose, which, and since which round.
    news: Option<(usize, String, f64)>,
    published: u32,
    is_traced: bool,
}

impl Trial {
    /// Starts the nodes.
    ///
    /// # Panics
    ///
    /// If there are no nodes.
    pub fn new(plan: &Plan, seed: u64, is_traced: bool) -> Self {
        assert!(plan.nodes > 0, "a cluster has nodes");
        // Of 5,000 nodes, 25 million pairs find each other up.
        let builder = nodes::of(plan, seed).remember(move |event| match event {
            Event::Down { .. } => true,
            _ if is_refusal(event) => true,
            Event::Up { .. }
            | Event::Restarted { .. }
            | Event::GenerationRaised { .. }
            | Event::BeganAlone
            | Event::ShadowRoundDone => is_traced,
            _ => false,
        });
        let watch = if plan.nodes <= MAX_WATCHED { Watch::new() } else { Watch::off() };
        let cluster = builder.probe(watch).start();
        Self {
            rng: Rng::split(seed, 0x7261_6c54),
            cluster,
            round: 0,
            report: Report::default(),
            troubled: vec![0; plan.nodes],
            paused: vec![None; plan.nodes],
            killed: vec![None; plan.nodes],
            full: vec![false; plan.nodes],
            late: vec![false; plan.nodes],
            refused: vec![None; plan.nodes],
            seen: vec![0; plan.nodes],
            news: None,
            published: 0,
            is_traced,
            plan: plan.clone(),
        }
    }

    /// Runs all of it.
    pub fn run(plan: &Plan, seed: u64) -> Report {
        let mut trial = Self::new(plan, seed, false);
        while trial.step() {}
        trial.finish()
    }

    /// How many rounds have passed.
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// The cluster as it is now.
    pub const fn cluster(&self) -> &Cluster<Watch> {
        &self.cluster
    }

    /// The share of running nodes that know the update under way; all, if none is.
    pub fn informed(&self) -> f64 {
        let Some((host, value, _)) = &self.news else { return 1.0 };
        let endpoint = self.cluster.endpoint(*host);
        let view = self.cluster.view();
        let knows = |gossiper: &Gossiper| {
            gossiper.value(endpoint, ApplicationState::LOAD).is_some_and(|(text, _)| text.to_text() == *value)
        };
        let informed = view.running().filter(|(_, gossiper)| knows(gossiper)).count();
        informed as f64 / view.running().count().max(1) as f64
    }

    /// The greatest phi that any running node has of a node that was killed; 0 if none was.
    pub fn phi_of_killed(&self) -> f64 {
        let dead: Vec<_> = (0..self.plan.nodes)
            .filter(|host| self.killed[*host].is_some())
            .map(|host| self.cluster.endpoint(host))
            .collect();
        let view = self.cluster.view();
        let of_dead = view.running().flat_map(|(_, gossiper)| gossiper.pulses());
        of_dead
            .filter(|pulse| dead.contains(&pulse.endpoint))
            .filter_map(|pulse| pulse.phi)
            .fold(0.0, f64::max)
    }

    /// How often the running nodes have counted something, all together, since each was started.
    pub fn counted(&self, counter: impl Fn(&Stats) -> u64) -> u64 {
        self.cluster.view().running().map(|(_, gossiper)| counter(gossiper.stats())).sum()
    }

    /// Runs one more round; false once it is over.
    pub fn step(&mut self) -> bool {
        if self.round >= self.plan.rounds && !self.has_late_start() {
            return false;
        }
        if self.is_troubled() {
            self.trouble();
        } else if self.round == self.first_calm() {
            self.calm_down();
        }
        self.retry();
        self.publish();
        // Convergence is looked at ten times a round.
        for tenth in 1..=10 {
            self.cluster.run_for(self.cluster.settings.interval / 10);
            self.look_for_news(f64::from(self.round) + f64::from(tenth) / 10.0);
        }
        self.round += 1;
        self.look_at_events();
        if !self.plan.troubles.is_empty()
            && self.round > self.first_calm()
            && self.report.recovery.is_none()
            && self.agrees()
        {
            let rounds = f64::from(self.round - self.first_calm());
            self.report.recovery = Some(rounds);
            self.trace(|| format!("all agree again after {rounds} rounds"));
        }
        true
    }

    /// What it has shown.
    pub fn finish(mut self) -> Report {
        let nodes = self.plan.nodes as f64;
        let shares = nodes * f64::from(self.round.max(1));
        let traffic = self.cluster.traffic();
        self.report.messages = traffic.sent as f64 / shares;
        self.report.bytes = traffic.bytes as f64 / shares;
        if !self.agrees() {
            let text = self.disagreement();
            self.report.violations.push(format!("after {} rounds of calm {text}", self.calm_rounds()));
        }
        if let Some(text) = self.outlived() {
            self.report.violations.push(format!("after {} rounds of calm {text}", self.calm_rounds()));
        }
        self.report.violations.extend(self.cluster.probe().violations().iter().cloned());
        self.report
    }

    /// Whether not all agree, and a process was refused that starts again in the calm. It has as many rounds as the calm has for the others,
    /// but the run goes on no longer than that.
    fn has_late_start(&self) -> bool {
        let calm = self.calm_rounds();
        let is_late = |host: usize| {
            let started = self.troubled[host];
            self.refused[host].is_some() || started > self.first_calm() && self.round < started + calm
        };
        !self.plan.troubles.is_empty()
            && self.round < self.plan.rounds + calm
            && (0..self.plan.nodes).any(is_late)
            && !self.agrees()
    }

    const fn calm_rounds(&self) -> u32 {
        self.plan.rounds - self.first_calm()
    }

    const fn first_calm(&self) -> u32 {
        if self.plan.troubles.is_empty() { 0 } else { self.plan.rounds - self.plan.rounds / 3 }
    }

    fn is_troubled(&self) -> bool {
        self.round < self.first_calm()
    }

    fn trace(&mut self, text: impl FnOnce() -> String) {
        if self.is_traced {
            let seconds = self.cluster.now().as_nanos() as f64 / 1e9;
            let line = format!("{seconds:10.3} s  {}", text());
            self.report.trace.push(line);
        }
    }

    fn runs(&self, host: usize) -> bool {
        self.cluster.view().gossiper(host).is_some()
    }

    fn is_stopping(&self, host: usize) -> bool {
        self.cluster.view().gossiper(host).is_some_and(|gossiper| gossiper.phase() == Phase::Stopping)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap_or(0)
    }

    /// Perhaps something goes wrong in this round.
    fn trouble(&mut self) {
        for host in 0..self.plan.nodes {
            if self.paused[host].is_some_and(|until| self.round >= until) {
                self.resume(host);
            }
        }
        if !self.rng.percent(25) {
            return;
        }
        let at = self.below(self.plan.troubles.len());
        let host = self.below(self.plan.nodes);
        let nodes = self.plan.nodes;
        match self.plan.troubles[at] {
            Trouble::Partition if self.rng.percent(50) && nodes > 1 => {
                let split = 1 + self.below(nodes - 1);
                self.trouble_all();
                self.cluster.partition(0..split, split..nodes);
                self.trace(|| format!("hosts below {split} are cut off from the others"));
            }
            Trouble::OneWay if self.rng.percent(50) => {
                self.trouble_all();
                for to in (0..nodes).filter(|to| *to != host) {
                    if self.rng.percent(50) {
                        self.cluster.cut(host, to);
                    }
                }
                self.trace(|| format!("what host {host} sends reaches half of the others"));
            }
            Trouble::Clog if self.rng.percent(50) => {
                self.trouble_all();
                for other in (0..nodes).filter(|other| *other != host) {
                    self.cluster.cut(host, other);
                    self.cluster.cut(other, host);
                }
                self.trace(|| format!("the links of host {host} stop"));
            }
            Trouble::Partition | Trouble::OneWay | Trouble::Clog => {
                self.cluster.heal();
                self.trouble_all();
                self.trace(|| "all links go on".into());
            }
            Trouble::Churn if self.runs(host) && self.rng.percent(50) => {
                if self.rng.percent(50) || self.round + STOP > self.first_calm() {
                    self.kill(host);
                } else {
                    self.resume(host);
                    self.troubled[host] = self.round;
                    self.cluster.shutdown(host);
                    self.trace(|| format!("host {host} stops cleanly"));
                }
            }
            Trouble::Wipe if self.runs(host) => {
                self.kill(host);
                self.cluster.wipe(host);
                self.trace(|| format!("host {host} loses what it has stored"));
            }
            Trouble::Churn | Trouble::Wipe => self.restart(host),
            // A stop that begins has enough rounds before the calm. A pause would take them.
            Trouble::Pause if self.runs(host) && !self.is_stopping(host) => {
                let until = self.round + PAUSE;
                self.paused[host] = Some(until);
                self.troubled[host] = until;
                self.cluster.stall(host);
                self.trace(|| format!("host {host} pauses"));
            }
            Trouble::Pause => {}
            Trouble::ClockJump => {
                let ahead = self.rng.below(2 * JUMP).cast_signed() - JUMP.cast_signed();
                self.cluster.set_clock(host, ahead);
                self.trace(|| format!("the wall clock of host {host} is {ahead} s ahead"));
            }
            Trouble::ClockDrift => {
                let parts = self.rng.below(2 * DRIFT).cast_signed() - DRIFT.cast_signed();
                self.cluster.set_drift(host, parts);
                self.trace(|| format!("the wall clock of host {host} gets {parts} µs ahead in a second"));
            }
            Trouble::SeedsDown => {
                for host in 0..nodes.min(self.cluster.settings.seeds) {
                    self.kill(host);
                }
            }
            Trouble::MassRestart => {
                for host in 0..nodes {
                    self.kill(host);
                    self.restart(host);
                }
            }
            // The first seed keeps its address: a node that knows no other node, and whose seeds have all moved, cannot find the cluster any more.
            Trouble::NewAddress if host == 0 => {}
            Trouble::NewAddress => {
                self.kill(host);
                self.cluster.change_address(host);
                self.trace(|| format!("host {host} has another address"));
                self.restart(host);
            }
            Trouble::NewHostId => {
                self.kill(host);
                // Its generation grows: below the last one, a node with another host id is another machine with the same address, which
                // is refused.
                self.cluster.change_host_id(host);
                self.trace(|| format!("host {host} has another host id"));
                self.restart(host);
            }
            Trouble::FullDisk => self.set_disk_full(host, !self.full[host]),
            Trouble::LateTimers => self.set_timers_late(host, !self.late[host]),
        }
    }

    fn trouble_all(&mut self) {
        self.troubled.fill(self.round);
    }

    fn kill(&mut self, host: usize) {
        self.resume(host);
        if self.runs(host) {
            self.cluster.kill(host);
            self.troubled[host] = self.round;
            self.killed[host] = Some(self.cluster.now().as_nanos() as f64 / 1e9);
            self.trace(|| format!("host {host} is killed"));
        }
    }

    /// Starts refused processes again, as an operator does, and those that nobody answered. A process may learn only after it has joined that
    /// its address belongs to another host id. Then it still runs.
    fn retry(&mut self) {
        for host in 0..self.plan.nodes {
            if self.refused[host].is_some_and(|since| self.round >= since + RETRY) && !self.full[host] {
                self.kill(host);
                self.restart(host);
            }
        }
    }

    fn set_disk_full(&mut self, host: usize, is_full: bool) {
        if self.full[host] != is_full {
            self.full[host] = is_full;
            self.cluster.set_disk_full(host, is_full);
            self.trace(|| {
                format!("the disk of host {host} {}", if is_full { "is full" } else { "has room" })
            });
        }
    }

    fn set_timers_late(&mut self, host: usize, are_late: bool) {
        if self.late[host] != are_late {
            self.late[host] = are_late;
            self.troubled[host] = self.round;
            self.cluster.set_timers_late(host, are_late);
            self.trace(|| {
                format!("timers of host {host} fire {}", if are_late { "late" } else { "in time again" })
            });
        }
    }

    /// Starts a process, unless it could not store its generation.
    fn restart(&mut self, host: usize) {
        self.resume(host);
        if !self.runs(host) && !self.full[host] {
            self.killed[host] = None;
            self.refused[host] = None;
            self.troubled[host] = self.round;
            let started = self.cluster.restart(host);
            self.trace(|| format!("host {host} starts, in generation {}", started.generation.get()));
        }
    }

    fn resume(&mut self, host: usize) {
        if self.paused[host].take().is_some() {
            self.cluster.resume(host);
            self.troubled[host] = self.round;
            self.trace(|| format!("host {host} goes on"));
        }
    }

    /// Everything heals, and everybody runs.
    fn calm_down(&mut self) {
        if self.plan.troubles.is_empty() {
            return;
        }
        self.cluster.heal();
        for host in 0..self.plan.nodes {
            self.resume(host);
            self.cluster.set_drift(host, 0);
            self.cluster.set_clock(host, 0);
            self.set_disk_full(host, false);
            self.set_timers_late(host, false);
            self.restart(host);
        }
        self.trouble_all();
        self.trace(|| "all is well from here on".into());
    }

    fn publish(&mut self) {
        let is_over = self.round + LAST_WORDS > self.plan.rounds;
        if self.news.is_some() || is_over || !self.round.is_multiple_of(PUBLISHES_EVERY) {
            return;
        }
        let host = self.below(self.plan.nodes);
        // Also in the calm, a refused process does not run.
        if !self.runs(host) {
            return;
        }
        // Where there is little room, two endpoints with long values do not fit a packet together.
        let zeros = if self.plan.is_tight { self.below(LONGEST_VALUE) } else { 0 };
        let value = format!("{}.{:0<zeros$}", self.published, "");
        self.published += 1;
        // A node that stops takes no more.
        if self.cluster.set_state(host, ApplicationState::LOAD, &value).is_ok() && !self.is_troubled() {
            self.news = Some((host, value, f64::from(self.round)));
        }
    }

    fn look_for_news(&mut self, now: f64) {
        let Some((host, value, since)) = &self.news else { return };
        let endpoint = self.cluster.endpoint(*host);
        if self.cluster.view().all_have(endpoint, ApplicationState::LOAD, value) {
            self.report.convergence.push(now - since);
            let text = format!("all know {value} of host {host}");
            self.news = None;
            self.trace(|| text);
        }
    }

    fn look_at_events(&mut self) {
        for host in 0..self.plan.nodes {
            let events: Vec<_> = self.cluster.events(host)[self.seen[host]..].to_vec();
            self.seen[host] += events.len();
            for (at, event) in events {
                let seconds = at.as_nanos() as f64 / 1e9;
                if let Event::Down { endpoint, cause: DownCause::Convicted { .. }, .. } = event {
                    let of = crate::host::Host::find(&self.cluster.hosts, endpoint);
                    let killed = of.and_then(|of| self.killed[of]);
                    match (of, killed) {
                        (_, Some(killed)) if killed <= seconds => {
                            self.report.detection.push(seconds - killed)
                        }
                        (Some(of), _) if !self.was_troubled(of) && !self.was_troubled(host) => {
                            self.report.false_convictions += 1;
                            self.trace(|| {
                                format!("host {host} takes host {of} for dead, which it could reach")
                            });
                        }
                        _ => {}
                    }
                }
                // A node that does not ask is never refused.
                if is_refusal(&event) && nodes::asks(&self.plan, self.cluster.seed(), host) {
                    self.refused[host] = Some(self.round);
                    self.troubled[host] = self.round;
                }
                if self.is_traced {
                    self.report.trace.push(format!("{seconds:10.3} s  host {host}: {event:?}"));
                }
            }
        }
    }

    fn was_troubled(&self, host: usize) -> bool {
        let is_troubled = self.cluster.has_cuts() || self.late[host];
        !self.plan.troubles.is_empty() && (is_troubled || self.round < self.troubled[host] + AFTERMATH)
    }

    /// Whether all that run take each other for live, and know what each says of itself.
    fn agrees(&self) -> bool {
        let view = self.cluster.view();
        view.running().count() == self.plan.nodes
            && view.all_live()
            && view.running().all(|(_, owner)| view.running().all(|(_, other)| knows_as(other, owner)))
    }

    /// Which node finds an address live where nothing runs, though it should have convicted it, in words.
    ///
    /// A fixed number of rounds would not do: how long a silence may be depends on the intervals before it. Where many packets got lost, it is
    /// more than a minute, which is longer than the calm of a short run.
    fn outlived(&self) -> Option<String> {
        if self.plan.troubles.is_empty() || self.calm_rounds() < 2 * LAST_NEWS {
            return None;
        }
        let view = self.cluster.view();
        let running: BTreeSet<_> = view.running().map(|(_, gossiper)| gossiper.local_endpoint()).collect();
        let calm = self.cluster.settings.interval * self.calm_rounds();
        let latest = calm.saturating_sub(self.cluster.settings.interval * LAST_NEWS);
        view.running().find_map(|(host, gossiper)| {
            let gone = gossiper.pulses().find(|pulse| {
                pulse.standing == Standing::Live
                    && !running.contains(&pulse.endpoint)
                    && is_outlived(pulse.phi, pulse.heard_ago, latest, self.plan.greatest_phi())
            })?;
            let Pulse { endpoint, phi, heard_ago, .. } = gone;
            Some(format!(
                "host {host} finds {endpoint} live, where nothing runs: phi {phi:?}, newest heartbeat {heard_ago:?} ago"
            ))
        })
    }

    /// Who does not agree, in words.
    fn disagreement(&self) -> String {
        let view = self.cluster.view();
        for (host, gossiper) in view.running() {
            for (of, owner) in view.running() {
                let endpoint = owner.local_endpoint();
                match gossiper.standing(endpoint) {
                    Some(Standing::Live) => {}
                    Some(standing) => return format!("host {host} finds host {of} {standing:?}"),
                    None => return format!("host {host} does not know host {of}"),
                }
                if !knows_as(gossiper, owner) {
                    return format!("host {host} {}", difference(gossiper, owner));
                }
            }
        }
        format!("only {} of {} nodes run", view.running().count(), self.plan.nodes)
    }
}

/// Whether this event tells that a node was refused, or that nobody answered it: it has to be started again.
const fn is_refusal(event: &Event) -> bool {
    matches!(event, Event::IdentityInUse { .. } | Event::AddressConflict { .. } | Event::ShadowRoundFailed)
}

/// Whether an address where nothing runs may not be live in a view: its newest heartbeat came less than `latest` ago, or its silence is longer
/// than the failure detector permits.
fn is_outlived(phi: Option<f64>, heard_ago: Option<Duration>, latest: Duration, greatest: f64) -> bool {
    heard_ago.is_none_or(|ago| ago < latest) || phi.is_none_or(|phi| phi > greatest)
}

/// How what a node knows of another differs from what that one says of itself, in words.
fn difference(gossiper: &Gossiper, owner: &Gossiper) -> String {
    let endpoint = owner.local_endpoint();
    let known = gossiper.heartbeat(endpoint);
    if known.is_none_or(|known| known.generation != owner.generation()) {
        return format!("knows {known:?} of {endpoint}, which is in generation {:?}", owner.generation());
    }
    let theirs = gossiper.values(endpoint).collect::<Vec<_>>();
    let ours = owner.values(endpoint).collect::<Vec<_>>();
    let lacking = ours.iter().filter(|value| !theirs.contains(value)).collect::<Vec<_>>();
    let surplus = theirs.iter().filter(|value| !ours.contains(value)).collect::<Vec<_>>();
    format!("lacks of {endpoint} {lacking:?}, and has {surplus:?} in their place")
}

fn knows_as(gossiper: &Gossiper, owner: &Gossiper) -> bool {
    let endpoint = owner.local_endpoint();
    gossiper.heartbeat(endpoint).is_some_and(|known| known.generation == owner.generation())
        && gossiper.values(endpoint).eq(owner.values(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_where_nothing_runs_may_be_live_only_while_the_detector_permits_it() {
        let outlived = |phi, heard_ago: Option<u64>, (carrier, nodes, is_tight)| {
            let plan = Plan {
                nodes,
                rounds: 1,
                carrier,
                loss_percent: 0,
                duplicate_percent: 0,
                reorders: false,
                latency: (Duration::ZERO, Duration::ZERO),
                troubles: Vec::new(),
                is_tight,
                ask_first: false,
            };
            let (heard_ago, latest) = (heard_ago.map(Duration::from_secs), Duration::from_secs(20));
            is_outlived(phi, heard_ago, latest, plan.greatest_phi())
        };
        let (messages, packets) = ((Carrier::Messages, 16, false), (Carrier::Datagram, 16, false));
        assert!(!outlived(Some(8.1), Some(20), messages), "it is convicted in the next round");
        assert!(outlived(Some(8.1), Some(19), messages), "a heartbeat came later than all news");
        for few in [messages, (Carrier::Internode, 16, false)] {
            assert!(outlived(Some(9.0), Some(30), few));
        }
        for doubts in [packets, (Carrier::Internode, 17, false), (Carrier::Messages, 16, true)] {
            assert!(
                !outlived(Some(9.0), Some(30), doubts),
                "while packets get lost, or answers are late in a crowd"
            );
            assert!(outlived(Some(17.0), Some(30), doubts));
            assert!(outlived(None, None, doubts), "it was found live without a heartbeat");
        }
    }
}
