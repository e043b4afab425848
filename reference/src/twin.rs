//! A real node and its model, driven by the same messages and times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use gossip_core::message::{Codec, Message as Borrowed};
use gossip_core::{
    DEFAULT_PARTITIONER, Endpoint, Gossiper, Outgoing, Phase, Standing as RealStanding, Timestamp,
};

use crate::message::{Digest, Message, States};
use crate::node::{Node, Standing};
use crate::settings::Settings;
use crate::state::{State, Value};

/// Phi of the two may differ by so much, since one of them rounds to microseconds.
const PHI_TOLERANCE: f64 = 1e-3;

/// So many of the last steps are kept.
const STEPS: usize = 16;

/// One process and its model.
///
/// Choices are the real node's: its own values, the receivers of a SYN, and the moment of a round. The model says what follows from
/// them. After the first difference nothing more is compared.
#[derive(Debug)]
pub struct Twin {
    model: Node,
    /// What the model would have answered, by receiver, until the real node sends it.
    owed: BTreeMap<Endpoint, VecDeque<Message>>,
    /// The id of the pending echo of an endpoint.
    echo_ids: BTreeMap<Endpoint, u64>,
    /// Who was live or had a pending echo before the last round. A request may be repeated in the round that convicts or forgets.
    were_asked: BTreeSet<Endpoint>,
    has_time: bool,
    rounds: u64,
    difference: Option<String>,
    /// The last steps, which a report of a difference shows.
    steps: VecDeque<(Duration, String)>,
    compared: u64,
}

impl Twin {
    /// The model of a process that has just started.
    pub fn new(gossiper: &Gossiper, settings: Settings, now: Timestamp, unix_ms: u64) -> Self {
        let own = real_state(gossiper, gossiper.local_endpoint()).unwrap_or_default();
        let mut model = Node::new(settings, gossiper.local_endpoint(), own, since_start(now), unix_ms);
        model.set_seeds(gossiper.seeds().iter().copied());
        Self {
            model,
            owed: BTreeMap::new(),
            echo_ids: BTreeMap::new(),
            were_asked: BTreeSet::new(),
            has_time: now > Timestamp::ZERO,
            rounds: gossiper.stats().rounds,
            difference: None,
            steps: VecDeque::new(),
            compared: 0,
        }
    }

    /// The settings of a node of ours with its defaults.
    pub fn settings(cluster: &str) -> Settings {
        Settings::ours(cluster, DEFAULT_PARTITIONER)
    }

    /// How the two differ, if they do.
    pub fn difference(&self) -> Option<&str> {
        self.difference.as_deref()
    }

    /// How often the two were compared.
    pub const fn compared(&self) -> u64 {
        self.compared
    }

    /// The model.
    pub const fn model(&self) -> &Node {
        &self.model
    }

    fn differ(&mut self, what: impl FnOnce() -> String) {
        if self.difference.is_none() {
            let steps: Vec<String> = self
                .steps
                .iter()
                .map(|(at, step)| format!("\n  {:.3} s: {step}", at.as_secs_f64()))
                .collect();
            self.difference = Some(format!("{}; after{}", what(), steps.concat()));
        }
    }

    fn note(&mut self, step: String) {
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back((self.model.now, step));
    }

    /// The wall clock is told. The first time, the process has just started.
    pub fn on_clock(&mut self, now: Timestamp, unix_ms: u64) {
        if !self.has_time {
            self.has_time = true;
            self.model.start_at(since_start(now));
        }
        self.model.set_time(since_start(now), unix_ms);
    }

    /// Before any call: what the node publishes of itself is its own decision.
    pub fn before(&mut self, gossiper: &Gossiper) {
        if let Some(own) = real_state(gossiper, gossiper.local_endpoint()) {
            self.model.set_own(own);
        }
        let phase = gossiper.phase();
        let takes_part = !matches!(phase, Phase::Asking | Phase::Disabled | Phase::Stopped);
        self.model.set_phase(takes_part, !matches!(phase, Phase::Running | Phase::Leaving));
    }

