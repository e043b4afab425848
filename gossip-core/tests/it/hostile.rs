//! Hostile and broken peers: the content of a message must not harm other peers, and must not make the
//! node believe what it did not ask for.

use core::time::Duration;
use std::time::Instant;

use gossip_core::message::{Codec, Digest, Message};
use gossip_core::wire::{DecodeError, Writer};
use gossip_core::{
    ApplicationState, ConfigError, DownCause, Event, Generation, MessagingVersion, RaiseCause, Session,
    SetStateError, Standing, Verb, Version,
};

use crate::support::{
    Content, Driven, Sent, State, ack, ack2, builder, decode, digest, endpoint, heartbeat, syn, talk,
};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const UNSPECIFIED: &str = "0.0.0.0:7000";

const NOW: i32 = 1_700_000_000;
const YEAR: i32 = 365 * 24 * 60 * 60;

/// The room that a message has in an ordinary frame, to within a few bytes.
const ORDINARY: usize = 65_456;

const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;

fn uncommon(number: i32) -> ApplicationState {
    ApplicationState::new(1_000 + number)
}

fn address(n: u32) -> String {
    format!("10.{}.{}.{}:7000", 1 + (n >> 16), (n >> 8) & 255, n & 255)
}

/// A node that knows what time it is.
fn dated() -> Driven {
    let mut a = Driven::new(builder(A, NOW).seed(endpoint(B)));
    a.gossiper.handle_wall_clock(a.now, u64::try_from(NOW).unwrap() * 1_000);
    a
}

/// Lets B claim things about everybody in `states`, as far as that is asked for.
fn claim(a: &mut Driven, states: &[(&str, State)]) {
    let digests: Vec<_> = states
        .iter()
        .map(|(at, state)| digest(at, state.heartbeat.generation.get(), state.heartbeat.version.get()))
        .collect();
    a.hand(B, &syn(&digests));
    a.sent();
    a.hand(B, &ack2(states));
}

fn left(generation: i32) -> State {
    State::new(heartbeat(generation, 5), &[(STATUS, "LEFT,1,2", 3)])
}

/// More newcomers than there is room for events, and a claim about ourselves behind them.
fn with_many_others(own: State) -> (Driven, Vec<Event>) {
    let mut a = Driven::new(builder(A, 1).change_limits(|limits| limits.max_pending_events = 16));
    let many: Vec<_> = (0..20).map(address).collect();
    let mut states: Vec<_> = many.iter().map(|at| (at.as_str(), State::new(heartbeat(1, 5), &[]))).collect();
    states.push((A, own));
    claim(&mut a, &states);
    let events = a.events();
    assert!(events.iter().any(|event| matches!(event, Event::Lost { .. })), "the queue was full: {events:?}");
    (a, events)
}

#[test]
fn the_end_is_told_also_when_there_is_no_room_for_events() {
    let (a, events) = with_many_others(left(2));
    assert!(events.contains(&Event::Removed { generation: Generation::new(2) }), "{events:?}");
    assert_eq!(events.last(), Some(&Event::Stopped), "nothing is taken from the node after that");
    assert_eq!(a.gossiper.poll_timeout(), None);
}

#[test]
fn a_raised_generation_is_told_also_when_there_is_no_room_for_events() {
    let (_, events) = with_many_others(State::new(heartbeat(7, 5), &[]));
    let raised = Event::GenerationRaised {
        old: Generation::new(1),
        new: Generation::new(8),
        cause: RaiseCause::KnownGreater,
    };
    assert_eq!(events.first(), Some(&raised), "it is to be stored before anything else is done");
}

#[test]
fn nobody_can_claim_about_us_what_was_not_asked_for() {
    let mut a = dated();
    for generation in [NOW + 500, NOW + YEAR, i32::MAX] {
        let alive = State::new(heartbeat(generation, 5), &[]);
        for state in [alive, left(generation)] {
            a.hand(B, &ack2(&[(A, state.clone())]));
            a.hand(B, &ack(&[], &[(A, state)]));
        }
    }
    assert_eq!(a.events(), []);
    assert_eq!(a.gossiper.generation(), Generation::new(NOW));
    assert!(a.gossiper.is_enabled());
}

