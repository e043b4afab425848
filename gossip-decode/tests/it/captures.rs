//! TCP as it is captured: out of order, twice, in part, from the middle on.

use gossip_core::internode::{ConnectionType, Framing};
use gossip_core::{MessagingVersion, Verb};
use gossip_decode::{Options, Record};

use crate::support::{
    ACCEPTOR, DIALLER, START_US, Talk, accept, decode_capture, decode_packets, decode_pieces, echo, frame,
    hex, initiate, message, pcap, usual_initiate,
};

/// Three messages, the last in two packets.
fn talk() -> Talk {
    let mut talk = Talk::usual();
    talk.dial(&echo(1));
    talk.dial(&echo(2));
    let last = echo(3);
    let (front, back) = last.split_at(9);
    talk.dial(front);
    talk.dial(back);
    talk.acknowledge();
    talk.close();
    talk
}

/// Where the packet with the first message is: after the opening and the handshake.
const FIRST: usize = 5;

#[test]
fn a_whole_connection() {
    let decoded = talk().decode();
    decoded.assert_whole();
    let [handshake] = &decoded.handshakes()[..] else { panic!("{decoded:?}") };
    assert_eq!(handshake.place.from.unwrap().to_string(), "10.0.0.1:7000", "the identity");
    assert_eq!(handshake.source.unwrap().to_string(), DIALLER, "the address in TCP");
    assert_eq!(handshake.place.to.unwrap().to_string(), ACCEPTOR);
    assert_eq!(handshake.answer.unwrap().version, 12);
    let [first, _, last] = &decoded.messages()[..] else { panic!("{decoded:?}") };
    assert_eq!((first.place.offset, first.place.packet), (19 + 6, Some(6)));
    assert_eq!((last.place.packet, last.place.unix_us), (Some(9), Some(START_US + 8_000)), "that of its end");
    assert_eq!((last.place.connection, last.connection_type), (Some(1), Some("urgent")));
    assert_eq!(last.created_unix_ms, Some(1_700_000_000_000));
    assert_eq!(decoded.summary.bytes, 19 + 12 + 3 * 21);
}

#[test]
fn repetitions_change_nothing() {
    let mut talk = talk();
    let expected = talk.decode().ids();
    for at in 0..talk.packets.len() {
        let mut packets = talk.packets.clone();
        packets.insert(at, packets[at].clone());
        packets.push(packets[at].clone());
        let decoded = decode_packets(&packets);
        decoded.assert_whole();
        assert_eq!(decoded.ids(), expected, "{at} is repeated");
    }
    talk.packets.extend(talk.packets.clone());
    talk.decode().assert_whole();
}

#[test]
fn packets_of_a_direction_may_overtake_each_other() {
    let talk = talk();
    for [a, b] in [[5, 6], [5, 7], [6, 8], [7, 8], [3, 5], [3, 8], [5, 10]] {
        let mut packets = talk.packets.clone();
        packets.swap(a, b);
        let decoded = decode_packets(&packets);
        decoded.assert_whole();
        assert_eq!(decoded.ids(), [1, 2, 3], "{a} and {b} are exchanged");
    }
}

#[test]
fn frames_wait_for_the_answer_that_says_their_version() {
    let mut talk = Talk::greeted(&initiate(ConnectionType::Urgent, Framing::Crc, 12, 14), &accept(14, 14));
    talk.dial(&frame(Framing::Crc, &message(MessagingVersion::V14, Verb::ECHO_REQ, 1, b"")));
    let answer = talk.packets.remove(4);
    talk.packets.push(answer);
    let decoded = talk.decode();
    decoded.assert_whole();
    let [message] = &decoded.messages()[..] else { panic!("{decoded:?}") };
    assert_eq!((message.version, message.version_assumed, message.epoch), (14, false, Some(3)));
}

