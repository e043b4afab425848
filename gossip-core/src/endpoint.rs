//! The identity of an endpoint: an address and a port.

use core::cmp::Ordering;
use core::fmt;
use core::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// The address and port under which a process gossips: its identity (`docs/protocol/connections.md#ports-and-addresses`).
///
/// Ordered as Cassandra orders addresses: byte by byte, where one is a prefix of the other the shorter first, and by port last.
/// An IPv4 address mapped into IPv6 becomes the IPv4 address here, once; scopes are dropped.
///
/// Kept as whole numbers: an address of bytes, put together byte by byte and copied, costs the hot path more than its look-up.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Endpoint {
    /// The second half of an IPv6 address; an IPv4 address and its port, in 48 bits, as they follow each other on the wire.
    low: u64,
    /// The first half of an IPv6 address; 0 for IPv4.
    high: u64,
    /// The port of an IPv6 address; 0 for IPv4.
    port: u16,
    is_v6: bool,
}

/// How many bits a port has.
const PORT_BITS: u32 = 16;

impl Endpoint {
    /// The endpoint with this address and port.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::v4(ip.octets(), port),
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                let [high, low] = halves(bits);
                Self { high, low, port, is_v6: true }
            }
        }
    }

    /// The IPv4 endpoint with these octets and this port.
    #[inline]
    pub const fn v4(octets: [u8; 4], port: u16) -> Self {
        Self::from_packed_v4((u32::from_be_bytes(octets) as u64) << PORT_BITS | port as u64)
    }

    /// The IPv4 endpoint whose address and port stand in these 48 bits.
    #[inline]
    pub(crate) const fn from_packed_v4(packed: u64) -> Self {
        Self { low: packed, high: 0, port: 0, is_v6: false }
    }

    /// The IPv6 endpoint with these octets and this port; a mapped IPv4 address becomes IPv4.
    pub const fn v6(octets: [u8; 16], port: u16) -> Self {
        Self::new(IpAddr::V6(Ipv6Addr::from_octets(octets)), port)
    }

    /// The address.
    pub const fn ip(self) -> IpAddr {
        if self.is_v6 {
            IpAddr::V6(Ipv6Addr::from_bits((self.high as u128) << 64 | self.low as u128))
        } else {
            let [_, _, a, b, c, d, _, _] = self.low.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
    }

    /// The port.
    pub const fn port(self) -> u16 {
        if self.is_v6 {
            return self.port;
        }
        let [.., high, low] = self.low.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// An IPv4 endpoint in 48 bits; `None` for one of IPv6.
    #[inline]
    pub(crate) const fn packed_v4(self) -> Option<u64> {
        if self.is_v6 { None } else { Some(self.low) }
    }

    /// Whether no peer could reach it: the address is unspecified (`0.0.0.0`, `::`) or the port is 0.
    pub const fn is_unspecified(self) -> bool {
        match self.packed_v4() {
            Some(packed) => packed >> PORT_BITS == 0 || self.port() == 0,
            None => self.port == 0 || (self.high == 0 && self.low == 0),
        }
    }

    /// The textual form that Java gives an address (`docs/protocol/application-states.md`): IPv4 dotted, IPv6 as eight groups
    /// without compression.
    pub const fn java_address(self) -> JavaAddress {
        JavaAddress(self.ip())
    }

    /// The textual form that Cassandra gives an address with its port: `10.0.0.1:7000`,
    /// `[2001:db8:0:0:0:0:0:1]:7000`.
    pub const fn java_address_and_port(self) -> JavaAddressAndPort {
        JavaAddressAndPort(self)
    }
}

/// The two halves of 128 bits, the upper first.
const fn halves(bits: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bits.to_be_bytes();
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p])]
}

impl Ord for Endpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.packed_v4(), other.packed_v4()) {
            return a.cmp(&b);
        }
        let address = match (self.ip(), other.ip()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => a.cmp(&b),
            (IpAddr::V6(a), IpAddr::V6(b)) => a.cmp(&b),
            (IpAddr::V4(a), IpAddr::V6(b)) => a.octets().as_slice().cmp(b.octets().as_slice()),
            (IpAddr::V6(a), IpAddr::V4(b)) => a.octets().as_slice().cmp(b.octets().as_slice()),
        };
        address.then(self.port().cmp(&other.port()))
    }
}

impl PartialOrd for Endpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.ip(), endpoint.port())
    }
}

impl FromStr for Endpoint {
    type Err = AddrParseError;

    /// Reads an address and a port, as [`Display`](fmt::Display) writes them: `10.0.0.1:7000`, `[2001:db8::1]:7000`. Names are
    /// not resolved here.
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<SocketAddr>().map(Self::from)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Displays an address in Java's textual form; see [`Endpoint::java_address`].
#[derive(Clone, Copy, Debug)]
pub struct JavaAddress(IpAddr);

impl fmt::Display for JavaAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, g, h, i] = ip.segments();
                write!(f, "{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{g:x}:{h:x}:{i:x}")
            }
        }
    }
}

/// Displays an endpoint in Cassandra's textual form; see [`Endpoint::java_address_and_port`].
#[derive(Clone, Copy, Debug)]
pub struct JavaAddressAndPort(Endpoint);

impl fmt::Display for JavaAddressAndPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(endpoint) = *self;
        match endpoint.ip() {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", endpoint.port()),
            IpAddr::V6(_) => write!(f, "[{}]:{}", endpoint.java_address(), endpoint.port()),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_displayed_can_be_parsed() {
        for text in ["10.0.0.1:7000", "[2001:db8::1]:7000", "0.0.0.0:0", "[::]:1"] {
            assert_eq!(endpoint(text).to_string(), text);
        }
        for text in ["10.0.0.1", "10.0.0.1:", "localhost:7000", "2001:db8::1:7000", "10.0.0.1:70000", ""] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn mapped_ipv4_is_ipv4() {
        assert_eq!(endpoint("[::ffff:10.0.0.1]:7000"), endpoint("10.0.0.1:7000"));
    }

    #[test]
    fn order_is_by_address_bytes_then_port() {
        let sorted =
            ["10.0.0.1:7000", "10.0.0.1:7001", "[a00:1::]:1", "10.0.0.2:1", "127.0.0.1:1", "[fe80::1]:1"];
        for pair in sorted.windows(2) {
            assert!(endpoint(pair[0]) < endpoint(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn java_text() {
        assert_eq!(endpoint("[2001:db8::1]:7000").java_address().to_string(), "2001:db8:0:0:0:0:0:1");
        assert_eq!(
            endpoint("[2001:db8::1]:7000").java_address_and_port().to_string(),
            "[2001:db8:0:0:0:0:0:1]:7000"
        );
        assert_eq!(endpoint("10.0.0.1:7000").java_address_and_port().to_string(), "10.0.0.1:7000");
    }
}
