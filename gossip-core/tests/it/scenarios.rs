//! Holds `SCENARIOS.md` against the sources and the specification: a table that is wrong is worse than none.

use alloc::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{read, shared};

const TABLE: &str = include_str!("../SCENARIOS.md");

/// What stands in the second column, by number, in the order of the table.
fn rows() -> Vec<(&'static str, &'static str)> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| number"));
    let rows = lines.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|row| row[1] != "---")
        .map(|row| {
            assert_eq!(row.len(), 5, "{row:?}");
            (row[1], row[2])
        })
        .collect()
}

/// The tests that a row names: file and function.
fn tests(cell: &str) -> Vec<(&str, &str)> {
    if !cell.starts_with('`') {
        return Vec::new();
    }
    let names = cell.split_whitespace().map(|name| name.trim_matches('`'));
    names.map(|name| name.split_once("::").unwrap_or_else(|| panic!("{name}"))).collect()
}

fn source(file: &str) -> String {
    String::from_utf8(read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file))).unwrap()
}

/// Whether `source` has a function of that name that is run as a test.
fn is_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let start = format!("fn {function}(");
    let Some(at) = lines.iter().position(|line| line.starts_with(&start)) else { return false };
    let mut attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    attributes.any(|line| *line == "#[test]")
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let mut sources = BTreeMap::new();
    let mut with_test = 0;
    for (number, cell) in rows() {
        let tests = tests(cell);
        with_test += usize::from(!tests.is_empty());
        for (file, function) in tests {
            let source = sources.entry(file).or_insert_with(|| source(file));
            assert!(is_test(source, function), "{number}: {file} has no test {function}");
            // Tests of the command and of TLS have names of their own.
            let prefix = format!("{}_", number.to_lowercase());
            let elsewhere = ["gossip-cli/", "gossip-core/tests/it/tls/"];
            let is_elsewhere = elsewhere.iter().any(|folder| file.starts_with(folder));
            assert!(function.starts_with(&prefix) || is_elsewhere, "{number}: {function}");
        }
    }
    let without = rows().len() - with_test;
    assert!(TABLE.contains(&format!("{with_test} items have a test. {without} have none")), "the sums");
}

/// The tests that `docs/pitfalls.md` names for pitfalls and lessons, wherever they are.
#[test]
fn every_test_of_a_pitfall_or_lesson_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut functions = BTreeSet::new();
    for folder in
        ["gossip-core/src", "gossip-core/tests", "gossip-sim/tests", "gossip-cli/src", "gossip-cli/tests"]
    {
        collect_functions(&root.join(folder), &mut functions);
    }
    let text = source("docs/pitfalls.md");
    let section = text.split("\n## Pitfalls and lessons\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| P") || line.starts_with("| L"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 44 + 39);
    for row in rows {
        assert_eq!(row.len(), 5, "{row:?}");
        assert!(!row[3].is_empty(), "{row:?}");
        let names = row[3].split('`').skip(1).step_by(2);
        for name in names.filter(|name| !name.contains(['/', ':'])) {
            assert!(functions.contains(name), "{}: no test {name}", row[1]);
        }
    }
}

/// Departures from Cassandra are marked where they are made, and listed with the file.
#[test]
fn every_deviation_is_listed() {
    let text = source("docs/deviations.md");
    let section = text.split("\n## Where we depart from Cassandra\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    let mut listed = BTreeMap::<&str, usize>::new();
    for row in rows {
        let place = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for file in place.split('`').skip(1).step_by(2) {
            *listed.entry(file).or_default() += 1;
        }
    }
    let mut marked = BTreeMap::new();
    count_deviations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut marked);
    for (path, count) in &marked {
        let rows = listed.iter().filter(|(file, _)| path.ends_with(&format!("/{file}")));
        assert_eq!(rows.map(|(_, rows)| rows).sum::<usize>(), *count, "{path}");
    }
    for file in listed.keys() {
        assert!(marked.keys().any(|path| path.ends_with(&format!("/{file}"))), "nothing is marked in {file}");
    }
}

fn count_deviations(folder: &Path, marked: &mut BTreeMap<String, usize>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count_deviations(&path, marked);
            continue;
        }
        let text = String::from_utf8(read(&path)).unwrap();
        // The root of the crate only says what the word means.
        let count =
            text.lines().filter(|line| line.contains("Deviation") && !line.contains("`Deviation:`")).count();
        if count > 0 {
            marked.insert(path.to_str().unwrap().to_owned(), count);
        }
    }
}

fn collect_functions(folder: &Path, functions: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_functions(&path, functions);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = String::from_utf8(read(&path)).unwrap();
            let names = text.lines().filter_map(|line| line.trim().strip_prefix("fn ")?.split_once('('));
            functions.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn rows_without_a_test_say_why() {
    for (number, cell) in rows().into_iter().filter(|(_, cell)| tests(cell).is_empty()) {
        let is_reason = cell.starts_with("Does not apply: ") || cell.starts_with("Not yet: ");
        assert!(is_reason && cell.ends_with('.'), "{number}: {cell}");
    }
}

#[test]
fn every_scenario_is_in_the_table_once_and_in_order() {
    let counts = [14, 12, 18, 17, 5, 18, 12, 14, 12, 11, 18];
    let expected: Vec<String> = ('A'..='K')
        .zip(counts)
        .flat_map(|(part, count)| (1..=count).map(move |n| format!("{part}{n}")))
        .collect();
    assert_eq!(expected.len(), 151);
    let found: Vec<&str> = rows().into_iter().map(|(number, _)| number).collect();
    assert_eq!(found, expected);
}

#[test]
#[ignore = "wants the specification: .ci/run captures"]
fn the_table_has_the_scenarios_of_the_specification() {
    let text = String::from_utf8(read(&shared().join("spec/scenarios.md"))).unwrap();
    let is_number = |word: &str| {
        let digits = word.strip_prefix(|part| ('A'..='K').contains(&part));
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let specified: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" ["))
        .map(|(number, _)| number)
        .filter(|number| is_number(number))
        .collect();
    let listed: BTreeSet<&str> = rows().into_iter().map(|(number, _)| number).collect();
    assert_eq!(listed, specified);
}
