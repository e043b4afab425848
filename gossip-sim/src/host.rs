//! A machine of the cluster, and the process that runs on it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gossip_core::{
    ApplicationState, Config, ConfigBuilder, ConnectionId, Endpoint, Event, Generation, GossipOnly, Gossiper,
    Node, Session, Timestamp, Uuid,
};

use crate::builder::Settings;
use crate::cluster::Happening;
use crate::hostile::HostileProcess;
use crate::rng::Rng;
use crate::streams::Side;

/// What the wall clock of every host reads when a run begins.
pub(crate) const EPOCH_MS: u64 = 1_800_000_000_000;

/// The name of every cluster.
pub(crate) const CLUSTER: &str = "simulated";

/// Which process of which host: what it gossips under, and since when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Started {
    /// Its address.
    pub endpoint: Endpoint,
    /// Its generation, greater than that of any process of the host before it.
    pub generation: Generation,
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) endpoint: Endpoint,
    /// The greatest generation of its processes so far: what a real one would find on its disk.
    pub(crate) generation: Option<Generation>,
    /// The greatest generation of its processes so far, whatever is left on its disk.
    pub(crate) greatest: Option<Generation>,
    /// How many processes there were.
    pub(crate) boot: u32,
    pub(crate) process: Option<Process>,
    pub(crate) events: Vec<(Timestamp, Event)>,
    /// When the process wants to be woken.
    pub(crate) wake: Option<Timestamp>,
    /// What happens to the process once it runs again, if it is held up.
    pub(crate) stalled: Option<Vec<Happening>>,
    /// By how many seconds its wall clock is ahead.
    pub(crate) clock_ahead: i64,
    /// By how many milliseconds in a million its wall clock runs fast, and since when.
    pub(crate) drift: (i64, Timestamp),
    /// How many host ids it had before this one.
    pub(crate) host_ids: u16,
    /// Whether it had another address or host id.
    pub(crate) has_changed: bool,
    /// What its processes want to store is lost.
    pub(crate) is_disk_full: bool,
    /// Some of its timers fire late.
    pub(crate) are_timers_late: bool,
}

/// Each host has a second address, with this bit set in its second octet.
const SECOND: u8 = 0x80;

#[derive(Debug)]
pub(crate) enum Process {
    Messages(Box<MessageProcess>),
    Node(Box<NodeProcess>),
    Hostile(Box<HostileProcess>),
}

#[derive(Debug)]
pub(crate) struct MessageProcess {
    pub(crate) gossiper: Gossiper,
    /// By sender and how many processes that had had.
    pub(crate) sessions: BTreeMap<(usize, u32), Session>,
}

#[derive(Debug)]
pub(crate) struct NodeProcess {
    pub(crate) node: Node,
    pub(crate) sockets: BTreeMap<ConnectionId, (u64, Side)>,
}

impl Host {
    pub(crate) fn new(number: usize) -> Self {
        // Three octets, without a bit, name more hosts than a simulation has.
        let [.., a, b, c] = (number + 1).to_be_bytes();
        Self {
            endpoint: Endpoint::v4([10, a, b, c], 7000),
            generation: None,
            greatest: None,
            boot: 0,
            process: None,
            events: Vec::new(),
            wake: None,
            stalled: None,
            clock_ahead: 0,
            drift: (0, Timestamp::ZERO),
            host_ids: 0,
            has_changed: false,
            is_disk_full: false,
            are_timers_late: false,
        }
    }

    /// Gives it the other one of its two addresses.
    pub(crate) fn change_address(&mut self) {
        if let IpAddr::V4(ip) = self.endpoint.ip() {
            let [first, a, b, c] = ip.octets();
            self.endpoint = Endpoint::v4([first, a ^ SECOND, b, c], self.endpoint.port());
        }
    }

