//! How far the search goes.

/// How often each thing may happen in one history. Nothing is lost that is not listed: a message may arrive at any time later, or
/// never.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[must_use]
pub struct Bounds {
    pub(crate) nodes: usize,
    pub(crate) version: i32,
    pub(crate) allowed: Allowed,
    /// Whether messages reach the next process of a host, as packets do. Over connections none does.
    pub(crate) crosses: bool,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) rounds: u8,
    pub(crate) values: u8,
    pub(crate) duplicates: u8,
    pub(crate) kills: u8,
    pub(crate) starts: u8,
    pub(crate) forgetful: u8,
    pub(crate) stops: u8,
    pub(crate) leaves: u8,
    pub(crate) assassinations: u8,
    pub(crate) silences: u8,
    pub(crate) expiries: u8,
}

impl Bounds {
    /// So many nodes, and nothing happens.
    pub fn new(nodes: usize) -> Self {
        Self { nodes, version: 3, allowed: Allowed::default(), crosses: false }
    }

    /// How many rounds begin, of all nodes together. Those of a node that stops or leaves do not count.
    pub const fn rounds(mut self, count: u8) -> Self {
        self.allowed.rounds = count;
        self
    }

    /// How many values are published after the start.
    pub const fn values(mut self, count: u8) -> Self {
        self.allowed.values = count;
        self
    }

    /// How many messages arrive twice.
    pub const fn duplicates(mut self, count: u8) -> Self {
        self.allowed.duplicates = count;
        self
    }

    /// How many processes are killed.
    pub const fn kills(mut self, count: u8) -> Self {
        self.allowed.kills = count;
        self
    }

    /// How many processes start where one ended, and know its generation and its tombstones.
    pub const fn starts(mut self, count: u8) -> Self {
        self.allowed.starts = count;
        self
    }

    /// How many processes start where one ended, and know nothing: their generation is the first, once more.
    pub const fn forgetful_starts(mut self, count: u8) -> Self {
        self.allowed.forgetful = count;
        self
    }

    /// How many nodes stop cleanly.
    pub const fn stops(mut self, count: u8) -> Self {
        self.allowed.stops = count;
        self
    }

    /// How many nodes leave for good.
    pub const fn leaves(mut self, count: u8) -> Self {
        self.allowed.leaves = count;
        self
    }

    /// How many nodes are assassinated.
    pub const fn assassinations(mut self, count: u8) -> Self {
        self.allowed.assassinations = count;
        self
    }

    /// How often a node hears nothing for a minute, and convicts all others.
    pub const fn silences(mut self, count: u8) -> Self {
        self.allowed.silences = count;
        self
    }

    /// How often a node's wall clock passes the time at which endpoints that have left are forgotten.
    pub const fn expiries(mut self, count: u8) -> Self {
        self.allowed.expiries = count;
        self
    }

    /// The greatest version that a running process reaches, but for one that was isolated. Default 3.
    pub const fn version(mut self, greatest: i32) -> Self {
        self.version = greatest;
        self
    }

    /// Lets messages to one process of a host reach the next, as packets do.
    pub const fn crossing(mut self) -> Self {
        self.crosses = true;
        self
    }
}
