//! Measures this library and others in one process, turn by turn, prints a table, and with `--record` writes `record.tsv` anew.

use std::process::ExitCode;

use gossip_peers::record::{self, Line};
use gossip_peers::{Subject, chitchat, foca, measure, memberlist, ours};

const SIZES: [u32; 5] = [10, 100, 1_000, 5_000, 100_000];

/// The largest cluster for which the others are measured.
const PEERS_UP_TO: u32 = 5_000;

const SAMPLES: usize = 21;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (samples, is_recorded) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (SAMPLES, false),
        ["--record"] => (SAMPLES, true),
        // A quarter of the time: less steady figures, and none of 100,000 endpoints.
        ["--record", "--quick"] => (SAMPLES / 4, true),
        // To see that it runs.
        ["--test"] => (1, false),
        _ => {
            eprintln!("usage: compare [--record [--quick] | --test]");
            return ExitCode::from(2);
        }
    };
    let sizes = match samples {
        1 => &SIZES[..2],
        SAMPLES => &SIZES[..],
        _ => &SIZES[..4],
    };
    let lines: Vec<Line> = sizes.iter().flat_map(|known| of_size(*known, samples)).collect();
    if is_recorded && let Err(error) = record::write(&lines) {
        eprintln!("compare: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn of_size(known: u32, samples: usize) -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut subjects: Vec<Subject<'_>> = ours::exchanges(known);
    subjects.extend(ours::rounds(known));
    if known <= PEERS_UP_TO {
        subjects.extend(foca::subjects(known));
        subjects.extend(memberlist::subjects(known));
    }
    if known <= chitchat::MOST {
        subjects.extend(chitchat::subjects(known, &runtime));
    }
    // What is taken or learned once is not measured.
    measure(&mut subjects, 1);
    let nanos = measure(&mut subjects, samples);
    let lines: Vec<Line> = subjects
        .iter()
        .zip(nanos)
        .map(|(subject, nanos)| Line { step: subject.step.into(), name: subject.name.clone(), known, nanos })
        .collect();
    for (step, _) in record::STEPS {
        println!("\n{step}, {known} endpoints: ns for each item, times ours");
        let of_step = || lines.iter().filter(move |line| line.step == step);
        let Some(first) = of_step().next() else { continue };
        for line in of_step() {
            println!("  {:<42} {:>10.2} {:>9.2}", line.name, line.nanos, line.nanos / first.nanos);
        }
    }
    lines
}
