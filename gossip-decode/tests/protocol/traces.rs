//! The traces of `minimal-peer.md`, played against a node of ours: P's bytes are those of the page, and the node answers
//! what the page says that a node answers.

use core::time::Duration;

use gossip_core::internode::{Accept, CRC_HEADER, CRC_TRAILER, FrameKind, Framing, Header, Initiate, wrap};
use gossip_core::message::{Codec, Digest, Message};
use gossip_core::wire::Reader;
use gossip_core::{
    ApplicationState, Config, ConnectionId, Endpoint, Event, Generation, Input, MessagingVersion, Node,
    Output, Timestamp, Version,
};

use crate::fields::{self, written};
use gossip_testing::pages::Page;

const VERSION: MessagingVersion = MessagingVersion::V12;
const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

/// The examples of the page, in its order.
struct Trace(std::vec::IntoIter<(String, Vec<u8>)>);

impl Trace {
    fn of(page: &Page) -> Self {
        let blocks = page.blocks().iter().filter(|block| block.info.starts_with("hex "));
        let bytes =
            blocks.map(|block| (block.info.clone(), fields::parse(&block.lines, VERSION).unwrap().all));
        Self(bytes.collect::<Vec<_>>().into_iter())
    }

    fn next(&mut self, info: &str) -> Vec<u8> {
        let (found, bytes) = self.0.next().unwrap();
        assert_eq!(found, info);
        bytes
    }

    fn frame(&mut self) -> Vec<u8> {
        self.next("hex frame crc v12")
    }
}

/// The node N, and what comes out of it.
struct Played {
    node: Node,
    now: Timestamp,
    buffer: Vec<u8>,
    events: Vec<Event>,
}

impl Played {
    fn input(&mut self, input: Input<'_>) {
        self.node.handle_input(self.now, input);
    }

    fn bytes(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.input(Input::Bytes { connection, bytes });
    }

    /// What the node wants next, beside events.
    fn poll(&mut self) -> Option<(ConnectionId, Result<Vec<u8>, Endpoint>)> {
        loop {
            match self.node.poll(&mut self.buffer) {
                Output::Event(event) => self.events.push(event),
                Output::Connect { connection, to } => return Some((connection, Err(to))),
                Output::Write { connection, bytes } => {
                    let bytes = bytes.to_vec();
                    self.input(Input::Writable { connection });
                    return Some((connection, Ok(bytes)));
                }
                Output::Timeout(_) => return None,
                other => panic!("{other:?}"),
            }
        }
    }

    /// What the node writes next over `connection`.
    fn written(&mut self, connection: ConnectionId) -> Vec<u8> {
        let (found, bytes) = self.poll().expect("the node answers");
        assert_eq!(found, connection);
        bytes.unwrap()
    }
}

