//! A service whose instances find each other: each tells the port of its own, and reacts when others come and go.
//!
//! ```text
//! cargo run -p gossip-mio --example service_mio -- 127.0.0.1:7001 8001
//! cargo run -p gossip-mio --example service_mio -- 127.0.0.1:7002 8002 127.0.0.1:7001
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::thread;

use gossip_mio::{ApplicationState, Builder, Event, EventsError};

/// What an instance publishes the port of its service under.
const PORT: ApplicationState = ApplicationState::new(1_000);

/// Takes part until `stop` returns, and says who comes and goes.
pub(crate) fn serve(
    (gossip, port, seeds): (SocketAddr, u16, Vec<SocketAddr>),
    stop: impl FnOnce(),
    mut say: impl FnMut(String) + Send,
) -> Result<(), Box<dyn Error>> {
    let service = Builder::new("my service").listen(gossip).state(PORT, port.to_string());
    let (node, mut events) = seeds.into_iter().fold(service, Builder::seed).start()?;
    say(format!("gossiping on {}", node.listen_address()));
    let mut view = node.view().wait()?;
    thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                match events.wait() {
                    Ok(Event::Up { endpoint, .. }) => {
                        let cluster = view.snapshot();
                        let port =
                            cluster.get(endpoint).and_then(|peer| peer.text(PORT)).unwrap_or("unknown");
                        say(format!("{endpoint} is up, its service has port {port}"));
                    }
                    Ok(Event::Down { endpoint, cause, .. }) => say(format!("{endpoint} is down: {cause}")),
                    Ok(_) | Err(EventsError::Lagged(_)) => {}
                    Err(EventsError::Stopped) => return,
                }
            }
        });
        stop();
        Ok(node.shutdown().wait()?)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "give the address to gossip on, the port of the service, and the addresses of seeds";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gossip, port, seeds @ ..] = &arguments[..] else { return Err(usage.into()) };
    let seeds = seeds.iter().map(|seed| seed.parse()).collect::<Result<_, _>>()?;
    let addresses = (gossip.parse()?, port.parse()?, seeds);
    // Until a line comes, or the end of the input.
    let stop = || _ = std::io::stdin().read_line(&mut String::new());
    serve(addresses, stop, |line| println!("{line}"))
}
