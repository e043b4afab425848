//! `gossip check`: what several members think of the cluster, compared, in a line for Nagios and its heirs.

mod compare;

use core::time::Duration;
use std::thread;
use std::time::{Instant, SystemTime};

pub(crate) use self::compare::{Opinion, opinions};
use self::compare::{Report, Severity, Thresholds};
use crate::address::parse_patience;
use crate::ask::{Observer, ObserversArgs};
use crate::client::Format;
use crate::failure::{Failure, print, print_json};
use crate::model::StandingModel;
use crate::names::Names;
use crate::progress::Progress;

/// How long it is waited from one look to the next.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each --seed is asked twice or more, until it is clear for each of them who is up, or --within is over. Gossip carries no verdicts: an endpoint is up for \
an observer if its heartbeat grew there meanwhile, and down if it has stopped or its heartbeat did not grow.
Prints one line, and ends with 0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN: no seed answers). A wrong option ends it with 2, as with all commands.
CRITICAL: an endpoint is up for one observer and down for another, a seed does not answer, or --critical members are down. WARNING: a member is down, \
observers differ about who there is, about a schema, release, status or generation, live members have several schemas or releases, or a clock is ahead.")]
pub(crate) struct Args {
    #[command(flatten)]
    observers: ObserversArgs,
    /// How many members that are down make a WARNING
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    warning: u32,
    /// How many members that are down are CRITICAL
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    critical: u32,
    /// How far a clock may be ahead of the one of this machine
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_patience)]
    clock_skew: Duration,
    /// Takes several releases among live members for OK, as during an upgrade
    #[arg(long)]
    mixed_releases: bool,
    /// How long to look at most until it is clear who is up
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    within: Duration,
    /// How long to wait for each answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    timeout: Duration,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Prints what differs between the views of several members.
///
/// # Errors
///
/// Misuse; otherwise [`Failure::Ended`] with 1 to 3, unless all is well.
pub(crate) fn check(args: &Args) -> Result<(), Failure> {
    let progress = Progress::new("asking what each seed knows");
    let (observers, unresolved) = look(&args.observers, args.within, args.timeout)?;
    drop(progress);
    let thresholds = Thresholds {
        warning: args.warning as usize,
        critical: args.critical as usize,
        clock_skew: args.clock_skew,
        mixed_releases: args.mixed_releases,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let report = Report::new(&observers, &unresolved, thresholds, now);
    match args.format {
        Format::Text => print(&(report.line() + "\n"))?,
        Format::Json => print_json(&report)?,
    }
    match report.severity {
        Severity::Ok => Ok(()),
        severity => Err(Failure::Ended(severity.code())),
    }
}

/// Asks all members twice or more, until it is clear for each who is up, or `within` is over. Each has `timeout` for an answer. Beside them,
/// a line for each name without an address.
///
/// # Errors
///
/// Misuse: what should be asked cannot be.
pub(crate) fn look(
    args: &ObserversArgs,
    within: Duration,
    timeout: Duration,
) -> Result<(Vec<Observer>, Vec<String>), Failure> {
    let (mut observers, unresolved) = args.observers()?;
    let began = Instant::now();
    let names = Names::default();
    args.look(&mut observers, &names, timeout);
    loop {
        // An observer that does not answer is not asked twice.
        if observers.iter().all(|observer| observer.view.is_err()) {
            break;
        }
        thread::sleep(PAUSE);
        args.look(&mut observers, &names, timeout);
        if began.elapsed() >= within || observers.iter().all(is_clear) {
            break;
        }
    }
    Ok((observers, unresolved))
}

/// Whether an observer that answers has shown of each endpoint whether it is up.
fn is_clear(observer: &Observer) -> bool {
    observer
        .view
        .as_ref()
        .map_or(true, |view| view.iter().all(|model| observer.standing(model) != StandingModel::Unverified))
}
