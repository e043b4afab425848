//! The search through all histories.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stateright::{Checker, Model, Property};

use crate::bounds::Bounds;
use crate::laws::{LAWS, Law};
use crate::step::Step;
use crate::world::World;

/// What a search has found.
#[derive(Debug)]
pub struct Found {
    /// How many states there are.
    pub states: usize,
    /// How many steps led to them.
    pub steps: usize,
    /// How many steps the longest history has.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// The laws that do not hold, each with a history that ends where it is broken.
    pub broken: Vec<(Law, Vec<String>)>,
}

struct Searched {
    begin: World,
    /// Whether hosts come to rest, by what they are: what is under way does not count, since it is lost.
    rests: Mutex<HashMap<u64, bool>>,
}

impl Searched {
    fn comes_to_rest(&self, world: &World) -> bool {
        let face = world.face_of_hosts();
        let known = self.rests.lock().unwrap_or_else(PoisonError::into_inner).get(&face).copied();
        known.unwrap_or_else(|| {
            let rests = world.comes_to_rest();
            self.rests.lock().unwrap_or_else(PoisonError::into_inner).insert(face, rests);
            rests
        })
    }
}

impl Model for Searched {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.begin.clone()]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Step>) {
        if state.broken.is_none() {
            actions.extend(state.steps());
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut world = last.clone();
        world.take(step);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn keeps<const LAW: usize>(_: &Searched, world: &World) -> bool {
            world.broken != Some(LAWS[LAW].0)
        }
        vec![
            Property::always(LAWS[0].1, keeps::<0>),
            Property::always(LAWS[1].1, keeps::<1>),
            Property::always(LAWS[2].1, keeps::<2>),
            Property::always(LAWS[3].1, keeps::<3>),
            Property::always(LAWS[4].1, keeps::<4>),
            Property::always(LAWS[5].1, keeps::<5>),
            Property::always(LAWS[6].1, |model, world: &World| {
                world.broken.is_some() || model.comes_to_rest(world)
            }),
        ]
    }
}

/// Goes through all histories that begin with the start of all nodes.
pub fn search(bounds: &Bounds, threads: usize) -> Found {
    search_from(World::new(bounds), threads)
}

/// Goes through all histories that begin with this state, as far as it allows.
pub fn search_from(begin: World, threads: usize) -> Found {
    let started = Instant::now();
    let checker = Searched { begin, rests: Mutex::default() }.checker().threads(threads).spawn_dfs().join();
    let mut broken = Vec::new();
    for (law, name) in LAWS {
        let Some(path) = checker.discovery(name) else { continue };
        let steps = path.into_vec();
        let words = steps.iter().filter_map(|(world, step)| Some(world.describe((*step)?))).collect();
        broken.push((law, words));
    }
    Found {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        broken,
    }
}
