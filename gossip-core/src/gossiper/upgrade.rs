//! A gossip-only member and an upgrade to Cassandra 6.0 (`cassandra-6.md` M6): a node that starts 6.0 first builds its cluster metadata from
//! everybody in gossip, and whoever has no tokens costs it warnings, or its start. So such a member leaves in silence as soon as it sees a sign.
//!
//! It would come back once the metadata service is on, and only messaging version 14 tells that. Until that is spoken it stays away.

use super::{End, Gossiper, Mode};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::event::{Event, UpgradeSign};
use crate::release::Release;
use crate::status::StatusKind;
use crate::table::Slot;
use crate::version::MessagingVersion;

/// The first release with a metadata service, as builds of it called themselves before it became 6.0.
const FIRST: (u16, u16) = (5, 1);

impl Gossiper {
    /// Looks for a sign among those who have tokens. Once there is one, the node falls silent; says whether it did.
    pub(super) fn withdraw_if_upgraded(&mut self) -> bool {
        let sign = self.seen_upgrade();
        if let Some((by, sign)) = sign {
            self.withdraw(by, sign);
        }
        sign.is_some()
    }

    /// Who shows that the cluster is being upgraded, or has been, and how.
    pub(super) fn seen_upgrade(&self) -> Option<(Endpoint, UpgradeSign)> {
        if !self.config.is_gossip_only || self.config.only_asks {
            return None;
        }
        self.upgrade.or_else(|| self.sign_of_upgrade())
    }

    /// `peer` speaks versions of up to `max`, as its handshake says.
    pub(crate) fn on_peer_speaks(&mut self, peer: Endpoint, max: u32) {
        let sign = UpgradeSign::Version;
        // DataStax Enterprise has numbers of its own, from 256 on.
        let counts = (MessagingVersion::V14.number()..256).contains(&max);
        if !counts || !self.config.is_gossip_only || self.config.only_asks || self.upgrade.is_some() {
            return;
        }
        // Anybody may dial us, and say anything; a tool of a later release speaks that version as well.
        let is_member = self.table.find(peer).is_some_and(|slot| self.has_tokens(slot));
        if is_member || self.config.seeds.contains(&peer) {
            self.upgrade = Some((peer, sign));
            self.withdraw(peer, sign);
        }
    }

    fn withdraw(&mut self, by: Endpoint, sign: UpgradeSign) {
        match self.mode {
            Mode::Running => {
                self.mode = Mode::Disabled;
                self.exchange.forget_all();
            }
            Mode::Shadow => {}
            Mode::Disabled => {}
            _ => return,
        }
        self.journal.tell(Event::Withdrawn { by, sign });
        if self.mode == Mode::Shadow {
            self.end_with(End::Upgrading { by, sign });
            self.stop();
        }
    }

    /// A member, up or down, of a release with a metadata service, or that speaks its version.
    fn sign_of_upgrade(&self) -> Option<(Endpoint, UpgradeSign)> {
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
