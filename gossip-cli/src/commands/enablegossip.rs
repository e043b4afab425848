//! `gossip enablegossip`.

use core::time::Duration;

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::wait;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Makes a node gossip again, with a greater generation.
///
/// # Errors
///
/// The node cannot be asked, or does not take part.
pub(crate) fn enablegossip(args: &Args) -> Result<(), Failure> {
    let client = args.client.client()?;
    let interval = Duration::from_millis(client.node()?.interval_ms);
    client.set_gossip(true)?;
    let node = wait::until(interval * 2, "the node does not gossip", || {
        Ok(Some(client.node()?).filter(|node| node.gossip_active))
    })?;
    match args.client.format {
        Format::Json => print_json(&node),
        Format::Text => print(&format!("{} gossips, generation {}.\n", node.endpoint, node.generation)),
    }
}
