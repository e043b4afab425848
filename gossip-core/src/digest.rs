//! Comparing digests with what is known: who is ahead, and by how much (`docs/protocol/exchange.md#comparing-digests`).

use alloc::vec::Vec;
use core::slice;

use crate::budgets::Budgets;
use crate::endpoint::Endpoint;
use crate::message::{Codec, Digest, Digests, read_packed};
use crate::quarantine::Quarantine;
use crate::slot::Slot;
use crate::table::{Cursor, EndpointTable, Moves};
use crate::time::Timestamp;
use crate::version::{Generation, Known, Version};
use crate::wire::{AddressForm, Full, Writer};

/// What is owed to a peer in an exchange: endpoints to ask it for, and endpoints to tell it of.
///
/// Nothing of this is a promise: everything is looked up again when the message is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    /// Those that are wanted from the front on, those that are given from the back: both lists share one room, and each is walked alone.
    entries: Vec<Entry>,
    wants: usize,
    gives: usize,
    pub(crate) unknown: Vec<Unknown>,
    /// How far messages about it have come, where one is not enough.
    pub(crate) progress: Progress,
}

/// Up to which entry each kind of thing is written. What is before it is done with, whether it found room or not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Progress {
    pub(crate) requests: usize,
    pub(crate) unknown: usize,
    pub(crate) heartbeats: usize,
    pub(crate) values: usize,
}

/// An endpoint that one side knows better.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    slot: Slot,
    /// How far the peer knows it.
    known: [u32; 2],
}

/// An endpoint that only the peer knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unknown {
    pub(crate) endpoint: Endpoint,
    pub(crate) generation: Generation,
}

impl Entry {
    #[inline]
    pub(crate) const fn new(slot: Slot, known: Known) -> Self {
        Self { slot, known: known.halves() }
    }

    #[inline]
    pub(crate) const fn slot(self) -> Slot {
        self.slot
    }

    /// The same of a row that has moved.
    pub(crate) fn renamed(self, moves: &Moves<'_>) -> Self {
        Self { slot: moves.renamed(self.slot), ..self }
    }

    /// How far the peer knows it.
    #[inline]
    pub(crate) const fn known(self) -> Known {
        Known::from_halves(self.known)
    }
}

impl Pending {
    pub(crate) fn clear(&mut self) {
        self.wants = 0;
        self.gives = 0;
        self.unknown.clear();
        self.progress = Progress::default();
    }

    /// The endpoints that we request, because the peer has newer states.
    pub(crate) fn wants(&self) -> &[Entry] {
        self.entries.get(..self.wants).unwrap_or_default()
    }

