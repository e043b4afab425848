//! Whole conversations with a real node, of which only its side is recorded: a [`Node`] takes the place of the other, handshakes included.
//!
//! What the node recorded dials, sends and closes comes when it came; when it is dialled it answers as it answered then, if it was running.
//! Only its answers to echoes, and that of 6.0 to the question for its cluster's identifier, are not the recorded ones: they carry the ids of
//! our questions. Neither is that to the question of a shadow round, which was not asked when it was recorded.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use gossip_core::internode::{
    Accept, ConnectionKind, FrameHeader, FrameKind, Framing, Header, Inbound, InboundEvent, InboundLimits,
    Initiate, Lz4Encoder, Params, Scratch, VersionRange, wrap,
};
use gossip_core::{
    ApplicationState, CASSANDRA_PARTITIONER, Config, ConnectionId, DownCause, Endpoint, Event, Generation,
    HeartbeatState, Input, MessagingVersion, Node, Output, Standing, Timestamp, Uuid, Verb, Version,
};

use crate::pcap::{self, Stream};
use crate::support::{Content, State, decode, written};

/// The recorded side of one node, and the node of ours that it speaks with.
struct Conversation {
    node: Node,
    started: u64,
    now: Timestamp,
    buffer: Vec<u8>,
    /// What the real node did, in order.
    script: VecDeque<(u64, Step)>,
    /// Connections that the real node dialled, and the framing of each.
    dialled: BTreeMap<usize, (ConnectionId, Framing)>,
    /// Connections that we dialled.
    ours: BTreeMap<ConnectionId, FarEnd>,
    peer: Endpoint,
    peer_generation: Generation,
    /// Whether the real node was asked for everything, and has not answered that.
    is_asked_for_all: bool,
    /// The questions for the identifier of the cluster's metadata that are not answered, by id.
    metadata_questions: Vec<u64>,
    /// From when to when the real node listened.
    running: Vec<(u64, u64)>,
    events: Vec<(u64, Event)>,
    /// All that we sent.
    sent: Vec<(u64, Content)>,
    accepts: Vec<Vec<u8>>,
    /// What the real node speaks.
    version: MessagingVersion,
}

/// The body of the question for the identifier of the cluster's metadata: an epoch far ahead.
const FAR_AHEAD: [u8; 9] = [0xff, 0x40, 0, 0, 0, 0, 0, 0, 0];

/// The body with which the node of 6.0 answered it, under the id of another question.
const PEER_LOG: [u8; 11] = [4, 0xf0, 0x7f, 0, 0x1b, 0xe7, 0, 0, 0, 0, 0];

/// Something that the real node did, over its connection of that number.
enum Step {
    Dial(usize, Vec<u8>),
    Send(usize, Vec<u8>),
    Close(usize),
}

/// The far end of a connection that we dialled.
struct FarEnd {
    inbound: Inbound,
    scratch: Scratch,
}

