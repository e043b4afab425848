//! The command as its users meet it: real processes, real sockets, exact words.

#![cfg(test)]
#![expect(clippy::std_instead_of_alloc, reason = "a test has the standard library")]

mod ask;
mod cassandra;
mod cassandra_6;
mod cluster;
mod config;
mod data_dir;
mod datagrams;
mod decode;
mod faults;
mod identity;
mod java;
mod lab;
mod large;
mod limits;
mod many;
mod membership;
mod node;
mod observe;
mod operations;
mod page;
mod played;
mod prometheus;
mod python;
mod refusals;
mod seeds;
mod silence;
mod sim;
mod split;
mod stores;
mod tls;
mod waits;
