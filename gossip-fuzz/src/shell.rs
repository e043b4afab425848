//! The other end of a connection under TLS, and what may happen to what it sends.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use gossip_core::rustls::crypto::{CryptoProvider, ring};
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use gossip_core::rustls::server::WebPkiClientVerifier;
use gossip_core::rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion, version,
};
use gossip_core::{Tls, TlsIncoming, TlsOutgoing};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ED25519, SanType};

use crate::content::LOCAL;
use crate::handshake::chunks;

/// Who has to use TLS, and what the other ends do with it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Policy {
    flags: u8,
}

/// What happens to what the other ends send.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Harm {
    /// How many flights are left alone before it.
    after: u8,
    at: u16,
    what: What,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum What {
    Flip {
        bits: u8,
    },
    Cut,
    Insert {
        byte: u8,
        count: u8,
    },
    Twice,
    /// A record of this type and size, between others or inside one.
    Record {
        kind: u8,
        len: u16,
        byte: u8,
    },
}

impl Policy {
    const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether the next peer that dials does so without TLS.
    pub(crate) const fn dials_plain(self, number: u64) -> bool {
        self.has(1) && number.is_multiple_of(2)
    }

    /// The settings of the node.
    pub(crate) fn tls(self) -> Tls {
        let keys = &*KEYS;
        let (chain, key) = keys.node.parts();
        let mut tls =
            Tls::builder(keys.provider.clone()).identity(chain, key).trusted(vec![keys.authority.clone()]);
        if !self.has(2) {
            tls = tls.as_cassandra();
        }
        tls.incoming(if self.has(4) { TlsIncoming::Optional } else { TlsIncoming::Required })
            .outgoing(if self.has(8) { TlsOutgoing::Auto } else { TlsOutgoing::Always })
            .client_auth(!self.has(16))
            .build()
            .expect("the settings hold together")
    }

    /// The other end of a connection that the node accepts.
    pub(crate) fn dialler(self) -> Shell {
        let keys = &*KEYS;
        let config = ClientConfig::builder_with_provider(keys.provider.clone())
            .with_protocol_versions(self.versions())
            .expect("the provider has suites of both")
            .with_root_certificates(keys.roots.clone());
        let config = if self.has(64) {
            config.with_no_client_auth()
        } else {
            let (chain, key) = keys.peer.parts();
            config.with_client_auth_cert(chain, key).expect("the key fits")
        };
        let name = ServerName::IpAddress(LOCAL.ip().into());
        let session = ClientConnection::new(Arc::new(config), name).expect("it can begin");
        Shell { session: session.into(), waiting: Vec::new(), has_failed: false }
    }

    /// The other end of a connection that the node dials.
    pub(crate) fn acceptor(self) -> Shell {
        let keys = &*KEYS;
        let verifier = WebPkiClientVerifier::builder_with_provider(keys.roots.clone(), keys.provider.clone());
        let (chain, key) = keys.peer.parts();
        let config = ServerConfig::builder_with_provider(keys.provider.clone())
            .with_protocol_versions(self.versions())
            .expect("the provider has suites of both")
            .with_client_cert_verifier(verifier.build().expect("there is an authority"))
            .with_single_cert(chain, key)
            .expect("the key fits");
        let session = ServerConnection::new(Arc::new(config)).expect("it can begin");
        Shell { session: session.into(), waiting: Vec::new(), has_failed: false }
    }

    const fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        static OLDER: [&SupportedProtocolVersion; 1] = [&version::TLS12];
        if self.has(32) { &OLDER } else { &BOTH }
    }
}

