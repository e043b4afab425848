//! Cassandra's files and captures of real nodes. They lie beside the repository and are no part of it.
//!
//! A test that wants the folder is ignored, so that it does not count as passed where it did not run. `.ci/run captures` runs these tests.

use std::path::PathBuf;

/// The folder.
///
/// # Panics
///
/// It is not there.
pub fn shared() -> PathBuf {
    // Crates lie in the root of the repository.
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    assert!(folder.is_dir(), "{} is not there, and this test wants what lies in it", folder.display());
    folder
}
