//! How patient a node is with dials, and what gives way to what.

use super::*;
use crate::config::ConfigBuilder;
use crate::internode::ConnectionKind;
use crate::version::Generation;

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = SECOND;

fn endpoint(last: u8) -> Endpoint {
    Endpoint::v4([10, 0, 0, last], 7000)
}

fn config() -> ConfigBuilder {
    Config::builder("c", endpoint(0), Generation::new(1), [3; 32])
}

fn connections() -> Connections {
    Connections::new(&config().build().unwrap(), 7)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Dials a peer, and says over which connection if it may be dialled.
fn dial(connections: &mut Connections, now: Timestamp, last: u8, is_met: bool) -> Option<ConnectionId> {
    let to = endpoint(last);
    let path = connections.path(now, to, ConnectionType::Urgent, || !is_met);
    let peer = connections.find(to)?;
    let id = connections.peers[peer.0 as usize].as_ref()?.connections[index(ConnectionType::Urgent)];
    assert_eq!(matches!(path, Path::Busy), id.is_some());
    id
}

/// Looks for what takes too long, as once a second.
fn look(connections: &mut Connections, now: Timestamp, answer_wait: Duration) -> usize {
    let mut closed = 0;
    while let Some(id) = connections.next_overdue(now) {
        connections.close(now, id);
        closed += 1;
    }
    connections.end_look(now, answer_wait);
    closed
}

#[test]
fn a_dial_is_left_alone_for_longer_where_answers_take_long() {
    let patience = |answer_wait| {
        let mut connections = connections();
        look(&mut connections, at(1), answer_wait);
        dial(&mut connections, at(1), 1, false).unwrap();
        (1..100).find(|second| look(&mut connections, at(1 + second), answer_wait) > 0).unwrap()
    };
    // It is given up at the second look that finds it too late.
    assert_eq!(patience(Duration::ZERO), 2 + 1);
    assert_eq!(patience(3 * SECOND), 2 + 6 + 1);
    assert_eq!(patience(60 * SECOND), 2 + 30 + 1, "but not for ever");
}

#[test]
fn a_dial_is_left_alone_for_longer_where_others_took_long_and_that_fades() {
    let mut connections = connections();
    let slow = dial(&mut connections, at(1), 1, true).unwrap();
    connections.on_opened(at(6), slow, None);
    assert_eq!(connections.dial_timeout(), 12 * SECOND);
    for second in 7..600 {
        look(&mut connections, at(second), Duration::ZERO);
    }
    assert!(connections.dial_timeout() < 3 * SECOND, "{:?}", connections.dial_timeout());
}

#[test]
fn fewer_are_dialled_together_after_a_dial_that_took_too_long_and_more_after_each_that_is_answered() {
    let mut connections = connections();
    let most = connections.dial_room;
    let mut now = 1;
    let mut room = most;
    while room > MIN_DIALS {
        dial(&mut connections, at(now), 1, true).unwrap();
        now += 20;
        assert_eq!(
            (
                look(&mut connections, at(now - 1), Duration::ZERO),
                look(&mut connections, at(now), Duration::ZERO)
            ),
            (0, 1)
        );
        room /= 2;
        assert_eq!(connections.dial_room, room);
        now += 20;
    }
    for last in 2..2 + u8::try_from(most).unwrap() {
        let id = dial(&mut connections, at(now), last, true).unwrap();
        connections.on_opened(at(now), id, None);
        room = (room + 1).min(most);
        assert_eq!(connections.dial_room, room);
    }
}

#[test]
fn who_could_not_be_reached_is_left_alone_for_longer_each_time_unless_it_refused() {
    let connections = connections();
    let pauses = |is_stranger, took_too_long| {
        [1, 2, 3, 4, 5, 6, 255].map(|failures| {
            let pause = connections.pause_after(failures, is_stranger, took_too_long);
            u32::try_from(pause.as_millis() / (INTERVAL / 2).as_millis()).unwrap()
        })
    };
    assert_eq!(pauses(true, true), [1, 2, 4, 8, 16, 16, 16]);
    assert_eq!(pauses(true, false), [1, 2, 4, 8, 16, 16, 16]);
    assert_eq!(pauses(false, true), [1, 2, 4, 8, 8, 8, 8]);
    assert_eq!(pauses(false, false), [1; 7], "it may be back at once");
}

/// Found by a seed of the simulation. A node knew one dead endpoint, and dialled it in each round. It had one dial, and never reached its seed.
#[test]
fn a_peer_that_cannot_be_reached_does_not_take_the_only_dial_each_time() {
    let mut connections =
        Connections::new(&config().change_limits(|limits| limits.max_dials = 1).build().unwrap(), 7);
    let mut dialled = [0, 0];
    for second in 0..40 {
        let now = at(2 * second);
        let ids = [1, 2].map(|last| dial(&mut connections, now, last, true));
        for (count, id) in dialled.iter_mut().zip(ids) {
            *count += u32::from(id.is_some());
            id.map(|id| connections.close(now, id));
        }
    }
    assert_eq!(dialled, [20, 20]);
}

/// Found by fuzzing a simulated cluster. A host made up names, to which dials hang, and a newcomer was not dialled for a minute: names of the
/// host took each place that became free.
#[test]
fn names_that_one_address_makes_up_leave_dials_to_names_from_other_addresses() {
    let mut connections =
        Connections::new(&config().change_limits(|limits| limits.max_dials = 8).build().unwrap(), 7);
    let greet = |connections: &mut Connections, source: u8, name: u8| {
        let id = connections.accept(at(1), Some(endpoint(source).ip()), 1 << 16, |_| false).unwrap();
        connections.greet(at(1), id, endpoint(name), ConnectionKind::Messaging(ConnectionType::Urgent));
    };
    for name in 100..110 {
        greet(&mut connections, 9, name);
    }
    let dials = |connections: &mut Connections, names: core::ops::Range<u8>| {
        names.filter(|name| dial(connections, at(1), *name, false).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(dials(&mut connections, 100..110), [100, 101, 102, 103, 104, 105], "a share of the dials");
    greet(&mut connections, 1, 1);
    greet(&mut connections, 2, 2);
    // The host cannot have a newcomer count as one of its names.
    greet(&mut connections, 9, 2);
    assert_eq!(dials(&mut connections, 1..3), [1, 2]);
    assert_eq!(dials(&mut connections, 106..110), [], "nor does it get the places back at once");
    greet(&mut connections, 1, 11);
    greet(&mut connections, 1, 12);
    assert_eq!(dials(&mut connections, 11..13), [11], "the host has three left, and the first newcomer two");
    assert_eq!(dials(&mut connections, 106..110), []);
    assert_eq!((connections.stranger_dials, connections.displacements), (6, 3));
}

#[test]
fn those_that_failed_together_are_not_dialled_again_together() {
    let connections = connections();
    let pause = Duration::from_millis(512);
    let mut pauses: Vec<Duration> =
        (1..=100).map(|number| connections.spread(pause, ConnectionId::new(number))).collect();
    pauses.sort_unstable();
    assert!(pauses[0] >= pause * 3 / 4 && pauses[99] <= pause * 5 / 4);
    assert!(pauses[0] < pause * 4 / 5 && pauses[99] > pause * 6 / 5, "{pauses:?}");
    pauses.dedup();
    assert!(pauses.len() > 50);
}

#[test]
fn an_accepted_connection_takes_the_place_of_the_dialled_one_that_was_not_used_for_the_longest() {
    let few = config().change_limits(|limits| (limits.max_connections, limits.max_handshakes) = (8, 8));
    let mut connections = Connections::new(&few.build().unwrap(), 7);
    let dialled = [3, 1, 2].map(|last| {
        let now = at(u64::from(last));
        let id = dial(&mut connections, now, last, true).unwrap();
        connections.on_opened(now, id, None);
        connections.on_established(now, id, MessagingVersion::V12);
        connections.on_writable(now, id);
        id
    });
    let accept = |connections: &mut Connections| {
        connections.accept(at(10), None, 1 << 16, |_| true).unwrap();
        let open = connections.open_now();
        (open.accepted, open.dialled)
    };
    // A quarter of the places stays free for dials.
    assert_eq!(
        [accept(&mut connections), accept(&mut connections), accept(&mut connections)],
        [(1, 3), (2, 3), (3, 3)]
    );
    assert_eq!(accept(&mut connections), (4, 2));
    assert!(connections.get_mut(dialled[1]).is_none() && connections.get_mut(dialled[0]).is_some());
}
