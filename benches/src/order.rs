//! In which order endpoints are listed.

/// The order in which the endpoints of a message come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// That of their addresses, from some start on: as we list them ourselves.
    Own,
    /// None.
    Shuffled,
}

impl Order {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Own, Self::Shuffled];

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Shuffled => "shuffled",
        }
    }

    /// Takes `count` of `all` peers.
    pub fn draw(self, chance: &mut Chance, all: u32, count: u32) -> Vec<u32> {
        let start = chance.below(all);
        match self {
            Self::Own => (0..count).map(|n| (start + n) % all).collect(),
            Self::Shuffled => {
                let mut drawn = chance.shuffled(all);
                drawn.truncate(count as usize);
                drawn
            }
        }
    }
}

/// A generator that repeats itself from run to run.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins anew.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        // Steele, Lea and Flood's SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half, scaled; it is below the limit.
        u32::try_from(((mixed >> 32) * u64::from(limit)) >> 32).unwrap_or(0)
    }

    /// All numbers below `count`, in an order of chance.
    pub fn shuffled(&mut self, count: u32) -> Vec<u32> {
        let mut all: Vec<u32> = (0..count).collect();
        for at in (1..count).rev() {
            all.swap(at as usize, self.below(at + 1) as usize);
        }
        all
    }
}
