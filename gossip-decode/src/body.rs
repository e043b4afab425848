//! The bodies of messages, decoded to the last byte.

use core::net::SocketAddr;

use gossip_core::internode::ConnectionType;
use gossip_core::message::{
    self, Codec, Digests, EndpointState, Message, PeerLog, PeerLogRequest, StateMap, Value,
};
use gossip_core::wire::{JavaStr, Reader};
use gossip_core::{ApplicationState, Endpoint, MessagingVersion, MetadataId, Verb, decode_tokens};
use serde::Serialize;

use crate::fault::Fault;
use crate::learned::Learned;
use crate::names::{Flavour, StateNames};
use crate::tokens::hex;

/// What a message says.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Body {
    /// Of a GOSSIP_DIGEST_SYN.
    Syn {
        /// The sender's cluster.
        cluster: String,
        /// The class name of its partitioner.
        partitioner: String,
        /// The id of its cluster metadata, in version 14.
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata_id: Option<i32>,
        /// What the sender knows of each endpoint. Empty in a shadow SYN.
        digests: Vec<Digest>,
    },
    /// Of a GOSSIP_DIGEST_ACK.
    Ack {
        /// What the sender wants: of each endpoint all above the version.
        requests: Vec<Digest>,
        /// What the sender knows better.
        endpoints: Vec<State>,
    },
    /// Of a GOSSIP_DIGEST_ACK2.
    Ack2 {
        /// What was asked for.
        endpoints: Vec<State>,
    },
    /// Of a GOSSIP_SHUTDOWN from version 13 on; also a state that stands for itself.
    State(State),
    /// Of a PING_REQ.
    Ping {
        /// The number of the connection type that is to be answered on.
        connection_type_number: u8,
        /// Its name.
        connection_type: Option<&'static str>,
    },
    /// Of a SCHEMA_VERSION_RSP.
    SchemaVersion {
        /// The UUID of the schema.
        schema: String,
    },
    /// Of a FAILURE_RSP.
    Failure {
        /// Why, by number.
        reason: u64,
        /// Why.
        reason_name: Option<&'static str>,
    },
    /// Of a TCM_FETCH_PEER_LOG_REQ.
    PeerLogRequest {
        /// What follows it in the log is asked for.
        epoch: i64,
    },
    /// Of a TCM_FETCH_PEER_LOG_RSP, whose entries are not decoded.
    PeerLog {
        /// In which version the answer is written.
        serialization_version: u64,
        /// The id of the cluster metadata; absent below version 2.
        #[serde(skip_serializing_if = "Option::is_none")]
        metadata_id: Option<i32>,
        /// Whether a state of the cluster stands before the entries.
        base_state: bool,
        /// How many entries follow; absent behind a state.
        #[serde(skip_serializing_if = "Option::is_none")]
        entries: Option<i32>,
        /// How many bytes state and entries take.
        rest_bytes: usize,
    },
    /// No bytes, where none should be.
    Empty {},
}

/// How far an endpoint is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Digest {
    /// Who.
    pub endpoint: SocketAddr,
    /// Of which generation.
    pub generation: i32,
    /// Up to which version.
    pub max_version: i32,
}

/// What is said of one endpoint.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct State {
    /// The endpoint that it is about; a shutdown does not name its sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// When its process started.
    pub generation: i32,
    /// The version of its last heartbeat.
    pub heartbeat: i32,
    /// By whose names the states go: `3`, `4.0`, `4.1`, `5.0`, `DSE`.
    pub named_as: String,
    /// Its values, in the order of the message.
    pub states: Vec<StateValue>,
    /// How many values the message holds that a later one of the same key replaces.
    #[serde(skip_serializing_if = "is_zero")]
    pub replaced: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A value of an endpoint.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct StateValue {
    /// The number on the wire.
    pub key: i32,
    /// Its name in the endpoint's own release.
    pub name: String,
    /// Under which version it was set.
    pub version: i32,
    /// The text. Absent for tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The tokens, as their partitioner writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<String>>,
    /// The encoded bytes in hexadecimal, where they hold something that no text can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
}

