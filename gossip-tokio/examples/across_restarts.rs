//! A node that stays the same across restarts: its generation grows, its host id stays, it finds its cluster again without a
//! seed, and no endpoint that has left comes back.
//!
//! ```text
//! cargo run -p gossip-tokio --example across_restarts -- DIRECTORY
//! ```

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gossip_store::{Recovered, StoredEndpoint, StoredNode, StoredTombstone, recover, write, write_both};
use gossip_tokio::{ApplicationState, Builder, End, Generation, Handle};
use uuid::Uuid;

const CLUSTER: &str = "across restarts";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("name a directory")?);
    std::fs::create_dir_all(&dir)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();

    // What an earlier run has left behind.
    let Recovered { node, warnings } = recover(&dir, now)?;
    warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let mut stored = node.unwrap_or_else(|| StoredNode::new(0, Uuid::new_v4(), CLUSTER));
    if stored.left {
        return Err("this node has left its cluster, or was removed from it".into());
    }
    // Greater than in any run before, and on disk before the node says a word.
    let generation = Generation::at_start(now, Some(Generation::new(stored.generation)));
    stored.generation = generation.get();
    write_both(&dir, &stored)?;

    let mut builder = Builder::new(CLUSTER)
        .listen("127.0.0.1:0".parse()?)
        .interval(Duration::from_millis(100))
        .generation(generation)
        .state(ApplicationState::HOST_ID, stored.host_id.to_string())
        .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0");
    for endpoint in &stored.endpoints {
        builder = builder.saved_endpoint(endpoint.address);
    }
    for tombstone in &stored.tombstones {
        builder = builder.tombstone(tombstone.into());
    }
    println!("generation {generation}, host id {}, {} known", stored.host_id, stored.endpoints.len());

    // The node may have to raise its generation while it runs.
    let stored = Arc::new(Mutex::new(stored));
    let (raised, raised_dir) = (stored.clone(), dir.clone());
    let builder = builder.persist_generation(move |generation| {
        let mut stored = raised.lock().map_err(|_| io::Error::other("the store is broken"))?;
        stored.generation = generation.get();
        write_both(&raised_dir, &stored).map_err(io::Error::other)
    });
    let (node, _) = builder.start().await?;

    // A service does this every few seconds, and before it stops.
    save(&node, &dir, &stored).await?;
    node.shutdown().await?;
    // Why it has stopped is never lost. A node that was removed must not join again by itself.
    if let End::Removed { .. } | End::Left = node.stopped().await {
        let mut stored = stored.lock().map_err(|_| "the store is broken")?;
        stored.left = true;
        write_both(&dir, &stored)?;
    }
    Ok(())
}

/// Saves who is known, and who is gone.
async fn save(node: &Handle, dir: &Path, stored: &Mutex<StoredNode>) -> Result<(), Box<dyn Error>> {
    let (endpoints, tombstones) = (node.endpoints().await?, node.tombstones().await?);
    let mut stored = stored.lock().map_err(|_| "the store is broken")?;
    stored.endpoints = endpoints
        .iter()
        .filter(|known| !known.is_local && !known.status.is_dead())
        .map(|known| StoredEndpoint::new(known.endpoint.into()))
        .collect();
    stored.tombstones = tombstones.into_iter().map(StoredTombstone::from).collect();
    write(dir, &stored)?;
    Ok(())
}
