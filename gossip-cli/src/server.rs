//! The connections of the admin port: how many there may be, and how long each may take for what.
//!
//! Each of them takes a file descriptor, which gossip needs as well. So there is a limit, the connection that is longest without a request
//! makes room for the next, and nothing that a client has to do may take for ever.

use core::convert::Infallible;
use core::future::Future;
use core::pin::pin;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use gossip_adapter::{ACCEPT_PAUSE, Rarely};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use crate::model::ErrorResponse;

/// Where changes are streamed.
pub(crate) const WATCH_PATH: &str = "/v1/watch";
/// Where the page gets what changes.
pub(crate) const EVENTS_PATH: &str = "/events";

/// How many connections there may be beside those that watch.
const MAX_CONNECTIONS: usize = 64;
/// How many connections may watch.
const MAX_WATCHERS: usize = 64;
/// The time between two log lines about too many connections, or about connections that cannot be accepted.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
struct TimeLimits {
    /// To send the head of a request, from its start or from its last answer on.
    idle: Duration,
    /// To be answered, the body of the request included.
    request: Duration,
    /// To take something of its answer.
    write: Duration,
}

const TIME_LIMITS: TimeLimits = TimeLimits {
    idle: Duration::from_secs(10),
    request: Duration::from_secs(60),
    write: Duration::from_secs(30),
};

/// Answers on `listener`; from `end` on only the answers that are under way.
pub(crate) async fn serve(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    end: impl Future<Output = ()>,
) {
    serve_within(name, listener, router, end, TIME_LIMITS).await;
}

