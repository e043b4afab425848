//! What a round costs: see `benches/README.md`.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use gossip_benches::floor::walk;
use gossip_benches::interleaved::{Effort, Measured, compare};
use gossip_benches::messages::{DIGEST, ordinary_states, syn_head};
use gossip_benches::world::World;

const SIZES: [u32; 4] = [10, 100, 1_000, 4_000];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("round");
    for known in SIZES {
        group.throughput(Throughput::Elements(known.into()));
        let mut world = World::new(known, 100, ordinary_states);
        // Everything: our heartbeat, choosing targets, phi of everybody, who is to be forgotten, and the SYN.
        group.bench_function(BenchmarkId::new("whole", known), |b| {
            b.iter(|| {
                world.round();
                black_box(world.drain())
            });
        });
        // The same without the SYN: a sweep over all endpoints.
        let world = std::cell::RefCell::new(world);
        group.bench_function(BenchmarkId::new("sweep", known), |b| {
            b.iter_batched(
                || world.borrow_mut().drain(),
                |_| world.borrow_mut().round(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    criterion.final_summary();
    let has_filter =
        std::env::args().skip(1).any(|argument| !argument.starts_with('-') || argument == "--list");
    if !has_filter {
        own_syn(Effort::from_args());
    }
}

/// Our own SYN beside a walk over its bytes.
///
/// # Panics
///
/// If it takes memory.
fn own_syn(effort: Effort) {
    println!("\nour own SYN\nN        ns/digest   walk   ratio   allocations");
    for known in SIZES {
        let mut world = World::new(known, 100, ordinary_states);
        world.round();
        let size = world.drain();
        let digests = world.written(size)[syn_head()..].to_vec();
        assert_eq!(digests.len() / DIGEST, known as usize + 1, "it lists everybody");
        let world = std::cell::RefCell::new(world);
        let rounds = || {
            // A round makes the SYN due; what else it does is not measured.
            let mut world = world.borrow_mut();
            world.drain();
            world.round();
        };
        let items = u64::from(known + 1);
        let Measured { ours, floor, ratio, allocations } = compare(
            effort,
            items,
            rounds,
            |()| {
                black_box(world.borrow_mut().drain());
            },
            |()| {
                black_box(walk::<DIGEST>(black_box(&digests)));
            },
        );
        println!("{known:<8} {ours:>9.2} {floor:>6.2} {ratio:>7.2} {allocations:>13}");
        assert_eq!(allocations, 0, "a SYN takes no memory");
    }
    println!("\nMedians; the ratio is that of neighbours in time.");
}
