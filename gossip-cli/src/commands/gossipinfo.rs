//! `gossip gossipinfo`.

use core::fmt::Write;

use gossip_adapter::{ApplicationState, Endpoint};

use crate::ask::SeedArgs;
use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::hosts::{Hosts, ResolveArgs};
use crate::model::{EndpointModel, Ports};
use crate::names::StateArgs;
use crate::text::printable;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints ports, even if each endpoint has its own address (also: -pp)
    #[arg(long)]
    print_port: bool,
    #[command(flatten)]
    resolve: ResolveArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    states: StateArgs,
}

/// Prints all states that a node knows, by endpoint.
///
/// # Errors
///
/// The node cannot be asked, or does not answer.
pub(crate) fn gossipinfo(args: &Args) -> Result<(), Failure> {
    let names = args.states.names()?;
    let endpoints = match args.seed.ask(&names, args.client.timeout) {
        Some(asked) => asked?.endpoints,
        None => {
            let mut endpoints = args.client.client()?.endpoints()?;
            endpoints.iter_mut().for_each(|endpoint| endpoint.rename(&names));
            endpoints
        }
    };
    let hosts = args.resolve.hosts(&endpoints, args.client.timeout);
    match args.client.format {
        Format::Json => print_json(&endpoints.iter().map(|one| Named::new(one, &hosts)).collect::<Vec<_>>()),
        // The tool prints the text, which ends in a new line, as a line.
        Format::Text => {
            print(&(render(&endpoints, Ports::choose(args.print_port, &endpoints), &hosts) + "\n"))
        }
    }
}

/// An endpoint, and the name of its host if it was looked up and found.
#[derive(serde::Serialize)]
struct Named<'a> {
    #[serde(flatten)]
    endpoint: &'a EndpointModel,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_name: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn new(endpoint: &'a EndpointModel, hosts: &'a Hosts) -> Self {
        Self { endpoint, host_name: hosts.name(endpoint.endpoint) }
    }
}

/// The text of `nodetool gossipinfo`, by ascending address.
pub(crate) fn render(endpoints: &[EndpointModel], ports: Ports, hosts: &Hosts) -> String {
    let mut sorted: Vec<_> = endpoints.iter().collect();
    sorted.sort_by_key(|endpoint| Endpoint::from(endpoint.endpoint));
    let mut text = String::new();
    for endpoint in sorted {
        // Writing to a string never fails.
        let _ = render_endpoint(&mut text, endpoint, ports, hosts);
    }
    text
}

fn render_endpoint(
    text: &mut String,
    endpoint: &EndpointModel,
    ports: Ports,
    hosts: &Hosts,
) -> core::fmt::Result {
    // The slash stands before an address without a name.
    let slash = if hosts.name(endpoint.endpoint).is_some() { "" } else { "/" };
    writeln!(text, "{slash}{}", hosts.show(endpoint.endpoint, ports))?;
    writeln!(text, "  generation:{}", endpoint.generation)?;
    writeln!(text, "  heartbeat:{}", endpoint.heartbeat)?;
    let is_tokens = |key: i32| key == ApplicationState::TOKENS.number();
    let mut states: Vec<_> = endpoint.states.iter().collect();
    states.sort_by_key(|state| state.key);
    for state in states.iter().filter(|state| !is_tokens(state.key)) {
        writeln!(text, "  {}:{}:{}", printable(&state.name), state.version, printable(&state.value))?;
    }
    match states.iter().find(|state| is_tokens(state.key)) {
        Some(tokens) => writeln!(text, "  TOKENS:{}:<hidden>", tokens.version),
        None => writeln!(text, "  TOKENS: not present"),
    }
}

#[cfg(test)]
mod tests {
    use gossip_decode::Flavour;

    use super::*;
    use crate::model::StateModel;

    #[test]
    fn layout_of_cassandra_4_0() {
        let text = render(&[sample("10.0.0.2:7000")], Ports::Hidden, &Hosts::default());
        let expected = "\
/10.0.0.2
  generation:1700000321
  heartbeat:4711
  LOAD:4690:131072.0
  DC:8:east
  RACK:10:r1
  RELEASE_VERSION:5:4.0.14
  NET_VERSION:1:12
  HOST_ID:2:7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e
  RPC_READY:45:true
  NATIVE_ADDRESS_AND_PORT:3:10.0.0.2:9042
  STATUS_WITH_PORT:18:NORMAL,-77
  SSTABLE_VERSIONS:6:big-nb
  X7:20:a,b:c
  TOKENS:17:<hidden>
";
        assert_eq!(text, expected);
    }

    #[test]
    fn blocks_ascend_and_ports_show_when_asked_for() {
        let bare = |address: &str| EndpointModel { states: Vec::new(), ..sample(address) };
        let endpoints = [bare("10.0.0.10:7000"), bare("10.0.0.9:7000"), bare("[2001:db8::1]:7000")];
        assert_eq!(Ports::choose(false, &endpoints), Ports::Hidden);
        let block = |address: &str| {
            format!("/{address}\n  generation:1700000321\n  heartbeat:4711\n  TOKENS: not present\n")
        };
        let blocks = |addresses: [&str; 3]| addresses.into_iter().map(block).collect::<Vec<_>>().concat();
        assert_eq!(
            render(&endpoints, Ports::choose(false, &endpoints), &Hosts::default()),
            blocks(["10.0.0.9", "10.0.0.10", "2001:db8:0:0:0:0:0:1"])
        );
        assert_eq!(
            render(&endpoints, Ports::choose(true, &endpoints), &Hosts::default()),
            blocks(["10.0.0.9:7000", "10.0.0.10:7000", "[2001:db8:0:0:0:0:0:1]:7000"])
        );
    }

    #[test]
    fn ports_show_where_addresses_collide() {
        let endpoints = [sample("127.0.0.1:7001"), sample("127.0.0.2:7000"), sample("127.0.0.1:7000")];
        let ports = Ports::choose(false, &endpoints);
        let heads: Vec<_> = render(&endpoints, ports, &Hosts::default())
            .lines()
            .filter(|line| line.starts_with('/'))
            .map(String::from)
            .collect();
        assert_eq!(heads, ["/127.0.0.1:7000", "/127.0.0.1:7001", "/127.0.0.2:7000"]);
    }

    fn sample(address: &str) -> EndpointModel {
        let state = |key: i32, version: i32, value: &str| StateModel {
            key,
            name: Flavour::Cassandra4_0.name(ApplicationState::new(key)).into_owned(),
            version,
            value: value.into(),
        };
        EndpointModel {
            seed: true,
            status: Some("NORMAL".into()),
            native_address: Some("10.0.0.2:9042".into()),
            generation: 1_700_000_321,
            heartbeat: 4_711,
            phi: Some(0.5),
            mean_interval_ms: Some(1_000.0),
            heard_ago_ms: Some(300.0),
            states: vec![
                state(1, 4_690, "131072.0"),
                state(3, 8, "east"),
                state(4, 10, "r1"),
                state(5, 5, "4.0.14"),
                state(11, 1, "12"),
                state(12, 2, "7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e"),
                state(13, 17, "\0\0\0\0"),
                state(14, 45, "true"),
                state(16, 3, "10.0.0.2:9042"),
                state(17, 18, "NORMAL,-77"),
                state(18, 6, "big-nb"),
                state(25, 20, "a,b:c"),
            ],
            ..EndpointModel::sample(address)
        }
    }
}
