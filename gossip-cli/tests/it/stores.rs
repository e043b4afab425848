//! Key stores and trust stores: those that are no use, and every kind that Cassandra's nodes have.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use gossip_core::rustls::pki_types::pem::PemObject;
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use gossip_testing::shared;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use tempfile::TempDir;

use crate::ask::closing;
use crate::node::{Node, gossip, refused};
use crate::tls::{Files, borrowed};

/// The options that name a key store and a trust store of one folder, and the password file there.
fn options(folder: &Path, keys: &str, trusted: &str) -> Vec<String> {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let key_store = ["--tls", "required", "--tls-keystore", &path(keys)].map(str::to_owned);
    let password = ["--tls-keystore-password-file", &path("password")].map(str::to_owned);
    let trust = if trusted.ends_with(".pem") {
        vec!["--tls-ca".into(), path(trusted)]
    } else {
        let password = ["--tls-truststore-password-file", &path("password")].map(str::to_owned);
        [&["--tls-truststore".into(), path(trusted)][..], &password].concat()
    };
    [&key_store[..], &password, &trust].concat()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Asks where TLS is not spoken. A store that is no use is refused before that.
fn ask_a_stranger(options: &[String]) -> (Option<i32>, String) {
    let seed = closing(b"").to_string();
    let ask = ["status", "--seed", &seed, "--cluster", "c", "--timeout", "60s"];
    let told = gossip(&[&ask[..], &borrowed(options)].concat());
    assert_eq!(told.stderr.lines().count(), 1, "{told:?}");
    (told.code, told.stderr)
}

#[test]
fn a_store_that_is_no_use_is_one_line_that_names_it_and_what_to_do() {
    let files = Files::new();
    let folder = files.path("");
    let read = |name: &str| CertificateDer::from_pem_file(files.path(name)).unwrap();
    let certificate = |name: &str| Certificate::from_der(&read(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(files.path("node.key")).unwrap();
    let key = PrivateKey::from_der(key.secret_der()).unwrap();
    let mut keys = KeyStore::new();
    let chain = PrivateKeyChain::new("node", key, [certificate("node.pem")]);
    keys.add_entry("node", KeyStoreEntry::PrivateKeyChain(chain));
    write(&folder, "keys.p12", &keys.writer("cassandra").write().unwrap());
    let mut trusted = KeyStore::new();
    trusted.add_entry("ca", KeyStoreEntry::Certificate(certificate("ca.pem")));
    write(&folder, "trusted.p12", &trusted.writer("cassandra").write().unwrap());
    write(&folder, "password", b"cassandra\n");
    // The stores are right. As Java has it, a key store trusts the first certificate of its key.
    let right = options(&folder, "keys.p12", "trusted.p12");
    for usable in [&right, &options(&folder, "keys.p12", "keys.p12")] {
        let (code, line) = ask_a_stranger(usable);
        assert_eq!(code, Some(1), "{line}");
    }

    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let told = |options: &[String]| {
        let question = ask_a_stranger(options);
        let line = refused(2, &[&run[..], &borrowed(options)].concat());
        assert_eq!(question, (Some(2), line.clone()), "each command says the same");
        line
    };
    write(&folder, "empty.p12", b"");
    write(&folder, "rubbish.p12", &[0x30, 0x82, 0, 4, 1, 2, 3, 4]);
    write(&folder, "store.jks", &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]);
    for (keys, trusted, words) in [
        ("trusted.p12", "trusted.p12", ["--tls-keystore", "trusted.p12", "no private key", "key store"]),
        ("empty.p12", "trusted.p12", ["--tls-keystore", "empty.p12", "is empty", "name a PKCS#12 file"]),
        ("rubbish.p12", "trusted.p12", ["--tls-keystore", "rubbish.p12", "no PKCS#12 file", "keytool"]),
        ("absent.p12", "trusted.p12", ["--tls-keystore", "absent.p12", "cannot be read", "check its name"]),
        ("keys.p12", "empty.p12", ["--tls-truststore", "empty.p12", "is empty", "name a PKCS#12 file"]),
        ("keys.p12", "store.jks", ["--tls-truststore", "store.jks", "JKS", "keytool -importkeystore"]),
        ("ca.pem", "trusted.p12", ["--tls-keystore", "ca.pem", "is PEM", "--tls-cert"]),
    ] {
        let line = told(&options(&folder, keys, trusted));
        assert!(words.iter().all(|word| line.contains(word)), "{keys} {trusted}: {line}");
    }

    write(&folder, "password", b"guess");
    let line = told(&right);
    assert!(
        line.contains("keys.p12") && line.contains("does not open it") && line.contains("password"),
        "{line}"
    );
    let line = told(&right[..4].iter().chain(&right[6..]).cloned().collect::<Vec<_>>());
    assert!(line.contains("has a password") && line.contains("--tls-keystore-password-file"), "{line}");
    std::fs::set_permissions(folder.join("password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let line = told(&right);
    assert!(line.contains("password") && line.contains("chmod o="), "{line}");
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn every_store_that_the_script_of_the_captures_makes_is_read() {
    let has = |name: &str| Command::new(name).arg("-help").output().is_ok();
    if !has("keytool") || !has("openssl") {
        eprintln!("skipped: keytool or openssl is not installed");
        return;
    }
    let dir = TempDir::new().unwrap();
    let folder = dir.path();
    let script = shared().join("fixtures/tls/mkkeys.sh");
    let made = Command::new("bash").arg(&script).arg(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    write(folder, "password", b"cassandra");
    for entry in std::fs::read_dir(folder).unwrap() {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(entry.unwrap().path(), mode).unwrap();
    }

    // By the rules of Cassandra's nodes, which hold for questions.
    let usable = [
        ("node.p12", "trust.p12"),
        ("node-keytool.p12", "trust.p12"),
        ("node-legacy.p12", "trust.p12"),
        ("ecnode.p12", "trust.p12"),
        ("nosan.p12", "trust.p12"),
        ("wrongsan.p12", "trust.p12"),
        ("dnssan.p12", "trust.p12"),
        ("other.p12", "otherca.pem"),
        // A certificate that is itself trusted holds, whatever it says.
        ("selfsigned.p12", "trust-selfsigned.p12"),
        ("expired.p12", "trust-expired.p12"),
        ("selfca.p12", "selfca.pem"),
        ("selfsan.p12", "selfsan.pem"),
    ];
    // At the same time: each of them dials several times, and waits in between.
    thread::scope(|scope| {
        for (keys, trusted) in usable {
            scope.spawn(move || {
                let (code, line) = ask_a_stranger(&options(folder, keys, trusted));
                assert_eq!(code, Some(1), "{keys} {trusted}: {line}");
            });
        }
    });
    let refused = [
        ("other.p12", "trust.p12", "name its authority"),
        ("selfsigned.p12", "trust.p12", "name its authority"),
        ("expired.p12", "trust.p12", "have a new one issued"),
        ("serveronly.p12", "trust.p12", "serverAuth and clientAuth"),
        ("node.jks", "trust.p12", "keytool -importkeystore"),
        ("selfsigned.jks", "trust.p12", "keytool -importkeystore"),
        ("node.p12", "trust.jks", "keytool -importkeystore"),
    ];
    for (keys, trusted, words) in refused {
        let (code, line) = ask_a_stranger(&options(folder, keys, trusted));
        let name = if trusted.ends_with(".jks") { trusted } else { keys };
        assert!(code == Some(2) && line.contains(words) && line.contains(name), "{keys} {trusted}: {line}");
    }
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let encrypted = ["--tls", "required", "--tls-cert", &path("node.pem"), "--tls-key"].map(str::to_owned);
    let encrypted =
        [&encrypted[..], &[path("node-encrypted.key"), "--tls-ca".into(), path("ca.pem")]].concat();
    let (code, line) = ask_a_stranger(&encrypted);
    assert!(code == Some(2) && line.contains("is encrypted") && line.contains("openssl pkey"), "{line}");
    let mut known: Vec<_> =
        usable.iter().map(|(keys, _)| *keys).chain(refused.map(|(keys, ..)| keys)).collect();
    known.extend(["trust.p12", "trust-selfsigned.p12", "trust-expired.p12", "trust.jks"]);
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_store = name.ends_with(".p12") || name.ends_with(".jks");
        assert!(!is_store || known.contains(&name.as_str()), "{name} is to be tried as well");
    }

    // By the strict rules, with nodes at both ends.
    let node = Node::start_at("127.0.0.1:0", &borrowed(&options(folder, "node.p12", "trust.p12")));
    let seed = node.gossip.to_string();
    let ask = ["gossipinfo", "--seed", &seed, "--cluster", "Test Cluster", "--timeout", "60s"];
    for keys in ["node.p12", "node-keytool.p12", "node-legacy.p12", "ecnode.p12"] {
        let told = gossip(&[&ask[..], &borrowed(&options(folder, keys, "trust.p12"))].concat());
        assert!(told.code == Some(0) && told.stdout.contains(&seed), "{keys}: {told:?}");
    }
    for keys in ["nosan.p12", "wrongsan.p12", "dnssan.p12"] {
        let told = gossip(&[&ask[..], &borrowed(&options(folder, keys, "trust.p12"))].concat());
        let words = ["may not accept the certificate", "name the address of this machine"];
        let is_told = words.iter().all(|word| told.stderr.contains(word));
        assert!(told.code == Some(1) && is_told, "{keys}: {told:?}");
    }
}
