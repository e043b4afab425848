//! A gossiper that knows a number of peers, each of them live.

use gossip_core::message::Message;
use gossip_core::wire::Writer;
use gossip_core::{ApplicationState, Config, Endpoint, Generation, Gossiper, Session, Timestamp, Verb};

use crate::messages::{CLUSTER, CODEC, Item, ROOM, full_states, peer, syn};
use crate::order::Chance;

/// How many peers are taught in one exchange: that all fit one message.
const LESSON: usize = 100;
/// How often all peers are taught at the most, until all are known.
const LESSONS: u32 = 4;
/// After how many rounds without a new endpoint a gossiper no longer takes itself to be among many that join.
const SETTLES: u32 = 12;

/// A gossiper, the peer that it speaks with, and a buffer.
#[derive(Debug)]
pub struct World {
    /// The gossiper.
    pub gossiper: Gossiper,
    session: Session,
    buffer: Vec<u8>,
    now: Timestamp,
}

impl World {
    /// One that knows `count` peers, in no order, each at generation 1 with a heartbeat of `heartbeat` and these values.
    ///
    /// # Panics
    ///
    /// If the peers could not be taught, which a change of the protocol's rules may bring about.
    pub fn new(
        count: u32,
        heartbeat: i32,
        states: impl Fn(u32) -> Vec<(ApplicationState, String)> + Copy,
    ) -> Self {
        let local = Endpoint::v4([127, 0, 0, 1], 7000);
        let config = Config::builder(CLUSTER, local, Generation::new(1), [7; 32])
            .change_limits(|limits| limits.max_endpoints = count as usize + 1)
            // Peers here are silent but for what is measured.
            .change_detector(|detector| {
                detector.phi_convict_threshold = 1_000.0;
                detector.probe_after = Some(core::time::Duration::MAX);
            })
            .build()
            .expect("the numbers are in range");
        let mut world = Self {
            gossiper: Gossiper::new(config, Timestamp::ZERO),
            session: Session::default(),
            buffer: vec![0; ROOM],
            now: Timestamp::ZERO,
        };
        // A state is taken only if it was asked for, and not all are asked for at once. Of some, everything is requested once more, which
        // nobody answers here, so that some others are not asked for the first time.
        for _ in 0..LESSONS {
            if world.gossiper.endpoint_count() <= count as usize {
                world.teach(count, heartbeat, states);
            }
        }
        // While endpoints are being learned of, a SYN that lists few is answered by another, and few echoes are open at the same time. What
        // is measured is the time after that.
        for _ in 0..SETTLES {
            world.round();
            world.answer_echoes();
        }
        assert_eq!(world.gossiper.endpoint_count(), count as usize + 1, "all peers are known");
        assert_eq!(world.gossiper.live_endpoints().count(), count as usize, "all peers are live");
        world
    }

    fn teach(
        &mut self,
        count: u32,
        heartbeat: i32,
        states: impl Fn(u32) -> Vec<(ApplicationState, String)> + Copy,
    ) {
        for chunk in Chance::new(1).shuffled(count).chunks(LESSON) {
            let items: Vec<Item> =
                chunk.iter().map(|peer| Item { peer: *peer, version: heartbeat, value: None }).collect();
            self.handle(Verb::GOSSIP_DIGEST_SYN, &syn(&items));
            self.drain();
            self.handle(Verb::GOSSIP_DIGEST_ACK2, &full_states(chunk, heartbeat, states));
            self.answer_echoes();
            while self.gossiper.poll_event().is_some() {}
            // What was asked for is forgotten, and newcomers are put in order.
            self.round();
            self.answer_echoes();
        }
    }

    /// Takes in a message from the first peer.
    ///
    /// # Panics
    ///
    /// If it cannot be decoded.
    #[inline]
    pub fn handle(&mut self, verb: Verb, body: &[u8]) {
        let message = Message::decode(verb, body, CODEC).expect("a gossip verb").expect("a sound body");
        self.gossiper.handle_message(self.now, peer(0), 1, &mut self.session, &message);
    }

    /// Writes all that is due, and returns the size of the last body.
    #[inline]
    pub fn drain(&mut self) -> usize {
        let mut size = 0;
        while let Some(to) = self.gossiper.next_peer() {
            loop {
                let mut out = Writer::new(&mut self.buffer);
                if self.gossiper.encode(to, CODEC, &mut out).is_none() {
                    break;
                }
                size = out.len();
            }
        }
        size
    }

    /// The body that was written last, `size` bytes long.
    pub fn written(&self, size: usize) -> &[u8] {
        &self.buffer[..size]
    }

    /// Lets an interval pass, and does the round that is due then.
    #[inline]
    pub fn round(&mut self) {
        self.now = self.gossiper.poll_timeout().map_or(self.now, |due| due.max(self.now));
        self.gossiper.handle_timeout(self.now);
    }

    /// Answers all echoes, and those that are sent once they are answered.
    fn answer_echoes(&mut self) {
        loop {
            let mut asked = Vec::new();
            while let Some(to) = self.gossiper.next_peer() {
                let mut out = Writer::new(&mut self.buffer);
                while let Some(outgoing) = self.gossiper.encode(to, CODEC, &mut out) {
                    if outgoing.verb == Verb::ECHO_REQ {
                        asked.push((to, outgoing.id));
                    }
                    out = Writer::new(&mut self.buffer);
                }
            }
            if asked.is_empty() {
                return;
            }
            for (to, id) in asked {
                let mut session = Session::default();
                self.gossiper.handle_message(self.now, to, id, &mut session, &Message::EchoResponse);
            }
        }
    }
}
