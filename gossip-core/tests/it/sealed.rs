//! Sealed packets: no host without the key reads or changes them, none counts twice, and keys are replaced without a pause.

use gossip_core::datagram::{Cookie, Header};
use gossip_core::{
    Config, ConfigBuilder, Endpoint, Event, Generation, KeyRing, PacketRefusal, SealKey, Standing, Stats,
    Transport,
};
use gossip_sim::{Cluster, seconds};
use proptest::prelude::*;

use crate::datagrams::{Played, Sent, datagrams, deliver, packet};
use crate::support::{digest, endpoint, syn};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

fn ring(keys: &[u8]) -> KeyRing {
    KeyRing::new(keys.iter().map(|byte| SealKey::new([*byte; 32]))).unwrap()
}

fn sealed(at: &str, keys: &[u8]) -> ConfigBuilder {
    datagrams(at).keys(ring(keys))
}

/// A process that drew this at its start.
fn started(at: &str, generation: i32, drawn: u8) -> ConfigBuilder {
    Config::builder("c", endpoint(at), Generation::new(generation), [drawn; 32])
        .transport(Transport::Datagram)
        .seed(endpoint(A))
}

/// Two nodes after some rounds, and all packets that came out of them.
fn after_rounds(nodes: &mut [Played; 2], rounds: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for _ in 0..rounds {
        for at in 0..2 {
            let sent = nodes[at].round();
            packets.extend(sent.iter().map(|sent| sent.bytes.clone()));
            deliver(nodes, sent);
        }
    }
    packets
}

fn are_live(nodes: &[Played; 2]) -> bool {
    let stands = |node: usize, other: &str| nodes[node].node.gossiper().standing(endpoint(other));
    stands(0, B) == Some(Standing::Live) && stands(1, A) == Some(Standing::Live)
}

fn dropped(stats: &Stats) -> (u64, u64, u64) {
    (stats.unsealed, stats.forged, stats.replayed)
}

#[test]
fn nodes_with_one_key_meet_and_nothing_can_be_read() {
    let seed = endpoint(A);
    let mut nodes = [Played::new(sealed(A, &[1])), Played::new(sealed(B, &[1]).seed(seed))];
    let packets = after_rounds(&mut nodes, 5);
    assert!(are_live(&nodes));
    assert!(packets.len() > 5 && packets.iter().all(|bytes| bytes.len() <= 1_400));
    let partitioner = b"NoPartitioner";
    let shows = |bytes: &[u8]| bytes.windows(partitioner.len()).any(|window| window == partitioner);
    assert!(!packets.iter().any(|bytes| shows(bytes)));
    let mut nonces: Vec<_> = packets
        .iter()
        .map(|bytes| {
            let header = Header::decode(bytes).unwrap().0;
            let seal = header.seal.unwrap();
            (seal.process, seal.counter)
        })
        .collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), packets.len(), "no nonce is used twice");
}

#[test]
fn a_sender_without_the_key_is_not_heard() {
    let seed = endpoint(A);
    for (a, b) in
        [(sealed(A, &[1]), sealed(B, &[2])), (sealed(A, &[1]), datagrams(B)), (datagrams(A), sealed(B, &[2]))]
    {
        let mut nodes = [Played::new(a), Played::new(b.seed(seed))];
        after_rounds(&mut nodes, 5);
        assert_eq!(nodes[0].node.gossiper().endpoint_count(), 1);
        let (unsealed, forged, _) = dropped(nodes[0].node.stats());
        assert!(unsealed + forged > 0);
    }
}

/// The senders whose packets were reported as refused, and the reasons.
fn refusals(node: &Played) -> Vec<(Endpoint, PacketRefusal)> {
    let refused = node.events.iter().filter_map(|event| match event {
        Event::PacketRefused { from, refusal } => Some((*from, *refusal)),
        _ => None,
    });
    refused.collect()
}

#[test]
fn whose_packets_cannot_be_read_is_told_with_the_reason() {
    let other_cluster = || {
        Config::builder("d", endpoint(B), Generation::new(1), [7; 32])
            .transport(Transport::Datagram)
            .keys(ring(&[1]))
    };
    for (a, b, expected) in [
        (sealed(A, &[1]), sealed(B, &[2]), PacketRefusal::OtherKey),
        (sealed(A, &[1]), datagrams(B), PacketRefusal::NotSealed),
        (datagrams(A), sealed(B, &[1]), PacketRefusal::Sealed),
        (sealed(A, &[1]), other_cluster(), PacketRefusal::OtherCluster),
    ] {
        let mut nodes = [Played::new(a), Played::new(b.seed(endpoint(A)))];
        // The first packet of B, and all of the next minute.
        after_rounds(&mut nodes, 60);
        assert_eq!(refusals(&nodes[0]), [(endpoint(B), expected)]);
        after_rounds(&mut nodes, 60);
        assert_eq!(refusals(&nodes[0]), [(endpoint(B), expected); 2], "once more in the minute after it");
    }
}

