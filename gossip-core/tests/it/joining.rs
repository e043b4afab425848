//! Part J of the specification's scenarios and what belongs to it of part K: asking before joining, what is known from an
//! earlier run, taking no part for a while, and the seeds.

use core::time::Duration;

use gossip_core::{
    ApplicationState, Config, ConfigBuilder, DisableError, EnableError, End, Event, Generation, Phase,
    RaiseCause, Standing, StatusKind, Timestamp,
};

use crate::support::{
    Content, Driven, Sent, State, ack, ack2, builder, deliver, digest, endpoint, heartbeat, syn, talk,
};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";

const SECOND: Duration = Duration::from_secs(1);
const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;
const HOST_ID: ApplicationState = ApplicationState::HOST_ID;
const OURS: &str = "11111111-1111-1111-1111-111111111111";
const THEIRS: &str = "22222222-2222-2222-2222-222222222222";

fn asking(seeds: &[&str]) -> ConfigBuilder {
    let config =
        builder(A, 100).change_membership(|membership| membership.shadow_round = true).state(HOST_ID, OURS);
    seeds.iter().fold(config, |config, seed| config.seed(endpoint(seed)))
}

/// To whom questions for everything went, sorted.
fn questions(sent: &[Sent]) -> Vec<String> {
    let mut to: Vec<String> = sent
        .iter()
        .filter(|sent| matches!(&sent.content, Content::Syn { digests, .. } if digests.is_empty()))
        .map(|sent| sent.to.to_string())
        .collect();
    to.sort_unstable();
    to
}

fn member(generation: i32) -> State {
    State::new(heartbeat(generation, 9), &[(STATUS, "NORMAL,7", 2), (HOST_ID, THEIRS, 1)])
}

/// A state about A itself, as a peer answers it.
fn about_a(generation: i32, values: &[(ApplicationState, &str, i32)]) -> Content {
    ack(&[], &[(A, State::new(heartbeat(generation, 9), values)), (B, member(200))])
}

/// Found by fuzzing: its driver was told to call again at once, and not to sleep until the next round.
#[test]
fn a_seed_that_goes_on_alone_has_its_first_round_in_the_call_in_which_it_stops_asking() {
    let mut a = Driven::new(asking(&[A, B]));
    for _ in 0..40 {
        a.now = a.now + SECOND;
        a.gossiper.handle_timeout(a.now);
        assert!(a.gossiper.poll_timeout().is_some_and(|next| next > a.now), "{:?}", a.gossiper.phase());
    }
    assert_eq!(a.gossiper.phase(), Phase::Running);
}

#[test]
fn j1_late_answers_of_seeds_cause_nothing() {
    let mut a = Driven::new(asking(&[B, C, D]));
    let mut asked = questions(&a.advance(Duration::ZERO));
    assert_eq!(asked, [B, C, D]);
    asked.extend(questions(&a.advance(Duration::from_secs(5))));
    assert!(asked.len() > 3, "more than there are seeds");
    // Deviation: the answer is what is known to begin with; each endpoint in it gets an echo request.
    let echo = Content::Echo { verb: gossip_core::Verb::ECHO_REQ };
    assert_eq!(a.answers(B, &ack(&[], &[(B, member(200))])), [echo], "the end of the shadow round");
    assert_eq!(events_but_news(&mut a), [Event::ShadowRoundDone]);
    assert_eq!(a.gossiper.endpoint_count(), 2);
    for late in [C, D, B] {
        assert_eq!(a.answers(late, &ack(&[], &[(late, member(200))])), []);
    }
    assert_eq!(a.gossiper.endpoint_count(), 2);
    let sent = a.advance(SECOND);
    assert!(sent.iter().any(|sent| matches!(sent.content, Content::Syn { .. })));
    assert!(sent.iter().all(|sent| !matches!(sent.content, Content::Ack { .. } | Content::Ack2 { .. })));
}

/// An answer about A, without its host id.
fn half_of_a(version: i32, values: &[(ApplicationState, &str, i32)]) -> Content {
    ack(&[], &[(A, State::new(heartbeat(150, version), values)), (B, member(200))])
}

#[test]
fn j2_own_entry_without_a_host_id_does_not_count() {
    let live: Vec<_> = (0..=60).map(|second| half_of_a(9 + second, &[(STATUS, "NORMAL,7", 2)])).collect();
    // A gossip-only member follows Cassandra: such an entry counts for nothing, live or not.
    let dead = vec![half_of_a(9, &[(STATUS, "NORMAL,7", 2)]); 61];
    let id = gossip_core::Uuid::from_bytes([0x40; 16]);
    let guest = Config::gossip_only(crate::support::CLUSTER, endpoint(A), Generation::new(100), [7; 32], id)
        .seed(endpoint(B));
    for (config, answers) in [(asking(&[B]).build(), live), (guest.build(), dead)] {
        let mut a = Driven::of(config.unwrap());
        for (second, answer) in answers.iter().enumerate() {
            a.advance(Duration::from_secs(u64::from(second > 0)));
            a.hand(B, answer);
            assert_eq!(a.events(), [], "{second} s");
        }
        a.advance(SECOND);
        assert_eq!(a.events(), [Event::ShadowRoundFailed, Event::Stopped]);
    }
}

