//! What states are called.

use std::collections::BTreeMap;

use gossip_adapter::ApplicationState;

/// Cassandra's names for its states, and configured ones for ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    custom: BTreeMap<ApplicationState, String>,
}

impl Names {
    /// Takes the names in `definitions`, each `NUMBER=NAME`.
    ///
    /// # Errors
    ///
    /// Which of them is wrong, and what would be right.
    pub(crate) fn new(definitions: &[String]) -> Result<Self, String> {
        let mut names = Self::default();
        for definition in definitions {
            names.define(definition)?;
        }
        Ok(names)
    }

    fn define(&mut self, definition: &str) -> Result<(), String> {
        let (number, name) = name_of_definition(definition)?;
        let first = ApplicationState::FIRST_CUSTOM;
        let key = match number.parse().map(ApplicationState::new) {
            Ok(key) if key >= first => key,
            _ => {
                return Err(format!(
                    "--state '{definition}': '{number}' is no number of a custom state (they start at {})",
                    first.number()
                ));
            }
        };
        if self.find(name).is_some() || is_pad_name(name) {
            return Err(format!(
                "--state '{definition}': '{name}' already means a state (choose another name)"
            ));
        }
        if let Some(other) = self.custom.get(&key) {
            return Err(format!("--state '{definition}': {number} is already called {other} (name it once)"));
        }
        self.custom.insert(key, name.into());
        Ok(())
    }

    /// The state that `text` means: Cassandra's name, a configured one, a number, or what gossipinfo prints for a
    /// number without a name.
    pub(crate) fn find(&self, text: &str) -> Option<ApplicationState> {
        let configured = || self.custom.iter().find(|(_, name)| *name == text).map(|(key, _)| *key);
        ApplicationState::from_name(text).or_else(configured).or_else(|| match text.strip_prefix('X') {
            Some(number) => match number.parse().ok()? {
                pad @ 1..=10 => Some(ApplicationState::new(pad + 20)),
                number @ 31.. => Some(ApplicationState::new(number)),
                _ => None,
            },
            None => text.parse().ok().filter(|number| *number >= 0).map(ApplicationState::new),
        })
    }

    /// What `key` is called.
    pub(crate) fn name(&self, key: ApplicationState) -> String {
        self.custom.get(&key).cloned().unwrap_or_else(|| key.to_string())
    }

    /// Splits `KEY=VALUE` and finds the key.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn assignment<'a>(&self, text: &'a str) -> Result<(ApplicationState, &'a str), String> {
        let (key, value) = split_assignment(text)?;
        Ok((self.find(key).ok_or_else(|| unknown(key))?, value))
    }
}

/// Number and name in a definition, which is `NUMBER=NAME`.
///
/// # Errors
///
/// There is no `=`, or the name is none.
pub(crate) fn name_of_definition(definition: &str) -> Result<(&str, &str), String> {
    let Some((number, name)) = definition.split_once('=') else {
        return Err(format!("--state '{definition}' names nothing (write NUMBER=NAME, such as 1000=ROLE)"));
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_word) {
        return Err(format!(
            "--state '{definition}': '{name}' is no name (a letter, then letters, digits, '_', '-' or '.')"
        ));
    }
    Ok((number, name))
}

/// Splits `KEY=VALUE`.
///
/// # Errors
///
/// There is no `=`, or no key.
pub(crate) fn split_assignment(text: &str) -> Result<(&str, &str), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key, value)),
        _ => Err(format!("'{text}' sets nothing (write KEY=VALUE)")),
    }
}

/// What to say of a key that means nothing.
pub(crate) fn unknown(key: &str) -> String {
    format!(
        "no state is called '{key}' (use a name that gossipinfo prints, a number, or --state of `gossip run`)"
    )
}

fn is_pad_name(name: &str) -> bool {
    name.strip_prefix('X').is_some_and(|number| number.parse::<i32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(definitions: &[&str]) -> Result<Names, String> {
        Names::new(&definitions.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_printed_can_be_found() {
        let names = names(&["1000=ROLE", "1001=Weight"]).unwrap();
        for number in (0..=40).chain(998..1005) {
            let key = ApplicationState::new(number);
            assert_eq!(names.find(&names.name(key)), Some(key));
            assert_eq!(names.find(&number.to_string()), Some(key));
        }
        assert_eq!(names.name(ApplicationState::FIRST_CUSTOM), "ROLE");
        for text in ["role", "", "X", "X0", "X11", "X30", "-5", "SEVERITY2"] {
            assert_eq!(names.find(text), None, "{text}");
        }
    }

    #[test]
    fn wrong_definitions_are_refused() {
        for definitions in [
            &["1000"][..],
            &["999=ROLE"],
            &["x=ROLE"],
            &["1000="],
            &["1000=5"],
            &["1000=a:b"],
            &["1000=LOAD"],
            &["1000=X7"],
            &["1000=ROLE", "1001=ROLE"],
            &["1000=ROLE", "1000=PART"],
        ] {
            let error = names(definitions).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn assignments() {
        let names = names(&["1000=ROLE"]).unwrap();
        assert_eq!(names.assignment("ROLE=a=b"), Ok((ApplicationState::FIRST_CUSTOM, "a=b")));
        assert_eq!(names.assignment("SEVERITY="), Ok((ApplicationState::SEVERITY, "")));
        assert!(names.assignment("ROLE").is_err());
        assert!(names.assignment("=x").is_err());
        assert!(names.assignment("NOPE=x").is_err());
    }
}
