//! `gossip statusgossip`.

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Prints whether a node takes part in gossip.
///
/// # Errors
///
/// The node cannot be asked.
pub(crate) fn statusgossip(args: &Args) -> Result<(), Failure> {
    let active = args.client.client()?.node()?.gossip_active;
    match args.client.format {
        Format::Json => print_json(&serde_json::json!({ "gossip_active": active })),
        Format::Text => print(if active { "running\n" } else { "not running\n" }),
    }
}
