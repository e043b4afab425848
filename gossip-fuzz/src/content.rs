//! What messages say, made of chance but near to what nodes say: few endpoints and keys, numbers near each other.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use gossip_core::message::{Codec, Digest, Digests, EndpointState, Message, StateMap};
use gossip_core::wire::encode_str;
use gossip_core::{
    ApplicationState, DEFAULT_PARTITIONER, Endpoint, Generation, HeartbeatState, MessagingVersion, Verb,
    Version,
};

/// The cluster of all nodes here.
pub(crate) const CLUSTER: &str = "fuzz";

/// When all nodes here start, in seconds since the Unix epoch; also the generation that others are near to.
pub(crate) const START: i32 = 1_700_000_000;

/// The node that is driven, or the first of two.
pub(crate) const LOCAL: Endpoint = Endpoint::v4([10, 0, 0, 1], 7000);

/// Endpoints that may be announced to the node more than once.
const KNOWN: [Endpoint; 8] = [
    LOCAL,
    Endpoint::v4([10, 0, 0, 2], 7000),
    Endpoint::v4([10, 0, 0, 3], 7000),
    Endpoint::v4([10, 0, 0, 3], 7001),
    Endpoint::v4([10, 0, 1, 4], 7000),
    Endpoint::v6([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 7000),
    Endpoint::v4([0; 4], 7000),
    Endpoint::v4([10, 0, 0, 9], 0),
];

/// Values that mean something to a node.
const TEXTS: [&str; 16] = [
    "NORMAL,1",
    "shutdown,true",
    "LEFT,1,1700259200000",
    "LEFT",
    "removed,00000000-0000-0000-0000-000000000001,1700259200000",
    "removing,00000000-0000-0000-0000-000000000001",
    "BOOT,1",
    "BOOT_REPLACE,10.0.0.3:7000",
    "LEAVING,1",
    "MOVING,2",
    "hibernate,true",
    HOST_ID,
    "00000000-0000-0000-0000-000000000002",
    "true",
    "12",
    "",
];

/// That of the node that is driven.
pub(crate) const HOST_ID: &str = "00000000-0000-0000-0000-000000000001";

/// An endpoint, mostly one of a few.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Who {
    Known(u8),
    Other(u8),
    V4([u8; 4], u16),
    V6([u8; 16], u16),
}

impl Who {
    pub(crate) fn endpoint(self) -> Endpoint {
        match self {
            Self::Known(n) => KNOWN[usize::from(n) % KNOWN.len()],
            Self::Other(n) => Endpoint::v4([10, 0, 2, n], 7000),
            Self::V4(octets, port) => Endpoint::v4(octets, port),
            Self::V6(octets, port) => Endpoint::v6(octets, port),
        }
    }

    /// For what operators say: an endpoint that they name has an address.
    pub(crate) fn reachable(self) -> Option<Endpoint> {
        Some(self.endpoint()).filter(|endpoint| !endpoint.is_unspecified())
    }
}

/// A number, mostly near those of others.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Number {
    Near(i8),
    Far(i16),
    Any(i32),
    FromTheEnd(u8),
}

impl Number {
    pub(crate) fn generation(self) -> Generation {
        Generation::new(match self {
            Self::Near(off) => START + i32::from(off),
            // Some ten years.
            Self::Far(off) => START.saturating_add(i32::from(off) * 10_000),
            Self::Any(number) => number,
            Self::FromTheEnd(off) => i32::MAX - i32::from(off),
        })
    }

    pub(crate) fn version(self) -> Version {
        Version::new(match self {
            Self::Near(number) => i32::from(number),
            Self::Far(number) => i32::from(number),
            Self::Any(number) => number,
            Self::FromTheEnd(off) => i32::MAX - i32::from(off),
        })
    }
}

/// What stands under a key.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Text<'a> {
    Meant(u8),
    Any(&'a str),
    Long(u8),
}

impl Text<'_> {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Meant(n) => TEXTS[usize::from(n) % TEXTS.len()].into(),
            Self::Any(text) => text.into(),
            // Now and then up to what Cassandra can size, nearly.
            Self::Long(n @ 240..) => "x".repeat(usize::from(n - 239) * 2_040),
            Self::Long(n) => "x".repeat(usize::from(n) * 4),
        }
    }
}

/// Which of the values of a state.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Key {
    Common(u8),
    Any(i32),
}

impl Key {
    pub(crate) fn key(self) -> ApplicationState {
        ApplicationState::new(match self {
            Self::Common(n) => i32::from(n % 32),
            Self::Any(number) => number,
        })
    }
}

/// How far an endpoint is known.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Known {
    who: Who,
    generation: Number,
    version: Number,
}

impl Known {
    fn digest(self) -> Digest {
        Digest {
            endpoint: self.who.endpoint(),
            generation: self.generation.generation(),
            max_version: self.version.version(),
        }
    }
}

/// What is said of an endpoint.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) struct Tale<'a> {
    generation: Number,
    version: Number,
    values: Vec<(Key, Text<'a>, Number)>,
}