impl Conversation {
    /// Between a node of ours in the place of `local` and what is recorded of `peer`. `running` says when the
    /// real node listened, in seconds since the start of the capture.
    fn new(
        file: &str,
        local: Endpoint,
        peer: Endpoint,
        running: &[(f64, f64)],
        node: impl FnOnce() -> Config,
    ) -> Self {
        let connections = pcap::connections(&crate::transcripts::path_of(file));
        let started = connections.iter().filter_map(|connection| connection.sent.segments.first());
        let started = started.map(|(micros, _)| *micros).min().unwrap();
        let (mut script, mut accepts) = (Vec::new(), Vec::new());
        for (number, connection) in connections.iter().enumerate() {
            let bytes: Vec<u8> =
                connection.sent.segments.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            let Ok(Some((initiate, size))) = Initiate::decode(&bytes) else { continue };
            if !matches!(initiate.kind, ConnectionKind::Messaging(_)) {
                continue;
            }
            if Endpoint::from(connection.to) == peer && initiate.from == local {
                // What it answered when it was dialled.
                let answer: Vec<u8> =
                    connection.received.segments.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
                accepts.extend((answer.len() == Accept::SIZE).then_some(answer));
            }
            if Endpoint::from(connection.to) == local && initiate.from == peer {
                script.extend(steps(number, &connection.sent, initiate.framing, size));
            }
        }
        let (accept, _) = Accept::decode(accepts.first().expect("it was dialled")).unwrap().unwrap();
        script.sort_by_key(|(micros, _)| *micros);
        let micros =
            |seconds: &f64| started + u64::try_from(Duration::from_secs_f64(*seconds).as_micros()).unwrap();
        let mut conversation = Self {
            node: Node::new(node(), Timestamp::ZERO),
            started,
            now: Timestamp::ZERO,
            buffer: vec![0; Node::MIN_BUFFER],
            script: script.into(),
            dialled: BTreeMap::new(),
            ours: BTreeMap::new(),
            peer,
            peer_generation: generation_of(file, peer),
            is_asked_for_all: false,
            metadata_questions: Vec::new(),
            running: running.iter().map(|(from, to)| (micros(from), micros(to))).collect(),
            events: Vec::new(),
            sent: Vec::new(),
            accepts,
            version: MessagingVersion::from_number(accept.version).unwrap(),
        };
        conversation.tell_time();
        conversation
    }

