//! Captured SYNs, answered by a [`Gossiper`] as the real receiver answered them.
//!
//! What the receiver knew is not in a capture, but what it was told is, in order: a neutral gossiper, whose own endpoint
//! nobody in the capture knows, takes in every message that the receiver took in before the SYN. A process begins with its
//! shadow SYN and knows nothing then; until its first other SYN it takes no ACK for its own.
//!
//! What the receiver knew of itself follows from its answer. Versions totally order what a node publishes, so its state
//! at a moment is, of each key, the newest value that was ever seen of it up to its greatest version then. That version is
//! the greatest that the answer tells of itself; where the answer tells nothing, and asks for nothing, the SYN had it
//! right.
//!
//! A SYN belongs to the next ACK the other way that was made (not: sent) within half a second after it came; one
//! connection keeps the order. Whoever was not listening, or not taking part, leaves a SYN without answer.

use alloc::collections::{BTreeMap, BTreeSet};

use gossip_core::message::{Codec, Digest};
use gossip_core::wire::Writer;
use gossip_core::{
    ApplicationState, Config, Endpoint, Generation, Gossiper, HeartbeatState, MessagingVersion, Session,
    Timestamp, Verb, Version,
};

use crate::internode::Captured;
use crate::support::{Content, State, decode, java};
use crate::transcripts::replayable;

/// What became of the SYNs of a capture.
#[derive(Debug, PartialEq)]
struct Summary {
    file: &'static str,
    /// Those whose answer was compared.
    compared: usize,
    /// Those of them without digests.
    shadow: usize,
    /// How many states and requests the answers held.
    states: usize,
    requests: usize,
    /// How many came in vain while the receiver was starting: it had not sent a SYN with digests yet.
    while_starting: usize,
    /// How many came in vain to a process whose gossip was disabled.
    while_disabled: usize,
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
    /// Cassandra forgets who has no tokens after a silence.
    SilentMemberKept,
    /// We ask for a limited number of unknown endpoints at a time.
    AskedNextTime,
}

const FILES: [Summary; 5] = [
    Summary {
        file: "c40-2node-all.pcap",
        compared: 82,
        shadow: 1,
        states: 7,
        requests: 81,
        while_starting: 0,
        while_disabled: 0,
        explained: &[(Difference::AskedFromLegacyValue, 2), (Difference::InventedShutdown, 4)],
    },
    Summary {
        file: "c40-2node-none.pcap",
        compared: 189,
        shadow: 3,
        states: 14,
        requests: 186,
        while_starting: 79,
        while_disabled: 0,
        explained: &[
            (Difference::LegacyValueKept, 5),
            (Difference::AskedFromLegacyValue, 1),
            (Difference::InventedShutdown, 9),
        ],
    },
    Summary {
        file: "c40-3node-dc.pcap",
        compared: 316,
        shadow: 2,
        states: 194,
        requests: 345,
        while_starting: 0,
        while_disabled: 27,
        explained: &[
            (Difference::LegacyValueKept, 8),
            (Difference::AskedFromLegacyValue, 3),
            (Difference::InventedShutdown, 6),
        ],
    },
    Summary {
        file: "c40-member.pcap",
        compared: 38,
        shadow: 2,
        states: 2,
        requests: 5035,
        while_starting: 0,
        while_disabled: 0,
        explained: &[(Difference::SilentMemberKept, 2), (Difference::AskedNextTime, 4488)],
    },
    Summary {
        file: "c50-2node-compatNONE.pcap",
        compared: 84,
        shadow: 1,
        states: 6,
        requests: 83,
        while_starting: 0,
        while_disabled: 0,
        explained: &[(Difference::AskedFromLegacyValue, 1)],
    },
];

#[test]
fn real_syns_are_answered_as_by_the_real_receiver() {
    for expected in FILES {
        let Some(found) = replay(&expected) else { return };
        assert_eq!(found, expected);
    }
}

