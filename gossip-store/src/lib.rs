//! What a node remembers from one run to the next, in a file of its data directory: JSON with a checksum, replaced as a whole, its
//! predecessor kept.
//!
//! ```
//! use gossip_store::{StoredNode, decode, encode};
//!
//! let node = StoredNode {
//!     generation: 1_700_000_000,
//!     host_id: uuid::Uuid::nil(),
//!     cluster: "cluster".into(),
//!     endpoints: vec!["10.0.0.2:7000".parse()?],
//!     tombstones: Vec::new(),
//!     left: false,
//! };
//! assert_eq!(decode(&encode(&node)?)?, node);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! The public interface is: [`recover`], [`write()`] and [`write_both`] for a directory; [`encode`] and [`decode`] for the bytes of a
//! file; [`StoredNode`]. Who may use a directory, and what follows from what it says, is the command's business.

#![forbid(unsafe_code)]

use core::fmt;
use core::net::SocketAddr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gossip_core::wire::crc32;
use gossip_core::{Generation, Tombstone};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of the file.
pub const CURRENT: &str = "node.json";
/// The name of what it said before.
pub const PREVIOUS: &str = "node.json.previous";
/// Counts incompatible changes of the file.
const FORMAT: u32 = 1;

/// What is remembered of a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoredNode {
    /// The generation of its process.
    pub generation: i32,
    /// Which host it is.
    #[serde(with = "uuid_text")]
    pub host_id: Uuid,
    /// The cluster that it belongs to.
    pub cluster: String,
    /// Whom it knows, the unreachable included.
    pub endpoints: Vec<SocketAddr>,
    /// Who is gone for good. Absent where there are none, as in files written before these were kept; so is the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<StoredTombstone>,
    /// Whether the node itself has left its cluster, or was removed from it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub left: bool,
}

/// As [`Tombstone`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoredTombstone {
    /// Who is gone.
    pub endpoint: SocketAddr,
    /// Up to which generation it is refused.
    pub generation: i32,
    /// Until when, in milliseconds since the Unix epoch.
    pub until_unix_ms: u64,
}

impl From<Tombstone> for StoredTombstone {
    fn from(tombstone: Tombstone) -> Self {
        Self {
            endpoint: tombstone.endpoint.into(),
            generation: tombstone.generation.get(),
            until_unix_ms: tombstone.until_unix_ms,
        }
    }
}

impl From<&StoredTombstone> for Tombstone {
    fn from(stored: &StoredTombstone) -> Self {
        Self {
            endpoint: stored.endpoint.into(),
            generation: Generation::new(stored.generation),
            until_unix_ms: stored.until_unix_ms,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Document {
    format: u32,
    /// Of the node's JSON without white space.
    checksum: u32,
    node: StoredNode,
}

/// What could be read, and what the operator should know about it.
#[derive(Debug)]
pub struct Recovered {
    /// `None`: nothing is stored, or nothing that can be used.
    pub node: Option<StoredNode>,
    /// A line each.
    pub warnings: Vec<String>,
}

/// Reads what is stored in `dir`. What is corrupt is moved aside, under a name with the time `now`, and its
/// predecessor taken.
///
/// # Errors
///
/// The directory cannot be read or changed.
pub fn recover(dir: &Path, now: u64) -> io::Result<Recovered> {
    let mut warnings = Vec::new();
    let what_happened = match read(&dir.join(CURRENT))? {
        Content::Good(node) => return Ok(Recovered { node: Some(node), warnings }),
        Content::Absent => format!("{CURRENT} is gone"),
        Content::Corrupt(why) => {
            format!("{CURRENT} is corrupt ({why}; kept as {})", set_aside(dir, CURRENT, now)?)
        }
    };
    let is_new = what_happened.ends_with("gone");
    let node = match read(&dir.join(PREVIOUS))? {
        Content::Good(node) => {
            warnings.push(format!(
                "{what_happened}: took {PREVIOUS} instead; at most the newest endpoints and tombstones are lost"
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
pub fn write(dir: &Path, node: &StoredNode) -> io::Result<()> {
    let current = dir.join(CURRENT);
    let fresh = dir.join("node.json.new");
    let mut file = File::create(&fresh)?;
    file.write_all(&encode(node)?)?;
    file.sync_all()?;
    if current.try_exists()? {
        let link = dir.join("node.json.link");
        remove(&link)?;
        // Where the file system has no links, a copy does.
        if fs::hard_link(&current, &link).is_err() {
            fs::copy(&current, &link)?;
            File::open(&link)?.sync_all()?;
        }
        fs::rename(&link, dir.join(PREVIOUS))?;
        // If both names were the same file already, the rename did nothing.
        remove(&link)?;
    }
    fs::rename(&fresh, &current)?;
    File::open(dir)?.sync_all()
}

/// As [`write()`], and the predecessor says the same then. For what no damage to one of the files may take back: a
/// generation that was used is never used again.
///
/// # Errors
///
/// As [`write()`].
pub fn write_both(dir: &Path, node: &StoredNode) -> io::Result<()> {
    write(dir, node)?;
    write(dir, node)
}

/// What stands in the file.
///
/// # Errors
///
/// Those of `serde_json`, which has words for all there is in a node.
pub fn encode(node: &StoredNode) -> io::Result<Vec<u8>> {
    let checksum = crc32(&serde_json::to_vec(node)?);
    let mut bytes = serde_json::to_vec_pretty(&Document { format: FORMAT, checksum, node: node.clone() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// What a file says.
///
/// # Errors
///
/// [`Unreadable`]. Nothing of it is believed then.
pub fn decode(bytes: &[u8]) -> Result<StoredNode, Unreadable> {
    let corrupt = |error: serde_json::Error| Unreadable::Corrupt(error.to_string());
    let document: Document = serde_json::from_slice(bytes).map_err(corrupt)?;
    if document.format != FORMAT {
        return Err(Unreadable::Format(document.format));
    }
    if crc32(&serde_json::to_vec(&document.node).map_err(corrupt)?) != document.checksum {
        return Err(Unreadable::Corrupt("its checksum does not match".into()));
    }
    Ok(document.node)
}

/// Why a file says nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// It was not written so; and how that shows.
    Corrupt(String),
    /// It is of a later release, in this format.
    Format(u32),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(why) => f.write_str(why),
            Self::Format(format) => write!(f, "it has format {format}, this release reads {FORMAT}"),
        }
    }
}

impl core::error::Error for Unreadable {}

enum Content {
    Good(StoredNode),
    Absent,
    /// And why.
    Corrupt(String),
}

fn read(path: &Path) -> io::Result<Content> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Absent),
        Err(error) => return Err(error),
    };
    match decode(&bytes) {
        Ok(node) => Ok(Content::Good(node)),
        Err(Unreadable::Corrupt(why)) => Ok(Content::Corrupt(why)),
        Err(Unreadable::Format(format)) => {
            let why = format!("{} has format {format}, this release reads {FORMAT}", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        }
    }
}

/// Renames a file to a name that is free, and returns that.
fn set_aside(dir: &Path, name: &str, now: u64) -> io::Result<String> {
    let names = (0..).map(|attempt| match attempt {
        0 => format!("{name}.corrupt-{now}"),
        _ => format!("{name}.corrupt-{now}-{attempt}"),
    });
    for aside in names {
        let path: PathBuf = dir.join(&aside);
        if !path.try_exists()? {
            fs::rename(dir.join(name), path)?;
            return Ok(aside);
        }
    }
    unreachable!("the names never end")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

mod uuid_text {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(uuid: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(uuid)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
