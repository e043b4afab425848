//! `gossip assassinate`.

use core::time::Duration;
use std::io::{self, Write};

use crate::address::{GOSSIP_PORT, reachable, resolve_one};
use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::model::{AssassinationModel, Outcome};
use crate::wait;

/// What should be known before.
const AFTER_HELP: &str = "\
An endpoint that is known has 30 gossip intervals to show a sign of life, which aborts it. One that is not known is refused, \
unless --force is given: it may be mistyped, and what is declared as left stays in everybody's gossip for three days. Of one that is declared as \
left nothing is believed any more until it starts again with a greater generation. Whatever still runs under that \
address stops when it hears of it.";

/// How many intervals an endpoint has to show a sign of life.
const SIGN_OF_LIFE: u32 = 30;

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The endpoint to declare as left; without a port, that of the asked node
    #[arg(value_name = "ADDR[:PORT]")]
    endpoint: String,
    /// Declares it as left even if the asked node does not know it
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Declares an endpoint as left, if it cannot leave by itself, and waits until that is done.
///
/// # Errors
///
/// The node cannot be asked, or refuses; the endpoint is alive.
pub(crate) fn assassinate(args: &Args) -> Result<(), Failure> {
    // Whether it is an address at all does not depend on the node.
    resolve_one("", &args.endpoint, GOSSIP_PORT).and_then(|at| reachable(at).map_err(Failure::misuse))?;
    let client = args.client.client()?;
    let node = client.node()?;
    let endpoint = resolve_one("", &args.endpoint, node.endpoint.port())?;
    client.assassinate(endpoint, args.force)?;
    let interval = Duration::from_millis(node.interval_ms);
    let mut is_told = false;
    let model = wait::until(interval * 70, "nothing has come of it", || {
        let found = client.assassinations()?.into_iter().find(|model| model.endpoint == endpoint);
        let found = found.filter(|model| model.outcome != Outcome::Pending);
        if found.is_none() && !is_told {
            is_told = true;
            // This line is no answer. If standard error is closed, it is not needed.
            let _ = writeln!(
                io::stderr(),
                "waiting {:?} for a sign of life of {endpoint}, which aborts its assassination",
                interval * SIGN_OF_LIFE
            );
        }
        Ok(found)
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
