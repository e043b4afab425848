//! What a receiver makes of errors and oddities (`docs/protocol/framing.md#errors-in-frames`, `docs/protocol/handshake.md#seen-on-live-nodes`), and what memory it takes.

use super::*;

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
            assert_eq!(Peer::new(VersionRange::WITHOUT_METADATA).feed_in_pieces(&bytes, size), expected);
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

#[test]
fn memory_grows_by_doubling_what_did_arrive() {
    let mut peer = connected(Framing::Crc);
    let large = message(7, Verb::GOSSIP_DIGEST_ACK, &runs(1_000_000));
    let bytes = pieces(Framing::Crc, &large).concat();
    let mut came = 0;
    for chunk in bytes[..900_000].chunks(1_000) {
        assert_eq!(peer.feed(chunk), []);
        came += chunk.len();
        assert!(peer.inbound.has_pieces() || came < 2 * MAX_FRAME_PAYLOAD);
        // The pieces and the frame that is not complete yet.
        let most = 2 * came + 2 * (MAX_FRAME_PAYLOAD + 64);
        assert!(peer.inbound.capacity() <= most, "{} of {came}", peer.inbound.capacity());
    }
    assert_eq!(peer.feed(&bytes[900_000..]).len(), 1);
    assert!(!peer.inbound.has_pieces(), "all of it came");
}

#[test]
fn buffers_in_which_nothing_lies_are_given_back_and_others_are_not() {
    let mut peer = connected(Framing::Crc);
    let payload = hex(SYN);
    let frame = crc_frame(&payload);
    assert_eq!(peer.feed(&frame[..20]), []);
    peer.inbound.shrink();
    assert_eq!(peer.inbound.buffered(), 20);
    assert_eq!(peer.feed(&frame[20..]).len(), 1);
    assert!(peer.inbound.capacity() > 0, "it may be used again");
    peer.inbound.shrink();
    assert_eq!((peer.inbound.capacity(), peer.inbound.has_pieces()), (0, false));
}