    /// A message arrives. To be called before the real node handles it, and [`Twin::after`] after that.
    pub fn on_receive(
        &mut self,
        now: Timestamp,
        gossiper: &Gossiper,
        from: Endpoint,
        id: u64,
        message: &Borrowed<'_>,
    ) {
        if self.difference.is_some() {
            return;
        }
        self.before(gossiper);
        self.settle();
        self.model.set_now(since_start(now));
        let message = Message::from(message);
        self.note(format!("{from} sends {}, id {id}", message.summary()));
        if message == Message::EchoResponse && self.echo_ids.get(&from) != Some(&id) {
            return;
        }
        for (to, answer) in self.model.receive(from, &message) {
            self.owed.entry(to).or_default().push_back(answer);
        }
    }

    /// Nothing that was owed may be left when the next thing happens.
    fn settle(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        for (to, messages) in owed {
            if let Some(message) = messages.front() {
                self.differ(|| format!("{message:?} to {to} was not sent"));
            }
        }
    }

    /// A call that may have begun a round is over.
    pub fn after_wake(&mut self, now: Timestamp, gossiper: &Gossiper) {
        if self.difference.is_some() {
            return;
        }
        self.settle();
        self.model.set_now(since_start(now));
        let rounds = gossiper.stats().rounds;
        let passed = rounds - self.rounds;
        self.rounds = rounds;
        if passed > 0 {
            self.before(gossiper);
            self.were_asked = self.model.live().iter().chain(self.model.echoes.keys()).copied().collect();
            self.note(format!("round {rounds}"));
            self.model.check();
        }
        if passed > 1 {
            self.differ(|| format!("{passed} rounds at once"));
        }
        self.after(gossiper);
    }

    /// Compares what the two know.
    pub fn after(&mut self, gossiper: &Gossiper) {
        if self.difference.is_some() {
            return;
        }
        self.before(gossiper);
        self.compared += 1;
        let local = gossiper.local_endpoint();
        let mut real = BTreeMap::new();
        for pulse in gossiper.pulses() {
            let endpoint = pulse.endpoint;
            let state = real_state(gossiper, endpoint).unwrap_or_default();
            real.insert(endpoint, state);
            if endpoint == local {
                continue;
            }
            let expected = match self.model.standing(endpoint) {
                Standing::Live => RealStanding::Live,
                Standing::Unreachable => RealStanding::Unreachable,
                Standing::Unverified => RealStanding::Unverified,
            };
            if self.model.state(endpoint).is_some() && pulse.standing != expected {
                self.differ(|| format!("{endpoint} is {:?}, by the model {expected:?}", pulse.standing));
            }
            let phi = self.model.arrivals(endpoint).map(|arrivals| arrivals.phi(self.model.now));
            let is_near = match (pulse.phi, phi) {
                (Some(real), Some(model)) => (real - model).abs() <= PHI_TOLERANCE * model.max(1.0),
                (None, None) => true,
                _ => false,
            };
            if !is_near {
                self.differ(|| format!("phi of {endpoint} is {:?}, by the model {phi:?}", pulse.phi));
            }
        }
        if real != *self.model.states() {
            let model = self.model.states().clone();
            self.differ(|| format!("known: {}", difference_of(&real, &model)));
        }
    }

