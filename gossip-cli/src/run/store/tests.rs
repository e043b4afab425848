use std::fs;

use tempfile::TempDir;

use super::file::{CURRENT, PREVIOUS};
use super::*;

const NOW: u64 = 1_700_000_000;

#[test]
fn a_new_directory_is_no_reason_to_warn() {
    let dir = TempDir::new().unwrap();
    let (store, warnings) = open(&dir.path().join("a/b"), NOW);
    assert_eq!((generation(&store), warnings.len()), (1_700_000_000, 0));
}

#[test]
fn a_restart_keeps_the_host_id_and_raises_the_generation() {
    let dir = TempDir::new().unwrap();
    let first = run(&dir, NOW);
    let (second, warnings) = open(dir.path(), NOW);
    assert_eq!((second.host_id(), generation(&second)), (first, 1_700_000_001));
    assert_eq!(second.node.endpoints, known());
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_clock_set_back_does_not_lower_the_generation() {
    let dir = TempDir::new().unwrap();
    run(&dir, NOW);
    let (store, warnings) = open(dir.path(), NOW - 86_400);
    assert_eq!(generation(&store), 1_700_000_001);
    assert!(warnings[0].contains("clock is behind"), "{warnings:?}");
}

#[test]
fn a_lost_file_is_replaced_by_its_predecessor() {
    let dir = TempDir::new().unwrap();
    let host_id = run(&dir, NOW);
    fs::remove_file(dir.path().join(CURRENT)).unwrap();
    let (store, warnings) = open(dir.path(), NOW);
    assert_eq!(store.host_id(), host_id);
    assert!(generation(&store) > 1_700_000_000);
    assert!(warnings[0].contains("gone") && warnings.len() == 1, "{warnings:?}");
}

#[test]
fn with_all_files_lost_a_node_starts_afresh() {
    let dir = TempDir::new().unwrap();
    let host_id = run(&dir, NOW);
    fs::remove_file(dir.path().join(CURRENT)).unwrap();
    fs::remove_file(dir.path().join(PREVIOUS)).unwrap();
    let (store, warnings) = open(dir.path(), NOW + 9);
    assert_ne!(store.host_id(), host_id);
    assert_eq!((generation(&store), warnings.len()), (1_700_000_009, 0));
}

#[test]
fn a_file_truncated_anywhere_is_set_aside_and_its_predecessor_taken() {
    let dir = TempDir::new().unwrap();
    let host_id = run(&dir, NOW);
    let whole = fs::read(dir.path().join(CURRENT)).unwrap();
    let previous = fs::read(dir.path().join(PREVIOUS)).unwrap();
    // Without its last byte, a new line, the file still says everything.
    for len in 0..whole.len() - 1 {
        fs::write(dir.path().join(CURRENT), &whole[..len]).unwrap();
        fs::write(dir.path().join(PREVIOUS), &previous).unwrap();
        let (store, warnings) = open(dir.path(), NOW);
        assert_eq!(store.host_id(), host_id);
        assert!(generation(&store) > 1_700_000_000);
        assert!(warnings[0].contains("corrupt") && warnings.len() == 1, "{warnings:?}");
        let aside = if len == 0 { String::new() } else { format!("-{len}") };
        let aside = dir.path().join(format!("{CURRENT}.corrupt-{NOW}{aside}"));
        assert_eq!(fs::read(aside).unwrap(), &whole[..len]);
    }
}

#[test]
fn a_changed_byte_is_noticed() {
    let dir = TempDir::new().unwrap();
    run(&dir, NOW);
    let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
    fs::write(dir.path().join(CURRENT), text.replace("1700000000", "1700000009")).unwrap();
    let (_, warnings) = open(dir.path(), NOW);
    assert!(warnings[0].contains("checksum"), "{warnings:?}");
}

#[test]
fn with_both_files_corrupt_a_node_starts_afresh() {
    let dir = TempDir::new().unwrap();
    let host_id = run(&dir, NOW);
    fs::write(dir.path().join(CURRENT), "{").unwrap();
    fs::write(dir.path().join(PREVIOUS), [0xff]).unwrap();
    let (store, warnings) = open(dir.path(), NOW + 9);
    assert_ne!(store.host_id(), host_id);
    assert_eq!(generation(&store), 1_700_000_009);
    assert!(warnings[0].contains("new host id"), "{warnings:?}");
    assert_eq!(warnings[0].lines().count(), 1);
}

#[test]
fn a_raised_generation_is_stored() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open(dir.path(), NOW);
    let store = SharedStore::new(store);
    store.save_generation(Generation::new(1_800_000_000)).unwrap();
    drop(store);
    assert_eq!(generation(&open(dir.path(), NOW).0), 1_800_000_001);
}

