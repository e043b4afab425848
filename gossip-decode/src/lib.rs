//! Reads Cassandra's internode connections, from captures or from bytes.
//!
//! Records come out: handshakes, frames, messages with their whole bodies, and whatever is damaged, with its place and
//! what should be there.
//!
//! ```
//! use gossip_decode::{Options, Record, decode_bytes};
//!
//! // An ECHO_REQ of version 12, as a message without a frame.
//! let bytes = [0x01, 0xcf, 0xe5, 0x68, 0x00, 0xa7, 0x10, 0x1f, 0x00, 0x00, 0x00];
//! let mut verbs = Vec::new();
//! let summary = decode_bytes(&bytes, None, &Options::default(), &mut |record| {
//!     if let Record::Message(message) = record {
//!         verbs.push(message.verb_name);
//!     }
//! })?;
//! assert_eq!(verbs, [Some("ECHO_REQ")]);
//! assert_eq!((summary.damages, summary.undecoded_bytes), (0, 0));
//! # Ok::<(), gossip_decode::Unrecognised>(())
//! ```
//!
//! The public interface is: [`Decoder`] for captures and [`decode_bytes`] for bytes, [`Options`] and [`Shape`]; the
//! [`Record`]s; and [`Flavour`] with [`StateNames`], which say what the states of which release are called. There is no
//! file, socket or clock in it: the caller reads the bytes and prints the records.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![expect(clippy::std_instead_of_alloc, reason = "a tool has the standard library")]

mod body;
mod capture;
mod connection;
mod decoder;
mod env;
mod fault;
mod learned;
mod legacy;
mod loose;
mod message;
mod names;
mod options;
mod packet;
mod record;
mod tcp;
mod tokens;
mod version;

pub use body::{Body, Digest, State, StateValue};
pub use capture::is_capture;
pub use decoder::{Decoder, Finished};
pub use loose::{Shape, Unrecognised, decode_bytes};
pub use names::{Flavour, StateNames};
pub use options::Options;
pub use record::{
    Answer, Damage, Frame, Handshake, LooseBody, Message, Note, Param, Passed, Place, Record, Summary, Tls,
    TlsAlert, TlsCertificate,
};
