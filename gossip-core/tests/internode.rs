//! The connection layer: the byte examples of `internode.md` and the scenarios of its families B, C and D.

use gossip_core::internode::{
    Accept, CRC_HEADER, CRC_TRAILER, ConnectionKind, ConnectionType, CrossNodeTimeout, FrameEncodeError,
    FrameHeader, FrameKind, Framing, HandshakeError, Header, Inbound, InboundError, InboundEvent,
    InboundLimits, Initiate, Lz4Encoder, MAX_FRAME_PAYLOAD, MAX_HEADER, MessageLoss, Outbound, OutboundError,
    OutboundEvent, Param, Params, Scratch, VersionRange, created_at_millis, infer_size, negotiate, wrap,
};
use gossip_core::message::{Codec, Message};
use gossip_core::wire::{DecodeError, Full, Reader, Writer, crc24, crc32};
use gossip_core::{Endpoint, MessagingVersion, Verb};
use proptest::prelude::*;

const V12: MessagingVersion = MessagingVersion::V12;
const CREATED: u64 = 1_700_000_000_000;
const CREATED_LOW: u32 = 0xcfe5_6800;
const LOOPBACK: Endpoint = Endpoint::v4([127, 0, 0, 1], 7000);
const PROTECTED: [Framing; 2] = [Framing::Lz4, Framing::Crc];

const ECHO_REQ: &str = "01 cf e5 68 00 a7 10 1f 00 00 00";
const SYN: &str = "
    02 cf e5 68 00 c4 93 e0 0e 00 00 5d 00 0c 54 65
    73 74 20 43 6c 75 73 74 65 72 00 2b 6f 72 67 2e
    61 70 61 63 68 65 2e 63 61 73 73 61 6e 64 72 61
    2e 64 68 74 2e 4d 75 72 6d 75 72 33 50 61 72 74
    69 74 69 6f 6e 65 72 00 00 00 02 06 0a 00 00 01
    1b 58 65 53 f1 00 00 00 00 2a 06 0a 00 00 02 1b
    58 65 53 f1 64 00 00 00 07";
const LZ4_SYN_FRAME: &str = "
    cd 00 00 02 04 fe c8 68 f5 60 03 cf e5 68 00 c4
    93 e0 0e 00 00 80 f3 00 0c 54 65 73 74 20 43 6c
    75 73 74 65 72 00 2b 6f 72 67 2e 61 70 61 63 68
    65 2e 63 61 73 73 61 6e 64 72 61 2e 64 68 74 2e
    4d 75 72 6d 75 72 33 50 61 72 74 69 74 69 6f 6e
    65 72 00 00 00 0c 06 0a 00 00 01 1b 58 65 53 f1
    00 00 00 00 01 06 0a 00 00 02 1b 58 65 53 f1 00
    00 00 00 02 06 0a 00 00 03 1e 00 65 03 06 0a 00
    00 04 1e 00 65 04 06 0a 00 00 05 0f 00 65 05 06
    0a 00 00 06 0f 00 65 06 06 0a 00 00 07 0f 00 65
    07 06 0a 00 00 08 0f 00 65 08 06 0a 00 00 09 0f
    00 65 09 06 0a 00 00 0a 0f 00 65 0a 06 0a 00 00
    0b 0f 00 f0 01 0b 06 0a 00 00 0c 1b 58 65 53 f1
    00 00 00 00 0c 76 27 d4 e6";

// --- Handshake ---

/// Every Initiate of `internode.md` §3.2: (kind, framing, min, max, bytes).
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
    let mut peer = Peer::new(VersionRange::SUPPORTED);
    let mut bytes = good.clone();
    bytes[9] ^= 1;
    assert!(matches!(
        peer.feed(&bytes)[..],
        [Seen::Failed(InboundError::Handshake(HandshakeError::Crc { .. }))]
    ));
    let mut peer = Peer::new(VersionRange::SUPPORTED);
    let mut bytes = good;
    bytes[0] ^= 1;
    assert_eq!(
        peer.feed(&bytes),
        [Seen::Failed(InboundError::Handshake(HandshakeError::Magic { found: 0xcb55_2dfa }))]
    );
}

#[test]
fn c13_accept_comes_once_after_the_last_byte() {
    let mut peer = Peer::new(VersionRange::SUPPORTED);
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
        let mut peer = Peer::new(VersionRange::SUPPORTED);
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
    let mut peer = Peer::new(VersionRange::SUPPORTED);
    let error = InboundError::Handshake(HandshakeError::Framing { id: 3 });
    assert_eq!(peer.feed(&bytes), [Seen::Failed(error)]);
}

#[test]
fn c18_identity_is_what_the_handshake_says() {
    let from = Endpoint::v4([10, 0, 0, 1], 7000);
    let mut peer = Peer::new(VersionRange::SUPPORTED);
    peer.feed(&encode_initiate(&Initiate { from, ..initiate(Framing::Crc, 12, 13) }));
    assert_eq!(peer.inbound.peer(), Some(from));
}

#[test]
fn streaming_is_refused() {
    let mut peer = Peer::new(VersionRange::SUPPORTED);
    let kind = ConnectionKind::Streaming;
    let bytes = encode_initiate(&Initiate { kind, ..initiate(Framing::Unprotected, 12, 12) });
    assert_eq!(peer.feed(&bytes), [Seen::Failed(InboundError::Streaming)]);
}

