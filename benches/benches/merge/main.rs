//! What a step of an exchange costs, message body in to message body out: see `benches/README.md`.

mod table;

use criterion::{BenchmarkId, Criterion, Throughput};
use gossip_benches::interleaved::Effort;
use gossip_benches::order::Order;
use gossip_benches::steps::{Bench, News, Step};

/// How many endpoints are known, in the figures that criterion keeps.
const KEPT: [u32; 3] = [100, 1_000, 5_000];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for step in Step::ALL {
        let mut group = criterion.benchmark_group(step.name());
        for known in KEPT {
            let mut bench = Bench::new(known);
            for order in [Order::Own, Order::Shuffled] {
                let mut work = bench.work(step, News::TwoThirds, order);
                group.throughput(Throughput::Elements(work.items()));
                group.bench_function(BenchmarkId::new(order.name(), known), |b| {
                    b.iter_batched_ref(
                        || work.prepare(),
                        |bodies| bench.run(step, bodies),
                        criterion::BatchSize::PerIteration,
                    );
                });
            }
        }
        group.finish();
    }
    criterion.final_summary();
    // The table has the units of the record; of certain benches it has their lines. A list of names gets none.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--list") {
        let filters: Vec<String> = words.into_iter().filter(|word| !word.starts_with('-')).collect();
        table::print(Effort::from_args(), &filters);
    }
}
