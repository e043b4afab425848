//! Clusters of nodes that behave like those of Cassandra 6.0: a SYN that does not carry the identifier of the cluster's metadata is dropped.

use gossip_tokio::{ApplicationState, Builder, Handle, MetadataId};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::node::{Node, gossip, refused, until};

const ID: MetadataId = MetadataId::new(-1_062_724_510);
const CLUSTER: [&str; 2] = ["--cluster", "Test Cluster"];

/// A node of 6.0, in this process.
struct Six {
    runtime: Runtime,
    node: Handle,
}

impl Six {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let node = Builder::new("Test Cluster")
            .partitioner(gossip_core::CASSANDRA_PARTITIONER)
            .listen("127.0.0.1:0".parse().unwrap())
            .interval(core::time::Duration::from_millis(200))
            .state(ApplicationState::RELEASE_VERSION, "6.0.0")
            .state(ApplicationState::NET_VERSION, "14")
            .state(ApplicationState::SCHEMA, "00000000-0000-0000-0000-000000000003")
            .state(ApplicationState::TOKENS, gossip_core::encode_tokens(&[7]))
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,7")
            .tune(|config| config.metadata_service(ID));
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
