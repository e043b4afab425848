//! What holds for all streams.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn d1_random_frames_come_out_in_order(
        framing in prop::sample::select(&Framing::ALL[..]),
        sizes in prop::collection::vec(prop_oneof![4 => 1_usize..600, 1 => 1_usize..32_768], 1..8),
        seed: u64,
        chunks in prop::collection::vec(prop_oneof![1_usize..20, 1_usize..40_000], 1..20),
    ) {
        let bodies: Vec<Vec<u8>> =
            sizes.iter().zip(seed..).map(|(size, seed)| random_runs(*size, seed)).collect();
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (id, body) in (1..).zip(&bodies) {
            let verb = Verb::GOSSIP_DIGEST_ACK2;
            bytes.extend(frame(framing, FrameKind::SelfContained, &message(id, verb, body)));
            expected.push(Seen::Message { id, verb, payload: body.clone() });
        }
        let mut peer = connected(framing);
        prop_assert_eq!(peer.feed_in_chunks(&bytes, &chunks), expected);
        prop_assert_eq!(peer.inbound.buffered(), 0);
    }
}

/// What a random stream is made of.
#[derive(Clone, Debug)]
enum Part {
    Message { verb: u64, len: usize, kind: FrameKind },
    Large { verb: u64, len: usize, piece: usize },
    Noise { bytes: Vec<u8>, kind: FrameKind },
    Block { bytes: Vec<u8>, announced: usize },
    Flipped { at: usize },
    Raw(Vec<u8>),
}

fn part() -> impl Strategy<Value = Part> {
    let verb = || prop::sample::select(&[14_u64, 15, 31, 37, 28, 200][..]);
    let kind = || prop::sample::select(&[FrameKind::SelfContained, FrameKind::Piece][..]);
    let bytes = || prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        4 => (verb(), 0_usize..300, kind()).prop_map(|(verb, len, kind)| Part::Message { verb, len, kind }),
        4 => (verb(), 0_usize..3_000, 13_usize..900)
            .prop_map(|(verb, len, piece)| Part::Large { verb, len, piece }),
        1 => (bytes(), kind()).prop_map(|(bytes, kind)| Part::Noise { bytes, kind }),
        1 => (bytes(), 1_usize..2_000).prop_map(|(bytes, announced)| Part::Block { bytes, announced }),
        1 => (0_usize..500).prop_map(|at| Part::Flipped { at }),
        1 => bytes().prop_map(Part::Raw),
    ]
}

fn stream(framing: Framing, parts: &[Part]) -> Vec<u8> {
    let mut bytes = encode_initiate(&initiate(framing, 12, 13));
    for (id, part) in (1..).zip(parts) {
        match part {
            Part::Message { verb, len, kind } => {
                bytes.extend(frame(framing, *kind, &message(id, Verb::new(*verb), &runs(*len))));
            }
            Part::Large { verb, len, piece } => {
                for piece in message(id, Verb::new(*verb), &runs(*len)).chunks(*piece) {
                    bytes.extend(frame(framing, FrameKind::Piece, piece));
                }
            }
            Part::Noise { bytes: noise, kind } => bytes.extend(stored_frame(framing, *kind, noise)),
            Part::Block { bytes: block, announced } if framing == Framing::Lz4 => {
                bytes.extend(lz4_frame(block, *announced));
            }
            Part::Flipped { at } => {
                if let Some(byte) = bytes.iter_mut().rev().nth(*at) {
                    *byte ^= 0x10;
                }
            }
            Part::Raw(raw) => bytes.extend(raw),
            Part::Block { .. } => {}
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn chunking_changes_nothing_of_what_is_seen(
        framing in prop::sample::select(&Framing::ALL[..]),
        parts in prop::collection::vec(part(), 0..12),
        chunks in prop::collection::vec(prop_oneof![1_usize..20, 1_usize..3_000], 1..20),
    ) {
        let bytes = stream(framing, &parts);
        let mut whole = Peer::new(VersionRange::WITHOUT_METADATA);
        let mut cut = Peer::new(VersionRange::WITHOUT_METADATA);
        let seen = whole.feed(&bytes);
        prop_assert_eq!(&cut.feed_in_chunks(&bytes, &chunks), &seen);
        prop_assert_eq!(cut.inbound.buffered(), whole.inbound.buffered());
        let failed = seen.iter().position(|event| matches!(event, Seen::Failed(_)));
        prop_assert!(failed.is_none_or(|at| at + 1 == seen.len()));
    }

    #[test]
    fn headers_round_trip(
        id: u64, epoch: i64, created_at: u32, expires_in: i64, verb: u64, flags: u64,
        payload_size in 0_usize..=0x7fff_ffff,
    ) {
        for version in [V12, MessagingVersion::V13, MessagingVersion::V14] {
            let epoch = if version == MessagingVersion::V14 { epoch } else { 0 };
            let (verb, params) = (Verb::new(verb), Params::NONE);
            let header = Header { id, epoch, created_at, expires_in, verb, flags, params, payload_size };
            let bytes = encode_header(version, &header);
            prop_assert_eq!(bytes.len(), header.encoded_len(version));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Header::decode(&mut reader, version), Ok(header));
            prop_assert!(reader.is_empty());
        }
    }
}