    /// The real node sends a message.
    pub fn on_message(
        &mut self,
        gossiper_now: Timestamp,
        to: Endpoint,
        codec: Codec,
        outgoing: Outgoing,
        body: &[u8],
    ) {
        if self.difference.is_some() {
            return;
        }
        self.model.set_now(since_start(gossiper_now));
        let Some(Ok(message)) = Borrowed::decode(outgoing.verb, body, codec) else {
            return self.differ(|| format!("a message to {to} cannot be read"));
        };
        let message = Message::from(&message);
        self.note(format!("sends {to} {}, id {}", message.summary(), outgoing.id));
        match &message {
            Message::Syn { digests, .. } => self.compare_syn(to, digests),
            Message::EchoRequest => {
                // An echo that waits is repeated, and live endpoints are probed.
                self.take(to, |owed| *owed == Message::EchoRequest);
                if self.model.echoes.contains_key(&to) {
                    self.echo_ids.insert(to, outgoing.id);
                } else if self.model.standing(to) != Standing::Live && !self.were_asked.contains(&to) {
                    let model = format!("{:?}, {:?}", self.model.standing(to), self.model.state(to));
                    self.differ(|| format!("{to} gets an echo request, by the model it is {model}"));
                }
            }
            Message::Ack { requests, states } => {
                match self.take(to, |owed| matches!(owed, Message::Ack { .. })) {
                    Some(Message::Ack { requests: wanted, states: told }) => {
                        self.compare_requests(to, requests, &wanted);
                        self.compare_states(to, states, &told);
                    }
                    _ => self.differ(|| format!("{to} gets an ACK")),
                }
            }
            Message::Ack2 { states } => match self.take(to, |owed| matches!(owed, Message::Ack2 { .. })) {
                Some(Message::Ack2 { states: told }) => self.compare_states(to, states, &told),
                _ => self.differ(|| format!("{to} gets an ACK2")),
            },
            Message::EchoResponse => {
                if self.take(to, |owed| *owed == Message::EchoResponse).is_none() {
                    self.differ(|| format!("{to} gets an echo response"));
                }
            }
            Message::Shutdown(_) => {}
        }
        self.model.sent(to, &message);
    }

    fn take(&mut self, to: Endpoint, is_it: impl Fn(&Message) -> bool) -> Option<Message> {
        let owed = self.owed.get_mut(&to)?;
        let index = owed.iter().position(is_it)?;
        owed.remove(index)
    }

    fn compare_syn(&mut self, to: Endpoint, digests: &[Digest]) {
        let mut real = digests.to_vec();
        real.sort_unstable();
        // A SYN lists an endpoint from version 0 if its state was refused, or may be a part. After an answer that was cut, the SYN lists the
        // endpoint from the version at which the answer ended.
        let wanted: BTreeSet<Endpoint> = real
            .iter()
            .filter(|digest| {
                digest.version == 0 && self.model.is_wanted(digest.endpoint)
                    || self.model.may_lack_from(digest)
            })
            .map(|digest| digest.endpoint)
            .collect();
        real.retain(|digest| !wanted.contains(&digest.endpoint));
        let mut model = self.model.digests();
        model.retain(|digest| !wanted.contains(&digest.endpoint));
        if real != model {
            self.differ(|| format!("the SYN to {to} lists {real:?}, by the model {model:?}"));
        }
    }

    fn compare_requests(&mut self, to: Endpoint, real: &[Digest], model: &[Digest]) {
        let (mut real, mut model) = (real.to_vec(), model.to_vec());
        real.sort_unstable();
        // One peer at a time is asked for everything of an endpoint, and for what others know of the node itself.
        model.retain(|request| {
            real.contains(request)
                || (request.version != 0 && request.endpoint != self.model.local)
                || !self.model.is_requested(request.endpoint)
        });
        model.sort_unstable();
        if real != model {
            self.differ(|| format!("the ACK to {to} requests {real:?}, by the model {model:?}"));
        }
    }

    fn compare_states(&mut self, to: Endpoint, real: &States, model: &States) {
        if real != model {
            self.differ(|| format!("{to} is told {}", difference_of(real, model)));
        }
    }
}

fn since_start(now: Timestamp) -> Duration {
    Duration::from_nanos(now.as_nanos())
}

fn real_state(gossiper: &Gossiper, endpoint: Endpoint) -> Option<State> {
    let heartbeat = gossiper.heartbeat(endpoint)?;
    let mut state = State::bare(heartbeat.generation.get(), heartbeat.version.get());
    for (key, text, version) in gossiper.values(endpoint) {
        let value = Value { text: text.to_text().into_owned(), version: version.get() };
        state.values.insert(key.number(), value);
    }
    Some(state)
}

fn difference_of(real: &States, model: &States) -> String {
    let mut all: Vec<_> = real.keys().chain(model.keys()).collect();
    all.sort_unstable();
    all.dedup();
    let differing = all.into_iter().filter(|endpoint| real.get(endpoint) != model.get(endpoint));
    let texts: Vec<String> = differing
        .map(|endpoint| {
            format!("{endpoint}: {:?}, by the model {:?}", real.get(endpoint), model.get(endpoint))
        })
        .collect();
    texts.join("; ")
}
