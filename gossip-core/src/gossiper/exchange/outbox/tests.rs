//! Who is owed what, and who gives way.

use super::*;
use crate::version::{Generation, Known, Version};

fn endpoint(n: u16) -> Endpoint {
    Endpoint::v4([10, 0, 0, 1], n)
}

#[test]
fn newer_intentions_take_the_place_of_older_ones() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    let (first, second) = (outbox.take_list().unwrap(), outbox.take_list().unwrap());
    assert_eq!(outbox.take_list(), None, "no row has a list yet");
    outbox.ack(endpoint(1), first, None).unwrap();
    outbox.syn(endpoint(1), 1).unwrap();
    outbox.syn(endpoint(1), 1).unwrap();
    outbox.ack(endpoint(1), second, None).unwrap();
    assert_eq!(outbox.take_list(), Some(first), "the replaced list is free again");
    assert_eq!(outbox.next_ready(), Some(endpoint(1)));
    assert_eq!(outbox.next_ready(), None, "named once");
    assert_eq!(outbox.due(endpoint(1)).unwrap().ack, Some(second));
    outbox.resume(endpoint(1));
    assert_eq!(outbox.next_ready(), Some(endpoint(1)));
    assert_eq!(outbox.forget(endpoint(1)), 2);
    outbox.resume(endpoint(1));
    assert_eq!(outbox.next_ready(), None, "nothing is due any more");
    assert_eq!(outbox.take_list(), Some(second));
}

/// Found by a reader: where a SYN takes longer than a round to send, those that it lists last would never be listed.
#[test]
fn a_syn_that_has_begun_goes_on() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    outbox.syn(endpoint(1), 3).unwrap();
    outbox.syn(endpoint(1), 5).unwrap();
    let syn = outbox.due(endpoint(1)).unwrap().syn.as_mut().unwrap();
    assert_eq!(syn.left, 5, "the newer one");
    (syn.start, syn.covered) = (Some(7), 20);
    outbox.syn(endpoint(1), 5).unwrap();
    let syn = outbox.due(endpoint(1)).unwrap().syn.unwrap();
    assert_eq!((syn.start, syn.covered), (Some(7), 20));
}

#[test]
fn echoes_are_answered_oldest_first_and_bounded() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    for id in 1..=6 {
        outbox.echo_response(endpoint(1), id).unwrap();
        outbox.echo_response(endpoint(1), id).unwrap();
    }
    let due = outbox.due(endpoint(1)).unwrap();
    let ids: Vec<u64> = core::iter::from_fn(|| due.pop_echo_response()).collect();
    assert_eq!(ids, [3, 4, 5, 6]);
}

#[test]
fn lists_and_large_states_follow_their_rows() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    outbox.reserve(5);
    let list = outbox.take_list().unwrap();
    for number in [1, 3] {
        outbox.list_mut(list).give(entry(number));
    }
    outbox.echo_request(endpoint(1), 1).unwrap();
    outbox.due(endpoint(1)).unwrap().large = Some(LargeDue::State(entry(2)));
    assert!(!outbox.goes_on_from_a_row());
    outbox.rename(&Moves::new(&[0, 4, 1, 2, 3]));
    let given: Vec<Slot> = outbox.list_mut(list).gives().map(Entry::slot).collect();
    assert_eq!(given, [4, 2].map(Slot::from_number));
    let large = outbox.due(endpoint(1)).unwrap().large;
    assert!(matches!(large, Some(LargeDue::State(entry)) if entry.slot() == Slot::from_number(1)));
    outbox.shadow_reply(endpoint(2)).unwrap();
    assert!(!outbox.goes_on_from_a_row(), "it has not begun");
    outbox.due(endpoint(2)).unwrap().shadow_reply = Some(Everything::From(0));
    assert!(outbox.goes_on_from_a_row());
}

#[test]
fn there_are_places_for_a_quarter_of_those_that_are_known_up_to_a_limit() {
    let mut outbox = Outbox::new(1, 2, 300);
    let mut rooms = Vec::new();
    for endpoints in [0, 400, 1_000, 1_040, 80_000] {
        outbox.reserve(endpoints);
        rooms.push((outbox.peers.capacity(), outbox.ready.capacity()));
    }
    assert_eq!(rooms, [(256, 256), (256, 256), (288, 288), (288, 288), (300, 300)]);
    for n in 0..300 {
        outbox.syn(endpoint(n), 1).unwrap();
    }
    assert!(outbox.syn(endpoint(300), 1).is_err());
    assert_eq!(outbox.peers.capacity(), 300);
}

