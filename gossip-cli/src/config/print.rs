//! `--print-config`: the configuration that would hold, as a file that can be read again.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use gossip_core::Setting;
use toml::Value;

use super::{GROUPS, Groups, ONLY_ASKS, is_number, is_switch, key_of};
use crate::failure::{self, Failure};

/// How long a line of a comment may get.
const WIDTH: usize = 100;

/// Prints what the options of `command` are, and the settings in `groups`.
///
/// # Errors
///
/// Standard output cannot be written, or a number is too great for TOML.
pub(crate) fn print(command: &Command, matches: &ArgMatches, groups: Option<&Groups>) -> Result<(), Failure> {
    failure::print(&text(command, matches, groups)?)
}

fn text(command: &Command, matches: &ArgMatches, groups: Option<&Groups>) -> Result<String, Failure> {
    let mut text =
        format!("# The configuration of `gossip {0}`, for `gossip {0} --config FILE`.\n", command.get_name());
    text += "# Options on the command line take the place of the keys. Names of files are relative to where the command is run.\n";
    let of_group = |wanted: &'static str| {
        let keys = command.get_arguments().filter_map(|arg| Some((arg, key_of(arg)?)));
        keys.filter(move |(_, (group, _))| *group == wanted).map(|(arg, (_, key))| (arg, key))
    };
    for (arg, key) in of_group("") {
        option(&mut text, command, matches, arg, &key);
    }
    let settings = groups.map(toml::Table::try_from).transpose();
    let settings = settings.map_err(|error| {
        Failure::failed(format!("a number is too great for TOML: {error} (take a smaller one)"))
    })?;
    for (group, all) in GROUPS.iter().filter(|_| groups.is_some()) {
        text += &format!("\n[{group}]\n");
        for setting in all.iter().filter(|one| (*group, one.name) != ONLY_ASKS) {
            let value = settings.as_ref().and_then(|groups| groups.get(*group)?.get(setting.name));
            comment(&mut text, &about(setting));
            match value {
                Some(value) => text += &format!("{} = {value}\n", setting.name),
                None => text += &format!("# {} is not set\n", setting.name),
            }
        }
    }
    if of_group("tls").next().is_some() {
        text += "\n[tls]\n";
        for (arg, key) in of_group("tls") {
            option(&mut text, command, matches, arg, &key);
        }
    }
    Ok(text)
}

/// The documentation of a setting, in one line.
fn about(setting: &Setting) -> String {
    setting.lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").replace('`', "")
}

/// Adds one option: as a key, or as a comment if it is not set or could not be.
fn option(text: &mut String, command: &Command, matches: &ArgMatches, arg: &Arg, key: &str) {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible = arg.get_possible_values();
    if !possible.is_empty() && !is_switch(arg) {
        let names: Vec<_> = possible.iter().map(|value| value.get_name()).collect();
        help += &format!("; one of {}", names.join(", "));
    }
    comment(text, &help);
    match value(matches, arg) {
        Some(value) if !is_idle(command, matches, arg) => *text += &format!("{key} = {value}\n"),
        Some(value) => *text += &format!("# {key} = {value}\n"),
        None => *text += &format!("# {key} is not set\n"),
    }
}

fn value(matches: &ArgMatches, arg: &Arg) -> Option<Value> {
    let id = arg.get_id().as_str();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return Some(Value::Boolean(matches.get_flag(id)));
    }
    let mut raw = matches.get_raw(id)?.map(|word| word.to_string_lossy().into_owned());
    if matches!(arg.get_action(), ArgAction::Append) {
        return Some(Value::Array(raw.map(Value::String).collect()));
    }
    let raw = raw.next()?;
    if is_switch(arg) {
        return Some(Value::Boolean(raw == "true"));
    }
    let number = || raw.trim().parse().map(Value::Integer).ok();
    Some(is_number(arg).then(number).flatten().unwrap_or(Value::String(raw)))
}

/// Whether a default has no meaning beside what was chosen, and would be refused if it were written.
fn is_idle(command: &Command, matches: &ArgMatches, arg: &Arg) -> bool {
    let is_chosen = |arg: &Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    // A switch that is off is no word of the command line.
    if is_chosen(arg) || matches!(arg.get_action(), ArgAction::SetTrue) {
        return false;
    }
    let is_tls_off = || !command.get_arguments().any(|one| one.get_long() == Some("tls") && is_chosen(one));
    let excludes = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|conflict| conflict.get_id() == other.get_id())
    };
    let mut chosen = command.get_arguments().filter(|one| is_chosen(one));
    (key_of(arg).is_some_and(|(group, _)| group == "tls") && is_tls_off())
        || chosen.any(|one| excludes(one, arg) || excludes(arg, one))
}

/// Adds a comment behind an empty line.
fn comment(text: &mut String, words: &str) {
    *text += "\n";
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            *text += &line;
            *text += "\n";
            line.truncate(1);
        }
        line.push(' ');
        line += word;
    }
    *text += &line;
    *text += "\n";
}