    /// Lets `seconds` of the capture pass.
    fn run_until(&mut self, seconds: f64) {
        let end = Timestamp::from_nanos(u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap());
        loop {
            let deadline = self.drain();
            let next =
                self.script.front().map(|(micros, _)| Timestamp::from_nanos((micros - self.started) * 1_000));
            let due = [deadline, next].into_iter().flatten().min().filter(|due| *due <= end);
            let Some(due) = due else { break };
            self.now = self.now.max(due);
            if next == Some(due)
                && let Some((_, step)) = self.script.pop_front()
            {
                self.take(step);
            } else {
                self.tell_time();
                self.input(Input::Timeout);
            }
        }
        self.now = self.now.max(end);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Dial(number, initiate) => {
                let framing = Initiate::decode(&initiate).unwrap().unwrap().0.framing;
                let connection = self.node.accept(self.now).unwrap();
                self.dialled.insert(number, (connection, framing));
                self.input(Input::Bytes { connection, bytes: &initiate });
            }
            Step::Send(number, bytes) => {
                // The node may have hung up.
                if let Some((connection, _)) = self.dialled.get(&number).copied() {
                    self.input(Input::Bytes { connection, bytes: &bytes });
                }
            }
            Step::Close(number) => {
                if let Some((connection, _)) = self.dialled.remove(&number) {
                    self.input(Input::Closed { connection });
                }
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
    }

    fn tell_time(&mut self) {
        self.input(Input::WallClock { unix_ms: self.micros() / 1_000 });
    }

    fn micros(&self) -> u64 {
        self.started + self.now.as_nanos() / 1_000
    }

    fn is_running(&self) -> bool {
        self.running.iter().any(|(from, to)| (*from..*to).contains(&self.micros()))
    }

    /// Does what the node wants, as the real node would answer it.
    fn drain(&mut self) -> Option<Timestamp> {
        let mut buffer = core::mem::take(&mut self.buffer);
        let deadline = loop {
            match self.node.poll(&mut buffer) {
                Output::Connect { connection, to } => {
                    if to == self.peer && self.is_running() {
                        let limits = InboundLimits { wanted: |_| true, ..InboundLimits::default() };
                        let max = u8::try_from(self.version.number()).unwrap();
                        let versions = VersionRange { min: 12, max };
                        let inbound = Inbound::new(versions, limits);
                        self.ours.insert(connection, FarEnd { inbound, scratch: Scratch::new() });
                        self.input(Input::Opened { connection });
                    } else {
                        self.input(Input::Failed { connection });
                    }
                }
                Output::Write { connection, bytes } => {
                    let bytes = bytes.to_vec();
                    self.input(Input::Writable { connection });
                    self.on_write(connection, &bytes);
                }
                Output::Close { connection } => {
                    self.ours.remove(&connection);
                    self.dialled.retain(|_, (dialled, _)| *dialled != connection);
                }
                Output::Event(event) => self.events.push((self.micros(), event)),
                Output::Timeout(deadline) => break deadline,
                output => panic!("{output:?}"),
            }
        };
        self.buffer = buffer;
        deadline
    }

    /// Bytes that the node writes to the real one.
    fn on_write(&mut self, connection: ConnectionId, bytes: &[u8]) {
        // What it writes to a connection that it accepted is the answer to the handshake.
        if self.dialled.values().any(|(dialled, _)| *dialled == connection) {
            let accept = Accept::decode(bytes).unwrap().unwrap().0;
            assert_eq!(accept.version, self.version.number());
            return self.answer_for_all();
        }
        if !self.is_running() {
            self.ours.remove(&connection);
            return self.input(Input::Closed { connection });
        }
        let version = self.version;
        let Some(far_end) = self.ours.get_mut(&connection) else { return };
        let mut input = bytes;
        let (mut echoes, mut accept, mut sent) = (Vec::new(), None, Vec::new());
        while let Some(event) = far_end.inbound.next(&mut input, &mut far_end.scratch) {
            match event {
                InboundEvent::Initiated { .. } => accept = Some(self.accepts[0].clone()),
                InboundEvent::Message { header, payload } if header.verb.is_gossip() => {
                    if header.verb == Verb::ECHO_REQ {
                        echoes.push(header.id);
                    }
                    let content = Content::of(&decode(header.verb, payload, version).unwrap());
                    self.is_asked_for_all |=
                        matches!(&content, Content::Syn { digests, .. } if digests.is_empty());
                    sent.push(content);
                }
                InboundEvent::Message { header, payload } if header.verb == Verb::TCM_FETCH_PEER_LOG_REQ => {
                    assert_eq!((payload, header.epoch), (&FAR_AHEAD[..], 0));
                    self.metadata_questions.push(header.id);
                }
                InboundEvent::Message { .. } => {}
                event => panic!("{event:?}"),
            }
        }
        let micros = self.micros();
        self.sent.extend(sent.into_iter().map(|content| (micros, content)));
        if let Some(bytes) = accept {
            self.input(Input::Bytes { connection, bytes: &bytes });
        }
        for id in echoes {
            self.answer(id, &Content::Echo { verb: Verb::ECHO_RSP });
        }
        self.answer_for_all();
    }

    /// Answers the question for everything as soon as the real node has dialled: that it knows of itself, and no more.
    fn answer_for_all(&mut self) {
        if !self.dialled.is_empty() {
            for id in core::mem::take(&mut self.metadata_questions) {
                self.answer_with(id, Verb::TCM_FETCH_PEER_LOG_RSP, PEER_LOG.to_vec());
            }
        }
        if self.is_asked_for_all && !self.dialled.is_empty() {
            self.is_asked_for_all = false;
            let heartbeat = HeartbeatState { generation: self.peer_generation, version: Version::new(1) };
            let states = vec![(self.peer, State { heartbeat, values: Vec::new() })];
            self.answer(1, &Content::Ack { requests: Vec::new(), states });
        }
    }

    /// The real node answers over a connection of its own, if it has dialled one.
    fn answer(&mut self, id: u64, content: &Content) {
        self.answer_with(id, content.verb(), content.body(self.version));
    }

    fn answer_with(&mut self, id: u64, verb: Verb, body: Vec<u8>) {
        let Some((connection, framing)) = self.dialled.values().next_back().copied() else { return };
        let (created_at, params) =
            (u32::try_from((self.micros() / 1_000) & 0xffff_ffff).unwrap(), Params::NONE);
        let header = Header {
            id,
            epoch: 0,
            created_at,
            expires_in: 9_999,
            verb,
            flags: 0,
            params,
            payload_size: body.len(),
        };
        let message = [written(|out| header.encode(self.version, out)), body].concat();
        let frame = match framing {
            Framing::Lz4 => {
                let mut out = vec![0; Lz4Encoder::room(message.len())];
                let len = Lz4Encoder::new().encode(FrameKind::SelfContained, &message, &mut out).unwrap();
                out[..len].to_vec()
            }
            framing => {
                let head = framing.header_len();
                let mut out = [&vec![0; head][..], &message, &[0; 4]].concat();
                let frame =
                    wrap(framing, FrameKind::SelfContained, &mut out, head..head + message.len()).unwrap();
                out[frame].to_vec()
            }
        };
        self.input(Input::Bytes { connection, bytes: &frame });
    }

    /// What happened to the peer, as one word each.
    fn told_of_peer(&self) -> Vec<&'static str> {
        let word = |event: &Event| match event {
            Event::Joined { .. } => Some("joined"),
            Event::Restarted { .. } => Some("restarted"),
            Event::Up { .. } => Some("up"),
            Event::Down { cause: DownCause::Shutdown, .. } => Some("stopped"),
            Event::Down { cause: DownCause::Convicted { .. }, .. } => Some("convicted"),
            Event::Down { .. } => Some("down"),
            _ => None,
        };
        self.events.iter().filter_map(|(_, event)| word(event)).collect()
    }

