//! Cassandra's files and captures of real nodes. They lie beside the repository and are no part of it.

use std::path::{Path, PathBuf};

/// With it a test that finds no folder fails; `.ci/run` sets it where the folder is there.
const REQUIRED: (&str, &str) = ("GOSSIP_SHARED", "required");

/// The folder; `None` where there is none, and the test is skipped.
///
/// # Panics
///
/// If there is none though the tests are told that it is required.
pub fn shared() -> Option<PathBuf> {
    let (variable, value) = REQUIRED;
    // Crates lie in the root of the repository.
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    look(folder, std::env::var_os(variable).is_some_and(|set| set == value))
}

fn look(folder: &Path, is_required: bool) -> Option<PathBuf> {
    if folder.is_dir() {
        return Some(folder.to_path_buf());
    }
    let (variable, value) = REQUIRED;
    assert!(!is_required, "{} is not there, and {variable} is {value}", folder.display());
    println!("skipped: {} is not there", folder.display());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_without_the_folder_is_skipped_unless_it_is_required() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let nowhere = here.join("no such folder");
        assert_eq!(look(&nowhere, false), None);
        assert_eq!(look(here, true).as_deref(), Some(here));
        assert!(std::panic::catch_unwind(|| look(&nowhere, true)).is_err());
    }
}
