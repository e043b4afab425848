//! Starting a node.

use std::thread;

use gossip_adapter::{Builder, Events, Handle, Runtime, StartError};
use tracing::error;

use crate::EventLoop;
use crate::mark::Mio;

impl Runtime for Mio {
    type Start<M: 'static> = Result<(Handle<M>, Events), StartError>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        let (event_loop, handle, events) = EventLoop::new(builder)?;
        let run = || {
            if let Err(error) = event_loop.run() {
                error!(%error, "the event loop has failed: the node stops");
            }
        };
        thread::Builder::new().name("gossip".into()).spawn(run).map_err(StartError::Drive)?;
        Ok((handle, events))
    }
}