#[test]
fn a_claim_from_the_far_future_does_not_stand_in_the_way_of_a_true_one() {
    let mut a = dated();
    // More than a year ahead it is not even asked for. A little less is, but could not be surpassed: peers would refuse us.
    for generation in [i32::MAX, NOW + YEAR + 1_000, NOW + YEAR - 1_000] {
        claim(&mut a, &[(A, State::new(heartbeat(generation, 5), &[]))]);
        let not_raised = Event::GenerationNotRaised { generation: Generation::new(NOW) };
        let told = if generation < NOW + YEAR { vec![not_raised] } else { vec![] };
        assert_eq!(a.events(), told, "{generation}");
    }
    assert_eq!(a.gossiper.stats().future_generations, 4, "two digests and two states");
    claim(&mut a, &[(A, State::new(heartbeat(NOW + 500, 5), &[]))]);
    let raised = Event::GenerationRaised {
        old: Generation::new(NOW),
        new: Generation::new(NOW + 501),
        cause: RaiseCause::KnownGreater,
    };
    assert_eq!(a.events(), [raised]);
}

/// A list of states without values, built without the model: that would take longer than what is measured.
fn heartbeats(endpoints: impl ExactSizeIterator<Item = u32>) -> Vec<u8> {
    let mut body = i32::try_from(endpoints.len()).unwrap().to_be_bytes().to_vec();
    for ip in endpoints {
        body.push(6);
        body.extend(ip.to_be_bytes());
        body.extend(7_000_u16.to_be_bytes());
        body.extend([1_i32, 1, 0].into_iter().flat_map(i32::to_be_bytes));
    }
    body
}

/// Hands over a body as it is: the model takes longer to write one than is good for long lists.
fn hand_body(a: &mut Driven, from: &str, verb: Verb, body: &[u8]) {
    let message = decode(verb, body, MessagingVersion::V12).unwrap();
    a.gossiper.handle_message(a.now, endpoint(from), 1, &mut Session::default(), &message);
}

/// How long `work` takes.
#[expect(clippy::disallowed_methods, reason = "the protocol's time stands still while it works")]
fn duration<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Whether one thing costs no more than so many times another. Both are done in turn, again and again, and the shortest times count:
/// whatever else the machine does only makes them longer, and both of them. What costs more is never found to cost less.
fn costs_at_most(factor: u32, mut times: impl FnMut() -> (Duration, Duration)) -> bool {
    let (mut shortest, mut of_other) = (Duration::MAX, Duration::MAX);
    (0..50).any(|_| {
        let (time, other) = times();
        (shortest, of_other) = (shortest.min(time), of_other.min(other));
        shortest < of_other * factor
    })
}

#[test]
fn states_that_nobody_asked_for_cost_no_more_than_others() {
    const COUNT: u32 = 50_000;
    let mut a = Driven::new(builder(A, 1));
    a.learn(C, &State::new(heartbeat(1, 1), &[]));
    let known = heartbeats((0..COUNT as usize).map(|_| 0x0a00_0003));
    let unknown = heartbeats((0..COUNT as usize).map(|n| 0x0b00_0000 + u32::try_from(n).unwrap()));
    let mut hand_in = |body: &[u8], unrequested: u64| {
        let before = a.gossiper.stats().unrequested_states;
        let time = duration(|| hand_body(&mut a, B, Verb::GOSSIP_DIGEST_ACK2, body));
        assert_eq!(a.gossiper.stats().unrequested_states, before + unrequested);
        time
    };
    assert!(costs_at_most(10, || (hand_in(&unknown, COUNT.into()), hand_in(&known, 0))));
    assert_eq!(a.gossiper.endpoint_count(), 2, "nothing is learned from them");

    // Newcomers of another peer are requested nevertheless, all of them.
    let newcomers: Vec<_> = (0..500).map(|n| digest(&address(n), 1, 5)).collect();
    a.sent();
    let answer = a.answers(C, &syn(&newcomers));
    let [Content::Ack { requests, .. }, ..] = &answer[..] else { panic!("{} messages", answer.len()) };
    assert_eq!(requests.len(), newcomers.len());
}

