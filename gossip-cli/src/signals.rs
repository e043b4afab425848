//! What tells a process to stop.

use std::io::Read;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// SIGINT and SIGTERM, and SIGHUP where it ends the process as well.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    last: SignalKind,
}

impl Signals {
    /// Starts to listen: from now on signals do not end the process by themselves.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self { hangup: Some(listen(SignalKind::hangup())?), ..Self::listen_without_hangup()? })
    }

    /// As [`Signals::listen`], but leaves SIGHUP to [`hangups`].
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub(crate) fn listen_without_hangup() -> Result<Self, Failure> {
        Ok(Self {
            hangup: None,
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
            () = next_hangup(self.hangup.as_mut()) => {
                self.last = SignalKind::hangup();
                "SIGHUP"
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

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::failed(format!("no signals can be heard: {error}")))
}

/// The SIGHUPs from now on, which do not end the process any more.
///
/// # Errors
///
/// The system does not let us.
pub(crate) fn hangups() -> Result<Signal, Failure> {
    listen(SignalKind::hangup())
}

async fn next_hangup(hangup: Option<&mut Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => core::future::pending().await,
    }
}

/// Waits until the reader of standard output is gone. Waits for ever where the system cannot tell, as for a file.
pub(crate) async fn reader_gone() {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
    // Nothing is written to it here, so that it may well be one that blocks.
    let told = match stdout.and_then(|stdout| Sender::from_file_unchecked(stdout.into())) {
        Ok(stdout) => stdout.ready(Interest::ERROR).await.is_ok(),
        Err(_) => false,
    };
    if !told {
        std::future::pending::<()>().await;
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
