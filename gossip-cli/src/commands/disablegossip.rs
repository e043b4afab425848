//! `gossip disablegossip`.

use core::time::Duration;

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::wait;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Makes a node stop gossiping, and waits until that is so. To others it is as if it had stopped.
///
/// # Errors
///
/// The node cannot be asked, or goes on.
pub(crate) fn disablegossip(args: &Args) -> Result<(), Failure> {
    let client = args.client.client()?;
    let interval = Duration::from_millis(client.node()?.interval_ms);
    client.set_gossip(false)?;
    // It says goodbye for two intervals.
    let node = wait::until(interval * 4, "the node still gossips", || {
        Ok(Some(client.node()?).filter(|node| !node.gossip_active))
    })?;
    match args.client.format {
        Format::Json => print_json(&node),
        Format::Text => print(&format!("{} no longer gossips.\n", node.endpoint)),
    }
}