#[test]
fn keys_that_come_twice_cost_nothing_but_their_message() {
    let values: Vec<_> = (0..256).map(|n| (uncommon(n.min(254)), "", 1)).collect();
    let state = State::new(heartbeat(1, 1), &values).bytes();
    let mut body = 3_000_i32.to_be_bytes().to_vec();
    for _ in 0..3_000 {
        body.extend([6, 10, 0, 0, 3, 0x1b, 0x58]);
        body.extend(&state);
    }
    let codec = Codec::new(MessagingVersion::V12);
    let decode =
        |verb: Verb, body: &[u8]| Message::decode(verb, body, codec).unwrap().map(|message| message.verb());
    let refused = Err(DecodeError::DuplicateKey { key: 1_254 });
    assert_eq!(decode(Verb::GOSSIP_DIGEST_ACK2, &body), refused);
    let last = [&heartbeats([0x0a00_0004].into_iter())[4..], &[6, 10, 0, 0, 3, 0x1b, 0x58], &state].concat();
    let last = [&2_i32.to_be_bytes()[..], &last].concat();
    assert_eq!(decode(Verb::GOSSIP_DIGEST_ACK2, &last), refused, "also in the last state");
    assert_eq!(
        Message::decode(Verb::GOSSIP_SHUTDOWN, &state, Codec::new(MessagingVersion::V13)).unwrap(),
        Err(DecodeError::DuplicateKey { key: 1_254 })
    );
}

#[test]
fn nobody_is_known_under_an_address_that_is_none() {
    let mut a = Driven::new(builder(A, 1));
    for none in [UNSPECIFIED, "10.0.0.9:0", "[::]:7000"] {
        let answer = a.answers(B, &syn(&[digest(none, 1, 5)]));
        assert!(
            matches!(&answer[..], [Content::Ack { requests, states }] if requests.is_empty() && states.is_empty()),
            "{none}: {answer:?}"
        );
        let before = a.gossiper.stats().unspecified;
        a.hand(B, &ack2(&[(none, State::new(heartbeat(1, 5), &[(STATUS, "NORMAL,1", 2)]))]));
        assert_eq!(a.gossiper.stats().unspecified, before + 1);
        assert_eq!(a.standing(none), None);
    }
    assert_eq!(a.gossiper.endpoint_count(), 1);
    assert_eq!(a.events(), []);
    let others: Vec<_> = a.round().into_iter().filter(|sent| sent.to != endpoint(B)).collect();
    assert_eq!(others, [], "no peer is dialled");
}

#[test]
fn an_assassinated_endpoint_is_known_no_further_than_it_is_sent() {
    let mut a = Driven::new(builder(A, NOW));
    a.gossiper.handle_wall_clock(a.now, u64::try_from(NOW).unwrap() * 1_000);
    let before = State::new(heartbeat(NOW - 1_000, 50_000), &[(STATUS, "NORMAL,1", 3)]);
    a.learn(B, &before);
    a.gossiper.assassinate(a.now, endpoint(B)).unwrap();
    a.advance(Duration::from_secs(40));
    let generation = NOW - 999;
    assert_eq!(a.heartbeat(B), Some(heartbeat(generation, 9_999)));

    let answer = a.answers(C, &syn(&[digest(B, NOW - 1_000, 50_000)]));
    let [Content::Ack { states, .. }] = &answer[..] else { panic!("{answer:?}") };
    let (_, sent) = states.iter().find(|(at, _)| *at == endpoint(B)).unwrap();
    let greatest = sent.values.iter().map(|(_, _, version)| *version).chain([sent.heartbeat.version]).max();
    assert_eq!(a.gossiper.max_version(endpoint(B)), greatest, "or it is sent again for ever");
    let again = a.answers(
        C,
        &syn(&[Digest {
            endpoint: endpoint(B),
            generation: Generation::new(generation),
            max_version: greatest.unwrap(),
        }]),
    );
    assert!(
        matches!(&again[..], [Content::Ack { requests, states }] if requests.is_empty() && states.is_empty())
    );
}

