//! Bounds on work and memory that no configuration sets.

/// How much a node does at once or remembers, where one number suits clusters of all sizes.
///
/// A simulation may lower these numbers (feature `buggify`). Then 20 nodes reach bounds that otherwise only thousands of nodes reach: full
/// lists, requests that displace each other, endpoints that wait for their echo. With one of each, everything takes longer, and nothing else
/// changes. There is one exception: if [`max_entries`](Self::max_entries) is far below half of the endpoints, heartbeats come too late.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Budgets {
    /// Endpoints that are remembered as requested from version 0 on. A quarter of them, rounded up, may wait for their request. Default 1,024.
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
    /// Rows of the table that are searched in one round for an endpoint to probe, and in each round and at each answer for one that waits for
    /// its echo. Default 256.
    pub max_rows: usize,
    /// Packets that are kept to answer strangers with. Default 64.
    pub max_greetings: usize,
    /// Peers that may wait for room for a large message. Default 64.
    pub max_deferred: usize,
    /// Unused connections that are closed at one look, once a second. Default 16.
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

    /// The same within bounds: at least one of each, or nothing would ever be done; at most the usual number, so that memory stays bounded.
    pub(crate) fn within_bounds(self) -> Self {
        let usual = Self::USUAL;
        let max_echoes = self.max_echoes.clamp(1, usual.max_echoes);
        Self {
            max_requests: self.max_requests.clamp(1, usual.max_requests),
            max_entries: self.max_entries.clamp(1, usual.max_entries),
            max_unknown: self.max_unknown.clamp(1, usual.max_unknown),
            max_news: self.max_news.clamp(1, usual.max_news),
            first_echoes: self.first_echoes.clamp(1, usual.first_echoes.min(max_echoes)),
            max_echoes,
            max_repeats: self.max_repeats.clamp(1, usual.max_repeats),
            max_rows: self.max_rows.clamp(1, usual.max_rows),
            max_greetings: self.max_greetings.clamp(1, usual.max_greetings),
            max_deferred: self.max_deferred.clamp(1, usual.max_deferred),
            max_closed: self.max_closed.clamp(1, usual.max_closed),
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self::USUAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_lowered_to_one_at_least_and_never_raised() {
        assert_eq!(Budgets::USUAL.within_bounds(), Budgets::USUAL);
        let given = Budgets { max_requests: usize::MAX, max_rows: 0, max_echoes: 4, ..Budgets::USUAL };
        let expected = Budgets { max_rows: 1, max_echoes: 4, first_echoes: 4, ..Budgets::USUAL };
        assert_eq!(given.within_bounds(), expected, "no more are asked at first than at most");
    }
}