    /// The endpoints whose states we send, because ours are newer.
    #[inline]
    pub(crate) fn gives(&self) -> impl ExactSizeIterator<Item = Entry> + Clone + '_ {
        self.entries.iter().rev().take(self.gives).copied()
    }

    /// As [`Pending::gives`], from the `from`th on, the last of them first.
    pub(crate) fn gives_from(&self, from: usize) -> &[Entry] {
        let end = self.entries.len();
        self.entries.get(end - self.gives..end.saturating_sub(from)).unwrap_or_default()
    }

    /// Whether nothing is left to tell.
    pub(crate) const fn has_no_more_states(&self) -> bool {
        self.progress.heartbeats >= self.gives && self.progress.values >= self.gives
    }

    /// Whether nothing is left to ask for.
    pub(crate) const fn has_no_more_requests(&self) -> bool {
        self.progress.requests >= self.wants && self.progress.unknown >= self.unknown.len()
    }

    /// Removes rows that another endpoint will get. Digests of others may then be written twice, which does no harm.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(Slot) -> bool) {
        let before = (self.wants, self.gives);
        let mut kept = 0;
        for at in 0..self.wants {
            if is_kept(self.entries[at].slot) {
                self.entries.swap(kept, at);
                kept += 1;
            }
        }
        self.wants = kept;
        let last = self.entries.len().saturating_sub(1);
        kept = 0;
        for at in 0..self.gives {
            if is_kept(self.entries[last - at].slot) {
                self.entries.swap(last - kept, last - at);
                kept += 1;
            }
        }
        self.gives = kept;
        if (self.wants, self.gives) != before {
            self.progress = Progress::default();
        }
    }

    /// Rows have moved.
    pub(crate) fn rename(&mut self, moves: &Moves<'_>) {
        let end = self.entries.len();
        let (wanted, given) = self.entries.split_at_mut(end - self.gives);
        for entry in wanted.iter_mut().take(self.wants).chain(given) {
            *entry = entry.renamed(moves);
        }
    }

    /// Whether memory was taken for it.
    pub(crate) const fn has_memory(&self) -> bool {
        self.unknown.capacity() > 0
    }

    /// Takes memory for an exchange about all of `endpoints` known endpoints.
    pub(crate) fn reserve(&mut self, endpoints: usize, budgets: &Budgets) {
        let (max_entries, max_unknown) = (budgets.max_entries, budgets.max_unknown);
        let room = endpoints.min(max_entries);
        if room > self.entries.len() {
            let grown = room.max(self.entries.len() + self.entries.len() / 4).min(max_entries);
            let more = grown - self.entries.len();
            self.entries.reserve_exact(more);
            // Those at the back stay there.
            let nobody = Entry::new(Slot::FIRST, Known::new(Generation::SAVED, Version::EMPTY));
            self.entries.extend(core::iter::repeat_n(nobody, more));
            self.entries[self.wants..].rotate_right(more);
        }
        self.unknown.reserve_exact(max_unknown.saturating_sub(self.unknown.len()));
    }

    /// Notes an endpoint to write.
    #[inline]
    pub(crate) fn give(&mut self, entry: Entry) {
        let room = self.entries.len();
        if self.wants + self.gives < room
            && let Some(place) = self.entries.get_mut(room - 1 - self.gives)
        {
            *place = entry;
            self.gives += 1;
        }
    }
}

/// The endpoints that a message has listed so far: a bit for each slot. A repeated endpoint would otherwise be answered as often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    words: Vec<u64>,
}

impl Seen {
    /// Takes memory for so many slots.
    pub(crate) fn reserve(&mut self, slots: usize) {
        let words = slots.div_ceil(64);
        if words > self.words.len() {
            self.words.reserve_exact(words - self.words.len());
            self.words.resize(words, 0);
        }
    }

    /// Begins a message, which has no endpoint yet. What earlier packets of it have named is in `pending`.
    pub(crate) fn begin(&mut self, pending: &Pending) {
        self.words.fill(0);
        for entry in pending.wants().iter().chain(pending.gives_from(0)) {
            self.insert(entry.slot);
        }
    }

