//! The message header.

use gossip_core::MetadataId;
use gossip_core::message::{PeerLog, PeerLogRequest};

use super::*;

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

/// Messages of a node of Cassandra 6.0 and to it, whole: the question for the identifier of the cluster's metadata, and its answers.
#[test]
fn the_question_for_the_identifier_and_its_answers_have_their_exact_bytes() {
    let v14 = MessagingVersion::V14;
    let of = |id, epoch, created_at, expires_in, verb, flags, payload_size| Header {
        id,
        epoch,
        created_at,
        expires_in,
        verb,
        flags,
        params: Params::NONE,
        payload_size,
    };
    let (ask, tell) = (Verb::TCM_FETCH_PEER_LOG_REQ, Verb::TCM_FETCH_PEER_LOG_RSP);
    let shadow_syn = Verb::GOSSIP_DIGEST_SYN;
    for (header, head) in [
        (of(2, 0, 0x19ea_c9ed, 10_000, ask, 1, 1), "02 00 19eac9ed a710 8333 01 00 01"),
        (of(2, 4, 0x19ea_c9f1, 9_995, tell, 0, 11), "02 04 19eac9f1 a70b 8332 00 00 0b"),
        (of(2, 0, 0x19fd_686c, 10_000, ask, 0, 9), "02 00 19fd686c a710 8333 00 00 09"),
        (of(2, 3, 0x19fd_6888, 9_971, tell, 0, 11), "02 03 19fd6888 a6f3 8332 00 00 0b"),
        // A node that is ahead, one whose service is not initialised, and one that is starting.
        (of(1, 1_000, 0, 10_000, shadow_syn, 0, 0), "01 83e8 00000000 a710 0e 00 00 00"),
        (of(1, i64::MIN + 1, 0, 10_000, tell, 0, 7), "01 ff8000000000000001 00000000 a710 8332 00 00 07"),
        (of(1, i64::MIN, 0, 10_000, tell, 0, 7), "01 ff8000000000000000 00000000 a710 8332 00 00 07"),
    ] {
        assert_header(v14, &header, &hex(head));
    }
    let mut buffer = [0; 16];
    for (epoch, body) in [(100, "64"), (1 << 62, "ff40000000000000 00"), (31, "1f")] {
        let request = PeerLogRequest { epoch };
        let mut out = Writer::new(&mut buffer);
        request.encode(&mut out).unwrap();
        assert_eq!(out.written(), hex(body), "{epoch}");
        assert_eq!(PeerLogRequest::decode(&mut Reader::new(&hex(body))), Ok(request));
    }
    for (id, body) in [
        (2_130_713_573, "04 f07f001be5 00 00000000"),
        (2_130_713_575, "04 f07f001be7 00 00000000"),
        (0, "04 00 00 00000000"),
    ] {
        let answer = PeerLog::empty(MetadataId::new(id));
        let mut out = Writer::new(&mut buffer);
        answer.encode(&mut out).unwrap();
        assert_eq!(out.written(), hex(body), "{id}");
        assert_eq!(PeerLog::decode(&mut Reader::new(&hex(body))), Ok(answer));
    }
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
        epoch: -1,
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
fn b5_unknown_param_is_skipped() {
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
