//! The admin port: HTTP and JSON, for the other commands and for programs.
//!
//! Whoever reaches it may do everything, so it listens on loopback only, and refuses what a page in this machine's
//! browser could send: requests for another host name (DNS rebinding), and such as have an origin.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gossip_tokio::{Handle, SetStateError, Stopped};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::model::{EndpointModel, ErrorResponse, NodeModel, SetRequest, SetResponse, StopResponse};
use crate::names::{Names, unknown};
use crate::run::{is_identity, local_generation};

/// What the handlers know.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) handle: Handle,
    pub(crate) names: Names,
    pub(crate) cluster: String,
    pub(crate) host_id: Uuid,
    pub(crate) interval: Duration,
    /// The port that is listened on.
    pub(crate) port: u16,
    /// Told when the node shall stop.
    pub(crate) stop: Arc<Notify>,
}

/// Answers on `listener`; from `end` on only the answers that are under way.
pub(crate) async fn serve(listener: TcpListener, admin: Admin, end: Arc<Notify>) {
    let admin = Arc::new(admin);
    let router = Router::new()
        .route("/v1/endpoints", get(endpoints))
        .route("/v1/node", get(node))
        .route("/v1/states", post(set_state))
        .route("/v1/stop", post(stop))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is no such path") })
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "the path does not have this method")
        })
        .layer(middleware::from_fn_with_state(admin.clone(), check_host))
        .with_state(admin);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { end.notified().await });
    if let Err(error) = served.await {
        tracing::error!("the admin port failed: {error}");
    }
}

async fn check_host(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    match reason_to_refuse(request.headers(), admin.port) {
        Some(reason) => refusal(StatusCode::FORBIDDEN, reason),
        None => next.run(request).await,
    }
}

fn reason_to_refuse(headers: &HeaderMap, port: u16) -> Option<&'static str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_own_host(host, port)) {
        Some("the Host header does not name this admin port")
    } else if headers.contains_key(header::ORIGIN) {
        Some("web pages may not ask")
    } else {
        None
    }
}

/// Whether `host` names this machine from within, and our port.
fn is_own_host(host: &str, port: u16) -> bool {
    let (name, named_port) = match host.rsplit_once(':') {
        Some((name, digits)) if !digits.ends_with(']') => (name, digits.parse().ok()),
        _ => (host, Some(80)),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_loopback = bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    named_port == Some(port) && (is_loopback || name.eq_ignore_ascii_case("localhost"))
}

async fn endpoints(State(admin): State<Arc<Admin>>) -> Response {
    match admin.handle.endpoints().await {
        Ok(endpoints) => {
            let models: Vec<_> =
                endpoints.iter().map(|info| EndpointModel::new(info, &admin.names)).collect();
            Json(models).into_response()
        }
        Err(Stopped) => stopped(),
    }
}

async fn node(State(admin): State<Arc<Admin>>) -> Response {
    let Some(generation) = local_generation(&admin.handle).await else { return stopped() };
    Json(NodeModel {
        endpoint: admin.handle.local_endpoint().into(),
        cluster: admin.cluster.clone(),
        listen: admin.handle.listen_address(),
        generation: generation.get(),
        host_id: admin.host_id.to_string(),
        interval_ms: u64::try_from(admin.interval.as_millis()).unwrap_or(u64::MAX),
        version: env!("CARGO_PKG_VERSION").into(),
    })
    .into_response()
}

async fn set_state(
    State(admin): State<Arc<Admin>>,
    request: Result<Json<SetRequest>, JsonRejection>,
) -> Response {
    let Json(SetRequest { key: text, value }) = match request {
        Ok(request) => request,
        Err(error) => return refusal(error.status(), &error.body_text()),
    };
    let Some(key) = admin.names.find(&text) else {
        return refusal(StatusCode::BAD_REQUEST, &unknown(&text));
    };
    if is_identity(key) {
        let why = format!("{key} says who the node is and is its own to change");
        return refusal(StatusCode::CONFLICT, &why);
    }
    match admin.handle.set_state(key, value).await {
        Ok(version) => {
            let name = admin.names.name(key);
            Json(SetResponse { key: key.number(), name, version: version.get() }).into_response()
        }
        Err(SetStateError::Refused(error)) => {
            let why = format!("{} cannot be set: {error}", admin.names.name(key));
            refusal(StatusCode::UNPROCESSABLE_ENTITY, &why)
        }
        Err(_) => stopped(),
    }
}

async fn stop(State(admin): State<Arc<Admin>>) -> Response {
    admin.stop.notify_one();
    let endpoint = admin.handle.local_endpoint().into();
    Json(StopResponse { stopping: true, endpoint }).into_response()
}

fn stopped() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the node has stopped")
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, Json(ErrorResponse { error: error.into() })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for host in ["127.0.0.1:7079", "127.0.0.2:7079", "localhost:7079", "LOCALHOST:7079", "[::1]:7079"] {
            assert!(is_own_host(host, 7079), "{host}");
        }
        for host in [
            "",
            "127.0.0.1",
            "127.0.0.1:7078",
            "localhost",
            "evil.example:7079",
            "127.0.0.1.evil.example:7079",
            "localhost.:7079",
            "10.0.0.1:7079",
            "[::1]",
            "::1",
            "127.0.0.1:7079:7079",
        ] {
            assert!(!is_own_host(host, 7079), "{host}");
        }
        assert!(is_own_host("localhost", 80) && is_own_host("[::1]", 80));
    }
}
