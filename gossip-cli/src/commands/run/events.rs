//! The log of a node: one line for each thing that its operator may want to know.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

use gossip_adapter::{
    AddressRefusal, ApplicationState, ClockSuspect, Common, DialFailure, DownCause, Endpoint, EndpointInfo,
    Event, Events, EventsError, Generation, Handle, Limit, MetadataId, PacketRefusal, RaiseCause, Standing,
    Transport, Uuid,
};

use super::options::Options;
use gossip_core::TlsFault;

use crate::ends::{host_id_of_member, metadata_id_refused, withdrawn};
use crate::failure::Failure;
use crate::seeds::listed;
use crate::unanswered::{Asked, advice, outcome, tls_advice};

/// For how many refused endpoints it is remembered that they were logged.
const MAX_REFUSALS: usize = 1_000;
/// How often it is logged that the packets of a node cannot be read.
const REFUSED_PACKETS_EVERY: Duration = Duration::from_hours(1);

/// Logs what happens to the node until it stops. Returns what is known of those who did not answer lately.
pub(crate) async fn log_events(mut events: Events, handle: Handle<Common>, options: Options) -> Silence {
    let mut log = EventLog {
        handle,
        options,
        refused: BTreeSet::new(),
        refused_packets: BTreeMap::new(),
        silence: Silence::default(),
    };
    loop {
        match events.recv().await {
            Ok(Event::Stopped) | Err(EventsError::Stopped) => return log.silence,
            Ok(event) => log.log(event).await,
            Err(EventsError::Lagged(count)) => tracing::warn!("{count} events were missed by the log"),
        }
    }
}

/// Where a host is live.
fn live_home(known: &[EndpointInfo], host_id: Uuid) -> Option<Endpoint> {
    let is_home = |info: &&EndpointInfo| {
        let text = info.text(ApplicationState::HOST_ID);
        info.standing == Standing::Live && text.and_then(|text| text.parse().ok()) == Some(host_id)
    };
    known.iter().find(is_home).map(|info| info.endpoint)
}

/// Why a node stopped without a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It has left, as requested.
    Left,
    /// Others removed it.
    Removed { generation: Generation },
    /// No seed answered before it joined.
    Unanswered,
    /// Another node has, or had, its address.
    Conflict { generation: Generation },
    /// Another node is live with its address, or with its host id at another one.
    InUse { endpoint: Endpoint, generation: Generation },
    /// A member of the Cassandra cluster has its host id.
    HostIdOfMember { endpoint: Endpoint },
    /// A node tells another identifier of the cluster's metadata than was given.
    MetadataIdRefused { by: Endpoint, given: MetadataId, theirs: MetadataId },
    /// Unknown.
    Unknown,
}

impl From<gossip_adapter::End> for End {
    fn from(end: gossip_adapter::End) -> Self {
        match end {
            gossip_adapter::End::Removed { generation } => Self::Removed { generation },
            gossip_adapter::End::Left => Self::Left,
            gossip_adapter::End::Unanswered => Self::Unanswered,
            gossip_adapter::End::Conflict { generation } => Self::Conflict { generation },
            gossip_adapter::End::InUse { endpoint, generation } => Self::InUse { endpoint, generation },
            gossip_adapter::End::HostIdOfMember { endpoint } => Self::HostIdOfMember { endpoint },
            gossip_adapter::End::MetadataIdRefused { by, given, theirs } => {
                Self::MetadataIdRefused { by, given, theirs }
            }
            _ => Self::Unknown,
        }
    }
}

/// What is known of those who were asked and did not answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence {
    /// Who could not be reached, and why.
    failures: Vec<(Endpoint, DialFailure, u32)>,
    /// Who answered that it asks as well.
    asking: Vec<Endpoint>,
}

impl End {
    /// Whether a later start is not to join again by itself.
    pub(crate) const fn is_for_good(self) -> bool {
        matches!(self, Self::Removed { .. } | Self::Left)
    }

