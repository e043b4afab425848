//! Who has to use TLS: for what comes in, for what goes out, and by data center and rack.

use gossip_core::{
    ApplicationState, ConfigBuilder, DialFailure, TlsFault, TlsIncoming, TlsOutgoing, TlsScope,
};
use rustls::crypto::ring::cipher_suite;

use super::keys::{self, Keys};
use super::{Net, address, config, seconds, strict};

fn secured(keys: &Keys, number: usize, incoming: TlsIncoming, outgoing: TlsOutgoing) -> ConfigBuilder {
    config(number).tls(strict(keys, number).incoming(incoming).outgoing(outgoing).build().unwrap())
}

#[test]
fn nodes_meet_under_tls_and_nothing_can_be_read() {
    for suite in [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ] {
        let keys = Keys::new("authority");
        let provider = keys::provider_of(&[suite]);
        let mut net = Net::new((0..3).map(|number| {
            let (chain, key) = keys.node(number);
            let tls = gossip_core::Tls::builder(provider.clone())
                .identity(chain, key)
                .trusted(vec![keys.authority()]);
            config(number).tls(tls.build().unwrap())
        }));
        net.run(seconds(10));
        assert!(net.are_all_live(), "{suite:?}");
        assert!(net.begun.iter().all(|(.., is_tls)| *is_tls) && !net.begun.is_empty());
        let partitioner = b"NoPartitioner";
        let is_readable = |bytes: &[u8]| bytes.windows(partitioner.len()).any(|part| part == partitioner);
        assert!(!net.written.iter().any(|(.., bytes)| is_readable(bytes)), "{suite:?}");
        assert_eq!((0..3).map(|at| net.stats(at).tls_failed).sum::<u64>(), 0);
        assert!(net.stats(0).tls_opened >= 4);
    }
}

/// A node with each provider of cryptography.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn nodes_meet_whichever_provider_each_has() {
    let aws_lc_rs = || gossip_core::rustls::crypto::aws_lc_rs::default_provider().into();
    for providers in [[aws_lc_rs(), aws_lc_rs()], [aws_lc_rs(), keys::provider()]] {
        let keys = Keys::new("authority");
        let mut net = Net::new(providers.into_iter().enumerate().map(|(number, provider)| {
            let (chain, key) = keys.node(number);
            let tls = gossip_core::Tls::builder(provider).identity(chain, key);
            config(number).tls(tls.trusted(vec![keys.authority()]).build().unwrap())
        }));
        net.run(seconds(10));
        assert!(net.are_all_live());
        assert!(net.stats(0).tls_opened >= 2 && net.stats(0).tls_failed == 0);
    }
}

#[test]
fn half_a_cluster_takes_up_tls_while_it_runs_and_then_requires_it() {
    let keys = Keys::new("authority");
    let plain = |number| config(number);
    let optional = |number| secured(&keys, number, TlsIncoming::Optional, TlsOutgoing::Auto);
    let mut net = Net::new([optional(0), optional(1), plain(2), plain(3)]);
    net.run(seconds(30));
    assert!(net.are_all_live());
    assert!(net.begun.contains(&(0, 1, true)) && net.begun.contains(&(0, 2, false)), "{:?}", net.begun);
    // Those that came without any have it from now on; at the end all require it.
    for (number, incoming) in [
        (2, TlsIncoming::Optional),
        (3, TlsIncoming::Optional),
        (0, TlsIncoming::Required),
        (1, TlsIncoming::Required),
        (2, TlsIncoming::Required),
        (3, TlsIncoming::Required),
    ] {
        let tls = strict(&keys, number).incoming(incoming).outgoing(TlsOutgoing::Auto);
        assert!(net.members[number].node.set_tls(Some(tls.build().unwrap())));
        net.run(seconds(5));
    }
    net.run(seconds(30));
    assert!(net.are_all_live());
    assert_eq!(net.downs(), 0, "no endpoint is convicted");
}

#[test]
fn a_plain_dialler_is_refused_where_tls_is_required() {
    let keys = Keys::new("authority");
    let required = secured(&keys, 0, TlsIncoming::Required, TlsOutgoing::Always);
    let mut net = Net::new([required, config(1).change_membership(|membership| membership.only_asks = true)]);
    net.run(seconds(20));
    assert!(!net.is_live(0, 1));
    let stats = net.stats(0);
    assert!(stats.plain_refused >= 1, "{stats:?}");
    // Reported once, with the name of the peer, however often it comes.
    assert_eq!(net.faults(0), [(Some(address(1)), false, TlsFault::PlainRefused)]);
    let failure = net.members[1].events.iter().find_map(|event| match event {
        gossip_core::Event::DialFailed { failure, .. } => Some(*failure),
        _ => None,
    });
    assert_eq!(failure, Some(DialFailure::Alert), "the failure says that TLS is wanted");
}

