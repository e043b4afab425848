//! `gossip reloadseeds`.

use std::io::{self, Write};

use crate::client::{ClientArgs, Format};
use crate::commands::getseeds::render;
use crate::failure::{Failure, print, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Has a node read its seeds again, from the file that it was started with.
///
/// # Errors
///
/// The node cannot be asked, has no such file, or finds no seeds in it: they then stay as they are.
pub(crate) fn reloadseeds(args: &Args) -> Result<(), Failure> {
    let seeds = args.client.client()?.reload_seeds()?;
    for warning in &seeds.warnings {
        // If standard error is closed, there is no one left to tell.
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    match args.client.format {
        Format::Json => print_json(&seeds),
        Format::Text => print(&render("Updated seed node IP list", &seeds)),
    }
}
