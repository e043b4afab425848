//! Putting messages into frames, in a borrowed buffer.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::MAX_URGENT_MESSAGE;
use crate::endpoint::Endpoint;
use crate::gossiper::{Gossiper, Outgoing};
use crate::internode::{
    CRC_HEADER, CRC_TRAILER, FrameKind, Framing, Header, Lz4Encoder, MAX_HEADER, Params, low_word, wrap,
};
use crate::message::Codec;
use crate::verb::Verb;
use crate::version::MessagingVersion;
use crate::wire::Writer;

/// Where a message's body begins: header and frame header go before it once its size is known.
const BODY: usize = CRC_HEADER + MAX_HEADER;

/// The size of a buffer in which the longest frame is built.
const PLAIN: usize = BODY + MAX_URGENT_MESSAGE + CRC_TRAILER;

/// How much of a large message goes into one frame, in bytes (`docs/protocol/framing.md#large-messages`).
pub(super) const PIECE: usize = 32 * 1024;

/// The size of a buffer that has room for any frame, compressed or not.
pub(super) const MIN_BUFFER: usize = {
    let compressed = Lz4Encoder::room(MAX_URGENT_MESSAGE);
    if compressed > PLAIN { compressed + TLS } else { PLAIN + TLS }
};

/// How much longer a frame is once it is encrypted.
#[cfg(feature = "tls")]
const TLS: usize = crate::tls::ROOM;
#[cfg(not(feature = "tls"))]
const TLS: usize = 0;

/// Makes frames in one framing.
#[derive(Debug)]
pub(super) struct Framer {
    lz4: Option<(Lz4Encoder, Box<[u8]>)>,
}

impl Framer {
    pub(super) fn new(framing: Framing) -> Self {
        let lz4 = (framing == Framing::Lz4).then(|| (Lz4Encoder::new(), vec![0; PLAIN].into_boxed_slice()));
        Self { lz4 }
    }

    /// Puts whatever `fill` adds into one frame, and says where in `out` it lies; nowhere if nothing was added.
    pub(super) fn frame(
        &mut self,
        version: MessagingVersion,
        unix_ms: Option<u64>,
        out: &mut [u8],
        fill: impl FnOnce(&mut FrameBuilder<'_>),
    ) -> Option<Range<usize>> {
        let plain = self.lz4.as_mut().map(|(_, plain)| &mut **plain);
        let is_compressed = plain.is_some();
        let mut builder = FrameBuilder {
            buffer: plain.unwrap_or(&mut *out),
            start: BODY,
            end: BODY,
            version,
            unix_ms: unix_ms.unwrap_or(0),
        };
        fill(&mut builder);
        let payload = builder.start..builder.end;
        if payload.is_empty() {
            return None;
        }
        let frame = match &mut self.lz4 {
            Some((encoder, plain)) if is_compressed => {
                encoder.encode(FrameKind::SelfContained, &plain[payload], out).map(|len| 0..len)
            }
            _ => wrap(Framing::Crc, FrameKind::SelfContained, out, payload),
        };
        debug_assert!(frame.is_ok(), "the buffer has room for the longest frame");
        frame.ok()
    }

    /// Makes a frame of a part of a large message, which comes in two parts itself, at the front of `out`; says how long it is.
    pub(super) fn piece(&mut self, kind: FrameKind, [head, body]: [&[u8]; 2], out: &mut [u8]) -> usize {
        let frame = match &mut self.lz4 {
            Some((encoder, _)) if head.is_empty() => encoder.encode(kind, body, out),
            Some((encoder, plain)) => encoder.encode(kind, joined(head, body, plain), out),
            None => {
                let end = CRC_HEADER + joined(head, body, &mut out[CRC_HEADER..]).len();
                wrap(Framing::Crc, kind, out, CRC_HEADER..end).map(|frame| frame.end)
            }
        };
        debug_assert!(frame.is_ok(), "the buffer has room for a piece");
        frame.unwrap_or(0)
    }
}

/// Puts one behind the other at the front of `out`.
fn joined<'o>(head: &[u8], body: &[u8], out: &'o mut [u8]) -> &'o [u8] {
    let (first, second) = out[..head.len() + body.len()].split_at_mut(head.len());
    first.copy_from_slice(head);
    second.copy_from_slice(body);
    &out[..head.len() + body.len()]
}

/// Collects the messages of one frame: first one that may have a body, whose header goes before it once the size of that is
/// known; then small ones behind it.
pub(super) struct FrameBuilder<'b> {
    buffer: &'b mut [u8],
    start: usize,
    end: usize,
    version: MessagingVersion,
    unix_ms: u64,
}

impl FrameBuilder<'_> {
    /// Adds what is due to `peer`.
    pub(super) fn fill(&mut self, gossiper: &mut Gossiper, peer: Endpoint) {
        let codec = Codec::new(self.version);
        let mut out = Writer::new(&mut self.buffer[BODY..BODY + MAX_URGENT_MESSAGE - MAX_HEADER]);
        let Some(first) = gossiper.encode(peer, codec, &mut out) else { return };
        let size = out.len();
        self.end = BODY + size;
        let header = header(first, size, self.unix_ms);
        self.start = BODY - header.encoded_len(self.version);
        let mut out = Writer::new(&mut self.buffer[self.start..BODY]);
        let written = header.encode(self.version, &mut out);
        debug_assert!(written.is_ok(), "a header takes as many bytes as it says");
        while self.end - self.start + MAX_HEADER <= MAX_URGENT_MESSAGE {
            let Some(next) = gossiper.encode(peer, codec, &mut Writer::new(&mut [])) else { break };
            self.append(next);
        }
    }

    /// Adds a message without a body.
    pub(super) fn append(&mut self, outgoing: Outgoing) {
        let mut out = Writer::new(&mut self.buffer[self.end..]);
        if header(outgoing, 0, self.unix_ms).encode(self.version, &mut out).is_ok() {
            self.end += out.len();
        }
    }
}

/// The header of a message whose body lies elsewhere.
pub(super) fn large_head(
    outgoing: Outgoing,
    body: &[u8],
    version: MessagingVersion,
    unix_ms: Option<u64>,
) -> Vec<u8> {
    let header = header(outgoing, body.len(), unix_ms.unwrap_or(0));
    let mut head = vec![0; header.encoded_len(version)];
    let written = header.encode(version, &mut Writer::new(&mut head));
    debug_assert!(written.is_ok(), "a header takes as many bytes as it says");
    head
}

fn header(outgoing: Outgoing, payload_size: usize, unix_ms: u64) -> Header<'static> {
    Header {
        id: outgoing.id,
        epoch: 0,
        created_at: low_word(unix_ms),
        expires_in: expires_in(outgoing.verb),
        verb: outgoing.verb,
        flags: 0,
        params: Params::NONE,
        payload_size,
    }
}

/// How long a message is worth taking, in milliseconds (`docs/protocol/message-header.md#verbs-of-a-gossip-peer`).
///
/// Deviation: a response has the whole time of its kind, where Cassandra gives it what is left of its request's.
const fn expires_in(verb: Verb) -> i64 {
    match verb {
        Verb::GOSSIP_DIGEST_SYN | Verb::GOSSIP_DIGEST_ACK | Verb::GOSSIP_DIGEST_ACK2 => 300_000,
        _ => 10_000,
    }
}
