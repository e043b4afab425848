//! Telling many subscribers what happens, without waiting for any.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use gossip_core::Event;

use crate::answer::block_on;
use crate::lock::lock;
use crate::stopped::Stopped;

/// How many events a subscriber may be behind before it misses some.
pub const EVENTS: usize = 4_096;

/// How many of those that end a wait are kept for a subscriber that is further behind.
const MAX_VITAL: usize = 32;

/// What happens to a node, in order.
///
/// A clone reads on from the same event, and each reads on its own. With the feature `stream` they are a stream.
pub struct Events {
    feed: Arc<Feed>,
    subscriber: u64,
    /// The number of the event that comes next.
    next: u64,
    /// What was missed, and must be delivered all the same.
    kept: VecDeque<Event>,
    is_over: bool,
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    ///
    /// [`EventsError::Lagged`] once, if events were missed because this was not called for too long: the node never waits for
    /// its subscribers. Events that end a wait are delivered all the same. [`EventsError::Stopped`] when the node has stopped and all is delivered.
    ///
    /// # Cancel safety
    ///
    /// Safe: if the future is dropped, no event is lost.
    pub async fn recv(&mut self) -> Result<Event, EventsError> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// As [`Events::recv`], polled. Only the last who polled is woken.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, EventsError>> {
        let feed = self.feed.clone();
        let mut state = lock(&feed.state);
        if let Some(next) = self.next(&state) {
            return Poll::Ready(next);
        }
        let known = state.wait(self.subscriber, context.waker());
        drop(state);
        // A waker that is dropped may run anything.
        drop(known);
        Poll::Pending
    }

    /// As [`Events::recv`], blocking this thread meanwhile. Not to be called by what drives the node, nor in an async task.
    ///
    /// # Errors
    ///
    /// As [`Events::recv`].
    pub fn wait(&mut self) -> Result<Event, EventsError> {
        loop {
            if let Some(event) = block_on(None, |context| self.poll_recv(context)) {
                return event;
            }
        }
    }

    /// As [`Events::wait`]; `None` if nothing happens for so long.
    #[must_use = "an event is given once"]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<Event, EventsError>> {
        // A moment that is too far away for the clock never comes.
        block_on(Instant::now().checked_add(timeout), |context| self.poll_recv(context))
    }

    /// As [`Events::recv`]; `None` if nothing has happened yet.
    #[must_use = "an event is given once"]
    pub fn try_recv(&mut self) -> Option<Result<Event, EventsError>> {
        let feed = self.feed.clone();
        let state = lock(&feed.state);
        self.next(&state)
    }

    fn next(&mut self, state: &State) -> Option<Result<Event, EventsError>> {
        // Nothing follows the last event, however long its driver lingers.
        if self.is_over {
            return Some(Err(EventsError::Stopped));
        }
        let oldest = state.published - state.ring.len() as u64;
        if self.next < oldest {
            let is_missed = |number: &u64| (self.next..oldest).contains(number);
            self.kept
                .extend(state.vital.iter().filter(|(number, _)| is_missed(number)).map(|(_, event)| *event));
            let missed = oldest - self.next - self.kept.len() as u64;
            self.next = oldest;
            if missed > 0 {
                return Some(Err(EventsError::Lagged(missed)));
            }
        }
        if let Some(event) = self.kept.pop_front() {
            return Some(Ok(event));
        }
        let event = usize::try_from(self.next - oldest).ok().and_then(|index| state.ring.get(index));
        match event {
            Some(event) => {
                self.next += 1;
                self.is_over = *event == Event::Stopped;
                Some(Ok(*event))
            }
            None => state.is_closed.then_some(Err(EventsError::Stopped)),
        }
    }
}

impl Clone for Events {
    /// Reads on from the same event, on its own.
    fn clone(&self) -> Self {
        let mut clone = self.feed.subscribe();
        clone.next = self.next;
        clone.kept = self.kept.clone();
        clone.is_over = self.is_over;
        clone
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = lock(&self.feed.state);
        state.subscribers -= 1;
        if state.subscribers == 0 {
            state.ring = VecDeque::new();
            state.vital = VecDeque::new();
        }
        let place = state.waiting.iter().position(|(subscriber, _)| *subscriber == self.subscriber);
        let known = place.map(|place| state.waiting.swap_remove(place));
        drop(state);
        drop(known);
    }
}

