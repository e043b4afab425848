//! What several modules need: test data, and a model of messages that owns its content.

use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;
use std::path::Path;

use gossip_core::message::{Codec, Digest, EndpointState, Message, Value};
use gossip_core::wire::{DecodeError, JavaStr, Writer, encode_str};
use gossip_core::{
    ApplicationState, Config, ConfigBuilder, DEFAULT_PARTITIONER, Endpoint, Event, Generation, Gossiper,
    HeartbeatState, MessagingVersion, MetadataId, Session, Standing, Timestamp, Verb, Version,
};

pub(crate) use gossip_testing::shared;

/// The names of the files in `folder` that end in `suffix`, sorted.
pub(crate) fn names(folder: &Path, suffix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(suffix));
    names.sort();
    names
}

pub(crate) fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.split_whitespace().flat_map(str::chars).map(|c| nibble(c).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn nibble(digit: char) -> Option<u8> {
    digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().unwrap().into()
}

pub(crate) fn digest(at: &str, generation: i32, max_version: i32) -> Digest {
    Digest {
        endpoint: endpoint(at),
        generation: Generation::new(generation),
        max_version: Version::new(max_version),
    }
}

pub(crate) fn heartbeat(generation: i32, version: i32) -> HeartbeatState {
    HeartbeatState { generation: Generation::new(generation), version: Version::new(version) }
}

/// Modified UTF-8 of `text`.
pub(crate) fn java(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_str(text, &mut bytes);
    bytes
}

/// What `write` writes.
pub(crate) fn written<E: core::fmt::Debug>(write: impl FnOnce(&mut Writer<'_>) -> Result<(), E>) -> Vec<u8> {
    let mut buffer = vec![0xa5; 1 << 20];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer).unwrap();
    writer.written().to_vec()
}

/// Decodes a body of one of the gossip verbs.
pub(crate) fn decode(verb: Verb, body: &[u8], version: MessagingVersion) -> Result<Message<'_>, DecodeError> {
    Message::decode(verb, body, Codec::new(version)).expect("a verb of gossip")
}

pub(crate) fn encode(message: &Message<'_>, version: MessagingVersion) -> Vec<u8> {
    written(|out| message.encode(Codec::new(version), out))
}

/// What a state holds: values in the order of the message, their text as encoded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) heartbeat: HeartbeatState,
    pub(crate) values: Vec<(ApplicationState, Vec<u8>, Version)>,
}

impl State {
    pub(crate) fn new(heartbeat: HeartbeatState, values: &[(ApplicationState, &str, i32)]) -> Self {
        let values = values.iter().map(|(key, text, version)| (*key, java(text), Version::new(*version)));
        Self { heartbeat, values: values.collect() }
    }

    pub(crate) fn of(state: &EndpointState<'_>) -> Self {
        let values = state.values().map(|(key, value)| (key, value.text.as_bytes().to_vec(), value.version));
        Self { heartbeat: state.heartbeat, values: values.collect() }
    }

    /// The state in bytes, put together without the crate's own encoder of states.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.heartbeat.generation.get().to_be_bytes());
        bytes.extend(self.heartbeat.version.get().to_be_bytes());
        bytes.extend(count(self.values.len()));
        for (key, text, version) in &self.values {
            bytes.extend(key.number().to_be_bytes());
            let value = Value { text: JavaStr::new(text).unwrap(), version: *version };
            bytes.extend(written(|out| value.encode(out)));
        }
        bytes
    }
}

/// What a message says, whatever the version it came in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Syn { cluster: Vec<u8>, partitioner: Vec<u8>, metadata_id: MetadataId, digests: Vec<Digest> },
    Ack { requests: Vec<Digest>, states: Vec<(Endpoint, State)> },
    Ack2 { states: Vec<(Endpoint, State)> },
    Echo { verb: Verb },
    Shutdown { state: Option<State> },
}

