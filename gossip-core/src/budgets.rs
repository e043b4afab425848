//! Budgets that no configuration sets.

/// How much is done at once, or remembered, where the sizes of real clusters call for one figure.
///
/// A simulation may lower them with the feature `buggify`. Then 20 nodes meet what else only thousands do: lists that are full, requests that
/// displace each other, endpoints that have to wait until they are asked whether they live. All promises hold with one of each, and things only
/// take longer. But for one: with [`max_entries`](Self::max_entries) far below half of the endpoints, heartbeats come too late.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Budgets {
    /// Endpoints that are remembered as requested from version 0 on. A quarter of them may wait for their request. Default 1,024.
    pub max_requests: usize,
    /// Endpoints that one exchange may ask for or tell of, of those known to both sides. Default 4,368: as many as an ACK has room to ask for.
    pub max_entries: usize,
    /// Endpoints that one exchange may ask for, of those known to the peer alone. Others follow in the next. Default 512.
    ///
    /// Deviation: Cassandra asks for all; what comes back would be more than one message holds.
    pub max_unknown: usize,
    /// Changes that are remembered, so that a SYN lists them first. Default 4,096.
    pub max_news: usize,
    /// Endpoints that may be asked at once whether they live, before anything shows how fast they answer. A cluster with more is a crowd, in which
    /// the number follows how fast answers come. Default 32.
    pub first_echoes: usize,
    /// The same at most, however fast answers come. Default 512.
    pub max_echoes: usize,
    /// Such questions that are repeated in one round. Default 256.
    pub max_repeats: usize,
    /// Rows of the table that are searched in one round for an endpoint to probe, and at one answer for one that waits to be asked. Default 256.
    pub max_rows: usize,
    /// Packets that are kept to answer strangers with. Default 64.
    pub max_greetings: usize,
    /// Peers that may wait for room for a large message. Default 64.
    pub max_deferred: usize,
    /// Unused connections that are closed in one round. Default 16.
    pub max_closed: usize,
}

impl Budgets {
    /// Those of a node that nobody simulates.
    pub(crate) const USUAL: Self = Self {
        max_requests: 1_024,
        max_entries: 4_368,
        max_unknown: 512,
        max_news: 4_096,
        first_echoes: 32,
        max_echoes: 512,
        max_repeats: 256,
        max_rows: 256,
        max_greetings: 64,
        max_deferred: 64,
        max_closed: 16,
    };

    /// One at least of each: with none, nothing would ever be done.
    pub(crate) fn at_least_one(self) -> Self {
        Self {
            max_requests: self.max_requests.max(1),
            max_entries: self.max_entries.max(1),
            max_unknown: self.max_unknown.max(1),
            max_news: self.max_news.max(1),
            first_echoes: self.first_echoes.max(1),
            max_echoes: self.max_echoes.max(1),
            max_repeats: self.max_repeats.max(1),
            max_rows: self.max_rows.max(1),
            max_greetings: self.max_greetings.max(1),
            max_deferred: self.max_deferred.max(1),
            max_closed: self.max_closed.max(1),
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::USUAL
    }
}
