//! Connections under TLS: nothing of them is decrypted, and what they say in the clear is named.

use std::fs;
use std::sync::Arc;

use gossip_decode::{Options, Passed, Record, Tls, TlsAlert, TlsCertificate};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, RootCertStore, ServerConfig, ServerConnection,
    SideData, SupportedProtocolVersion,
};

use crate::support::{ACCEPTOR, DIALLER, Decoded, Talk, decode, decode_capture, hex, usual_initiate};
use gossip_testing::shared;

/// What was said of the connections that were skipped.
fn all_passed(decoded: &Decoded) -> Vec<&Passed> {
    let each = decoded.records.iter();
    each.filter_map(|record| if let Record::Passed(passed) = record { Some(passed) } else { None }).collect()
}

fn passed(decoded: &Decoded) -> &Tls {
    let [passed] = all_passed(decoded)[..] else { panic!("{decoded:?}") };
    assert_eq!(passed.what, "tls");
    passed.tls.as_ref().unwrap()
}

/// A certificate that is its own authority, and its key.
fn identity() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["10.0.0.2".to_owned(), "node.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "a node");
    (params.self_signed(&key).unwrap().into(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// What the two ends of a session write in turn, the dialler first.
fn session(version: &'static SupportedProtocolVersion, name: &str) -> Vec<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (certificate, key) = identity();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let roots = Arc::new(roots);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.clone()], key.clone_key())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut written = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        written.push(pass(&mut client, &mut server));
        written.push(pass(&mut server, &mut client));
    }
    client.send_close_notify();
    written.push(pass(&mut client, &mut server));
    written
}

/// Hands over all that one end has to write.
fn pass<A: SideData, B: SideData>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets().unwrap();
    }
    bytes
}

/// A capture of the session, in packets of at most so many bytes.
fn talk(session: &[Vec<u8>], size: usize) -> Talk {
    let mut talk = Talk::new(DIALLER, ACCEPTOR);
    talk.open();
    for (at, bytes) in session.iter().enumerate() {
        for piece in bytes.chunks(size) {
            if at % 2 == 0 { talk.dial(piece) } else { talk.answer(piece) }
        }
    }
    talk.close();
    talk
}

#[test]
fn a_session_of_tls_1_2_shows_version_suite_and_the_certificates_of_both_ends() {
    let session = session(&rustls::version::TLS12, "10.0.0.2");
    for size in [1, 7, 1_400, 20_000] {
        let decoded = talk(&session, size).decode();
        decoded.assert_whole();
        let tls = passed(&decoded);
        assert_eq!((tls.version.as_deref(), &tls.offered[..]), (Some("1.2"), &["1.2".to_owned()][..]));
        let suite = tls.cipher_suite.as_deref().unwrap();
        assert!(suite.starts_with("TLS_ECDHE_ECDSA_WITH_"), "{suite}");
        assert!(tls.demands_certificate && tls.server_name.is_none() && tls.alerts.is_empty());
        let of: Vec<_> = tls.certificates.iter().map(|certificate| certificate.from).collect();
        assert_eq!(of, ["acceptor", "dialler"]);
        for TlsCertificate { chain, subject, issuer, names, not_before, not_after, .. } in &tls.certificates {
            assert_eq!((*chain, subject), (1, issuer));
            assert!(subject.as_deref().unwrap().contains("a node"), "{subject:?}");
            assert_eq!(names[..], ["10.0.0.2", "node.example"]);
            assert!(not_before.unwrap() < not_after.unwrap());
        }
    }
}

#[test]
fn a_session_of_tls_1_3_shows_version_suite_and_the_name_that_is_asked_for() {
    let session = session(&rustls::version::TLS13, "node.example");
    for size in [1, 7, 1_400, 20_000] {
        let decoded = talk(&session, size).decode();
        decoded.assert_whole();
        let tls = passed(&decoded);
        assert_eq!((tls.version.as_deref(), tls.server_name.as_deref()), (Some("1.3"), Some("node.example")));
        assert!(tls.cipher_suite.as_deref().unwrap().starts_with("TLS_AES_"), "{tls:?}");
        assert!(tls.certificates.is_empty() && tls.alerts.is_empty(), "both are encrypted: {tls:?}");
    }
}

#[test]
fn a_session_whose_beginning_is_missing_is_skipped_without_a_word() {
    let session = session(&rustls::version::TLS12, "10.0.0.2");
    let mut talk = talk(&session, 1_400);
    // The packets of the opening, the client hello, and the first of the answer.
    talk.packets.drain(..5);
    let decoded = talk.decode();
    let tls = all_passed(&decoded).first().and_then(|passed| passed.tls.clone()).unwrap();
    assert_eq!((tls, decoded.damages().len()), (Tls::default(), 0));
}

#[test]
fn the_hello_of_cassandra_4_0_is_named() {
    // `docs/protocol/tls.md#versions-and-suites`: a node dials with up to 1.2, and names no server.
    let hello = hex(
        "16 03 01 00 72 01 00 00 6e 03 03 0000000000000000000000000000000000000000000000000000000000000000 00 \
         00 12 c02c c02b c02f c030 c013 c014 009c 002f 0035 01 00 00 33 0017 0000 ff01 0001 00 \
         000a 0008 0006 001d 0017 0018 000b 0002 01 00 000d 0014 0012 0403 0804 0401 0503 0805 0501 0806 0601 0201",
    );
    let decoded = decode(&hello);
    let tls = passed(&decoded);
    assert_eq!((&tls.offered[..], &tls.server_name, &tls.version), (&["1.2".to_owned()][..], &None, &None));
}

