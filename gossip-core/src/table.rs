//! What a node knows of every endpoint: dense columns, one row an endpoint, found by hash or by guess.
//!
//! What an exchange compares lies together, packed: keys, then (generation, greatest version). Values lie apart and are
//! not touched by a heartbeat. The [`Slot`] of a row is its name inside the core. It changes only where [`EndpointTable::arrange`] is called.

mod order;
mod values;

use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

pub(crate) use self::order::Moves;
pub(crate) use self::values::{Place, Stored, Survey, Values};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::message::{HEARTBEAT, PACKED, pack, read_heartbeat};
use crate::phi::{Arrivals, Settings, Silence, Window};
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::status::StatusKind;
use crate::time::Timestamp;
use crate::version::{Generation, HeartbeatState, Known, Version};
use crate::wire::JavaStr;

/// What a digest is held against: four of them fill a line of the cache.
#[derive(Clone, Copy, Debug)]
struct Row {
    key: u64,
    known: Known,
}

/// What a heartbeat changes, and what a round looks at.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    window: Window,
    /// When the newest heartbeat became known.
    updated: Timestamp,
    heartbeat: Version,
    standing: Standing,
    status: StatusKind,
    /// Whether the answer to an echo is awaited.
    is_asked: bool,
    /// Whether it ever answered us, in whatever generation, or our operator named it.
    is_met: bool,
}

const _: () = assert!(size_of::<Row>() == 16 && size_of::<Pulse>() <= 40);

/// Which target an endpoint is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Neither,
    Live,
    /// It may come back: its status does not say that it is gone.
    Unreachable,
}

/// By what a look at all rows tells those that need more than that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) now: Timestamp,
    /// See [`Silence`].
    pub(crate) silence: Silence,
    /// Who is live and was not heard itself for longer, in nanoseconds, is probed.
    pub(crate) probe_after: u64,
}

/// The echo that is to prove an endpoint reachable. One at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) id: u32,
    pub(crate) generation: Generation,
    /// After this no answer counts any more.
    pub(crate) deadline: Timestamp,
    /// No answer came in time, so that the endpoint may be asked again. Until `deadline` a late one still counts.
    pub(crate) is_over: bool,
    /// It was asked again later. Then nothing tells which question is answered, nor after how long.
    pub(crate) is_repeated: bool,
}

/// Where to look first for the next endpoint of a message: our own kind lists them in the order of their addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    next: u32,
    /// How many were not there.
    wrong: usize,
}

/// After so many lists in a row of which most was guessed wrong, only one in as many is guessed at all: Cassandra lists in other orders,
/// and a guess that is wrong costs more than none.
///
/// What was tried and did not pay: learning what follows what, in two chains for two kinds of senders. Each sender of Cassandra has an
/// order of its own within a bin of its map; the guesses that are wrong there cost as much as all look-ups that are saved.
const PATIENCE: u8 = 8;

/// Whether lists come in an order that is guessed.
#[derive(Clone, Copy, Debug, Default)]
struct Lists {
    /// How many came.
    count: u8,
    /// How many of the last did not.
    disorderly: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct EndpointTable {
    index: HashTable<u32>,
    hash: FixedState,
    // The columns: position i of each belongs to Slot(i).
    rows: Vec<Row>,
    /// The greatest version of the values alone: where a digest is not below it, only the heartbeat is newer.
    value_versions: Vec<Version>,
    pulses: Vec<Pulse>,
    /// Of IPv6 endpoints, whose row has but a hash; as long as the last of those needs.
    endpoints: Vec<Endpoint>,
    /// Of each what a target is chosen by, and how many there are of each kind. Our own row is none.
    kinds: Vec<Kind>,
    counts: [u32; 3],
    /// When anything last came from the endpoint itself.
    heard: Vec<Timestamp>,
    /// What counts of them is that the pulse says.
    echoes: Vec<Echo>,
    values: Vec<Values>,
    arrivals: Arrivals,
    /// All slots, sorted by endpoint; rebuilt once a round when endpoints came in: see [`order`].
    order: Vec<Slot>,
    /// For each slot the one that follows it in `order`: the guess. For a vacant one the next that is vacant.
    successors: Vec<u32>,
    lists: Lists,
    /// The first of the rows of endpoints that were removed, to be used again, and how many there are.
    vacant: u32,
    vacancies: usize,
    is_sorted: bool,
    /// How many rows of `order` do not follow the one before in the table as well.
    jumps: usize,
    max_endpoints: usize,
}

/// The key of a free row: no IPv4 endpoint is that long, and no IPv6 one has bit 62 set.
const VACANT: u64 = u64::MAX;

/// No slot.
const NOWHERE: u32 = u32::MAX;

/// The table holds as many endpoints as it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableFull;

impl EndpointTable {
    pub(crate) fn new(hash_key: u64, max_endpoints: usize, arrivals: Settings) -> Self {
        Self {
            index: HashTable::new(),
            hash: FixedState::with_seed(hash_key),
            rows: Vec::new(),
            value_versions: Vec::new(),
            pulses: Vec::new(),
            endpoints: Vec::new(),
            kinds: Vec::new(),
            counts: [0; 3],
            heard: Vec::new(),
            echoes: Vec::new(),
            values: Vec::new(),
            arrivals: Arrivals::new(arrivals),
            order: Vec::new(),
            successors: Vec::new(),
            lists: Lists::default(),
            vacant: NOWHERE,
            vacancies: 0,
            is_sorted: true,
            jumps: 0,
            max_endpoints,
        }
    }