/// By what a body is read.
pub(crate) struct Reading<'a> {
    pub(crate) codec: Codec,
    /// Who sent it.
    pub(crate) sender: Option<Endpoint>,
    pub(crate) learned: &'a mut Learned,
    pub(crate) names: &'a StateNames,
}

/// Whether the bodies of messages of this kind are decoded; of all others only the length is printed.
pub(crate) const fn is_decoded(verb: Verb) -> bool {
    verb.is_gossip()
        || matches!(
            verb,
            Verb::PING_REQ
                | Verb::PING_RSP
                | Verb::SCHEMA_VERSION_REQ
                | Verb::SCHEMA_VERSION_RSP
                | Verb::FAILURE_RSP
                | Verb::TCM_FETCH_PEER_LOG_REQ
                | Verb::TCM_FETCH_PEER_LOG_RSP
        )
}

impl Body {
    /// Decodes the whole of `bytes`; `None` if the body is of no kind that is decoded.
    pub(crate) fn decode(verb: Verb, bytes: &[u8], reading: &mut Reading<'_>) -> Option<Result<Self, Fault>> {
        let mut reader = Reader::new(bytes);
        if let Some(message) = Message::take(verb, &mut reader, reading.codec) {
            return Some(match message {
                Ok(message) => Ok(Self::of(&message, reading)),
                Err(error) => Err(Fault::new(error, bytes, &reader)),
            });
        }
        let version = reading.codec.version;
        let body = match verb {
            Verb::PING_REQ => reader.u8("the type of a connection").map(|number| Self::Ping {
                connection_type_number: number,
                connection_type: ConnectionType::from_number(number).map(connection_type_name),
            }),
            Verb::SCHEMA_VERSION_RSP => {
                reader.array("the UUID of a schema").map(|bytes| Self::SchemaVersion { schema: uuid(bytes) })
            }
            Verb::FAILURE_RSP => reader
                .uvint("the reason of a failure")
                .map(|reason| Self::Failure { reason, reason_name: failure_reason(reason) }),
            Verb::TCM_FETCH_PEER_LOG_REQ => PeerLogRequest::decode(&mut reader)
                .map(|request| Self::PeerLogRequest { epoch: request.epoch }),
            Verb::TCM_FETCH_PEER_LOG_RSP => return Some(peer_log(&mut reader, bytes)),
            Verb::PING_RSP | Verb::SCHEMA_VERSION_REQ => Ok(Self::Empty {}),
            // The general answers of 3.x say nothing of what they answer; that to an echo is empty.
            Verb::REQUEST_RSP | Verb::INTERNAL_RSP if bytes.is_empty() => Ok(Self::Empty {}),
            _ => return None,
        };
        // What more an unreleased version has to say of a failure is not specified.
        if verb == Verb::FAILURE_RSP && version > MessagingVersion::V13 && !reader.is_empty() {
            return None;
        }
        Some(
            body.and_then(|body| reader.finish().map(|()| body))
                .map_err(|error| Fault::new(error, bytes, &reader)),
        )
    }

    fn of(message: &Message<'_>, reading: &mut Reading<'_>) -> Self {
        match message {
            Message::Syn(syn) => {
                let partitioner = syn.partitioner.to_text().into_owned();
                reading.learned.set_partitioner(&partitioner);
                Self::Syn {
                    cluster: syn.cluster.to_text().into_owned(),
                    partitioner,
                    metadata_id: (reading.codec.version >= MessagingVersion::V14)
                        .then_some(syn.metadata_id.get()),
                    digests: digests(&syn.digests),
                }
            }
            Message::Ack(ack) => {
                Self::Ack { requests: digests(&ack.requests), endpoints: states(&ack.states, reading) }
            }
            Message::Ack2(ack2) => Self::Ack2 { endpoints: states(&ack2.states, reading) },
            Message::Shutdown(shutdown) => match &shutdown.state {
                Some(state) => Self::State(State::of(None, state, reading)),
                None => Self::Empty {},
            },
            Message::EchoRequest | Message::EchoResponse => Self::Empty {},
        }
    }
}

