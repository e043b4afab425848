//! What a gossip-only member of a Cassandra cluster judges otherwise than a member of ours (`docs/protocol/gossip-only-member.md`).

use core::time::Duration;

use smallvec::SmallVec;

use super::apply::claimed_status;
use super::{Members, Membership};
use crate::application_state::ApplicationState;
use crate::config::{Config, DEFAULT_PARTITIONER};
use crate::delta::{has_tokens, release_of};
use crate::endpoint::Endpoint;
use crate::event::{Event, UpgradeSign};
use crate::message::{Ack, EndpointState};
use crate::release::Release;
use crate::slot::Slot;
use crate::snapshot::Standing;
use crate::status::StatusKind;
use crate::tokens;
use crate::uuid::Uuid;
use crate::version::MessagingVersion;
use crate::wire::JavaStr;

/// The longest release that is followed, in bytes. A longer one is a mistake, or worse.
pub(in super::super) const MAX_RELEASE: usize = 64;

/// Whether a value is a status of `shutdown`.
pub(in super::super) fn is_shutdown_mark(key: ApplicationState, text: JavaStr<'_>) -> bool {
    key.is_status() && StatusKind::of_value(text.as_bytes()) == StatusKind::Shutdown
}

/// The first release with a metadata service, as builds of it called themselves before it became 6.0.
const FIRST: (u16, u16) = (5, 1);

/// How many schemas are counted apart. A cluster has one, and for a while two or three.
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

impl Members {
    /// The members that run, as far as is known.
    fn running_members<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = Slot> + 'a {
        self.table.slots().skip(1).filter(|slot| {
            self.table.standing(*slot) != Standing::Unreachable
                && self.table.status(*slot) != StatusKind::Shutdown
                && self.is_member(*slot, config)
        })
    }

    pub(in super::super) fn lowest_release(&self, config: &Config) -> Option<Slot> {
        let release = |slot: Slot| {
            let (text, _) = self.table.values(slot).get(ApplicationState::RELEASE_VERSION)?;
            let text = text.as_str().filter(|text| text.len() <= MAX_RELEASE)?;
            Some((Release::parse(text)?, slot))
        };
        let lowest = self.running_members(config).filter_map(release).min_by(|a, b| a.0.cmp(&b.0));
        lowest.map(|(_, slot)| slot)
    }

    /// A member that publishes the schema of most of those that run. Among equals it is that of the lowest release, then the smallest, so that
    /// all gossip-only members choose the same one: half way through an upgrade no schema may have a majority.
    pub(in super::super) fn agreed_schema(&self, config: &Config) -> Option<Slot> {
        let mut tallies = SmallVec::<[Tally<'_>; MAX_SCHEMAS]>::new();
        for slot in self.running_members(config) {
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
            // Endpoints without a release come last.
            let is_unnamed = a.release.is_none().cmp(&b.release.is_none());
            members.then(is_unnamed).then(a.release.cmp(&b.release)).then(a.schema.cmp(&b.schema))
        });
        best.map(|tally| tally.slot)
    }

    /// Whether an endpoint is a member. In a Cassandra cluster that is who has a place in the ring, and so tokens, whatever its status
    /// (`docs/protocol/life-cycle.md#status-check`). A cluster of ours, which one may watch as well, has no ring.
    pub(in super::super) fn is_member(&self, slot: Slot, config: &Config) -> bool {
        let needs_tokens = || config.is_gossip_only && config.partitioner != DEFAULT_PARTITIONER.as_bytes();
        self.table.status(slot).is_member() && (!needs_tokens() || self.has_tokens(slot))
    }

    /// Whether an endpoint has published tokens.
    pub(in super::super) fn has_tokens(&self, slot: Slot) -> bool {
        has_tokens(self.table.values(slot))
    }

    /// A member, up or down, of a release with a metadata service, or that speaks its version.
    pub(in super::super) fn sign_of_upgrade(&self) -> Option<(Endpoint, UpgradeSign)> {
        let sign = |slot: Slot| {
            let text = |key| self.table.values(slot).get(key).and_then(|(text, _)| text.as_str());
            let release = text(ApplicationState::RELEASE_VERSION).and_then(Release::parse);
            if release.is_some_and(|release| (release.major(), release.minor()) >= FIRST) {
                return Some(UpgradeSign::Release);
            }
            let version = text(ApplicationState::NET_VERSION).and_then(|text| text.parse::<u32>().ok());
            version
                .is_some_and(|version| version == MessagingVersion::V14.number())
                .then_some(UpgradeSign::Version)
        };
        self.table.slots().skip(1).find_map(|slot| {
            let is_gone = matches!(self.table.status(slot), StatusKind::Left | StatusKind::Removed);
            let sign = sign(slot)?;
            (!is_gone && self.has_tokens(slot)).then(|| (self.table.endpoint(slot), sign))
        })
    }
}

impl Membership<'_> {
    /// Whether a state says `shutdown` of an endpoint of a Cassandra cluster that has no tokens, so far as is known with the state.
    ///
    /// Such a mark is not kept, and so not relayed: a real node that hears of it, from any peer, writes a row for the endpoint that
    /// never goes away (`docs/protocol/gossip-only-member.md#leave-in-silence`).
    ///
    /// Deviation: Cassandra keeps it, and tells everybody.
    pub(in super::super) fn is_mark_of_nobody(&self, slot: Slot, state: &EndpointState<'_>) -> bool {
        self.config.is_gossip_only
            && state.values().any(|(key, value)| is_shutdown_mark(key, value.text))
            && !self.members.has_tokens(slot)
            && !state.value(ApplicationState::TOKENS).is_some_and(|value| tokens::has_tokens(value.text))
    }

    /// Which member has our host id, by the answer to the question before joining: a gossip-only member must not take it. Warns if a member
    /// has our IP address.
    ///
    /// Only members count: an earlier process of ours at another address, without tokens, may still be known.
    pub(in super::super) fn host_id_of_member(&mut self, ack: &Ack<'_>) -> Option<Endpoint> {
        if !self.config.is_gossip_only {
            return None;
        }
        let ours = self.members.table.host_id(Slot::FIRST);
        let local = self.config.local;
        let (mut same_id, mut same_ip) = (None, None);
        for (endpoint, state) in ack.states.iter().filter(|(endpoint, _)| *endpoint != local) {
            let tokens = state.value(ApplicationState::TOKENS);
            let is_gone = matches!(claimed_status(&state), StatusKind::Left | StatusKind::Removed);
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
        } else if let Some(with) = same_ip {
            self.journal.tell(Event::SharedAddress { with });
        }
        same_id
    }

    /// How long an endpoint may be silent that was joining.
    pub(in super::super) fn failed_bootstrap_timeout(&self) -> Option<Duration> {
        if self.config.membership.failed_bootstrap_timeout.is_some() || !self.config.is_gossip_only {
            return self.config.membership.failed_bootstrap_timeout;
        }
        // `docs/protocol/life-cycle.md#times-and-settings`. What others still keep would come back to us, and the other way round.
        let intervals =
            if release_of(&self.members.table, Slot::FIRST).is_some_and(|release| release.major() >= 5) {
                300
            } else {
                60
            };
        Some(self.config.interval.saturating_mul(intervals))
    }
}
