//! What does not fit into a message is cut so that nothing gets lost, and what is but a part is not taken for the whole.

use alloc::collections::BTreeMap;

use gossip_core::message::Digest;
use gossip_core::{
    ApplicationState, Endpoint, Generation, HeartbeatState, MessagingVersion, Transport, Version,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Content, Driven, State, ack, ack2, builder, digest, endpoint, heartbeat, java, syn};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";
const C: &str = "10.0.0.3:7000";
const D: &str = "10.0.0.4:7000";
const E: &str = "10.0.0.5:7000";

/// The least room that a message is written into.
const LEAST: usize = 4_096;

fn key(n: usize) -> ApplicationState {
    ApplicationState::new(1_000 + i32::try_from(n).unwrap())
}

fn version(n: usize) -> Version {
    Version::new(i32::try_from(n).unwrap())
}

/// A state whose values have these versions, in the order of their keys, and 500 bytes each.
fn wide(heartbeat: HeartbeatState, versions: &[usize]) -> State {
    let values = versions.iter().enumerate();
    State {
        heartbeat,
        values: values.map(|(n, at)| (key(n), java(&"x".repeat(500)), version(*at))).collect(),
    }
}

fn node() -> Driven {
    let mut driven = Driven::new(builder(A, 100).seed(endpoint(B)));
    driven.buffer.truncate(LEAST);
    driven
}

fn ack_of(answers: Vec<Content>) -> (Vec<Digest>, Vec<(Endpoint, State)>) {
    let [Content::Ack { requests, states }] = &answers[..] else { panic!("{answers:?}") };
    (requests.clone(), states.clone())
}

fn versions(state: &State) -> Vec<i32> {
    let mut versions: Vec<i32> = state.values.iter().map(|(.., version)| version.get()).collect();
    versions.sort_unstable();
    versions
}

#[test]
fn a_part_is_a_prefix_in_the_order_of_versions() {
    let mut a = node();
    // The greater the key, the smaller the version; the heartbeat lies between.
    let all: Vec<usize> = (1..=20).rev().collect();
    a.learn(C, &wide(heartbeat(100, 10), &all));
    a.sent();
    let (_, states) = ack_of(a.answers(B, &syn(&[digest(C, 50, 900)])));
    // 4,096 bytes less two counts, the address and the heartbeat hold seven values of 510 bytes.
    assert_eq!((versions(&states[0].1), states[0].1.heartbeat), ((1..=7).collect(), heartbeat(100, 7)));
    let (_, states) = ack_of(a.answers(B, &syn(&[digest(C, 100, 7)])));
    assert_eq!((versions(&states[0].1), states[0].1.heartbeat), ((8..=14).collect(), heartbeat(100, 10)));
    let (_, states) = ack_of(a.answers(B, &syn(&[digest(C, 100, 14)])));
    assert_eq!((versions(&states[0].1), states[0].1.heartbeat), ((15..=20).collect(), heartbeat(100, 10)));
}

#[test]
fn answers_to_requests_are_cut_alike() {
    let mut a = node();
    a.learn(C, &wide(heartbeat(100, 30), &(1..=20).collect::<Vec<_>>()));
    a.sent();
    a.round();
    for (from, expected) in [(0, 1..=7), (7, 8..=14)] {
        let answers = a.answers(B, &ack(&[digest(C, 100, from)], &[]));
        let [Content::Ack2 { states }] = &answers[..] else { panic!("{answers:?}") };
        let last = *expected.end();
        assert_eq!(
            (versions(&states[0].1), states[0].1.heartbeat),
            (expected.collect(), heartbeat(100, last))
        );
    }
}

