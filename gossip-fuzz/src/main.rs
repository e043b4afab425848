//! Runs inputs of a fuzz target without a fuzzer: `gossip-fuzz TARGET FILE...`

use std::process::ExitCode;

use gossip_fuzz::TARGETS;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names = TARGETS.map(|target| target.name).join(", ");
        eprintln!("usage: gossip-fuzz TARGET FILE...\ntargets: {names}");
        return ExitCode::from(2);
    };
    for file in arguments {
        let data = match std::fs::read(&file) {
            Ok(data) => data,
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        };
        println!("{file}: {}", (target.show)(&data));
        (target.run)(&data);
    }
    ExitCode::SUCCESS
}
