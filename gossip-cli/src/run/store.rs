//! What a node remembers from one run to the next: its generation, its host id, and whom it knew.

mod file;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use core::time::Duration;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gossip_tokio::{EndpointInfo, Generation, Handle, StatusKind};
use uuid::Uuid;

use crate::failure::Failure;
use file::{Node, Recovered};

/// Every how many intervals changed endpoints are saved.
const SAVE_PERIOD: u32 = 5;
/// Held locked by the process that uses the directory.
const LOCK: &str = "node.lock";

/// A data directory, locked for this process.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    node: Node,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Store {
    /// Opens `dir`, which need not exist, for a start of the process: the generation is chosen and on disk when this
    /// returns. Logs what was lost.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, is in use, or belongs to another cluster or host.
    pub(crate) fn open(dir: &Path, cluster: &str, host_id: Option<Uuid>) -> Result<Self, Failure> {
        let (store, warnings) = Self::open_at(dir, cluster, host_id, unix_seconds())?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(store)
    }

    fn open_at(
        dir: &Path,
        cluster: &str,
        host_id: Option<Uuid>,
        now: u64,
    ) -> Result<(Self, Vec<String>), Failure> {
        let lock = lock(dir)?;
        let unusable = |error| unusable(dir, &error);
        let Recovered { node: stored, mut warnings } = file::recover(dir, now).map_err(unusable)?;
        if let Some(stored) = &stored {
            check_owner(dir, stored, cluster, host_id)?;
        }
        let stored_generation = stored.as_ref().map(|stored| Generation::new(stored.generation));
        let generation = Generation::at_start(now, stored_generation);
        if let Some(stored) = stored_generation
            && Generation::at_start(now, None) < stored
        {
            warnings.push(format!(
                "the clock is behind the stored generation {stored}: starting with {generation} (check the clock)"
            ));
        }
        let node = Node {
            generation: generation.get(),
            host_id: stored.as_ref().map(|stored| stored.host_id).or(host_id).unwrap_or_else(Uuid::new_v4),
            cluster: cluster.into(),
            endpoints: stored.map(|stored| stored.endpoints).unwrap_or_default(),
        };
        file::write(dir, &node).map_err(unusable)?;
        Ok((Self { dir: dir.into(), node, _lock: lock }, warnings))
    }

    pub(crate) fn host_id(&self) -> Uuid {
        self.node.host_id
    }

    /// Changes what is stored; on failure it stays as it was.
    fn update(&mut self, change: impl FnOnce(&mut Node)) -> io::Result<()> {
        let mut changed = self.node.clone();
        change(&mut changed);
        if changed != self.node {
            file::write(&self.dir, &changed)?;
            self.node = changed;
        }
        Ok(())
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

    /// Whom the node knew when it was last stopped.
    pub(crate) fn known_endpoints(&self) -> Vec<SocketAddr> {
        self.lock().node.endpoints.clone()
    }

    /// Stores a generation that was raised while running.
    pub(crate) fn save_generation(&self, generation: Generation) -> io::Result<()> {
        self.lock().update(|node| node.generation = generation.get())
    }

    /// Saves the known endpoints whenever they have changed, until the node stops.
    pub(crate) async fn follow(self, handle: Handle, interval: Duration) {
        loop {
            tokio::time::sleep(interval * SAVE_PERIOD).await;
            if !self.clone().save_endpoints(&handle).await {
                return;
            }
        }
    }

    /// Saves the known endpoints, if they have changed. Returns whether the node still runs; that they cannot be saved
    /// is logged.
    pub(crate) async fn save_endpoints(self, handle: &Handle) -> bool {
        let Ok(endpoints) = handle.endpoints().await else { return false };
        let mut known: Vec<SocketAddr> =
            endpoints.iter().filter(|info| is_worth_knowing(info)).map(|info| info.endpoint.into()).collect();
        known.sort_unstable();
        let save = move || self.lock().update(|node| node.endpoints = known);
        // That the task is gone means that the process ends.
        if let Ok(Err(error)) = tokio::task::spawn_blocking(save).await {
            tracing::warn!("the known endpoints cannot be saved: {error}");
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // A change is made on a copy, so a panic leaves nothing half done.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a restarted node should still expect the endpoint.
fn is_worth_knowing(info: &EndpointInfo) -> bool {
    !info.is_local && !matches!(info.status, StatusKind::Left | StatusKind::Removed)
}

fn lock(dir: &Path) -> Result<File, Failure> {
    let open = || {
        std::fs::create_dir_all(dir)?;
        File::options().create(true).truncate(false).write(true).open(dir.join(LOCK))
    };
    let file = open().map_err(|error| unusable(dir, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::failed(format!(
            "another process uses the data directory {} (stop it, or choose another with --data-dir)",
            dir.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(dir, &error)),
    }
}

fn unusable(dir: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "the data directory {} cannot be used: {error} (make it readable and writable, or choose another with \
         --data-dir)",
        dir.display()
    ))
}

/// Whether a node of this cluster, and with this host id if one was asked for, may use what `stored` says.
fn check_owner(dir: &Path, stored: &Node, cluster: &str, host_id: Option<Uuid>) -> Result<(), Failure> {
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
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
