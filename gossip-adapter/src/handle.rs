//! What an application keeps of its node.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use gossip_core::{
    ApplicationState, AssassinateError, DisableError, EnableError, End, Endpoint, EndpointInfo, Generation,
    GossipOnly, LeaveError, Member, MetadataId, MetadataOrigin, Network, Node, Pad, Phase, Pulse, Stats,
    Timestamp, Tombstone, Version,
};

use crate::answer::{Answer, Owed, Reply, answer};
use crate::events::{Events, Feed};
use crate::mailbox::{AtStop, Queue};
use crate::stopped::Stopped;
use crate::view::{self, View};
use crate::vitals::Vitals;

/// A running node. Clones are of the same one, and may be used by several threads.
///
/// The node runs until [`Handle::shutdown`]. When the last handle is dropped, it shuts itself down in the same way.
///
/// What is asked is put into the node's mailbox at the call, and carried out in the order of the calls. The [`Answer`] may be
/// awaited, waited for, or dropped. A node that has stopped answers [`Stopped`].
///
/// What only some nodes can do is there only for them: a [`Member`] publishes values and may leave, a [`GossipOnly`] member of a Cassandra
/// cluster publishes [`Pad`]s. [`Handle::common`] gives a handle for what all can do.
#[must_use = "the node stops when its last handle is dropped"]
pub struct Handle<M = Member> {
    owner: Arc<Owner>,
    membership: PhantomData<fn() -> M>,
}

/// Marks a handle for what all nodes can do. No value of it exists.
#[derive(Clone, Copy, Debug)]
pub enum Common {}

/// What all clones of a handle share.
struct Owner {
    queue: Arc<Queue>,
    feed: Arc<Feed>,
    view: Arc<view::Shared>,
    end: Arc<OnceLock<End>>,
    local: Endpoint,
    listening: SocketAddr,
}

impl Handle {
    /// Publishes a value of the node's own, under a fresh version. [`SetStateError`] if it could never be sent, or nothing is
    /// sent any more.
    pub fn set_state(
        &self,
        key: ApplicationState,
        value: impl Into<String>,
    ) -> Answer<Result<Version, SetStateError>> {
        self.publish(key, value.into())
    }

    /// Leaves the cluster for good. Answers when others had time to hear of it and the node has stopped; [`LeaveError`], at
    /// once, if it is no member, or takes no part in gossip now.
    ///
    /// A node is a member once it has published a status that begins with NORMAL: give
    /// [`Builder::state`](crate::Builder::state)`(ApplicationState::STATUS_WITH_PORT, "NORMAL,0")`.
    pub fn leave(&self) -> Answer<Result<(), LeaveError>> {
        self.put(Err(LeaveError::NotRunning), |node, now, reply, at_stop| match node.leave(now) {
            Ok(()) => at_stop.answer(reply.otherwise(Ok(()))),
            error => reply.give(error),
        })
    }

    /// Begins to declare an endpoint as left that cannot do so itself; [`Event::Assassinated`](crate::Event::Assassinated) or
    /// [`Event::AssassinationAborted`](crate::Event::AssassinationAborted) follows. [`AssassinateError`] if that cannot be begun.
    pub fn assassinate(&self, endpoint: Endpoint) -> Answer<Result<(), AssassinateError>> {
        self.ask_otherwise(Err(AssassinateError::NotRunning), move |node, now| {
            node.assassinate(now, endpoint)
        })
    }
}

impl Handle<GossipOnly> {
    /// Publishes a value of the node's own, under a fresh version. [`SetStateError`] if it could never be sent, or nothing is
    /// sent any more.
    pub fn set_pad(&self, pad: Pad, value: impl Into<String>) -> Answer<Result<Version, SetStateError>> {
        self.publish(pad.state(), value.into())
    }
}

impl<M> Handle<M> {
    pub(crate) fn new(
        queue: Arc<Queue>,
        feed: Arc<Feed>,
        view: Arc<view::Shared>,
        end: Arc<OnceLock<End>>,
        local: Endpoint,
        listening: SocketAddr,
    ) -> Self {
        Self { owner: Arc::new(Owner { queue, feed, view, end, local, listening }), membership: PhantomData }
    }

