//! Starting a node.

use std::net::{TcpListener, UdpSocket};
use std::pin::Pin;

use async_io::Async;
use gossip_adapter::{Builder, Events, Handle, Runtime, StartError, Transport};

use crate::driver::{Driver, Front};

/// Nodes that are driven by a task of async-std.
#[derive(Debug)]
pub enum AsyncStd {}

impl Runtime for AsyncStd {
    /// To be awaited anywhere: async-std starts itself.
    type Start<M: 'static> = Pin<Box<dyn Future<Output = Result<(Handle<M>, Events), StartError>> + Send>>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        Box::pin(async { start(builder) })
    }
}

fn start<M>(builder: Builder<AsyncStd, M>) -> Result<(Handle<M>, Events), StartError> {
    let address = builder.listen_on()?;
    let bind = |error| StartError::Bind { address, error };
    let front = match builder.chosen_transport() {
        Transport::Datagram => Front::Packets(Async::<UdpSocket>::bind(address).map_err(bind)?),
        _ => Front::Connections(Async::<TcpListener>::bind(address).map_err(bind)?),
    };
    let prepared = builder.prepare(front.local_addr().map_err(bind)?)?;
    let (driver, handle, events) = Driver::new(prepared, front);
    async_std::task::spawn(driver.run());
    Ok((handle, events))
}