impl State {
    /// A state; without an `endpoint` it is the sender's own.
    pub(crate) fn of(
        endpoint: Option<Endpoint>,
        state: &EndpointState<'_>,
        reading: &mut Reading<'_>,
    ) -> Self {
        let flavour = reading.learned.flavour(endpoint.or(reading.sender), state);
        let states: Vec<StateValue> =
            state.values().map(|(key, value)| StateValue::of(key, value, flavour, reading)).collect();
        Self {
            endpoint: endpoint.map(SocketAddr::from),
            generation: state.heartbeat.generation.get(),
            heartbeat: state.heartbeat.version.get(),
            named_as: flavour.to_string(),
            replaced: state.len() - states.len(),
            states,
        }
    }
}

impl StateValue {
    fn of(key: ApplicationState, value: Value<'_>, flavour: Flavour, reading: &Reading<'_>) -> Self {
        let partitioner = reading.learned.partitioner();
        let tokens = (key == ApplicationState::TOKENS).then(|| decode_tokens(value.text)).flatten();
        let tokens: Option<Vec<String>> =
            tokens.map(|tokens| tokens.iter().map(|token| partitioner.token(token)).collect());
        Self {
            key: key.number(),
            name: reading.names.name(key, flavour).into_owned(),
            version: value.version.get(),
            value: tokens.is_none().then(|| value.text.to_text().into_owned()),
            tokens,
            bytes: (!is_text(value.text)).then(|| hex(value.text.as_bytes())),
        }
    }
}

/// The answer to the question for entries of the log. What the entries look like depends on the release.
fn peer_log(reader: &mut Reader<'_>, bytes: &[u8]) -> Result<Body, Fault> {
    let body = PeerLog::decode(reader).and_then(|log| {
        // Where no entry is announced, nothing may follow.
        if log.entries == Some(0) {
            reader.finish()?;
        }
        Ok(Body::PeerLog {
            serialization_version: log.serialization_version,
            metadata_id: log.metadata_id.map(MetadataId::get),
            base_state: log.entries.is_none(),
            entries: log.entries,
            rest_bytes: reader.len(),
        })
    });
    body.map_err(|error| Fault::new(error, bytes, reader))
}

/// Whether nothing is lost when the string becomes a text: only a surrogate that stands alone is.
fn is_text(string: JavaStr<'_>) -> bool {
    string.as_str().is_some() || char::decode_utf16(string.units()).all(|unit| unit.is_ok())
}

fn digests(digests: &Digests<'_>) -> Vec<Digest> {
    let digest = |digest: message::Digest| Digest {
        endpoint: digest.endpoint.into(),
        generation: digest.generation.get(),
        max_version: digest.max_version.get(),
    };
    digests.iter().map(digest).collect()
}

fn states(states: &StateMap<'_>, reading: &mut Reading<'_>) -> Vec<State> {
    states.iter().map(|(endpoint, state)| State::of(Some(endpoint), &state, reading)).collect()
}

/// The printed names of types of connections.
pub(crate) const fn connection_type_name(connection: ConnectionType) -> &'static str {
    match connection {
        ConnectionType::Urgent => "urgent",
        ConnectionType::Small => "small",
        ConnectionType::Large => "large",
    }
}

fn failure_reason(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "unknown",
        1 => "too many tombstones",
        2 => "timeout",
        3 => "incompatible schema",
        4 => "read size",
        5 => "node down",
        _ => return None,
    })
}

/// A UUID in its usual form.
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    let digits = hex(&bytes);
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}
