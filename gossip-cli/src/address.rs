//! Addresses and durations as the command line has them.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::net::ToSocketAddrs;

use crate::failure::Failure;

/// The port of Cassandra's internode connections.
pub(crate) const GOSSIP_PORT: u16 = 7000;
/// The port of our admin interface.
pub(crate) const ADMIN_PORT: u16 = 7079;
/// [`ADMIN_PORT`] on this machine: the default of every client command.
pub(crate) const ADMIN: &str = "127.0.0.1:7079";

/// Why a text stands for no address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unresolved {
    /// In a line, and what would be one.
    pub(crate) error: String,
    /// It is a name, and may have an address later.
    pub(crate) may_come: bool,
}

impl Unresolved {
    /// A text that never stands for an address.
    pub(crate) const fn for_good(error: String) -> Self {
        Self { error, may_come: false }
    }
}

/// What a text is before names are looked up.
enum Written<'a> {
    Address(SocketAddr),
    Name(&'a str, u16),
}

fn written(text: &str, default_port: u16) -> Result<Written<'_>, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Written::Address(address));
    }
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(ip) = bracketed.and_then(|text| text.parse::<Ipv6Addr>().ok()) {
        return Ok(Written::Address(SocketAddr::new(ip.into(), default_port)));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Written::Address(SocketAddr::new(ip, default_port)));
    }
    let malformed = || format!("'{text}' is no address (write ADDR:PORT, such as 127.0.0.1:{default_port})");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| malformed())?),
        None => (text, default_port),
    };
    if !is_host_name(host) {
        return Err(malformed());
    }
    Ok(Written::Name(host, port))
}

/// Checks that `text` is an IP address, which is returned, or could be a host name.
///
/// # Errors
///
/// That it is neither.
pub(crate) fn check_syntax(text: &str, default_port: u16) -> Result<Option<SocketAddr>, String> {
    match written(text, default_port)? {
        Written::Address(address) => Ok(Some(address)),
        Written::Name(..) => Ok(None),
    }
}

/// The addresses that `text` stands for: an IP address or a host name, with or without a port.
///
/// # Errors
///
/// Why it stands for none now, and whether it may later.
pub(crate) fn resolve(text: &str, default_port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
    let (host, port) = match written(text, default_port).map_err(Unresolved::for_good)? {
        Written::Address(address) => return Ok(vec![address]),
        Written::Name(host, port) => (host, port),
    };
    let may_come = |error| Unresolved { error, may_come: true };
    match (host, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => {
            Err(may_come(format!("the host name '{host}' has no address (check it, or write an IP address)")))
        }
        Err(error) => Err(may_come(format!(
            "the host name '{host}' cannot be resolved: {error} (check it, or write an IP address)"
        ))),
    }
}

/// Refuses an address at which no node can be reached.
///
/// # Errors
///
/// `address` is every address of a machine, or has no port.
pub(crate) fn reachable(address: SocketAddr) -> Result<SocketAddr, String> {
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(format!("no node can be reached at {address} (name one address, and its port)"));
    }
    Ok(address)
}

/// The first address that `text` stands for, IPv4 before IPv6. `option` is what it was given with, and may be empty.
///
/// # Errors
///
/// Misuse, if it is no address and no name. A name that has no address now may be right: that is a failure.
pub(crate) fn resolve_one(option: &str, text: &str, default_port: u16) -> Result<SocketAddr, Failure> {
    let said = |error: String| if option.is_empty() { error } else { format!("{option}: {error}") };
    let addresses = resolve(text, default_port).map_err(|Unresolved { error, may_come }| match may_come {
        true => Failure::failed(said(error)),
        false => Failure::misuse(said(error)),
    })?;
    let ipv4 = addresses.iter().find(|address| address.is_ipv4());
    let first = ipv4.or(addresses.first()).copied();
    first.ok_or_else(|| Failure::failed(said(format!("'{text}' has no address"))))
}

