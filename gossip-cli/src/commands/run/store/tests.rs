use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::fs;

use tempfile::TempDir;

use super::*;
use gossip_store::{CURRENT, PREVIOUS, decode, encode};

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
    assert_eq!(addresses(&second.node.endpoints), addresses(&known()));
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
fn what_is_removed_under_a_running_node_is_written_again_or_told() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("data");
    let (mut store, _) = open(&path, NOW);
    assert!(!store.update(|_| {}).unwrap(), "nothing has changed");
    fs::remove_file(path.join(CURRENT)).unwrap();
    assert!(store.update(|_| {}).unwrap() && path.join(CURRENT).exists());
    fs::remove_dir_all(&path).unwrap();
    assert!(store.update(|_| {}).is_err());
    store.update_and_log(|_| {});
    assert!(store.failing.is_some_and(|text| text.contains("node.json")));
}

#[test]
fn a_node_that_is_in_another_data_center_or_rack_than_before_says_so_once() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), NOW);
    assert_eq!(store.moved("dc1", "rack1"), [""; 0], "the first start");
    store.name_place("dc1", "rack1");
    drop(store);
    let (mut store, _) = open(dir.path(), NOW);
    assert_eq!(store.moved("dc1", "rack1"), [""; 0]);
    let [warning] = &store.moved("dc2", "rack1")[..] else { panic!("the data center alone is another") };
    assert!(warning.contains("--dc was \"dc1\"") && warning.contains("is \"dc2\" now"), "{warning}");
    assert_eq!(store.moved("dc2", "rack2").len(), 2);
    store.name_place("dc2", "rack2");
    drop(store);
    // Both files know it.
    fs::remove_file(dir.path().join(CURRENT)).unwrap();
    let (store, _) = open(dir.path(), NOW);
    assert_eq!(store.moved("dc2", "rack2"), [""; 0]);
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

/// The clock is behind the generation, so that only the files can tell it.
#[test]
fn no_cut_through_one_file_takes_a_generation_back() {
    let files = files_of_a_raised_generation();
    for (cut, kept) in [(CURRENT, PREVIOUS), (PREVIOUS, CURRENT)] {
        for len in 0..files[cut].len() {
            let dir = TempDir::new().unwrap();
            fs::write(dir.path().join(cut), &files[cut][..len]).unwrap();
            fs::write(dir.path().join(kept), &files[kept]).unwrap();
            let (store, warnings) = open(dir.path(), NOW);
            assert_eq!((generation(&store), store.host_id()), (RAISED + 1, HOST_ID), "{cut} cut at {len}");
            assert_eq!(addresses(&store.node.endpoints), addresses(&known()));
            // The file without its last byte, a new line, still says everything; and its predecessor is not asked then.
            let is_noticed = cut == CURRENT && len + 1 < files[cut].len();
            assert_eq!(warnings.len(), 1 + usize::from(is_noticed), "{warnings:?}");
            assert!(warnings.iter().all(|warning| warning.lines().count() == 1), "{warnings:?}");
        }
    }
}

#[test]
fn a_cut_through_both_files_is_told_in_one_line() {
    let files = files_of_a_raised_generation();
    for len in 0..files[CURRENT].len() - 1 {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(CURRENT), &files[CURRENT][..len]).unwrap();
        // All over the other as well, in another order.
        fs::write(dir.path().join(PREVIOUS), &files[PREVIOUS][..len * 7 % (files[PREVIOUS].len() - 1)])
            .unwrap();
        let (store, warnings) = open(dir.path(), NOW);
        assert_eq!(u64::from(generation(&store).cast_unsigned()), NOW, "that of the clock");
        assert_ne!(store.host_id(), HOST_ID);
        assert!(warnings.len() == 1 && warnings[0].lines().count() == 1, "{warnings:?}");
        assert!(warnings[0].contains("starting afresh"), "{warnings:?}");
    }
}

/// A crash while the file is written leaves a part of it under another name.
#[test]
fn what_a_crash_left_half_written_is_not_looked_at() {
    let files = files_of_a_raised_generation();
    for len in 0..files[CURRENT].len() {
        let dir = TempDir::new().unwrap();
        for (name, bytes) in &files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        for name in ["node.json.new", "node.json.link"] {
            fs::write(dir.path().join(name), &files[CURRENT][..len]).unwrap();
        }
        let (store, warnings) = open(dir.path(), NOW);
        assert_eq!((generation(&store), warnings.len()), (RAISED + 1, 1), "the clock alone: {warnings:?}");
        assert_eq!(fs::read(dir.path().join(PREVIOUS)).unwrap(), fs::read(dir.path().join(CURRENT)).unwrap());
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
    let later = text.replace("\"format\": 2", "\"format\": 3");
    fs::write(dir.path().join(CURRENT), &later).unwrap();
    let error = Store::open_at(dir.path(), "cluster", None, false, NOW).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("format 3") && error.contains("release that wrote it"), "{error}");
    assert!(error.contains(dir.path().join(CURRENT).to_str().unwrap()), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join(CURRENT)).unwrap(), later);
}

