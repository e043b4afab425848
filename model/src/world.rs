//! Hosts and the messages between them.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use gossip_core::message::{Codec, Message};
use gossip_core::wire::Writer;
use gossip_core::{ApplicationState, Event, Gossiper, MAX_URGENT_MESSAGE, Timestamp, Verb};

use crate::bounds::{Allowed, Bounds};
use crate::host::{Host, Process, endpoint_of, number_of, permutations};
use crate::laws::{Law, Ledger};
use crate::letter::{Letter, VERSION, mix};
use crate::quiet;
use crate::step::Step;

/// After so many rounds in which nothing arrives, everybody is convicted: the greatest mean interval is two seconds, and eighteen
/// times as long is enough.
const SILENCE: u32 = 60;

thread_local! {
    /// Where messages are written.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_URGENT_MESSAGE]);
}

/// A state of the model.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) hosts: Vec<Host>,
    pub(crate) letters: Vec<Arc<Letter>>,
    pub(crate) allowed: Allowed,
    pub(crate) version: i32,
    crosses: bool,
    pub(crate) ledger: Arc<Ledger>,
    /// The law that the last step broke.
    pub(crate) broken: Option<Law>,
}

impl World {
    /// Everybody has just started, and knows the addresses of all.
    pub fn new(bounds: &Bounds) -> Self {
        let mut world = Self {
            hosts: (0..bounds.nodes).map(Host::new).collect(),
            letters: Vec::new(),
            allowed: bounds.allowed,
            version: bounds.version,
            crosses: bounds.crosses,
            ledger: Arc::default(),
            broken: None,
        };
        for host in 0..bounds.nodes {
            world.start(host, true);
        }
        world
    }

    /// Everybody knows everybody, and nothing is under way.
    ///
    /// # Panics
    ///
    /// If it does not come to that.
    pub fn met(bounds: &Bounds) -> Self {
        let mut world = Self::new(bounds);
        assert!(quiet::come_to_rest(&mut world), "all meet within a few rounds");
        world.letters.clear();
        for host in &mut world.hosts {
            if let Some(process) = &mut host.process {
                Arc::make_mut(process).moves = 0;
            }
        }
        world
    }

    /// Whether two states are one but for how their hosts are named.
    pub fn is_like(&self, other: &Self) -> bool {
        self.least_face() == other.least_face() && self.allowed == other.allowed
    }

    fn least_face(&self) -> Option<u64> {
        (0..permutations(self.hosts.len()).len()).map(|naming| self.face(naming)).min()
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The messages that are under way, or lost.
    pub fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.letters.iter().map(|letter| &**letter)
    }

    /// The law that the last step broke, if it did.
    pub const fn broken(&self) -> Option<Law> {
        self.broken
    }

    /// Whether all comes to rest once nothing happens any more, everything under way being lost.
    pub fn comes_to_rest(&self) -> bool {
        let mut world = self.clone();
        world.letters.clear();
        quiet::come_to_rest(&mut world)
    }