async fn serve_within(
    name: &'static str,
    listener: TcpListener,
    router: Router,
    end: impl Future<Output = ()>,
    limits: TimeLimits,
) {
    let mut end = pin!(end);
    let connections = Connections::default();
    let mut tasks = JoinSet::new();
    let (mut failed, mut refused) = (Rarely::every(WARN_EVERY), Rarely::every(WARN_EVERY));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            () = &mut end => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if let Some(count) = failed.happened() {
                    tracing::warn!("the {name} cannot accept connections ({count} times): {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let admission = connections.admit();
        if !matches!(admission, Admission::Free(_))
            && let Some(count) = refused.happened()
        {
            tracing::warn!(
                "more than {MAX_CONNECTIONS} connections to the {name}: {count} of them closed (the one that was \
                 idle for longest, or the new one where none is idle)"
            );
        }
        if let Admission::Free(place) | Admission::InsteadOfAnother(place) = admission {
            tasks.spawn(converse(stream, router.clone(), place, limits));
        }
    }
    drop(listener);
    connections.end();
    while tasks.join_next().await.is_some() {}
}

/// One connection, to its end.
async fn converse(stream: TcpStream, router: Router, place: Place, limits: TimeLimits) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let router = TowerToHyperService::new(router);
    let (ending, closing) = (place.ending.clone(), place.closing.clone());
    let place = Arc::new(place);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, place) = (router.clone(), place.clone());
        async move { Ok::<_, Infallible>(answer(request, router, &place, limits.request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // Whatever breaks a connection concerns its client alone.
        _ = &mut connection => {}
        () = closing.notified() => {}
        () = ending.notified() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    router: TowerToHyperService<Router>,
    place: &Place,
    patience: Duration,
) -> Response {
    let is_watch = matches!(request.uri().path(), WATCH_PATH | EVENTS_PATH);
    if !place.begin(is_watch) {
        let why = format!("{MAX_WATCHERS} clients watch already (end one of them)");
        return refusal(StatusCode::SERVICE_UNAVAILABLE, &why);
    }
    let response = match tokio::time::timeout(patience, router.call(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => refusal(StatusCode::REQUEST_TIMEOUT, "the request took too long (try again)"),
    };
    // The answer to `watch` has no end.
    if !(is_watch && response.status().is_success()) {
        place.done();
    }
    response
}

/// All that are open.
#[derive(Clone, Default)]
struct Connections(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    open: BTreeMap<u64, Open>,
}

struct Open {
    doing: Doing,
    ending: Arc<Notify>,
    closing: Arc<Notify>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Doing {
    Nothing { since: Instant },
    Request,
    Watching,
}

/// What becomes of a new connection.
enum Admission {
    Free(Place),
    /// Another one had nothing to do, and is closed.
    InsteadOfAnother(Place),
    Refused,
}

impl Connections {
    fn admit(&self) -> Admission {
        let mut state = self.lock();
        let taken = state.open.values().filter(|open| open.doing != Doing::Watching).count();
        let mut is_free = true;
        if taken >= MAX_CONNECTIONS {
            let idle = state.open.iter().filter_map(|(number, open)| match open.doing {
                Doing::Nothing { since } => Some((since, *number)),
                _ => None,
            });
            let Some((_, longest)) = idle.min() else { return Admission::Refused };
            if let Some(open) = state.open.remove(&longest) {
                open.closing.notify_one();
            }
            is_free = false;
        }
        let number = state.next;
        state.next += 1;
        let (ending, closing) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let doing = Doing::Nothing { since: Instant::now() };
        state.open.insert(number, Open { doing, ending: ending.clone(), closing: closing.clone() });
        drop(state);
        let place = Place { number, connections: self.clone(), ending, closing };
        if is_free { Admission::Free(place) } else { Admission::InsteadOfAnother(place) }
    }

    /// Ends each once its answer is given.
    fn end(&self) {
        self.lock().open.values().for_each(|open| open.ending.notify_one());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection among all, until it is dropped.
struct Place {
    number: u64,
    connections: Connections,
    /// Notified when nothing more is to be answered.
    ending: Arc<Notify>,
    /// Notified when the connection has to make room for another.
    closing: Arc<Notify>,
}

impl Place {
    /// Notes a request; says whether it may be answered.
    fn begin(&self, is_watch: bool) -> bool {
        let mut state = self.connections.lock();
        let watchers = state.open.values().filter(|open| open.doing == Doing::Watching).count();
        if is_watch && watchers >= MAX_WATCHERS {
            return false;
        }
        if let Some(open) = state.open.get_mut(&self.number) {
            open.doing = if is_watch { Doing::Watching } else { Doing::Request };
        }
        true
    }

    /// Notes that a request is answered.
    fn done(&self) {
        if let Some(open) = self.connections.lock().open.get_mut(&self.number) {
            open.doing = Doing::Nothing { since: Instant::now() };
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.number);
    }
}

/// A refusal, as the answer to a request.
pub(crate) fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(ErrorResponse { error: error.into() })).into_response()
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

    use super::*;

    fn admitted(connections: &Connections) -> Place {
        match connections.admit() {
            Admission::Free(place) => place,
            _ => panic!("there is room"),
        }
    }

    const LONG: Duration = Duration::from_secs(120);
    const SHORT: Duration = Duration::from_millis(50);
    const NO_LIMITS: TimeLimits = TimeLimits { idle: LONG, request: LONG, write: LONG };

    /// Serves until `end` is notified, dials, and sends a request.
    async fn serve_and_dial(
        router: Router,
        end: Arc<Notify>,
        limits: TimeLimits,
        request: &str,
    ) -> (tokio::task::JoinHandle<()>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server =
            serve_within("admin port", listener, router, async move { end.notified().await }, limits);
        let server = tokio::spawn(server);
        let client = TcpStream::connect(address).await.unwrap();
        client.writable().await.unwrap();
        assert_eq!(client.try_write(request.as_bytes()).unwrap(), request.len());
        (server, client)
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_refused() {
        let router = Router::new()
            .route("/", get(std::future::pending::<()>))
            .route("/body", post(|_: axum::body::Bytes| async {}));
        // One is never answered, the other is not sent to its end.
        for request in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /body HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf",
        ] {
            let limits = TimeLimits { request: SHORT, ..NO_LIMITS };
            let (_, client) = serve_and_dial(router.clone(), Arc::default(), limits, request).await;
            let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
            while answer.len() < 12 {
                client.readable().await.unwrap();
                if let Ok(count) = client.try_read(&mut buffer) {
                    assert!(count > 0, "{request}: hung up on after {answer:?}");
                    answer.extend_from_slice(&buffer[..count]);
                }
            }
            assert!(answer.starts_with(b"HTTP/1.1 408"), "{request}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_its_answer_is_hung_up_on() {
        let (asked, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let told = asked.clone();
        let large = move || {
            told.notify_one();
            async { vec![b'x'; 64 << 20] }
        };
        let limits = TimeLimits { write: SHORT, ..NO_LIMITS };
        let router = Router::new().route("/", get(large));
        let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let (server, client) = serve_and_dial(router, end.clone(), limits, request).await;
        asked.notified().await;
        // It ends with its last answer, which is not read.
        end.notify_one();
        tokio::time::timeout(LONG, server).await.expect("nothing is waited for").unwrap();
        drop(client);
    }

    #[tokio::test]
    async fn the_longest_idle_connection_makes_room() {
        let connections = Connections::default();
        let places: Vec<_> = (0..MAX_CONNECTIONS).map(|_| admitted(&connections)).collect();
        assert!(places[0].begin(false));
        places[0].done();
        // The first was busy last; the second is idle for longest now.
        let Admission::InsteadOfAnother(newest) = connections.admit() else { panic!("one makes room") };
        places[1].closing.notified().await;
        assert!(places.iter().all(|place| place.begin(false)) && newest.begin(false));
        assert!(matches!(connections.admit(), Admission::Refused), "all have something to do");
        assert!(places[2].begin(true), "who watches does not count");
        let free = admitted(&connections);
        drop((newest, free));
        assert!(matches!(connections.admit(), Admission::Free(_)));
    }

    #[test]
    fn not_everybody_may_watch() {
        let connections = Connections::default();
        let watching: Vec<_> = (0..MAX_WATCHERS)
            .map(|_| {
                let place = admitted(&connections);
                assert!(place.begin(true));
                place
            })
            .collect();
        let late = admitted(&connections);
        assert!(!late.begin(true) && late.begin(false));
        drop(watching);
        assert!(late.begin(true));
    }
}
