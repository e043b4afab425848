//! TLS between nodes: the options, and what is made of the files that they name.

mod key;
mod store;

use core::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use clap::ValueEnum;
use gossip_core::rustls::crypto::CryptoProvider;
use gossip_core::rustls::pki_types::pem::{self, PemObject};
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use gossip_core::{CertificateFault, Clock, Tls, TlsError, TlsIncoming, TlsOutgoing, TlsScope};

use self::key::completed;
use self::store::Store;
use crate::failure::Failure;
use crate::file::{read_bytes, read_secret};

/// What the command takes of TLS.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "TLS between nodes")]
pub(crate) struct TlsArgs {
    /// TLS between nodes: off, optional (dial TLS first, then plain; accept both), or required; default: off
    #[arg(long, value_enum, value_name = "MODE")]
    tls: Option<Mode>,
    /// The nodes to use TLS with: all, those of other data centers (dc), or of other racks (rack), as in internode_encryption
    #[arg(long, value_enum, value_name = "NODES", default_value_t = Between::All, requires = "tls")]
    tls_between: Between,
    /// The certificate of this node, PEM, followed by intermediate certificates; default: from --tls-keystore
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls",
        requires = "tls_key",
        conflicts_with = "tls_keystore"
    )]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, PEM, not encrypted, not readable for other users; default: from --tls-keystore
    #[arg(long, value_name = "FILE", requires = "tls", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The trusted certificates, PEM, usually that of the authority; default: from --tls-truststore
    #[arg(long, value_name = "FILE", requires = "tls", conflicts_with = "tls_truststore")]
    tls_ca: Option<PathBuf>,
    /// Certificate and key in one PKCS#12 file, as for a Cassandra node; default: from --tls-cert and --tls-key
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_keystore: Option<PathBuf>,
    /// A file with the password of --tls-keystore; default: no password
    #[arg(long, value_name = "FILE", requires = "tls_keystore")]
    tls_keystore_password_file: Option<PathBuf>,
    /// The trusted certificates, PKCS#12; default: from --tls-ca
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_truststore: Option<PathBuf>,
    /// A file with the password of --tls-truststore; default: no password
    #[arg(long, value_name = "FILE", requires = "tls_truststore")]
    tls_truststore_password_file: Option<PathBuf>,
    /// Whether nodes that dial this one must present a certificate
    #[arg(long, value_enum, value_name = "MODE", default_value_t = ClientAuth::Required, requires = "tls")]
    tls_client_auth: ClientAuth,
    /// Whether a certificate must name the IP address of its node: true or false; default: true in our own clusters, and false towards Cassandra
    #[arg(long, value_name = "BOOL", requires = "tls", num_args = 0..=1, default_missing_value = "true")]
    tls_verify_address: Option<bool>,
}

/// Whether TLS is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Mode {
    /// Plain only
    Off,
    /// Both
    Optional,
    /// TLS only
    Required,
}

/// With which nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Between {
    /// All
    #[default]
    All,
    /// Those of other data centers
    Dc,
    /// Those of other racks
    Rack,
}

/// Whether nodes that dial have to present a certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum ClientAuth {
    /// Yes
    #[default]
    Required,
    /// They are not asked for one
    Off,
}

/// Whose rules decide what a certificate is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rules {
    /// Those of a cluster of our own.
    Strict,
    /// Those of Cassandra's nodes.
    Cassandra,
}

/// Where certificates and keys come from, while they may change.
#[derive(Clone, Debug)]
pub(crate) struct TlsSource {
    incoming: TlsIncoming,
    outgoing: TlsOutgoing,
    scope: TlsScope,
    identity: Identity,
    trust: Trust,
    client_auth: bool,
    verify_address: bool,
    rules: Rules,
    /// How the files were before they were read first: what changes while they are read is seen later.
    first: Stamp,
}

#[derive(Clone, Debug)]
enum Identity {
    Pem { certificate: PathBuf, key: PathBuf },
    Store(Store),
}

#[derive(Clone, Debug)]
enum Trust {
    Pem(PathBuf),
    Store(Store),
}

/// What tells that a file has changed.
pub(crate) type Stamp = Vec<Option<(SystemTime, u64)>>;

