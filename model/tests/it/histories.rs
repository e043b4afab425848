//! Five histories that broke another library, and one that broke this one.

use gossip_core::Verb;
use gossip_model::{Bounds, Letter, Step, World};

/// Everybody knows everybody, and anything may happen.
fn met(nodes: usize) -> World {
    World::met(&Bounds::new(nodes))
}

/// Begins a round: among three, one whose chance leads to `to`.
fn round(world: &mut World, from: usize, to: usize) {
    for chance in 0..50 {
        let mut tried = world.clone();
        let before = tried.letters().count();
        tried.take(Step::Round { host: from, chance });
        if tried.letters().skip(before).any(|letter| letter.to == to) {
            *world = tried;
            return;
        }
    }
    panic!("no round of {from} leads to {to}");
}

/// Lets the first message arrive of which this is so.
fn deliver(world: &mut World, is_it: impl Fn(&Letter) -> bool) {
    let at = world.letters().position(is_it).expect("such a message is under way");
    world.take(Step::Deliver(at));
    assert_eq!(world.broken(), None);
}

/// Lets all messages between two hosts arrive, and what they lead to.
fn deliver_all(world: &mut World, a: usize, b: usize) {
    let is_between =
        |letter: &Letter| (letter.from, letter.to) == (a, b) || (letter.from, letter.to) == (b, a);
    loop {
        let Some(at) = world.letters().position(is_between) else { return };
        world.take(Step::Deliver(at));
        assert_eq!(world.broken(), None);
    }
}

/// Two hosts exchange what they know, each of its own accord.
fn exchange(world: &mut World, a: usize, b: usize) {
    for (from, to) in [(a, b), (b, a), (a, b)] {
        round(world, from, to);
        deliver_all(world, a, b);
    }
}

#[test]
fn a_late_sign_of_life_does_not_undo_the_second_death() {
    let mut world = met(2);
    world.take(Step::Kill(1));
    world.take(Step::Silence(0));
    assert!(!world.hosts()[0].sees_live(1), "it is dead");
    world.take(Step::Start(1));
    exchange(&mut world, 0, 1);
    assert!(world.hosts()[0].sees_live(1), "it lives again");
    // The last that it says is under way for long.
    round(&mut world, 1, 0);
    world.take(Step::Kill(1));
    world.take(Step::Silence(0));
    assert!(!world.hosts()[0].sees_live(1), "it is dead again");
    deliver(&mut world, |letter| letter.verb() == Verb::GOSSIP_DIGEST_SYN && letter.from == 1);
    assert!(!world.hosts()[0].sees_live(1));
    world.take(Step::Round { host: 0, chance: 0 });
    assert!(!world.hosts()[0].sees_live(1));
    assert!(world.comes_to_rest());
}

#[test]
fn a_timer_of_an_earlier_process_does_not_fire_for_a_later_one() {
    let mut world = met(2);
    world.take(Step::Kill(1));
    // Unless it shows a sign of life within a second it is declared as left.
    world.take(Step::Assassinate { by: 0, whom: 1 });
    world.take(Step::Start(1));
    round(&mut world, 1, 0);
    deliver_all(&mut world, 0, 1);
    for _ in 0..3 {
        round(&mut world, 0, 1);
        deliver_all(&mut world, 0, 1);
    }
    assert!(world.hosts()[0].sees_live(1));
    assert!(!world.hosts()[0].sees_left(1));
    assert!(world.comes_to_rest());
}