#[test]
fn a_gap_is_told_and_decoding_goes_on_with_the_next_frame() {
    let mut talk = talk();
    talk.packets.remove(FIRST + 1);
    let decoded = talk.decode();
    assert_eq!(decoded.damage(), (40, "21 bytes", "nothing: missing in the capture"));
    assert_eq!(decoded.ids(), [1, 3]);
    assert_eq!((decoded.summary.missing_bytes, decoded.summary.undecoded_bytes), (21, 0));
    assert_eq!(decoded.notes(), ["decoding resumes here; skipped 0 bytes"]);

    // Half a frame is of no use without the other half.
    let mut talk = Talk::usual();
    for id in 1..=2 {
        talk.dial(&echo(id));
    }
    talk.dial(&echo(3)[..9]);
    talk.dial(&echo(3)[9..]);
    talk.dial(&echo(4));
    talk.packets.remove(FIRST + 2);
    let decoded = talk.decode();
    assert_eq!(decoded.ids(), [1, 2, 4]);
    assert_eq!((decoded.summary.missing_bytes, decoded.summary.undecoded_bytes), (9, 12));
}

#[test]
fn a_gap_is_given_up_once_the_receiver_had_it_for_a_second() {
    let mut talk = Talk::usual();
    for id in 1..=3 {
        talk.dial(&echo(id));
    }
    talk.acknowledge();
    talk.packets.remove(FIRST);
    for _ in 0..3 {
        talk.dial(&echo(9));
        let last = talk.packets.last_mut().unwrap();
        last.unix_us += 900_000;
    }
    let decoded = talk.decode();
    assert_eq!(decoded.ids(), [2, 3, 9, 9, 9]);
    let told = decoded.messages()[0].place;
    assert_eq!(told.packet, Some(6));
    let position = |is: fn(&Record) -> bool| decoded.records.iter().position(is).unwrap();
    assert!(position(|it| matches!(it, Record::Damage(_))) < position(|it| matches!(it, Record::Message(_))));
}

#[test]
fn an_end_that_was_not_captured_is_missing() {
    let mut talk = talk();
    talk.packets.remove(FIRST + 3);
    let decoded = talk.decode();
    assert_eq!(decoded.ids(), [1, 2]);
    assert_eq!(decoded.summary.missing_bytes, 12);
}

#[test]
fn a_capture_may_begin_inside_a_connection() {
    for framing in Framing::ALL {
        let framed = |id| frame(framing, &message(MessagingVersion::V12, Verb::ECHO_REQ, id, b""));
        let mut talk = Talk::greeted(&initiate(ConnectionType::Urgent, framing, 12, 12), &accept(12, 12));
        for id in 1..=3 {
            talk.dial(&framed(id));
        }
        // In the first frame, and exactly before it.
        for (start, cut, ids) in
            [(FIRST, 0, vec![1, 2, 3]), (FIRST, 5, vec![2, 3]), (FIRST + 1, 0, vec![2, 3])]
        {
            let mut packets = talk.packets[start..].to_vec();
            if cut > 0 {
                let mut front = packets[0].bytes.clone();
                // A packet that was captured from its fifth byte on, as far as TCP can tell.
                front.drain(54..54 + cut);
                let sequence = u32::from_be_bytes(front[38..42].try_into().unwrap()).wrapping_add(5);
                front[38..42].copy_from_slice(&sequence.to_be_bytes());
                let length = u16::try_from(front.len() - 14).unwrap();
                front[16..18].copy_from_slice(&length.to_be_bytes());
                packets[0].bytes = front;
            }
            let decoded = decode_packets(&packets);
            assert_eq!(decoded.ids(), ids, "{framing:?} {start} {cut}");
            assert_eq!(decoded.damages().len(), 0);
            let [message, ..] = decoded.messages()[..] else { panic!("{decoded:?}") };
            assert_eq!((message.version, message.version_assumed), (12, true));
            assert_eq!(message.place.from.unwrap().to_string(), DIALLER, "nothing else is known");
            assert!(decoded.notes()[0].contains("begins inside"), "{:?}", decoded.notes());
        }
    }
}

