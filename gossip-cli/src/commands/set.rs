//! `gossip set`.

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::names::split_assignment;
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The state, by a name that gossipinfo prints or by its number, and its new value
    #[arg(value_name = "KEY=VALUE")]
    assignment: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Changes a state of a running node.
///
/// # Errors
///
/// The node cannot be asked, or refuses.
pub(crate) fn set(args: &Args) -> Result<(), Failure> {
    let (key, value) = split_assignment(&args.assignment).map_err(Failure::misuse)?;
    let set = args.client.client()?.set(key, value)?;
    match args.client.format {
        Format::Json => print_json(&set),
        Format::Text => print(&format!("{}:{}:{}\n", printable(&set.name), set.version, printable(value))),
    }
}
