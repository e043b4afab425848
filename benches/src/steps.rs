//! The steps of an exchange, each with the messages that it is fed.

use crate::floor::Floor;
use crate::messages::{self, DIGEST, HEARTBEAT, Item, ack, ack2, ordinary_states, syn, syn_head};
use crate::order::{Chance, Order};
use crate::world::World;
use gossip_core::Verb;

/// The heartbeat of every peer to begin with: above the versions of all values.
const KNOWN: i32 = 100;

/// The least version of a value that everybody has already.
const VALUE: i32 = 12;

/// How many digests a SYN has at the most: what fits a message, and leaves room for the names.
const MOST: u32 = 4_000;

/// A step of an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// A SYN comes in, its ACK goes out.
    SynToAck,
    /// An ACK comes in, its ACK2 goes out.
    AckToAck2,
    /// An ACK2 comes in.
    Ack2,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SynToAck, Self::AckToAck2, Self::Ack2];

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynToAck => "SYN to ACK",
            Self::AckToAck2 => "ACK to ACK2",
            Self::Ack2 => "ACK2 applied",
        }
    }

    /// The orders in which its messages come: only the digests of a SYN come in Cassandra's.
    pub const fn orders(self) -> &'static [Order] {
        match self {
            Self::SynToAck => &Order::ALL,
            Self::AckToAck2 | Self::Ack2 => &[Order::Own, Order::Shuffled],
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
pub enum News {
    /// Nothing.
    Nothing,
    /// A third of the endpoints have a newer heartbeat here, a third there, as in nearly every exchange.
    TwoThirds,
    /// As [`News::TwoThirds`], and one endpoint in a hundred has a new value.
    Values,
}

impl News {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::TwoThirds, Self::Values];

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::TwoThirds => "two thirds",
            Self::Values => "1 % values",
        }
    }

    /// Whether there is anything to do in that step.
    pub fn concerns(self, step: Step) -> bool {
        self != Self::Nothing || step == Step::SynToAck
    }
}

/// A table of a certain size, and the baseline beside it.
#[derive(Debug)]
pub struct Bench {
    world: World,
    floor: Floor,
    known: u32,
    /// The last heartbeat that was sent.
    heartbeat: i32,
}

/// Messages of one kind, as many different ones as keep a branch predictor from learning them.
#[derive(Debug)]
pub struct Work {
    step: Step,
    news: News,
    order: Order,
    /// Whom each message is about.
    drawn: Vec<Vec<u32>>,
    heartbeat: i32,
}

/// The messages of one measurement.
#[derive(Debug)]
pub struct Bodies {
    /// What the gossiper is fed.
    pub ours: Vec<Vec<u8>>,
    /// The same endpoints with heartbeats alone: digests, then states.
    bare: Vec<(Vec<u8>, Vec<u8>)>,
    /// The newest heartbeat that they tell of.
    pub last_heartbeat: i32,
}

impl Bench {
    /// A gossiper that knows so many peers.
    pub fn new(known: u32) -> Self {
        Self {
            world: World::new(known, KNOWN, ordinary_states),
            floor: Floor::new(known, KNOWN),
            known,
            heartbeat: KNOWN,
        }
    }

    /// Messages for a step, different ones.
    pub fn work(&mut self, step: Step, news: News, order: Order) -> Work {
        let count = self.known.min(MOST);
        let different = (64_000 / count).clamp(16, 4_000);
        let mut chance = Chance::new(u64::from(self.known));
        let drawn = (0..different).map(|nth| order.draw(&mut chance, nth, self.known, count)).collect();
        // What is sent is newer than all before.
        Work { step, news, order, drawn, heartbeat: self.heartbeat }
    }

    /// Feeds all messages to the gossiper, and writes the answers.
    pub fn run(&mut self, step: Step, bodies: &mut Bodies) {
        for body in &bodies.ours {
            self.world.handle(step.verb(), body);
            std::hint::black_box(self.world.drain());
        }
        while self.world.gossiper.poll_event().is_some() {}
        self.heartbeat = self.heartbeat.max(bodies.last_heartbeat);
    }

