//! What a node remembers from one run to the next: its generation, its host id, the endpoints that it knew, and the tombstones.

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gossip_adapter::{
    ApplicationState, Common, EndpointInfo, Event, Events, EventsError, Generation, Handle, MetadataId,
    MetadataOrigin, SavedEndpoint, StatusKind, Tombstone,
};
use gossip_store::{
    CURRENT, Recovered, StoreError, StoredEndpoint, StoredNode, StoredTombstone, recover, write, write_both,
};
use uuid::Uuid;

use crate::failure::Failure;

/// Every how many intervals changed endpoints are saved.
const SAVE_PERIOD: u32 = 5;
/// By how much the time of the last contact has to differ to be written, in milliseconds.
const HEARD_STEP_MS: u64 = 60 * 60 * 1_000;
/// Held locked by the process that uses the directory.
const LOCK: &str = "node.lock";

/// A data directory, locked for this process.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    node: StoredNode,
    /// Why the last attempt to save failed. It is logged once, not each time.
    failing: Option<String>,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Store {
    /// Opens `dir`, which need not exist, for a start of the process: the generation is chosen and on disk when this
    /// returns. Logs what was lost.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, is in use, belongs to another cluster or host, or its node has left and does not
    /// `rejoin`.
    pub(crate) fn open(
        dir: &Path,
        cluster: &str,
        host_id: Option<Uuid>,
        rejoin: bool,
    ) -> Result<Self, Failure> {
        let (store, warnings) = Self::open_at(dir, cluster, host_id, rejoin, unix_seconds())?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(store)
    }

    fn open_at(
        dir: &Path,
        cluster: &str,
        host_id: Option<Uuid>,
        rejoin: bool,
        now: u64,
    ) -> Result<(Self, Vec<String>), Failure> {
        let lock = lock(dir)?;
        let unusable = |error: StoreError| unusable(dir, &error);
        let Recovered { node: stored, mut warnings } = recover(dir, now).map_err(unusable)?;
        if let Some(stored) = &stored {
            check_owner(dir, stored, cluster, host_id)?;
            if stored.left && !rejoin {
                return Err(has_left(dir));
            }
        }
        let stored_generation = stored.as_ref().map(|stored| Generation::new(stored.generation));
        let generation = Generation::at_start(now, stored_generation);
        if let Some(stored) = stored_generation.filter(|stored| Generation::at_start(now, None) < *stored) {
            let seconds = i64::from(stored.get()).saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
            let days = seconds / (24 * 60 * 60);
            warnings.push(match generation < stored {
                true => format!(
                    "the stored generation {stored} is {days} days ahead of the clock, and no node whose clock is right takes \
                     one that is more than a year ahead: starting with {generation}, from the clock (a node that took the \
                     greater one refuses this one until it is started again)"
                ),
                false => format!(
                    "the clock is behind the stored generation {stored} by {days} days: starting with {generation} (set the \
                     clock right if it is wrong)"
                ),
            });
        }
        let mut node =
            stored.unwrap_or_else(|| StoredNode::new(0, host_id.unwrap_or_else(Uuid::new_v4), cluster));
        node.generation = generation.get();
        node.left = false;
        // Files of before hold addresses alone: their time begins now.
        for endpoint in &mut node.endpoints {
            endpoint.heard_unix_ms.get_or_insert(now.saturating_mul(1_000));
        }
        write_both(dir, &node).map_err(unusable)?;
        Ok((Self { dir: dir.into(), node, failing: None, _lock: lock }, warnings))
    }

    /// Stores in which data center and rack the node is. Logs if these were others at its last start.
    ///
    /// Cassandra refuses such a start, because the data on its disks is placed by them. A node here has no data.
    pub(crate) fn name_place(&mut self, dc: &str, rack: &str) {
        for warning in self.moved(dc, rack) {
            tracing::warn!("{warning}");
        }
        self.update_and_log(|node| {
            node.dc = Some(dc.into());
            node.rack = Some(rack.into());
        });
    }

    /// What is to be said if the node is in another data center or rack than at its last start.
    fn moved(&self, dc: &str, rack: &str) -> Vec<String> {
        [("--dc", &self.node.dc, dc), ("--rack", &self.node.rack, rack)]
            .into_iter()
            .filter_map(|(option, before, now)| {
                let before = before.as_deref().filter(|before| *before != now)?;
                Some(format!(
                    "{option} was {before:?} at the last start of this node, and is {now:?} now: other nodes take the new value (if \
                     this is a mistake, start the node again with {option} {before:?}; Cassandra refuses such a start)"
                ))
            })
            .collect()
    }

    pub(crate) fn host_id(&self) -> Uuid {
        self.node.host_id
    }

    /// Changes what is stored. On failure it stays as it was, except for a greater generation and for having left: these may be on
    /// disk already, and no later write may take them back. Returns whether there was anything to write.
    ///
    /// What cannot be learned anew goes into both files, so that damage to either of them loses nothing of it.
    fn update(&mut self, change: impl FnOnce(&mut StoredNode)) -> Result<bool, StoreError> {
        let mut changed = self.node.clone();
        change(&mut changed);
        // Without its file a running node loses its identity. So the file is written again, or the log says why it cannot be.
        if changed == self.node && self.dir.join(CURRENT).exists() {
            return Ok(false);
        }
        let is_replaceable =
            StoredNode { endpoints: self.node.endpoints.clone(), ..changed.clone() } == self.node;
        if is_replaceable {
            write(&self.dir, &changed)?;
            self.node = changed;
            return Ok(true);
        }
        let stored = write_both(&self.dir, &changed);
        self.node.generation = changed.generation;
        self.node.left = changed.left;
        stored?;
        self.node = changed;
        Ok(true)
    }

    /// As [`Store::update`], and logs that it failed, or that it works again: once, and not while nothing changes.
    fn update_and_log(&mut self, change: impl FnOnce(&mut StoredNode)) {
        match self.update(change) {
            Ok(true) if self.failing.take().is_some() => {
                tracing::info!("the data directory {} can be written again", self.dir.display());
            }
            Ok(_) => {}
            Err(error) => {
                let text = with_advice(&error);
                if self.failing.as_ref() != Some(&text) {
                    tracing::warn!(
                        "the known endpoints cannot be saved: {text}; this is tried again, and logged when it changes"
                    );
                    self.failing = Some(text);
                }
            }
        }
    }
}