fn replay(expected: &Summary) -> Option<Summary> {
    let file = expected.file;
    let messages: Vec<Replayed> = replayable(file)?.into_iter().map(Replayed::of).collect();
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
            Content::Syn { .. } => match answers.get(&at) {
                Some(answer) => {
                    let answer = &messages[*answer].content;
                    receiver.know_itself(now, to, &message.content, answer, &published);
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
            Content::Ack { states, .. } | Content::Ack2 { states } => {
                // What others say of it is nothing to the receiver.
                let states: Vec<_> = states.iter().filter(|(at, _)| *at != to).cloned().collect();
                receiver.teach(now, from, states);
            }
            Content::Shutdown { .. } => {
                receiver.take(now, message);
                receivers.entry(from).or_insert_with(|| Receiver::new(now)).is_stopped = true;
            }
        }
    }
    Some(Summary {
        file: expected.file,
        compared: tally.compared,
        shadow: tally.shadow,
        states: tally.states,
        requests: tally.requests,
        while_starting: tally.while_starting,
        while_disabled: tally.while_disabled,
        explained: if tally
            .explained
            .iter()
            .map(|(what, count)| (*what, *count))
            .eq(expected.explained.iter().copied())
        {
            expected.explained
        } else {
            panic!("{file}: {tally:?}");
        },
    })
}

/// Whether `endpoint` is the peer that was tested against a Cassandra node.
fn is_test_peer(file: &str, endpoint: Endpoint) -> bool {
    file == "c40-member.pcap" && endpoint != NODE
}

const NODE: Endpoint = Endpoint::v4([127, 0, 0, 11], 7000);

#[derive(Debug)]
struct Replayed {
    captured: Captured,
    content: Content,
}

impl Replayed {
    fn of(captured: Captured) -> Self {
        let content = Content::of(&decode(captured.verb, &captured.payload, captured.version).unwrap());
        Self { captured, content }
    }

    /// When it was made, in milliseconds since the Unix epoch.
    fn made(&self) -> u64 {
        let sent = self.captured.micros / 1_000;
        let waited =
            u32::try_from(sent & 0xffff_ffff).unwrap().wrapping_sub(self.captured.created_at).cast_signed();
        sent.checked_add_signed(-i64::from(waited)).unwrap()
    }
}

/// Whether the next SYN that `endpoint` sends is a shadow SYN: the process that will send it is there already.
fn is_about_to_start(endpoint: Endpoint, messages: &[Replayed]) -> bool {
    let next = messages.iter().find_map(|message| match &message.content {
        Content::Syn { digests, .. } if message.captured.from == endpoint => Some(digests),
        _ => None,
    });
    next.is_some_and(Vec::is_empty)
}

/// For each SYN that was answered its ACK.
fn answers(messages: &[Replayed]) -> BTreeMap<usize, usize> {
    let mut answers = BTreeMap::new();
    for (at, ack) in messages.iter().enumerate() {
        if !matches!(ack.content, Content::Ack { .. }) {
            continue;
        }
        let made = ack.made();
        let question = (0..messages.len()).find(|question| {
            let syn = &messages[*question];
            let came = syn.captured.micros / 1_000;
            matches!(syn.content, Content::Syn { .. })
                && (syn.captured.from, syn.captured.to) == (ack.captured.to, ack.captured.from)
                && syn.captured.micros < ack.captured.micros
                && (came - 50..came + 500).contains(&made)
                && !answers.contains_key(question)
        });
        let question = question.unwrap_or_else(|| panic!("nobody asked: {:?}", ack.captured));
        answers.insert(question, at);
    }
    answers
}

type Published = BTreeMap<(Endpoint, Generation), BTreeSet<(Version, ApplicationState, Vec<u8>)>>;

/// All that every process ever said of itself, or others said it had said.
fn published(messages: &[Replayed]) -> Published {
    let mut published = Published::new();
    for message in messages {
        let (Content::Ack { states, .. } | Content::Ack2 { states }) = &message.content else { continue };
        for (at, state) in states {
            // What is said of a stopped process is what the receivers of its last words made up.
            if state.heartbeat.version == Version::SHUTDOWN && message.captured.from != *at {
                continue;
            }
            let values = published.entry((*at, state.heartbeat.generation)).or_default();
            values.extend(state.values.iter().map(|(key, text, version)| (*version, *key, text.clone())));
        }
    }
    published
}

/// A process in the capture, as far as what it was told goes.
struct Receiver {
    gossiper: Gossiper,
    /// Whether it has sent a SYN with digests.
    takes_part: bool,
    /// The generation in its latest SYN, and whether it announced the end of that.
    generation: Option<Generation>,
    is_stopped: bool,
}

const NEUTRAL: Endpoint = Endpoint::v4([192, 0, 2, 1], 7000);
const TEACHER: Endpoint = Endpoint::v4([192, 0, 2, 2], 7000);
const CLUSTER: &str = "Test Cluster";
const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

