//! A whole cluster: its hosts, its network, its time.

use std::time::Duration;

use gossip_core::{
    ApplicationState, Endpoint, Event, Gossiper, Input, MetadataId, Node, SetStateError, Timestamp,
    Transport, Version,
};

use crate::builder::{Builder, SEED_VARIABLE, Settings, Travel};
use crate::host::{Host, MessageProcess, NodeProcess, Process, Started};
use crate::messages::Letter;
use crate::network::{Network, Traffic};
use crate::packets::Packet;
use crate::probe::{NoProbe, Probe};
use crate::queue::Queue;
use crate::streams::{StreamHappening, Streams};
use crate::view::View;

/// How often within an interval [`Cluster::run_until`] looks whether it is done.
const LOOKS: u32 = 10;

/// A cluster in one thread, under virtual time. Hosts are numbered from 0.
///
/// Nothing happens but by [`Cluster::run_for`] and its like; between two calls time stands still, and everything can be
/// looked at and meddled with. When a run panics, its seed is printed.
#[derive(Debug)]
pub struct Cluster<P = NoProbe> {
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    pub(crate) queue: Queue<Happening>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) network: Network,
    pub(crate) streams: Streams,
    pub(crate) probe: P,
    pub(crate) buffer: Box<[u8]>,
}

#[derive(Debug)]
pub(crate) enum Happening {
    /// A host is switched on.
    Start { host: usize },
    /// The time has come for which a process asked.
    Wake { host: usize, boot: u32 },
    /// A message arrives.
    Letter(Letter),
    /// A datagram arrives.
    Packet(Packet),
    /// Something happens to a connection.
    Stream(StreamHappening),
    /// A hostile process does something.
    Attack { host: usize, boot: u32 },
}

impl Cluster {
    /// A cluster of so many hosts, to be set up further.
    #[expect(clippy::new_ret_no_self, reason = "`Cluster::new(5).seed(7).start()` says what is made")]
    pub fn new(hosts: usize) -> Builder {
        Builder::new(hosts)
    }
}

impl<P: Probe> Cluster<P> {
    /// Does the next thing that is due. False if nothing ever is.
    pub fn step(&mut self) -> bool {
        let Some((at, happening)) = self.queue.pop() else { return false };
        self.now = self.now.max(at) + self.settings.work;
        self.happen(happening);
        true
    }

    /// Runs until `duration` has passed.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now <= end && self.queue.next_at().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Runs for so many intervals.
    pub fn run_rounds(&mut self, rounds: u32) {
        self.run_for(self.settings.interval * rounds);
    }