/// A [`Store`] that the node's driver and the saving of endpoints share.
#[derive(Clone, Debug)]
pub(crate) struct SharedStore {
    store: Arc<Mutex<Store>>,
}

impl SharedStore {
    pub(crate) fn new(store: Store) -> Self {
        Self { store: Arc::new(Mutex::new(store)) }
    }

    /// The generation of this start.
    pub(crate) fn generation(&self) -> Generation {
        Generation::new(self.lock().node.generation)
    }

    /// The endpoints that the node knew when it was last stopped.
    pub(crate) fn known_endpoints(&self) -> Vec<SavedEndpoint> {
        let saved = |stored: &StoredEndpoint| SavedEndpoint {
            endpoint: stored.address.into(),
            host_id: stored.host_id.map(|id| gossip_adapter::Uuid::from_bytes(id.into_bytes())),
            heard_unix_ms: stored.heard_unix_ms,
        };
        self.lock().node.endpoints.iter().map(saved).collect()
    }

    /// The identifier of the cluster's metadata that came last.
    pub(crate) fn metadata_id(&self) -> Option<MetadataId> {
        self.lock().node.metadata_id.map(MetadataId::new)
    }

    /// Who was gone when the node was last stopped.
    pub(crate) fn tombstones(&self) -> Vec<Tombstone> {
        self.lock().node.tombstones.iter().map(Tombstone::from).collect()
    }

