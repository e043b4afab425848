//! Files of options: `--config FILE`, and what `--print-config` prints.
//!
//! The keys of a file are the long names of the command's own options, so that no key can be forgotten. A value of the file becomes a
//! word of the command line, unless the command line has the option itself: all rules of the options hold for a file, too.

mod print;

use core::any::TypeId;
use core::ops::Range;
use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, Command};
use gossip_core::{Datagrams, Detector, Limits, Membership, MetadataId, Setting, Timeouts};
use toml::de::{DeTable, DeValue};

pub(crate) use self::print::print;
use crate::failure::Failure;
use crate::file::read_text;

/// The settings of a node that are in groups, as the file has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub(crate) struct Groups {
    pub(crate) detector: Detector,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) membership: Membership,
    pub(crate) datagrams: Datagrams,
}

/// The groups and their settings, in the order in which they are printed.
const GROUPS: [(&str, &[Setting]); 5] = [
    ("detector", Detector::SETTINGS),
    ("limits", Limits::SETTINGS),
    ("timeouts", Timeouts::SETTINGS),
    ("membership", Membership::SETTINGS),
    ("datagrams", Datagrams::SETTINGS),
];

/// Settings of the groups that have an option: group, key, option.
const WITH_OPTION: [(&str, &str, &str); 7] = [
    ("detector", "phi_convict_threshold", "phi"),
    ("limits", "max_endpoints", "max-endpoints"),
    ("limits", "max_states", "max-states"),
    ("limits", "max_state_bytes", "max-state-bytes"),
    ("membership", "shadow_round", "shadow-round"),
    ("membership", "replace", "replace"),
    ("membership", "dead_endpoint_ttl", "dead-endpoint-ttl"),
];

/// The option that switches the shadow round off: there is one key for both.
const NO_SHADOW_ROUND: &str = "no-shadow-round";

/// The setting that a command has no use for.
const ONLY_ASKS: (&str, &str) = ("membership", "only_asks");

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFile {
    shown: String,
    pub(crate) groups: Groups,
    /// Options and settings that came from it, with the number of the line.
    places: Vec<(String, usize)>,
}

/// The group and the key of an option, or `None` if it has no place in a file. Options outside of the groups have the group "".
fn key_of(arg: &Arg) -> Option<(&'static str, String)> {
    let long = arg.get_long()?;
    if arg.is_hide_set() || ["help", "config", "print-config", NO_SHADOW_ROUND].contains(&long) {
        return None;
    }
    if let Some((group, key, _)) = WITH_OPTION.iter().find(|(_, _, option)| *option == long) {
        return Some((group, (*key).to_owned()));
    }
    Some(match long.strip_prefix("tls-") {
        Some(rest) => ("tls", rest.replace('-', "_")),
        None if long == "tls" => ("tls", "mode".into()),
        None => ("", long.replace('-', "_")),
    })
}

/// The option that sets `setting`, such as `limits.max_states`.
pub(crate) fn option_of(setting: &str) -> Option<&'static str> {
    let (group, key) = setting.split_once('.')?;
    WITH_OPTION.iter().find(|one| (one.0, one.1) == (group, key)).map(|one| one.2)
}

/// Whether the value of an option is a number.
fn is_number(arg: &Arg) -> bool {
    let kind = arg.get_value_parser().type_id();
    let kinds = [TypeId::of::<u16>(), TypeId::of::<usize>(), TypeId::of::<f64>(), TypeId::of::<MetadataId>()];
    kinds.iter().any(|other| kind == *other)
}

/// Whether an option takes true or false.
fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue) || arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

/// Puts the words of the file that `--config` names into a command line that was put in order.
///
/// # Errors
///
/// Misuse: what is wrong with the file, with its name and the line.
pub(crate) fn expand(
    line: Vec<OsString>,
    command: &Command,
) -> Result<(Vec<OsString>, Option<ConfigFile>), Failure> {
    let name = line.get(1).and_then(|word| word.to_str());
    let Some(command) = name.and_then(|name| command.find_subcommand(name)) else { return Ok((line, None)) };
    if !command.get_arguments().any(|arg| arg.get_long() == Some("config")) {
        return Ok((line, None));
    }
    let (given, path) = given(&line);
    let Some(path) = path else { return Ok((line, None)) };
    let text = read_text(Path::new(&path)).map_err(|error| Failure::misuse(format!("--config: {error}")))?;
    if text.is_empty() {
        let shown = Path::new(&path).display();
        return Err(Failure::misuse(format!("--config: {shown} is empty (write it as --print-config does)")));
    }
    let reader = Reader { text: &text, shown: Path::new(&path).display().to_string(), command, given };
    let (words, file) = reader.read().map_err(|(span, error)| {
        Failure::misuse(format!("{}, line {}: {error}", reader.shown, reader.line_of(span.start)))
    })?;
    let mut expanded = line;
    expanded.splice(2..2, words);
    Ok((expanded, Some(file)))
}

