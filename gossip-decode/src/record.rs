//! What comes out: one record for each handshake, frame and message, and for whatever is none.
//!
//! Each is a line of `gossip decode --format json` as it stands here.

use core::net::SocketAddr;

use serde::Serialize;

use crate::body::Body;

/// Something that was found in the bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// How a connection was opened.
    Handshake(Handshake),
    /// A frame, or a block of a compressed connection of before 4.0. Its messages follow.
    Frame(Frame),
    /// A message.
    Message(Message),
    /// A body without the message around it.
    Body(LooseBody),
    /// A connection whose bytes are not messages, or cannot be read: streaming, TLS.
    Passed(Passed),
    /// Something that readers of the other records should know, and that needs no repair.
    Note(Note),
    /// Bytes that are not what they should be, or are missing.
    Damage(Damage),
    /// What there was in all; the last record.
    Summary(Summary),
}

/// When and where something was found. What is not known is absent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Place {
    /// When the last byte of it was captured, in microseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_us: Option<u64>,
    /// The number of the packet with that byte, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<u64>,
    /// The number of the connection, from 1, in the order in which connections began to carry bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The sender: the identity in the handshake, or the address in TCP where there is no handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SocketAddr>,
    /// The receiver: the address that was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<SocketAddr>,
    /// How many bytes of its direction come before it. For what was compressed that is the place of the compressed
    /// payload.
    pub offset: u64,
    /// How many bytes of the decompressed payload come before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncompressed_offset: Option<u64>,
}

/// How a connection was opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Handshake {
    /// Where. Offset 0 unless it stands for itself.
    #[serde(flatten)]
    pub place: Place,
    /// The address that the dialler dialled from, which says nothing of who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SocketAddr>,
    /// Whether it is one of before 4.0.
    pub legacy: bool,
    /// What the connection is for: `urgent`, `small`, `large`, `untyped`, `streaming`; `messaging` before 4.0.
    pub connection_type: Option<&'static str>,
    /// How its bytes are cut: `crc`, `lz4`, `unprotected`; before 4.0 `none` or `lz4_block`.
    pub framing: Option<&'static str>,
    /// The version that the dialler asks for.
    pub request: Option<u8>,
    /// The oldest version that the dialler accepts.
    pub min: Option<u8>,
    /// The newest version that the dialler accepts; before 4.0 what its third message says.
    pub max: Option<u32>,
    /// The answer, if it came.
    pub answer: Option<Answer>,
}

/// What the acceptor answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// The version to use; a legacy answer has only the acceptor's own.
    pub version: u32,
    /// The newest version that the acceptor speaks.
    pub max: u32,
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frame {
    /// Where its header begins.
    #[serde(flatten)]
    pub place: Place,
    /// As in [`Handshake::framing`].
    pub framing: &'static str,
    /// `self_contained`, `piece` or `block`.
    pub kind: &'static str,
    /// The size of the payload as it is transmitted, in bytes.
    pub length: usize,
    /// The size it has when decompressed, in bytes; absent if it is not compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncompressed_length: Option<usize>,
    /// `ok`, `wrong`, or `none` where there is none.
    pub checksum: &'static str,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Where its header begins.
    #[serde(flatten)]
    pub place: Place,
    /// As in [`Handshake::connection_type`]; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_type: Option<&'static str>,
    /// The messaging version it is in.
    pub version: u32,
    /// Whether that is a guess: it was not given, and it fits.
    pub version_assumed: bool,
    /// What it is, by number.
    pub verb: u64,
    /// What it is, by name.
    pub verb_name: Option<&'static str>,
    /// What verbs around this number are for, if it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb_group: Option<&'static str>,
    /// Its id; as Cassandra counts, signed.
    pub id: i64,
    /// The epoch of the cluster metadata, in version 14; negative while a cluster is upgraded to 6.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// When it was made: the low 32 bits of milliseconds since the Unix epoch.
    pub created_at: u32,
    /// The same in full, as the moment closest to the time of the capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_unix_ms: Option<u64>,
    /// In how many milliseconds from then it expires. Before 4.0 that is not transmitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
    /// The set of flags.
    pub flags: u64,
    /// The names of those that have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flag_names: Vec<&'static str>,
    /// The parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// The size of the body, in bytes.
    pub length: usize,
    /// The size of header and body, in bytes.
    pub size: usize,
    /// The body; absent if it is not one of gossip, or could not be decoded, which a [`Damage`] then tells.
    pub body: Option<Body>,
}

