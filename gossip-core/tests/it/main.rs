//! The bodies of messages and the protocol, tested against the examples and scenarios of the specification, files that
//! Cassandra ships, captured traffic of real nodes, and chance.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

extern crate alloc;

mod addresses;
mod applying;
mod bombs;
mod conversation;
mod cutting;
mod datagrams;
mod debug_output;
mod exchange;
mod fixtures;
mod golden;
mod gossip_only;
mod hostile;
mod hostile_node;
mod identity;
mod internode;
mod joining;
mod liveness;
mod merging;
mod metadata_log;
mod no_trace;
mod node;
mod own_state;
mod pauses;
mod pcap;
mod properties;
mod refusals;
mod removal;
mod replay;
mod scenarios;
mod scenarios_a;
#[cfg(feature = "seal")]
mod sealed;
mod stopping;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod transcripts;
mod unanswered;
mod under_attack;
