//! `gossip wait-for`: waits until several members agree that something is so.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::thread;
use std::time::Instant;

use clap::ValueEnum;
use gossip_adapter::{ApplicationState, StatusKind};
use serde::Serialize;

use crate::address::{GOSSIP_PORT, parse_patience, resolve_one};
use crate::ask::{Observer, ObserversArgs};
use crate::client::Format;
use crate::failure::{Failure, print, print_json};
use crate::model::EndpointModel;
use crate::names::Names;
use crate::progress::Progress;

/// How long it is waited from one look to the next.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks each --seed every second. Exits with 0 once --views of them agree, and with 1 if --timeout passes first.
A seed agrees only if it answers, and if its answer decides the condition. A seed that never knew an endpoint does not show that it has left. \
For `gone` it is enough that the seed knows itself and others, and does not know the endpoint.
up: the heartbeat of ENDPOINT grew within --silence, and it has not stopped. down: ENDPOINT has stopped, or its heartbeat did not grow for --silence. normal: its status is NORMAL. \
left: it has left or was removed. gone: it has left, or is not known at all. schema-agreement: all members that are up have one schema.
Without ENDPOINT, up and normal must hold for all members.")]
pub(crate) struct Args {
    /// What to wait for
    #[arg(value_enum)]
    condition: Condition,
    /// The endpoint, as others know it; its port is 7000 unless written
    #[arg(value_name = "ENDPOINT")]
    endpoint: Option<String>,
    #[command(flatten)]
    observers: ObserversArgs,
    /// How many seeds must agree; default: all
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    views: Option<u16>,
    /// How long to wait in all
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_patience)]
    timeout: Duration,
    /// After how long without a new heartbeat an endpoint counts as down; large clusters need more
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = parse_patience)]
    silence: Duration,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Condition {
    Up,
    Down,
    Normal,
    Left,
    Gone,
    SchemaAgreement,
}

/// What became of it.
#[derive(Debug, Serialize)]
struct Outcome {
    met: bool,
    /// Who agreed in the last look.
    agree: Vec<SocketAddr>,
    /// Who did not, and why.
    differ: Vec<(SocketAddr, String)>,
    needed: usize,
    waited_seconds: f64,
}

/// Waits until several members agree.
///
/// # Errors
///
/// Misuse; failure if they do not agree in time.
pub(crate) fn wait_for(args: &Args) -> Result<(), Failure> {
    let named = args.endpoint.as_deref();
    let endpoint = named.map(|text| resolve_one("ENDPOINT", text, GOSSIP_PORT)).transpose()?;
    check(args.condition, endpoint)?;
    let (mut observers, unresolved) = args.observers.observers()?;
    let seeds = observers.len() + unresolved.len();
    let needed = args.views.map_or(seeds, usize::from);
    if needed > seeds {
        return Err(Failure::misuse(format!(
            "--views: {needed} cannot agree where {seeds} are asked (name more with --seed)"
        )));
    }
    let names = Names::default();
    let began = Instant::now();
    let progress = Progress::new("asking what each seed knows");
    let outcome = loop {
        let left = args.timeout.saturating_sub(began.elapsed());
        // A look that began in time may end a little later.
        args.observers.look(&mut observers, &names, left.clamp(PAUSE, Duration::from_secs(10)));
        let (mut agree, mut differ) = (Vec::new(), Vec::new());
        for observer in &observers {
            let look = Look { observer, first: began, silence: args.silence };
            match look.judge(args.condition, endpoint) {
                Ok(()) => agree.push(observer.seed),
                Err(why) => differ.push((observer.seed, why)),
            }
        }
        let met = agree.len() >= needed;
        if met || began.elapsed() + PAUSE >= args.timeout {
            let waited_seconds = began.elapsed().as_secs_f64();
            break Outcome { met, agree, differ, needed, waited_seconds };
        }
        progress.say(format!("{} of {needed} agree", agree.len()));
        thread::sleep(PAUSE);
    };
    drop(progress);
    if args.format == Format::Json {
        print_json(&outcome)?;
    }
    if outcome.met {
        return match args.format {
            Format::Text => print(&format!(
                "{} of {seeds} agree after {:.0} s\n",
                outcome.agree.len(),
                outcome.waited_seconds
            )),
            Format::Json => Ok(()),
        };
    }
    let reasons = outcome.differ.iter().map(|(seed, why)| format!("{seed}: {why}")).chain(unresolved);
    Err(Failure::failed(format!(
        "after {:.0} s {} of {needed} agree ({})",
        outcome.waited_seconds,
        outcome.agree.len(),
        reasons.collect::<Vec<_>>().join("; ")
    )))
}

