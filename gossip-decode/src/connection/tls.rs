//! What a connection under TLS says in the clear: the hellos, certificates up to TLS 1.2, and alerts.
//!
//! Nothing is decrypted. Each direction is followed until its sender encrypts, and no further.

use gossip_core::TlsFault;
use gossip_core::rustls::CipherSuite;
use gossip_core::wire::{DecodeError, Reader};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::env::End;
use crate::record::{Tls, TlsAlert, TlsCertificate};

/// The types of records.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// Type, version and length.
const RECORD_HEAD: usize = 5;
/// The largest record, with what encryption may add.
const MAX_RECORD: usize = 16 * 1024 + 2048;
/// The largest message that is put together. Certificates are the largest.
const MAX_MESSAGE: usize = 64 * 1024;

/// The types of messages of the handshake.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;

/// The types of extensions.
const SERVER_NAME: u16 = 0;
const SUPPORTED_VERSIONS: u16 = 43;

/// The random number of a server hello that asks for another client hello (RFC 8446, section 4.1.3). Its first bytes are enough.
const RETRY: [u8; 4] = [0xcf, 0x21, 0xad, 0x74];

/// How many alerts, and how many names of a certificate, are kept.
const MAX_ALERTS: usize = 8;
const MAX_NAMES: usize = 16;
/// How many characters of a text that comes from a peer are kept.
const MAX_TEXT: usize = 256;

/// A connection under TLS.
#[derive(Debug, Default)]
pub(super) struct Session {
    told: Tls,
    dialler: Direction,
    acceptor: Direction,
}

/// One direction of it.
#[derive(Debug, Default)]
struct Direction {
    /// The front of a record that is not whole.
    record: Vec<u8>,
    /// The front of a message of the handshake that is not whole.
    message: Vec<u8>,
    /// Whether what follows is encrypted, or not understood.
    is_over: bool,
}

impl Session {
    /// A connection whose first bytes are known, or not, by direction.
    pub(super) fn new(knows_dialler: bool, knows_acceptor: bool) -> Self {
        let mut session = Self::default();
        session.dialler.is_over = !knows_dialler;
        session.acceptor.is_over = !knows_acceptor;
        session
    }

    /// What is known of it.
    pub(super) fn into_told(self) -> Tls {
        self.told
    }

    /// How much memory is held for bytes that wait.
    pub(super) fn held(&self) -> usize {
        [&self.dialler, &self.acceptor]
            .map(|direction| direction.record.capacity() + direction.message.capacity())
            .into_iter()
            .sum()
    }

    /// The next bytes of a direction are not in the capture.
    pub(super) fn lose(&mut self, end: End) {
        self.direction(end).stop();
    }

    const fn direction(&mut self, end: End) -> &mut Direction {
        match end {
            End::Dialler => &mut self.dialler,
            End::Acceptor => &mut self.acceptor,
        }
    }

    /// Takes the next bytes of a direction.
    pub(super) fn take(&mut self, end: End, mut bytes: &[u8]) {
        while !self.direction(end).is_over && !bytes.is_empty() {
            let direction = self.direction(end);
            let missing = direction.missing().clamp(1, bytes.len());
            let (part, rest) = bytes.split_at(missing);
            direction.record.extend_from_slice(part);
            bytes = rest;
            if direction.missing() == 0 {
                let record = core::mem::take(&mut direction.record);
                let (head, body) = record.split_at(RECORD_HEAD.min(record.len()));
                self.record(end, head.first().copied().unwrap_or_default(), body);
            }
        }
    }

    /// Takes a whole record.
    fn record(&mut self, end: End, kind: u8, body: &[u8]) {
        match (kind, body) {
            (HANDSHAKE, _) => self.handshake(end, body),
            // An encrypted one is longer.
            (ALERT, &[level @ 1..=2, number]) => {
                if self.told.alerts.len() < MAX_ALERTS {
                    let level = if level == 2 { "fatal" } else { "warning" };
                    let name = TlsFault::alert_name(number);
                    self.told.alerts.push(TlsAlert { from: name_of(end), level, number, name });
                }
            }
            // TLS 1.3 sends it for the sake of old equipment on the way, and may send an alert in the clear after it.
            (CHANGE_CIPHER_SPEC, _) if self.told.version.as_deref() == Some("1.3") => {}
            (CHANGE_CIPHER_SPEC, _) if end == End::Dialler && self.told.version.is_none() => {}
            _ => self.direction(end).stop(),
        }
    }

