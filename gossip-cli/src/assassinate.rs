//! `gossip assassinate`.

use core::time::Duration;

use crate::address::{GOSSIP_PORT, reachable, resolve_one};
use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::model::{AssassinationModel, Outcome};
use crate::wait;

/// What should be known before.
const AFTER_HELP: &str = "\
An endpoint that is known has 30 gossip intervals to show a sign of life, which aborts it. Of one that is declared as \
left nothing is believed any more until it starts again with a greater generation. Whatever still runs under that \
address stops when it hears of it.";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Whom to declare as left; without a port, the port of the node that is asked
    #[arg(value_name = "ADDR[:PORT]")]
    endpoint: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// Declares an endpoint as left that cannot leave by itself, and waits until that is done.
///
/// # Errors
///
/// The node cannot be asked, or refuses; the endpoint is alive.
pub(crate) fn assassinate(args: &Args) -> Result<(), Failure> {
    // Whether it is an address at all does not depend on the node.
    resolve_one(&args.endpoint, GOSSIP_PORT).and_then(reachable).map_err(Failure::misuse)?;
    let client = args.client.client()?;
    let node = client.node()?;
    let endpoint = resolve_one(&args.endpoint, node.endpoint.port()).map_err(Failure::misuse)?;
    client.assassinate(endpoint)?;
    let interval = Duration::from_millis(node.interval_ms);
    let model = wait::until(interval * 70, "nothing has come of it", || {
        let found = client.assassinations()?.into_iter().find(|model| model.endpoint == endpoint);
        Ok(found.filter(|model| model.outcome != Outcome::Pending))
    })?;
    match (args.client.format, model.outcome) {
        (Format::Text, Outcome::Assassinated) => print(&format!("{endpoint} is declared as left.\n")),
        (Format::Text, Outcome::Gone) => print(&format!("{endpoint} is not known any more.\n")),
        (Format::Text, _) => Err(aborted(&model)),
        (Format::Json, outcome) => {
            print_json(&model)?;
            if outcome == Outcome::Aborted { Err(aborted(&model)) } else { Ok(()) }
        }
    }
}

fn aborted(model: &AssassinationModel) -> Failure {
    let endpoint = model.endpoint;
    Failure::failed(match &model.reason {
        Some(reason) => format!(
            "{endpoint} was not assassinated: {reason} (if it is alive, have it leave with `gossip decommission`, or stop it \
             first)"
        ),
        None => format!("{endpoint} was not assassinated (the log of the node that was asked says why)"),
    })
}
