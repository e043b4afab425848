//! What monitoring shows: by an exporter, by the admin port, and by the commands that compare views.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::node::{PATIENCE, cluster, command, gossip, refused, signal, until};

const CLUSTER: [&str; 2] = ["--cluster", "Test Cluster"];

/// A running exporter, killed when it is dropped.
pub(crate) struct Exporter {
    child: Child,
    pub(crate) http: SocketAddr,
}

impl Exporter {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", args)
    }

    pub(crate) fn start_at(http: &str, args: &[&str]) -> Self {
        let exporter = ["exporter", "--http", http, "--log-level", "off"];
        let child = command(&exporter).args(CLUSTER).args(args).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let http = line.trim_end().strip_prefix("exporter on ").unwrap().parse().unwrap();
        Self { child, http }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status code, head and body of an answer.
fn request(address: SocketAddr, line: &str, headers: &str) -> (u16, String, String) {
    let answer = try_request(address, line, headers).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.into())
}

/// All of an answer, unless the connection is refused or reset.
fn try_request(address: SocketAddr, line: &str, headers: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = request(address, &format!("GET {path}"), "");
    (status, body)
}

/// Whether the line of a metric of this endpoint ends with this value.
fn has(metrics: &str, name: &str, endpoint: SocketAddr, value: &str) -> bool {
    let of = format!("endpoint=\"{endpoint}\"");
    metrics.lines().any(|line| line.starts_with(name) && line.contains(&of) && line.ends_with(value))
}

#[test]
fn an_exporter_tells_of_the_whole_cluster_and_leaves_no_trace() {
    let mut nodes = cluster(2, &[]);
    let seed = nodes[0].gossip.to_string();
    let mut exporter = Exporter::start(&["--seed", &seed]);
    assert_eq!(get(exporter.http, "/healthz").0, 200);
    until("the view is settled", || (get(exporter.http, "/readyz").0 == 200).then_some(()));

    let (status, head, metrics) =
        request(exporter.http, "GET /metrics", "accept: application/openmetrics-text;version=1.0.0\r\n");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(metrics.contains("gossip_view_settled{cassandra_cluster=\"Test Cluster\"} 1\n"), "{metrics}");
    for node in &nodes {
        assert!(has(&metrics, "cassandra_endpoint_active", node.gossip, " 1"), "{metrics}");
    }
    assert_eq!(metrics.matches("cassandra_endpoint_active{").count(), 2, "the exporter is no member");

    let (status, body) = get(exporter.http, "/sd?port=9042&label=dc&label=env=test");
    let targets: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, targets.as_array().unwrap().len()), (200, 2), "{body}");
    assert_eq!(targets[0]["targets"][0], SocketAddr::new(nodes[0].gossip.ip(), 9_042).to_string());
    assert_eq!(
        (&targets[0]["labels"]["dc"], &targets[0]["labels"]["env"]),
        (&"datacenter1".into(), &"test".into())
    );

    // It changes nothing, and refuses what there is not.
    for (line, expected) in [
        ("POST /v1/stop", 404),
        ("GET /v1/endpoints", 404),
        ("POST /metrics", 405),
        ("GET /sd?state=asleep", 400),
        ("GET /sd?label=colour", 400),
    ] {
        assert_eq!(request(exporter.http, line, "content-length: 0\r\n").0, expected, "{line}");
    }

    // The admin port tells the same.
    until("the node is settled", || (get(nodes[0].admin, "/readyz").0 == 200).then_some(()));
    let (_, listed) = get(nodes[0].admin, "/sd?port=9042&label=dc&label=env=test");
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), targets);

    // One that dies is shown as down, and stays a target.
    let dead = nodes.pop().unwrap();
    let address = dead.gossip;
    drop(dead);
    until("it is down", || {
        has(&get(exporter.http, "/metrics").1, "cassandra_endpoint_active", address, " 0").then_some(())
    });
    let count = |query: &str| {
        let (_, body) = get(exporter.http, query);
        serde_json::from_str::<Value>(&body).unwrap().as_array().unwrap().len()
    };
    assert_eq!((count("/sd"), count("/sd?state=up"), count("/sd?state=down")), (2, 1, 1));

    signal("TERM", exporter.child.id());
    let ended = until("it ends", || exporter.child.try_wait().unwrap());
    assert!(ended.success());
    until("it is forgotten", || {
        let is_member = |endpoint: &Value| !endpoint["status"].is_null();
        nodes[0].endpoints().iter().all(is_member).then_some(())
    });
}