/// The certificates of all here, made when a process starts. Their keys sign in a fixed length, so that the same input does the same.
struct Keys {
    provider: Arc<CryptoProvider>,
    authority: CertificateDer<'static>,
    roots: Arc<RootCertStore>,
    node: Identity,
    peer: Identity,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain.clone(), self.key.clone_key())
    }
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let new_key = || KeyPair::generate_for(&PKCS_ED25519).expect("there is randomness");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = new_key();
    let authority = params.self_signed(&key).expect("it can be signed").der().clone();
    let issuer = Issuer::new(params, key);
    let issue = |params: CertificateParams| {
        let key = new_key();
        let leaf = params.signed_by(&key, &issuer).expect("it can be signed").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
        Identity { chain: vec![leaf, authority.clone()], key }
    };
    let mut named = CertificateParams::default();
    named.subject_alt_names.push(SanType::IpAddress(LOCAL.ip()));
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).expect("it is a certificate");
    Keys {
        provider: Arc::new(ring::default_provider()),
        roots: Arc::new(roots),
        node: issue(named),
        peer: issue(CertificateParams::default()),
        authority,
    }
});

/// The other end of a connection under TLS.
pub(crate) struct Shell {
    session: Connection,
    /// What waits for the end of the handshake: a record for each piece.
    waiting: Vec<Vec<u8>>,
    has_failed: bool,
}

/// How many pieces may wait. A session counts all that it holds for each piece that it takes, so that 65,536 of them took it 13 seconds.
const MAX_WAITING: usize = 512;

impl Shell {
    /// Takes what the node has written, and says what it says.
    pub(crate) fn receive(&mut self, mut ciphertext: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !ciphertext.is_empty() && !self.has_failed {
            let read = self.session.read_tls(&mut ciphertext);
            match self.session.process_new_packets() {
                Ok(state) if read.is_ok() => {
                    let at = plain.len();
                    plain.resize(at + state.plaintext_bytes_to_read(), 0);
                    self.session.reader().read_exact(&mut plain[at..]).expect("it is there");
                }
                _ => self.has_failed = true,
            }
        }
        plain
    }

    /// Sends `plain`, as soon as the handshake is done.
    pub(crate) fn send(&mut self, plain: &[u8]) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(plain.to_vec());
        } else if let Some(last) = self.waiting.last_mut() {
            last.extend_from_slice(plain);
        }
    }

    /// What it has to write to the node.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        if !self.is_opening() {
            for plain in self.waiting.drain(..) {
                // What is more than it takes at once is dropped: the node hears less, and not anything else.
                let _ = self.session.writer().write(&plain).expect("it writes to memory");
            }
        }
        let mut ciphertext = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut ciphertext).expect("it writes to memory");
        }
        ciphertext
    }

    /// Whether the handshake is not done.
    pub(crate) fn is_opening(&self) -> bool {
        self.session.is_handshaking()
    }
}

/// What happens to the flights of all other ends, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    harms: VecDeque<Harm>,
    pieces: Vec<u8>,
}

impl Weather {
    pub(crate) fn new(harms: &[Harm], pieces: &[u8]) -> Self {
        Self { harms: harms.iter().copied().collect(), pieces: pieces.to_vec() }
    }

    /// What arrives of a flight, in which pieces.
    pub(crate) fn pass(&mut self, mut flight: Vec<u8>) -> Vec<Vec<u8>> {
        match self.harms.front_mut() {
            Some(Harm { after: 0, at, what }) => {
                let at = usize::from(*at) % (flight.len() + 1);
                what.happen(at, &mut flight);
                self.harms.pop_front();
            }
            Some(Harm { after, .. }) => *after -= 1,
            None => {}
        }
        chunks(&flight, &self.pieces).into_iter().map(<[u8]>::to_vec).collect()
    }
}

impl What {
    fn happen(self, at: usize, flight: &mut Vec<u8>) {
        match self {
            Self::Flip { bits } => {
                if let Some(byte) = flight.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Self::Cut => flight.truncate(at),
            Self::Insert { byte, count } => {
                flight.splice(at..at, core::iter::repeat_n(byte, count.into()));
            }
            Self::Twice => flight.extend_from_within(at..),
            Self::Record { kind, len, byte } => {
                let [a, b] = len.to_be_bytes();
                let record = [20 + kind % 5, 3, 3, a, b];
                flight.splice(at..at, record.into_iter().chain(core::iter::repeat_n(byte, len.into())));
            }
        }
    }
}
