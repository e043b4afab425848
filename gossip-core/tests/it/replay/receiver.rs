//! What a process in a capture knew, rebuilt from what it was sent.

use alloc::collections::{BTreeMap, BTreeSet};

use core::time::Duration;

use gossip_core::message::{Codec, Digest};
use gossip_core::wire::Writer;
use gossip_core::{
    ApplicationState, Config, Endpoint, Generation, Gossiper, HeartbeatState, MessagingVersion, MetadataId,
    Session, Timestamp, Verb, Version,
};

use crate::internode::Captured;
use crate::support::{Content, State, decode, java};

#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) captured: Captured,
    pub(super) content: Content,
}

impl Replayed {
    pub(super) fn of(captured: Captured) -> Self {
        let content = Content::of(&decode(captured.verb, &captured.payload, captured.version).unwrap());
        Self { captured, content }
    }

    /// When it was made, in milliseconds since the Unix epoch.
    pub(super) fn made(&self) -> u64 {
        let sent = self.captured.micros / 1_000;
        let waited =
            u32::try_from(sent & 0xffff_ffff).unwrap().wrapping_sub(self.captured.created_at).cast_signed();
        sent.checked_add_signed(-i64::from(waited)).unwrap()
    }
}

/// Whether the next SYN that `endpoint` sends is a shadow SYN: the process that will send it is there already.
pub(super) fn is_about_to_start(endpoint: Endpoint, messages: &[Replayed]) -> bool {
    let next = messages.iter().find_map(|message| match &message.content {
        Content::Syn { digests, .. } if message.captured.from == endpoint => Some(digests),
        _ => None,
    });
    next.is_some_and(Vec::is_empty)
}

/// For each SYN that was answered its ACK, and for each ACK its ACK2.
pub(super) fn answers(messages: &[Replayed]) -> BTreeMap<usize, usize> {
    let mut answers = BTreeMap::new();
    for (at, answer) in messages.iter().enumerate() {
        let asked_by = match answer.content {
            Content::Ack { .. } => Verb::GOSSIP_DIGEST_SYN,
            Content::Ack2 { .. } => Verb::GOSSIP_DIGEST_ACK,
            _ => continue,
        };
        let made = answer.made();
        let question = (0..at).find(|at| {
            let question = &messages[*at];
            let came = question.captured.micros / 1_000;
            question.captured.verb == asked_by
                && (question.captured.from, question.captured.to)
                    == (answer.captured.to, answer.captured.from)
                && (came - 50..came + 500).contains(&made)
                && !answers.contains_key(at)
        });
        let question = question.unwrap_or_else(|| panic!("no question was asked: {:?}", answer.captured));
        answers.insert(question, at);
    }
    answers
}

pub(super) type Published = BTreeMap<(Endpoint, Generation), BTreeSet<(Version, ApplicationState, Vec<u8>)>>;

