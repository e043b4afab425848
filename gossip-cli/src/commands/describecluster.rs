//! `gossip describecluster`.

use core::fmt::Write;
use core::net::SocketAddr;
use std::collections::BTreeMap;

use gossip_adapter::{ApplicationState, Endpoint, StatusKind};
use serde::Serialize;

use crate::ask::{Answer, SeedArgs};
use crate::client::{ClientArgs, Format};
use crate::commands::status::AFTER_HELP;
use crate::failure::{Failure, print, print_json};
use crate::model::{EndpointModel, MetadataModel, NodeModel, Ports, StandingModel};
use crate::names::Names;
use crate::text::printable;

/// What stands for the schema version of members that cannot be asked.
const UNREACHABLE: &str = "UNREACHABLE";
/// What stands for the schema version of members that have none.
const NO_SCHEMA: &str = "NOT PUBLISHED";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("Snitches and keyspaces, which nodetool prints, are nothing that gossip tells.\n{AFTER_HELP}"))]
pub(crate) struct Args {
    /// Prints ports, even if each endpoint has its own address (also: -pp)
    #[arg(long)]
    print_port: bool,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    seed: SeedArgs,
}

/// Prints the name of the cluster, and the number of members in each state.
///
/// # Errors
///
/// The node cannot be asked.
pub(crate) fn describecluster(args: &Args) -> Result<(), Failure> {
    let answer = match args.seed.ask_who_is_live(&Names::default(), args.client.timeout) {
        Some(asked) => asked?,
        None => {
            let client = args.client.client()?;
            let NodeModel { cluster, partitioner, metadata, .. } = client.node()?;
            Answer { cluster, partitioner, metadata, endpoints: client.endpoints()? }
        }
    };
    let endpoints = &answer.endpoints;
    let description = Description::new(&answer);
    match args.client.format {
        Format::Json => print_json(&description),
        Format::Text => print(&description.render(Ports::choose(args.print_port, endpoints))),
    }
}

#[derive(Debug, Serialize)]
struct Description<'a> {
    name: &'a str,
    partitioner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a MetadataModel>,
    schema_versions: BTreeMap<&'a str, Vec<SocketAddr>>,
    live: usize,
    joining: usize,
    moving: usize,
    leaving: usize,
    unreachable: usize,
    /// Those who are only in gossip, and counted nowhere else.
    gossip_only: Vec<SocketAddr>,
    data_centers: BTreeMap<&'a str, DataCenter>,
    database_versions: BTreeMap<&'a str, Vec<SocketAddr>>,
}

#[derive(Debug, Default, Serialize)]
struct DataCenter {
    nodes: usize,
    down: usize,
}

impl<'a> Description<'a> {
    /// An endpoint that left or was removed is not part of the cluster, but counts as unreachable after its process has ended, as in nodetool.
    fn new(answer: &'a Answer) -> Self {
        let mut all: Vec<_> = answer.endpoints.iter().collect();
        all.sort_by_key(|endpoint| Endpoint::from(endpoint.endpoint));
        let gossip_only = all.iter().filter(|endpoint| endpoint.gossip_only);
        let gossip_only = gossip_only.map(|endpoint| endpoint.endpoint).collect();
        let has_gone = |endpoint: &&&EndpointModel| {
            endpoint.is_gone() && endpoint.standing() == StandingModel::Unreachable
        };
        let gone = all.iter().filter(has_gone).count();
        let mut members = all;
        members.retain(|endpoint| !endpoint.is_gone() && !endpoint.gossip_only);
        let of_standing = |standing| members.iter().filter(|member| member.standing() == standing).count();
        let of_status = |kinds: &[StatusKind]| {
            members.iter().filter(|member| kinds.contains(&member.status_kind())).count()
        };
        let mut description = Self {
            name: &answer.cluster,
            partitioner: &answer.partitioner,
            metadata: answer.metadata.as_ref(),
            schema_versions: BTreeMap::new(),
            live: of_standing(StandingModel::Live),
            joining: of_status(&[StatusKind::Boot, StatusKind::BootReplace]),
            moving: of_status(&[StatusKind::Moving]),
            leaving: of_status(&[StatusKind::Leaving]),
            unreachable: of_standing(StandingModel::Unreachable) + gone,
            gossip_only,
            data_centers: BTreeMap::new(),
            database_versions: BTreeMap::new(),
        };
        for member in members {
            let is_live = member.standing() == StandingModel::Live;
            let schema = match member.text(ApplicationState::SCHEMA) {
                _ if !is_live => UNREACHABLE,
                schema => schema.unwrap_or(NO_SCHEMA),
            };
            description.schema_versions.entry(schema).or_default().push(member.endpoint);
            let data_center = member.text(ApplicationState::DC).unwrap_or("UNKNOWN_DC");
            let data_center = description.data_centers.entry(data_center).or_default();
            data_center.nodes += 1;
            data_center.down += usize::from(!is_live);
            let release = member.text(ApplicationState::RELEASE_VERSION).unwrap_or_default();
            description.database_versions.entry(release).or_default().push(member.endpoint);
        }
        description
    }