    /// The number of the host that has this address.
    pub(crate) fn find(hosts: &[Self], endpoint: Endpoint) -> Option<usize> {
        let IpAddr::V4(ip) = endpoint.ip() else { return None };
        let [_, a, b, c] = ip.octets();
        let number = usize::try_from(u32::from_be_bytes([0, a & !SECOND, b, c])).ok()?.checked_sub(1)?;
        hosts.get(number).filter(|host| host.endpoint == endpoint).map(|_| number)
    }

    pub(crate) fn gossiper(&self) -> Option<&Gossiper> {
        match self.process.as_ref()? {
            Process::Messages(process) => Some(&process.gossiper),
            Process::Node(process) => Some(process.node.gossiper()),
            Process::Hostile(_) => None,
        }
    }

    /// The settings of the next process that is a gossip-only member, except its seeds.
    pub(crate) fn guest_config(
        &self,
        number: usize,
        now: Timestamp,
        settings: &Settings,
    ) -> ConfigBuilder<GossipOnly> {
        let generation = Generation::at_start(self.unix_ms(now) / 1_000, self.generation);
        let purpose = (number as u64) << 32 | u64::from(self.boot) | 1 << 63;
        let entropy = Rng::split(settings.seed, purpose).bytes();
        let mut id = [0x40; 16];
        id[15] = u8::try_from(number).unwrap_or(u8::MAX);
        Config::gossip_only(CLUSTER, self.endpoint, generation, entropy, Uuid::from_bytes(id))
    }

    /// What its wall clock reads.
    pub(crate) fn unix_ms(&self, now: Timestamp) -> u64 {
        let (parts, since) = self.drift;
        let elapsed = now.saturating_since(since).as_nanos() / 1_000_000;
        let drifted = i64::try_from(elapsed).unwrap_or(i64::MAX).saturating_mul(parts) / 1_000_000;
        let ahead = self.clock_ahead.saturating_mul(1_000).saturating_add(drifted);
        (EPOCH_MS + now.as_nanos() / 1_000_000).saturating_add_signed(ahead)
    }

    /// The settings of the next process, except its seeds.
    pub(crate) fn config(&self, number: usize, now: Timestamp, settings: &Settings) -> ConfigBuilder {
        let generation = Generation::at_start(self.unix_ms(now) / 1_000, self.generation);
        let purpose = (number as u64) << 32 | u64::from(self.boot) | 1 << 63;
        let entropy = Rng::split(settings.seed, purpose).bytes();
        let ip = self.endpoint.ip();
        let config = Config::builder(CLUSTER, self.endpoint, generation, entropy);
        let status = format!("NORMAL,{number}");
        if settings.has_one_state {
            return config.state(ApplicationState::STATUS_WITH_PORT, &status);
        }
        config
            .state(
                ApplicationState::HOST_ID,
                &format!("00000000-0000-4000-{:04x}-{number:012x}", 0x8000 | self.host_ids),
            )
            .state(ApplicationState::DC, "dc1")
            .state(ApplicationState::RACK, "rack1")
            .state(ApplicationState::RELEASE_VERSION, "5.0.2")
            .state(ApplicationState::NET_VERSION, "13")
            .state(ApplicationState::NATIVE_ADDRESS_AND_PORT, &format!("{ip}:9042"))
            .state(ApplicationState::RPC_READY, "true")
            .state(ApplicationState::STATUS_WITH_PORT, &status)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_drifts_goes_on_from_where_it_was_set() {
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let ahead = |host: &Host, seconds| {
            host.unix_ms(at(seconds)).cast_signed() - EPOCH_MS.cast_signed() - seconds.cast_signed() * 1_000
        };
        let mut host = Host::new(0);
        assert_eq!(ahead(&host, 100), 0);
        host.drift = (50_000, at(10));
        assert_eq!((ahead(&host, 10), ahead(&host, 110)), (0, 5_000));
        host.drift = (-50_000, at(10));
        host.clock_ahead = 60;
        assert_eq!((ahead(&host, 10), ahead(&host, 110)), (60_000, 55_000));
    }
}