    /// At what second of the capture something happened for the `nth` time.
    fn second_of(&self, nth: usize, is_it: impl Fn(&Event) -> bool) -> f64 {
        let found = self.events.iter().filter(|(_, event)| is_it(event)).nth(nth);
        let (micros, _) = found.unwrap_or_else(|| panic!("{:?}", self.events));
        Duration::from_micros(micros - self.started).as_secs_f64()
    }

    /// How many of our messages were of this kind.
    fn count_sent(&self, verb: Verb) -> usize {
        self.sent.iter().filter(|(_, content)| content.verb() == verb).count()
    }

    /// Every message of gossip that is recorded was taken in as such.
    fn assert_all_was_taken(&self, file: &str) {
        let stats = self.node.stats();
        let local = self.node.gossiper().local_endpoint();
        for (verb, count) in [
            (Verb::GOSSIP_DIGEST_SYN, stats.syns_received),
            (Verb::GOSSIP_DIGEST_ACK, stats.acks_received),
            (Verb::GOSSIP_DIGEST_ACK2, stats.ack2s_received),
        ] {
            assert_eq!(count, captured(file, self.peer, local, verb) as u64, "{verb}");
        }
    }

    /// Nothing of what came was wrong, or could not be used.
    fn assert_clean(&self) {
        let stats = self.node.stats();
        for (what, count) in [
            ("malformed", stats.malformed),
            ("corrupt frames", stats.corrupt_frames),
            ("failed connections", stats.connections_failed),
            ("foreign clusters", stats.foreign_cluster + stats.foreign_partitioner),
            ("expired", stats.expired),
            ("future generations", stats.future_generations),
            ("stale shutdowns", stats.stale_shutdowns),
        ] {
            assert_eq!(count, 0, "{what}");
        }
    }
}

/// What the dialler of a connection did: whole frames, at the times of their last bytes.
fn steps(number: usize, stream: &Stream, framing: Framing, handshake: usize) -> Vec<(u64, Step)> {
    let bytes: Vec<u8> = stream.segments.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let time_of = |end: usize| {
        let mut seen = 0;
        let segment = stream.segments.iter().find(|(_, bytes)| {
            seen += bytes.len();
            seen >= end
        });
        segment.unwrap().0
    };
    let mut steps = vec![(time_of(handshake), Step::Dial(number, bytes[..handshake].to_vec()))];
    let mut at = handshake;
    while let Some(header) = FrameHeader::decode(framing, &bytes[at..]).unwrap() {
        let end = at + framing.header_len() + header.len + framing.trailer_len();
        let Some(frame) = bytes.get(at..end) else { break };
        steps.push((time_of(end), Step::Send(number, frame.to_vec())));
        at = end;
    }
    if stream.is_finished {
        steps.push((stream.segments.last().unwrap().0 + 1, Step::Close(number)));
    }
    steps
}

