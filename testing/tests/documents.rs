//! The documents of the repository: links lead somewhere, the code that they show is code that runs, and they stay short enough
//! to read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use gossip_testing::pages::Page;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Paths of files below `folder` with one of these endings, relative to the root of the repository.
fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            // Built files, and what fuzzers have found.
            if !name.starts_with('.') && !["target", "corpus", "artifacts"].contains(&name.as_str()) {
                found.extend(files(&path, endings));
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The page in a file, which faults name by its whole path.
fn page(file: &str) -> Page {
    Page::parse(file, &text(file))
}

/// Fails with everything that is wrong, not with the first thing alone.
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let documents = files("", &[".md"]);
    let pages = documents.iter().map(|file| (page(file), root().join(file)));
    let faults: Vec<_> = pages.flat_map(|(page, path)| page.dead_links(path.parent().unwrap())).collect();
    assert_none(&faults);
    let links: usize = documents.iter().map(|file| page(file).links().len()).sum();
    assert!(documents.len() > 30 && links > 200, "{links} links in {} documents", documents.len());
}

/// Code cites a document as `docs/protocol/framing.md#crc-framing`.
#[test]
fn every_citation_of_a_document_leads_to_a_heading() {
    let sources = files("", &[".rs", ".md", ".toml", ".html", ".js", ".yaml", ".yml"]);
    let faults: Vec<_> = sources.iter().flat_map(|file| dead_citations(file, &text(file))).collect();
    assert_none(&faults);
    let count: usize = sources.iter().map(|file| citations(&text(file)).len()).sum();
    assert!(sources.len() > 300 && count > 100, "{count} citations in {} files", sources.len());
}

/// A number of a section belongs to a document that a reader cannot open: pages here have names of sections, which links use.
#[test]
fn no_section_is_cited_by_its_number() {
    let sign = '\u{a7}';
    let sources = files("", &[".rs", ".md", ".toml", ".qnt", ".html", ".js"]);
    let lines = sources.iter().flat_map(|file| {
        let text = text(file);
        let cited = text.lines().zip(1..).filter(|(line, _)| line.contains(sign));
        cited.map(|(line, number)| format!("{file}:{number}: {}", line.trim())).collect::<Vec<_>>()
    });
    assert_none(&lines.collect::<Vec<_>>());
}

#[test]
fn a_wrong_citation_is_found() {
    // In pieces, since this file is read by the test above.
    for (cited, count) in [
        ("protocol/framing.md#crc-framing.", 0),
        ("datagram.md", 0),
        ("nowhere.md", 1),
        ("protocol/tls.md#no)", 1),
    ] {
        let text = format!("see `{}{cited}`", "docs/");
        assert_eq!(dead_citations("a file", &text).len(), count, "{text:?}");
    }
}

/// What `text` cites: paths that begin with the folder of documents and end in `.md`, with their anchors.
fn citations(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "#-_./".contains(c);
    let rests = text.match_indices("docs/").filter(|(at, _)| {
        // Addresses elsewhere and other folders are not meant.
        !text[..*at].ends_with(|before: char| is_part(before) && before != '.')
            || text[..*at].ends_with("../")
    });
    rests
        .map(|(at, _)| text[at..].split(|c| !is_part(c)).next().unwrap().trim_end_matches('.').to_owned())
        .filter(|cited| cited.split('#').next().is_some_and(|file| file.ends_with(".md")))
        .collect()
}

fn dead_citations(file: &str, text: &str) -> Vec<String> {
    let dead = citations(text).into_iter().filter(|cited| {
        let (path, anchor) = cited.split_once('#').unwrap_or((cited, ""));
        !root().join(path).is_file() || !page(path).has_anchor(anchor)
    });
    dead.map(|cited| format!("{file}: there is no {cited}")).collect()
}

#[test]
fn the_first_documents_are_short() {
    for (file, most) in [("README.md", 200), ("ARCHITECTURE.md", 120)] {
        let lines = text(file).lines().count();
        assert!(
            lines <= most,
            "{file} has {lines} lines; what is above {most} belongs into a page of `docs`"
        );
    }
}

/// 100 columns a line and 25 words a sentence, in every document of the repository.
#[test]
fn lines_and_sentences_are_short_enough_to_read() {
    let documents = files("", &[".md"]);
    assert!(documents.iter().any(|file| file == "fuzz/README.md"), "{documents:?}");
    let faults: Vec<_> = documents.iter().flat_map(|file| page(file).hard_to_read()).collect();
    assert_none(&faults);
}

/// Every page in `docs` can be found from the map.
#[test]
fn the_map_names_every_page() {
    let map = page("ARCHITECTURE.md");
    let links: Vec<_> = map.links().into_iter().map(|link| link.target).collect();
    for file in files("docs", &[".md"]).iter().filter(|file| !file.starts_with("docs/protocol/")) {
        assert!(links.contains(file), "ARCHITECTURE.md has no link to {file}");
    }
}

/// The first use in the README is the example of each crate, which runs as a test of its documentation.
#[test]
fn the_readme_shows_what_runs() {
    let readme = page("README.md");
    let shown = |krate: &str| {
        let start = format!("use {krate}::");
        let mut blocks = readme.blocks().iter().filter(|block| block.lines[0].starts_with(&start));
        blocks.next().unwrap_or_else(|| panic!("the README shows no use of {krate}")).lines.join("\n")
    };
    let tokio = shown("gossip_tokio");
    assert_runs("gossip-tokio", &tokio);
    assert_runs("gossip-smol", &tokio.replace("gossip_tokio", "gossip_smol"));
    assert_runs("gossip-async-std", &tokio.replace("gossip_tokio", "gossip_async_std"));
    assert_runs("gossip-mio", &shown("gossip_mio"));
}

/// The service of the page is that of the example, which a test of `gossip-tokio` runs.
#[test]
fn the_page_on_embedding_shows_the_service_that_runs() {
    let example = text("gossip-tokio/examples/service_tokio.rs");
    let (_, rest) = example.split_once("// service: shown in docs/embedding.md\n").unwrap();
    let (service, _) = rest.split_once("\n// service: end\n").unwrap();
    let service = service.replace("pub(crate) ", "");
    let page = page("docs/embedding.md");
    assert!(page.blocks().iter().any(|block| block.lines.join("\n").contains(&service)), "{service}");
}

fn assert_runs(krate: &str, code: &str) {
    let source = text(&format!("{krate}/src/lib.rs"));
    let docs = source.lines().filter_map(|line| line.strip_prefix("//!"));
    let docs: Vec<_> = docs.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(docs.join("\n").contains(code), "{krate}/src/lib.rs does not run this:\n{code}");
}