/// The long options of a command line, and the value of `--config`.
fn given(line: &[OsString]) -> (Vec<String>, Option<OsString>) {
    let (mut given, mut path) = (Vec::new(), None);
    let mut words = line.iter().skip(2).peekable();
    while let Some(word) = words.next() {
        // A name of a file need not be UTF-8; an option is.
        let text = word.to_string_lossy();
        if text == "--" {
            break;
        }
        let Some(option) = text.strip_prefix("--") else { continue };
        let (name, value) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        if name == "config" && path.is_none() {
            path = value.map(OsString::from).or_else(|| words.peek().map(|word| (*word).clone()));
        }
        given.push(name.to_owned());
    }
    (given, path)
}

/// Where something is wrong, and what.
type Fault = (Range<usize>, String);

struct Reader<'a> {
    text: &'a str,
    shown: String,
    command: &'a Command,
    /// The options that the command line has.
    given: Vec<String>,
}

impl Reader<'_> {
    fn read(&self) -> Result<(Vec<OsString>, ConfigFile), Fault> {
        let syntax = |error: toml::de::Error| {
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            (error.span().unwrap_or(0..0), format!("{message} (write KEY = VALUE, as TOML has it)"))
        };
        let table = DeTable::parse(self.text).map_err(syntax)?;
        let (mut words, mut places) = (Vec::new(), Vec::new());
        let mut has_groups = false;
        for (key, value) in table.get_ref() {
            let (name, span) = (key.get_ref().as_ref(), key.span());
            let settings = self.settings(name);
            if settings.is_none() && !self.has_group(name) {
                self.take(("", name), value.get_ref(), span, &mut words, &mut places)?;
                continue;
            }
            let DeValue::Table(group) = value.get_ref() else {
                return Err((span, format!("{name} is a group (write [{name}], and its settings below)")));
            };
            has_groups |= settings.is_some();
            for (key, value) in group {
                let (setting, span) = (key.get_ref().as_ref(), key.span());
                if (name, setting) == ONLY_ASKS {
                    let error = "only_asks is not for a node that takes part in its cluster (leave it out)";
                    return Err((span, error.into()));
                }
                let is_setting = settings.is_some_and(|all| all.iter().any(|one| one.name == setting));
                if is_setting {
                    places.push((format!("{name}.{setting}"), self.line_of(span.start)));
                }
                if !is_setting || option_of(&format!("{name}.{setting}")).is_some() {
                    self.take((name, setting), value.get_ref(), span, &mut words, &mut places)?;
                }
            }
        }
        let groups = if has_groups { self.groups(&places)? } else { Groups::default() };
        Ok((words, ConfigFile { shown: self.shown.clone(), groups, places }))
    }

    /// The settings of a group of the core.
    fn settings(&self, name: &str) -> Option<&'static [Setting]> {
        let is_node = self.command.get_arguments().any(|arg| arg.get_long() == Some("phi"));
        GROUPS.iter().filter(|_| is_node).find(|(group, _)| *group == name).map(|(_, settings)| *settings)
    }

    fn has_group(&self, name: &str) -> bool {
        let mut keys = self.command.get_arguments().filter_map(key_of);
        keys.any(|(group, _)| !group.is_empty() && group == name)
    }

    fn groups(&self, places: &[(String, usize)]) -> Result<Groups, Fault> {
        toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let line = self.line_of(span.start);
            let setting = places.iter().find(|(_, at)| *at == line).map_or("", |(name, _)| name);
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            (span, format!("{setting}: {message} (see `gossip run --print-config`)"))
        })
    }

    /// Makes words of the command line of one key.
    fn take(
        &self,
        (group, key): (&str, &str),
        value: &DeValue<'_>,
        span: Range<usize>,
        words: &mut Vec<OsString>,
        places: &mut Vec<(String, usize)>,
    ) -> Result<(), Fault> {
        let is_it = |arg: &&Arg| key_of(arg).is_some_and(|(of, name)| (of, name.as_str()) == (group, key));
        let Some(arg) = self.command.get_arguments().find(is_it) else {
            return Err((span, self.unknown(group, key)));
        };
        let long = arg.get_long().unwrap_or_default();
        let mut text = words_of(arg, value).map_err(|expected| {
            let found = value.type_str();
            (span.clone(), format!("{key} is {expected}, and no {found} (write it as `--print-config` does)"))
        })?;
        let is_given = |long: &str| self.given.iter().any(|one| one == long);
        let mut place = |long: &str| places.push((long.to_owned(), self.line_of(span.start)));
        if long == "shadow-round" {
            if value.as_bool() == Some(false) {
                text = vec![format!("--{NO_SHADOW_ROUND}")];
                place(NO_SHADOW_ROUND);
            }
            if is_given(NO_SHADOW_ROUND) {
                return Ok(());
            }
        }
        if !is_given(long) {
            place(long);
            words.extend(text.into_iter().map(OsString::from));
        }
        Ok(())
    }

    /// Why there is no such key.
    fn unknown(&self, group: &str, key: &str) -> String {
        let of_options = self.command.get_arguments().filter_map(key_of);
        let of_groups = GROUPS.iter().flat_map(|(group, settings)| {
            settings
                .iter()
                .map(|one| (*group, one.name.to_owned()))
                .filter(|_| self.settings(group).is_some())
        });
        let elsewhere = of_options.chain(of_groups).find(|(_, name)| name == key);
        match elsewhere {
            Some(("", _)) => format!("there is no {key} in [{group}] (write it before the first group)"),
            Some((other, _)) => format!("{key} is out of its place (write it below [{other}])"),
            None => format!(
                "there is no key {key} (see `gossip {} --print-config` for all that there are)",
                self.command.get_name()
            ),
        }
    }

    /// The number of a line.
    fn line_of(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
    }
}

