use core::time::Duration;

use super::*;

fn table() -> EndpointTable {
    let second = Duration::from_secs(1);
    EndpointTable::new(7, 1_000, Settings { window: 4, initial: second, max: second, pace: None })
}

fn endpoints() -> impl Iterator<Item = Endpoint> {
    (0_u16..200).map(|n| {
        let [high, low] = (n.wrapping_mul(7_919)).to_be_bytes();
        if n % 3 == 0 {
            Endpoint::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low], n)
        } else {
            Endpoint::v4([10, 0, high, low], n)
        }
    })
}

/// A peer that chooses the addresses that it tells of does not know the key.
#[test]
fn addresses_that_share_a_place_under_one_key_do_not_under_another() {
    const PLACES: usize = 4_096;
    let with_key = |key| {
        let second = Duration::from_secs(1);
        EndpointTable::new(key, 1, Settings { window: 4, initial: second, max: second, pace: None })
    };
    let place = |table: &EndpointTable, endpoint| table.hash.hash_one(table.key(endpoint)) % PLACES as u64;
    let (known, secret) = (with_key(1), with_key(0x9e37_79b9_7f4a_7c15));
    let v4 = |n: u32| Endpoint::v4(n.to_be_bytes(), 7_000);
    let v6 = |n: u32| Endpoint::new((u128::from(n) | 0x2001 << 112).to_be_bytes().into(), 7_000);
    for make in [&v4 as &dyn Fn(u32) -> Endpoint, &v6] {
        let chosen: Vec<_> =
            (0..1 << 20).map(make).filter(|endpoint| place(&known, *endpoint) == 7).collect();
        assert!(chosen.len() > 200, "{}", chosen.len());
        let mut counts = [0; PLACES];
        for endpoint in chosen {
            counts[usize::try_from(place(&secret, endpoint)).unwrap()] += 1;
        }
        assert!(counts.iter().max() < Some(&8), "{:?}", counts.iter().max());
    }
}

#[test]
fn endpoints_are_found_by_hash_and_by_guess() {
    let mut table = table();
    let heartbeat = HeartbeatState::default();
    for endpoint in endpoints() {
        table.insert(endpoint, heartbeat).unwrap();
    }
    table.sort();
    let mut sorted: Vec<Endpoint> = endpoints().collect();
    sorted.sort_unstable();
    let listed: Vec<Endpoint> = table.sorted().iter().map(|slot| table.endpoint(*slot)).collect();
    assert_eq!(listed, sorted);
    let mut cursor = Cursor::default();
    for endpoint in endpoints().chain(sorted) {
        let slot = table.find(endpoint).unwrap();
        assert_eq!(table.endpoint(slot), endpoint);
        assert_eq!(table.find_next(endpoint, &mut cursor), Some((slot, table.known(slot))));
    }
    assert_eq!(table.find(Endpoint::v4([10, 9, 9, 9], 1)), None);
    assert_eq!(table.find_next(Endpoint::v4([10, 9, 9, 9], 1), &mut cursor), None);
}

#[test]
fn removed_endpoints_leave_their_rows_to_others() {
    let mut table = table();
    let all: Vec<Endpoint> = endpoints().collect();
    for endpoint in &all {
        table.insert(*endpoint, HeartbeatState::default()).unwrap();
    }
    table.sort();
    for endpoint in &all[..100] {
        table.remove(table.find(*endpoint).unwrap());
    }
    table.drop_removed();
    assert_eq!(table.len(), 100);
    assert_eq!((table.slots().count(), table.sorted().len()), (100, 100));
    assert!(all[..100].iter().all(|endpoint| table.find(*endpoint).is_none()));
    for n in 0..100 {
        table.insert(Endpoint::v4([192, 0, 2, n], 1), HeartbeatState::default()).unwrap();
    }
    table.sort();
    assert_eq!((table.rows.len(), table.len(), table.sorted().len()), (200, 200, 200));
    let mut cursor = Cursor::default();
    for endpoint in &all[100..] {
        let slot = table.find(*endpoint).unwrap();
        assert_eq!(table.endpoint(slot), *endpoint);
        assert_eq!(table.find_next(*endpoint, &mut cursor), Some((slot, table.known(slot))));
    }
}