    /// Lets something happen, whether the bounds allow it or not.
    pub fn take(&mut self, step: Step) {
        let allowed = &mut self.allowed;
        match step {
            Step::Deliver(at) => {
                let letter = self.letters.remove(at);
                self.deliver(&letter);
            }
            Step::Duplicate(at) => {
                spend(&mut allowed.duplicates);
                let letter = Arc::clone(&self.letters[at]);
                self.deliver(&letter);
            }
            Step::Round { host, chance } => {
                if self.is_running(host) {
                    spend(&mut self.allowed.rounds);
                    self.count_move(host);
                }
                self.round(host, u64::from(chance));
            }
            Step::Publish(host) => {
                spend(&mut allowed.values);
                self.count_move(host);
                let value = u64::from(allowed_value(&self.hosts[host])).to_string();
                self.call(host, |process| {
                    let now = process.now;
                    let _ = process.gossiper.set_state(now, ApplicationState::LOAD, &value);
                });
            }
            Step::Kill(host) => {
                spend(&mut allowed.kills);
                self.hosts[host].process = None;
            }
            Step::Start(host) => {
                spend(&mut allowed.starts);
                self.start(host, true);
            }
            Step::StartForgetful(host) => {
                spend(&mut allowed.forgetful);
                self.start(host, false);
            }
            Step::Stop(host) => {
                spend(&mut allowed.stops);
                if let Some(gossiper) = self.hosts[host].gossiper() {
                    let generation = gossiper.generation();
                    Arc::make_mut(&mut self.ledger).note_stop(host, generation);
                }
                self.call(host, |process| process.gossiper.shutdown(process.now));
            }
            Step::Leave(host) => {
                spend(&mut allowed.leaves);
                self.call(host, |process| {
                    let _ = process.gossiper.leave(process.now);
                });
            }
            Step::Assassinate { by, whom } => {
                spend(&mut allowed.assassinations);
                self.call(by, |process| {
                    let _ = process.gossiper.assassinate(process.now, endpoint_of(whom));
                });
            }
            Step::Silence(host) => {
                spend(&mut allowed.silences);
                let under_way = self.letters.clone();
                for round in 0..SILENCE {
                    self.round(host, u64::from(round));
                }
                self.letters = under_way;
            }
            Step::Expire(host) => {
                spend(&mut allowed.expiries);
                self.hosts[host].is_late = true;
            }
        }
    }

    pub(crate) fn is_running(&self, host: usize) -> bool {
        self.hosts[host].gossiper().is_some_and(|gossiper| gossiper.phase() == gossip_core::Phase::Running)
    }

    fn count_move(&mut self, host: usize) {
        if let Some(process) = &mut self.hosts[host].process {
            Arc::make_mut(process).moves += 1;
        }
    }

    /// Whether a message can still arrive.
    pub(crate) fn is_deliverable(&self, letter: &Letter) -> bool {
        let host = &self.hosts[letter.to];
        host.process.is_some() && (self.crosses || host.boot == letter.to_boot)
    }

    fn start(&mut self, host: usize, remembers: bool) {
        let nodes = self.hosts.len();
        self.hosts[host].start(nodes, remembers);
        self.call(host, |_| {});
    }

    pub(crate) fn round(&mut self, host: usize, chance: u64) {
        self.call(host, |process| {
            if let Some(next) = process.gossiper.poll_timeout() {
                process.now = process.now.max(next);
                process.gossiper.reseed(chance);
                process.gossiper.handle_timeout(process.now);
            }
        });
    }

    pub(crate) fn deliver(&mut self, letter: &Letter) {
        let Letter { from, from_boot, to, .. } = *letter;
        if self.hosts[to].process.is_none() {
            return;
        }
        let message = letter.message();
        if matches!(message, Message::EchoRequest) {
            let boot = self.hosts[to].boot;
            Arc::make_mut(&mut self.ledger).note_answer((to, boot), (from, from_boot));
        }
        let sender = endpoint_of(from);
        self.call(to, |process| {
            // Messages do not come all at once, and rounds are far apart.
            process.now = process.now + Duration::from_millis(1);
            let Process { gossiper, sessions, now, .. } = process;
            let session = sessions.entry((from, from_boot)).or_insert_with(|| gossiper.open_session(sender));
            gossiper.handle_message(*now, sender, letter.outgoing.id, session, &message);
        });
    }