#[test]
fn an_exporter_without_a_cluster_never_tells_of_an_empty_one() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let exporter = Exporter::start(&["--seed", &nobody, "--seed", "nobody.invalid"]);
    assert_eq!(get(exporter.http, "/healthz").0, 200);
    assert_eq!(get(exporter.http, "/readyz").0, 503);
    let (status, body) = get(exporter.http, "/sd");
    assert!(status == 503 && body.contains("not settled"), "{status} {body}");
    let (status, metrics) = get(exporter.http, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("gossip_view_settled{cassandra_cluster=\"Test Cluster\"} 0\n"), "{metrics}");
    let taken = exporter.http.to_string();
    let line = refused(1, &[&["exporter", "--seed", &nobody, "--http", &taken], &CLUSTER[..]].concat());
    assert!(line.contains("--http"), "{line}");
    let line = refused(1, &["sd", "--admin", &taken]);
    assert!(line.contains("not settled"), "{line}");
    for options in [
        &["exporter", "--seed", "1.2.3", "--cluster", "c"][..],
        &["exporter", "--seed", "127.0.0.1", "--cluster", "c", "--state", "asleep"],
        &["exporter", "--seed", "127.0.0.1", "--cluster", "c", "--label", "colour"],
        &["exporter", "--seed", "127.0.0.1", "--cluster", "c", "--http", "x y"],
        &["wait-for", "left", "--seed", "127.0.0.1", "--cluster", "c"],
        &["wait-for", "up", "--seed", "127.0.0.1", "--cluster", "c", "--views", "2"],
        &["wait-for", "schema-agreement", "127.0.0.1", "--seed", "127.0.0.1", "--cluster", "c"],
        &["check", "--seed", "127.0.0.1:0", "--cluster", "c"],
    ] {
        refused(2, options);
    }
}

#[test]
fn a_crowd_of_scrapers_neither_grows_the_node_nor_stops_its_gossip() {
    const CROWD: usize = 1_000;
    let nodes = cluster(2, &[]);
    let admin = nodes[0].admin;
    // They connect and ask, and read nothing.
    let crowd: Vec<_> = (0..CROWD)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(admin).ok()?;
            let _ = stream.write_all(format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\n\r\n").as_bytes());
            Some(stream)
        })
        .collect();
    let rounds = |metrics: &str| -> Option<f64> {
        let line = metrics.lines().find(|line| line.starts_with("gossip_rounds_total"))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    // As long as the node has not noticed that the crowd is gone, it resets more connections.
    let counters = || rounds(&try_request(admin, "GET /metrics", "").ok()?);
    drop(crowd);
    let before = until("it answers again", counters);
    until("it still gossips", || counters().filter(|now| *now > before + 5.0));
    assert_eq!(nodes[0].count_up(), 2, "no node was found down meanwhile");
}

