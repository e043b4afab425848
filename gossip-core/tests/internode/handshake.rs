//! The handshake.

use super::*;

/// Every Initiate of `docs/protocol/handshake.md#initiate`: (kind, framing, min, max, bytes).
const INITIATES: [(ConnectionKind, Framing, u8, u8, &str); 6] = {
    use ConnectionKind::Messaging;
    use ConnectionType::{Large, Small, Urgent};
    [
        (Messaging(Urgent), Framing::Crc, 10, 12, "ca552dfa 0c0a0c11 067f0000011b58 d66821b5"),
        (Messaging(Urgent), Framing::Lz4, 10, 12, "ca552dfa 0c0a0c05 067f0000011b58 2e991e64"),
        (Messaging(Urgent), Framing::Crc, 12, 12, "ca552dfa 0c0c0c11 067f0000011b58 db7651f2"),
        (Messaging(Urgent), Framing::Crc, 12, 13, "ca552dfa 0d0c0c11 067f0000011b58 1af88e32"),
        (Messaging(Large), Framing::Crc, 12, 12, "ca552dfa 0c0c0c13 067f0000011b58 9953568f"),
        (Messaging(Small), Framing::Unprotected, 12, 12, "ca552dfa 0c0c0c02 067f0000011b58 2942673a"),
    ]
};

#[test]
fn c15_initiates_have_their_exact_bytes() {
    for (kind, framing, min, max, text) in INITIATES {
        assert_initiate(&Initiate { kind, framing, request: 12, min, max, from: LOOPBACK }, text);
    }
    let mut v6 = [0; 16];
    v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    v6[15] = 1;
    assert_initiate(
        &Initiate { from: Endpoint::v6(v6, 7000), ..initiate(Framing::Crc, 12, 12) },
        "ca552dfa 0c0c0c11 12 20010db8000000000000000000000001 1b58 52d4742a",
    );
}

#[test]
fn c15_acceptor_of_10_to_12_answers_with_its_exact_bytes() {
    let mut peer = Peer::new(VersionRange { min: 10, max: 12 });
    let seen = peer.feed(&hex("ca552dfa 0c0a0c11 067f0000011b58 d66821b5"));
    let accept = <[u8; 12]>::try_from(hex("0000000c 0000000c 26f5673a")).unwrap();
    assert_eq!(seen, [Seen::Initiated { accept, incompatible: false }]);
    assert_eq!(peer.inbound.version(), Some(V12));
}

#[test]
fn accepts_have_their_exact_bytes() {
    for (version, max, text) in [
        (12, 12, "0000000c 0000000c 26f5673a"),
        (12, 13, "0000000d 0000000c 1b954e8a"),
        (13, 13, "0000000d 0000000d 6c927e1c"),
        (12, 14, "0000000e 0000000c 5c35345a"),
    ] {
        let accept = Accept { max, version };
        let bytes = hex(text);
        assert_eq!(accept.to_bytes(), bytes[..]);
        let mut buffer = [0; 12];
        accept.encode(&mut Writer::new(&mut buffer)).unwrap();
        assert_eq!(buffer, bytes[..]);
        assert_eq!(accept.encode(&mut Writer::new(&mut buffer[..11])), Err(Full));
        assert_eq!(Accept::decode(&bytes), Ok(Some((accept, 12))));
        for len in 0..12 {
            assert_eq!(Accept::decode(&bytes[..len]), Ok(None));
        }
        let more = [bytes, vec![7; 3]].concat();
        assert_eq!(Accept::decode(&more), Ok(Some((accept, 12))), "whatever follows it");
    }
    assert_eq!(Accept::decode(&hex("0000000b")), Err(HandshakeError::LegacyReply { version: 11 }));
    assert_eq!(
        Accept::decode(&hex("0000000c 0000000c 26f5673b")),
        Err(HandshakeError::Crc { expected: 0x26f5_673a, found: 0x26f5_673b })
    );
}

#[test]
fn initiate_bits_that_no_sender_sets() {
    // Type 0, spare flag bits, and streaming whatever the type says.
    for (low, kind, framing) in [
        (0x10, ConnectionKind::Untyped, Framing::Crc),
        (0xf1, ConnectionKind::Messaging(ConnectionType::Urgent), Framing::Crc),
        (0x08, ConnectionKind::Streaming, Framing::Unprotected),
        (0x0b, ConnectionKind::Streaming, Framing::Unprotected),
    ] {
        let bytes = with_crc(&[0xca, 0x55, 0x2d, 0xfa, 12, 12, 12, low, 6, 127, 0, 0, 1, 0x1b, 0x58]);
        let expected = Initiate { kind, framing, ..initiate(Framing::Crc, 12, 12) };
        assert_eq!(Initiate::decode(&bytes), Ok(Some((expected, 19))));
    }
    for kind in [ConnectionKind::Untyped, ConnectionKind::Streaming] {
        let initiate = Initiate { kind, ..initiate(Framing::Unprotected, 12, 13) };
        assert_eq!(Initiate::decode(&encode_initiate(&initiate)), Ok(Some((initiate, 19))));
    }
}

