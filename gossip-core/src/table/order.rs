//! In which order rows lie: that in which their endpoints are listed.
//!
//! Nodes of our own kind list endpoints by address. A table learns of them in another order. If rows lay as they were learned, then each digest
//! of a list would be found in another line of the cache, and each guess would wait for the one before. So from time to time all rows move to
//! where their address belongs.

use super::{EndpointTable, NOWHERE};
use crate::endpoint::Endpoint;
use crate::slot::Slot;

/// Fewer rows than this stay where they are: they fit the nearest cache.
const FEW: usize = 16;

/// Rows move once one of so many is not where the row before it by address lets it be expected. So a cluster in which one endpoint joins now
/// and then seldom pays for a move.
const SHARE: usize = 16;

/// Where rows move to.
#[derive(Debug)]
pub(crate) struct Moves<'a>(&'a [u32]);

impl<'a> Moves<'a> {
    /// The row with the number i gets the number `places[i]`.
    pub(crate) const fn new(places: &'a [u32]) -> Self {
        Self(places)
    }

    /// The new name of a row.
    pub(crate) fn renamed(&self, slot: Slot) -> Slot {
        self.0.get(slot.index()).map_or(slot, |number| Slot::from_number(*number))
    }
}

impl EndpointTable {
    /// All rows, sorted by endpoint, as of the last [`EndpointTable::sort`]; none that was removed since.
    pub(crate) fn sorted(&self) -> &[Slot] {
        &self.order
    }

    /// The row that follows by endpoint, as of the last [`EndpointTable::sort`]; the first follows the last.
    pub(crate) fn following(&self, slot: Slot) -> Slot {
        Slot::from_number(self.successors[slot.index()])
    }

    /// Puts rows that came in since the last call into their place of the order. No row moves.
    pub(crate) fn sort(&mut self) {
        if self.is_sorted {
            return;
        }
        self.is_sorted = true;
        let mut order = core::mem::take(&mut self.order);
        order.clear();
        order.extend(self.slots());
        order.sort_unstable_by_key(|slot| self.endpoint(*slot));
        self.order = order;
        self.link();
    }

    /// Notes of each row which one follows.
    fn link(&mut self) {
        let Self { order, successors, .. } = self;
        let following = order.iter().skip(1).chain(order.first());
        self.jumps = 0;
        for (slot, next) in order.iter().zip(following) {
            self.jumps += usize::from(slot.number() + 1 != next.number());
            successors[slot.index()] = next.number();
        }
    }

    /// Whether a walk in the order of endpoints jumps so often that [`EndpointTable::arrange`] is worth while.
    pub(crate) fn is_scattered(&self) -> bool {
        self.is_sorted && self.order.len() >= FEW && self.jumps * SHARE > self.order.len()
    }

