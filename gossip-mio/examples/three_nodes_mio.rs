//! Three nodes in one process: they find each other, share a value, and one leaves.
//!
//! ```text
//! cargo run -p gossip-mio --example three_nodes_mio
//! ```

use std::error::Error;
use std::time::Duration;

use gossip_mio::{ApplicationState, Builder, Event, Events, Handle};

/// Far more than this takes.
const LONG: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let (seed, mut events) = start(None)?;
    let (second, _) = start(Some(&seed))?;
    let (third, _) = start(Some(&seed))?;

    let mut view = seed.view().wait()?;
    view.wait_until(LONG, |cluster| cluster.live_count() == 3).ok_or("they do not meet")??;
    println!("all three are live");
    second.set_state(ApplicationState::DC, "dc2").wait()?;
    loop {
        if let Event::StateChanged { endpoint, key: ApplicationState::DC, version } = events.wait()? {
            println!("{endpoint} has published its data center (version {version})");
            if endpoint == second.local_endpoint() {
                break;
            }
        }
    }
    third.shutdown().wait()?;
    let left = view.wait_until(LONG, |cluster| cluster.live_count() == 2).ok_or("three are left")??;
    println!("two are left");
    for known in left.endpoints() {
        let standing = if known.is_live { "live" } else { "down" };
        println!("{} is {standing}, data center {:?}", known.endpoint, known.text(ApplicationState::DC));
    }
    Ok(())
}

fn start(seed: Option<&Handle>) -> Result<(Handle, Events), Box<dyn Error>> {
    let mut builder = Builder::new("three nodes")
        .listen("127.0.0.1:0".parse()?)
        .interval(Duration::from_millis(200))
        .state(ApplicationState::DC, "dc1")
        .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0");
    if let Some(seed) = seed {
        builder = builder.seed(seed.listen_address());
    }
    Ok(builder.start()?)
}