/// Found by seeds of the simulation. A process died before any node knew its host id, and the next process could never start.
#[test]
fn an_address_known_without_a_host_id_is_free_once_its_heartbeat_does_not_grow() {
    let parts: [&[(ApplicationState, &str, i32)]; 2] = [&[], &[(STATUS, "NORMAL,7", 2)]];
    for values in parts {
        let mut a = Driven::new(asking(&[B]));
        for second in 0..10 {
            a.advance(Duration::from_secs(u64::from(second > 0)));
            a.hand(B, &half_of_a(9, values));
            assert_eq!(a.events(), [], "{second} s");
        }
        a.advance(SECOND);
        a.hand(B, &half_of_a(9, values));
        let (old, new) = (Generation::new(100), Generation::new(151));
        let raised = Event::GenerationRaised { old, new, cause: RaiseCause::KnownGreater };
        assert_eq!(events_but_news(&mut a), [raised, Event::ShadowRoundDone]);
    }
}

/// The host moved twice. What the answer of one peer has settled must not begin anew with that of another.
#[test]
fn a_node_that_two_dead_endpoints_claim_starts_though_several_peers_answer() {
    let dead = || {
        let moved = State::new(heartbeat(90, 9), &[(STATUS, "NORMAL,7", 2), (HOST_ID, OURS, 1)]);
        ack(&[], &[(A, State::new(heartbeat(95, 3), &[])), ("10.0.0.9:7000", moved), (B, member(200))])
    };
    let mut a = Driven::new(asking(&[B, C, D]));
    let mut second = 0;
    while !a.gossiper.is_enabled() {
        assert!(second < 20, "it goes on asking");
        let asked = a.advance(Duration::from_secs(u64::from(second > 0)));
        for peer in questions(&asked) {
            a.hand(&peer, &dead());
        }
        second += 1;
    }
    assert!(second > 10);
}

/// Nothing tells its processes from those of another machine.
#[test]
fn a_node_without_a_host_id_starts_again() {
    let config = builder(A, 100).change_membership(|membership| membership.shadow_round = true);
    let mut a = Driven::new(config.seed(endpoint(B)));
    a.advance(Duration::ZERO);
    a.hand(B, &about_a(50, &[(STATUS, "NORMAL,7", 2)]));
    assert_eq!(events_but_news(&mut a), [Event::ShadowRoundDone]);
}

#[test]
fn j3_an_assassinated_node_may_start_again() {
    for status in ["LEFT,7,1800000000000", "removed,5d5a,1800000000000", "removing,5d5a"] {
        let mut a = Driven::new(asking(&[B]));
        a.advance(Duration::ZERO);
        a.hand(B, &about_a(150, &[(STATUS, status, 2)]));
        let (old, new) = (Generation::new(100), Generation::new(151));
        let told = events_but_news(&mut a);
        assert_eq!(
            told,
            [Event::GenerationRaised { old, new, cause: RaiseCause::KnownGreater }, Event::ShadowRoundDone],
            "{status}"
        );
        assert!(a.gossiper.is_enabled());
    }
}

#[test]
fn j4_seeds_that_start_together_find_that_nobody_knows_anything() {
    let addresses = [A, B, C];
    let mut seeds = addresses.map(|at| {
        let config = builder(at, 100).change_membership(|membership| membership.shadow_round = true);
        Driven::new(addresses.iter().fold(config, |config, seed| config.seed(endpoint(seed))))
    });
    let asked: Vec<_> = seeds.iter_mut().map(|seed| seed.advance(Duration::ZERO)).collect();
    for (from, asked) in asked.iter().enumerate() {
        assert_eq!(questions(asked).len(), 2);
        for seed in &mut seeds {
            deliver(seed, endpoint(addresses[from]), asked);
        }
    }
    let answers: Vec<_> = seeds.iter_mut().map(Driven::sent).collect();
    for (to, seed) in seeds.iter_mut().enumerate() {
        let mut others = (0..3).filter(|from| *from != to);
        for (from, is_last) in [(others.next().unwrap(), false), (others.next().unwrap(), true)] {
            let empty: Vec<Sent> =
                answers[from].iter().filter(|sent| sent.to == seed.local()).cloned().collect();
            assert_eq!(empty.iter().map(|sent| &sent.content).collect::<Vec<_>>(), [&ack(&[], &[])]);
            // The same once more is not another seed.
            deliver(seed, endpoint(addresses[from]), &empty);
            deliver(seed, endpoint(addresses[from]), &empty);
            let expected: &[Event] = if is_last { &[Event::ShadowRoundDone] } else { &[] };
            assert_eq!(seed.events(), expected);
        }
        assert_eq!(seed.gossiper.endpoint_count(), 1);
    }
}

