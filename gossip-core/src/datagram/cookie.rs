//! Cookies: proof that the sender that claims an address also receives packets at it.

#[expect(
    deprecated,
    reason = "it is SipHash-2-4 under keys of our own, which the hashers that replace it do not offer"
)]
use core::hash::SipHasher;
use core::hash::{Hash, Hasher};

use super::packet::Cookie;
use crate::endpoint::Endpoint;
use crate::rng::{Purpose, Rng};

/// Makes and checks the cookies of one process. No list of receivers is kept: a cookie is a keyed hash of the address and of
/// the epoch in which it is given (SipHash-2-4; Aumasson and Bernstein, 2012), as are those that protect TCP from floods of SYNs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cookies {
    keys: (u64, u64),
}

impl Cookies {
    pub(crate) fn new(entropy: &[u8; 32]) -> Self {
        let mut rng = Rng::new(entropy, Purpose::Cookie);
        Self { keys: (rng.next_u64(), rng.next_u64()) }
    }

    /// The cookie that is given to `endpoint` in this epoch, a number that changes with the process there where packets are counted.
    pub(crate) fn of(&self, endpoint: Endpoint, epoch: u32) -> Cookie {
        #[expect(deprecated, reason = "see above")]
        let mut hasher = SipHasher::new_with_keys(self.keys.0, self.keys.1);
        endpoint.hash(&mut hasher);
        hasher.write_u32(epoch);
        // 0 stands for none.
        Cookie::new(hasher.finish() | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_its_own() {
        let cookies = Cookies::new(&[7; 32]);
        let (a, b) = (Endpoint::v4([10, 0, 0, 1], 7000), Endpoint::v4([10, 0, 0, 1], 7001));
        assert_eq!(cookies.of(a, 0), Cookies::new(&[7; 32]).of(a, 0));
        assert_ne!(cookies.of(a, 0), cookies.of(b, 0));
        assert_ne!(cookies.of(a, 0), cookies.of(a, 1), "each epoch has its own");
        assert_ne!(cookies.of(a, 0), Cookies::new(&[8; 32]).of(a, 0), "another process gives others");
        assert_ne!(cookies.of(a, 0), Cookie::NONE);
    }
}