#[test]
fn more_than_can_be_sent_is_not_taken_for_our_own() {
    let many = |count: i32| (0..count).fold(builder(A, 1), |config, n| config.state(uncommon(n), "x"));
    assert!(many(64).build().is_ok());
    assert!(matches!(many(65).build(), Err(ConfigError::TooManyStates { count: 65, max: 64 })));
    assert!(many(253).change_limits(|limits| limits.max_states = 253).build().is_ok());
    assert!(
        many(1).change_limits(|limits| limits.max_states = 254).build().is_err(),
        "receivers add three when we stop"
    );

    let mut a = Driven::new(builder(A, 1).change_limits(|limits| {
        limits.max_states = 2;
        limits.max_state_bytes = 100;
    }));
    let mut set = |n: i32, len: usize| a.gossiper.set_state(a.now, uncommon(n), &"x".repeat(len));
    set(0, 60).unwrap();
    let too_much = SetStateError::TooMuch { key: uncommon(1), bytes: 101, limit: 100 };
    assert_eq!(set(1, 41), Err(too_much));
    set(1, 40).unwrap();
    assert_eq!(set(2, 0), Err(SetStateError::TooMany { key: uncommon(2), limit: 2 }));
    set(0, 50).unwrap();
    set(1, 50).unwrap();
    assert!(
        matches!(set(0, 51), Err(SetStateError::TooMuch { bytes: 101, .. })),
        "what is replaced makes room"
    );
}

#[test]
fn what_a_value_of_another_replaces_makes_room() {
    let mut a = Driven::new(builder(A, 1).change_limits(|limits| limits.max_state_bytes = 100));
    let (most, half, more) = ("x".repeat(60), "x".repeat(50), "x".repeat(51));
    a.learn(B, &State::new(heartbeat(1, 5), &[(uncommon(0), &most, 4), (uncommon(1), "", 5)]));
    a.hand(
        B,
        &ack2(&[(B, State::new(heartbeat(1, 7), &[(uncommon(0), &half, 6), (uncommon(1), &half, 7)]))]),
    );
    let length = |a: &Driven, n| a.value(B, uncommon(n)).map(|(text, version)| (text.len(), version));
    assert_eq!((length(&a, 0), length(&a, 1)), (Some((50, 6)), Some((50, 7))));
    a.hand(B, &ack2(&[(B, State::new(heartbeat(1, 8), &[(uncommon(0), &more, 8)]))]));
    assert_eq!((length(&a, 0), a.gossiper.stats().values_refused), (Some((50, 6)), 1));
}

/// Endpoints with as many values as allowed stop, too: the model reads whatever is sent.
#[test]
fn somebody_with_as_many_values_as_may_be_can_stop() {
    let mut a = Driven::new(builder(A, 1).change_limits(|limits| limits.max_states = 253));
    let mut values: Vec<_> = (0..252).map(|n| (uncommon(n), "x", 1 + n)).collect();
    values.push((STATUS, "NORMAL,1", 253));
    a.learn_live(B, &State::new(heartbeat(1, 1), &values));
    a.hand(B, &Content::Shutdown { state: None });
    let answer = a.answers(C, &syn(&[digest(B, 1, 0)]));
    let [Content::Ack { states, .. }] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(states[0].1.values.len(), 255);
}