impl TlsArgs {
    /// Where everything comes from, if TLS is on.
    ///
    /// # Errors
    ///
    /// Misuse if something is missing.
    pub(crate) fn source(&self, rules: Rules) -> Result<Option<TlsSource>, Failure> {
        let (incoming, outgoing) = match self.tls {
            None | Some(Mode::Off) => return Ok(None),
            Some(Mode::Optional) => (TlsIncoming::Optional, TlsOutgoing::Auto),
            Some(Mode::Required) => (TlsIncoming::Required, TlsOutgoing::Always),
        };
        let identity = match (&self.tls_cert, &self.tls_key, &self.tls_keystore) {
            (Some(certificate), Some(key), None) => {
                Identity::Pem { certificate: certificate.clone(), key: key.clone() }
            }
            (None, None, Some(store)) => Identity::Store(Store::new(
                "--tls-keystore",
                store,
                self.tls_keystore_password_file.as_deref(),
            )),
            _ => {
                return Err(Failure::misuse(
                    "--tls: there is no certificate to present to nodes that dial this one (add --tls-cert and --tls-key, or \
                     --tls-keystore)",
                ));
            }
        };
        let trust = match (&self.tls_ca, &self.tls_truststore) {
            (Some(file), None) => Trust::Pem(file.clone()),
            (None, Some(store)) => Trust::Store(Store::new(
                "--tls-truststore",
                store,
                self.tls_truststore_password_file.as_deref(),
            )),
            _ => {
                return Err(Failure::misuse(
                    "--tls: there is no certificate to trust (name that of the authority with --tls-ca or --tls-truststore)",
                ));
            }
        };
        let mut source = TlsSource {
            incoming,
            outgoing,
            scope: match self.tls_between {
                Between::All => TlsScope::All,
                Between::Dc => TlsScope::OtherDataCenters,
                Between::Rack => TlsScope::OtherRacks,
            },
            identity,
            trust,
            client_auth: self.tls_client_auth == ClientAuth::Required,
            verify_address: self.tls_verify_address.unwrap_or(rules == Rules::Strict),
            rules,
            first: Stamp::new(),
        };
        source.first = source.stamp();
        Ok(Some(source))
    }
}

impl TlsSource {
    /// The settings as the files have them now, checked for a node at `address`.
    ///
    /// # Errors
    ///
    /// Which file is wrong, and what is to be done.
    pub(crate) fn read(&self, address: IpAddr) -> Result<Tls, String> {
        let (chain, key) = self.identity.read()?;
        let key = completed(key, chain.first());
        let trusted = self.trust.read()?;
        let mut builder = Tls::builder(provider());
        if self.rules == Rules::Cassandra {
            builder = builder.as_cassandra();
        }
        let tls = builder
            .identity(chain, key)
            .trusted(trusted)
            .incoming(self.incoming)
            .outgoing(self.outgoing)
            .scope(self.scope)
            .client_auth(self.client_auth)
            .verify_address(self.verify_address)
            .build();
        let tls = tls.map_err(|error| self.explain(&error, address))?;
        tls.check_own(Clock::unix_millis() / 1_000, address)
            .map_err(|error| self.explain(&error, address))?;
        Ok(tls)
    }

    /// What the files were like before they were read first.
    pub(crate) fn first_stamp(&self) -> Stamp {
        self.first.clone()
    }

    /// What tells whether a file has changed since.
    pub(crate) fn stamp(&self) -> Stamp {
        let files = self.identity.files().into_iter().chain(self.trust.files());
        files
            .map(|file| {
                let metadata = std::fs::metadata(file).ok()?;
                Some((metadata.modified().ok()?, metadata.len()))
            })
            .collect()
    }

