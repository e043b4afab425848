//! What the fuzz targets do: each takes any bytes, does something with them, and asserts what must hold.
//!
//! The targets themselves, in `fuzz/`, want a nightly toolchain and are three lines each; what they found lies beside them, in
//! `fuzz/corpus`. `tests/replay.rs` goes through that on any toolchain, and so does this crate's program with a single file:
//!
//! ```console
//! cargo run -p gossip-fuzz -- pair_streams fuzz/artifacts/pair_streams/crash-…
//! ```
//!
//! Where bytes alone would not get deep they are read as a script (crate `arbitrary`): what happens to one node or two, one thing
//! after the other. The program prints it before it runs it.

#![forbid(unsafe_code)]
#![expect(clippy::missing_panics_doc, reason = "a target says by a panic what does not hold")]

mod bodies;
mod capture_decode;
mod cluster;
mod content;
mod datagram_open;
mod frames;
mod handshake;
mod node_datagrams;
mod node_streams;
mod packets;
mod pair;
mod pair_datagrams;
mod pair_streams;
mod reference;
mod shell;
mod stored_files;
mod tape;
mod watched;

use core::fmt;

use arbitrary::{Arbitrary, Unstructured};

pub use bodies::{message_decode, message_roundtrip};
pub use capture_decode::capture_decode;
pub use cluster::cluster;
pub use datagram_open::datagram_open;
pub use frames::frames;
pub use handshake::handshake;
pub use node_datagrams::node_datagrams;
pub use node_streams::{node_streams, node_streams_tls};
pub use pair_datagrams::pair_datagrams;
pub use pair_streams::pair_streams;
pub use reference::reference;
pub use stored_files::stored_files;

/// A target: what it is called, what it does with an input, and how an input reads.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, in `fuzz/fuzz_targets` and `fuzz/corpus`.
    pub name: &'static str,
    /// Runs an input; panics if something does not hold.
    pub run: fn(&[u8]),
    /// The script that an input is.
    pub show: fn(&[u8]) -> String,
}

/// All targets, by name.
pub const TARGETS: [Target; 14] = [
    Target { name: "capture_decode", run: capture_decode, show: capture_decode::show_capture_decode },
    Target { name: "cluster", run: cluster, show: cluster::show_cluster },
    Target { name: "datagram_open", run: datagram_open, show: datagram_open::show_datagram_open },
    Target { name: "frames", run: frames, show: frames::show_frames },
    Target { name: "handshake", run: handshake, show: handshake::show_handshake },
    Target { name: "message_decode", run: message_decode, show: |data| format!("{data:02x?}") },
    Target { name: "message_roundtrip", run: message_roundtrip, show: bodies::show_roundtrip },
    Target { name: "node_datagrams", run: node_datagrams, show: node_datagrams::show_node_datagrams },
    Target { name: "node_streams", run: node_streams, show: node_streams::show_node_streams },
    Target { name: "node_streams_tls", run: node_streams_tls, show: node_streams::show_node_streams_tls },
    Target { name: "pair_datagrams", run: pair_datagrams, show: pair_datagrams::show_pair_datagrams },
    Target { name: "pair_streams", run: pair_streams, show: pair_streams::show_pair_streams },
    Target { name: "reference", run: reference, show: reference::show_reference },
    Target { name: "stored_files", run: stored_files, show: stored_files::show_stored_files },
];

/// Longer inputs are not read: nothing in here gets deeper by them, but slower.
const MAX_INPUT: usize = 16 * 1024;

/// Reads `data` as a script.
fn script<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> Option<T> {
    if data.len() > MAX_INPUT {
        return None;
    }
    T::arbitrary_take_rest(Unstructured::new(data)).ok()
}

fn show<'a, T: Arbitrary<'a> + fmt::Debug>(data: &'a [u8]) -> String {
    script::<T>(data).map_or_else(|| "no script".into(), |script| format!("{script:#?}"))
}
