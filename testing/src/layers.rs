//! The layers of a crate: a module may name only modules on layers below its own.
//!
//! A [`Crate`] is its source files, cut into tokens. A name counts wherever it stands: in `use`, in a path, inside a macro. Comments,
//! strings and modules behind `#[cfg(test)]` do not count.
//!
//! Layers are lines of text, the lowest first, several modules on one line:
//!
//! ```text
//! time endpoint
//! table
//! gossiper::clock
//! gossiper
//! ```
//!
//! Modules on one layer do not know each other. A module that no layer names belongs to the module that it lies in. The root of the
//! crate is not looked at, but each of its modules must have a layer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module, by its path in the crate: `["gossiper", "clock"]`. The root has none.
type Module = Vec<String>;

/// The modules of a crate, and whom each names where.
#[derive(Debug, Default)]
pub struct Crate {
    modules: BTreeSet<Module>,
    names: Vec<Name>,
    /// What the root of the crate exports: which module each name of it comes from.
    exports: BTreeMap<String, Module>,
}

/// A place where a module names something of its crate.
#[derive(Clone, Debug)]
struct Name {
    by: Module,
    file: String,
    line: usize,
    /// The path of what is named, from the root of the crate on.
    path: Vec<String>,
}

/// What is wrong with a crate.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// A module names one that is not on a layer below.
    Up {
        /// Where.
        place: String,
        /// The module.
        by: String,
        /// What it names.
        whom: String,
    },
    /// A module of the crate has no layer.
    Missing(String),
    /// A layer names a module that is not there.
    Unknown(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { place, by, whom } => {
                write!(f, "{place}: `{by}` names `{whom}`, which is not on a layer below")
            }
            Self::Missing(module) => write!(f, "`{module}` has no layer"),
            Self::Unknown(module) => write!(f, "there is no module `{module}`"),
        }
    }
}

impl Crate {
    /// Reads all files of a folder `src`.
    ///
    /// # Panics
    ///
    /// If a file cannot be read, or is no Rust.
    pub fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        collect(src, &mut Vec::new(), &mut files);
        Self::of(files.iter().map(|(module, file, text)| (module.clone(), file.as_str(), text.as_str())))
    }

    /// Takes source texts: module, name of the file, text.
    ///
    /// # Panics
    ///
    /// If a text is no Rust.
    pub fn of<'a>(files: impl IntoIterator<Item = (Vec<String>, &'a str, &'a str)>) -> Self {
        let mut krate = Self::default();
        for (module, file, text) in files {
            let tokens: TokenStream =
                text.parse().unwrap_or_else(|error| panic!("{file} is no Rust: {error}"));
            if !module.is_empty() {
                krate.modules.insert(module.clone());
            }
            let mut reader = Reader { krate: &mut krate, file, module, depth: 0 };
            reader.tokens(tokens);
        }
        krate
    }

    /// Compares the crate with its layers. Nothing is given back if all is well.
    pub fn check(&self, layers: &str) -> Vec<Fault> {
        let mut levels = BTreeMap::<Module, usize>::new();
        for (level, line) in layers.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            for name in line.split_whitespace() {
                levels.insert(name.split("::").map(str::to_owned).collect(), level);
            }
        }
        let mut faults = BTreeSet::new();
        for module in levels.keys().filter(|module| !self.modules.contains(*module)) {
            faults.insert(Fault::Unknown(module.join("::")));
        }
        for module in self.modules.iter().filter(|module| room(module, &levels).is_none()) {
            faults.insert(Fault::Missing(module.join("::")));
        }
        for name in &self.names {
            let target = match name.path.first() {
                // A name that the root only hands on.
                Some(first) if name.path.len() == 1 => self.exports.get(first).unwrap_or(&name.path),
                _ => &name.path,
            };
            let (Some((by, from)), Some((whom, to))) = (room(&name.by, &levels), room(target, &levels))
            else {
                continue;
            };
            if by != whom && to >= from {
                faults.insert(Fault::Up {
                    place: format!("{}:{}", name.file, name.line),
                    by: by.join("::"),
                    whom: whom.join("::"),
                });
            }
        }
        faults.into_iter().collect()
    }
}

/// The nearest module with a layer that `path` lies in, and the layer.
fn room<'a>(path: &'a [String], levels: &BTreeMap<Module, usize>) -> Option<(&'a [String], usize)> {
    (1..=path.len()).rev().find_map(|length| {
        let room = path.get(..length)?;
        levels.get(room).map(|level| (room, *level))
    })
}

