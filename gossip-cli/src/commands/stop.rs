//! `gossip stopdaemon`.

use core::time::Duration;

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::wait;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Stops a node cleanly, and waits until it has.
///
/// # Errors
///
/// The node cannot be asked, or does not stop.
pub(crate) fn stop(args: &Args) -> Result<(), Failure> {
    let client = args.client.client()?;
    let interval = Duration::from_millis(client.node()?.interval_ms);
    let endpoint = client.stop()?.endpoint;
    // A node says goodbye for two intervals. Another node may take over the port at once.
    wait::until(interval * 4, &format!("{endpoint} still runs"), || {
        Ok((!client.still_runs(endpoint)).then_some(()))
    })?;
    match args.client.format {
        Format::Json => print_json(&serde_json::json!({ "endpoint": endpoint, "stopped": true })),
        Format::Text => print(&format!("{endpoint} has shut down.\n")),
    }
}
