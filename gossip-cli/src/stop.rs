//! `gossip stopdaemon`.

use core::time::Duration;
use std::thread;
use std::time::Instant;

use crate::client::{Client, ClientArgs, Format};
use crate::failure::{Failure, print, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Stops a node in good order, and waits until it has.
///
/// # Errors
///
/// The node cannot be asked, or does not stop.
pub(crate) fn stop(args: &Args) -> Result<(), Failure> {
    let client = Client::new(&args.client.admin)?;
    let interval = Duration::from_millis(client.node()?.interval_ms);
    // A node says goodbye for two intervals.
    let patience = Duration::from_secs(30).saturating_add(interval * 4);
    let stopping = client.stop()?;
    let started = Instant::now();
    // Another node may take over the port at once.
    while client.node().is_ok_and(|node| node.endpoint == stopping.endpoint) {
        if started.elapsed() > patience {
            return Err(Failure::failed(format!(
                "{} still runs {} s after it was told to stop (see its log)",
                stopping.endpoint,
                patience.as_secs()
            )));
        }
        thread::sleep(Duration::from_millis(50));
    }
    match args.client.format {
        Format::Json => print_json(&serde_json::json!({ "endpoint": stopping.endpoint, "stopped": true })),
        Format::Text => print(&format!("{} has shut down.\n", stopping.endpoint)),
    }
}
