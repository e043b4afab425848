//! What states are called: it depends on the release of the endpoint that publishes them (`docs/protocol/application-states.md#keys`, `docs/protocol/application-states.md#datastax-enterprise`).

use core::fmt;
use std::borrow::Cow;
use std::collections::BTreeMap;

use gossip_core::{ApplicationState, Release};

/// Whose names the numbers of states have.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Flavour {
    /// Cassandra 2.x and 3.x.
    Cassandra3 {
        /// Whether it is new enough for SSTABLE_VERSIONS: 3.0.25, 3.11.11.
        has_sstable_versions: bool,
    },
    /// Cassandra 4.0.
    Cassandra4_0,
    /// Cassandra 4.1.
    Cassandra4_1,
    /// Cassandra 5.0 and 5.1; also endpoints of an unknown release.
    #[default]
    Cassandra5,
    /// DataStax Enterprise 6, which has names of its own for the pads of Cassandra 3.
    Dse,
}

impl Flavour {
    /// The flavour of an endpoint that publishes these values; `None` if they do not tell.
    pub fn of(release_version: Option<&str>, net_version: Option<&str>) -> Option<Self> {
        if net_version
            .and_then(|text| text.parse::<u32>().ok())
            .is_some_and(|version| version >= DSE_NET_VERSION)
        {
            return Some(Self::Dse);
        }
        let release = Release::parse(release_version?)?;
        let since = |text| Release::parse(text).is_some_and(|first| release >= first);
        Some(match (release.major(), release.minor()) {
            _ if release.numbers() == DSE_NUMBERS => Self::Dse,
            // Not Cassandra's: older releases cannot speak with us.
            (0 | 1, _) => return None,
            (3, 0) => Self::Cassandra3 { has_sstable_versions: since("3.0.25") },
            (3, 11..) => Self::Cassandra3 { has_sstable_versions: since("3.11.11") },
            (2 | 3, _) => Self::Cassandra3 { has_sstable_versions: false },
            (4, 0) => Self::Cassandra4_0,
            (4, _) => Self::Cassandra4_1,
            _ => Self::Cassandra5,
        })
    }

    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Cassandra3 { has_sstable_versions: false },
        Self::Cassandra3 { has_sstable_versions: true },
        Self::Cassandra4_0,
        Self::Cassandra4_1,
        Self::Cassandra5,
        Self::Dse,
    ];

    /// The highest number that any release has a name or a pad for.
    pub const LAST: i32 = LAST;

    /// What it calls `key`. Pads are `X1` and so on, as there; whatever is not in its table is its number behind an `X`.
    pub fn name(self, key: ApplicationState) -> Cow<'static, str> {
        let first_pad = match (self, key.number()) {
            (Self::Dse, number) => match dse_name(number) {
                Some(name) => return name.into(),
                None => 21,
            },
            (Self::Cassandra3 { has_sstable_versions: true }, 18) => return "SSTABLE_VERSIONS".into(),
            (Self::Cassandra3 { .. }, _) => 15,
            (Self::Cassandra4_0, _) => 19,
            (Self::Cassandra4_1, _) => 20,
            (Self::Cassandra5, _) => 21,
        };
        match key.number() {
            number if (first_pad..first_pad + PADS).contains(&number) && self != Self::Dse => {
                format!("X{}", number - first_pad + 1).into()
            }
            number if number >= first_pad => format!("X{number}").into(),
            _ => key.to_string().into(),
        }
    }

    /// The state that it calls `name`.
    pub fn find(self, name: &str) -> Option<ApplicationState> {
        let number = name.strip_prefix('X').and_then(|number| number.parse().ok());
        (0..=LAST)
            .chain(number.filter(|number| *number > LAST))
            .map(ApplicationState::new)
            .find(|key| self.name(*key) == name)
    }
}

/// The least NET_VERSION of DSE.
const DSE_NET_VERSION: u32 = 256;
/// How many numbers a release of DSE has.
const DSE_NUMBERS: usize = 4;
/// How many pads follow the last name.
const PADS: i32 = 10;
/// The highest number that any release has a name or a pad for.
const LAST: i32 = 30;

/// The names that DSE 6 has for other things than Cassandra 5.0.
fn dse_name(number: i32) -> Option<&'static str> {
    Some(match number {
        8 => "NATIVE_TRANSPORT_ADDRESS",
        9 => "DSE_GOSSIP_STATE",
        14 => "NATIVE_TRANSPORT_READY",
        15 => "NATIVE_TRANSPORT_PORT",
        16 => "NATIVE_TRANSPORT_PORT_SSL",
        17 => "STORAGE_PORT",
        18 => "STORAGE_PORT_SSL",
        19 => "JMX_PORT",
        20 => "SCHEMA_COMPATIBILITY_VERSION",
        _ => return None,
    })
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cassandra3 { .. } => "3",
            Self::Cassandra4_0 => "4.0",
            Self::Cassandra4_1 => "4.1",
            Self::Cassandra5 => "5.0",
            Self::Dse => "DSE",
        })
    }
}

/// Names that the user gives, before those of any release.
#[derive(Clone, Debug, Default)]
pub struct StateNames {
    given: BTreeMap<ApplicationState, String>,
}

impl StateNames {
    /// Calls `key` so; returns what it was called before, if it was.
    pub fn give(&mut self, key: ApplicationState, name: impl Into<String>) -> Option<String> {
        self.given.insert(key, name.into())
    }

    /// The name that was given to `key`.
    pub fn given(&self, key: ApplicationState) -> Option<&str> {
        self.given.get(&key).map(String::as_str)
    }