    /// A handle that does not keep the node running: for what the node itself starts, or a cache.
    pub fn downgrade(&self) -> WeakHandle<M> {
        WeakHandle { owner: Arc::downgrade(&self.owner), membership: PhantomData }
    }

    /// A live view of the cluster: who is known, who is live, what they publish. It is complete when it is given, and kept up to
    /// date from then on.
    pub fn view(&self) -> Answer<Result<View, Stopped>> {
        let view = self.owner.view.clone();
        self.ask(move |node, _| view.open(node))
    }

    /// What the node is doing now; [`Stopped`] if nothing any more: [`Handle::stopped`] says why.
    pub fn phase(&self) -> Answer<Result<Phase, Stopped>> {
        self.ask(|node, _| node.gossiper().phase())
    }

    /// A handle of the same node, for what all nodes can do.
    pub fn common(&self) -> Handle<Common> {
        Handle { owner: self.owner.clone(), membership: PhantomData }
    }

    /// Under which endpoint the node gossips.
    pub fn local_endpoint(&self) -> Endpoint {
        self.owner.local
    }

    /// The address that is listened on.
    pub fn listen_address(&self) -> SocketAddr {
        self.owner.listening
    }

    /// What an endpoint publishes under a key, and the version of it; `None` if nothing is known. A surrogate that stands alone,
    /// which no text can hold, is U+FFFD.
    pub fn value(
        &self,
        endpoint: Endpoint,
        key: ApplicationState,
    ) -> Answer<Result<Option<(String, Version)>, Stopped>> {
        self.ask(move |node, _| {
            let value = node.gossiper().value(endpoint, key);
            value.map(|(text, version)| (text.to_text().into_owned(), version))
        })
    }

    /// All known endpoints, the node itself included, by ascending endpoint.
    pub fn endpoints(&self) -> Answer<Result<Vec<EndpointInfo>, Stopped>> {
        self.ask(|node, _| node.gossiper().snapshot())
    }

    /// All that is known of an endpoint; `None` if it is not known.
    pub fn endpoint(&self, endpoint: Endpoint) -> Answer<Result<Option<EndpointInfo>, Stopped>> {
        self.ask(move |node, _| node.gossiper().endpoint_info(endpoint))
    }

    /// The counters.
    pub fn stats(&self) -> Answer<Result<Stats, Stopped>> {
        self.ask(|node, _| *node.stats())
    }

    /// What changes at each heartbeat, and the counters, for programs that measure the node. The pulses are written into `room`, as many as
    /// its capacity holds, so that the node takes no memory for it: give the same vector again, and a greater one when
    /// [`Vitals::known`] says so.
    pub fn vitals(&self, room: Vec<Pulse>) -> Answer<Result<Vitals, Stopped>> {
        self.ask(move |node, _| Vitals::of(node.gossiper(), node.open_connections(), room))
    }

    /// The sender of the SYN of another cluster that was last reported ([`Event::ForeignCluster`](crate::Event::ForeignCluster)), and the name of that cluster.
    pub fn foreign_cluster(&self) -> Answer<Result<Option<(Endpoint, String)>, Stopped>> {
        self.ask(|node, _| node.gossiper().foreign_cluster())
    }

    /// As [`Handle::foreign_cluster`], of the partitioner ([`Event::ForeignPartitioner`](crate::Event::ForeignPartitioner)).
    pub fn foreign_partitioner(&self) -> Answer<Result<Option<(Endpoint, String)>, Stopped>> {
        self.ask(|node, _| node.gossiper().foreign_partitioner())
    }

    /// The identifier of the cluster's metadata that SYNs of the node carry, and where it is from. Only guests in clusters of Cassandra 6.0
    /// have one.
    pub fn metadata_id(&self) -> Answer<Result<(MetadataId, MetadataOrigin), Stopped>> {
        self.ask(|node, _| node.gossiper().metadata_id())
    }

    /// Announces a shutdown, and takes no part in gossip until [`Handle::enable`]. Answers at once; the announcement takes two
    /// intervals. [`DisableError`] while the node joins or leaves, and when it stops.
    pub fn disable(&self) -> Answer<Result<(), DisableError>> {
        self.ask_otherwise(Err(DisableError::Stopped), |node, now| node.disable(now))
    }