    /// Stores that the node has left its cluster, or was removed from it: it does not start again by itself.
    pub(crate) async fn save_left(self) {
        let save = move || self.lock().update(|node| node.left = true);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(save).await {
            tracing::error!(
                "it cannot be stored that this node has left: {} (remove its data directory, or a later start joins again)",
                with_advice(&error)
            );
        }
    }

    /// Stores a generation that was raised while running.
    pub(crate) fn save_generation(&self, generation: Generation) -> io::Result<()> {
        self.lock().update(|node| node.generation = generation.get())?;
        Ok(())
    }

    /// Saves known and removed endpoints until the node stops: now and then, and at once when one is removed, so that
    /// no crash brings them back.
    pub(crate) async fn follow(self, handle: Handle<Common>, mut events: Events, interval: Duration) {
        let mut next = tokio::time::interval(interval * SAVE_PERIOD);
        // The present state counts: earlier events may have been missed.
        self.clone().save_metadata_id(&handle).await;
        loop {
            let is_due = tokio::select! {
                _ = next.tick() => true,
                event = events.recv() => match event {
                    // Among those that were missed or lost may be one of these.
                    Ok(Event::Left { .. } | Event::Forgotten { .. } | Event::Lost { .. })
                    | Err(EventsError::Lagged(_)) => true,
                    Ok(Event::MetadataIdChanged { .. }) => {
                        self.clone().save_metadata_id(&handle).await;
                        false
                    }
                    Ok(Event::Stopped) | Err(EventsError::Stopped) => return,
                    Ok(_) => false,
                },
            };
            if is_due && !self.clone().save_endpoints(&handle).await {
                return;
            }
        }
    }

    /// Saves who is known and who is gone, if that has changed. Returns whether the node still runs; that it cannot be
    /// saved is logged.
    pub(crate) async fn save_endpoints(self, handle: &Handle<Common>) -> bool {
        let Ok(endpoints) = handle.endpoints().await else { return false };
        let Ok(tombstones) = handle.tombstones().await else { return false };
        let now_ms = unix_ms();
        let known = endpoints.iter().filter(|info| is_worth_knowing(info)).map(|info| known(info, now_ms));
        let mut known: Vec<StoredEndpoint> = known.collect();
        known.sort_unstable_by_key(|endpoint| endpoint.address);
        let tombstones: Vec<StoredTombstone> = tombstones.into_iter().map(StoredTombstone::from).collect();
        let save = move || {
            self.lock().update_and_log(|node| {
                node.endpoints = with_what_is_stored(known, &node.endpoints);
                node.tombstones = tombstones_with_what_is_stored(tombstones, &node.tombstones);
            });
        };
        // That the task is gone means that the process ends.
        let _ = tokio::task::spawn_blocking(save).await;
        true
    }

