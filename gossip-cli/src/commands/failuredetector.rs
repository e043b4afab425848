//! `gossip failuredetector`.

use core::fmt::Write;

use gossip_adapter::Endpoint;

use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::model::{EndpointModel, Ports};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints ports, even if each endpoint has its own address (also: -pp)
    #[arg(long)]
    print_port: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Prints the suspicion level of every endpoint that has one.
///
/// # Errors
///
/// The node cannot be asked.
pub(crate) fn failuredetector(args: &Args) -> Result<(), Failure> {
    let endpoints = args.client.client()?.endpoints()?;
    match args.client.format {
        Format::Json => {
            let suspected = |endpoint: &EndpointModel| {
                let phi = suspicion(endpoint)?;
                Some(serde_json::json!({
                    "endpoint": endpoint.endpoint,
                    "phi": phi,
                    "mean_interval_ms": endpoint.mean_interval_ms,
                    "heard_ago_ms": endpoint.heard_ago_ms,
                }))
            };
            print_json(&endpoints.iter().filter_map(suspected).collect::<Vec<_>>())
        }
        Format::Text => print(&render(&endpoints, Ports::choose(args.print_port, &endpoints))),
    }
}

/// The phi of an endpoint whose heartbeats were seen to come and looked at.
fn suspicion(endpoint: &EndpointModel) -> Option<f64> {
    endpoint.mean_interval_ms.filter(|mean| *mean > 0.0)?;
    endpoint.phi
}

/// The text of `nodetool failuredetector`, by ascending address.
pub(crate) fn render(endpoints: &[EndpointModel], ports: Ports) -> String {
    let mut sorted: Vec<_> = endpoints.iter().collect();
    sorted.sort_by_key(|endpoint| Endpoint::from(endpoint.endpoint));
    let mut text = format!("{:>10},{:>16}\n", "Endpoint", "Phi");
    for endpoint in sorted {
        if let Some(phi) = suspicion(endpoint) {
            let address = format!("/{}", ports.show(endpoint.endpoint));
            // Writing to a string never fails.
            let _ = writeln!(text, "{address:>10},{phi:>16.8}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_of_nodetool() {
        let sample = |address: &str, phi, mean_interval_ms| EndpointModel {
            phi,
            mean_interval_ms,
            ..EndpointModel::sample(address)
        };
        let endpoints = [
            sample("10.0.0.3:7000", Some(12.5), Some(1_000.0)),
            sample("10.0.0.1:7000", Some(0.123_456_789), Some(1_000.0)),
            sample("10.0.0.2:7000", None, Some(1_000.0)),
            sample("10.0.0.4:7000", Some(1.0), None),
        ];
        let expected = "
  Endpoint,             Phi
 /10.0.0.1,      0.12345679
 /10.0.0.3,     12.50000000
";
        assert_eq!(render(&endpoints, Ports::Hidden), expected.trim_start_matches('\n'));
        let with_ports = "
  Endpoint,             Phi
/10.0.0.1:7000,      0.12345679
/10.0.0.3:7000,     12.50000000
";
        assert_eq!(render(&endpoints, Ports::Shown), with_ports.trim_start_matches('\n'));
    }
}
