//! How much memory a known endpoint takes: see `benches/README.md`.

use allocation_counter::measure;
use gossip_benches::interleaved::Effort;
use gossip_benches::messages::{self, ordinary_states};
use gossip_benches::world::World;
use gossip_core::ApplicationState;

type States = fn(u32) -> Vec<(ApplicationState, String)>;

/// How many bytes an endpoint with [`ORDINARY`] states may take.
const MOST: i64 = 700;

const ORDINARY: &str = "12 ordinary states";

/// What endpoints publish.
const PUBLISHED: [(&str, States); 3] = [
    (ORDINARY, ordinary_states),
    ("one short state", |_| vec![(ApplicationState::STATUS_WITH_PORT, "NORMAL,1".into())]),
    ("nothing", |_| Vec::new()),
];

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let sizes: &[u32] = match Effort::from_args() {
        Effort::Test => &[1_000],
        _ => &[1_000, 100_000],
    };
    // The buffer in which messages are written stays, and is not the gossiper's.
    _ = messages::body(|_| ());
    println!("states               N          bytes each");
    for (name, states) in PUBLISHED {
        let alone = held(0, states);
        for known in sizes {
            let each = (held(*known, states) - alone) / i64::from(*known);
            println!("{name:<20} {known:<8} {each:>12}");
            assert!(each <= MOST || name != ORDINARY, "at most {MOST} bytes for an endpoint with {ORDINARY}");
        }
    }
    println!("\nBytes of a gossiper that knows so many endpoints, less those of one that knows none.");
}

/// How many bytes a gossiper holds.
fn held(known: u32, states: States) -> i64 {
    let mut world = None;
    let held = measure(|| world = Some(World::new(known, 100, states))).bytes_current;
    drop(world);
    held
}
