//! The name of this way to drive nodes.

/// Nodes that are driven by a thread of their own, which runs an [`EventLoop`](crate::EventLoop).
#[derive(Debug)]
pub enum Mio {}