impl Tale<'_> {
    fn state(&self) -> State {
        let values = self.values.iter().map(|(key, text, version)| {
            let mut encoded = Vec::new();
            encode_str(&text.text(), &mut encoded);
            (key.key(), (encoded, version.version()))
        });
        let (generation, version) = (self.generation.generation(), self.version.version());
        State { heartbeat: HeartbeatState { generation, version }, values: values.collect() }
    }
}

/// A message that a peer sends.
#[derive(Arbitrary, Clone, Debug)]
pub(crate) enum Letter<'a> {
    Syn { names: Names<'a>, known: Vec<Known> },
    Ack { wanted: Vec<Known>, told: Vec<(Who, Tale<'a>)> },
    Ack2 { told: Vec<(Who, Tale<'a>)> },
    EchoRequest,
    EchoResponse,
    Shutdown { of: Option<Tale<'a>> },
}

/// Whose SYN it is.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Names<'a> {
    Ours,
    OtherPartitioner(&'a str),
    OtherCluster(&'a str),
    /// Ours, with an identifier of the cluster's metadata.
    WithMetadata(i32),
}

impl Letter<'_> {
    pub(crate) fn said(&self) -> Said {
        let told = |told: &[(Who, Tale<'_>)]| {
            told.iter().map(|(who, tale)| (who.endpoint(), tale.state())).collect::<Vec<_>>()
        };
        let known = |known: &[Known]| known.iter().map(|known| known.digest()).collect::<Vec<_>>();
        match self {
            Self::Syn { names, known: digests } => {
                let (cluster, partitioner, metadata_id) = match *names {
                    Names::Ours => (CLUSTER, DEFAULT_PARTITIONER, 0),
                    Names::OtherPartitioner(name) => (CLUSTER, name, 0),
                    Names::OtherCluster(name) => (name, DEFAULT_PARTITIONER, 0),
                    Names::WithMetadata(id) => (CLUSTER, DEFAULT_PARTITIONER, id),
                };
                let (cluster, partitioner) = (java(cluster), java(partitioner));
                Said::Syn { cluster, partitioner, metadata_id, digests: known(digests) }
            }
            Self::Ack { wanted, told: states } => Said::Ack { requests: known(wanted), states: told(states) },
            Self::Ack2 { told: states } => Said::Ack2 { states: told(states) },
            Self::EchoRequest => Said::Echo { verb: Verb::ECHO_REQ },
            Self::EchoResponse => Said::Echo { verb: Verb::ECHO_RSP },
            Self::Shutdown { of } => Said::Shutdown { state: of.as_ref().map(Tale::state) },
        }
    }
}

pub(crate) fn java(text: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    encode_str(text, &mut encoded);
    encoded
}

/// What a message says, in memory of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Syn { cluster: Vec<u8>, partitioner: Vec<u8>, metadata_id: i32, digests: Vec<Digest> },
    Ack { requests: Vec<Digest>, states: Vec<(Endpoint, State)> },
    Ack2 { states: Vec<(Endpoint, State)> },
    Echo { verb: Verb },
    Shutdown { state: Option<State> },
}

/// What a message says of one endpoint. Of several values under a key only the last counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) heartbeat: HeartbeatState,
    pub(crate) values: BTreeMap<ApplicationState, (Vec<u8>, Version)>,
}

impl State {
    /// Walks over all of it.
    fn of(state: &EndpointState<'_>) -> Self {
        let mut values = BTreeMap::new();
        for (key, value) in state.values() {
            // Long ones would take most of the time, and are none but ASCII.
            if value.text.len() < 256 {
                let _ = (value.text.to_text(), value.text.to_latin1());
            }
            let before = values.insert(key, (value.text.as_bytes().to_vec(), value.version));
            assert_eq!(before, None, "{key} comes twice");
        }
        for key in values.keys() {
            let value = state.value(*key).map(|value| (value.text.as_bytes().to_vec(), value.version));
            assert_eq!(values.get(key), value.as_ref());
        }
        let versions = values.values().map(|(_, version)| *version);
        assert_eq!(Some(state.max_version()), versions.chain([state.heartbeat.version]).max());
        assert!(values.len() <= state.len() && values.is_empty() == state.is_empty());
        Self { heartbeat: state.heartbeat, values }
    }

    fn write(&self, body: &mut Vec<u8>) {
        body.extend(self.heartbeat.generation.get().to_be_bytes());
        body.extend(self.heartbeat.version.get().to_be_bytes());
        body.extend(count(self.values.len()));
        for (key, (text, version)) in &self.values {
            body.extend(key.number().to_be_bytes());
            write_text(text, body);
            body.extend(version.get().to_be_bytes());
        }
    }
}

impl Said {
    /// Walks over all that a message holds.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let digests = |digests: &Digests<'_>| {
            let list: Vec<Digest> = digests.iter().collect();
            assert_eq!(list.len(), digests.len());
            list
        };
        let states = |states: &StateMap<'_>| {
            let list: Vec<_> = states.iter().map(|(endpoint, state)| (endpoint, State::of(&state))).collect();
            assert_eq!(list.len(), states.len());
            list
        };
        match message {
            Message::Syn(syn) => Self::Syn {
                cluster: syn.cluster.as_bytes().to_vec(),
                partitioner: syn.partitioner.as_bytes().to_vec(),
                metadata_id: syn.metadata_id.get(),
                digests: digests(&syn.digests),
            },
            Message::Ack(ack) => Self::Ack { requests: digests(&ack.requests), states: states(&ack.states) },
            Message::Ack2(ack2) => Self::Ack2 { states: states(&ack2.states) },
            Message::EchoRequest | Message::EchoResponse => Self::Echo { verb: message.verb() },
            Message::Shutdown(shutdown) => Self::Shutdown { state: shutdown.state.as_ref().map(State::of) },
        }
    }

    pub(crate) const fn verb(&self) -> Verb {
        match self {
            Self::Syn { .. } => Verb::GOSSIP_DIGEST_SYN,
            Self::Ack { .. } => Verb::GOSSIP_DIGEST_ACK,
            Self::Ack2 { .. } => Verb::GOSSIP_DIGEST_ACK2,
            Self::Echo { verb } => *verb,
            Self::Shutdown { .. } => Verb::GOSSIP_SHUTDOWN,
        }
    }

    /// What comes through a messaging version: ports and the body of a shutdown not through all.
    pub(crate) fn through(&self, version: MessagingVersion) -> Self {
        let mut said = self.clone();
        if version < MessagingVersion::V12 {
            let port = Codec::new(version).storage_port;
            said.for_each_endpoint(|endpoint| *endpoint = Endpoint::new(endpoint.ip(), port));
        }
        if let Self::Syn { metadata_id, .. } = &mut said
            && version < MessagingVersion::V14
        {
            *metadata_id = 0;
        }
        if let Self::Shutdown { state } = &mut said {
            if version < MessagingVersion::V13 {
                *state = None;
            } else {
                let empty = State { heartbeat: HeartbeatState::EMPTY, values: BTreeMap::new() };
                state.get_or_insert(empty);
            }
        }
        said
    }

    fn for_each_endpoint(&mut self, mut change: impl FnMut(&mut Endpoint)) {
        let (digests, states): (&mut [Digest], &mut [(Endpoint, State)]) = match self {
            Self::Syn { digests, .. } => (digests, &mut []),
            Self::Ack { requests, states } => (requests, states),
            Self::Ack2 { states } => (&mut [], states),
            Self::Echo { .. } | Self::Shutdown { .. } => (&mut [], &mut []),
        };
        digests.iter_mut().for_each(|digest| change(&mut digest.endpoint));
        states.iter_mut().for_each(|(endpoint, _)| change(endpoint));
    }

    /// The body of the message, put together without the core's encoders.
    pub(crate) fn body(&self, version: MessagingVersion) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Syn { cluster, partitioner, metadata_id, digests } => {
                write_text(cluster, &mut body);
                write_text(partitioner, &mut body);
                if version >= MessagingVersion::V14 {
                    write_metadata_id(*metadata_id, &mut body);
                }
                write_digests(digests, version, &mut body);
            }
            Self::Ack { requests, states } => {
                write_digests(requests, version, &mut body);
                write_states(states, version, &mut body);
            }
            Self::Ack2 { states } => write_states(states, version, &mut body),
            Self::Shutdown { state: Some(state) } if version >= MessagingVersion::V13 => {
                state.write(&mut body)
            }
            Self::Shutdown { .. } | Self::Echo { .. } => {}
        }
        body
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
        state.write(body);
    }
}

