//! Measures what readers of a view cost the node: its rounds, and how long it takes to answer, without and with a thousand readers
//! and an update a millisecond.
//!
//! ```text
//! cargo run --release -p gossip-tokio --example view_under_load
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gossip_tokio::{ApplicationState, Builder, Handle};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The time between two rounds of the node.
const INTERVAL: Duration = Duration::from_millis(100);

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// How many rounds the node made.
    pub(crate) rounds: u64,
    /// How many updates it published.
    pub(crate) updates: u64,
    /// How many snapshots the readers were given.
    pub(crate) reads: u64,
    /// How many readers have seen the last update.
    pub(crate) current: usize,
    /// The median and the longest time to an answer of the node.
    pub(crate) answers: [Duration; 2],
}

/// Lets so many readers wait for each change while the node publishes an update each millisecond, until `is_enough` of the rounds and
/// the updates.
pub(crate) async fn measure(
    readers: usize,
    is_enough: impl Fn(u64, u64) -> bool,
) -> Result<Measured, Box<dyn Error>> {
    let builder = Builder::new("view under load").listen("127.0.0.1:0".parse()?).interval(INTERVAL);
    let (node, _) = builder.start().await?;
    let view = node.view().await?;
    let reads = Arc::new(AtomicU64::new(0));
    let last = Arc::new(AtomicU64::new(u64::MAX));
    let local = node.local_endpoint();
    let readers: Vec<_> = (0..readers)
        .map(|_| {
            let (mut view, reads, last) = (view.clone(), reads.clone(), last.clone());
            tokio::spawn(async move {
                while let Ok(now) = view.changed().await {
                    reads.fetch_add(1, Ordering::Relaxed);
                    let text = now.get(local).and_then(|local| local.text(ApplicationState::LOAD));
                    if text == Some(&*last.load(Ordering::Relaxed).to_string()) {
                        return true;
                    }
                }
                false
            })
        })
        .collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let updating = tokio::spawn(update(node.clone(), is_over.clone()));
    let before = node.stats().await?.rounds;
    let mut answers = Vec::new();
    let rounds = loop {
        let asked = Instant::now();
        let rounds = node.stats().await?.rounds - before;
        answers.push(asked.elapsed());
        let updates =
            node.value(local, ApplicationState::LOAD).await?.and_then(|(text, _)| text.parse().ok());
        if is_enough(rounds, updates.unwrap_or(0)) {
            break rounds;
        }
        sleep(Duration::from_millis(5)).await;
    };
    is_over.store(true, Ordering::Relaxed);
    let updates = updating.await??;
    // One more, which says that it is the last.
    last.store(updates + 1, Ordering::Relaxed);
    node.set_state(ApplicationState::LOAD, (updates + 1).to_string()).await?;
    let mut current = 0;
    for reader in readers {
        current += usize::from(reader.await?);
    }
    answers.sort();
    let answers = [answers[answers.len() / 2], answers[answers.len() - 1]];
    Ok(Measured { rounds, updates, reads: reads.load(Ordering::Relaxed), current, answers })
}

async fn update(node: Handle, is_over: Arc<AtomicBool>) -> Result<u64, gossip_tokio::SetStateError> {
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut updates = 0;
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        updates += 1;
        node.set_state(ApplicationState::LOAD, updates.to_string()).await?;
    }
    Ok(updates)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for readers in [0, 1_000] {
        let began = Instant::now();
        let measured = measure(readers, |_, _| began.elapsed() >= Duration::from_secs(10)).await?;
        let Measured { rounds, updates, reads, current, answers: [median, longest] } = measured;
        println!(
            "{readers} readers, {:.1} s: {rounds} rounds, {updates} updates, {reads} reads, {current} saw the last update, the node \
             answers in {median:.1?} (median) to {longest:.1?}",
            began.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
