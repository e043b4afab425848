//! `gossip sd`: the members of a cluster as targets of Prometheus, printed or kept in a file.

use core::time::Duration;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use crate::address::parse_interval;
use crate::ask::SeedArgs;
use crate::client::ClientArgs;
use crate::failure::{Failure, print};
use crate::names::Names;
use crate::observe::{Discovery, Target, Targets};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
With an admin port or an exporter as --admin, that node's answer to GET /sd is taken: it fails while its view is not settled. With --seed the members are those that the \
seed knows; an empty list is never written.
With --file and --every the file is kept up to date until a signal comes: a failure is printed on standard error, and the file stays as it was. It is replaced by renaming, so \
that Prometheus never reads half of it.")]
pub(crate) struct Args {
    /// Writes the list into this file; default: it is printed
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Keeps the file up to date, at this interval; default: it is written once
    #[arg(long, value_name = "DURATION", requires = "file", value_parser = parse_interval)]
    every: Option<Duration>,
    #[command(flatten)]
    discovery: Discovery,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    seed: SeedArgs,
}

/// Prints the targets, or keeps them in a file.
///
/// # Errors
///
/// The node cannot be asked, is not settled, or knows no endpoint; the file cannot be replaced.
pub(crate) fn sd(args: &Args) -> Result<(), Failure> {
    let Some(file) = &args.file else { return print(&args.list()?) };
    args.list().and_then(|list| replace(file, &list))?;
    let Some(every) = args.every else { return Ok(()) };
    loop {
        thread::sleep(every);
        if let Err(failure) = args.list().and_then(|list| replace(file, &list)) {
            failure.report();
        }
    }
}

impl Args {
    /// The list as it is now, in JSON.
    fn list(&self) -> Result<String, Failure> {
        let names = Names::default();
        let asked = match self.discovery.wants_standing() {
            true => self.seed.ask_who_is_live(&names, self.client.timeout),
            false => self.seed.ask(&names, self.client.timeout),
        };
        let json = match asked {
            Some(asked) => {
                let answer = asked?;
                let members = answer.endpoints.iter().filter_map(Target::of_model);
                let targets = Targets::new(&self.discovery, &answer.cluster, members);
                if targets.len() == 0 {
                    return Err(Failure::failed(
                        "no member is in the wanted state, and an empty list would end all scrapes (see gossip status)",
                    ));
                }
                serde_json::to_value(&targets)
            }
            None => Ok(self.client.client()?.targets(&self.discovery.query())?),
        };
        let json = json.and_then(|json| serde_json::to_string_pretty(&json));
        json.map(|json| json + "\n")
            .map_err(|error| Failure::failed(format!("the list cannot be written as JSON: {error}")))
    }
}

/// Replaces a file as a whole.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let mut name = path.file_name().map(ToOwned::to_owned).unwrap_or_default();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = File::create(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&new);
        Failure::failed(format!(
            "{} cannot be replaced: {error} (check that its directory is there and may be written)",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_stays_as_it_was() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("targets.json");
        replace(&path, "[1]\n").unwrap();
        replace(&path, "[2]\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[2]\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        let failure = replace(&dir.path().join("nowhere/targets.json"), "").unwrap_err();
        assert_eq!(failure.to_string().lines().count(), 1, "{failure}");
    }
}