#[test]
fn a_join_that_was_refused_does_not_leak_to_a_third() {
    let mut world = met(3);
    world.take(Step::Leave(2));
    for _ in 0..4 {
        for to in [0, 1] {
            if world.hosts()[2].gossiper().is_some() {
                world.take(Step::Round { host: 2, chance: u8::try_from(to).expect("a host") });
            }
            round(&mut world, to, 1 - to);
            deliver_all(&mut world, 0, 2);
            deliver_all(&mut world, 1, 2);
            deliver_all(&mut world, 0, 1);
        }
    }
    assert!(world.hosts()[2].gossiper().is_none(), "it has stopped");
    for host in [0, 1] {
        assert!(world.hosts()[host].sees_left(2));
        world.take(Step::Expire(host));
        round(&mut world, host, 1 - host);
        deliver_all(&mut world, 0, 1);
    }
    let knows = |world: &World, host: usize| {
        let of = world.hosts()[2].endpoint();
        world.hosts()[host].gossiper().and_then(|gossiper| gossiper.standing(of)).is_some()
    };
    assert!(!knows(&world, 0) && !knows(&world, 1), "it is forgotten");
    // It comes back as one that both refuse.
    world.take(Step::StartForgetful(2));
    round(&mut world, 2, 0);
    deliver_all(&mut world, 0, 2);
    assert!(!knows(&world, 0), "the first refuses it");
    exchange(&mut world, 0, 1);
    assert!(!knows(&world, 1), "the third does not hear of it");
    // A later process is welcome.
    world.take(Step::Kill(2));
    world.take(Step::Start(2));
    assert!(world.comes_to_rest());
}

#[test]
fn an_answer_from_before_a_restart_does_not_count_after_it() {
    let mut world = World::new(&Bounds::new(2));
    round(&mut world, 1, 0);
    let is = |verb| move |letter: &Letter| letter.verb() == verb;
    for verb in [Verb::GOSSIP_DIGEST_SYN, Verb::GOSSIP_DIGEST_ACK, Verb::GOSSIP_DIGEST_ACK2, Verb::ECHO_REQ] {
        deliver(&mut world, is(verb));
    }
    // The answer is under way for long.
    world.take(Step::Kill(1));
    world.take(Step::Start(1));
    round(&mut world, 1, 0);
    for verb in [Verb::GOSSIP_DIGEST_SYN, Verb::GOSSIP_DIGEST_ACK, Verb::GOSSIP_DIGEST_ACK2] {
        deliver(&mut world, |letter| {
            letter.verb() == verb && [letter.from_boot, letter.to_boot].contains(&2)
        });
    }
    deliver(&mut world, |letter| letter.verb() == Verb::ECHO_RSP && letter.from_boot == 1);
    assert!(!world.hosts()[0].sees_live(1), "the process that answered is gone");
    deliver_all(&mut world, 0, 1);
    assert!(world.hosts()[0].sees_live(1), "the one that is there has answered");
    assert!(world.comes_to_rest());
}

#[test]
fn a_restart_with_a_lower_generation_is_heard() {
    let mut world = met(2);
    world.take(Step::Kill(1));
    world.take(Step::Start(1));
    exchange(&mut world, 0, 1);
    let generation = |world: &World| world.hosts()[1].gossiper().map(gossip_core::Gossiper::generation);
    let before = generation(&world);
    world.take(Step::Kill(1));
    world.take(Step::StartForgetful(1));
    assert!(generation(&world) < before, "its generation was lost");
    for _ in 0..3 {
        exchange(&mut world, 0, 1);
    }
    assert!(generation(&world) > before, "it is above the one before");
    assert!(world.hosts()[0].sees_live(1));
    assert!(world.comes_to_rest());
}

/// Found by the search. The answer to an ACK of the earlier process holds what that one lacked: a heartbeat. The later process has just
/// asked the same peer for everything.
#[test]
fn an_answer_to_an_earlier_process_leaves_no_hole() {
    let mut world = met(2);
    round(&mut world, 0, 1);
    deliver(&mut world, |letter| letter.verb() == Verb::GOSSIP_DIGEST_SYN);
    world.take(Step::Kill(1));
    world.take(Step::Start(1));
    // The ACK of the process that is gone.
    deliver(&mut world, |letter| letter.verb() == Verb::GOSSIP_DIGEST_ACK);
    round(&mut world, 0, 1);
    deliver(&mut world, |letter| letter.verb() == Verb::GOSSIP_DIGEST_SYN);
    deliver(&mut world, |letter| letter.verb() == Verb::GOSSIP_DIGEST_ACK2);
    assert!(world.comes_to_rest(), "it learns all the same what the other publishes");
}
