//! What is done when the node leaves its cluster.

use core::time::Duration;

use std::sync::Arc;

use gossip_adapter::{Common, EndpointInfo, Handle, StatusKind};
use tokio::sync::Notify;

use super::store::SharedStore;

/// Once the node is `leaving`, waits until it has announced that it has left, and stores that at once: a start after a
/// crash must not bring it back. Returns, when the node has stopped, whether it has left.
pub(crate) async fn follow(
    handle: Handle<Common>,
    leaving: Arc<Notify>,
    store: Option<SharedStore>,
    interval: Duration,
) -> bool {
    tokio::select! {
        () = leaving.notified() => {}
        _ = handle.stopped() => return false,
    }
    let mut has_left = false;
    // That it has left is announced for several intervals.
    while let Ok(endpoints) = handle.endpoints().await {
        let is_left = |info: &EndpointInfo| info.is_local && info.status == StatusKind::Left;
        if !has_left && endpoints.iter().any(is_left) {
            has_left = true;
            if let Some(store) = store.clone() {
                store.save_left().await;
            }
        }
        tokio::time::sleep(interval).await;
    }
    has_left
}
