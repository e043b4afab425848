//! One connection under TLS: ciphertext in and out, plaintext in and out.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::ops::Range;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, Error, ServerConfig};

use super::error::fault_of;
use super::{ROOM, name_of};
use crate::tls_fault::TlsFault;

/// How much of what arrived is worked on at a time, in bytes.
const CHUNK: usize = 32 * 1024;

/// How much of a record or of a message of the handshake may be held that has not arrived whole, in bytes: `rustls` takes no message
/// above 64 KiB.
const MAX_HELD: usize = 80 * 1024;

/// How much a connection may have to say in its handshake, in bytes: certificates, for the most part.
const MAX_OUTGOING: usize = 128 * 1024;

/// The first byte of a record of this type.
const CHANGE_CIPHER_SPEC: u8 = 0x14;

/// The capacity up to which buffers are kept, in bytes.
const KEPT: usize = 4 * 1024;

/// Memory that all connections of a node share.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The ciphertext that is worked on.
    input: Vec<u8>,
    /// What was decrypted of it; or what is to be encrypted.
    pub(crate) plain: Vec<u8>,
}

/// One connection under TLS.
pub(crate) struct Layer {
    session: Session,
    /// The front of a record or message that has not arrived whole.
    incoming: Vec<u8>,
    /// What is to be written before anything else.
    outgoing: Vec<u8>,
    /// Whether the driver has not said yet that the last write is done.
    is_writing: bool,
    is_open: bool,
    has_heard: bool,
    /// Whether the session is of no use any more: it is not to be asked for anything.
    has_failed: bool,
    growths: u64,
}

enum Session {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What came of the bytes that arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Received {
    /// The handshake came to its end.
    pub(crate) has_opened: bool,
    /// The peer says that nothing more comes.
    pub(crate) has_ended: bool,
}

/// What one step came to.
enum Step {
    Again,
    Open,
    Blocked,
    Ended,
}

impl Session {
    /// One step over `input`. Says how much of its front is done with.
    fn step(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
    ) -> (usize, Result<Step, Error>) {
        match self {
            Self::Client(session) => settle(session.process_tls_records(input), plain, outgoing),
            Self::Server(session) => settle(session.process_tls_records(input), plain, outgoing),
        }
    }
}

fn settle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Step, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::Again),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let at = outgoing.len();
            // The first attempt tells how much room it takes.
            if let Err(EncodeError::InsufficientSize(missing)) = data.encode(&mut []) {
                outgoing.resize(at + missing.required_size, 0);
                if data.encode(&mut outgoing[at..]).is_err() {
                    outgoing.truncate(at);
                }
            }
            Ok(Step::Again)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::Open),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Ended),
        // Data before the handshake is never allowed.
        Ok(_) => Ok(Step::Blocked),
    };
    (discard, step)
}

/// Puts `plain` into records at the front of `out`; `None` if the session takes none now.
fn encrypt<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &[u8],
    out: &mut [u8],
) -> Option<Result<usize, EncryptError>> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => Some(traffic.encrypt(plain, out)),
        _ => None,
    }
}

impl Layer {
    /// A connection that we dial to `to`. It has the first bytes ready.
    pub(crate) fn client(config: Arc<ClientConfig>, to: IpAddr) -> Result<Self, TlsFault> {
        let session =
            UnbufferedClientConnection::new(config, name_of(to)).map_err(|error| fault_of(&error, false))?;
        let mut layer = Self::of(Session::Client(Box::new(session)));
        layer.receive(&mut &[][..], &mut Scratch::default()).map(|_| layer)
    }

