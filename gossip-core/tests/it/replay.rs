//! Captured SYNs and ACKs, answered by a gossiper as the real receiver answered them.
//!
//! What the receiver knew is not in a capture, but what it was sent is, in order: a neutral gossiper, whose own endpoint
//! no node in the capture knows, takes in every message that the receiver took in before that one. A process begins with its
//! shadow SYN and knows nothing then; until its first other SYN it takes no ACK for its own.
//!
//! What the receiver knew of itself follows from its answer. Versions totally order what a node publishes, so its state
//! at a moment is, of each key, the newest value that was ever seen of it up to its greatest version then. That version is
//! the greatest that the answer tells of itself; where the answer tells nothing, and asks for nothing, the
//! question had it right.
//!
//! A SYN belongs to the next ACK the other way that was made (not: sent) within half a second after it came, an ACK to such
//! an ACK2; one connection keeps the order. A node that was not listening, or not taking part, leaves a SYN unanswered.

mod receiver;

use alloc::collections::BTreeMap;

use gossip_core::message::Digest;
use gossip_core::{ApplicationState, Endpoint, Generation, HeartbeatState, Timestamp, Version};

use self::receiver::{NEUTRAL, Receiver, Replayed, answers, is_about_to_start, published};
use crate::internode::Captured;
use crate::support::{Content, State};
use crate::transcripts::{V14, replayable};

/// What became of the SYNs and the ACKs of a capture.
#[derive(Debug, PartialEq)]
struct Summary {
    file: &'static str,
    /// SYNs whose answer was compared.
    syns: usize,
    /// Those of them without digests.
    shadow: usize,
    /// ACKs whose answer was compared.
    acks: usize,
    /// How many states and requests the answers held.
    states: usize,
    requests: usize,
    /// How many SYNs came in vain while the receiver was starting: it had not sent a SYN with digests yet.
    while_starting: usize,
    /// How many SYNs came in vain to a process whose gossip was disabled.
    while_disabled: usize,
    /// ACKs without answer.
    acks_in_vain: usize,
    /// How often our answer differs, by what is different. Nothing else does.
    explained: &'static [(Difference, usize)],
}

/// In what our answer may differ.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Difference {
    /// Cassandra drops a value without port that comes beside one with port; we relay both.
    LegacyValueKept,
    /// We ask from the version of such a value, Cassandra from the one before it.
    AskedFromLegacyValue,
    /// What a receiver makes up for a stopped process: constant versions, of which every peer learns.
    InventedShutdown,
    /// Cassandra also invents a status for an endpoint that published none.
    StatusOfNobody,
    /// Cassandra forgets who has no tokens after a silence.
    SilentMemberKept,
    /// We ask for a limited number of unknown endpoints at a time.
    AskedNextTime,
}

const FILES: [Summary; 6] = [
    Summary {
        file: "c40-2node-all.pcap",
        syns: 82,
        shadow: 1,
        acks: 81,
        states: 88,
        requests: 81,
        while_starting: 0,
        while_disabled: 0,
        acks_in_vain: 0,
        explained: &[(Difference::AskedFromLegacyValue, 2), (Difference::InventedShutdown, 8)],
    },
    Summary {
        file: "c40-2node-none.pcap",
        syns: 189,
        shadow: 3,
        acks: 186,
        states: 200,
        requests: 186,
        while_starting: 79,
        while_disabled: 0,
        acks_in_vain: 0,
        explained: &[
            (Difference::LegacyValueKept, 5),
            (Difference::AskedFromLegacyValue, 1),
            (Difference::InventedShutdown, 15),
        ],
    },
    Summary {
        file: "c40-3node-dc.pcap",
        syns: 316,
        shadow: 2,
        acks: 314,
        states: 539,
        requests: 345,
        while_starting: 0,
        while_disabled: 27,
        acks_in_vain: 0,
        explained: &[
            (Difference::LegacyValueKept, 14),
            (Difference::AskedFromLegacyValue, 3),
            (Difference::InventedShutdown, 15),
        ],
    },
    Summary {
        file: "c40-member.pcap",
        syns: 38,
        shadow: 2,
        acks: 36,
        states: 39,
        requests: 5035,
        while_starting: 0,
        while_disabled: 0,
        acks_in_vain: 0,
        explained: &[
            (Difference::InventedShutdown, 1),
            (Difference::StatusOfNobody, 2),
            (Difference::SilentMemberKept, 2),
            (Difference::AskedNextTime, 4488),
        ],
    },
    Summary {
        file: "c50-2node-compatNONE.pcap",
        syns: 84,
        shadow: 1,
        acks: 83,
        states: 89,
        requests: 83,
        while_starting: 0,
        while_disabled: 0,
        acks_in_vain: 0,
        explained: &[(Difference::AskedFromLegacyValue, 1)],
    },
    // The node's answers to a gossip-only peer.
    Summary {
        file: V14,
        syns: 5,
        shadow: 0,
        acks: 5,
        states: 7,
        requests: 5,
        while_starting: 0,
        while_disabled: 0,
        acks_in_vain: 0,
        explained: &[],
    },
];

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn real_nodes_are_answered_as_by_the_real_receiver() {
    for expected in FILES {
        let tally = replay(expected.file);
        let explained: Vec<_> = tally.explained.iter().map(|(what, count)| (*what, *count)).collect();
        let found = Summary {
            file: expected.file,
            syns: tally.syns,
            shadow: tally.shadow,
            acks: tally.acks,
            states: tally.states,
            requests: tally.requests,
            while_starting: tally.while_starting,
            while_disabled: tally.while_disabled,
            acks_in_vain: tally.acks_in_vain,
            explained: expected.explained,
        };
        assert_eq!(found, expected);
        assert_eq!(explained, expected.explained, "{}", expected.file);
    }
}