    /// Notes that a message names an endpoint. Returns whether it is the first time.
    #[inline]
    pub(crate) fn insert(&mut self, slot: Slot) -> bool {
        let Some(word) = self.words.get_mut(slot.index() / 64) else { return true };
        let bit = 1 << (slot.index() % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// The findings of a list of digests, besides those that go into [`Pending`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Examined {
    /// The generation under which the sender lists itself.
    pub(crate) sender: Option<Generation>,
    /// How many digests were of a generation too far in the future.
    pub(crate) future: u32,
    /// The first of them.
    pub(crate) first_future: Option<(Endpoint, Generation)>,
}

/// In what light digests are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Who sent them.
    pub(crate) sender: Endpoint,
    /// Later generations are not asked for.
    pub(crate) newest: Generation,
    pub(crate) now: Timestamp,
}

/// Writes how far an endpoint is known.
pub(crate) fn encode(
    table: &EndpointTable,
    slot: Slot,
    codec: Codec,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    let known = table.known(slot);
    let (generation, max_version) = (known.generation(), known.max_version());
    Digest { endpoint: table.endpoint(slot), generation, max_version }.encode(codec, out)
}

/// Writes how far each of `slots` but our own is known, while there is room; leaves those for which there was none, and says how many it
/// wrote.
pub(crate) fn encode_others(
    table: &EndpointTable,
    slots: &mut &[Slot],
    codec: Codec,
    out: &mut Writer<'_>,
) -> i32 {
    let mut written = 0;
    loop {
        if codec.address_form() == AddressForm::WithPort {
            // IPv4 endpoints lie in the table as they are written.
            let filled = out.all_places(|places| table.pack_digests(slots, places));
            written += i32::try_from(filled).unwrap_or(i32::MAX);
            *slots = slots.get(filled..).unwrap_or_default();
        }
        let Some((slot, rest)) = slots.split_first() else { return written };
        if *slot != Slot::FIRST {
            if encode(table, *slot, codec, out).is_err() {
                return written;
            }
            written += 1;
        }
        *slots = rest;
    }
}

/// Writes how far each of `slots` is known that is `wanted`, while there is room; leaves those for which there was none, and says how
/// many it wrote.
pub(crate) fn encode_all(
    table: &EndpointTable,
    slots: &mut &[Slot],
    is_wanted: impl Fn(Slot) -> bool,
    codec: Codec,
    out: &mut Writer<'_>,
) -> i32 {
    let mut written = 0;
    loop {
        if codec.address_form() == AddressForm::WithPort {
            let mut left = *slots;
            written += out.places(0, |place| {
                while let Some((slot, rest)) = left.split_first() {
                    if is_wanted(*slot) {
                        let filled = table.pack_digests(slice::from_ref(slot), slice::from_mut(place));
                        left = if filled > 0 { rest } else { left };
                        return filled > 0;
                    }
                    left = rest;
                }
                false
            });
            *slots = left;
        }
        let Some((slot, rest)) = slots.split_first() else { return written };
        if is_wanted(*slot) {
            if encode(table, *slot, codec, out).is_err() {
                return written;
            }
            written += 1;
        }
        *slots = rest;
    }
}

/// Compares every digest with the table, and notes in `pending` what either side lacks.
///
/// Deviation: who is gone is not asked for, where Cassandra asks and then ignores the answer (`docs/protocol/pitfalls.md#dead-and-removed-nodes`). Neither is an
/// endpoint that the sender knows by its address alone: there is nothing to send about it.
pub(crate) fn examine(
    table: &mut EndpointTable,
    quarantine: &Quarantine,
    digests: &Digests<'_>,
    context: &Context,
    (pending, seen): (&mut Pending, &mut Seen),
) -> Examined {
    seen.begin(pending);
    let Pending { entries, wants, gives, unknown, .. } = pending;
    let mut rare = Rare { quarantine, context, unknown, examined: Examined::default() };
    let mut comparison = Comparison {
        seen: &mut seen.words,
        entries,
        wants: *wants,
        gives: *gives,
        newest: Known::new(context.newest, Version::new(i32::MAX)),
        sender: table.find(context.sender),
    };
    let mut cursor = Cursor::default();
    if let Some(packed) = digests.packed() {
        if table.begin_list() {
            for digest in packed {
                let (packed, theirs) = read_packed(digest);
                let found = table.find_next_v4(packed, &mut cursor);
                comparison.examine(found, || Endpoint::from_packed_v4(packed), theirs, &mut rare);
            }
            table.end_list(&cursor, packed.len());
        } else {
            for digest in packed {
                let (packed, theirs) = read_packed(digest);
                let found = table.find_known_v4(packed);
                comparison.examine(found, || Endpoint::from_packed_v4(packed), theirs, &mut rare);
            }
        }
    } else {
        for digest in digests.iter() {
            let found = table.find_next(digest.endpoint, &mut cursor);
            let theirs = Known::new(digest.generation, digest.max_version);
            comparison.examine(found, || digest.endpoint, theirs, &mut rare);
        }
    }
    (*wants, *gives) = (comparison.wants, comparison.gives);
    rare.examined
}

/// What is done for every digest. It stays in registers, and so is apart from what is done for few.
struct Comparison<'a> {
    seen: &'a mut [u64],
    entries: &'a mut [Entry],
    wants: usize,
    gives: usize,
    /// No endpoint of a later generation is requested.
    newest: Known,
    /// The row of the sender of the list.
    sender: Option<Slot>,
}