    /// What the operator reads at the end.
    pub(crate) fn failure(self, handle: &Handle<Common>, options: &Options, silence: &Silence) -> Failure {
        let local = handle.local_endpoint();
        Failure::failed(match self {
            Self::Removed { generation } => format!(
                "{local} was removed from the cluster under generation {generation}, and has stopped (to join again, \
                 remove its data directory, or start it with --rejoin)"
            ),
            Self::Unanswered => format!(
                "no seed answered before {local} joined: {} ({}; or join without asking, with --no-shadow-round)",
                silence.describe(&options.seeds.asked(), local),
                what_to_check(silence, options, local)
            ),
            Self::Conflict { generation } => format!(
                "a node with the address {local} and another host id is known to the cluster, of generation \
                 {generation} (if that node is gone for good, take its place with --replace; if it was this one, use its --data-dir or \
                 its --host-id; else choose another --listen or --broadcast)"
            ),
            Self::InUse { endpoint, generation } if endpoint == local => format!(
                "a node with the address {local} and another host id is live, of generation {generation}: its heartbeat grows \
                 (stop it first, or choose another --listen or --broadcast)"
            ),
            Self::InUse { endpoint, generation } => format!(
                "the node {endpoint}, generation {generation}, is live and has the host id of this one: its heartbeat grows (stop it \
                 first if this node is to take its place; else start this one with a --data-dir or --host-id of its own)"
            ),
            Self::Left => format!("{local} has left the cluster"),
            Self::HostIdOfMember { endpoint } => host_id_of_member(endpoint),
            Self::MetadataIdRefused { by, given, theirs } => metadata_id_refused(by, given, theirs),
            Self::Unknown => format!("{local} has stopped gossiping (the log says why)"),
        })
    }
}

impl Silence {
    /// Who was asked, and what is known of each.
    fn describe(&self, asked: &[SocketAddr], local: Endpoint) -> String {
        let is_named = |endpoint| {
            let mut named = self.failures.iter().map(|(named, ..)| named).chain(&self.asking);
            named.any(|named| *named == endpoint)
        };
        // A seed does not ask itself.
        let is_silent = |one: &SocketAddr| !is_named(Endpoint::from(*one)) && Endpoint::from(*one) != local;
        let silent: Vec<_> = asked.iter().copied().filter(is_silent).collect();
        let failures = self.failures.iter().map(|(endpoint, failure, times)| {
            let outcome = outcome(*failure, *times);
            format!("{endpoint}: {outcome}")
        });
        let asking = self.asking.iter().map(|peer| format!("{peer} is in its own shadow round"));
        let known: Vec<_> = failures.chain(asking).collect();
        let silent = match (silent.is_empty(), known.is_empty()) {
            (false, _) => Some(listed(&silent)),
            (true, true) => Some("the endpoints that were known before".into()),
            (true, false) => None,
        };
        silent.into_iter().chain(known).collect::<Vec<_>>().join("; ")
    }
}

fn log_tls(peer: Option<Endpoint>, is_dialled: bool, fault: TlsFault) {
    let who = match (peer, is_dialled) {
        (Some(peer), true) => format!("TLS with {peer}, which was dialled"),
        (Some(peer), false) => format!("a connection of {peer}"),
        (None, _) => "a connection whose peer has not named itself".to_owned(),
    };
    let what_to_do = tls_advice(fault).map_or_else(String::new, |advice| format!(" ({advice})"));
    tracing::warn!("{who} failed: {fault}{what_to_do}; logged at most once an hour");
}

fn log_limit(limit: Limit, count: u64) {
    let what_to_do = match limit {
        Limit::Endpoints => " (raise --max-endpoints, or find out who fills it with `gossip status`)",
        Limit::Values => " (raise --max-states or --max-state-bytes)",
        Limit::OldGenerations => {
            // A restart is over when the last has heard of it.
            return tracing::info!("{count} {limit} (old_generations; logged at most once an hour)");
        }
        _ => "",
    };
    tracing::warn!("{count} {limit}{what_to_do} ({}; logged at most once an hour)", limit.name());
}