/// Decodes the message of a frame and hands it to `see`, with its id.
fn message<T>(frame: &[u8], see: impl FnOnce(u64, Message<'_>) -> T) -> T {
    let payload = &frame[CRC_HEADER..frame.len() - CRC_TRAILER];
    let mut reader = Reader::new(payload);
    let header = Header::decode(&mut reader, VERSION).unwrap();
    let message = Message::decode(header.verb, reader.rest(), Codec::new(VERSION)).unwrap().unwrap();
    see(header.id, message)
}

/// The frame of a message without a body, under another id.
fn renumbered(frame: &[u8], id: u64) -> Vec<u8> {
    let payload = &frame[CRC_HEADER..frame.len() - CRC_TRAILER];
    let header = Header::decode(&mut Reader::new(payload), VERSION).unwrap();
    let payload = written(|out| Header { id, ..header }.encode(VERSION, out));
    let mut buffer = [&[0; CRC_HEADER][..], &payload, &[0; CRC_TRAILER]].concat();
    let end = CRC_HEADER + payload.len();
    wrap(Framing::Crc, FrameKind::SelfContained, &mut buffer, CRC_HEADER..end).unwrap();
    buffer
}

fn requested(endpoint: Endpoint, generation: i32) -> Digest {
    Digest { endpoint, generation: Generation::new(generation), max_version: Version::ZERO }
}

#[test]
fn a_node_answers_the_traces_as_the_page_says() {
    let mut trace = Trace::of(&Page::read(&crate::folder(), "minimal-peer.md"));
    let n = Endpoint::v4([127, 0, 0, 1], 7000);
    let p = Endpoint::v4([127, 0, 0, 9], 7009);
    let config = Config::builder("Test Cluster", n, Generation::new(1_699_999_000), [7; 32])
        .partitioner(PARTITIONER)
        .state(ApplicationState::RACK, "rack1")
        .build()
        .unwrap();
    let node = Node::new(config, Timestamp::ZERO);
    let mut played =
        Played { node, now: Timestamp::ZERO, buffer: vec![0; Node::MIN_BUFFER], events: Vec::new() };
    played.input(Input::WallClock { unix_ms: 1_700_000_000_000 });

    // The shadow round. Connection 1, dialled by P.
    let first = played.node.accept(played.now).unwrap();
    played.bytes(first, &trace.next("hex initiate"));
    let answer = played.written(first);
    let (answer, _) = Accept::decode(&answer).unwrap().unwrap();
    let (expected, _) = Accept::decode(&trace.next("hex accept")).unwrap().unwrap();
    assert_eq!(answer.version, expected.version);
    played.bytes(first, &trace.frame());

    // Connection 2, dialled by N.
    let (second, to) = played.poll().expect("the node dials");
    assert_eq!(to, Err(p));
    played.input(Input::Opened { connection: second });
    let dialled = played.written(second);
    let (dialled, _) = Initiate::decode(&dialled).unwrap().unwrap();
    let (expected, _) = Initiate::decode(&trace.next("hex initiate")).unwrap().unwrap();
    assert_eq!((dialled.from, dialled.kind), (expected.from, expected.kind));
    played.bytes(second, &trace.next("hex accept"));
    let similar = |found: &[u8], expected: &[u8]| {
        // Both list N alone, and request nothing; the values are each node's own.
        for frame in [found, expected] {
            message(frame, |_, message| {
                let Message::Ack(ack) = message else { panic!("{message:?}") };
                assert_eq!(ack.requests.len(), 0);
                let states: Vec<_> = ack.states.iter().collect();
                let [(endpoint, state)] = states[..] else { panic!("{states:?}") };
                assert_eq!((endpoint, state.heartbeat.generation.get()), (n, 1_699_999_000));
                assert!(!state.is_empty());
            });
        }
    };
    similar(&played.written(second), &trace.frame());
    assert!(played.poll().is_none());

    // The exchange: N requests all of P, and then asks for an echo.
    played.bytes(first, &trace.frame());
    for frame in [played.written(second), trace.frame()] {
        message(&frame, |_, message| {
            let Message::Ack(ack) = message else { panic!("{message:?}") };
            assert_eq!(ack.requests.iter().collect::<Vec<_>>(), [requested(p, 1_700_000_000)]);
            assert!(ack.states.is_empty());
        });
    }
    played.bytes(first, &trace.frame());
    let echo = played.written(second);
    let id = message(&echo, |id, message| {
        assert_eq!(message, Message::EchoRequest);
        id
    });
    message(&trace.frame(), |_, message| assert_eq!(message, Message::EchoRequest));
    let is_up = |event: &Event| matches!(event, Event::Up { endpoint, .. } if *endpoint == p);
    assert!(!played.events.iter().any(is_up));
    played.bytes(first, &renumbered(&trace.frame(), id));
    assert!(played.poll().is_none());
    assert!(played.events.iter().any(is_up), "{:?}", played.events);

    // N's round: it lists both, is asked for itself, and answers an echo.
    played.now = played.now + Duration::from_secs(1);
    played.input(Input::Timeout);
    for frame in [played.written(second), trace.frame()] {
        message(&frame, |_, message| {
            let Message::Syn(syn) = message else { panic!("{message:?}") };
            let mut endpoints: Vec<_> = syn.digests.iter().map(|digest| digest.endpoint).collect();
            endpoints.sort();
            assert_eq!(endpoints, [n, p]);
        });
    }
    played.bytes(first, &trace.frame());
    for frame in [played.written(second), trace.frame()] {
        message(&frame, |_, message| {
            let Message::Ack2(ack2) = message else { panic!("{message:?}") };
            let endpoints: Vec<_> = ack2.states.iter().map(|(endpoint, _)| endpoint).collect();
            assert_eq!(endpoints, [n]);
        });
    }
    let request = trace.frame();
    played.bytes(first, &request);
    let id = message(&request, |id, _| id);
    for frame in [played.written(second), trace.frame()] {
        message(&frame, |found, message| assert_eq!((found, message), (id, Message::EchoResponse)));
    }
    assert!(played.poll().is_none());
}