#[test]
fn pages_that_read_nothing_hold_up_nobody_and_there_are_not_too_many() {
    const MOST: usize = 64;
    let nodes = cluster(2, &[]);
    let admin = nodes[0].admin;
    let open = || {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET /events HTTP/1.1\r\nhost: {admin}\r\n\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        // The buffer reads a little more, and that is all.
        BufReader::new(&stream).read_line(&mut line).unwrap();
        (stream, line)
    };
    let mut pages: Vec<_> = (0..MOST).map(|_| open()).collect();
    assert!(pages.iter().all(|(_, line)| line.starts_with("HTTP/1.1 200 ")), "{pages:?}");
    let (status, body) = get(admin, "/events");
    assert!(status == 503 && body.contains("watch already"), "{status} {body}");
    let rounds = || {
        let (_, metrics) = get(admin, "/metrics");
        let line = metrics.lines().find(|line| line.starts_with("gossip_rounds_total"))?.to_owned();
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let before = until("it is scraped", rounds);
    until("it still gossips", || rounds().filter(|now| *now > before + 10.0));
    assert_eq!(nodes[0].count_up(), 2, "no node was found down meanwhile");
    // One that is closed makes room.
    pages.pop();
    until("another page is opened", || open().1.starts_with("HTTP/1.1 200 ").then_some(()));
}

#[test]
fn the_page_asks_nobody_else_and_says_so() {
    let nodes = cluster(1, &[]);
    let page = || request(nodes[0].admin, "GET /", "");
    let ((status, head, body), (_, other, _)) = (page(), page());
    assert_eq!(status, 200);
    let policy = |head: &str| {
        let line = head.lines().find(|line| line.starts_with("content-security-policy: "));
        line.unwrap_or_else(|| panic!("no policy: {head}")).to_owned()
    };
    for part in ["default-src 'none';", "connect-src 'self';", "base-uri 'none';", "frame-ancestors 'none';"]
    {
        assert!(policy(&head).contains(part), "{head}");
    }
    assert_ne!(policy(&head), policy(&other), "a nonce is used once");
    assert!(!policy(&head).contains("unsafe") && !body.contains("{nonce}"), "{head}");
    // A name space of SVG is no address that is asked.
    let others = body.matches("http").count() - body.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(others, 0, "the page names another host");
    // A page of others may not ask.
    assert_eq!(request(nodes[0].admin, "GET /events", "origin: http://evil.example\r\n").0, 403);
}

#[test]
fn views_are_compared() {
    let mut nodes = cluster(3, &[]);
    let seeds = nodes.iter().map(|node| node.gossip.to_string()).collect::<Vec<_>>().join(",");
    let check = |seeds: &str, more: &[&str]| {
        gossip(&[&["check", "--timeout", "30s", "--seed", seeds], &CLUSTER[..], more].concat())
    };
    let well = check(&seeds, &["--within", "30s"]);
    assert_eq!(well.code, Some(0), "{well:?}");
    let expected = "GOSSIP OK: 3 members are up for all of 3 observers | up=3 down=0 split=0 ";
    assert!(well.stdout.starts_with(expected) && well.stdout.lines().count() == 1, "{}", well.stdout);
    let wait = |condition: &[&str], seeds: &str, timeout: &str| {
        let options = ["--timeout", timeout, "--silence", "10s", "--seed", seeds];
        gossip(&[&["wait-for"], condition, &options[..], &CLUSTER[..]].concat())
    };
    for condition in [&["up"][..], &["normal"]] {
        let up = wait(condition, &seeds, "60s");
        assert_eq!(up.code, Some(0), "{up:?}");
    }
    // What has never been heard of is not taken for one that has left.
    let unknown = wait(&["left", "127.0.0.1:1"], &seeds, "1s");
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("is not known there"), "{}", unknown.stderr);

    let dead = nodes.pop().unwrap();
    let (gossips, address) = (dead.gossip, dead.gossip.to_string());
    drop(dead);
    for node in &nodes {
        until("it is down", || node.endpoint(gossips).filter(|known| known["standing"] == "unreachable"));
    }
    let two = nodes.iter().map(|node| node.gossip.to_string()).collect::<Vec<_>>().join(",");
    let down = gossip(&[&["check", "--within", "4s", "--seed", &two], &CLUSTER[..]].concat());
    assert_eq!(down.code, Some(1), "{down:?}");
    assert!(
        down.stdout.starts_with(&format!("GOSSIP WARNING: 1 down for all: {address} | up=2 down=1 ")),
        "{}",
        down.stdout
    );
    let silent = check(&seeds, &["--format", "json", "--within", "4s"]);
    assert_eq!(silent.code, Some(2), "a seed does not answer: {silent:?}");
    let report: Value = serde_json::from_str(&silent.stdout).unwrap();
    assert_eq!((&report["severity"], &report["seeds"]), (&"CRITICAL".into(), &3.into()), "{report}");
    assert_eq!(report["members"][&address][nodes[0].gossip.to_string()], "silent", "{report}");
    let found = wait(&["down", &address], &two, "60s");
    assert_eq!(found.code, Some(0), "{found:?}");
    // Who does not answer agrees to nothing.
    let nobody = wait(&["down", &address], &address, "1s");
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    let unknown = check(&address, &[]);
    assert_eq!(unknown.code, Some(3), "{unknown:?}");
    assert!(unknown.stdout.starts_with("GOSSIP UNKNOWN: "), "{}", unknown.stdout);
}

