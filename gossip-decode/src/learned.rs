//! What earlier messages say that later ones are read by.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use gossip_core::message::EndpointState;
use gossip_core::{ApplicationState, Endpoint, MessagingVersion};

use crate::names::Flavour;
use crate::tokens::Partitioner;

/// About how many endpoints something is remembered, each way. Of more, nothing new is.
const MAX_REMEMBERED: usize = 65_536;

/// What was learned so far.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    flavours: BTreeMap<Endpoint, Flavour>,
    versions: BTreeMap<SocketAddr, MessagingVersion>,
    partitioner: Partitioner,
}

impl Learned {
    /// Whose names the states of `endpoint` have: those of the release in `state`, or of the one it published last.
    pub(crate) fn flavour(&mut self, endpoint: Option<Endpoint>, state: &EndpointState<'_>) -> Flavour {
        let text = |key| state.value(key).map(|value| value.text.to_text());
        let told = Flavour::of(
            text(ApplicationState::RELEASE_VERSION).as_deref(),
            text(ApplicationState::NET_VERSION).as_deref(),
        );
        let Some(endpoint) = endpoint else { return told.unwrap_or_default() };
        let known = self.flavours.get(&endpoint).copied();
        match told {
            Some(flavour) if known.is_some() || self.flavours.len() < MAX_REMEMBERED => {
                self.flavours.insert(endpoint, flavour);
                flavour
            }
            Some(flavour) => flavour,
            None => known.unwrap_or_default(),
        }
    }

    /// The partitioner that the last SYN named.
    pub(crate) const fn partitioner(&self) -> Partitioner {
        self.partitioner
    }

    pub(crate) fn set_partitioner(&mut self, class: &str) {
        self.partitioner = Partitioner::named(class);
    }

    /// The version that was last agreed on with the node at `acceptor`.
    pub(crate) fn version(&self, acceptor: SocketAddr) -> Option<MessagingVersion> {
        self.versions.get(&acceptor).copied()
    }

    pub(crate) fn set_version(&mut self, acceptor: SocketAddr, version: MessagingVersion) {
        if self.versions.len() < MAX_REMEMBERED || self.versions.contains_key(&acceptor) {
            self.versions.insert(acceptor, version);
        }
    }
}
