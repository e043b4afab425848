//! TLS between nodes: the files that are named, nodes that replace their certificates, and `openssl` at the other end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use tempfile::TempDir;

use crate::ask::closing;
use crate::cassandra::Watching;
use crate::node::{Node, gossip, refused, until};
use crate::observe::{Exporter, get};

/// Certificates in files.
pub(crate) struct Files {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Files {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut params = named(&format!("authority in {}", dir.path().display()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let files = Self { dir, issuer: Issuer::new(params, key) };
        files.issue("node", |_| {});
        files
    }

    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let mut params = named(name);
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        self.write(&format!("{name}.pem"), certificate.as_bytes());
        self.write(&format!("{name}.key"), key.serialize_pem().as_bytes());
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The options that name a certificate, its key and what is trusted.
    pub(crate) fn options(&self, mode: &str, name: &str) -> Vec<String> {
        let path = |name: String| self.path(&name).to_str().unwrap().to_owned();
        let (certificate, key) = (path(format!("{name}.pem")), path(format!("{name}.key")));
        let named = ["--tls", mode, "--tls-cert", &certificate, "--tls-key", &key, "--tls-ca"];
        named.into_iter().map(String::from).chain([path("ca.pem".into())]).collect()
    }
}

pub(crate) fn borrowed(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

#[test]
fn what_is_wrong_with_a_file_is_one_line_that_names_it_and_what_to_do() {
    let files = Files::new();
    files.issue("expired", |params| params.not_after = date_time_ymd(2020, 1, 1));
    files.issue("early", |params| params.not_before = date_time_ymd(4000, 1, 1));
    files.issue("elsewhere", |params| {
        params.subject_alt_names = vec![SanType::IpAddress([10, 9, 9, 9].into())];
    });
    files.issue("other", |_| {});
    let stranger = Files::new();
    for name in ["node.pem", "node.key"] {
        let bytes = std::fs::read(stranger.path(name)).unwrap();
        files.write(&name.replace("node", "stranger"), &bytes);
    }
    files.write("empty.pem", b"");
    files.write("empty.key", b"");
    files.write("rubbish.pem", b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    files.write("store", &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]);
    let at = |name: &str| files.path(name).to_str().unwrap().to_owned();
    let (node, key, ca) = (at("node.pem"), at("node.key"), at("ca.pem"));
    std::fs::copy(files.path("node.key"), files.path("open.key")).unwrap();
    std::fs::set_permissions(files.path("open.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let pem = |certificate: &str, key: &str| {
        ["--tls-cert", certificate, "--tls-key", key, "--tls-ca", &ca].map(String::from).to_vec()
    };
    let cases: &[(Vec<String>, &[&str])] = &[
        (pem(&at("expired.pem"), &at("expired.key")), &["expired.pem", "has expired", "new one issued"]),
        (pem(&at("early.pem"), &at("early.key")), &["early.pem", "not valid yet", "check the clock"]),
        (pem(&at("stranger.pem"), &at("stranger.key")), &["stranger.pem", "--tls-ca", "name its authority"]),
        (pem(&at("elsewhere.pem"), &at("elsewhere.key")), &["elsewhere.pem", "IP:127.0.0.1"]),
        (pem(&node, &at("other.key")), &["other.key", "does not belong to the certificate"]),
        (pem(&node, &at("open.key")), &["open.key", "chmod o="]),
        (pem(&node, &at("empty.key")), &["empty.key", "no private key"]),
        (pem(&at("empty.pem"), &key), &["empty.pem", "no certificate"]),
        (pem(&at("rubbish.pem"), &key), &["rubbish.pem", "damaged"]),
        (pem(&at("absent.pem"), &key), &["absent.pem", "cannot be read"]),
        (pem(&at("store"), &key), &["is a JKS file", "--tls-keystore"]),
        (
            ["--tls-keystore", &at("store"), "--tls-ca", &ca].map(String::from).to_vec(),
            &["is a JKS file", "keytool -importkeystore", "-deststoretype PKCS12"],
        ),
        (["--tls-keystore", &node, "--tls-ca", &ca].map(String::from).to_vec(), &["is PEM", "--tls-cert"]),
        (
            ["--tls-cert", &node, "--tls-key", &key].map(String::from).to_vec(),
            &["certificate to trust", "--tls-ca"],
        ),
        (["--tls-ca", &ca].map(String::from).to_vec(), &["no certificate to present", "--tls-cert"]),
    ];
    for (options, words) in cases {
        let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tls", "required"];
        let line = refused(2, &[&run[..], &borrowed(options)].concat());
        assert!(words.iter().all(|word| line.contains(word)), "{options:?}: {line}");
    }
    let datagrams = ["run", "--transport", "datagram", "--listen", "127.0.0.1:0"];
    let line = refused(2, &[&datagrams[..], &borrowed(&files.options("required", "node"))].concat());
    assert!(line.contains("--key-file"), "{line}");
    let line = refused(2, &["run", "--tls-cert", &node]);
    assert!(line.contains("--tls"), "{line}");
}

#[test]
fn nodes_replace_their_certificates_while_they_run_and_are_asked_under_tls() {
    let files = Files::new();
    let options = files.options("required", "node");
    let tls = borrowed(&options);
    let first = Node::start_at("127.0.0.1:0", &tls);
    let seed = first.gossip.to_string();
    let start = |runtime| {
        Node::start_at("127.0.0.1:0", &[&tls[..], &["--seed", &seed, "--runtime", runtime]].concat())
    };
    let nodes = [start("smol"), start("mio"), first];
    for node in &nodes {
        until("all are up", || (node.count_up() == 3).then_some(()));
    }
    // All have a new certificate, and use it for new connections.
    files.issue("node", |_| {});
    for node in &nodes {
        let told = node.ask(&["reloadssl"]);
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{told:?}");
    }
    let ask = ["gossipinfo", "--seed", &seed, "--cluster", "Test Cluster", "--timeout", "60s"];
    let told = gossip(&[&ask[..], &tls].concat());
    assert!(told.code == Some(0) && told.stdout.contains(&seed), "{told:?}");
    let told = gossip(&ask);
    assert!(told.code == Some(1) && told.stderr.contains("--tls required"), "{told:?}");
    // A file that is no use changes nothing.
    files.write("node.pem", b"");
    let told = nodes[0].ask(&["reloadssl"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.stderr.contains("the certificates in use stay") && told.stderr.contains("node.pem"),
        "{told:?}"
    );
    for node in &nodes {
        until("all are still up", || (node.count_up() == 3).then_some(()));
        assert!(!node.log().contains("is DOWN"), "{}", node.log());
    }
    let plain = Node::start_at("127.0.0.1:0", &[]);
    let told = plain.ask(&["reloadssl"]);
    assert!(told.code == Some(1) && told.stderr.contains("--tls"), "{told:?}");
}

#[test]
fn changed_files_are_taken_up_by_themselves_once_they_stay_the_same() {
    let files = Files::new();
    let options = files.options("required", "node");
    let node = Node::start_at("127.0.0.1:0", &borrowed(&options));
    // Another authority and what it issues: only a node that has read all the files knows the next one that asks.
    let others = Files::new();
    for name in ["ca.pem", "node.pem", "node.key"] {
        files.write(name, &std::fs::read(others.path(name)).unwrap());
    }
    node.wait_for_log(&["the files of TLS have changed"]);
    let seed = node.gossip.to_string();
    let ask = ["gossipinfo", "--seed", &seed, "--cluster", "Test Cluster", "--timeout", "60s"];
    let options = others.options("required", "node");
    until("it has read them", || {
        let told = gossip(&[&ask[..], &borrowed(&options)].concat());
        (told.code == Some(0)).then_some(())
    });
}

#[test]
fn a_stranger_is_refused_and_named_in_the_log_with_what_to_do() {
    let (files, others) = (Files::new(), Files::new());
    let options = files.options("required", "node");
    let first = Node::start_at("127.0.0.1:0", &borrowed(&options));
    let seed = first.gossip.to_string();
    let options = others.options("required", "node");
    let join = [&borrowed(&options)[..], &["--seed", &seed, "--no-shadow-round"]].concat();
    let stranger = Node::start_at("127.0.0.1:0", &join);
    // The one that dials sees the other's certificate first, and says why it goes.
    let line = first.wait_for_log(&["WARN", "alert unknown_ca"]);
    assert!(line.contains("--tls-cert"), "{line}");
    let line = stranger.wait_for_log(&["WARN", &seed, "certificate was refused"]);
    assert!(line.contains("--tls-ca"), "{line}");
    let plain = Node::start_at("127.0.0.1:0", &["--seed", &seed, "--no-shadow-round"]);
    let line = first.wait_for_log(&["WARN", &plain.gossip.to_string(), "did not use TLS"]);
    assert!(line.contains("--tls optional"), "{line}");
}

#[test]
fn every_command_that_speaks_with_members_does_so_under_tls() {
    let files = Files::new();
    let options = files.options("required", "node");
    let tls = borrowed(&options);
    let first = Node::start_at("127.0.0.1:0", &tls);
    let seed = first.gossip.to_string();
    let second = Node::start_at("127.0.0.1:0", &[&tls[..], &["--seed", &seed]].concat());
    until("both are up", || (first.count_up() == 2 && second.count_up() == 2).then_some(()));
    let asked = ["--seed", &seed, "--cluster", "Test Cluster", "--timeout", "60s"];
    for command in [
        &["gossipinfo"][..],
        &["status"],
        &["describecluster"],
        &["ring"],
        &["sd"],
        &["check"],
        &["wait-for", "up"],
    ] {
        let told = gossip(&[command, &asked, &tls].concat());
        assert_eq!(told.code, Some(0), "{command:?}: {told:?}");
        if command[0] != "wait-for" {
            let plain = gossip(&[command, &asked].concat());
            assert_ne!(plain.code, Some(0), "{command:?}: {plain:?}");
            assert!(format!("{}{}", plain.stdout, plain.stderr).contains("TLS"), "{command:?}: {plain:?}");
        }
    }
    let exporter = Exporter::start(&[&["--seed", &seed], &tls[..]].concat());
    until("the exporter sees both", || {
        get(exporter.http, "/metrics").1.contains(&second.gossip.to_string()).then_some(())
    });
    Watching::start(&seed, &tls).wait_for(&[&second.gossip.to_string(), "up, generation"]);
}

#[test]
fn what_the_other_side_wants_is_told_by_each_command_from_what_it_does() {
    let files = Files::new();
    let options = files.options("required", "node");
    let tls = borrowed(&options);
    let cluster = ["--cluster", "c", "--timeout", "60s"];
    for (answer, words) in [
        // It reads a part of the hello, so that its end is a reset.
        (&b""[..], ["may not speak TLS there", "--tls optional"]),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ["does not speak TLS there", "storage port"]),
        (
            &[0x15, 3, 3, 0, 2, 2, 80],
            ["alert internal_error (80)", "do not trust the certificate that --tls-cert"],
        ),
        (&[0x15, 3, 3, 0, 2, 2, 40], ["alert handshake_failure (40)", "may demand a certificate"]),
        (&[0x15, 3, 3, 0, 2, 2, 45], ["alert certificate_expired (45)", "have a new one issued"]),
        (&[0x15, 3, 3, 0, 2, 2, 70], ["alert protocol_version (70)", "accepted_protocols"]),
    ] {
        let seed = closing(answer).to_string();
        for command in ["gossipinfo", "status", "describecluster", "watch"] {
            let line = refused(1, &[&[command, "--seed", &seed], &cluster[..], &tls].concat());
            assert!(
                words.iter().all(|word| line.contains(word)) && line.contains(&seed),
                "{command}: {line}"
            );
        }
        let run =
            ["run", "--cassandra", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--seed", &seed];
        let ended = gossip(&[&run[..], &tls].concat());
        let line = ended.stderr.lines().last().unwrap();
        assert!(ended.code == Some(1) && words.iter().all(|word| line.contains(word)), "{ended:?}");
    }
}

/// Whether `openssl` is installed. Where it must be, it is.
fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    assert!(found || std::env::var_os("GOSSIP_OPENSSL").is_none(), "openssl is not installed");
    if !found {
        eprintln!("skipped: openssl is not installed");
    }
    found
}

/// The first bytes of a dialler of gossip: an Initiate of messaging version 12 that comes from 127.0.0.1:7000.
pub(crate) fn initiate() -> Vec<u8> {
    use gossip_core::internode::{ConnectionType, Framing, Initiate, VersionRange};
    let from = "127.0.0.1:7000".parse().unwrap();
    let versions = VersionRange { min: 12, max: 12 };
    let mut bytes = [0; Initiate::MAX_SIZE];
    let mut out = gossip_core::wire::Writer::new(&mut bytes);
    Initiate::messaging(ConnectionType::Urgent, Framing::Crc, versions, from).encode(&mut out).unwrap();
    let len = out.len();
    bytes[..len].to_vec()
}

fn s_client(files: &Files, to: &str, version: &str, presents: bool) -> (Vec<u8>, String) {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-quiet", "-connect", to, version, "-CAfile"]).arg(files.path("ca.pem"));
    if presents {
        client.arg("-cert").arg(files.path("node.pem")).arg("-key").arg(files.path("node.key"));
    }
    let mut client =
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    // It may have ended already.
    let _ = stdin.write_all(&initiate());
    let mut stdout = client.stdout.take().unwrap();
    let mut answer = [0; 8];
    let is_answered = stdout.read_exact(&mut answer).is_ok();
    drop(stdin);
    let _ = client.kill();
    let mut errors = String::new();
    client.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    client.wait().unwrap();
    (if is_answered { answer.to_vec() } else { Vec::new() }, errors)
}

#[test]
fn openssl_dials_with_tls_1_2_and_1_3() {
    if !has_openssl() {
        return;
    }
    let files = Files::new();
    let options = files.options("required", "node");
    let demands = Node::start_at("127.0.0.1:0", &borrowed(&options));
    let lenient =
        Node::start_at("127.0.0.1:0", &[&borrowed(&options)[..], &["--tls-client-auth", "off"]].concat());
    for version in ["-tls1_2", "-tls1_3"] {
        let (answer, errors) = s_client(&files, &demands.gossip.to_string(), version, true);
        // An Accept: the version that is agreed on stands last.
        assert_eq!(answer.last(), Some(&12), "{version}: {errors}");
        let (answer, errors) = s_client(&files, &demands.gossip.to_string(), version, false);
        assert!(answer.is_empty(), "{version}");
        assert!(errors.contains("alert"), "{version}: {errors}");
        let (answer, errors) = s_client(&files, &lenient.gossip.to_string(), version, false);
        assert_eq!(answer.last(), Some(&12), "{version}: {errors}");
    }
    let line = demands.wait_for_log(&["WARN", "presented no certificate"]);
    assert!(line.contains("--tls-client-auth off"), "{line}");
}

#[test]
fn a_peer_that_wants_to_negotiate_anew_is_refused_and_the_node_goes_on() {
    if !has_openssl() {
        return;
    }
    let files = Files::new();
    let options = files.options("required", "node");
    let tls = borrowed(&options);
    let node = Node::start_at("127.0.0.1:0", &tls);
    let seed = node.gossip.to_string();
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &seed, "-tls1_2", "-CAfile"]).arg(files.path("ca.pem"));
    client.arg("-cert").arg(files.path("node.pem")).arg("-key").arg(files.path("node.key"));
    let mut client =
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    // It asks for that when a line begins with R, once the handshake is done: it has printed what was agreed on.
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("Verify return code")), "the handshake is done");
    stdin.write_all(b"R\n").unwrap();
    let mut errors = String::new();
    client.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    drop(stdin);
    assert!(!client.wait().unwrap().success());
    assert!(errors.contains("RENEGOTIATING") && errors.contains("no renegotiation"), "{errors}");
    let ask = ["gossipinfo", "--seed", &seed, "--cluster", "Test Cluster", "--timeout", "60s"];
    let told = gossip(&[&ask[..], &tls].concat());
    assert!(told.code == Some(0) && told.stdout.contains(&seed), "{told:?}");
}

