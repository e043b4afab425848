//! The `gossip` command: runs a node, shows what a node knows, and demonstrates the protocol on a cluster of its own.

#![forbid(unsafe_code)]
#![expect(clippy::std_instead_of_alloc, reason = "a program has the standard library")]

mod address;
mod admin;
mod allow;
mod ask;
mod changes;
mod client;
mod commands;
mod config;
mod ends;
mod failure;
mod file;
mod hosts;
mod keys;
mod line;
mod lists;
mod load;
mod log;
mod model;
mod names;
mod node;
mod observe;
mod own;
mod progress;
mod reach;
mod seeds;
mod server;
mod signals;
mod text;
mod tls;
mod token;
mod unanswered;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    assassinate, check, completions, decode, decommission, describecluster, disablegossip, enablegossip,
    exporter, failuredetector, getseeds, gossipinfo, info, lab, man, reloadkeys, reloadseeds, reloadssl,
    ring, run, sd, set, sim, status, statusgossip, stop, waitfor, watch,
};
use crate::config::{ConfigFile, Groups};
use crate::failure::Failure;

/// What holds for all commands that ask a running node.
const AFTER_HELP: &str = "\
Commands that ask a running node take its admin port as --admin ADDR:PORT, from GOSSIP_ADMIN, or as nodetool does: gossip -h HOST -p PORT status";

/// Cluster membership and failure detection by Apache Cassandra's gossip protocol
///
/// Exit codes: 0 done, 1 it failed, 2 misuse.
#[derive(Debug, Parser)]
#[command(name = "gossip", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a cluster on this machine and shows it converge, stop, restart, fail and recover
    Lab(lab::Args),
    /// Runs one node until a signal or a command stops it
    Run(Box<run::Args>),
    /// Prints all states that a node knows, by endpoint
    Gossipinfo(gossipinfo::Args),
    /// Prints the members of the cluster, by data center
    Status(status::Args),
    /// Prints the phi of each endpoint, as a node computes it
    Failuredetector(failuredetector::Args),
    /// Prints the name of the cluster, and the number of members in each state
    Describecluster(describecluster::Args),
    /// Prints the states of a node itself, and all its counters
    Info(info::Args),
    /// Prints changes of the cluster as they happen
    Watch(watch::Args),
    /// Serves metrics of a whole cluster, as a gossip-only member of it
    Exporter(exporter::Args),
    /// Prints the members of the cluster as targets of Prometheus, or keeps them in a file
    Sd(sd::Args),
    /// Compares the views of several members, for Nagios and similar tools
    Check(check::Args),
    /// Waits until several members agree on a condition
    WaitFor(waitfor::Args),
    /// Prints the owners of the ring, and the ranges that have lost their quorum
    Ring(ring::Args),
    /// Changes a state of a running node
    Set(set::Args),
    /// Stops a running node, which announces its stop
    Stopdaemon(stop::Args),
    /// Makes a node leave its cluster for good
    Decommission(decommission::Args),
    /// Declares an endpoint as left, if it cannot leave by itself
    Assassinate(assassinate::Args),
    /// Prints whether a node takes part in gossip
    Statusgossip(statusgossip::Args),
    /// Makes a node stop gossiping
    Disablegossip(disablegossip::Args),
    /// Makes a node gossip again
    Enablegossip(enablegossip::Args),
    /// Prints the seeds of a node
    Getseeds(getseeds::Args),
    /// Makes a node read its seeds file again
    Reloadseeds(reloadseeds::Args),
    /// Makes a node read its key file again
    Reloadkeys(reloadkeys::Args),
    /// Makes a node read its TLS certificates and keys again
    Reloadssl(reloadssl::Args),
    /// Simulates a cluster with faults in this process, and prints measurements
    Sim(sim::Args),
    /// Decodes bytes or captures of Cassandra's connections
    Decode(decode::Args),
    /// Prints a script for command completion in a shell
    Completions(completions::Args),
    /// Writes the man pages of this command
    #[command(hide = true)]
    Man(man::Args),
}