/// How many messages of a kind were captured from one to the other.
fn captured(file: &str, from: Endpoint, to: Endpoint, verb: Verb) -> usize {
    let messages = crate::transcripts::replayable(file);
    messages.iter().filter(|message| (message.from, message.to, message.verb) == (from, to, verb)).count()
}

/// At what second of a capture the only message of a kind came.
fn captured_at(file: &str, from: Endpoint, to: Endpoint, verb: Verb) -> f64 {
    let messages = crate::transcripts::replayable(file);
    let of_kind =
        |message: &&crate::internode::Captured| (message.from, message.to, message.verb) == (from, to, verb);
    let mut found = messages.iter().filter(of_kind);
    let (only, None) = (found.next().unwrap(), found.next()) else { panic!("there are several") };
    Duration::from_micros(only.micros - messages[0].micros).as_secs_f64()
}

/// A generation that the other side knows of us; it must be ours, or what it says of us is of another process.
fn generation_of(file: &str, endpoint: Endpoint) -> Generation {
    let messages = crate::transcripts::replayable(file);
    let digests = messages.iter().filter_map(|message| {
        match Content::of(&decode(message.verb, &message.payload, message.version).unwrap()) {
            Content::Syn { digests, .. } => Some(digests),
            _ => None,
        }
    });
    let own = digests.flatten().find(|digest| digest.endpoint == endpoint && digest.generation.get() > 0);
    own.unwrap().generation
}

/// Our node is the seed; a real one, 4.0.14, joins it, takes part, stops, restarts, is killed, and restarts.
#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a_real_node_joins_stops_restarts_and_dies() {
    let file = "c40-2node-none.pcap";
    let (seed, peer) = (Endpoint::v4([127, 0, 0, 1], 7000), Endpoint::v4([127, 0, 0, 2], 7000));
    let node = || {
        Config::builder("Test Cluster", seed, generation_of(file, seed), [7; 32])
            .partitioner(CASSANDRA_PARTITIONER)
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,-5")
            .build()
            .unwrap()
    };
    // Seconds of the capture, from its first handshake on; the times are those at which the real node dialled first and was stopped or killed.
    let running = [(0.0, 76.0), (81.0, 122.0), (145.0, 1_000.0)];
    let mut conversation = Conversation::new(file, seed, peer, &running, node);
    // The other side knows more of our versions than we would have given out by then.
    for _ in 0..2_000 {
        conversation.node.set_state(Timestamp::ZERO, ApplicationState::LOAD, "0.0").unwrap();
    }
    conversation.run_until(60.0);
    assert_eq!(conversation.told_of_peer(), ["joined", "up"]);
    let gossiper = conversation.node.gossiper();
    let text = |key| gossiper.value(peer, key).map(|(text, _)| text.to_text().into_owned());
    assert_eq!(text(ApplicationState::RELEASE_VERSION).as_deref(), Some("4.0.14"));
    assert!(
        text(ApplicationState::STATUS_WITH_PORT).unwrap().starts_with("NORMAL,"),
        "it is through with joining"
    );
    assert_eq!(gossiper.standing(peer), Some(Standing::Live));

    conversation.run_until(1_000.0);
    let course = ["joined", "up", "stopped", "restarted", "up", "convicted", "restarted", "up"];
    assert_eq!(conversation.told_of_peer()[..course.len()], course, "{:?}", conversation.events);
    conversation.assert_clean();
    conversation.assert_all_was_taken(file);
    // Each SYN has its ACK, each ACK its ACK2, each echo its answer.
    let received = |verb| captured(file, peer, seed, verb);
    assert_eq!(conversation.count_sent(Verb::GOSSIP_DIGEST_ACK), received(Verb::GOSSIP_DIGEST_SYN));
    assert_eq!(conversation.count_sent(Verb::GOSSIP_DIGEST_ACK2), received(Verb::GOSSIP_DIGEST_ACK));
    assert_eq!(conversation.count_sent(Verb::ECHO_RSP), received(Verb::ECHO_REQ));
    assert_eq!(
        conversation.node.gossiper().generation(),
        generation_of(file, seed),
        "no peer says that we are older"
    );
}