#[test]
fn lists_in_no_order_are_not_guessed_for_long() {
    let mut table = table();
    for (nth, endpoint) in endpoints().enumerate() {
        table.insert(endpoint, HeartbeatState::default()).unwrap();
        assert_eq!(table.len(), nth + 1);
    }
    let disorder = Cursor { wrong: 100, ..Cursor::default() };
    for _ in 0..PATIENCE {
        assert!(table.begin_list());
        table.end_list(&disorder, 100);
    }
    let guessed = (0..80).filter(|_| table.begin_list()).count();
    assert_eq!(guessed, 80 / usize::from(PATIENCE));
    table.end_list(&Cursor::default(), 100);
    assert!(table.begin_list(), "there is an order again");
}

#[test]
fn a_full_table_takes_no_more() {
    let second = Duration::from_secs(1);
    let mut table =
        EndpointTable::new(7, 1, Settings { window: 4, initial: second, max: second, pace: None });
    table.insert(Endpoint::v4([1; 4], 1), HeartbeatState::default()).unwrap();
    assert!(table.insert(Endpoint::v4([2; 4], 1), HeartbeatState::default()).is_err());
}

#[test]
fn the_newer_status_counts() {
    let mut table = table();
    let slot = table.insert(Endpoint::v4([1; 4], 1), HeartbeatState::default()).unwrap();
    let mut set = |key, text: &str, version| {
        let _ = table.set_value(slot, key, JavaStr::new(text.as_bytes()).unwrap(), Version::new(version));
        table.status(slot)
    };
    assert_eq!(set(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 5), StatusKind::Normal);
    assert_eq!(set(ApplicationState::STATUS, "LEAVING,1", 4), StatusKind::Normal);
    assert_eq!(set(ApplicationState::STATUS, "LEAVING,1", 6), StatusKind::Leaving);
    assert_eq!(set(ApplicationState::STATUS_WITH_PORT, "LEFT,1,2", 6), StatusKind::Left);
}

/// Some hundred IPv4 and IPv6 endpoints; the first is our own.
fn filled() -> EndpointTable {
    let mut table = table();
    for endpoint in core::iter::once(Endpoint::v4([10, 9, 0, 1], 7)).chain(endpoints()) {
        let heartbeat = HeartbeatState { generation: Generation::new(3), version: Version::new(10) };
        table.insert(endpoint, heartbeat).unwrap();
    }
    table
}

fn known(generation: i32, version: i32) -> Known {
    Known::new(Generation::new(generation), Version::new(version))
}

#[test]
fn memory_is_taken_for_a_quarter_more_rows_and_seldom() {
    let second = Duration::from_secs(1);
    let settings = Settings { window: 4, initial: second, max: second, pace: None };
    let mut table = EndpointTable::new(7, 5_000, settings);
    let (mut room, mut growths) = (0, 0);
    for n in 0..5_000_u32 {
        table.insert(Endpoint::v4(n.to_be_bytes(), 1), HeartbeatState::default()).unwrap();
        let rows = table.rows.capacity();
        growths += usize::from(rows != room);
        room = rows;
        let columns = [
            table.value_versions.capacity(),
            table.pulses.capacity(),
            table.kinds.capacity(),
            table.heard.capacity(),
            table.echoes.capacity(),
            table.values.capacity(),
            table.successors.capacity(),
            table.order.capacity(),
        ];
        assert_eq!(columns, [rows; 8], "all take it at once, of {n}");
        assert_eq!(table.arrivals.room(), rows);
        let most = (table.len() + table.len() / 4 + 16).min(5_000);
        assert!(rows <= most, "{rows} of {n}");
    }
    assert_eq!((room, table.len()), (5_000, 5_000), "never more than there may be");
    assert!(growths < 30, "{growths}");
    table.sort();
    assert_eq!(table.order.capacity(), room, "sorting takes none");
}

