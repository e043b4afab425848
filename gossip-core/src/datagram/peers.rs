//! What is kept about each peer with which packets are exchanged.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::packet::{Cookie, Seal};
use super::replay::ReplayWindow;
use crate::endpoint::Endpoint;

/// For how many there is a place, however few endpoints may be known.
const MIN_PEERS: usize = 256;

/// Senders of packets, within bounds. An unproven sender never displaces a proven one while another unproven one exists.
#[derive(Debug)]
pub(crate) struct Peers {
    index: HashTable<u32>,
    hash: FixedState,
    peers: Vec<Peer>,
    /// Which packets of each have come, where packets are counted; as long as the last of those needs.
    windows: Vec<Window>,
    max: usize,
    /// Where a place is looked for when all are taken.
    hand: usize,
    /// How many were ever taken in.
    met: u64,
    /// The latest epoch of any peer.
    epochs: u32,
}

/// What is kept of one peer.
#[derive(Debug)]
pub(crate) struct Peer {
    endpoint: Endpoint,
    /// What it wants repeated.
    pub(crate) cookie: Cookie,
    /// Whether it ever repeated a cookie of ours.
    pub(crate) is_proven: bool,
    /// Stands for the process whose packets are counted: another one there has another epoch, and so other cookies. 0 while none are.
    epoch: u32,
    /// The epoch before that, whose cookie that process may still repeat.
    former_epoch: u32,
}

/// Which packets of one process have come.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// What the process drew when it started; none of the peer's has been heard before there is one.
    process: Option<[u8; 12]>,
    replay: ReplayWindow,
}

/// What is known of a counted packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    First,
    Again,
    /// It is of another process than the one whose packets are counted, and does not show that it is the later one.
    OtherProcess,
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
            epochs: 0,
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

    /// Whether a counted packet from `endpoint` comes for the first time, as far as is known.
    ///
    /// Generations do not tell which of two processes is the later one: a clock that was ahead is set right, or a file is lost. A process that
    /// repeats the cookie of the current epoch (`repeats`) sent its packet after the process that is counted was first heard. With it a
    /// new epoch begins, so that packets of earlier processes never repeat the right cookie again.
    pub(crate) fn arrival(
        &mut self,
        endpoint: Endpoint,
        seal: &Seal,
        repeats: impl FnOnce(u32) -> bool,
    ) -> Arrival {
        let at = self.place(endpoint);
        if self.windows.len() <= at {
            self.windows.reserve_exact(self.peers.capacity() - self.windows.len());
            self.windows.resize(self.peers.len(), Window::default());
        }
        let (peer, window) = (&mut self.peers[at], &mut self.windows[at]);
        if window.process != Some(seal.process) {
            if window.process.is_some() && !repeats(peer.epoch) {
                return Arrival::OtherProcess;
            }
            self.epochs = self.epochs.wrapping_add(1).max(1);
            (peer.former_epoch, peer.epoch) = (peer.epoch, self.epochs);
            *window = Window { process: Some(seal.process), replay: ReplayWindow::default() };
        }
        if window.replay.accept(seal.counter) { Arrival::First } else { Arrival::Again }
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
            *window = Window::default();
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
        Self { endpoint, cookie: Cookie::NONE, is_proven: false, epoch: 0, former_epoch: 0 }
    }

    /// The epoch whose cookie it is given.
    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether `is_right` holds in the epoch of its process, or in the one before, of which packets may be under way.
    pub(crate) fn is_in_epoch(&self, is_right: impl Fn(u32) -> bool) -> bool {
        is_right(self.epoch) || (self.former_epoch != self.epoch && is_right(self.former_epoch))
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
    fn a_packet_comes_once_from_each_process() {
        let mut peers = Peers::new(7, 1);
        peers.meet(endpoint(0));
        // Each packet repeats the cookie of an epoch.
        let mut arrival = |process, counter, repeated| {
            let seal = Seal { key: [0; 4], process: [process; 12], counter };
            peers.arrival(endpoint(1), &seal, |epoch| epoch == repeated)
        };
        assert_eq!([1, 3, 2].map(|counter| arrival(5, counter, 0)), [Arrival::First; 3]);
        assert_eq!(arrival(5, 3, 1), Arrival::Again);
        assert_eq!(arrival(4, 9, 0), Arrival::OtherProcess, "that of the epoch before is not enough");
        assert_eq!([arrival(4, 9, 1), arrival(4, 9, 1)], [Arrival::First, Arrival::Again]);
        assert_eq!([0, 1].map(|repeated| arrival(5, 4, repeated)), [Arrival::OtherProcess; 2]);
        assert_eq!(arrival(4, 10, 0), Arrival::First);
    }

    #[test]
    fn no_epoch_comes_back_to_a_peer_that_was_displaced() {
        let mut peers = Peers::new(7, 1);
        let mut epochs = Vec::new();
        for n in 0..1_000 {
            let seal = Seal { key: [0; 4], process: [1; 12], counter: 1 };
            assert_eq!(peers.arrival(endpoint(n % 500), &seal, |_| false), Arrival::First);
            epochs.push(peers.get(endpoint(n % 500)).unwrap().epoch());
        }
        epochs.sort_unstable();
        epochs.dedup();
        assert_eq!((epochs.len(), peers.windows.len()), (1_000, MIN_PEERS));
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

    #[test]
    fn memory_is_taken_for_a_quarter_more_peers_and_never_for_more_than_there_may_be() {
        let mut peers = Peers::new(7, 20_000);
        let (mut room, mut growths) = (0, 0);
        for n in 0..20_000_u16 {
            let seal = Seal { key: [0; 4], process: [1; 12], counter: 1 };
            assert_eq!(peers.arrival(endpoint(n), &seal, |_| false), Arrival::First);
            growths += usize::from(peers.peers.capacity() != room);
            room = peers.peers.capacity();
            let count = peers.peers.len();
            assert!(room <= (count + (count / 4).max(MIN_PEERS)).min(20_000), "{room} for {count}");
            assert!(peers.windows.capacity() <= room);
        }
        assert_eq!(room, 20_000);
        assert!(growths < 25, "{growths}");
    }

    #[test]
    fn peers_that_come_and_go_take_no_memory() {
        let mut peers = Peers::new(7, 1);
        for n in 0..300 {
            peers.meet(endpoint(n));
        }
        let room = peers.index.capacity();
        assert!((2 * MIN_PEERS..4 * MIN_PEERS).contains(&room), "{room}");
        let memory = peers.index.allocation_size();
        for n in 300..60_000 {
            peers.meet(endpoint(n));
        }
        assert_eq!((peers.index.allocation_size(), peers.peers.capacity()), (memory, MIN_PEERS));
    }

    #[test]
    fn of_a_peer_the_cookie_of_its_epoch_counts_and_of_the_one_before_and_no_other() {
        let mut peer = Peer::new(endpoint(1));
        let repeats = |peer: &Peer, repeated| peer.is_in_epoch(|epoch| epoch == repeated);
        assert_eq!([0, 1].map(|repeated| repeats(&peer, repeated)), [true, false]);
        (peer.former_epoch, peer.epoch) = (4, 7);
        let right = [0, 3, 4, 5, 6, 7, 8].map(|repeated| repeats(&peer, repeated));
        assert_eq!(right, [false, false, true, false, false, true, false]);
    }
}
