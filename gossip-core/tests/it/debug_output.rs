//! What is printed of a node in a log or a panic: names, no tables, no buffers, no secrets.

use gossip_core::{
    ApplicationState, Config, Endpoint, EndpointInfo, Generation, Input, Node, Output, Standing, StateInfo,
    Timestamp, Version,
};

#[test]
fn debug_output_names_and_does_not_dump() {
    let entropy = *b"these bytes are not to be shown!";
    let local = Endpoint::v4([10, 0, 0, 1], 7_000);
    let mut builder = Config::builder("a cluster", local, Generation::new(5), entropy);
    for number in 1_000..1_020 {
        builder = builder.state(ApplicationState::new(number), &"x".repeat(1_000));
    }
    for last in 2..200 {
        builder = builder.seed(Endpoint::v4([10, 0, 0, last], 7_000));
    }
    short(&builder, &["ConfigBuilder"]);
    let config = builder.build().unwrap();
    short(&config, &["a cluster", "10.0.0.1:7000", "5"]);
    let mut node = Node::new(config, Timestamp::ZERO);
    short(&node, &["Node", "10.0.0.1:7000", "Running", "known"]);
    short(node.gossiper(), &["10.0.0.1:7000"]);
    let connection = node.accept(Timestamp::ZERO).unwrap();
    short(&Input::Bytes { connection, bytes: &[7; 5_000] }, &["Bytes", "5000 bytes"]);
    short(&Input::Datagram { bytes: &[7; 5_000] }, &["Datagram", "5000 bytes"]);
    short(&Output::Write { connection, bytes: &[7; 5_000] }, &["Write", "5000 bytes"]);
    short(&Output::Datagram { to: local, bytes: &[7; 5_000] }, &["10.0.0.1:7000", "5000 bytes"]);
    let info = node.gossiper().endpoint_info(local).unwrap();
    assert_eq!((info.states.len(), info.standing), (20, Standing::Live));
    short::<EndpointInfo>(&info, &["10.0.0.1:7000", "Live", "20"]);
    short::<StateInfo>(&info.states[0], &["xxx", "1000 bytes"]);
    let value = "dc1".into();
    let state = StateInfo { key: ApplicationState::DC, version: Version::new(3), value };
    assert!(format!("{state:?}").contains("\"dc1\""), "what is short is shown whole");
}

#[track_caller]
fn short<T: core::fmt::Debug>(value: &T, names: &[&str]) {
    let shown = format!("{value:?}");
    assert!(shown.len() < 400, "{} bytes", shown.len());
    for name in names {
        assert!(shown.contains(name), "no {name} in {shown}");
    }
    // How entropy would look.
    assert!(!shown.contains("116, 104, 101"), "{shown}");
}