/// The node tells it at most once a minute.
fn log_refused_address(address: IpAddr, reason: AddressRefusal, count: u64, others: u64) {
    let what_to_do = match reason {
        AddressRefusal::NotAllowed => " (if it belongs here, add it with --allow)",
        AddressRefusal::Displaced => {
            " (find out what runs there, or allow the addresses of the cluster alone with --allow)"
        }
        _ => " (find out what runs there; the limits are in [limits] of --config)",
    };
    let others = if others > 0 { format!(", and other addresses {others} times") } else { String::new() };
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    tracing::warn!("{address} was refused {times}{others}: {reason}{what_to_do}");
}

/// A duration as people reckon clocks that are wrong.
fn in_days(duration: Duration) -> String {
    format!("{} days", duration.as_secs() / (24 * 60 * 60))
}

fn what_to_check(silence: &Silence, options: &Options, local: Endpoint) -> String {
    let asked = Asked {
        cluster: &options.cluster,
        partitioner: options.partitioner(),
        listen: local.into(),
        is_secured: options.tls.is_some(),
    };
    let mut advices: Vec<_> =
        silence.failures.iter().map(|(_, failure, _)| advice(*failure, asked)).collect();
    advices.dedup();
    // There is advice for every failure.
    if !advices.is_empty() && advices.iter().all(Option::is_some) {
        return advices.into_iter().flatten().collect::<Vec<_>>().join("; ");
    }
    if !silence.asking.is_empty() {
        return "no node has joined yet: a former member goes on by itself after a while; otherwise start a seed that names \
                itself, or one node with --no-shadow-round"
            .into();
    }
    let (cluster, partitioner) = (&options.cluster, options.partitioner());
    match options.transport {
        Transport::Datagram => format!(
            "check that a seed runs there with --transport datagram and {}, that its cluster is named {cluster:?} and its partitioner \
             {partitioner:?}, as its log would say, and that its packets come to {}",
            if options.keys.is_some() { "the same keys" } else { "without keys" },
            way_back(local, options.listen),
        ),
        _ => format!(
            "check that a seed runs there{}, that its cluster is named {cluster:?} and its partitioner {partitioner:?}, as its log \
             would say, and that it can connect back to {}",
            if options.cassandra { "" } else { " without --transport datagram" },
            way_back(local, options.listen),
        ),
    }
}

/// Where answers have to arrive. Another process may be found at the address that the node tells others.
fn way_back(local: Endpoint, listen: SocketAddr) -> String {
    let told = SocketAddr::from(local);
    if told.ip() == listen.ip() {
        return told.to_string();
    }
    format!("{told}: connections to that address must reach this node, which listens on {}", listen.ip())
}

struct EventLog {
    handle: Handle<Common>,
    options: Options,
    /// Whose refusal has been logged already: they come again each round.
    refused: BTreeSet<(Endpoint, String)>,
    /// Whose packets cannot be read, why, and when that was logged.
    refused_packets: BTreeMap<(Endpoint, PacketRefusal), Instant>,
    /// Who could not be reached, and who asks as well, until that is logged with the silence of the seeds.
    silence: Silence,
}

