//! What every driver needs of its sockets, whatever they are.

use std::io;
use std::time::Duration;

use gossip_core::DialFailure;

/// How much is read from a socket at once.
pub const READ_BUFFER: usize = 64 * 1024;

/// How often a connection is read before others have their turn.
pub const READS_PER_TURN: usize = 4;

/// How many datagrams are taken before other things have their turn.
pub const DATAGRAMS_PER_TURN: usize = 16;

/// How long a driver works without a pause: then the node's timer has its turn, if it is due, and after it whatever else runs on
/// the same thread. It is looked at after each read of a socket and after each [`Output`](gossip_core::Output).
pub const TIME_SLICE: Duration = Duration::from_millis(5);

/// How long nothing is accepted or received after that failed: there may be no file descriptors left, for example.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a dial failed. The node gets it with [`Node::explain_failure`](gossip_core::Node::explain_failure).
pub fn dial_failure(error: &io::Error) -> DialFailure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => DialFailure::Refused,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable => {
            DialFailure::Unreachable
        }
        Kind::TimedOut => DialFailure::TimedOut,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::UnexpectedEof => DialFailure::Closed,
        _ => DialFailure::Other,
    }
}

/// Reads what a stream socket has.
///
/// # Errors
///
/// Those of the system.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn read_bytes(socket: &impl std::os::fd::AsFd, into: &mut [u8]) -> io::Result<usize> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{MsgFlags, recv};
    Ok(recv(socket.as_fd().as_raw_fd(), into, MsgFlags::empty())?)
}

/// How far a write has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Written {
    /// All is written, which the node wants to know.
    All,
    /// The socket is full: go on when it has room.
    Part,
}

/// What a connection has not taken yet of the last write.
#[derive(Debug, Default)]
pub struct Unwritten {
    bytes: Vec<u8>,
}

impl Unwritten {
    /// Nothing.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Writes as much as the socket takes now, and keeps the rest.
    ///
    /// # Errors
    ///
    /// What `write` fails with, or that it takes nothing any more: the connection is broken.
    pub fn write(
        &mut self,
        bytes: &[u8],
        write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<Written> {
        let taken = write_some(bytes, write)?;
        self.bytes.clear();
        self.bytes.extend_from_slice(&bytes[taken..]);
        Ok(self.written())
    }

    /// Goes on with the rest.
    ///
    /// # Errors
    ///
    /// As [`Unwritten::write`].
    pub fn resume(&mut self, write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<Written> {
        let taken = write_some(&self.bytes, write)?;
        self.bytes.drain(..taken);
        Ok(self.written())
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    const fn written(&self) -> Written {
        if self.is_empty() { Written::All } else { Written::Part }
    }
}

fn write_some(bytes: &[u8], mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match write(&bytes[taken..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => taken += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_socket_does_not_take_is_written_later() {
        let mut unwritten = Unwritten::new();
        let mut taken = Vec::new();
        let written =
            unwritten.write(b"abcdef", limited(&mut taken, &[Ok(2), Err(io::ErrorKind::Interrupted), Ok(1)]));
        assert_eq!(written.unwrap(), Written::Part);
        assert!(!unwritten.is_empty());
        assert_eq!(unwritten.resume(limited(&mut taken, &[])).unwrap(), Written::Part);
        assert_eq!(unwritten.resume(limited(&mut taken, &[Ok(3)])).unwrap(), Written::All);
        assert_eq!(taken, b"abcdef");
    }

    #[test]
    fn a_socket_that_takes_nothing_is_broken() {
        let written = Unwritten::new().write(b"a", |_| Ok(0));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::WriteZero);
        let written = Unwritten::new().write(b"a", |_| Err(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    /// A socket that answers so, and then is full.
    fn limited<'a>(
        taken: &'a mut Vec<u8>,
        answers: &'a [Result<usize, io::ErrorKind>],
    ) -> impl FnMut(&[u8]) -> io::Result<usize> + 'a {
        let mut answers = answers.iter().copied();
        move |bytes| {
            let count = answers.next().unwrap_or(Err(io::ErrorKind::WouldBlock))?;
            taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }
    }
}
