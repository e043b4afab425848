//! Starting a node.

use std::pin::Pin;

use gossip_adapter::{Builder, Driver, Events, Handle, Runtime, StartError};

use crate::reactor::Sockets;

/// Nodes that are driven by a task of tokio.
#[derive(Debug)]
pub enum Tokio {}

impl Runtime for Tokio {
    /// To be awaited in a tokio runtime with its network and time drivers enabled; elsewhere it panics.
    type Start<M: 'static> = Pin<Box<dyn Future<Output = Result<(Handle<M>, Events), StartError>> + Send>>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        Box::pin(async {
            let (driver, handle, events) = Driver::<Sockets>::open(builder).await?;
            tokio::spawn(driver.run());
            Ok((handle, events))
        })
    }
}
