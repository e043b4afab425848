//! Whose certificate holds, in both directions.

use alloc::sync::Arc;

use gossip_core::rustls::pki_types::CertificateDer;
use gossip_core::{CertificateFault, Tls, TlsBuilder, TlsError, TlsFault};
use rustls::crypto::ring::cipher_suite;

use super::keys::{self, ELSEWHERE, Identity, Keys, self_signed};
use super::{NOW, Net, address, config, seconds, strict};

fn cassandra(identity: Identity, trusted: Vec<CertificateDer<'static>>) -> TlsBuilder {
    Tls::builder(keys::provider()).identity(identity.0, identity.1).trusted(trusted).as_cassandra()
}

/// What a good node and another, which dial each other, find fault with.
fn faults(good: TlsBuilder, other: TlsBuilder) -> [Vec<(bool, TlsFault)>; 2] {
    let mut net = Net::new([config(0).tls(good.build().unwrap()), config(1).tls(other.build().unwrap())]);
    net.run(seconds(10));
    assert_eq!(net.are_all_live(), net.faults(0).is_empty() && net.faults(1).is_empty());
    [0, 1].map(|at| net.faults(at).into_iter().map(|(_, dialled, fault)| (dialled, fault)).collect())
}

#[test]
fn a_certificate_that_does_not_hold_is_refused_in_both_directions_and_named() {
    let keys = Keys::new("authority");
    let others = Keys::new("another authority");
    for (identity, expected) in [
        (keys.expired(), CertificateFault::Expired),
        (keys.not_yet_valid(), CertificateFault::NotYetValid),
        (others.node(1), CertificateFault::UnknownIssuer),
        (keys.through_another(false), CertificateFault::UnknownIssuer),
        (self_signed(false, false), CertificateFault::UnknownIssuer),
    ] {
        let good = cassandra(keys.node(0), vec![keys.authority()]);
        let [told, theirs] = faults(good, cassandra(identity, vec![keys.authority()]));
        assert!(told.contains(&(false, TlsFault::Certificate(expected))), "{expected:?}: {told:?}");
        assert!(told.iter().all(|(_, fault)| *fault == TlsFault::Certificate(expected)), "{told:?}");
        assert!(matches!(theirs[..], [(true, TlsFault::Alert(_)), ..]), "{theirs:?}");
    }
    let [told, theirs] = faults(
        cassandra(keys.node(0), vec![keys.authority()]),
        cassandra(keys.through_another(true), vec![keys.authority()]),
    );
    assert!(told.is_empty() && theirs.is_empty(), "{told:?} {theirs:?}");
}

#[test]
fn who_is_dialled_is_checked_too() {
    let keys = Keys::new("authority");
    for (identity, expected) in [
        (keys.expired(), CertificateFault::Expired),
        (Keys::new("another").node(0), CertificateFault::UnknownIssuer),
    ] {
        // The other asks, and is asked for nothing.
        let bad = cassandra(identity, vec![keys.authority()]).client_auth(false);
        let [_, told] = faults(bad, cassandra(keys.node(1), vec![keys.authority()]));
        assert!(told.contains(&(true, TlsFault::Certificate(expected))), "{expected:?}: {told:?}");
    }
}

#[test]
fn a_certificate_for_servers_alone_is_refused_from_who_dials() {
    let keys = Keys::new("authority");
    let [told, _] = faults(
        cassandra(keys.node(0), vec![keys.authority()]),
        cassandra(keys.for_servers_only(), vec![keys.authority()]),
    );
    assert_eq!(told, [(false, TlsFault::Certificate(CertificateFault::WrongPurpose))]);
}

#[test]
fn who_presents_nothing_is_refused_where_something_is_demanded() {
    let keys = Keys::new("authority");
    let nobody = || {
        Tls::builder(keys::provider()).trusted(vec![keys.authority()]).incoming(gossip_core::TlsIncoming::Off)
    };
    let demands = cassandra(keys.node(0), vec![keys.authority()]);
    let [told, theirs] = faults(demands, nobody().as_cassandra());
    assert!(told.contains(&(false, TlsFault::NoCertificate)), "{told:?}");
    // In TLS 1.3 this comes after the handshake, where the answer to ours was due.
    assert_eq!(theirs, [(true, TlsFault::Alert(116))]);
    let demands_nothing = cassandra(keys.node(0), vec![keys.authority()]).client_auth(false);
    let mut net = Net::new([
        config(0).tls(demands_nothing.outgoing(gossip_core::TlsOutgoing::Never).build().unwrap()),
        config(1).tls(nobody().as_cassandra().build().unwrap()),
    ]);
    net.run(seconds(10));
    assert!(net.are_all_live());
}

#[test]
fn with_tls_1_2_a_missing_certificate_fails_the_handshake() {
    let keys = Keys::new("authority");
    let provider = keys::provider_of(&[cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]);
    let nobody = Tls::builder(provider)
        .trusted(vec![keys.authority()])
        .incoming(gossip_core::TlsIncoming::Off)
        .as_cassandra();
    let [told, theirs] = faults(cassandra(keys.node(0), vec![keys.authority()]), nobody);
    assert!(told.contains(&(false, TlsFault::NoCertificate)), "{told:?}");
    assert!(theirs.iter().any(|(dialled, fault)| *dialled && matches!(fault, TlsFault::Alert(_))));
}