    /// Runs until `is_done`, and says how long that took, to the tenth of an interval.
    ///
    /// # Panics
    ///
    /// If `limit` passes before that.
    pub fn run_until(&mut self, mut is_done: impl FnMut(&View<'_>) -> bool, limit: Duration) -> Duration {
        let begin = self.now;
        while !is_done(&self.view()) {
            let passed = self.now.saturating_since(begin);
            assert!(passed < limit, "not done within {limit:?}");
            self.run_for((self.settings.interval / LOOKS).min(limit - passed));
        }
        self.now.saturating_since(begin)
    }

    /// Starts a process on `host`, in place of the one that may run there, which is killed. Its generation is greater.
    ///
    /// # Panics
    ///
    /// If there is no such host, or its configuration is not valid.
    pub fn restart(&mut self, host: usize) -> Started {
        self.kill(host);
        let Self { hosts, settings, now, .. } = self;
        let state = &mut hosts[host];
        state.boot += 1;
        let seeds = 0..settings.seeds.min(hosts.len());
        let config = if settings.guests.contains(&host) {
            let mut config = hosts[host].guest_config(host, *now, settings).interval(settings.interval);
            for seed in seeds {
                config = config.seed(hosts[seed].endpoint);
            }
            config.build()
        } else {
            let mut config = hosts[host].config(host, *now, settings).interval(settings.interval);
            for seed in seeds {
                config = config.seed(hosts[seed].endpoint);
            }
            if settings.travel == Travel::Datagrams {
                config = config.transport(Transport::Datagram);
            }
            (settings.configure)(host, config).build()
        };
        let config = config.expect("the configuration is valid");
        let state = &mut hosts[host];
        let process = if settings.travel != Travel::Messages {
            let node = Node::new(config, *now);
            Process::Node(Box::new(NodeProcess { node, sockets: Default::default() }))
        } else {
            let gossiper = Gossiper::new(config, *now);
            Process::Messages(Box::new(MessageProcess { gossiper, sessions: Default::default() }))
        };
        state.process = Some(process);
        let Some(gossiper) = state.gossiper() else { unreachable!("a process was just started") };
        let started = Started { endpoint: state.endpoint, generation: gossiper.generation() };
        self.probe.on_start(host, gossiper);
        state.generation = Some(started.generation);
        state.greatest = state.greatest.max(state.generation);
        self.tell_time(host);
        self.drain(host);
        started
    }

    /// Ends the process on `host` without a word; nothing if there is none. Its connections are closed, as any operating
    /// system does. (A machine that vanishes is a [`Cluster::partition`] of its own.)
    pub fn kill(&mut self, host: usize) {
        self.end_process(host);
    }

    /// Lets the node on `host` announce its shutdown. Its process ends once the announcement is done, some intervals later.
    pub fn shutdown(&mut self, host: usize) {
        let now = self.now;
        match self.hosts[host].process.as_mut() {
            Some(Process::Messages(process)) => process.gossiper.shutdown(now),
            Some(Process::Node(process)) => process.node.shutdown(now),
            Some(Process::Hostile(_)) => return self.kill(host),
            None => return,
        }
        self.drain(host);
    }

    /// Lets the node on `host` leave the cluster for good, if it is a member that runs. Its process ends some intervals later.
    pub fn leave(&mut self, host: usize) {
        let now = self.now;
        // One that leaves already goes on doing so.
        let _ = match self.hosts[host].process.as_mut() {
            Some(Process::Messages(process)) => process.gossiper.leave(now),
            Some(Process::Node(process)) => process.node.leave(now),
            Some(Process::Hostile(_)) | None => return,
        };
        self.drain(host);
    }

    /// Stops the node on `host` cleanly, and runs until its process has ended.
    ///
    /// # Panics
    ///
    /// If it does not end within a hundred intervals.
    pub fn stop(&mut self, host: usize) {
        self.shutdown(host);
        let limit = self.settings.interval * 100;
        self.run_until(|view| view.gossiper(host).is_none(), limit);
    }

    /// Holds the process on `host` up: it does nothing and reads nothing, though its machine goes on to accept connections
    /// and bytes as far as there is room.
    pub fn stall(&mut self, host: usize) {
        self.hosts[host].stalled.get_or_insert_default();
    }

    /// Lets a process go on that was held up. What should have happened to it meanwhile happens now.
    pub fn resume(&mut self, host: usize) {
        for happening in self.hosts[host].stalled.take().unwrap_or_default() {
            self.happen(happening);
        }
    }

    /// Lets the wall clock of `host` be so many seconds ahead from now on; behind, if that is negative. Generations are taken from it.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn set_clock(&mut self, host: usize, seconds_ahead: i64) {
        let host = &mut self.hosts[host];
        host.clock_ahead = seconds_ahead;
        host.drift.1 = self.now;
    }

