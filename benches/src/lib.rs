//! What the benches share: gossipers with tables of a given size, messages written by hand, the baseline beside which they are held, and a clock
//! for both.

#![forbid(unsafe_code)]

pub mod floor;
pub mod interleaved;
pub mod messages;
pub mod order;
pub mod steps;
pub mod usage;
pub mod world;