impl Content {
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let states = |map: gossip_core::message::StateMap<'_>| {
            let states: Vec<_> = map.iter().map(|(endpoint, state)| (endpoint, State::of(&state))).collect();
            assert_eq!(states.len(), map.len(), "an entry got lost");
            states
        };
        let digests = |list: gossip_core::message::Digests<'_>| {
            let digests: Vec<_> = list.iter().collect();
            assert_eq!(digests.len(), list.len(), "a digest got lost");
            digests
        };
        match message {
            Message::Syn(syn) => Self::Syn {
                cluster: syn.cluster.as_bytes().to_vec(),
                partitioner: syn.partitioner.as_bytes().to_vec(),
                metadata_id: syn.metadata_id,
                digests: digests(syn.digests),
            },
            Message::Ack(ack) => Self::Ack { requests: digests(ack.requests), states: states(ack.states) },
            Message::Ack2(ack2) => Self::Ack2 { states: states(ack2.states) },
            Message::EchoRequest | Message::EchoResponse => Self::Echo { verb: message.verb() },
            Message::Shutdown(shutdown) => Self::Shutdown { state: shutdown.state.as_ref().map(State::of) },
        }
    }

    pub(crate) fn verb(&self) -> Verb {
        match self {
            Self::Syn { .. } => Verb::GOSSIP_DIGEST_SYN,
            Self::Ack { .. } => Verb::GOSSIP_DIGEST_ACK,
            Self::Ack2 { .. } => Verb::GOSSIP_DIGEST_ACK2,
            Self::Echo { verb } => *verb,
            Self::Shutdown { .. } => Verb::GOSSIP_SHUTDOWN,
        }
    }

    /// The body in bytes, put together without the crate's own encoder of messages.
    pub(crate) fn body(&self, version: MessagingVersion) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Syn { cluster, partitioner, metadata_id, digests } => {
                body.extend(written(|out| out.string(JavaStr::new(cluster).unwrap())));
                body.extend(written(|out| out.string(JavaStr::new(partitioner).unwrap())));
                if version >= MessagingVersion::V14 {
                    body.extend(written(|out| metadata_id.encode(out)));
                }
                write_digests(digests, version, &mut body);
            }
            Self::Ack { requests, states } => {
                write_digests(requests, version, &mut body);
                write_states(states, version, &mut body);
            }
            Self::Ack2 { states } => write_states(states, version, &mut body),
            Self::Shutdown { state: Some(state) } if version >= MessagingVersion::V13 => {
                body.extend(state.bytes());
            }
            Self::Echo { .. } | Self::Shutdown { .. } => {}
        }
        body
    }

    /// What is left of it after a way through `version`; `None` if that version cannot carry it at all.
    pub(crate) fn through(&self, version: MessagingVersion) -> Option<Self> {
        let mut content = self.clone();
        match &mut content {
            Self::Syn { metadata_id, .. } if version < MessagingVersion::V14 => {
                *metadata_id = MetadataId::NONE
            }
            // A shutdown of version 13 or later is nothing without its state.
            Self::Shutdown { state: None } if version >= MessagingVersion::V13 => return None,
            Self::Shutdown { state } if version < MessagingVersion::V13 => *state = None,
            _ => {}
        }
        let all_at_7000 = content.endpoints().iter().all(|endpoint| endpoint.port() == 7000);
        (version >= MessagingVersion::V12 || all_at_7000).then_some(content)
    }

    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        let (digests, states): (&[Digest], &[(Endpoint, State)]) = match self {
            Self::Syn { digests, .. } => (digests, &[]),
            Self::Ack { requests, states } => (requests, states),
            Self::Ack2 { states } => (&[], states),
            Self::Echo { .. } | Self::Shutdown { .. } => (&[], &[]),
        };
        digests.iter().map(|digest| digest.endpoint).chain(states.iter().map(|(at, _)| *at)).collect()
    }
}

/// Asserts that `message` keeps its content through every version that can carry it, there and back.
pub(crate) fn assert_versions_agree(message: &Message<'_>, version: MessagingVersion) {
    let content = Content::of(message);
    let body = encode(message, version);
    for other in MessagingVersion::ALL {
        let Some(kept) = content.through(other) else { continue };
        let there = encode(message, other);
        assert_eq!(there, kept.body(other), "from {version:?} to {other:?}");
        let decoded = decode(message.verb(), &there, other).unwrap();
        assert_eq!(Content::of(&decoded), kept, "from {version:?} to {other:?}");
        if kept == content {
            assert_eq!(encode(&decoded, version), body, "from {version:?} to {other:?} and back");
        }
    }
}