#[test]
fn fields_of_a_later_release_outlive_starts_and_saves_of_this_one() {
    let dir = TempDir::new().unwrap();
    let host_id = run(&dir, NOW);
    let mut node = decode(&fs::read(dir.path().join(CURRENT)).unwrap()).unwrap();
    let mut later = StoredTombstone::from(tombstone());
    for unknown in [&mut node.unknown, &mut node.endpoints[1].unknown, &mut later.unknown] {
        unknown.insert("zone", "[1.50, {}]").unwrap();
    }
    node.tombstones.push(later);
    fs::write(dir.path().join(CURRENT), encode(&node).unwrap()).unwrap();

    let (mut store, warnings) = open(dir.path(), NOW);
    assert_eq!((store.host_id(), warnings.len()), (host_id, 0));
    let third = StoredEndpoint::new("10.0.0.3:7000".parse().unwrap());
    let known = vec![StoredEndpoint::new(node.endpoints[1].address), third.clone()];
    store
        .update(|node| {
            node.endpoints = with_what_is_stored(known, &node.endpoints);
            node.tombstones = tombstones_with_what_is_stored(vec![tombstone().into()], &node.tombstones);
        })
        .unwrap();
    let saved = decode(&fs::read(dir.path().join(CURRENT)).unwrap()).unwrap();
    let kept = StoredEndpoint { heard_unix_ms: Some(NOW * 1_000), ..node.endpoints[1].clone() };
    assert_eq!(saved.endpoints, [kept, third]);
    assert_eq!((saved.tombstones, saved.unknown), (node.tombstones, node.unknown));
}

#[test]
fn advice_fits_what_is_wrong_and_names_the_path() {
    let dir = TempDir::new().unwrap();
    let in_the_way = dir.path().join("a");
    fs::write(&in_the_way, "").unwrap();
    let of_a_pipe = dir.path().join("b");
    fs::create_dir_all(of_a_pipe.join(CURRENT)).unwrap();
    let of_a_lock = dir.path().join("c");
    fs::create_dir_all(of_a_lock.join(LOCK)).unwrap();
    for (dir, path) in [
        (&in_the_way, in_the_way.clone()),
        (&of_a_pipe, of_a_pipe.join(CURRENT)),
        (&of_a_lock, of_a_lock.join(LOCK)),
    ] {
        let failure = Store::open_at(dir, "cluster", None, false, NOW).unwrap_err().to_string();
        assert!(failure.contains(path.to_str().unwrap()), "{failure}");
        assert!(failure.contains("in the way") && !failure.contains("readable"), "{failure}");
    }
}

#[test]
fn that_nothing_can_be_saved_is_told_once_until_it_changes() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), NOW);
    let in_the_way = dir.path().join("node.json.new");
    fs::create_dir(&in_the_way).unwrap();
    store.update_and_log(|node| node.endpoints = known());
    let told = store.failing.clone().unwrap();
    assert!(told.contains(in_the_way.to_str().unwrap()), "{told}");
    store.update_and_log(|node| node.endpoints = known());
    assert_eq!(store.failing, Some(told));
    fs::remove_dir(in_the_way).unwrap();
    // Nothing to write proves nothing.
    store.update_and_log(|_| {});
    assert!(store.failing.is_some());
    store.update_and_log(|node| node.endpoints = known());
    assert_eq!((store.failing, store.node.endpoints), (None, known()));
}

#[test]
fn the_host_id_and_the_last_contact_of_an_endpoint_are_kept() {
    let address = "10.0.0.1:7000".parse().unwrap();
    let heard =
        |heard_unix_ms, host_id| StoredEndpoint { heard_unix_ms, host_id, ..StoredEndpoint::new(address) };
    let (now, hour) = (1_700_000_000_000, 3_600_000);
    let stored = [heard(Some(now), Some(HOST_ID))];
    for (fresh, expected) in [
        // It was not heard of in this run, or heard lately, or as another host.
        (heard(None, None), heard(Some(now), Some(HOST_ID))),
        (heard(Some(now + 5_000), Some(HOST_ID)), heard(Some(now), Some(HOST_ID))),
        (heard(Some(now + hour), Some(Uuid::nil())), heard(Some(now + hour), Some(Uuid::nil()))),
    ] {
        assert_eq!(with_what_is_stored(vec![fresh], &stored), [expected]);
    }
    // The time of an address without one begins with the start.
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), NOW);
    store.update(|node| node.endpoints = vec![StoredEndpoint::new(address)]).unwrap();
    drop(store);
    let (store, _) = open(dir.path(), NOW + 5);
    assert_eq!(store.node.endpoints[0].heard_unix_ms, Some((NOW + 5) * 1_000));
}

