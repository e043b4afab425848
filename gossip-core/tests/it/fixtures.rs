//! Scenarios A3 to A6 of the specification: the files that Cassandra's own serialization test keeps, decoded to their
//! last byte as `docs/protocol/gossip-messages.md#cassandras-test-files` has them, and encoded again.

use core::ops::Range;

use gossip_core::message::{Codec, Digest, EndpointState, Value};
use gossip_core::wire::Reader;
use gossip_core::{ApplicationState, MessagingVersion, MetadataId, Verb, Version};

use crate::support::{
    Content, State, assert_versions_agree, decode, digest, encode, endpoint, heartbeat, java, names, read,
    shared, written,
};

const CLUSTER: &str = "Not a real cluster name";
const PARTITIONER: &str = "org.apache.cassandra.dht.ByteOrderedPartitioner";

/// The token in each release's file of states.
const STATE_FILES: [(&str, &str); 4] = [
    ("gms.EndpointState.3.0.bin", "0c71994d8d150fd22eefcdc054a28367"),
    ("gms.EndpointState.4.0.bin", "e61e713f7c2a46f58f20e1d557764912"),
    ("gms.EndpointState.5.0.bin", "1b9d673e59089718332911c0996d6d1a"),
    ("gms.EndpointState.5.1.bin", "222d45fcf38dd9bdeafa2f93d4c8bb27"),
];

const MESSAGE_FILES: [&str; 4] =
    ["gms.Gossip.3.0.bin", "gms.Gossip.4.0.bin", "gms.Gossip.5.0.bin", "gms.Gossip.5.1.bin"];

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn every_file_has_its_test() {
    let known: Vec<&str> = STATE_FILES.map(|(name, _)| name).into_iter().chain(MESSAGE_FILES).collect();
    assert_eq!(names(&shared().join("fixtures"), ".bin"), known);
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a3_endpoint_state_files() {
    for (name, token) in STATE_FILES {
        let bytes = fixture(name);
        assert_eq!(bytes.len(), 73, "{name}");
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.i32("generation"), reader.i32("version")), (Ok(101), Ok(201)), "{name}");
        let state = EndpointState::decode(&mut reader).unwrap();
        assert_eq!(State::of(&state), State::new(heartbeat(101, 201), &[]), "{name}");
        let load = Value::decode(&mut reader).unwrap();
        assert_eq!((load.text.to_text().as_ref(), load.version), ("23.0", Version::new(1)), "{name}");
        let status = Value::decode(&mut reader).unwrap();
        assert_eq!(status.text, format!("BOOT,{token}").as_str(), "{name}");
        assert_eq!(status.version, Version::new(2), "{name}");
        assert_eq!(reader.finish(), Ok(()), "{name}");

        let again = written(|out| {
            out.i32(101)?;
            out.i32(201)?;
            state.encode(out)?;
            load.encode(out)?;
            status.encode(out)
        });
        assert_eq!(again, bytes, "{name}");
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a4_gossip_files_of_4_0_and_5_0() {
    for (name, endpoints, versions) in [
        ("gms.Gossip.4.0.bin", ["127.0.0.2:7010", "127.0.0.1:7010"], &[MessagingVersion::V12][..]),
        (
            "gms.Gossip.5.0.bin",
            ["127.0.0.1:7012", "127.0.0.2:7012"],
            &[MessagingVersion::V12, MessagingVersion::V13],
        ),
    ] {
        let bytes = fixture(name);
        assert_eq!(bytes.len(), 166, "{name}");
        let [ack, ack2, syn] = empty_messages(endpoints);
        for version in versions {
            assert_part(&bytes, 0..46, &ack, *version);
            assert_part(&bytes, 46..88, &ack2, *version);
            assert_part(&bytes, 88..166, &syn, *version);
        }
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a5_gossip_file_of_3_0() {
    let bytes = fixture("gms.Gossip.3.0.bin");
    assert_eq!(bytes.len(), 158);
    let [ack, ack2, syn] = empty_messages(["127.0.0.1:7000", "127.0.0.2:7000"]);
    for version in [MessagingVersion::V10, MessagingVersion::V11] {
        assert_part(&bytes, 0..42, &ack, version);
        assert_part(&bytes, 42..80, &ack2, version);
        assert_part(&bytes, 80..158, &syn, version);
    }
}

#[test]
#[ignore = "wants captures of real nodes: .ci/run captures"]
fn a6_gossip_file_of_5_1() {
    const VERSION: MessagingVersion = MessagingVersion::V14;
    let bytes = fixture("gms.Gossip.5.1.bin");
    assert_eq!(bytes.len(), 4914);

    let expected: Vec<Digest> = (0..100).map(|i| digest("127.0.0.1:7012", 100 + i, 1000 + 2 * i)).collect();
    let mut reader = Reader::new(&bytes[..1500]);
    let codec = Codec::new(VERSION);
    let loose: Vec<Digest> =
        (0..100).map(|_| Digest::decode(&mut reader, codec.address_form()).unwrap()).collect();
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!(loose, expected);
    let again = written(|out| loose.iter().try_for_each(|digest| digest.encode(codec, out)));
    assert_eq!(again, bytes[..1500]);

    let state = State::new(
        heartbeat(101, 3),
        &[
            (ApplicationState::LOAD, "23.0", 1),
            (ApplicationState::STATUS_WITH_PORT, "BOOT,5937bac24afcfab044fce68fdb55b81f", 2),
        ],
    );
    let states = vec![(endpoint("127.0.0.1:7012"), state.clone()), (endpoint("127.0.0.2:7012"), state)];
    let ack = Content::Ack { requests: expected.clone(), states: states.clone() };
    assert_part(&bytes, 1500..3168, &ack, VERSION);
    assert_part(&bytes, 3168..3332, &Content::Ack2 { states }, VERSION);
    let syn = Content::Syn {
        cluster: java(CLUSTER),
        partitioner: java(PARTITIONER),
        metadata_id: MetadataId::new(20_240_430),
        digests: expected,
    };
    assert_part(&bytes, 3332..4914, &syn, VERSION);
}

fn fixture(name: &str) -> Vec<u8> {
    read(&shared().join("fixtures").join(name))
}

/// ACK, ACK2 and SYN of the files whose writer had no digests and no values.
fn empty_messages(endpoints: [&str; 2]) -> [Content; 3] {
    let states = endpoints.map(|at| (endpoint(at), State::new(heartbeat(101, 201), &[]))).to_vec();
    [
        Content::Ack { requests: vec![], states: states.clone() },
        Content::Ack2 { states },
        Content::Syn {
            cluster: java(CLUSTER),
            partitioner: java(PARTITIONER),
            metadata_id: MetadataId::NONE,
            digests: vec![],
        },
    ]
}

/// Asserts that the bytes at `range` are the message `content`, no more and no less.
fn assert_part(bytes: &[u8], range: Range<usize>, content: &Content, version: MessagingVersion) {
    let part = &bytes[range];
    let verb: Verb = content.verb();
    let message = decode(verb, part, version).unwrap();
    assert_eq!(Content::of(&message), *content);
    assert_eq!(encode(&message, version), part);
    assert_versions_agree(&message, version);
}