#[test]
fn an_incompatible_connection_is_answered_and_goes_no_further() {
    let mut peer = Peer::new(VersionRange::SUPPORTED);
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

// --- Message header ---

#[test]
fn headers_have_their_exact_bytes() {
    let echo = header(1, Verb::ECHO_REQ, 0);
    let v14 = MessagingVersion::V14;
    for (version, header, text) in [
        (V12, echo, ECHO_REQ),
        (
            V12,
            echo.response(Verb::ECHO_RSP, 0, CREATED + 10_000, CREATED + 3),
            "01 cfe56803 a70d 5b 00 00 00",
        ),
        (V12, header(4, Verb::PING_REQ, 1), "04 cfe56800 a710 25 00 00 01"),
        (V12, header(5, Verb::GOSSIP_SHUTDOWN, 0), "05 cfe56800 a710 1d 00 00 00"),
        (MessagingVersion::V13, header(5, Verb::GOSSIP_SHUTDOWN, 119), "05 cfe56800 a710 1d 00 00 77"),
        (V12, header(6, Verb::FAILURE_RSP, 1), "06 cfe56800 a710 63 00 00 01"),
        (v14, Header { epoch: 5, ..echo }, "01 05 cfe56800 a710 1f 00 00 00"),
        (V12, Header { expires_in: 300_000, ..header(2, Verb::GOSSIP_DIGEST_SYN, 93) }, &SYN[..40]),
    ] {
        assert_header(version, &header, &hex(text));
    }
    let mut buffer = [0; 8];
    let params = Params::new(&[Param { id: 6, value: &[1] }], &mut buffer).unwrap();
    let flags = Header::CALL_BACK_ON_FAILURE;
    let traced = Header { flags, params, ..header(9, Verb::ECHO_REQ, 0) };
    assert_header(V12, &traced, &hex("09 cfe56800 a710 1f 01 01 06 01 01 00"));
}

#[test]
fn whole_messages_decode() {
    for (text, verb, body) in [
        ("04 cfe56800 a710 25 00 00 01 01", Verb::PING_REQ, &[1][..]),
        ("06 cfe56800 a710 63 00 00 01 00", Verb::FAILURE_RSP, &[0]),
    ] {
        let bytes = hex(text);
        let mut reader = Reader::new(&bytes);
        let header = Header::decode(&mut reader, V12).unwrap();
        assert_eq!((header.verb, reader.rest()), (verb, body));
    }
    let bytes = hex(SYN);
    assert_eq!(bytes.len(), 105);
    let mut reader = Reader::new(&bytes);
    let header = Header::decode(&mut reader, V12).unwrap();
    let Some(Ok(Message::Syn(syn))) = Message::decode(header.verb, reader.rest(), Codec::new(V12)) else {
        panic!("not a SYN")
    };
    assert_eq!(syn.digests.iter().count(), 2);
}

#[test]
fn the_longest_header_is_as_long_as_the_constant_says() {
    let longest = Header {
        id: u64::MAX,
        epoch: u64::MAX,
        created_at: u32::MAX,
        expires_in: -1,
        verb: Verb::new(u64::MAX),
        flags: u64::MAX,
        params: Params::NONE,
        payload_size: usize::MAX,
    };
    let mut buffer = [0; MAX_HEADER];
    let mut out = Writer::new(&mut buffer);
    longest.encode(MessagingVersion::V14, &mut out).unwrap();
    assert_eq!(longest.encoded_len(MessagingVersion::V14), out.len());
    assert!(out.len() <= MAX_HEADER);
    if usize::BITS == 64 {
        assert_eq!(out.len(), MAX_HEADER);
    }
    let mut reader = Reader::new(out.written());
    let error = DecodeError::TooLong { field: "the payload size", length: usize::MAX as u64 };
    assert_eq!(Header::decode(&mut reader, MessagingVersion::V14), Err(error));
    let too_short = &mut [0; MAX_HEADER - 5];
    assert_eq!(longest.encode(MessagingVersion::V14, &mut Writer::new(too_short)), Err(Full));
}

#[test]
fn b1_size_is_known_as_soon_as_the_payload_length_is() {
    let mut buffer = [0; 64];
    let params =
        Params::new(&[Param { id: 5, value: &[7; 16] }, Param { id: 6, value: &[1] }], &mut buffer).unwrap();
    for version in [V12, MessagingVersion::V13, MessagingVersion::V14] {
        let header = Header { flags: 3, params, ..header(1, Verb::new(11), 4) };
        let mut bytes = encode_header(version, &header);
        let header_len = bytes.len();
        bytes.extend([1, 2, 3, 4]);
        for len in 0..header_len {
            assert_eq!(infer_size(&bytes[..len], version), Ok(None));
        }
        for len in header_len..=bytes.len() {
            assert_eq!(infer_size(&bytes[..len], version), Ok(Some(bytes.len())));
        }
    }
    let mut huge = encode_header(V12, &header(1, Verb::ECHO_REQ, 0));
    huge.pop();
    huge.extend([0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    let error = DecodeError::TooLong { field: "the payload size", length: 1 << 63 };
    assert_eq!(infer_size(&huge, V12), Err(error));
}

#[test]
fn b2_headers_survive_the_round_trip() {
    let mut buffer = [0; 64];
    let list = [Param { id: 5, value: &[7; 16] }, Param { id: 6, value: &[1] }];
    let some = Params::new(&list, &mut buffer).unwrap();
    for version in [V12, MessagingVersion::V13, MessagingVersion::V14] {
        for params in [Params::NONE, some] {
            for flags in [0, 1, 3, u64::MAX] {
                for payload in [&[][..], &[1, 2, 3]] {
                    let header = Header { flags, params, ..header(1, Verb::new(11), payload.len()) };
                    let mut bytes = encode_header(version, &header);
                    bytes.extend(payload);
                    let mut reader = Reader::new(&bytes);
                    let decoded = Header::decode(&mut reader, version).unwrap();
                    assert_eq!(decoded, header);
                    assert_eq!(decoded.params.len(), if params.is_empty() { 0 } else { 2 });
                    assert_eq!(reader.rest(), payload);
                }
            }
        }
    }
    assert!(some.iter().eq(list));
}

#[test]
fn b3_predicted_size_is_the_written_size() {
    for (expires_in, size) in [(-1, 9), (1 << 6, 1), (1 << 13, 2)] {
        let header = Header { expires_in, ..header(1, Verb::ECHO_REQ, 0) };
        let bytes = encode_header(V12, &header);
        assert_eq!(bytes.len(), header.encoded_len(V12));
        assert_eq!(bytes.len(), 9 + size);
        assert_eq!(Header::decode(&mut Reader::new(&bytes), V12), Ok(header));
    }
}

#[test]
fn b4_custom_params_survive_the_round_trip() {
    let list = [
        Param { id: 14, value: b"\x02\x07custom1\x03\x01\x02\x03\x07custom2\x00" },
        Param { id: 300, value: &[9; 200] },
    ];
    let mut buffer = [0; 512];
    let header = Header { params: Params::new(&list, &mut buffer).unwrap(), ..header(1, Verb::ECHO_REQ, 0) };
    let bytes = encode_header(V12, &header);
    assert_eq!(bytes.len(), header.encoded_len(V12));
    let decoded = Header::decode(&mut Reader::new(&bytes), V12).unwrap();
    assert!(decoded.params.iter().eq(list));
    assert_eq!(Params::new(&list, &mut [0; 20]), Err(Full));
}

#[test]
fn b5_unknown_param_is_passed_over() {
    let mut buffer = [0; 16];
    let params = Params::new(&[Param { id: 63, value: &[1, 2, 3, 4, 5] }], &mut buffer).unwrap();
    let bytes = encode_header(V12, &Header { params, ..header(1, Verb::ECHO_REQ, 0) });
    assert_eq!(connected(Framing::Crc).feed(&crc_frame(&bytes)), [echo(1)]);
}

#[test]
fn b6_creation_time_is_restored_across_the_wrap() {
    assert_eq!(created_at_millis(0xffff_fff0, 0x18c_0000_0064), 0x18b_ffff_fff0);
    assert_eq!(created_at_millis(100, 0x18b_ffff_fff0), 0x18c_0000_0064);
    assert_eq!(created_at_millis(CREATED_LOW, CREATED + 5), CREATED);
    assert_eq!(created_at_millis(0xffff_ffff, 5), 5, "before the epoch there is nothing");
}

#[test]
fn b7_a_bad_clock_is_disregarded() {
    const MINUTE: u64 = 60_000;
    for now in [CREATED, 0x18c_0000_0064, 0x18b_ffff_fff0] {
        for (minutes, kept) in [(14, true), (15, true), (16, false)] {
            for sent in [now - minutes * MINUTE, now + minutes * MINUTE] {
                let low = u32::try_from(sent & 0xffff_ffff).unwrap();
                assert_eq!(created_at_millis(low, now), if kept { sent } else { now }, "{minutes} minutes");
            }
        }
    }
}

#[test]
fn b8_expired_on_arrival() {
    let echo = header(1, Verb::ECHO_REQ, 0);
    let now = CREATED + 11_000;
    assert!(echo.is_expired(now, CrossNodeTimeout::Enabled));
    assert!(!echo.is_expired(now, CrossNodeTimeout::Disabled));
    assert_eq!(echo.expires_at(now, CrossNodeTimeout::Disabled), now + 10_000);
    assert!(!echo.is_expired(CREATED + 9_999, CrossNodeTimeout::Enabled));
    for expires_in in [0, -1] {
        let late = Header { expires_in, ..echo };
        assert!(late.is_expired(CREATED, CrossNodeTimeout::Enabled));
        assert!(late.is_expired(CREATED, CrossNodeTimeout::Disabled));
    }
}

#[test]
fn b9_response_ends_with_its_request() {
    let request = header(1, Verb::ECHO_REQ, 0);
    let expires_at = request.expires_at(CREATED, CrossNodeTimeout::Enabled);
    let response = request.response(Verb::ECHO_RSP, 0, expires_at, CREATED + 3);
    assert_eq!((response.id, response.expires_in), (1, 9_997));
    assert_eq!(response.created_at, CREATED_LOW + 3);
    let late = request.response(Verb::ECHO_RSP, 0, expires_at, CREATED + 10_001);
    assert_eq!(late.expires_in, -1);
}

// --- Frames ---

#[test]
fn frame_headers_have_their_exact_bytes() {
    use FrameKind::{Piece, SelfContained};
    for (len, kind, text) in [
        (0, SelfContained, "00 00 02 6a 36 c4"),
        (5, SelfContained, "05 00 02 19 99 9a"),
        (5, Piece, "05 00 00 04 48 23"),
        (11, SelfContained, "0b 00 02 94 08 11"),
        (11, Piece, "0b 00 00 89 d9 a8"),
        (131_071, SelfContained, "ff ff 03 25 40 47"),
        (131_071, Piece, "ff ff 01 38 91 fe"),
        (32_768, Piece, "00 80 00 7b d7 49"),
        (4_464, Piece, "70 11 00 f5 01 aa"),
        (105, SelfContained, "69 00 02 51 94 a2"),
    ] {
        for framing in [Framing::Crc, Framing::Unprotected] {
            let frame = frame(framing, kind, &vec![0; len]);
            assert_eq!(frame[..6], hex(text)[..]);
            let decoded = FrameHeader { kind, len, decompressed: None };
            assert_eq!(FrameHeader::decode(framing, &frame), Ok(Some(decoded)));
            assert_eq!(FrameHeader::decode(framing, &frame[..5]), Ok(None));
        }
    }
    let header = hex("64 00 90 01 04 56 9c 62");
    let decoded = FrameHeader { kind: SelfContained, len: 100, decompressed: Some(200) };
    assert_eq!(FrameHeader::decode(Framing::Lz4, &header), Ok(Some(decoded)));
    assert_eq!(FrameHeader::decode(Framing::Lz4, &header[..7]), Ok(None));
}

#[test]
fn spare_header_bits_are_ignored() {
    for framing in Framing::ALL {
        let mut frame = stored_frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ));
        let checked = framing.header_len() - 3;
        frame[checked - 1] |= 0xf8;
        let crc = crc24(&frame[..checked]).to_le_bytes();
        frame[checked..checked + 3].copy_from_slice(&crc[..3]);
        assert_eq!(connected(framing).feed(&frame), [echo(1)]);
    }
}

#[test]
fn d2_known_frame() {
    let text = "0b0002940811 01cfe56800a7101f000000 2decb97b";
    assert_eq!(crc_frame(&hex(ECHO_REQ)), hex(text));
    assert_eq!(connected(Framing::Crc).feed(&hex(text)), [echo(1)]);

    let text = "0b0002940811 01cfe56800a7101f000000";
    assert_eq!(frame(Framing::Unprotected, FrameKind::SelfContained, &hex(ECHO_REQ)), hex(text));
    assert_eq!(connected(Framing::Unprotected).feed(&hex(text)), [echo(1)]);

    let syn = crc_frame(&hex(SYN));
    assert_eq!((syn.len(), &syn[..6], &syn[111..]), (115, &hex("690002 5194a2")[..], &hex("5ba73df6")[..]));
    let payload = hex(SYN)[12..].to_vec();
    let expected = Seen::Message { id: 2, verb: Verb::GOSSIP_DIGEST_SYN, payload };
    assert_eq!(connected(Framing::Crc).feed(&syn), [expected]);
}

#[test]
fn d3_incompressible_is_stored() {
    let text = "0b00000004b33f91 01cfe56800a7101f000000 2decb97b";
    assert_eq!(frame(Framing::Lz4, FrameKind::SelfContained, &hex(ECHO_REQ)), hex(text));
    assert_eq!(stored_frame(Framing::Lz4, FrameKind::SelfContained, &hex(ECHO_REQ)), hex(text));
    let header = FrameHeader { kind: FrameKind::SelfContained, len: 11, decompressed: None };
    assert_eq!(FrameHeader::decode(Framing::Lz4, &hex(text)), Ok(Some(header)));
    assert_eq!(connected(Framing::Lz4).feed(&hex(text)), [echo(1)]);
}

#[test]
fn compressed_frame_of_the_worked_session() {
    let bytes = hex(LZ4_SYN_FRAME);
    let header = FrameHeader { kind: FrameKind::SelfContained, len: 205, decompressed: Some(256) };
    assert_eq!(FrameHeader::decode(Framing::Lz4, &bytes), Ok(Some(header)));
    let seen = connected(Framing::Lz4).feed(&bytes);
    let [Seen::Message { id: 3, verb: Verb::GOSSIP_DIGEST_SYN, payload }] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(payload.len(), 243);
    let Some(Ok(Message::Syn(syn))) = Message::decode(Verb::GOSSIP_DIGEST_SYN, payload, Codec::new(V12))
    else {
        panic!("not a SYN")
    };
    let ends = syn.digests.iter().map(|digest| (digest.endpoint, digest.max_version.get()));
    assert!(ends.eq((1..=12).map(|last| (Endpoint::v4([10, 0, 0, last], 7000), i32::from(last)))));

    // The other direction: another compressor may choose other bytes, of the same meaning.
    let mut message =
        encode_header(V12, &Header { expires_in: 300_000, ..self::header(3, Verb::GOSSIP_DIGEST_SYN, 243) });
    message.extend(payload);
    assert_eq!(message.len(), 256);
    let frame = frame(Framing::Lz4, FrameKind::SelfContained, &message);
    assert!(frame.len() < 256);
    assert_eq!(connected(Framing::Lz4).feed(&frame), seen);
}

#[test]
fn worked_session() {
    let mut acceptor = Peer::new(VersionRange { min: 12, max: 12 });
    let mut dialler = Outbound::new(initiate(Framing::Crc, 10, 12));
    let seen = acceptor.feed(&hex("ca552dfa 0c0a0c11 067f0000011b58 d66821b5"));
    let [Seen::Initiated { accept, incompatible: false }] = seen[..] else { panic!("{seen:?}") };
    assert_eq!(accept, hex("0000000c 0000000c 26f5673a")[..]);
    let established = OutboundEvent::Established { version: V12, peer_max: 12 };
    assert_eq!(dialler.handle_bytes(&accept), Some(established));
    let frame = hex("0b0002940811 01cfe56800a7101f000000 2decb97b");
    assert_eq!(acceptor.feed(&frame), [echo(1)]);
}

#[test]
fn d4_corrupt_frame_header_ends_the_connection() {
    for framing in Framing::ALL {
        let mut peer = connected(framing);
        let mut bytes = frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ));
        bytes[0] = 0xab;
        let seen = peer.feed(&bytes);
        assert!(matches!(seen[..], [Seen::Failed(InboundError::FrameHeader(_))]), "{seen:?}");
        assert_eq!(peer.feed(&frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ))), []);
        assert_eq!(peer.inbound.buffered(), 0);
    }
}

