//! Host ids: whose is seen twice, and what becomes of former addresses.
//!
//! An address locates a host, a host id identifies it. A host that returns at another address leaves its former address behind. That is
//! forgotten once the host id is live elsewhere, and so is an address that was only saved and never heard of again.

use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use super::Membership;
use crate::endpoint::Endpoint;
use crate::event::{Event, ForgetCause};
use crate::saved::{self, SavedEndpoint};
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::time::Timestamp;
use crate::uuid::Uuid;
use crate::version::Generation;

/// How long a host id that two endpoints have is not reported again.
const PAUSE: Duration = Duration::from_hours(1);

/// For how many endpoints that is remembered.
const MAX_TOLD: usize = 8;

/// For how many intervals after two were found with one host id the heartbeats of both have to grow: one may have died just before, and
/// be convicted later.
const PROOF: u32 = 5;

/// Every how many rounds saved addresses are looked at.
const SAVED_PERIOD: u64 = 60;

/// What is watched of host ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    /// Whether a host id or the state of an endpoint has changed since the last look.
    is_changed: bool,
    /// Host ids and their rows, sorted; kept for its memory.
    found: Vec<(Uuid, Slot)>,
    /// Which shared host ids were reported, and when.
    told: SmallVec<[(Endpoint, Timestamp); MAX_TOLD]>,
    /// Which host ids a second live endpoint seems to have, and since when.
    suspected: SmallVec<[(Endpoint, Timestamp); MAX_TOLD]>,
}

impl Identity {
    pub(super) fn reserve(&mut self, endpoints: usize) {
        self.found.reserve(endpoints.saturating_sub(self.found.len()));
    }

    /// A host id, or the state of an endpoint, may have changed.
    pub(super) const fn note(&mut self) {
        self.is_changed = true;
    }
}