/// What is done for few digests.
struct Rare<'a> {
    quarantine: &'a Quarantine,
    context: &'a Context,
    unknown: &'a mut Vec<Unknown>,
    examined: Examined,
}

impl Comparison<'_> {
    #[inline(always)]
    fn examine(
        &mut self,
        found: Option<(Slot, Known)>,
        endpoint: impl FnOnce() -> Endpoint,
        theirs: Known,
        rare: &mut Rare<'_>,
    ) {
        let Some((slot, ours)) = found else { return rare.examine_unknown(endpoint(), theirs, self.newest) };
        if Some(slot) == self.sender {
            rare.examined.sender = Some(theirs.generation());
        }
        if theirs == ours {
            return;
        }
        if theirs > self.newest {
            return rare.note_future(endpoint(), theirs);
        }
        if let Some(word) = self.seen.get_mut(slot.index() / 64) {
            let bit = 1 << (slot.index() % 64);
            if *word & bit != 0 {
                return;
            }
            *word |= bit;
        }
        if self.wants + self.gives >= self.entries.len() {
            return;
        }
        // Newer and older come in no order: which of them it is decides about numbers, not about what is done next.
        let is_wanted = usize::from(theirs > ours);
        let last = self.entries.len() - 1 - self.gives;
        let at = if theirs > ours { self.wants } else { last };
        if let Some(place) = self.entries.get_mut(at) {
            *place = Entry::new(slot, theirs);
        }
        self.wants += is_wanted;
        self.gives += 1 - is_wanted;
    }
}

