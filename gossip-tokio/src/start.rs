//! Starting a node.

use std::pin::Pin;

use gossip_adapter::{Builder, Events, Handle, Runtime, StartError, Transport};
use tokio::net::{TcpListener, UdpSocket};

use crate::driver::{Driver, Front};

/// Nodes that are driven by a task of tokio.
#[derive(Debug)]
pub enum Tokio {}

impl Runtime for Tokio {
    /// To be awaited in a tokio runtime with its network and time drivers enabled; elsewhere it panics.
    type Start<M: 'static> = Pin<Box<dyn Future<Output = Result<(Handle<M>, Events), StartError>> + Send>>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        Box::pin(start(builder))
    }
}

async fn start<M>(builder: Builder<Tokio, M>) -> Result<(Handle<M>, Events), StartError> {
    let address = builder.listen_on()?;
    let bind = |error| StartError::Bind { address, error };
    let front = match builder.chosen_transport() {
        Transport::Datagram => Front::Packets(UdpSocket::bind(address).await.map_err(bind)?),
        _ => Front::Connections(TcpListener::bind(address).await.map_err(bind)?),
    };
    let prepared = builder.prepare(front.local_addr().map_err(bind)?)?;
    let (driver, handle, events) = Driver::new(prepared, front);
    tokio::spawn(driver.run());
    Ok((handle, events))
}
