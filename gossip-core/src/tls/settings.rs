//! What an application says of TLS: who has to use it, what is presented, and what is trusted.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, ParsedCertificate};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, Error, KeyLog, ServerConfig};

use super::error::certificate_fault;
use super::verify::Verifier;
use super::{Layer, TlsError, name_of};
use crate::tls_fault::CertificateFault;

/// Whether peers that dial this node may or have to use TLS.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TlsIncoming {
    /// TLS is refused.
    Off,
    /// TLS and plain connections are accepted on the same port; the first bytes tell which it is.
    Optional,
    /// Plain connections are refused from peers that are in the [`TlsScope`].
    #[default]
    Required,
}

/// Whether this node uses TLS when it dials.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TlsOutgoing {
    /// Never.
    Never,
    /// TLS first. If a peer closes the connection in answer to the first bytes of TLS, or answers with something else, it is dialled
    /// again without TLS. A host on the path can force that.
    Auto,
    /// With all peers that are in the [`TlsScope`].
    #[default]
    Always,
}

/// With which peers TLS is used (Cassandra's `internode_encryption`). A peer of which the data center or rack is not known is treated as
/// one of another data center.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TlsScope {
    /// All.
    #[default]
    All,
    /// Those of other data centers (`dc`).
    OtherDataCenters,
    /// Those of other racks or data centers (`rack`).
    OtherRacks,
}

/// Settings of TLS that hold together: given to [`ConfigBuilder::tls`](crate::ConfigBuilder::tls), and to
/// [`Node::set_tls`](crate::Node::set_tls) when certificates are replaced. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    parts: Arc<Parts>,
}

struct Parts {
    client: ClientConfig,
    server: Option<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
    servers: Arc<dyn ServerCertVerifier>,
    clients: Arc<dyn ClientCertVerifier>,
    incoming: TlsIncoming,
    outgoing: TlsOutgoing,
    scope: TlsScope,
    verify_address: bool,
}

impl Tls {
    /// Begins settings with the strict rules: TLS in both directions, certificates on both sides, and each names the address of its
    /// node. Certificates are checked by `webpki` alone. For a Cassandra cluster see [`TlsBuilder::as_cassandra`].
    pub fn builder(provider: Arc<CryptoProvider>) -> TlsBuilder {
        TlsBuilder {
            provider,
            chain: Vec::new(),
            key: None,
            trusted: Vec::new(),
            incoming: TlsIncoming::default(),
            outgoing: TlsOutgoing::default(),
            scope: TlsScope::default(),
            verify_address: true,
            trust_presented: false,
            client_auth: true,
            servers: None,
            clients: None,
            key_log: None,
        }
    }

    /// Whether peers that dial may or have to use TLS.
    pub fn incoming(&self) -> TlsIncoming {
        self.parts.incoming
    }

    /// Whether TLS is used to dial.
    pub fn outgoing(&self) -> TlsOutgoing {
        self.parts.outgoing
    }

    /// With which peers TLS is used.
    pub fn scope(&self) -> TlsScope {
        self.parts.scope
    }

