//! The kinds of internode messages (`docs/protocol/message-header.md#verbs-of-a-gossip-peer`).

use core::fmt;

/// What kind a message is: its number on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Verb(u64);

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Verb {
            $($(#[$doc])* pub const $name: Self = Self($number);)*
        }

        impl Verb {
            /// Cassandra's name for it, where the number is known. 42 and 49 are named as from 4.1 on; 4.0 has a number for
            /// tests at 42.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    0 => Some("MUTATION_REQ"),
                    1 => Some("HINT_REQ"),
                    2 => Some("READ_REPAIR_REQ"),
                    3 => Some("READ_REQ"),
                    5 => Some("BATCH_STORE_REQ"),
                    6 => Some("BATCH_REMOVE_REQ"),
                    9 => Some("RANGE_REQ"),
                    10 => Some("_TEST_1"),
                    11 => Some("_TEST_2"),
                    18 => Some("SCHEMA_PUSH_REQ"),
                    19 => Some("TRUNCATE_REQ"),
                    22 => Some("REPLICATION_DONE_REQ"),
                    24 => Some("COUNTER_MUTATION_REQ"),
                    27 => Some("SNAPSHOT_REQ"),
                    28 => Some("SCHEMA_PULL_REQ"),
                    30 => Some("_TRACE"),
                    33 => Some("PAXOS_PREPARE_REQ"),
                    34 => Some("PAXOS_PROPOSE_REQ"),
                    35 => Some("PAXOS_COMMIT_REQ"),
                    38 => Some("PAXOS2_COMMIT_REMOTE_REQ"),
                    39 => Some("PAXOS2_COMMIT_REMOTE_RSP"),
                    40 => Some("PAXOS2_PREPARE_REQ"),
                    41 => Some("PAXOS2_PREPARE_REFRESH_REQ"),
                    42 => Some("PAXOS2_PROPOSE_REQ"),
                    43 => Some("PAXOS2_COMMIT_AND_PREPARE_REQ"),
                    44 => Some("PAXOS2_REPAIR_REQ"),
                    45 => Some("PAXOS2_CLEANUP_START_PREPARE_REQ"),
                    46 => Some("PAXOS2_CLEANUP_REQ"),
                    47 => Some("PAXOS2_CLEANUP_FINISH_PREPARE_REQ"),
                    48 => Some("PAXOS2_CLEANUP_COMPLETE_REQ"),
                    49 => Some("_SAMPLE"),
                    50 => Some("PAXOS2_PREPARE_RSP"),
                    51 => Some("PAXOS2_PREPARE_REFRESH_RSP"),
                    52 => Some("PAXOS2_PROPOSE_RSP"),
                    53 => Some("PAXOS2_COMMIT_AND_PREPARE_RSP"),
                    54 => Some("PAXOS2_REPAIR_RSP"),
                    55 => Some("PAXOS2_CLEANUP_START_PREPARE_RSP"),
                    56 => Some("PAXOS2_CLEANUP_RSP"),
                    57 => Some("PAXOS2_CLEANUP_RSP2"),
                    58 => Some("PAXOS2_CLEANUP_FINISH_PREPARE_RSP"),
                    59 => Some("PAXOS2_CLEANUP_COMPLETE_RSP"),
                    60 => Some("MUTATION_RSP"),
                    61 => Some("HINT_RSP"),
                    62 => Some("READ_REPAIR_RSP"),
                    63 => Some("READ_RSP"),
                    65 => Some("BATCH_STORE_RSP"),
                    66 => Some("BATCH_REMOVE_RSP"),
                    69 => Some("RANGE_RSP"),
                    79 => Some("TRUNCATE_RSP"),
                    82 => Some("REPLICATION_DONE_RSP"),
                    84 => Some("COUNTER_MUTATION_RSP"),
                    87 => Some("SNAPSHOT_RSP"),
                    88 => Some("SCHEMA_PULL_RSP"),
                    93 => Some("PAXOS_PREPARE_RSP"),
                    94 => Some("PAXOS_PROPOSE_RSP"),
                    95 => Some("PAXOS_COMMIT_RSP"),
                    98 => Some("SCHEMA_PUSH_RSP"),
                    100 => Some("REPAIR_RSP"),
                    101 => Some("VALIDATION_REQ"),
                    102 => Some("VALIDATION_RSP"),
                    103 => Some("SYNC_REQ"),
                    104 => Some("SYNC_RSP"),
                    105 => Some("PREPARE_MSG"),
                    106 => Some("SNAPSHOT_MSG"),
                    107 => Some("CLEANUP_MSG"),
                    108 => Some("PREPARE_CONSISTENT_REQ"),
                    109 => Some("PREPARE_CONSISTENT_RSP"),
                    110 => Some("FINALIZE_PROPOSE_MSG"),
                    111 => Some("FINALIZE_PROMISE_MSG"),
                    112 => Some("FINALIZE_COMMIT_MSG"),
                    113 => Some("FAILED_SESSION_MSG"),
                    114 => Some("STATUS_REQ"),
                    115 => Some("STATUS_RSP"),
                    801 => Some("TCM_COMMIT_RSP"),
                    802 => Some("TCM_COMMIT_REQ"),
                    803 => Some("TCM_FETCH_CMS_LOG_RSP"),
                    804 => Some("TCM_FETCH_CMS_LOG_REQ"),
                    805 => Some("TCM_REPLICATION"),
                    806 => Some("TCM_NOTIFY_RSP"),
                    807 => Some("TCM_NOTIFY_REQ"),
                    808 => Some("TCM_CURRENT_EPOCH_REQ"),
                    809 => Some("TCM_INIT_MIG_RSP"),
                    810 => Some("TCM_INIT_MIG_REQ"),
                    811 => Some("TCM_ABORT_MIG"),
                    812 => Some("TCM_DISCOVER_RSP"),
                    813 => Some("TCM_DISCOVER_REQ"),
                    814 => Some("INITIATE_DATA_MOVEMENTS_RSP"),
                    815 => Some("INITIATE_DATA_MOVEMENTS_REQ"),
                    816 => Some("DATA_MOVEMENT_EXECUTED_RSP"),
                    817 => Some("DATA_MOVEMENT_EXECUTED_REQ"),
                    _ => None,
                }
            }
        }
    };
}

