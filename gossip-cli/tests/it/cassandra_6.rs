//! Clusters of nodes that behave like those of Cassandra 6.0: a SYN that does not carry the identifier of the cluster's metadata is dropped.

use std::sync::Arc;

use gossip_core::Tls;
use gossip_core::rustls::crypto::ring::default_provider;
use gossip_core::rustls::pki_types::pem::PemObject;
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use gossip_tokio::{ApplicationState, Builder, Handle, MetadataId};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::node::{Node, gossip, refused, until};
use crate::tls::{Files, borrowed};

const ID: MetadataId = MetadataId::new(-1_062_724_510);
const CLUSTER: [&str; 2] = ["--cluster", "Test Cluster"];

/// A node of 6.0, in this process.
struct Six {
    runtime: Runtime,
    node: Handle,
}

impl Six {
    fn start() -> Self {
        Self::start_with(None, &[])
    }

    fn start_with(tls: Option<Tls>, seeds: &[&str]) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut node = Builder::new("Test Cluster")
            .partitioner(gossip_core::CASSANDRA_PARTITIONER)
            .listen("127.0.0.1:0".parse().unwrap())
            .interval(core::time::Duration::from_millis(200))
            .state(ApplicationState::RELEASE_VERSION, "6.0.0")
            .state(ApplicationState::NET_VERSION, "14")
            .state(ApplicationState::SCHEMA, "00000000-0000-0000-0000-000000000003")
            .state(ApplicationState::TOKENS, gossip_core::encode_tokens(&[7]))
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,7")
            .tune(move |config| {
                let config = config.metadata_service(ID);
                match tls {
                    Some(tls) => config.tls(tls),
                    None => config,
                }
            });
        for seed in seeds {
            node = node.seed(seed.parse::<core::net::SocketAddr>().unwrap());
        }
        let (node, _) = runtime.block_on(async move { node.start().await }).unwrap();
        Self { runtime, node }
    }

    fn address(&self) -> String {
        self.node.local_endpoint().to_string()
    }

    /// How many SYNs it has dropped, since they carried another identifier.
    fn dropped(&self) -> u64 {
        let node = self.node.clone();
        self.runtime.block_on(async move { node.stats().await }).unwrap().foreign_metadata
    }
}

#[test]
fn a_node_of_6_0_answers_without_any_option() {
    let six = Six::start();
    let seed = six.address();
    let asked = [&["--seed", &seed], &CLUSTER[..]].concat();
    let info = gossip(&[&["gossipinfo"], &asked[..]].concat());
    assert_eq!(info.code, Some(0), "{info:?}");
    assert!(info.stdout.contains("RELEASE_VERSION:") && info.stdout.contains("6.0.0"), "{}", info.stdout);
    let status = gossip(&[&["status"], &asked[..]].concat());
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.lines().any(|line| line.starts_with("UN  127.0.0.1 ")), "{status:?}");
    let description = gossip(&[&["describecluster", "--format", "json"], &asked[..]].concat());
    let description: Value = serde_json::from_str(&description.stdout).unwrap();
    assert_eq!(description["metadata"]["id"], ID.get());
    assert_eq!(description["metadata"]["origin"], format!("{seed} was asked"));
    assert_eq!(six.dropped(), 0, "no question cost it a warning");
}

#[test]
fn a_wrong_identifier_by_hand_is_said_to_be_wrong() {
    let six = Six::start();
    let seed = six.address();
    let line = refused(1, &[&["gossipinfo", "--seed", &seed, "--metadata-id", "-5"], &CLUSTER[..]].concat());
    for part in ["--metadata-id is -5", "-1062724510", "leave the option out", &seed] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(six.dropped(), 0, "no question cost it a warning");
    let id = ID.to_string();
    let right = gossip(&[&["gossipinfo", "--seed", &seed, "--metadata-id", &id], &CLUSTER[..]].concat());
    assert_eq!(right.code, Some(0), "{right:?}");
    refused(2, &[&["gossipinfo", "--seed", &seed, "--metadata-id", "x"], &CLUSTER[..]].concat());
    refused(2, &["run", "--metadata-id", "5"]);
}

#[test]
fn a_member_joins_a_cluster_of_6_0_and_remembers_its_identifier() {
    let six = Six::start();
    let seed = six.address();
    let dir = TempDir::new().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let member = Node::start(&["--cassandra", "--seed", &seed, "--data-dir", data_dir]);
    member.wait_for_log(&["the identifier of the cluster's metadata is -1062724510", &seed]);
    until("it sees the node up", || (member.count_up() == 1).then_some(()));
    let node = six.node.clone();
    until("the node sees it up", || {
        let endpoint = member.gossip.into();
        let info = six.runtime.block_on(node.endpoint(endpoint)).unwrap();
        info.filter(|info| info.standing == gossip_tokio::Standing::Live)
    });
    let info = member.ask(&["info"]).stdout;
    let line = info.lines().find(|line| line.starts_with("Metadata id")).unwrap();
    assert!(line.contains(&format!("-1062724510 ({seed} was asked)")), "{line}");
    let description = member.ask(&["describecluster"]).stdout;
    assert!(description.contains("\tMetadata id: -1062724510 ("), "{description}");
    until("it is remembered", || {
        let stored = std::fs::read_to_string(dir.path().join("node.json")).ok()?;
        stored
            .contains("\"metadata_id\":-1062724510")
            .then_some(())
            .or_else(|| stored.contains("\"metadata_id\": -1062724510").then_some(()))
    });
    assert_eq!(six.dropped(), 0, "no SYN cost it a warning");
}

