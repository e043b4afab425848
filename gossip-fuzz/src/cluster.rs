//! A simulated cluster with faults and with hosts that attack it.

use core::fmt::Write;
use std::time::Duration;

use arbitrary::Arbitrary;
use gossip_core::{ApplicationState, ConfigBuilder, Gossiper, Standing, Version};
use gossip_sim::{Attack, Cluster, View, seconds};

use crate::watched::ring;
use crate::{script, show};

/// The honest hosts come first. The last of them does not start before the script is over.
const HONEST: usize = 4;
const NEWCOMER: usize = HONEST - 1;
const HOSTS: usize = HONEST + 2;

/// More steps are not read: a run takes too long.
const MAX_STEPS: usize = 24;

/// Within how many seconds of the cluster's time an honest host becomes live while others attack, and within how many all agree after
/// the attacks. Without attacks it takes some five.
const MAX_STARVED: u64 = 60;

/// Within how many seconds all agree after the other faults. A node that has lost its generation jumps above it once in ten minutes, and
/// each of them may have to.
const MAX_FAULTY: u64 = 2 * 3_600;

const DAY: i64 = 24 * 60 * 60;

/// How far wall clocks are ahead, in seconds. Generations more than a year ahead are refused.
const AHEAD: [i64; 8] = [0, 60, -60, DAY, -DAY, 200 * DAY, 730 * DAY, -730 * DAY];

/// The first number of a state that belongs to an application.
const FIRST_OWN_STATE: i32 = 1_000;

#[derive(Arbitrary, Debug)]
struct Story {
    travel: Travel,
    /// What chance does in the network.
    seed: u16,
    /// Whether there are so many places for connections that memory is used up first.
    has_many_places: bool,
    /// Which node starts again after the faults, while the attacks go on.
    restarted: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Travel {
    Streams,
    /// Bytes come in pieces, and writes have to wait.
    NarrowStreams,
    Packets,
    SealedPackets,
}

/// What happens next.
#[derive(Arbitrary, Debug)]
enum Step {
    Pass {
        deciseconds: u8,
    },
    /// A hostile host begins, or does something else from now on. Only over connections.
    Attack {
        host: bool,
        attack: u8,
    },
    EndAttack {
        host: bool,
    },
    /// A process stands still.
    Pause {
        host: u8,
    },
    Resume {
        host: u8,
    },
    Clock {
        host: u8,
        ahead: u8,
    },
    Restart {
        host: u8,
    },
    /// A process ends, its disk is replaced, its clock is set right, and another process starts.
    Replace {
        host: u8,
    },
    Kill {
        host: u8,
    },
    Cut {
        from: u8,
        to: u8,
    },
    Heal,
    /// The connections between two hosts break.
    Reset {
        one: u8,
        other: u8,
    },
    Delay {
        host: u8,
        millis: u16,
    },
    /// A node publishes a value.
    Set {
        host: u8,
        key: u8,
        value: u8,
    },
}

/// A cluster under any schedule of faults and attacks. No honest node is starved: once the faults are over, all honest nodes find each
/// other live while the attacks go on, and so they do with a newcomer and with a restarted node. Everybody converges once the attacks
/// are over, too.
pub fn cluster(data: &[u8]) {
    let Some(story) = script::<Story>(data) else { return };
    let mut world = World::new(&story);
    for step in story.steps.iter().take(MAX_STEPS) {
        world.step(step);
    }
    world.end_faults();
    world.wait(MAX_FAULTY, "the faults are over");
    world.cluster.restart(NEWCOMER);
    world.wait(MAX_STARVED, "a newcomer has started");
    world.cluster.restart(usize::from(story.restarted) % HONEST);
    world.wait(MAX_STARVED, "a node has started again");
    for host in HONEST..HOSTS {
        world.cluster.kill(host);
    }
    world.wait(MAX_STARVED, "the attacks are over");
    world.cluster.run_rounds(20);
    world.wait(0, "they agreed");
}

struct World {
    cluster: Cluster,
    is_streams: bool,
    /// Whose clocks were more than a year ahead.
    far_ahead: [bool; HONEST],
}

fn honest(host: u8) -> usize {
    usize::from(host) % HONEST
}

fn hostile(host: bool) -> usize {
    HONEST + usize::from(host)
}

/// So that what there is of everything can be used up by few.
fn with_small_limits(config: ConfigBuilder, max_connections: usize) -> ConfigBuilder {
    config.change_limits(|limits| {
        limits.max_inbound_bytes = 1 << 20;
        limits.max_connections = max_connections;
        limits.max_dials = 8;
        limits.max_handshakes = 16;
        limits.max_endpoints = 1_000;
    })
}

impl World {
    fn new(story: &Story) -> Self {
        let builder = Cluster::new(HOSTS).seed(story.seed.into()).remember(|_| false);
        let max_connections = if story.has_many_places { 512 } else { 64 };
        let builder = match story.travel {
            Travel::Streams => builder.streams(),
            Travel::NarrowStreams => builder.streams().chunks(4_000).socket_buffer(100_000),
            Travel::Packets | Travel::SealedPackets => builder.datagrams(),
        };
        let is_sealed = matches!(story.travel, Travel::SealedPackets);
        let builder = builder.configure(move |_, config| {
            let config = with_small_limits(config, max_connections);
            if is_sealed { config.keys(ring(0)) } else { config }
        });
        let cluster = builder.start_only(0..NEWCOMER);
        let is_streams = cluster.carries_bytes();
        Self { cluster, is_streams, far_ahead: [false; HONEST] }
    }