    /// Takes part in gossip again, with a greater generation. [`EnableError`] if the node cannot take part, or could not under a
    /// generation that its peers accept.
    pub fn enable(&self) -> Answer<Result<(), EnableError>> {
        self.ask_otherwise(Err(EnableError::Stopped), |node, now| node.enable(now))
    }

    /// Whether the node takes part in gossip.
    pub fn is_enabled(&self) -> Answer<Result<bool, Stopped>> {
        self.ask(|node, _| node.gossiper().is_enabled())
    }

    /// The node's generation, as it is now.
    pub fn generation(&self) -> Answer<Result<Generation, Stopped>> {
        self.ask(|node, _| node.gossiper().generation())
    }

    /// The seeds, the node itself left out.
    pub fn seeds(&self) -> Answer<Result<Vec<Endpoint>, Stopped>> {
        self.ask(|node, _| node.gossiper().seeds().to_vec())
    }

    /// Replaces the seeds; says whether that changed anything. An empty list changes nothing.
    pub fn set_seeds(&self, seeds: Vec<Endpoint>) -> Answer<Result<bool, Stopped>> {
        self.ask(move |node, _| node.set_seeds(&seeds))
    }

    /// Replaces the networks that peers may have their addresses in; see [`Node::set_allowed`](gossip_core::Node::set_allowed).
    pub fn set_allowed(&self, networks: Vec<Network>) -> Answer<Result<(), Stopped>> {
        self.ask(move |node, now| node.set_allowed(now, &networks))
    }

    /// Replaces the settings of TLS; see [`Node::set_tls`](gossip_core::Node::set_tls). Connections that are open go on. Says whether the
    /// node gossips over connections at all.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, tls: Option<gossip_core::Tls>) -> Answer<Result<bool, Stopped>> {
        self.ask(move |node, _| node.set_tls(tls))
    }

    /// Replaces the keys that seal packets: from now on everything has to be sealed. Says whether the node gossips in packets at
    /// all, since nothing else is sealed.
    #[cfg(feature = "seal")]
    pub fn set_keys(&self, keys: gossip_core::KeyRing) -> Answer<Result<bool, Stopped>> {
        self.ask(move |node, _| node.set_keys(keys))
    }

    /// The endpoints that are gone for good: to be kept across restarts, and given to
    /// [`Builder::tombstone`](crate::Builder::tombstone). They change with [`Event::Left`](crate::Event::Left) and [`Event::Forgotten`](crate::Event::Forgotten).
    pub fn tombstones(&self) -> Answer<Result<Vec<Tombstone>, Stopped>> {
        self.ask(|node, _| node.gossiper().tombstones().collect())
    }

    /// What happens from now on. What happened before is missed here: [`Builder::start`](crate::Builder::start) gives the
    /// events from the start on.
    pub fn subscribe(&self) -> Events {
        self.owner.feed.subscribe()
    }

    /// Announces the shutdown to all live members, goes on for two intervals so that all hear of it, and stops. Answers when
    /// that is done, also to a second call meanwhile; [`Stopped`] if the node had stopped before.
    pub fn shutdown(&self) -> Answer<Result<(), Stopped>> {
        self.put(Err(Stopped), |node, now, reply, at_stop| {
            node.shutdown(now);
            at_stop.answer(reply.otherwise(Ok(())));
        })
    }

    /// Stops the node at once, without an announcement. Other nodes see a crash, which tests use. The answer comes when the node has
    /// stopped.
    pub fn abandon(&self) -> Answer<()> {
        self.put((), |node, now, reply, at_stop| {
            node.abandon(now);
            at_stop.answer(reply);
        })
    }

    /// Answers when the node has stopped, and says why. That is never lost, also if it is asked afterwards.
    pub fn stopped(&self) -> Answer<End> {
        let (reply, answer) = answer(End::Dropped);
        let reply = AtEnd { reply: Some(reply), end: self.owner.end.clone() };
        self.owner.queue.put(Box::new(move |_, _, at_stop| at_stop.answer(reply)));
        answer
    }

    fn publish(&self, key: ApplicationState, value: String) -> Answer<Result<Version, SetStateError>> {
        self.ask_otherwise(Err(SetStateError::Stopped), move |node, now| {
            node.set_state(now, key, &value).map_err(|error| match error {
                gossip_core::SetStateError::Stopped => SetStateError::Stopped,
                refused => SetStateError::Refused(refused),
            })
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Node, Timestamp) -> T + Send + 'static,
    ) -> Answer<Result<T, Stopped>> {
        self.ask_otherwise(Err(Stopped), |node, now| Ok(command(node, now)))
    }

    /// As [`Handle::ask`]; `otherwise` is what a node that has stopped answers.
    fn ask_otherwise<T: Send + 'static>(
        &self,
        otherwise: T,
        command: impl FnOnce(&mut Node, Timestamp) -> T + Send + 'static,
    ) -> Answer<T> {
        self.put(otherwise, |node, now, reply, _| {
            let answer = command(node, now);
            reply.give(answer);
        })
    }

    fn put<T: Send + 'static>(
        &self,
        otherwise: T,
        command: impl FnOnce(&mut Node, Timestamp, Reply<T>, &mut AtStop) + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = answer(otherwise);
        self.owner.queue.put(Box::new(move |node, now, at_stop| command(node, now, reply, at_stop)));
        answer
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { owner: self.owner.clone(), membership: PhantomData }
    }
}