impl Rare<'_> {
    #[cold]
    fn note_future(&mut self, endpoint: Endpoint, theirs: Known) {
        self.examined.future += 1;
        self.examined.first_future.get_or_insert((endpoint, theirs.generation()));
    }

    #[cold]
    fn examine_unknown(&mut self, endpoint: Endpoint, theirs: Known, newest: Known) {
        let generation = theirs.generation();
        if endpoint == self.context.sender {
            self.examined.sender = Some(generation);
        }
        if theirs > newest {
            return self.note_future(endpoint, theirs);
        }
        if endpoint.is_unspecified()
            || generation == Generation::SAVED
            || self.quarantine.refuses(endpoint, generation, theirs.max_version(), self.context.now)
        {
            return;
        }
        let unknown = &mut *self.unknown;
        let is_sender = endpoint == self.context.sender;
        if unknown.len() < unknown.capacity() {
            unknown.push(Unknown { endpoint, generation });
            // It knows itself best.
            if is_sender {
                unknown.rotate_right(1);
            }
        } else if is_sender && let Some(first) = unknown.first_mut() {
            *first = Unknown { endpoint, generation };
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::message::Message;
    use crate::verb::Verb;
    use crate::version::{HeartbeatState, MessagingVersion};

    fn entry(number: u32) -> Entry {
        Entry::new(Slot::from_number(number), Known::new(Generation::new(1), Version::new(1)))
    }

    /// Wants the rows 0 to 3, and gives 4 to 6.
    fn pending() -> Pending {
        let mut pending = Pending::default();
        pending.reserve(8, &Budgets::USUAL);
        (0..4).for_each(|number| pending.entries[number as usize] = entry(number));
        pending.wants = 4;
        (4..7).for_each(|number| pending.give(entry(number)));
        pending.progress.requests = 2;
        pending
    }

    fn rows(entries: impl IntoIterator<Item = Entry>) -> Vec<u32> {
        entries.into_iter().map(|entry| entry.slot().number()).collect()
    }

    #[test]
    fn what_is_owed_of_rows_that_stay_is_kept_in_its_order() {
        let mut pending = pending();
        pending.retain(|_| true);
        assert_eq!(pending.progress, Progress { requests: 2, ..Progress::default() });
        pending.retain(|slot| ![0, 2, 4].contains(&slot.number()));
        assert_eq!(rows(pending.wants().to_vec()), [1, 3]);
        assert_eq!(rows(pending.gives()), [5, 6]);
        assert_eq!(pending.progress, Progress::default(), "from the beginning: places have changed");
        pending.retain(|slot| slot.number() != 6);
        assert_eq!(rows(pending.wants().to_vec()), [1, 3]);
        assert_eq!(rows(pending.gives()), [5]);
    }

    #[test]
    fn what_is_given_takes_no_place_of_what_is_wanted() {
        let mut pending = pending();
        (7..10).for_each(|number| pending.give(entry(number)));
        assert_eq!(rows(pending.wants().to_vec()), [0, 1, 2, 3]);
        assert_eq!(rows(pending.gives()), [4, 5, 6, 7]);
        // More room lies between the two.
        pending.reserve(10, &Budgets::USUAL);
        pending.give(entry(11));
        assert_eq!(rows(pending.wants().to_vec()), [0, 1, 2, 3]);
        assert_eq!(rows(pending.gives()), [4, 5, 6, 7, 11]);
    }

    #[test]
    fn nothing_is_left_once_all_of_each_kind_is_written() {
        let mut pending = pending();
        pending
            .unknown
            .push(Unknown { endpoint: Endpoint::v4([10, 0, 0, 1], 1), generation: Generation::new(1) });
        for (requests, unknown, is_all) in [(4, 1, true), (4, 0, false), (3, 1, false), (3, 0, false)] {
            pending.progress = Progress { requests, unknown, ..Progress::default() };
            assert_eq!(pending.has_no_more_requests(), is_all);
        }
        for (heartbeats, values, is_all) in [(3, 3, true), (3, 2, false), (2, 3, false), (2, 2, false)] {
            pending.progress = Progress { heartbeats, values, ..Progress::default() };
            assert_eq!(pending.has_no_more_states(), is_all);
        }
    }

    #[test]
    fn what_an_earlier_part_of_a_message_has_named_is_not_new() {
        let mut seen = Seen::default();
        seen.reserve(10);
        seen.begin(&pending());
        let is_new: Vec<_> = (0..8).map(|number| seen.insert(Slot::from_number(number))).collect();
        assert_eq!(is_new, [false, false, false, false, false, false, false, true]);
    }

    #[test]
    fn each_row_is_new_once_in_a_message() {
        let mut seen = Seen::default();
        seen.reserve(200);
        for _ in 0..2 {
            seen.begin(&Pending::default());
            for is_new in [true, false] {
                assert!((0..200).all(|number| seen.insert(Slot::from_number(number)) == is_new));
            }
        }
    }

    #[test]
    fn room_grows_by_a_quarter_at_least_and_only_if_it_is_needed() {
        let (mut pending, mut seen) = (Pending::default(), Seen::default());
        assert!(!pending.has_memory());
        for (endpoints, room) in
            [(100, 100), (100, 100), (101, 125), (125, 125), (200, 200), (80_000, Budgets::USUAL.max_entries)]
        {
            pending.reserve(endpoints, &Budgets::USUAL);
            assert_eq!((pending.entries.len(), pending.has_memory()), (room, true), "{endpoints}");
        }
        for (slots, words) in [(64, 1), (64, 1), (256, 4), (257, 5)] {
            seen.reserve(slots);
            assert_eq!((seen.words.len(), seen.words.capacity()), (words, words), "{slots}");
        }
    }

    /// Knows itself, six endpoints in a row, and some between which others were removed; every fifth has an IPv6 address if `is_mixed`.
    fn table(is_mixed: bool) -> EndpointTable {
        let arrivals = crate::phi::Settings {
            window: 10,
            initial: core::time::Duration::from_secs(2),
            max: core::time::Duration::from_secs(2),
            pace: None,
        };
        let mut table = EndpointTable::new(1, 1_000, arrivals);
        for n in 0..200 {
            let heartbeat = HeartbeatState { generation: Generation::new(5), version: Version::new(10) };
            table.insert(endpoint(n, is_mixed), heartbeat).unwrap();
        }
        for n in (7..200).step_by(3) {
            table.remove(table.find(endpoint(n, is_mixed)).unwrap());
        }
        table.drop_removed();
        table.sort();
        table
    }

    fn endpoint(n: u8, is_mixed: bool) -> Endpoint {
        if is_mixed && n % 5 == 4 {
            Endpoint::new(core::net::Ipv6Addr::from([n; 16]).into(), 7000)
        } else {
            Endpoint::v4([10, 0, 0, n], 7000)
        }
    }

    #[test]
    fn digests_of_ipv4_endpoints_are_written_as_those_of_others_are() {
        for (version, is_mixed) in [
            (MessagingVersion::V12, false),
            (MessagingVersion::V12, true),
            (MessagingVersion::V10, false),
            (MessagingVersion::V10, true),
        ] {
            let (codec, table) = (Codec::new(version), table(is_mixed));
            let others = |slot| slot != Slot::FIRST;
            let wanted: [fn(Slot) -> bool; 3] =
                [others, |slot| slot.number() % 3 == 1, |slot| slot.number() > 100];
            let (mut plain, mut buffer) = ([0; 8_000], [0; 8_000]);
            for (room, (at, is_wanted)) in (0..400)
                .chain([8_000])
                .flat_map(|room| wanted.into_iter().enumerate().map(move |wanted| (room, wanted)))
            {
                let mut plain = Writer::new(&mut plain[..room]);
                let (mut count, mut rest) = (0, table.sorted());
                while let Some((slot, next)) = rest.split_first() {
                    if is_wanted(*slot) {
                        if encode(&table, *slot, codec, &mut plain).is_err() {
                            break;
                        }
                        count += 1;
                    }
                    rest = next;
                }
                let mut out = Writer::new(&mut buffer[..room]);
                let mut slots = table.sorted();
                assert_eq!(encode_all(&table, &mut slots, is_wanted, codec, &mut out), count);
                assert_eq!((slots, out.written()), (rest, plain.written()), "room for {room}");
                if at == 0 {
                    let mut out = Writer::new(&mut buffer[..room]);
                    let mut slots = table.sorted();
                    assert_eq!(encode_others(&table, &mut slots, codec, &mut out), count);
                    assert_eq!((slots, out.written()), (rest, plain.written()), "room for {room}");
                }
            }
        }
    }

    /// What is found of a list, by plain rules: those that are wanted, given and unknown.
    type Found = (Vec<(Slot, Known)>, Vec<(Slot, Known)>, Vec<Endpoint>);

    fn compare(table: &EndpointTable, digests: &[Digest], newest: Generation) -> Found {
        let (mut wants, mut gives, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = Vec::new();
        for digest in digests.iter().filter(|digest| digest.generation <= newest) {
            let theirs = Known::new(digest.generation, digest.max_version);
            match table.find(digest.endpoint) {
                None => unknown.push(digest.endpoint),
                Some(slot) if theirs == table.known(slot) || seen.contains(&slot) => {}
                Some(slot) => {
                    seen.push(slot);
                    let list = if theirs > table.known(slot) { &mut wants } else { &mut gives };
                    list.push((slot, theirs));
                }
            }
        }
        (wants, gives, unknown)
    }

    #[test]
    fn a_list_is_compared_alike_in_any_order_and_form_and_each_endpoint_once() {
        let (sender, newest) = (endpoint(3, false), Generation::new(6));
        for is_mixed in [false, true] {
            let mut table = table(is_mixed);
            // Others that are as far, behind and ahead, of an earlier and of a later process, too far ahead, and unknown.
            let states = [(5, 10), (5, 9), (5, 11), (4, 99), (6, 1), (7, 1), (5, 0)];
            let digest = |n: u8, at: usize| {
                let (generation, version) = states[at % states.len()];
                let (generation, max_version) = (Generation::new(generation), Version::new(version));
                Digest { endpoint: endpoint(n, is_mixed), generation, max_version }
            };
            let by_address: Vec<Digest> = (0..200).map(|n| digest(n, usize::from(n))).collect();
            let shuffled: Vec<Digest> = (0..200).map(|n| by_address[n * 77 % 200]).collect();
            let backwards: Vec<Digest> = by_address.iter().rev().copied().collect();
            let again = (0..200).map(|n| digest(n, usize::from(n) + 2));
            let repeated: Vec<Digest> = by_address.iter().copied().chain(again).collect();
            for list in [by_address, shuffled, backwards, repeated] {
                let mut body = vec![0; 20_000];
                let codec = Codec::new(MessagingVersion::V12);
                let mut out = Writer::new(&mut body);
                let name = crate::wire::JavaStr::from_checked(b"c");
                let id = crate::metadata::MetadataId::NONE;
                crate::message::encode_syn_head(name, name, id, codec, &mut out).unwrap();
                out.i32(i32::try_from(list.len()).unwrap()).unwrap();
                list.iter().for_each(|digest| digest.encode(codec, &mut out).unwrap());
                let syn = Message::decode(Verb::GOSSIP_DIGEST_SYN, out.written(), codec);
                let Some(Ok(Message::Syn(syn))) = syn else { panic!("{syn:?}") };

                let (mut pending, mut seen) = (Pending::default(), Seen::default());
                pending.reserve(200, &Budgets::USUAL);
                seen.reserve(table.places().len());
                let context = Context { sender, newest, now: Timestamp::ZERO };
                let lists = (&mut pending, &mut seen);
                let examined = examine(&mut table, &Quarantine::new(16), &syn.digests, &context, lists);
                let (wants, gives, unknown) = compare(&table, &list, newest);
                let parts = |entry: Entry| (entry.slot(), entry.known());
                assert_eq!(pending.wants().iter().copied().map(parts).collect::<Vec<_>>(), wants);
                assert_eq!(pending.gives().map(parts).collect::<Vec<_>>(), gives);
                assert_eq!(
                    pending.unknown.iter().map(|unknown| unknown.endpoint).collect::<Vec<_>>(),
                    unknown
                );
                let future = list.iter().filter(|digest| digest.generation > newest);
                assert_eq!(examined.future as usize, future.count());
                let own = list.iter().rfind(|digest| digest.endpoint == sender).unwrap();
                assert_eq!(examined.sender, Some(own.generation));
            }
        }
    }

    #[test]
    fn so_many_unknown_endpoints_are_noted_and_the_sender_always_first() {
        let (mut pending, sender) = (Pending::default(), Endpoint::v4([10, 9, 9, 9], 1));
        pending.reserve(1, &Budgets::USUAL);
        let room = pending.unknown.capacity();
        let context = Context { sender, newest: Generation::new(9), now: Timestamp::ZERO };
        let newest = Known::new(context.newest, Version::new(i32::MAX));
        let quarantine = Quarantine::new(16);
        let known = |generation| Known::new(Generation::new(generation), Version::new(1));
        let mut rare = Rare {
            quarantine: &quarantine,
            context: &context,
            unknown: &mut pending.unknown,
            examined: Examined::default(),
        };
        for n in 0..600 {
            rare.examine_unknown(Endpoint::v4([10, 0, 0, 1], n), known(2), newest);
        }
        assert_eq!((rare.unknown.len(), rare.unknown.capacity()), (Budgets::USUAL.max_unknown, room));
        assert_eq!(rare.examined.sender, None, "it is another endpoint");
        rare.examine_unknown(sender, known(3), newest);
        assert_eq!(rare.examined.sender, Some(Generation::new(3)));
        assert_eq!((rare.unknown[0].endpoint, rare.unknown.len()), (sender, Budgets::USUAL.max_unknown));
    }
}
