//! A node: the protocol, and what carries its messages. The one type that adapters drive.

mod budget;
mod connections;
mod frames;
mod packets;
mod sealer;
#[cfg(feature = "tls")]
mod secure;
mod sources;
mod streams;

use alloc::boxed::Box;
use core::net::IpAddr;

use self::packets::Packets;
use self::streams::Streams;
use crate::application_state::ApplicationState;
use crate::config::{Config, SetStateError, Transport};
use crate::dial::DialFailure;
use crate::endpoint::Endpoint;
use crate::gossiper::{AssassinateError, DisableError, EnableError, Gossiper, LeaveError};
use crate::io::{ConnectionId, Input, OpenConnections, Output};
use crate::log;
use crate::metadata::MetadataId;
use crate::network::Network;
use crate::stats::Stats;
use crate::time::Timestamp;
use crate::version::Version;

/// The largest message that goes over the connection for gossip, in bytes, header included (`docs/protocol/connections.md#connection-types`).
pub const MAX_URGENT_MESSAGE: usize = 65_515;

/// A node of a cluster, without sockets, clock or thread: tell it what happened by [`Node::handle_input`], then ask it what to
/// do by [`Node::poll`] until it has nothing more.
///
/// ```
/// use gossip_core::{Config, Endpoint, Generation, Input, Node, Output, Timestamp};
///
/// let local = Endpoint::v4([10, 0, 0, 1], 7000);
/// let seed = Endpoint::v4([10, 0, 0, 2], 7000);
/// let config = Config::builder("my cluster", local, Generation::new(1), [7; 32]).seed(seed).build()?;
/// let mut node = Node::new(config, Timestamp::ZERO);
/// let mut buffer = vec![0; Node::MIN_BUFFER];
///
/// node.handle_input(Timestamp::ZERO, Input::Timeout);
/// let Output::Connect { to, .. } = node.poll(&mut buffer) else { panic!("the first round dials the seed") };
/// assert_eq!(to, seed);
/// let Output::Timeout(Some(_)) = node.poll(&mut buffer) else { panic!("then there is nothing to do but wait") };
/// # Ok::<(), gossip_core::ConfigError>(())
/// ```
pub struct Node {
    gossiper: Gossiper,
    transport: Carrier,
    now: Timestamp,
}

/// What carries the messages.
#[derive(Debug)]
enum Carrier {
    Streams(Box<Streams>),
    Packets(Box<Packets>),
}

impl Node {
    /// The least size of the buffer for [`Node::poll`], in bytes.
    pub const MIN_BUFFER: usize = frames::MIN_BUFFER;

    /// A node that begins to gossip now.
    pub fn new(config: Config, now: Timestamp) -> Self {
        let transport = match config.transport {
            Transport::Internode => Carrier::Streams(Box::new(Streams::new(&config, now))),
            Transport::Datagram => Carrier::Packets(Box::new(Packets::new(&config, now))),
        };
        Self { gossiper: Gossiper::new(config, now), transport, now }
    }

    /// Takes in what happened, and then does what is due by `now`, whatever the input is: a driver that is kept busy by others
    /// does not hold up the rounds. Nothing that comes over a connection makes this fail.
    pub fn handle_input(&mut self, now: Timestamp, input: Input<'_>) {
        log::of_node!(self.gossiper.local_endpoint());
        self.now = self.now.max(now);
        self.notice_pause();
        self.take_in(input);
        self.do_what_is_due();
        self.count_connections();
    }

    /// Before anything else: what comes in after a pause may have waited for as long. The gossiper looks by itself.
    fn notice_pause(&mut self) {
        if let Carrier::Streams(streams) = &mut self.transport {
            streams.notice_pause(self.now);
        }
    }

    /// All deadlines but those of the limit for packets, at which `poll` looks by itself.
    fn do_what_is_due(&mut self) {
        let Self { gossiper, transport, now } = self;
        gossiper.handle_timeout(*now);
        if let Carrier::Streams(streams) = transport {
            streams.on_timeout(gossiper, *now);
        }
    }

    fn take_in(&mut self, input: Input<'_>) {
        let Self { gossiper, transport, now } = self;
        match (input, transport) {
            (Input::WallClock { unix_ms }, _transport) => {
                gossiper.handle_wall_clock(*now, unix_ms);
                #[cfg(feature = "tls")]
                if let Carrier::Streams(streams) = _transport {
                    streams.set_wall_clock(unix_ms);
                }
            }
            // What is due is done after every input.
            (Input::Timeout, _) => {}
            (input, Carrier::Streams(streams)) => streams.take_in(gossiper, *now, input),
            (Input::Datagram { bytes }, Carrier::Packets(packets)) => {
                packets.take_in(gossiper, *now, bytes);
            }
            // There are no connections.
            (_, Carrier::Packets(_)) => {}
        }
    }