impl EventLog {
    async fn log(&mut self, event: Event) {
        match event {
            Event::Joined { endpoint, generation } => {
                tracing::info!("{endpoint} joined, generation {generation}");
            }
            Event::Restarted { endpoint, old, new } => {
                tracing::info!("{endpoint} restarted, generation {new} after {old}");
            }
            Event::Up { endpoint, .. } => tracing::info!("{endpoint} is UP"),
            Event::Down { endpoint, cause, .. } => match cause {
                DownCause::Convicted { .. } => tracing::warn!("{endpoint} is DOWN: {cause}"),
                _ => tracing::info!("{endpoint} is DOWN: {cause}"),
            },
            Event::GenerationRaised { old, new, cause: RaiseCause::Enabled } => {
                tracing::info!("own generation raised from {old} to {new}, since gossip is enabled again");
            }
            Event::GenerationRaised { old, new, .. } => tracing::warn!(
                "own generation raised from {old} to {new}: other nodes know this address with a greater one (normal once after data \
                 was lost or a clock was set back; if it happens again, look for another process with this address)"
            ),
            Event::GenerationNotRaised { generation } => tracing::error!(
                "other nodes know this address with a greater generation than its own, {generation}, or a greater version, and \
                 it cannot exceed that: they ignore this node (set its clock right, then restart it)"
            ),
            Event::AddressConflict { generation } => tracing::error!(
                "other nodes know {} under another host id, generation {generation}: another node has or had this \
                 address",
                self.handle.local_endpoint()
            ),
            Event::IdentityInUse { endpoint, generation } => tracing::error!(
                "{endpoint}, generation {generation}, is live and has this node's address or host id"
            ),
            Event::Replaced { endpoint, host_id } => self.log_replaced(endpoint, host_id).await,
            Event::SharedHostId { endpoint, host_id } => self.log_shared_host_id(endpoint, host_id).await,
            Event::HostIdChanged { endpoint, old } => tracing::warn!(
                "{endpoint} came back as another host: its host id was {old}, and is another now"
            ),
            Event::BeganAlone => tracing::warn!(
                "only nodes in their own shadow round answer; this node was a member before, and goes on as a seed would"
            ),
            Event::PeerAsks { peer } => self.silence.asking.push(peer),
            Event::DialFailed { endpoint, failure, times } => {
                self.silence.failures.push((endpoint, failure, times))
            }
            Event::TlsFailed { peer, is_dialled, fault } => log_tls(peer, is_dialled, fault),
            Event::LimitReached { limit, count } => log_limit(limit, count),
            Event::AddressRefused { address, reason, count, others } => {
                log_refused_address(address, reason, count, others);
            }
            Event::FutureGeneration { endpoint, generation, ahead, suspect } => tracing::warn!(
                "{endpoint} is refused: its generation {generation} is {} ahead of the clock here; {}",
                in_days(ahead),
                match suspect {
                    ClockSuspect::Theirs =>
                        "its clock is wrong, or was wrong at its start: other nodes agree with the clock of this one (set \
                                             its clock right, and restart it)",
                    ClockSuspect::Ours =>
                        "probably the clock of this node is behind: several nodes are ahead of it, and none agrees with it (compare the clocks)",
                    _ =>
                        "one of the two clocks is wrong, and no third node is known to decide which (compare them)",
                }
            ),
            Event::NotTaken { by } => self.log_not_taken(by).await,
            Event::Removed { generation } => tracing::error!(
                "removed from the cluster under generation {generation}: this node no longer gossips (to join \
                 again, remove its data directory, or start it with --rejoin)"
            ),
            Event::ForeignCluster { from } => {
                let theirs = self.handle.foreign_cluster().await.ok().flatten();
                let theirs = theirs.filter(|(sender, _)| *sender == from).map(|(_, name)| name);
                self.log_refusal(from, "cluster", "--cluster", theirs);
            }
            Event::ForeignPartitioner { from } => {
                let theirs = self.handle.foreign_partitioner().await.ok().flatten();
                let theirs = theirs.filter(|(sender, _)| *sender == from).map(|(_, name)| name);
                self.log_refusal(from, "partitioner", "--partitioner", theirs);
            }
            Event::PacketRefused { from, refusal } => self.log_refused_packet(from, refusal),
            Event::Ignored { by, at_most } => tracing::warn!(
                "{by} keeps requesting the whole state of this node, and does not accept it: if it forgot this node after a silence, \
                 that ends within {} s; if it lasts, look for another process that uses {}",
                at_most.as_secs(),
                self.handle.local_endpoint()
            ),
            Event::Withdrawn { by, sign } => tracing::warn!("{}", withdrawn(by, sign)),
            Event::Returned { by } => tracing::info!(
                "this member takes part again: the metadata service of the cluster is initialised, as {by} tells"
            ),
            Event::MetadataIdChanged { by, old, new } if old.is_none() => {
                tracing::info!("the identifier of the cluster's metadata is {new}, by {by}");
            }
            Event::MetadataIdChanged { by, old, new } => {
                tracing::warn!("the identifier of the cluster's metadata is now {new}, by {by}; it was {old}")
            }
            Event::SharedAddress { with } => tracing::warn!(
                "the Cassandra node {with} has the address of this member, and another port: clients and operators may confuse \
                 the two (give this member its own address with --listen or --broadcast)"
            ),
            Event::Accepted { by } => tracing::info!("{by} accepts this node again"),
            Event::Left { endpoint, generation } => {
                tracing::info!("{endpoint} has left the cluster, generation {generation}");
            }
            Event::Forgotten { endpoint, generation, cause } => {
                tracing::info!("{endpoint} is forgotten, generation {generation}: {cause}");
            }
            Event::Assassinated { endpoint, generation } => {
                tracing::warn!("{endpoint} was assassinated, under generation {generation}");
            }
            Event::AssassinationAborted { endpoint, cause } => {
                tracing::warn!("{endpoint} was not assassinated: {cause}");
            }
            Event::ProbeFailed { endpoint, silence, is_relayed } => {
                let silence = silence.as_secs_f64();
                match is_relayed {
                    true => tracing::warn!(
                        "{endpoint} has been silent for {silence:.1} s and does not answer a probe, but other nodes hear it (check \
                         the network between it and this node)"
                    ),
                    false => tracing::warn!(
                        "{endpoint} has been silent for {silence:.1} s and does not answer a probe"
                    ),
                }
            }
            Event::ShadowRoundDone => tracing::debug!("the shadow round has ended: the node joins"),
            Event::SeedsSilent { waited } => self.log_silent_seeds(waited.as_secs_f64()),
            Event::LocalPause { pause } => tracing::warn!(
                "this node stood still for {:.1} s; it convicts no endpoint for a while",
                pause.as_secs_f64()
            ),
            Event::Lost { count } => tracing::warn!("{count} events were lost"),
            // Values change all the time, and the code that stops the node logs the end.
            _ => {}
        }
    }

