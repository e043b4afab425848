//! What is said of a connection that is of no use.

use gossip_core::internode::FrameHeaderError;

use super::*;

#[test]
fn each_error_says_what_is_wrong() {
    let (expected, found) = (0x1f, 0x2f);
    let handshakes = [
        (HandshakeError::Magic { found }, "begins with 0x0000002f"),
        (HandshakeError::Legacy { request: 11, max: 10 }, "version 11 and accepts up to 10"),
        (HandshakeError::LegacyReply { version: 11 }, "speaks version 11"),
        (HandshakeError::Framing { id: 3 }, "no framing 3"),
        (HandshakeError::AddressLength { length: 5 }, "length 5"),
        (HandshakeError::Crc { expected, found }, "is 0x0000002f and should be 0x0000001f"),
    ];
    for (error, part) in handshakes {
        for said in [
            error.to_string(),
            InboundError::Handshake(error).to_string(),
            OutboundError::Handshake(error).to_string(),
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    let verb = Verb::ECHO_REQ;
    let ours = VersionRange { min: 12, max: 13 };
    let header = FrameHeaderError { expected, found };
    for (said, part) in [
        (header.to_string(), "0x00002f and should be 0x00001f"),
        (InboundError::FrameHeader(header).to_string(), "0x00002f"),
        (InboundError::Streaming.to_string(), "streaming"),
        (InboundError::FirstPieceCrc { expected, found }.to_string(), "0x0000002f"),
        (InboundError::Lz4 { announced: 70 }.to_string(), "its 70 bytes"),
        (InboundError::EmptyPiece.to_string(), "is empty"),
        (InboundError::PieceWithoutHeader.to_string(), "inside its header"),
        (InboundError::Header(DecodeError::Trailing { bytes: 9 }).to_string(), "9"),
        (InboundError::MessageTooLarge { verb, size: 8, limit: 7 }.to_string(), "ECHO_REQ of 8 bytes, and 7"),
        (InboundError::InputWithdrawn.to_string(), "changed"),
        (
            OutboundError::Incompatible { version: 14, peer_max: 15, ours }.to_string(),
            "version 14 (its newest is 15)",
        ),
        (OutboundError::BytesAfterAccept { bytes: 6 }.to_string(), "6 bytes follow"),
        (MessageLoss::Truncated.to_string(), "ends inside"),
        (MessageLoss::Crc.to_string(), "wrong checksum"),
        (MessageLoss::Overrun.to_string(), "longer than the message"),
        (FrameEncodeError::TooLong { len: 200_000 }.to_string(), "200000 bytes"),
        (FrameEncodeError::NoRoom.to_string(), "no room"),
        (format!("{:?}", Lz4Encoder::new()), "Lz4Encoder"),
    ] {
        assert!(said.contains(part), "{said}");
    }
}
