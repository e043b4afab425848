//! Signals to the lab, for code that polls.

use core::sync::atomic::{AtomicU8, Ordering};
use std::sync::Arc;
use std::thread;

use super::Halt;
use crate::failure::Failure;
use crate::signals::Signals;

/// Whether SIGINT or SIGTERM came.
#[derive(Clone, Debug)]
pub(super) struct Interrupt {
    /// The number of the signal; 0 until there is one.
    signal: Arc<AtomicU8>,
}

impl Interrupt {
    /// Starts to listen. A second signal ends the process at once; the nodes then stop by themselves.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub(super) fn listen() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime =
            runtime.map_err(|error| Failure::failed(format!("no signals can be heard: {error}")))?;
        let mut signals = runtime.block_on(async { Signals::listen() })?;
        let interrupt = Self { signal: Arc::default() };
        let signal = interrupt.signal.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                signals.next().await;
                signal.store(signals.number(), Ordering::Relaxed);
                signals.next().await;
                std::process::exit(signals.exit_code());
            });
        });
        Ok(interrupt)
    }

    pub(super) fn check(&self) -> Result<(), Halt> {
        match self.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Halt::Interrupted(signal)),
        }
    }
}
