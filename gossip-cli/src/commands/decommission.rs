//! `gossip decommission`.

use core::time::Duration;

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::wait;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Makes a node leave its cluster for good, and waits until it has: it says LEAVING, then LEFT, and ends.
///
/// # Errors
///
/// The node cannot be asked, is no member, or does not end.
pub(crate) fn decommission(args: &Args) -> Result<(), Failure> {
    let client = args.client.client()?;
    let interval = Duration::from_millis(client.node()?.interval_ms);
    let endpoint = client.decommission()?.endpoint;
    // Either status is announced for five intervals.
    wait::until(interval * 12, &format!("{endpoint} still runs"), || {
        Ok((!client.still_runs(endpoint)).then_some(()))
    })?;
    match args.client.format {
        Format::Json => print_json(&serde_json::json!({ "endpoint": endpoint, "left": true })),
        Format::Text => print(&format!("{endpoint} has left the cluster.\n")),
    }
}