fn collect(folder: &Path, module: &mut Vec<String>, files: &mut Vec<(Vec<String>, String, String)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            module.push(stem);
            collect(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "tests" {
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut own = module.clone();
            if !(module.is_empty() && (stem == "lib" || stem == "main")) {
                own.push(stem);
            }
            files.push((own, path.display().to_string(), text));
        }
    }
}

/// Reads the tokens of one file.
struct Reader<'a> {
    krate: &'a mut Crate,
    file: &'a str,
    module: Module,
    /// In how many modules inside the file.
    depth: usize,
}

impl Reader<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut is_test = false;
        while let Some(token) = tokens.get(at) {
            match token {
                // An attribute, which may say that what follows is a test.
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if let Some(TokenTree::Group(group)) = tokens.get(at + 1) {
                        let text = group.stream().to_string().replace(' ', "");
                        is_test |= text == "cfg(test)";
                        at += 1;
                    }
                    at += 1;
                    continue;
                }
                // `pub(in super::super)` names no module.
                TokenTree::Ident(ident) if ident == "pub" => {
                    let is_restricted = matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis && restricts(group));
                    at += if is_restricted { 2 } else { 1 };
                    continue;
                }
                TokenTree::Ident(ident) if ident == "mod" && is_test => {
                    // `mod tests { … }` or `mod tests;`
                    at += 3;
                    is_test = false;
                    continue;
                }
                TokenTree::Ident(ident) if ident == "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                    {
                        self.module.push(name.to_string());
                        self.depth += 1;
                        self.tokens(body.stream());
                        self.depth -= 1;
                        self.module.pop();
                        at += 3;
                        continue;
                    }
                }
                TokenTree::Ident(ident) if ident == "use" => {
                    let is_export = matches!(at.checked_sub(1).and_then(|before| tokens.get(before)), Some(TokenTree::Ident(word)) if word == "pub")
                        || matches!(
                            at.checked_sub(1).and_then(|before| tokens.get(before)),
                            Some(TokenTree::Group(_))
                        );
                    let end = tokens[at..]
                        .iter()
                        .position(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';'))
                        .map_or(tokens.len(), |length| at + length);
                    if !is_test {
                        self.import(&tokens[at + 1..end], &mut Vec::new(), is_export);
                    }
                    at = end;
                    is_test = false;
                    continue;
                }
                TokenTree::Ident(ident) if ident == "crate" || ident == "super" || ident == "self" => {
                    if let Some((path, length)) = path_at(&tokens, at) {
                        self.name(&path, ident.span().start().line);
                        at += length;
                        continue;
                    }
                }
                TokenTree::Group(group) => {
                    if !(is_test && group.delimiter() == Delimiter::Brace) {
                        self.tokens(group.stream());
                    }
                    if group.delimiter() == Delimiter::Brace {
                        is_test = false;
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// One tree of a `use`: a path, and perhaps a group of further trees.
    fn import(&mut self, tokens: &[TokenTree], prefix: &mut Vec<String>, is_export: bool) {
        let before = prefix.len();
        let mut alias = None;
        let mut line = 0;
        let mut rest = tokens;
        while let Some((token, behind)) = rest.split_first() {
            rest = behind;
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    if let Some(TokenTree::Ident(name)) = rest.first() {
                        alias = Some(name.to_string());
                    }
                    break;
                }
                TokenTree::Ident(word) => {
                    line = word.span().start().line;
                    prefix.push(word.to_string());
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                    for tree in inner.split(is_comma).filter(|tree| !tree.is_empty()) {
                        self.import(tree, prefix, is_export);
                    }
                    prefix.truncate(before);
                    return;
                }
                _ => {}
            }
        }
        let path = prefix.clone();
        prefix.truncate(before);
        self.name(&path, line);
        if is_export && self.module.is_empty() {
            let local = alias.or_else(|| path.last().cloned());
            if let (Some(local), Some(target)) = (local, self.absolute(&path)) {
                self.krate.exports.insert(local, target);
            }
        }
    }

    fn name(&mut self, path: &[String], line: usize) {
        if self.module.is_empty() {
            return;
        }
        if let Some(path) = self.absolute(path).filter(|path| !path.is_empty()) {
            self.krate.names.push(Name { by: self.module.clone(), file: self.file.to_owned(), line, path });
        }
    }

    /// A path from the root of the crate on; `None` if it leads elsewhere.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = self.module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {}
            // In the root a module needs no `self`.
            _ if self.module.is_empty() => {}
            _ => return None,
        }
        while rest.first().is_some_and(|word| word == "super") {
            base.pop()?;
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }
}