/// As before with 5.0, whose messaging version 13 has a body in its shutdown; in the end ours stops as well.
#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn shutdowns_with_a_body_are_understood_on_both_sides() {
    let file = "c50-2node-compatNONE.pcap";
    let (seed, peer) = (Endpoint::v4([127, 0, 0, 1], 7000), Endpoint::v4([127, 0, 0, 2], 7000));
    let node = || {
        Config::builder("Test Cluster", seed, generation_of(file, seed), [7; 32])
            .partitioner(CASSANDRA_PARTITIONER)
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,-5")
            .build()
            .unwrap()
    };
    let mut conversation = Conversation::new(file, seed, peer, &[(0.0, 1_000.0)], node);
    assert_eq!(conversation.version, MessagingVersion::V13);
    for _ in 0..2_000 {
        conversation.node.set_state(Timestamp::ZERO, ApplicationState::LOAD, "0.0").unwrap();
    }
    // The last that it says is that it stops.
    let last = captured_at(file, peer, seed, Verb::GOSSIP_SHUTDOWN);
    conversation.run_until(last - 1.0);
    assert_eq!(conversation.told_of_peer(), ["joined", "up"]);
    conversation.node.shutdown(conversation.now);
    conversation.run_until(last - 0.5);
    let stops = conversation.sent.iter().filter(|(_, content)| content.verb() == Verb::GOSSIP_SHUTDOWN);
    let stops: Vec<_> = stops.map(|(_, content)| content.clone()).collect();
    let [Content::Shutdown { state: Some(state) }] = &stops[..] else { panic!("{stops:?}") };
    assert!(state.values.iter().any(|(_, text, _)| text == b"shutdown,true"));
    conversation.run_until(last + 1.0);
    assert_eq!(conversation.told_of_peer(), ["joined", "up", "stopped"]);
    conversation.assert_clean();
}

/// Our node is a gossip-only member of a real one's cluster, in the place of the test peer: it asks, joins, takes part, and leaves.
#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a_gossip_only_member_joins_a_real_node_and_leaves() {
    let file = "c40-member.pcap";
    let (local, peer) = (Endpoint::v4([127, 0, 0, 5], 7000), Endpoint::v4([127, 0, 0, 11], 7000));
    let node = || {
        Config::gossip_only(
            "Test Cluster",
            local,
            generation_of(file, local),
            [7; 32],
            Uuid::from_bytes([5; 16]),
        )
        .seed(peer)
        .data_center("dc1")
        .build()
        .unwrap()
    };
    let mut conversation = Conversation::new(file, local, peer, &[(0.0, 1_000.0)], node);
    let pad = gossip_core::Pad::new(28).unwrap().state();
    for _ in 0..200 {
        conversation.node.set_state(Timestamp::ZERO, pad, "x").unwrap();
    }
    conversation.run_until(30.0);
    assert_eq!(conversation.told_of_peer(), ["joined", "up"], "{:?}", conversation.events);
    let done = |event: &Event| *event == Event::ShadowRoundDone;
    assert!(
        conversation.second_of(0, done)
            < conversation.second_of(0, |event| matches!(event, Event::Up { .. }))
    );
    let gossiper = conversation.node.gossiper();
    for key in [ApplicationState::RELEASE_VERSION, ApplicationState::SCHEMA] {
        let text = |endpoint| gossiper.value(endpoint, key).map(|(text, _)| text.to_text().into_owned());
        assert!(text(peer).is_some());
        assert_eq!(text(local), text(peer), "it follows");
    }
    for key in [ApplicationState::STATUS, ApplicationState::STATUS_WITH_PORT, ApplicationState::TOKENS] {
        assert!(gossiper.value(local, key).is_none());
    }
    assert!(
        matches!(&conversation.sent[0].1, Content::Syn { digests, .. } if digests.is_empty()),
        "first it asks"
    );
    let stats = conversation.node.stats();
    assert!(stats.syns_received >= 20 && stats.acks_received >= 20, "{stats:?}");
    assert_eq!(conversation.count_sent(Verb::GOSSIP_DIGEST_ACK) as u64, stats.syns_received);
    assert!(conversation.count_sent(Verb::ECHO_RSP) >= 1);

    let (sent, connections) = (conversation.sent.len(), conversation.node.stats().connections);
    conversation.node.shutdown(conversation.now);
    conversation.run_until(33.0);
    // It leaves in silence, whatever the real node goes on to ask.
    assert_eq!(conversation.sent.len(), sent);
    assert_eq!(conversation.node.stats().connections, connections);
    assert_eq!(conversation.count_sent(Verb::GOSSIP_SHUTDOWN), 0);
    assert!(conversation.events.iter().any(|(_, event)| *event == Event::Stopped));
    conversation.assert_clean();
}