#[test]
fn what_is_not_an_initiate() {
    let tls_hello = hex("16 03 01 02 00 01 00");
    assert_eq!(Initiate::decode(&tls_hello), Err(HandshakeError::Magic { found: 0x1603_0102 }));
    assert_eq!(
        Initiate::decode(&hex("ca552dfa 00000b00")),
        Err(HandshakeError::Legacy { request: 11, max: 0 }),
        "a pre-4.0 dialler"
    );
    for length in [0, 4, 5, 7, 16, 17, 19, 200] {
        let mut bytes = hex("ca552dfa 0c0c0c11");
        bytes.push(length);
        assert_eq!(Initiate::decode(&bytes), Err(HandshakeError::AddressLength { length }));
    }
}

#[test]
fn versions_are_negotiated_as_in_the_table() {
    for (dialler, acceptor, version, compatible) in [
        ((12, 12), (10, 12), 12, true),
        ((12, 13), (10, 12), 12, true),
        ((10, 12), (12, 13), 12, true),
        ((12, 13), (12, 13), 13, true),
        ((12, 14), (12, 13), 13, true),
        ((13, 13), (10, 12), 12, false),
        ((12, 12), (13, 13), 13, false),
    ] {
        assert_negotiation(dialler, acceptor, version, compatible);
    }
}

#[test]
fn c1_same_version() {
    assert_negotiation((10, 12), (10, 12), 12, true);
}

#[test]
fn c2_dialler_older_but_overlapping() {
    assert_negotiation((12, 13), (13, 14), 13, true);
}

#[test]
fn c3_dialler_newer_but_overlapping() {
    assert_negotiation((11, 13), (10, 12), 12, true);
}

#[test]
fn c4_dialler_too_new() {
    assert_negotiation((13, 13), (10, 12), 12, false);
}

#[test]
fn c5_dialler_too_old() {
    assert_negotiation((13, 13), (14, 15), 14, false);
}

#[test]
fn versions_that_have_no_frames_are_never_agreed_on() {
    let mut peer = Peer::new(VersionRange { min: 10, max: 11 });
    let seen = peer.feed(&encode_initiate(&initiate(Framing::Crc, 10, 12)));
    let accept = Accept { max: 11, version: 11 }.to_bytes();
    assert_eq!(seen, [Seen::Initiated { accept, incompatible: true }]);
}

#[test]
fn c12_corrupted_initiate_opens_no_connection() {
    let good = encode_initiate(&initiate(Framing::Crc, 10, 12));
    for at in 0..good.len() {
        for flip in 1..=255 {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            assert!(!matches!(Initiate::decode(&bytes), Ok(Some(_))), "byte {at} changed by {flip:#x}");
        }
    }
    let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
    let mut bytes = good.clone();
    bytes[9] ^= 1;
    assert!(matches!(
        peer.feed(&bytes)[..],
        [Seen::Failed(InboundError::Handshake(HandshakeError::Crc { .. }))]
    ));
    let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
    let mut bytes = good;
    bytes[0] ^= 1;
    assert_eq!(
        peer.feed(&bytes),
        [Seen::Failed(InboundError::Handshake(HandshakeError::Magic { found: 0xcb55_2dfa }))]
    );
}

#[test]
fn c13_accept_comes_once_after_the_last_byte() {
    let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
    let bytes = encode_initiate(&initiate(Framing::Crc, 12, 13));
    let (last, front) = bytes.split_last().unwrap();
    for (count, byte) in front.iter().enumerate() {
        assert_eq!(peer.feed(&[*byte]), []);
        assert_eq!(peer.inbound.buffered(), count + 1);
        assert_eq!(peer.inbound.peer(), None);
    }
    let accept = Accept { max: 13, version: 13 }.to_bytes();
    assert_eq!(peer.feed(&[*last]), [Seen::Initiated { accept, incompatible: false }]);
    assert_eq!(peer.inbound.buffered(), 0);
    assert_eq!(peer.feed(&crc_frame(&hex(ECHO_REQ))), [echo(1)]);
}

#[test]
fn c14_request_below_12_is_not_answered() {
    for (request, max) in [(11, 12), (12, 11)] {
        let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
        let mut bytes = encode_initiate(&Initiate { request, max, ..initiate(Framing::Crc, 10, 12) });
        bytes.extend(crc_frame(&hex(ECHO_REQ)));
        let error = InboundError::Handshake(HandshakeError::Legacy { request, max });
        assert_eq!(peer.feed(&bytes), [Seen::Failed(error)]);
        assert_eq!(peer.feed(&bytes), []);
    }
}

#[test]
fn c16_framing_3_is_refused() {
    let bytes = with_crc(&[0xca, 0x55, 0x2d, 0xfa, 12, 12, 12, 0x15, 6, 127, 0, 0, 1, 0x1b, 0x58]);
    let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
    let error = InboundError::Handshake(HandshakeError::Framing { id: 3 });
    assert_eq!(peer.feed(&bytes), [Seen::Failed(error)]);
}