impl Receiver {
    fn new(now: Timestamp) -> Self {
        let config = Config::builder(CLUSTER, NEUTRAL, Generation::new(1), [1; 32])
            .partitioner(PARTITIONER)
            .seed(TEACHER)
            .build()
            .unwrap();
        let mut gossiper = Gossiper::new(config, now);
        // Without a SYN of its own it takes no ACK.
        gossiper.handle_timeout(gossiper.poll_timeout().unwrap());
        let mut receiver = Self { gossiper, takes_part: false, generation: None, is_stopped: false };
        receiver.drain();
        receiver
    }

    /// Makes it ask for what it does not know of `states`, so that it takes them.
    fn prepare(&mut self, now: Timestamp, states: &[(Endpoint, State)]) {
        let digests: Vec<Digest> = states
            .iter()
            .filter(|(at, state)| {
                self.gossiper.heartbeat(*at).is_none_or(|known| known.generation < state.heartbeat.generation)
            })
            .map(|(endpoint, state)| Digest {
                endpoint: *endpoint,
                generation: state.heartbeat.generation,
                max_version: Version::SHUTDOWN,
            })
            .collect();
        if !digests.is_empty() {
            let syn = Content::Syn {
                cluster: java(CLUSTER),
                partitioner: java(PARTITIONER),
                metadata_id: 0,
                digests,
            };
            self.hand(now, TEACHER, &syn);
            self.drain();
        }
    }

    fn teach(&mut self, now: Timestamp, from: Endpoint, states: Vec<(Endpoint, State)>) {
        self.prepare(now, &states);
        self.hand(now, from, &Content::Ack2 { states });
        self.drain();
    }

    fn hand(&mut self, now: Timestamp, from: Endpoint, content: &Content) {
        let body = content.body(MessagingVersion::V12);
        let message = decode(content.verb(), &body, MessagingVersion::V12).unwrap();
        self.gossiper.handle_message(now, from, 1, &mut Session::default(), &message);
    }

    fn take(&mut self, now: Timestamp, message: &Replayed) {
        let captured = &message.captured;
        let decoded = decode(captured.verb, &captured.payload, captured.version).unwrap();
        let mut session = self.gossiper.open_session(captured.from);
        self.gossiper.handle_message(now, captured.from, captured.id, &mut session, &decoded);
        self.drain();
    }

    /// Teaches it what the receiver knew of itself when it gave this answer.
    fn know_itself(
        &mut self,
        now: Timestamp,
        own: Endpoint,
        syn: &Content,
        answer: &Content,
        published: &Published,
    ) {
        let (Content::Syn { digests, .. }, Content::Ack { requests, states }) = (syn, answer) else {
            panic!("{syn:?} is answered by {answer:?}");
        };
        let told = states.iter().find(|(at, _)| *at == own).map(|(_, state)| state);
        let asked =
            requests.iter().find(|digest| digest.endpoint == own && digest.max_version > Version::ZERO);
        let right = digests.iter().find(|digest| digest.endpoint == own);
        let right = right.filter(|_| !requests.iter().any(|digest| digest.endpoint == own));
        let (generation, max_version, heartbeat) = if let Some(state) = told {
            let max =
                state.values.iter().map(|(.., version)| *version).fold(state.heartbeat.version, Version::max);
            (state.heartbeat.generation, max, Some(state.heartbeat.version))
        } else if let Some(digest) = asked.or(right) {
            (digest.generation, digest.max_version, None)
        } else {
            return;
        };
        let mut values: BTreeMap<ApplicationState, (Vec<u8>, Version)> = BTreeMap::new();
        for (version, key, text) in published.get(&(own, generation)).into_iter().flatten() {
            if *version <= max_version {
                values.insert(*key, (text.clone(), *version));
            }
        }
        let is_value = values.values().any(|(_, version)| *version == max_version);
        let known = self.gossiper.heartbeat(own).filter(|known| known.generation == generation);
        let known = known.filter(|_| is_value).map_or(max_version, |known| known.version);
        let version = heartbeat.unwrap_or(known);
        let values = values.into_iter().map(|(key, (text, version))| (key, text, version)).collect();
        let state = State { heartbeat: HeartbeatState { generation, version }, values };
        self.teach(now, TEACHER, vec![(own, state)]);
        assert_eq!(self.gossiper.max_version(own), Some(max_version), "{own} of {generation}");
    }

