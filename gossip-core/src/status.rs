//! Where an endpoint is in its life, as it says itself (`docs/protocol/application-states.md#status`).

use core::fmt;

/// The value of STATUS or STATUS_WITH_PORT, parsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Status<'a> {
    /// Joining.
    Boot {
        /// One of its tokens.
        token: &'a str,
    },
    /// Joining in the place of another.
    BootReplace {
        /// The endpoint that it replaces.
        old: &'a str,
    },
    /// A member.
    Normal {
        /// One of its tokens.
        token: &'a str,
    },
    /// A member about to leave.
    Leaving {
        /// One of its tokens.
        token: &'a str,
    },
    /// Has left.
    Left {
        /// One of the tokens it had.
        token: &'a str,
        /// When it may be forgotten, in milliseconds since the Unix epoch.
        expire_unix_ms: i64,
    },
    /// A member that changes its token.
    Moving {
        /// The token it will have.
        token: &'a str,
    },
    /// Being removed by another.
    Removing {
        /// Its host id.
        host_id: &'a str,
    },
    /// Removed by another.
    Removed {
        /// Its host id.
        host_id: &'a str,
        /// When it may be forgotten, in milliseconds since the Unix epoch.
        expire_unix_ms: i64,
    },
    /// Running, and taking no part.
    Hibernate,
    /// Stopped, after an announcement.
    Shutdown,
    /// Something that the grammar does not have, or a field is missing or not a number.
    Unparsed(&'a str),
}

impl<'a> Status<'a> {
    /// What a node that stops publishes.
    pub const SHUTDOWN_TEXT: &'static str = "shutdown,true";

    /// Parses a value. Whatever does not fit the grammar is [`Status::Unparsed`]; its [kind](Status::kind) may
    /// still be known by the keyword.
    pub fn parse(text: &'a str) -> Self {
        let mut fields = text.split(',');
        let keyword = fields.next().unwrap_or_default();
        let (first, second) = (fields.next(), fields.next());
        let expire = || second.and_then(|field| field.parse().ok());
        let parsed = match (StatusKind::of_keyword(keyword), first) {
            (StatusKind::Boot, Some(token)) => Some(Self::Boot { token }),
            (StatusKind::BootReplace, Some(old)) => Some(Self::BootReplace { old }),
            (StatusKind::Normal, Some(token)) => Some(Self::Normal { token }),
            (StatusKind::Leaving, Some(token)) => Some(Self::Leaving { token }),
            (StatusKind::Left, Some(token)) => {
                expire().map(|expire_unix_ms| Self::Left { token, expire_unix_ms })
            }
            (StatusKind::Moving, Some(token)) => Some(Self::Moving { token }),
            (StatusKind::Removing, Some(host_id)) => Some(Self::Removing { host_id }),
            (StatusKind::Removed, Some(host_id)) => {
                expire().map(|expire_unix_ms| Self::Removed { host_id, expire_unix_ms })
            }
            // Readers test only the keyword of these two.
            (StatusKind::Hibernate, _) => Some(Self::Hibernate),
            (StatusKind::Shutdown, _) => Some(Self::Shutdown),
            _ => None,
        };
        parsed.unwrap_or(Self::Unparsed(text))
    }

    /// What the keyword says.
    pub fn kind(self) -> StatusKind {
        match self {
            Self::Boot { .. } => StatusKind::Boot,
            Self::BootReplace { .. } => StatusKind::BootReplace,
            Self::Normal { .. } => StatusKind::Normal,
            Self::Leaving { .. } => StatusKind::Leaving,
            Self::Left { .. } => StatusKind::Left,
            Self::Moving { .. } => StatusKind::Moving,
            Self::Removing { .. } => StatusKind::Removing,
            Self::Removed { .. } => StatusKind::Removed,
            Self::Hibernate => StatusKind::Hibernate,
            Self::Shutdown => StatusKind::Shutdown,
            Self::Unparsed(text) => StatusKind::of_keyword(text.split(',').next().unwrap_or_default()),
        }
    }
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Boot { token } => write!(f, "BOOT,{token}"),
            Self::BootReplace { old } => write!(f, "BOOT_REPLACE,{old}"),
            Self::Normal { token } => write!(f, "NORMAL,{token}"),
            Self::Leaving { token } => write!(f, "LEAVING,{token}"),
            Self::Left { token, expire_unix_ms } => write!(f, "LEFT,{token},{expire_unix_ms}"),
            Self::Moving { token } => write!(f, "MOVING,{token}"),
            Self::Removing { host_id } => write!(f, "removing,{host_id}"),
            Self::Removed { host_id, expire_unix_ms } => write!(f, "removed,{host_id},{expire_unix_ms}"),
            Self::Hibernate => f.write_str("hibernate,true"),
            Self::Shutdown => f.write_str(Self::SHUTDOWN_TEXT),
            Self::Unparsed(text) => f.write_str(text),
        }
    }
}

