//! Cut and slow links between nodes that have a network of their own: what `gossip check` finds, and what it cannot.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::node::{Node, until};

/// A network of this machine that nothing else sees: a namespace with a bridge, and one beside it for each host. Gone when it is dropped.
struct Network {
    bridge: Child,
    hosts: Vec<Child>,
}

impl Network {
    /// `None` where that is not allowed: it needs privileges, which a developer may not have.
    fn new(hosts: usize) -> Option<Self> {
        let bridge = namespace(&[
            "link add br0 type bridge",
            "address add 10.77.0.254/24 dev br0",
            "link set br0 up",
        ])?;
        let mut network = Self { bridge, hosts: Vec::new() };
        for number in 1..=hosts {
            let host = namespace(&[])?;
            let (pid, link) = (host.id().to_string(), format!("v{number}"));
            let add = ["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &pid];
            let added = is_done(network.command().arg("ip").args(add));
            let is_up = is_done(network.command().args(["ip", "link", "set", &link, "master", "br0", "up"]));
            network.hosts.push(host);
            if !added || !is_up {
                return None;
            }
            network.ip(number, &format!("address add {}/24 dev eth0", address(number)));
            network.ip(number, "link set eth0 up");
        }
        Some(network)
    }

    /// A command that reaches every host.
    fn command(&self) -> Command {
        inside(&self.bridge)
    }

    /// A command on a host.
    fn on(&self, number: usize) -> Command {
        inside(&self.hosts[number - 1])
    }

    fn ip(&self, number: usize, what: &str) {
        assert!(is_done(self.on(number).arg("ip").args(what.split(' '))), "ip {what}");
    }

    /// Neither host reaches the other any more.
    fn cut(&self, one: usize, other: usize) {
        self.ip(one, &format!("route add blackhole {}/32", address(other)));
        self.ip(other, &format!("route add blackhole {}/32", address(one)));
    }

    /// Both reach each other again.
    fn restore(&self, one: usize, other: usize) {
        self.ip(one, &format!("route delete blackhole {}/32", address(other)));
        self.ip(other, &format!("route delete blackhole {}/32", address(one)));
    }

    /// Lets what a host sends wait for a link of so few bytes a second; false where the system has no such queue.
    fn slow(&self, number: usize, rate: &str) -> bool {
        let queue =
            ["qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "1600", "latency", "4s"];
        is_done(self.on(number).arg("tc").args(queue))
    }

    /// How many packets of a slow host had to wait.
    fn waited(&self, number: usize) -> u64 {
        let shown = self.on(number).args(["tc", "-s", "qdisc", "show", "dev", "eth0"]).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let count = shown.split_once("overlimits ").and_then(|(_, rest)| rest.split(' ').next());
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{shown}"))
    }

    /// It sends as fast as it can again.
    fn speed_up(&self, number: usize) {
        assert!(is_done(self.on(number).args(["tc", "qdisc", "delete", "dev", "eth0", "root"])));
    }

    /// What `gossip check` says, asked from where every host is reached.
    fn check(&self, hosts: usize) -> (Option<i32>, String) {
        let seeds =
            (1..=hosts).map(|number| format!("{}:7000", address(number))).collect::<Vec<_>>().join(",");
        let checked = self
            .command()
            .args([
                env!("CARGO_BIN_EXE_gossip"),
                "check",
                "--cluster",
                "Test Cluster",
                "--within",
                "8s",
                "--seed",
                &seeds,
            ])
            .output()
            .unwrap();
        (checked.status.code(), String::from_utf8(checked.stdout).unwrap())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for child in self.hosts.iter_mut().chain([&mut self.bridge]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A process with a network of its own, in which these commands of `ip` were done.
fn namespace(commands: &[&str]) -> Option<Child> {
    let commands: String = commands.iter().map(|command| format!(" && ip {command}")).collect();
    let script = format!("ip link set lo up{commands} && echo ready && exec sleep 1000");
    let child = Command::new("unshare")
        .args(["-n", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    if line == "ready\n" {
        return Some(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn inside(process: &Child) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &process.id().to_string(), "-n"]);
    command
}

fn is_done(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn address(number: usize) -> String {
    format!("10.77.0.{number}")
}

#[test]
fn a_node_that_is_cut_off_from_all_others_is_a_split_and_one_that_is_heard_of_over_others_is_none() {
    const HOSTS: usize = 5;
    let Some(network) = Network::new(HOSTS) else {
        eprintln!("skipped: networks cannot be made here");
        return;
    };
    let start = |number: usize| {
        let mut command = network.on(number);
        command.arg(env!("CARGO_BIN_EXE_gossip")).env_remove("RUST_LOG").env("NO_COLOR", "1");
        Node::spawn(
            command,
            &format!("{}:7000", address(number)),
            &["--seed", &format!("{}:7000", address(1))],
        )
    };
    let nodes: Vec<Node> = (1..=HOSTS).map(start).collect();
    let is_well = || {
        let (code, line) = network.check(HOSTS);
        (code == Some(0)).then_some(line)
    };
    until("all are up for all", is_well);

    // Cut off from two of them, the fifth is still heard of over the other two, by all. Gossip knows of no cut.
    network.cut(5, 3);
    network.cut(5, 4);
    let line = until("all are up for all, over the others", is_well);
    assert!(line.starts_with("GOSSIP OK: 5 members are up for all of 5 observers"), "{line}");

    // Cut off from the other two as well, it is alone, and so are they without it.
    network.cut(5, 1);
    network.cut(5, 2);
    let of = |numbers: core::ops::Range<usize>| {
        numbers.map(|number| format!("{}:7000", address(number))).collect::<Vec<_>>().join(", ")
    };
    let (others, own) = (of(1..HOSTS), of(HOSTS..HOSTS + 1));
    let mut expected = vec![format!("{own} is up for {own} and down for {others}"), "split=5 ".into()];
    expected.extend(
        (1..HOSTS).map(|number| format!("{} is up for {others} and down for {own}", of(number..number + 1))),
    );
    until("the split is found", || {
        let (code, line) = network.check(HOSTS);
        (code == Some(2) && expected.iter().all(|part| line.contains(part))).then_some(())
    });

    // The links come back, and so does the cluster.
    for other in 1..5 {
        network.restore(5, other);
    }
    until("all are up for all again", is_well);
    drop(nodes);
}

/// Three kilobytes a second: what it sends waits, and what it hears of comes late.
#[test]
fn a_node_behind_a_slow_link_joins_and_nobody_finds_another_down() {
    const HOSTS: usize = 4;
    let Some(network) = Network::new(HOSTS) else {
        eprintln!("skipped: networks cannot be made here");
        return;
    };
    if !network.slow(HOSTS, "24kbit") {
        eprintln!("skipped: links cannot be slowed here");
        return;
    }
    let start = |number: usize| {
        let mut command = network.on(number);
        command.arg(env!("CARGO_BIN_EXE_gossip")).env_remove("RUST_LOG").env("NO_COLOR", "1");
        let seed = format!("{}:7000", address(1));
        // A busy machine is no slow link.
        Node::spawn(command, &format!("{}:7000", address(number)), &["--seed", &seed, "--phi", "16"])
    };
    let nodes: Vec<Node> = (1..=HOSTS).map(start).collect();
    let is_well = || (network.check(HOSTS).0 == Some(0)).then_some(());
    until("all are up for all, over the slow link", is_well);
    let before = network.waited(HOSTS);
    std::thread::sleep(std::time::Duration::from_secs(15));
    assert!(network.waited(HOSTS) > before && before > 0, "{before}: the link is not slow");
    until("all are still up for all", is_well);
    for node in &nodes {
        assert!(!node.log().contains(" is DOWN"), "{}", node.log());
    }
    network.speed_up(HOSTS);
    until("all are up for all, at full speed", is_well);
}