    /// What it answers to a SYN.
    fn answer(&mut self, now: Timestamp, syn: &Replayed) -> Content {
        let captured = &syn.captured;
        let decoded = decode(captured.verb, &captured.payload, captured.version).unwrap();
        self.gossiper.handle_message(now, captured.from, captured.id, &mut Session::default(), &decoded);
        let mut answer = None;
        for (to, verb, body) in self.drain() {
            if to == captured.from && verb == Verb::GOSSIP_DIGEST_ACK {
                assert_eq!(answer, None, "one answer");
                answer = Some(Content::of(&decode(verb, &body, MessagingVersion::V12).unwrap()));
            }
        }
        answer.unwrap_or_else(|| panic!("no answer to {captured:?}"))
    }

    fn is_legacy(&self, at: Endpoint, key: ApplicationState) -> bool {
        LEGACY.iter().any(|(legacy, ported)| key == *legacy && self.gossiper.value(at, *ported).is_some())
    }

    fn max_version_without_legacy(&self, at: Endpoint) -> Option<Version> {
        let heartbeat = self.gossiper.heartbeat(at)?;
        let values = self.gossiper.values(at).filter(|(key, ..)| !self.is_legacy(at, *key));
        Some(values.map(|(.., version)| version).fold(heartbeat.version, Version::max))
    }

    fn is_stopped_without_tokens(&self, at: Endpoint) -> bool {
        self.gossiper.heartbeat(at).is_some_and(|heartbeat| heartbeat.version == Version::SHUTDOWN)
            && self.gossiper.value(at, ApplicationState::TOKENS).is_none()
    }

    fn drain(&mut self) -> Vec<(Endpoint, Verb, Vec<u8>)> {
        let mut sent = Vec::new();
        let mut buffer = vec![0; 1 << 17];
        while let Some(to) = self.gossiper.next_peer() {
            loop {
                let mut out = Writer::new(&mut buffer);
                let Some(outgoing) = self.gossiper.encode(to, Codec::new(MessagingVersion::V12), &mut out)
                else {
                    break;
                };
                sent.push((to, outgoing.verb, out.written().to_vec()));
            }
        }
        sent
    }
}

#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    shadow: usize,
    states: usize,
    requests: usize,
    while_starting: usize,
    while_disabled: usize,
    explained: BTreeMap<Difference, usize>,
}

type States = BTreeMap<Endpoint, (HeartbeatState, BTreeMap<ApplicationState, (Vec<u8>, Version)>)>;
type Requests = BTreeMap<Endpoint, (Generation, Version)>;

impl Tally {
    fn compare(&mut self, syn: &Replayed, ours: &Content, theirs: &Content, receiver: &Receiver) {
        let Content::Syn { digests, .. } = &syn.content else { panic!("{syn:?}") };
        self.compared += 1;
        self.shadow += usize::from(digests.is_empty());
        let (mut requests, mut states) = sorted(ours);
        let (their_requests, their_states) = sorted(theirs);
        self.states += their_states.len();
        self.requests += their_requests.len();
        // We are a fourth that the receiver did not know of.
        states.remove(&NEUTRAL);
        let receiver_itself = syn.captured.to;
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
        assert_eq!(requests, their_requests, "{syn:?}");
        assert_eq!(states, their_states, "{syn:?}");
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

/// Values that a current node drops where it has the second of the pair.
const LEGACY: [(ApplicationState, ApplicationState); 3] = [
    (ApplicationState::STATUS, ApplicationState::STATUS_WITH_PORT),
    (ApplicationState::INTERNAL_IP, ApplicationState::INTERNAL_ADDRESS_AND_PORT),
    (ApplicationState::RPC_ADDRESS, ApplicationState::NATIVE_ADDRESS_AND_PORT),
];

/// What an ACK asks for and tells, each endpoint and each key once.
fn sorted(ack: &Content) -> (Requests, States) {
    let Content::Ack { requests, states } = ack else { panic!("{ack:?}") };
    let sorted_requests: Requests =
        requests.iter().map(|digest| (digest.endpoint, (digest.generation, digest.max_version))).collect();
    let sorted_states: States = states
        .iter()
        .map(|(at, state)| {
            let values = state.values.iter().map(|(key, text, version)| (*key, (text.clone(), *version)));
            (*at, (state.heartbeat, values.collect()))
        })
        .collect();
    assert_eq!((sorted_requests.len(), sorted_states.len()), (requests.len(), states.len()), "{ack:?}");
    (sorted_requests, sorted_states)
}
