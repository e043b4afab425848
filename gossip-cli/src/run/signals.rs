//! What tells a process to stop.

use std::io::Read;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// SIGINT and SIGTERM.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    last: SignalKind,
}

impl Signals {
    /// Starts to listen: from now on signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::failed(format!("no signals can be heard: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            last: SignalKind::terminate(),
        })
    }

    /// Waits for the next signal, and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => {
                self.last = SignalKind::interrupt();
                "SIGINT"
            }
            _ = self.terminate.recv() => {
                self.last = SignalKind::terminate();
                "SIGTERM"
            }
        }
    }

    /// The number of the last signal.
    pub(crate) fn number(&self) -> u8 {
        u8::try_from(self.last.as_raw_value()).unwrap_or_default()
    }

    /// What a process exits with that the last signal ended.
    pub(crate) fn exit_code(&self) -> i32 {
        128 + self.last.as_raw_value()
    }
}

/// Waits until standard input reaches its end.
pub(crate) async fn stdin_ended() {
    let (sender, ended) = oneshot::channel::<()>();
    // A thread of its own, since a read cannot be taken back; it ends with the process.
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        let mut stdin = std::io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        // The node may have stopped first.
        let _ = sender.send(());
    });
    let _ = ended.await;
}
