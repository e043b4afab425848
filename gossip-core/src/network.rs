//! Networks: which addresses a peer may have.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

/// The addresses that share their first bits with another one, such as `10.0.0.0/8`; without a length it is one address.
///
/// An IPv4 address mapped into IPv6 is the IPv4 address here.
///
/// ```
/// # use gossip_core::Network;
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?) && !network.contains("11.0.0.1".parse()?));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of `address` whose first `length` bits are fixed; `None` if an address has fewer, or if other bits of `address` are set.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let network = Self { address, length };
        (length <= bits_of(address) && network.first() == bits(address)).then_some(network)
    }

    /// The network of one address.
    pub const fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: bits_of(address) }
    }

    /// Whether it has this address.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && Self { address, ..self }.first() == bits(self.address)
    }

    /// The bits of its first address.
    fn first(self) -> u128 {
        let rest = u32::from(bits_of(self.address) - self.length);
        bits(self.address).checked_shr(rest).and_then(|fixed| fixed.checked_shl(rest)).unwrap_or(0)
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == bits_of(self.address) {
            return self.address.fmt(f);
        }
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let Some((address, length)) = text.split_once('/') else {
            return text.parse().map(Self::of).map_err(|_| NetworkError::Syntax);
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Syntax)?;
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse().ok().filter(|_| is_number).ok_or(NetworkError::Syntax)?;
        if length > bits_of(address) {
            return Err(NetworkError::Length { most: bits_of(address) });
        }
        Self::new(address, length).ok_or(NetworkError::Bits { length })
    }
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NetworkError {
    /// It is no address, nor an address with a length.
    Syntax,
    /// Its length is greater than that of an address.
    Length {
        /// The greatest length.
        most: u8,
    },
    /// The address has bits behind the length, so that one of the two is a mistake.
    Bits {
        /// The length.
        length: u8,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => {
                f.write_str("it is no address and no network (write it as in 10.0.0.1 or 10.0.0.0/8)")
            }
            Self::Length { most } => write!(f, "the length of the network is above {most}"),
            Self::Bits { length } => {
                write!(
                    f,
                    "the address has bits behind the first {length} (clear them, or write a greater length)"
                )
            }
        }
    }
}

impl core::error::Error for NetworkError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        for (of, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"),
            ("::ffff:10.0.0.1", "10.0.0.1", "::10.0.0.1"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "10.0.0.1"),
        ] {
            assert!(network(of).contains(ip(inside)), "{of} {inside}");
            assert!(!network(of).contains(ip(outside)), "{of} {outside}");
        }
        assert_eq!(network("10.0.0.0/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("10.0.0.1/32").to_string(), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (text, error) in [
            ("", NetworkError::Syntax),
            ("10.0.0", NetworkError::Syntax),
            ("10.0.0.0/", NetworkError::Syntax),
            ("10.0.0.0/+8", NetworkError::Syntax),
            ("10.0.0.0/999", NetworkError::Syntax),
            ("10.0.0.0/33", NetworkError::Length { most: 32 }),
            ("10.0.0.1/8", NetworkError::Bits { length: 8 }),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }
}