    fn log_refusal(&mut self, from: Endpoint, what: &str, option: &str, theirs: Option<String>) {
        let ours = if what == "cluster" { self.options.cluster.as_str() } else { self.options.partitioner() };
        let theirs = theirs.unwrap_or_else(|| "?".into());
        if self.refused.len() >= MAX_REFUSALS {
            self.refused.clear();
        }
        if self.refused.insert((from, theirs.clone())) {
            tracing::warn!(
                "rejected a SYN from {from}: its {what} {theirs:?} does not match ours, {ours:?} (if it belongs here, \
                 start both with the same {option})"
            );
        }
    }

    /// Packets of a node are dropped unread. Logged once in an hour for each sender and reason.
    fn log_refused_packet(&mut self, from: Endpoint, refusal: PacketRefusal) {
        let now = Instant::now();
        if self.refused_packets.len() >= MAX_REFUSALS {
            self.refused_packets.clear();
        }
        let told = self.refused_packets.insert((from, refusal), now);
        if let Some(told) = told.filter(|told| now.saturating_duration_since(*told) < REFUSED_PACKETS_EVERY) {
            self.refused_packets.insert((from, refusal), told);
            return;
        }
        let what_to_do = match refusal {
            PacketRefusal::NotSealed => "start it with the --key-file of this node",
            PacketRefusal::Sealed => "start this node with the --key-file of that one",
            PacketRefusal::OtherKey => {
                "give both the same keys with --key-file, and run `gossip reloadkeys` for each"
            }
            _ => "start both with the same --cluster and --partitioner",
        };
        tracing::warn!("dropped packets from {from}: {refusal} (if it belongs here, {what_to_do})");
    }

