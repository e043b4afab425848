//! The table at the end: each step beside its baseline.

use gossip_benches::interleaved::{Effort, Measured, compare};
use gossip_benches::order::Order;

use gossip_benches::steps::{Bench, News, Step};

/// How many endpoints are known.
const SIZES: [u32; 5] = [10, 100, 1_000, 5_000, 100_000];

/// Measures every case of whose name one of the filters is a part, all if there is none, and prints a line for each.
///
/// # Panics
///
/// If any of them takes memory, or does not answer as it should.
pub(crate) fn print(effort: Effort, filters: &[String]) {
    let is_wanted = |known: u32, step: Step, news: News, order: Order| {
        let name = format!("{}/{}/{}/{known}", step.name(), news.name(), order.name());
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let mut is_any = false;
    println!("\nstep          N        news        order     ns/item   floor   ratio   allocations");
    let sizes = match effort {
        Effort::Test => &SIZES[..4],
        _ => &SIZES[..],
    };
    for known in sizes {
        let cases = Step::ALL.into_iter().flat_map(|step| News::ALL.map(|news| (step, news)));
        let has_any = cases.into_iter().any(|(step, news)| {
            news.concerns(step) && step.orders().iter().any(|order| is_wanted(*known, step, news, *order))
        });
        if !has_any {
            continue;
        }
        is_any = true;
        let mut bench = Bench::new(*known);
        for step in Step::ALL {
            for news in News::ALL.into_iter().filter(|news| news.concerns(step)) {
                check(&mut bench, step, news);
                for order in step.orders().iter().filter(|order| is_wanted(*known, step, news, **order)) {
                    let Measured { ours, floor, ratio, allocations } =
                        measure(effort, &mut bench, step, news, *order);
                    println!(
                        "{:<13} {known:<8} {:<11} {:<8} {ours:>8.2} {floor:>7.2} {ratio:>7.2} {allocations:>13}",
                        step.name(),
                        news.name(),
                        order.name(),
                    );
                    assert_eq!(allocations, 0, "a message takes no memory");
                }
            }
        }
    }
    if !is_any {
        println!("none: no step, news, order or size has {} in its name", filters.join(" or "));
    }
    println!(
        "\nAn item is a digest or a state of the message: these are the units of README.md, where criterion above tells of a whole step. Medians; the ratio is that of neighbours in time."
    );
}

fn measure(effort: Effort, bench: &mut Bench, step: Step, news: News, order: Order) -> Measured {
    let mut work = bench.work(step, news, order);
    let items = work.items();
    let bench = std::cell::RefCell::new(bench);
    compare(
        effort,
        items,
        || work.prepare(),
        |bodies| bench.borrow_mut().run(step, bodies),
        |bodies| {
            std::hint::black_box(bench.borrow().run_floor(order, bodies));
        },
    )
}

/// Whether the answer has as much to say as it should: what is measured is what is meant.
fn check(bench: &mut Bench, step: Step, news: News) {
    let mut work = bench.work(step, news, Order::Shuffled);
    let bodies = work.prepare();
    let answer = bench.answer(step, &bodies.ours[0]);
    let count = |at: usize| {
        answer.get(at..at + 4).map_or(0, |count| {
            usize::try_from(i32::from_be_bytes([count[0], count[1], count[2], count[3]])).unwrap_or(0)
        })
    };
    let (requests, states) = match step {
        Step::SynToAck => (count(0), count(4 + 15 * count(0))),
        Step::AckToAck2 => (0, count(0)),
        Step::Ack2 => return,
    };
    let items = usize::try_from(work.items()).unwrap_or(usize::MAX) / bodies.ours.len();
    let expected = match (step, news) {
        (Step::SynToAck, News::Nothing) => 0,
        (Step::SynToAck, _) => items * 2 / 3,
        (Step::AckToAck2, _) => items / 2,
        (Step::Ack2, _) => 0,
    };
    // Nearly: a few peers more are of one remainder than of another, and a message has an end.
    assert!(
        (requests + states).abs_diff(expected) <= expected / 10 + 2,
        "{step:?} {news:?}: {requests} {states} {expected}"
    );
}