#[test]
fn d5_corrupt_payload_loses_the_frame_and_keeps_the_connection() {
    for framing in PROTECTED {
        for at in 0..11 {
            let mut bytes = frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ));
            bytes[framing.header_len() + at] ^= 0x40;
            bytes.extend(frame(framing, FrameKind::SelfContained, &message(2, Verb::ECHO_REQ, &[])));
            let expected = [Seen::FrameDropped { len: 11 }, echo(2)];
            assert_eq!(connected(framing).feed(&bytes), expected);
            assert_eq!(connected(framing).feed_in_pieces(&bytes, 3), expected);
        }
    }
}

#[test]
fn no_message_of_a_corrupt_frame_is_seen() {
    let mut payload = hex(ECHO_REQ);
    payload.extend(message(2, Verb::ECHO_REQ, &[]));
    let mut bytes = crc_frame(&payload);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(connected(Framing::Crc).feed(&bytes), [Seen::FrameDropped { len: 22 }]);
}

#[test]
fn d6_corrupt_first_piece_ends_the_connection() {
    for framing in PROTECTED {
        let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(70_000));
        let mut frames = pieces(framing, &large);
        frames[0][framing.header_len() + 100] ^= 1;
        let seen = connected(framing).feed(&frames.concat());
        assert!(matches!(seen[..], [Seen::Failed(InboundError::FirstPieceCrc { .. })]), "{seen:?}");
    }
}

