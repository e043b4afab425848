//! Answers that come later: to be awaited, or to be waited for by a thread.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::lock::lock;

/// What a node will answer: a future, for programs that have a runtime; others [`wait`](Answer::wait).
///
/// What was asked for is under way already, and is done even if the answer is dropped.
///
/// # Cancel safety
///
/// Await `&mut answer` where something else may come first: the answer is given once, to the poll that finds it. If the answer is
/// dropped, what was asked for is done all the same.
#[must_use = "it may be that the node has stopped"]
pub struct Answer<T> {
    cell: Arc<Mutex<Cell<T>>>,
}

impl<T> Answer<T> {
    /// Blocks this thread until the answer is there.
    ///
    /// To be called neither by what drives the node, which would wait for itself, nor in an async task, which would hold up
    /// others.
    pub fn wait(mut self) -> T {
        loop {
            // Without a deadline there is always an answer.
            if let Some(answer) = block_on(None, |context| Pin::new(&mut self).poll(context)) {
                return answer;
            }
        }
    }

    /// The answer, if it is there already; it is given once.
    pub fn try_take(&mut self) -> Option<T> {
        lock(&self.cell).answer.take()
    }
}

impl<T> Future for Answer<T> {
    type Output = T;

    /// Gives the answer once, and is pending ever after.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let waker = context.waker();
        let mut cell = lock(&self.cell);
        if let Some(answer) = cell.answer.take() {
            return Poll::Ready(answer);
        }
        if cell.waker.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            let known = cell.waker.replace(waker.clone());
            // A waker that is dropped may run anything.
            drop(cell);
            drop(known);
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// A waker for a thread that parks itself when it has nothing to do.
pub fn this_thread() -> Waker {
    Arc::new(Unpark(thread::current())).into()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until there is something, and parks in between; `None` if there is nothing by the deadline.
pub(crate) fn block_on<T>(
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let waker = this_thread();
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(ready) = poll(&mut context) {
            return Some(ready);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(left) if left.is_zero() => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

struct Cell<T> {
    answer: Option<T>,
    waker: Option<Waker>,
}

/// The node's end of an [`Answer`]. It always answers: when it is dropped, if not before.
pub(crate) struct Reply<T> {
    cell: Arc<Mutex<Cell<T>>>,
    answer: Option<T>,
}

/// An answer, and the end through which it is given: `otherwise`, if nothing else is.
pub(crate) fn answer<T>(otherwise: T) -> (Reply<T>, Answer<T>) {
    let cell = Arc::new(Mutex::new(Cell { answer: None, waker: None }));
    (Reply { cell: cell.clone(), answer: Some(otherwise) }, Answer { cell })
}

impl<T> Reply<T> {
    pub(crate) fn give(self, answer: T) {
        drop(self.otherwise(answer));
    }

    /// Changes what is answered if nothing else is.
    pub(crate) fn otherwise(mut self, answer: T) -> Self {
        self.answer = Some(answer);
        self
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut cell = lock(&self.cell);
        cell.answer = self.answer.take();
        let waker = cell.waker.take();
        drop(cell);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A [`Reply`] of whatever type that waits for the end of the node.
pub(crate) trait Owed: Send {
    /// Whether a task or thread still waits for it.
    fn is_awaited(&self) -> bool;
}

impl<T: Send> Owed for Reply<T> {
    fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.cell) > 1
    }
}
