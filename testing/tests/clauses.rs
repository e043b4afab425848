//! Each section of the specification has its tests: the tables of `docs/clauses.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What stands in place of tests where there is none.
const NONE: &str = "No test: ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sections of a page: headings of the second and third level, but for the numbered steps of a trace.
fn sections(page: &str) -> Vec<&str> {
    let mut is_block = false;
    let mut found = Vec::new();
    for line in page.lines() {
        is_block ^= line.starts_with("```");
        let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "));
        found.extend(heading.filter(|heading| !is_block && !heading.starts_with(char::is_numeric)));
    }
    found
}

/// A row of the tables: the page, the section, and what shows it.
fn rows(clauses: &str) -> Vec<(String, String, String)> {
    let row = |line: &str| {
        let (section, shown) = line.strip_prefix("| [")?.strip_suffix(" |")?.split_once(" | ")?;
        let (section, target) = section.strip_suffix(')')?.split_once("](protocol/")?;
        let (page, _) = target.split_once('#')?;
        Some((page.to_owned(), section.to_owned(), shown.to_owned()))
    };
    clauses.lines().filter_map(row).collect()
}

/// The names of all functions that are marked as tests in the sources under `folder`.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                tests(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.extend(tests_of(&text(&path)));
        }
    }
}

/// The functions in a source that follow an attribute `#[test]` or one that ends so, and those in macros that make tests.
fn tests_of(source: &str) -> Vec<String> {
    let mut is_marked = false;
    let mut found = Vec::new();
    for line in source.lines() {
        let line = line.trim_start();
        is_marked |= line.starts_with("#[") && line.contains("test");
        let function =
            ["fn ", "async fn ", "pub fn ", "pub async fn "].iter().find_map(|head| line.strip_prefix(head));
        if let Some(function) = function {
            let name: String =
                function.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
            if is_marked {
                found.push(name);
            }
            is_marked = false;
        }
    }
    found
}

fn faults(pages: &[(String, String)], clauses: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let rows = rows(clauses);
    let mut faults = Vec::new();
    for (page, text) in pages {
        let listed: Vec<&str> =
            rows.iter().filter(|(other, ..)| other == page).map(|(_, section, _)| section.as_str()).collect();
        let there = sections(text);
        faults.extend(
            there
                .iter()
                .filter(|section| !listed.contains(section))
                .map(|section| format!("{page}, {section}: not listed")),
        );
        faults.extend(
            listed
                .iter()
                .filter(|section| !there.contains(section))
                .map(|section| format!("{page} has no section {section}")),
        );
    }
    for (page, section, shown) in &rows {
        if let Some(reason) = shown.strip_prefix(NONE) {
            if reason.len() < 20 {
                faults.push(format!("{page}, {section}: no reason"));
            }
            continue;
        }
        let named: Vec<&str> = shown.split(' ').map(|name| name.trim_matches('`')).collect();
        faults.extend(
            named
                .iter()
                .filter(|name| !tests.contains(**name))
                .map(|name| format!("{page}, {section}: there is no test {name}")),
        );
    }
    faults
}

#[test]
fn every_section_of_the_specification_has_its_tests_or_a_reason() {
    let folder = root().join("docs/protocol");
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // It introduces the others.
        if name != "README.md" {
            pages.push((name.clone(), text(&folder.join(name))));
        }
    }
    let mut found = BTreeSet::new();
    tests(&root(), &mut found);
    let clauses = text(&root().join("docs/clauses.md"));
    let faults = faults(&pages, &clauses, &found);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(pages.len() > 15 && rows(&clauses).len() > 120 && found.len() > 1_000);
}

/// The files of the collected specification, beside the repository.
const COLLECTED: [&str; 3] = ["gossip-semantics", "internode", "gossip-messages"];

/// What the headings of a collected file begin with: a number, the letter of an appendix, or a word.
fn numbers(text: &str) -> Vec<&str> {
    let mut is_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_block ^= line.starts_with("```");
        let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "));
        let Some(heading) = heading.filter(|_| !is_block) else { continue };
        let heading = heading.strip_prefix("Appendix ").unwrap_or(heading);
        found.extend(heading.split([' ', ':']).next().map(|number| number.trim_end_matches('.')));
    }
    found
}

/// What is wrong with the table of the collected specification.
fn faults_of_collected(files: &[(&str, String)], clauses: &str) -> Vec<String> {
    let listed: Vec<(&str, &str, &str)> = clauses
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
            Some((cells.next()?.strip_suffix('`')?, cells.next()?, cells.next()?))
        })
        .collect();
    let rules: Vec<String> = clauses
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| [")?.split_once("](")?.1.split_once(')')?.0.to_owned()))
        .collect();
    let mut faults = Vec::new();
    for (file, text) in files {
        let there = numbers(text);
        let here: Vec<&str> = listed.iter().filter(|row| row.0 == *file).map(|row| row.1).collect();
        let left_out = there.iter().filter(|number| !here.contains(number));
        faults.extend(left_out.map(|number| format!("{file}, {number}: not listed")));
        let invented = here.iter().filter(|number| !there.contains(number));
        faults.extend(invented.map(|number| format!("{file} has no section {number}")));
    }
    for (file, number, shown) in listed {
        if shown.starts_with("No rule: ") {
            continue;
        }
        let targets: Vec<&str> =
            shown.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)).collect();
        if targets.is_empty() || targets.iter().any(|target| !rules.iter().any(|rule| rule == target)) {
            faults.push(format!("{file}, {number}: {shown} is not listed above"));
        }
    }
    faults
}