#[test]
fn d6_corrupt_later_piece_loses_that_message_only() {
    for framing in PROTECTED {
        for bad in [1, 2] {
            let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(70_000));
            let mut frames = pieces(framing, &large);
            assert_eq!(frames.len(), 3);
            frames[bad][framing.header_len() + 10] ^= 1;
            frames.push(frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ)));
            frames.extend(pieces(framing, &large));
            let payload = runs(70_000);
            let expected = [
                Seen::MessageDropped(MessageLoss::Crc),
                echo(1),
                Seen::Message { id: 7, verb: Verb::GOSSIP_DIGEST_ACK, payload },
            ];
            assert_eq!(connected(framing).feed(&frames.concat()), expected);
            assert_eq!(connected(framing).feed_in_pieces(&frames.concat(), 1_000), expected);
        }
    }
}

#[test]
fn d7_large_message_comes_in_pieces() {
    let payload = runs(70_000 - 13);
    let large = message(7, Verb::GOSSIP_DIGEST_ACK, &payload);
    assert_eq!(large.len(), 70_000);
    let frames = pieces(Framing::Crc, &large);
    let sizes: Vec<usize> = frames.iter().map(|frame| frame.len() - CRC_HEADER - CRC_TRAILER).collect();
    assert_eq!(sizes, [32_768, 32_768, 4_464]);
    for (frame, text) in frames.iter().zip(["008000 7bd749", "008000 7bd749", "701100 f501aa"]) {
        assert_eq!(frame[..6], hex(text)[..]);
    }
    let expected = [Seen::Message { id: 7, verb: Verb::GOSSIP_DIGEST_ACK, payload }];
    for framing in Framing::ALL {
        assert_eq!(connected(framing).feed(&pieces(framing, &large).concat()), expected);
    }
}