/// Our node is a gossip-only member of the cluster of a node of the trunk that became 6.0: it asks for the identifier of the cluster's
/// metadata, and each SYN of it carries that.
#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a_gossip_only_member_joins_a_real_node_of_6_0() {
    let file = crate::transcripts::V14;
    let (local, peer) = (Endpoint::v4([127, 0, 0, 182], 7000), Endpoint::v4([127, 0, 0, 143], 7000));
    let node = || {
        let host_id = Uuid::from_bytes([5; 16]);
        Config::gossip_only("Up", local, generation_of(file, local), [7; 32], host_id)
            .seed(peer)
            .build()
            .unwrap()
    };
    let mut conversation = Conversation::new(file, local, peer, &[(0.0, 1_000.0)], node);
    assert_eq!(conversation.version, MessagingVersion::V14);
    let pad = gossip_core::Pad::new(28).unwrap().state();
    for _ in 0..200 {
        conversation.node.set_state(Timestamp::ZERO, pad, "x").unwrap();
    }
    // Then the peer that was recorded announced its leave, as ours never does.
    conversation.run_until(5.1);
    assert_eq!(conversation.told_of_peer(), ["joined", "up"], "{:?}", conversation.events);
    let id = gossip_core::MetadataId::of_initialiser(peer);
    let gossiper = conversation.node.gossiper();
    assert_eq!(gossiper.metadata_id(), (id, gossip_core::MetadataOrigin::Answer { from: peer }));
    let syns: Vec<_> = conversation
        .sent
        .iter()
        .filter_map(|(_, content)| match content {
            Content::Syn { metadata_id, digests, .. } => Some((*metadata_id, digests.len())),
            _ => None,
        })
        .collect();
    assert!(syns.len() >= 4 && syns.iter().all(|(carried, _)| *carried == id), "{syns:?}");
    assert_eq!(syns[0].1, 0, "first it asks");
    let text = |endpoint, key| gossiper.value(endpoint, key).map(|(text, _)| text.to_text().into_owned());
    assert_eq!(text(local, ApplicationState::NET_VERSION).as_deref(), Some("14"));
    assert_eq!(text(local, ApplicationState::RELEASE_VERSION).as_deref(), Some("5.1.0"));
    assert_eq!(text(local, ApplicationState::SCHEMA), text(peer, ApplicationState::SCHEMA));
    let stats = conversation.node.stats();
    assert!(stats.syns_received >= 4 && stats.acks_received >= 4, "{stats:?}");
    assert_eq!(conversation.count_sent(Verb::GOSSIP_DIGEST_ACK) as u64, stats.syns_received);
    assert!(conversation.count_sent(Verb::ECHO_RSP) >= 1);
    let sent = conversation.sent.len();
    conversation.node.shutdown(conversation.now);
    conversation.run_until(6.0);
    assert_eq!((conversation.sent.len(), conversation.count_sent(Verb::GOSSIP_SHUTDOWN)), (sent, 0));
    conversation.assert_clean();
}
