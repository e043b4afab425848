//! `gossip completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::failure::{Failure, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For which shell
    shell: Shell,
}

/// Prints the script that teaches a shell to complete this command.
///
/// # Errors
///
/// Standard output cannot be written.
pub(crate) fn completions(args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "gossip", &mut script);
    print(&String::from_utf8_lossy(&script))
}