/// A gossiper under virtual time, with a driver that carries its messages.
#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) gossiper: Gossiper,
    pub(crate) now: Timestamp,
    /// The version that its connections have.
    pub(crate) version: MessagingVersion,
    /// What it writes its messages into; as large as they may be.
    pub(crate) buffer: Vec<u8>,
    sessions: BTreeMap<Endpoint, Session>,
}

/// A message that came out of a gossiper.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) to: Endpoint,
    pub(crate) id: u64,
    pub(crate) content: Content,
}

/// The cluster of all [`Driven`] gossipers.
pub(crate) const CLUSTER: &str = "c";

pub(crate) fn builder(at: &str, generation: i32) -> ConfigBuilder {
    let config = Config::builder(CLUSTER, endpoint(at), Generation::new(generation), [7; 32]);
    // Peers here say only what a test lets them say: asking them directly would be noise.
    config.change_detector(|detector| detector.probe_after = Some(Duration::MAX))
}

pub(crate) fn syn(digests: &[Digest]) -> Content {
    let (cluster, partitioner) = (java(CLUSTER), java(DEFAULT_PARTITIONER));
    Content::Syn { cluster, partitioner, metadata_id: MetadataId::NONE, digests: digests.to_vec() }
}

pub(crate) fn ack(requests: &[Digest], states: &[(&str, State)]) -> Content {
    Content::Ack { requests: requests.to_vec(), states: at_endpoints(states) }
}

pub(crate) fn ack2(states: &[(&str, State)]) -> Content {
    Content::Ack2 { states: at_endpoints(states) }
}

fn at_endpoints(states: &[(&str, State)]) -> Vec<(Endpoint, State)> {
    states.iter().map(|(at, state)| (endpoint(at), state.clone())).collect()
}

impl Driven {
    pub(crate) fn new(config: ConfigBuilder) -> Self {
        Self::of(config.build().unwrap())
    }

    pub(crate) fn of(config: Config) -> Self {
        Self {
            gossiper: Gossiper::new(config, Timestamp::ZERO),
            now: Timestamp::ZERO,
            version: MessagingVersion::V12,
            buffer: vec![0; 1 << 17],
            sessions: BTreeMap::new(),
        }
    }

    pub(crate) fn local(&self) -> Endpoint {
        self.gossiper.local_endpoint()
    }

    /// Hands it a message of a peer that has one connection for as long as it runs.
    pub(crate) fn hand(&mut self, from: &str, content: &Content) {
        self.hand_under(1, endpoint(from), content);
    }

    pub(crate) fn hand_under(&mut self, id: u64, from: Endpoint, content: &Content) {
        let mut session =
            self.sessions.get(&from).copied().unwrap_or_else(|| self.gossiper.open_session(from));
        self.hand_over(&mut session, id, from, content);
        self.sessions.insert(from, session);
    }

    pub(crate) fn hand_over(&mut self, session: &mut Session, id: u64, from: Endpoint, content: &Content) {
        let body = content.body(self.version);
        let message = decode(content.verb(), &body, self.version).unwrap();
        self.gossiper.handle_message(self.now, from, id, session, &message);
    }

