//! Frames.

use super::*;

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
fn d17_unknown_verb_is_skipped() {
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
