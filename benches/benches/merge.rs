//! What a step of an exchange costs: see `benches/README.md`.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::{ROOM, drain, gossiper, handle, states, syn, syn_with};
use gossip_core::{Session, Verb};

const SIZES: [u32; 3] = [100, 1_000, 4_000];

/// Every second row from the middle of the other half: no two neighbours stay neighbours.
fn shuffled(count: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    let mut state = 1_u64;
    for at in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, (state >> 33) as usize % (at + 1));
    }
    order
}

fn syn_to_ack(c: &mut Criterion) {
    let mut group = c.benchmark_group("syn_to_ack");
    for count in SIZES {
        group.throughput(Throughput::Elements(u64::from(count)));
        let own: Vec<u32> = (0..count).collect();
        for (order, peers) in [("own", own), ("shuffled", shuffled(count))] {
            // Our heartbeats are at 10: two thirds of the digests are behind or ahead by one.
            let differing = |n: u32| if n.is_multiple_of(3) { 10 } else { 9 + 2 * i32::from(n % 3 == 1) };
            for (news, body) in
                [("nothing_newer", syn(&peers, 10)), ("two_thirds_differ", syn_with(&peers, differing))]
            {
                let mut gossiper = gossiper(count, 10);
                let mut session = Session::default();
                let mut buffer = vec![0; ROOM];
                group.bench_function(BenchmarkId::new(format!("{news}/{order}"), count), |b| {
                    b.iter(|| {
                        handle(&mut gossiper, &mut session, Verb::GOSSIP_DIGEST_SYN, black_box(&body));
                        black_box(drain(&mut gossiper, &mut buffer))
                    });
                });
            }
        }
    }
    group.finish();
}

fn heartbeats(c: &mut Criterion) {
    let mut group = c.benchmark_group("ack2_heartbeats");
    for count in SIZES.into_iter().filter(|count| *count <= 2_000) {
        group.throughput(Throughput::Elements(u64::from(count)));
        let mut gossiper = gossiper(count, 10);
        let mut session = Session::default();
        let peers: Vec<u32> = (0..count).collect();
        let mut heartbeat = 10;
        group.bench_function(BenchmarkId::new("newer", count), |b| {
            b.iter_batched_ref(
                || {
                    heartbeat += 1;
                    states(&peers, heartbeat, false)
                },
                |body| handle(&mut gossiper, &mut session, Verb::GOSSIP_DIGEST_ACK2, body),
                criterion::BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, syn_to_ack, heartbeats);
criterion_main!(benches);