    fn step(&mut self, step: &Step) {
        let cluster = &mut self.cluster;
        match *step {
            Step::Pass { deciseconds } => {
                cluster.run_for(Duration::from_millis(100) * u32::from(deciseconds))
            }
            Step::Attack { host, attack } if self.is_streams => {
                cluster.attack(hostile(host), Attack::ALL[usize::from(attack) % Attack::ALL.len()]);
            }
            Step::EndAttack { host } => cluster.kill(hostile(host)),
            Step::Pause { host } => cluster.stall(honest(host)),
            Step::Resume { host } => cluster.resume(honest(host)),
            Step::Clock { host, ahead } => {
                let ahead = AHEAD[usize::from(ahead) % AHEAD.len()];
                cluster.set_clock(honest(host), ahead);
                self.far_ahead[honest(host)] |= ahead > 365 * DAY;
            }
            Step::Restart { host } => {
                cluster.restart(honest(host));
            }
            Step::Replace { host } => {
                cluster.set_clock(honest(host), 0);
                cluster.wipe(honest(host));
                cluster.restart(honest(host));
            }
            Step::Kill { host } => cluster.kill(honest(host)),
            Step::Cut { from, to } => cluster.cut(honest(from), honest(to)),
            Step::Heal => cluster.heal(),
            Step::Reset { one, other } if self.is_streams => cluster.reset(honest(one), honest(other)),
            Step::Delay { host, millis } => {
                cluster.delay(honest(host), Duration::from_millis(u64::from(millis % 4_096)));
            }
            Step::Set { host, key, value } => {
                if cluster.view().gossiper(honest(host)).is_some() {
                    let key = ApplicationState::new(FIRST_OWN_STATE + i32::from(key % 4));
                    // A node that is not enabled refuses it, which is as good.
                    let _ = cluster.set_state(honest(host), key, &value.to_string());
                }
            }
            Step::Attack { .. } | Step::Reset { .. } => {}
        }
    }

    /// Ends all faults but the attacks. A host whose clock was more than a year ahead starts again, as one that has ended does: it may have
    /// a generation that no node accepts.
    fn end_faults(&mut self) {
        let cluster = &mut self.cluster;
        cluster.heal();
        for (host, was_far_ahead) in self.far_ahead.iter().enumerate() {
            cluster.set_clock(host, 0);
            cluster.delay(host, Duration::ZERO);
            cluster.resume(host);
            if host == NEWCOMER {
                // It starts later, and as one that others have not heard of for long.
                cluster.kill(host);
            } else if *was_far_ahead || cluster.view().gossiper(host).is_none() {
                cluster.restart(host);
            }
        }
    }

    /// Runs until all honest nodes find each other live and know all that each says of itself. Panics if that takes more than `limit`
    /// seconds after `what`.
    fn wait(&mut self, limit: u64, what: &str) {
        let deadline = self.cluster.now() + seconds(limit);
        while let Some(doubt) = doubt(&self.cluster.view()) {
            assert!(self.cluster.now() < deadline, "{limit} s after {what}: {doubt}");
            self.cluster.run_for(Duration::from_millis(200));
        }
    }
}

/// In what the nodes that run do not agree.
fn doubt(view: &View<'_>) -> Option<String> {
    let mut told = String::new();
    for (host, gossiper) in view.running() {
        for (other, process) in view.running() {
            let endpoint = process.local_endpoint();
            let standing = gossiper.standing(endpoint);
            let known = gossiper.heartbeat(endpoint).map(|heartbeat| heartbeat.generation);
            let own = process.generation();
            if standing != Some(Standing::Live) || known != Some(own) {
                let _ = write!(told, "{host} finds {other} {standing:?}, at {known:?} of {own}; ");
            } else if values(gossiper, process) != values(process, process) {
                let _ = write!(told, "{host} does not know all of {other}; ");
            }
        }
    }
    (!told.is_empty()).then_some(told)
}

fn values(gossiper: &Gossiper, of: &Gossiper) -> Vec<(ApplicationState, String, Version)> {
    gossiper
        .values(of.local_endpoint())
        .map(|(key, text, version)| (key, text.to_text().into_owned(), version))
        .collect()
}

/// How an input of [`cluster`] reads.
pub(crate) fn show_cluster(data: &[u8]) -> String {
    show::<Story>(data)
}
