//! Java at the other end of a connection under TLS, with stores that `keytool` makes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::node::{Node, gossip};
use crate::tls::{borrowed, initiate};

const PASSWORD: &str = "cassandra";

/// The first bytes of an Accept: the newest version that a node takes, and the version that both agreed on.
const ACCEPT: &str = "0000000d0000000c";

/// The versions of TLS, and the kind of key that the node has with each.
const CASES: [(&str, &str); 4] =
    [("TLSv1.2", "ec"), ("TLSv1.3", "ec"), ("TLSv1.2", "rsa"), ("TLSv1.3", "rsa")];

/// A process of Java that dials and listens, and the stores of both ends. Starting Java takes a while, so all tests share one.
struct Java {
    child: Child,
    commands: ChildStdin,
    lines: BufReader<ChildStdout>,
    dir: TempDir,
}

impl Java {
    /// The process, or nothing where there is no JDK. Where there must be one, there is one.
    fn shared() -> Option<MutexGuard<'static, Self>> {
        static SHARED: OnceLock<Option<Mutex<Java>>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| {
            let found = Command::new("javac").arg("-version").output().is_ok_and(|out| out.status.success());
            assert!(found || std::env::var_os("GOSSIP_JAVA").is_none(), "there is no JDK");
            found.then(|| Mutex::new(Self::start()))
        });
        if shared.is_none() {
            eprintln!("skipped: there is no JDK");
        }
        // A test that failed leaves a process that still answers.
        shared.as_ref().map(|java| java.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts the process and has `keytool` make the stores: each end has a certificate that it signed itself, and trusts the other's.
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/java/Peer.java");
        let mut child = Command::new("java")
            .arg("-XX:TieredStopAtLevel=1")
            .args(["--add-exports", "java.base/sun.security.tools.keytool=ALL-UNNAMED"])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What keytool tells of its work.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut java = Self { child, commands, lines, dir };
        let password = java.path("password");
        std::fs::write(&password, PASSWORD).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (name, algorithm) in [
            ("ec", "EC -groupname secp256r1"),
            ("rsa", "RSA -keysize 2048"),
            ("java", "EC -groupname secp256r1"),
            ("stranger", "EC -groupname secp256r1"),
        ] {
            let names = format!("-dname CN={name} -ext san=ip:127.0.0.1 -validity 30");
            java.keytool(name, &format!("-genkeypair -alias {name} -keyalg {algorithm} {names}"));
            let export = format!("-exportcert -alias {name} -file {}", java.path(&format!("{name}.der")));
            java.keytool(name, &export);
        }
        for (store, name) in
            [("trusted", "ec"), ("trusted", "rsa"), ("trusted", "java"), ("strangers", "stranger")]
        {
            let import = format!("-importcert -noprompt -alias {name} -file");
            java.keytool(store, &format!("{import} {}", java.path(&format!("{name}.der"))));
        }
        java
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn store(&self, name: &str) -> String {
        self.path(&format!("{name}.p12"))
    }

    /// Sends a command, and returns what it prints.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        loop {
            let mut line = String::new();
            let count = self.lines.read_line(&mut line).unwrap();
            assert!(count > 0, "{command}: Java ended: {:?}", self.child.wait());
            if let Some(answer) = line.strip_prefix("= ") {
                return answer.trim_end().to_owned();
            }
        }
    }

    fn keytool(&mut self, store: &str, args: &str) {
        let store = self.store(store);
        let command = format!("keytool {args} -storetype PKCS12 -storepass {PASSWORD} -keystore {store}");
        assert_eq!(self.ask(&command), "done", "{command}");
    }

    /// Dials a node, and says what it reads: the version of TLS and the first bytes.
    fn dial(&mut self, node: &Node, keys: &str, version: &str) -> String {
        let keys = if keys == "-" { keys.to_owned() } else { self.store(keys) };
        let hex: String = initiate().iter().map(|byte| format!("{byte:02x}")).collect();
        let (port, trusted) = (node.gossip.port(), self.store("trusted"));
        self.ask(&format!("dial {port} {keys} {trusted} {version} {hex}"))
    }

    /// Listens, and returns the port. Without a certificate of the dialler, if `demands` is false.
    fn listen(&mut self, demands: bool, keys: &str, trusted: &str, version: &str) -> String {
        let mark = if demands { "" } else { "?" };
        let (keys, trusted) = (self.store(keys), self.store(trusted));
        self.ask(&format!("listen {mark}{keys} {trusted} {version} {}", initiate().len()))
    }

    /// The options of a node of ours with that store.
    fn options(&self, keys: &str) -> Vec<String> {
        let (password, keys, trusted) = (self.path("password"), self.store(keys), self.store("trusted"));
        ["--tls", "required", "--tls-keystore", &keys, "--tls-keystore-password-file", &password]
            .into_iter()
            .chain(["--tls-truststore", &trusted, "--tls-truststore-password-file", &password])
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn java_dials_with_tls_1_2_and_1_3() {
    let Some(mut java) = Java::shared() else { return };
    for keys in ["ec", "rsa"] {
        let options = java.options(keys);
        let demands = Node::start_at("127.0.0.1:0", &borrowed(&options));
        let lenient = [&borrowed(&options)[..], &["--tls-client-auth", "off"]].concat();
        let lenient = Node::start_at("127.0.0.1:0", &lenient);
        for (version, _) in CASES.iter().filter(|case| case.1 == keys) {
            let is_answered = |told: &str| told.starts_with(&format!("{version} {ACCEPT}"));
            let told = java.dial(&demands, "java", version);
            assert!(is_answered(&told), "{keys} {version}: {told}");
            let told = java.dial(&lenient, "-", version);
            assert!(is_answered(&told), "{keys} {version} without a certificate: {told}");
            for refused in ["-", "stranger"] {
                let told = java.dial(&demands, refused, version);
                assert!(!told.contains(ACCEPT), "{keys} {version} {refused}: {told}");
            }
        }
        demands.wait_for_log(&["WARN", "presented no certificate", "--tls-client-auth off"]);
        demands.wait_for_log(&["WARN", "certificate was refused"]);
    }
}

#[test]
fn java_is_dialled_and_its_refusals_are_told_in_words() {
    let Some(mut java) = Java::shared() else { return };
    for (version, keys) in CASES {
        let options = java.options(keys);
        let ask = |port: &str| {
            let seed = format!("127.0.0.1:{port}");
            let ask = ["status", "--seed", &seed, "--cluster", "c", "--timeout", "60s"];
            let told = gossip(&[&ask[..], &borrowed(&options)].concat());
            assert_eq!((told.code, told.stderr.lines().count()), (Some(1), 1), "{told:?}");
            told.stderr
        };
        // With each version and each kind of key once, with and without a certificate of ours.
        for demands in if keys == "ec" { &[true, false][..] } else { &[true] } {
            // It reads our handshake and closes: it does not gossip.
            let port = java.listen(*demands, "java", "trusted", version);
            let line = ask(&port);
            assert!(line.contains("handshake"), "{line}");
            // The command sees at first whether the port can be reached at all.
            let read = [java.ask("accepted"), java.ask("accepted")];
            let expected = format!("{version} ca552dfa");
            assert!(read.iter().any(|read| read.starts_with(&expected)), "{keys} {demands}: {read:?}");
        }
        if keys == "rsa" {
            // A refusal does not depend on the kind of key, and takes a while.
            continue;
        }
        // It does not trust us, and says so by an alert.
        let port = java.listen(true, "java", "strangers", version);
        let line = ask(&port);
        assert!(line.contains("alert certificate_unknown (46)") && line.contains("--tls-cert"), "{line}");
        // We do not trust it.
        let port = java.listen(true, "stranger", "trusted", version);
        let line = ask(&port);
        assert!(line.contains("certificate was refused") && line.contains("--tls-ca"), "{line}");
    }
}