#[test]
fn values_of_which_the_size_is_known_take_memory_once() {
    let mut table = table();
    let slot = table.insert(Endpoint::v4([1; 4], 1), HeartbeatState::default()).unwrap();
    table.reserve_values(slot, 2, 10);
    let room = table.values(slot).room();
    let value = JavaStr::new(b"12345").unwrap();
    for key in [ApplicationState::DC, ApplicationState::RACK] {
        assert_eq!(table.set_value(slot, key, value, Version::new(1)), Stored::Grown);
    }
    assert_eq!(table.values(slot).room(), room);
    assert_eq!(table.values(slot).text_bytes(), 10);
}

#[test]
fn digests_are_filled_in_up_to_the_first_that_is_our_own_or_not_of_an_ipv4_endpoint() {
    let table = filled();
    let mut slots: Vec<Slot> = table.slots().skip(1).collect();
    let is_v4 = |slot: &Slot| table.endpoint(*slot).packed_v4().is_some();
    // Whatever begins the list: all of a kind, or every kind.
    for _ in 0..slots.len() {
        slots.rotate_left(1);
        let mut places = [[0; PACKED]; 9];
        let expected = slots.iter().take(9).take_while(|slot| is_v4(slot)).count();
        assert_eq!(table.pack_digests(&slots, &mut places), expected);
        for (slot, place) in slots.iter().zip(&places[..expected]) {
            let (packed, known) = crate::message::read_packed(place);
            assert_eq!(
                (Endpoint::from_packed_v4(packed), known),
                (table.endpoint(*slot), table.known(*slot))
            );
        }
    }
    assert_eq!(table.pack_digests(&[Slot::FIRST], &mut [[0; PACKED]; 1]), 0, "our own has another heartbeat");
    let v4: Vec<Slot> = slots.into_iter().filter(is_v4).collect();
    assert_eq!(table.pack_digests(&v4, &mut [[0; PACKED]; 100]), 100);
}

#[test]
fn what_is_written_in_short_is_of_ipv4_endpoints_and_of_the_process_that_is_known() {
    let mut table = filled();
    for slot in table.slots().collect::<Vec<_>>() {
        let packed = table.endpoint(slot).packed_v4();
        // The heartbeat is 10, and there are no values.
        let newer = |theirs| table.newer_heartbeat_v4(slot, theirs).map(|(packed, _)| packed);
        assert_eq!(newer(known(3, 9)), packed);
        assert_eq!(newer(known(3, 10)), None, "it knows it");
        assert_eq!(newer(known(2, 9)), None, "it knows another process");
        let older = |theirs| table.older_v4(slot, theirs).map(|(packed, _)| packed);
        assert_eq!(older(known(3, 11)), packed.filter(|_| slot != Slot::FIRST));
        assert_eq!(older(known(3, 10)), None);
        assert_eq!(older(known(4, 11)), None, "of another process everything is asked for");
    }
    let slot = Slot::from_number(2);
    let packed = table.endpoint(slot).packed_v4();
    let text = JavaStr::new(b"t").unwrap();
    let _ = table.set_value(slot, ApplicationState::LOAD, text, Version::new(8));
    let newer = |table: &EndpointTable, version| table.newer_heartbeat_v4(slot, known(3, version));
    assert_eq!(newer(&table, 7), None, "it lacks the value");
    assert_eq!(newer(&table, 8).map(|(packed, _)| packed), packed);
    table.set_heartbeat(slot, Version::SHUTDOWN);
    assert_eq!(newer(&table, 9), None, "it stopped");
    let unheard = HeartbeatState { generation: Generation::new(3), version: Version::ZERO };
    let slot = table.insert(Endpoint::v4([10, 9, 0, 2], 7), unheard).unwrap();
    assert_eq!(table.older_v4(slot, known(3, 5)), None, "everything is asked for");
}