#[test]
fn places_of_idle_peers_are_used_again() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    let room = u16::try_from(outbox.peers.capacity()).unwrap();
    for n in 0..room {
        outbox.syn(endpoint(n), 1).unwrap();
    }
    assert!(outbox.syn(endpoint(room), 1).is_err(), "everybody is about to be sent something");
    for _ in 0..room {
        let next = outbox.next_ready().unwrap();
        outbox.due(next).unwrap().syn = None;
    }
    for n in 0..1_000 {
        outbox.syn(endpoint(20_000 + n), 1).unwrap();
        assert_eq!(outbox.next_ready(), Some(endpoint(20_000 + n)));
        outbox.due(endpoint(20_000 + n)).unwrap().syn = None;
    }
    assert_eq!(outbox.peers.len(), usize::from(room));
    assert_eq!(outbox.index.len(), usize::from(room));
}

#[test]
fn the_place_of_a_peer_that_is_yet_to_answer_is_taken_last() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    let room = u16::try_from(outbox.peers.capacity()).unwrap();
    for n in 0..room {
        outbox.syn(endpoint(n), 1).unwrap();
        assert_eq!(outbox.next_ready(), Some(endpoint(n)));
        outbox.due(endpoint(n)).unwrap().syn = None;
        if n.is_multiple_of(2) {
            outbox.await_ack(endpoint(n), true);
        }
    }
    // Others come: first they take each other's places, and those of peers that have answered.
    for n in 0..1_000 {
        outbox.echo_response(endpoint(20_000 + n), 1).unwrap();
        assert_eq!(outbox.next_ready(), Some(endpoint(20_000 + n)));
        outbox.due(endpoint(20_000 + n)).unwrap().pop_echo_response();
    }
    assert!((0..room).step_by(2).all(|n| outbox.take_awaited(endpoint(n))));
    // When all others are about to be sent something, those give way that have not answered.
    for n in 0..room {
        outbox.await_ack(endpoint(n), true);
        outbox.echo_response(endpoint(30_000 + n), 1).unwrap();
    }
    assert!(outbox.echo_response(endpoint(40_000), 1).is_err());
}

fn entry(number: u32) -> Entry {
    Entry::new(Slot::from_number(number), Known::new(Generation::new(1), Version::new(1)))
}

/// All places are taken, by peers that are owed a SYN and have no room for it.
fn full_of_stuck() -> (Outbox, u16) {
    let mut outbox = Outbox::new(1, 2, 8_192);
    let room = u16::try_from(outbox.peers.capacity()).unwrap();
    for n in 0..room {
        outbox.syn(endpoint(n), 1).unwrap();
        assert_eq!(outbox.next_ready(), Some(endpoint(n)));
    }
    (outbox, room)
}

#[test]
fn memory_is_for_as_many_peers_as_may_be_owed_something_whoever_is_owed_it_already() {
    let mut outbox = Outbox::new(1, 2, 300);
    for n in 0..200 {
        outbox.syn(endpoint(n), 1).unwrap();
    }
    outbox.reserve_peers(8_192);
    assert_eq!((outbox.peers.capacity(), outbox.ready.capacity()), (300, 300));
    // Twice as many, rounded up to what the index takes at a time.
    assert!((600..=896).contains(&outbox.index.capacity()), "{}", outbox.index.capacity());
}

#[test]
fn a_list_takes_memory_at_its_first_use() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    outbox.reserve(5);
    for grown in [1, 2] {
        let list = outbox.take_list().unwrap();
        assert_eq!(outbox.grown(), grown);
        outbox.free_list(list);
        assert_eq!(outbox.take_list(), Some(list), "it is used again");
        assert_eq!(outbox.grown(), grown);
    }
    assert_eq!(outbox.take_list(), None);
}

#[test]
fn a_list_that_no_peer_takes_is_given_to_another_exchange_and_counted() {
    let mut outbox = Outbox::new(1, 1, 8_192);
    for (peer, stolen) in [(1, 0), (2, 1), (3, 2)] {
        let list = outbox.take_list().unwrap();
        assert_eq!(outbox.stolen(), stolen);
        outbox.ack(endpoint(peer), list, None).unwrap();
        assert_eq!(outbox.take_list(), None, "it is about to go out");
        assert_eq!(outbox.next_ready(), Some(endpoint(peer)));
    }
    assert_eq!([1, 2, 3].map(|n| outbox.due(endpoint(n)).unwrap().ack.is_some()), [false, false, true]);
}

#[test]
fn nothing_is_told_under_a_row_that_another_endpoint_gets() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    outbox.reserve(5);
    let list = outbox.take_list().unwrap();
    [1, 2, 3].into_iter().for_each(|number| outbox.list_mut(list).give(entry(number)));
    for (peer, number) in [(1, 2), (2, 3)] {
        outbox.echo_request(endpoint(peer), 1).unwrap();
        outbox.due(endpoint(peer)).unwrap().large = Some(LargeDue::State(entry(number)));
    }
    outbox.retain(|slot| slot != Slot::from_number(2));
    let given: Vec<Slot> = outbox.list_mut(list).gives().map(Entry::slot).collect();
    assert_eq!(given, [1, 3].map(Slot::from_number));
    assert_eq!([1, 2].map(|n| outbox.due(endpoint(n)).unwrap().large.is_some()), [false, true]);
}