fn replay(file: &str) -> Tally {
    let messages: Vec<Replayed> = replayable(file).into_iter().map(Replayed::of).collect();
    let answers = answers(&messages);
    let published = published(&messages);
    let mut tally = Tally::default();
    let mut receivers: BTreeMap<Endpoint, Receiver> = BTreeMap::new();
    for (at, message) in messages.iter().enumerate() {
        let Captured { from, to, micros, .. } = message.captured;
        let now = Timestamp::from_nanos((micros - messages[0].captured.micros) * 1_000);
        if let Content::Syn { digests, .. } = &message.content {
            let sender = receivers.entry(from).or_insert_with(|| Receiver::new(now));
            if digests.is_empty() {
                *sender = Receiver::new(now);
            } else {
                // A SYN that is sent after the announcement, while the sender goes on for a while, is not a new beginning.
                let own =
                    digests.iter().find(|digest| digest.endpoint == from).map(|digest| digest.generation);
                sender.is_stopped &= sender.generation == own;
                sender.generation = own;
                sender.takes_part = true;
            }
        }
        let receiver = receivers.entry(to).or_insert_with(|| Receiver::new(now));
        match &message.content {
            // Not Cassandra's answer.
            Content::Syn { .. } if is_test_peer(file, to) => {}
            Content::Syn { digests, .. } => match answers.get(&at) {
                Some(answer) => {
                    let answer = &messages[*answer].content;
                    receiver.know_itself(now, to, digests, answer, &published);
                    let ours = receiver.answer(now, message);
                    tally.compare(message, &ours, answer, receiver);
                }
                None if !receiver.takes_part || is_about_to_start(to, &messages[at..]) => {
                    tally.while_starting += 1
                }
                None => {
                    assert!(receiver.is_stopped, "no answer to {message:?}");
                    tally.while_disabled += 1;
                }
            },
            Content::Ack { .. } if !receiver.takes_part => {}
            Content::Echo { .. } => {}
            Content::Ack { requests, states } => {
                receiver.teach(now, from, others(states, to));
                match answers.get(&at).map(|answer| &messages[*answer].content) {
                    _ if is_test_peer(file, to) => {}
                    Some(answer) => {
                        receiver.know_itself(now, to, requests, answer, &published);
                        let ours = receiver.answer(now, message);
                        tally.compare(message, &ours, answer, receiver);
                    }
                    None => tally.acks_in_vain += 1,
                }
            }
            Content::Ack2 { states } => receiver.teach(now, from, others(states, to)),
            Content::Shutdown { .. } => {
                receiver.take(now, message);
                receivers.entry(from).or_insert_with(|| Receiver::new(now)).is_stopped = true;
            }
        }
    }
    tally
}

/// What others say of it is nothing to the receiver.
fn others(states: &[(Endpoint, State)], receiver: Endpoint) -> Vec<(Endpoint, State)> {
    states.iter().filter(|(at, _)| *at != receiver).cloned().collect()
}

/// Whether `endpoint` is the peer that was tested against a Cassandra node.
fn is_test_peer(file: &str, endpoint: Endpoint) -> bool {
    match file {
        "c40-member.pcap" => endpoint != Endpoint::v4([127, 0, 0, 11], 7000),
        V14 => endpoint != Endpoint::v4([127, 0, 0, 143], 7000),
        _ => false,
    }
}

#[derive(Debug, Default)]
struct Tally {
    syns: usize,
    shadow: usize,
    acks: usize,
    states: usize,
    requests: usize,
    while_starting: usize,
    while_disabled: usize,
    acks_in_vain: usize,
    explained: BTreeMap<Difference, usize>,
}

type States = BTreeMap<Endpoint, (HeartbeatState, BTreeMap<ApplicationState, (Vec<u8>, Version)>)>;
type Requests = BTreeMap<Endpoint, (Generation, Version)>;

