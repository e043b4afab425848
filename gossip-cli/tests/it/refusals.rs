//! A wrong command line, or a failure, is one line.

use std::net::TcpListener;
use std::process::Command;

use tempfile::TempDir;

use crate::node::{Node, command, free_address, gossip, refused};

#[test]
fn misuse_is_exit_code_2() {
    for (args, word) in [
        (&["run", "--lisen", "127.0.0.1"][..], "--lisen"),
        (&["lab", "--nodes", "2"], "2"),
        (&["nodes"], "nodes"),
        (&["run", "--listen", "127.0.0.256"], "127.0.0.256"),
        (&["run", "--listen", "127.0.0.1:seven"], "ADDR:PORT"),
        (&["run", "--listen", "0.0.0.0"], "--broadcast"),
        (&["run", "--listen", "[::]:7000"], "--broadcast"),
        (&["run", "--seed", "no such host"], "--seed"),
        (&["run", "--admin", "0.0.0.0:7079"], "loopback"),
        (&["run", "--interval", "1"], "200ms"),
        (&["run", "--state", "17=ROLE"], "STATUS_WITH_PORT"),
        (&["run", "--set", "ROLE=x"], "ROLE"),
        (&["run", "--set", "RACK=x"], "--rack"),
        (&["run", "--host-id", "5"], "--host-id"),
        (&["run", "--log-level", "a=b=c"], "--log-level"),
        (&["run", "--rejoin"], "--data-dir"),
        (&["run", "--seeds-file", "/no/such/file"], "/no/such/file"),
        (&["run", "--set-file", "/no/such/file"], "/no/such/file"),
        (&["run", "--admin-token-file", "/no/such/file"], "/no/such/file"),
        (&["run", "--dead-endpoint-ttl", "3"], "90s"),
        (&["run", "--compression", "zip"], "lz4"),
        (&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--phi", "1001"], "phi"),
        (&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--max-states", "0"], "max_states"),
        (&["run", "--phi", "0"], "from 1 to 1000"),
        (&["run", "--phi", "-1"], "from 1 to 1000"),
        (&["run", "--interval", "-1s"], "200ms"),
        (&["run", "--dc", ""], "--dc"),
        (&["run", "--rack", ""], "--rack"),
        (&["run", "--cluster", "a\nb"], "--cluster: the name 'a\\nb' holds"),
        (&["run", "--release-version", "banana"], "4.1.8"),
        (&["run", "--native-port", "0"], "--native-port"),
        (&["run", "--host-id", "00000000-0000-0000-0000-000000000000"], "--host-id"),
        (&["run", "--max-endpoints", "1"], "--max-endpoints"),
        (&["run", "--max-state-bytes", "1"], "--max-state-bytes"),
        (&["run", "--dead-endpoint-ttl", "1s"], "--dead-endpoint-ttl"),
        (&["run", "--log-level", "inof"], "'inof' is no log level"),
        (&["run", "--set", "LOAD=abc"], "number of bytes"),
        (&["run", "--seeds-file", "/dev/zero"], "16 MiB"),
        (&["run", "--admin-token-file", "/dev/zero"], "16 MiB"),
        (&["status", "--token-file", "/dev/zero"], "16 MiB"),
        (&["gossipinfo", "--seed", "127.0.0.1:0", "--cluster", "c"], "--seed"),
        (&["gossipinfo", "--seed", "127.0.0.1", "--cluster", ""], "--cluster"),
        (&["-h", "127.0.0.1", "-p", "7199"], "subcommand"),
        (&["-h", "127.0.0.1", "-p", "0", "status"], "'0'"),
        (&["-h", "127.0.0.1", "run"], "--host"),
        (&["-u", "cassandra", "status"], "'-u'"),
        (&["status", "-h", "10.0.0.1", "--admin", "10.0.0.1:7079"], "--admin"),
        (&["assassinate", "0.0.0.0"], "no node can be reached"),
        (&["assassinate", "10.0.0.256"], "10.0.0.256"),
        (&["completions", "cmd"], "bash"),
        (&["status", "--token-file", "/no/such/file"], "/no/such/file"),
        (&["set", "LOAD"], "KEY=VALUE"),
        (&["status", "--admin", "7079"], "ADDR:PORT"),
        (&["status", "--admin", "::1:7079"], "[::1]:7079"),
        (&["run", "--host-id", "nonsense"], "32 hexadecimal digits"),
        (&["run", "--max-states", "1"], "--max-states: this node publishes"),
        (&["run", "--native-port", "70000"], "1..=65535"),
        (&["gossipinfo", "--seed", "127.0.0.1", "--cluster", ""], "write that of the member's cluster"),
        (&["-h127.0.0.1", "-p7199"], "subcommand"),
    ] {
        let line = refused(2, &on_free_ports(args));
        assert!(line.contains(word), "{args:?}: {line}");
    }
}

#[test]
fn a_name_without_an_address_is_no_misuse() {
    // RFC 6761: no name under this has an address.
    for args in [
        &["run", "--listen", "nobody.invalid", "--admin", "127.0.0.1:0"][..],
        &["gossipinfo", "--seed", "nobody.invalid", "--cluster", "c"],
        &["watch", "--seed", "nobody.invalid", "--cluster", "c"],
        &["assassinate", "nobody.invalid"],
    ] {
        let line = refused(1, args);
        assert!(line.contains("the host name 'nobody.invalid'"), "{line}");
    }
}

#[test]
fn a_wrong_line_of_a_file_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("states");
    for (text, number, words) in [
        ("# what this node is\nRPC_READY = true\n", 2, "RPC_READY is true or false"),
        ("SEVERITY=1\n\nROLE=x\n", 3, "no state is called 'ROLE'"),
        ("LOAD=1\nLOAD=2", 2, "set twice"),
    ] {
        std::fs::write(&file, text).unwrap();
        let line = refused(2, &on_free_ports(&["run", "--set-file", file.to_str().unwrap()]));
        let place = format!("--set-file: {}, line {number}: ", file.display());
        assert!(line.contains(&place) && line.contains(words), "{line}");
    }
}

/// What is refused only after its ports were opened must not meet others that have the usual ones.
fn on_free_ports<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut args = args.to_vec();
    if args.first() == Some(&"run") {
        for option in ["--listen", "--admin"] {
            if !args.contains(&option) {
                args.extend([option, "127.0.0.1:0"]);
            }
        }
    }
    args
}