    /// Saves the identifier of the cluster's metadata, if a node has sent one.
    async fn save_metadata_id(self, handle: &Handle<Common>) {
        let told = |origin| matches!(origin, MetadataOrigin::Answer { .. } | MetadataOrigin::Syn { .. });
        let Ok((id, origin)) = handle.metadata_id().await else { return };
        if !told(origin) || id.is_none() {
            return;
        }
        let save = move || self.lock().update_and_log(|node| node.metadata_id = Some(id.get()));
        // That the task is gone means that the process ends.
        let _ = tokio::task::spawn_blocking(save).await;
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // A change is made on a copy, so a panic leaves nothing half done.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a restarted node should still expect the endpoint.
fn is_worth_knowing(info: &EndpointInfo) -> bool {
    !info.is_local && !matches!(info.status, StatusKind::Left | StatusKind::Removed | StatusKind::Removing)
}

/// What is worth storing of an endpoint.
fn known(info: &EndpointInfo, now_ms: u64) -> StoredEndpoint {
    let ago = info.heard_ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
    StoredEndpoint {
        host_id: info.text(ApplicationState::HOST_ID).and_then(|text| text.parse().ok()),
        heard_unix_ms: ago.map(|ago| now_ms.saturating_sub(ago)),
        ..StoredEndpoint::new(info.endpoint.into())
    }
}

/// The endpoints that are known now, with what is stored of them and was not heard anew.
fn with_what_is_stored(mut known: Vec<StoredEndpoint>, stored: &[StoredEndpoint]) -> Vec<StoredEndpoint> {
    let stored: BTreeMap<_, _> = stored.iter().map(|endpoint| (endpoint.address, endpoint)).collect();
    for endpoint in &mut known {
        let Some(old) = stored.get(&endpoint.address) else { continue };
        endpoint.host_id = endpoint.host_id.or(old.host_id);
        endpoint.heard_unix_ms = match (endpoint.heard_unix_ms, old.heard_unix_ms) {
            // So that not each heartbeat of everybody is written.
            (Some(new), Some(old)) if new.abs_diff(old) < HEARD_STEP_MS => Some(old),
            (new, old) => new.or(old),
        };
        endpoint.unknown.clone_from(&old.unknown);
    }
    known
}

/// The tombstones of now, with the fields of a later release that are stored of them.
fn tombstones_with_what_is_stored(
    mut tombstones: Vec<StoredTombstone>,
    stored: &[StoredTombstone],
) -> Vec<StoredTombstone> {
    let stored = stored.iter().filter(|tombstone| !tombstone.unknown.is_empty());
    let stored: BTreeMap<_, _> = stored.map(|tombstone| (tombstone.endpoint, &tombstone.unknown)).collect();
    for tombstone in &mut tombstones {
        if let Some(unknown) = stored.get(&tombstone.endpoint) {
            tombstone.unknown.clone_from(unknown);
        }
    }
    tombstones
}

fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join(LOCK);
    std::fs::create_dir_all(dir).map_err(|error| unusable(dir, &StoreError::system(dir, error)))?;
    let is_no_file = std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file());
    let open = || match is_no_file {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => File::options().create(true).truncate(false).write(true).open(&path),
    };
    let system = |error| unusable(dir, &StoreError::system(&path, error));
    let file = open().map_err(system)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::failed(format!(
            "another process uses the data directory {} (stop it, or choose another with --data-dir)",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(system(error)),
    }
}

fn has_left(dir: &Path) -> Failure {
    let dir = dir.display();
    Failure::failed(format!(
        "the node of the data directory {dir} has left its cluster, or was removed from it (remove the directory to \
         start a new node, or start with --rejoin to have this one join again)"
    ))
}

fn unusable(dir: &Path, error: &StoreError) -> Failure {
    let advice = error.advice().map(|advice| format!("{advice}, or ")).unwrap_or_default();
    Failure::failed(format!(
        "the data directory {} cannot be used: {error} ({advice}choose another directory with --data-dir)",
        dir.display()
    ))
}

/// An error on one line, and what to do.
fn with_advice(error: &StoreError) -> String {
    match error.advice() {
        Some(advice) => format!("{error} ({advice})"),
        None => error.to_string(),
    }
}

/// Whether a node of this cluster, and with this host id if one was asked for, may use what `stored` says.
fn check_owner(dir: &Path, stored: &StoredNode, cluster: &str, host_id: Option<Uuid>) -> Result<(), Failure> {
    let dir = dir.display();
    if stored.cluster != cluster {
        return Err(Failure::failed(format!(
            "the data directory {dir} belongs to cluster {:?}, not {cluster:?} (start with --cluster {:?}, or choose \
             another directory with --data-dir)",
            stored.cluster, stored.cluster
        )));
    }
    match host_id {
        Some(host_id) if host_id != stored.host_id => Err(Failure::failed(format!(
            "the data directory {dir} belongs to host id {}, not {host_id} (leave --host-id out, or choose another \
             directory with --data-dir)",
            stored.host_id
        ))),
        _ => Ok(()),
    }
}

fn unix_seconds() -> u64 {
    unix_ms() / 1_000
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