#[test]
fn values_of_one_version_stay_together() {
    let mut a = node();
    let mut equal = vec![3; 9];
    equal[4] = 1;
    equal[5] = 2;
    equal[0] = 2;
    a.learn(C, &wide(heartbeat(100, 30), &equal));
    a.sent();
    let (_, states) = ack_of(a.answers(B, &syn(&[digest(C, 100, 0)])));
    assert_eq!((versions(&states[0].1), states[0].1.heartbeat), (vec![1, 2, 2], heartbeat(100, 2)));
    // The six that remain fit into the next.
    let (_, states) = ack_of(a.answers(B, &syn(&[digest(C, 100, 2)])));
    assert_eq!((versions(&states[0].1), states[0].1.heartbeat), (vec![3; 6], heartbeat(100, 30)));
}

#[test]
fn what_can_never_fit_is_not_sent_at_all() {
    let mut a = node();
    a.learn(C, &wide(heartbeat(100, 30), &[5; 9]));
    a.sent();
    assert_eq!(ack_of(a.answers(B, &syn(&[digest(C, 100, 0)]))), (vec![], vec![]), "not even the heartbeat");
    let one_too_large =
        State { heartbeat: heartbeat(101, 3), values: vec![(key(0), java(&"x".repeat(5_000)), version(2))] };
    a.learn(C, &one_too_large);
    a.sent();
    assert_eq!(ack_of(a.answers(B, &syn(&[digest(C, 101, 0)]))), (vec![], vec![]));
    assert!(a.gossiper.is_large_due(endpoint(B)), "it goes over another connection");
    // Who lacks only the heartbeat gets that.
    let (_, states) = ack_of(a.answers(B, &syn(&[digest(C, 101, 2)])));
    assert_eq!(states, [(endpoint(C), State::new(heartbeat(101, 3), &[]))]);
}

#[test]
fn endpoints_with_a_new_heartbeat_alone_come_first() {
    let mut a = node();
    let mut known = Vec::new();
    for n in 0..20 {
        let at = format!("10.0.1.{n}:7000");
        let state =
            if n % 2 == 0 { wide(heartbeat(100, 9), &[8]) } else { State::new(heartbeat(100, 9), &[]) };
        a.learn(&at, &state);
        known.push(digest(&at, 100, 7));
    }
    a.sent();
    let (_, states) = ack_of(a.answers(B, &syn(&known)));
    let sizes: Vec<usize> = states.iter().map(|(_, state)| state.values.len()).collect();
    assert_eq!(sizes, [[0; 10].as_slice(), &[1; 7]].concat(), "then as many with values as fit");
}

