//! A host, and the process that runs on it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::{
    ApplicationState, Config, Endpoint, Generation, Gossiper, Session, Standing, StatusKind, Timestamp,
    Tombstone,
};

use crate::letter::{hash_facts, mix};

/// What all wall clocks show, in milliseconds since the Unix epoch: they stand still, but for [`Step::Expire`](crate::Step::Expire).
const WALL_MS: u64 = 1_800_000_000_000;

/// By how much a wall clock is ahead that has passed the end of a LEFT: four days.
const LATE_MS: u64 = 4 * 24 * 60 * 60 * 1_000;

/// The generation of the first process of each host.
const FIRST: Generation = Generation::new(1_800_000_000);

/// A machine, and what it keeps when its process ends.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) number: usize,
    /// How many processes there were.
    pub(crate) boot: u8,
    pub(crate) process: Option<Arc<Process>>,
    /// The greatest generation that was stored.
    pub(crate) generation: Generation,
    pub(crate) tombstones: Vec<Tombstone>,
    pub(crate) is_late: bool,
}

/// A process: the real thing, and its clock.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) gossiper: Gossiper,
    pub(crate) now: Timestamp,
    /// How many rounds it began and values it published.
    pub(crate) moves: u8,
    pub(crate) sessions: BTreeMap<(usize, u8), Session>,
    /// What counts of its state, once for each way in which the hosts can be named.
    faces: Arc<[u64]>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.gossiper.fmt(f)
    }
}

impl Host {
    pub(crate) const fn new(number: usize) -> Self {
        Self { number, boot: 0, process: None, generation: FIRST, tombstones: Vec::new(), is_late: false }
    }

    /// The address of the host.
    pub fn endpoint(&self) -> Endpoint {
        endpoint_of(self.number)
    }

    /// What runs there.
    pub fn gossiper(&self) -> Option<&Gossiper> {
        self.process.as_ref().map(|process| &process.gossiper)
    }

    /// Whether a process of the host takes `other` for live.
    pub fn sees_live(&self, other: usize) -> bool {
        self.gossiper().is_some_and(|gossiper| gossiper.standing(endpoint_of(other)) == Some(Standing::Live))
    }

    /// Whether a process of the host knows that `other` has left, or was removed.
    pub fn sees_left(&self, other: usize) -> bool {
        self.gossiper().and_then(|gossiper| gossiper.status(endpoint_of(other))) == Some(StatusKind::Left)
    }

    pub(crate) const fn unix_ms(&self) -> u64 {
        if self.is_late { WALL_MS + LATE_MS } else { WALL_MS }
    }

    /// Starts a process, in whose memory is what the host has stored, or nothing.
    pub(crate) fn start(&mut self, nodes: usize, remembers: bool) {
        let generation = match (self.boot, remembers) {
            (0, _) | (_, false) => FIRST,
            _ => self.generation.next().expect("few processes start"),
        };
        if !remembers {
            self.tombstones.clear();
        }
        let mut entropy = [0; 32];
        entropy[0] = u8::try_from(self.number).unwrap_or(u8::MAX);
        entropy[1] = self.boot;
        let second = Duration::from_secs(1);
        let mut config = Config::builder("model", self.endpoint(), generation, entropy)
            .interval(second)
            .change_membership(|membership| {
                membership.ring_delay = Some(second);
                membership.leaving_delay = Some(second);
                membership.shutdown_announce = Some(second);
            })
            .change_limits(|limits| limits.max_pending_acks = 4)
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0");
        for seed in 0..nodes {
            config = config.seed(endpoint_of(seed));
        }
        for tombstone in &self.tombstones {
            config = config.tombstone(*tombstone);
        }
        self.boot += 1;
        self.generation = generation;
        let config = config.build().expect("the configuration is valid");
        let gossiper = Gossiper::new(config, Timestamp::ZERO);
        let sessions = BTreeMap::new();
        let faces = Arc::new([]);
        self.process = Some(Arc::new(Process { gossiper, now: Timestamp::ZERO, moves: 0, sessions, faces }));
    }

    /// What the host is, under one of the ways to name hosts.
    pub(crate) fn face(&self, naming: usize) -> u64 {
        let kept = mix(u64::from(self.boot), word(self.generation.get()));
        let kept = mix(kept, u64::from(self.is_late));
        let names = permutations_of(naming);
        let mut tombstones: Vec<_> = self
            .tombstones
            .iter()
            .map(|gone| vec![names(gone.endpoint), word(gone.generation.get()), gone.until_unix_ms])
            .collect();
        tombstones.sort_unstable();
        let kept = mix(kept, hash_facts(&tombstones));
        self.process
            .as_ref()
            .map_or(kept, |process| mix(mix(kept, 1 + u64::from(process.moves)), process.faces[naming]))
    }
}

impl Process {
    /// Looks anew at what counts of the state.
    pub(crate) fn settle_face(&mut self, nodes: usize) {
        self.faces = permutations(nodes)
            .iter()
            .map(|names| {
                let name = |endpoint: Endpoint| names[number_of(endpoint)] as u64;
                let mut facts = self.gossiper.facts(&name);
                let mut sessions: Vec<_> = self
                    .sessions
                    .iter()
                    .map(|((from, boot), session)| {
                        let mut hasher = DefaultHasher::new();
                        session.hash(&mut hasher);
                        vec![names[*from] as u64, u64::from(*boot), hasher.finish()]
                    })
                    .collect();
                sessions.sort_unstable();
                facts.extend(sessions);
                hash_facts(&facts)
            })
            .collect();
    }
}

fn word(number: i32) -> u64 {
    u64::from(number.cast_unsigned())
}

pub(crate) fn endpoint_of(number: usize) -> Endpoint {
    Endpoint::v4([10, 0, 0, u8::try_from(number + 1).unwrap_or(u8::MAX)], 7000)
}

pub(crate) fn number_of(endpoint: Endpoint) -> usize {
    match endpoint.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => unreachable!("all hosts have addresses of version 4"),
    }
}

/// All ways to name so many hosts.
pub(crate) const fn permutations(nodes: usize) -> &'static [[usize; 3]] {
    match nodes {
        2 => PAIRS,
        _ => TRIPLES,
    }
}

const PAIRS: &[[usize; 3]] = &[[0, 1, 2], [1, 0, 2]];

const TRIPLES: &[[usize; 3]] = &[[0, 1, 2], [1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0], [2, 0, 1]];

/// The first two ways to name three hosts are those to name two.
fn permutations_of(naming: usize) -> impl Fn(Endpoint) -> u64 {
    move |endpoint| TRIPLES[naming][number_of(endpoint)] as u64
}
