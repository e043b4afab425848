//! The page: the cluster live in a browser. One file of HTML, style and script, and a stream of server-sent events.
//!
//! An open page is sent the whole view first, then every half second the changes since the frame before. Nothing is buffered for a browser
//! that reads slowly: it gets fewer and later frames. If it missed changes that the next frame does not have, it gets the whole view again.

mod frame;
mod history;
mod views;

use core::convert::Infallible;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gossip_adapter::Endpoint;
use tokio::time::{Interval, MissedTickBehavior, interval};
use uuid::Uuid;

use self::frame::{Look, Member, Told};
use self::history::History;
pub(crate) use self::views::{Matrix, Views};
use super::Observed;

/// Where the page is.
pub(crate) const PAGE_PATH: &str = "/";

/// All of the page.
const HTML: &str = include_str!("page/page.html");
/// What stands in it for the nonce of its content security policy.
const NONCE: &str = "{nonce}";
/// How often a page gets what has changed. Longer than answers are reused, so that each frame is a new look.
const EVERY: Duration = Duration::from_millis(550);
/// A comment is sent when nothing has changed for so long: it shows either side whether the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// From which phi on members are convicted, if nothing else is said.
const PHI: f64 = 8.0;

/// What all open pages share.
#[derive(Debug)]
pub(crate) struct Page {
    phi: f64,
    history: OnceLock<Arc<History>>,
    /// The members as of the last look.
    members: std::sync::Mutex<Arc<BTreeMap<Endpoint, Arc<Member>>>>,
    views: Views,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            phi: PHI,
            history: OnceLock::new(),
            members: std::sync::Mutex::default(),
            views: Views::default(),
        }
    }
}

impl Page {
    pub(super) fn phi_convict_threshold(mut self, phi: f64) -> Self {
        self.phi = phi;
        self
    }
}

impl Observed {
    /// The views of several members, which the page shows beside each other.
    pub(crate) fn views(&self) -> &Views {
        &self.page.views
    }

    /// What happens from now on is kept for pages that are opened later. Without, that begins when the first one is opened.
    pub(crate) fn keep_history(&self) -> Option<Arc<History>> {
        let node = self.node.get()?;
        Some(self.page.history.get_or_init(|| History::begin(&node.handle)).clone())
    }

    /// What is shown now, if there is a node, and it runs.
    async fn look(&self) -> Option<Look> {
        let (node, cache) = self.refreshed().await?;
        let (known, pulses) = (node.metrics.known()?, node.metrics.pulses());
        let is_settled = node.metrics.is_settled();
        drop(cache);
        let before = self.members().clone();
        let look = Look::new(&known, pulses, is_settled, &before);
        *self.members() = look.members.clone();
        Some(look)
    }

    fn members(&self) -> std::sync::MutexGuard<'_, Arc<BTreeMap<Endpoint, Arc<Member>>>> {
        self.page.members.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The page itself. It says nothing of the cluster.
pub(super) async fn html() -> Response {
    let nonce = Uuid::new_v4().simple().to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let mut response = (headers, HTML.replace(NONCE, &nonce)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// What the page shows, and what changes of it, for as long as the browser reads.
pub(super) async fn events(State(observed): State<Arc<Observed>>) -> Response {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let open = observed.page.views.watch();
    let watcher = Watcher { observed, ticks, told: Told::default(), has_ended: false, _open: open };
    let frames = stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let stream = Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // A proxy must not hold it back.
    (
        [(header::CACHE_CONTROL, "no-store"), (header::HeaderName::from_static("x-accel-buffering"), "no")],
        stream,
    )
        .into_response()
}

/// One open page.
struct Watcher {
    observed: Arc<Observed>,
    ticks: Interval,
    told: Told,
    has_ended: bool,
    _open: views::Open,
}

impl Watcher {
    /// What the page gets next; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        if self.has_ended {
            return None;
        }
        loop {
            self.ticks.tick().await;
            let Some(look) = self.observed.look().await else {
                self.has_ended = self.observed.node.get().is_some();
                if let Some(text) = self.told.without_a_node(&self.observed.cluster, self.has_ended) {
                    return Some(Event::default().event("waiting").data(text));
                }
                continue;
            };
            let history = self.observed.keep_history()?;
            let (observed, mut told) = (self.observed.clone(), core::mem::take(&mut self.told));
            // Megabytes may have to be written, for which gossip should not wait.
            let written = tokio::task::spawn_blocking(move || {
                let page = &observed.page;
                let frame = told.frame(&observed.cluster, page.phi, &look, &history, page.views.latest());
                (told, frame)
            });
            let (told, frame) = written.await.ok()?;
            self.told = told;
            if let Some((kind, text)) = frame {
                return Some(Event::default().event(kind).data(text));
            }
        }
    }
}