    fn handshake(&mut self, end: End, body: &[u8]) {
        self.direction(end).message.extend_from_slice(body);
        loop {
            let direction = self.direction(end);
            let message = core::mem::take(&mut direction.message);
            let &[kind, a, b, c, ref rest @ ..] = message.as_slice() else {
                direction.message = message;
                return;
            };
            let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if len > MAX_MESSAGE {
                direction.stop();
                return;
            }
            let Some((body, rest)) = rest.split_at_checked(len) else {
                direction.message = message;
                return;
            };
            direction.message = rest.to_vec();
            if self.message(end, kind, body).is_err() {
                self.direction(end).stop();
                return;
            }
        }
    }

    /// Takes a message of the handshake.
    fn message(&mut self, end: End, kind: u8, body: &[u8]) -> Result<(), DecodeError> {
        let mut body = Reader::new(body);
        match (end, kind) {
            (End::Dialler, CLIENT_HELLO) => self.client_hello(&mut body),
            (End::Acceptor, SERVER_HELLO) => self.server_hello(&mut body),
            (_, CERTIFICATE) => self.certificate(end, &mut body),
            (End::Acceptor, CERTIFICATE_REQUEST) => {
                self.told.demands_certificate = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn client_hello(&mut self, hello: &mut Reader<'_>) -> Result<(), DecodeError> {
        let version = hello.u16("a version")?;
        hello.array::<32>("a random number")?;
        short(hello)?;
        long(hello)?;
        short(hello)?;
        // The list is newest first, and replaces the version.
        let mut offered = vec![version];
        let mut name = None;
        extensions(hello, |kind, mut body| {
            match kind {
                SUPPORTED_VERSIONS => {
                    let list = short(&mut body)?;
                    offered =
                        list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
                    // Numbers that say nothing, so that acceptors do not forget how to pass over them (RFC 8701).
                    offered.retain(|version| version & 0x0f0f != 0x0a0a);
                }
                SERVER_NAME => {
                    let mut list = Reader::new(long(&mut body)?);
                    list.u8("the type of a name")?;
                    name = Some(text(&String::from_utf8_lossy(long(&mut list)?)));
                }
                _ => {}
            }
            Ok(())
        })?;
        self.told.offered = offered.into_iter().take(MAX_NAMES).map(version_name).collect();
        self.told.server_name = name;
        Ok(())
    }

    fn server_hello(&mut self, hello: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut version = hello.u16("a version")?;
        let random = hello.array::<32>("a random number")?;
        short(hello)?;
        let suite = hello.u16("a cipher suite")?;
        hello.u8("a compression")?;
        extensions(hello, |kind, mut body| {
            if kind == SUPPORTED_VERSIONS {
                version = body.u16("a version")?;
            }
            Ok(())
        })?;
        self.told.version = Some(version_name(version));
        self.told.cipher_suite = Some(suite_name(suite));
        if version >= 0x0304 && !random.starts_with(&RETRY) {
            // What the acceptor says next is encrypted.
            self.acceptor.stop();
        }
        Ok(())
    }

    /// Certificates as TLS 1.2 and its predecessors have them; in TLS 1.3 they are encrypted.
    fn certificate(&mut self, end: End, body: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut list = Reader::new(longer(body)?);
        let mut first = None;
        let mut chain = 0;
        while !list.is_empty() {
            let certificate = longer(&mut list)?;
            first = first.or(Some(certificate));
            chain += 1;
        }
        let from = name_of(end);
        let certificates = &mut self.told.certificates;
        certificates.retain(|certificate| certificate.from != from);
        let mut told = TlsCertificate { from, chain, ..TlsCertificate::default() };
        if let Some((_, certificate)) = first.and_then(|der| X509Certificate::from_der(der).ok()) {
            told.subject = Some(text(&certificate.subject().to_string()));
            told.issuer = Some(text(&certificate.issuer().to_string()));
            told.not_before = Some(certificate.validity().not_before.timestamp());
            told.not_after = Some(certificate.validity().not_after.timestamp());
            if let Ok(Some(names)) = certificate.subject_alternative_name() {
                told.names = names.value.general_names.iter().take(MAX_NAMES).filter_map(name).collect();
            }
        }
        certificates.push(told);
        Ok(())
    }
}

impl Direction {
    /// How many bytes of the record are still to come, as far as is known.
    fn missing(&mut self) -> usize {
        let Some(head) = self.record.first_chunk::<RECORD_HEAD>() else {
            return RECORD_HEAD - self.record.len();
        };
        let [kind, major, _, a, b] = *head;
        let len = usize::from(u16::from_be_bytes([a, b]));
        if !(CHANGE_CIPHER_SPEC..=24).contains(&kind) || major != 3 || len > MAX_RECORD {
            self.stop();
            return 1;
        }
        RECORD_HEAD + len - self.record.len()
    }

    /// Follows it no further.
    fn stop(&mut self) {
        self.is_over = true;
        (self.record, self.message) = (Vec::new(), Vec::new());
    }
}

/// The alert that stands where an acceptor's answer to a plain handshake is due.
pub(super) enum Refusal {
    /// These bytes are none.
    None,
    /// They may be the front of one.
    Front,
    /// This one.
    Alert(u8),
}

impl Refusal {
    /// The size of an alert, in bytes.
    pub(super) const SIZE: usize = 7;

    /// What `bytes` begin with.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let is_front = |at: usize, byte: &u8| match at {
            0 => *byte == ALERT,
            1 => *byte == 3,
            2 => *byte <= 4,
            3 => *byte == 0,
            4 => *byte == 2,
            5 => matches!(byte, 1 | 2),
            _ => true,
        };
        if bytes.is_empty() || !bytes.iter().take(Self::SIZE).enumerate().all(|(at, byte)| is_front(at, byte))
        {
            return Self::None;
        }
        bytes.get(Self::SIZE - 1).map_or(Self::Front, |number| Self::Alert(*number))
    }
}

/// An alert, by name and number.
pub(super) fn alert_text(number: u8) -> String {
    TlsFault::alert_name(number).map_or_else(|| number.to_string(), |name| format!("{name} ({number})"))
}

const fn name_of(end: End) -> &'static str {
    match end {
        End::Dialler => "dialler",
        End::Acceptor => "acceptor",
    }
}