    /// Several live nodes have one host id.
    async fn log_replaced(&self, former: Endpoint, host_id: Uuid) {
        let known = self.handle.endpoints().await.unwrap_or_default();
        match live_home(&known, host_id) {
            Some(home) => tracing::info!("{former} was replaced by {home}: its host is live there now"),
            None => {
                tracing::info!("{former} was replaced: its host id, {host_id}, was live at another address")
            }
        }
    }

    async fn log_shared_host_id(&self, newest: Endpoint, host_id: Uuid) {
        let text = host_id.to_string();
        let all = self.handle.endpoints().await.unwrap_or_default();
        let has_it = |info: &&EndpointInfo| {
            info.standing == Standing::Live
                && info.text(ApplicationState::HOST_ID).is_some_and(|id| id.eq_ignore_ascii_case(&text))
        };
        let mut holders: Vec<_> = all.iter().filter(has_it).map(|info| info.endpoint.to_string()).collect();
        if holders.is_empty() {
            holders.push(newest.to_string());
        }
        tracing::warn!(
            "the live nodes {} have one host id, {host_id}; {newest} started last (each needs a data directory of its own: stop one, \
             and start it with a new one)",
            holders.join(" and ")
        );
    }

    /// Others answer and do not take what this node says of itself.
    async fn log_not_taken(&self, by: Endpoint) {
        let Ok(generation) = self.handle.generation().await else { return };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ahead = Duration::from_secs(u64::try_from(generation.get()).unwrap_or(0)).saturating_sub(now);
        if generation.is_beyond(now.as_secs()) {
            tracing::warn!(
                "{by} answers, but no node accepts the state of this one: its generation {generation} is {} ahead of the clock here, \
                 and nodes refuse one that is more than a year ahead (restart this node: it then takes its generation from the clock)",
                in_days(ahead)
            );
        } else {
            tracing::warn!(
                "{by} answers, but no node accepts the state of this one, generation {generation} (compare the clocks: a receiver refuses a \
                 generation more than a year ahead of its clock, and one that is not greater than the generation under which this \
                 address was removed; see the log of {by})"
            );
        }
    }

    fn log_silent_seeds(&mut self, waited: f64) {
        let silence = core::mem::take(&mut self.silence);
        tracing::warn!(
            "no seed has answered for {waited:.1} s: {} ({})",
            silence.describe(&self.options.seeds.asked(), self.handle.local_endpoint()),
            what_to_check(&silence, &self.options, self.handle.local_endpoint())
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_to_find_this_node_where_it_listens() {
        let listen = "10.0.0.9:7000".parse().unwrap();
        assert_eq!(way_back("10.0.0.9:7000".parse().unwrap(), listen), "10.0.0.9:7000");
        assert_eq!(
            way_back("192.0.2.1:7000".parse().unwrap(), listen),
            "192.0.2.1:7000: connections to that address must reach this node, which listens on 10.0.0.9"
        );
    }

    #[test]
    fn who_was_asked_is_named_once() {
        let [a, b, c] = ["10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.3:7000"].map(|text| text.parse().unwrap());
        let mut silence = Silence::default();
        let local = "10.0.0.9:7000".parse().unwrap();
        assert_eq!(silence.describe(&[], local), "the endpoints that were known before");
        assert_eq!(silence.describe(&[a, b], local), "10.0.0.1:7000, 10.0.0.2:7000");
        assert_eq!(silence.describe(&[a, b], a.into()), "10.0.0.2:7000", "a seed does not ask itself");
        silence.failures.push((b.into(), DialFailure::Refused, 1));
        silence.asking.push(c.into());
        let refused = outcome(DialFailure::Refused, 1);
        let known = format!("10.0.0.2:7000: {refused}; 10.0.0.3:7000 is in its own shadow round");
        assert_eq!(silence.describe(&[b], local), known);
        assert_eq!(silence.describe(&[a, b, c], local), format!("10.0.0.1:7000; {known}"));
    }
}
