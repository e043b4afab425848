//! `gossip watch`.

mod filter;
mod member;

use core::time::Duration;
use std::io::{self, BufRead};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use gossip_adapter::ApplicationState;

use self::filter::Filter;
pub(crate) use self::member::join;
use crate::ask::SeedArgs;
use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print};
use crate::model::WatchModel;
use crate::names::StateArgs;
use crate::signals::{Signals, reader_gone};
use crate::text::{printable, utc};

/// How long a node may say nothing. It shows every ten seconds that it is there.
const SILENCE: Duration = Duration::from_secs(30);

/// The longest value that is shown to people whole, in characters.
const MAX_SHOWN: usize = 120;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
After a restart of an endpoint only values that changed are printed. CHANGE is the \"event\" of a line of JSON: watching, known, joined, up, down, state, restarted, left, forgotten \
and so on. Missed changes, and the reason why the command ends, are always printed.
Ends when the node ends, when the reader of its output is gone, or with Ctrl-C. With --format json every change is a line of JSON.
With --seed this command is itself a gossip-only member of the cluster while it runs: others know it, it publishes neither a status nor tokens, and \
leaves in silence, so that no row of it stays in system.peers. Stop it before the cluster is upgraded to Cassandra 6.0, and start it after `nodetool cms initialize`; \
it leaves by itself when it sees the upgrade, and comes back once the service is initialised.")]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    states: StateArgs,
    #[command(flatten)]
    filter: Filter,
}

/// What is printed, and how.
struct Printing<'a> {
    format: Format,
    filter: &'a Filter,
}

/// Prints what changes in the cluster, as a node sees it, until either ends.
///
/// # Errors
///
/// The node cannot be asked, or is gone without having stopped cleanly.
pub(crate) fn watch(args: &Args) -> Result<(), Failure> {
    let names = args.states.names()?;
    let printing = Printing { format: args.client.format, filter: &args.filter };
    if args.seed.is_given() {
        return member::watch(&args.seed, args.client.timeout, names, &printing);
    }
    end_with_signals()?;
    let mut has_stopped = false;
    let lines = read(args.client.client()?.watch()?);
    while let Some(line) = next(&lines, SILENCE)? {
        let line =
            line.map_err(|error| Failure::failed(format!("the node is gone: {error} (see its log)")))?;
        // It only shows that the node is there.
        if line.is_empty() {
            continue;
        }
        let mut model: WatchModel = serde_json::from_str(&line).map_err(|error| {
            Failure::failed(format!("the node tells what this release cannot read: {error}"))
        })?;
        if let Some(given) = model.key.and_then(|key| names.given(ApplicationState::new(key))) {
            model.name = Some(given.into());
        }
        has_stopped |= model.event == "stopped";
        tell(&model, &printing)?;
    }
    if has_stopped { Ok(()) } else { Err(Failure::failed("the node is gone (see its log)")) }
}

fn tell(model: &WatchModel, printing: &Printing<'_>) -> Result<(), Failure> {
    match printing.format {
        _ if !printing.filter.takes(model) => Ok(()),
        Format::Json => print(&model.line()),
        Format::Text => print(&(render(model) + "\n")),
    }
}

/// The next line, or nothing at the end.
///
/// # Errors
///
/// The node says nothing for so long.
fn next(
    lines: &Receiver<io::Result<String>>,
    silence: Duration,
) -> Result<Option<io::Result<String>>, Failure> {
    match lines.recv_timeout(silence) {
        Ok(line) => Ok(Some(line)),
        Err(RecvTimeoutError::Disconnected) => Ok(None),
        Err(RecvTimeoutError::Timeout) => Err(Failure::failed(format!(
            "the node has said nothing for {silence:?}, not even that it is there: it hangs, or the way to it is broken"
        ))),
    }
}