/// The settings of a node of Cassandra that takes and uses TLS alone.
fn tls_of(files: &Files) -> Tls {
    let certificate = |name: &str| CertificateDer::from_pem_file(files.path(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(files.path("node.key")).unwrap();
    let tls = Tls::builder(Arc::new(default_provider())).identity(vec![certificate("node.pem")], key);
    tls.trusted(vec![certificate("ca.pem")]).as_cassandra().build().unwrap()
}

#[test]
fn a_node_of_6_0_is_asked_and_joined_under_tls() {
    let files = Files::new();
    let six = Six::start_with(Some(tls_of(&files)), &[]);
    let seed = six.address();
    let options = files.options("required", "node");
    let tls = borrowed(&options);
    let asked = [&["--seed", &seed], &CLUSTER[..], &tls].concat();
    let info = gossip(&[&["gossipinfo"], &asked[..]].concat());
    assert_eq!(info.code, Some(0), "{info:?}");
    assert!(info.stdout.contains("6.0.0"), "{}", info.stdout);
    let status = gossip(&[&["status"], &asked[..]].concat());
    assert!(status.stdout.lines().any(|line| line.starts_with("UN  127.0.0.1 ")), "{status:?}");
    let description = gossip(&[&["describecluster", "--format", "json"], &asked[..]].concat());
    let description: Value = serde_json::from_str(&description.stdout).unwrap();
    assert_eq!(description["metadata"]["id"], ID.get());
    let line = refused(1, &[&["gossipinfo", "--metadata-id", "-5"], &asked[..]].concat());
    assert!(line.contains("--metadata-id is -5") && line.contains("-1062724510"), "{line}");
    // Without TLS the answer says that TLS is the reason.
    let line = refused(1, &[&["gossipinfo", "--seed", &seed], &CLUSTER[..]].concat());
    assert!(line.contains("--tls"), "{line}");
    let member = Node::start_at("127.0.0.1:0", &[&["--cassandra", "--seed", &seed], &tls[..]].concat());
    until("it sees the node up", || (member.count_up() == 1).then_some(()));
    assert_eq!(six.dropped(), 0, "no SYN cost it a warning");
}

#[test]
fn a_decommission_is_seen_by_a_question() {
    let six = Six::start();
    let seed = six.address();
    let other = Six::start_with(None, &[&seed]);
    let leaving = other.address();
    let ask = |command: &str| {
        let told = gossip(&[&[command, "--seed", &seed], &CLUSTER[..]].concat());
        assert_eq!(told.code, Some(0), "{told:?}");
        told.stdout
    };
    until("both are there", || ask("gossipinfo").contains(&leaving).then_some(()));
    assert!(ask("status").contains(&leaving), "both have the same address, so the port is shown");
    let node = other.node.clone();
    other.runtime.block_on(async move { node.leave().await }).unwrap();
    until("it has left", || ask("gossipinfo").contains("LEFT").then_some(()));
    let status = ask("status");
    let left: Vec<_> = status.lines().filter(|line| line.contains(&leaving)).collect();
    let line = format!("No member any more: {leaving} (LEFT, remembered until ");
    assert!(matches!(left[..], [left] if left.starts_with(&line)), "below the table of members: {status}");
    let json = gossip(&[&["status", "--format", "json", "--seed", &seed], &CLUSTER[..]].concat());
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json["members"].as_array().unwrap().len(), &json["left"][0]["status"]), (1, &"LEFT".into()));
    assert_eq!(json["left"][0]["endpoint"], leaving);
    assert_eq!(six.dropped(), 0, "no question cost it a warning");
}

#[test]
fn an_identifier_by_hand_is_taken_by_all_that_ask_members() {
    let six = Six::start();
    let seed = six.address();
    let id = ID.to_string();
    let asked = |id: &'static str| [&["--seed", &seed, "--metadata-id", id], &CLUSTER[..]].concat();
    for command in
        [&["check", "--timeout", "60s"][..], &["ring"], &["wait-for", "up", &seed, "--timeout", "60s"]]
    {
        let told = gossip(&[command, &["--seed", &seed, "--metadata-id", &id], &CLUSTER].concat());
        assert!(told.code != Some(2), "{command:?}: {told:?}");
        assert!(!told.stderr.contains("--metadata-id"), "{command:?}: {told:?}");
    }
    for command in [&["check", "--timeout", "60s"][..], &["ring"]] {
        let told = gossip(&[command, &asked("-5")].concat());
        assert_ne!(told.code, Some(0), "{command:?}: {told:?}");
        let all = format!("{}{}", told.stdout, told.stderr);
        assert!(all.contains("--metadata-id is -5"), "{command:?}: {told:?}");
    }
    assert_eq!(six.dropped(), 0, "no question cost it a warning");
}
