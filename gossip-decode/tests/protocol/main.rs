//! The pages of `docs/protocol`: every example in them is decoded and encoded again, every link leads somewhere, and
//! lines are short enough to read.
//!
//! `docs/protocol/README.md` says how examples are marked; a mark that is not known here is an error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod examples;
mod fields;
mod traces;

use std::path::{Path, PathBuf};

use gossip_testing::pages::{Block, Page};

/// Every page, and the kinds of examples that it must have at least once.
const PAGES: [(&str, &[&str]); 16] = [
    ("README.md", &["message"]),
    ("primitives.md", &["addr", "crc24", "crc32", "tokens", "utf", "uvint"]),
    ("connections.md", &[]),
    ("handshake.md", &["accept", "initiate"]),
    ("framing.md", &["frame", "frame-header"]),
    ("message-header.md", &["message"]),
    ("gossip-messages.md", &["ack", "ack2", "digest", "shutdown", "state", "syn", "value"]),
    ("application-states.md", &["value"]),
    ("exchange.md", &["ack", "ack2", "syn"]),
    ("failure-detection.md", &[]),
    ("life-cycle.md", &[]),
    ("gossip-only-member.md", &["ack2"]),
    ("minimal-peer.md", &["accept", "frame", "initiate"]),
    ("before-4-0.md", &["legacy-handshake", "message", "syn"]),
    ("tls.md", &["fields"]),
    ("cassandra-6.md", &["fields", "message", "metadata-id", "syn"]),
];

/// Pages of words and tables alone.
const WITHOUT_EXAMPLES: [&str; 2] = ["operators.md", "pitfalls.md"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol")
}

fn all() -> Vec<Page> {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.into_iter().map(|name| Page::read(&folder(), &name)).collect()
}

/// Fails with everything that is wrong, not with the first thing alone.
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_example_is_decoded_and_encoded_again() {
    let mut faults = Vec::new();
    let mut checked = 0;
    for page in all() {
        for block in page.blocks() {
            match examples::check(block) {
                Ok(count) => checked += count,
                Err(fault) => faults.push(format!("{}:{}: {fault}", page.name, block.line)),
            }
        }
    }
    assert_none(&faults);
    println!("{checked} examples");
    assert!(checked > 100, "only {checked} examples were found");
}

