//! Bad input: it closes its own connection, is counted, and holds bounded memory.

use alloc::collections::BTreeMap;

use gossip_core::{ConnectionId, Input, TlsFault, TlsIncoming, TlsOutgoing};

use super::keys::Keys;
use super::{Net, config, seconds, strict};
use crate::pcap::connections;
use crate::support::{names, shared};

/// One node that accepts TLS, and nothing else around it.
fn alone(incoming: TlsIncoming) -> Net {
    let keys = Keys::new("authority");
    let tls = strict(&keys, 0).incoming(incoming).outgoing(TlsOutgoing::Always);
    Net::new([config(0).tls(tls.build().unwrap())])
}

impl Net {
    /// A peer dials the node, and sends this in one piece.
    fn said(&mut self, bytes: &[u8]) -> ConnectionId {
        let now = self.now;
        let connection = self.members[0].node.accept(now).unwrap();
        self.say(connection, bytes);
        connection
    }

    fn say(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let now = self.now;
        self.members[0].node.handle_input(now, Input::Bytes { connection, bytes });
        self.settle();
    }

    fn answers(&self, connection: ConnectionId) -> Vec<u8> {
        let mine = self.written.iter().filter(|(_, to, _)| *to == connection);
        mine.flat_map(|(.., bytes)| bytes.clone()).collect()
    }

    fn fault(&self) -> Option<TlsFault> {
        self.faults(0).first().map(|(.., fault)| *fault)
    }
}

/// The first message of a node of Cassandra 4.0 that dials (`docs/protocol/tls.md`).
fn hello_of_cassandra() -> Vec<u8> {
    let mut hello = vec![0x16, 3, 1, 0, 0x72, 1, 0, 0, 0x6e, 3, 3];
    hello.extend([0x5a; 32]);
    hello.extend([0, 0, 0x12]);
    hello.extend([
        0xc0, 0x2c, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x30, 0xc0, 0x13, 0xc0, 0x14, 0, 0x9c, 0, 0x2f, 0, 0x35,
    ]);
    hello.extend([1, 0, 0, 0x33, 0, 0x17, 0, 0, 0xff, 1, 0, 1, 0]);
    hello.extend([0, 0x0a, 0, 8, 0, 6, 0, 0x1d, 0, 0x17, 0, 0x18, 0, 0x0b, 0, 2, 1, 0]);
    hello.extend([0, 0x0d, 0, 0x14, 0, 0x12, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1, 2, 1]);
    hello
}

#[test]
fn the_hello_of_cassandra_4_0_is_recognised_whatever_its_pieces() {
    let hello = hello_of_cassandra();
    assert_eq!(hello.len(), 119);
    for size in [1, 2, 5, 118, 119] {
        let keys = Keys::new("authority");
        let (chain, key) = keys.with_p256();
        let tls = gossip_core::Tls::builder(super::keys::provider())
            .identity(chain, key)
            .trusted(vec![keys.authority()]);
        let mut net = Net::new([config(0).tls(tls.build().unwrap())]);
        let connection = net.said(&[]);
        for piece in hello.chunks(size) {
            net.say(connection, piece);
        }
        let answer = net.answers(connection);
        // A ServerHello of TLS 1.2, in a record of the handshake.
        assert_eq!((&answer[..3], answer[5], &answer[9..11]), (&[0x16, 3, 3][..], 2, &[3, 3][..]), "{size}");
        assert_eq!(net.fault(), None);
    }
    // The key of the other tests is of a kind that Cassandra 4.0 does not offer to check.
    let mut net = alone(TlsIncoming::Required);
    let connection = net.said(&hello);
    assert!(net.answers(connection).is_empty());
    assert_eq!((net.fault(), net.stats(0).tls_failed), (Some(TlsFault::NothingInCommon), 1));
}

/// The hellos in captures of sessions with nodes of 4.0, 5.0 and 6.0: those of the nodes, and those of the other ends.
#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn every_recorded_hello_is_answered_with_the_newest_version_that_it_offers() {
    let folder = shared().join("fixtures/tls");
    let mut by_len = BTreeMap::<usize, usize>::new();
    for name in names(&folder, ".pcap") {
        for recorded in connections(&folder.join(&name)) {
            let hello: Vec<u8> = recorded.sent.segments.into_iter().flat_map(|(_, bytes)| bytes).collect();
            let len = 5 + usize::from(u16::from_be_bytes([hello[3], hello[4]]));
            let hello = &hello[..len];
            *by_len.entry(len).or_default() += 1;
            let keys = Keys::new("authority");
            let (chain, key) = keys.with_p256();
            let tls = gossip_core::Tls::builder(super::keys::provider()).identity(chain, key);
            let tls = tls.trusted(vec![keys.authority()]).build().unwrap();
            let mut net = Net::new([config(0).tls(tls)]);
            let connection = net.said(hello);
            let answer = net.answers(connection);
            assert_eq!((net.fault(), &answer[..3], answer[5]), (None, &[0x16, 3, 3][..], 2), "{name}");
            // The extension with the versions: as a list in a hello, with the chosen one alone in its answer.
            let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
            let offers = has(hello, &[0, 0x2b, 0, 5, 4, 3, 4]);
            assert_eq!(has(&answer, &[0, 0x2b, 0, 2, 3, 4]), offers, "{name}: {len}");
        }
    }
    // Those of Cassandra 6.0 have 393 bytes.
    assert!(by_len[&393] >= 2, "{by_len:?}");
}

#[test]
fn half_a_hello_that_never_goes_on_is_closed_in_time() {
    for hello in [&hello_of_cassandra()[..60], &hello_of_cassandra()[..1]] {
        let mut net = alone(TlsIncoming::Optional);
        net.said(hello);
        net.run(seconds(40));
        assert_eq!(net.stats(0).timeouts, 1);
    }
}

