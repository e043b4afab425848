//! A directory for the data and logs of the nodes.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::failure::Failure;

/// Removed with all that is in it when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one among the system's temporary files.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(super) fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("gossip-lab-{}", Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Failure::failed(format!(
                "{} cannot be made: {error} (choose another place with TMPDIR)",
                path.display()
            ))
        })?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is, and says where.
    pub(super) fn keep(mut self) -> PathBuf {
        core::mem::take(&mut self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What cannot be removed is left to the system.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