#[test]
fn of_many_whose_packets_cannot_be_read_few_are_told() {
    let mut a = Played::new(sealed(A, &[1]));
    for minute in 1..=2 {
        for port in 1..=1_000 {
            a.receive(&packet(&format!("10.0.0.9:{port}"), Cookie::NONE, &[]));
        }
        assert_eq!(refusals(&a).len(), 8 * minute);
        (0..60).for_each(|_| drop(a.round()));
    }
    assert_eq!(a.node.stats().unsealed, 2_000);
}

#[test]
fn what_is_said_in_the_open_is_dropped_and_counted() {
    let mut a = Played::new(sealed(A, &[1]));
    assert!(a.receive(&packet(B, Cookie::NONE, &[syn(&[digest(B, 1, 1)])])).is_empty());
    assert_eq!(dropped(a.node.stats()), (1, 0, 0));
    let mut a = Played::new(datagrams(A));
    let mut b = Played::new(sealed(B, &[1]).seed(endpoint(A)));
    let sent = b.round();
    assert!(a.receive(&sent[0].bytes).is_empty());
    assert_eq!(dropped(a.node.stats()), (1, 0, 0));
}

#[test]
fn a_packet_counts_once_and_only_for_whom_it_is() {
    let mut a = Played::new(sealed(A, &[1]));
    let mut b = Played::new(sealed(B, &[1]).seed(endpoint(A)));
    let [Sent { bytes, .. }, ..] = &b.round()[..] else { panic!("the seed is talked to") };
    assert!(!a.receive(bytes).is_empty());
    assert!(a.receive(bytes).is_empty());
    assert_eq!(dropped(a.node.stats()), (0, 0, 1));
    let mut c = Played::new(sealed("10.0.0.3:7000", &[1]));
    assert!(c.receive(bytes).is_empty());
    assert_eq!(dropped(c.node.stats()), (0, 1, 0));
    // Another cluster with the same key.
    let mut other = Played::new(sealed(A, &[1]).partitioner("another"));
    assert!(other.receive(bytes).is_empty());
    assert_eq!(other.node.stats().foreign_cluster, 1);
}

#[test]
fn keys_rotate_while_the_nodes_run() {
    let seed = endpoint(A);
    let mut nodes = [Played::new(sealed(A, &[1])), Played::new(sealed(B, &[1]).seed(seed))];
    after_rounds(&mut nodes, 5);
    for keys in [&[1, 2][..], &[2, 1], &[2]] {
        for at in 0..2 {
            assert!(nodes[at].node.set_keys(ring(keys)));
            after_rounds(&mut nodes, 5);
            assert!(are_live(&nodes));
        }
    }
    let counters = nodes.map(|node| dropped(node.node.stats()));
    assert_eq!(counters, [(0, 0, 0); 2]);
    let mut streams =
        gossip_core::Node::new(crate::support::builder(A, 1).build().unwrap(), gossip_core::Timestamp::ZERO);
    assert!(!streams.set_keys(ring(&[1])), "nothing is sealed there");
    let refused = crate::support::builder(A, 1).keys(ring(&[1])).build();
    assert!(matches!(refused, Err(gossip_core::ConfigError::NothingToSeal)));
}

#[test]
fn a_sealed_cluster_survives_loss_disorder_and_restarts() {
    let mut cluster = Cluster::new(12)
        .seed(6)
        .datagrams()
        .loss_percent(10)
        .duplicate_percent(10)
        .configure(|_, config| config.keys(ring(&[1])))
        .start();
    cluster.run_until(|view| view.all_live(), seconds(60));
    let restarted = cluster.restart(3);
    cluster.run_until(|view| view.all_know(restarted) && view.all_live(), seconds(60));
    let stats: Vec<Stats> = cluster.view().running().map(|(_, gossiper)| *gossiper.stats()).collect();
    assert!(stats.iter().all(|stats| stats.forged == 0 && stats.unsealed == 0));
    assert!(stats.iter().map(|stats| stats.replayed).sum::<u64>() > 0, "what came twice");
}

