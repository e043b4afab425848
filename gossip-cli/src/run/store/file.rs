//! The file of a data directory: JSON with a checksum, replaced as a whole, its predecessor kept.

use core::net::SocketAddr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gossip_adapter::{Generation, Tombstone};
use gossip_core::wire::crc32;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(super) const CURRENT: &str = "node.json";
pub(super) const PREVIOUS: &str = "node.json.previous";
/// Counts incompatible changes of the file.
const FORMAT: u32 = 1;

/// What is remembered of a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Node {
    pub(super) generation: i32,
    #[serde(with = "uuid_text")]
    pub(super) host_id: Uuid,
    pub(super) cluster: String,
    /// Whom it knows, the unreachable included.
    pub(super) endpoints: Vec<SocketAddr>,
    /// Who is gone for good. Absent where there are none, as in files written before these were kept; so is the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tombstones: Vec<StoredTombstone>,
    /// Whether the node itself has left its cluster, or was removed from it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub(super) left: bool,
}

/// As [`Tombstone`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct StoredTombstone {
    pub(super) endpoint: SocketAddr,
    pub(super) generation: i32,
    pub(super) until_unix_ms: u64,
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
    node: Node,
}

/// What could be read, and what the operator should know about it.
#[derive(Debug)]
pub(super) struct Recovered {
    /// `None`: nothing is stored, or nothing that can be used.
    pub(super) node: Option<Node>,
    pub(super) warnings: Vec<String>,
}

/// Reads what is stored in `dir`. What is corrupt is moved aside, under a name with the time `now`, and its
/// predecessor taken.
///
/// # Errors
///
/// The directory cannot be read or changed.
pub(super) fn recover(dir: &Path, now: u64) -> io::Result<Recovered> {
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
                "{what_happened}: took {PREVIOUS} instead; at most the newest endpoints and the newest generation \
                 are lost"
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
pub(super) fn write(dir: &Path, node: &Node) -> io::Result<()> {
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

fn encode(node: &Node) -> io::Result<Vec<u8>> {
    let checksum = crc32(&serde_json::to_vec(node)?);
    let mut bytes = serde_json::to_vec_pretty(&Document { format: FORMAT, checksum, node: node.clone() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

enum Content {
    Good(Node),
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
    let document: Document = match serde_json::from_slice(&bytes) {
        Ok(document) => document,
        Err(error) => return Ok(Content::Corrupt(error.to_string())),
    };
    if document.format != FORMAT {
        let why = format!("{} has format {}, this release reads {FORMAT}", path.display(), document.format);
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    if crc32(&serde_json::to_vec(&document.node)?) != document.checksum {
        return Ok(Content::Corrupt("its checksum does not match".into()));
    }
    Ok(Content::Good(document.node))
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
