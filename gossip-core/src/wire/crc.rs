//! The checksums of handshakes and frames (`docs/protocol/primitives.md#crc32`, `docs/protocol/primitives.md#crc24`).

/// The four bytes that every CRC-32 runs over before the data.
const SALT: [u8; 4] = [0xfa, 0x2d, 0x55, 0xca];

/// The CRC-32 of handshakes and frame payloads: IEEE 802.3 over a salt and the data.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.finish()
}

/// [`crc32`] over data that comes in pieces.
#[derive(Clone, Debug)]
pub struct Crc32 {
    hasher: crc32fast::Hasher,
}

impl Crc32 {
    /// Starts with the salt.
    pub fn new() -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&SALT);
        Self { hasher }
    }

    /// Goes on over `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The checksum of the salt and all data.
    pub fn finish(self) -> u32 {
        self.hasher.finalize()
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

/// The CRC-24 of frame headers, in the low 24 bits.
pub fn crc24(header: &[u8]) -> u32 {
    let mut register = 0x0087_5060;
    for byte in header {
        register ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            register <<= 1;
            if register & 0x0100_0000 != 0 {
                register ^= 0x0197_4f0b;
            }
        }
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_specification() {
        assert_eq!(crc32(&[]), 0x4477_7ed3);
        assert_eq!(crc32(b"hello"), 0xb60e_8074);
        for (header, crc) in [
            ([0x00, 0x00, 0x00], 0x7de777),
            ([0x00, 0x00, 0x02], 0xc4366a),
            ([0x05, 0x00, 0x00], 0x234804),
            ([0x05, 0x00, 0x02], 0x9a9919),
            ([0xff, 0xff, 0x01], 0xfe9138),
            ([0xff, 0xff, 0x03], 0x474025),
        ] {
            assert_eq!(crc24(&header), crc, "{header:02x?}");
        }
        assert_eq!(crc24(&[0x64, 0x00, 0x90, 0x01, 0x04]), 0x629c56);
    }

    #[test]
    fn pieces_give_the_checksum_of_the_whole() {
        let mut crc = Crc32::new();
        crc.update(b"he");
        crc.update(b"llo");
        assert_eq!(crc.finish(), crc32(b"hello"));
    }
}
