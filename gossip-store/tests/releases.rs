//! Files that other releases wrote.

use std::fs;

use gossip_core::wire::crc32;
use gossip_store::{
    CURRENT, Cause, PREVIOUS, StoredEndpoint, StoredNode, Unreadable, decode, encode, recover, write,
};
use tempfile::TempDir;
use uuid::Uuid;

const HOST_ID: Uuid = Uuid::from_u128(7);

/// A node as a later release might write it, with fields of its own everywhere.
const LATER: &str = r#"{
      "generation": 1700000000, "host_id": "00000000-0000-0000-0000-000000000007",
      "cluster": "c",
      "endpoints": [{"address": "10.0.0.2:7000", "weight": 1.50}],
      "zone": {"name": "a \" b", "exact": 12345678901234567890123},
      "tombstones": [{"endpoint": "10.0.0.3:7000", "generation": 5, "until_unix_ms": 9, "by": null}]
    }"#;

#[test]
fn a_file_of_format_1_is_read() {
    let node = r#"{"generation":1700000000,"host_id":"00000000-0000-0000-0000-000000000007","cluster":"a b","endpoints":["10.0.0.2:7000"],"left":true}"#;
    let pretty = node.replace(',', ",\n    ").replace(':', ": ").replace("10.0.0.2: 7000", "10.0.0.2:7000");
    let text = format!("{{\"format\": 1, \"checksum\": {}, \"node\": {pretty}}}\n", crc32(node.as_bytes()));
    let read = decode(text.as_bytes()).unwrap();
    let expected = StoredNode {
        endpoints: vec![StoredEndpoint::new("10.0.0.2:7000".parse().unwrap())],
        left: true,
        ..StoredNode::new(1_700_000_000, HOST_ID, "a b")
    };
    assert_eq!(read, expected);
}

#[test]
fn the_checksum_is_of_the_bytes_as_they_stand() {
    let bytes = encode(&StoredNode::new(1, HOST_ID, "c")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let from = text.find("\"node\": ").unwrap() + "\"node\": ".len();
    let to = text.rfind('}').unwrap();
    let node = text[from..to].trim_end();
    assert!(text.contains(&format!("\"checksum\": {}", crc32(node.as_bytes()))), "{text}");
}

#[test]
fn fields_of_a_later_release_are_kept_to_the_byte() {
    for format in [1, 2] {
        let checksum = crc32(LATER.as_bytes());
        let text = format!(
            "{{\"format\": {format}, \"checksum\": {checksum}, \"node\": {LATER}, \"signed\": [1, 2]}}"
        );
        let mut node = decode(text.as_bytes()).unwrap();
        assert_eq!(node.host_id, HOST_ID);
        assert_eq!(node.unknown.names().collect::<Vec<_>>(), ["zone"]);
        node.generation += 1;
        let again = String::from_utf8(encode(&node).unwrap()).unwrap();
        for kept in [
            r#"{"name": "a \" b", "exact": 12345678901234567890123}"#,
            r#""weight": 1.50"#,
            r#""by": null"#,
            r#""signed": [1, 2]"#,
        ] {
            assert!(again.contains(kept), "{kept} in {again}");
        }
        assert_eq!(decode(again.as_bytes()).unwrap(), node);
        assert_eq!(String::from_utf8(encode(&node).unwrap()).unwrap(), again);
    }
}

#[test]
fn another_format_is_refused_and_nothing_is_moved() {
    let others = [
        r#"{"format": 3, "release": "0.9.1", "checksum": "sha256:12", "node": [1]}"#,
        r#"{"format": "x\ny", "node": {}}"#,
    ];
    for other in others {
        // Also where the file itself is damaged, and that of another format would be taken instead.
        for (current, previous) in [(other, None), ("{", Some(other))] {
            let dir = TempDir::new().unwrap();
            fs::write(dir.path().join(CURRENT), current).unwrap();
            if let Some(previous) = previous {
                fs::write(dir.path().join(PREVIOUS), previous).unwrap();
            }
            let error = recover(dir.path(), 1).unwrap_err();
            assert!(matches!(error.cause(), Cause::Foreign(Unreadable::Format { .. })), "{error}");
            let text = error.to_string();
            assert!(text.contains(dir.path().to_str().unwrap()) && text.lines().count() == 1, "{text}");
            assert!(error.advice().unwrap().contains("the release that wrote it"));
            if other.contains("release") {
                assert!(text.contains("format 3") && text.contains("release 0.9.1"), "{text}");
            }
            let kept = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
            assert_eq!(kept, current);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1 + usize::from(previous.is_some()));
        }
    }
}

#[test]
fn what_is_whole_and_cannot_be_read_is_not_taken_for_corrupt() {
    let node = r#"{"generation": 1, "host_id": {"hi": 0, "lo": 7}, "cluster": "c", "endpoints": []}"#;
    let text = format!("{{\"format\": 2, \"checksum\": {}, \"node\": {node}}}", crc32(node.as_bytes()));
    assert!(matches!(decode(text.as_bytes()), Err(Unreadable::Content { .. })));
}

#[test]
fn whatever_is_in_the_way_is_named() {
    let node = StoredNode::new(1, HOST_ID, "c");
    for name in [CURRENT, PREVIOUS, "node.json.new", "node.json.link"] {
        let dir = TempDir::new().unwrap();
        if name != CURRENT {
            write(dir.path(), &node).unwrap();
        }
        fs::create_dir(dir.path().join(name)).unwrap();
        let error = write(dir.path(), &node).unwrap_err();
        assert_eq!(error.path(), dir.path().join(name), "{error}");
        assert!(error.advice().is_some_and(|advice| advice.contains("in the way")), "{error:?}");
    }
}