#[test]
fn heartbeats_are_taken_up_to_the_first_that_says_anything_else() {
    let mut table = filled();
    let v4 = |table: &EndpointTable| {
        let is_other = |slot: &Slot| *slot != Slot::FIRST && table.endpoint(*slot).packed_v4().is_some();
        table.slots().filter(is_other).take(5).collect::<Vec<_>>()
    };
    let slots = v4(&table);
    let state = |table: &EndpointTable, slot: Slot, theirs: Known| {
        let mut state = [0; HEARTBEAT];
        crate::message::pack_heartbeat(table.endpoint(slot).packed_v4().unwrap(), theirs, &mut state);
        state
    };
    let take = |table: &mut EndpointTable, others: &[(Slot, Known)]| {
        let states: Vec<_> = others.iter().map(|(slot, known)| state(table, *slot, *known)).collect();
        let mut beats = [(Slot::FIRST, Version::ZERO); 8];
        let mut told = Vec::new();
        let count = table.raise_all(&states, &mut Cursor::default(), &mut beats, |packed, known| {
            told.push((packed, known))
        });
        assert_eq!(told.len(), count);
        for ((slot, theirs), (taken, version)) in others.iter().zip(&beats[..count]) {
            assert_eq!((slot, theirs.max_version()), (taken, *version));
            assert_eq!(table.known(*slot), *theirs);
        }
        count
    };
    let newer: Vec<_> = slots.iter().map(|slot| (*slot, known(3, 11))).collect();
    assert_eq!(take(&mut table, &newer), 5);
    assert_eq!(take(&mut table, &newer), 0, "they are not newer");
    for (other, version) in [(3, 11), (4, 12), (2, 12), (3, Version::SHUTDOWN.get())] {
        let mut mixed: Vec<_> = newer.iter().map(|(slot, _)| (*slot, known(3, 12))).collect();
        mixed[2].1 = known(other, version);
        assert_eq!(take(&mut table, &mixed), 2, "of generation {other}, version {version}");
        for (slot, _) in &mixed {
            table.set_generation_and_heartbeat(
                *slot,
                HeartbeatState { generation: Generation::new(3), version: Version::new(11) },
            );
        }
    }
    assert_eq!(take(&mut table, &[(Slot::FIRST, known(3, 99))]), 0, "what is said of us is judged");
    table.set_standing(slots[0], Standing::Live);
    let now = Timestamp::from_millis(700);
    let beats = [(slots[0], Version::new(13)), (slots[1], Version::new(14))];
    assert!(table.beat_all(&beats[..1], now) && !table.beat_all(&beats, now));
    assert_eq!(table.heartbeat(slots[1]).version, Version::new(14));
    assert_eq!((table.updated(slots[1]), table.window(slots[1]).last()), (now, Some(now)));
}

#[test]
fn the_nth_of_a_kind_is_found_wherever_it_lies() {
    let mut table = filled();
    let slots: Vec<Slot> = table.slots().collect();
    let text = |text: &'static str| JavaStr::new(text.as_bytes()).unwrap();
    let (mut live, mut unreachable) = (Vec::new(), Vec::new());
    for slot in &slots {
        match slot.index() % 5 {
            0 | 1 => table.set_standing(*slot, Standing::Live),
            2 => table.set_standing(*slot, Standing::Unreachable),
            3 => {
                let key = ApplicationState::STATUS_WITH_PORT;
                let _ = table.set_value(*slot, key, text("LEFT,1,2"), Version::new(3));
                table.set_standing(*slot, Standing::Unreachable);
            }
            _ => {}
        }
        match slot.index() % 5 {
            _ if *slot == Slot::FIRST => {}
            0 | 1 => live.push(*slot),
            // Who has left does not come back.
            2 => unreachable.push(*slot),
            _ => {}
        }
    }
    for (kind, expected) in [(Kind::Live, live), (Kind::Unreachable, unreachable)] {
        assert_eq!(table.count(kind) as usize, expected.len());
        let found: Vec<_> = (0..expected.len()).map(|nth| table.nth(kind, nth).unwrap()).collect();
        assert_eq!(found, expected);
        assert_eq!(table.nth(kind, expected.len()), None);
    }
}

