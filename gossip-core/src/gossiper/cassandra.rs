//! What a gossip-only member of a Cassandra cluster does otherwise than a member of ours: it follows, and keeps from each receiver what that
//! cannot decode (`internode.md`, Appendix D).

use core::time::Duration;

use smallvec::SmallVec;

use super::exchange::own_schema;
use super::{End, Gossiper};
use crate::application_state::ApplicationState;
use crate::config::DEFAULT_PARTITIONER;
use crate::delta::{has_tokens, release_of};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::message::{Ack, EndpointState};
use crate::release::Release;
use crate::snapshot::Standing;
use crate::status::StatusKind;
use crate::table::Slot;
use crate::time::Timestamp;
use crate::tokens;
use crate::uuid::Uuid;
use crate::wire::JavaStr;

/// The longest release that is followed, in bytes. A longer one is a mistake, or worse.
const MAX_RELEASE: usize = 64;

/// Whether a value is a status of `shutdown`.
pub(super) fn is_shutdown_mark(key: ApplicationState, text: JavaStr<'_>) -> bool {
    key.is_status() && StatusKind::of_value(text.as_bytes()) == StatusKind::Shutdown
}

/// How many schemas are told apart. A cluster has one, and for a while two or three.
const MAX_SCHEMAS: usize = 16;

/// How many members publish a schema.
struct Tally<'a> {
    schema: Uuid,
    members: u32,
    /// The lowest release of any of them.
    release: Option<Release<'a>>,
    /// The first of them.
    slot: Slot,
}

impl Gossiper {
    /// Publishes the lowest release among the members, and the schema of most of them, where those have changed. Neither is ever ahead
    /// of the members: a release of our own would keep their mixed-version logic off or on (`gossip-semantics.md` §8.5), a schema would
    /// look like a disagreement.
    ///
    /// Other gossip-only members do not count: two of them would hold each other at what they found first.
    pub(super) fn follow_members(&mut self) {
        if !self.config.is_gossip_only {
            return;
        }
        if let Some(lowest) = self.lowest_release() {
            self.follow(ApplicationState::RELEASE_VERSION, lowest);
        }
        if let Some(agreed) = self.agreed_schema() {
            self.follow(ApplicationState::SCHEMA, agreed);
        }
    }