/// Whether what stands behind `pub` in parentheses says to whom an item is visible.
fn restricts(group: &proc_macro2::Group) -> bool {
    let first = group.stream().into_iter().next();
    matches!(first, Some(TokenTree::Ident(word)) if ["in", "crate", "super", "self"].iter().any(|known| word == known))
}

/// A path that begins here, and how many tokens it takes; `None` if it is a word alone, such as `self`.
fn path_at(tokens: &[TokenTree], start: usize) -> Option<(Vec<String>, usize)> {
    let mut path = Vec::new();
    let mut at = start;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        path.push(word.to_string());
        let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        if !(is_colon(tokens.get(at + 1)) && is_colon(tokens.get(at + 2))) {
            at += 1;
            break;
        }
        at += 3;
    }
    (path.len() > 1).then_some((path, at - start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOORS: &str = "time\ntable phi\nhouse::attic\nhouse\n";

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let all = ["time", "table", "phi", "house", "house::attic"];
        let texts = all.iter().map(|module| {
            let text = files.iter().find(|(name, _)| name == module).map_or("", |(_, text)| text);
            (module.split("::").map(str::to_owned).collect(), *module, text)
        });
        Crate::of(texts).check(FLOORS).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_that_point_down_are_well() {
        let files = [
            ("table", "use crate::time::Timestamp;\nfn f(_: crate::time::Timestamp) {}"),
            ("house", "mod attic;\nuse self::attic::Box;\nuse crate::{phi::Phi, table::{self, Slot}};"),
            ("house::attic", "use super::super::table::Slot;"),
        ];
        assert_eq!(faults(&files), [""; 0]);
    }

    #[test]
    fn an_arrow_that_points_up_is_found_wherever_it_stands() {
        let up = "`time` names `table`, which is not on a layer below";
        for text in [
            "use crate::table::Slot;",
            "use crate::{table::Slot};",
            "pub(crate) use crate::{ table as t };",
            "fn f(slot: crate::table::Slot) {}",
            "fn f() { let x = [crate::table::Slot::FIRST; 2]; }",
            "fn f() { println!(\"{}\", crate::table::COUNT); }",
            "fn f() { super::table::make() }",
            "mod inner { use super::super::table::Slot; }",
        ] {
            assert_eq!(faults(&[("time", text)]), [format!("time:1: {up}")], "{text}");
        }
    }

    #[test]
    fn modules_on_one_layer_do_not_know_each_other_and_a_part_does_not_know_its_whole() {
        assert_eq!(
            faults(&[("phi", "\nuse crate::table::Slot;")]),
            ["phi:2: `phi` names `table`, which is not on a layer below"]
        );
        assert_eq!(
            faults(&[("house::attic", "use super::House;")]),
            ["house::attic:1: `house::attic` names `house`, which is not on a layer below"]
        );
    }

    #[test]
    fn tests_comments_and_strings_do_not_count() {
        for text in [
            "#[cfg(test)]\nmod tests { use crate::table::Slot; }",
            "//! See [`crate::table`].\n/// [`Slot`](crate::table::Slot)\nfn f() {}",
            "const TEXT: &str = \"crate::table::Slot\";",
            "pub(in crate::table) fn f() {}",
        ] {
            assert_eq!(faults(&[("time", text)]), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_name_that_the_root_hands_on_counts_for_its_module() {
        let files = [
            (vec![], "lib", "mod table; mod time; pub use table::Slot; pub use crate::time::Timestamp as T;"),
            (vec!["time".to_owned()], "time", "use crate::Slot;"),
            (vec!["table".to_owned()], "table", "use crate::T;"),
        ];
        let faults = Crate::of(files).check("time\ntable");
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].to_string(), "time:1: `time` names `table`, which is not on a layer below");
    }

    #[test]
    fn every_module_has_a_layer_and_every_layer_its_modules() {
        let krate = Crate::of([(vec!["time".to_owned()], "time", "")]);
        assert_eq!(krate.check("table"), [Fault::Missing("time".into()), Fault::Unknown("table".into())]);
    }
}
