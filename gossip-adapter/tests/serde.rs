//! What applications pass on, as JSON and back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;
use std::time::Duration;

use gossip_adapter::{
    ApplicationState, Builder, Detector, DownCause, End, Endpoint, Event, Generation, HeartbeatState,
    KnownEndpoint, Limits, Membership, Phase, Prepared, Runtime, SavedEndpoint, StartError, Stats, Timeouts,
    Timestamp, Tombstone, Uuid, Version,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

enum ByHand {}

impl Runtime for ByHand {
    type Start<M: 'static> = Result<Prepared<M>, StartError>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        let listening = builder.listen_on()?;
        builder.prepare(listening)
    }
}

#[test]
fn what_is_passed_on_comes_back_as_it_was() {
    let endpoint = Endpoint::v4([10, 0, 0, 1], 7_000);
    let generation = Generation::new(1_800_000_000);
    is(endpoint, json!("10.0.0.1:7000"));
    is("[2001:db8::1]:7000".parse::<Endpoint>().unwrap(), json!("[2001:db8::1]:7000"));
    let host_id: Uuid = "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30".parse().unwrap();
    is(host_id, json!("93e2f0eb-e71b-4d0d-940f-bd6dd9453e30"));
    is(
        HeartbeatState { generation, version: Version::new(7) },
        json!({ "generation": 1_800_000_000, "version": 7 }),
    );
    is(Event::Stopped, json!("stopped"));
    is(
        Event::Up { endpoint, generation },
        json!({ "up": { "endpoint": "10.0.0.1:7000", "generation": 1_800_000_000 } }),
    );
    is(
        Event::StateChanged { endpoint, key: ApplicationState::DC, version: Version::new(3) },
        json!({ "state_changed": { "endpoint": "10.0.0.1:7000", "key": 3, "version": 3 } }),
    );
    is(
        Event::Down { endpoint, generation, cause: DownCause::Convicted { phi: 8.5 } },
        json!({ "down": {
            "endpoint": "10.0.0.1:7000", "generation": 1_800_000_000, "cause": { "convicted": { "phi": 8.5 } },
        } }),
    );
    is(
        Event::SeedsSilent { waited: Duration::from_millis(1_500) },
        json!({ "seeds_silent": { "waited": { "secs": 1, "nanos": 500_000_000 } } }),
    );
    is(Phase::Running, json!("running"));
    is(
        End::InUse { endpoint, generation },
        json!({ "in_use": { "endpoint": "10.0.0.1:7000", "generation": 1_800_000_000 } }),
    );
    is(
        Tombstone { endpoint, generation, until_unix_ms: 5 },
        json!({ "endpoint": "10.0.0.1:7000", "generation": 1_800_000_000, "until_unix_ms": 5 }),
    );
    is(
        SavedEndpoint::new(endpoint),
        json!({ "endpoint": "10.0.0.1:7000", "host_id": null, "heard_unix_ms": null }),
    );
    // A counter that an earlier release did not know is 0.
    let stats: Stats = serde_json::from_value(json!({ "rounds": 7 })).unwrap();
    assert_eq!((stats.rounds, stats.syns_received), (7, 0));
    let refused = serde_json::from_value::<Endpoint>(json!("somewhere")).unwrap_err();
    assert!(!refused.to_string().is_empty());
}

#[test]
fn a_snapshot_is_its_phase_and_its_endpoints() {
    let builder =
        Builder::<ByHand>::new("a").generation(Generation::new(5)).state(ApplicationState::DC, "dc1");
    let Prepared { mut node, mut mailbox, handle, .. } = builder.start().unwrap();
    let view = handle.view();
    mailbox.run(&mut node, Timestamp::ZERO);
    let snapshot = view.wait().unwrap().snapshot();
    let json = serde_json::to_value(&*snapshot).unwrap();
    let version = snapshot.get(handle.local_endpoint()).unwrap().state(ApplicationState::DC).unwrap().version;
    assert_eq!(
        json,
        json!({ "phase": "running", "endpoints": [{
            "endpoint": "127.0.0.1:7000", "is_local": true, "is_live": true, "generation": 5, "status": "none",
            "states": [{ "key": 3, "version": version.get(), "value": "dc1" }],
        }] })
    );
    let known: Vec<KnownEndpoint> = serde_json::from_value(json["endpoints"].clone()).unwrap();
    assert_eq!(known.iter().collect::<Vec<_>>(), snapshot.endpoints().collect::<Vec<_>>());
}

#[track_caller]
fn is<T: Serialize + DeserializeOwned + Debug + PartialEq>(value: T, json: serde_json::Value) {
    assert_eq!(serde_json::to_value(&value).unwrap(), json);
    assert_eq!(serde_json::from_value::<T>(json).unwrap(), value);
}

#[test]
fn settings_are_read_with_their_defaults_and_written_as_they_are_read() {
    let limits: Limits = serde_json::from_value(json!({ "max_connections": 512 })).unwrap();
    assert_eq!(limits, Limits { max_connections: 512, ..Limits::default() });
    let detector = Detector { echo_timeout: Some(Duration::from_millis(1_500)), ..Detector::default() };
    let written = serde_json::to_value(detector).unwrap();
    assert_eq!((&written["echo_timeout"], &written["probe_after"]), (&json!("1500ms"), &json!(null)));
    assert_eq!(serde_json::from_value::<Detector>(written).unwrap(), detector);
    let membership: Membership = serde_json::from_value(json!({ "tombstone_ttl": "2.5d" })).unwrap();
    assert_eq!(membership.tombstone_ttl, Duration::from_hours(60));
    let refused = serde_json::from_value::<Limits>(json!({ "max_conections": 512 })).unwrap_err();
    assert!(refused.to_string().starts_with("unknown field `max_conections`, expected one of"), "{refused}");
    let refused = serde_json::from_value::<Timeouts>(json!({ "idle": "soon" })).unwrap_err();
    assert!(refused.to_string().contains("expected a duration, such as \"200ms\""), "{refused}");
}
