//! Cassandra's unsigned variable-length integer (`docs/protocol/primitives.md#unsigned-vint`).

use super::{DecodeError, Full, Reader, Writer};

impl Reader<'_> {
    /// Takes an unsigned variable-length integer; longer forms than needed are accepted.
    ///
    /// # Errors
    ///
    /// As [`Reader::array`].
    pub fn uvint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut ahead = *self;
        let first = ahead.u8(field)?;
        let extra = first.leading_ones();
        // With seven or eight extra bytes the first byte holds no part of the value.
        let mut value = u64::from(first) & 0x7f_u64.checked_shr(extra).unwrap_or(0);
        for _ in 0..extra {
            value = (value << 8) | u64::from(ahead.u8(field)?);
        }
        *self = ahead;
        Ok(value)
    }
}

impl Writer<'_> {
    /// Writes an unsigned variable-length integer in its shortest form, as Cassandra requires.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    pub fn uvint(&mut self, value: u64) -> Result<(), Full> {
        let size = uvint_size(value);
        let mut bytes = [0; 9];
        let [first, rest @ ..] = &mut bytes;
        *rest = value.to_be_bytes();
        if size == 9 {
            *first = 0xff;
            return self.array(bytes);
        }
        // The value's own bytes, of which the first has its leading bits free for the number of those that follow.
        let marker = !(0xff_u8 >> (size - 1));
        let used = rest.get_mut(8 - size..).unwrap_or_default();
        if let Some(head) = used.first_mut() {
            *head |= marker;
        }
        self.bytes(used)
    }
}

/// How many bytes the shortest form of `value` takes: 1 to 9.
pub(crate) const fn uvint_size(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    // Seven bits a byte, up to the ninth, which has eight.
    let size = bits.div_ceil(7);
    if size > 9 { 9 } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_the_specification() {
        let cases: [(u64, &[u8]); 17] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0x80, 0x80]),
            (255, &[0x80, 0xff]),
            (256, &[0x81, 0]),
            (300, &[0x81, 0x2c]),
            (16_383, &[0xbf, 0xff]),
            (16_384, &[0xc0, 0x40, 0]),
            (65_535, &[0xc0, 0xff, 0xff]),
            (300_000, &[0xc4, 0x93, 0xe0]),
            (2_097_151, &[0xdf, 0xff, 0xff]),
            (2_097_152, &[0xe0, 0x20, 0, 0]),
            (1 << 28, &[0xf0, 0x10, 0, 0, 0]),
            (1 << 35, &[0xf8, 0x08, 0, 0, 0, 0]),
            (1 << 42, &[0xfc, 0x04, 0, 0, 0, 0, 0]),
            (1 << 49, &[0xfe, 0x02, 0, 0, 0, 0, 0, 0]),
            (1 << 56, &[0xff, 0x01, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (value, bytes) in cases.into_iter().chain([(u64::MAX, [0xff; 9].as_slice())]) {
            let mut buffer = [0; 9];
            let mut writer = Writer::new(&mut buffer);
            writer.uvint(value).unwrap();
            assert_eq!(writer.written(), bytes, "{value}");
            assert_eq!(uvint_size(value), bytes.len(), "{value}");
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.uvint("it"), Ok(value));
            assert!(reader.is_empty());
        }
        assert_eq!(Reader::new(&[0x80, 0x01]).uvint("it"), Ok(1), "a longer form than needed");
        assert_eq!(Reader::new(&[0xc0, 0x01]).uvint("it"), Err(DecodeError::Truncated { field: "it" }));
    }

    #[test]
    fn every_length_survives_the_round_trip() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1_u64 << shift) - 1, (1_u64 << shift) + 1] {
                let mut buffer = [0; 9];
                let mut writer = Writer::new(&mut buffer);
                writer.uvint(value).unwrap();
                assert_eq!(writer.len(), uvint_size(value));
                assert_eq!(Reader::new(writer.written()).uvint("it"), Ok(value));
            }
        }
    }
}
