//! What states are called.

use gossip_adapter::ApplicationState;
use gossip_core::SetStateError;
use gossip_decode::{Flavour, StateNames};

use crate::failure::Failure;

/// The names that the user gives.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct StateArgs {
    /// Names a state that has no name everywhere, such as 21=WORKLOAD; repeatable
    #[arg(long = "state", value_name = "NUMBER=NAME")]
    states: Vec<String>,
}

impl StateArgs {
    /// The names in it.
    ///
    /// # Errors
    ///
    /// Misuse: which of them is wrong, and what would be right.
    pub(crate) fn names(&self) -> Result<Names, Failure> {
        Names::new(&self.states).map_err(Failure::misuse)
    }

    /// The same for a Cassandra cluster, if it `is_cassandra`: there no state has a number beyond those of its releases.
    ///
    /// # Errors
    ///
    /// Misuse, as well where a number is none of any release.
    pub(crate) fn names_in(&self, is_cassandra: bool) -> Result<Names, Failure> {
        let number = |text: &String| text.split_once('=').and_then(|(number, _)| number.parse::<i32>().ok());
        let unused =
            self.states.iter().find(|text| number(text).is_some_and(|number| number > Flavour::LAST));
        match unused.filter(|_| is_cassandra) {
            Some(text) => Err(Failure::misuse(format!(
                "--state '{text}': no release of Cassandra has a state of that number (name 9, or one from 19 to {})",
                Flavour::LAST
            ))),
            None => self.names(),
        }
    }
}

/// The names that states have in the release of their publisher, and configured names, which come first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(StateNames);

impl Names {
    /// Takes the names in `definitions`, each `NUMBER=NAME`.
    ///
    /// # Errors
    ///
    /// Which of them is wrong, and what would be right.
    fn new(definitions: &[String]) -> Result<Self, String> {
        let mut names = Self::default();
        for definition in definitions {
            names.define(definition).map_err(|error| format!("--state '{definition}': {error}"))?;
        }
        Ok(names)
    }

    fn define(&mut self, definition: &str) -> Result<(), String> {
        let Some((number, name)) = definition.split_once('=') else {
            return Err("it names nothing (write NUMBER=NAME, such as 21=WORKLOAD)".into());
        };
        let Some(key) = number_of(number) else {
            return Err(format!("'{number}' is no number (write NUMBER=NAME, such as 21=WORKLOAD)"));
        };
        if means_the_same_everywhere(key) {
            return Err(format!(
                "{number} is {key} to all that we speak with (name 9, or a number from 19 on)"
            ));
        }
        // Numbers between those of Cassandra and the custom ones are not assigned.
        if key.number() > Flavour::LAST && key < ApplicationState::FIRST_CUSTOM {
            return Err(format!(
                "no state has the number {number} (name 9, one from 19 to {}, or in a cluster of your own one from 1000 on)",
                Flavour::LAST
            ));
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_word) {
            return Err(format!("'{name}' is no name (a letter, then letters, digits, '_', '-' or '.')"));
        }
        // DSE's name for a number may be given to that number.
        let is_taken = Flavour::ALL
            .into_iter()
            .any(|flavour| self.0.find(name, flavour).is_some_and(|other| other != key));
        if is_taken || is_pad_name(name) {
            return Err(format!("'{name}' already means a state (choose another name)"));
        }
        match self.0.give(key, name) {
            Some(other) => Err(format!("{number} is already called {other} (name it once)")),
            None => Ok(()),
        }
    }

    /// The state that `text` means to a node of `flavour`: a configured name, one of its release or else of Cassandra 5.0, or
    /// a number.
    pub(crate) fn find(&self, text: &str, flavour: Flavour) -> Option<ApplicationState> {
        self.0.find(text, flavour).or_else(|| ApplicationState::from_name(text)).or_else(|| number_of(text))
    }

    /// What `key` is called where an endpoint of `flavour` publishes it.
    pub(crate) fn name(&self, key: ApplicationState, flavour: Flavour) -> String {
        self.0.name(key, flavour).into_owned()
    }

    /// Why `key` cannot be set, under the name that it has here: an error has that of Cassandra 5.0, which may be another.
    pub(crate) fn cannot_be_set(
        &self,
        key: ApplicationState,
        flavour: Flavour,
        error: &SetStateError,
    ) -> String {
        let why = match error {
            SetStateError::TooLong { length, limit, .. } => {
                format!("it has {length} encoded bytes; at most {limit} can be sent")
            }
            SetStateError::TooMany { limit, .. } => {
                format!("it would be one value more than the {limit} that are kept")
            }
            SetStateError::TooMuch { bytes, limit, .. } => {
                format!("with it all values would take {bytes} encoded bytes; they may take {limit}")
            }
            error => error.to_string(),
        };
        format!("{} ({}) cannot be set: {why}", self.name(key, flavour), key.number())
    }

    /// The name that was configured for `key`.
    pub(crate) fn given(&self, key: ApplicationState) -> Option<&str> {
        self.0.given(key)
    }

    /// The same for the decoder.
    pub(crate) fn into_inner(self) -> StateNames {
        self.0
    }

    /// Splits `KEY=VALUE` and finds the key.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn assignment<'a>(
        &self,
        text: &'a str,
        flavour: Flavour,
    ) -> Result<(ApplicationState, &'a str), String> {
        let (key, value) = split_assignment(text)?;
        Ok((self.find(key, flavour).ok_or_else(|| unknown(key))?, value))
    }
}

