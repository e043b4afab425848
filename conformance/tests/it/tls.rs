//! What nodes under TLS, and tests that speak with them, present and trust.

use std::sync::{Arc, OnceLock};

use gossip_core::rustls::crypto::ring;
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use gossip_core::rustls::{ClientConfig, RootCertStore, ServerConfig};
use gossip_core::{Tls, TlsBuilder, TlsIncoming, TlsOutgoing};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// TLS alone, by the strict rules: the certificate of all nodes names the address that they share.
pub(crate) fn required() -> Tls {
    settings().build().unwrap()
}

/// TLS first, and plain with those who do not speak it.
pub(crate) fn optional() -> Tls {
    settings().incoming(TlsIncoming::Optional).outgoing(TlsOutgoing::Auto).build().unwrap()
}

/// How a test dials nodes: it presents the certificate that they have as well.
pub(crate) fn client() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        let mut roots = RootCertStore::empty();
        roots.add(made().0.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        builder.with_client_auth_cert(vec![made().1.clone()], key()).unwrap().into()
    };
    CONFIG.get_or_init(make).clone()
}

/// How a test is dialled by nodes.
pub(crate) fn server() -> Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let make = || {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        builder.with_single_cert(vec![made().1.clone()], key()).unwrap().into()
    };
    CONFIG.get_or_init(make).clone()
}

fn settings() -> TlsBuilder {
    let (authority, certificate, _) = made();
    Tls::builder(Arc::new(ring::default_provider()))
        .identity(vec![certificate.clone()], key())
        .trusted(vec![authority.clone()])
}

fn key() -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(made().2.clone()).unwrap()
}

/// An authority, the certificate of a node, and its key.
type Made = (CertificateDer<'static>, CertificateDer<'static>, Vec<u8>);

/// What all share.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(make)
}

fn make() -> Made {
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut params = named("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().der().clone();
    let issuer = Issuer::new(params, key);
    let mut params = named("node");
    params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
    (authority, certificate, key.serialize_der())
}