    /// Moves all rows to where a walk in the order of endpoints meets them one after the other. Our own stays the first.
    ///
    /// All names of rows change: `rename` has to change those that are kept outside of the table. Takes no memory, but once where
    /// there are IPv6 endpoints.
    pub(crate) fn arrange(&mut self, rename: impl FnOnce(&Moves<'_>)) {
        self.sort();
        let rows = self.rows.len();
        let Self { index, order, successors, vacant, .. } = self;
        // From here on `successors` says where each row moves to.
        let mut next = 1;
        let mut free = *vacant;
        successors[Slot::FIRST.index()] = Slot::FIRST.number();
        for slot in order.iter_mut().filter(|slot| **slot != Slot::FIRST) {
            successors[slot.index()] = next;
            *slot = Slot::from_number(next);
            next += 1;
        }
        *vacant = if free == NOWHERE { NOWHERE } else { next };
        while free != NOWHERE {
            free = core::mem::replace(&mut successors[free as usize], next);
            next += 1;
        }
        for number in index.iter_mut() {
            *number = successors[*number as usize];
        }
        rename(&Moves::new(successors));
        if !self.endpoints.is_empty() {
            self.endpoints.resize(rows, Endpoint::from_packed_v4(0));
        }
        for i in 0..rows {
            loop {
                let place = self.successors[i] as usize;
                if place == i {
                    break;
                }
                self.swap_rows(i, place);
                self.successors.swap(i, place);
            }
        }
        // Free rows lie behind all others.
        for (place, following) in self.successors.iter_mut().zip(1..).skip(self.order.len()) {
            *place = if following as usize == rows { NOWHERE } else { following };
        }
        self.link();
    }

    fn swap_rows(&mut self, one: usize, other: usize) {
        self.rows.swap(one, other);
        self.value_versions.swap(one, other);
        self.pulses.swap(one, other);
        if !self.endpoints.is_empty() {
            self.endpoints.swap(one, other);
        }
        self.kinds.swap(one, other);
        self.heard.swap(one, other);
        self.echoes.swap(one, other);
        self.values.swap(one, other);
        self.arrivals.swap(one, other);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::super::Cursor;
    use super::*;
    use crate::application_state::ApplicationState;
    use crate::phi::Settings;
    use crate::time::Timestamp;
    use crate::version::{Generation, HeartbeatState, Version};
    use crate::wire::JavaStr;

    /// A table of endpoints of both kinds, which were learned in no order. All that is known of an endpoint is made from its port.
    fn table(rows: u16) -> EndpointTable {
        let second = Duration::from_secs(1);
        let settings = Settings { window: 4, initial: second, max: second * 100, pace: None };
        let mut table = EndpointTable::new(7, 1_000, settings);
        for n in 0..rows {
            let port = n.wrapping_mul(7_919);
            let endpoint = match n % 3 {
                0 => Endpoint::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], port),
                _ => Endpoint::v4([10, 0, 0, 1], port),
            };
            insert(&mut table, endpoint);
        }
        table
    }

    fn insert(table: &mut EndpointTable, endpoint: Endpoint) {
        let port = i32::from(endpoint.port());
        let heartbeat = HeartbeatState { generation: Generation::new(port), version: Version::new(port + 1) };
        let slot = table.insert(endpoint, heartbeat).unwrap();
        let text = [u8::try_from(port % 10).unwrap() + b'0'];
        let text = JavaStr::new(&text).unwrap();
        let _ = table.set_value(slot, ApplicationState::RACK, text, Version::new(port + 2));
        let second = Duration::from_secs(1);
        table.report(slot, Timestamp::ZERO + second);
        table.report(slot, Timestamp::ZERO + second * (2 + u32::from(endpoint.port() % 50)));
        table.set_heard(slot, Timestamp::ZERO + Duration::from_millis(u64::from(endpoint.port())));
    }

    /// All that is known of an endpoint is still what was made from its port.
    fn holds(table: &EndpointTable, slot: Slot) {
        let endpoint = table.endpoint(slot);
        let port = i32::from(endpoint.port());
        assert_eq!(table.find(endpoint), Some(slot));
        assert_eq!(table.heartbeat(slot).version, Version::new(port + 1));
        assert_eq!(table.generation(slot), Generation::new(port));
        assert_eq!(table.known(slot).max_version(), Version::new(port + 2));
        assert_eq!(table.max_value_version(slot), Version::new(port + 2));
        let text = table.values(slot).get(ApplicationState::RACK).unwrap().0;
        assert_eq!(text.as_bytes(), [u8::try_from(port % 10).unwrap() + b'0']);
        assert_eq!(table.heard(slot), Timestamp::ZERO + Duration::from_millis(u64::from(endpoint.port())));
        let window = table.window(slot);
        let mean = Duration::from_millis(500) * (2 + u32::from(endpoint.port() % 50));
        assert_eq!((window.kept(), window.mean()), (2, Some(mean)));
    }

