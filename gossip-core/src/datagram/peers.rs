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
    /// Which packets of each have come, where packets are counted; as long as the last of those needs.
    windows: Vec<ReplayWindow>,
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
    /// The generation of the process whose packets are counted.
    generation: Generation,
}

impl Peers {
    /// For clusters of up to so many endpoints.
    pub(crate) fn new(hash_key: u64, max_endpoints: usize) -> Self {
        Self {
            index: HashTable::new(),
            hash: FixedState::with_seed(hash_key),
            peers: Vec::new(),
            windows: Vec::new(),
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

    /// What is kept of `endpoint`, who gets a place if it has none.
    pub(crate) fn meet(&mut self, endpoint: Endpoint) -> &mut Peer {
        let at = self.place(endpoint);
        &mut self.peers[at]
    }

    /// Whether a counted packet from `endpoint` comes for the first time, as far as is known. Those of a process before the latest do not.
    pub(crate) fn is_first(&mut self, endpoint: Endpoint, generation: Generation, counter: u64) -> bool {
        let at = self.place(endpoint);
        if self.windows.len() <= at {
            self.windows.reserve_exact(self.peers.capacity() - self.windows.len());
            self.windows.resize_with(self.peers.len(), ReplayWindow::default);
        }
        let (peer, window) = (&mut self.peers[at], &mut self.windows[at]);
        if generation > peer.generation {
            peer.generation = generation;
            *window = ReplayWindow::default();
        }
        generation == peer.generation && window.accept(counter)
    }

    fn place(&mut self, endpoint: Endpoint) -> usize {
        let is_it = |at: &u32| self.peers[*at as usize].endpoint == endpoint;
        let found = self.index.find(self.hash.hash_one(endpoint), is_it).copied();
        found.unwrap_or_else(|| self.take_in(endpoint)) as usize
    }

    fn take_in(&mut self, endpoint: Endpoint) -> u32 {
        let peer = Peer::new(endpoint);
        let place = if self.peers.len() < self.max { self.add(peer) } else { self.displace(peer) };
        let Self { index, hash, peers, .. } = self;
        // At most `max`, which fits.
        let at = u32::try_from(place).unwrap_or(u32::MAX);
        index.insert_unique(hash.hash_one(endpoint), at, |at| hash.hash_one(peers[*at as usize].endpoint));
        at
    }

    fn add(&mut self, peer: Peer) -> usize {
        self.met += 1;
        if self.peers.len() == self.peers.capacity() {
            // A quarter more: twice as many would leave half of it unused for long.
            let more = (self.peers.len() / 4).max(MIN_PEERS).min(self.max - self.peers.len());
            self.peers.reserve_exact(more);
        }
        self.peers.push(peer);
        self.peers.len() - 1
    }

    /// Gives the place of another to `peer`, since all are taken.
    fn displace(&mut self, peer: Peer) -> usize {
        let count = self.peers.len();
        let mut places = (self.hand..count).chain(0..self.hand);
        let place = places.find(|place| !self.peers[*place].is_proven).unwrap_or(self.hand);
        self.hand = (place + 1) % count;
        let old = core::mem::replace(&mut self.peers[place], peer).endpoint;
        if let Some(window) = self.windows.get_mut(place) {
            *window = ReplayWindow::default();
        }
        let Self { index, hash, peers, max, .. } = self;
        if let Ok(entry) = index.find_entry(hash.hash_one(old), |at| *at as usize == place) {
            entry.remove();
        }
        // Twice the places: entries that come and go never make the index grow then.
        if index.capacity() < *max * 2 {
            // The place has a new owner, but no entry yet.
            index.reserve(*max * 2 - index.len(), |at| hash.hash_one(peers[*at as usize].endpoint));
        }
        place
    }
}

impl Peer {
    fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, cookie: Cookie::NONE, is_proven: false, generation: Generation::SAVED }
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
        let mut peers = Peers::new(7, 1);
        peers.meet(endpoint(0));
        let mut is_first =
            |generation, counter| peers.is_first(endpoint(1), Generation::new(generation), counter);
        assert!(is_first(5, 1) && is_first(5, 3) && is_first(5, 2));
        assert!(!is_first(5, 3) && !is_first(4, 9));
        assert!(is_first(6, 1) && !is_first(6, 1) && !is_first(5, 4));
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
