//! The bytes of a file.

use core::fmt;
use std::io;

use gossip_core::wire::crc32;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::node::{StoredNode, Unknown};

/// Counts incompatible changes of the file. This is what is written.
const FORMAT: u32 = 2;
/// The format before: the checksum is that of the node without white space.
const FORMAT_1: u32 = 1;
/// What is written of the release into the file, to name it where a file cannot be read.
const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// How much of a text from a file that cannot be read is shown.
const MAX_SHOWN: usize = 40;

/// The bytes of the file that says this.
///
/// # Errors
///
/// Those of `serde_json`, which has words for all there is in a node.
pub fn encode(node: &StoredNode) -> io::Result<Vec<u8>> {
    // The first time to learn how the node reads where it stands in the file.
    let draft = serde_json::to_vec_pretty(&Document { node, checksum: 0, json: node })?;
    let json: Box<RawValue> = serde_json::from_slice::<Unknown>(&draft)?.take("node")?;
    let checksum = crc32(json.get().as_bytes());
    let mut bytes = serde_json::to_vec_pretty(&Document { node, checksum, json: &json })?;
    bytes.push(b'\n');
    Ok(bytes)
}

struct Document<'a, J> {
    node: &'a StoredNode,
    checksum: u32,
    json: &'a J,
}

impl<J: Serialize> Serialize for Document<'_, J> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format", &FORMAT)?;
        map.serialize_entry("release", RELEASE)?;
        map.serialize_entry("checksum", &self.checksum)?;
        map.serialize_entry("node", self.json)?;
        self.node.beside.serialize_into(&mut map)?;
        map.end()
    }
}

/// What a file says.
///
/// # Errors
///
/// [`Unreadable`]. Nothing of it is believed then.
pub fn decode(bytes: &[u8]) -> Result<StoredNode, Unreadable> {
    let corrupt = |error: serde_json::Error| Unreadable::Corrupt(error.to_string());
    let mut fields: Unknown = serde_json::from_slice(bytes).map_err(corrupt)?;
    let format: serde_json::Value = fields.take("format").map_err(corrupt)?;
    let release = fields.take_or_default("release").unwrap_or(serde_json::Value::Null);
    let release = release.as_str().map(shown);
    let is_of = |known: u32| format.as_u64() == Some(known.into());
    if !is_of(FORMAT) && !is_of(FORMAT_1) {
        return Err(Unreadable::Format { format: shown(&format.to_string()), release });
    }
    let checksum: u32 = fields.take("checksum").map_err(corrupt)?;
    let json: Box<RawValue> = fields.take("node").map_err(corrupt)?;
    let is_right = crc32(json.get().as_bytes()) == checksum
        || (is_of(FORMAT_1) && crc32(without_white_space(json.get()).as_bytes()) == checksum);
    if !is_right {
        return Err(Unreadable::Corrupt("its checksum does not match".into()));
    }
    match StoredNode::from_json(&json) {
        Ok(node) => Ok(StoredNode { beside: fields, ..node }),
        Err(error) => Err(Unreadable::Content { why: shown(&error.to_string()), release }),
    }
}

/// JSON without the white space between its tokens.
fn without_white_space(json: &str) -> String {
    let mut is_text = false;
    let mut is_escaped = false;
    let is_kept = |character: &char| {
        let is_kept = is_text || !matches!(character, ' ' | '\t' | '\n' | '\r');
        if *character == '"' && !is_escaped {
            is_text = !is_text;
        }
        is_escaped = is_text && *character == '\\' && !is_escaped;
        is_kept
    };
    json.chars().filter(is_kept).collect()
}

/// The begin of a text, on one line.
fn shown(text: &str) -> String {
    let escaped = text.chars().flat_map(char::escape_debug);
    let mut shown: String = escaped.take(MAX_SHOWN).collect();
    if text.chars().count() > MAX_SHOWN {
        shown.push('…');
    }
    shown
}

/// Why a file says nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// It was not written so; and how that shows.
    Corrupt(String),
    /// It has a format that this release does not read.
    Format {
        /// The format.
        format: String,
        /// The release that wrote it, if it says so.
        release: Option<String>,
    },
    /// Its checksum is right, but this release cannot read what it says.
    Content {
        /// How that shows.
        why: String,
        /// The release that wrote it, if it says so.
        release: Option<String>,
    },
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let release = match self {
            Self::Corrupt(why) => return f.write_str(why),
            Self::Format { format, release } => {
                write!(f, "it has format {format}, and this release reads {FORMAT_1} and {FORMAT}")?;
                release
            }
            Self::Content { why, release } => {
                write!(f, "its checksum is right, but this release cannot read it: {why}")?;
                release
            }
        };
        match release {
            Some(release) => write!(f, "; release {release} wrote it, this is {RELEASE}"),
            None => write!(f, "; another release than this, {RELEASE}, wrote it"),
        }
    }
}

impl core::error::Error for Unreadable {}
