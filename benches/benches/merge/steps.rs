//! The steps of an exchange, each with the messages that it is fed.

use gossip_benches::floor::Floor;
use gossip_benches::messages::{self, DIGEST, HEARTBEAT, Item, ack, ack2, ordinary_states, syn, syn_head};
use gossip_benches::order::{Chance, Order};
use gossip_benches::world::World;
use gossip_core::Verb;

/// The heartbeat of every peer to begin with: above the versions of all values.
const KNOWN: i32 = 100;

/// The least version of a value that everybody has already.
const VALUE: i32 = 12;

/// How many digests a SYN has at the most: what fits a message, and leaves room for the names.
const MOST: u32 = 4_000;

/// A step of an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// A SYN comes in, its ACK goes out.
    SynToAck,
    /// An ACK comes in, its ACK2 goes out.
    AckToAck2,
    /// An ACK2 comes in.
    Ack2,
}

impl Step {
    pub(crate) const ALL: [Self; 3] = [Self::SynToAck, Self::AckToAck2, Self::Ack2];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SynToAck => "SYN to ACK",
            Self::AckToAck2 => "ACK to ACK2",
            Self::Ack2 => "ACK2 applied",
        }
    }

    const fn verb(self) -> Verb {
        match self {
            Self::SynToAck => Verb::GOSSIP_DIGEST_SYN,
            Self::AckToAck2 => Verb::GOSSIP_DIGEST_ACK,
            Self::Ack2 => Verb::GOSSIP_DIGEST_ACK2,
        }
    }
}

/// What is new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum News {
    /// Nothing.
    Nothing,
    /// A third of the endpoints have a newer heartbeat here, a third there, as in nearly every exchange.
    TwoThirds,
    /// As [`News::TwoThirds`], and one endpoint in a hundred has a new value.
    Values,
}

impl News {
    pub(crate) const ALL: [Self; 3] = [Self::Nothing, Self::TwoThirds, Self::Values];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::TwoThirds => "two thirds",
            Self::Values => "1 % values",
        }
    }

    /// Whether there is anything to do in that step.
    pub(crate) fn concerns(self, step: Step) -> bool {
        self != Self::Nothing || step == Step::SynToAck
    }
}

/// A table of a certain size, and the floor beside it.
pub(crate) struct Bench {
    world: World,
    floor: Floor,
    known: u32,
    /// The last heartbeat that was told of.
    heartbeat: i32,
}

/// Messages of one kind, as many different ones as keep a branch predictor from learning them.
pub(crate) struct Work {
    step: Step,
    news: News,
    /// Whom each message is about.
    drawn: Vec<Vec<u32>>,
    heartbeat: i32,
}

/// The messages of one measurement.
pub(crate) struct Bodies {
    pub(crate) ours: Vec<Vec<u8>>,
    /// The same endpoints with heartbeats alone: digests, then states.
    bare: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) last_heartbeat: i32,
}

impl Bench {
    pub(crate) fn new(known: u32) -> Self {
        Self {
            world: World::new(known, KNOWN, ordinary_states),
            floor: Floor::new(known, KNOWN),
            known,
            heartbeat: KNOWN,
        }
    }

    pub(crate) fn work(&mut self, step: Step, news: News, order: Order) -> Work {
        let count = self.known.min(MOST);
        let different = (64_000 / count).clamp(16, 4_000);
        let mut chance = Chance::new(u64::from(self.known));
        let drawn = (0..different).map(|_| order.draw(&mut chance, self.known, count)).collect();
        // What is told of is newer than all before.
        Work { step, news, drawn, heartbeat: self.heartbeat }
    }

    /// Feeds all messages to the gossiper, and writes the answers.
    pub(crate) fn run(&mut self, step: Step, bodies: &mut Bodies) {
        for body in &bodies.ours {
            self.world.handle(step.verb(), body);
            std::hint::black_box(self.world.drain());
        }
        while self.world.gossiper.poll_event().is_some() {}
        self.heartbeat = self.heartbeat.max(bodies.last_heartbeat);
    }

    /// The answer to one message.
    pub(crate) fn answer(&mut self, step: Step, body: &[u8]) -> Vec<u8> {
        self.world.handle(step.verb(), body);
        let size = self.world.drain();
        self.world.written(size).to_vec()
    }

    /// Looks up all that the messages are about, and nothing more.
    pub(crate) fn run_floor(&self, order: Order, bodies: &Bodies) -> u32 {
        let Self { floor, .. } = self;
        let each = bodies.bare.iter().map(|(digests, states)| match order {
            Order::Own => floor.by_guess::<DIGEST>(digests) + floor.by_guess::<HEARTBEAT>(states),
            Order::Shuffled => floor.by_hash::<DIGEST>(digests) + floor.by_hash::<HEARTBEAT>(states),
        });
        each.fold(0, u32::wrapping_add)
    }
}

impl Work {
    /// How many digests and states all messages have together.
    pub(crate) fn items(&self) -> u64 {
        let each = |drawn: &Vec<u32>| {
            let (requests, states) = self.items_of(drawn, KNOWN);
            requests.len() + states.len()
        };
        self.drawn.iter().map(each).sum::<usize>() as u64
    }

    /// Writes the messages. Those that are applied tell of newer heartbeats each time.
    pub(crate) fn prepare(&mut self) -> Bodies {
        let mut bodies = Bodies { ours: Vec::new(), bare: Vec::new(), last_heartbeat: 0 };
        for drawn in &self.drawn {
            self.heartbeat += 1;
            let (digests, states) = self.items_of(drawn, self.heartbeat);
            bodies.ours.push(match self.step {
                Step::SynToAck => syn(&digests),
                Step::AckToAck2 => ack(&digests, &states),
                Step::Ack2 => ack2(&states),
            });
            let bare: Vec<Item> = states.iter().map(|item| Item { value: None, ..*item }).collect();
            bodies.bare.push((syn(&digests)[syn_head()..].to_vec(), ack2(&bare)[4..].to_vec()));
        }
        bodies.last_heartbeat = self.heartbeat;
        bodies
    }

    /// The digests and the states of a message about these peers.
    fn items_of(&self, drawn: &[u32], heartbeat: i32) -> (Vec<Item>, Vec<Item>) {
        let has_value = |peer: u32| self.news == News::Values && peer.is_multiple_of(100);
        let item = |peer, version| Item { peer, version, value: None };
        let lacks = |peer| item(peer, if has_value(peer) { VALUE - 1 } else { KNOWN - 1 });
        let tells = |peer| Item { value: has_value(peer).then_some(heartbeat), ..item(peer, heartbeat) };
        let third = |third: u32| drawn.iter().copied().filter(move |peer| peer % 3 == third);
        match (self.step, self.news) {
            (Step::SynToAck, News::Nothing) => {
                (drawn.iter().map(|peer| item(*peer, KNOWN)).collect(), vec![])
            }
            (Step::SynToAck, _) => {
                let digest = |peer: &u32| match peer % 3 {
                    0 => item(*peer, KNOWN),
                    1 => item(*peer, KNOWN + 1),
                    _ => lacks(*peer),
                };
                (drawn.iter().map(digest).collect(), vec![])
            }
            (Step::AckToAck2, _) => (third(0).map(lacks).collect(), third(1).map(tells).collect()),
            // As many as an ACK2 of this size has room for.
            (Step::Ack2, _) => {
                let most = messages::ROOM / (HEARTBEAT + 1);
                (vec![], drawn.iter().take(most).map(|peer| tells(*peer)).collect())
            }
        }
    }
}