    /// The text of `nodetool describecluster`.
    fn render(&self, ports: Ports) -> String {
        let mut text = String::new();
        // Writing to a string never fails.
        let _ = self.write(&mut text, ports);
        text
    }

    fn write(&self, text: &mut String, ports: Ports) -> core::fmt::Result {
        let list = |members: &[SocketAddr], ports: Ports| {
            members.iter().map(|member| ports.show(*member)).collect::<Vec<_>>().join(", ")
        };
        writeln!(text, "Cluster Information:")?;
        writeln!(text, "\tName: {}", printable(self.name))?;
        writeln!(text, "\tPartitioner: {}", printable(self.partitioner))?;
        if let Some(metadata) = self.metadata {
            writeln!(text, "\tMetadata id: {}", printable(&metadata.to_string()))?;
        }
        writeln!(text, "\tSchema versions:")?;
        for (version, members) in &self.schema_versions {
            writeln!(text, "\t\t{}: [{}]\n", printable(version), list(members, ports))?;
        }
        writeln!(text, "Stats for all nodes:")?;
        for (name, count) in [
            ("Live", self.live),
            ("Joining", self.joining),
            ("Moving", self.moving),
            ("Leaving", self.leaving),
            ("Unreachable", self.unreachable),
        ] {
            writeln!(text, "\t{name}: {count}")?;
        }
        if !self.gossip_only.is_empty() {
            writeln!(text, "\tGossip-only (no members): {}", list(&self.gossip_only, ports))?;
        }
        writeln!(text, "\nData Centers: ")?;
        for (name, DataCenter { nodes, down }) in &self.data_centers {
            writeln!(text, "\t{} #Nodes: {nodes} #Down: {down}", printable(name))?;
        }
        writeln!(text, "\nDatabase versions:")?;
        for (release, members) in &self.database_versions {
            writeln!(text, "\t{}: [{}]\n", printable(release), list(members, Ports::Shown))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_counts_who_left_once_its_process_is_gone() {
        let member = |address: &str, standing, status: &str| EndpointModel {
            standing,
            status: Some(status.into()),
            ..EndpointModel::sample(address)
        };
        let live = member("10.0.0.1:7000", StandingModel::Live, "NORMAL,-5");
        let describe = |left: EndpointModel| {
            let endpoints = vec![live.clone(), left];
            let answer = Answer { cluster: "c".into(), partitioner: "p".into(), metadata: None, endpoints };
            let description = Description::new(&answer);
            let nodes = description.data_centers["UNKNOWN_DC"].nodes;
            (description.live, description.unreachable, nodes)
        };
        let left = |standing| member("10.0.0.2:7000", standing, "LEFT,-7,1700000000000");
        assert_eq!(describe(left(StandingModel::Unreachable)), (1, 1, 1), "it is in no data centre");
        assert_eq!(describe(left(StandingModel::Live)), (1, 0, 1), "its process still runs");
    }
}
