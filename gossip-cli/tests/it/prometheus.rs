//! A real Prometheus scrapes an exporter, finds its targets through it, and raises the alerts that are shipped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::node::{PATIENCE, cluster};
use crate::observe::Exporter;

/// Longer than an alert waits, and than Prometheus takes until it has found its targets.
const LONG: Duration = Duration::from_mins(5);

/// Set where a machine without Prometheus is a mistake, as in CI.
const REQUIRED: &str = "GOSSIP_PROMETHEUS";

/// The rules that are shipped.
fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// Whether Prometheus is there. A developer may have none.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(
        found || std::env::var_os(REQUIRED).is_none(),
        "{program} is not installed, and {REQUIRED} is set"
    );
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(dir: &Path, exporter: SocketAddr) -> Self {
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [\"{}/gossip.rules.yml\"]\n\
             scrape_configs:\n\
             - job_name: gossip\n  \
               static_configs: [{{targets: [\"{exporter}\"]}}]\n\
             - job_name: members\n  \
               http_sd_configs: [{{url: \"http://{exporter}/sd?port={}&label=dc\", refresh_interval: 1s}}]\n",
            rules().display(),
            exporter.port()
        );
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // It cannot be asked which free port it took.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address }
    }

    /// An answer of its API; `None` while it does not answer.
    fn ask(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn wait_for<T>(&self, what: &str, path: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let answer = self.ask(path);
            if let Some(found) = answer.as_ref().and_then(&look) {
                return found;
            }
            assert!(began.elapsed() < LONG, "waited too long: {what}: {answer:?}");
            thread::sleep(Duration::from_millis(500));
        }
    }
}

#[test]
fn a_real_prometheus_finds_its_targets_and_raises_an_alert_for_a_node_that_is_killed() {
    if !is_there("prometheus") {
        return;
    }
    let mut nodes = cluster(3, &[]);
    // Where its members are: it is what is found there.
    let http = SocketAddr::new(nodes[0].gossip.ip(), 0).to_string();
    let exporter = Exporter::start_at(&http, &["--seed", &nodes[0].gossip.to_string()]);
    let dir = tempfile::TempDir::new().unwrap();
    let prometheus = Prometheus::start(dir.path(), exporter.http);

    let of = |job: &'static str| {
        move |answer: &Value| {
            let active = answer["data"]["activeTargets"].as_array()?;
            active.iter().find(|target| target["labels"]["job"] == job && target["health"] == "up").cloned()
        }
    };
    let targets = "/api/v1/targets?state=active";
    prometheus.wait_for("the exporter is scraped", targets, of("gossip"));
    // All members have one address here, and so are one target.
    let member = prometheus.wait_for("a target is found", targets, of("members"));
    assert_eq!(member["labels"]["dc"], "datacenter1", "{member}");
    let up = "/api/v1/query?query=cassandra_endpoints%7Bstate%3D%22up%22%2Cjob%3D%22gossip%22%7D";
    prometheus.wait_for("three are up", up, |answer| {
        (answer["data"]["result"][0]["value"][1] == "3").then_some(())
    });
    let alerts =
        prometheus.wait_for("alerts", "/api/v1/alerts", |answer| Some(answer["data"]["alerts"].clone()));
    let is_of = |alert: &Value, name: &str| alert["labels"]["alertname"] == name;
    assert!(!alerts.as_array().unwrap().iter().any(|alert| is_of(alert, "GossipEndpointDown")), "{alerts}");

    let dead = nodes.pop().unwrap();
    let address = dead.gossip.to_string();
    drop(dead);
    let alert = prometheus.wait_for("the alert fires", "/api/v1/alerts", |answer| {
        let alerts = answer["data"]["alerts"].as_array()?;
        alerts.iter().find(|alert| is_of(alert, "GossipEndpointDown") && alert["state"] == "firing").cloned()
    });
    assert_eq!(alert["labels"]["endpoint"], address, "{alert}");
}

#[test]
fn the_rules_that_are_shipped_are_sound() {
    if !is_there("promtool") {
        return;
    }
    for args in [
        &["check", "rules", "gossip.rules.yml"][..],
        &["test", "rules", "gossip.rules.test.yml"],
        &["check", "config", "prometheus.yml"],
    ] {
        let checked = Command::new("promtool").args(args).current_dir(rules()).output().unwrap();
        assert!(checked.status.success(), "{args:?}: {checked:?}");
    }
}
