//! The stream of changes: JSON, one line each, for as long as it is read.

use core::convert::Infallible;
use core::time::Duration;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::{Admin, stopped};
use crate::changes::Changes;
use crate::model::WatchModel;

/// An empty line is sent when nothing has changed for so long: it shows either side whether the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(super) async fn watch(State(admin): State<Arc<Admin>>) -> Response {
    if admin.handle.phase().await.is_err() {
        return stopped();
    }
    let changes = Changes::new(admin.handle.clone(), admin.names.clone());
    // Tells the reader that from now on nothing is missed.
    let first = WatchModel::new("watching", Some(admin.handle.local_endpoint())).line();
    let lines = stream::unfold((Some(first), changes), |(first, mut changes)| async {
        let lines = match first {
            Some(first) => first,
            None => {
                let models = changes.next(KEEP_ALIVE).await?;
                let lines: String = models.iter().map(WatchModel::line).collect();
                // Nothing of it was worth a line: an empty one does no harm.
                if lines.is_empty() { "\n".into() } else { lines }
            }
        };
        Some((Ok::<_, Infallible>(lines), (None, changes)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
