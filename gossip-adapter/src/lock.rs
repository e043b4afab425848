//! Locks that are held for single steps.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nothing here panics with a lock held but what the allocator does, and every change under a lock is a single step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
