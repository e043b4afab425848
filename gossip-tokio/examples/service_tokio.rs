//! A service whose instances find each other: each tells the port of its own, and reacts when others come and go.
//!
//! ```text
//! cargo run -p gossip-tokio --example service_tokio -- 127.0.0.1:7001 8001
//! cargo run -p gossip-tokio --example service_tokio -- 127.0.0.1:7002 8002 127.0.0.1:7001
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;

// service: shown in docs/embedding.md
use gossip_tokio::{ApplicationState, Builder, Event, EventsError};

/// What an instance publishes the port of its service under.
const PORT: ApplicationState = ApplicationState::new(1_000);

/// Takes part until `stop` is ready, and says who comes and goes.
pub(crate) async fn serve(
    (gossip, port, seeds): (SocketAddr, u16, Vec<SocketAddr>),
    stop: impl Future,
    mut say: impl FnMut(String),
) -> Result<(), Box<dyn Error>> {
    let service = Builder::new("my service").listen(gossip).state(PORT, port.to_string());
    let (node, mut events) = seeds.into_iter().fold(service, Builder::seed).start().await?;
    say(format!("gossiping on {}", node.listen_address()));
    let mut view = node.view().await?;
    let mut stop = pin!(stop);
    loop {
        let event = tokio::select! {
            _ = &mut stop => break,
            event = events.recv() => event,
        };
        match event {
            Ok(Event::Up { endpoint, .. }) => {
                let cluster = view.snapshot();
                let port = cluster.get(endpoint).and_then(|peer| peer.text(PORT)).unwrap_or("unknown");
                say(format!("{endpoint} is up, its service has port {port}"));
            }
            Ok(Event::Down { endpoint, cause, .. }) => say(format!("{endpoint} is down: {cause}")),
            Ok(_) | Err(EventsError::Lagged(_)) => {}
            Err(EventsError::Stopped) => {
                return Err(format!("the node stopped: {:?}", node.stopped().await).into());
            }
        }
    }
    node.shutdown().await?;
    Ok(())
}
// service: end

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "give the address to gossip on, the port of the service, and the addresses of seeds";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gossip, port, seeds @ ..] = &arguments[..] else { return Err(usage.into()) };
    let seeds = seeds.iter().map(|seed| seed.parse()).collect::<Result<_, _>>()?;
    let addresses = (gossip.parse()?, port.parse()?, seeds);
    serve(addresses, tokio::signal::ctrl_c(), |line| println!("{line}")).await
}
