//! `gossip man`: for those who make packages.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to write them to
    dir: PathBuf,
}

/// Writes a man page for this command, and one for each of its subcommands.
///
/// # Errors
///
/// They cannot be written.
pub(crate) fn man(args: &Args) -> Result<(), Failure> {
    let written = std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(crate::Cli::command(), &args.dir));
    written.map_err(|error| {
        Failure::failed(format!("the man pages cannot be written to {}: {error}", args.dir.display()))
    })
}