#[test]
fn the_version_is_assumed_as_it_was_agreed_on_before_or_as_it_fits() {
    let state = hex("00000001 00000002 00000000");
    let shutdown = message(MessagingVersion::V13, Verb::GOSSIP_SHUTDOWN, 7, &state);
    let mut middle = Talk::new("10.0.0.3:50001", ACCEPTOR);
    middle.dial(&echo(1));
    middle.dial(&frame(Framing::Crc, &shutdown));
    let decoded = middle.decode();
    assert_eq!(decoded.damages().len(), 0);
    let versions: Vec<_> = decoded.messages().iter().map(|message| message.version).collect();
    assert_eq!(versions, [12, 13], "only 13 has a body there");

    let mut before = Talk::greeted(&initiate(ConnectionType::Urgent, Framing::Crc, 12, 13), &accept(13, 13));
    before.dial(&echo(5));
    let decoded = decode_packets(&[before.packets, middle.packets].concat());
    let versions: Vec<_> =
        decoded.messages().iter().map(|message| (message.version, message.version_assumed)).collect();
    assert_eq!(versions, [(13, false), (13, true), (13, true)]);
}

#[test]
fn a_dialler_whose_answer_was_not_captured_is_decoded_all_the_same() {
    let mut talk = talk();
    talk.packets.remove(4);
    let decoded = talk.decode();
    assert_eq!(decoded.ids(), [1, 2, 3]);
    assert!(decoded.handshakes()[0].answer.is_none());
    // 12 is the only one that was offered.
    assert!(!decoded.messages()[0].version_assumed);
    assert_eq!(decoded.damages().len(), 1, "the gap");

    // One direction alone.
    let mut talk = Talk::greeted(&initiate(ConnectionType::Urgent, Framing::Crc, 12, 13), b"");
    talk.dial(&echo(1));
    talk.packets.retain(|packet| packet.bytes[34..36] == 50_000_u16.to_be_bytes());
    let decoded = talk.decode();
    assert_eq!(decoded.damages().len(), 0, "{:?}", decoded.records);
    assert_eq!((decoded.ids(), decoded.messages()[0].version), (vec![1], 13));
    assert!(decoded.notes()[0].contains("answer is not here"));
}

#[test]
fn an_acceptor_alone_shows_its_answer() {
    let mut talk = Talk::usual();
    talk.close();
    talk.packets.retain(|packet| packet.bytes[34..36] == 7_000_u16.to_be_bytes());
    let decoded = talk.decode();
    decoded.assert_whole();
    assert_eq!(decoded.handshakes()[0].answer.unwrap().max, 12);
}

#[test]
fn the_same_ports_may_be_used_again() {
    let first = talk();
    for ending in [0, 2] {
        // With and without its end; the second connection starts elsewhere in its numbers.
        let mut packets = first.packets[..first.packets.len() - ending].to_vec();
        let mut again = Talk::new(DIALLER, ACCEPTOR);
        again.dial(b"moves its numbers on");
        again.packets.clear();
        again.open();
        again.dial(&usual_initiate());
        again.answer(&accept(12, 12));
        again.dial(&echo(8));
        packets.extend(again.packets);
        let decoded = decode_packets(&packets);
        decoded.assert_whole();
        assert_eq!((decoded.ids(), decoded.handshakes().len()), (vec![1, 2, 3, 8], 2));
        assert_eq!(decoded.messages()[3].place.connection, Some(2));
    }
}

#[test]
fn attempts_that_nobody_hears_are_counted() {
    let mut refused = Talk::new(DIALLER, ACCEPTOR);
    refused.open();
    refused.packets.truncate(1);
    refused.reset();
    let decoded = refused.decode();
    decoded.assert_whole();
    assert_eq!((decoded.summary.connections, decoded.summary.silent_connections), (0, 1));
}

#[test]
fn what_a_reset_or_the_end_of_the_capture_cuts_off_is_no_damage() {
    let mut talk = Talk::usual();
    talk.dial(&echo(1));
    talk.dial(&echo(2)[..15]);
    for cut_by in ["nothing", "reset", "close"] {
        let mut talk = talk.clone();
        match cut_by {
            "reset" => talk.reset(),
            "close" => talk.close(),
            _ => {}
        }
        let decoded = talk.decode();
        assert_eq!(decoded.ids(), [1]);
        assert_eq!(decoded.summary.undecoded_bytes, 15);
        if cut_by == "close" {
            assert_eq!(decoded.damage(), (55, "a frame of 21 bytes", "the end after 15 bytes"));
        } else {
            assert_eq!(decoded.damages().len(), 0);
            assert!(decoded.notes()[0].contains("cut off"), "{:?}", decoded.notes());
        }
    }
}

