//! Pages of Markdown: their blocks, headings, links and sentences.
//!
//! Only what the documents of this repository use is understood: fences of three backticks, headings with `#`, links as
//! `[text](target)`, tables with `|`.

use std::fs;
use std::path::Path;

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// What stands behind the fence.
    pub info: String,
    /// The lines between the fences.
    pub lines: Vec<String>,
    /// The number of the line with the first fence.
    pub line: usize,
}

impl Block {
    /// The kind of example, if it is one in hex.
    pub fn kind(&self) -> Option<&str> {
        self.info.strip_prefix("hex ")?.split(' ').next()
    }
}

/// A link to another place.
#[derive(Clone, Debug)]
pub struct Link {
    /// A file, an anchor, or both, or an address elsewhere.
    pub target: String,
    /// The number of the line with the link.
    pub line: usize,
}

/// A document.
#[derive(Clone, Debug)]
pub struct Page {
    /// How faults name the page.
    pub name: String,
    blocks: Vec<Block>,
    /// What is no block, with the numbers of the lines.
    text: Vec<(usize, String)>,
    is_open: bool,
}

/// The most characters in a line of prose.
const MAX_LINE: usize = 100;

/// The most words in a sentence.
const MAX_WORDS: usize = 25;

/// So many bytes in a row are an example.
const MANY_BYTES: usize = 8;

impl Page {
    /// The page in a file.
    ///
    /// # Panics
    ///
    /// The file cannot be read.
    pub fn read(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(name, &text)
    }

    /// The page with this text.
    pub fn parse(name: &str, text: &str) -> Self {
        let mut page = Self { name: name.into(), blocks: Vec::new(), text: Vec::new(), is_open: false };
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(info) = line.trim_start().strip_prefix("```") {
                if !page.is_open {
                    page.blocks.push(Block { info: info.into(), lines: Vec::new(), line: number });
                }
                page.is_open = !page.is_open;
            } else if page.is_open
                && let Some(block) = page.blocks.last_mut()
            {
                block.lines.push(line.into());
            } else {
                page.text.push((number, line.into()));
            }
        }
        page
    }

    /// The fenced blocks, in order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> Vec<String> {
        let headings = self.text.iter().filter_map(|(_, line)| {
            let text = line.trim_start_matches('#');
            (text.len() < line.len()).then_some(text.strip_prefix(' ')?)
        });
        headings.map(slug).collect()
    }

    /// The links, in order.
    pub fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (line, text) in &self.text {
            let mut rest = text.as_str();
            while let Some((_, after)) = rest.split_once("](") {
                let (target, after) = after.split_once(')').unwrap_or((after, ""));
                links.push(Link { target: target.into(), line: *line });
                rest = after;
            }
        }
        links
    }

    /// Whether a heading has this anchor.
    pub fn has_anchor(&self, anchor: &str) -> bool {
        anchor.is_empty() || self.anchors().iter().any(|known| known == anchor)
    }

    /// Relative links that lead nowhere, and anchors that two headings share. `folder` is where the page lies.
    pub fn dead_links(&self, folder: &Path) -> Vec<String> {
        let mut faults = Vec::new();
        for link in self.links() {
            if link.target.contains("://") || link.target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            if !folder.join(file).exists() {
                faults.push(format!("{}:{}: there is no file {file:?}", self.name, link.line));
                continue;
            }
            let has_anchor = match file {
                "" => self.has_anchor(anchor),
                _ if anchor.is_empty() => true,
                file => file.ends_with(".md") && Self::read(folder, file).has_anchor(anchor),
            };
            if !has_anchor {
                faults.push(format!("{}:{}: there is no heading {:?}", self.name, link.line, link.target));
            }
        }
        let mut anchors = self.anchors();
        anchors.sort();
        for pair in anchors.windows(2).filter(|pair| pair[0] == pair[1]) {
            faults.push(format!("{}: two headings have the anchor {:?}", self.name, pair[0]));
        }
        faults
    }

    /// Lines of more than 100 characters and sentences of more than 25 words, outside of blocks. Tables may have long lines.
    pub fn hard_to_read(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.is_open {
            faults.push(format!("{}: the last block does not end", self.name));
        }
        for (line, text) in &self.text {
            let length = text.chars().count();
            if length > MAX_LINE && !text.starts_with('|') {
                faults.push(format!("{}:{line}: {length} characters", self.name));
            }
        }
        for (line, sentence) in self.sentences() {
            let words = sentence.split_whitespace().count();
            if words > MAX_WORDS {
                faults.push(format!("{}:{line}: {words} words: {sentence}", self.name));
            }
        }
        faults
    }

    /// Sentences, each with the line on which its paragraph begins. Cells of tables are paragraphs.
    fn sentences(&self) -> Vec<(usize, String)> {
        let mut paragraphs: Vec<(usize, String)> = vec![(0, String::new())];
        for (line, text) in &self.text {
            let text = text.trim();
            let begins = ["- ", "* ", "#"].iter().any(|mark| text.starts_with(mark))
                || text.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
            if text.starts_with('|') {
                paragraphs.extend(text.split('|').map(|cell| (*line, cell.into())));
                paragraphs.push((*line, String::new()));
            } else if text.is_empty() || begins {
                paragraphs.push((*line, text.into()));
            } else {
                let (_, last) = paragraphs.last_mut().expect("the list begins with one");
                last.push(' ');
                last.push_str(text);
            }
        }
        let mut sentences = Vec::new();
        for (line, text) in paragraphs {
            let ends = [". ", "? ", "! ", ": "];
            let mut rest = text.as_str();
            while let Some(end) = ends.iter().filter_map(|end| rest.find(end)).min() {
                let (sentence, after) = rest.split_at(end + 1);
                sentences.push((line, sentence.to_owned()));
                rest = after;
            }
            sentences.push((line, rest.to_owned()));
        }
        sentences
    }

    /// Bytes that are not checked.
    pub fn hidden_examples(&self) -> Vec<String> {
        let others = self.blocks.iter().filter(|block| !block.info.starts_with("hex "));
        let others = others.flat_map(|block| (block.line + 1..).zip(&block.lines));
        let text = self.text.iter().map(|(line, text)| (*line, text));
        let hidden = others.chain(text).filter(|(_, text)| has_many_bytes(text));
        hidden.map(|(line, _)| format!("{}:{line}: bytes that are not checked", self.name)).collect()
    }
}

fn has_many_bytes(text: &str) -> bool {
    let mut run = 0;
    text.split([' ', '`', '|']).filter(|word| !word.is_empty()).any(|word| {
        let is_byte = word.len() == 2 && word.chars().all(|c| c.is_ascii_hexdigit());
        run = if is_byte { run + 1 } else { 0 };
        run >= MANY_BYTES
    })
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}