#[test]
fn whoever_was_live_once_or_was_named_is_met() {
    let mut table = filled();
    let [once, never, named] = [1, 2, 3].map(Slot::from_number);
    table.set_standing(once, Standing::Live);
    table.set_standing(once, Standing::Unreachable);
    table.reset(once, HeartbeatState::default());
    table.set_standing(never, Standing::Unreachable);
    table.meet(named);
    assert_eq!([once, never, named].map(|slot| table.is_met(slot)), [true, false, true]);
}

#[test]
fn a_row_is_silent_after_the_time_or_once_it_has_left() {
    let mut table = filled();
    let (now, silence) = (Timestamp::from_millis(60_000), 10_000_000_000);
    for slot in table.slots().collect::<Vec<_>>() {
        table.set_updated(slot, Timestamp::from_millis(50_000));
    }
    assert_eq!(table.next_silent(1, now, silence), None, "as long as that is not longer");
    assert_eq!(table.next_silent(1, now + Duration::from_nanos(1), silence), Some(Slot::from_number(1)));
    let left = JavaStr::new(b"LEFT,1,2").unwrap();
    let slot = Slot::from_number(7);
    let _ = table.set_value(slot, ApplicationState::STATUS_WITH_PORT, left, Version::new(3));
    assert_eq!(table.next_silent(1, now, silence), Some(slot));
    assert_eq!(table.next_silent(8, now, silence), None);
}

#[test]
fn all_deadlines_move_by_our_own_pause() {
    let mut table = filled();
    let (slot, at) = (Slot::from_number(4), Timestamp::from_millis);
    table.set_updated(slot, at(1_000));
    table.set_heard(slot, at(2_000));
    let echo = Echo {
        id: 1,
        generation: Generation::new(3),
        deadline: at(3_000),
        is_over: false,
        is_repeated: false,
    };
    table.set_echo(slot, Some(echo));
    table.put_off(Duration::from_millis(500));
    assert_eq!((table.updated(slot), table.heard(slot)), (at(1_500), at(2_500)));
    assert_eq!(table.echo(slot).unwrap().deadline, at(3_500));
}

#[test]
fn guesses_that_were_wrong_are_counted_and_decide_from_seven_eighths_on() {
    let mut table = filled();
    table.sort();
    let order: Vec<Endpoint> = table.sorted().iter().map(|slot| table.endpoint(*slot)).collect();
    let v4: Vec<Endpoint> = order.into_iter().filter(|endpoint| endpoint.packed_v4().is_some()).collect();
    let mut cursor = Cursor::default();
    for endpoint in v4.iter().rev() {
        assert!(table.find_next(*endpoint, &mut cursor).is_some());
    }
    assert!((v4.len() - 1..=v4.len()).contains(&cursor.wrong), "{cursor:?}");
    let list = |table: &mut EndpointTable, wrong| table.end_list(&Cursor { wrong, next: 0 }, 8);
    for _ in 0..PATIENCE {
        list(&mut table, 7);
    }
    assert_eq!((0..80).filter(|_| table.begin_list()).count(), 10, "most were wrong");
    list(&mut table, 6);
    assert_eq!((0..80).filter(|_| table.begin_list()).count(), 80);
}

#[test]
fn the_detector_is_told_of_the_rotation_and_of_a_calm_network() {
    let second = Duration::from_secs(1);
    let settings = Settings { window: 4, initial: second, max: second * 5, pace: Some(second) };
    let mut table = EndpointTable::new(7, 10, settings);
    let slot = table.insert(Endpoint::v4([1; 4], 1), HeartbeatState::default()).unwrap();
    table.set_rotation(3);
    table.report(slot, Timestamp::from_millis(0));
    assert_eq!(table.window(slot).mean(), Some(second * 3));
    table.set_calm(true);
    table.report(slot, Timestamp::from_millis(9_000));
    assert_eq!(table.window(slot).mean(), Some(second * 3), "it is usual while no messages get lost");
    table.set_calm(false);
    table.report(slot, Timestamp::from_millis(18_000));
    assert_eq!(table.window(slot).mean(), Some(second * 5));
}