    /// The members that run, as far as is known.
    fn running_members(&self) -> impl Iterator<Item = Slot> + '_ {
        self.table.slots().skip(1).filter(|slot| {
            self.table.standing(*slot) != Standing::Unreachable
                && self.table.status(*slot) != StatusKind::Shutdown
                && self.is_member(*slot)
        })
    }

    fn lowest_release(&self) -> Option<Slot> {
        let release = |slot: Slot| {
            let (text, _) = self.table.values(slot).get(ApplicationState::RELEASE_VERSION)?;
            let text = text.as_str().filter(|text| text.len() <= MAX_RELEASE)?;
            Some((Release::parse(text)?, slot))
        };
        let lowest = self.running_members().filter_map(release).min_by(|a, b| a.0.cmp(&b.0));
        lowest.map(|(_, slot)| slot)
    }

    /// A member that publishes the schema of most of those that run. Among equals it is that of the lowest release, then the smallest, so that
    /// all gossip-only members choose the same one: half way through an upgrade no schema may have a majority.
    fn agreed_schema(&self) -> Option<Slot> {
        let mut tallies = SmallVec::<[Tally<'_>; MAX_SCHEMAS]>::new();
        for slot in self.running_members() {
            let values = self.table.values(slot);
            let schema = values.get(ApplicationState::SCHEMA);
            let Some(schema) = schema.and_then(|(text, _)| Uuid::from_text(text.as_bytes()).ok()) else {
                continue;
            };
            let release = release_of(&self.table, slot);
            if let Some(tally) = tallies.iter_mut().find(|tally| tally.schema == schema) {
                tally.members += 1;
                tally.release = tally.release.into_iter().chain(release).min();
            } else if tallies.len() < MAX_SCHEMAS {
                tallies.push(Tally { schema, members: 1, release, slot });
            }
        }
        let best = tallies.iter().min_by(|a, b| {
            let members = b.members.cmp(&a.members);
            // Whoever names no release comes last.
            let is_unnamed = a.release.is_none().cmp(&b.release.is_none());
            members.then(is_unnamed).then(a.release.cmp(&b.release)).then(a.schema.cmp(&b.schema))
        });
        best.map(|tally| tally.slot)
    }

    /// Publishes what somebody else does, unless it is published already.
    fn follow(&mut self, key: ApplicationState, whom: Slot) {
        let Some((text, _)) = self.table.values(whom).get(key) else { return };
        let own = self.table.values(Slot::FIRST).get(key);
        if own.is_some_and(|(own, _)| own == text) {
            return;
        }
        let text = SmallVec::<[u8; MAX_RELEASE]>::from_slice(text.as_bytes());
        self.publish(key, JavaStr::from_checked(&text));
    }

    /// Whether an endpoint is a member. In a Cassandra cluster that is who has a place in the ring, and so tokens, whatever its status
    /// (`gossip-semantics.md` §9). A cluster of ours, which one may watch as well, has no ring.
    pub(super) fn is_member(&self, slot: Slot) -> bool {
        let needs_tokens =
            || self.config.is_gossip_only && self.config.partitioner != DEFAULT_PARTITIONER.as_bytes();
        self.table.status(slot).is_member() && (!needs_tokens() || self.has_tokens(slot))
    }

    /// Whether an endpoint has published tokens.
    pub(super) fn has_tokens(&self, slot: Slot) -> bool {
        has_tokens(self.table.values(slot))
    }

    /// Whether a state says `shutdown` of an endpoint of a Cassandra cluster that has no tokens, so far as is known with the state.
    ///
    /// Such a mark is not kept, and so not told to others: a real node that hears of it, from whomever, writes a row for the endpoint that
    /// never goes away (`internode.md` D.4).
    ///
    /// Deviation: Cassandra keeps it, and tells everybody.
    pub(super) fn is_mark_of_nobody(&self, slot: Slot, state: &EndpointState<'_>) -> bool {
        self.config.is_gossip_only
            && state.values().any(|(key, value)| is_shutdown_mark(key, value.text))
            && !self.has_tokens(slot)
            && !state.value(ApplicationState::TOKENS).is_some_and(|value| tokens::has_tokens(value.text))
    }

    /// Whether a value of the node's own is never published: those that would make more of a gossip-only member than it is.
    pub(super) const fn may_not_publish(&self, key: ApplicationState) -> bool {
        self.config.is_gossip_only && (key.is_status() || key.number() == ApplicationState::TOKENS.number())
    }

    /// Whether a member has our host id, by the answer to the question before joining: a gossip-only member must not take it. Warns if a member
    /// has our IP address.
    ///
    /// Only members count: an earlier process of ours at another address, without tokens, may still be known.
    pub(super) fn is_host_id_of_member(&mut self, ack: &Ack<'_>) -> bool {
        if !self.config.is_gossip_only {
            return false;
        }
        let ours = self.table.values(Slot::FIRST).get(ApplicationState::HOST_ID).map(|(text, _)| text);
        let local = self.config.local;
        let (mut same_id, mut same_ip) = (None, None);
        for (endpoint, state) in ack.states.iter().filter(|(endpoint, _)| *endpoint != local) {
            let tokens = state.value(ApplicationState::TOKENS);
            let is_gone = matches!(self.claimed_status(&state), StatusKind::Left | StatusKind::Removed);
            if is_gone || !tokens.is_some_and(|tokens| tokens::has_tokens(tokens.text)) {
                continue;
            }
            if ours.is_some() && state.value(ApplicationState::HOST_ID).map(|value| value.text) == ours {
                same_id = Some(endpoint);
            }
            if endpoint.ip() == local.ip() {
                same_ip = Some(endpoint);
            }
        }
        if let Some(endpoint) = same_id {
            self.journal.tell(Event::HostIdOfMember { endpoint });
            self.end_with(End::HostIdOfMember { endpoint });
        } else if let Some(with) = same_ip {
            self.journal.tell(Event::SharedAddress { with });
        }
        same_id.is_some()
    }

    /// How long an endpoint may be silent that was joining.
    pub(super) fn failed_bootstrap_timeout(&self) -> Option<Duration> {
        if self.config.failed_bootstrap_timeout.is_some() || !self.config.is_gossip_only {
            return self.config.failed_bootstrap_timeout;
        }
        // `gossip-semantics.md` §1. What others still keep would come back to us, and the other way round.
        let intervals = if release_of(&self.table, Slot::FIRST).is_some_and(|release| release.major() >= 5) {
            300
        } else {
            60
        };
        Some(self.config.interval.saturating_mul(intervals))
    }

    /// Somebody asks for the version of our schema. Whoever follows none yet does not answer, and neither does a member of our own
    /// clusters, which have no schema.
    pub(crate) fn handle_schema_request(&mut self, now: Timestamp, from: Endpoint, id: u64) {
        self.advance(now);
        if !self.is_running() || own_schema(&self.table, &self.config).is_none() {
            self.journal.stats.skipped += 1;
        } else {
            self.exchange.schema_response(from, id, &mut self.journal);
        }
    }
}