#[test]
fn c18_identity_is_what_the_handshake_says() {
    let from = Endpoint::v4([10, 0, 0, 1], 7000);
    let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
    peer.feed(&encode_initiate(&Initiate { from, ..initiate(Framing::Crc, 12, 13) }));
    assert_eq!(peer.inbound.peer(), Some(from));
}

#[test]
fn streaming_is_refused() {
    let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
    let kind = ConnectionKind::Streaming;
    let bytes = encode_initiate(&Initiate { kind, ..initiate(Framing::Unprotected, 12, 12) });
    assert_eq!(peer.feed(&bytes), [Seen::Failed(InboundError::Streaming)]);
}

/// The handshake that a node of 6.0 and a guest have with each other, either way.
#[test]
fn version_14_is_accepted_from_nodes_of_6_0() {
    let mut peer = Peer::new(VersionRange::SUPPORTED);
    let initiate = hex("ca552dfa 0e0c0c11 067f00008f1b58 68b1deb9");
    let accept = hex("0000000e 0000000e b23b5576");
    let seen = peer.feed(&initiate);
    let [Seen::Initiated { accept: answer, incompatible: false }] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(answer[..], accept);
    assert_eq!(peer.inbound.version(), Some(MessagingVersion::V14));
    let from = Endpoint::v4([127, 0, 0, 143], 7000);
    let ours = Initiate::messaging(ConnectionType::Urgent, Framing::Crc, VersionRange::SUPPORTED, from);
    assert_eq!(encode_initiate(&ours), initiate);
    let mut outbound = Outbound::new(ours);
    let established = OutboundEvent::Established { version: MessagingVersion::V14, peer_max: 14 };
    assert_eq!(outbound.handle_bytes(&accept), Some(established));
}

#[test]
fn an_incompatible_connection_is_answered_and_goes_no_further() {
    let mut peer = Peer::new(VersionRange::WITHOUT_METADATA);
    let mut bytes = encode_initiate(&initiate(Framing::Crc, 14, 14));
    bytes.extend(crc_frame(&hex(ECHO_REQ)));
    let accept = Accept { max: 13, version: 13 }.to_bytes();
    assert_eq!(peer.feed(&bytes), [Seen::Initiated { accept, incompatible: true }]);
    assert_eq!(peer.feed(&crc_frame(&hex(ECHO_REQ))), []);
    assert_eq!((peer.inbound.version(), peer.inbound.buffered()), (None, 0));
}

#[test]
fn a_dialled_connection_takes_its_answer_and_nothing_else() {
    let accept = Accept { max: 14, version: 13 }.to_bytes();
    let mut outbound = Outbound::new(initiate(Framing::Crc, 12, 13));
    let mut buffer = [0; Initiate::MAX_SIZE];
    let mut out = Writer::new(&mut buffer);
    outbound.initiate_bytes(&mut out).unwrap();
    assert_eq!(out.written(), hex("ca552dfa 0d0c0c11 067f0000011b58 1af88e32"));

    assert_eq!(outbound.handle_bytes(&accept[..5]), None);
    assert_eq!(outbound.handle_bytes(&[]), None);
    let established = OutboundEvent::Established { version: MessagingVersion::V13, peer_max: 14 };
    assert_eq!(outbound.handle_bytes(&accept[5..]), Some(established));
    let failed = OutboundEvent::Failed(OutboundError::BytesAfterAccept { bytes: 2 });
    assert_eq!(outbound.handle_bytes(&[1, 2]), Some(failed));
    assert_eq!(outbound.handle_bytes(&accept), None);

    let mut outbound = Outbound::new(initiate(Framing::Crc, 12, 13));
    let mut more = accept.to_vec();
    more.extend([1, 2]);
    assert_eq!(outbound.handle_bytes(&more), Some(failed));
}

#[test]
fn a_dialled_connection_fails_by_what_is_wrong_with_the_answer() {
    let answer = |bytes: &[u8]| match Outbound::new(initiate(Framing::Crc, 12, 13)).handle_bytes(bytes) {
        Some(OutboundEvent::Failed(error)) => Some(error),
        _ => None,
    };
    assert_eq!(
        answer(&hex("0000000b")),
        Some(OutboundError::Handshake(HandshakeError::LegacyReply { version: 11 }))
    );
    assert_eq!(
        answer(&hex("0000000c 0000000c 26f56700")),
        Some(OutboundError::Handshake(HandshakeError::Crc { expected: 0x26f5_673a, found: 0x26f5_6700 }))
    );
    let ours = VersionRange { min: 12, max: 13 };
    assert_eq!(
        answer(&Accept { max: 14, version: 14 }.to_bytes()),
        Some(OutboundError::Incompatible { version: 14, peer_max: 14, ours })
    );
}