impl Membership<'_> {
    /// The host id of an endpoint, if it is known: of an address that is only saved, the host that had it.
    pub(in super::super) fn host_id(&self, slot: Slot) -> Option<Uuid> {
        if self.members.table.generation(slot) == Generation::SAVED && slot != Slot::FIRST {
            return self.saved(self.members.table.endpoint(slot))?.host_id;
        }
        Uuid::from_text(self.members.table.host_id(slot)?.as_bytes()).ok()
    }

    fn saved(&self, endpoint: Endpoint) -> Option<&SavedEndpoint> {
        saved::find(&self.config.saved, endpoint)
    }

    /// Looks once a round, where something has changed, whether two have one host id.
    pub(in super::super) fn check_identities(&mut self) {
        if self.journal.stats.rounds.is_multiple_of(SAVED_PERIOD) {
            self.forget_old_addresses();
        }
        if !core::mem::take(&mut self.members.identity.is_changed) {
            return;
        }
        let mut found = core::mem::take(&mut self.members.identity.found);
        found.clear();
        found.extend(self.members.table.slots().filter_map(|slot| Some((self.host_id(slot)?, slot))));
        found.sort_unstable();
        for same in found.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
            self.compare_holders(same);
        }
        self.members.identity.found = found;
    }

    /// Several endpoints have one host id.
    fn compare_holders(&mut self, same: &[(Uuid, Slot)]) {
        let is_live = |slot: Slot| self.members.table.standing(slot) == Standing::Live;
        let live = same.iter().filter(|(_, slot)| is_live(*slot));
        let newest = live.clone().max_by_key(|(_, slot)| self.members.table.generation(*slot));
        let Some((host_id, newest)) = newest.copied() else { return };
        let generation = self.members.table.generation(newest);
        if live.count() > 1 {
            self.suspect(host_id, same, newest);
        }
        for (_, slot) in same {
            let is_former = *slot != Slot::FIRST
                && self.members.table.standing(*slot) == Standing::Unreachable
                && self.members.table.generation(*slot) < generation
                && (!self.members.table.status(*slot).is_dead() || self.has_stopped(*slot));
            if is_former {
                let former = self.members.table.endpoint(*slot);
                self.journal.tell(Event::Replaced { endpoint: former, host_id });
                self.evict(*slot, ForgetCause::Moved);
            }
        }
    }

    /// Several endpoints with one host id seem to be live. Reports it once that is certain.
    fn suspect(&mut self, host_id: Uuid, same: &[(Uuid, Slot)], newest: Slot) {
        let (now, endpoint) = (self.clock.now(), self.members.table.endpoint(newest));
        let proof = self.config.interval.saturating_mul(PROOF);
        let suspected = &mut self.members.identity.suspected;
        let since = suspected.iter().find(|(other, _)| *other == endpoint).map(|(_, since)| *since);
        let Some(since) = since else {
            // Old suspicions are dropped: these endpoints are not waiting for proof.
            suspected.retain(|(_, since)| now.saturating_since(*since) < PAUSE);
            if suspected.len() < MAX_TOLD {
                suspected.push((endpoint, now));
                self.members.identity.note();
            }
            return;
        };
        let is_proven = |slot: Slot| {
            self.members.table.standing(slot) == Standing::Live
                && (slot == Slot::FIRST || self.members.table.updated(slot) >= since + proof)
        };
        if same.iter().filter(|(_, slot)| is_proven(*slot)).count() > 1 {
            self.members.identity.suspected.retain(|(other, _)| *other != endpoint);
            if self.may_tell_of(newest) {
                self.journal.tell(Event::SharedHostId { endpoint, host_id });
            }
        } else {
            // Looked at again in the next round.
            self.members.identity.note();
        }
    }

    fn may_tell_of(&mut self, slot: Slot) -> bool {
        let (now, endpoint) = (self.clock.now(), self.members.table.endpoint(slot));
        let told = &mut self.members.identity.told;
        told.retain(|(_, told)| now.saturating_since(*told) < PAUSE);
        if told.len() == MAX_TOLD || told.iter().any(|(other, _)| *other == endpoint) {
            return false;
        }
        told.push((endpoint, now));
        true
    }

    /// A process of another host has taken an address over.
    pub(in super::super) fn compare_host_id(&mut self, slot: Slot, old: Option<Uuid>) {
        self.members.identity.note();
        if let Some(old) = old
            && self.host_id(slot).is_some_and(|new| new != old)
        {
            self.journal.tell(Event::HostIdChanged { endpoint: self.members.table.endpoint(slot), old });
        }
    }

    /// Forgets saved addresses of which nothing was heard for as long as tombstones are kept.
    fn forget_old_addresses(&mut self) {
        let Some(unix_ms) = self.clock.unix_ms() else { return };
        let ttl = u64::try_from(self.config.membership.tombstone_ttl.as_millis()).unwrap_or(u64::MAX);
        for slot in self.members.table.places().skip(1) {
            if !self.members.table.is_occupied(slot)
                || self.members.table.generation(slot) != Generation::SAVED
            {
                continue;
            }
            let heard = self.saved(self.members.table.endpoint(slot)).and_then(|saved| saved.heard_unix_ms);
            if heard.is_some_and(|heard| heard.saturating_add(ttl) < unix_ms) {
                self.evict(slot, ForgetCause::Unheard);
            }
        }
    }

    /// Makes room where the table is full: an address that is only saved gives way to an endpoint that is there. Returns whether there was one.
    pub(in super::super) fn make_room(&mut self) -> bool {
        if self.members.saved_left == 0 {
            return false;
        }
        let is_saved = |slot: &Slot| self.members.table.generation(*slot) == Generation::SAVED;
        let heard = |slot: &Slot| {
            self.saved(self.members.table.endpoint(*slot)).and_then(|saved| saved.heard_unix_ms)
        };
        let oldest = self.members.table.slots().skip(1).filter(is_saved).min_by_key(heard);
        match oldest {
            Some(slot) => self.evict(slot, ForgetCause::Unheard),
            None => self.members.saved_left = 0,
        }
        oldest.is_some()
    }
}