/// The words that a value stands for.
///
/// # Errors
///
/// What the value should be.
fn words_of(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    let long = arg.get_long().unwrap_or_default();
    let word = |value: &str| format!("--{long}={value}");
    if is_switch(arg) {
        let is_on = value.as_bool().ok_or("true or false")?;
        return Ok(match (arg.get_action(), is_on) {
            (ArgAction::SetTrue, true) => vec![format!("--{long}")],
            (ArgAction::SetTrue, false) => Vec::new(),
            _ => vec![word(if is_on { "true" } else { "false" })],
        });
    }
    if matches!(arg.get_action(), ArgAction::Append) {
        let expected = "a list of strings";
        let list = value.as_array().ok_or(expected)?;
        return list.iter().map(|one| one.get_ref().as_str().map(word).ok_or(expected)).collect();
    }
    if is_number(arg) {
        let number = match value {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::Float(number) => return Ok(vec![word(number.as_str())]),
            _ => None,
        };
        return Ok(vec![word(&number.ok_or("a number")?.to_string())]);
    }
    Ok(vec![word(value.as_str().ok_or("a string")?)])
}

impl ConfigFile {
    /// Says of a misuse where in the file it is, if it comes from there.
    pub(crate) fn place(&self, failure: Failure) -> Failure {
        let Failure::Misuse(message) = &failure else { return failure };
        let of = |name: &str| self.places.iter().find(|(place, _)| place == name).map(|(_, line)| *line);
        let end = |text: &str| {
            text.find(|c: char| !c.is_ascii_alphanumeric() && !['-', '_', '.'].contains(&c))
                .unwrap_or(text.len())
        };
        let setting = Some(&message[..end(message)]).filter(|name| name.contains('.')).and_then(of);
        let mut options = message.match_indices("--").filter(|(at, _)| {
            // At the beginning it is what is wrong; in quotes, what the parser of the command line refuses.
            *at == 0 || message[..*at].ends_with('\'')
        });
        let option = options.find_map(|(at, _)| of(&message[at + 2..][..end(&message[at + 2..])]));
        match setting.or(option) {
            Some(line) => Failure::misuse(format!("{}, line {line}: {message}", self.shown)),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use tempfile::TempDir;

    use super::*;
    use crate::Cli;

    /// The words of the command line that a file makes.
    fn expanded(text: &str, line: &[&str]) -> Result<(Vec<String>, ConfigFile), String> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("gossip.toml");
        std::fs::write(&path, text).unwrap();
        let config = format!("--config={}", path.display());
        let line = ["gossip", "run", &config].iter().chain(line).map(OsString::from).collect();
        let (line, file) = expand(line, &Cli::command()).map_err(|failure| {
            let text = failure.to_string();
            assert_eq!(text.lines().count(), 1, "{text}");
            text.split_once("gossip.toml").unwrap().1.to_owned()
        })?;
        let words = line.iter().map(|word| word.to_str().unwrap().to_owned());
        Ok((words.skip(2).filter(|word| *word != config).collect(), file.unwrap()))
    }

    #[test]
    fn keys_become_options_and_settings() {
        let text = "\
cluster = \"Prod\"
seed = [\"10.0.0.1\", \"10.0.0.2:7001\"]
native_port = 9_042
rejoin = false
cassandra = true
[limits]
max_states = 100
max_dials = 3
[tls]
mode = \"required\"
verify_address = true
[membership]
shadow_round = false
dead_endpoint_ttl = \"3d\"
";
        let (words, file) = expanded(text, &["--rack", "r1"]).unwrap();
        let mut expected = [
            "--cluster=Prod",
            "--seed=10.0.0.1",
            "--seed=10.0.0.2:7001",
            "--native-port=9042",
            "--cassandra",
            "--max-states=100",
            "--tls=required",
            "--tls-verify-address=true",
            "--no-shadow-round",
            "--dead-endpoint-ttl=3d",
        ];
        let mut of_file: Vec<_> = words[..words.len() - 2].to_vec();
        of_file.sort_unstable();
        expected.sort_unstable();
        assert_eq!(of_file, expected);
        assert_eq!(words[words.len() - 2..], ["--rack", "r1"]);
        assert_eq!((file.groups.limits.max_states, file.groups.limits.max_dials), (100, 3));
    }

    #[test]
    fn the_command_line_comes_before_the_file() {
        let text = "cluster = \"a\"\nseed = [\"10.0.0.1\"]\n[membership]\nshadow_round = true\n";
        let line = ["--cluster=b", "--seed", "10.0.0.2", "--no-shadow-round"];
        assert_eq!(expanded(text, &line).unwrap().0, line);
    }

    #[test]
    fn a_bad_file_is_refused_with_its_line_and_a_remedy() {
        for (text, expected) in [
            (
                "cluster = \"a\"\nlisen = \"x\"\n",
                ", line 2: there is no key lisen (see `gossip run --print-config`",
            ),
            ("[limits]\n\nmax_conections = 1\n", ", line 3: there is no key max_conections (see"),
            ("max_dials = 1\n", ", line 1: max_dials is out of its place (write it below [limits])"),
            ("[limits]\ncluster = \"a\"\n", ", line 2: there is no cluster in [limits] (write it before"),
            ("listen = 7000\n", ", line 1: listen is a string, and no integer (write it"),
            ("seed = \"10.0.0.1\"\n", ", line 1: seed is a list of strings, and no string"),
            ("rejoin = 1\n", ", line 1: rejoin is true or false, and no integer"),
            ("native_port = \"x\"\n", ", line 1: native_port is a number, and no string"),
            ("limits = 3\n", ", line 1: limits is a group (write [limits], and its settings below)"),
            (
                "[limits]\nmax_dials = \"3\"\n",
                ", line 2: limits.max_dials: invalid type: string \"3\", expected",
            ),
            (
                "[timeouts]\nidle = 3\n",
                ", line 2: timeouts.idle: invalid type: integer `3`, expected a duration",
            ),
            ("[limits]\nmax_dials = -1\n", ", line 2: limits.max_dials: invalid value: integer `-1`"),
            ("[membership]\nonly_asks = true\n", ", line 2: only_asks is not for a node that takes part"),
            ("cluster = \"a\"\ncluster = \"b\"\n", ", line 2: duplicate key"),
            ("cluster\n", ", line 1: "),
        ] {
            let error = expanded(text, &[]).map(|(words, _)| words).unwrap_err();
            assert!(error.starts_with(expected) && error.ends_with(')'), "{text}: {error}");
        }
    }

    #[test]
    fn what_an_option_says_is_placed_in_the_file() {
        let text = "listen = \"10.0.0\"\n[limits]\nmax_dials = 0\n";
        let (_, file) = expanded(text, &[]).unwrap();
        let placed = |message: &str| file.place(Failure::misuse(message)).to_string();
        assert!(
            placed("--listen: it is no address").ends_with("gossip.toml, line 1: --listen: it is no address")
        );
        assert!(placed("invalid value 'x' for '--listen <A>'").contains("gossip.toml, line 1: invalid"));
        assert!(
            placed("limits.max_dials is 0; it must be").contains("gossip.toml, line 3: limits.max_dials")
        );
        for other in ["--admin: x", "limits.max_states is 0", "is --listen", "x"] {
            assert_eq!(placed(other), other);
        }
    }
}