/// Bytes whose number is in one byte.
fn short<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = reader.u8("a length")?;
    reader.bytes(len.into(), "a field of TLS")
}

/// Bytes whose number is in two bytes.
fn long<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = reader.u16("a length")?;
    reader.bytes(len.into(), "a field of TLS")
}

/// Bytes whose number is in three bytes.
fn longer<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let [a, b, c] = reader.array("a length")?;
    let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    reader.bytes(len, "a field of TLS")
}

/// Goes over the extensions at the end of a hello, which has none before TLS 1.2.
fn extensions(
    hello: &mut Reader<'_>,
    mut each: impl FnMut(u16, Reader<'_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if hello.is_empty() {
        return Ok(());
    }
    let mut list = Reader::new(long(hello)?);
    while !list.is_empty() {
        let kind = list.u16("the type of an extension")?;
        each(kind, Reader::new(long(&mut list)?))?;
    }
    Ok(())
}

fn version_name(version: u16) -> String {
    match version {
        0x0300 => "SSL 3.0".to_owned(),
        0x0301 => "1.0".to_owned(),
        0x0302 => "1.1".to_owned(),
        0x0303 => "1.2".to_owned(),
        0x0304 => "1.3".to_owned(),
        other => format!("{other:#06x}"),
    }
}

fn suite_name(suite: u16) -> String {
    match CipherSuite::from(suite) {
        CipherSuite::Unknown(number) => format!("{number:#06x}"),
        // Its own prefix is not in the registered name.
        known => format!("{known:?}").replacen("TLS13_", "TLS_", 1),
    }
}

/// A name of a certificate that a node may be reached by.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(text(name)),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(core::net::IpAddr::from);
            let sixteen = <[u8; 16]>::try_from(*bytes).map(core::net::IpAddr::from);
            four.or(sixteen).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn text(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