    /// The state that `name` means where an endpoint of `flavour` publishes it.
    pub fn find(&self, name: &str, flavour: Flavour) -> Option<ApplicationState> {
        let given = self.given.iter().find(|(_, given)| *given == name);
        given.map(|(key, _)| *key).or_else(|| flavour.find(name))
    }

    /// What `key` is called where an endpoint of `flavour` publishes it.
    pub fn name(&self, key: ApplicationState, flavour: Flavour) -> Cow<'static, str> {
        match self.given(key) {
            Some(name) => name.to_owned().into(),
            None => flavour.name(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_tell_whose_names_count() {
        const OLD: Option<Flavour> = Some(Flavour::Cassandra3 { has_sstable_versions: false });
        const NEW: Option<Flavour> = Some(Flavour::Cassandra3 { has_sstable_versions: true });
        for (release, expected) in [
            ("2.2.19", OLD),
            ("3.0.24", OLD),
            ("3.0.25", NEW),
            ("3.11.10", OLD),
            ("3.11.17", NEW),
            ("4.0", Some(Flavour::Cassandra4_0)),
            ("4.0.14", Some(Flavour::Cassandra4_0)),
            ("4.0-rc1", Some(Flavour::Cassandra4_0)),
            ("4.1.8-SNAPSHOT", Some(Flavour::Cassandra4_1)),
            ("5.0.2", Some(Flavour::Cassandra5)),
            ("5.1+g12", Some(Flavour::Cassandra5)),
            ("6.0.0", Some(Flavour::Cassandra5)),
            ("4.0.0.670", Some(Flavour::Dse)),
            ("0.1.0", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(Flavour::of(Some(release), Some("12")), expected, "{release}");
        }
        assert_eq!(Flavour::of(None, Some("512")), Some(Flavour::Dse));
        assert_eq!(Flavour::of(Some("3.11.17"), Some("256")), Some(Flavour::Dse));
        assert_eq!(Flavour::of(None, Some("13")), None);
        assert_eq!(Flavour::of(None, None), None);
    }

    #[test]
    fn the_table_of_the_specification() {
        let old = Flavour::Cassandra3 { has_sstable_versions: false };
        let new = Flavour::Cassandra3 { has_sstable_versions: true };
        let (v4_0, v4_1, v5, dse) =
            (Flavour::Cassandra4_0, Flavour::Cassandra4_1, Flavour::Cassandra5, Flavour::Dse);
        for (number, flavour, name) in [
            (0, old, "STATUS"),
            (9, new, "X_11_PADDING"),
            (14, old, "RPC_READY"),
            (15, old, "X1"),
            (17, new, "X3"),
            (18, old, "X4"),
            (18, new, "SSTABLE_VERSIONS"),
            (19, new, "X5"),
            (24, old, "X10"),
            (25, old, "X25"),
            (15, v4_0, "INTERNAL_ADDRESS_AND_PORT"),
            (17, v4_0, "STATUS_WITH_PORT"),
            (18, v4_0, "SSTABLE_VERSIONS"),
            (19, v4_0, "X1"),
            (28, v4_0, "X10"),
            (29, v4_0, "X29"),
            (19, v4_1, "DISK_USAGE"),
            (20, v4_1, "X1"),
            (29, v4_1, "X10"),
            (20, v5, "INDEX_STATUS"),
            (21, v5, "X1"),
            (30, v5, "X10"),
            (31, v5, "X31"),
            (1_000, v5, "X1000"),
            (-1, v5, "X-1"),
            (8, dse, "NATIVE_TRANSPORT_ADDRESS"),
            (9, dse, "DSE_GOSSIP_STATE"),
            (13, dse, "TOKENS"),
            (17, dse, "STORAGE_PORT"),
            (20, dse, "SCHEMA_COMPATIBILITY_VERSION"),
            (21, dse, "X21"),
        ] {
            assert_eq!(flavour.name(ApplicationState::new(number)), name, "{number} of {flavour}");
        }
        for number in -1..=40 {
            let key = ApplicationState::new(number);
            assert_eq!(v5.name(key), key.to_string(), "as the core names them");
        }
    }

    #[test]
    fn what_a_release_calls_a_state_is_found() {
        for flavour in Flavour::ALL {
            for number in (0..=60).chain(998..1_002) {
                let key = ApplicationState::new(number);
                assert_eq!(flavour.find(&flavour.name(key)), Some(key), "{number} of {flavour}");
            }
            for name in ["", "X", "X0", "X-1", "Xx", "status", "X+31"] {
                assert_eq!(flavour.find(name), None, "{name} of {flavour}");
            }
        }
        assert_eq!(Flavour::Cassandra4_0.find("X1"), Some(ApplicationState::new(19)));
        assert_eq!(Flavour::Cassandra4_0.find("DISK_USAGE"), None);
    }

    #[test]
    fn given_names_come_first() {
        let mut names = StateNames::default();
        let key = ApplicationState::new(21);
        assert_eq!(names.give(key, "WORKLOAD"), None);
        assert_eq!(names.give(key, "ROLE").as_deref(), Some("WORKLOAD"));
        assert_eq!(names.name(key, Flavour::Dse), "ROLE");
        assert_eq!(names.name(ApplicationState::DC, Flavour::Dse), "DC");
        assert_eq!(names.find("ROLE", Flavour::Cassandra4_0), Some(key));
        assert_eq!(names.find("WORKLOAD", Flavour::Cassandra4_0), None);
        assert_eq!((names.given(key), names.given(ApplicationState::DC)), (Some("ROLE"), None));
    }
}
