//! `--config` and `--print-config`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::node::{Node, gossip, refused};

fn written(dir: &TempDir, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join("gossip.toml");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn printed(args: &[&str]) -> String {
    let output = gossip(args);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{args:?}");
    output.stdout
}

/// The lines that are no comments.
fn keys(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn what_is_printed_can_be_read_again_and_is_the_same() {
    let dir = TempDir::new().unwrap();
    for options in [
        &[][..],
        &[
            "--interval",
            "200ms",
            "--phi",
            "12.5",
            "--no-shadow-round",
            "--max-states",
            "100",
            "--dc",
            "a \"b\"",
        ],
        &["--cassandra", "--seed", "10.0.0.1,10.0.0.2", "--metadata-id=-7", "--dead-endpoint-ttl", "3d"],
        &["--transport", "datagram", "--set", "1000=x", "--native-port", "9042", "--broadcast", "10.0.0.9"],
    ] {
        let first = printed(&[&["run", "--print-config"], options].concat());
        let path = written(&dir, &first);
        let again = printed(&["run", "--print-config", "--config", path.to_str().unwrap()]);
        assert_eq!(keys(&again), keys(&first), "{options:?}");
    }
    let exporter = ["exporter", "--seed", "10.0.0.1", "--cluster", "Prod", "--label", "dc", "--print-config"];
    let first = printed(&exporter);
    let path = written(&dir, &first);
    let again = printed(&["exporter", "--print-config", "--config", path.to_str().unwrap()]);
    assert_eq!(keys(&again), keys(&first));
}

#[test]
fn what_is_printed_says_what_each_key_means_and_what_holds() {
    let dir = TempDir::new().unwrap();
    let path = written(&dir, "interval = \"500ms\"\ndc = \"east\"\n[limits]\nmax_dials = 7\n");
    let path = path.to_str().unwrap();
    let text = printed(&["run", "--config", path, "--dc", "west", "--print-config"]);
    for expected in [
        "\ndc = \"west\"\n",
        "\ninterval = \"500ms\"\n",
        "\nmax_dials = 7\n",
        "\n# The number of dials in progress. Messages that need a further dial are dropped and counted.\n",
        // Times that follow from the interval.
        "\necho_timeout = \"5s\"\n",
        "\nfat_client_timeout = \"15s\"\n",
        "\n# dead_endpoint_ttl is not set\n",
        "\nshadow_round = true\n",
        "\n[tls]\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert!(!text.contains("only_asks") && !text.contains("exit_with_stdin"), "{text}");
}

#[test]
fn a_bad_file_is_one_line_with_file_line_and_remedy() {
    let dir = TempDir::new().unwrap();
    for (text, expected) in [
        // Unknown keys, wrong types, values out of their range; found in the file, by an option, by the core.
        (
            "dc = \"a\"\nlisten_on = \"x\"\n",
            ", line 2: there is no key listen_on (see `gossip run --print-config`",
        ),
        ("\n[limits]\nmax_dails = 3\n", ", line 3: there is no key max_dails (see"),
        ("listen = 7000\n", ", line 1: listen is a string, and no integer (write it"),
        ("[timeouts]\nidle = 7\n", ", line 2: timeouts.idle: invalid type: integer `7`, expected a duration"),
        ("# x\nlisten = \"10.0.0\"\n", ", line 2: --listen:"),
        ("transport = \"tcp\"\n", ", line 1: invalid value 'tcp' for '--transport"),
        (
            "\n\n[limits]\nmax_states = 300\n",
            ", line 4: --max-states: limits.max_states is 300; it must be from 1",
        ),
        ("[timeouts]\nidle = \"0s\"\n", ", line 2: timeouts.idle is 0ns; it must be at least 1ms"),
        ("[detector]\nphi_convict_threshold = 0\n", ", line 2: invalid value '0' for '--phi"),
        (
            "interval = \"9s\"\n[detector]\necho_timeout = \"2s\"\n",
            ", line 3: detector.echo_timeout is 2s; it must be at least 9s",
        ),
        ("admin = \"10.0.0.1:7079\"\n", ", line 1: --admin: 10.0.0.1 is not a loopback address"),
        ("dc = \"a\"\ndc = \"b\"\n", ", line 2: duplicate key"),
        ("dc = a\n", ", line 1: "),
    ] {
        let path = written(&dir, text);
        let path = path.to_str().unwrap();
        let line = refused(2, &["run", "--config", path]);
        assert!(line.starts_with(&format!("error: {path}{expected}")), "{text}: {line}");
        assert_eq!(refused(2, &["run", "--print-config", "--config", path]), line);
    }
    let path = written(&dir, "cluster = \"a\"\nseed = [\"10.0.0.1\"]\n[limits]\n");
    let line = refused(2, &["exporter", "--config", path.to_str().unwrap()]);
    assert!(
        line.contains("gossip.toml, line 3: there is no key limits (see `gossip exporter --print-config`"),
        "{line}"
    );
}

#[test]
fn a_file_that_is_none_is_refused_in_bounded_time_and_memory() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    for (path, expected) in [
        (text(dir.path().join("absent")), "cannot be read: "),
        (text(dir.path().to_owned()), "is a directory (name a file)"),
        (text(Path::new("/dev/zero").to_owned()), "is longer than 16 MiB"),
        (text(written(&dir, b"dc = \"\xff\"\n")), "is not text (save it as UTF-8)"),
        (text(pipe), "is empty (write it as --print-config does)"),
    ] {
        let line = refused(2, &["run", "--config", &path]);
        assert!(line.starts_with(&format!("error: --config: {path} {expected}")), "{line}");
    }
}

#[test]
fn a_node_runs_with_the_file_and_options_come_before_it() {
    let dir = TempDir::new().unwrap();
    let path =
        written(&dir, "listen = \"127.0.0.1:1\"\ndc = \"east\"\nrack = \"r7\"\n[limits]\nmax_dials = 9\n");
    let node = Node::start(&["--config", path.to_str().unwrap(), "--dc", "west"]);
    let own = node.endpoint(node.gossip).unwrap();
    for (name, expected) in [("DC", "west"), ("RACK", "r7")] {
        let state = own["states"].as_array().unwrap().iter().find(|state| state["name"] == name);
        assert_eq!(state.map(|state| &state["value"]), Some(&expected.into()), "{own}");
    }
}
