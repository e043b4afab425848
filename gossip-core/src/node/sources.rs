//! The addresses that connections come from: who may connect at all, and how much one address may take.
//!
//! Hosts behind one address share its limits, so that the defaults leave room for a cluster of a thousand nodes there.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::config::Config;
use crate::event::{AddressRefusal, Event};
use crate::network::Network;
use crate::stats::Stats;
use crate::time::{Timestamp, nanos};

/// How many addresses are counted. Connections of further ones are not limited by address.
const MAX_SOURCES: usize = 1_024;

/// What was not used may be used later, as far as it is not older than so much.
const SECONDS_AT_ONCE: Duration = Duration::from_secs(16);
const MINUTES_AT_ONCE: Duration = Duration::from_mins(4);

/// The time between two reports of refused addresses.
const TOLD_AGAIN: Duration = Duration::from_mins(1);

/// Who may connect, or send packets.
#[derive(Debug)]
pub(super) struct Allowed(Vec<Network>);

impl Allowed {
    pub(super) fn new(networks: &[Network]) -> Self {
        Self(networks.to_vec())
    }

    /// An empty list allows everybody.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.0.is_empty() || self.0.iter().any(|network| network.contains(address))
    }

    /// Whether a connection from `source` is allowed. One of an unknown address is, if all are.
    pub(super) fn has_source(&self, source: Option<IpAddr>) -> bool {
        source.map_or(self.0.is_empty(), |source| self.has(source))
    }
}

/// So many in a time, and what was left of an earlier one.
#[derive(Clone, Copy, Debug)]
struct Rate {
    count: u64,
    per: Duration,
    at_once: Duration,
}

impl Rate {
    const fn a_second(count: usize) -> Self {
        Self { count: count as u64, per: Duration::from_secs(1), at_once: SECONDS_AT_ONCE }
    }

    const fn a_minute(count: usize) -> Self {
        Self { count: count as u64, per: Duration::from_mins(1), at_once: MINUTES_AT_ONCE }
    }

    fn time_of(self, count: u64) -> Duration {
        Duration::from_nanos(count.saturating_mul(nanos(self.per)) / self.count.max(1))
    }
}

/// A bucket of tokens: the time at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket(Timestamp);

impl Bucket {
    /// Whether anything is left.
    fn has_some(self, now: Timestamp, rate: Rate) -> bool {
        self.0.saturating_since(now) < rate.at_once
    }

    /// How much is left.
    fn left(self, now: Timestamp, rate: Rate) -> u32 {
        let left = rate.at_once.saturating_sub(self.0.saturating_since(now)).as_nanos();
        u32::try_from(left * u128::from(rate.count) / rate.per.as_nanos()).unwrap_or(u32::MAX)
    }

    fn take(&mut self, now: Timestamp, rate: Rate, count: u64) {
        self.0 = self.0.max(now) + rate.time_of(count);
    }
}

/// The number of an address that is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SourceId(u16);

#[derive(Debug)]
struct Source {
    address: IpAddr,
    connections: usize,
    used: Timestamp,
    handshakes: Bucket,
    messages: Bucket,
    bytes: Bucket,
    endpoints: Bucket,
    /// How often it was refused since the last report, and why the last time.
    refused: u64,
    reason: AddressRefusal,
}

impl Source {
    fn new(address: IpAddr, now: Timestamp) -> Self {
        Self {
            address,
            connections: 0,
            used: now,
            handshakes: Bucket::default(),
            messages: Bucket::default(),
            bytes: Bucket::default(),
            endpoints: Bucket::default(),
            refused: 0,
            reason: AddressRefusal::NotAllowed,
        }
    }
}

/// All addresses that are counted, and what each may take.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) allowed: Allowed,
    sources: Vec<Source>,
    max_connections: usize,
    handshakes: Rate,
    messages: Rate,
    bytes: Rate,
    endpoints: Rate,
    dials: Rate,
    /// Dials to endpoints that were never live.
    stranger_dials: Bucket,
    told: Option<Timestamp>,
    /// How many were refused since the last report.
    refused: u64,
    not_allowed: u64,
    connections_limited: u64,
    messages_limited: u64,
    bytes_limited: u64,
    dials_limited: u64,
}

