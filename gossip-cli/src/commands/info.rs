//! `gossip info`.

use core::fmt::Write;
use std::collections::BTreeMap;

use gossip_adapter::{ApplicationState, Stats};

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::load::{human_bytes, load};
use crate::model::{CountersModel, EndpointModel, LOG_LINES_DROPPED, NodeModel, StandingModel};
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also says what each counter counts
    #[arg(short = 'v', long)]
    verbose: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Prints the states of a node itself, and all its counters.
///
/// # Errors
///
/// The node cannot be asked.
pub(crate) fn info(args: &Args) -> Result<(), Failure> {
    let client = args.client.client()?;
    let (node, endpoints, counters) = (client.node()?, client.endpoints()?, client.counters()?);
    match args.client.format {
        Format::Json => {
            let [live, unreachable, unverified] = standings(&endpoints);
            print_json(&serde_json::json!({
                "node": node,
                "endpoints": { "live": live, "unreachable": unreachable, "unverified": unverified },
                "counters": counters,
            }))
        }
        Format::Text => print(&render(&node, &endpoints, &counters, args.verbose)),
    }
}

/// The text of `nodetool info` as far as gossip knows it, then how many endpoints stand how, then the counters.
fn render(
    node: &NodeModel,
    endpoints: &[EndpointModel],
    counters: &CountersModel,
    is_verbose: bool,
) -> String {
    let meanings: BTreeMap<_, _> = Stats::default()
        .counters()
        .map(|counter| (counter.name, counter.meaning))
        .chain([LOG_LINES_DROPPED])
        .collect();
    let own = endpoints.iter().find(|endpoint| endpoint.local);
    let state = |key| own.and_then(|own| own.text(key));
    let load = state(ApplicationState::LOAD).and_then(load);
    let [live, unreachable, unverified] = standings(endpoints);
    let facts = [
        ("ID", node.host_id.clone()),
        ("Endpoint", node.endpoint.to_string()),
        ("Gossip active", node.gossip_active.to_string()),
        ("Load", load.map_or_else(|| "?".into(), human_bytes)),
        ("Generation No", node.generation.to_string()),
        ("Uptime (seconds)", node.uptime_seconds.to_string()),
        ("Data Center", state(ApplicationState::DC).unwrap_or("?").into()),
        ("Rack", state(ApplicationState::RACK).unwrap_or("?").into()),
        ("Live endpoints", live.to_string()),
        ("Unreachable endpoints", unreachable.to_string()),
        ("Unverified endpoints", unverified.to_string()),
    ];
    let metadata = node.metadata.as_ref().map(|metadata| ("Metadata id", metadata.to_string()));
    let mut text = String::new();
    // Writing to a string never fails.
    for (name, value) in facts.into_iter().chain(metadata) {
        let _ = writeln!(text, "{name:<23}: {}", printable(&value));
    }
    let _ = writeln!(text, "Counters");
    for (name, value) in counters {
        let meaning = meanings.get(name.as_str()).filter(|_| is_verbose);
        let _ = match meaning {
            Some(meaning) => writeln!(text, "  {:<21}: {value:<10}  {meaning}", printable(name)),
            None => writeln!(text, "  {:<21}: {value}", printable(name)),
        };
    }
    text
}

/// How many are live (the node itself included), unreachable and unverified.
fn standings(endpoints: &[EndpointModel]) -> [usize; 3] {
    [StandingModel::Live, StandingModel::Unreachable, StandingModel::Unverified]
        .map(|standing| endpoints.iter().filter(|endpoint| endpoint.standing() == standing).count())
}