/// All that every process ever said of itself, or others said it had said.
pub(super) fn published(messages: &[Replayed]) -> Published {
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

/// A process in the capture, as far as what it was sent goes.
pub(super) struct Receiver {
    gossiper: Gossiper,
    /// Whether it has sent a SYN with digests.
    pub(super) takes_part: bool,
    /// The generation in its latest SYN, and whether it announced the end of that.
    pub(super) generation: Option<Generation>,
    pub(super) is_stopped: bool,
}

pub(super) const NEUTRAL: Endpoint = Endpoint::v4([192, 0, 2, 1], 7000);
const TEACHER: Endpoint = Endpoint::v4([192, 0, 2, 2], 7000);
const CLUSTER: &str = "Test Cluster";
const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

impl Receiver {
    pub(super) fn new(now: Timestamp) -> Self {
        let config = Config::builder(CLUSTER, NEUTRAL, Generation::new(1), [1; 32])
            .partitioner(PARTITIONER)
            .seed(TEACHER)
            // Whom it asks may change from one message to the next.
            .interval(Duration::from_millis(1))
            .change_detector(|detector| detector.echo_timeout = Some(Duration::from_secs(10)))
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
    fn prepare(&mut self, now: Timestamp, from: Endpoint, states: &[(Endpoint, State)]) {
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
                metadata_id: MetadataId::NONE,
                digests,
            };
            self.hand(now, from, &syn);
            self.drain();
        }
    }

    pub(super) fn teach(&mut self, now: Timestamp, from: Endpoint, states: Vec<(Endpoint, State)>) {
        self.prepare(now, from, &states);
        self.hand(now, from, &Content::Ack2 { states });
        self.drain();
    }

    fn hand(&mut self, now: Timestamp, from: Endpoint, content: &Content) {
        let body = content.body(MessagingVersion::V12);
        let message = decode(content.verb(), &body, MessagingVersion::V12).unwrap();
        self.gossiper.handle_message(now, from, 1, &mut Session::default(), &message);
    }

    pub(super) fn take(&mut self, now: Timestamp, message: &Replayed) {
        let captured = &message.captured;
        let decoded = decode(captured.verb, &captured.payload, captured.version).unwrap();
        let mut session = self.gossiper.open_session(captured.from);
        self.gossiper.handle_message(now, captured.from, captured.id, &mut session, &decoded);
        self.drain();
    }

    /// Teaches it what the receiver knew of itself when it gave this answer.
    pub(super) fn know_itself(
        &mut self,
        now: Timestamp,
        own: Endpoint,
        digests: &[Digest],
        answer: &Content,
        published: &Published,
    ) {
        let (requests, states): (&[Digest], _) = match answer {
            Content::Ack { requests, states } => (requests, states),
            Content::Ack2 { states } => (&[], states),
            _ => panic!("{answer:?} is no answer"),
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

    /// What it answers to a SYN, or to an ACK whose states it has taken in before.
    pub(super) fn answer(&mut self, now: Timestamp, question: &Replayed) -> Content {
        let from = question.captured.from;
        match &question.content {
            Content::Ack { requests, .. } => {
                self.hand(now, from, &Content::Ack { requests: requests.clone(), states: vec![] });
            }
            // Whatever the cluster is called.
            Content::Syn { partitioner, metadata_id, digests, .. } => self.hand(
                now,
                from,
                &Content::Syn {
                    cluster: java(CLUSTER),
                    partitioner: partitioner.clone(),
                    metadata_id: *metadata_id,
                    digests: digests.clone(),
                },
            ),
            other => panic!("{other:?} asks for nothing"),
        }
        let answers = self.drain().into_iter().filter(|(to, verb, _)| {
            *to == from && [Verb::GOSSIP_DIGEST_ACK, Verb::GOSSIP_DIGEST_ACK2].contains(verb)
        });
        let answers: Vec<_> = answers.collect();
        let [(_, verb, body)] = &answers[..] else { panic!("{answers:?} to {question:?}") };
        Content::of(&decode(*verb, body, MessagingVersion::V12).unwrap())
    }

    pub(super) fn is_legacy(&self, at: Endpoint, key: ApplicationState) -> bool {
        LEGACY.iter().any(|(legacy, ported)| key == *legacy && self.gossiper.value(at, *ported).is_some())
    }

    pub(super) fn max_version_without_legacy(&self, at: Endpoint) -> Option<Version> {
        let heartbeat = self.gossiper.heartbeat(at)?;
        let values = self.gossiper.values(at).filter(|(key, ..)| !self.is_legacy(at, *key));
        Some(values.map(|(.., version)| version).fold(heartbeat.version, Version::max))
    }

    pub(super) fn says(&self, at: Endpoint, key: ApplicationState, text: &[u8]) -> bool {
        self.gossiper.value(at, key).is_some_and(|(known, _)| known.as_bytes() == text)
    }

    pub(super) fn is_stopped_without_tokens(&self, at: Endpoint) -> bool {
        self.gossiper.heartbeat(at).is_some_and(|heartbeat| heartbeat.version == Version::SHUTDOWN)
            && self.gossiper.value(at, ApplicationState::TOKENS).is_none()
    }

    pub(super) fn has_no_status(&self, at: Endpoint) -> bool {
        let keys = [ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS];
        keys.iter().all(|key| self.gossiper.value(at, *key).is_none())
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

/// Values that a current node drops where it has the second of the pair.
const LEGACY: [(ApplicationState, ApplicationState); 3] = [
    (ApplicationState::STATUS, ApplicationState::STATUS_WITH_PORT),
    (ApplicationState::INTERNAL_IP, ApplicationState::INTERNAL_ADDRESS_AND_PORT),
    (ApplicationState::RPC_ADDRESS, ApplicationState::NATIVE_ADDRESS_AND_PORT),
];
