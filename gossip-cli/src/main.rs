//! The `gossip` command.
#![forbid(unsafe_code)]
fn main() {}