#[test]
fn d8_longest_payload() {
    assert_eq!(MAX_FRAME_PAYLOAD, 131_071);
    let mut buffer = vec![0; 6 + 131_072 + 4];
    for framing in [Framing::Crc, Framing::Unprotected] {
        let refused = wrap(framing, FrameKind::SelfContained, &mut buffer, 6..6 + 131_072);
        assert_eq!(refused, Err(FrameEncodeError::TooLong { len: 131_072 }));
        let frame = wrap(framing, FrameKind::SelfContained, &mut buffer, 6..6 + 131_071);
        assert_eq!(frame, Ok(0..6 + 131_071 + framing.trailer_len()));
    }
    let mut encoder = Lz4Encoder::new();
    let mut out = vec![0; Lz4Encoder::room(131_072)];
    let refused = encoder.encode(FrameKind::SelfContained, &[0; 131_072], &mut out);
    assert_eq!(refused, Err(FrameEncodeError::TooLong { len: 131_072 }));

    for incompressible in [false, true] {
        let body = if incompressible { noise(131_071 - 13) } else { runs(131_071 - 13) };
        let longest = message(1, Verb::GOSSIP_DIGEST_ACK, &body);
        assert_eq!(longest.len(), 131_071);
        for framing in Framing::ALL {
            let bytes = frame(framing, FrameKind::SelfContained, &longest);
            let expected = [Seen::Message { id: 1, verb: Verb::GOSSIP_DIGEST_ACK, payload: body.clone() }];
            assert_eq!(connected(framing).feed(&bytes), expected);
        }
    }
}

#[test]
fn a_frame_needs_its_room() {
    let mut buffer = [0; 20];
    let mut wrapped = |payload| wrap(Framing::Crc, FrameKind::SelfContained, &mut buffer, payload);
    assert_eq!(wrapped(6..16), Ok(0..20));
    assert_eq!(wrapped(5..15), Err(FrameEncodeError::NoRoom));
    assert_eq!(wrapped(6..17), Err(FrameEncodeError::NoRoom));
    assert_eq!(wrapped(usize::MAX - 1..usize::MAX), Err(FrameEncodeError::NoRoom));
    let room = Lz4Encoder::room(11);
    let mut out = vec![0; room];
    let mut encoder = Lz4Encoder::new();
    let payload = hex(ECHO_REQ);
    for len in 0..room {
        let refused = encoder.encode(FrameKind::SelfContained, &payload, &mut out[..len]);
        assert_eq!(refused, Err(FrameEncodeError::NoRoom));
    }
    assert_eq!(encoder.encode(FrameKind::SelfContained, &payload, &mut out), Ok(23));
}

#[test]
fn d9_messages_of_one_frame_come_in_order() {
    let expired = Header { expires_in: -1, ..header(2, Verb::ECHO_REQ, 0) };
    let payload =
        [message(1, Verb::ECHO_REQ, &[]), encode_header(V12, &expired), message(3, Verb::ECHO_RSP, &[])]
            .concat();
    for framing in Framing::ALL {
        let bytes = frame(framing, FrameKind::SelfContained, &payload);
        let mut peer = connected(framing);
        let mut input = &bytes[..];
        let mut live = Vec::new();
        while let Some(event) = peer.inbound.next(&mut input, &mut peer.scratch) {
            let InboundEvent::Message { header, .. } = event else { panic!("{event:?}") };
            if !header.is_expired(CREATED, CrossNodeTimeout::Enabled) {
                live.push((header.id, header.verb));
            }
        }
        assert_eq!(live, [(1, Verb::ECHO_REQ), (3, Verb::ECHO_RSP)]);
        assert!(input.is_empty());
    }
}

#[test]
fn d17_unknown_verb_is_passed_over() {
    let unknown = message(2, Verb::new(200), &[1, 2, 3]);
    let far = message(3, Verb::new(1 << 40), &[]);
    let payload = [hex(ECHO_REQ), unknown, far, message(4, Verb::ECHO_RSP, &[])].concat();
    let expected = [
        echo(1),
        Seen::Skipped { verb: Verb::new(200), id: 2, size: 15 },
        Seen::Skipped { verb: Verb::new(1 << 40), id: 3, size: 16 },
        Seen::Message { id: 4, verb: Verb::ECHO_RSP, payload: vec![] },
    ];
    assert_eq!(connected(Framing::Crc).feed(&crc_frame(&payload)), expected);
}

// --- What a receiver makes of errors and oddities (internode.md §9, D.3) ---

#[test]
fn broken_lz4_block_ends_the_connection() {
    let payload = message(1, Verb::GOSSIP_DIGEST_ACK, &[7; 500]);
    let good = frame(Framing::Lz4, FrameKind::SelfContained, &payload);
    let len = payload.len();
    let Ok(Some(FrameHeader { len: sent, .. })) = FrameHeader::decode(Framing::Lz4, &good) else { panic!() };
    let block = &good[8..8 + sent];
    assert_eq!(connected(Framing::Lz4).feed(&lz4_frame(block, len)).len(), 1);
    // One byte less or more than announced, noise, and nothing at all.
    for (block, announced) in [(block, len - 1), (block, len + 1), (&[0xff; 40][..], len), (&[], len)] {
        let error = InboundError::Lz4 { announced };
        assert_eq!(connected(Framing::Lz4).feed(&lz4_frame(block, announced)), [Seen::Failed(error)]);
    }
}

#[test]
fn self_contained_frame_that_ends_inside_a_message_loses_its_rest() {
    let whole = message(2, Verb::GOSSIP_DIGEST_ACK, &[7; 40]);
    for framing in Framing::ALL {
        for len in 1..whole.len() {
            let payload = [&hex(ECHO_REQ)[..], &whole[..len]].concat();
            let bytes = [
                frame(framing, FrameKind::SelfContained, &payload),
                frame(framing, FrameKind::SelfContained, &message(3, Verb::ECHO_REQ, &[])),
            ]
            .concat();
            let expected = [echo(1), Seen::MessageDropped(MessageLoss::Truncated), echo(3)];
            assert_eq!(connected(framing).feed(&bytes), expected);
        }
    }
}

#[test]
fn empty_frames() {
    for framing in Framing::ALL {
        let bytes = [
            stored_frame(framing, FrameKind::SelfContained, &[]),
            frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ)),
        ]
        .concat();
        assert_eq!(connected(framing).feed(&bytes), [echo(1)]);
        assert_eq!(connected(framing).feed_in_pieces(&bytes, 1), [echo(1)]);
        let piece = stored_frame(framing, FrameKind::Piece, &[]);
        assert_eq!(connected(framing).feed(&piece), [Seen::Failed(InboundError::EmptyPiece)]);
    }
}

