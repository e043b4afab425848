//! Captures that are made up, captures of real nodes, the examples of the specification, and all of them damaged.

#![cfg(test)]

mod captures;
mod damage;
mod examples;
mod handshakes;
mod legacy;
mod names;
mod properties;
mod support;
mod tls;
mod transcripts;