impl Tally {
    fn compare(&mut self, question: &Replayed, ours: &Content, theirs: &Content, receiver: &Receiver) {
        let digests = match &question.content {
            Content::Syn { digests, .. } => {
                self.syns += 1;
                self.shadow += usize::from(digests.is_empty());
                digests
            }
            Content::Ack { requests, .. } => {
                self.acks += 1;
                requests
            }
            _ => panic!("{question:?} asks for nothing"),
        };
        let (mut requests, mut states) = sorted(ours);
        let (their_requests, their_states) = sorted(theirs);
        self.states += their_states.len();
        self.requests += their_requests.len();
        // We are a fourth that the receiver did not know of.
        states.remove(&NEUTRAL);
        let receiver_itself = question.captured.to;
        for (at, (heartbeat, values)) in core::mem::take(&mut states) {
            let from = digests.iter().find(|digest| digest.endpoint == at).map(|digest| digest.max_version);
            let Some((_, their_values)) = their_states.get(&at) else {
                if from.is_none() && receiver.is_stopped_without_tokens(at) {
                    self.explain(Difference::SilentMemberKept);
                } else {
                    states.insert(at, (heartbeat, values));
                }
                continue;
            };
            let mut kept = BTreeMap::new();
            for (key, (text, version)) in values {
                let their_value = their_values.get(&key);
                if heartbeat.version == Version::SHUTDOWN && INVENTED.contains(&(key, version)) {
                    self.explain(Difference::InventedShutdown);
                    // A peer that knew more than the invented version does not learn of it.
                    match their_value {
                        Some((their_text, _)) if *their_text == text => {
                            kept.insert(key, their_values[&key].clone());
                        }
                        None if from > Some(Version::ZERO) => {}
                        _ => panic!("{key} of {at}: {their_value:?}"),
                    }
                    continue;
                }
                if at != receiver_itself && their_value.is_none() && receiver.is_legacy(at, key) {
                    self.explain(Difference::LegacyValueKept);
                    continue;
                }
                kept.insert(key, (text, version));
            }
            // What the endpoint said itself needs no new version.
            for (key, _) in INVENTED {
                let Some((text, version)) = their_values.get(&key) else { continue };
                if heartbeat.version == Version::SHUTDOWN
                    && !kept.contains_key(&key)
                    && receiver.says(at, key, text)
                {
                    self.explain(Difference::InventedShutdown);
                    kept.insert(key, (text.clone(), *version));
                }
            }
            for (key, _) in INVENTED.into_iter().filter(|(key, _)| key.is_status()) {
                let Some((text, version)) = their_values.get(&key) else { continue };
                if heartbeat.version == Version::SHUTDOWN
                    && !kept.contains_key(&key)
                    && receiver.has_no_status(at)
                {
                    self.explain(Difference::StatusOfNobody);
                    assert_eq!(text, b"shutdown,true");
                    kept.insert(key, (text.clone(), *version));
                }
            }
            states.insert(at, (heartbeat, kept));
        }
        for (at, (_, from)) in &mut requests {
            let their_from = their_requests.get(at).map(|(_, version)| *version);
            if their_from != Some(*from) && their_from == receiver.max_version_without_legacy(*at) {
                self.explain(Difference::AskedFromLegacyValue);
                *from = their_from.unwrap();
            }
        }
        if requests.len() == MAX_UNKNOWN {
            for (at, request) in &their_requests {
                if request.1 == Version::ZERO && requests.insert(*at, *request).is_none() {
                    self.explain(Difference::AskedNextTime);
                }
            }
        }
        assert_eq!(requests, their_requests, "{question:?}");
        assert_eq!(states, their_states, "{question:?}");
    }

    fn explain(&mut self, difference: Difference) {
        *self.explained.entry(difference).or_default() += 1;
    }
}

/// How many unknown endpoints we ask for at a time.
const MAX_UNKNOWN: usize = 512;

/// What we make up for a process that stopped without a word on its state.
const INVENTED: [(ApplicationState, Version); 3] = [
    (ApplicationState::RPC_READY, Version::new(i32::MAX - 3)),
    (ApplicationState::STATUS_WITH_PORT, Version::new(i32::MAX - 2)),
    (ApplicationState::STATUS, Version::new(i32::MAX - 1)),
];

/// What an ACK or ACK2 asks for and tells, each endpoint and each key once.
fn sorted(answer: &Content) -> (Requests, States) {
    let (requests, states): (&[Digest], _) = match answer {
        Content::Ack { requests, states } => (requests, states),
        Content::Ack2 { states } => (&[], states),
        _ => panic!("{answer:?} is no answer"),
    };
    let sorted_requests: Requests =
        requests.iter().map(|digest| (digest.endpoint, (digest.generation, digest.max_version))).collect();
    let sorted_states: States = states
        .iter()
        .map(|(at, state)| {
            let values = state.values.iter().map(|(key, text, version)| (*key, (text.clone(), *version)));
            (*at, (state.heartbeat, values.collect()))
        })
        .collect();
    assert_eq!((sorted_requests.len(), sorted_states.len()), (requests.len(), states.len()), "{answer:?}");
    (sorted_requests, sorted_states)
}