#[test]
fn java_trusts_a_certificate_that_stands_in_the_trust_file_and_the_strict_rules_do_not() {
    let keys = Keys::new("authority");
    for (is_authority, is_expired) in [(false, false), (true, false), (false, true), (true, true)] {
        let identity = || self_signed(is_authority, is_expired);
        let (a, b) = (identity(), identity());
        let trusted = vec![a.0[0].clone(), b.0[0].clone()];
        let [told, theirs] = faults(cassandra(a, trusted.clone()), cassandra(b, trusted.clone()));
        assert!(told.is_empty() && theirs.is_empty(), "{is_authority} {is_expired}: {told:?} {theirs:?}");
        if is_authority || is_expired {
            let (chain, key) = identity();
            let trusted = vec![chain[0].clone(), keys.authority()];
            let tls = Tls::builder(keys::provider()).identity(chain, key).trusted(trusted);
            let refused = tls.verify_address(false).build().unwrap().check_own(NOW / 1_000, ELSEWHERE);
            assert!(matches!(refused, Err(TlsError::OwnCertificate(_))), "{is_authority} {is_expired}");
        }
    }
}

#[test]
fn by_the_strict_rules_a_certificate_names_the_address_in_both_directions() {
    let keys = Keys::new("authority");
    let elsewhere = |identity: Identity| {
        Tls::builder(keys::provider()).identity(identity.0, identity.1).trusted(vec![keys.authority()])
    };
    let wrong = TlsFault::Certificate(CertificateFault::WrongAddress);
    for identity in [keys.naming(ELSEWHERE), keys.unnamed()] {
        let [told, _] = faults(strict(&keys, 0), elsewhere(identity));
        assert!(told.contains(&(false, wrong)), "{told:?}");
    }
    let [_, told] = faults(elsewhere(keys.naming(ELSEWHERE)), strict(&keys, 1));
    assert!(told.contains(&(true, wrong)), "{told:?}");
    // The address that counts for who dials is the one it dials from.
    let mut net = Net::new([0, 1].map(|at| config(at).tls(strict(&keys, at).build().unwrap())));
    net.members[1].source = ELSEWHERE;
    net.run(seconds(10));
    assert!(net.faults(0).contains(&(None, false, wrong)), "{:?}", net.faults(0));
}

#[test]
fn an_application_may_refuse_by_its_own_rules() {
    let keys = Keys::new("authority");
    let pinned = Arc::new(keys::Pinned { accepted: keys.node(7).0[0].clone() });
    let [told, _] = faults(strict(&keys, 0).client_verifier(pinned), strict(&keys, 1));
    assert!(told.contains(&(false, TlsFault::Certificate(CertificateFault::Refused))), "{told:?}");
}

#[test]
fn the_own_certificate_is_checked_before_anybody_refuses_it() {
    let keys = Keys::new("authority");
    let own = |identity: Identity, trusted| {
        let tls = cassandra(identity, trusted).build().unwrap();
        tls.check_own(NOW / 1_000, address(1).ip())
    };
    assert_eq!(own(keys.node(1), vec![keys.authority()]), Ok(()));
    for (identity, fault) in [
        (keys.expired(), CertificateFault::Expired),
        (keys.not_yet_valid(), CertificateFault::NotYetValid),
        (Keys::new("another").node(1), CertificateFault::UnknownIssuer),
        (keys.for_servers_only(), CertificateFault::WrongPurpose),
    ] {
        assert_eq!(own(identity, vec![keys.authority()]), Err(TlsError::OwnCertificate(fault)));
    }
    let (chain, key) = keys.naming(ELSEWHERE);
    let tls = Tls::builder(keys::provider()).identity(chain, key).trusted(vec![keys.authority()]);
    assert_eq!(
        tls.build().unwrap().check_own(NOW / 1_000, address(1).ip()),
        Err(TlsError::OwnCertificate(CertificateFault::WrongAddress))
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let keys = Keys::new("authority");
    let builder = || Tls::builder(keys::provider());
    let (chain, key) = keys.node(1);
    assert_eq!(builder().build().unwrap_err(), TlsError::NothingTrusted);
    assert_eq!(builder().trusted(vec![keys.authority()]).build().unwrap_err(), TlsError::NoCertificate);
    let trusted = builder().trusted(vec![keys.authority()]);
    assert_eq!(trusted.identity(chain, keys.node(1).1).build().unwrap_err(), TlsError::KeyMismatch);
    let garbage = CertificateDer::from(vec![1, 2, 3]);
    let refused = builder().trusted(vec![garbage.clone()]).build().unwrap_err();
    assert!(matches!(refused, TlsError::Certificate(_)), "{refused:?}");
    let trusted = builder().trusted(vec![keys.authority()]);
    assert!(matches!(trusted.identity(vec![garbage], key).build().unwrap_err(), TlsError::Certificate(_)));
    let tls = strict(&keys, 0).build().unwrap();
    let datagrams = config(0).transport(gossip_core::Transport::Datagram).tls(tls).build();
    assert_eq!(datagrams.unwrap_err(), gossip_core::ConfigError::NoConnections);
}