#[test]
fn help_and_version_are_no_misuse() {
    for args in [&["--help"][..], &["run", "--help"], &["lab", "--help"], &["--version"]] {
        let output = gossip(args);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert!(!output.stdout.contains("exit-with-stdin"));
    }
}

/// No process ever writes to it.
#[test]
fn a_pipe_without_a_writer_is_not_waited_for() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    let pipe = pipe.to_str().unwrap();
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let line = refused(2, &on_free_ports(&["run", "--seeds-file", pipe]));
    assert!(line.contains(pipe) && line.contains("names no seed"), "{line}");
}

#[test]
fn a_misspelt_level_in_the_environment_is_refused() {
    let output = command(&on_free_ports(&["run"])).env("RUST_LOG", "inof").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("error: RUST_LOG: 'inof' is no log level"), "{line}");
}

#[test]
fn nobody_on_the_admin_port_is_exit_code_1() {
    let free = free_address();
    for command in [
        &["gossipinfo"][..],
        &["status"],
        &["failuredetector"],
        &["describecluster"],
        &["info"],
        &["watch"],
        &["set", "SEVERITY=1"],
        &["stopdaemon"],
        &["decommission"],
        &["assassinate", "10.0.0.1"],
        &["statusgossip"],
        &["disablegossip"],
        &["enablegossip"],
        &["getseeds"],
        &["reloadseeds"],
        &["reloadkeys"],
    ] {
        let line = refused(1, &[command, &["--admin", &free]].concat());
        assert!(line.contains(&format!("no gossip node answers on {free}")), "{line}");
        assert!(line.contains("gossip run") && line.contains("--admin"), "{line}");
    }
}

#[test]
fn a_port_that_closes_what_it_accepts_is_no_admin_port() {
    let gossip_port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gossip_port.local_addr().unwrap().to_string();
    // As a gossip port does with what is no handshake.
    let closing = std::thread::spawn(move || drop(gossip_port.accept().unwrap()));
    let line = refused(1, &["status", "--admin", &address]);
    assert!(line.contains(&format!("{address} takes the connection, and closes it")), "{line}");
    assert!(line.contains("--admin"), "{line}");
    closing.join().unwrap();
}

#[test]
fn a_port_in_use_is_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = ["run", "--exit-with-stdin"];
    let line = refused(1, &[&run[..], &["--listen", &address, "--admin", "127.0.0.1:0"]].concat());
    assert!(line.contains(&address) && line.contains("--listen"), "{line}");
    let line = refused(1, &[&run[..], &["--listen", "127.0.0.1:0", "--admin", &address]].concat());
    assert!(line.contains(&address) && line.contains("--admin"), "{line}");
}

#[test]
fn an_unusable_data_directory_is_exit_code_1() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    // A directory below a file cannot be made, not even by root.
    let below = file.join("data");
    let below = below.to_str().unwrap();
    let run = ["run", "--exit-with-stdin", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir"];
    let line = refused(1, &[&run[..], &[below]].concat());
    assert!(line.contains(below) && line.contains("--data-dir"), "{line}");
}

#[test]
fn a_node_of_another_cluster_is_told_on_both_sides() {
    let seed = Node::start(&["--cluster", "red"]);
    let address = seed.gossip.to_string();
    let mut joiner = Node::start(&["--cluster", "blue", "--seed", &address]);
    let line = seed.wait_for_log(&["WARN", "red", "blue"]);
    assert!(line.contains("--cluster") && line.contains(&joiner.gossip.to_string()), "{line}");
    assert_eq!(joiner.wait(), Some(1));
    let line = joiner.wait_for_log(&["error: no seed answered"]);
    assert!(line.contains("cluster") && line.contains("partitioner") && line.contains(&address), "{line}");
    assert_eq!(seed.log().matches("rejected a SYN").count(), 1, "{}", seed.log());

    // One that joins without asking goes on, and says what is wrong.
    let joiner = Node::start(&["--cluster", "blue", "--seed", &address, "--no-shadow-round"]);
    let line = joiner.wait_for_log(&["WARN", "no seed has answered"]);
    assert!(line.contains("cluster") && line.contains("partitioner") && line.contains(&address), "{line}");
}
