//! Endpoint addresses on the wire (`docs/protocol/primitives.md#address`).

use core::net::IpAddr;

use super::{DecodeError, Full, Reader, Writer};
use crate::endpoint::Endpoint;
use crate::version::MessagingVersion;

/// How addresses are written: it depends on the messaging version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressForm {
    /// Version 12 and later, and the handshake: the port follows the address.
    WithPort,
    /// Versions 10 and 11: no port; all endpoints share this one.
    WithoutPort {
        /// The port that everybody listens on.
        storage_port: u16,
    },
}

impl AddressForm {
    /// The form that messages of `version` use, where everybody's port is `storage_port` if addresses carry none.
    pub const fn of(version: MessagingVersion, storage_port: u16) -> Self {
        if version.has_ports() { Self::WithPort } else { Self::WithoutPort { storage_port } }
    }

    /// The size of the shortest address, its length byte included.
    pub(crate) const fn min_size(self) -> usize {
        match self {
            Self::WithPort => 7,
            Self::WithoutPort { .. } => 5,
        }
    }
}

impl Reader<'_> {
    /// Takes an address.
    ///
    /// # Errors
    ///
    /// [`DecodeError::AddressLength`] if its length is not one that `form` has; else as [`Reader::array`].
    pub fn endpoint(&mut self, form: AddressForm) -> Result<Endpoint, DecodeError> {
        const FIELD: &str = "an address";
        let mut ahead = *self;
        let length = ahead.u8(FIELD)?;
        let endpoint = match (form, length) {
            (AddressForm::WithPort, 6) => Endpoint::v4(ahead.array(FIELD)?, ahead.u16(FIELD)?),
            (AddressForm::WithPort, 18) => Endpoint::v6(ahead.array(FIELD)?, ahead.u16(FIELD)?),
            (AddressForm::WithoutPort { storage_port }, 4) => Endpoint::v4(ahead.array(FIELD)?, storage_port),
            (AddressForm::WithoutPort { storage_port }, 16) => {
                Endpoint::v6(ahead.array(FIELD)?, storage_port)
            }
            _ => return Err(DecodeError::AddressLength { length }),
        };
        *self = ahead;
        Ok(endpoint)
    }
}

impl Writer<'_> {
    /// Writes an address.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    pub fn endpoint(&mut self, endpoint: Endpoint, form: AddressForm) -> Result<(), Full> {
        self.atomically(|out| {
            let with_port = form == AddressForm::WithPort;
            match endpoint.ip() {
                IpAddr::V4(ip) => {
                    out.u8(if with_port { 6 } else { 4 })?;
                    out.array(ip.octets())?;
                }
                IpAddr::V6(ip) => {
                    out.u8(if with_port { 18 } else { 16 })?;
                    out.array(ip.octets())?;
                }
            }
            if with_port { out.u16(endpoint.port()) } else { Ok(()) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a14_address_forms() {
        const NO_PORT: AddressForm = AddressForm::WithoutPort { storage_port: 7000 };
        let v4 = Endpoint::v4([10, 0, 0, 1], 7000);
        let mut v6 = [0; 16];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 1;
        let v6 = Endpoint::v6(v6, 7000);
        for (endpoint, form, length) in [
            (v4, AddressForm::WithPort, 6),
            (v6, AddressForm::WithPort, 18),
            (v4, NO_PORT, 4),
            (v6, NO_PORT, 16),
        ] {
            let mut buffer = [0; 19];
            let mut writer = Writer::new(&mut buffer);
            writer.endpoint(endpoint, form).unwrap();
            assert_eq!(writer.written()[0], length);
            let mut reader = Reader::new(writer.written());
            assert_eq!(reader.endpoint(form), Ok(endpoint));
            assert!(reader.is_empty());
        }
        // Deviation: as Cassandra 5.0 does, and unlike 4.x, a length of the other form is refused.
        for (length, form) in [
            (5, AddressForm::WithPort),
            (4, AddressForm::WithPort),
            (16, AddressForm::WithPort),
            (6, NO_PORT),
        ] {
            let mut bytes = [0; 20];
            bytes[0] = length;
            assert_eq!(Reader::new(&bytes).endpoint(form), Err(DecodeError::AddressLength { length }));
        }
    }
}
