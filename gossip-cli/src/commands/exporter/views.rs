//! What the seeds think of each other, for the page, while it is open.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::ask::{Observer, ObserversArgs};
use crate::commands::check::{Opinion, look, opinions};
use crate::observe::{Matrix, Observed};

/// How long it is waited from one comparison to the next: each asks every seed for all that it knows, twice or more.
const EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether a page was opened.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to look at most until it is clear who is up.
const WITHIN: Duration = Duration::from_secs(10);
/// How long each seed has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Compares the views of all seeds again and again, as `gossip check` does, but only while a page is open.
pub(super) async fn compare(mut seeds: ObserversArgs, observed: Arc<Observed>) {
    // The port is taken by the exporter itself.
    let listen = seeds.listen.as_deref().and_then(|text| text.parse::<SocketAddr>().ok());
    if let Some(listen) = listen {
        seeds.listen = Some(SocketAddr::new(listen.ip(), 0).to_string());
    }
    loop {
        if !observed.views().are_wanted() {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let asked = seeds.clone();
        let looked = tokio::task::spawn_blocking(move || look(&asked, WITHIN, PATIENCE)).await;
        match looked {
            // A single view cannot be compared.
            Ok(Ok((observers, _))) if observers.len() > 1 => observed.views().put(matrix(&observers)),
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => tracing::debug!("the seeds cannot be compared: {failure}"),
            Err(error) => tracing::debug!("the seeds cannot be compared: {error}"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What each observer thinks of each member, as a table.
fn matrix(observers: &[Observer]) -> Matrix {
    let answering: Vec<&Observer> = observers.iter().filter(|observer| observer.view.is_ok()).collect();
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let members = opinions(&answering).into_iter().map(|(member, of)| (member, row(observers, &of)));
    Matrix {
        unix_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        members: members.collect(),
        observers: observers
            .iter()
            .map(|observer| (observer.seed, observer.view.as_ref().err().cloned()))
            .collect(),
    }
}

fn row(observers: &[Observer], of: &BTreeMap<SocketAddr, Opinion>) -> String {
    let letter = |observer: &Observer| match of.get(&observer.seed) {
        Some(Opinion::Up) => 'u',
        Some(Opinion::Stopped) => 's',
        Some(Opinion::Silent) => 'd',
        Some(Opinion::Unknown) => '-',
        None => '?',
    };
    observers.iter().map(letter).collect()
}
