//! Sealing packets: encrypted and authenticated by XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03).

use alloc::vec::Vec;
use core::fmt;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};

use super::packet::Seal;
use crate::version::Generation;

/// How many keys there may be at once. A rotation takes two.
const MAX_KEYS: usize = 8;

/// The bytes of a nonce: generation, what the process drew, the count of its packets.
const NONCE: usize = 24;

/// A nonce that belongs to no packet, since generations are positive.
const ID_NONCE: [u8; NONCE] = [0xff; NONCE];

/// A key that seals packets. It is never printed.
#[derive(Clone)]
pub struct SealKey {
    id: KeyId,
    cipher: XChaCha20Poly1305,
}

/// Names a key, and tells nothing of it: the first bytes of what it makes of an empty message.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyId([u8; 4]);

impl SealKey {
    /// The key of these bytes, which must be random and secret.
    pub fn new(bytes: [u8; 32]) -> Self {
        let cipher = XChaCha20Poly1305::new(&bytes.into());
        // An empty message is not too long.
        let tag = cipher
            .encrypt_inout_detached(&XNonce::from(ID_NONCE), b"gossip key id", InOutBuf::from(&mut [][..]))
            .unwrap_or_default();
        let [a, b, c, d, ..] = <[u8; 16]>::from(tag);
        Self { id: KeyId([a, b, c, d]), cipher }
    }

    /// Reads a key from 64 hexadecimal digits, white space around them left out.
    ///
    /// # Errors
    ///
    /// [`SealKeyError`] if it is anything else.
    pub fn from_hex(text: &str) -> Result<Self, SealKeyError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return Err(SealKeyError::Length { length: digits.len() });
        }
        let mut bytes = [0; 32];
        for (at, (byte, pair)) in bytes.iter_mut().zip(digits.as_chunks::<2>().0).enumerate() {
            let digit = |offset: usize| {
                let value = char::from(pair[offset]).to_digit(16).and_then(|value| u8::try_from(value).ok());
                value.ok_or(SealKeyError::Digit { at: 2 * at + offset })
            };
            *byte = digit(0)? << 4 | digit(1)?;
        }
        Ok(Self::new(bytes))
    }

    /// The name of the key.
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id)
    }
}

impl KeyId {
    pub(crate) const fn bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The keys of a node: packets are sealed with the first, and opened with any.
///
/// A key is replaced without a pause by giving all nodes the old and the new, then all the new and the old, then all the new alone.
#[derive(Clone, Debug)]
pub struct KeyRing {
    keys: Vec<SealKey>,
}

impl KeyRing {
    /// One to eight keys, each once.
    ///
    /// # Errors
    ///
    /// [`KeyRingError`] if there are fewer, more, or the same twice.
    pub fn new(keys: impl IntoIterator<Item = SealKey>) -> Result<Self, KeyRingError> {
        let mut ring = Self { keys: Vec::new() };
        for key in keys {
            if ring.find(key.id).is_some() {
                return Err(KeyRingError::Twice { key: key.id });
            }
            if ring.keys.len() == MAX_KEYS {
                return Err(KeyRingError::TooMany);
            }
            ring.keys.push(key);
        }
        if ring.keys.is_empty() { Err(KeyRingError::Empty) } else { Ok(ring) }
    }

    /// The names of the keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(SealKey::id)
    }

    fn find(&self, id: KeyId) -> Option<&SealKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The name of the key that seals.
    pub(crate) fn sealing(&self) -> KeyId {
        // There always is one.
        self.keys.first().map_or(KeyId([0; 4]), SealKey::id)
    }

    /// Seals `body` where it lies, and gives the tag that goes behind it.
    pub(crate) fn seal(
        &self,
        generation: Generation,
        seal: &Seal,
        associated: &[u8],
        body: &mut [u8],
    ) -> Option<[u8; TAG]> {
        let key = self.keys.first()?;
        let nonce = nonce(generation, seal);
        let tag = key.cipher.encrypt_inout_detached(&nonce, associated, InOutBuf::from(body)).ok()?;
        Some(tag.into())
    }