/// The keyword of a status: what most rules look at.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StatusKind {
    /// No status published, or an unknown keyword.
    #[default]
    None,
    /// `BOOT`.
    Boot,
    /// `BOOT_REPLACE`.
    BootReplace,
    /// `NORMAL`.
    Normal,
    /// `LEAVING`.
    Leaving,
    /// `LEFT`.
    Left,
    /// `MOVING`.
    Moving,
    /// `removing`.
    Removing,
    /// `removed`.
    Removed,
    /// `hibernate`.
    Hibernate,
    /// `shutdown`.
    Shutdown,
}

impl StatusKind {
    /// The kind that a value's first field names, exactly as it is written.
    pub fn of_keyword(keyword: &str) -> Self {
        Self::of_value(keyword.as_bytes())
    }

    /// The kind of a whole encoded value.
    pub(crate) fn of_value(value: &[u8]) -> Self {
        match value.split(|byte| *byte == b',').next().unwrap_or_default() {
            b"BOOT" => Self::Boot,
            b"BOOT_REPLACE" => Self::BootReplace,
            b"NORMAL" => Self::Normal,
            b"LEAVING" => Self::Leaving,
            b"LEFT" => Self::Left,
            b"MOVING" => Self::Moving,
            b"removing" => Self::Removing,
            b"removed" => Self::Removed,
            b"hibernate" => Self::Hibernate,
            b"shutdown" => Self::Shutdown,
            _ => Self::None,
        }
    }

    /// Whether the endpoint is gone, or as good as: it is never marked live.
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::Left | Self::Removing | Self::Removed | Self::Hibernate)
    }

    /// Whether an endpoint of this status stops without announcing it.
    pub const fn is_silent_shutdown(self) -> bool {
        self.is_bootstrapping() || self.is_dead()
    }

    /// Whether the endpoint is joining.
    pub const fn is_bootstrapping(self) -> bool {
        matches!(self, Self::Boot | Self::BootReplace)
    }

    /// Whether an endpoint that has published this is a member (`DESIGN.md`, membership without tokens).
    pub const fn is_member(self) -> bool {
        matches!(self, Self::Normal | Self::Leaving | Self::Moving | Self::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn examples_of_the_specification_parse_and_print() {
        use StatusKind as Kind;
        for (text, kind, dead, silent) in [
            ("NORMAL,-4319372312230471416", Kind::Normal, false, false),
            ("BOOT,1ebff9ba55c244f0a5a86bb94ffab0a7", Kind::Boot, false, true),
            ("BOOT_REPLACE,[2001:db8:0:0:0:0:0:7]:7000", Kind::BootReplace, false, true),
            ("LEAVING,5", Kind::Leaving, false, false),
            ("LEFT,-9223372036854775808,1700259200000", Kind::Left, true, true),
            ("MOVING,17", Kind::Moving, false, false),
            ("removing,93e2f0eb-e71b-4d0d-940f-bd6dd9453e30", Kind::Removing, true, true),
            ("removed,93e2f0eb-e71b-4d0d-940f-bd6dd9453e30,1700259200000", Kind::Removed, true, true),
            ("hibernate,true", Kind::Hibernate, true, true),
            ("shutdown,true", Kind::Shutdown, false, false),
        ] {
            let status = Status::parse(text);
            assert_eq!(status.to_string(), text);
            assert_eq!(status.kind(), kind, "{text}");
            assert_eq!((kind.is_dead(), kind.is_silent_shutdown()), (dead, silent), "{text}");
            assert!(!matches!(status, Status::Unparsed(_)), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_kept_unparsed() {
        for (text, kind) in [
            ("LEFT", StatusKind::Left),
            ("LEFT,5", StatusKind::Left),
            ("LEFT,5,soon", StatusKind::Left),
            ("removed,x", StatusKind::Removed),
            ("normal,5", StatusKind::None),
            ("", StatusKind::None),
        ] {
            assert_eq!(Status::parse(text), Status::Unparsed(text));
            assert_eq!(Status::parse(text).kind(), kind, "{text}");
            assert_eq!(Status::parse(text).to_string(), text);
        }
    }
}
