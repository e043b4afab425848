//! Messages, with plain maps in place of borrowed bytes (`docs/protocol/gossip-messages.md`).

use std::collections::BTreeMap;

use gossip_core::Endpoint;
use gossip_core::message::{Digests, EndpointState, Message as Borrowed, StateMap};

use crate::state::{State, Value};

/// How far an endpoint is known; in an ACK, from where more is requested.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Digest {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its generation.
    pub generation: i32,
    /// The greatest version known of it.
    pub version: i32,
}

/// States by endpoint.
pub type States = BTreeMap<Endpoint, State>;

/// A gossip message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Message {
    /// Opens an exchange.
    Syn {
        /// The sender's cluster.
        cluster: String,
        /// The sender's partitioner.
        partitioner: String,
        /// What the sender knows. Empty: it asks for everything.
        digests: Vec<Digest>,
    },
    /// Answers a SYN.
    Ack {
        /// What the sender wants.
        requests: Vec<Digest>,
        /// What the sender knows better.
        states: States,
    },
    /// Ends an exchange: what was requested.
    Ack2 {
        /// The states.
        states: States,
    },
    /// Asks whether the receiver can be reached.
    EchoRequest,
    /// It can.
    EchoResponse,
    /// The sender stops; from version 13 on with its state.
    Shutdown(Option<State>),
}

impl Message {
    /// What it is, and about which endpoints.
    pub fn summary(&self) -> String {
        let listed = |digests: &[Digest]| -> Vec<String> {
            let one =
                |digest: &Digest| format!("{}:{}:{}", digest.endpoint, digest.generation, digest.version);
            digests.iter().map(one).collect()
        };
        let told = |states: &States| -> Vec<String> {
            let one = |(endpoint, state): (&Endpoint, &State)| {
                format!("{endpoint}:{}:{}+{}", state.generation, state.heartbeat, state.values.len())
            };
            states.iter().map(one).collect()
        };
        match self {
            Self::Syn { digests, .. } => format!("SYN {}", listed(digests).join(" ")),
            Self::Ack { requests, states } => {
                format!("ACK, requests {}, states {}", listed(requests).join(" "), told(states).join(" "))
            }
            Self::Ack2 { states } => format!("ACK2 {}", told(states).join(" ")),
            Self::EchoRequest => "an echo request".to_owned(),
            Self::EchoResponse => "an echo response".to_owned(),
            Self::Shutdown(_) => "a shutdown".to_owned(),
        }
    }
}

impl From<&Borrowed<'_>> for Message {
    fn from(message: &Borrowed<'_>) -> Self {
        match message {
            Borrowed::Syn(syn) => Self::Syn {
                cluster: syn.cluster.to_text().into_owned(),
                partitioner: syn.partitioner.to_text().into_owned(),
                digests: digests(&syn.digests),
            },
            Borrowed::Ack(ack) => Self::Ack { requests: digests(&ack.requests), states: states(&ack.states) },
            Borrowed::Ack2(ack2) => Self::Ack2 { states: states(&ack2.states) },
            Borrowed::EchoRequest => Self::EchoRequest,
            Borrowed::EchoResponse => Self::EchoResponse,
            Borrowed::Shutdown(shutdown) => Self::Shutdown(shutdown.state.as_ref().map(state)),
        }
    }
}

fn digests(digests: &Digests<'_>) -> Vec<Digest> {
    let plain = |digest: gossip_core::message::Digest| Digest {
        endpoint: digest.endpoint,
        generation: digest.generation.get(),
        version: digest.max_version.get(),
    };
    digests.iter().map(plain).collect()
}

fn states(states: &StateMap<'_>) -> States {
    states.iter().map(|(endpoint, borrowed)| (endpoint, state(&borrowed))).collect()
}

fn state(borrowed: &EndpointState<'_>) -> State {
    let mut plain = State::bare(borrowed.heartbeat.generation.get(), borrowed.heartbeat.version.get());
    for (key, value) in borrowed.values() {
        let value = Value { text: value.text.to_text().into_owned(), version: value.version.get() };
        plain.values.insert(key.number(), value);
    }
    plain
}