#[test]
fn j5_a_node_without_an_answer_asks_every_five_seconds_and_gives_up_after_61() {
    let mut a = Driven::new(asking(&[B]).saved_endpoint(endpoint(C)));
    let mut asked = Vec::new();
    let mut second = 0;
    while a.gossiper.poll_timeout().is_some() {
        let questions = questions(&a.advance(Duration::from_secs(u64::from(second > 0))));
        if !questions.is_empty() {
            assert_eq!(questions, if second == 0 { vec![B] } else { vec![B, C] }, "from the second time on");
            asked.push(second);
        }
        second += 1;
    }
    assert_eq!(asked, (0..=60).step_by(5).collect::<Vec<_>>());
    assert_eq!(a.now, Timestamp::from_millis(61_000));
    let waited = Duration::from_secs(10);
    assert_eq!(a.events(), [Event::SeedsSilent { waited }, Event::ShadowRoundFailed, Event::Stopped]);

    let mut seed = Driven::new(asking(&[A, B]));
    seed.advance(Duration::from_secs(30));
    assert_eq!((seed.events(), seed.gossiper.is_enabled()), (vec![Event::SeedsSilent { waited }], false));
    seed.advance(SECOND);
    assert_eq!((seed.events(), seed.gossiper.is_enabled()), (vec![Event::ShadowRoundDone], true));

    // Without a peer to ask there is no such round.
    let alone = Driven::new(asking(&[A]));
    assert!(alone.gossiper.is_enabled());
}

#[test]
fn however_much_else_happens_the_end_of_a_wait_is_told() {
    // Room for 16 events, of which an answer of 10,000 endpoints leaves none.
    let address =
        |number: usize| format!("10.{}.{}.{}:7000", 1 + number / 65_536, number / 256 % 256, number % 256);
    let addresses: Vec<_> = (0..10_000).map(address).collect();
    let mut answer: Vec<_> = addresses.iter().map(|at| (at.as_str(), member(200))).collect();
    let small = |builder: ConfigBuilder| {
        Driven::new(builder.change_limits(|limits| {
            limits.max_endpoints = 20_000;
            limits.max_pending_events = 16;
        }))
    };

    let mut only_asks = small(asking(&[B]).change_membership(|membership| membership.only_asks = true));
    only_asks.advance(Duration::ZERO);
    only_asks.hand(B, &ack(&[], &answer));
    assert_eq!(only_asks.gossiper.phase(), Phase::Disabled);
    assert_eq!(only_asks.gossiper.endpoint_count(), 10_001);
    assert!(only_asks.events().contains(&Event::ShadowRoundDone));

    let mut joins = small(asking(&[B]));
    joins.advance(Duration::ZERO);
    joins.hand(B, &ack(&[], &answer));
    assert_eq!(joins.gossiper.phase(), Phase::Running);
    // All that can end a wait comes while the events are not taken.
    for (at, _) in &answer[..8] {
        joins.gossiper.assassinate(joins.now, endpoint(at)).unwrap();
    }
    joins.advance(Duration::from_secs(40));
    let told = joins.events();
    assert!(told.contains(&Event::ShadowRoundDone));
    for (at, _) in &answer[..8] {
        let is_told = told.iter().any(|event| {
            matches!(event, Event::Assassinated { .. }) && event.endpoint() == Some(endpoint(at))
        });
        assert!(is_told, "{at}: {told:?}");
    }
    assert!(told.iter().any(|event| matches!(event, Event::Lost { .. })), "the others found no room");

    // Its own address belongs to another host: that is why it ends.
    answer.push((A, member(200)));
    let mut refused = small(asking(&[B]));
    refused.advance(Duration::ZERO);
    refused.hand(B, &ack(&[], &answer));
    let generation = Generation::new(200);
    assert_eq!(refused.events(), [Event::AddressConflict { generation }, Event::Stopped]);
    assert_eq!(refused.gossiper.end(), Some(End::Conflict { generation }));
}

