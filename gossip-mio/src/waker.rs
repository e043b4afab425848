//! Waking a poll from elsewhere.

use std::sync::Arc;
use std::task::{Wake, Waker};

use tracing::warn;

/// What wakes a poll, for [`Driver::new`](crate::Driver::new).
///
/// A poll can have only one [`mio::Waker`]; a program that wakes its poll for reasons of its own too keeps a clone of it.
pub fn waker(waker: Arc<mio::Waker>) -> Waker {
    Arc::new(WakePoll(waker)).into()
}

struct WakePoll(Arc<mio::Waker>);

impl Wake for WakePoll {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Err(error) = self.0.wake() {
            warn!(%error, "a poll could not be woken: it is late");
        }
    }
}