    /// The answer to one message.
    pub fn answer(&mut self, step: Step, body: &[u8]) -> Vec<u8> {
        self.world.handle(step.verb(), body);
        let size = self.world.drain();
        self.world.written(size).to_vec()
    }

    /// Looks up all that the messages are about, and nothing more.
    pub fn run_floor(&self, order: Order, bodies: &Bodies) -> u32 {
        let Self { floor, .. } = self;
        let each = bodies.bare.iter().map(|(digests, states)| match order.has_floor_of_own() {
            true => floor.by_guess::<DIGEST>(digests) + floor.by_guess::<HEARTBEAT>(states),
            false => floor.by_hash::<DIGEST>(digests) + floor.by_hash::<HEARTBEAT>(states),
        });
        each.fold(0, u32::wrapping_add)
    }
}

impl Work {
    /// How many digests and states all messages have together.
    pub fn items(&self) -> u64 {
        let each = |(nth, drawn): (u32, &Vec<u32>)| {
            let (requests, states) = self.items_of(nth, drawn, KNOWN);
            requests.len() + states.len()
        };
        (0..).zip(&self.drawn).map(each).sum::<usize>() as u64
    }

    /// Leaves so many messages as have about as many digests and states together, and one at least.
    pub fn shorten(&mut self, items: u64) {
        let each = self.items() / self.drawn.len() as u64;
        self.drawn.truncate(usize::try_from(items / each.max(1)).unwrap_or(usize::MAX).max(1));
    }

    /// Writes the messages. Those that are applied tell of newer heartbeats each time.
    pub fn prepare(&mut self) -> Bodies {
        let mut bodies = Bodies { ours: Vec::new(), bare: Vec::new(), last_heartbeat: 0 };
        for (nth, drawn) in (0..).zip(&self.drawn) {
            self.heartbeat += 1;
            let (digests, states) = self.items_of(nth, drawn, self.heartbeat);
            bodies.ours.push(match self.step {
                Step::SynToAck => syn(&digests),
                Step::AckToAck2 => ack(&digests, &states),
                Step::Ack2 => ack2(&states),
            });
            let mut bare: Vec<Item> = states.iter().map(|item| Item { value: None, ..*item }).collect();
            let mut digests = digests;
            if self.order.has_floor_of_own() && self.order != Order::Own {
                bare.sort_unstable_by_key(|item| item.peer);
                digests.sort_unstable_by_key(|item| item.peer);
            }
            bodies.bare.push((syn(&digests)[syn_head()..].to_vec(), ack2(&bare)[4..].to_vec()));
        }
        bodies.last_heartbeat = self.heartbeat;
        bodies
    }

    /// The digests and the states of the `nth` message, about these peers. Which of them are new changes from message to message, even if
    /// their order does not.
    fn items_of(&self, nth: u32, drawn: &[u32], heartbeat: i32) -> (Vec<Item>, Vec<Item>) {
        let has_value = |peer: u32| self.news == News::Values && peer.is_multiple_of(100);
        let item = |peer, version| Item { peer, version, value: None };
        let lacks = |peer| item(peer, if has_value(peer) { VALUE - 1 } else { KNOWN - 1 });
        let tells = |peer| Item { value: has_value(peer).then_some(heartbeat), ..item(peer, heartbeat) };
        let third = |third: u32| drawn.iter().copied().filter(move |peer| (peer + nth) % 3 == third);
        match (self.step, self.news) {
            (Step::SynToAck, News::Nothing) => {
                (drawn.iter().map(|peer| item(*peer, KNOWN)).collect(), vec![])
            }
            (Step::SynToAck, _) => {
                let digest = |peer: &u32| match (peer + nth) % 3 {
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
