//! Calls to the system that fail again and again.

use std::io;
use std::time::Duration;

use gossip_core::Node;

use crate::{ACCEPT_PAUSE, Rarely};

/// The time between two log lines about an error that goes on.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How long nothing is received or accepted after an error that is about one peer only.
const PEER_PAUSE: Duration = Duration::from_millis(1);

/// What a driver makes of errors of one kind of call: accept, receive or send. "Would block" and "interrupted" are no errors.
#[derive(Debug)]
pub struct Troubles {
    rarely: Rarely,
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct Trouble {
    /// How long not to try again. Timers, commands and all other sockets go on meanwhile.
    pub pause: Duration,
    /// If the log is to warn of it: how many there were since it did so last.
    pub to_tell: Option<u64>,
}

impl Troubles {
    /// None yet.
    pub const fn new() -> Self {
        Self { rarely: Rarely::every(TOLD_EVERY) }
    }

    /// A call has failed. Counted by the node, unless it is about one peer only: that a packet to it was refused, or that it has hung up
    /// before it was accepted.
    pub fn failed(&mut self, node: &mut Node, error: &io::Error) -> Trouble {
        if is_of_a_peer(error) {
            return Trouble { pause: PEER_PAUSE, to_tell: None };
        }
        node.count_socket_error();
        Trouble { pause: ACCEPT_PAUSE, to_tell: self.rarely.happened() }
    }
}

impl Default for Troubles {
    fn default() -> Self {
        Self::new()
    }
}

fn is_of_a_peer(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip_core::{Config, Endpoint, Generation, Timestamp};

    #[test]
    fn what_fails_for_long_is_tried_rarely_told_once_and_counted() {
        let mut node = node();
        let mut troubles = Troubles::new();
        let failed: Vec<_> =
            (0..50).map(|_| troubles.failed(&mut node, &io::Error::other("input/output error"))).collect();
        assert_eq!(failed[0], Trouble { pause: ACCEPT_PAUSE, to_tell: Some(1) });
        assert!(failed[1..].iter().all(|trouble| *trouble == Trouble { pause: ACCEPT_PAUSE, to_tell: None }));
        assert_eq!(node.stats().socket_errors, 50);
    }

    #[test]
    fn one_peer_that_cannot_be_reached_holds_up_nobody_else() {
        let mut node = node();
        let mut troubles = Troubles::new();
        for _ in 0..50 {
            let trouble = troubles.failed(&mut node, &io::ErrorKind::ConnectionRefused.into());
            assert_eq!(trouble, Trouble { pause: PEER_PAUSE, to_tell: None });
        }
        assert_eq!(node.stats().socket_errors, 0);
    }

    fn node() -> Node {
        let local = Endpoint::v4([127, 0, 0, 1], 7_000);
        let config = Config::builder("a", local, Generation::new(1), [0; 32]).build();
        Node::new(config.expect("all is in its range"), Timestamp::ZERO)
    }
}
