//! The list of protections that can be taken out keeps step with the code.

use std::collections::BTreeSet;

use gossip_testing::sabotage::{PROTECTIONS, number};

#[test]
fn each_protection_that_can_be_taken_out_stands_in_the_code_once() {
    let mut checked = 0;
    for (name, edit) in PROTECTIONS.iter().flat_map(|one| one.edits.iter().map(|edit| (one.name, edit))) {
        let path = format!("{}/../gossip-core/src/{}", env!("CARGO_MANIFEST_DIR"), edit.file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(edit.text).count(), 1, "{name}: {path}");
        assert!(edit.instead.contains("OFF"), "{name}");
        checked += 1;
    }
    assert!(checked >= 10);
}

#[test]
fn each_protection_has_a_name_of_its_own_and_something_that_takes_it_out() {
    let names: BTreeSet<&str> = PROTECTIONS.iter().map(|protection| protection.name).collect();
    assert_eq!(names.len(), PROTECTIONS.len());
    for protection in PROTECTIONS {
        assert!(!protection.edits.is_empty() || protection.and.len() > 1, "{}", protection.name);
        for other in protection.and {
            assert!(number(other).is_some(), "{}: {other:?} is no protection", protection.name);
        }
    }
}
