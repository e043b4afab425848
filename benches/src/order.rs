//! In which order endpoints are listed.

use std::net::IpAddr;

use crate::messages::peer;

/// The order in which the endpoints of a message come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// That of their addresses, from some start on: as we list them ourselves.
    Own,
    /// None: as Cassandra listed them before 4.0.11 and 4.1.3.
    Shuffled,
    /// As Cassandra lists them, from 4.0.11 and 4.1.3 on.
    Cassandra(Hash),
    /// The messages of three kinds of senders in turn: 4.0, 4.1, and ours.
    Mixed,
}

/// How a release of Cassandra hashes an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hash {
    /// 4.0.
    V40,
    /// 4.1 and later.
    V41,
}

impl Hash {
    fn of(self, n: u32) -> u32 {
        let endpoint = peer(n);
        let IpAddr::V4(ip) = endpoint.ip() else { return 0 };
        let factor = match self {
            Self::V40 => 31,
            Self::V41 => 1,
        };
        ip.to_bits().wrapping_mul(factor).wrapping_add(endpoint.port().into())
    }
}

/// How many different senders a cluster has, as far as the order of their lists goes.
const SENDERS: u32 = 50;

impl Order {
    /// Those in which the messages of an exchange are measured.
    pub const ALL: [Self; 5] =
        [Self::Own, Self::Shuffled, Self::Cassandra(Hash::V40), Self::Cassandra(Hash::V41), Self::Mixed];

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Shuffled => "shuffled",
            Self::Cassandra(Hash::V40) => "4.0",
            Self::Cassandra(Hash::V41) => "4.1",
            Self::Mixed => "mixed",
        }
    }

    /// The order of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.name() == name)
    }

    /// Whether it is held against the baseline of a list in our own order.
    pub const fn has_floor_of_own(self) -> bool {
        matches!(self, Self::Own | Self::Cassandra(_) | Self::Mixed)
    }

    /// Takes `count` of `all` peers for the `nth` message.
    pub fn draw(self, chance: &mut Chance, nth: u32, all: u32, count: u32) -> Vec<u32> {
        let start = chance.below(all);
        let hash = match (self, nth % 3) {
            (Self::Shuffled, _) => {
                let mut drawn = chance.shuffled(all);
                drawn.truncate(count as usize);
                return drawn;
            }
            (Self::Own, _) | (Self::Mixed, 2) => return (0..count).map(|n| (start + n) % all).collect(),
            (Self::Cassandra(hash), _) => hash,
            (Self::Mixed, 0) => Hash::V40,
            (Self::Mixed, _) => Hash::V41,
        };
        // The iteration order of a Java `ConcurrentHashMap`, which begins at the same place each time. A bin keeps the order in which
        // endpoints came in, and that is each sender's own.
        let mut capacity = 16_u32;
        while u64::from(all) * 4 > u64::from(capacity) * 3 {
            capacity *= 2;
        }
        let sender = u64::from(chance.below(SENDERS));
        let mut listed: Vec<(u32, u32, u32)> = (0..all)
            .map(|n| {
                let hash = hash.of(n);
                let came_in = Chance::new(sender << 32 | u64::from(n)).below(u32::MAX);
                ((hash ^ (hash >> 16)) & (capacity - 1), came_in, n)
            })
            .collect();
        listed.sort_unstable();
        let start = if count < all { start } else { 0 };
        (0..count).map(|at| listed[((start + at) % all) as usize].2).collect()
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
