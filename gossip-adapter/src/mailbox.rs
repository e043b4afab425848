//! Where handles leave their commands for the driver.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use gossip_core::{End, Event, Node, Timestamp};

use crate::answer::Owed;
use crate::events::{Feed, Waiting};
use crate::lock::lock;
use crate::view;

/// The driver's end of all [`Handle`](crate::Handle)s and [`Events`](crate::Events).
///
/// It receives each event of the node by [`Mailbox::publish`], and whenever the node has nothing more to do by [`Mailbox::settle`].
///
/// It is to be dropped when the node has stopped, after the sockets, so that the port is free when the wait for the stop ends.
/// Whatever was asked and not answered is answered then with [`Stopped`](crate::Stopped), and whatever is asked later.
pub struct Mailbox {
    queue: Arc<Queue>,
    feed: Arc<Feed>,
    view: Arc<view::Shared>,
    /// Why the node has stopped.
    end: Arc<OnceLock<End>>,
    /// Commands that are carried out, and subscribers that are woken: empty but for that time, kept for their memory.
    running: VecDeque<Command>,
    woken: Vec<Waiting>,
    at_stop: AtStop,
    is_ending: bool,
}

impl Mailbox {
    pub(crate) fn new(
        queue: Arc<Queue>,
        feed: Arc<Feed>,
        view: Arc<view::Shared>,
        end: Arc<OnceLock<End>>,
    ) -> Self {
        Self {
            queue,
            feed,
            view,
            end,
            running: VecDeque::new(),
            woken: Vec::new(),
            at_stop: AtStop { replies: Vec::new() },
            is_ending: false,
        }
    }

    /// Stores the waker to call when the mailbox is no longer empty. It is not woken for what came before: ask afterwards whether
    /// the mailbox [`is_empty`](Mailbox::is_empty).
    pub fn register(&self, waker: &Waker) {
        let mut state = lock(&self.queue.state);
        if state.driver.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            let known = state.driver.replace(waker.clone());
            drop(state);
            // A waker that is dropped may run anything.
            drop(known);
        }
    }

    /// Whether [`Mailbox::run`] would have nothing to do: no command waits, and there is a handle that could give one.
    pub fn is_empty(&self) -> bool {
        let state = lock(&self.queue.state);
        state.commands.is_empty() && (self.is_ending || !state.is_abandoned)
    }

    /// Returns when the mailbox is not empty. Registers the task that awaits it.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is taken out of the mailbox.
    pub async fn filled(&mut self) {
        poll_fn(|context| self.poll_filled(context)).await;
    }

    /// As [`Mailbox::filled`], polled.
    pub fn poll_filled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.register(context.waker());
        if self.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Carries out all commands that wait. When no handle is left, it shuts down the node.
    pub fn run(&mut self, node: &mut Node, now: Timestamp) {
        let mut state = lock(&self.queue.state);
        mem::swap(&mut state.commands, &mut self.running);
        let is_abandoned = state.is_abandoned;
        drop(state);
        for command in self.running.drain(..) {
            command(node, now, &mut self.at_stop);
        }
        if is_abandoned && !self.is_ending {
            self.is_ending = true;
            node.shutdown(now);
        }
        self.settle(node);
    }

    /// Tells an event of `node` to all subscribers, and takes it over into the views before that.
    pub fn publish(&mut self, node: &Node, event: Event) {
        self.view.note(node, &event);
        if let Some(end) = node.gossiper().end() {
            self.end.get_or_init(|| end);
        }
        self.feed.publish(event, &mut self.woken);
    }

    /// Takes over into the views what has changed without an event. To be called when the node has nothing more to do for now
    /// ([`Output::Timeout`](gossip_core::Output::Timeout)).
    pub fn settle(&mut self, node: &Node) {
        self.view.tidy();
        self.view.settle(node);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.is_closed = true;
        let commands = mem::take(&mut state.commands);
        let driver = state.driver.take();
        drop(state);
        drop(driver);
        // A task that waits for the end finds that no more events come.
        self.feed.close();
        self.view.close();
        drop(commands);
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

/// Something to be done where the node is.
pub(crate) type Command = Box<dyn FnOnce(&mut Node, Timestamp, &mut AtStop) + Send>;

/// The answers that are given when the node has stopped.
pub(crate) struct AtStop {
    replies: Vec<Box<dyn Owed>>,
}

impl AtStop {
    /// Keeps a reply until then; its own `otherwise` is what is answered.
    pub(crate) fn answer(&mut self, reply: impl Owed + 'static) {
        // A caller that drops its answers and asks again does not fill the memory.
        if self.replies.len() == self.replies.capacity() {
            self.replies.retain(|reply| reply.is_awaited());
        }
        self.replies.push(Box::new(reply));
    }
}

/// The commands that wait.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    /// Woken when the mailbox is no longer empty.
    driver: Option<Waker>,
    /// No handle is left.
    is_abandoned: bool,
    /// No driver is left.
    is_closed: bool,
}

impl Queue {
    /// Where there is no driver any more, the command is dropped, which answers it.
    pub(crate) fn put(&self, command: Command) {
        let mut state = lock(&self.state);
        if state.is_closed {
            drop(state);
            return drop(command);
        }
        // The first command has woken the driver.
        let driver = if state.commands.is_empty() { state.driver.clone() } else { None };
        state.commands.push_back(command);
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The last handle is gone.
    pub(crate) fn abandon(&self) {
        let mut state = lock(&self.state);
        state.is_abandoned = true;
        let driver = state.driver.clone();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::answer;

    #[test]
    fn whoever_waits_again_and_again_for_the_end_fills_no_memory() {
        let mut at_stop = AtStop { replies: Vec::new() };
        let (reply, kept) = answer("the end");
        at_stop.answer(reply);
        for _ in 0..1_000 {
            let (reply, _) = answer(());
            at_stop.answer(reply);
            assert!(at_stop.replies.len() <= 4);
        }
        drop(at_stop);
        assert_eq!(kept.wait(), "the end");
    }
}
