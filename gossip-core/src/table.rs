//! What a node knows of every endpoint: dense columns, one row an endpoint, found by hash or by guess.
//!
//! What an exchange compares lies together, packed: keys, then (generation, greatest version). Values lie apart and are
//! not touched by a heartbeat. A row, once given out, stays where it is: its [`Slot`] is its name inside the core.

mod values;

use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

pub(crate) use self::values::{Stored, Values};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::phi::{ArrivalWindows, Settings};
use crate::snapshot::Standing;
use crate::status::StatusKind;
use crate::time::Timestamp;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::JavaStr;

/// Names a row of the table.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Slot(u32);

impl Slot {
    /// The row of the node itself.
    pub(crate) const FIRST: Self = Self(0);

    /// The row with this number, which the table gave out before.
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How far an endpoint is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Known {
    pub(crate) generation: Generation,
    /// The greatest version of its heartbeat and all its values.
    pub(crate) max_version: Version,
}

/// The echo that is to prove an endpoint reachable. One at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) id: u64,
    pub(crate) generation: Generation,
    /// After this no answer counts any more.
    pub(crate) deadline: Timestamp,
}

/// Where to look first for the next endpoint of a message: senders list them in the order of their addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor(u32);

#[derive(Debug)]
pub(crate) struct EndpointTable {
    index: HashTable<u32>,
    hash: FixedState,
    // The columns: position i of each belongs to Slot(i).
    keys: Vec<u64>,
    known: Vec<Known>,
    /// The greatest version of the values alone: where a digest is not below it, only the heartbeat is newer.
    value_versions: Vec<Version>,
    heartbeats: Vec<Version>,
    standings: Vec<Standing>,
    statuses: Vec<StatusKind>,
    endpoints: Vec<Endpoint>,
    /// When the newest heartbeat became known.
    updated: Vec<Timestamp>,
    /// When anything last came from the endpoint itself.
    heard: Vec<Timestamp>,
    echoes: Vec<Option<Echo>>,
    values: Vec<Values>,
    arrivals: ArrivalWindows,
    /// All slots, sorted by endpoint; rebuilt once a round when endpoints came in.
    order: Vec<Slot>,
    /// For each slot the one that follows it in `order`: the guess.
    successors: Vec<u32>,
    /// Rows of endpoints that were removed, to be used again.
    vacant: Vec<Slot>,
    is_sorted: bool,
    max_endpoints: usize,
}

/// The key of a row that belongs to nobody: no IPv4 endpoint is that long, and no IPv6 one has bit 62 set.
const VACANT: u64 = u64::MAX;

/// The table holds as many endpoints as it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableFull;

impl EndpointTable {
    pub(crate) fn new(hash_key: u64, max_endpoints: usize, arrivals: Settings) -> Self {
        Self {
            index: HashTable::new(),
            hash: FixedState::with_seed(hash_key),
            keys: Vec::new(),
            known: Vec::new(),
            value_versions: Vec::new(),
            heartbeats: Vec::new(),
            standings: Vec::new(),
            statuses: Vec::new(),
            endpoints: Vec::new(),
            updated: Vec::new(),
            heard: Vec::new(),
            echoes: Vec::new(),
            values: Vec::new(),
            arrivals: ArrivalWindows::new(arrivals),
            order: Vec::new(),
            successors: Vec::new(),
            vacant: Vec::new(),
            is_sorted: true,
            max_endpoints,
        }
    }

    /// How many endpoints there are.
    pub(crate) const fn len(&self) -> usize {
        self.keys.len() - self.vacant.len()
    }