/// A peer that speaks TLS 1.1 at most.
#[test]
fn e5_a_hello_of_an_older_tls_is_refused() {
    let mut hello = hello_of_cassandra();
    let keys = Keys::new("authority");
    let (chain, key) = keys.with_p256();
    let tls = gossip_core::Tls::builder(super::keys::provider())
        .identity(chain, key)
        .trusted(vec![keys.authority()])
        .build()
        .unwrap();
    for (minor, fault) in [(3, None), (2, Some(TlsFault::NothingInCommon))] {
        hello[10] = minor;
        let mut net = Net::new([config(0).tls(tls.clone())]);
        let connection = net.said(&hello);
        let answer = net.answers(connection);
        // A handshake record; or nothing but the fatal alert `protocol_version`.
        let is_alert = answer == [0x15, 3, 3, 0, 2, 2, 70];
        assert_eq!(
            (answer[0] == 0x16, is_alert),
            (fault.is_none(), fault.is_some()),
            "3.{minor}: {answer:x?}"
        );
        assert_eq!((net.fault(), net.stats(0).tls_failed), (fault, u64::from(fault.is_some())));
    }
}

#[test]
fn rubbish_under_the_head_of_a_record_is_closed_and_counted() {
    let record = |kind: u8, len: usize| {
        let len = u16::try_from(len).unwrap().to_be_bytes();
        let mut record = vec![kind, 3, 3, len[0], len[1]];
        record.extend(std::iter::repeat_n(0xab, usize::from(u16::from_be_bytes(len))));
        record
    };
    for (bytes, expected) in [
        // What cannot be read as a message of TLS is reported apart from a message that does not belong there.
        (record(0x16, 16_384), TlsFault::NotTls),
        (record(0x16, 18_432), TlsFault::NotTls),
        (record(0x17, 100), TlsFault::Protocol),
        (record(0x14, 1), TlsFault::NotTls),
        (vec![0x15, 3, 1, 0, 2, 2, 40], TlsFault::Alert(40)),
        (vec![0x18, 3, 1, 0, 0], TlsFault::NotTls),
    ] {
        let mut net = alone(TlsIncoming::Required);
        net.said(&bytes);
        assert_eq!(net.fault(), Some(expected), "{:x?}", &bytes[..5]);
        assert_eq!((net.stats(0).tls_failed, net.stats(0).connections_failed), (1, 1));
    }
}

#[test]
fn a_handshake_without_end_takes_bounded_memory() {
    let mut net = alone(TlsIncoming::Required);
    // A message that announces 60,000 bytes, in records of one byte each, and then another, and so on.
    let connection = net.said(&[0x16, 3, 1, 0, 4, 1, 0, 0xea, 0x60]);
    for _ in 0..200_000 {
        net.say(connection, &[0x16, 3, 1, 0, 1, 0]);
        if net.fault().is_some() {
            break;
        }
    }
    assert!(net.fault().is_some(), "it came to an end");
}

#[test]
fn unfinished_records_count_towards_the_limit_for_all_connections() {
    let keys = Keys::new("authority");
    let tls = strict(&keys, 0).build().unwrap();
    let mut net = Net::new([config(0).tls(tls).change_limits(|limits| limits.max_inbound_bytes = 1 << 20)]);
    // Each holds most of a record that never ends.
    let mut part = vec![0x16, 3, 1, 0x40, 0];
    part.extend([1, 0, 0xff, 0xff]);
    part.extend([0; 16_000]);
    for _ in 0..100 {
        net.said(&part);
    }
    assert!(net.stats(0).connections_failed >= 30, "{:?}", net.stats(0));
    assert!(net.stats(0).connections_failed < 70);
}

#[test]
fn plain_bytes_that_are_no_gossip_are_closed_on_a_port_for_tls() {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 0x16, 0x16, 0x16, 0x16]] {
        let mut net = alone(TlsIncoming::Required);
        let connection = net.said(bytes);
        assert!(net.answers(connection).is_empty());
        assert_eq!(net.stats(0).connections_failed, 1);
    }
}

#[test]
fn alerts_and_rubbish_in_answer_to_our_hello_are_told_apart() {
    for (answer, expected) in [
        (&[0x15, 3, 3, 0, 2, 2, 80][..], TlsFault::Alert(80)),
        (&[0x15, 3, 1, 0, 2, 2, 70], TlsFault::Alert(70)),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", TlsFault::NotTls),
        (&[], TlsFault::NotSpoken),
        (&[0x16, 3, 3], TlsFault::Closed),
    ] {
        let keys = Keys::new("authority");
        let mut net = Net::new([config(0).tls(strict(&keys, 0).build().unwrap()).seed(super::address(1))]);
        net.run(seconds(0));
        let now = net.now;
        let node = &mut net.members[0].node;
        let mut buffer = vec![0; gossip_core::Node::MIN_BUFFER];
        node.handle_input(now + seconds(1), Input::Timeout);
        let connection = loop {
            match node.poll(&mut buffer) {
                gossip_core::Output::Connect { connection, .. } => break connection,
                gossip_core::Output::Timeout(_) => panic!("no peer is dialled"),
                _ => {}
            }
        };
        node.handle_input(now + seconds(1), Input::Opened { connection });
        net.settle();
        assert_eq!(net.answers(connection)[..2], [0x16, 3]);
        if !answer.is_empty() {
            net.say(connection, answer);
        }
        net.members[0].node.handle_input(now + seconds(1), Input::Closed { connection });
        net.settle();
        assert_eq!(net.faults(0), [(Some(super::address(1)), true, expected)]);
    }
}