#[test]
fn every_page_has_the_examples_that_it_should_have() {
    let mut faults = Vec::new();
    for page in all() {
        let listed = PAGES.iter().find(|(name, _)| *name == page.name);
        if listed.is_none() && !WITHOUT_EXAMPLES.contains(&page.name.as_str()) {
            faults.push(format!("{}: name the page and its kinds of examples in this test", page.name));
        }
        for kind in listed.map_or(&[][..], |(_, kinds)| kinds) {
            if !page.blocks().iter().any(|block| block.kind() == Some(kind)) {
                faults.push(format!("{}: no example of kind {kind:?}", page.name));
            }
        }
    }
    for name in PAGES.iter().map(|(name, _)| name).chain(&WITHOUT_EXAMPLES) {
        if !folder().join(name).is_file() {
            faults.push(format!("{name}: there is no such page"));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() {
    let pages = all();
    let faults: Vec<_> = pages.iter().flat_map(|page| page.dead_links(&folder())).collect();
    assert_none(&faults);
    let links: usize = pages.iter().map(|page| page.links().len()).sum();
    assert!(links > 100, "only {links} links were found");
    // All pages can be reached from the first one.
    let first = Page::read(&folder(), "README.md");
    for page in &pages {
        let is_linked = first.links().iter().any(|link| link.target.starts_with(&page.name));
        assert!(is_linked || page.name == first.name, "README.md has no link to {}", page.name);
    }
}

#[test]
fn lines_and_sentences_are_short_enough_to_read() {
    let faults: Vec<_> = all().iter().flat_map(|page| page.hard_to_read()).collect();
    assert_none(&faults);
}

#[test]
fn examples_hide_neither_in_other_blocks_nor_in_sentences() {
    let faults: Vec<_> = all().iter().flat_map(|page| page.hidden_examples()).collect();
    assert_none(&faults);
}

/// A page of one block.
fn block(info: &str, text: &str) -> Block {
    let page = Page::parse("page.md", &format!("# Page\n\n```{info}\n{text}\n```\n"));
    page.blocks()[0].clone()
}

#[test]
fn wrong_examples_are_found() {
    let good = "00 00 00 01 06 0a 00 00 02 1b 58 65 53 f1 64 00 00 00 08 00 00 00 00";
    assert_eq!(examples::check(&block("hex ack2 v12", good)), Ok(1));
    for (info, text) in [
        ("hex ack2", good),
        ("hex ack2 v15", good),
        ("hex ack3 v12", good),
        ("hex ack2 v12 more", good),
        ("hexx", good),
        ("", good),
        ("hex", good),
        ("hex state v12", good),
        ("hex ack2 v11", good),
        ("hex ack2 v12", &good[3..]),
        ("hex ack2 v12", &format!("{good} 00")),
        ("hex ack2 v12", &format!("{good} 0")),
        ("hex ack2 v12", &format!("{good} # i32 0")),
        ("hex fields", "00 00 00 01"),
        ("hex fields", "00 00 00 01 # i32 2: a number"),
        ("hex fields", "00 00 00 01 # i33 1: a number"),
        ("hex fields", "00 00 00 01 # u16 0: a number"),
        ("hex fields", "00 01 61 # utf \"b\": a name"),
        ("hex uvint", "300 = 81 2d"),
        ("hex uvint", "5 = 80 05"),
        ("hex crc24", "00 00 00 = 7de778"),
        ("hex crc32", "\"hello\" = b60e8075"),
        ("hex utf", "\"é\" = 00 02 c3 aa"),
        ("hex tokens", "-1 = 00 00"),
        ("hex addr v12", "10.0.0.1:7000 = 06 0a 00 00 01 1b 59"),
        ("hex frame-header crc", "11 self-contained = 0b 00 02 94 08 12"),
        ("hex frame-header crc", "11 piece = 0b 00 02 94 08 11"),
        ("hex frame crc v12", "0b 00 02 94 08 11 01 cf e5 68 00 a7 10 1f 00 00 00 2d ec b9 7c"),
        ("hex frame crc v14", "0b 00 02 94 08 11 01 cf e5 68 00 a7 10 1f 00 00 00 2d ec b9 7b"),
        ("hex accept", "00 00 00 0c 00 00 00 0c 26 f5 67 3b"),
        ("hex initiate", "ca 55 2d fa 0c 0c 0c 11 06 7f 00 00 01 1b 58 db 76 51 f3"),
        ("hex message v12", "01 cf e5 68 00 a7 10 1f 00 00"),
        ("hex metadata-id", "127.0.0.141:7000 = 2130713573 = f0 7f 00 1b e6"),
        ("text status", "SHUTDOWN,true"),
        ("hex syn v12", ""),
    ] {
        assert!(examples::check(&block(info, text)).is_err(), "{info:?} took {text:?}");
    }
}

#[test]
fn wrong_pages_are_found() {
    let page = |text: &str| Page::parse("page.md", text);
    let long = "word ".repeat(26);
    let wide = "w".repeat(101);
    for text in [&long, &wide, "```text\nno end"] {
        assert_ne!(page(text).hard_to_read(), Vec::<String>::new(), "{text:?}");
    }
    assert_eq!(page(&format!("| {wide} |\n\n```text\n{wide}\n```\n")).hard_to_read(), Vec::<String>::new());
    let bytes = "00 01 02 03 04 05 06 07 08";
    for text in [&format!("A list `{bytes}` here."), &format!("```text\n{bytes}\n```\n")] {
        assert_ne!(page(text).hidden_examples(), Vec::<String>::new(), "{text:?}");
    }
    for text in ["[a](nowhere.md)", "[a](#nowhere)", "[a](primitives.md#nowhere)", "# A\n\n# A"] {
        assert_ne!(page(text).dead_links(&folder()), Vec::<String>::new(), "{text:?}");
    }
    assert_eq!(page("# A b, `C`\n\n[a](#a-b-c)").dead_links(&folder()), Vec::<String>::new());
}
