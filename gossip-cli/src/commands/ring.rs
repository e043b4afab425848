//! `gossip ring`: who owns which part of the ring, and which parts have lost their quorum.

use core::fmt::Write;
use core::net::SocketAddr;
use std::collections::BTreeMap;

use gossip_adapter::{ApplicationState, Endpoint};
use gossip_metrics::Ring;
use serde::Serialize;

use crate::ask::SeedArgs;
use crate::client::{ClientArgs, Format};
use crate::commands::status::AFTER_HELP;
use crate::failure::{Failure, print, print_json};
use crate::model::{EndpointModel, Ports, StandingModel};
use crate::text::printable;

#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
Shares are those of the tokens alone: gossip does not tell the keyspaces. With --rf the replicas of a range are the owner of its token and the next members on the \
ring, as SimpleStrategy has it; a strategy that knows of data centers and racks places them otherwise. A member that is neither up nor down (?) counts as down.
Ends with 1 if a range has lost its quorum.
{AFTER_HELP}"))]
pub(crate) struct Args {
    /// Shows which ranges have no quorum of so many replicas with the members that are down now; default: only the shares are printed
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=100))]
    rf: Option<u16>,
    /// Shows every token, by ascending token
    #[arg(long)]
    tokens: bool,
    /// Prints ports, even if each endpoint has its own address (also: -pp)
    #[arg(long)]
    print_port: bool,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    seed: SeedArgs,
}

/// Prints who owns which part of the ring.
///
/// # Errors
///
/// The node cannot be asked, the tokens are not those of the Murmur3 partitioner, or a range has lost its quorum.
pub(crate) fn ring(args: &Args) -> Result<(), Failure> {
    let endpoints = args.seed.endpoints(&args.client)?;
    let ports = Ports::choose(args.print_port, &endpoints);
    let view = View::new(&endpoints, args.rf)?;
    match args.client.format {
        Format::Json => print_json(&view)?,
        Format::Text => print(&view.render(ports, args.tokens))?,
    }
    match &view.quorum {
        Some(quorum) if !quorum.lost.is_empty() => Err(Failure::Ended(1)),
        _ => Ok(()),
    }
}

#[derive(Debug, Serialize)]
struct View {
    members: Vec<MemberView>,
    /// By ascending token.
    ring: Vec<(i64, SocketAddr)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<Quorum>,
}

#[derive(Debug, Serialize)]
struct MemberView {
    endpoint: SocketAddr,
    data_center: String,
    rack: String,
    up: Option<bool>,
    status: Option<String>,
    tokens: usize,
    owns: f64,
}

#[derive(Debug, Serialize)]
struct Quorum {
    replicas: u16,
    /// The share of the ring that has no quorum.
    share: f64,
    lost: Vec<LostRange>,
}

#[derive(Debug, Serialize)]
struct LostRange {
    /// Exclusive.
    after: i64,
    /// Inclusive.
    to: i64,
    down: Vec<SocketAddr>,
}

impl View {
    fn new(endpoints: &[EndpointModel], replicas: Option<u16>) -> Result<Self, Failure> {
        // Those that join own nothing yet, and those that are gone nothing any more.
        let owns = |model: &&EndpointModel| {
            !model.is_gone() && !model.status_kind().is_bootstrapping() && !model.gossip_only
        };
        let owners: BTreeMap<Endpoint, &EndpointModel> = endpoints
            .iter()
            .filter(owns)
            .filter(|model| model.text(ApplicationState::TOKENS).is_some())
            .map(|model| (Endpoint::from(model.endpoint), model))
            .collect();
        let texts = owners
            .iter()
            .map(|(endpoint, model)| (*endpoint, model.text(ApplicationState::TOKENS).unwrap_or_default()));
        let Some(ring) = Ring::new(texts) else {
            return Err(Failure::failed(
                "the tokens are not those of the Murmur3Partitioner, and there are shares for no other (see the tokens with gossip gossipinfo)",
            ));
        };
        if ring.tokens().is_empty() {
            return Err(Failure::failed(
                "no member has published tokens (see what there is with gossip gossipinfo)",
            ));
        }
        let shares = ring.shares();
        let mut counts: BTreeMap<Endpoint, usize> = BTreeMap::new();
        for (_, endpoint) in ring.tokens() {
            *counts.entry(*endpoint).or_default() += 1;
        }
        let is_up = |model: &EndpointModel| match model.standing() {
            StandingModel::Live => Some(true),
            StandingModel::Unreachable => Some(false),
            StandingModel::Unverified => None,
        };
        let text = |model: &EndpointModel, key| model.text(key).unwrap_or("?").to_owned();
        let members = owners.iter().map(|(endpoint, model)| MemberView {
            endpoint: model.endpoint,
            data_center: text(model, ApplicationState::DC),
            rack: text(model, ApplicationState::RACK),
            up: is_up(model),
            status: model.status.clone(),
            tokens: counts.get(endpoint).copied().unwrap_or_default(),
            owns: shares.get(endpoint).copied().unwrap_or_default(),
        });
        let quorum = replicas.map(|replicas| {
            let (lost, share) = ring.without_quorum(usize::from(replicas), |endpoint| {
                owners.get(&endpoint).is_some_and(|model| is_up(model) == Some(true))
            });
            let lost = lost.into_iter().map(|lost| LostRange {
                after: lost.range.start,
                to: lost.range.end,
                down: lost.down.into_iter().map(Into::into).collect(),
            });
            Quorum { replicas, share, lost: lost.collect() }
        });
        Ok(Self {
            members: members.collect(),
            ring: ring.tokens().iter().map(|(token, endpoint)| (*token, (*endpoint).into())).collect(),
            quorum,
        })
    }

