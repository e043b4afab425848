//! What a node knows of its cluster, kept up to date for any number of readers.

mod snapshot;

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use gossip_core::{Event, Node, Phase};

pub use self::snapshot::{KnownEndpoint, KnownState, Snapshot};
use crate::answer::block_on;
use crate::lock::lock;
use crate::stopped::Stopped;

/// A live view: who is known, who is live, and what all of them publish, as it is now.
///
/// [`Handle::view`](crate::Handle::view) gives one. Readers share one [`Snapshot`], which the node changes only where
/// something has changed; taking it costs next to nothing, in a cluster of any size.
///
/// ```ignore
/// let mut view = node.view().await?;
/// let cluster = view.until_live(3).await?;
/// for member in cluster.live() {
///     println!("{} is in data center {:?}", member.endpoint, member.text(ApplicationState::DC));
/// }
/// ```
///
/// Heartbeats and suspicion levels change all the time and are not part of it: ask
/// [`Handle::endpoints`](crate::Handle::endpoints) for them. The view can still be read when the node has stopped. It does not
/// keep the node running.
///
/// With the feature `stream` it is a stream of what is known after each change.
pub struct View {
    shared: Arc<Shared>,
    reader: u64,
    /// The number of the change that was seen last.
    seen: u64,
}

impl View {
    /// What is known now. It counts as seen: [`View::changed`] waits for what comes later.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let state = lock(&self.shared.state);
        self.seen = state.changes;
        state.snapshot.clone()
    }

    /// Waits for a change that was not seen yet, and gives what is known then. Several changes may come as one.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the node has stopped and the last change was seen.
    ///
    /// # Cancel safety
    ///
    /// Safe: if the future is dropped, the change counts as not seen, and the next call gives it.
    pub async fn changed(&mut self) -> Result<Arc<Snapshot>, Stopped> {
        poll_fn(|context| self.poll_changed(context)).await
    }

    /// As [`View::changed`], polled. Only the last who polled is woken.
    pub fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<Arc<Snapshot>, Stopped>> {
        let shared = self.shared.clone();
        let mut state = lock(&shared.state);
        if state.changes != self.seen {
            self.seen = state.changes;
            return Poll::Ready(Ok(state.snapshot.clone()));
        }
        if state.is_over {
            return Poll::Ready(Err(Stopped));
        }
        let waker = context.waker();
        let known = match state.waiting.iter_mut().find(|(reader, _)| *reader == self.reader) {
            Some((_, known)) if known.will_wake(waker) => None,
            Some((_, known)) => Some(mem::replace(known, waker.clone())),
            None => {
                state.waiting.push((self.reader, waker.clone()));
                None
            }
        };
        drop(state);
        // A waker that is dropped may run anything.
        drop(known);
        Poll::Pending
    }

    /// Waits until it is so, and gives what is known then. Returns at once if it is so already.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the node has stopped and it never became so.
    ///
    /// # Cancel safety
    ///
    /// Safe: a next call looks at what is known then. What was looked at before the future was dropped counts as seen by
    /// [`View::changed`].
    pub async fn until(
        &mut self,
        mut is_so: impl FnMut(&Snapshot) -> bool,
    ) -> Result<Arc<Snapshot>, Stopped> {
        let mut now = self.snapshot();
        while !is_so(&now) {
            now = self.changed().await?;
        }
        Ok(now)
    }

    /// Waits until so many are live, the node itself included.
    ///
    /// # Errors
    ///
    /// As [`View::until`].
    ///
    /// # Cancel safety
    ///
    /// As [`View::until`].
    pub async fn until_live(&mut self, count: usize) -> Result<Arc<Snapshot>, Stopped> {
        self.until(|now| now.live_count() >= count).await
    }

    /// Waits until the node takes part in gossip: at once, unless it asks its seeds first
    /// ([`Membership::shadow_round`](crate::Membership::shadow_round)).
    ///
    /// # Errors
    ///
    /// [`Stopped`] if it was refused, no seed answered, or it was stopped; [`Handle::stopped`](crate::Handle::stopped) says which.
    ///
    /// # Cancel safety
    ///
    /// As [`View::until`].
    pub async fn until_joined(&mut self) -> Result<Arc<Snapshot>, Stopped> {
        self.until(|now| now.phase() == Phase::Running).await
    }

    /// As [`View::until`], blocking this thread; `None` if it does not become so for so long. Not to be called by what drives the
    /// node, nor in an async task.
    ///
    /// # Errors
    ///
    /// As [`View::until`].
    #[must_use = "it may not have become so"]
    pub fn wait_until(
        &mut self,
        timeout: Duration,
        mut is_so: impl FnMut(&Snapshot) -> bool,
    ) -> Option<Result<Arc<Snapshot>, Stopped>> {
        // A moment that is too far away for the clock never comes.
        let deadline = Instant::now().checked_add(timeout);
        let mut now = self.snapshot();
        while !is_so(&now) {
            match block_on(deadline, |context| self.poll_changed(context))? {
                Ok(changed) => now = changed,
                Err(stopped) => return Some(Err(stopped)),
            }
        }
        Some(Ok(now))
    }
}

