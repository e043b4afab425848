//! The files of a data directory.

use core::net::SocketAddr;
use std::fs;

use arbitrary::Arbitrary;
use gossip_store::{
    CURRENT, PREVIOUS, StoredEndpoint, StoredNode, StoredTombstone, Unknown, Unreadable, decode, encode,
    recover,
};

use crate::content::{Number, Who};
use crate::{script, show};

#[derive(Arbitrary, Debug)]
enum Given<'a> {
    /// One file, whatever it says.
    Text(&'a str),
    /// What a directory holds: the file, and its predecessor.
    Directory(Box<[Option<File<'a>>; 2]>),
}

/// A file that a node wrote, and what became of it.
#[derive(Arbitrary, Debug)]
struct File<'a> {
    node: Node<'a>,
    damages: Vec<(u16, u8)>,
    cut: Option<u16>,
    instead: Option<&'a [u8]>,
}

#[derive(Arbitrary, Debug)]
struct Node<'a> {
    generation: Number,
    host_id: u128,
    cluster: &'a str,
    endpoints: Vec<(Who, Option<u128>, Option<u64>)>,
    tombstones: Vec<(Who, Number, u64)>,
    left: bool,
    future: Box<[Future<'a>; 4]>,
}

/// A field of a later release: none, or its name and what it says.
#[derive(Arbitrary, Debug)]
struct Future<'a>(Option<(&'a str, &'a str)>);

impl Future<'_> {
    fn unknown(&self) -> Unknown {
        let mut unknown = Unknown::default();
        if let Some((name, text)) = self.0 {
            // Anything that is JSON.
            let _ = unknown.insert(format!("future_{name}"), text);
        }
        unknown
    }
}

impl Node<'_> {
    fn stored(&self) -> StoredNode {
        let [of_node, beside, of_endpoints, of_tombstones] = &*self.future;
        let tombstone = |(who, number, until): &(Who, Number, u64)| StoredTombstone {
            endpoint: who.endpoint().into(),
            generation: number.generation().get(),
            until_unix_ms: *until,
            unknown: of_tombstones.unknown(),
        };
        let endpoint = |(who, host_id, heard_unix_ms): &(Who, Option<u128>, Option<u64>)| StoredEndpoint {
            address: SocketAddr::from(who.endpoint()),
            host_id: host_id.map(uuid::Uuid::from_u128),
            heard_unix_ms: *heard_unix_ms,
            unknown: of_endpoints.unknown(),
        };
        StoredNode {
            generation: self.generation.generation().get(),
            host_id: uuid::Uuid::from_u128(self.host_id),
            cluster: self.cluster.into(),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            tombstones: self.tombstones.iter().map(tombstone).collect(),
            metadata_id: self.left.then_some(self.generation.generation().get()),
            dc: self.left.then(|| self.cluster.into()),
            rack: None,
            left: self.left,
            unknown: of_node.unknown(),
            beside: beside.unknown(),
        }
    }
}

impl File<'_> {
    /// The bytes of it. What can be read of them is what was written, whole, or nothing.
    fn bytes(&self) -> Vec<u8> {
        if let Some(bytes) = self.instead {
            return bytes.to_vec();
        }
        let node = self.node.stored();
        let whole = encode(&node).expect("JSON has words for it");
        assert_eq!(decode(&whole).as_ref(), Ok(&node));
        let mut bytes = whole.clone();
        for (at, bits) in &self.damages {
            if let Some(byte) = bytes.get_mut(usize::from(*at)) {
                *byte ^= bits;
            }
        }
        bytes.truncate(self.cut.map_or(usize::MAX, usize::from));
        match decode(&bytes) {
            // The checksum covers the node, and nothing beside it.
            Ok(read) => {
                let read = StoredNode { beside: node.beside.clone(), ..read };
                assert_eq!(read, node, "{}", String::from_utf8_lossy(&bytes));
            }
            Err(_) => assert_ne!(bytes, whole),
        }
        bytes
    }
}

/// Files of a data directory, damaged, cut or not: reading never panics; one that was damaged says what it said or nothing; the
/// newer one is taken, or else the other, or neither with a line that says so; a file of a later release is left where it is.
pub fn stored_files(data: &[u8]) {
    match script::<Given<'_>>(data) {
        None => {}
        Some(Given::Text(text)) => drop(read(text.as_bytes())),
        Some(Given::Directory(files)) => {
            let dir = tempfile::tempdir().expect("there is room");
            let files = files.each_ref().map(|file| file.as_ref().map(File::bytes));
            for (name, bytes) in [CURRENT, PREVIOUS].into_iter().zip(&files) {
                if let Some(bytes) = bytes {
                    fs::write(dir.path().join(name), bytes).expect("there is room");
                }
            }
            let [current, previous] = files.each_ref().map(|bytes| bytes.as_deref().map(read));
            let is_later = |said: &Option<Result<StoredNode, Unreadable>>| {
                matches!(said, Some(Err(Unreadable::Format { .. } | Unreadable::Content { .. })))
            };
            let is_readable = matches!(current, Some(Ok(_)));
            match recover(dir.path(), 0) {
                Ok(recovered) => {
                    assert!(!is_later(&current) && (is_readable || !is_later(&previous)));
                    let expected = [&current, &previous].into_iter().flatten().flatten().next();
                    assert_eq!(recovered.node.as_ref(), expected);
                    let is_new = current.is_none() && previous.is_none();
                    assert_eq!(recovered.warnings.len(), usize::from(!is_readable && !is_new));
                    assert!(recovered.warnings.iter().all(|warning| is_a_line(warning)), "{recovered:?}");
                }
                Err(error) => {
                    assert!(is_later(&current) || (!is_readable && is_later(&previous)), "{error}");
                    assert!(is_a_line(&error.to_string()), "{error}");
                }
            }
            // Nothing is deleted: what cannot be read is there under another name.
            for bytes in files.iter().flatten() {
                let mut entries = fs::read_dir(dir.path()).expect("the directory is there");
                assert!(entries.any(|entry| {
                    let path = entry.expect("the directory can be read").path();
                    fs::read(path).expect("the file is there") == *bytes
                }));
            }
        }
    }
}

/// What a file says, which is written the same again.
fn read(bytes: &[u8]) -> Result<StoredNode, Unreadable> {
    let said = decode(bytes);
    match &said {
        Ok(node) => {
            let again = encode(node).expect("JSON has words for it");
            assert_eq!(decode(&again).as_ref(), Ok(node));
        }
        Err(error) => assert!(is_a_line(&error.to_string()), "{error}"),
    }
    said
}

fn is_a_line(text: &str) -> bool {
    text.lines().count() == 1
}

/// How an input of [`stored_files`] reads.
pub(crate) fn show_stored_files(data: &[u8]) -> String {
    show::<Given<'_>>(data)
}