fn main() -> ExitCode {
    match parse(std::env::args_os()).and_then(Parsed::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

/// A command line, and the file that some of its options came from.
struct Parsed {
    command: Command,
    matches: ArgMatches,
    file: ConfigFile,
}

impl Parsed {
    fn run(self) -> Result<(), Failure> {
        let Self { command, matches, file } = self;
        let print_config = |groups: Option<&Groups>| {
            let all = Cli::command();
            let shown =
                matches.subcommand().and_then(|(name, matches)| Some((all.find_subcommand(name)?, matches)));
            shown.map_or(Ok(()), |(command, matches)| config::print(command, matches, groups))
        };
        let done = match command {
            Command::Lab(args) => lab::lab(&args),
            Command::Run(mut args) => {
                args.groups = file.groups;
                if args.print_config {
                    run::effective(*args).and_then(|groups| print_config(Some(&groups)))
                } else {
                    run::run(*args)
                }
            }
            Command::Exporter(args) if args.print_config => args.check().and_then(|_| print_config(None)),
            Command::Gossipinfo(args) => gossipinfo::gossipinfo(&args),
            Command::Status(args) => status::status(&args),
            Command::Failuredetector(args) => failuredetector::failuredetector(&args),
            Command::Exporter(args) => exporter::exporter(&args),
            Command::Sd(args) => sd::sd(&args),
            Command::Check(args) => check::check(&args),
            Command::WaitFor(args) => waitfor::wait_for(&args),
            Command::Ring(args) => ring::ring(&args),
            Command::Set(args) => set::set(&args),
            Command::Stopdaemon(args) => stop::stop(&args),
            Command::Describecluster(args) => describecluster::describecluster(&args),
            Command::Info(args) => info::info(&args),
            Command::Watch(args) => watch::watch(&args),
            Command::Decommission(args) => decommission::decommission(&args),
            Command::Assassinate(args) => assassinate::assassinate(&args),
            Command::Statusgossip(args) => statusgossip::statusgossip(&args),
            Command::Disablegossip(args) => disablegossip::disablegossip(&args),
            Command::Enablegossip(args) => enablegossip::enablegossip(&args),
            Command::Getseeds(args) => getseeds::getseeds(&args),
            Command::Reloadseeds(args) => reloadseeds::reloadseeds(&args),
            Command::Reloadkeys(args) => reloadkeys::reloadkeys(&args),
            Command::Reloadssl(args) => reloadssl::reloadssl(&args),
            Command::Sim(args) => sim::sim(&args),
            Command::Decode(args) => decode::decode(&args),
            Command::Completions(args) => completions::completions(&args),
            Command::Man(args) => man::man(&args),
        };
        done.map_err(|failure| file.place(failure))
    }
}

fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let mut command = line::with_numbers(Cli::command());
    let line = line::normalise(line, &command);
    if line::lacks_command(&line, &command) {
        let text = "no subcommand follows the options (name one: gossip -h HOST -p PORT status)";
        return Err(misuse(command.error(ErrorKind::MissingSubcommand, text)));
    }
    let (line, file) = config::expand(line, &command)?;
    let file = file.unwrap_or_default();
    let refused = |error| file.place(misuse(error));
    let matches = command.try_get_matches_from(line).map_err(refused)?;
    let command = Cli::from_arg_matches(&matches).map_err(refused)?.command;
    Ok(Parsed { command, matches, file })
}

/// The one line of a refused command line; help and version are printed here, and end the process.
fn misuse(error: clap::Error) -> Failure {
    use ErrorKind as Kind;
    if let Kind::DisplayHelp | Kind::DisplayVersion | Kind::DisplayHelpOnMissingArgumentOrSubcommand =
        error.kind()
    {
        error.exit();
    }
    let text = error.to_string();
    let sentence: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let sentence = sentence.join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    match text.lines().find_map(|line| line.trim().strip_prefix("tip: ")) {
        Some(tip) => Failure::misuse(format!("{sentence} ({tip}; see --help)")),
        None => Failure::misuse(format!("{sentence} (see --help)")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gossip_testing::pages::Page;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_refusal_is_one_line() {
        for line in [&["gossip", "run", "--lisen", "x"][..], &["gossip", "status", "x"], &["gossip", "set"]] {
            let failure = misuse(Cli::try_parse_from(line).unwrap_err());
            assert_eq!(failure.to_string().lines().count(), 1, "{failure}");
        }
    }

    /// Command lines in documents are understood: they are parsed, not run.
    #[test]
    fn every_command_in_the_documents_is_understood() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut documents =
            ["README.md", "SECURITY.md", "CONTRIBUTING.md", "deploy/README.md"].map(String::from).to_vec();
        for entry in std::fs::read_dir(root.join("docs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            documents.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
        }
        let (mut wrong, mut count) = (Vec::new(), 0);
        for document in &documents {
            let page = Page::read(&root, document);
            let consoles = page.blocks().iter().filter(|block| block.info == "console");
            for line in consoles.flat_map(|block| &block.lines).flat_map(|line| commands(line)) {
                let command = line::with_numbers(Cli::command());
                let words = line::normalise(line.iter().map(OsString::from), &command);
                // Help is an error, too, but one that goes to standard output.
                if let Err(error) = command.try_get_matches_from(words)
                    && error.use_stderr()
                {
                    wrong.push(format!("{document}: {line:?}: {error}"));
                }
                count += 1;
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(count > 30, "only {count} were found");
    }

    /// The lines of our command that a line of a shell has, in words. A comment, a file for the output and `&` are no part of them.
    fn commands(line: &str) -> Vec<Vec<String>> {
        let line = line.trim_start_matches("$ ");
        let line = line.replace("cargo run --release -- ", "gossip ").replace("cargo run -- ", "gossip ");
        let found =
            line.split(['|', '#', '>', '&']).map(str::trim).filter(|part| part.starts_with("gossip "));
        found.map(words).collect()
    }

    /// Blanks between double quotes are part of a word.
    fn words(line: &str) -> Vec<String> {
        let quoted = line.split('"').enumerate();
        let marked: String = quoted
            .map(|(n, part)| if n % 2 == 1 { part.replace(' ', "\0") } else { part.to_owned() })
            .collect();
        marked.split_whitespace().map(|word| word.replace('\0', " ")).collect()
    }
}