    /// Checks the node's own certificate as a peer with the same trusted certificates would, in both directions, at a time in seconds
    /// since the Unix epoch. `address`: what it has to name, where addresses are checked. A node whose certificate is refused fills the
    /// logs of its peers, so this is to be asked before it joins.
    ///
    /// # Errors
    ///
    /// [`TlsError::OwnCertificate`]. Without a certificate of its own there is nothing to refuse.
    pub fn check_own(&self, unix_s: u64, address: IpAddr) -> Result<(), TlsError> {
        let Some((leaf, between)) = self.parts.chain.split_first() else { return Ok(()) };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(unix_s));
        let name = name_of(address);
        let refused = |error: Error| match error {
            Error::InvalidCertificate(error) => TlsError::OwnCertificate(certificate_fault(&error)),
            _ => TlsError::OwnCertificate(CertificateFault::Other),
        };
        self.parts.servers.verify_server_cert(leaf, between, &name, &[], now).map_err(refused)?;
        if self.parts.clients.offer_client_auth() {
            self.parts.clients.verify_client_cert(leaf, between, now).map_err(refused)?;
        }
        Ok(())
    }

    /// The same with the clock of a node.
    pub(crate) fn configs(&self, clock: &Arc<WallClock>) -> (Arc<ClientConfig>, Option<Arc<ServerConfig>>) {
        let mut client = self.parts.client.clone();
        client.time_provider = clock.clone();
        let server = self.parts.server.clone().map(|mut server| {
            server.time_provider = clock.clone();
            Arc::new(server)
        });
        (Arc::new(client), server)
    }

    /// Whether the certificate that a dialler presented names the address that it dials from, where that is demanded.
    pub(crate) fn check_source(&self, layer: &Layer, source: Option<IpAddr>) -> Result<(), CertificateFault> {
        let (true, Some(source)) = (self.parts.verify_address, source) else { return Ok(()) };
        // Without a demand for certificates there is nothing to check, as in Cassandra.
        let Some(certificate) = layer.peer_certificate() else { return Ok(()) };
        let parsed = ParsedCertificate::try_from(certificate).map_err(|_| CertificateFault::Encoding)?;
        verify_server_name(&parsed, &name_of(source)).map_err(|_| CertificateFault::WrongAddress)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { incoming, outgoing, scope, verify_address, .. } = &*self.parts;
        f.debug_struct("Tls")
            .field("incoming", incoming)
            .field("outgoing", outgoing)
            .field("scope", scope)
            .field("verify_address", verify_address)
            .finish_non_exhaustive()
    }
}

/// Collects [`Tls`].
#[must_use]
pub struct TlsBuilder {
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: Option<PrivateKeyDer<'static>>,
    trusted: Vec<CertificateDer<'static>>,
    incoming: TlsIncoming,
    outgoing: TlsOutgoing,
    scope: TlsScope,
    verify_address: bool,
    trust_presented: bool,
    client_auth: bool,
    servers: Option<Arc<dyn ServerCertVerifier>>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    key_log: Option<Arc<dyn KeyLog>>,
}

impl TlsBuilder {
    /// The certificate of this node with those between it and the authority, in this order, and its private key. It is presented to peers
    /// that dial, and to peers that are dialled and ask for it.
    pub fn identity(mut self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        self.chain = chain;
        self.key = Some(key);
        self
    }

    /// The certificates that are trusted: usually those of authorities.
    pub fn trusted(mut self, certificates: Vec<CertificateDer<'static>>) -> Self {
        self.trusted = certificates;
        self
    }

    /// Whether peers that dial may or have to use TLS. Default [`TlsIncoming::Required`].
    pub const fn incoming(mut self, incoming: TlsIncoming) -> Self {
        self.incoming = incoming;
        self
    }

    /// Whether TLS is used to dial. Default [`TlsOutgoing::Always`].
    pub const fn outgoing(mut self, outgoing: TlsOutgoing) -> Self {
        self.outgoing = outgoing;
        self
    }

    /// With which peers TLS is used. Default [`TlsScope::All`].
    pub const fn scope(mut self, scope: TlsScope) -> Self {
        self.scope = scope;
        self
    }

    /// Whether the certificate of a peer has to name its address among its alternative names: the address that is dialled, and the one
    /// that a peer dials from. Default true.
    pub const fn verify_address(mut self, verify: bool) -> Self {
        self.verify_address = verify;
        self
    }

    /// Whether peers that dial have to present a certificate. Default true.
    pub const fn client_auth(mut self, demanded: bool) -> Self {
        self.client_auth = demanded;
        self
    }

    /// The rules of Cassandra's nodes: no certificate has to name an address (unless [`TlsBuilder::verify_address`] is called after
    /// this), and a certificate that is itself among the trusted ones is trusted, even if it has expired or is that of an authority.
    pub const fn as_cassandra(mut self) -> Self {
        self.verify_address = false;
        self.trust_presented = true;
        self
    }

    /// Checks the certificates of peers that are dialled by this instead.
    pub fn server_verifier(mut self, verifier: Arc<dyn ServerCertVerifier>) -> Self {
        self.servers = Some(verifier);
        self
    }

    /// Checks the certificates of peers that dial by this instead. It decides as well whether one is demanded.
    pub fn client_verifier(mut self, verifier: Arc<dyn ClientCertVerifier>) -> Self {
        self.clients = Some(verifier);
        self
    }

