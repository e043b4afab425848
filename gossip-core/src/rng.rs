//! The generator behind every random choice of the protocol: seeded, small, the same on every machine.

/// xoshiro256++ (Blackman and Vigna, 2019), seeded through SplitMix64. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u64; 4],
}

/// What a generator is for; equal entropy gives unrelated sequences for different purposes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The targets of a round.
    Targets = 1,
    /// The key of the hash by which endpoints are found.
    HashKey = 2,
    /// The ids of messages.
    MessageIds = 3,
    /// What makes the nonces of one process differ from those of any other: they have to be unique, not secret.
    #[cfg(feature = "seal")]
    Nonce = 4,
    /// The key of cookies.
    Cookie = 5,
}

impl Rng {
    pub(crate) fn new(entropy: &[u8; 32], purpose: Purpose) -> Self {
        let mut seed = purpose as u64;
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(entropy.as_chunks::<8>().0) {
            seed = split_mix(seed ^ u64::from_le_bytes(*bytes));
            *word = seed;
        }
        // The all-zero state is the one that this generator never leaves.
        state[0] |= 1;
        Self { state }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`, each equally likely (Lemire, 2019); 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        loop {
            let product = (self.next_u64() >> 32) * u64::from(bound);
            // The low word tells the few draws that would favour small numbers.
            let low = product & u64::from(u32::MAX);
            if low >= u64::from(bound) || low >= u64::from(bound.wrapping_neg() % bound.max(1)) {
                return (product >> 32) as u32;
            }
        }
    }

    /// True with probability `numerator / denominator`; always if that is 1 or more, never if `numerator` is 0.
    pub(crate) fn chance(&mut self, numerator: u32, denominator: u32) -> bool {
        numerator >= denominator || self.below(denominator) < numerator
    }
}

fn split_mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_and_repeatable() {
        let mut rng = Rng::new(&[7; 32], Purpose::Targets);
        let mut again = rng.clone();
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            let draw = rng.below(7);
            assert_eq!(draw, again.below(7));
            seen[draw as usize] += 1;
        }
        assert!(seen.iter().all(|count| (9_500..10_500).contains(count)), "{seen:?}");
        assert_ne!(rng.next_u64(), Rng::new(&[7; 32], Purpose::HashKey).next_u64());
    }

    #[test]
    fn chance_is_exact_at_its_ends() {
        let mut rng = Rng::new(&[1; 32], Purpose::Targets);
        assert!((0..1_000).all(|_| rng.chance(3, 2)));
        assert!((0..1_000).all(|_| !rng.chance(0, 5)));
        assert_eq!(rng.below(0), 0);
        let hits = (0..10_000).filter(|_| rng.chance(1, 10)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
    }
}