    /// Everything that is due, to everybody.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut buffer = core::mem::take(&mut self.buffer);
        while let Some(to) = self.gossiper.next_peer() {
            self.gossiper.take_reset(to);
            loop {
                let mut out = Writer::new(&mut buffer);
                let Some(outgoing) = self.gossiper.encode(to, Codec::new(self.version), &mut out) else {
                    break;
                };
                let content = Content::of(&decode(outgoing.verb, out.written(), self.version).unwrap());
                sent.push(Sent { to, id: outgoing.id, content });
            }
        }
        self.buffer = buffer;
        sent
    }

    /// What it answers to `content`.
    pub(crate) fn answers(&mut self, from: &str, content: &Content) -> Vec<Content> {
        self.hand(from, content);
        let sent = self.sent().into_iter().filter(|sent| sent.to == endpoint(from));
        sent.map(|sent| sent.content).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.gossiper.poll_event()).collect()
    }

    /// Lets time pass, with the rounds in it. What they send is returned.
    pub(crate) fn advance(&mut self, duration: Duration) -> Vec<Sent> {
        let end = self.now + duration;
        let mut sent = Vec::new();
        while let Some(due) = self.gossiper.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.gossiper.handle_timeout(self.now);
            sent.extend(self.sent());
        }
        self.now = end;
        sent
    }

    /// Lets time pass up to the next round, and does that.
    pub(crate) fn round(&mut self) -> Vec<Sent> {
        let due = self.gossiper.poll_timeout().unwrap();
        self.advance(due.saturating_since(self.now))
    }

    /// Makes it learn a state, by a request and its answer. What else it wants to send is lost.
    pub(crate) fn learn(&mut self, at: &str, state: &State) {
        self.learn_by(at, state, syn);
    }

    /// As [`Driven::learn`], with SYNs of another partitioner.
    pub(crate) fn learn_by(&mut self, at: &str, state: &State, syn: impl FnOnce(&[Digest]) -> Content) {
        let known = Digest {
            endpoint: endpoint(at),
            generation: state.heartbeat.generation,
            max_version: Version::SHUTDOWN,
        };
        self.hand(at, &syn(&[known]));
        self.sent();
        self.hand(at, &ack2(&[(at, state.clone())]));
    }

    /// Makes it learn a state and find the endpoint live.
    pub(crate) fn learn_live(&mut self, at: &str, state: &State) {
        self.learn(at, state);
        let sent = self.sent();
        self.answer_echoes(&sent);
        assert_eq!(self.standing(at), Some(Standing::Live));
    }

    /// Answers all echo requests in `sent`; returns to whom they went.
    pub(crate) fn answer_echoes(&mut self, sent: &[Sent]) -> Vec<Endpoint> {
        let requests: Vec<_> =
            sent.iter().filter(|sent| sent.content == Content::Echo { verb: Verb::ECHO_REQ }).collect();
        for request in &requests {
            self.hand_under(request.id, request.to, &Content::Echo { verb: Verb::ECHO_RSP });
        }
        requests.iter().map(|request| request.to).collect()
    }

    pub(crate) fn standing(&self, at: &str) -> Option<Standing> {
        self.gossiper.standing(endpoint(at))
    }

    pub(crate) fn heartbeat(&self, at: &str) -> Option<HeartbeatState> {
        self.gossiper.heartbeat(endpoint(at))
    }

    /// A value as text, and its version.
    pub(crate) fn value(&self, at: &str, key: ApplicationState) -> Option<(String, i32)> {
        let (text, version) = self.gossiper.value(endpoint(at), key)?;
        Some((text.to_text().into_owned(), version.get()))
    }
}

/// Carries everything that is due between the two, until nothing is. What is due to others is lost.
pub(crate) fn talk(a: &mut Driven, b: &mut Driven) {
    for _ in 0..20 {
        let (from_a, from_b) = (a.sent(), b.sent());
        if from_a.is_empty() && from_b.is_empty() {
            return;
        }
        deliver(b, a.local(), &from_a);
        deliver(a, b.local(), &from_b);
    }
    panic!("they go on and on");
}

/// Hands those of the messages to `to` that are meant for it.
pub(crate) fn deliver(to: &mut Driven, from: Endpoint, messages: &[Sent]) {
    let local = to.local();
    for message in messages.iter().filter(|message| message.to == local) {
        to.hand_under(message.id, from, &message.content);
    }
}

fn write_digests(digests: &[Digest], version: MessagingVersion, body: &mut Vec<u8>) {
    body.extend(count(digests.len()));
    for digest in digests {
        write_address(digest.endpoint, version, body);
        body.extend(digest.generation.get().to_be_bytes());
        body.extend(digest.max_version.get().to_be_bytes());
    }
}

fn write_states(states: &[(Endpoint, State)], version: MessagingVersion, body: &mut Vec<u8>) {
    body.extend(count(states.len()));
    for (endpoint, state) in states {
        write_address(*endpoint, version, body);
        body.extend(state.bytes());
    }
}

fn write_address(endpoint: Endpoint, version: MessagingVersion, body: &mut Vec<u8>) {
    let form = Codec::new(version).address_form();
    body.extend(written(|out| out.endpoint(endpoint, form)));
}

fn count(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap().to_be_bytes()
}