    fn explain(&self, error: &TlsError, address: IpAddr) -> String {
        let (own, trust) = (self.identity.shown(), self.trust.shown());
        match error {
            TlsError::KeyMismatch => {
                let key = match &self.identity {
                    Identity::Pem { key, .. } => format!("--tls-key {}", key.display()),
                    Identity::Store(_) => own.clone(),
                };
                format!(
                    "{key}: the key does not belong to the certificate of {own} (name the key that it was made with)"
                )
            }
            TlsError::Key(error) => {
                format!(
                    "{own}: the private key cannot be used: {error} (take an RSA key of 2048 bits or more, or an EC key)"
                )
            }
            TlsError::Certificate(error) => {
                format!(
                    "{own} or {trust}: a certificate cannot be read: {error} (look at it with openssl x509 -text)"
                )
            }
            TlsError::OwnCertificate(fault) => {
                let remedy = match fault {
                    CertificateFault::Expired => "have a new one issued".into(),
                    CertificateFault::NotYetValid => "check the clock of this machine".into(),
                    CertificateFault::UnknownIssuer => {
                        format!("name its authority in {trust}, and the certificates between the two behind it in {own}")
                    }
                    CertificateFault::WrongAddress => {
                        format!("have one issued with IP:{address} among its subject alternative names, or add --tls-verify-address false")
                    }
                    CertificateFault::WrongPurpose => {
                        "have one issued whose extended key usage has serverAuth and clientAuth, or that has none".into()
                    }
                    CertificateFault::AuthorityAsNode => {
                        "have one issued for the node by this authority, without its CA bit".into()
                    }
                    _ => "look at it with openssl x509 -text".into(),
                };
                format!("{own}: other nodes with {trust} would refuse this certificate: {fault} ({remedy})")
            }
            error => format!("{own}: {error}"),
        }
    }
}

impl Identity {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        match self {
            Self::Pem { certificate, key } => {
                Ok((certificates("--tls-cert", certificate)?, private_key(key)?))
            }
            Self::Store(store) => store.identity(),
        }
    }

    fn files(&self) -> Vec<&Path> {
        match self {
            Self::Pem { certificate, key } => vec![certificate, key],
            Self::Store(store) => store.files(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Pem { certificate, .. } => format!("--tls-cert {}", certificate.display()),
            Self::Store(store) => store.shown(),
        }
    }
}

impl Trust {
    fn read(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        match self {
            Self::Pem(file) => certificates("--tls-ca", file),
            Self::Store(store) => store.trusted(),
        }
    }

    fn files(&self) -> Vec<&Path> {
        match self {
            Self::Pem(file) => vec![file],
            Self::Store(store) => store.files(),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Pem(file) => format!("--tls-ca {}", file.display()),
            Self::Store(store) => store.shown(),
        }
    }
}

/// The cryptography that this command was built with.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "ring")]
    let provider = gossip_core::rustls::crypto::ring::default_provider();
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    let provider = gossip_core::rustls::crypto::aws_lc_rs::default_provider();
    Arc::new(provider)
}

fn certificates(option: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read_bytes(file).map_err(|error| format!("{option}: {error}"))?;
    let shown = file.display();
    if let Some(kind) = store::kind_of(&bytes) {
        let other = if option == "--tls-ca" { "--tls-truststore" } else { "--tls-keystore" };
        return Err(format!("{option} {shown} is a {kind} file, and PEM is wanted (name it with {other})"));
    }
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| bad_pem(option, file, &error))?;
    if found.is_empty() {
        return Err(format!(
            "{option} {shown} holds no certificate (name a PEM file with -----BEGIN CERTIFICATE-----)"
        ));
    }
    Ok(found)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read_secret(file).map_err(|error| format!("--tls-key: {error}"))?;
    let shown = file.display();
    let is_encrypted = |mark: &[u8]| bytes.windows(mark.len()).any(|part| part == mark);
    if is_encrypted(b"BEGIN ENCRYPTED PRIVATE KEY") || is_encrypted(b"Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "--tls-key {shown} is encrypted (decrypt it with openssl pkey -in {shown} -out NEW, or put key and certificate into a \
             PKCS#12 file for --tls-keystore)"
        ));
    }
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(format!(
            "--tls-key {shown} holds no private key (name a PEM file with -----BEGIN PRIVATE KEY-----)"
        )),
        Err(error) => Err(bad_pem("--tls-key", file, &error)),
    }
}

fn bad_pem(option: &str, file: &Path, error: &pem::Error) -> String {
    format!("{option} {} is damaged: {error} (write it anew as PEM)", file.display())
}