    /// All rows, in no particular order but always the same.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<'_> {
        // No more rows than `max_endpoints`, which fits.
        (0..).zip(&self.keys).filter(|(_, key)| **key != VACANT).map(|(number, _)| Slot(number))
    }

    /// Every place where a row may be: for walks that change rows.
    pub(crate) fn places(&self) -> impl ExactSizeIterator<Item = Slot> + use<> {
        (0..u32::try_from(self.keys.len()).unwrap_or(u32::MAX)).map(Slot)
    }

    /// Whether the place belongs to an endpoint.
    pub(crate) fn is_occupied(&self, slot: Slot) -> bool {
        self.keys[slot.index()] != VACANT
    }

    /// All rows, sorted by endpoint, as of the last [`EndpointTable::sort`]; none that was removed since.
    pub(crate) fn sorted(&self) -> &[Slot] {
        &self.order
    }

    /// Puts rows that came in since the last call into their place of the order.
    pub(crate) fn sort(&mut self) {
        if self.is_sorted {
            return;
        }
        self.is_sorted = true;
        let Self { order, keys, endpoints, successors, .. } = self;
        order.clear();
        order.extend(
            (0..).zip(keys.iter()).filter(|(_, key)| **key != VACANT).map(|(number, _)| Slot(number)),
        );
        order.sort_unstable_by(|a, b| endpoints[a.index()].cmp(&endpoints[b.index()]));
        let following = order.iter().skip(1).chain(order.first());
        for (slot, next) in order.iter().zip(following) {
            successors[slot.index()] = next.0;
        }
    }

    pub(crate) fn find(&self, endpoint: Endpoint) -> Option<Slot> {
        self.find_key(self.key(endpoint), endpoint)
    }

    /// As [`EndpointTable::find`], looking first at the row after the last that this cursor found.
    #[inline]
    pub(crate) fn find_next(&self, endpoint: Endpoint, cursor: &mut Cursor) -> Option<Slot> {
        let key = self.key(endpoint);
        let guess = cursor.0;
        let slot = if self.keys.get(guess as usize) == Some(&key) && self.is_at(endpoint, guess) {
            Some(Slot(guess))
        } else {
            self.find_key(key, endpoint)
        };
        if let Some(slot) = slot {
            cursor.0 = self.successors[slot.index()];
        }
        slot
    }

    fn find_key(&self, key: u64, endpoint: Endpoint) -> Option<Slot> {
        let found = self.index.find(self.hash.hash_one(key), |slot| {
            self.keys[*slot as usize] == key && self.is_at(endpoint, *slot)
        });
        found.map(|slot| Slot(*slot))
    }

    /// Whether a row whose key matches is the endpoint's: the key of an IPv6 endpoint is but a hash.
    #[inline]
    fn is_at(&self, endpoint: Endpoint, slot: u32) -> bool {
        !endpoint.is_v6() || self.endpoints[slot as usize] == endpoint
    }

    /// An IPv4 endpoint packed into 48 bits, or a hash of an IPv6 one behind the topmost bit.
    #[inline]
    fn key(&self, endpoint: Endpoint) -> u64 {
        if endpoint.is_v6() { self.hash.hash_one(endpoint) >> 2 | 1 << 63 } else { endpoint.packed_v4() }
    }

    /// Adds a row for an endpoint that has none yet.
    pub(crate) fn insert(
        &mut self,
        endpoint: Endpoint,
        heartbeat: HeartbeatState,
    ) -> Result<Slot, TableFull> {
        debug_assert_eq!(self.find(endpoint), None, "an endpoint has one row");
        if self.len() >= self.max_endpoints {
            return Err(TableFull);
        }
        let slot = match self.vacant.pop() {
            Some(slot) => slot,
            None => self.add_row()?,
        };
        let i = slot.index();
        let key = self.key(endpoint);
        self.keys[i] = key;
        self.endpoints[i] = endpoint;
        self.standings[i] = Standing::Unverified;
        self.arrivals.forget(slot);
        self.reset(slot, heartbeat);
        self.is_sorted = false;
        let Self { index, hash, keys, .. } = self;
        index.insert_unique(hash.hash_one(key), slot.0, |slot| hash.hash_one(keys[*slot as usize]));
        Ok(slot)
    }

    fn add_row(&mut self) -> Result<Slot, TableFull> {
        let slot = Slot(u32::try_from(self.keys.len()).map_err(|_| TableFull)?);
        self.keys.push(VACANT);
        self.endpoints.push(Endpoint::v4([0; 4], 0));
        self.known.push(Known { generation: Generation::SAVED, max_version: Version::EMPTY });
        self.value_versions.push(Version::EMPTY);
        self.heartbeats.push(Version::EMPTY);
        self.standings.push(Standing::Unverified);
        self.statuses.push(StatusKind::None);
        self.updated.push(Timestamp::ZERO);
        self.heard.push(Timestamp::ZERO);
        self.echoes.push(None);
        self.values.push(Values::default());
        self.arrivals.push();
        self.successors.push(0);
        // So that neither sorting nor removing needs memory later.
        self.order.reserve(self.keys.len() - self.order.len());
        self.vacant.reserve(self.keys.len() - self.vacant.len());
        Ok(slot)
    }

    /// Forgets an endpoint. Its row is given to another; whoever still holds its slot must let go of it.
    pub(crate) fn remove(&mut self, slot: Slot) {
        let i = slot.index();
        if let Ok(entry) = self.index.find_entry(self.hash.hash_one(self.keys[i]), |found| *found == slot.0) {
            entry.remove();
        }
        self.keys[i] = VACANT;
        self.values[i] = Values::default();
        self.order.retain(|other| *other != slot);
        self.vacant.push(slot);
        self.is_sorted = false;
    }

    /// Forgets all of a row but its name, for a process of another generation.
    pub(crate) fn reset(&mut self, slot: Slot, heartbeat: HeartbeatState) {
        let i = slot.index();
        self.values[i].clear();
        self.value_versions[i] = Version::EMPTY;
        self.heartbeats[i] = heartbeat.version;
        self.known[i] = Known { generation: heartbeat.generation, max_version: heartbeat.version };
        self.statuses[i] = StatusKind::None;
        self.echoes[i] = None;
    }

    /// Stores a value. Its version must not be below that of the value it replaces.
    pub(crate) fn set_value(
        &mut self,
        slot: Slot,
        key: ApplicationState,
        text: JavaStr<'_>,
        version: Version,
    ) -> Stored {
        let i = slot.index();
        let stored = self.values[i].set(key, text, version);
        self.value_versions[i] = self.value_versions[i].max(version);
        self.known[i].max_version = self.known[i].max_version.max(version);
        if key.is_status() {
            let values = &self.values[i];
            let with_port = values.get(ApplicationState::STATUS_WITH_PORT);
            self.statuses[i] = effective_status(with_port, values.get(ApplicationState::STATUS));
        }
        stored
    }

    /// Sets the heartbeat; the greatest version grows with it.
    pub(crate) fn set_heartbeat(&mut self, slot: Slot, version: Version) {
        let i = slot.index();
        self.heartbeats[i] = version;
        self.known[i].max_version = self.known[i].max_version.max(version);
    }

    /// Gives a row another generation and heartbeat; its values stay.
    pub(crate) fn set_generation_and_heartbeat(&mut self, slot: Slot, heartbeat: HeartbeatState) {
        let i = slot.index();
        self.heartbeats[i] = heartbeat.version;
        let max_version = heartbeat.version.max(self.value_versions[i]);
        self.known[i] = Known { generation: heartbeat.generation, max_version };
    }

    /// Gives the node's own row a greater generation; versions go on.
    pub(crate) fn set_generation(&mut self, slot: Slot, generation: Generation) {
        self.known[slot.index()].generation = generation;
    }

    pub(crate) fn endpoint(&self, slot: Slot) -> Endpoint {
        self.endpoints[slot.index()]
    }

    pub(crate) fn known(&self, slot: Slot) -> Known {
        self.known[slot.index()]
    }

    pub(crate) fn generation(&self, slot: Slot) -> Generation {
        self.known[slot.index()].generation
    }

    pub(crate) fn heartbeat(&self, slot: Slot) -> HeartbeatState {
        let i = slot.index();
        HeartbeatState { generation: self.known[i].generation, version: self.heartbeats[i] }
    }

    pub(crate) fn max_value_version(&self, slot: Slot) -> Version {
        self.value_versions[slot.index()]
    }

    pub(crate) fn values(&self, slot: Slot) -> &Values {
        &self.values[slot.index()]
    }

    pub(crate) fn status(&self, slot: Slot) -> StatusKind {
        self.statuses[slot.index()]
    }

    pub(crate) fn standing(&self, slot: Slot) -> Standing {
        self.standings[slot.index()]
    }

    pub(crate) fn set_standing(&mut self, slot: Slot, standing: Standing) {
        self.standings[slot.index()] = standing;
    }

    pub(crate) fn updated(&self, slot: Slot) -> Timestamp {
        self.updated[slot.index()]
    }

    pub(crate) fn set_updated(&mut self, slot: Slot, now: Timestamp) {
        self.updated[slot.index()] = now;
    }

    pub(crate) fn heard(&self, slot: Slot) -> Timestamp {
        self.heard[slot.index()]
    }

    pub(crate) fn set_heard(&mut self, slot: Slot, now: Timestamp) {
        self.heard[slot.index()] = now;
    }

    pub(crate) fn echo(&self, slot: Slot) -> Option<Echo> {
        self.echoes[slot.index()]
    }

    pub(crate) fn set_echo(&mut self, slot: Slot, echo: Option<Echo>) {
        self.echoes[slot.index()] = echo;
    }

    pub(crate) const fn arrivals(&self) -> &ArrivalWindows {
        &self.arrivals
    }

    pub(crate) const fn arrivals_mut(&mut self) -> &mut ArrivalWindows {
        &mut self.arrivals
    }
}