#[test]
fn a_stored_generation_that_nobody_would_take_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let (year, now) = (365 * 86_400, 1_800_000_000);
    drop(open(dir.path(), now + 3 * year));
    let (store, warnings) = open(dir.path(), now);
    assert_eq!(u64::from(generation(&store).cast_unsigned()), now);
    assert!(warnings.len() == 1 && warnings[0].contains("1095 days ahead of the clock"), "{warnings:?}");
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
    let tombstone = tombstone();
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

/// Of whatever cannot be learned anew, nothing is lost with one of the two files.
#[test]
fn no_damage_to_one_file_brings_back_who_has_left() {
    let tombstone = StoredTombstone::from(tombstone());
    for damaged in [CURRENT, PREVIOUS] {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = open(dir.path(), NOW);
        store.update(|node| node.tombstones = vec![tombstone.clone()]).unwrap();
        fs::write(dir.path().join(damaged), "{").unwrap();
        drop(store);
        let (mut store, warnings) = open(dir.path(), NOW);
        assert_eq!(store.node.tombstones.first(), Some(&tombstone), "{damaged} is damaged");
        assert_eq!(warnings.len(), usize::from(damaged == CURRENT), "{warnings:?}");
        store.update(|node| node.left = true).unwrap();
        fs::write(dir.path().join(damaged), "{").unwrap();
        drop(store);
        let failure = Store::open_at(dir.path(), "cluster", None, false, NOW).unwrap_err();
        assert!(failure.to_string().contains("--rejoin"), "{damaged} is damaged: {failure}");
    }
}

/// The second of the two writes may fail, and the first be on disk.
#[test]
fn no_later_write_takes_back_that_the_node_has_left() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), NOW);
    let elsewhere = TempDir::new().unwrap();
    store.dir = elsewhere.path().join("gone");
    assert!(store.update(|node| node.left = true).is_err());
    store.dir = dir.path().into();
    store.update(|node| node.endpoints = known()).unwrap();
    drop(store);
    let failure = Store::open_at(dir.path(), "cluster", None, false, NOW).unwrap_err();
    assert!(failure.to_string().contains("--rejoin"), "{failure}");
}

const RAISED: i32 = 1_800_000_000;
const HOST_ID: Uuid = Uuid::from_u128(7);

/// What a run leaves behind that raised its generation above the clock, by the names of the files.
fn files_of_a_raised_generation() -> BTreeMap<&'static str, Vec<u8>> {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = Store::open_at(dir.path(), "cluster", Some(HOST_ID), false, NOW).unwrap();
    store.update(|node| node.endpoints = known()).unwrap();
    store.update(|node| node.generation = RAISED).unwrap();
    [CURRENT, PREVIOUS].map(|name| (name, fs::read(dir.path().join(name)).unwrap())).into()
}

/// A run in which endpoints became known; returns the host id.
fn run(dir: &TempDir, now: u64) -> Uuid {
    let (mut store, _) = open(dir.path(), now);
    store.update(|node| node.endpoints = known()).unwrap();
    store.host_id()
}

fn known() -> Vec<StoredEndpoint> {
    ["10.0.0.1:7000", "[2001:db8::1]:7000"]
        .map(|address| StoredEndpoint::new(address.parse().unwrap()))
        .into()
}

fn addresses(endpoints: &[StoredEndpoint]) -> Vec<SocketAddr> {
    endpoints.iter().map(|endpoint| endpoint.address).collect()
}

fn tombstone() -> Tombstone {
    Tombstone {
        endpoint: "10.0.0.9:7000".parse::<SocketAddr>().unwrap().into(),
        generation: Generation::new(7),
        until_unix_ms: 1_800_000_000_000,
    }
}

fn open(dir: &Path, now: u64) -> (Store, Vec<String>) {
    Store::open_at(dir, "cluster", None, false, now).unwrap()
}

fn generation(store: &Store) -> i32 {
    store.node.generation
}
