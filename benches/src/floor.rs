//! The baseline: what a bare loop over the same bytes costs, which looks each endpoint up, compares, and writes nothing.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::messages::peer;
use crate::order::Chance;

/// A hash table of slots over dense columns, and nothing else.
#[derive(Debug)]
pub struct Floor {
    index: HashTable<u32>,
    hash: FixedState,
    keys: Vec<u64>,
    known: Vec<(i32, i32)>,
    /// For each slot that of the next greater key.
    successors: Vec<u32>,
}

impl Floor {
    /// One that knows the same peers as [`World`](crate::world::World), in the same slots.
    pub fn new(count: u32, heartbeat: i32) -> Self {
        let hash = FixedState::with_seed(7);
        let keys: Vec<u64> = Chance::new(1).shuffled(count).into_iter().map(key).collect();
        let mut index = HashTable::with_capacity(count as usize);
        for (slot, key) in (0..).zip(&keys) {
            index.insert_unique(hash.hash_one(key), slot, |slot| hash.hash_one(keys[*slot as usize]));
        }
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by_key(|slot| keys[*slot as usize]);
        let mut successors = vec![0; count as usize];
        for (slot, next) in order.iter().zip(order.iter().cycle().skip(1)) {
            successors[*slot as usize] = *next;
        }
        Self { index, hash, known: vec![(1, heartbeat); count as usize], keys, successors }
    }

    /// Looks up what lies every `N` bytes in `items`, each by its hash; says how many differ.
    #[inline(never)]
    pub fn by_hash<const N: usize>(&self, items: &[u8]) -> u32 {
        let mut differing = 0;
        for item in items.as_chunks::<N>().0 {
            let (key, theirs) = read(item);
            if let Some(slot) = self.find(key) {
                differing += u32::from(self.known[slot as usize] != theirs);
            }
        }
        differing
    }

    /// As [`Floor::by_hash`], looking first at the slot after the last.
    #[inline(never)]
    pub fn by_guess<const N: usize>(&self, items: &[u8]) -> u32 {
        let (mut differing, mut guess) = (0, 0);
        for item in items.as_chunks::<N>().0 {
            let (key, theirs) = read(item);
            let found = if self.keys[guess as usize] == key { Some(guess) } else { self.find(key) };
            if let Some(slot) = found {
                differing += u32::from(self.known[slot as usize] != theirs);
                guess = self.successors[slot as usize];
            }
        }
        differing
    }

    #[inline]
    fn find(&self, key: u64) -> Option<u32> {
        self.index.find(self.hash.hash_one(key), |slot| self.keys[*slot as usize] == key).copied()
    }
}

/// Walks over packed digests, and says something about their content so that it is not left out.
#[inline(never)]
pub fn walk<const N: usize>(items: &[u8]) -> i64 {
    items.as_chunks::<N>().0.iter().map(read).fold(0, |sum, (key, (generation, version))| {
        sum ^ key.cast_signed() ^ i64::from(generation) ^ i64::from(version)
    })
}

fn key(n: u32) -> u64 {
    let std::net::IpAddr::V4(ip) = peer(n).ip() else { return 0 };
    u64::from(ip.to_bits()) << 16 | u64::from(peer(n).port())
}

/// Key and (generation, version) of a digest, or of a heartbeat in a list of states: both begin alike.
#[inline]
fn read<const N: usize>(item: &[u8; N]) -> (u64, (i32, i32)) {
    const { assert!(N >= 15) };
    let word = |at: usize| [item[at], item[at + 1], item[at + 2], item[at + 3]];
    let port = u16::from_be_bytes([item[5], item[6]]);
    let key = u64::from(u32::from_be_bytes(word(1))) << 16 | u64::from(port);
    (key, (i32::from_be_bytes(word(7)), i32::from_be_bytes(word(11))))
}