/// A port that is free at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn s_server(ca: &Path, certificate: &Path, key: &Path, options: &[&str]) -> (std::process::Child, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut server = Command::new("openssl");
    server.args(["s_server", "-quiet", "-naccept", "50", "-accept", &address, "-CAfile"]).arg(ca);
    server.arg("-cert").arg(certificate).arg("-key").arg(key).args(options);
    let server = server.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("openssl listens", || std::net::TcpStream::connect(&address).ok());
    (server, address)
}

#[test]
fn openssl_is_dialled_and_its_refusals_are_told_in_words() {
    if !has_openssl() {
        return;
    }
    let files = Files::new();
    let stranger = Files::new();
    files.issue("expired", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let options = files.options("required", "node");
    let ask = |to: &str, options: &[String]| {
        let ask = ["status", "--seed", to, "--cluster", "c", "--timeout", "20s"];
        let told = gossip(&[&ask[..], &borrowed(options)].concat());
        assert_eq!((told.code, told.stderr.lines().count()), (Some(1), 1), "{told:?}");
        told.stderr
    };
    for version in ["-tls1_2", "-tls1_3"] {
        for (from, name, demands, words) in [
            // It says nothing after the handshake of TLS: it does not gossip.
            (&files, "node", &[][..], &["sent nothing in answer to the handshake"][..]),
            (&files, "node", &["-Verify", "2", "-verify_return_error"], &["sent nothing in answer"]),
            (&files, "expired", &[], &["certificate was refused", "it has expired", "for that node"]),
            (&stranger, "node", &[], &["certificate was refused", "--tls-ca"]),
        ] {
            let (certificate, key) = (from.path(&format!("{name}.pem")), from.path(&format!("{name}.key")));
            let options_of_server = [demands, &[version]].concat();
            let (mut server, address) =
                s_server(&files.path("ca.pem"), &certificate, &key, &options_of_server);
            let line = ask(&address, &options);
            let _ = server.kill();
            server.wait().unwrap();
            assert!(words.iter().all(|word| line.contains(word)), "{version} {name} {demands:?}: {line}");
        }
        // It trusts another authority: its alert says so, early or late.
        let demands = ["-Verify", "2", "-verify_return_error", version];
        let (mut server, address) =
            s_server(&stranger.path("ca.pem"), &files.path("node.pem"), &files.path("node.key"), &demands);
        let line = ask(&address, &options);
        let _ = server.kill();
        server.wait().unwrap();
        assert!(line.contains("alert unknown_ca (48)") && line.contains("--tls-cert"), "{version}: {line}");
    }
}