#[test]
fn alerts_are_named_with_who_sent_them() {
    for (alert, name, number) in [
        ("15 03 03 00 02 02 50", Some("internal_error"), 80),
        ("15 03 03 00 02 02 2e", Some("certificate_unknown"), 46),
        ("15 03 03 00 02 02 f0", None, 240),
    ] {
        let mut session = session(&rustls::version::TLS12, "10.0.0.2");
        session.truncate(2);
        session.push(hex(alert));
        let decoded = talk(&session, 3).decode();
        let alert = TlsAlert { from: "dialler", level: "fatal", number, name };
        assert_eq!(passed(&decoded).alerts, [alert]);
        // In answer to the client hello.
        session.truncate(1);
        session.push(hex("15 03 01 00 02 02 46"));
        let decoded = talk(&session, 20_000).decode();
        let alert = TlsAlert { from: "acceptor", level: "fatal", number: 70, name: Some("protocol_version") };
        assert_eq!(passed(&decoded).alerts, [alert]);
    }
}

#[test]
fn an_alert_in_answer_to_a_plain_handshake_says_that_tls_is_demanded() {
    // `docs/protocol/tls.md#what-a-listener-accepts`: what a node answers whose port takes TLS alone.
    for pieces in [&["15 03 01 00 02 02 46"][..], &["15 03", "01 00 02 02", "46"]] {
        let mut talk = Talk::new(DIALLER, ACCEPTOR);
        talk.open();
        talk.dial(&usual_initiate());
        for piece in pieces {
            talk.answer(&hex(piece));
        }
        talk.close();
        let decoded = talk.decode();
        decoded.assert_whole();
        let [note] = decoded.notes()[..] else { panic!("{decoded:?}") };
        assert!(note.contains("the TLS alert protocol_version (70)") && note.contains("TLS only"), "{note}");
        assert!(decoded.handshakes()[0].answer.is_none());
    }
    // Half an alert is none.
    let mut talk = Talk::new(DIALLER, ACCEPTOR);
    talk.open();
    talk.dial(&usual_initiate());
    talk.answer(&hex("15 03 01 00"));
    talk.close();
    assert_eq!(talk.decode().damages().len(), 1);
}

#[test]
fn damaged_sessions_cost_no_memory_and_say_nothing_that_was_not_sent() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let session = session(version, "10.0.0.2");
        for turn in 0..2 {
            for at in (0..session[turn].len()).step_by(11) {
                let mut damaged = session.clone();
                damaged[turn][at] ^= 0xff;
                let decoded = talk(&damaged, 500).decode();
                assert!(decoded.summary.connections == 1, "{decoded:?}");
            }
        }
    }
}

/// The recorded sessions with real nodes: how many connections, the version of TLS, and the cipher suites in the order of connections.
const RECORDED: [(&str, usize, &str, &[&str]); 4] = [
    ("tls12-member-40.pcap", 7, "1.2", &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]),
    ("tls12-shadow-40.pcap", 1, "1.2", &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]),
    ("tls13-shadow-50.pcap", 1, "1.3", &["TLS_AES_128_GCM_SHA256"]),
    // The node prefers the smaller key, the other end the larger one.
    ("tls13-v14-shadow.pcap", 4, "1.3", &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]),
];

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn each_recorded_session_is_named() {
    let folder = shared().join("fixtures/tls");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".pcap"))
        .collect();
    names.sort();
    assert_eq!(names, RECORDED.map(|(name, ..)| name), "what is new is to be named as well");
    for (name, connections, version, suites) in RECORDED {
        let file = fs::read(folder.join(name)).unwrap();
        let (decoded, _) = decode_capture(&file, Options::default());
        decoded.assert_whole();
        let mut all = all_passed(&decoded);
        all.sort_by_key(|passed| passed.place.connection);
        assert_eq!(all.len(), connections, "{name}");
        for (passed, suite) in all.iter().zip(suites.iter().cycle()) {
            let tls = passed.tls.as_ref().unwrap();
            assert_eq!(tls.offered, ["1.3", "1.2"], "{name}");
            assert_eq!(
                (tls.version.as_deref(), tls.cipher_suite.as_deref()),
                (Some(version), Some(*suite)),
                "{name}"
            );
            assert!(tls.server_name.is_none() && tls.alerts.is_empty(), "{name}");
            if version == "1.3" {
                assert!(tls.certificates.is_empty(), "{name}: they are encrypted");
                continue;
            }
            let [certificate] = &tls.certificates[..] else { panic!("{name}: {tls:?}") };
            assert_eq!((certificate.from, certificate.chain), ("acceptor", 2), "{name}");
            assert_eq!(certificate.subject.as_deref(), Some("CN=node, O=gossip tests"), "{name}");
            assert_eq!(certificate.issuer.as_deref(), Some("CN=Test CA, O=gossip tests"), "{name}");
            assert!(certificate.names.contains(&"127.0.0.41".to_owned()), "{name}");
        }
    }
}
