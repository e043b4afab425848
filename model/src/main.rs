//! `cargo run --release -p gossip-model [SEARCH…]`: runs the searches whose names contain one of the words, or all.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use gossip_model::{SEARCHES, search_from};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed = false;
    println!("| search | states | steps | longest history | seconds | broken |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for search in SEARCHES {
        if !words.is_empty() && !words.iter().any(|word| search.name.contains(word.as_str())) {
            continue;
        }
        let found = search_from((search.begin)(), threads);
        let broken: Vec<String> = found.broken.iter().map(|(law, _)| format!("{law:?}")).collect();
        let broken = if broken.is_empty() { "nothing".to_owned() } else { broken.join(", ") };
        let (states, steps, depth) = (found.states, found.steps, found.depth);
        println!(
            "| {} | {states} | {steps} | {depth} | {:.1} | {broken} |",
            search.name,
            found.took.as_secs_f64()
        );
        let _ = std::io::stdout().flush();
        for (law, history) in &found.broken {
            failed = true;
            eprintln!("{}: {law:?} is broken by this history:", search.name);
            for step in history {
                eprintln!("  {step}");
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
