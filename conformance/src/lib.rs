//! What every adapter has to do over real sockets, whatever drives it. The tests are all there is: `tests/it/main.rs` lists
//! the scenarios once, and runs them for each adapter over each transport.

#![forbid(unsafe_code)]