#[test]
fn only_the_ports_that_are_asked_for_are_looked_at() {
    let mut other = Talk::new("10.0.0.1:50000", "10.0.0.2:7010");
    other.open();
    other.dial(&usual_initiate());
    let file = pcap(&[talk().packets, other.packets.clone()].concat());
    let (decoded, finished) = decode_capture(&file, Options::default());
    assert_eq!((decoded.summary.connections, decoded.summary.other_packets), (1, 4));
    assert_eq!(finished.other_ports, [7010]);
    let both = Options { ports: vec![7000, 7010], ..Options::default() };
    assert_eq!(decode_capture(&file, both).0.summary.connections, 2);
}

#[test]
fn the_file_may_come_in_pieces_of_any_size() {
    let file = pcap(&talk().packets);
    let expected = decode_capture(&file, Options::default()).0.records;
    for size in [1, 2, 3, 17, 1_000] {
        assert_eq!(decode_pieces(file.chunks(size), Options::default()).0.records, expected, "{size}");
    }
}

#[test]
fn a_file_that_is_cut_or_damaged_says_where() {
    let file = pcap(&talk().packets);
    let (decoded, _) = decode_capture(&file[..file.len() - 7], Options::default());
    let [damage] = &decoded.damages()[..] else { panic!("{decoded:?}") };
    assert_eq!(damage.place.offset, file.len() as u64 - 7);
    assert_eq!(
        (damage.within.as_deref(), damage.expected.as_str()),
        (Some("the capture file"), "the rest of a packet")
    );
    assert_eq!(decoded.ids(), [1, 2, 3]);
    let (decoded, _) = decode_capture(&file[..10], Options::default());
    let [damage] = &decoded.damages()[..] else { panic!("{decoded:?}") };
    assert_eq!((damage.place.offset, damage.expected.as_str()), (10, "the rest of the file's header"));

    // A length that cannot be: what follows cannot be found.
    let mut file = file;
    file[24 + 8..24 + 12].copy_from_slice(&[0xff; 4]);
    file.extend(vec![0; 5 << 20]);
    let (decoded, _) = decode_capture(&file, Options::default());
    assert_eq!(decoded.damage().0, 24);
}

#[test]
fn memory_is_bounded() {
    // Each connection keeps half a frame.
    let mut packets = Vec::new();
    for port in 0..200 {
        let mut talk = Talk::new(&format!("10.0.0.1:{}", 40_000 + port), ACCEPTOR);
        talk.open();
        talk.dial(&usual_initiate());
        talk.answer(&accept(12, 12));
        talk.dial(&frame(Framing::Crc, &[0; 40_000])[..20_000]);
        packets.extend(talk.packets);
    }
    let file = pcap(&packets);
    let few = Options { max_connections: 10, ..Options::default() };
    let little = Options { max_held: 300_000, ..Options::default() };
    for options in [few, little] {
        let (decoded, _) = decode_capture(&file, options);
        assert_eq!((decoded.summary.connections, decoded.summary.undecoded_bytes), (200, 200 * 20_000));
        assert!(decoded.notes().iter().all(|note| note.contains("cut off")));
    }

    // What came too early, of one direction.
    let mut talk = Talk::usual();
    for _ in 0..100 {
        talk.dial(&frame(Framing::Crc, &message(MessagingVersion::V12, Verb::new(3), 1, &[0; 1_000])));
    }
    talk.packets.remove(FIRST);
    let file = pcap(&talk.packets);
    let (decoded, _) = decode_capture(&file, Options { max_reordered: 10_000, ..Options::default() });
    assert_eq!(decoded.ids().len(), 99);
    let at = decoded.records.iter().position(|record| matches!(record, Record::Damage(_))).unwrap();
    assert!(at < 5, "{at}");
}
