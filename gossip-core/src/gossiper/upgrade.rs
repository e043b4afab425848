//! A gossip-only member and an upgrade to Cassandra 6.0 (`docs/protocol/cassandra-6.md`): a node that starts 6.0 first builds its cluster metadata from
//! all endpoints in gossip. An endpoint without tokens costs it warnings, or its start. So a gossip-only member leaves in silence as soon as it sees a sign.
//!
//! Once the metadata service is initialised, such a member does no harm. The identifier of the cluster's metadata, which nodes tell in
//! messaging version 14, shows that: a member that knows one other than 0 joins, and stays.

use super::Gossiper;
use super::life::Mode;
use super::phase::End;
use crate::endpoint::Endpoint;
use crate::event::{Event, UpgradeSign};
use crate::version::MessagingVersion;

impl Gossiper {
    /// Looks for a sign among those who have tokens. Once there is one, the node falls silent; says whether it did.
    pub(super) fn withdraw_if_upgraded(&mut self) -> bool {
        let Some((by, sign)) = self.seen_upgrade() else { return false };
        // The answer that tells whether the metadata service is initialised may be under way.
        if self.metadata.is_awaited(self.clock.now()) {
            return false;
        }
        self.withdraw(by, sign);
        true
    }

    /// Who shows that the cluster is being upgraded, or has been, and how.
    pub(super) fn seen_upgrade(&self) -> Option<(Endpoint, UpgradeSign)> {
        if !self.config.is_gossip_only || self.config.membership.only_asks || self.metadata.is_initialised() {
            return None;
        }
        self.life.upgrade().or_else(|| self.members.sign_of_upgrade())
    }

    /// `peer` speaks versions of up to `max`, as its handshake says.
    pub(crate) fn on_peer_speaks(&mut self, peer: Endpoint, max: u32) {
        let sign = UpgradeSign::Version;
        // DataStax Enterprise has numbers of its own, from 256 on.
        let counts = (MessagingVersion::V14.number()..256).contains(&max);
        let is_member = self.config.is_gossip_only && !self.config.membership.only_asks;
        if !counts
            || !is_member
            || !self.config.follows_metadata_id()
            || self.metadata.is_initialised()
            || self.life.upgrade().is_some()
        {
            return;
        }
        // Anybody may dial us, and say anything; a tool of a later release speaks that version as well.
        let is_member = self.members.table().find(peer).is_some_and(|slot| self.members.has_tokens(slot));
        if is_member || self.config.seeds.contains(&peer) {
            self.life.note_upgrade(peer, sign);
            // Before its SYN it is asked for the identifier anyway.
            if self.life.mode() == Mode::Running && self.metadata.may_ask(peer, self.clock.now()) {
                self.exchange.metadata_request(peer, &mut self.journal);
            }
        }
    }

    fn withdraw(&mut self, by: Endpoint, sign: UpgradeSign) {
        match self.life.mode() {
            Mode::Running => {
                self.life.enter(Mode::Disabled);
                self.exchange.forget_all();
            }
            Mode::Shadow => {}
            Mode::Disabled => {}
            _ => return,
        }
        self.journal.tell(Event::Withdrawn { by, sign });
        if self.life.mode() == Mode::Shadow {
            self.stop_with(End::Upgrading { by, sign });
        }
    }
}