#[test]
fn a_large_state_does_not_keep_us_from_announcing_our_shutdown() {
    let mut a = Driven::new(builder(A, 1));
    a.version = MessagingVersion::V13;
    a.buffer = vec![0; ORDINARY];
    for n in 0..3 {
        a.gossiper.set_state(a.now, uncommon(n), &"x".repeat(30_000)).unwrap();
    }
    let mut b = Driven::new(builder(B, 1));
    b.version = MessagingVersion::V13;
    a.learn_live(B, &State::new(heartbeat(1, 1), &[]));
    b.learn_live(A, &State::new(heartbeat(1, 1), &[(STATUS, "NORMAL,1", 1)]));
    b.events();
    a.gossiper.shutdown(a.now);
    talk(&mut a, &mut b);
    assert_eq!(a.gossiper.stats().messages_dropped, 0);
    assert_eq!(b.value(A, STATUS).unwrap().0, "shutdown,true");
    let down = |event: &Event| matches!(event, Event::Down { cause: DownCause::Shutdown, .. });
    assert!(b.events().iter().any(down));
}

#[test]
fn an_endpoint_that_comes_back_stopped_or_gone_is_down() {
    let ends = [
        ("shutdown,true", DownCause::Shutdown, StatusIs::Stopped),
        ("LEFT,1,1700259200000", DownCause::Status, StatusIs::Gone),
        ("removed,1,1700259200000", DownCause::Status, StatusIs::Gone),
    ];
    for (text, cause, status) in ends {
        let mut a = dated();
        a.learn_live(B, &State::new(heartbeat(1, 1), &[(STATUS, "NORMAL,1", 1)]));
        a.events();
        a.learn(B, &State::new(heartbeat(2, 1), &[(STATUS, text, 2)]));
        assert_eq!(a.standing(B), Some(Standing::Unreachable), "{text}");
        let events = a.events();
        let (endpoint, generation) = (endpoint(B), Generation::new(2));
        let restarted = Event::Restarted { endpoint, old: Generation::new(1), new: generation };
        let downs: Vec<_> = events.iter().filter(|event| matches!(event, Event::Down { .. })).collect();
        assert_eq!(events.first(), Some(&restarted), "{text}");
        assert_eq!(downs, [&Event::Down { endpoint, generation, cause }], "{text}");
        let is_gone = events.iter().any(|event| matches!(event, Event::Left { .. }));
        assert_eq!(is_gone, status == StatusIs::Gone, "{text}: {events:?}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StatusIs {
    Stopped,
    Gone,
}

/// The answering node counts as a member, and it may turn out that this node must not become one.
#[test]
fn no_echo_is_answered_before_it_is_clear_that_we_may_join() {
    let echo = Content::Echo { verb: Verb::ECHO_REQ };
    let mut a = Driven::new(
        builder(A, 1).seed(endpoint(B)).change_membership(|membership| membership.shadow_round = true),
    );
    a.advance(Duration::ZERO);
    assert_eq!(a.answers(B, &echo), []);
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(1, 1), &[]))]));
    assert!(a.events().contains(&Event::ShadowRoundDone));
    assert_eq!(a.answers(B, &echo), [Content::Echo { verb: Verb::ECHO_RSP }]);
}

/// An ACK that asks for all it has room for says also how much that is, and tells something, too.
#[test]
fn requests_leave_room_for_states() {
    let mut a = Driven::new(builder(A, 1));
    let known: Vec<_> = (0..300).map(address).collect();
    let states: Vec<_> = known.iter().map(|at| (at.as_str(), State::new(heartbeat(1, 5), &[]))).collect();
    claim(&mut a, &states);
    a.sent();
    let newer: Vec<_> = known.iter().map(|at| digest(at, 1, 9)).collect();
    let strangers: Vec<_> = (1_000..1_300).map(|n| digest(&address(n), 1, 5)).collect();
    for (news, newcomers) in [(300, 0), (300, 1), (300, 300), (0, 300), (260, 300), (266, 300)] {
        for lacks_ours in [false, true] {
            let ours = if lacks_ours { vec![digest(A, 1, -1)] } else { vec![] };
            let digests = [&ours, &newer[..news], &strangers[..newcomers]].concat();
            let body = syn(&digests).body(MessagingVersion::V12);
            // A digest has 15 bytes: it may fit with any number of bytes left.
            for room in 4_096..4_096 + 15 {
                a.buffer = vec![0; room];
                // What was asked this very moment is not asked again.
                a.now = a.now + Duration::from_millis(1);
                hand_body(&mut a, B, Verb::GOSSIP_DIGEST_SYN, &body);
                let answer: Vec<_> = a.sent().into_iter().map(|sent| sent.content).collect();
                let [Content::Ack { requests, states }] = &answer[..] else {
                    panic!("{room} bytes, {news} known, {newcomers} others: no ACK")
                };
                assert!(requests.len() > 100, "{room}: {}", requests.len());
                assert_eq!(states.len(), usize::from(lacks_ours), "{room}");
                let others = requests.iter().filter(|request| request.max_version == Version::ZERO).count();
                let expected = if lacks_ours { newcomers.min(60) } else { 0 };
                assert!(others >= expected, "{room}: {others} of those that were unknown");
            }
        }
    }
}

