//! Starting a node.

use std::pin::Pin;

use gossip_adapter::{Builder, Events, Handle, Runtime, StartError};

/// Nodes that are driven by a task of async-std.
#[derive(Debug)]
pub enum AsyncStd {}

impl Runtime for AsyncStd {
    /// To be awaited anywhere: async-std starts itself.
    type Start<M: 'static> = Pin<Box<dyn Future<Output = Result<(Handle<M>, Events), StartError>> + Send>>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        Box::pin(async {
            let (drive, handle, events) = gossip_smol::drive(builder).await?;
            async_std::task::spawn(drive);
            Ok((handle, events))
        })
    }
}