fn write_address(endpoint: Endpoint, version: MessagingVersion, body: &mut Vec<u8>) {
    let has_port = version >= MessagingVersion::V12;
    let octets = match endpoint.ip() {
        core::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        core::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let length = octets.len() + if has_port { 2 } else { 0 };
    body.push(u8::try_from(length).expect("at most 18"));
    body.extend(octets);
    if has_port {
        body.extend(endpoint.port().to_be_bytes());
    }
}

/// An identifier as Cassandra writes it: sign-extended to 64 bits, in as few bytes as that takes.
pub(crate) fn write_metadata_id(id: i32, body: &mut Vec<u8>) {
    let value = i64::from(id).cast_unsigned();
    // How many bytes follow the first, whose leading ones count them; each of them takes a bit of the first.
    let more = (0..8).find(|more| value < 1 << (7 * (more + 1))).unwrap_or(8);
    let bytes = value.to_be_bytes();
    if more == 8 {
        body.push(0xff);
        body.extend(bytes);
    } else {
        let front = 7 - more as usize;
        body.push(bytes[front] | !(0xff_u16 >> more).to_be_bytes()[1]);
        body.extend(&bytes[front + 1..]);
    }
}

fn write_text(text: &[u8], body: &mut Vec<u8>) {
    // What is longer cannot be written at all, and none here is.
    let length = u16::try_from(text.len()).expect("a text of at most 65,535 bytes");
    body.extend(length.to_be_bytes());
    body.extend(text);
}

fn count(length: usize) -> [u8; 4] {
    i32::try_from(length).expect("a few").to_be_bytes()
}