/// The events, and [`EventsError::Lagged`] where some were missed. The stream ends where [`Events::recv`] says
/// [`EventsError::Stopped`].
#[cfg(feature = "stream")]
impl futures_core::Stream for Events {
    type Item = Result<Event, EventsError>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Event, EventsError>>> {
        self.get_mut().poll_recv(context).map(|next| (next != Err(EventsError::Stopped)).then_some(next))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventsError {
    /// So many events were missed; what they said can be read from the node. Of those that end a wait the last of each kind
    /// are not missed, but delivered next: the end of the shadow round, an address conflict, a removal, the outcome of an
    /// assassination.
    Lagged(u64),
    /// The node has stopped.
    Stopped,
}

impl fmt::Display for EventsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(missed) => write!(f, "{missed} events were missed"),
            Self::Stopped => Stopped.fmt(f),
        }
    }
}

impl std::error::Error for EventsError {}

/// The last events, for all subscribers.
#[derive(Default)]
pub(crate) struct Feed {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last of the events, up to [`EVENTS`]. Nothing is kept without a subscriber.
    ring: VecDeque<Event>,
    /// The last events that may end a wait, with their numbers, whether they are in the ring or not.
    vital: VecDeque<(u64, Event)>,
    /// How many events there were; their numbers start with 0.
    published: u64,
    is_closed: bool,
    subscribers: usize,
    next_subscriber: u64,
    /// Who is to be woken; each subscriber at most once.
    waiting: Vec<Waiting>,
}

/// A subscriber that waits, and how to wake it.
pub(crate) type Waiting = (u64, Waker);

impl Feed {
    pub(crate) fn subscribe(self: &Arc<Self>) -> Events {
        let mut state = lock(&self.state);
        let subscriber = state.next_subscriber;
        state.next_subscriber += 1;
        state.subscribers += 1;
        Events {
            feed: self.clone(),
            subscriber,
            next: state.published,
            kept: VecDeque::new(),
            is_over: false,
        }
    }

    /// Appends an event, and wakes all. `woken` is scratch memory, so that nothing is allocated. It is empty before and after.
    pub(crate) fn publish(&self, event: Event, woken: &mut Vec<Waiting>) {
        let mut state = lock(&self.state);
        let number = state.published;
        state.published += 1;
        if state.subscribers == 0 {
            return;
        }
        if ends_a_wait(&event) {
            let is_replaced = |(_, known): &(u64, Event)| {
                mem::discriminant(known) == mem::discriminant(&event) && known.endpoint() == event.endpoint()
            };
            state.vital.retain(|known| !is_replaced(known));
            if state.vital.len() == MAX_VITAL {
                state.vital.pop_front();
            }
            state.vital.push_back((number, event));
        }
        if state.ring.len() == EVENTS {
            state.ring.pop_front();
        }
        state.ring.push_back(event);
        mem::swap(&mut state.waiting, woken);
        drop(state);
        for (_, waker) in woken.drain(..) {
            waker.wake();
        }
    }

    /// Nothing more will happen.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}

/// Whether something may wait for the event, and is never to miss it. [`Event::Stopped`] is not among them: nothing follows it
/// that could push it out.
const fn ends_a_wait(event: &Event) -> bool {
    matches!(
        event,
        Event::ShadowRoundDone
            | Event::ShadowRoundFailed
            | Event::AddressConflict { .. }
            | Event::HostIdOfMember { .. }
            | Event::MetadataIdRefused { .. }
            | Event::Withdrawn { .. }
            | Event::Returned { .. }
            | Event::Removed { .. }
            | Event::Assassinated { .. }
            | Event::AssassinationAborted { .. }
    )
}

impl State {
    /// Stores the waker of a subscriber, and returns the one that it replaces.
    fn wait(&mut self, subscriber: u64, waker: &Waker) -> Option<Waker> {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == subscriber) {
            Some((_, known)) if known.will_wake(waker) => None,
            Some((_, known)) => Some(mem::replace(known, waker.clone())),
            None => {
                self.waiting.push((subscriber, waker.clone()));
                None
            }
        }
    }
}
