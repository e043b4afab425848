//! Starting a node.

use std::pin::Pin;

#[cfg(feature = "spawn")]
use gossip_adapter::Runtime;
use gossip_adapter::{Builder, Driver, Events, Handle, StartError};

use crate::reactor::Sockets;

/// What drives a node: to be spawned, or awaited until the node has stopped. If it is dropped before, the node is gone without a
/// word to its peers.
pub type Drive = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Opens the socket and prepares a node for an executor of the program's own, which is given the [`Drive`]. The executor can be
/// any: sockets and timer are those of async-io, which has a thread for itself.
///
/// ```
/// # smol::block_on(async {
/// use gossip_smol::{AnyExecutor, drive};
///
/// let executor = smol::Executor::new();
/// let builder = gossip_adapter::Builder::<AnyExecutor>::new("my cluster").listen("127.0.0.1:0".parse()?);
/// let (drive, node, _) = drive(builder).await?;
/// executor.spawn(drive).detach();
/// executor.run(node.shutdown()).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// [`StartError`] if the address cannot be listened at, or something about the node cannot be.
///
/// # Cancel safety
///
/// If the future is dropped, the socket is closed, and nothing was started.
pub async fn drive<R, M>(builder: Builder<R, M>) -> Result<(Drive, Handle<M>, Events), StartError> {
    let (driver, handle, events) = Driver::<Sockets>::open(builder).await?;
    Ok((Box::pin(driver.run()), handle, events))
}

/// Marks a [`Builder`] whose node is driven by whatever the program gives its [`Drive`] to.
#[derive(Debug)]
pub enum AnyExecutor {}

/// Nodes that are driven by a task of smol's own executor.
#[cfg(feature = "spawn")]
#[derive(Debug)]
pub enum Smol {}

#[cfg(feature = "spawn")]
impl Runtime for Smol {
    /// To be awaited anywhere: smol starts itself.
    type Start<M: 'static> = Pin<Box<dyn Future<Output = Result<(Handle<M>, Events), StartError>> + Send>>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        Box::pin(async {
            let (drive, handle, events) = drive(builder).await?;
            smol::spawn(drive).detach();
            Ok((handle, events))
        })
    }
}