    /// Opens `body` where it lies; what it holds if that fails is of no use.
    pub(crate) fn open(
        &self,
        generation: Generation,
        seal: &Seal,
        associated: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), OpenError> {
        let key = self.find(KeyId(seal.key)).ok_or(OpenError::UnknownKey)?;
        let (nonce, tag) = (nonce(generation, seal), Tag::from(*tag));
        let opened = key.cipher.decrypt_inout_detached(&nonce, associated, InOutBuf::from(body), &tag);
        opened.map_err(|_| OpenError::Forged)
    }
}

/// The bytes of a tag.
pub(crate) const TAG: usize = 16;

fn nonce(generation: Generation, seal: &Seal) -> XNonce {
    let mut bytes = [0; NONCE];
    bytes[..4].copy_from_slice(&generation.get().to_be_bytes());
    bytes[4..16].copy_from_slice(&seal.process);
    bytes[16..].copy_from_slice(&seal.counter.to_be_bytes());
    bytes.into()
}

/// Why a packet cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OpenError {
    UnknownKey,
    /// Something of it is not as it was sealed.
    Forged,
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SealKeyError {
    /// It does not have 64 digits.
    Length {
        /// How many bytes it has.
        length: usize,
    },
    /// There is something in it that is no hexadecimal digit.
    Digit {
        /// Where, counted from 0.
        at: usize,
    },
}

impl fmt::Display for SealKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { length } => {
                write!(
                    f,
                    "a key has 64 hexadecimal digits, this has {length} (make one with `openssl rand -hex 32`)"
                )
            }
            Self::Digit { at } => {
                write!(f, "a key has 64 hexadecimal digits, and character {} is none", at + 1)
            }
        }
    }
}

impl core::error::Error for SealKeyError {}

/// Why keys make no ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyRingError {
    /// There is none.
    Empty,
    /// There are more than eight.
    TooMany,
    /// One is there twice.
    Twice {
        /// Which.
        key: KeyId,
    },
}

impl fmt::Display for KeyRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no key (put one in: `openssl rand -hex 32` makes one)"),
            Self::TooMany => {
                write!(f, "there are more than {MAX_KEYS} keys (remove those that are no longer in use)")
            }
            Self::Twice { key } => write!(f, "the key {key} is there twice (leave one out)"),
        }
    }
}