    /// Says why a dial failed, before [`Input::Failed`] is handed in for it. It is reported if no peer answers
    /// ([`Event::DialFailed`](crate::Event::DialFailed)); drivers that do not know may leave it out.
    pub fn explain_failure(&mut self, connection: ConnectionId, failure: DialFailure) {
        if let Carrier::Streams(streams) = &mut self.transport {
            streams.explain(connection, failure);
        }
    }

    /// Counts a call to the system that failed where something was to be accepted, received in a packet or sent in one
    /// ([`Stats::socket_errors`]). Nothing else follows from it; drivers pause before they try again.
    pub const fn count_socket_error(&mut self) {
        let stats = self.gossiper.stats_mut();
        stats.socket_errors = stats.socket_errors.saturating_add(1);
    }

    /// Says what to do next. To be called until it is [`Output::Timeout`]; a driver that stops before that is late with
    /// what is left, and nothing worse.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than [`Node::MIN_BUFFER`].
    pub fn poll<'b>(&mut self, buffer: &'b mut [u8]) -> Output<'b> {
        assert!(buffer.len() >= Self::MIN_BUFFER, "the buffer is shorter than Node::MIN_BUFFER");
        log::of_node!(self.gossiper.local_endpoint());
        let output = self.next_output(buffer);
        self.count_connections();
        output
    }

    fn next_output<'b>(&mut self, buffer: &'b mut [u8]) -> Output<'b> {
        if let Some(event) = self.gossiper.poll_event() {
            return Output::Event(event);
        }
        if self.gossiper.is_stopped() {
            return Output::Timeout(None);
        }
        if self.gossiper.is_silent()
            && let Carrier::Streams(streams) = &mut self.transport
        {
            streams.close_all(self.now);
        }
        let (output, deadline) = match &mut self.transport {
            Carrier::Streams(streams) => {
                (streams.next_output(&mut self.gossiper, self.now, buffer), Some(streams.next_timeout()))
            }
            Carrier::Packets(packets) => {
                let datagram = packets.next_datagram(&mut self.gossiper, self.now, buffer);
                (datagram, packets.next_timeout(&self.gossiper))
            }
        };
        output.unwrap_or_else(|| {
            let round = self.gossiper.poll_timeout();
            Output::Timeout(round.into_iter().chain(deadline).min())
        })
    }

    /// As [`Gossiper::set_metadata_service`].
    pub fn set_metadata_service(&mut self, now: Timestamp, id: MetadataId) {
        self.gossiper.set_metadata_service(now, id);
    }

    /// As [`Gossiper::merge_from_log`].
    pub fn merge_from_log(&mut self, now: Timestamp, endpoint: Endpoint, key: ApplicationState, value: &str) {
        self.gossiper.merge_from_log(now, endpoint, key, value);
    }

    /// Whether connections are accepted: not once the node has stopped, nor while a gossip-only member is disabled. A driver closes its
    /// listening socket meanwhile, so that no peer finds a socket that does not answer.
    pub const fn is_listening(&self) -> bool {
        !self.gossiper.is_stopped() && !self.gossiper.is_silent()
    }

    /// Takes a connection that was accepted on the listening socket, and names it. `None` if there are too many, or its address may have none: drop it.
    ///
    /// Another connection may give way to it. Until [`poll`](Self::poll) returns the [`Output::Close`] of that, the driver has one more than
    /// [`Limits::max_connections`](crate::Limits::max_connections).
    #[must_use = "a connection without a name is to be closed"]
    pub fn accept(&mut self, now: Timestamp) -> Option<ConnectionId> {
        self.accept_from(now, None)
    }

    /// As [`Node::accept`], with the address that the connection comes from, if the driver knows it. A certificate may have to name it.
    pub fn accept_from(&mut self, now: Timestamp, source: Option<IpAddr>) -> Option<ConnectionId> {
        self.now = self.now.max(now);
        self.notice_pause();
        let is_listening = self.is_listening();
        let accepted = match &mut self.transport {
            Carrier::Streams(streams) if is_listening => streams.accept(&mut self.gossiper, self.now, source),
            _ => {
                self.gossiper.stats_mut().connections_refused += 1;
                None
            }
        };
        self.do_what_is_due();
        self.count_connections();
        accepted
    }

    /// Publishes a value of the node's own, under a fresh version.
    ///
    /// # Errors
    ///
    /// [`SetStateError`] if it could never be sent, or nothing is sent any more.
    pub fn set_state(
        &mut self,
        now: Timestamp,
        key: ApplicationState,
        value: &str,
    ) -> Result<Version, SetStateError> {
        self.now = self.now.max(now);
        self.gossiper.set_state(self.now, key, value)
    }

    /// Announces to all live members that the node stops, goes on for a while, and is done then:
    /// [`Event::Stopped`](crate::Event::Stopped). A gossip-only member announces nothing, and is done at once.
    pub fn shutdown(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.gossiper.shutdown(self.now);
    }

    /// Stops at once without an announcement, as a crash would: nothing comes out any more but events, the last of them
    /// [`Event::Stopped`](crate::Event::Stopped).
    pub fn abandon(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.gossiper.abandon(self.now);
    }

    /// Leaves the cluster for good; see [`Gossiper::leave`].
    ///
    /// # Errors
    ///
    /// [`LeaveError`] if it is no member, or takes no part in gossip now.
    pub fn leave(&mut self, now: Timestamp) -> Result<(), LeaveError> {
        self.now = self.now.max(now);
        self.gossiper.leave(self.now)
    }

    /// Declares an endpoint as left; see [`Gossiper::assassinate`].
    ///
    /// # Errors
    ///
    /// [`AssassinateError`] if that cannot be begun.
    pub fn assassinate(&mut self, now: Timestamp, endpoint: Endpoint) -> Result<(), AssassinateError> {
        self.now = self.now.max(now);
        self.gossiper.assassinate(self.now, endpoint)
    }

    /// Announces a shutdown, and takes no part until [`Node::enable`]; see [`Gossiper::disable`]. A gossip-only member
    /// announces nothing, closes its connections and accepts none.
    ///
    /// # Errors
    ///
    /// [`DisableError`] while it joins or leaves, and when it stops.
    pub fn disable(&mut self, now: Timestamp) -> Result<(), DisableError> {
        self.now = self.now.max(now);
        self.gossiper.disable(self.now)
    }

    /// Takes part again after [`Node::disable`]; see [`Gossiper::enable`].
    ///
    /// # Errors
    ///
    /// [`EnableError`] if it cannot take part, or could not under a generation that its peers accept.
    pub fn enable(&mut self, now: Timestamp) -> Result<(), EnableError> {
        self.now = self.now.max(now);
        self.gossiper.enable(self.now)
    }

    /// Replaces the seeds; see [`Gossiper::set_seeds`].
    pub fn set_seeds(&mut self, seeds: &[Endpoint]) -> bool {
        self.gossiper.set_seeds(seeds)
    }

    /// Replaces the keys that encrypt packets; from now on all packets must be encrypted. Says whether the node gossips in packets at all:
    /// connections do not use these keys.
    #[cfg(feature = "seal")]
    pub fn set_keys(&mut self, keys: crate::KeyRing) -> bool {
        match &mut self.transport {
            Carrier::Packets(packets) => {
                packets.set_keys(keys);
                true
            }
            Carrier::Streams(_) => false,
        }
    }

    /// Replaces the settings of TLS: certificates, keys, what is trusted, and who has to use it. They hold for connections that are
    /// opened from now on; those that are open go on. Says whether the node gossips over connections at all.
    #[cfg(feature = "tls")]
    pub fn set_tls(&mut self, tls: Option<crate::Tls>) -> bool {
        match &mut self.transport {
            Carrier::Streams(streams) => {
                streams.set_tls(tls);
                true
            }
            Carrier::Packets(_) => false,
        }
    }

    /// Replaces the networks that peers may have their addresses in; see [`ConfigBuilder::allow`](crate::ConfigBuilder::allow). An empty list
    /// allows all. Connections from and to other addresses are closed.
    pub fn set_allowed(&mut self, now: Timestamp, networks: &[Network]) {
        self.now = self.now.max(now);
        match &mut self.transport {
            Carrier::Streams(streams) => streams.set_allowed(&mut self.gossiper, self.now, networks),
            Carrier::Packets(packets) => packets.set_allowed(networks),
        }
    }

    /// The protocol: known endpoints and their states.
    pub const fn gossiper(&self) -> &Gossiper {
        &self.gossiper
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        self.gossiper.stats()
    }

    /// How many connections are open now; none where packets carry the messages.
    pub fn open_connections(&self) -> OpenConnections {
        match &self.transport {
            Carrier::Streams(streams) => streams.open_now(),
            Carrier::Packets(_) => OpenConnections::default(),
        }
    }

    const fn count_connections(&mut self) {
        self.gossiper.stats_mut().connections = match &self.transport {
            Carrier::Streams(streams) => streams.opened(),
            Carrier::Packets(packets) => packets.met(),
        };
    }
}