#[test]
fn first_piece_without_the_whole_header_ends_the_connection() {
    let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(70_000));
    for framing in Framing::ALL {
        for len in 1..13 {
            let bytes = frame(framing, FrameKind::Piece, &large[..len]);
            assert_eq!(connected(framing).feed(&bytes), [Seen::Failed(InboundError::PieceWithoutHeader)]);
        }
        assert_eq!(connected(framing).feed(&frame(framing, FrameKind::Piece, &large[..13])), []);
    }
}

#[test]
fn pieces_longer_than_their_message_lose_it_and_all_later_ones_in_pieces() {
    let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(40_000));
    for framing in Framing::ALL {
        let mut last = large[32_768..].to_vec();
        last.push(0);
        let bytes = [
            frame(framing, FrameKind::Piece, &large[..32_768]),
            frame(framing, FrameKind::Piece, &last),
            frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ)),
            pieces(framing, &large).concat(),
            frame(framing, FrameKind::SelfContained, &message(2, Verb::ECHO_REQ, &[])),
        ]
        .concat();
        let expected = [Seen::MessageDropped(MessageLoss::Overrun), echo(1), echo(2)];
        assert_eq!(connected(framing).feed(&bytes), expected);

        let both = [hex(ECHO_REQ), hex(ECHO_REQ)].concat();
        let bytes = frame(framing, FrameKind::Piece, &both);
        assert_eq!(connected(framing).feed(&bytes), [Seen::MessageDropped(MessageLoss::Overrun)]);
    }
}

#[test]
fn message_above_the_maximum_ends_the_connection() {
    let limits = InboundLimits { max_message: 1_000, ..InboundLimits::default() };
    for kind in [FrameKind::SelfContained, FrameKind::Piece] {
        for framing in Framing::ALL {
            let mut peer = connected_within(framing, limits);
            let fits = message(1, Verb::GOSSIP_DIGEST_ACK, &[7; 988]);
            assert_eq!(fits.len(), 1_000);
            assert_eq!(peer.feed(&frame(framing, kind, &fits)).len(), 1);
            let larger = message(1, Verb::GOSSIP_DIGEST_ACK, &[7; 989]);
            let (verb, size, limit) = (Verb::GOSSIP_DIGEST_ACK, 1_001, 1_000);
            let error = InboundError::MessageTooLarge { verb, size, limit };
            assert_eq!(peer.feed(&frame(framing, kind, &larger)), [Seen::Failed(error)]);
        }
    }
    let mut huge = message(1, Verb::ECHO_REQ, &[]);
    huge.pop();
    huge.extend([0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    let error = DecodeError::TooLong { field: "the payload size", length: 1 << 63 };
    for kind in [FrameKind::SelfContained, FrameKind::Piece] {
        let seen = connected(Framing::Crc).feed(&frame(Framing::Crc, kind, &huge));
        assert_eq!(seen, [Seen::Failed(InboundError::Header(error))]);
    }
}

#[test]
fn a_count_of_params_without_params_is_a_truncated_message() {
    let mut bytes = hex("01 cfe56800 a710 1f 00");
    bytes.extend([0xf1, 0, 0, 0, 0]);
    bytes.extend([0; 64]);
    let expected = [Seen::MessageDropped(MessageLoss::Truncated)];
    assert_eq!(connected(Framing::Crc).feed(&crc_frame(&bytes)), expected);
}

#[test]
fn unknown_flags_and_any_id_are_taken() {
    for (id, flags) in [(0, u64::MAX), (u64::MAX, 1 << 9)] {
        let bytes = encode_header(V12, &Header { flags, ..header(id, Verb::ECHO_REQ, 0) });
        assert_eq!(connected(Framing::Crc).feed(&crc_frame(&bytes)), [echo(id)]);
    }
}

#[test]
fn input_that_is_withdrawn_is_noticed() {
    let bytes = crc_frame(&[hex(ECHO_REQ), hex(ECHO_REQ)].concat());
    let Peer { mut inbound, mut scratch } = connected(Framing::Crc);
    assert!(matches!(inbound.next(&mut &bytes[..], &mut scratch), Some(InboundEvent::Message { .. })));
    let failed = InboundEvent::Failed(InboundError::InputWithdrawn);
    assert_eq!(inbound.next(&mut &bytes[..3], &mut scratch), Some(failed));
    assert_eq!(inbound.next(&mut &bytes[..], &mut scratch), None);
}

#[test]
fn small_messages_may_come_as_pieces() {
    let syn = hex(SYN);
    let expected = Seen::Message { id: 2, verb: Verb::GOSSIP_DIGEST_SYN, payload: syn[12..].to_vec() };
    for framing in Framing::ALL {
        let one = frame(framing, FrameKind::Piece, &syn);
        let two =
            [frame(framing, FrameKind::Piece, &syn[..50]), frame(framing, FrameKind::Piece, &syn[50..])]
                .concat();
        let seen = connected(framing).feed(&[one, two].concat());
        assert_eq!(seen, [expected.clone(), expected.clone()]);
    }
}

#[test]
fn self_contained_frame_between_pieces_is_read_on_its_own() {
    let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(70_000));
    for framing in Framing::ALL {
        let mut frames = pieces(framing, &large);
        frames.insert(1, frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ)));
        frames.insert(3, frame(framing, FrameKind::SelfContained, &message(2, Verb::ECHO_REQ, &[])));
        let ack = Seen::Message { id: 7, verb: Verb::GOSSIP_DIGEST_ACK, payload: runs(70_000) };
        let bytes = frames.concat();
        let expected = [echo(1), echo(2), ack];
        assert_eq!(connected(framing).feed(&bytes), expected);
        assert_eq!(connected(framing).feed_in_pieces(&bytes, 777), expected);
    }
}

#[test]
fn initiate_and_frames_may_share_a_segment() {
    for framing in Framing::ALL {
        let bytes = [
            encode_initiate(&initiate(framing, 12, 13)),
            frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ)),
            frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ)),
        ]
        .concat();
        let accept = Accept { max: 13, version: 13 }.to_bytes();
        let expected = [Seen::Initiated { accept, incompatible: false }, echo(1), echo(1)];
        for size in [1, 7, 19, 20, bytes.len()] {
            assert_eq!(Peer::new(VersionRange::SUPPORTED).feed_in_pieces(&bytes, size), expected);
        }
    }
}