    fn render(&self, ports: Ports, shows_tokens: bool) -> String {
        let header = ["--", "Address", "Tokens", "Owns", "DC", "Rack"].map(String::from);
        let row = |member: &MemberView| {
            let up = match member.up {
                Some(true) => "U",
                Some(false) => "D",
                None => "?",
            };
            [
                up.to_owned(),
                ports.show(member.endpoint),
                member.tokens.to_string(),
                format!("{:.2}%", member.owns * 100.0),
                printable(&member.data_center).into_owned(),
                printable(&member.rack).into_owned(),
            ]
        };
        let rows: Vec<_> = [header].into_iter().chain(self.members.iter().map(row)).collect();
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        if shows_tokens {
            text.push('\n');
            for (token, endpoint) in &self.ring {
                // A string takes whatever is written.
                let _ = writeln!(text, "{token:>20}  {}", ports.show(*endpoint));
            }
        }
        if let Some(Quorum { replicas, share, lost }) = &self.quorum {
            let quorum = replicas / 2 + 1;
            if lost.is_empty() {
                let _ = writeln!(text, "\nEvery range has a quorum of {quorum} of {replicas} replicas.");
            } else {
                let _ = writeln!(
                    text,
                    "\nNo quorum of {quorum} of {replicas} replicas for {:.2}% of the ring:",
                    share * 100.0
                );
                for range in lost {
                    let down: Vec<_> = range.down.iter().map(|endpoint| ports.show(*endpoint)).collect();
                    let _ = writeln!(text, "  ({}, {}]  down: {}", range.after, range.to, down.join(", "));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StateModel;

    fn member(n: u8, standing: StandingModel, tokens: &[i64]) -> EndpointModel {
        EndpointModel {
            standing,
            status: Some("NORMAL".into()),
            states: vec![StateModel {
                key: ApplicationState::TOKENS.number(),
                name: "TOKENS".into(),
                version: 1,
                value: gossip_core::encode_tokens(tokens),
            }],
            ..EndpointModel::sample(&format!("10.0.0.{n}:7000"))
        }
    }

    #[test]
    fn a_range_without_a_quorum_is_shown_with_those_that_are_down() {
        let quarter = 1 << 62;
        let mut endpoints = [
            member(1, StandingModel::Live, &[-quarter]),
            member(2, StandingModel::Live, &[0]),
            member(3, StandingModel::Unreachable, &[quarter]),
        ];
        let text = View::new(&endpoints, Some(3)).unwrap().render(Ports::Hidden, false);
        assert!(text.contains("U   10.0.0.1  1       50.00%  ?   ?\n"), "{text}");
        assert!(text.ends_with("\nEvery range has a quorum of 2 of 3 replicas.\n"), "{text}");
        endpoints[1].standing = StandingModel::Unverified;
        let text = View::new(&endpoints, Some(3)).unwrap().render(Ports::Hidden, true);
        assert!(text.contains("No quorum of 2 of 3 replicas for 100.00% of the ring:\n"), "{text}");
        assert!(text.contains("down: 10.0.0.2, 10.0.0.3\n"), "{text}");
        assert!(text.contains("\n                   0  10.0.0.2\n"), "{text}");
    }

    #[test]
    fn without_a_ring_there_is_one_line() {
        for endpoints in [vec![], vec![member(1, StandingModel::Live, &[])]] {
            assert!(matches!(View::new(&endpoints, None), Err(Failure::Failed(_))));
        }
    }
}