#[test]
fn questions_about_metadata_and_their_answers_are_due() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    outbox.metadata_request(endpoint(1)).unwrap();
    outbox.metadata_response(endpoint(2), 7).unwrap();
    assert_eq!([outbox.next_ready(), outbox.next_ready()], [1, 2].map(|n| Some(endpoint(n))));
    assert!(outbox.due(endpoint(1)).unwrap().metadata_request);
    assert!(matches!(outbox.due(endpoint(2)).unwrap().reply, Some(Reply::Metadata(7))));
}

#[test]
fn a_syn_is_without_an_answer_until_one_ack_for_each_message_has_come() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    outbox.syn(endpoint(1), 1).unwrap();
    assert!(!outbox.is_awaited(endpoint(1)) && !outbox.is_awaited(endpoint(2)));
    outbox.await_ack(endpoint(1), true);
    outbox.await_ack(endpoint(1), false);
    for _ in 0..2 {
        assert!(outbox.is_awaited(endpoint(1)));
        assert!(outbox.take_awaited(endpoint(1)));
    }
    assert!(!outbox.is_awaited(endpoint(1)) && !outbox.take_awaited(endpoint(1)));
}

#[test]
fn no_shutdown_is_due_once_they_are_forgotten() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    outbox.shutdown(endpoint(1)).unwrap();
    outbox.syn(endpoint(2), 1).unwrap();
    outbox.shutdown(endpoint(2)).unwrap();
    outbox.forget_shutdowns();
    assert_eq!((outbox.next_ready(), outbox.next_ready()), (Some(endpoint(2)), None));
    assert!(!outbox.due(endpoint(2)).unwrap().shutdown);
}

#[test]
fn a_peer_is_named_once_however_often_there_is_room_for_it() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    assert!(!outbox.has_ready());
    outbox.syn(endpoint(1), 1).unwrap();
    outbox.resume(endpoint(1));
    assert!(outbox.has_ready());
    assert_eq!((outbox.next_ready(), outbox.next_ready()), (Some(endpoint(1)), None));
    assert!(!outbox.has_ready());
    outbox.due(endpoint(1)).unwrap().syn = None;
    outbox.resume(endpoint(1));
    assert!(!outbox.has_ready(), "nothing is due to it");
}

#[test]
fn the_first_peer_that_is_owed_nothing_and_is_yet_to_answer_gives_way_before_those_that_are_stuck() {
    let (mut outbox, room) = full_of_stuck();
    for n in [5, 9] {
        outbox.await_ack(endpoint(n), true);
        outbox.due(endpoint(n)).unwrap().syn = None;
    }
    for (n, (taken, stolen)) in (room..).zip([(5, 0), (9, 0), (10, 1), (11, 2)]) {
        outbox.syn(endpoint(n), 1).unwrap();
        assert!(outbox.find(endpoint(taken)).is_none(), "{n}");
        assert_eq!(outbox.stolen(), stolen, "a SYN that was due is counted");
        assert_eq!(outbox.next_ready(), Some(endpoint(n)));
    }
    let left = (0..room + 4).filter(|n| outbox.find(endpoint(*n)).is_some()).count();
    assert_eq!(left, usize::from(room));
}

#[test]
fn a_place_that_was_just_given_is_the_last_to_be_given_again() {
    let (mut outbox, room) = full_of_stuck();
    for n in 0..room {
        outbox.due(endpoint(n)).unwrap().syn = None;
    }
    for n in room..2 * room {
        outbox.echo_response(endpoint(n), 1).unwrap();
        assert_eq!(outbox.next_ready(), Some(endpoint(n)));
        outbox.due(endpoint(n)).unwrap().pop_echo_response();
        assert!(outbox.find(endpoint(n - room)).is_none());
    }
    assert!((room..2 * room).all(|n| outbox.find(endpoint(n)).is_some()));
}

#[test]
fn answers_that_are_forgotten_are_counted_and_nothing_else_is_forgotten() {
    let mut outbox = Outbox::new(1, 2, 8_192);
    let (first, second) = (outbox.take_list().unwrap(), outbox.take_list().unwrap());
    outbox.ack(endpoint(1), first, Some(100)).unwrap();
    outbox.ack2(endpoint(1), second).unwrap();
    outbox.shadow_reply(endpoint(1)).unwrap();
    outbox.syn(endpoint(1), 1).unwrap();
    for id in 1..=3 {
        outbox.echo_response(endpoint(1), id).unwrap();
    }
    assert_eq!(outbox.forget_answers(endpoint(1)), 3 + 1 + 2);
    assert_eq!(outbox.forget_answers(endpoint(1)), 0);
    assert_eq!(outbox.forget(endpoint(1)), 1, "the SYN");
    assert!(outbox.take_list().is_some() && outbox.take_list().is_some(), "both lists are free");
}