#[test]
fn unwanted_large_messages_are_never_buffered() {
    let verb = Verb::new(28);
    // Beyond the maximum, too: it is there to protect memory.
    let limits = InboundLimits { max_message: 100_000, ..InboundLimits::default() };
    let large = message(7, verb, &runs(1_000_000));
    for framing in Framing::ALL {
        let mut peer = connected_within(framing, limits);
        let frames = pieces(framing, &large);
        let (first, rest) = frames.split_first().unwrap();
        let size = large.len();
        assert_eq!(peer.feed(first), [Seen::Skipped { verb, id: 7, size }]);
        for chunk in rest.concat().chunks(1_000) {
            assert_eq!(peer.feed(chunk), []);
            assert!(peer.inbound.buffered() < 8);
        }
        assert!(peer.inbound.capacity() <= 64);
        assert_eq!(peer.feed(&frame(framing, FrameKind::SelfContained, &hex(ECHO_REQ))), [echo(1)]);
    }
}

#[test]
fn an_announced_length_sizes_no_buffer() {
    let mut peer = connected(Framing::Crc);
    let mut huge = encode_header(V12, &header(7, Verb::GOSSIP_DIGEST_ACK, 15_000_000));
    huge.extend([0; 100]);
    assert_eq!(peer.feed(&frame(Framing::Crc, FrameKind::Piece, &huge)), []);
    assert!(peer.inbound.capacity() <= 2 * huge.len());
    let longest = stored_frame(Framing::Crc, FrameKind::SelfContained, &vec![0; MAX_FRAME_PAYLOAD]);
    assert_eq!(peer.feed(&longest[..100]), []);
    assert!(peer.inbound.capacity() <= 4 * huge.len());
}

// --- Memory ---

#[test]
fn whole_frames_need_no_memory() {
    let payload = [hex(SYN), hex(ECHO_REQ), message(9, Verb::new(200), &[7; 300])].concat();
    for framing in Framing::ALL {
        let mut peer = connected(framing);
        let frame = frame(framing, FrameKind::SelfContained, &payload);
        assert_eq!(peer.feed(&frame).len(), 3);
        let before = peer.inbound.buffer_growths();
        assert_eq!(before, u64::from(framing == Framing::Lz4), "only the scratch memory");
        for _ in 0..1_000 {
            assert_eq!(peer.feed(&frame).len(), 3);
        }
        assert_eq!(peer.inbound.buffer_growths(), before);
        assert_eq!(peer.inbound.buffered(), 0);
        assert_eq!(peer.inbound.capacity(), 0);
    }
}

#[test]
fn split_frames_and_pieces_reuse_their_buffers() {
    let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(100_000));
    for framing in Framing::ALL {
        let mut peer = connected(framing);
        let bytes =
            [pieces(framing, &large).concat(), frame(framing, FrameKind::SelfContained, &hex(SYN))].concat();
        assert_eq!(peer.feed_in_pieces(&bytes, 1_400).len(), 2);
        let before = peer.inbound.buffer_growths();
        assert!(before > 0);
        for _ in 0..10 {
            assert_eq!(peer.feed_in_pieces(&bytes, 1_400).len(), 2);
        }
        assert_eq!(peer.inbound.buffer_growths(), before);
        assert_eq!(peer.inbound.buffered(), 0);
    }
}

#[test]
fn the_buffer_of_a_very_large_message_is_released() {
    let mut peer = connected(Framing::Crc);
    let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(1_000_000));
    assert_eq!(peer.feed(&pieces(Framing::Crc, &large).concat()).len(), 1);
    assert_eq!(peer.inbound.capacity(), 0);
    // It was sized by doubling.
    assert!(peer.inbound.buffer_growths() < 10);
}

// --- Properties ---

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
        let mut whole = Peer::new(VersionRange::SUPPORTED);
        let mut cut = Peer::new(VersionRange::SUPPORTED);
        let seen = whole.feed(&bytes);
        prop_assert_eq!(&cut.feed_in_chunks(&bytes, &chunks), &seen);
        prop_assert_eq!(cut.inbound.buffered(), whole.inbound.buffered());
        let failed = seen.iter().position(|event| matches!(event, Seen::Failed(_)));
        prop_assert!(failed.is_none_or(|at| at + 1 == seen.len()));
    }

    #[test]
    fn headers_round_trip(
        id: u64, epoch: u64, created_at: u32, expires_in: i64, verb: u64, flags: u64,
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

// --- Helpers ---

/// An event without its borrows.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Initiated { accept: [u8; 12], incompatible: bool },
    Message { id: u64, verb: Verb, payload: Vec<u8> },
    Skipped { verb: Verb, id: u64, size: usize },
    FrameDropped { len: usize },
    MessageDropped(MessageLoss),
    Failed(InboundError),
}

fn echo(id: u64) -> Seen {
    Seen::Message { id, verb: Verb::ECHO_REQ, payload: vec![] }
}

/// An accepted connection and what it needs.
struct Peer {
    inbound: Inbound,
    scratch: Scratch,
}

impl Peer {
    fn new(versions: VersionRange) -> Self {
        Self { inbound: Inbound::new(versions, InboundLimits::default()), scratch: Scratch::new() }
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let mut input = bytes;
        let mut seen = Vec::new();
        while let Some(event) = self.inbound.next(&mut input, &mut self.scratch) {
            seen.push(match event {
                InboundEvent::Initiated { accept, incompatible, .. } => {
                    Seen::Initiated { accept, incompatible }
                }
                InboundEvent::Message { header, payload } => {
                    assert_eq!(header.payload_size, payload.len());
                    Seen::Message { id: header.id, verb: header.verb, payload: payload.to_vec() }
                }
                InboundEvent::Skipped { verb, id, size } => Seen::Skipped { verb, id, size },
                InboundEvent::FrameDropped { len } => Seen::FrameDropped { len },
                InboundEvent::MessageDropped { reason } => Seen::MessageDropped(reason),
                InboundEvent::Failed(error) => Seen::Failed(error),
            });
        }
        assert!(input.is_empty(), "all input is taken");
        seen
    }

    fn feed_in_pieces(&mut self, bytes: &[u8], size: usize) -> Vec<Seen> {
        bytes.chunks(size).flat_map(|chunk| self.feed(chunk)).collect()
    }

