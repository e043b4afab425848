//! `gossip reloadkeys`.

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Has a node read again the keys that encrypt its datagrams, from the file that it was started with.
///
/// # Errors
///
/// The node cannot be asked, has no such file, or finds no keys in it: they then stay as they are.
pub(crate) fn reloadkeys(args: &Args) -> Result<(), Failure> {
    let keys = args.client.client()?.reload_keys()?;
    match args.client.format {
        Format::Json => print_json(&keys),
        Format::Text => {
            let [sealing, others @ ..] = &keys.keys[..] else { return Ok(()) };
            let others = if others.is_empty() { "none".into() } else { others.join(" ") };
            print(&format!("Encrypting with key {sealing}; other accepted keys: {others}\n"))
        }
    }
}