impl Sources {
    pub(super) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            allowed: Allowed::new(&config.allowed),
            sources: Vec::new(),
            max_connections: limits.max_address_connections,
            handshakes: Rate::a_second(limits.max_address_handshakes),
            messages: Rate::a_second(limits.max_address_messages),
            bytes: Rate::a_second(limits.max_address_bytes),
            endpoints: Rate::a_minute(limits.max_address_endpoints),
            dials: Rate::a_second(limits.max_stranger_dials),
            stranger_dials: Bucket::default(),
            told: None,
            refused: 0,
            not_allowed: 0,
            connections_limited: 0,
            messages_limited: 0,
            bytes_limited: 0,
            dials_limited: 0,
        }
    }

    /// Counts a further connection from `source`, if it may have one. Says under which number it is counted, if it is.
    ///
    /// # Errors
    ///
    /// It may have none.
    pub(super) fn open(
        &mut self,
        now: Timestamp,
        source: Option<IpAddr>,
    ) -> Result<Option<SourceId>, Refused> {
        let is_allowed = self.allowed.has_source(source);
        let found = source.and_then(|source| self.place(now, source));
        if !is_allowed {
            self.not_allowed += 1;
            self.refuse(found, AddressRefusal::NotAllowed);
            return Err(Refused);
        }
        let Some(id) = found else { return Ok(None) };
        let Some(source) = self.sources.get_mut(usize::from(id.0)) else { return Ok(None) };
        let reason = if source.connections >= self.max_connections {
            AddressRefusal::Connections
        } else if !source.handshakes.has_some(now, self.handshakes) {
            AddressRefusal::Handshakes
        } else {
            source.handshakes.take(now, self.handshakes, 1);
            source.connections += 1;
            source.used = now;
            return Ok(found);
        };
        self.connections_limited += 1;
        self.refuse(found, reason);
        Err(Refused)
    }

    /// A connection is gone.
    pub(super) fn close(&mut self, id: Option<SourceId>) {
        if let Some(source) = id.and_then(|id| self.sources.get_mut(usize::from(id.0))) {
            source.connections = source.connections.saturating_sub(1);
        }
    }

    /// Counts what has come from an address. Says whether that is more than it may send.
    pub(super) fn take(&mut self, now: Timestamp, id: SourceId, bytes: usize, messages: u64) -> bool {
        let (byte_rate, message_rate) = (self.bytes, self.messages);
        let Some(source) = self.sources.get_mut(usize::from(id.0)) else { return false };
        source.used = now;
        source.bytes.take(now, byte_rate, bytes as u64);
        source.messages.take(now, message_rate, messages);
        let reason = if !source.bytes.has_some(now, byte_rate) {
            self.bytes_limited += 1;
            AddressRefusal::Bytes
        } else if !source.messages.has_some(now, message_rate) {
            self.messages_limited += 1;
            AddressRefusal::Messages
        } else {
            return false;
        };
        self.refuse(Some(id), reason);
        true
    }

    /// Of how many new endpoints an address may tell now.
    pub(super) fn newcomers(&self, now: Timestamp, id: SourceId) -> u32 {
        self.sources
            .get(usize::from(id.0))
            .map_or(u32::MAX, |source| source.endpoints.left(now, self.endpoints))
    }

    /// An address has announced so many new endpoints; so many more were refused.
    pub(super) fn take_newcomers(&mut self, now: Timestamp, id: SourceId, learned: u32, refused: u64) {
        let rate = self.endpoints;
        if let Some(source) = self.sources.get_mut(usize::from(id.0)) {
            source.endpoints.take(now, rate, u64::from(learned));
        }
        if refused > 0 {
            self.refuse(Some(id), AddressRefusal::Endpoints);
        }
    }

    /// Whether an endpoint that was never live may be dialled now; counts that it is.
    pub(super) fn may_dial_stranger(&mut self, now: Timestamp) -> bool {
        if !self.stranger_dials.has_some(now, self.dials) {
            self.dials_limited += 1;
            return false;
        }
        self.stranger_dials.take(now, self.dials, 1);
        true
    }

    /// Whether an endpoint with this address may be dialled.
    pub(super) fn may_dial(&mut self, address: IpAddr) -> bool {
        let may = self.allowed.has(address);
        self.not_allowed += u64::from(!may);
        may
    }

    /// Something of an address was refused, or gave way to others.
    pub(super) fn refuse(&mut self, id: Option<SourceId>, reason: AddressRefusal) {
        if let Some(source) = id.and_then(|id| self.sources.get_mut(usize::from(id.0))) {
            self.refused += 1;
            source.refused += 1;
            source.reason = reason;
        }
    }

    /// What is to be reported about refused addresses now.
    pub(super) fn report(&mut self, now: Timestamp) -> Option<Event> {
        let is_due = self.told.is_none_or(|told| now.saturating_since(told) >= TOLD_AGAIN);
        if self.refused == 0 || !is_due {
            return None;
        }
        self.told = Some(now);
        let total = core::mem::take(&mut self.refused);
        let most = self.sources.iter().max_by_key(|source| source.refused);
        let told = most.map(|source| Event::AddressRefused {
            address: source.address,
            reason: source.reason,
            count: source.refused,
            others: total.saturating_sub(source.refused),
        });
        for source in &mut self.sources {
            source.refused = 0;
        }
        told
    }

    /// Writes the counters.
    pub(super) const fn count(&self, stats: &mut Stats) {
        stats.connections_limited = self.connections_limited;
        stats.messages_limited = self.messages_limited;
        stats.bytes_limited = self.bytes_limited;
        stats.dials_limited = self.dials_limited;
        stats.not_allowed = self.not_allowed;
    }

    /// Where `address` is counted. The one that was used least recently, and has no connection, gives way.
    fn place(&mut self, now: Timestamp, address: IpAddr) -> Option<SourceId> {
        let address = network_of(address);
        let found = self.sources.iter().position(|source| source.address == address);
        let at = match found {
            Some(at) => at,
            None if self.sources.len() < MAX_SOURCES => {
                self.sources.push(Source::new(address, now));
                self.sources.len() - 1
            }
            None => {
                let idle = self.sources.iter().enumerate().filter(|(_, source)| source.connections == 0);
                let at = idle.min_by_key(|(_, source)| source.used).map(|(at, _)| at)?;
                self.sources[at] = Source::new(address, now);
                at
            }
        };
        u16::try_from(at).ok().map(SourceId)
    }
}

