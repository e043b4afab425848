//! `gossip getseeds`.

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::model::SeedsModel;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Prints the seeds of a node.
///
/// # Errors
///
/// The node cannot be asked.
pub(crate) fn getseeds(args: &Args) -> Result<(), Failure> {
    let seeds = args.client.client()?.seeds()?;
    match args.client.format {
        Format::Json => print_json(&seeds),
        Format::Text => print(&render("Current list of seed node IPs", &seeds)),
    }
}

/// The line of nodetool.
pub(crate) fn render(what: &str, seeds: &SeedsModel) -> String {
    if seeds.seeds.is_empty() {
        return "Seed node list does not contain any remote node IPs\n".into();
    }
    let seeds: Vec<_> = seeds.seeds.iter().map(|seed| format!("/{seed}")).collect();
    format!("{what}, excluding the current node's IP: {}\n", seeds.join(" "))
}