    /// Calls into a process, does what it wants done, and looks whether it kept to the laws.
    fn call(&mut self, host: usize, call: impl FnOnce(&mut Process)) {
        let unix_ms = self.hosts[host].unix_ms();
        let Some(before) = self.hosts[host].process.take() else { return };
        let mut process = Process::clone(&before);
        process.gossiper.handle_wall_clock(process.now, unix_ms);
        call(&mut process);
        self.send_all(host, &mut process);
        let mut has_stopped = false;
        while let Some(event) = process.gossiper.poll_event() {
            match event {
                Event::GenerationRaised { new, .. } => self.hosts[host].generation = new,
                Event::Stopped => has_stopped = true,
                Event::Assassinated { endpoint, .. } => {
                    Arc::make_mut(&mut self.ledger).note_assassination(&process.gossiper, endpoint);
                }
                _ => {}
            }
        }
        self.hosts[host].tombstones = process.gossiper.tombstones().collect();
        let boot = self.hosts[host].boot;
        let broken = Ledger::watch(&mut self.ledger, (host, boot), &before.gossiper, &process.gossiper);
        self.broken = self.broken.or(broken);
        if !has_stopped {
            process.settle_face(self.hosts.len());
            self.hosts[host].process = Some(Arc::new(process));
        }
    }

    fn send_all(&mut self, host: usize, process: &mut Process) {
        BUFFER.with_borrow_mut(|buffer| {
            while let Some(peer) = process.gossiper.next_peer() {
                // There are no connections that could be closed; asking takes it as done.
                process.gossiper.take_reset(peer);
                loop {
                    let mut out = Writer::new(buffer);
                    let Some(outgoing) = process.gossiper.encode(peer, Codec::new(VERSION), &mut out) else {
                        break;
                    };
                    let to = number_of(peer);
                    let (from_boot, to_boot) = (self.hosts[host].boot, self.hosts[to].boot);
                    let ends = ((host, from_boot), (to, to_boot));
                    let letter = Letter::new(self.hosts.len(), ends.0, ends.1, outgoing, out.written());
                    self.letters.push(Arc::new(letter));
                }
            }
        });
    }

    /// What the hosts are, whatever is under way.
    pub(crate) fn face_of_hosts(&self) -> u64 {
        let mut quiet = self.clone();
        quiet.letters.clear();
        quiet.least_face().unwrap_or(0)
    }

    /// What the state is, under one of the ways to name hosts.
    fn face(&self, naming: usize) -> u64 {
        let names = &permutations(self.hosts.len())[naming];
        let mut hosts = [0; 3];
        for (host, name) in self.hosts.iter().zip(names) {
            hosts[*name] = host.face(naming);
        }
        let mut letters: Vec<u64> = self
            .letters
            .iter()
            // What can never arrive is as good as lost.
            .filter(|letter| self.crosses || self.hosts[letter.to].boot == letter.to_boot)
            .map(|letter| {
                let ends = [names[letter.from] as u64, u64::from(letter.from_boot)];
                let to = [names[letter.to] as u64, u64::from(letter.to_boot)];
                let echo = match letter.verb() {
                    Verb::ECHO_REQ => self.is_awaited(letter.from, letter.to, letter.outgoing.id),
                    Verb::ECHO_RSP => self.is_awaited(letter.to, letter.from, letter.outgoing.id),
                    _ => false,
                };
                ends.into_iter().chain(to).fold(mix(letter.face(naming), u64::from(echo)), mix)
            })
            .collect();
        letters.sort_unstable();
        hosts.into_iter().chain(letters).fold(0, mix)
    }

    /// Whether `asker` still waits for the answer of `asked` to this echo.
    fn is_awaited(&self, asker: usize, asked: usize, id: u64) -> bool {
        let gossiper = self.hosts[asker].gossiper();
        gossiper.is_some_and(|gossiper: &Gossiper| gossiper.awaited_echo(endpoint_of(asked)) == Some(id))
    }
}

/// No two values of a process are the same.
const fn allowed_value(host: &Host) -> u8 {
    host.boot
}

const fn spend(count: &mut u8) {
    *count = count.saturating_sub(1);
}

/// States that differ only in how the hosts are named are one.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.least_face().hash(state);
        self.allowed.hash(state);
        self.broken.hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        (0..permutations(self.hosts.len()).len()).all(|naming| self.face(naming) == other.face(naming))
            && self.allowed == other.allowed
    }
}

impl World {
    /// What a process believes that the time is.
    pub fn now(&self, host: usize) -> Option<Timestamp> {
        self.hosts[host].process.as_ref().map(|process| process.now)
    }
}
