//! Whole clusters: all nodes learn of all others, and only dead endpoints are convicted, whatever the network
//! does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attacks;
mod band;
mod cassandra_6;
mod chaos;
mod convergence;
mod conviction;
mod datagrams;
mod shutdown;
mod streams;
mod support;
mod versions;
