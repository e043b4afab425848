//! What a node knows in the end depends on what it was sent, not on how often or in which order (`docs/protocol/exchange.md#comparing-digests`, `docs/protocol/exchange.md#applying-states`).

use gossip_core::{ApplicationState, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{Driven, State, ack2, builder, endpoint, heartbeat, java};

const A: &str = "10.0.0.1:7000";
const ENDPOINTS: [&str; 3] = ["10.0.1.1:7000", "10.0.1.2:7000", "[2001:db8::1]:7001"];

/// Values of which none means anything to a receiver.
const KEYS: [ApplicationState; 4] =
    [ApplicationState::LOAD, ApplicationState::DC, ApplicationState::RACK, ApplicationState::SEVERITY];

/// What one process did, version after version, from 1 on: it beat, or set a value.
type History = Vec<Option<usize>>;

/// The processes that ran at each endpoint, of generation 100 and so on.
type Histories = Vec<Vec<History>>;

/// Everything that one process had said up to a version.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Snapshot {
    process: usize,
    up_to: i32,
}

/// What a peer sends: of a snapshot, what came after a version.
#[derive(Clone, Copy, Debug)]
struct Told {
    endpoint: usize,
    snapshot: Snapshot,
    after: i32,
}

#[derive(Clone, Debug)]
enum Step {
    /// An endpoint sends all its values up to some time, as the answer to a request from version 0.
    Whole { endpoint: usize, process: Index, up_to: Index },
    /// The node asks for what it lacks; the answer, as of some time, gets under way.
    Ask { endpoint: usize, up_to: Index },
    /// Something that was sent before, or is in flight, arrives (again).
    Arrive { which: Index },
}

struct World {
    histories: Histories,
    node: Driven,
    told: Vec<Told>,
    /// The newest that has arrived of each endpoint.
    newest: [Option<Snapshot>; ENDPOINTS.len()],
}

impl World {
    fn new(histories: Histories) -> Self {
        Self { histories, node: Driven::new(builder(A, 100)), told: Vec::new(), newest: [None; 3] }
    }

    fn state(&self, told: Told) -> State {
        let Told { endpoint, snapshot, after } = told;
        let generation = generation(snapshot.process);
        let mut state = State::new(heartbeat(generation, 0), &[]);
        let history = &self.histories[endpoint][snapshot.process];
        for (version, what) in (1..).zip(history).filter(|(version, _)| *version <= snapshot.up_to) {
            match what {
                None => state.heartbeat = heartbeat(generation, version),
                Some(key) => {
                    let key = KEYS[*key];
                    state.values.retain(|(before, ..)| *before != key);
                    state.values.push((key, java(&format!("{generation}.{version}")), Version::new(version)));
                }
            }
        }
        state.values.retain(|(.., version)| version.get() > after);
        state.values.sort_by_key(|(key, ..)| *key);
        state
    }

    fn arrive(&mut self, told: Told) {
        let at = ENDPOINTS[told.endpoint];
        let state = self.state(told);
        if told.after == 0 {
            self.node.learn(at, &state);
        } else {
            self.node.hand(at, &ack2(&[(at, state)]));
        }
        self.node.sent();
        let newest = &mut self.newest[told.endpoint];
        *newest = (*newest).max(Some(told.snapshot));
    }

    /// Tells of a process that is drawn, or of the one that the node knows.
    fn snapshot(&self, endpoint: usize, process: usize, up_to: Index) -> Snapshot {
        let length = self.histories[endpoint][process].len();
        Snapshot { process, up_to: 1 + i32::try_from(up_to.index(length)).unwrap() }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Whole { endpoint, process, up_to } => {
                let process = process.index(self.histories[endpoint].len());
                let told = Told { endpoint, snapshot: self.snapshot(endpoint, process, up_to), after: 0 };
                self.told.push(told);
                self.arrive(told);
            }
            Step::Ask { endpoint, up_to } => {
                let Some(known) = self.newest[endpoint] else { return };
                let snapshot = self.snapshot(endpoint, known.process, up_to);
                self.told.push(Told { endpoint, snapshot, after: known.up_to });
            }
            Step::Arrive { which } if !self.told.is_empty() => self.arrive(*which.get(&self.told)),
            Step::Arrive { .. } => {}
        }
    }

    /// Asserts that the node knows of each endpoint what was true once, and nothing newer has arrived.
    fn assert_newest_is_known(&self) {
        for (n, newest) in self.newest.iter().enumerate() {
            let info = self.node.gossiper.endpoint_info(endpoint(ENDPOINTS[n]));
            let Some(snapshot) = *newest else {
                assert!(info.is_none(), "{info:?}");
                continue;
            };
            let info = info.unwrap();
            let expected = self.state(Told { endpoint: n, snapshot, after: 0 });
            let states = info.states.iter();
            let values = states.map(|state| (state.key, java(&state.value), state.version)).collect();
            assert_eq!(State { heartbeat: info.heartbeat, values }, expected);
        }
    }
}

fn generation(process: usize) -> i32 {
    100 + i32::try_from(process).unwrap()
}

/// A process says something before it beats: a state without values counts for none.
fn history() -> impl Strategy<Value = History> {
    let key = 0..KEYS.len();
    (key.clone(), vec(proptest::option::of(key), 0..12)).prop_map(|(first, mut rest)| {
        rest.insert(0, Some(first));
        rest
    })
}

fn step() -> impl Strategy<Value = Step> {
    let (endpoint, index) = (0..ENDPOINTS.len(), any::<Index>);
    prop_oneof![
        (endpoint.clone(), index(), index()).prop_map(|(endpoint, process, up_to)| Step::Whole {
            endpoint,
            process,
            up_to
        }),
        (endpoint, index()).prop_map(|(endpoint, up_to)| Step::Ask { endpoint, up_to }),
        index().prop_map(|which| Step::Arrive { which }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_is_known_whatever_came_first_or_twice(
        histories in vec(vec(history(), 1..4), ENDPOINTS.len()),
        steps in vec(step(), 1..60),
    ) {
        let mut world = World::new(histories);
        for step in &steps {
            world.step(step);
            world.assert_newest_is_known();
        }
        // Once all is there, nothing that comes again is news.
        for told in world.told.clone() {
            world.arrive(told);
        }
        world.assert_newest_is_known();
        world.node.events();
        for told in world.told.clone().into_iter().rev() {
            world.arrive(told);
            world.assert_newest_is_known();
        }
        prop_assert_eq!(world.node.events(), []);
    }
}
