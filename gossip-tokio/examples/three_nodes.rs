//! Three nodes in one process: they find each other, share a value, and one leaves.
//!
//! ```text
//! cargo run -p gossip-tokio --example three_nodes
//! ```

use std::error::Error;
use std::time::Duration;

use gossip_tokio::{ApplicationState, Builder, Event, Events, Handle, Standing};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (seed, mut events) = start(None).await?;
    let (second, _) = start(Some(&seed)).await?;
    let (third, _) = start(Some(&seed)).await?;

    wait_until(&seed, "all three are live", |live| live == 3).await?;
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
    wait_until(&seed, "two are left", |live| live == 2).await?;
    for info in seed.endpoints().await? {
        println!(
            "{} is {:?}, data center {:?}",
            info.endpoint,
            info.standing,
            info.text(ApplicationState::DC)
        );
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

async fn wait_until(
    handle: &Handle,
    what: &str,
    reached: impl Fn(usize) -> bool,
) -> Result<(), Box<dyn Error>> {
    loop {
        let endpoints = handle.endpoints().await?;
        if reached(endpoints.iter().filter(|info| info.standing == Standing::Live).count()) {
            println!("{what}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