/// What the newer of the two status values says; where both are equally new, the one with port
/// (`gossip-messages.md` §13).
///
/// Deviation: both are kept, as the older forms of addresses are; Cassandra removes and hides them once all run 4.0.
pub(crate) fn effective_status(
    with_port: Option<(JavaStr<'_>, Version)>,
    without: Option<(JavaStr<'_>, Version)>,
) -> StatusKind {
    let newer = match (with_port, without) {
        (Some(with_port), Some(without)) if with_port.1 >= without.1 => Some(with_port),
        (Some(_), Some(without)) => Some(without),
        (with_port, without) => with_port.or(without),
    };
    newer.map_or(StatusKind::None, |(text, _)| StatusKind::of_value(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn table() -> EndpointTable {
        let second = Duration::from_secs(1);
        EndpointTable::new(7, 1_000, Settings { window: 4, initial: second, max: second })
    }

    fn endpoints() -> impl Iterator<Item = Endpoint> {
        (0_u16..200).map(|n| {
            let [high, low] = (n.wrapping_mul(7_919)).to_be_bytes();
            if n % 3 == 0 {
                Endpoint::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low], n)
            } else {
                Endpoint::v4([10, 0, high, low], n)
            }
        })
    }

    #[test]
    fn endpoints_are_found_by_hash_and_by_guess() {
        let mut table = table();
        let heartbeat = HeartbeatState::default();
        for endpoint in endpoints() {
            table.insert(endpoint, heartbeat).unwrap();
        }
        table.sort();
        let mut sorted: Vec<Endpoint> = endpoints().collect();
        sorted.sort_unstable();
        let listed: Vec<Endpoint> = table.sorted().iter().map(|slot| table.endpoint(*slot)).collect();
        assert_eq!(listed, sorted);
        let mut cursor = Cursor::default();
        for endpoint in endpoints().chain(sorted) {
            let slot = table.find(endpoint).unwrap();
            assert_eq!(table.endpoint(slot), endpoint);
            assert_eq!(table.find_next(endpoint, &mut cursor), Some(slot));
        }
        assert_eq!(table.find(Endpoint::v4([10, 9, 9, 9], 1)), None);
        assert_eq!(table.find_next(Endpoint::v4([10, 9, 9, 9], 1), &mut cursor), None);
    }

    #[test]
    fn removed_endpoints_leave_their_rows_to_others() {
        let mut table = table();
        let all: Vec<Endpoint> = endpoints().collect();
        for endpoint in &all {
            table.insert(*endpoint, HeartbeatState::default()).unwrap();
        }
        table.sort();
        for endpoint in &all[..100] {
            table.remove(table.find(*endpoint).unwrap());
        }
        assert_eq!(table.len(), 100);
        assert_eq!((table.slots().count(), table.sorted().len()), (100, 100));
        assert!(all[..100].iter().all(|endpoint| table.find(*endpoint).is_none()));
        for n in 0..100 {
            table.insert(Endpoint::v4([192, 0, 2, n], 1), HeartbeatState::default()).unwrap();
        }
        table.sort();
        assert_eq!((table.keys.len(), table.len(), table.sorted().len()), (200, 200, 200));
        let mut cursor = Cursor::default();
        for endpoint in &all[100..] {
            let slot = table.find(*endpoint).unwrap();
            assert_eq!(table.endpoint(slot), *endpoint);
            assert_eq!(table.find_next(*endpoint, &mut cursor), Some(slot));
        }
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let second = Duration::from_secs(1);
        let mut table = EndpointTable::new(7, 1, Settings { window: 4, initial: second, max: second });
        table.insert(Endpoint::v4([1; 4], 1), HeartbeatState::default()).unwrap();
        assert!(table.insert(Endpoint::v4([2; 4], 1), HeartbeatState::default()).is_err());
    }

    #[test]
    fn the_newer_status_counts() {
        let mut table = table();
        let slot = table.insert(Endpoint::v4([1; 4], 1), HeartbeatState::default()).unwrap();
        let mut set = |key, text: &str, version| {
            let _ = table.set_value(slot, key, JavaStr::new(text.as_bytes()).unwrap(), Version::new(version));
            table.status(slot)
        };
        assert_eq!(set(ApplicationState::STATUS_WITH_PORT, "NORMAL,1", 5), StatusKind::Normal);
        assert_eq!(set(ApplicationState::STATUS, "LEAVING,1", 4), StatusKind::Normal);
        assert_eq!(set(ApplicationState::STATUS, "LEAVING,1", 6), StatusKind::Leaving);
        assert_eq!(set(ApplicationState::STATUS_WITH_PORT, "LEFT,1,2", 6), StatusKind::Left);
    }
}
