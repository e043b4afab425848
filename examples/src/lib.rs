//! Drivers for runtimes that no adapter is for: see `examples/`. Each is one loop around a `Node`.

#![forbid(unsafe_code)]