/// A parameter of a message.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Param {
    /// Its number, from 4.0 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its name: before 4.0 the name alone is transmitted.
    pub name: Option<String>,
    /// Its value in hexadecimal.
    pub value: String,
    /// What the value says, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
}

/// A body without the message around it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LooseBody {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What it was taken for: `syn`, `ack`, `ack2`, `shutdown`, `state`.
    pub kind: &'static str,
    /// The messaging version it is in.
    pub version: u32,
    /// Its size in bytes.
    pub length: usize,
    /// What it says.
    pub body: Body,
}

/// Bytes that are not messages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Passed {
    /// Of which connection.
    #[serde(flatten)]
    pub place: Place,
    /// What they are: `streaming` or `tls`.
    pub what: &'static str,
    /// How many came from the dialler.
    pub sent: u64,
    /// How many came from the acceptor.
    pub received: u64,
    /// What a connection under TLS says in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// What a connection under TLS says in the clear. What it did not say, or the capture does not have, is absent or empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tls {
    /// The versions of TLS that the dialler offers, such as `1.3`; the newest one first, as far as the dialler orders them.
    pub offered: Vec<String>,
    /// The name of the server that the dialler asks for. No node of Cassandra asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The version that the acceptor chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The cipher suite that the acceptor chose, by its registered name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher_suite: Option<String>,
    /// Whether the acceptor was seen to demand a certificate of the dialler. In TLS 1.3 that is encrypted.
    pub demands_certificate: bool,
    /// The certificates of the two ends. In TLS 1.3 they are encrypted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<TlsCertificate>,
    /// The alerts that were sent in the clear, the first few of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<TlsAlert>,
}

/// The certificate that one end of a connection presented.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TlsCertificate {
    /// Which end: `dialler` or `acceptor`.
    pub from: &'static str,
    /// How many certificates it sent, with those of authorities. 0 means that it was asked for one and has none.
    pub chain: usize,
    /// The subject; absent if there is no certificate, or it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The subject of the authority that issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The addresses and host names that it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// From when on it is valid, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Until when it is valid, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
}

/// An alert of TLS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TlsAlert {
    /// Which end sent it: `dialler` or `acceptor`.
    pub from: &'static str,
    /// `warning` or `fatal`.
    pub level: &'static str,
    /// Its number.
    pub number: u8,
    /// Its name, if it has one.
    pub name: Option<&'static str>,
}

/// Something to know.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    pub text: String,
}

/// Bytes that are not what they should be, or are missing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Damage {
    /// Where, exactly.
    #[serde(flatten)]
    pub place: Place,
    /// Inside of what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// What there was in all.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// Packets of the capture.
    pub packets: u64,
    /// Those of them that are no TCP on the ports that were asked for.
    pub other_packets: u64,
    /// Connections that carried at least a byte.
    pub connections: u64,
    /// Connections that carried none, such as attempts to reach a node that did not listen.
    pub silent_connections: u64,
    /// Of all connections, those for bulk data.
    pub streaming_connections: u64,
    /// Of all connections, those that are encrypted.
    pub encrypted_connections: u64,
    /// Handshakes.
    pub handshakes: u64,
    /// Frames.
    pub frames: u64,
    /// Messages.
    pub messages: u64,
    /// Of all messages, those of gossip.
    pub gossip_messages: u64,
    /// Bytes that connections carried, each counted once however often it was sent.
    pub bytes: u64,
    /// Of those, what was skipped as not meant to be decoded: bulk data, and what is encrypted.
    pub passed_bytes: u64,
    /// Bytes that should have been decoded and were not. Of compressed frames whose messages are damaged, those of the
    /// decompressed payload.
    pub undecoded_bytes: u64,
    /// Bytes that connections carried and the capture does not have.
    pub missing_bytes: u64,
    /// How many places are damaged.
    pub damages: u64,
}
