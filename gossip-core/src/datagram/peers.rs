//! What is kept of everybody with whom packets are exchanged.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::packet::Cookie;
use super::replay::ReplayWindow;
use crate::endpoint::Endpoint;
use crate::version::Generation;

/// For how many there is a place, however few endpoints may be known.
const MIN_PEERS: usize = 256;

/// Everybody who sent a packet, within bounds. Whoever proved its address is not displaced by those who did not, while there are any.
#[derive(Debug)]
pub(crate) struct Peers {
    index: HashTable<u32>,
    hash: FixedState,
    peers: Vec<Peer>,
    max: usize,
    /// Where a place is looked for when all are taken.
    hand: usize,
    /// How many were ever taken in.
    met: u64,
}

/// What is kept of one peer.
#[derive(Debug)]
pub(crate) struct Peer {
    endpoint: Endpoint,
    /// What it wants repeated.
    pub(crate) cookie: Cookie,
    /// Whether it ever repeated a cookie of ours.
    pub(crate) is_proven: bool,
    /// The generation of the process whose packets are counted, and which of them have come.
    generation: Generation,
    window: ReplayWindow,
}

impl Peers {
    /// For clusters of up to so many endpoints.
    pub(crate) fn new(hash_key: u64, max_endpoints: usize) -> Self {
        Self {
            index: HashTable::new(),
            hash: FixedState::with_seed(hash_key),
            peers: Vec::new(),
            max: max_endpoints.clamp(MIN_PEERS, u32::MAX as usize),
            hand: 0,
            met: 0,
        }
    }

    /// How many were ever taken in: memory may be taken for each.
    pub(crate) const fn met(&self) -> u64 {
        self.met
    }

    pub(crate) fn get(&self, endpoint: Endpoint) -> Option<&Peer> {
        let is_it = |at: &u32| self.peers[*at as usize].endpoint == endpoint;
        self.index.find(self.hash.hash_one(endpoint), is_it).map(|at| &self.peers[*at as usize])
    }

    /// The place of `endpoint`, which gets one if it has none.
    pub(crate) fn meet(&mut self, endpoint: Endpoint) -> &mut Peer {
        let is_it = |at: &u32| self.peers[*at as usize].endpoint == endpoint;
        let found = self.index.find(self.hash.hash_one(endpoint), is_it).copied();
        let at = found.unwrap_or_else(|| self.take_in(endpoint));
        &mut self.peers[at as usize]
    }

    fn take_in(&mut self, endpoint: Endpoint) -> u32 {
        let peer = Peer::new(endpoint);
        let place = if self.peers.len() < self.max {
            self.met += 1;
            self.peers.push(peer);
            self.peers.len() - 1
        } else {
            let count = self.peers.len();
            let mut places = (self.hand..count).chain(0..self.hand);
            let place = places.find(|place| !self.peers[*place].is_proven).unwrap_or(self.hand);
            self.hand = (place + 1) % count;
            let old = core::mem::replace(&mut self.peers[place], peer).endpoint;
            let is_it = |at: &u32| *at as usize == place;
            if let Ok(entry) = self.index.find_entry(self.hash.hash_one(old), is_it) {
                entry.remove();
            }
            place
        };
        let Self { index, hash, peers, max, .. } = self;
        // Twice the places: entries that come and go never make a full index grow.
        if peers.len() == *max && index.capacity() < *max * 2 {
            index.reserve(*max * 2 - index.len(), |at| hash.hash_one(peers[*at as usize].endpoint));
        }
        // At most `max`, which fits.
        let at = u32::try_from(place).unwrap_or(u32::MAX);
        index.insert_unique(hash.hash_one(endpoint), at, |at| hash.hash_one(peers[*at as usize].endpoint));
        at
    }
}

impl Peer {
    fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            cookie: Cookie::NONE,
            is_proven: false,
            generation: Generation::SAVED,
            window: ReplayWindow::default(),
        }
    }

    /// Whether a packet comes for the first time, as far as is known. Those of a process before the latest do not.
    pub(crate) fn is_first(&mut self, generation: Generation, counter: u64) -> bool {
        if generation > self.generation {
            self.generation = generation;
            self.window = ReplayWindow::default();
        }
        generation == self.generation && self.window.accept(counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: u16) -> Endpoint {
        Endpoint::v4([10, 0, 0, 1], n)
    }

    #[test]
    fn places_are_bounded_and_the_proven_keep_theirs() {
        let mut peers = Peers::new(7, 1);
        for n in 0..100 {
            peers.meet(endpoint(n)).is_proven = true;
        }
        for n in 0..60_000 {
            peers.meet(endpoint(n)).cookie = Cookie::new(u64::from(n) + 1);
        }
        assert_eq!((peers.peers.len(), peers.index.len(), peers.met()), (MIN_PEERS, MIN_PEERS, 256));
        assert!((0..100).all(|n| peers.get(endpoint(n)).is_some_and(|peer| peer.is_proven)));
        assert_eq!(peers.get(endpoint(59_999)).unwrap().cookie, Cookie::new(60_000));
        assert!(peers.get(endpoint(59_000)).is_none());
    }

    #[test]
    fn a_packet_comes_once_in_each_generation() {
        let mut peer = Peer::new(endpoint(1));
        let of = Generation::new;
        assert!(peer.is_first(of(5), 1) && peer.is_first(of(5), 3) && peer.is_first(of(5), 2));
        assert!(!peer.is_first(of(5), 3) && !peer.is_first(of(4), 9));
        assert!(peer.is_first(of(6), 1) && !peer.is_first(of(6), 1) && !peer.is_first(of(5), 4));
    }

    #[test]
    fn when_all_are_proven_somebody_goes() {
        let mut peers = Peers::new(7, 1);
        for n in 0..1_000 {
            peers.meet(endpoint(n)).is_proven = true;
        }
        assert_eq!(peers.index.len(), MIN_PEERS);
        assert!(peers.get(endpoint(999)).is_some());
    }
}
