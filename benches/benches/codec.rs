//! What messages and frames cost, both ways: see `benches/README.md`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use gossip_benches::messages::{CODEC, Item, ack, ack2, full_states, ordinary_states, syn};
use gossip_core::internode::{
    ConnectionType, FrameKind, Framing, Header, Inbound, InboundEvent, InboundLimits, Initiate, Lz4Encoder,
    Params, Scratch, VersionRange, wrap,
};
use gossip_core::message::Message;
use gossip_core::wire::Writer;
use gossip_core::{MessagingVersion, Verb};

/// How many endpoints a message is about.
const COUNT: u32 = 1_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    messages(&mut criterion);
    frames(&mut criterion);
    criterion.final_summary();
}

/// One message of each kind: what, verb, body, and how many items it has.
fn samples() -> [(&'static str, Verb, Vec<u8>, u32); 6] {
    let items: Vec<Item> = (0..COUNT).map(|peer| Item { peer, version: 100, value: None }).collect();
    let full: Vec<u32> = (0..80).collect();
    let state = full_states(&[1], 100, ordinary_states);
    let address = 7;
    [
        ("syn", Verb::GOSSIP_DIGEST_SYN, syn(&items), COUNT),
        ("ack", Verb::GOSSIP_DIGEST_ACK, ack(&items[..500], &items[500..]), COUNT),
        ("ack2_heartbeats", Verb::GOSSIP_DIGEST_ACK2, ack2(&items), COUNT),
        ("ack2_full_states", Verb::GOSSIP_DIGEST_ACK2, full_states(&full, 100, ordinary_states), 80),
        // The state of a list of one, without the count and the address: the body of a shutdown in version 13.
        ("shutdown", Verb::GOSSIP_SHUTDOWN, state[4 + address..].to_vec(), 1),
        ("echo", Verb::ECHO_REQ, Vec::new(), 1),
    ]
}

fn messages(c: &mut Criterion) {
    for (name, verb, body, items) in samples() {
        let codec = match verb {
            Verb::GOSSIP_SHUTDOWN => gossip_core::message::Codec::new(MessagingVersion::V13),
            _ => CODEC,
        };
        let mut group = c.benchmark_group(format!("message/{name}"));
        group.throughput(Throughput::ElementsAndBytes {
            elements: items.into(),
            bytes: body.len().max(1) as u64,
        });
        group.bench_function("decode", |b| {
            b.iter(|| {
                let message = Message::decode(verb, black_box(&body), codec);
                black_box(message.expect("a gossip verb").expect("a sound body"));
            });
        });
        group.bench_function("decode_and_read", |b| {
            b.iter(|| {
                let message = Message::decode(verb, black_box(&body), codec);
                black_box(read(&message.expect("a gossip verb").expect("a sound body")))
            });
        });
        let message = Message::decode(verb, &body, codec).expect("a gossip verb").expect("a sound body");
        let mut buffer = vec![0; body.len() + 64];
        group.bench_function("encode", |b| {
            b.iter(|| {
                let mut out = Writer::new(&mut buffer);
                black_box(&message).encode(codec, &mut out).expect("room");
                black_box(out.len())
            });
        });
        group.finish();
    }
}

/// Goes through everything that the message holds.
fn read(message: &Message<'_>) -> i64 {
    let states = |map: gossip_core::message::StateMap<'_>| {
        map.iter().map(|(_, state)| i64::from(state.max_version().get())).sum::<i64>()
    };
    let digests = |list: gossip_core::message::Digests<'_>| {
        list.iter().map(|digest| i64::from(digest.max_version.get())).sum::<i64>()
    };
    match message {
        Message::Syn(syn) => digests(syn.digests),
        Message::Ack(ack) => digests(ack.requests) + states(ack.states),
        Message::Ack2(ack2) => states(ack2.states),
        Message::Shutdown(shutdown) => shutdown.state.map_or(0, |state| i64::from(state.max_version().get())),
        Message::EchoRequest | Message::EchoResponse => 0,
    }
}

/// A whole message in one frame, in and out.
fn frames(c: &mut Criterion) {
    let (_, verb, body, _) = samples().into_iter().next().expect("there are some");
    let header = Header {
        id: 1,
        epoch: 0,
        created_at: 0,
        expires_in: 300_000,
        verb,
        flags: 0,
        params: Params::NONE,
        payload_size: body.len(),
    };
    let mut payload = vec![0; header.encoded_len(MessagingVersion::V12) + body.len()];
    let mut out = Writer::new(&mut payload);
    header.encode(MessagingVersion::V12, &mut out).and_then(|()| out.bytes(&body)).expect("room");

    let mut group = c.benchmark_group("frame");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    for (name, framing) in
        [("unprotected", Framing::Unprotected), ("crc", Framing::Crc), ("lz4", Framing::Lz4)]
    {
        let mut encoder = Lz4Encoder::new();
        let (head, tail) = (framing.header_len(), framing.trailer_len());
        let mut buffer = vec![0; Lz4Encoder::room(payload.len()).max(head + payload.len() + tail)];
        let mut encode = |buffer: &mut [u8]| match framing {
            Framing::Lz4 => encoder.encode(FrameKind::SelfContained, &payload, buffer).expect("room"),
            _ => {
                buffer[head..head + payload.len()].copy_from_slice(&payload);
                wrap(framing, FrameKind::SelfContained, buffer, head..head + payload.len()).expect("room").end
            }
        };
        group.bench_function(BenchmarkId::new("out", name), |b| b.iter(|| black_box(encode(&mut buffer))));
        let size = encode(&mut buffer);
        let frame = buffer[..size].to_vec();

        let mut inbound = Inbound::new(VersionRange::SUPPORTED, InboundLimits::default());
        let mut scratch = Scratch::new();
        let from = gossip_benches::messages::peer(1);
        let initiate = Initiate::messaging(ConnectionType::Urgent, framing, VersionRange::SUPPORTED, from);
        let handshake = gossip_benches::messages::body(|out| initiate.encode(out).expect("room"));
        let mut input = &handshake[..];
        while inbound.next(&mut input, &mut scratch).is_some() {}
        group.bench_function(BenchmarkId::new("in", name), |b| {
            b.iter(|| {
                let mut input = black_box(&frame[..]);
                let mut messages = 0;
                while let Some(event) = inbound.next(&mut input, &mut scratch) {
                    messages += usize::from(matches!(event, InboundEvent::Message { .. }));
                }
                assert_eq!(messages, 1);
            });
        });
    }
    group.finish();
}