/// The own digest is in every SYN; the others go round.
#[test]
fn digests_that_find_no_room_come_with_the_next_syn() {
    let mut a = node();
    for n in 0..400 {
        a.learn(&format!("10.1.{}.{}:7000", n / 200, n % 200), &State::new(heartbeat(100, 9), &[]));
    }
    a.sent();
    let mut listed = BTreeMap::new();
    for _ in 0..2 {
        for sent in a.round() {
            let Content::Syn { digests, .. } = sent.content else { continue };
            assert_eq!(digests[0].endpoint, endpoint(A));
            assert!((260..273).contains(&digests.len()), "{}", digests.len());
            for digest in digests {
                *listed.entry(digest.endpoint).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(listed.len(), 401);
    assert!(listed.values().all(|count| (1..=2).contains(count)));
}

#[test]
fn heartbeats_leave_a_quarter_to_values() {
    let mut a = node();
    let mut known = Vec::new();
    for n in 0..400 {
        let at = format!("10.1.{}.{}:7000", n / 200, n % 200);
        a.learn(&at, &State::new(heartbeat(100, 9), &[]));
        known.push(digest(&at, 100, 7));
    }
    a.learn(C, &wide(heartbeat(100, 9), &[8]));
    a.sent();
    let without = ack_of(a.answers(B, &syn(&known))).1.len();
    known.push(digest(C, 100, 7));
    let (_, states) = ack_of(a.answers(B, &syn(&known)));
    let (values, heartbeats): (Vec<_>, Vec<_>) =
        states.iter().partition(|(_, state)| !state.values.is_empty());
    assert_eq!(values.len(), 1);
    // A heartbeat alone takes 19 bytes.
    assert_eq!((without, heartbeats.len()), ((LEAST - 8) / 19, (LEAST - 8) * 3 / 4 / 19 + 1));
}

/// Endpoints that are known in version 9 of generation 100, without values; and digests of them.
fn learn_many(a: &mut Driven, count: usize, theirs: (i32, i32)) -> Vec<Digest> {
    let names: Vec<_> = (0..count).map(|n| format!("10.1.{}.{}:7000", n / 200, n % 200)).collect();
    for at in &names {
        a.learn(at, &State::new(heartbeat(100, 9), &[]));
    }
    a.sent();
    names.iter().map(|at| digest(at, theirs.0, theirs.1)).collect()
}

/// A digest takes 15 bytes, and the room of the longest is kept free.
#[test]
fn requests_leave_half_the_room_to_states_and_a_quarter_to_unknown_endpoints() {
    let of = |room: usize, kept: usize| (room - kept - 27) / 15 + 1;
    let unknown: Vec<_> =
        (0..400).map(|n| digest(&format!("10.3.{}.{}:7000", n / 200, n % 200), 100, 9)).collect();
    // What is known of an earlier process is requested from the start, and else from where it is known.
    for theirs in [(100, 20), (200, 20)] {
        let mut a = node();
        let mut listed = learn_many(&mut a, 400, theirs);
        let (requests, states) = ack_of(a.answers(B, &syn(&listed)));
        assert_eq!((requests.len(), states.len()), (of(LEAST - 4, 4), 0), "nothing is told");

        let mut a = node();
        learn_many(&mut a, 400, theirs);
        a.learn(C, &wide(heartbeat(100, 9), &[8]));
        a.sent();
        listed.push(digest(C, 100, 7));
        listed.extend(&unknown);
        let (requests, states) = ack_of(a.answers(B, &syn(&listed)));
        let known = of(LEAST - 4, LEAST / 2);
        let is_known = |digest: &&Digest| !unknown.iter().any(|one| one.endpoint == digest.endpoint);
        assert_eq!(requests.iter().filter(is_known).count(), known);
        assert_eq!(requests.len(), known + of(LEAST - 4 - known * 15, LEAST / 4));
        assert_eq!(states, [(endpoint(C), wide(heartbeat(100, 9), &[8]))]);
    }
}

#[test]
fn what_is_cut_is_the_same_where_addresses_have_no_port() {
    let answer = |version| {
        let mut a = node();
        a.version = version;
        let mut listed = learn_many(&mut a, 40, (100, 7));
        for digest in &mut listed[20..] {
            digest.max_version = Version::new(20);
        }
        let mut said = a.answers(B, &syn(&listed));
        said.extend(a.round().into_iter().map(|sent| sent.content));
        said
    };
    let [Content::Ack { requests, states }, Content::Syn { digests, .. }] =
        &answer(MessagingVersion::V12)[..]
    else {
        panic!("{:?}", answer(MessagingVersion::V12))
    };
    assert_eq!((requests.len(), states.len(), digests.len()), (20, 20, 41));
    for version in [MessagingVersion::V10, MessagingVersion::V11] {
        assert_eq!(answer(version), answer(MessagingVersion::V12));
    }
}

/// It finds no room behind other states. A smaller one does.
#[test]
fn a_value_waits_for_another_exchange_if_it_fits_a_quarter_of_a_message_and_a_larger_one_goes_apart() {
    // The last fits no message at all.
    for (length, is_large) in [(930, false), (1_000, true), (3_900, true), (4_050, true)] {
        let mut a = node();
        let small = wide(heartbeat(100, 9), &[8]);
        let before: Vec<_> = (1..=6).map(|n| format!("10.1.0.{n}:7000")).collect();
        for at in &before {
            a.learn(at, &small);
        }
        let texts = [java(&"x".repeat(length / 2)), java(&"x".repeat(length - length / 2))];
        let values = texts.into_iter().enumerate().map(|(n, text)| (key(n), text, version(2)));
        a.learn(D, &State { heartbeat: heartbeat(100, 3), values: values.collect() });
        a.learn(E, &small);
        a.sent();
        let mut listed: Vec<_> = before.iter().map(|at| digest(at, 100, 0)).collect();
        listed.extend([digest(D, 100, 1), digest(E, 100, 7)]);
        let (_, states) = ack_of(a.answers(B, &syn(&listed)));
        let told: Vec<_> = states.iter().map(|(endpoint, _)| *endpoint).collect();
        let expected = before.iter().map(String::as_str).chain([E]).map(endpoint);
        assert_eq!(told, expected.collect::<Vec<_>>());
        assert_eq!(a.gossiper.is_large_due(endpoint(B)), is_large, "{length}");
    }
}

/// Found by a seed of the simulation. There are new heartbeats in each exchange. They took the room, and the endpoint of the value seemed dead.
#[test]
fn a_value_of_more_than_a_quarter_of_a_message_does_not_starve_beside_heartbeats() {
    for length in [900, 940, 950, 960, 970, 980, 990, 1_000, 1_010, 1_020, 2_000, 4_000] {
        let mut a = node();
        let mut listed = learn_many(&mut a, 400, (100, 7));
        let state = State {
            heartbeat: heartbeat(100, 9),
            values: vec![(key(1), java(&"x".repeat(length)), version(8))],
        };
        a.learn(D, &state);
        a.sent();
        listed.push(digest(D, 100, 7));
        let (_, states) = ack_of(a.answers(B, &syn(&listed)));
        let is_there = states.iter().any(|(endpoint_told, _)| *endpoint_told == endpoint(D));
        assert!(is_there != a.gossiper.is_large_due(endpoint(B)), "{length} bytes: here, or apart");
    }
}

/// As much room as a packet has, where what finds none follows in another.
fn in_packets() -> Driven {
    let mut driven = Driven::new(builder(A, 100).transport(Transport::Datagram));
    driven.buffer.truncate(1_400);
    driven
}

/// What several ACKs request and tell.
fn together(answers: Vec<Content>) -> (Vec<Digest>, Vec<(Endpoint, State)>) {
    let (mut all_requests, mut all_states) = (Vec::new(), Vec::new());
    for answer in answers {
        let (requests, states) = ack_of(vec![answer]);
        all_requests.extend(requests);
        all_states.extend(states);
    }
    (all_requests, all_states)
}

#[test]
fn in_packets_all_comes_once_and_what_fits_a_packet_is_not_cut() {
    let mut a = in_packets();
    let mut listed = learn_many(&mut a, 120, (100, 7));
    let (behind, ahead) = listed.split_at_mut(60);
    for digest in ahead {
        digest.max_version = Version::new(20);
    }
    let mut expected: Vec<_> =
        behind.iter().map(|digest| (digest.endpoint, State::new(heartbeat(100, 9), &[]))).collect();
    for n in 0..6 {
        let (at, state) = (format!("10.2.0.{n}:7000"), wide(heartbeat(100, 9), &[7, 8]));
        a.learn(&at, &state);
        listed.push(digest(&at, 100, 5));
        expected.push((endpoint(&at), state));
    }
    a.sent();
    listed.extend((0..60).map(|n| digest(&format!("10.3.0.{n}:7000"), 100, 9)));
    let answers = a.answers(B, &syn(&listed));
    assert!(answers.len() > 6, "{}", answers.len());
    let (requests, mut states) = together(answers);
    let mut asked: Vec<_> = requests.iter().map(|digest| digest.endpoint).collect();
    asked.sort_unstable();
    let mut unknown_here: Vec<_> = [&listed[60..120], &listed[126..]].concat();
    unknown_here.sort_unstable_by_key(|digest| digest.endpoint);
    assert_eq!(asked, unknown_here.iter().map(|digest| digest.endpoint).collect::<Vec<_>>());
    states.sort_by_key(|(at, _)| *at);
    expected.sort_by_key(|(at, _)| *at);
    assert_eq!(states, expected);
}

#[test]
fn in_packets_a_state_is_cut_if_it_fits_none_and_those_behind_it_come_too() {
    let mut a = in_packets();
    a.learn(C, &wide(heartbeat(100, 9), &[2, 3, 4, 5, 6, 7, 8]));
    let whole = wide(heartbeat(100, 9), &[7, 8]);
    a.learn(D, &whole);
    a.sent();
    let mut listed = vec![digest(C, 100, 1), digest(D, 100, 5)];
    listed.extend((0..20).map(|n| digest(&format!("10.3.0.{n}:7000"), 100, 9)));
    let (requests, states) = together(a.answers(B, &syn(&listed)));
    assert_eq!(requests.len(), 20);
    let told: Vec<_> = states.iter().map(|(at, state)| (*at, versions(state))).collect();
    assert_eq!(told, [(endpoint(C), vec![2, 3]), (endpoint(D), vec![7, 8])]);
}

#[test]
fn a_state_that_was_not_requested_is_refused_and_asked_for() {
    let whole =
        State::new(heartbeat(200, 9), &[(ApplicationState::DC, "dc1", 2), (ApplicationState::LOAD, "1", 8)]);
    let part = State::new(heartbeat(200, 9), &[(ApplicationState::LOAD, "1", 8)]);
    for known_before in [None, Some(State::new(heartbeat(100, 5), &[(ApplicationState::DC, "dc0", 1)]))] {
        let mut a = node();
        a.round();
        if let Some(state) = &known_before {
            a.learn(C, state);
        }
        a.sent();
        a.hand(B, &ack2(&[(C, part.clone())]));
        assert_eq!(a.heartbeat(C), known_before.as_ref().map(|state| state.heartbeat));
        assert_eq!(a.gossiper.stats().unrequested_states, 1);
        let syns = a.round();
        let syn = syns.iter().find(|sent| sent.to == endpoint(B)).unwrap();
        let Content::Syn { digests, .. } = &syn.content else { panic!("{syn:?}") };
        assert!(digests.contains(&digest(C, 200, 0)), "{digests:?}");
        // That brings everything.
        a.hand(B, &ack(&[], &[(C, whole.clone())]));
        assert_eq!(a.heartbeat(C), Some(heartbeat(200, 9)));
        assert_eq!(a.value(C, ApplicationState::DC), Some(("dc1".to_owned(), 2)));
        // Once known, parts are welcome.
        a.hand(B, &ack2(&[(C, State::new(heartbeat(200, 12), &[(ApplicationState::LOAD, "2", 11)]))]));
        assert_eq!(a.value(C, ApplicationState::LOAD), Some(("2".to_owned(), 11)));
    }
}

/// Found by the reference model: what was requested of another peer was missing in a SYN that requests something.
#[test]
fn a_syn_that_requests_an_endpoint_lists_all_others() {
    let mut a = node();
    a.round();
    a.learn(D, &State::new(heartbeat(100, 5), &[]));
    a.sent();
    // A later process of D is requested of C, and a state of E in part has to be requested by the next SYN.
    a.hand(C, &syn(&[digest(D, 200, 7)]));
    a.hand(B, &ack2(&[(E, State::new(heartbeat(300, 9), &[(ApplicationState::LOAD, "1", 8)]))]));
    a.sent();
    let syns = a.round();
    let syn = syns.iter().find(|sent| sent.to == endpoint(B)).unwrap();
    let Content::Syn { digests, .. } = &syn.content else { panic!("{syn:?}") };
    assert!(digests.contains(&digest(E, 300, 0)), "{digests:?}");
    assert!(digests.contains(&digest(D, 100, 5)), "{digests:?}");
}

/// Found by the reference model: the state was requested and sent once more.
#[test]
fn an_endpoint_whose_whole_state_has_come_is_not_requested_again() {
    let mut a = node();
    a.round();
    a.learn(D, &State::new(heartbeat(100, 5), &[]));
    a.sent();
    // A state of a later process comes unrequested, which has to be requested; then all of it comes as the answer to our SYN.
    let later = State::new(heartbeat(200, 9), &[(ApplicationState::LOAD, "1", 8)]);
    a.hand(C, &ack2(&[(D, later.clone())]));
    assert_eq!((a.heartbeat(D), a.gossiper.stats().unrequested_states), (Some(heartbeat(100, 5)), 1));
    a.hand(B, &ack(&[], &[(D, later)]));
    assert_eq!(a.heartbeat(D), Some(heartbeat(200, 9)));
    a.sent();
    let syns = a.round();
    let digests = syns.iter().filter_map(|sent| match &sent.content {
        Content::Syn { digests, .. } => Some(digests.clone()),
        _ => None,
    });
    let listed: Vec<_> = digests.flatten().filter(|listed| listed.endpoint == endpoint(D)).collect();
    assert!(!listed.is_empty() && listed.iter().all(|listed| *listed == digest(D, 200, 9)), "{listed:?}");
}

/// A greater generation in an ACK comes from a peer that knows that we had a smaller one: it is everything.
#[test]
fn a_greater_generation_in_an_ack_is_taken() {
    let mut a = node();
    a.round();
    a.learn(C, &State::new(heartbeat(100, 5), &[]));
    a.hand(B, &ack(&[], &[(C, State::new(heartbeat(200, 9), &[(ApplicationState::DC, "dc1", 2)]))]));
    assert_eq!((a.heartbeat(C), a.gossiper.stats().unrequested_states), (Some(heartbeat(200, 9)), 0));
}

/// A receiver that goes by Cassandra's rules (`docs/protocol/exchange.md#comparing-digests`, `docs/protocol/exchange.md#applying-states` and `docs/protocol/exchange.md#newer-values-of-the-same-generation`), as far as states go.
#[derive(Debug, Default)]
struct Cassandra {
    states: BTreeMap<Endpoint, Known>,
}

type Values = BTreeMap<ApplicationState, (Vec<u8>, Version)>;

#[derive(Clone, Debug, PartialEq)]
struct Known {
    heartbeat: HeartbeatState,
    values: Values,
}

impl Known {
    fn of(state: &State) -> Self {
        let values = state.values.iter().map(|(key, text, version)| (*key, (text.clone(), *version)));
        Self { heartbeat: state.heartbeat, values: values.collect() }
    }

    fn max_version(&self) -> Version {
        self.values.values().map(|(_, version)| *version).fold(self.heartbeat.version, Version::max)
    }
}

impl Cassandra {
    fn digests(&self) -> Vec<Digest> {
        let digest = |(endpoint, known): (&Endpoint, &Known)| Digest {
            endpoint: *endpoint,
            generation: known.heartbeat.generation,
            max_version: known.max_version(),
        };
        self.states.iter().map(digest).collect()
    }

    /// Of what it asks the sender of these digests.
    fn requests(&self, digests: &[Digest]) -> Vec<Digest> {
        let request = |theirs: &Digest| {
            let (generation, version) =
                self.states.get(&theirs.endpoint).map_or((None, Version::ZERO), |known| {
                    (Some(known.heartbeat.generation), known.max_version())
                });
            if Some(theirs.generation) > generation {
                Some(Digest { max_version: Version::ZERO, ..*theirs })
            } else if Some(theirs.generation) == generation && theirs.max_version > version {
                Some(Digest { max_version: version, ..*theirs })
            } else {
                None
            }
        };
        digests.iter().filter_map(request).collect()
    }

    fn apply(&mut self, states: &[(Endpoint, State)]) {
        for (endpoint, state) in states {
            let remote = Known::of(state);
            let Some(local) = self.states.get_mut(endpoint) else {
                self.states.insert(*endpoint, remote);
                continue;
            };
            let (ours, theirs) = (local.heartbeat.generation, remote.heartbeat.generation);
            if theirs > ours {
                *local = remote;
            } else if theirs == ours && remote.max_version() > local.max_version() {
                local.heartbeat = remote.heartbeat;
                for (key, (text, version)) in remote.values {
                    if local.values.get(&key).is_none_or(|(_, known)| *known < version) {
                        local.values.insert(key, (text, version));
                    }
                }
            }
        }
    }
}

/// What happens next between a gossiper and the receiver.
#[derive(Clone, Debug)]
enum Step {
    /// An endpoint sets values, some under one version: for each key how long the text is and whether the version is new.
    Change {
        endpoint: usize,
        values: Vec<(usize, usize, bool)>,
    },
    Beat {
        endpoint: usize,
    },
    Restart {
        endpoint: usize,
        values: Vec<(usize, usize, bool)>,
    },
    /// The receiver sends its SYN; the answer is written into so many bytes and gets under way.
    ReceiverAsks {
        room: usize,
    },
    /// The gossiper sends its SYN, and answers what the receiver asks for.
    SenderOffers {
        room: usize,
    },
    /// A message that is under way arrives, and goes on to be under way: it may come twice.
    Deliver {
        which: usize,
    },
    /// A message that is under way is lost.
    Lose {
        which: usize,
    },
}

fn values() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    vec((0..12_usize, 0..2_500_usize, any::<bool>()), 1..6)
}

fn step() -> impl Strategy<Value = Step> {
    let room = LEAST..9_000_usize;
    prop_oneof![
        3 => (0..3_usize, values()).prop_map(|(endpoint, values)| Step::Change { endpoint, values }),
        2 => (0..3_usize).prop_map(|endpoint| Step::Beat { endpoint }),
        1 => (0..3_usize, values()).prop_map(|(endpoint, values)| Step::Restart { endpoint, values }),
        4 => room.clone().prop_map(|room| Step::ReceiverAsks { room }),
        3 => room.prop_map(|room| Step::SenderOffers { room }),
        6 => any::<usize>().prop_map(|which| Step::Deliver { which }),
        2 => any::<usize>().prop_map(|which| Step::Lose { which }),
    ]
}

/// The gossiper, what is true of the endpoints that it tells of, and the receiver.
struct World {
    sender: Driven,
    truth: Vec<(String, Known)>,
    receiver: Cassandra,
    under_way: Vec<Vec<(Endpoint, State)>>,
}

impl World {
    fn new() -> Self {
        let truth = (0..3)
            .map(|n| {
                (format!("10.0.1.{n}:7000"), Known { heartbeat: heartbeat(100, 1), values: Values::new() })
            })
            .collect();
        let mut world = Self {
            sender: Driven::new(builder(A, 100).seed(endpoint(B))),
            truth,
            receiver: Cassandra::default(),
            under_way: Vec::new(),
        };
        for n in 0..3 {
            world.publish(n);
        }
        world
    }

    /// Tells the gossiper of an endpoint as it is now.
    fn publish(&mut self, n: usize) {
        let (at, known) = &self.truth[n];
        let values =
            known.values.iter().map(|(key, (text, version))| (*key, text.clone(), *version)).collect();
        self.sender.learn(at, &State { heartbeat: known.heartbeat, values });
        self.sender.sent();
    }

    fn change(&mut self, n: usize, values: &[(usize, usize, bool)]) {
        let known = &mut self.truth[n].1;
        let mut version = Version::new(known.max_version().get() + 1);
        for (at, length, is_new) in values {
            if *is_new {
                version = Version::new(version.get() + 1);
            }
            known.values.insert(key(*at), (java(&"v".repeat(*length)), version));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Change { endpoint, values } => {
                self.change(*endpoint, values);
                self.publish(*endpoint);
            }
            Step::Beat { endpoint } => {
                let known = &mut self.truth[*endpoint].1;
                known.heartbeat.version = Version::new(known.max_version().get() + 1);
                self.publish(*endpoint);
            }
            Step::Restart { endpoint, values } => {
                let known = &mut self.truth[*endpoint].1;
                let generation = Generation::new(known.heartbeat.generation.get() + 1);
                *known = Known {
                    heartbeat: HeartbeatState { generation, version: Version::ZERO },
                    values: Values::new(),
                };
                self.change(*endpoint, values);
                self.publish(*endpoint);
            }
            Step::ReceiverAsks { room } => {
                let states = self.receiver_asks(*room);
                self.under_way.push(states);
            }
            Step::SenderOffers { room } => {
                let states = self.sender_offers(*room);
                self.under_way.push(states);
            }
            Step::Deliver { which } if !self.under_way.is_empty() => {
                let which = which % self.under_way.len();
                self.receiver.apply(&self.under_way[which]);
            }
            Step::Lose { which } if !self.under_way.is_empty() => {
                let which = which % self.under_way.len();
                self.under_way.swap_remove(which);
            }
            Step::Deliver { .. } | Step::Lose { .. } => {}
        }
    }

    fn with_room<T>(&mut self, room: usize, exchange: impl FnOnce(&mut Self) -> T) -> T {
        self.sender.buffer.resize(room, 0);
        let result = exchange(self);
        self.sender.buffer.resize(1 << 16, 0);
        result
    }

    fn receiver_asks(&mut self, room: usize) -> Vec<(Endpoint, State)> {
        let digests = self.receiver.digests();
        if digests.is_empty() {
            return vec![];
        }
        self.with_room(room, |world| ack_of(world.sender.answers(B, &syn(&digests))).1)
    }

    fn sender_offers(&mut self, room: usize) -> Vec<(Endpoint, State)> {
        let syns = self.sender.round();
        let syn = syns.iter().find(|sent| sent.to == endpoint(B)).unwrap();
        let Content::Syn { digests, .. } = &syn.content else { panic!("{syn:?}") };
        let requests = self.receiver.requests(digests);
        self.with_room(room, |world| {
            let answers = world.sender.answers(B, &ack(&requests, &[]));
            let [Content::Ack2 { states }] = &answers[..] else { panic!("{answers:?}") };
            states.clone()
        })
    }

    /// Asserts that the receiver has everything up to the version that it would ask from.
    fn assert_nothing_is_lost(&self) {
        for (at, truth) in &self.truth {
            let Some(known) = self.receiver.states.get(&endpoint(at)) else { continue };
            if known.heartbeat.generation != truth.heartbeat.generation {
                continue;
            }
            let max_version = known.max_version();
            assert!(max_version <= truth.max_version(), "{at}: {known:?}, {truth:?}");
            for (key, (text, version)) in &truth.values {
                if *version <= max_version {
                    assert_eq!(known.values.get(key), Some(&(text.clone(), *version)), "{at}: {key}");
                }
            }
            assert!(known.heartbeat.version <= truth.heartbeat.version, "{at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_when_parts_are_lost_repeated_or_out_of_order(steps in vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.assert_nothing_is_lost();
        }
        // When messages arrive, everything does.
        for _ in 0..40 {
            for states in [world.sender_offers(1 << 16), world.receiver_asks(1 << 16)] {
                world.receiver.apply(&states);
            }
            world.assert_nothing_is_lost();
        }
        for (at, truth) in &world.truth {
            prop_assert_eq!(world.receiver.states.get(&endpoint(at)), Some(truth));
        }
    }
}
