//! The command line, also as users of nodetool write it: `gossip -h HOST -p PORT -pp status`.

use core::any::TypeId;
use core::time::Duration;
use std::ffi::OsString;

use clap::{Arg, Command};
use gossip_core::MessagingVersion;

/// Lets the options that want a number take one that is negative: it is then refused for what it is.
pub(crate) fn with_numbers(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |one| {
            one.mut_args(|arg| if takes_number(&arg) { arg.allow_hyphen_values(true) } else { arg })
        })
    })
}

fn takes_number(arg: &Arg) -> bool {
    let kind = arg.get_value_parser().type_id();
    let kinds = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<usize>(),
        TypeId::of::<f64>(),
        TypeId::of::<Duration>(),
        TypeId::of::<MessagingVersion>(),
    ];
    arg.get_action().takes_values() && kinds.iter().any(|other| kind == *other)
}

/// Puts options that come before the subcommand behind it, and writes nodetool's short options as ours.
///
/// `-h` with a value names a host, as nodetool has it; alone it asks for help.
pub(crate) fn normalise(line: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let line: Vec<_> = line.into_iter().collect();
    let Some((program, rest)) = line.split_first() else { return line };
    let is_command =
        |word: &OsString| word.to_str().is_some_and(|word| command.find_subcommand(word).is_some());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut words = rest.iter().peekable();
    let mut found = None;
    while let Some(word) = words.next() {
        if found.is_none() && is_command(word) {
            found = Some(word.clone());
            continue;
        }
        let part = if found.is_some() { &mut after } else { &mut before };
        let text = word.to_str().unwrap_or_default();
        if text == "--" || (found.is_none() && !text.starts_with('-')) {
            part.push(word.clone());
            part.extend(words.by_ref().cloned());
            break;
        }
        let is_value = |next: &&OsString| {
            !next.as_encoded_bytes().starts_with(b"-") && (found.is_some() || !is_command(next))
        };
        match text {
            "-pp" => part.push("--print-port".into()),
            // The value may be written behind it without a blank.
            _ if text.len() > 2 && text.starts_with("-h") => {
                part.extend(["--host".into(), OsString::from(&text[2..])]);
            }
            "-h" => match words.next_if(is_value) {
                Some(host) => part.extend(["--host".into(), host.clone()]),
                None => part.push("--help".into()),
            },
            _ => {
                part.push(word.clone());
                // Its value may be called like a command.
                if found.is_none() && takes_value(text, command) {
                    part.extend(words.next().cloned());
                }
            }
        }
    }
    let mut normal = vec![program.clone()];
    normal.extend(found);
    normal.extend(before);
    normal.extend(after);
    normal
}

/// Whether a line that was put in order has options of a subcommand, and no subcommand.
pub(crate) fn lacks_command(line: &[OsString], command: &Command) -> bool {
    let first = line.get(1).and_then(|word| word.to_str());
    let is_our_own = |word: &str| ["--help", "--version"].contains(&word);
    first.is_some_and(|word| word == "--print-port" || (takes_value(word, command) && !is_our_own(word)))
}

/// Whether the word after `option` is its value, in whatever command has it.
fn takes_value(option: &str, command: &Command) -> bool {
    let is_it = |arg: &Arg| match option.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| option == format!("-{short}")),
    };
    command
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .any(|arg| is_it(arg) && arg.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Cli;

    fn normal(line: &str) -> String {
        let words = line.split(' ').map(OsString::from);
        let words = normalise(words, &Cli::command());
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_before_the_command_are_those_of_the_command() {
        for (line, expected) in [
            ("g status", "g status"),
            ("g", "g"),
            ("g -h", "g --help"),
            ("g -h status", "g status --help"),
            ("g status -h", "g status --help"),
            ("g status -h -p 7080", "g status --help -p 7080"),
            ("g -h 10.0.0.1 -p 7080 status", "g status --host 10.0.0.1 -p 7080"),
            ("g status -h 10.0.0.1 -p 7080 -pp", "g status --host 10.0.0.1 -p 7080 --print-port"),
            ("g -h10.0.0.1 -p7080 status", "g status --host 10.0.0.1 -p7080"),
            ("g status -h::1 -r", "g status --host ::1 -r"),
            ("g -h status -pp gossipinfo", "g status --help --print-port gossipinfo"),
            ("g --admin 1.2.3.4:5 --format json info", "g info --admin 1.2.3.4:5 --format json"),
            ("g --admin=1.2.3.4:5 info", "g info --admin=1.2.3.4:5"),
            ("g --cluster status --seed a status", "g status --cluster status --seed a"),
            ("g --version", "g --version"),
            ("g nodes -x status", "g nodes -x status"),
            ("g set -- -1=3 -h 5", "g set -- -1=3 -h 5"),
            ("g decode 00 -h", "g decode 00 --help"),
        ] {
            assert_eq!(normal(line), expected, "{line}");
        }
    }

    #[test]
    fn a_negative_number_is_refused_as_a_number() {
        let command = with_numbers(Cli::command());
        let mut count = 0;
        for one in command.get_subcommands() {
            for arg in one.get_arguments().filter(|arg| takes_number(arg)) {
                let option = format!("--{}", arg.get_long().unwrap());
                let line = ["gossip", one.get_name(), &option, "-1"];
                let error = command.clone().try_get_matches_from(line).unwrap_err().to_string();
                assert!(
                    error.starts_with(&format!("error: invalid value '-1' for '{option}")),
                    "{line:?}: {error}"
                );
                count += 1;
            }
        }
        assert!(count > 10);
    }

    /// A reader of the help must know what holds if an option is left out.
    #[test]
    fn each_option_says_what_holds_without_it() {
        let mut silent = Vec::new();
        for one in Cli::command().get_subcommands() {
            let options =
                one.get_arguments().filter(|arg| arg.get_action().takes_values() && !arg.is_positional());
            for arg in options.filter(|arg| !arg.is_required_set() && !arg.is_hide_set()) {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default().to_lowercase();
                let is_said = ["without", "default", "repeat", "repetition", "required"];
                if arg.get_default_values().is_empty() && !is_said.iter().any(|word| help.contains(word)) {
                    let option = arg.get_long().unwrap_or_default();
                    silent.push(format!("{} --{option}: {help}", one.get_name()));
                }
            }
        }
        assert_eq!(silent, [""; 0]);
    }
}