#[test]
fn a_list_of_heartbeats_costs_the_same_for_each_of_them() {
    let (mut few, mut many) = (Answering::of(2_000), Answering::of(4_368));
    // The shares of one heartbeat.
    assert!(costs_at_most(4, || (many.time() / many.count, few.time() / few.count)));
}

/// A node that knows so many heartbeats and is asked for all of them.
struct Answering {
    a: Driven,
    count: u32,
    question: Vec<u8>,
    buffer: Vec<u8>,
}

impl Answering {
    fn of(count: u32) -> Self {
        let mut a = Driven::new(builder(A, 1).change_limits(|limits| limits.max_pending_events = 1 << 16));
        for block in (0..count).step_by(500) {
            let names: Vec<_> = (block..count.min(block + 500)).map(address).collect();
            let states: Vec<_> =
                names.iter().map(|at| (at.as_str(), State::new(heartbeat(1, 5), &[]))).collect();
            claim(&mut a, &states);
            a.round();
        }
        assert_eq!(a.gossiper.endpoint_count(), usize::try_from(count).unwrap() + 1);
        let digests: Vec<_> = (0..count).map(|n| digest(&address(n), 1, 4)).collect();
        let question = syn(&digests).body(MessagingVersion::V12);
        Self { a, count, question, buffer: vec![0; ORDINARY] }
    }

    fn time(&mut self) -> Duration {
        hand_body(&mut self.a, C, Verb::GOSSIP_DIGEST_SYN, &self.question);
        while self.a.gossiper.next_peer().is_some() {}
        let mut out = Writer::new(&mut self.buffer);
        let codec = Codec::new(MessagingVersion::V12);
        duration(|| self.a.gossiper.encode(endpoint(C), codec, &mut out).unwrap())
    }
}

/// Many heartbeats at once make the mean of the intervals as good as zero, and then silence would mean nothing any more.
#[test]
fn a_burst_of_heartbeats_does_not_switch_phi_off() {
    let mut a = Driven::new(builder(A, 1).seed(endpoint(C)));
    a.round();
    a.learn_live(B, &State::new(heartbeat(1, 1), &[]));
    for version in 2..80 {
        a.hand(C, &ack2(&[(B, State::new(heartbeat(1, version), &[]))]));
    }
    a.sent();
    for _ in 0..100 {
        a.round();
    }
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    let down = |event: &Event| matches!(event, Event::Down { cause: DownCause::Convicted { .. }, .. });
    assert!(a.events().iter().any(down));
}

/// An endpoint that was listed, and cannot be reached now, must not be lost when no peer lists it any more.
#[test]
fn an_endpoint_that_did_not_answer_is_tried_again() {
    let mut a = Driven::new(builder(A, 1).saved_endpoint(endpoint(B)));
    a.learn(B, &State::new(heartbeat(5, 1), &[]));
    for _ in 0..12 {
        a.round();
    }
    assert_eq!(a.standing(B), Some(Standing::Unreachable));
    let to_b = |sent: &Vec<Sent>| sent.iter().any(|sent| sent.to == endpoint(B));
    assert!((0..200).map(|_| a.round()).any(|sent| to_b(&sent)));
    assert!(a.gossiper.max_version(endpoint(B)) >= Some(Version::new(1)));
}
