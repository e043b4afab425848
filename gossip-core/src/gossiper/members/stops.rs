//! How others take it that an endpoint stops (`docs/protocol/life-cycle.md#stop`).

use super::Membership;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{DownCause, Event};
use crate::gossiper::session::Session;
use crate::message::Shutdown;
use crate::slot::Slot;
use crate::status::{Status, StatusKind};
use crate::table::Stored;
use crate::version::{Generation, Version};
use crate::wire::JavaStr;

/// How many values a receiver adds at the most to an endpoint that stopped or was removed.
pub(in super::super) const MARKS: usize = 3;

/// The values that a receiver sets for an endpoint that stopped without saying more than that, and their versions.
///
/// Deviation: constants just below the heartbeat that marks a stop, the same at every receiver, where Cassandra takes
/// numbers from the receiver's own counter: those may lie below what a third node has seen of the endpoint, which then
/// never learns of the status (`docs/protocol/pitfalls.md#shutdown-and-liveness`).
const INVENTED: [(ApplicationState, &str, Version); MARKS] = [
    (ApplicationState::RPC_READY, "false", Version::new(i32::MAX - 3)),
    (ApplicationState::STATUS_WITH_PORT, Status::SHUTDOWN_TEXT, Version::new(i32::MAX - 2)),
    (ApplicationState::STATUS, Status::SHUTDOWN_TEXT, Version::new(i32::MAX - 1)),
];

impl Membership<'_> {
    /// A peer stops.
    ///
    /// Deviation: it counts only for the generation that is stored. A body says which it is; without one, it is that of
    /// the process at the other end of the connection.
    pub(in super::super) fn on_shutdown(
        &mut self,
        from: Endpoint,
        session: Session,
        shutdown: &Shutdown<'_>,
    ) {
        let generation = match &shutdown.state {
            Some(state) => Some(state.heartbeat.generation),
            None => session.generation,
        };
        // A state without values is known only from others. A status alone would make it look like more
        // (`docs/protocol/pitfalls.md#shutdown-and-liveness`).
        let slot = self.members.table.find(from).filter(|slot| {
            *slot != Slot::FIRST
                && Some(self.members.table.generation(*slot)) == generation
                && self.members.table.generation(*slot) != Generation::SAVED
                && !self.members.table.values(*slot).is_empty()
        });
        let Some(slot) = slot else {
            self.journal.stats.stale_shutdowns += 1;
            return;
        };
        let Some(state) = &shutdown.state else {
            if !self.is_nobody(slot) {
                self.invent_shutdown(slot);
            }
            self.mark_as_shutdown(slot);
            return;
        };
        let says_so = state
            .value(ApplicationState::STATUS_WITH_PORT)
            .is_some_and(|value| StatusKind::of_value(value.text.as_bytes()) == StatusKind::Shutdown);
        if !says_so {
            self.journal.stats.malformed += 1;
            return;
        }
        // No later state of this process is accepted, so its last values are applied now; if its mark is not kept, the other values.
        if !self.config.is_gossip_only && self.is_nobody(slot) {
            self.apply_other_values(slot, from, state);
        } else {
            self.apply_values(slot, from, state);
        }
        self.mark_as_shutdown(slot);
    }

    /// Sets the values of an endpoint that stopped, as far as it has not set them itself.
    pub(in super::super) fn invent_shutdown(&mut self, slot: Slot) {
        let endpoint = self.members.table.endpoint(slot);
        let own_words = self.members.table.status(slot) == StatusKind::Shutdown;
        for (key, text, version) in INVENTED {
            let stored = self.members.table.values(slot).get(key).map(|(stored, _)| stored);
            let says_so = stored.is_some_and(|stored| stored == text);
            // A shutdown in the endpoint's own words keeps its version, and needs no other words beside it.
            if says_so || (own_words && key.is_status() && stored.is_none()) {
                continue;
            }
            let text = JavaStr::from_checked(text.as_bytes());
            if self.members.table.set_value(slot, key, text, version) == Stored::Grown {
                self.journal.stats.values_grown += 1;
            }
            self.journal.tell(Event::StateChanged { endpoint, key, version });
        }
    }

    /// Whether an endpoint is no member: in a cluster of ours it has published no status, in a Cassandra cluster it has no tokens.
    ///
    /// Deviation: it is down when it stops, and no status is stored of it: that would make a member of it, and keep it for ever.
    fn is_nobody(&self, slot: Slot) -> bool {
        if self.config.is_gossip_only {
            return !self.members.has_tokens(slot);
        }
        self.members.table.status(slot) == StatusKind::None
    }

    /// Whether this process of an endpoint has stopped cleanly: by its status, or by the heartbeat that marks a stop.
    pub(in super::super) fn has_stopped(&self, slot: Slot) -> bool {
        self.members.table.status(slot) == StatusKind::Shutdown
            || self.members.table.heartbeat(slot).version == Version::SHUTDOWN
    }

    /// Gives a stopped endpoint the heartbeat that no later message of this generation is newer than, and takes it as down.
    pub(in super::super) fn mark_as_shutdown(&mut self, slot: Slot) {
        self.members.table.set_heartbeat(slot, Version::SHUTDOWN);
        self.exchange.drop_doubt(self.members.table.endpoint(slot));
        self.exchange.note_news(slot);
        self.mark_down(slot, DownCause::Shutdown);
    }
}