/// A connection may not be opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

/// The address that counts for another one: who has an address of IPv6 has all that share its first half.
pub(super) const fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(core::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_what_is_left_and_fills_again() {
        let rate = Rate::a_second(10);
        let at = |millis: u64| Timestamp::from_millis(100_000 + millis);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.left(at(0), rate), 160);
        for _ in 0..160 {
            assert!(bucket.has_some(at(0), rate));
            bucket.take(at(0), rate, 1);
        }
        assert!(!bucket.has_some(at(0), rate));
        assert_eq!((bucket.left(at(0), rate), bucket.left(at(1_000), rate)), (0, 10));
        assert!(bucket.has_some(at(100), rate));
        assert_eq!(bucket.left(at(3_600_000), rate), 160, "no more than that");
    }

    #[test]
    fn an_address_that_has_connections_is_not_forgotten() {
        let config = Config::builder(
            "c",
            crate::Endpoint::v4([10, 0, 0, 1], 7000),
            crate::Generation::new(1),
            [0; 32],
        );
        let mut sources = Sources::new(&config.build().unwrap());
        let ip = |n: u32| Some(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        let at = |n: u32| Timestamp::from_millis(u64::from(n));
        let first = sources.open(at(0), ip(0)).unwrap();
        for n in 1..5_000 {
            let opened = sources.open(at(n), ip(n)).unwrap();
            assert!(opened.is_some() && opened != first);
            sources.close(opened);
        }
        assert_eq!((sources.sources.len(), sources.open(at(9_000), ip(0)).unwrap()), (MAX_SOURCES, first));
    }
}
