//! Connections as a test holds them, with TLS or without.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gossip_core::rustls::{ClientConnection, Connection, ServerConnection};

use crate::member::DEADLINE;

/// One end of a connection. One thread reads it while another thread writes to a copy.
pub(crate) struct Stream {
    socket: TcpStream,
    secured: Option<Secured>,
}

struct Secured {
    session: Arc<Mutex<Connection>>,
    /// What was received and is not decrypted yet.
    received: Vec<u8>,
}

impl Stream {
    /// Dials, and shakes hands if that is to be under TLS.
    pub(crate) fn dial(to: SocketAddr, is_secured: bool) -> io::Result<Self> {
        let socket = TcpStream::connect(to)?;
        let session = is_secured.then(|| {
            let (config, to) = (crate::tls::client(), to.ip().into());
            Connection::from(ClientConnection::new(config, to).expect("the settings are right"))
        });
        Self::new(socket, session)
    }

    /// Takes an accepted connection, and shakes hands if that is to be under TLS.
    pub(crate) fn accepted(socket: TcpStream, is_secured: bool) -> io::Result<Self> {
        let session = is_secured.then(|| {
            let session = ServerConnection::new(crate::tls::server()).expect("the settings are right");
            Connection::from(session)
        });
        Self::new(socket, session)
    }

    fn new(mut socket: TcpStream, session: Option<Connection>) -> io::Result<Self> {
        let Some(mut session) = session else { return Ok(Self { socket, secured: None }) };
        socket.set_read_timeout(Some(DEADLINE))?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        socket.set_read_timeout(None)?;
        let secured = Secured { session: Arc::new(Mutex::new(session)), received: Vec::new() };
        Ok(Self { socket, secured: Some(secured) })
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The same connection for another thread. One of the two is read from.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let secured = self
            .secured
            .as_ref()
            .map(|secured| Secured { session: secured.session.clone(), received: secured.received.clone() });
        Ok(Self { socket: self.socket.try_clone()?, secured })
    }

    /// Ends it, in both directions.
    pub(crate) fn shutdown(&self) {
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Secured {
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(secured) = &mut self.secured else { return self.socket.read(buffer) };
        loop {
            let mut session = secured.session.lock().unwrap_or_else(PoisonError::into_inner);
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                end => return end,
            }
            if secured.received.is_empty() {
                // The other direction goes on meanwhile.
                drop(session);
                let mut chunk = [0; 4 * 1024];
                let count = self.socket.read(&mut chunk)?;
                if count == 0 {
                    return Ok(0);
                }
                secured.received.extend_from_slice(&chunk[..count]);
            } else {
                let count = session.read_tls(&mut secured.received.as_slice())?;
                secured.received.drain(..count);
                session.process_new_packets().map_err(io::Error::other)?;
                while session.wants_write() {
                    session.write_tls(&mut self.socket)?;
                }
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(secured) = &self.secured else { return self.socket.write(bytes) };
        // All records go out before another thread writes, so that their order is kept.
        let mut session = secured.lock();
        let count = session.writer().write(bytes)?;
        while session.wants_write() {
            session.write_tls(&mut self.socket)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