#[test]
fn a_node_that_has_stopped_says_why() {
    let mut unanswered = Driven::new(asking(&[B]));
    assert_eq!((unanswered.gossiper.phase(), unanswered.gossiper.end()), (Phase::Asking, None));
    unanswered.advance(Duration::from_secs(61));
    assert_eq!(
        (unanswered.gossiper.phase(), unanswered.gossiper.end()),
        (Phase::Stopped, Some(End::Unanswered))
    );

    let mut asked = Driven::new(builder(A, 1));
    assert_eq!((asked.gossiper.phase(), asked.gossiper.end()), (Phase::Running, None));
    asked.gossiper.shutdown(asked.now);
    assert_eq!(asked.gossiper.end(), Some(End::Asked));

    let mut left = Driven::new(builder(A, 1).state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0"));
    left.gossiper.leave(left.now).unwrap();
    assert_eq!(left.gossiper.phase(), Phase::Leaving);
    left.advance(Duration::from_secs(60));
    assert_eq!((left.gossiper.phase(), left.gossiper.end()), (Phase::Stopped, Some(End::Left)));
}

/// The ring and its tokens are not gossip's.
#[test]
fn j6_after_a_full_stop_others_are_known_by_address_only() {
    let mut a = Driven::new(builder(A, 300).seed(endpoint(A)).saved_endpoint(endpoint(B)));
    assert_eq!(a.heartbeat(B), Some(heartbeat(0, -1)));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    assert_eq!(a.gossiper.values(endpoint(B)).count(), 0);
    // It is tried, and listed as what it is; no state of it is sent to a node that knows as little.
    let sent = a.round();
    let [Sent { to, content: Content::Syn { digests, .. }, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*to, digests.len()), (endpoint(B), 2));
    assert!(digests.contains(&digest(B, 0, -1)));
    assert_eq!(a.answers(C, &syn(&[digest(B, 0, -1)])), [ack(&[], &[])]);
    // A shadow reply has it, since it holds everything.
    let answers = a.answers(C, &syn(&[]));
    let [Content::Ack { requests, states }] = &answers[..] else { panic!("{answers:?}") };
    assert!(requests.is_empty());
    assert!(states.contains(&(endpoint(B), State::new(heartbeat(0, -1), &[]))));
    // What comes back is a new member.
    a.learn_live(B, &member(400));
    let events = a.events();
    assert!(events.contains(&Event::Joined { endpoint: endpoint(B), generation: Generation::new(400) }));
}

/// Deviation: the state of a saved endpoint is taken only if it was requested from the start. What answers the SYN of our
/// own earlier process looks like a whole, and may be a part.
#[test]
fn saved_endpoint_is_learned_only_by_asking() {
    let mut a = Driven::new(builder(A, 300).seed(endpoint(C)).saved_endpoint(endpoint(B)));
    a.round();
    a.hand(C, &ack(&[], &[(B, State::new(heartbeat(200, 90), &[]))]));
    assert_eq!((a.heartbeat(B), a.gossiper.stats().unrequested_states), (Some(heartbeat(0, -1)), 1));
    let asked = a.round();
    let wants = |sent: &Sent| matches!(&sent.content, Content::Syn { digests, .. } if digests.contains(&digest(B, 200, 0)));
    assert!(asked.iter().any(wants), "{asked:?}");
    a.hand(C, &ack(&[], &[(B, member(200))]));
    assert_eq!(a.gossiper.values(endpoint(B)).count(), 2);
}

#[test]
fn j7_address_of_somebody_else_is_refused() {
    // An endpoint that hibernates is there, though never live.
    for status in ["hibernate,true", "NORMAL,7", "shutdown,true", "BOOT,7"] {
        let mut a = Driven::new(asking(&[B]));
        a.advance(Duration::ZERO);
        a.hand(B, &about_a(50, &[(STATUS, status, 2), (HOST_ID, THEIRS, 1)]));
        let generation = Generation::new(50);
        assert_eq!(a.events(), [Event::AddressConflict { generation }, Event::Stopped], "{status}");
        // Our own earlier self is no stranger, whatever it said last.
        let mut a = Driven::new(asking(&[B]));
        a.advance(Duration::ZERO);
        a.hand(B, &about_a(50, &[(STATUS, status, 2), (HOST_ID, OURS, 1)]));
        assert_eq!(events_but_news(&mut a), [Event::ShadowRoundDone], "{status}");
    }
}

#[test]
fn j8_shutdown_of_somebody_saved_leaves_nothing_behind() {
    let mut a = Driven::new(builder(A, 300).saved_endpoint(endpoint(B)));
    a.hand(B, &Content::Shutdown { state: None });
    assert_eq!(a.heartbeat(B), Some(heartbeat(0, -1)));
    assert_eq!(a.gossiper.values(endpoint(B)).count(), 0);
    assert_eq!((a.events(), a.gossiper.stats().stale_shutdowns), (vec![], 1));
    // Nor while it takes no part yet.
    let mut asks = Driven::new(asking(&[B]).saved_endpoint(endpoint(B)));
    asks.hand(B, &Content::Shutdown { state: None });
    assert_eq!((asks.heartbeat(B), asks.events()), (Some(heartbeat(0, -1)), vec![]));
    // A third node joins.
    a.learn_live(C, &member(200));
    assert_eq!(a.gossiper.endpoint_count(), 3);
}

/// Deviation: Cassandra throws the answer away, and learns all of it once more by gossip.
#[test]
fn answer_to_the_shadow_round_is_what_is_known_to_begin_with() {
    let mut a = Driven::new(asking(&[B]).saved_endpoint(endpoint(C)));
    a.advance(Duration::ZERO);
    let unheard = State::new(heartbeat(0, -1), &[]);
    let ourselves = State::new(heartbeat(50, 9), &[(HOST_ID, OURS, 1)]);
    a.hand(B, &ack(&[], &[(A, ourselves), (B, member(200)), (C, member(300)), (D, unheard)]));
    assert_eq!(a.heartbeat(A).map(|own| own.generation), Some(Generation::new(100)), "only we write our own");
    for (at, generation) in [(B, 200), (C, 300)] {
        assert_eq!(a.heartbeat(at), Some(heartbeat(generation, 9)));
        assert_eq!(a.gossiper.values(endpoint(at)).count(), 2);
        assert_eq!(a.standing(at), Some(Standing::Unverified), "known is not live");
    }
    assert_eq!(a.standing(D), None, "known by its address alone");
}

/// In Cassandra 6.0 it may be a member that has not gossiped since the other started, and whose values are from a log.
#[test]
fn an_endpoint_of_which_a_peer_knows_the_address_and_values_is_shown_only_where_nothing_comes_later() {
    for only_asks in [false, true] {
        let mut a =
            Driven::new(asking(&[B]).change_membership(|membership| membership.only_asks = only_asks));
        a.advance(Duration::ZERO);
        let unheard = |values: &[_]| State::new(heartbeat(0, 0), values);
        let answer = [(B, member(200)), (C, unheard(&[(HOST_ID, THEIRS, 0)])), (D, unheard(&[]))];
        a.hand(B, &ack(&[], &answer));
        assert_eq!(a.heartbeat(B), Some(heartbeat(200, 9)));
        assert_eq!(a.heartbeat(C), only_asks.then(|| heartbeat(0, 0)), "{only_asks}");
        assert_eq!(a.heartbeat(D), None, "known by its address alone");
    }
}

#[test]
fn late_answer_to_an_earlier_process_is_not_all_there_is() {
    let mut a = Driven::new(asking(&[B]));
    a.advance(Duration::ZERO);
    // Heartbeats, and values that changed lately, are not all there is: it is asked for.
    let lately = State::new(heartbeat(300, 9), &[(ApplicationState::LOAD, "1.0", 8)]);
    a.hand(B, &ack(&[], &[(B, State::new(heartbeat(200, 9), &[])), (C, lately)]));
    assert_eq!(events_but_news(&mut a), [Event::ShadowRoundDone]);
    assert_eq!((a.gossiper.endpoint_count(), a.gossiper.stats().unrequested_states), (1, 2));
    let ask = a.answers(B, &syn(&[digest(B, 200, 9), digest(C, 300, 9)]));
    let everything = [digest(B, 200, 0), digest(C, 300, 0)];
    assert!(matches!(&ask[..], [Content::Ack { requests, .. }] if requests[..] == everything), "{ask:?}");
}

#[test]
fn nobody_is_told_of_us_before_the_shadow_round_is_over() {
    let mut a = Driven::new(asking(&[B]));
    a.advance(Duration::ZERO);
    assert_eq!(a.answers(C, &syn(&[digest(C, 100, 5)])), [], "a SYN of a node that takes part");
    assert_eq!(a.answers(C, &ack2(&[(C, member(100))])), []);
    assert_eq!(a.answers(C, &syn(&[])), [ack(&[], &[])], "one who asks, too");
    assert_eq!(a.gossiper.endpoint_count(), 1);
}

#[test]
fn a_node_that_only_asks_takes_no_part_whatever_the_answer() {
    for answer in [
        ack(&[], &[(B, member(200)), (C, member(300))]),
        about_a(500, &[(STATUS, "NORMAL,1", 3), (HOST_ID, THEIRS, 4)]),
    ] {
        let mut a = Driven::new(asking(&[B]).change_membership(|membership| membership.only_asks = true));
        assert_eq!(questions(&a.round()), [B]);
        a.hand(B, &ack(&[], &[]));
        assert_eq!(a.events(), [], "the other is asking itself");
        a.hand(B, &answer);
        assert!(a.events().contains(&Event::ShadowRoundDone));
        assert_eq!(a.heartbeat(B), Some(heartbeat(200, 9)));
        assert_eq!(a.value(B, HOST_ID), Some((THEIRS.into(), 1)));
        assert_eq!(a.gossiper.enable(a.now), Err(EnableError::OnlyAsks));
        let sent = a.advance(SECOND * 100);
        assert!(sent.is_empty(), "{sent:?}");
        a.gossiper.shutdown(a.now);
        assert_eq!(a.events(), [Event::Stopped], "there is nothing to announce");
    }
}

/// A question is no intrusion: who asks may not know what partitioner a cluster has, or how its name is written.
#[test]
fn a_question_under_other_names_is_told_ours() {
    for (cluster, partitioner) in [(None, Some("org.example.Other")), (Some("other"), None)] {
        let names = |config: ConfigBuilder| match partitioner {
            Some(partitioner) => config.partitioner(partitioner),
            None => config,
        };
        let local = endpoint(A);
        let config = match cluster {
            Some(cluster) => Config::builder(cluster, local, Generation::new(100), [1; 32]),
            None => builder(A, 100),
        };
        let mut asker = Driven::new(
            names(config).seed(endpoint(B)).change_membership(|membership| membership.only_asks = true),
        );
        let mut b = Driven::new(builder(B, 200));
        let question = asker.round();
        deliver(&mut b, local, &question);
        talk(&mut b, &mut asker);
        assert!(b.events().is_empty(), "nothing is wrong");
        assert_eq!(b.gossiper.stats().questions_corrected, 1);
        let told = asker.events();
        let expected = match cluster {
            Some(_) => Event::ForeignCluster { from: endpoint(B) },
            None => Event::ForeignPartitioner { from: endpoint(B) },
        };
        assert_eq!(told, [expected]);
        assert!(b.heartbeat(A).is_none() && asker.heartbeat(B).is_none());
    }
    // A node that wants to join under another name is refused in silence, and reported.
    let mut b = Driven::new(builder(B, 200));
    let mut joiner = Driven::new(asking(&[B]).partitioner("org.example.Other"));
    let question = joiner.round();
    deliver(&mut b, endpoint(A), &question);
    assert_eq!(b.sent(), []);
    assert_eq!(b.events(), [Event::ForeignPartitioner { from: endpoint(A) }]);
    // Two who only ask have nothing to tell each other.
    let mut one = Driven::new(
        builder(A, 100)
            .partitioner("org.example.A")
            .seed(endpoint(B))
            .change_membership(|membership| membership.only_asks = true),
    );
    let mut other = Driven::new(
        builder(B, 100)
            .partitioner("org.example.B")
            .seed(endpoint(A))
            .change_membership(|membership| membership.only_asks = true),
    );
    let question = one.round();
    deliver(&mut other, endpoint(A), &question);
    assert_eq!(other.sent(), []);
}

#[test]
fn values_are_set_before_a_node_takes_part() {
    let mut a = Driven::new(asking(&[B]));
    a.advance(Duration::ZERO);
    assert!(a.gossiper.set_state(a.now, ApplicationState::LOAD, "1").is_ok());
    a.hand(B, &ack(&[], &[(B, member(200))]));
    let answers = a.answers(B, &syn(&[digest(A, 100, 0)]));
    let Some(Content::Ack { states, .. }) = answers.first() else { panic!("{answers:?}") };
    assert!(states[0].1.values.iter().any(|(key, ..)| *key == ApplicationState::LOAD));
}

#[test]
fn k1_status_of_a_dead_member_reaches_who_joins_later() {
    let moving = State::new(
        heartbeat(200, 9),
        &[(STATUS, "MOVING,99", 8), (ApplicationState::TOKENS, "tokens", 7), (HOST_ID, THEIRS, 1)],
    );
    let mut a = Driven::new(builder(A, 100));
    a.learn_live(B, &moving);
    a.advance(Duration::from_secs(40));
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    let mut c = Driven::new(builder(C, 300).seed(endpoint(A)));
    c.now = a.now;
    for _ in 0..4 {
        let (from_a, from_c) = (a.round(), c.round());
        deliver(&mut c, a.local(), &from_a);
        deliver(&mut a, c.local(), &from_c);
        talk(&mut a, &mut c);
    }
    assert_eq!(c.value(B, STATUS), Some(("MOVING,99".to_owned(), 8)));
    assert_eq!(c.value(B, ApplicationState::TOKENS), Some(("tokens".to_owned(), 7)));
    assert_ne!(c.standing(B), Some(Standing::Live));
}

#[test]
fn k2_a_node_that_joins_or_leaves_cannot_be_disabled() {
    let mut joining = Driven::new(builder(A, 100).state(STATUS, "BOOT,7"));
    joining.learn_live(B, &member(200));
    assert_eq!(joining.gossiper.disable(joining.now), Err(DisableError::Joining));
    joining.advance(Duration::from_secs(5));
    assert!(joining.gossiper.is_enabled());

    let mut leaving = Driven::new(builder(A, 100).state(STATUS, "NORMAL,7"));
    leaving.learn_live(B, &member(200));
    leaving.gossiper.leave(leaving.now).unwrap();
    leaving.events();
    assert_eq!(leaving.gossiper.disable(leaving.now), Err(DisableError::Leaving));
    assert_eq!(leaving.gossiper.enable(leaving.now), Ok(()), "it takes part");
    leaving.advance(Duration::from_secs(11));
    assert!(leaving.value(A, STATUS).unwrap().0.starts_with("LEFT,7,"), "it leaves all the same");
    assert_eq!(leaving.gossiper.generation(), Generation::new(100));

    // Enabling what is not disabled does nothing, whatever the status.
    let mut moving = Driven::new(builder(A, 100).state(STATUS, "MOVING,7"));
    assert_eq!(moving.gossiper.enable(moving.now), Ok(()));
    assert_eq!((moving.events(), moving.gossiper.generation()), (vec![], Generation::new(100)));
}

#[test]
fn k3_member_without_a_part_in_the_ring_stops_and_starts_gossip() {
    let mut a = Driven::new(builder(A, 100).state(STATUS, "hibernate,true"));
    a.learn_live(B, &member(200));
    a.sent();
    a.events();
    for generation in [101, 102] {
        a.gossiper.disable(a.now).unwrap();
        assert_eq!(a.sent(), [], "nothing is announced");
        assert!(!a.gossiper.is_enabled());
        assert_eq!(a.gossiper.poll_timeout(), None);
        a.gossiper.enable(a.now).unwrap();
        assert!(a.gossiper.is_enabled());
        assert_eq!(a.gossiper.generation(), Generation::new(generation));
        assert_eq!(a.value(A, STATUS), Some(("hibernate,true".to_owned(), 1)));
        assert!(a.advance(SECOND).iter().any(|sent| matches!(sent.content, Content::Syn { .. })));
    }
}

/// What follows from a status is the application's; here one status takes the place of the other.
#[test]
fn k4_shutdown_of_a_moving_node_leaves_nothing_of_the_move() {
    let mut a = Driven::new(builder(A, 100));
    let moving = State::new(
        heartbeat(200, 9),
        &[(STATUS, "MOVING,99", 8), (ApplicationState::STATUS, "MOVING,99", 8)],
    );
    a.learn_live(B, &moving);
    a.hand(B, &Content::Shutdown { state: None });
    assert_eq!(a.gossiper.endpoint_info(endpoint(B)).unwrap().status, StatusKind::Shutdown);
    for key in [STATUS, ApplicationState::STATUS] {
        assert_eq!(a.value(B, key).unwrap().0, "shutdown,true");
    }
}

#[test]
fn k10_enabled_again_the_generation_is_one_greater() {
    let mut a = Driven::new(
        builder(A, 100)
            .state(STATUS, "NORMAL,7")
            .state(ApplicationState::RPC_READY, "true")
            .seed(endpoint(B)),
    );
    a.learn_live(B, &member(200));
    a.events();
    a.gossiper.disable(a.now).unwrap();
    let announced = a.sent();
    assert!(announced.iter().any(|sent| matches!(sent.content, Content::Shutdown { .. })));
    assert_eq!(a.gossiper.disable(a.now), Ok(()), "it is under way");
    a.advance(Duration::from_secs(2));
    assert!(!a.gossiper.is_enabled());
    assert!(a.gossiper.set_state(a.now, ApplicationState::LOAD, "1").is_ok(), "for later");
    a.events();
    a.gossiper.enable(a.now).unwrap();
    let (old, new) = (Generation::new(100), Generation::new(101));
    assert_eq!(a.events().first(), Some(&Event::GenerationRaised { old, new, cause: RaiseCause::Enabled }));
    assert_eq!(a.heartbeat(A).unwrap().generation, new);
    assert_eq!(a.value(A, STATUS).unwrap().0, "NORMAL,7", "as before");
    assert_eq!(a.value(A, ApplicationState::LOAD).unwrap().0, "1");
    let before = a.heartbeat(A).unwrap().version;
    a.round();
    assert!(a.heartbeat(A).unwrap().version > before, "versions go on");
    a.gossiper.enable(a.now).unwrap();
    assert_eq!(a.gossiper.generation(), new, "once");
}

/// Under its old generation it would stay down at all its peers.
#[test]
fn gossip_is_not_enabled_without_a_generation_that_peers_accept() {
    const NOW: i32 = 1_700_000_000;
    const YEARS: i32 = 2 * 365 * 24 * 60 * 60;
    let wall = |seconds: i32| u64::from(seconds.cast_unsigned()) * 1_000;
    let mut a = Driven::new(builder(A, NOW).state(STATUS, "NORMAL,7").seed(endpoint(B)));
    a.gossiper.handle_wall_clock(a.now, wall(NOW));
    a.learn_live(B, &member(200));
    a.gossiper.disable(a.now).unwrap();
    a.advance(SECOND * 5);
    a.events();
    a.gossiper.handle_wall_clock(a.now, wall(NOW - YEARS));
    let refused = a.gossiper.enable(a.now).unwrap_err();
    let EnableError::ClockBehind { needed, newest } = refused else { panic!("{refused:?}") };
    assert_eq!(needed, Generation::new(NOW + 1));
    assert!(newest < needed);
    assert!(refused.to_string().contains(&(NOW + 1).to_string()) && refused.to_string().contains("clock"));
    assert!(!a.gossiper.is_enabled());
    assert_eq!((a.events(), a.gossiper.generation()), (vec![], Generation::new(NOW)));
    a.gossiper.handle_wall_clock(a.now, wall(NOW));
    assert_eq!(a.gossiper.enable(a.now), Ok(()), "the clock is right again");
    assert!(a.gossiper.is_enabled());

    let mut last = Driven::new(builder(A, i32::MAX).state(STATUS, "NORMAL,7"));
    last.gossiper.disable(last.now).unwrap();
    assert_eq!(last.gossiper.enable(last.now), Err(EnableError::LastGeneration));
    assert!(!last.gossiper.is_enabled());
}

/// What is asked in haste is not lost.
#[test]
fn gossip_is_enabled_while_its_end_is_still_announced() {
    let mut a = Driven::new(builder(A, 100).state(STATUS, "NORMAL,7").seed(endpoint(B)));
    let mut b = Driven::new(builder(B, 200).state(STATUS, "NORMAL,8").seed(endpoint(A)));
    let meet = |a: &mut Driven, b: &mut Driven| {
        for _ in 0..10 {
            let (from_a, from_b) = (a.round(), b.round());
            deliver(b, a.local(), &from_a);
            deliver(a, b.local(), &from_b);
            talk(a, b);
        }
    };
    meet(&mut a, &mut b);
    assert_eq!(b.standing(A), Some(Standing::Live));
    for is_announced in [true, false] {
        a.gossiper.disable(a.now).unwrap();
        if is_announced {
            talk(&mut a, &mut b);
            assert_eq!(b.standing(A), Some(Standing::Unreachable));
        }
        a.gossiper.enable(a.now).unwrap();
        meet(&mut a, &mut b);
        assert!(a.gossiper.is_enabled());
        assert_eq!(b.standing(A), Some(Standing::Live));
        assert_eq!(b.value(A, STATUS).unwrap().0, "NORMAL,7");
    }
    assert_eq!(b.heartbeat(A).unwrap().generation, Generation::new(102));
}

/// What was not heard while gossip was disabled is not the silence of others.
#[test]
fn after_gossip_was_disabled_nobody_is_found_silent_for_that() {
    let mut a = Driven::new(
        builder(A, 100)
            .state(STATUS, "NORMAL,7")
            .change_membership(|membership| membership.fat_client_timeout = Some(SECOND * 30)),
    );
    let peer = |version| State::new(heartbeat(200, version), &[(ApplicationState::DC, "dc1", 1)]);
    a.learn_live(B, &peer(2));
    for version in 3..20 {
        a.hand(B, &ack2(&[(B, peer(version))]));
        a.advance(SECOND);
    }
    a.gossiper.disable(a.now).unwrap();
    a.advance(SECOND * 60);
    a.gossiper.enable(a.now).unwrap();
    a.events();
    for version in 80..90 {
        a.advance(SECOND);
        a.hand(B, &ack2(&[(B, peer(version))]));
    }
    assert_eq!(a.standing(B), Some(Standing::Live));
    let told = a.events();
    assert!(
        !told.iter().any(|event| matches!(event, Event::Down { .. } | Event::Forgotten { .. })),
        "{told:?}"
    );
    // Silence from then on is.
    a.advance(SECOND * 60);
    assert_eq!(a.standing(B), None);
}

#[test]
fn what_cannot_be_disabled_or_enabled_says_why() {
    let mut asking = Driven::new(asking(&[B]));
    assert_eq!(asking.gossiper.disable(asking.now), Err(DisableError::Joining));
    assert_eq!(asking.gossiper.enable(asking.now), Err(EnableError::Joining));
    let mut stopped = Driven::new(builder(A, 100));
    stopped.gossiper.abandon(stopped.now);
    assert_eq!(stopped.gossiper.disable(stopped.now), Err(DisableError::Stopped));
    assert_eq!(stopped.gossiper.enable(stopped.now), Err(EnableError::Stopped));
    let mut stopping = Driven::new(builder(A, 100).state(STATUS, "NORMAL,7"));
    stopping.learn_live(B, &member(200));
    stopping.gossiper.shutdown(stopping.now);
    assert_eq!(stopping.gossiper.disable(stopping.now), Err(DisableError::Stopped));
    assert_eq!(stopping.gossiper.enable(stopping.now), Err(EnableError::Stopped));
    let mut left = Driven::new(builder(A, 100).state(STATUS, "NORMAL,7"));
    left.learn_live(B, &member(200));
    left.gossiper.leave(left.now).unwrap();
    left.advance(SECOND * 6);
    assert_eq!(left.gossiper.disable(left.now), Err(DisableError::Leaving));
    assert_eq!(left.gossiper.enable(left.now), Err(EnableError::Stopped));
}

/// Where the list comes from, and what happens if that fails, is the application's.
#[test]
fn k11_list_of_seeds_is_replaced() {
    let mut a = Driven::new(builder(A, 100).seed(endpoint(B)));
    let list = |seeds: &[&str]| seeds.iter().map(|seed| endpoint(seed)).collect::<Vec<_>>();
    assert!(a.gossiper.set_seeds(&list(&[B, C])), "one more");
    assert_eq!(a.gossiper.seeds(), list(&[B, C]));
    assert!(!a.gossiper.set_seeds(&list(&[C, B, B])), "the same twice is no other");
    assert_eq!(a.gossiper.seeds(), list(&[B, C]));
    assert!(a.gossiper.set_seeds(&list(&[D])), "others");
    assert_eq!(a.gossiper.seeds(), list(&[D]));
    assert!(!a.gossiper.set_seeds(&[]), "none changes nothing");
    assert!(!a.gossiper.set_seeds(&list(&[A])), "oneself is no seed");
    assert_eq!(a.gossiper.seeds(), list(&[D]));
    assert!(a.round().iter().all(|sent| sent.to == endpoint(D)));
}

#[test]
fn k16_failed_replacement_is_kept_while_it_gossips() {
    for seconds in [60, 300] {
        let config = builder(A, 100).seed(endpoint(C)).change_membership(|membership| {
            membership.fat_client_timeout = Some(Duration::from_secs(30));
            membership.failed_bootstrap_timeout = Some(Duration::from_secs(seconds));
        });
        let mut a = Driven::new(config);
        a.round();
        let replacing = State::new(heartbeat(200, 9), &[(STATUS, "BOOT_REPLACE,10.0.0.9:7000", 8)]);
        a.learn_live(B, &replacing);
        for version in 10..10 + 2 * i32::try_from(seconds).unwrap() {
            a.advance(SECOND);
            a.hand(C, &ack(&[], &[(B, State::new(heartbeat(200, version), &[]))]));
            a.sent();
        }
        assert_eq!(a.standing(B), Some(Standing::Live));
        a.advance(Duration::from_secs(seconds));
        assert_eq!(a.standing(B), Some(Standing::Unreachable));
        a.advance(SECOND);
        assert_eq!(a.standing(B), None);
    }
}

/// The events, except endpoints and values that became known.
fn events_but_news(a: &mut Driven) -> Vec<Event> {
    let mut events = a.events();
    events.retain(|event| !matches!(event, Event::Joined { .. } | Event::StateChanged { .. }));
    events
}

/// Deviation: in Cassandra it would learn of the others when a peer happens to choose it.
#[test]
fn a_newcomer_that_lists_itself_alone_is_sent_a_syn_at_once() {
    let mut a = Driven::new(builder(A, 100));
    for n in 10..40 {
        a.learn(&format!("10.0.0.{n}:7000"), &member(200));
    }
    a.round();
    a.hand(B, &syn(&[digest(B, 300, 5)]));
    let sent = a.sent();
    let listed = sent.iter().find_map(|sent| match &sent.content {
        Content::Syn { digests, .. } if sent.to == endpoint(B) => Some(digests.len()),
        _ => None,
    });
    assert_eq!(listed, Some(31), "everybody");
}
