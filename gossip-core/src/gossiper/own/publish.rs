//! Publishing: values of our own, each under a fresh version.

use smallvec::SmallVec;

use super::Publishing;
use crate::application_state::{ApplicationState, Pad};
use crate::config::{SetStateError, check_value};
use crate::event::Event;
use crate::gossiper::members::MAX_RELEASE;
use crate::slot::Slot;
use crate::table::Stored;
use crate::version::Version;
use crate::wire::{JavaStr, encode_str, encoded_len};

impl Publishing<'_> {
    /// Publishes what the application gives. A node whose part is over (`is_over`) publishes nothing more.
    pub(in super::super) fn set_local_state(
        &mut self,
        key: ApplicationState,
        value: &str,
        is_over: bool,
    ) -> Result<Version, SetStateError> {
        if self.config.is_gossip_only && Pad::new(key.number()).is_none() {
            return Err(SetStateError::NotPad { key });
        }
        check_value(key, value, self.config.max_value())?;
        // Before a node takes part, and while gossip is disabled, values are kept for when it does.
        if is_over {
            return Err(SetStateError::Stopped);
        }
        let values = self.members.table().values(Slot::FIRST);
        let replaced = values.get(key).map_or(0, |(text, _)| text.len());
        let bytes = values.text_bytes() - replaced + encoded_len(value);
        if bytes > self.config.limits.max_state_bytes {
            return Err(SetStateError::TooMuch { key, bytes, limit: self.config.limits.max_state_bytes });
        }
        if values.get(key).is_none() && values.len() >= self.config.limits.max_states {
            return Err(SetStateError::TooMany { key, limit: self.config.limits.max_states });
        }
        let mut encoded = SmallVec::<[u8; 64]>::new();
        encode_str(value, &mut encoded);
        Ok(self.publish(key, JavaStr::from_checked(&encoded)))
    }

    /// Stores a value of the node's own under a fresh version.
    pub(in super::super) fn publish(&mut self, key: ApplicationState, text: JavaStr<'_>) -> Version {
        // The types have no way to ask for it, and nothing here does. A mistake would leave traces in each node's tables.
        if self.may_not_publish(key) {
            return self.clock.version();
        }
        let version = self.clock.next_version();
        if self.members.set_own(key, text, version) == Stored::Grown {
            self.journal.stats.values_grown += 1;
        }
        self.exchange.note_news(Slot::FIRST);
        self.journal.tell(Event::StateChanged { endpoint: self.config.local, key, version });
        version
    }

    /// Publishes a status of the node's own: with port, and without where that was published before.
    pub(in super::super) fn publish_status(&mut self, text: &str) {
        let mut encoded = alloc::vec::Vec::new();
        encode_str(text, &mut encoded);
        let text = JavaStr::from_checked(&encoded);
        self.publish(ApplicationState::STATUS_WITH_PORT, text);
        if self.members.table().values(Slot::FIRST).get(ApplicationState::STATUS).is_some() {
            self.publish(ApplicationState::STATUS, text);
        }
    }

    /// Publishes the lowest release among the members, and the schema of most of them, where those have changed. Neither is ever ahead
    /// of the members: a release of our own would keep their mixed-version logic off or on (`docs/protocol/exchange.md#old-values-of-pairs`), a schema would
    /// look like a disagreement.
    ///
    /// Other gossip-only members do not count: two of them would hold each other at what they found first.
    pub(in super::super) fn follow_members(&mut self) {
        if !self.config.is_gossip_only {
            return;
        }
        if let Some(lowest) = self.members.lowest_release(self.config) {
            self.follow(ApplicationState::RELEASE_VERSION, lowest);
        }
        if let Some(agreed) = self.members.agreed_schema(self.config) {
            self.follow(ApplicationState::SCHEMA, agreed);
        }
    }

    /// Publishes what another node does, unless it is published already.
    fn follow(&mut self, key: ApplicationState, whom: Slot) {
        let Some((text, _)) = self.members.table().values(whom).get(key) else { return };
        let own = self.members.table().values(Slot::FIRST).get(key);
        if own.is_some_and(|(own, _)| own == text) {
            return;
        }
        let text = SmallVec::<[u8; MAX_RELEASE]>::from_slice(text.as_bytes());
        self.publish(key, JavaStr::from_checked(&text));
    }

    /// Whether a value of the node's own is never published: those that would make more of a gossip-only member than it is.
    const fn may_not_publish(&self, key: ApplicationState) -> bool {
        self.config.is_gossip_only && (key.is_status() || key.number() == ApplicationState::TOKENS.number())
    }
}
