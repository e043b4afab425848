//! Three nodes in one process: they find each other, share a value, and one leaves.
//!
//! ```text
//! cargo run -p gossip-smol --example three_nodes_smol
//! ```

use std::error::Error;
use std::time::Duration;

use gossip_smol::{ApplicationState, Builder, Event, Events, Handle};

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (seed, mut events) = start(None).await?;
    let (second, _) = start(Some(&seed)).await?;
    let (third, _) = start(Some(&seed)).await?;

    let mut view = seed.view().await?;
    view.until_live(3).await?;
    println!("all three are live");
    second.set_state(ApplicationState::DC, "dc2").await?;
    loop {
        if let Event::StateChanged { endpoint, key: ApplicationState::DC, version } = events.recv().await? {
            println!("{endpoint} has published its data center (version {version})");
            if endpoint == second.local_endpoint() {
                break;
            }
        }
    }
    third.shutdown().await?;
    let left = view.until(|cluster| cluster.live_count() == 2).await?;
    println!("two are left");
    for known in left.endpoints() {
        let standing = if known.is_live { "live" } else { "down" };
        println!("{} is {standing}, data center {:?}", known.endpoint, known.text(ApplicationState::DC));
    }
    Ok(())
}

async fn start(seed: Option<&Handle>) -> Result<(Handle, Events), Box<dyn Error>> {
    let mut builder = Builder::new("three nodes")
        .listen("127.0.0.1:0".parse()?)
        .interval(Duration::from_millis(200))
        .state(ApplicationState::DC, "dc1")
        .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0");
    if let Some(seed) = seed {
        builder = builder.seed(seed.listen_address());
    }
    Ok(builder.start().await?)
}