/// Whether `host` could be a host name. Digits and dots alone are a mistyped IPv4 address: no top-level domain is a
/// number.
fn is_host_name(host: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !host.is_empty()
        && !host.starts_with(['.', '-'])
        && host.chars().all(is_word)
        && !host.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// A gossip interval such as `1s`, `200ms` or `1.5s`.
///
/// # Errors
///
/// How to write one, or in which bounds.
pub(crate) fn parse_interval(text: &str) -> Result<Duration, String> {
    let duration = duration(text).filter(|_| !text.ends_with(['h', 'd']));
    let duration = duration.ok_or_else(|| format!("'{text}' is no duration (write 1s or 200ms)"))?;
    if !(Duration::from_millis(10)..=Duration::from_secs(600)).contains(&duration) {
        return Err(format!(
            "an interval of {text} is out of bounds (10ms to 10m; Cassandra gossips every 1s)"
        ));
    }
    Ok(duration)
}

/// How long to wait, such as `90s`, `12h` or `3d`.
///
/// # Errors
///
/// How to write one, or in which bounds.
pub(crate) fn parse_patience(text: &str) -> Result<Duration, String> {
    let duration = duration(text).ok_or_else(|| format!("'{text}' is no duration (write 90s, 12h or 3d)"))?;
    if !(Duration::from_millis(10)..=Duration::from_hours(24 * 366)).contains(&duration) {
        return Err(format!("{text} is out of bounds (10ms to 366d)"));
    }
    Ok(duration)
}

/// A number and its unit.
fn duration(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(number.len()..)? {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

/// An interval as people write it.
pub(crate) fn show_interval(interval: Duration) -> String {
    if interval.subsec_millis() == 0 {
        format!("{} s", interval.as_secs())
    } else if interval < Duration::from_secs(1) {
        format!("{} ms", interval.as_millis())
    } else {
        format!("{} s", interval.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_port() {
        for (text, address) in [
            ("10.0.0.1", "10.0.0.1:7000"),
            ("10.0.0.1:7001", "10.0.0.1:7001"),
            ("::1", "[::1]:7000"),
            ("[::1]", "[::1]:7000"),
            ("[::1]:7", "[::1]:7"),
            ("0.0.0.0", "0.0.0.0:7000"),
            (" 10.0.0.2:7001\t", "10.0.0.2:7001"),
        ] {
            assert_eq!(resolve(text, GOSSIP_PORT), Ok(vec![address.parse().unwrap()]), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_said_in_one_line() {
        for text in
            ["", "10.0.0.256", "10.0.0.1:", "10.0.0.1:70000", "a b:1", ":7000", "[::1", "1.2.3:9", "-x:1"]
        {
            let Unresolved { error, may_come } = resolve(text, GOSSIP_PORT).unwrap_err();
            assert!(error.contains("is no address") && error.lines().count() == 1, "{text}: {error}");
            assert!(
                !may_come && matches!(resolve_one("", text, GOSSIP_PORT), Err(Failure::Misuse(_))),
                "{text}"
            );
        }
        // RFC 6761: no name under this has an address, which another name may have tomorrow.
        let Err(Failure::Failed(error)) = resolve_one("--seed", "nobody.invalid", GOSSIP_PORT) else {
            panic!("it has none")
        };
        assert!(error.starts_with("--seed: the host name 'nobody.invalid'"), "{error}");
    }

    #[test]
    fn intervals() {
        for (text, millis) in [("1s", 1_000), ("200ms", 200), ("1.5s", 1_500), ("1m", 60_000)] {
            assert_eq!(parse_interval(text), Ok(Duration::from_millis(millis)));
        }
        for text in ["", "1", "s", "-1s", "1h", "0s", "1ms", "9m9", "11m", "infs", "nans"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
        assert_eq!(parse_patience("3d"), Ok(Duration::from_hours(72)));
        for text in ["", "3", "d", "-1d", "1w", "367d", "0s"] {
            assert!(parse_patience(text).is_err(), "{text}");
        }
        assert_eq!(show_interval(Duration::from_secs(1)), "1 s");
        assert_eq!(show_interval(Duration::from_millis(200)), "200 ms");
        assert_eq!(show_interval(Duration::from_millis(1_500)), "1.5 s");
    }
}