impl<M> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("local", &self.owner.local)
            .field("listening", &self.owner.listening)
            .finish()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// Keeps no node running; see [`Handle::downgrade`].
pub struct WeakHandle<M = Member> {
    owner: Weak<Owner>,
    membership: PhantomData<fn() -> M>,
}

impl<M> WeakHandle<M> {
    /// A handle, unless the last one is gone, and the node with it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Handle<M>> {
        self.owner.upgrade().map(|owner| Handle { owner, membership: PhantomData })
    }
}

impl<M> Clone for WeakHandle<M> {
    fn clone(&self) -> Self {
        Self { owner: self.owner.clone(), membership: PhantomData }
    }
}

impl<M> fmt::Debug for WeakHandle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakHandle").finish_non_exhaustive()
    }
}

/// Answers, when it is dropped, why the node has stopped.
struct AtEnd {
    reply: Option<Reply<End>>,
    end: Arc<OnceLock<End>>,
}

impl Owed for AtEnd {
    fn is_awaited(&self) -> bool {
        self.reply.as_ref().is_some_and(Owed::is_awaited)
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            reply.give(self.end.get().copied().unwrap_or(End::Dropped));
        }
    }
}

/// Why a value was not published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SetStateError {
    /// It could never be sent.
    Refused(gossip_core::SetStateError),
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for SetStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Stopped => Stopped.fmt(f),
        }
    }
}

impl std::error::Error for SetStateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;
    use crate::builder::{Prepared, Runtime, StartError};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    enum ByHand {}

    impl Runtime for ByHand {
        type Start<M: 'static> = Result<Prepared<M>, StartError>;

        fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
            let listening = builder.listen_on()?;
            builder.prepare(listening)
        }
    }

    #[test]
    fn a_command_that_panics_leaves_nobody_waiting() {
        let Prepared { mut node, mut mailbox, handle, .. } = Builder::<ByHand>::new("a").start().unwrap();
        let before = handle.stats();
        let panics: Answer<Result<(), Stopped>> = handle.ask(|_, _| panic!("as the test wants"));
        let behind = handle.stats();
        let end = handle.stopped();
        let mut events = handle.subscribe();
        let waiting = thread::spawn(move || (behind.wait(), end.wait(), events.wait()));
        let ran = catch_unwind(AssertUnwindSafe(move || mailbox.run(&mut node, Timestamp::ZERO)));
        assert!(ran.is_err());
        assert!(before.wait().is_ok());
        assert_eq!(panics.wait(), Err(Stopped));
        let (behind, end, event) = waiting.join().unwrap();
        assert_eq!(end, End::Dropped);
        assert_eq!(behind, Err(Stopped));
        assert_eq!(event, Err(crate::EventsError::Stopped));
        assert_eq!(handle.stats().wait(), Err(Stopped));
    }
}
