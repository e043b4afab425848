//! Who we are, and what we publish.
//!
//! Owns: what others claimed of us and when that was answered, whether they take our state, and the status from before a shutdown.
//! May see: the members, of which it changes our own row alone; the exchange; the journal; the time; the settings.
//!
//! Rules: only we write our state, and each value has a version that was not given out before. Our generation is raised above
//! a greater one that others know, but seldom, and never to one that peers would refuse.

mod acceptance;
mod claims;
mod publish;

use alloc::vec::Vec;

use self::acceptance::Acceptance;
use self::claims::Refutations;
use super::clock::Clock;
use super::exchange::Exchange;
use super::journal::Journal;
use super::members::Members;
use crate::config::Config;

/// What is kept of ourselves beside our values, which stand in the first row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    refutations: Refutations,
    acceptance: Acceptance,
    /// The status to go back to when gossip is enabled again.
    status_before: Vec<u8>,
}

/// What the rules of publishing may see.
pub(super) struct Publishing<'a> {
    pub(super) own: &'a mut Own,
    pub(super) members: &'a mut Members,
    pub(super) exchange: &'a mut Exchange,
    pub(super) journal: &'a mut Journal,
    pub(super) clock: &'a mut Clock,
    pub(super) config: &'a Config,
}

impl Own {
    /// Remembers the status that a shutdown replaces.
    pub(super) fn remember_status(&mut self, text: Option<&[u8]>) {
        self.status_before.clear();
        self.status_before.extend_from_slice(text.unwrap_or_default());
    }

    /// Whether a claim of a greater generation was answered, and one of a greater version.
    #[cfg(feature = "model")]
    pub(super) fn answered_claims(&self) -> [bool; 2] {
        self.refutations.answered()
    }

    /// The status that a shutdown replaced.
    pub(super) fn take_status(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.status_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application_state::ApplicationState;
    use crate::endpoint::Endpoint;
    use crate::event::{Event, RaiseCause};
    use crate::gossiper::members::Source;
    use crate::message::EndpointState;
    use crate::slot::Slot;
    use crate::time::Timestamp;
    use crate::version::{Generation, Known, Version};
    use crate::wire::JavaStr;

    const PEER: Endpoint = Endpoint::v4([10, 0, 0, 2], 7000);

    /// The part with all that it may see, and nothing else.
    struct Rig {
        own: Own,
        members: Members,
        exchange: Exchange,
        journal: Journal,
        clock: Clock,
        config: Config,
    }

    impl Rig {
        fn new() -> Self {
            let local = Endpoint::v4([10, 0, 0, 1], 7000);
            let config = Config::builder("c", local, Generation::new(1), [3; 32]).build().unwrap();
            let mut journal = Journal::new(16);
            let members = Members::new(&config, 1, &mut journal);
            let (exchange, clock) = (Exchange::new(&config, 1), Clock::new(Timestamp::ZERO));
            Self { own: Own::default(), members, exchange, journal, clock, config }
        }

        fn publishing(&mut self) -> Publishing<'_> {
            let Self { own, members, exchange, journal, clock, config } = self;
            Publishing { own, members, exchange, journal, clock, config }
        }

        fn generation(&self) -> i32 {
            self.members.table().generation(Slot::FIRST).get()
        }

        /// A peer answers our SYN, and knows us under this generation.
        fn claim(&mut self, generation: i32) {
            let known = Known::new(Generation::new(generation), Version::new(1));
            let state = EndpointState::of_heartbeat(known);
            assert_eq!(self.publishing().on_own_state(&state, PEER, Source::Ack), None);
        }
    }

    #[test]
    fn each_value_has_a_version_of_its_own() {
        let mut rig = Rig::new();
        let key = ApplicationState::DC;
        let first = rig.publishing().publish(key, JavaStr::from_checked(b"a"));
        let second = rig.publishing().publish(key, JavaStr::from_checked(b"b"));
        assert!(first < second);
        let stored = rig.members.table().values(Slot::FIRST).get(key);
        assert_eq!(stored.map(|(text, version)| (text.as_bytes(), version)), Some((&b"b"[..], second)));
    }

    #[test]
    fn our_generation_is_raised_above_a_greater_one_but_seldom() {
        let mut rig = Rig::new();
        rig.claim(7);
        assert_eq!(rig.generation(), 8);
        let (old, new) = (Generation::new(1), Generation::new(8));
        assert_eq!(
            rig.journal.next(),
            Some(Event::GenerationRaised { old, new, cause: RaiseCause::KnownGreater })
        );
        rig.claim(20);
        assert_eq!(rig.generation(), 8, "once in ten minutes");
        rig.clock.advance(Timestamp::ZERO + core::time::Duration::from_mins(11));
        rig.claim(20);
        assert_eq!(rig.generation(), 21);
    }

    #[test]
    fn our_generation_is_never_raised_to_one_that_peers_would_refuse() {
        let mut rig = Rig::new();
        rig.clock.set_wall(1_000_000);
        rig.claim(i32::MAX - 1);
        assert_eq!(rig.generation(), 1);
        assert_eq!(rig.journal.next(), Some(Event::GenerationNotRaised { generation: Generation::new(1) }));
    }
}