/// Whose names the states of an endpoint have, of which `text` gives the values: those of the release that it publishes.
pub(crate) fn flavour_of<'a>(text: impl Fn(ApplicationState) -> Option<&'a str>) -> Flavour {
    let told = Flavour::of(text(ApplicationState::RELEASE_VERSION), text(ApplicationState::NET_VERSION));
    told.unwrap_or_default()
}

/// Whether `name` is that of a pad, which is another number in each release, or of a number without a name.
pub(crate) fn is_pad_name(name: &str) -> bool {
    name.strip_prefix('X').is_some_and(|number| number.parse::<i32>().is_ok())
}

fn number_of(text: &str) -> Option<ApplicationState> {
    text.parse().ok().filter(|number| *number >= 0).map(ApplicationState::new)
}

/// Whether every release from 4.0 on knows `key`, and as the same.
fn means_the_same_everywhere(key: ApplicationState) -> bool {
    key <= ApplicationState::SSTABLE_VERSIONS && key != ApplicationState::X_11_PADDING
}

/// Splits `KEY=VALUE`.
///
/// # Errors
///
/// There is no `=`, or no key.
pub(crate) fn split_assignment(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim(), value)),
        _ => Err(format!("'{text}' sets nothing (write KEY=VALUE)")),
    }
}

/// What to say of a key that means nothing.
pub(crate) fn unknown(key: &str) -> String {
    format!(
        "no state is called '{key}' (use a name that gossipinfo prints, a number, or --state of `gossip run`)"
    )
}

#[cfg(test)]
impl StateArgs {
    pub(crate) fn of(definitions: &[&str]) -> Self {
        Self { states: definitions.iter().map(ToString::to_string).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(definitions: &[&str]) -> Result<Names, String> {
        Names::new(&definitions.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    /// Errors of the core name states as Cassandra 5.0 does.
    #[test]
    fn a_refusal_names_a_state_as_it_was_configured() {
        let names = names(&["1000=ROLE"]).unwrap();
        let key = ApplicationState::FIRST_CUSTOM;
        let error = SetStateError::TooLong { key, length: 40_000, limit: 32_767 };
        assert_eq!(
            names.cannot_be_set(key, Flavour::default(), &error),
            "ROLE (1000) cannot be set: it has 40000 encoded bytes; at most 32767 can be sent"
        );
    }

    #[test]
    fn what_is_printed_can_be_found() {
        let names = names(&["1000=ROLE", "1001=Weight", "25=WORKLOAD"]).unwrap();
        for flavour in Flavour::ALL {
            for number in (0..=40).chain(998..1005) {
                let key = ApplicationState::new(number);
                assert_eq!(names.find(&names.name(key, flavour), flavour), Some(key));
                assert_eq!(names.find(&number.to_string(), flavour), Some(key));
            }
            assert_eq!(names.name(ApplicationState::FIRST_CUSTOM, flavour), "ROLE");
            assert_eq!(names.name(ApplicationState::new(25), flavour), "WORKLOAD");
            for text in ["role", "", "X", "X0", "-5", "SEVERITY2"] {
                assert_eq!(names.find(text, flavour), None, "{text}");
            }
        }
        let x1 = |flavour| names.find("X1", flavour).map(ApplicationState::number);
        assert_eq!((x1(Flavour::Cassandra4_0), x1(Flavour::Cassandra5)), (Some(19), Some(21)));
        assert_eq!(names.find("DISK_USAGE", Flavour::Cassandra4_0), Some(ApplicationState::DISK_USAGE));
    }

    #[test]
    fn wrong_definitions_are_refused() {
        for definitions in [
            &["1000"][..],
            &["x=ROLE"],
            &["-1=ROLE"],
            &["5=ROLE"],
            &["17=ROLE"],
            &["1000="],
            &["1000=5"],
            &["1000=a:b"],
            &["1000=LOAD"],
            &["1000=JMX_PORT"],
            &["1000=X7"],
            &["1000=ROLE", "1001=ROLE"],
            &["1000=ROLE", "1000=PART"],
        ] {
            let error = names(definitions).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        for definition in ["9=DSE_GOSSIP_STATE", "19=JMX_PORT", "30=ROLE"] {
            assert!(names(&[definition]).is_ok(), "{definition}");
        }
    }

    #[test]
    fn no_state_of_cassandra_has_a_number_that_no_release_has() {
        let last = Flavour::LAST;
        for (number, is_state) in [(9, true), (last, true), (last + 1, false), (99, false), (1_000, false)] {
            let definition = format!("{number}=A");
            assert_eq!(StateArgs::of(&[&definition]).names_in(true).is_ok(), is_state, "{definition}");
        }
        assert!(StateArgs::of(&["1000=ROLE"]).names_in(false).is_ok(), "those are for clusters of ours");
        let Err(Failure::Misuse(line)) = StateArgs::of(&["99=FOO"]).names() else {
            panic!("no cluster has it")
        };
        assert!(line.contains("99") && line.contains("1000"), "{line}");
    }

    #[test]
    fn assignments() {
        let names = names(&["1000=ROLE"]).unwrap();
        let assignment = |text| names.assignment(text, Flavour::default());
        assert_eq!(assignment("ROLE=a=b"), Ok((ApplicationState::FIRST_CUSTOM, "a=b")));
        assert_eq!(assignment("SEVERITY="), Ok((ApplicationState::SEVERITY, "")));
        for wrong in ["ROLE", "=x", "NOPE=x"] {
            assert!(assignment(wrong).is_err(), "{wrong}");
        }
    }
}
