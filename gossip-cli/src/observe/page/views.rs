//! The matrix of views: how each member sees each other one.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The views of several members as of the last look, and how many pages want them.
#[derive(Debug, Default)]
pub(crate) struct Views {
    pages: Arc<AtomicUsize>,
    latest: Mutex<Option<Arc<Matrix>>>,
}

/// The matrix of views.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Matrix {
    /// When it was looked, in milliseconds since the Unix epoch.
    pub(crate) unix_ms: u64,
    /// Who was asked; why, if it did not answer.
    pub(crate) observers: Vec<(SocketAddr, Option<String>)>,
    /// What each of them thinks of a member, in the same order: `u` up, `d` down, `s` stopped, `?` not clear, `-` not known there.
    pub(crate) members: Vec<(SocketAddr, String)>,
}

impl Views {
    /// Whether any page is open.
    pub(crate) fn are_wanted(&self) -> bool {
        self.pages.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn put(&self, matrix: Matrix) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(matrix));
    }

    pub(super) fn latest(&self) -> Option<Arc<Matrix>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A page is open until this is dropped.
    pub(super) fn watch(&self) -> Open {
        self.pages.fetch_add(1, Ordering::Relaxed);
        Open(self.pages.clone())
    }
}

/// An open page.
#[derive(Debug)]
pub(super) struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