/// Refuses what could never be so.
fn check(condition: Condition, endpoint: Option<SocketAddr>) -> Result<(), Failure> {
    match (condition, endpoint) {
        (Condition::Down | Condition::Left | Condition::Gone, None) => {
            Err(Failure::misuse("this condition is one of an endpoint (name the ENDPOINT)"))
        }
        (Condition::SchemaAgreement, Some(_)) => {
            Err(Failure::misuse("schema-agreement is one of all members (leave ENDPOINT out)"))
        }
        _ => Ok(()),
    }
}

/// What one observer has answered by now.
struct Look<'a> {
    observer: &'a Observer,
    /// When it was asked first.
    first: Instant,
    silence: Duration,
}

impl Look<'_> {
    /// Whether it is so for this observer; if not, why.
    fn judge(&self, condition: Condition, endpoint: Option<SocketAddr>) -> Result<(), String> {
        let view = self.observer.view.as_ref().map_err(Clone::clone)?;
        let members = || view.iter().filter(|model| is_member(model));
        match (condition, endpoint) {
            (Condition::Gone, Some(endpoint)) if self.observer.tells_of(endpoint).is_none() => {
                // A node that has just started knows no endpoint. That says nothing about this one.
                match self.observer.tells_of(self.observer.seed).is_some() && members().count() > 1 {
                    true => Ok(()),
                    false => Err("it knows too few endpoints to say that one is gone".into()),
                }
            }
            (Condition::SchemaAgreement, _) => self.schema_agreement(view),
            (_, Some(endpoint)) => match self.observer.tells_of(endpoint) {
                Some(model) => self.judge_one(condition, model),
                None => Err(format!("{endpoint} is not known there")),
            },
            (_, None) if members().next().is_none() => Err("it knows no member".into()),
            (_, None) => members().try_for_each(|model| self.judge_one(condition, model)),
        }
    }

    fn judge_one(&self, condition: Condition, model: &EndpointModel) -> Result<(), String> {
        let endpoint = model.endpoint;
        let status = model.status.as_deref().unwrap_or("none");
        let is_so = match condition {
            Condition::Up => self.is_up(model),
            Condition::Down => self.is_down(model),
            Condition::Normal => model.status_kind() == StatusKind::Normal,
            Condition::Left | Condition::Gone => model.is_gone(),
            Condition::SchemaAgreement => true,
        };
        match (is_so, condition) {
            (true, _) => Ok(()),
            (false, Condition::Up) => Err(format!("no new heartbeat of {endpoint} was seen")),
            (false, Condition::Down) => Err(format!("{endpoint} was heard of within {:?}", self.silence)),
            (false, _) => Err(format!("the status of {endpoint} is {status}")),
        }
    }

    fn has_stopped(model: &EndpointModel) -> bool {
        model.standing == crate::model::StandingModel::Unreachable
    }

    fn is_up(&self, model: &EndpointModel) -> bool {
        !Self::has_stopped(model)
            && self.observer.grown_ago(model.endpoint).is_some_and(|ago| ago < self.silence)
    }

    fn is_down(&self, model: &EndpointModel) -> bool {
        let silent = self.observer.grown_ago(model.endpoint).unwrap_or_else(|| self.first.elapsed());
        Self::has_stopped(model) || silent >= self.silence
    }

    fn schema_agreement(&self, view: &[EndpointModel]) -> Result<(), String> {
        let mut schemas = BTreeSet::new();
        for model in view.iter().filter(|model| is_member(model)) {
            if self.is_up(model) {
                schemas.insert(model.text(ApplicationState::SCHEMA));
            } else if !self.is_down(model) {
                return Err(format!("it is not clear yet whether {} is up", model.endpoint));
            }
        }
        match schemas.len() {
            0 => Err("it knows no member that is up".into()),
            1 if schemas.contains(&None) => Err("no member publishes a schema".into()),
            1 => Ok(()),
            count => Err(format!("live members have {count} schemas")),
        }
    }
}

fn is_member(model: &EndpointModel) -> bool {
    !model.gossip_only && !model.is_gone() && model.generation > 0
}