    /// How many endpoints there are.
    pub(crate) const fn len(&self) -> usize {
        self.rows.len() - self.vacancies
    }

    /// All rows, in no particular order but always the same.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<'_> {
        // No more rows than `max_endpoints`, which fits.
        (0..)
            .zip(&self.rows)
            .filter(|(_, row)| row.key != VACANT)
            .map(|(number, _)| Slot::from_number(number))
    }

    /// Every place where a row may be: for walks that change rows.
    pub(crate) fn places(&self) -> impl ExactSizeIterator<Item = Slot> + use<> {
        (0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX)).map(Slot::from_number)
    }

    /// Whether the place belongs to an endpoint.
    pub(crate) fn is_occupied(&self, slot: Slot) -> bool {
        self.rows[slot.index()].key != VACANT
    }

    pub(crate) fn find(&self, endpoint: Endpoint) -> Option<Slot> {
        self.find_key(self.key(endpoint), endpoint)
    }

    /// As [`EndpointTable::find`], looking first at the row after the last that this cursor found.
    #[inline]
    pub(crate) fn find_next(&self, endpoint: Endpoint, cursor: &mut Cursor) -> Option<(Slot, Known)> {
        match endpoint.packed_v4() {
            Some(packed) => self.find_next_v4(packed, cursor),
            None => {
                let slot = self.find(endpoint)?;
                cursor.next = self.successors[slot.index()];
                Some((slot, self.known(slot)))
            }
        }
    }

    /// As [`EndpointTable::find_next`], of an IPv4 endpoint in 48 bits.
    #[inline]
    pub(crate) fn find_next_v4(&self, packed: u64, cursor: &mut Cursor) -> Option<(Slot, Known)> {
        let (slot, known) = match self.rows.get(cursor.next as usize) {
            Some(row) if row.key == packed => (cursor.next, row.known),
            _ => {
                cursor.wrong += 1;
                let slot = self.find_v4(packed)?;
                (slot, self.rows[slot as usize].known)
            }
        };
        cursor.next = self.successors[slot as usize];
        Some((Slot::from_number(slot), known))
    }

    /// A list begins. Says whether it is worth while to guess what comes next.
    pub(crate) const fn begin_list(&mut self) -> bool {
        self.lists.count = self.lists.count.wrapping_add(1);
        self.lists.disorderly < PATIENCE || self.lists.count.is_multiple_of(PATIENCE)
    }

    /// A list ended that was guessed, and had so many digests.
    pub(crate) const fn end_list(&mut self, cursor: &Cursor, len: usize) {
        if cursor.wrong * 8 < len * 7 {
            self.lists.disorderly = 0;
        } else if self.lists.disorderly < PATIENCE {
            self.lists.disorderly += 1;
        }
    }

    /// As [`EndpointTable::find_next_v4`], without a guess.
    #[inline]
    pub(crate) fn find_known_v4(&self, packed: u64) -> Option<(Slot, Known)> {
        let slot = self.find_v4(packed)?;
        Some((Slot::from_number(slot), self.rows[slot as usize].known))
    }

    #[inline]
    fn find_v4(&self, packed: u64) -> Option<u32> {
        self.index.find(self.hash.hash_one(packed), |slot| self.rows[*slot as usize].key == packed).copied()
    }

    fn find_key(&self, key: u64, endpoint: Endpoint) -> Option<Slot> {
        let found = self.index.find(self.hash.hash_one(key), |slot| {
            self.rows[*slot as usize].key == key && self.endpoint(Slot::from_number(*slot)) == endpoint
        });
        found.map(|slot| Slot::from_number(*slot))
    }

    /// An IPv4 endpoint packed into 48 bits, or a hash of an IPv6 one behind the topmost bit.
    #[inline]
    fn key(&self, endpoint: Endpoint) -> u64 {
        endpoint.packed_v4().unwrap_or_else(|| self.hash.hash_one(endpoint) >> 2 | 1 << 63)
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
        let slot = if self.vacant == NOWHERE {
            self.add_row()?
        } else {
            let slot = Slot::from_number(self.vacant);
            self.vacant = self.successors[slot.index()];
            self.vacancies -= 1;
            slot
        };
        let i = slot.index();
        let key = self.key(endpoint);
        self.rows[i].key = key;
        if endpoint.packed_v4().is_none() {
            if self.endpoints.len() <= i {
                self.endpoints.resize(i + 1, Endpoint::from_packed_v4(0));
            }
            self.endpoints[i] = endpoint;
        }
        self.pulses[i] = Pulse::EMPTY;
        self.heard[i] = Timestamp::ZERO;
        self.reset(slot, heartbeat);
        self.successors[i] = slot.number();
        self.is_sorted = false;
        let Self { index, hash, rows, .. } = self;
        index
            .insert_unique(hash.hash_one(key), slot.number(), |slot| hash.hash_one(rows[*slot as usize].key));
        Ok(slot)
    }

    fn add_row(&mut self) -> Result<Slot, TableFull> {
        let slot = Slot::from_number(u32::try_from(self.rows.len()).map_err(|_| TableFull)?);
        if self.rows.len() == self.rows.capacity() {
            self.grow();
        }
        self.rows.push(Row { key: VACANT, known: Known::new(Generation::SAVED, Version::EMPTY) });
        self.value_versions.push(Version::EMPTY);
        self.pulses.push(Pulse::EMPTY);
        self.kinds.push(Kind::Neither);
        self.counts[Kind::Neither as usize] += 1;
        self.heard.push(Timestamp::ZERO);
        self.echoes.push(Echo {
            id: 0,
            generation: Generation::SAVED,
            deadline: Timestamp::ZERO,
            is_over: false,
            is_repeated: false,
        });
        self.values.push(Values::default());
        self.arrivals.push();
        self.successors.push(NOWHERE);
        // So that sorting needs no memory later.
        self.order.reserve(self.rows.len() - self.order.len());
        Ok(slot)
    }

    /// Takes memory for a quarter more rows: twice as many would leave half of it unused for long.
    fn grow(&mut self) {
        let capacity = (self.rows.len() + self.rows.len() / 4 + 16).min(self.max_endpoints);
        let more = capacity.saturating_sub(self.rows.len()).max(1);
        self.rows.reserve_exact(more);
        self.value_versions.reserve_exact(more);
        self.pulses.reserve_exact(more);
        self.kinds.reserve_exact(more);
        self.heard.reserve_exact(more);
        self.echoes.reserve_exact(more);
        self.values.reserve_exact(more);
        self.arrivals.reserve(self.rows.len() + more);
        self.successors.reserve_exact(more);
        self.order.reserve_exact(self.rows.len() + more - self.order.len());
    }

    /// Forgets an endpoint. Its row is given to another endpoint; all holders of its slot must drop it. So must the order, by
    /// [`EndpointTable::drop_removed`], before anything is inserted: once for however many are removed.
    pub(crate) fn remove(&mut self, slot: Slot) {
        let i = slot.index();
        let hash = self.hash.hash_one(self.rows[i].key);
        if let Ok(entry) = self.index.find_entry(hash, |found| *found == slot.number()) {
            entry.remove();
        }
        self.rows[i].key = VACANT;
        self.pulses[i] = Pulse::EMPTY;
        self.set_kind(i);
        self.values[i] = Values::default();
        self.successors[i] = self.vacant;
        self.vacant = slot.number();
        self.vacancies += 1;
        self.is_sorted = false;
    }

    /// Takes those that were removed out of the order.
    pub(crate) fn drop_removed(&mut self) {
        let rows = &self.rows;
        self.order.retain(|slot| rows[slot.index()].key != VACANT);
    }

    /// Forgets all of a row but its name and where it stands, for a process of another generation.
    pub(crate) fn reset(&mut self, slot: Slot, heartbeat: HeartbeatState) {
        let i = slot.index();
        self.values[i].clear();
        self.rows[i].known = Known::new(heartbeat.generation, heartbeat.version);
        self.value_versions[i] = Version::EMPTY;
        let pulse = &mut self.pulses[i];
        pulse.heartbeat = heartbeat.version;
        pulse.status = StatusKind::None;
        pulse.is_asked = false;
        self.set_kind(i);
    }

    /// Takes memory for so many further values with so many encoded bytes.
    pub(crate) fn reserve_values(&mut self, slot: Slot, count: usize, bytes: usize) {
        self.values[slot.index()].reserve(count, bytes);
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
        self.raise(i, version);
        if key.is_status() {
            let values = &self.values[i];
            let with_port = values.get(ApplicationState::STATUS_WITH_PORT);
            self.pulses[i].status = effective_status(with_port, values.get(ApplicationState::STATUS));
            self.set_kind(i);
        }
        stored
    }

    /// Sets the heartbeat; the greatest version grows with it.
    pub(crate) fn set_heartbeat(&mut self, slot: Slot, version: Version) {
        self.pulses[slot.index()].heartbeat = version;
        self.raise(slot.index(), version);
    }

    fn raise(&mut self, i: usize, version: Version) {
        let known = &mut self.rows[i].known;
        *known = known.with_version(known.max_version().max(version));
    }

    /// Raises the rows of which a newer heartbeat of the same process has come, up to the first state that says anything else; notes in
    /// `beats` whose they are, and returns how many. `each` is called with them.
    #[inline]
    pub(crate) fn raise_all(
        &mut self,
        states: &[[u8; HEARTBEAT]],
        cursor: &mut Cursor,
        beats: &mut [(Slot, Version)],
        mut each: impl FnMut(u64, Known),
    ) -> usize {
        let mut count = 0;
        for (state, beat) in states.iter().zip(beats) {
            let (packed, theirs) = read_heartbeat(state);
            let Some((slot, ours)) = self.find_next_v4(packed, cursor) else { break };
            let version = theirs.max_version();
            if !theirs.is_newer_of_same(ours) || slot == Slot::FIRST || version == Version::SHUTDOWN {
                break;
            }
            self.rows[slot.index()].known = theirs;
            each(packed, theirs);
            *beat = (slot, version);
            count += 1;
        }
        count
    }

    /// Takes in newer heartbeats that arrived now; says whether all of the endpoints are live.
    pub(crate) fn beat_all(&mut self, beats: &[(Slot, Version)], now: Timestamp) -> bool {
        let Self { pulses, arrivals, .. } = self;
        let mut are_live = true;
        for (slot, version) in beats {
            let Some(pulse) = pulses.get_mut(slot.index()) else { continue };
            pulse.heartbeat = *version;
            pulse.updated = now;
            arrivals.report(*slot, &mut pulse.window, now);
            are_live &= pulse.standing == Standing::Live;
        }
        are_live
    }

    /// Gives a row another generation and heartbeat; its values stay.
    pub(crate) fn set_generation_and_heartbeat(&mut self, slot: Slot, heartbeat: HeartbeatState) {
        self.pulses[slot.index()].heartbeat = heartbeat.version;
        let max_version = heartbeat.version.max(self.value_versions[slot.index()]);
        self.rows[slot.index()].known = Known::new(heartbeat.generation, max_version);
    }

    /// Gives the node's own row a greater generation; versions go on.
    pub(crate) fn set_generation(&mut self, slot: Slot, generation: Generation) {
        let known = &mut self.rows[slot.index()].known;
        *known = Known::new(generation, known.max_version());
    }

    #[inline]
    pub(crate) fn endpoint(&self, slot: Slot) -> Endpoint {
        let key = self.rows[slot.index()].key;
        if key >> 63 == 0 { Endpoint::from_packed_v4(key) } else { self.endpoints[slot.index()] }
    }

    #[inline]
    pub(crate) fn known(&self, slot: Slot) -> Known {
        self.rows[slot.index()].known
    }

    /// Fills in the digests of these rows, one after the other, up to the first that is our own or not of an IPv4 endpoint; says how many.
    #[inline]
    pub(crate) fn pack_digests(&self, slots: &[Slot], places: &mut [[u8; PACKED]]) -> usize {
        let rows = self.rows.as_slice();
        let mut filled = 0;
        for (slot, place) in slots.iter().zip(places) {
            match rows.get(slot.index()) {
                Some(Row { key, known }) if key >> 63 == 0 && *slot != Slot::FIRST => {
                    pack(*key, *known, place)
                }
                _ => break,
            }
            filled += 1;
        }
        filled
    }

    pub(crate) fn generation(&self, slot: Slot) -> Generation {
        self.known(slot).generation()
    }

    #[inline]
    pub(crate) fn heartbeat(&self, slot: Slot) -> HeartbeatState {
        HeartbeatState { generation: self.generation(slot), version: self.pulses[slot.index()].heartbeat }
    }

    #[inline]
    pub(crate) fn max_value_version(&self, slot: Slot) -> Version {
        self.value_versions[slot.index()]
    }

    /// An IPv4 endpoint in 48 bits, and how far it is known, if a peer that knows it so far lacks nothing but its heartbeat: that is
    /// then the greatest version, whatever the values are. `None` also if that marks a stop.
    #[inline]
    pub(crate) fn newer_heartbeat_v4(&self, slot: Slot, theirs: Known) -> Option<(u64, Known)> {
        let (Row { key, known }, values) = (self.rows[slot.index()], self.value_versions[slot.index()]);
        let is_heartbeat = known.is_newer_of_same(theirs)
            && values <= theirs.max_version()
            && known.max_version() != Version::SHUTDOWN;
        (is_heartbeat && key >> 63 == 0).then_some((key, known))
    }

    /// An IPv4 endpoint in 48 bits, and how far it is known, if a peer that knows it so far knows more of the same process: it is to be
    /// asked from there. `None` also of ourselves, and if that means everything.
    #[inline]
    pub(crate) fn older_v4(&self, slot: Slot, theirs: Known) -> Option<(u64, Known)> {
        let Row { key, known } = self.rows[slot.index()];
        let is_part =
            theirs.is_newer_of_same(known) && known.max_version() != Version::ZERO && slot != Slot::FIRST;
        (is_part && key >> 63 == 0).then_some((key, known))
    }

    pub(crate) fn values(&self, slot: Slot) -> &Values {
        &self.values[slot.index()]
    }

    pub(crate) fn host_id(&self, slot: Slot) -> Option<JavaStr<'_>> {
        self.values(slot).get(ApplicationState::HOST_ID).map(|(text, _)| text)
    }

    pub(crate) fn status(&self, slot: Slot) -> StatusKind {
        self.pulses[slot.index()].status
    }

    pub(crate) fn standing(&self, slot: Slot) -> Standing {
        self.pulses[slot.index()].standing
    }

    pub(crate) fn set_standing(&mut self, slot: Slot, standing: Standing) {
        let pulse = &mut self.pulses[slot.index()];
        pulse.standing = standing;
        pulse.is_met |= standing == Standing::Live;
        self.set_kind(slot.index());
    }

    /// The state of an endpoint, or what it says of itself, has changed.
    fn set_kind(&mut self, i: usize) {
        let Pulse { standing, status, .. } = self.pulses[i];
        let kind = match standing {
            _ if i == Slot::FIRST.index() => Kind::Neither,
            Standing::Live => Kind::Live,
            Standing::Unreachable if !status.is_dead() => Kind::Unreachable,
            _ => Kind::Neither,
        };
        let before = core::mem::replace(&mut self.kinds[i], kind);
        self.counts[before as usize] -= 1;
        self.counts[kind as usize] += 1;
    }

    /// How many others are of a kind.
    pub(crate) const fn count(&self, kind: Kind) -> u32 {
        self.counts[kind as usize]
    }

    /// The `nth` of them.
    pub(crate) fn nth(&self, kind: Kind, nth: usize) -> Option<Slot> {
        let mut left = nth;
        for (chunk, begin) in self.kinds.chunks(64).zip((0..).step_by(64)) {
            let count = chunk.iter().map(|other| u8::from(*other == kind)).sum::<u8>();
            if left < usize::from(count) {
                let found = (begin..).zip(chunk).filter(|(_, other)| **other == kind).nth(left)?;
                return Some(Slot::from_number(found.0));
            }
            left -= usize::from(count);
        }
        None
    }

    /// The first of these rows that has to be looked at: who may be silent for too long, or awaits an echo, or is to be probed.
    pub(crate) fn next_due(&self, Range { start, end }: Range<usize>, watch: &Watch) -> Option<Slot> {
        let now = watch.now.as_nanos();
        let due = |(pulse, heard): &(&Pulse, &Timestamp)| {
            pulse.is_asked
                || (pulse.standing == Standing::Live
                    && (pulse.window.may_be_silent(now, watch.silence)
                        || now.saturating_sub(heard.as_nanos()) > watch.probe_after))
        };
        let end = end.min(self.pulses.len());
        let rows = self.pulses.get(start..end)?.iter().zip(self.heard.get(start..end)?);
        let found = start + rows.into_iter().position(|row| due(&row))?;
        u32::try_from(found).ok().map(Slot::from_number)
    }

    /// The first row from `at` on of which nothing was heard for longer than so many nanoseconds, or that has left.
    pub(crate) fn next_silent(&self, at: usize, now: Timestamp, silence: u64) -> Option<Slot> {
        let due = |pulse: &Pulse| {
            now.as_nanos().saturating_sub(pulse.updated.as_nanos()) > silence
                || matches!(pulse.status, StatusKind::Left | StatusKind::Removed)
        };
        let found = at + self.pulses.get(at..)?.iter().position(due)?;
        u32::try_from(found).ok().map(Slot::from_number)
    }

    /// Whether we know at first hand that an endpoint existed.
    pub(crate) fn is_met(&self, slot: Slot) -> bool {
        self.pulses[slot.index()].is_met
    }

    /// The operator named an endpoint.
    pub(crate) fn meet(&mut self, slot: Slot) {
        self.pulses[slot.index()].is_met = true;
    }

    pub(crate) fn updated(&self, slot: Slot) -> Timestamp {
        self.pulses[slot.index()].updated
    }

    pub(crate) fn set_updated(&mut self, slot: Slot, now: Timestamp) {
        self.pulses[slot.index()].updated = now;
    }

    pub(crate) fn heard(&self, slot: Slot) -> Timestamp {
        self.heard[slot.index()]
    }

    pub(crate) fn set_heard(&mut self, slot: Slot, now: Timestamp) {
        self.heard[slot.index()] = now;
    }

    /// Our own pause is not the silence of a peer: all deadlines move by its length.
    pub(crate) fn put_off(&mut self, pause: core::time::Duration) {
        for pulse in &mut self.pulses {
            pulse.updated = pulse.updated + pause;
        }
        // Who was never heard is so still.
        for heard in self.heard.iter_mut().filter(|heard| **heard > Timestamp::ZERO) {
            *heard = *heard + pause;
        }
        for echo in &mut self.echoes {
            echo.deadline = echo.deadline + pause;
        }
    }

    pub(crate) fn echo(&self, slot: Slot) -> Option<Echo> {
        self.pulses[slot.index()].is_asked.then(|| self.echoes[slot.index()])
    }

    pub(crate) fn set_echo(&mut self, slot: Slot, echo: Option<Echo>) {
        self.pulses[slot.index()].is_asked = echo.is_some();
        if let Some(echo) = echo {
            self.echoes[slot.index()] = echo;
        }
    }

    /// The rhythm of an endpoint's heartbeats.
    pub(crate) fn window(&self, slot: Slot) -> &Window {
        &self.pulses[slot.index()].window
    }

    /// Takes the arrival of a newer heartbeat.
    pub(crate) fn report(&mut self, slot: Slot, now: Timestamp) {
        self.arrivals.report(slot, &mut self.pulses[slot.index()].window, now);
    }

    /// How suspicious an endpoint's silence is; see [`Arrivals::phi`].
    pub(crate) fn phi(&self, slot: Slot, now: Timestamp) -> Option<f64> {
        self.arrivals.phi(&self.pulses[slot.index()].window, now)
    }

    /// Forgets all arrivals of an endpoint.
    pub(crate) fn forget_arrivals(&mut self, slot: Slot) {
        self.pulses[slot.index()].window = Window::EMPTY;
    }

    /// See [`Arrivals::set_rotation`].
    pub(crate) fn set_rotation(&mut self, rounds: u32) {
        self.arrivals.set_rotation(rounds);
    }

    /// See [`Arrivals::set_calm`].
    pub(crate) fn set_calm(&mut self, is_calm: bool) {
        self.arrivals.set_calm(is_calm);
    }
}

impl Pulse {
    const EMPTY: Self = Self {
        window: Window::EMPTY,
        updated: Timestamp::ZERO,
        heartbeat: Version::EMPTY,
        standing: Standing::Unverified,
        status: StatusKind::None,
        is_asked: false,
        is_met: false,
    };
}

/// What the newer of the two status values says; where both are equally new, the one with port
/// (`docs/protocol/gossip-messages.md#invalid-bodies`).
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
mod tests;
