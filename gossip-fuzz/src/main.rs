//! Runs inputs of a fuzz target without a fuzzer: `gossip-fuzz TARGET FILE...`

use std::io::{self, Write};
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
        // Without a reader there is nothing left to show.
        match writeln!(io::stdout(), "{file}: {}", (target.show)(&data)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Err(error) => {
                // Standard error may be gone as well.
                let _ = writeln!(io::stderr(), "standard output cannot be written: {error}");
                return ExitCode::FAILURE;
            }
        }
        (target.run)(&data);
    }
    ExitCode::SUCCESS
}
