//! A gossip-only member and an upgrade to Cassandra 6.0 (`docs/protocol/cassandra-6.md`): a node that starts 6.0 first builds its cluster metadata from
//! all endpoints in gossip. An endpoint without tokens costs it warnings, or its start. So a gossip-only member leaves in silence as soon as it sees a sign.
//!
//! Once the metadata service is initialised, such a member does no harm. The identifier of the cluster's metadata, which nodes tell in
//! messaging version 14, shows that: a member that knows one other than 0 joins, and stays.
//!
//! So a member that has left asks for the identifier now and then, and comes back once it is not 0. It asks by the verb 819 alone, over
//! connections of version 14: the question needs no membership, leaves nothing behind and costs a node two lines in its log. No SYN goes
//! out meanwhile. Between two questions the member dials no peer, and accepts no connection.

use super::Gossiper;
use super::life::Mode;
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
        self.note_speaks(peer, max);
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
        // Any host may dial us, and claim anything; a tool of a later release speaks that version as well.
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
        if self.life.mode() != Mode::Running {
            return;
        }
        // The table may lose it while the node is away.
        self.life.note_upgrade(by, sign);
        self.life.begin_to_stay_away(self.clock.now(), self.config.interval);
        self.exchange.forget_all();
        self.journal.tell(Event::Withdrawn { by, sign });
    }

    /// The pause is over: asks the node that showed the upgrade, and a seed, each time another one.
    pub(super) fn inquire(&mut self) {
        let before = self.life.inquire(self.clock.now());
        let shown = self.life.upgrade().map(|(by, _)| by);
        let seed = self.config.seeds.get(before as usize % self.config.seeds.len().max(1)).copied();
        for peer in shown.into_iter().chain(seed) {
            self.exchange.metadata_request(peer, &mut self.journal);
        }
    }

    /// The application wants the node back: the next question need not wait for the end of the pause.
    pub(super) fn inquire_soon(&mut self) {
        if matches!(self.life.mode(), Mode::Disabled | Mode::Away { .. }) {
            self.life.enter(Mode::Away { until: self.clock.now() });
        }
    }

    /// No node has sent an identifier: falls silent again.
    pub(super) fn end_inquiry(&mut self) {
        self.exchange.forget_all();
        self.life.stay_away(self.clock.now(), self.config.interval);
    }

    /// `by` has sent the identifier, 0 or not.
    pub(super) fn on_inquiry_answered(&mut self, by: Endpoint) {
        if !matches!(self.life.mode(), Mode::Inquiring { .. }) {
            return;
        }
        // Where its clock is behind, it stays away and tries again.
        if self.metadata.is_initialised() && self.begin_again().is_ok() {
            self.journal.tell(Event::Returned { by });
        } else {
            self.end_inquiry();
        }
    }
}