/// Reads on a thread of its own, which ends with the process, so that a silent node delays nothing.
fn read(from: impl BufRead + Send + 'static) -> Receiver<io::Result<String>> {
    let (sender, lines) = mpsc::sync_channel(64);
    thread::spawn(move || {
        for line in from.lines() {
            let is_last = line.is_err();
            if sender.send(line).is_err() || is_last {
                return;
            }
        }
    });
    lines
}

/// Ends the process with a signal, or when the reader of its output is gone. Nothing needs to be undone, and ending is what a signal
/// is for: the exit code is 0.
fn end_with_signals() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no signals can be heard: {error}")))?;
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = signals.next() => {}
                () = reader_gone() => {}
            }
        });
        std::process::exit(0);
    });
    Ok(())
}

/// One line for people: when, who, what.
fn render(model: &WatchModel) -> String {
    let time = utc(model.unix_ms);
    let endpoint = model.endpoint.map_or_else(|| "-".into(), |endpoint| endpoint.to_string());
    let generation = model.generation.unwrap_or_default();
    let count = model.count.unwrap_or_default();
    let mut what = match model.event.as_str() {
        "restarted" | "generation_raised" => {
            let old = model.old_generation.unwrap_or_default();
            format!("{}, generation {old} -> {generation}", model.event.replace('_', " "))
        }
        "state" => {
            let name = printable(model.name.as_deref().unwrap_or("?")).into_owned();
            let value = model.value.as_deref().map_or_else(|| "<hidden>".into(), shown);
            format!("state {name}={value} (version {})", model.version.unwrap_or_default())
        }
        "known" => {
            let without = if model.gossip_only == Some(true) { "gossip-only" } else { "no status" };
            let status = model.value.as_deref().map_or_else(|| without.into(), shown);
            format!("known, generation {generation}: {status}")
        }
        "missed" => format!("missed {count} changes (this reader, or the node, was too slow)"),
        other => match model.generation {
            Some(generation) => format!("{}, generation {generation}", other.replace('_', " ")),
            None => other.replace('_', " "),
        },
    };
    if let Some(cause) = &model.cause {
        what = format!("{what}: {}", printable(cause));
    }
    format!("{time} {endpoint} {what}")
}

fn shown(value: &str) -> String {
    let mut short: String = value.chars().take(MAX_SHOWN).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    printable(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_says_nothing_any_more_is_told() {
        let (sender, lines) = mpsc::sync_channel(1);
        sender.send(Ok("{}".into())).unwrap();
        assert_eq!(next(&lines, SILENCE).unwrap().map(|line| line.unwrap()), Some("{}".into()));
        let Err(Failure::Failed(why)) = next(&lines, Duration::from_millis(1)) else {
            panic!("it is silent")
        };
        assert!(why.contains("has said nothing for 1ms"), "{why}");
        drop(sender);
        assert!(next(&lines, SILENCE).unwrap().is_none(), "that is its end");
    }

    #[test]
    fn lines_for_people() {
        let model = |event: &str| WatchModel {
            unix_ms: 1_700_000_000_123,
            event: event.into(),
            endpoint: Some("10.0.0.1:7000".parse().unwrap()),
            ..WatchModel::default()
        };
        for (model, expected) in [
            (WatchModel { generation: Some(5), ..model("joined") }, "joined, generation 5"),
            (
                WatchModel { generation: Some(5), cause: Some("shut down".into()), ..model("down") },
                "down, generation 5: shut down",
            ),
            (
                WatchModel { old_generation: Some(5), generation: Some(6), ..model("restarted") },
                "restarted, generation 5 -> 6",
            ),
            (
                WatchModel {
                    name: Some("DC".into()),
                    value: Some("a\nb".into()),
                    version: Some(7),
                    ..model("state")
                },
                "state DC=a\\nb (version 7)",
            ),
        ] {
            assert_eq!(render(&model), format!("2023-11-14T22:13:20.123Z 10.0.0.1:7000 {expected}"));
        }
    }
}