#[test]
fn tls_is_refused_where_it_is_off() {
    let keys = Keys::new("authority");
    let off = secured(&keys, 0, TlsIncoming::Off, TlsOutgoing::Never);
    let always = secured(&keys, 1, TlsIncoming::Required, TlsOutgoing::Always);
    let mut net = Net::new([off, always]);
    net.run(seconds(20));
    assert!(!net.is_live(0, 1) && !net.is_live(1, 0));
    assert!(net.stats(0).tls_refused >= 2);
    assert_eq!(net.faults(0), [(None, false, TlsFault::TlsRefused)]);
    assert_eq!(net.faults(1), [(Some(address(0)), true, TlsFault::NotSpoken)]);
}

#[test]
fn who_dials_with_auto_takes_plain_where_tls_is_not_spoken() {
    let keys = Keys::new("authority");
    let auto = secured(&keys, 1, TlsIncoming::Optional, TlsOutgoing::Auto);
    let mut net = Net::new([config(0), auto]);
    net.run(seconds(5));
    assert!(net.are_all_live());
    assert!(net.stats(1).tls_fallbacks >= 1);
    assert_eq!(net.begun.iter().find(|(from, ..)| *from == 1), Some(&(1, 0, true)), "TLS comes first");
    // A refused certificate is no reason to go without.
    let (chain, key) = Keys::new("another").node(1);
    let stranger = gossip_core::Tls::builder(keys::provider())
        .identity(chain, key)
        .trusted(vec![keys.authority()])
        .outgoing(TlsOutgoing::Auto);
    let required = secured(&keys, 0, TlsIncoming::Optional, TlsOutgoing::Always);
    let mut net = Net::new([required, config(1).tls(stranger.build().unwrap())]);
    net.run(seconds(20));
    assert_eq!(net.stats(1).tls_fallbacks, 0);
    assert!(net.begun.iter().all(|(.., is_tls)| *is_tls));
}

#[test]
fn the_answer_is_decided_apart_from_how_a_peer_came() {
    // As Cassandra with a keystore and encryption off: TLS is accepted, and the answer is plain.
    let keys = Keys::new("authority");
    let accepts = secured(&keys, 0, TlsIncoming::Optional, TlsOutgoing::Never);
    let always = secured(&keys, 1, TlsIncoming::Optional, TlsOutgoing::Always);
    let mut net = Net::new([accepts, always]);
    net.run(seconds(10));
    assert!(net.are_all_live());
    assert!(net.begun.contains(&(1, 0, true)) && net.begun.contains(&(0, 1, false)), "{:?}", net.begun);
}

#[test]
fn between_data_centers_and_racks_first_contact_is_always_tls() {
    for (scope, same_dc, same_rack, expected) in [
        (TlsScope::OtherDataCenters, true, true, false),
        (TlsScope::OtherDataCenters, true, false, false),
        (TlsScope::OtherDataCenters, false, true, true),
        (TlsScope::OtherRacks, true, true, false),
        (TlsScope::OtherRacks, true, false, true),
        (TlsScope::OtherRacks, false, true, true),
    ] {
        let keys = Keys::new("authority");
        let at = |number: usize, dc: bool, rack: bool| {
            let tls = strict(&keys, number).scope(scope).build().unwrap();
            config(number)
                .tls(tls)
                .state(ApplicationState::DC, if dc { "dc1" } else { "dc2" })
                .state(ApplicationState::RACK, if rack { "r1" } else { "r2" })
                .change_timeouts(|timeouts| timeouts.idle = seconds(5))
        };
        let mut net = Net::new([at(0, true, true), at(1, same_dc, same_rack)]);
        net.run(seconds(3));
        assert!(net.begun.first().unwrap().2, "where it is is not known yet");
        net.run(seconds(10));
        assert!(net.are_all_live(), "{scope:?}");
        // The connections are cut, and opened again now that it is known.
        net.begun.clear();
        for ((at, connection), _) in core::mem::take(&mut net.ends) {
            net.arrivals.push_back((at, connection, super::Arrival::Closed));
        }
        net.run(seconds(5));
        assert!(!net.begun.is_empty() && net.begun.iter().all(|(.., is_tls)| *is_tls == expected));
        assert!(net.are_all_live(), "{scope:?} {same_dc} {same_rack}");
    }
}

#[test]
fn a_plain_peer_of_an_unknown_data_center_is_closed_without_a_byte() {
    let keys = Keys::new("authority");
    let tls = strict(&keys, 0).scope(TlsScope::OtherDataCenters).outgoing(TlsOutgoing::Never);
    let mut net = Net::new([
        config(0).tls(tls.build().unwrap()).state(ApplicationState::DC, "dc1"),
        config(1).change_membership(|membership| membership.only_asks = true),
    ]);
    net.run(seconds(10));
    assert_eq!(net.faults(0), [(Some(address(1)), false, TlsFault::PlainRefused)]);
    assert!(!net.written.iter().any(|(by, ..)| *by == 0));
}