    /// Passes the secrets of each session to `log`, so that a capture can be read later. Default: they are not passed on.
    pub fn key_log(mut self, log: Arc<dyn KeyLog>) -> Self {
        self.key_log = Some(log);
        self
    }

    /// Checks that all of it holds together.
    ///
    /// # Errors
    ///
    /// [`TlsError`]: the first thing that is wrong.
    pub fn build(self) -> Result<Tls, TlsError> {
        let provider = self.provider;
        let verifier = match (&self.servers, &self.clients) {
            (Some(_), Some(_)) => None,
            _ => Some(Arc::new(Verifier::new(
                &provider,
                &self.trusted,
                self.trust_presented,
                self.verify_address,
                self.client_auth,
            )?)),
        };
        let servers: Arc<dyn ServerCertVerifier> = match (self.servers, &verifier) {
            (Some(servers), _) => servers,
            (None, Some(verifier)) => verifier.clone(),
            (None, None) => return Err(TlsError::NothingTrusted),
        };
        let clients: Arc<dyn ClientCertVerifier> = match (self.clients, verifier) {
            (Some(clients), _) => clients,
            (None, Some(_)) if !self.client_auth => Arc::new(NoClientAuth {}),
            (None, Some(verifier)) => verifier,
            (None, None) => return Err(TlsError::NothingTrusted),
        };
        let identity = match self.key {
            Some(key) if !self.chain.is_empty() => {
                let key = provider.key_provider.load_private_key(key).map_err(TlsError::Key)?;
                let certified = CertifiedKey::new(self.chain.clone(), key);
                match certified.keys_match() {
                    Ok(()) | Err(Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
                    Err(Error::InconsistentKeys(_)) => return Err(TlsError::KeyMismatch),
                    Err(error) => return Err(TlsError::Certificate(error)),
                }
                Some(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
            }
            _ => None,
        };
        let no_clock = Arc::new(WallClock::default());
        let client = ClientConfig::builder_with_details(provider.clone(), no_clock.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .dangerous()
            .with_custom_certificate_verifier(servers.clone());
        let mut client = match &identity {
            Some(identity) => client.with_client_cert_resolver(identity.clone()),
            None => client.with_no_client_auth(),
        };
        // As Cassandra's nodes: no name of the server, and each connection is a whole handshake.
        client.enable_sni = false;
        client.resumption = Resumption::disabled();
        if let Some(log) = &self.key_log {
            client.key_log = log.clone();
        }
        let server = match identity {
            None if self.incoming == TlsIncoming::Off => None,
            None => return Err(TlsError::NoCertificate),
            Some(identity) => {
                let mut server = ServerConfig::builder_with_details(provider, no_clock)
                    .with_safe_default_protocol_versions()
                    .map_err(TlsError::Provider)?
                    .with_client_cert_verifier(clients.clone())
                    .with_cert_resolver(identity);
                server.send_tls13_tickets = 0;
                if let Some(log) = self.key_log {
                    server.key_log = log;
                }
                Some(server)
            }
        };
        Ok(Tls {
            parts: Arc::new(Parts {
                client,
                server,
                chain: self.chain,
                servers,
                clients,
                incoming: self.incoming,
                outgoing: self.outgoing,
                scope: self.scope,
                verify_address: self.verify_address,
            }),
        })
    }
}

impl fmt::Debug for TlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsBuilder")
            .field("incoming", &self.incoming)
            .field("outgoing", &self.outgoing)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// What the wall clock of a node reads, in seconds since the Unix epoch; 0 while it is unknown.
#[derive(Debug, Default)]
pub(crate) struct WallClock {
    seconds: AtomicU32,
}

impl WallClock {
    pub(crate) fn set(&self, unix_ms: u64) {
        // Not before the year 2106.
        let seconds = u32::try_from(unix_ms / 1_000).unwrap_or(u32::MAX);
        self.seconds.store(seconds, Ordering::Relaxed);
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        match self.seconds.load(Ordering::Relaxed) {
            0 => None,
            seconds => Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::from(seconds)))),
        }
    }
}