verbs! {
    /// The general response of 3.x.
    REQUEST_RSP = 4;
    /// Opens a gossip exchange.
    GOSSIP_DIGEST_SYN = 14;
    /// Answers a SYN.
    GOSSIP_DIGEST_ACK = 15;
    /// Ends a gossip exchange.
    GOSSIP_DIGEST_ACK2 = 16;
    /// Asks for the receiver's schema version.
    SCHEMA_VERSION_REQ = 20;
    /// The response of 4.x to 3.x.
    INTERNAL_RSP = 23;
    /// The sender stops.
    GOSSIP_SHUTDOWN = 29;
    /// Asks whether the receiver can be reached.
    ECHO_REQ = 31;
    /// Asks for a reply on a connection of a given type.
    PING_REQ = 37;
    /// Answers [`Verb::SCHEMA_VERSION_REQ`].
    SCHEMA_VERSION_RSP = 80;
    /// Answers [`Verb::ECHO_REQ`].
    ECHO_RSP = 91;
    /// Answers [`Verb::PING_REQ`].
    PING_RSP = 97;
    /// The request could not be handled.
    FAILURE_RSP = 99;
    /// Answers [`Verb::TCM_FETCH_PEER_LOG_REQ`].
    TCM_FETCH_PEER_LOG_RSP = 818;
    /// Asks a node of 6.0 for entries of the cluster metadata's log; the answer tells the identifier of the cluster. A node before 6.0
    /// closes the connection.
    TCM_FETCH_PEER_LOG_REQ = 819;
}

impl Verb {
    /// The verb with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// What verbs around this number are for, where it has no name.
    pub const fn group(self) -> Option<&'static str> {
        match self.0 {
            // They count down from the greatest number of two bytes.
            15_384..=16_383 => Some("custom"),
            _ => None,
        }
    }

    /// Whether the message is one that [`Message::decode`](crate::message::Message::decode) knows.
    pub const fn is_gossip(self) -> bool {
        matches!(
            self,
            Self::GOSSIP_DIGEST_SYN
                | Self::GOSSIP_DIGEST_ACK
                | Self::GOSSIP_DIGEST_ACK2
                | Self::GOSSIP_SHUTDOWN
                | Self::ECHO_REQ
                | Self::ECHO_RSP
        )
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "verb {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b12_requests_and_responses_have_their_numbers() {
        assert_eq!((Verb::ECHO_REQ.number(), Verb::ECHO_RSP.number()), (31, 91));
        assert_eq!((Verb::PING_REQ.number(), Verb::PING_RSP.number()), (37, 97));
        assert_eq!(Verb::new(200).name(), None);
        assert_eq!(Verb::new(813).name(), Some("TCM_DISCOVER_REQ"));
        assert_eq!(Verb::new(16_383).group(), Some("custom"));
        let gossip: alloc::vec::Vec<u64> =
            (0..=1_000).filter(|number| Verb::new(*number).is_gossip()).collect();
        assert_eq!(gossip, [14, 15, 16, 29, 31, 91]);
    }

    #[test]
    fn all_numbers_in_use_are_named() {
        let named: alloc::vec::Vec<u64> =
            (0..=1_000).filter(|number| Verb::new(*number).name().is_some()).collect();
        let unnamed = [7, 8, 12, 13, 17, 21, 25, 26, 32, 36, 64, 67, 68, 81, 83, 85, 86, 89, 90, 92, 96];
        let expected: alloc::vec::Vec<u64> = (0..=115)
            .filter(|number| !unnamed.contains(number) && !(70..=78).contains(number))
            .chain(801..=819)
            .collect();
        assert_eq!(named, expected);
    }

    #[test]
    fn a_verb_is_shown_by_its_name_or_its_number() {
        assert_eq!(alloc::format!("{:>10}", Verb::ECHO_REQ), "  ECHO_REQ");
        assert_eq!(alloc::format!("{}", Verb::new(250)), "verb 250");
    }
}
