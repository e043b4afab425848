//! Who may use the admin port.
//!
//! Every client that reaches it may do everything, so it listens on loopback only, or requires a token. What a page in this
//! machine's browser could send is refused in any case: requests for another host name (DNS rebinding), and such as have
//! an origin.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Admin;
use crate::observe::PAGE_PATH;
use crate::server::refusal;
use crate::token::Token;

pub(super) async fn check(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if let Some(reason) = reason_to_refuse(request.headers(), admin.address) {
        return refusal(StatusCode::FORBIDDEN, reason);
    }
    // The page itself says nothing of the cluster. It asks for the token, and sends it along when it asks for events.
    let is_page = request.uri().path() == PAGE_PATH;
    if let Some(token) = &admin.token
        && !is_page
        && !knows(request.headers(), token)
    {
        let why = if request.headers().contains_key(header::AUTHORIZATION) {
            "the token is not that of this admin port (--token-file or GOSSIP_TOKEN must hold what the node's \
             --admin-token-file held at its start)"
        } else {
            "this admin port wants a token (name the file that holds it with --token-file, or put it into \
             GOSSIP_TOKEN)"
        };
        let mut refused = refusal(StatusCode::UNAUTHORIZED, why);
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused;
    }
    next.run(request).await
}

fn knows(headers: &HeaderMap, token: &Token) -> bool {
    token.is_known_by(headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes))
}

fn reason_to_refuse(headers: &HeaderMap, own: SocketAddr) -> Option<&'static str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_own_host(host, own)) {
        Some("the Host header does not name this admin port (name it by its IP address and port)")
    } else if headers.contains_key(header::ORIGIN) {
        Some("web pages may not ask")
    } else {
        None
    }
}

/// Whether `host` names what we listen on, as seen from where that can be reached, and our port. No name but localhost
/// does: whose it is, others decide.
fn is_own_host(host: &str, own: SocketAddr) -> bool {
    let (name, named_port) = match host.rsplit_once(':') {
        Some((name, digits)) if !digits.ends_with(']') => (name, digits.parse().ok()),
        _ => (host, Some(80)),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_own_ip = |ip: IpAddr| {
        // One of IPv4 may be written as IPv6.
        let ip = ip.to_canonical();
        ip.is_loopback() || ip == own.ip().to_canonical() || own.ip().is_unspecified()
    };
    let is_own_name = bare.parse().is_ok_and(is_own_ip) || name.eq_ignore_ascii_case("localhost");
    named_port == Some(own.port()) && is_own_name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn where_others_can_reach_us_our_address_is_our_own() {
        let own = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(is_own_host("10.0.0.1:7079", own("10.0.0.1:7079")));
        assert!(!is_own_host("10.0.0.2:7079", own("10.0.0.1:7079")));
        assert!(is_own_host("10.0.0.2:7079", own("0.0.0.0:7079")));
        assert!(!is_own_host("evil.example:7079", own("0.0.0.0:7079")));
    }

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for host in [
            "127.0.0.1:7079",
            "127.0.0.2:7079",
            "localhost:7079",
            "LOCALHOST:7079",
            "[::1]:7079",
            "[::ffff:127.0.0.1]:7079",
        ] {
            assert!(is_own_host(host, own(7079)), "{host}");
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
            assert!(!is_own_host(host, own(7079)), "{host}");
        }
        assert!(is_own_host("localhost", own(80)) && is_own_host("[::1]", own(80)));
    }
}