    /// A connection that we accepted.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, TlsFault> {
        let session = UnbufferedServerConnection::new(config).map_err(|error| fault_of(&error, false))?;
        Ok(Self::of(Session::Server(Box::new(session))))
    }

    fn of(session: Session) -> Self {
        Self {
            session,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            is_writing: false,
            is_open: false,
            has_heard: false,
            has_failed: false,
            growths: 0,
        }
    }

    /// Whether the handshake has come to its end. That says nothing of whether the peer took our certificate.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether anything ever came.
    pub(crate) const fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Whether something is to be written, or being written.
    pub(crate) const fn is_busy(&self) -> bool {
        self.is_writing || !self.outgoing.is_empty()
    }

    /// Whether something is to be written that is not being written.
    pub(crate) const fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// How many bytes of something unfinished are held.
    pub(crate) const fn buffered(&self) -> usize {
        self.incoming.len()
    }

    /// How much memory the buffers take, in bytes.
    pub(crate) const fn capacity(&self) -> usize {
        self.incoming.capacity() + self.outgoing.capacity()
    }

    /// How often a buffer has grown.
    pub(crate) const fn growths(&self) -> u64 {
        self.growths
    }

    /// Gives back the memory of buffers in which nothing lies.
    pub(crate) fn shrink(&mut self) {
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        if self.outgoing.is_empty() {
            self.outgoing = Vec::new();
        }
    }

    /// The certificate that the peer presented.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        let chain = match &self.session {
            Session::Client(session) => session.peer_certificates(),
            Session::Server(session) => session.peer_certificates(),
        };
        chain.and_then(<[_]>::first)
    }

    /// Takes a part of `input` from its front; to be called until nothing is left of it. What was decrypted lies in `scratch.plain` then,
    /// and what is to be written in the layer, also after an error.
    pub(crate) fn receive(&mut self, input: &mut &[u8], scratch: &mut Scratch) -> Result<Received, TlsFault> {
        let Scratch { input: ciphertext, plain } = scratch;
        plain.clear();
        if self.has_failed {
            return Err(TlsFault::Protocol);
        }
        ciphertext.clear();
        ciphertext.extend_from_slice(&self.incoming);
        self.incoming.clear();
        let (taken, left) = input.split_at(input.len().min(CHUNK));
        *input = left;
        ciphertext.extend_from_slice(taken);
        let before = self.outgoing.capacity();
        let mut at = 0;
        let mut received = Received::default();
        let outcome = loop {
            let rest = ciphertext.get_mut(at..).unwrap_or_default();
            let (discard, step) = self.session.step(rest, plain, &mut self.outgoing);
            at += discard;
            match step {
                Err(error) => break Err(fault_of(&error, self.has_heard)),
                Ok(_) if self.outgoing.len() > MAX_OUTGOING => break Err(TlsFault::TooLarge),
                Ok(Step::Again) => {}
                Ok(Step::Blocked) => break Ok(()),
                Ok(Step::Open) => {
                    received.has_opened = !self.is_open;
                    self.is_open = true;
                    break Ok(());
                }
                Ok(Step::Ended) => {
                    received.has_ended = true;
                    break Ok(());
                }
            }
        };
        let rest = ciphertext.get(at..).unwrap_or_default();
        let outcome = match outcome {
            Err(fault) => {
                self.has_failed = true;
                // Who says why it goes is answered nothing.
                if !matches!(fault, TlsFault::Alert(_) | TlsFault::TooLarge) {
                    self.take_alert(at, ciphertext);
                }
                Err(fault)
            }
            Ok(()) if rest.len() > MAX_HELD => {
                self.has_failed = true;
                Err(TlsFault::TooLarge)
            }
            Ok(()) => {
                self.growths += u64::from(rest.len() > self.incoming.capacity());
                self.incoming.extend_from_slice(rest);
                Ok(received)
            }
        };
        self.growths += u64::from(self.outgoing.capacity() > before);
        self.has_heard |= !taken.is_empty();
        if self.incoming.is_empty() && self.incoming.capacity() > KEPT {
            self.incoming = Vec::new();
        }
        outcome
    }

    /// After an error: what TLS itself has to say of it.
    fn take_alert(&mut self, at: usize, ciphertext: &mut [u8]) {
        // Of what else there is to be said, the peer has no use any more.
        if !self.is_writing {
            self.outgoing.clear();
        }
        let rest = ciphertext.get_mut(at..).unwrap_or_default();
        // What is to be written comes out before any more is read; nothing may be read after an alert was given out. Before it there may
        // be a record that only old equipment on the way looks at.
        for _ in 0..2 {
            let at = self.outgoing.len();
            let (_, step) = self.session.step(rest, &mut Vec::new(), &mut self.outgoing);
            if step.is_err() || self.outgoing.get(at) != Some(&CHANGE_CIPHER_SPEC) {
                break;
            }
        }
    }

    /// Encrypts `plain`, to be written before anything else.
    pub(crate) fn queue(&mut self, plain: &[u8]) -> Result<(), TlsFault> {
        if self.has_failed {
            return Err(TlsFault::Protocol);
        }
        let at = self.outgoing.len();
        let room = at + plain.len() + ROOM;
        self.growths += u64::from(room > self.outgoing.capacity());
        self.outgoing.resize(room, 0);
        let out = self.outgoing.get_mut(at..).unwrap_or_default();
        let written = match &mut self.session {
            Session::Client(session) => encrypt(session.process_tls_records(&mut self.incoming), plain, out),
            Session::Server(session) => encrypt(session.process_tls_records(&mut self.incoming), plain, out),
        };
        let len = written.and_then(Result::ok);
        self.outgoing.truncate(at + len.unwrap_or(0));
        len.map(|_| ()).ok_or(TlsFault::Protocol)
    }

    /// Encrypts what lies at `plain` in `buffer`, and says where it lies then. Only while the layer is not busy.
    pub(crate) fn encrypt(
        &mut self,
        buffer: &mut [u8],
        plain: Range<usize>,
        scratch: &mut Scratch,
    ) -> Option<Range<usize>> {
        if self.has_failed {
            return None;
        }
        scratch.plain.clear();
        scratch.plain.extend_from_slice(buffer.get(plain)?);
        let plain = &scratch.plain;
        let written = match &mut self.session {
            Session::Client(session) => {
                encrypt(session.process_tls_records(&mut self.incoming), plain, buffer)
            }
            Session::Server(session) => {
                encrypt(session.process_tls_records(&mut self.incoming), plain, buffer)
            }
        };
        let len = written?.ok()?;
        self.is_writing = true;
        Some(0..len)
    }

    /// Puts what is to be written next at the front of `buffer`, and says how much it is; `None` if nothing is, or the driver is not
    /// done with the last.
    pub(crate) fn next_write(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.is_writing || self.outgoing.is_empty() {
            return None;
        }
        let len = self.outgoing.len().min(buffer.len());
        buffer.get_mut(..len)?.copy_from_slice(self.outgoing.get(..len)?);
        self.outgoing.drain(..len);
        if self.outgoing.is_empty() && self.outgoing.capacity() > KEPT {
            self.outgoing = Vec::new();
        }
        self.is_writing = true;
        Some(len)
    }

    /// The driver is done with what was to be written. Says whether there is more.
    pub(crate) const fn on_writable(&mut self) -> bool {
        self.is_writing = false;
        !self.outgoing.is_empty()
    }

    /// What is still to be written, if it is little and nothing is being written: an alert.
    pub(crate) fn take_last(&mut self, out: &mut [u8]) -> Option<usize> {
        let len = self.outgoing.len();
        if self.is_writing || len > out.len() {
            return None;
        }
        self.next_write(out)
    }

    /// Says that nothing more comes, if that can be said now.
    pub(crate) fn end(&mut self) {
        if !self.is_open || self.has_failed || self.is_busy() {
            return;
        }
        self.outgoing.resize(ROOM, 0);
        let Self { session, incoming, outgoing, .. } = self;
        let written = match session {
            Session::Client(session) => notify(session.process_tls_records(incoming), outgoing),
            Session::Server(session) => notify(session.process_tls_records(incoming), outgoing),
        };
        self.outgoing.truncate(written.unwrap_or(0));
    }
}

fn notify<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut [u8]) -> Option<usize> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(out).ok(),
        _ => None,
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("is_client", &matches!(self.session, Session::Client(_)))
            .field("is_open", &self.is_open)
            .field("buffered", &self.incoming.len())
            .field("outgoing", &self.outgoing.len())
            .finish_non_exhaustive()
    }
}
