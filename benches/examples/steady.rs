//! Works through messages of one kind, for profilers: `steady STEP NEWS ORDER KNOWN MESSAGES`, such as `steady syn two own 1000 400`.
//!
//! Of instructions, those of a run with twice as many messages less those of one with as many are what the messages took:
//! `valgrind --tool=callgrind target/release/examples/steady ack2 two shuffled 1000 400`.

#[path = "../benches/merge/steps.rs"]
#[expect(dead_code, reason = "the bench uses the rest")]
mod steps;

use gossip_benches::order::Order;
use steps::{Bench, News, Step};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [step, news, order, known, messages] = &arguments[..] else {
        eprintln!("usage: steady syn|ack|ack2 nothing|two|values own|shuffled KNOWN MESSAGES");
        std::process::exit(2);
    };
    let step = match step.as_str() {
        "syn" => Step::SynToAck,
        "ack" => Step::AckToAck2,
        _ => Step::Ack2,
    };
    let news = match news.as_str() {
        "nothing" => News::Nothing,
        "two" => News::TwoThirds,
        _ => News::Values,
    };
    let order = if order == "own" { Order::Own } else { Order::Shuffled };
    let known = known.parse().expect("a number of endpoints");
    let mut messages: usize = messages.parse().expect("a number of messages");
    let mut bench = Bench::new(known);
    let mut work = bench.work(step, news, order);
    let items = work.items();
    let mut bodies = work.prepare();
    println!("{} items a message", items / bodies.ours.len() as u64);
    bodies.ours.truncate(messages);
    while messages > 0 {
        bodies.ours.truncate(messages);
        messages -= bodies.ours.len();
        bench.run(step, &mut bodies);
        if messages > 0 && step != Step::SynToAck {
            bodies = work.prepare();
        }
    }
}