#[test]
fn a_decommission_is_waited_for_until_all_views_agree() {
    let nodes = cluster(4, &[]);
    let leaver = nodes[3].gossip.to_string();
    let seeds = nodes[..3].iter().map(|node| node.gossip.to_string()).collect::<Vec<_>>().join(",");
    let wait = [
        "wait-for",
        "left",
        &leaver,
        "--views",
        "3",
        "--timeout",
        "120s",
        "--format",
        "json",
        "--seed",
        &seeds,
    ];
    let mut waiting = command(&wait).args(CLUSTER).stdout(Stdio::piped()).spawn().unwrap();
    // It has looked at least once by then, and the node is still a member.
    let early =
        gossip(&[&["wait-for", "left", &leaver, "--timeout", "1s", "--seed", &seeds], &CLUSTER[..]].concat());
    assert_eq!(early.code, Some(1), "{early:?}");
    assert!(early.stderr.contains(&format!("the status of {leaver} is NORMAL")), "{}", early.stderr);
    assert_eq!(waiting.try_wait().unwrap(), None, "it still waits");
    assert_eq!(nodes[3].ask(&["decommission"]).code, Some(0));
    assert!(waiting.wait().unwrap().success());
    let mut told = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    let outcome: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&outcome["met"], outcome["agree"].as_array().unwrap().len()), (&true.into(), 3), "{outcome}");
    for node in &nodes[..3] {
        let status = node.endpoint(nodes[3].gossip).map(|endpoint| endpoint["status"].clone());
        assert_eq!(status, Some("LEFT".into()));
    }
}

#[test]
fn targets_are_kept_in_a_file() {
    let nodes = cluster(2, &[]);
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("targets.json");
    let file = file.to_str().unwrap();
    let seed = nodes[0].gossip.to_string();
    let once = gossip(&[&["sd", "--seed", &seed, "--file", file], &CLUSTER[..]].concat());
    assert_eq!((once.code, once.stdout.as_str()), (Some(0), ""), "{once:?}");
    let read = || serde_json::from_str::<Value>(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(read().as_array().unwrap().len(), 2);
    // No node joins: there is no such list, and the file stays.
    let line =
        refused(1, &[&["sd", "--seed", &seed, "--file", file, "--state", "joining"], &CLUSTER[..]].concat());
    assert!(line.contains("empty list"), "{line}");
    assert_eq!(read().as_array().unwrap().len(), 2);
    let line = refused(1, &[&["sd", "--seed", &seed, "--file", "/proc/targets.json"], &CLUSTER[..]].concat());
    assert!(line.contains("cannot be replaced"), "{line}");
    // Nodes of ours have tokens, too.
    let ring = gossip(&[&["ring", "--rf", "3", "--seed", &seed], &CLUSTER[..]].concat());
    assert_eq!(ring.code, Some(0), "{ring:?}");
    assert!(ring.stdout.ends_with("\nEvery range has a quorum of 2 of 3 replicas.\n"), "{}", ring.stdout);
    let asked = nodes[0].ask(&["ring", "--format", "json"]);
    let view: Value = serde_json::from_str(&asked.stdout).unwrap();
    let owns: f64 =
        view["members"].as_array().unwrap().iter().filter_map(|member| member["owns"].as_f64()).sum();
    assert!((owns - 1.0).abs() < 1e-9, "{view}");
}
