//! Looking after the files of TLS while the node runs.

use core::time::Duration;

use gossip_adapter::{Common, Handle};

use crate::admin::reload_tls;
use crate::tls::TlsSource;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Has the node use the files again whenever they have changed and have stayed so for a moment: a file may be half written.
pub(super) async fn follow(source: TlsSource, handle: Handle<Common>) {
    let stamp = || {
        let source = source.clone();
        async move { tokio::task::spawn_blocking(move || source.stamp()).await.unwrap_or_default() }
    };
    let (mut used, mut seen) = (source.first_stamp(), None);
    let ended = handle.stopped();
    let mut ended = core::pin::pin!(ended);
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = &mut ended => return,
        }
        let now = stamp().await;
        if now == used {
            seen = None;
        } else if seen.as_ref() == Some(&now) {
            tracing::info!("the files of TLS have changed: reading them again");
            // What is wrong with them is in the log, and not read again before they change.
            let _ = reload_tls(source.clone(), &handle).await;
            (used, seen) = (now, None);
        } else {
            seen = Some(now);
        }
    }
}