    fn feed_in_chunks(&mut self, bytes: &[u8], sizes: &[usize]) -> Vec<Seen> {
        let mut rest = bytes;
        let mut seen = Vec::new();
        for size in sizes.iter().cycle() {
            let (chunk, after) = rest.split_at((*size).min(rest.len()));
            seen.extend(self.feed(chunk));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        seen
    }
}

fn connected(framing: Framing) -> Peer {
    connected_within(framing, InboundLimits::default())
}

fn connected_within(framing: Framing, limits: InboundLimits) -> Peer {
    let mut peer = Peer { inbound: Inbound::new(VersionRange::SUPPORTED, limits), scratch: Scratch::new() };
    let seen = peer.feed(&encode_initiate(&initiate(framing, 12, 12)));
    assert!(matches!(seen[..], [Seen::Initiated { incompatible: false, .. }]));
    peer
}

fn initiate(framing: Framing, min: u8, max: u8) -> Initiate {
    let versions = VersionRange { min, max };
    Initiate { request: 12, ..Initiate::messaging(ConnectionType::Urgent, framing, versions, LOOPBACK) }
}

fn encode_initiate(initiate: &Initiate) -> Vec<u8> {
    let mut buffer = [0; Initiate::MAX_SIZE];
    let mut out = Writer::new(&mut buffer);
    initiate.encode(&mut out).expect("it is no longer than the longest");
    out.written().to_vec()
}

fn assert_initiate(initiate: &Initiate, text: &str) {
    let bytes = hex(text);
    assert_eq!(encode_initiate(initiate), bytes);
    assert_eq!(Initiate::decode(&bytes), Ok(Some((*initiate, bytes.len()))));
    for len in 0..bytes.len() {
        assert_eq!(Initiate::decode(&bytes[..len]), Ok(None));
    }
    let more = [&bytes[..], &[1, 2, 3]].concat();
    assert_eq!(Initiate::decode(&more), Ok(Some((*initiate, bytes.len()))));
    assert_eq!(initiate.encode(&mut Writer::new(&mut vec![0; bytes.len() - 1])), Err(Full));
}

/// Checks the outcome in the pure function and on both ends of a connection.
fn assert_negotiation(dialler: (u8, u8), acceptor: (u8, u8), version: u32, compatible: bool) {
    let range = |(min, max)| VersionRange { min, max };
    let negotiated = negotiate(range(dialler), range(acceptor));
    let accept = Accept { max: u32::from(acceptor.1), version };
    assert_eq!((negotiated.accept, negotiated.compatible), (accept, compatible));

    let initiate = initiate(Framing::Crc, dialler.0, dialler.1);
    let mut inbound = Peer::new(range(acceptor));
    let accept = accept.to_bytes();
    let seen = inbound.feed(&encode_initiate(&initiate));
    assert_eq!(seen, [Seen::Initiated { accept, incompatible: !compatible }]);
    let known = MessagingVersion::from_number(version).filter(|_| compatible);
    assert_eq!(inbound.inbound.version(), known);

    let peer_max = u32::from(acceptor.1);
    let expected = match known {
        Some(version) => OutboundEvent::Established { version, peer_max },
        None => {
            OutboundEvent::Failed(OutboundError::Incompatible { version, peer_max, ours: range(dialler) })
        }
    };
    assert_eq!(Outbound::new(initiate).handle_bytes(&accept), Some(expected));
}

fn header(id: u64, verb: Verb, payload_size: usize) -> Header<'static> {
    Header {
        id,
        epoch: 0,
        created_at: CREATED_LOW,
        expires_in: 10_000,
        verb,
        flags: 0,
        params: Params::NONE,
        payload_size,
    }
}

fn encode_header(version: MessagingVersion, header: &Header<'_>) -> Vec<u8> {
    let mut buffer = [0; 1_024];
    let mut out = Writer::new(&mut buffer);
    header.encode(version, &mut out).expect("the buffer is large");
    out.written().to_vec()
}

fn assert_header(version: MessagingVersion, header: &Header<'_>, bytes: &[u8]) {
    assert_eq!(encode_header(version, header), bytes);
    assert_eq!(header.encoded_len(version), bytes.len());
    let mut reader = Reader::new(bytes);
    assert_eq!(Header::decode(&mut reader, version), Ok(*header));
    assert!(reader.is_empty());
}

fn message(id: u64, verb: Verb, body: &[u8]) -> Vec<u8> {
    let mut bytes = encode_header(V12, &header(id, verb, body.len()));
    bytes.extend(body);
    bytes
}

/// A frame as a sender makes it: compressed if that is the framing.
fn frame(framing: Framing, kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    if framing != Framing::Lz4 {
        return stored_frame(framing, kind, payload);
    }
    let mut out = vec![0; Lz4Encoder::room(payload.len())];
    let size = Lz4Encoder::new().encode(kind, payload, &mut out).expect("there is room");
    out.truncate(size);
    out
}

fn stored_frame(framing: Framing, kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; framing.header_len()];
    bytes.extend(payload);
    bytes.resize(bytes.len() + framing.trailer_len(), 0);
    let start = framing.header_len();
    let frame = wrap(framing, kind, &mut bytes, start..start + payload.len()).expect("there is room");
    assert_eq!(frame, 0..bytes.len());
    bytes
}

fn crc_frame(payload: &[u8]) -> Vec<u8> {
    frame(Framing::Crc, FrameKind::SelfContained, payload)
}

/// A self-contained LZ4 frame whose checksums are good, whatever its block is.
fn lz4_frame(block: &[u8], announced: usize) -> Vec<u8> {
    let bits = block.len() as u64 | (announced as u64) << 17 | 1 << 34;
    let header = &bits.to_le_bytes()[..5];
    let crc = &crc24(header).to_le_bytes()[..3];
    [header, crc, block, &crc32(block).to_le_bytes()].concat()
}

/// The frames in which Cassandra sends a large message.
fn pieces(framing: Framing, message: &[u8]) -> Vec<Vec<u8>> {
    message.chunks(32_768).map(|piece| frame(framing, FrameKind::Piece, piece)).collect()
}

fn with_crc(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32(bytes).to_be_bytes()].concat()
}

/// Bytes that compress.
fn runs(len: usize) -> Vec<u8> {
    (0..=255_u8).cycle().flat_map(|byte| [byte; 7]).take(len).collect()
}

/// Bytes that do not.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1;
    (0..len).map(|_| next_random(&mut state).to_le_bytes()[4]).collect()
}

/// Runs of random bytes of random length.
fn random_runs(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let [byte, run, ..] = next_random(&mut state).to_le_bytes();
        let end = len.min(bytes.len() + 1 + usize::from(run));
        bytes.resize(end, byte);
    }
    bytes
}

/// Xorshift.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {text}");
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).expect("two digits")).collect()
}
