//! Messages in frames of Cassandra's connections, as those that dial the node write them.

use gossip_benches::messages::CODEC;
use gossip_core::Verb;
use gossip_core::internode::{FrameKind, Framing, Header, Params, VersionRange, wrap};
use gossip_core::wire::Writer;

/// The messaging version that is offered and accepted.
pub(crate) const VERSION: VersionRange = VersionRange { min: 12, max: 12 };

/// A message in a frame of its own.
///
/// # Panics
///
/// If the message does not fit a frame, which has room for 128 KiB.
pub(crate) fn frame(verb: Verb, id: u64, body: &[u8]) -> Vec<u8> {
    let header = Header {
        id,
        epoch: 0,
        created_at: 0,
        expires_in: 300_000,
        verb,
        flags: 0,
        params: Params::NONE,
        payload_size: body.len(),
    };
    let start = Framing::Crc.header_len();
    let end = start + header.encoded_len(CODEC.version) + body.len();
    let mut buffer = vec![0; end + Framing::Crc.trailer_len()];
    let mut out = Writer::new(&mut buffer[start..end]);
    header.encode(CODEC.version, &mut out).and_then(|()| out.bytes(body)).expect("room for just that");
    wrap(Framing::Crc, FrameKind::SelfContained, &mut buffer, start..end).expect("it fits a frame");
    buffer
}
