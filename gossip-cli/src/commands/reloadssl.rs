//! `gossip reloadssl`.

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

/// Has a node read again the files that it was started with for TLS: certificates, keys, and what it trusts.
///
/// # Errors
///
/// The node cannot be asked, has no such files, or finds something wrong in them: what it has stays in use then.
pub(crate) fn reloadssl(args: &Args) -> Result<(), Failure> {
    let reloaded = args.client.client()?.reload_ssl()?;
    match args.client.format {
        Format::Json => print_json(&reloaded),
        Format::Text => {
            print("New connections use the certificates as they are now; those that are open go on\n")
        }
    }
}