#[test]
fn every_section_of_the_collected_specification_has_its_place() {
    let folder = root().join("../shared/spec");
    let files: Vec<_> = if folder.is_dir() {
        COLLECTED.iter().map(|file| (*file, text(&folder.join(format!("{file}.md"))))).collect()
    } else {
        eprintln!("the sections are not compared: there is no {}", folder.display());
        Vec::new()
    };
    let clauses = text(&root().join("docs/clauses.md"));
    let faults = faults_of_collected(&files, &clauses);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    assert!(files.iter().all(|(_, text)| numbers(text).len() > 20));
}

#[test]
fn a_wrong_place_is_found() {
    let file = "# All\n## 1. One\n### 1.1 Two\n```\n## 2. No\n```\n## Appendix A. Three\n## Open: four";
    let check = |table: &str| {
        let rules = "| [One](protocol/framing.md#one) | `it_works` |\n";
        faults_of_collected(&[("spec", file.to_owned())], &format!("{rules}{table}"))
    };
    let row = |number: &str| format!("| `spec` | {number} | [One](protocol/framing.md#one) |\n");
    let all = ["1", "1.1", "A"].map(row).concat() + "| `spec` | Open | No rule: it asks. |\n";
    assert_eq!(check(&all), Vec::<String>::new());
    assert_eq!(check(&all.replace("| A |", "| B |")), ["spec, A: not listed", "spec has no section B"]);
    let wrong = all.replacen("#one", "#two", 1);
    assert_eq!(check(&wrong), ["spec, 1: [One](protocol/framing.md#two) is not listed above"]);
}

/// What is wrong with the table of attacks: a counter that is none, a test that is none.
fn faults_of_attacks(security: &str, stats: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let rows = security.lines().skip_while(|line| !line.starts_with("| attack | limit | counter"));
    let rows = rows.skip(2).take_while(|line| line.starts_with("| "));
    let quoted =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut faults = Vec::new();
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [attack, _, counters, shown] = cells[..] else {
            faults.push(format!("not four cells: {row}"));
            continue;
        };
        count += 1;
        let counters =
            quoted(counters).into_iter().filter(|name| !stats.contains(&format!("pub {name}: u64")));
        faults.extend(counters.map(|name| format!("{attack}: there is no counter {name}")));
        let shown = quoted(shown);
        if shown.is_empty() {
            faults.push(format!("{attack}: no test"));
        }
        let none = shown.into_iter().filter(|name| !tests.contains(name));
        faults.extend(none.map(|name| format!("{attack}: there is no test {name}")));
    }
    if count < 15 {
        faults.push(format!("{count} attacks"));
    }
    faults
}

#[test]
fn every_attack_has_its_test_and_its_counter() {
    let mut found = BTreeSet::new();
    tests(&root(), &mut found);
    let security = text(&root().join("SECURITY.md"));
    let stats = text(&root().join("gossip-core/src/stats.rs"));
    let faults = faults_of_attacks(&security, &stats, &found);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    let wrong = security.replacen("`not_allowed`", "`not_there`", 1);
    let faults = faults_of_attacks(&wrong.replacen("`a_stray_ack_", "`no_stray_ack_", 1), &stats, &found);
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn every_search_of_the_model_checker_has_its_row_of_what_it_found() {
    let source = text(&root().join("model/src/searches.rs"));
    let names: Vec<&str> =
        source.split("name: \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect();
    assert!(names.len() >= 15, "{names:?}");
    let page = text(&root().join("docs/model.md"));
    let lacking: Vec<_> = names.iter().filter(|name| !page.contains(&format!("\n| {name} | "))).collect();
    assert!(lacking.is_empty(), "not in docs/model.md, so not known to end: {lacking:#?}");
}

#[test]
fn a_wrong_table_is_found() {
    let page =
        ("framing.md".to_owned(), "# Framing\n## One\n```\n## No\n```\n### Two\n### 1. Step".to_owned());
    let tests = BTreeSet::from(["it_works".to_owned()]);
    let one = "| [One](protocol/framing.md#one) | `it_works` |\n";
    let check = |table: &str| faults(std::slice::from_ref(&page), table, &tests);
    let two = |shown: &str| format!("{one}| [Two](protocol/framing.md#two) | {shown} |");
    assert_eq!(check(&two("`it_works` `it_works`")), Vec::<String>::new());
    assert_eq!(check(&two("No test: it says what others do.")), Vec::<String>::new());
    assert_eq!(check(&two("No test: x")), ["framing.md, Two: no reason"]);
    assert_eq!(check(&two("`it_fails`")), ["framing.md, Two: there is no test it_fails"]);
    assert_eq!(check(one), ["framing.md, Two: not listed"]);
    let three = format!("{}\n| [Three](protocol/framing.md#three) | `it_works` |", two("`it_works`"));
    assert_eq!(check(&three), ["framing.md has no section Three"]);
    assert_eq!(
        tests_of("#[test]\nfn one() {}\nfn two() {}\n#[tokio::test]\nasync fn three() {}"),
        ["one", "three"]
    );
}