#[test]
fn a_node_that_starts_with_an_old_generation_is_heard() {
    for is_sealed in [false, true] {
        let config = |at, generation, drawn| {
            let config = started(at, generation, drawn);
            Played::new(if is_sealed { config.keys(ring(&[1])) } else { config })
        };
        for generation in [5, 4] {
            let mut nodes = [config(A, 5, 1), config(B, 5, 2)];
            after_rounds(&mut nodes, 30);
            assert!(are_live(&nodes));
            nodes[1] = config(B, generation, 3);
            after_rounds(&mut nodes, 30);
            assert!(are_live(&nodes), "sealed {is_sealed}, {generation} after 5");
            // Seen by what it says now, not by what is left of it.
            let heartbeats =
                nodes.each_ref().map(|node| node.node.gossiper().heartbeat(endpoint(B)).unwrap());
            assert_eq!(heartbeats[0].generation, heartbeats[1].generation);
        }
    }
}

#[test]
fn a_clock_that_was_ahead_once_shuts_no_sealed_node_out() {
    const NOW: i32 = 1_700_000_000;
    let sealed = |at, generation, drawn| Played::new(started(at, generation, drawn).keys(ring(&[1])));
    let mut nodes = [sealed(A, NOW, 1), sealed(B, NOW + 70_000_000, 2)];
    after_rounds(&mut nodes, 10);
    assert_eq!(nodes[0].node.gossiper().endpoint_count(), 1, "a generation two years ahead is refused");
    nodes[1] = sealed(B, NOW + 60, 3);
    let before = nodes[0].node.stats().replayed;
    after_rounds(&mut nodes, 10);
    assert!(are_live(&nodes));
    assert!(nodes[0].node.stats().replayed - before <= 2, "until it repeats the right cookie");
}

#[test]
fn packets_of_an_earlier_process_are_refused() {
    let sealed = |at, generation, drawn| Played::new(started(at, generation, drawn).keys(ring(&[1])));
    // The earlier process had the lesser generation, or the greater.
    for generations in [[5, 6, 7], [7, 6, 5]] {
        let mut a = sealed(A, 5, 1);
        let mut earlier: Vec<Vec<u8>> = Vec::new();
        for (at, generation) in generations.into_iter().enumerate() {
            let b = sealed(B, generation, 2 + u8::try_from(at).unwrap());
            let mut nodes = [a, b];
            let of_b = |bytes: &Vec<u8>| Header::decode(bytes).unwrap().0.sender == endpoint(B);
            let sent: Vec<_> = after_rounds(&mut nodes, 20).into_iter().filter(of_b).collect();
            assert!(are_live(&nodes));
            for bytes in &earlier {
                let before = *nodes[0].node.stats();
                // At the most it gets a cookie, in a packet that is no longer than its own.
                let answers = nodes[0].receive(bytes);
                assert!(answers.iter().map(|sent| sent.bytes.len()).sum::<usize>() <= bytes.len());
                let after = *nodes[0].node.stats();
                let counted = |stats: Stats| {
                    (stats.replayed, stats.syns_received, stats.acks_received, stats.messages_sent)
                };
                let (replayed, syns, acks, messages) = counted(before);
                assert_eq!(counted(after), (replayed + 1, syns, acks, messages));
                deliver(&mut nodes, answers);
            }
            let before = nodes[0].node.stats().replayed;
            after_rounds(&mut nodes, 20);
            assert!(are_live(&nodes));
            assert_eq!(nodes[0].node.stats().replayed, before, "the process that lives is heard as before");
            earlier.extend(sent);
            [a, _] = nodes;
        }
    }
}

#[test]
fn old_packets_of_both_that_come_first_keep_nobody_apart() {
    let sealed = |at, drawn| Played::new(started(at, 5, drawn).keys(ring(&[1])));
    let mut nodes = [sealed(A, 1), sealed(B, 2)];
    let recorded = after_rounds(&mut nodes, 5);
    nodes = [sealed(A, 3), sealed(B, 4)];
    for bytes in recorded {
        let sender = Header::decode(&bytes).unwrap().0.sender;
        nodes[usize::from(sender == endpoint(A))].receive(&bytes);
    }
    after_rounds(&mut nodes, 5);
    assert!(are_live(&nodes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_packet_is_dropped(at in any::<prop::sample::Index>(), bits in 1..=255_u8) {
        let mut a = Played::new(sealed(A, &[1]));
        let mut b = Played::new(sealed(B, &[1]).seed(endpoint(A)));
        let sent = b.round();
        let mut bytes = sent[0].bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        prop_assert!(a.receive(&bytes).is_empty());
        let known: Vec<Endpoint> = a.node.gossiper().endpoints().collect();
        prop_assert_eq!(known, [endpoint(A)]);
    }
}