    /// Lets the wall clock of `host` drift from now on: in a million seconds it gets so many seconds ahead; behind, if that is negative.
    /// It begins with the right time and what [`Cluster::set_clock`] has said.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn set_drift(&mut self, host: usize, parts_per_million: i64) {
        self.hosts[host].drift = (parts_per_million, self.now);
    }

    /// Loses what the processes of `host` have stored: the next one knows nothing of the generations before it. If the host had another address
    /// or host id before, its generation is nevertheless greater than theirs, as in [`Cluster::change_host_id`].
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn wipe(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        host.generation = host.greatest.filter(|_| host.has_changed);
    }

    /// Kills what runs on `host`, and gives the host its other address: each has two. The next process starts there. Its generation is greater
    /// than those of all processes before it. Of two addresses with one host id, the one with the greater generation counts.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn change_address(&mut self, host: usize) {
        self.kill(host);
        let host = &mut self.hosts[host];
        host.change_address();
        host.has_changed = true;
        host.generation = host.greatest;
    }

    /// Lets the next process on `host` have another host id, as that of a machine that was set up anew. Its generation is greater than those
    /// of all processes before it, as if the clock was set right as well. A node with a lesser one yields the address.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn change_host_id(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        // So many bits of a host id are free.
        host.host_ids = (host.host_ids + 1) & 0x3fff;
        host.has_changed = true;
        host.generation = host.greatest;
    }

    /// Whether the disk of `host` is full from now on. Then what its process stores is lost: no later process knows of it.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn set_disk_full(&mut self, host: usize, is_full: bool) {
        self.hosts[host].is_disk_full = is_full;
    }

    /// Whether timers of `host` fire late from now on: every third on average, by up to two intervals.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn set_timers_late(&mut self, host: usize, are_late: bool) {
        self.hosts[host].are_timers_late = are_late;
    }

    /// Lets nothing get from `from` to `to`. Messages are lost; bytes wait, and new connections are never made.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.network.cut(from, to);
    }

    /// Lets nothing get from either group to the other; as [`Cluster::cut`].
    pub fn partition(
        &mut self,
        one: impl IntoIterator<Item = usize>,
        other: impl IntoIterator<Item = usize> + Clone,
    ) {
        for a in one {
            for b in other.clone() {
                self.cut(a, b);
                self.cut(b, a);
            }
        }
    }

    /// Ends all partitions. Bytes that waited arrive.
    pub fn heal(&mut self) {
        self.network.heal();
        self.release_bytes();
    }

    pub(crate) fn has_cuts(&self) -> bool {
        self.network.has_cuts()
    }

    /// Changes how long the processor of all hosts takes for each thing that happens; see [`Builder::work`].
    pub const fn set_work(&mut self, each: Duration) {
        self.settings.work = each;
    }

    /// Lets everything from and to `host` take so much longer from now on.
    pub fn delay(&mut self, host: usize, by: Duration) {
        self.network.set_delay(host, by);
    }

    /// Changes how many of 100 messages, or writes, vanish.
    pub const fn set_loss_percent(&mut self, percent: u32) {
        self.network.loss_percent = percent;
    }

    /// Publishes a value of the node on `host`.
    ///
    /// # Errors
    ///
    /// As [`Gossiper::set_state`].
    ///
    /// # Panics
    ///
    /// If nothing runs there.
    pub fn set_state(
        &mut self,
        host: usize,
        key: ApplicationState,
        value: &str,
    ) -> Result<Version, SetStateError> {
        let now = self.now;
        match self.hosts[host].process.as_mut().expect("a process runs on the host") {
            Process::Messages(process) => process.gossiper.set_state(now, key, value),
            Process::Node(process) => process.node.set_state(now, key, value),
            Process::Hostile(_) => panic!("a node runs on the host"),
        }
    }

    /// Initialises the metadata service of a node that behaves like one of Cassandra 6.0.
    ///
    /// # Panics
    ///
    /// If nothing runs there.
    pub fn set_metadata_service(&mut self, host: usize, id: MetadataId) {
        let now = self.now;
        match self.hosts[host].process.as_mut().expect("a process runs on the host") {
            Process::Messages(process) => process.gossiper.set_metadata_service(now, id),
            Process::Node(process) => process.node.set_metadata_service(now, id),
            Process::Hostile(_) => panic!("a node runs on the host"),
        }
    }

    /// Lets a node that behaves like one of Cassandra 6.0 write a value of another from the log.
    ///
    /// # Panics
    ///
    /// If nothing runs there.
    pub fn merge_from_log(&mut self, host: usize, endpoint: Endpoint, key: ApplicationState, value: &str) {
        let now = self.now;
        match self.hosts[host].process.as_mut().expect("a process runs on the host") {
            Process::Messages(process) => process.gossiper.merge_from_log(now, endpoint, key, value),
            Process::Node(process) => process.node.merge_from_log(now, endpoint, key, value),
            Process::Hostile(_) => panic!("a node runs on the host"),
        }
        self.drain(host);
    }

    /// Whether bytes travel ([`Builder::streams`]), so that hosts can [attack](Cluster::attack).
    pub fn carries_bytes(&self) -> bool {
        self.settings.travel == Travel::Streams
    }

    /// The present moment.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The seed of the run.
    pub const fn seed(&self) -> u64 {
        self.settings.seed
    }

    /// What all nodes know now.
    pub fn view(&self) -> View<'_> {
        View { hosts: &self.hosts, now: self.now }
    }

    /// The address of `host`.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn endpoint(&self, host: usize) -> Endpoint {
        self.hosts[host].endpoint
    }

    /// What runs on `host`.
    ///
    /// # Panics
    ///
    /// If nothing does.
    pub fn gossiper(&self, host: usize) -> &Gossiper {
        self.hosts[host].gossiper().expect("a process runs on the host")
    }

    /// What happened on `host`, by its own account, since the start of the run; of that, what [`Builder::remember`] keeps.
    ///
    /// # Panics
    ///
    /// If there is no such host.
    pub fn events(&self, host: usize) -> &[(Timestamp, Event)] {
        &self.hosts[host].events
    }

    /// What the network was given so far.
    pub const fn traffic(&self) -> Traffic {
        self.network.traffic
    }

    /// What watches.
    pub const fn probe(&self) -> &P {
        &self.probe
    }

    /// What watches, to be changed.
    pub const fn probe_mut(&mut self) -> &mut P {
        &mut self.probe
    }

    /// Starts a process within an interval.
    pub(crate) fn start_later(&mut self, host: usize) {
        let after = self.network.rng.between(Duration::ZERO, self.settings.interval);
        self.queue.push(self.now + after, Happening::Start { host });
    }

    fn happen(&mut self, happening: Happening) {
        let concerned = match &happening {
            Happening::Start { .. } | Happening::Attack { .. } => None,
            Happening::Wake { host, .. } => Some(*host),
            Happening::Letter(letter) => Some(letter.to),
            Happening::Packet(packet) => Some(packet.to),
            Happening::Stream(happening) => self.streams.concerned(happening),
        };
        if let Some(waiting) = concerned.and_then(|host| self.hosts[host].stalled.as_mut()) {
            waiting.push(happening);
            return;
        }
        match happening {
            Happening::Start { host } => {
                self.restart(host);
            }
            Happening::Wake { host, boot } => self.wake(host, boot),
            Happening::Letter(letter) => self.deliver(letter),
            Happening::Packet(packet) => self.on_packet(&packet),
            Happening::Stream(happening) => self.on_stream(happening),
            Happening::Attack { host, boot } => self.on_attack(host, boot),
        }
    }

    fn wake(&mut self, host: usize, boot: u32) {
        let state = &mut self.hosts[host];
        // The process may have changed its mind, or be another.
        if state.boot != boot || state.wake.is_none_or(|wake| wake > self.now) {
            return;
        }
        state.wake = None;
        self.tell_time(host);
        let Self { hosts, probe, now, .. } = self;
        probe.on_wake(*now, host);
        match hosts[host].process.as_mut() {
            Some(Process::Messages(process)) => {
                observe(probe, host, &mut process.gossiper, |gossiper| gossiper.handle_timeout(*now));
            }
            Some(Process::Node(process)) => {
                observe_node(probe, host, &mut process.node, |node| node.handle_input(*now, Input::Timeout));
            }
            Some(Process::Hostile(_)) | None => {}
        }
        self.drain(host);
    }

    fn tell_time(&mut self, host: usize) {
        let Self { hosts, probe, now, .. } = self;
        let unix_ms = hosts[host].unix_ms(*now);
        probe.on_clock(*now, host, unix_ms);
        match hosts[host].process.as_mut() {
            Some(Process::Messages(process)) => observe(probe, host, &mut process.gossiper, |gossiper| {
                gossiper.handle_wall_clock(*now, unix_ms);
            }),
            Some(Process::Node(process)) => observe_node(probe, host, &mut process.node, |node| {
                node.handle_input(*now, Input::WallClock { unix_ms });
            }),
            Some(Process::Hostile(_)) | None => {}
        }
    }

    /// Does all that the process on `host` wants done.
    pub(crate) fn drain(&mut self, host: usize) {
        match self.hosts[host].process {
            Some(Process::Messages(_)) => self.drain_messages(host),
            Some(Process::Node(_)) => self.drain_node(host),
            Some(Process::Hostile(_)) | None => {}
        }
    }

    pub(crate) fn on_event(&mut self, host: usize, event: Event) {
        let state = &mut self.hosts[host];
        if (self.settings.remembers)(&event) {
            state.events.push((self.now, event));
        }
        match event {
            Event::GenerationRaised { new, .. } => {
                state.greatest = state.greatest.max(Some(new));
                if !state.is_disk_full {
                    state.generation = Some(new);
                }
            }
            Event::Stopped => self.end_process(host),
            _ => {}
        }
    }

    pub(crate) fn sleep(&mut self, host: usize, until: Option<Timestamp>) {
        let state = &mut self.hosts[host];
        if state.wake != until {
            state.wake = until;
            if let Some(until) = until {
                let boot = state.boot;
                let rng = &mut self.network.rng;
                let is_late = state.are_timers_late && rng.percent(33);
                let late = match is_late {
                    true => rng.between(Duration::ZERO, self.settings.interval * 2),
                    false => Duration::ZERO,
                };
                self.queue.push(until + late, Happening::Wake { host, boot });
            }
        }
    }

    fn end_process(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        state.wake = None;
        state.stalled = None;
        if state.process.take().is_some() {
            self.close_all(host);
        }
    }
}

impl<P> Drop for Cluster<P> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.settings.seed;
            eprintln!("a simulated cluster failed at {:?}; {SEED_VARIABLE}={seed} repeats it", self.now);
        }
    }
}

/// Calls into a gossiper under the eyes of the probe.
pub(crate) fn observe<P: Probe, R>(
    probe: &mut P,
    host: usize,
    gossiper: &mut Gossiper,
    call: impl FnOnce(&mut Gossiper) -> R,
) -> R {
    probe.before(host, gossiper);
    let result = call(gossiper);
    probe.after(host, gossiper);
    result
}

/// Calls into a node under the eyes of the probe.
pub(crate) fn observe_node<P: Probe, R>(
    probe: &mut P,
    host: usize,
    node: &mut Node,
    call: impl FnOnce(&mut Node) -> R,
) -> R {
    probe.before(host, node.gossiper());
    let result = call(node);
    probe.after(host, node.gossiper());
    result
}
