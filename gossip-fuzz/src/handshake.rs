//! The handshake of connections, on both sides.

use core::fmt;

use arbitrary::Arbitrary;
use gossip_core::internode::{
    Accept, ConnectionKind, ConnectionType, Framing, HandshakeError, Inbound, InboundEvent, InboundLimits,
    Initiate, Outbound, OutboundEvent, Scratch, VersionRange, negotiate,
};
use gossip_core::wire::Writer;

use crate::content::Who;
use crate::{script, show};

#[derive(Arbitrary, Debug)]
struct Opening<'a> {
    dialler: Dialler,
    /// What the acceptor speaks.
    versions: (u8, u8),
    /// What it says, if not the truth.
    answer: Option<(u32, u32)>,
    damages: Vec<(u8, u8)>,
    chunks: Vec<u8>,
    behind: &'a [u8],
}

/// What a dialler sends first.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Dialler {
    pub(crate) who: Who,
    kind: u8,
    framing: u8,
    request: u8,
    min: u8,
    max: u8,
}

impl Dialler {
    pub(crate) fn initiate(self) -> Initiate {
        let kind = match self.kind % 8 {
            0 => ConnectionKind::Untyped,
            1 => ConnectionKind::Streaming,
            n => ConnectionKind::Messaging(ConnectionType::ALL[usize::from(n) % 3]),
        };
        let framing = self.framing();
        // Mostly such as are spoken.
        let number = |n: u8| if n < 240 { 12 + n % 3 } else { n };
        let (request, min, max) = (number(self.request), number(self.min), number(self.max));
        Initiate { kind, framing, request, min, max, from: self.who.endpoint() }
    }

    pub(crate) fn framing(self) -> Framing {
        Framing::ALL[usize::from(self.framing) % Framing::ALL.len()]
    }
}

/// A handshake, damaged or not, in one piece or in many: it is read alike, at once or later; nothing that was refused is taken with
/// more of it there; nothing comes of a connection that failed.
pub fn handshake(data: &[u8]) {
    let Some(opening) = script::<Opening<'_>>(data) else { return };
    let initiate = opening.dialler.initiate();
    let mut bytes = written(|out| initiate.encode(out));
    // Versions below 12 belong to another handshake.
    if initiate.request >= 12 && initiate.max >= 12 {
        assert_eq!(Initiate::decode(&bytes), Ok(Some((initiate, bytes.len()))));
    }
    damage(&mut bytes, &opening.damages);
    assert_read_alike(&bytes, Initiate::decode);
    assert_read_alike(opening.behind, Initiate::decode);

    let (min, max) = opening.versions;
    let versions = VersionRange { min: 12 + min % 3, max: 12 + max % 3 };
    let whole = taken(versions, &[&bytes]);
    assert_eq!(taken(versions, &chunks(&bytes, &opening.chunks)), whole);
    assert!(whole.len() <= 1, "one handshake: {whole:?}");

    let mut answer = match opening.answer {
        Some((max, version)) => Accept { max: max % 16, version: version % 16 }.to_bytes(),
        None => negotiate(initiate.versions(), versions).accept.to_bytes(),
    };
    damage(&mut answer, &opening.damages);
    assert_read_alike(&answer, Accept::decode);
    assert_read_alike(opening.behind, Accept::decode);
    let whole = answered(initiate, &[&answer]);
    assert_eq!(answered(initiate, &chunks(&answer, &opening.chunks)), whole);
    let more = [&answer, opening.behind].concat();
    let events = answered(initiate, &chunks(&more, &opening.chunks));
    let failed = events.iter().position(|event| matches!(event, OutboundEvent::Failed(_)));
    assert!(failed.is_none_or(|at| at + 1 == events.len()), "something comes after the end: {events:?}");
    if !opening.behind.is_empty() && !whole.is_empty() {
        assert!(failed.is_some(), "an acceptor says nothing more: {events:?}");
    }
}

/// Asserts that no prefix of `bytes` says anything else than all of them.
fn assert_read_alike<T: fmt::Debug + PartialEq>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<Option<T>, HandshakeError>,
) {
    let whole = decode(bytes);
    for end in 0..bytes.len().min(40) {
        let part = decode(&bytes[..end]);
        assert!(part == Ok(None) || part == whole, "{end} bytes: {part:?}, all: {whole:?}");
    }
}

/// What comes of an accepted connection: whether it can go on.
fn taken(versions: VersionRange, chunks: &[&[u8]]) -> Vec<String> {
    let mut inbound = Inbound::new(versions, InboundLimits::default());
    let mut scratch = Scratch::new();
    let mut seen = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        while let Some(event) = inbound.next(&mut input, &mut scratch) {
            let incompatible = match event {
                InboundEvent::Initiated { incompatible, .. } => Some(incompatible),
                _ => None,
            };
            seen.push(format!("{event:?}"));
            if let Some(incompatible) = incompatible {
                assert_eq!(inbound.version().is_none(), incompatible);
                // What lies behind belongs to frames.
                return seen;
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }
    seen
}

fn answered(initiate: Initiate, chunks: &[&[u8]]) -> Vec<OutboundEvent> {
    let mut outbound = Outbound::new(initiate);
    chunks.iter().filter_map(|chunk| outbound.handle_bytes(chunk)).collect()
}

/// Changes bytes where there are any.
pub(crate) fn damage(bytes: &mut [u8], damages: &[(u8, u8)]) {
    for (at, bits) in damages {
        if let Some(byte) = bytes.get_mut(usize::from(*at)) {
            *byte ^= bits;
        }
    }
}

/// `bytes` in pieces of these sizes, over and over; in one if there are none.
pub(crate) fn chunks<'b>(bytes: &'b [u8], sizes: &[u8]) -> Vec<&'b [u8]> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at(rest.len().min(usize::from(*size) + 1));
        chunks.push(chunk);
        rest = behind;
    }
    if !rest.is_empty() {
        chunks.push(rest);
    }
    chunks
}

pub(crate) fn written<E: fmt::Debug>(write: impl FnOnce(&mut Writer<'_>) -> Result<(), E>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut out = Writer::new(&mut buffer);
    write(&mut out).expect("the buffer is large");
    out.written().to_vec()
}

/// How an input of [`handshake`] reads.
pub(crate) fn show_handshake(data: &[u8]) -> String {
    show::<Opening<'_>>(data)
}