impl Clone for View {
    fn clone(&self) -> Self {
        let mut clone = Shared::reader(&self.shared);
        clone.seen = self.seen;
        clone
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.shared.readers.fetch_sub(1, Ordering::AcqRel);
        let mut state = lock(&self.shared.state);
        let place = state.waiting.iter().position(|(reader, _)| *reader == self.reader);
        let known = place.map(|place| state.waiting.swap_remove(place));
        drop(state);
        drop(known);
    }
}

/// What is known after each change. The stream ends where [`View::changed`] says [`Stopped`].
#[cfg(feature = "stream")]
impl futures_core::Stream for View {
    type Item = Arc<Snapshot>;

    fn poll_next(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Arc<Snapshot>>> {
        self.get_mut().poll_changed(context).map(Result::ok)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// What all views of a node share with its mailbox. Nothing is kept while there is no view.
#[derive(Default)]
pub(crate) struct Shared {
    readers: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    snapshot: Arc<Snapshot>,
    /// How many changes there were.
    changes: u64,
    is_kept: bool,
    is_over: bool,
    next_reader: u64,
    /// Who is to be woken; each reader at most once.
    waiting: Vec<(u64, Waker)>,
}

impl Shared {
    /// A view, from now on kept up to date.
    pub(crate) fn open(self: &Arc<Self>, node: &Node) -> View {
        let view = Self::reader(self);
        let mut state = lock(&self.state);
        if state.is_kept {
            drop(state);
            self.settle(node);
        } else {
            state.snapshot = Arc::new(Snapshot::of(node.gossiper()));
            state.changes += 1;
            state.is_kept = true;
        }
        view
    }

    fn reader(shared: &Arc<Self>) -> View {
        shared.readers.fetch_add(1, Ordering::AcqRel);
        let mut state = lock(&shared.state);
        let reader = state.next_reader;
        state.next_reader += 1;
        View { shared: shared.clone(), reader, seen: 0 }
    }

    /// Takes over the change of an event, before the event is delivered.
    pub(crate) fn note(&self, node: &Node, event: &Event) {
        match (event, event.endpoint()) {
            // The lost events may be about any endpoint.
            (Event::Lost { .. }, _) => self.refresh(node, Snapshot::refresh_all),
            (_, Some(endpoint)) => {
                self.refresh(node, |snapshot, gossiper| Snapshot::refresh(snapshot, gossiper, endpoint));
            }
            (_, None) => self.settle(node),
        }
    }

    /// Takes over what changes without an event: what the node does, and what it publishes itself.
    pub(crate) fn settle(&self, node: &Node) {
        self.refresh(node, Snapshot::settle);
    }

    /// Changes the snapshot, if the application reads it, by `change`, which says whether there was anything to change.
    fn refresh(&self, node: &Node, change: impl FnOnce(&mut Arc<Snapshot>, &gossip_core::Gossiper) -> bool) {
        if self.readers.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut state = lock(&self.state);
        if !state.is_kept || !change(&mut state.snapshot, node.gossiper()) {
            return;
        }
        state.changes += 1;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    /// Gives back the memory, if it has no readers any more.
    pub(crate) fn tidy(&self) {
        if self.readers.load(Ordering::Acquire) > 0 {
            return;
        }
        let mut state = lock(&self.state);
        if state.is_kept && self.readers.load(Ordering::Acquire) == 0 {
            state.is_kept = false;
            state.snapshot = Arc::default();
        }
    }

    /// Nothing more will change.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_over = true;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}
