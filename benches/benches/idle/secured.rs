//! What both ends of connections under TLS present and trust.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use gossip_core::Tls;
use gossip_core::rustls::crypto::ring;
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use gossip_core::rustls::server::WebPkiClientVerifier;
use gossip_core::rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::Fallible;

/// An authority, the certificate that all share, and its key.
#[derive(Clone)]
pub(crate) struct Keys {
    authority: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Keys {
    /// Makes new ones.
    pub(crate) fn make() -> Fallible<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let authority = params.self_signed(&authority_key)?.der().to_vec();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([NODE.to_string()])?.signed_by(&key, &issuer)?;
        Ok(Self { authority, certificate: certificate.der().to_vec(), key: key.serialize_der() })
    }

    /// As one word for the command line of the node's process.
    pub(crate) fn word(&self) -> String {
        let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [&self.authority, &self.certificate, &self.key].map(hex).join(":")
    }

    /// Out of that word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let bytes = |hex: &str| -> Option<Vec<u8>> {
            let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
            (0..hex.len()).step_by(2).map(byte).collect()
        };
        let mut parts = word.split(':').map(bytes);
        let mut next = || parts.next().flatten();
        Some(Self { authority: next()?, certificate: next()?, key: next()? })
    }

    /// The settings of the node: TLS alone, with certificates in both directions, by the rules of Cassandra's nodes.
    pub(crate) fn node(&self) -> Fallible<Tls> {
        let tls = Tls::builder(Arc::new(ring::default_provider())).as_cassandra();
        let tls = tls.identity(vec![self.certificate.clone().into()], self.key()?);
        Ok(tls.trusted(vec![self.authority.clone().into()]).build()?)
    }

    /// The settings of everybody else.
    pub(crate) fn others(&self) -> Fallible<Configs> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.clone()))?;
        let roots = Arc::new(roots);
        let chain = vec![CertificateDer::from(self.certificate.clone())];
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), self.key()?)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build()?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, self.key()?)?;
        Ok(Configs { client: client.into(), server: server.into() })
    }

    fn key(&self) -> Fallible<PrivateKeyDer<'static>> {
        Ok(PrivateKeyDer::try_from(self.key.clone())?)
    }
}

/// Where the node listens.
const NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// How the others dial and accept.
pub(crate) struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Configs {
    pub(crate) fn dial(&self) -> io::Result<Session> {
        let to = ServerName::from(NODE);
        let session = ClientConnection::new(self.client.clone(), to).map_err(io::Error::other)?;
        Ok(Session::new(session.into()))
    }

    pub(crate) fn accept(&self) -> io::Result<Session> {
        let session = ServerConnection::new(self.server.clone()).map_err(io::Error::other)?;
        Ok(Session::new(session.into()))
    }
}

/// TLS over one connection.
pub(crate) struct Session(Box<Connection>);

impl Session {
    fn new(mut session: Connection) -> Self {
        session.set_buffer_limit(None);
        Self(Box::new(session))
    }

    /// Takes what is to go out. It waits for the end of the handshake.
    pub(crate) fn queue(&mut self, plain: &[u8]) -> io::Result<()> {
        self.0.writer().write_all(plain)
    }

    /// Writes what is ready, and says how much was written; zero at the end.
    pub(crate) fn write(&mut self, stream: &mut impl Write) -> io::Result<usize> {
        if self.0.wants_write() { self.0.write_tls(stream) } else { Ok(0) }
    }

    /// What was received, decrypted.
    pub(crate) fn decrypt(&mut self, mut bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            self.0.process_new_packets().map_err(io::Error::other)?;
            match self.0.reader().read_to_end(&mut plain) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(plain)
    }
}
