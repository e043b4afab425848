//! TLS over one connection: what an application says of it, how certificates are checked, and the layer itself.
//!
//! The layer stands between the bytes of a connection and [`internode`](crate::internode). It is `rustls` without buffers of its own:
//! ciphertext goes in and comes out, and so does plaintext. It reads no file, no clock and no socket: certificates, keys and trusted
//! certificates come with [`Tls`], the time comes by [`Input::WallClock`](crate::Input::WallClock), and the cryptography is that of the
//! provider that the application chooses.
//!
//! What it costs: `rustls` allocates one buffer for each record that it encrypts, and one for each that it decrypts. A record holds up to
//! 16 KiB, so that is one allocation for nearly every message of gossip. Nothing else is allocated once a connection is open.

mod error;
mod layer;
mod settings;
mod verify;

use core::net::IpAddr;

use rustls::pki_types::{Ipv4Addr, Ipv6Addr, ServerName};

pub use self::error::TlsError;
pub(crate) use self::layer::{Layer, Scratch};
pub(crate) use self::settings::WallClock;
pub use self::settings::{Tls, TlsBuilder, TlsIncoming, TlsOutgoing, TlsScope};

/// How many bytes more than the plaintext a whole buffer of ciphertext may have: heads and tags of the records, and of what TLS itself
/// has to say meanwhile.
pub(crate) const ROOM: usize = 512;

/// An address as a certificate may name it.
fn name_of(address: IpAddr) -> ServerName<'static> {
    match address.to_canonical() {
        IpAddr::V4(address) => ServerName::from(Ipv4Addr::from(address.octets())),
        IpAddr::V6(address) => ServerName::from(Ipv6Addr::from(address.segments())),
    }
}