    #[test]
    fn rows_move_to_where_their_addresses_belong_with_all_that_is_known_of_them() {
        let mut table = table(200);
        let own = table.endpoint(Slot::FIRST);
        table.sort();
        assert!(table.is_scattered());
        let before: Vec<Endpoint> = table.places().map(|slot| table.endpoint(slot)).collect();
        let mut renamed = Vec::new();
        table.arrange(|moves| {
            renamed.extend((0..200).map(|number| moves.renamed(Slot::from_number(number))));
        });
        for (endpoint, slot) in before.iter().zip(renamed) {
            assert_eq!(table.endpoint(slot), *endpoint);
            holds(&table, slot);
        }
        assert_eq!(table.endpoint(Slot::FIRST), own);
        let others: Vec<Endpoint> = table.slots().skip(1).map(|slot| table.endpoint(slot)).collect();
        assert!(others.is_sorted() && !table.is_scattered());
        let listed: Vec<Endpoint> = table.sorted().iter().map(|slot| table.endpoint(*slot)).collect();
        assert!(listed.is_sorted() && listed.len() == 200);
        // Each is found by the guess from the one before.
        let mut cursor = Cursor::default();
        for endpoint in listed {
            assert!(table.find_next(endpoint, &mut cursor).is_some());
        }
        assert!(cursor.wrong <= 1, "{cursor:?}");
    }

    #[test]
    fn free_rows_lie_behind_all_others_and_are_used_again() {
        let mut table = table(100);
        let gone: Vec<Endpoint> = table.slots().skip(1).step_by(3).map(|slot| table.endpoint(slot)).collect();
        for endpoint in &gone {
            table.remove(table.find(*endpoint).unwrap());
        }
        table.drop_removed();
        table.sort();
        table.arrange(|_| ());
        assert_eq!(table.slots().count(), 100 - gone.len());
        assert!(table.places().all(|slot| table.is_occupied(slot) == (slot.index() < table.len())));
        for endpoint in &gone {
            assert_eq!(table.find(*endpoint), None);
            insert(&mut table, *endpoint);
        }
        assert_eq!((table.places().len(), table.len()), (100, 100));
        table.sort();
        table.arrange(|_| ());
        table.slots().for_each(|slot| holds(&table, slot));
    }

    #[test]
    fn few_endpoints_that_join_later_move_no_rows() {
        let mut table = table(100);
        table.sort();
        table.arrange(|_| ());
        insert(&mut table, Endpoint::v4([9, 0, 0, 1], 1));
        table.sort();
        assert!(!table.is_scattered());
        for port in 2..20 {
            insert(&mut table, Endpoint::v4([9, 0, 0, 1], 1_000 - port * 31));
        }
        table.sort();
        assert!(table.is_scattered());
    }

    #[test]
    fn few_rows_and_those_not_in_order_yet_do_not_move() {
        let mut table = table(8);
        table.sort();
        assert!(!table.is_scattered(), "they fit the nearest cache");
        let mut table = self::table(100);
        assert!(!table.is_scattered(), "nobody knows it before they are sorted");
        table.sort();
        assert!(table.is_scattered());
    }

    /// Else rows would move at every round.
    #[test]
    fn rows_that_lie_in_order_do_not_move_again_however_few_they_are() {
        let second = Duration::from_secs(1);
        let settings = Settings { window: 4, initial: second, max: second, pace: None };
        let mut table = EndpointTable::new(7, 1_000, settings);
        (0..16).for_each(|port| insert(&mut table, Endpoint::v4([10, 0, 0, 1], port)));
        table.sort();
        assert_eq!(table.order.len(), FEW);
        assert!(!table.is_scattered(), "only from the last to the first there is a jump");
    }

    #[test]
    fn rows_take_their_intervals_along() {
        let mut table = table(60);
        table.sort();
        let second = Duration::from_secs(1);
        // What is kept of each is counted anew with the next heartbeat, so it is seen whose it is.
        table.arrange(|_| ());
        table.set_rotation(40);
        for slot in table.slots().collect::<Vec<_>>() {
            let port = table.endpoint(slot).port();
            table.report(slot, Timestamp::ZERO + second * (2 + u32::from(port % 50)) + second);
            // The first interval, the one that its port makes, and the one of now.
            let micros = 1_000_000 * (1 + (1 + u64::from(port % 50)) + 1);
            assert_eq!(table.window(slot).mean(), Some(Duration::from_micros(micros / 3)), "{port}");
        }
    }
}
