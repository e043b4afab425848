//! The searches that are run, by name.

use crate::bounds::Bounds;
use crate::world::World;

/// A search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// What it is called.
    pub name: &'static str,
    /// Where its histories begin.
    pub begin: fn() -> World,
    /// Whether it is small enough for a test.
    pub is_small: bool,
}

/// All of them.
pub const SEARCHES: &[Search] = &[
    Search {
        name: "two meet: 3 rounds, 1 value, 1 duplicate",
        begin: || World::new(&Bounds::new(2).rounds(3).values(1).duplicates(1)),
        is_small: false,
    },
    Search { name: "two meet: 2 rounds", begin: || World::new(&Bounds::new(2).rounds(2)), is_small: true },
    Search {
        name: "two, a restart: 2 rounds",
        begin: || World::met(&Bounds::new(2).rounds(2).kills(1).starts(1)),
        is_small: true,
    },
    Search {
        name: "two, a restart: 2 rounds, 1 duplicate, packets",
        begin: || World::met(&Bounds::new(2).rounds(2).kills(1).starts(1).duplicates(1).crossing()),
        is_small: false,
    },
    Search {
        name: "two, a restart without memory: 2 rounds",
        begin: || World::met(&Bounds::new(2).rounds(2).kills(1).forgetful_starts(1)),
        is_small: true,
    },
    Search {
        name: "two, a silence: 2 rounds",
        begin: || World::met(&Bounds::new(2).rounds(2).silences(1)),
        is_small: true,
    },
    Search {
        name: "two, a stop and a restart: 1 round",
        begin: || World::met(&Bounds::new(2).rounds(1).stops(1).starts(1)),
        is_small: true,
    },
    Search {
        name: "two, one leaves, and comes back after it is forgotten: 1 round",
        begin: || World::met(&Bounds::new(2).rounds(1).leaves(1).starts(1).expiries(1)),
        is_small: true,
    },
    Search {
        name: "two, an assassination and a restart: 2 rounds",
        begin: || World::met(&Bounds::new(2).rounds(2).assassinations(1).kills(1).starts(1)),
        is_small: true,
    },
    Search { name: "three meet: 2 rounds", begin: || World::new(&Bounds::new(3).rounds(2)), is_small: true },
    Search { name: "three meet: 3 rounds", begin: || World::new(&Bounds::new(3).rounds(3)), is_small: false },
    Search {
        name: "three, a restart: 2 rounds",
        begin: || World::met(&Bounds::new(3).rounds(2).kills(1).starts(1)),
        is_small: false,
    },
    Search {
        name: "three, a restart without memory: 1 round",
        begin: || World::met(&Bounds::new(3).rounds(1).kills(1).forgetful_starts(1)),
        is_small: true,
    },
    Search {
        name: "three, one leaves: 1 round",
        begin: || World::met(&Bounds::new(3).rounds(1).leaves(1)),
        is_small: false,
    },
    Search {
        name: "three, an assassination: 1 round, 1 kill",
        begin: || World::met(&Bounds::new(3).rounds(1).assassinations(1).kills(1)),
        is_small: true,
    },
    Search {
        name: "three, an assassination: 1 round, 1 kill, 1 silence",
        begin: || World::met(&Bounds::new(3).rounds(1).assassinations(1).kills(1).silences(1)),
        is_small: false,
    },
    Search {
        name: "three, an assassination and a restart: 1 round",
        begin: || World::met(&Bounds::new(3).rounds(1).assassinations(1).kills(1).starts(1)),
        is_small: false,
    },
    Search {
        name: "three meet: 2 rounds, 1 value, 1 duplicate",
        begin: || World::new(&Bounds::new(3).rounds(2).values(1).duplicates(1)),
        is_small: false,
    },
];