impl core::error::Error for KeyRingError {}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const SEAL: Seal = Seal { key: [0; 4], process: [7; 12], counter: 9 };
    const GENERATION: Generation = Generation::new(5);

    fn ring(keys: &[u8]) -> KeyRing {
        KeyRing::new(keys.iter().map(|byte| SealKey::new([*byte; 32]))).unwrap()
    }

    fn under(ring: &KeyRing) -> Seal {
        Seal { key: ring.sealing().bytes(), ..SEAL }
    }

    /// draft-irtf-cfrg-xchacha-03, A.3.1.
    #[test]
    fn the_cipher_is_the_one_of_the_draft() {
        let mut key = [0; 32];
        (0x80..=0x9f).zip(&mut key).for_each(|(value, byte)| *byte = value);
        let ring = KeyRing::new([SealKey::new(key)]).unwrap();
        let process = [0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f];
        let seal = Seal { key: ring.sealing().bytes(), process, counter: 0x5051_5253_5455_5657 };
        let associated = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let mut body = *b"Ladies and Gentlemen of the class of '99: If I could offer you \
only one tip for the future, sunscreen would be it.";
        let tag = ring.seal(Generation::new(0x4041_4243), &seal, &associated, &mut body).unwrap();
        assert_eq!(body[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        let expected =
            [0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49];
        assert_eq!(tag, expected);
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let ring = ring(&[1]);
        let seal = under(&ring);
        let mut sealed = *b"some body";
        let tag = ring.seal(GENERATION, &seal, b"header", &mut sealed).unwrap();
        assert_ne!(&sealed, b"some body");
        let open = |generation, seal: &Seal, associated: &[u8], mut body: [u8; 9], tag: [u8; TAG]| {
            ring.open(generation, seal, associated, &mut body, &tag).map(|()| body)
        };
        assert_eq!(open(GENERATION, &seal, b"header", sealed, tag), Ok(*b"some body"));
        for bit in 0..72 {
            let mut body = sealed;
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(GENERATION, &seal, b"header", body, tag), Err(OpenError::Forged));
        }
        for bit in 0..128 {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(GENERATION, &seal, b"header", sealed, other), Err(OpenError::Forged));
        }
        assert_eq!(open(GENERATION, &seal, b"headed", sealed, tag), Err(OpenError::Forged));
        assert_eq!(open(Generation::new(6), &seal, b"header", sealed, tag), Err(OpenError::Forged));
        for seal in [Seal { counter: 10, ..seal }, Seal { process: [8; 12], ..seal }] {
            assert_eq!(open(GENERATION, &seal, b"header", sealed, tag), Err(OpenError::Forged));
        }
        assert_eq!(open(GENERATION, &SEAL, b"header", sealed, tag), Err(OpenError::UnknownKey));
    }

    #[test]
    fn keys_rotate() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        for (from, to, opens) in
            [(&old, &both, true), (&both, &new, true), (&both, &old, false), (&new, &both, true)]
        {
            let (seal, mut body) = (under(from), *b"body");
            let tag = from.seal(GENERATION, &seal, b"", &mut body).unwrap();
            assert_eq!(to.open(GENERATION, &seal, b"", &mut body, &tag).is_ok(), opens);
        }
        assert_eq!(both.ids().collect::<Vec<_>>(), [SealKey::new([2; 32]).id(), SealKey::new([1; 32]).id()]);
    }

    #[test]
    fn no_key_is_printed() {
        let ring = ring(&[0xab, 0xcd]);
        let printed = format!("{ring:?}");
        assert!(!printed.contains("171") && !printed.to_lowercase().contains("abab"), "{printed}");
        assert!(printed.contains(&format!("{}", ring.sealing())));
    }

    #[test]
    fn a_key_is_64_digits() {
        let text = "0123456789abcdefABCDEF00112233445566778899aabbccddeeff0102030405";
        let key = SealKey::from_hex(&format!(" {text}\n")).unwrap();
        let bytes = [
            0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xab, 0xcd, 0xef, 0x00, 0x11, 0x22, 0x33, 0x44,
            0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x01, 0x02, 0x03, 0x04, 0x05,
        ];
        assert_eq!(key.id(), SealKey::new(bytes).id());
        let error = |text: &str| SealKey::from_hex(text).unwrap_err();
        assert_eq!(error(""), SealKeyError::Length { length: 0 });
        assert_eq!(error(&text[1..]), SealKeyError::Length { length: 63 });
        assert_eq!(error(&text.replace('9', "x")), SealKeyError::Digit { at: 9 });
    }

    #[test]
    fn a_ring_has_one_to_eight_keys() {
        assert_eq!(KeyRing::new([]).unwrap_err(), KeyRingError::Empty);
        let twice = KeyRing::new([SealKey::new([1; 32]), SealKey::new([1; 32])]);
        assert_eq!(twice.unwrap_err(), KeyRingError::Twice { key: SealKey::new([1; 32]).id() });
        let many = |count: u8| KeyRing::new((0..count).map(|byte| SealKey::new([byte; 32])));
        assert!(many(8).is_ok());
        assert_eq!(many(9).unwrap_err(), KeyRingError::TooMany);
    }

    #[test]
    fn what_is_shown_of_keys_names_them_and_says_what_is_wrong() {
        use alloc::string::ToString;

        let id = KeyId([0, 0x1f, 2, 3]);
        assert_eq!((id.to_string(), format!("{id:?}")), ("001f0203".into(), "KeyId(001f0203)".into()));
        assert!(SealKeyError::Length { length: 7 }.to_string().contains("this has 7"));
        assert!(SealKeyError::Digit { at: 4 }.to_string().contains("character 5"));
        assert!(KeyRingError::Empty.to_string().contains("no key"));
        assert!(KeyRingError::TooMany.to_string().contains("more than 8"));
        assert!(KeyRingError::Twice { key: id }.to_string().contains("001f0203 is there twice"));
    }
}
