//! The files of a data directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Cause, StoreError};
use crate::format::{Unreadable, decode, encode};
use crate::node::StoredNode;

/// The name of the file.
pub const CURRENT: &str = "node.json";
/// The name of what it said before.
pub const PREVIOUS: &str = "node.json.previous";

/// What could be read, and what the operator should know about it.
#[derive(Debug)]
pub struct Recovered {
    /// `None`: nothing is stored, or nothing that can be used.
    pub node: Option<StoredNode>,
    /// A line each.
    pub warnings: Vec<String>,
}

/// Reads what is stored in `dir`. What is corrupt is moved aside, under a name with the time `now`, and its
/// predecessor taken. A file of another release is left where it is, and so is the file beside it.
///
/// # Errors
///
/// The directory cannot be read or changed, or a file that would be taken is of another release.
pub fn recover(dir: &Path, now: u64) -> Result<Recovered, StoreError> {
    let mut warnings = Vec::new();
    let current = match read(&dir.join(CURRENT))? {
        Content::Good(node) => return Ok(Recovered { node: Some(node), warnings }),
        other => other,
    };
    // Before anything is moved, since it may be of another release.
    let previous = read(&dir.join(PREVIOUS))?;
    let is_new = matches!(current, Content::Absent);
    let path = dir.join(CURRENT);
    let what_happened = match current {
        Content::Corrupt(why) => {
            format!("{} is corrupt ({why}; kept as {})", path.display(), set_aside(dir, CURRENT, now)?)
        }
        _ => format!("{} is gone", path.display()),
    };
    let node = match previous {
        Content::Good(node) => {
            warnings.push(format!(
                "{what_happened}: took {PREVIOUS} instead; at most the newest endpoints are lost"
            ));
            return Ok(Recovered { node: Some(node), warnings });
        }
        Content::Absent if is_new => return Ok(Recovered { node: None, warnings }),
        Content::Absent => format!("{what_happened} and there is no {PREVIOUS}"),
        Content::Corrupt(why) => {
            let kept = set_aside(dir, PREVIOUS, now)?;
            format!("{what_happened} and so is {PREVIOUS} ({why}; kept as {kept})")
        }
    };
    warnings.push(format!(
        "{node}: starting afresh, with a new host id unless one is given, a generation taken from the clock, and no \
         known endpoints but the seeds; if the clock was ever ahead, others ignore this node until it raises its \
         generation"
    ));
    Ok(Recovered { node: None, warnings })
}

/// Replaces what is stored in `dir`, durably, and keeps what was stored before.
///
/// At every moment there is a whole file: a crash leaves the old content or the new.
///
/// # Errors
///
/// It cannot be written; the old content is still there.
pub fn write(dir: &Path, node: &StoredNode) -> Result<(), StoreError> {
    let [current, previous] = [CURRENT, PREVIOUS].map(|name| dir.join(name));
    let fresh = dir.join("node.json.new");
    // Opening something else than a file, such as a pipe, may take for ever.
    for path in [&fresh, &current, &previous] {
        is_file(path)?;
    }
    let on = |path: &Path| {
        let path = path.to_owned();
        move |error| StoreError::system(&path, error)
    };
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(&encode(node)?)?;
        file.sync_all()
    };
    write().map_err(on(&fresh))?;
    if current.try_exists().map_err(on(&current))? {
        let link = dir.join("node.json.link");
        remove(&link)?;
        // Where the file system has no links, a copy does.
        if fs::hard_link(&current, &link).is_err() {
            let copy = || {
                fs::copy(&current, &link)?;
                File::open(&link)?.sync_all()
            };
            copy().map_err(on(&link))?;
        }
        fs::rename(&link, &previous).map_err(on(&previous))?;
        // If both names were the same file already, the rename did nothing.
        remove(&link)?;
    }
    fs::rename(&fresh, &current).map_err(on(&current))?;
    let sync = || File::open(dir)?.sync_all();
    sync().map_err(on(dir))
}

/// As [`write()`], and the predecessor says the same then. For what no damage to one of the files may take back: a
/// generation that was used, that the node has left, who is gone for good.
///
/// # Errors
///
/// As [`write()`].
pub fn write_both(dir: &Path, node: &StoredNode) -> Result<(), StoreError> {
    write(dir, node)?;
    write(dir, node)
}

enum Content {
    Good(StoredNode),
    Absent,
    /// And why.
    Corrupt(String),
}

fn read(path: &Path) -> Result<Content, StoreError> {
    if !is_file(path)? {
        return Ok(Content::Absent);
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Absent),
        Err(error) => return Err(StoreError::system(path, error)),
    };
    match decode(&bytes) {
        Ok(node) => Ok(Content::Good(node)),
        Err(Unreadable::Corrupt(why)) => Ok(Content::Corrupt(why)),
        Err(foreign) => Err(StoreError::new(path, Cause::Foreign(foreign))),
    }
}

/// Whether the file is there.
///
/// # Errors
///
/// Something else is there, or access is denied.
fn is_file(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(StoreError::new(path, Cause::NoFile)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::system(path, error)),
    }
}

/// Renames a file to a name that is free, and returns that.
fn set_aside(dir: &Path, name: &str, now: u64) -> Result<String, StoreError> {
    let names = (0..).map(|attempt| match attempt {
        0 => format!("{name}.corrupt-{now}"),
        _ => format!("{name}.corrupt-{now}-{attempt}"),
    });
    for aside in names {
        let path: PathBuf = dir.join(&aside);
        let move_there = || match path.try_exists()? {
            true => Ok(false),
            false => fs::rename(dir.join(name), &path).map(|()| true),
        };
        if move_there().map_err(|error| StoreError::system(&path, error))? {
            return Ok(aside);
        }
    }
    unreachable!("the names never end")
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::system(path, error)),
        _ => Ok(()),
    }
}