#[test]
fn a_directory_serves_one_process_of_its_cluster_and_host() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open(dir.path(), NOW);
    let refused =
        |cluster: &str, host_id| Store::open_at(dir.path(), cluster, host_id, false, NOW).unwrap_err();
    assert!(refused("cluster", None).to_string().contains("another process"));
    drop(store);
    assert!(refused("another", None).to_string().contains("--cluster \"cluster\""));
    assert!(refused("cluster", Some(Uuid::nil())).to_string().contains("--host-id"));
}

#[test]
fn a_file_of_a_later_release_is_left_alone() {
    let dir = TempDir::new().unwrap();
    run(&dir, NOW);
    let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
    let later = text.replace("\"format\": 1", "\"format\": 2");
    fs::write(dir.path().join(CURRENT), &later).unwrap();
    let error = Store::open_at(dir.path(), "cluster", None, false, NOW).unwrap_err();
    assert!(error.to_string().contains("format 2"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join(CURRENT)).unwrap(), later);
}

#[test]
fn a_file_from_before_tombstones_were_kept_is_read() {
    let dir = TempDir::new().unwrap();
    run(&dir, NOW);
    let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
    assert!(!text.contains("tombstones") && !text.contains("left"), "{text}");
    let (store, warnings) = open(dir.path(), NOW);
    assert!(warnings.is_empty() && store.node.tombstones.is_empty() && !store.node.left, "{warnings:?}");
}

#[test]
fn tombstones_are_kept() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), NOW);
    let tombstone = Tombstone {
        endpoint: "10.0.0.9:7000".parse::<SocketAddr>().unwrap().into(),
        generation: Generation::new(7),
        until_unix_ms: 1_800_000_000_000,
    };
    store.update(|node| node.tombstones = vec![tombstone.into()]).unwrap();
    drop(store);
    let store = SharedStore::new(open(dir.path(), NOW).0);
    assert_eq!(store.tombstones(), [tombstone]);
}

#[test]
fn a_node_that_has_left_starts_only_to_join_again() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), NOW);
    store.update(|node| node.left = true).unwrap();
    drop(store);
    let failure = Store::open_at(dir.path(), "cluster", None, false, NOW).unwrap_err();
    assert!(failure.to_string().contains("--rejoin"), "{failure}");
    let (store, _) = Store::open_at(dir.path(), "cluster", None, true, NOW).unwrap();
    assert_eq!(generation(&store), 1_700_000_001);
    drop(store);
    // It is asked for once.
    assert_eq!(generation(&open(dir.path(), NOW).0), 1_700_000_002);
}

/// A run in which endpoints became known; returns the host id.
fn run(dir: &TempDir, now: u64) -> Uuid {
    let (mut store, _) = open(dir.path(), now);
    store.update(|node| node.endpoints = known()).unwrap();
    store.host_id()
}

fn known() -> Vec<SocketAddr> {
    vec!["10.0.0.1:7000".parse().unwrap(), "[2001:db8::1]:7000".parse().unwrap()]
}

fn open(dir: &Path, now: u64) -> (Store, Vec<String>) {
    Store::open_at(dir, "cluster", None, false, now).unwrap()
}

fn generation(store: &Store) -> i32 {
    store.node.generation
}
