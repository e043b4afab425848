//! What nodes under TLS present and trust.

use std::sync::{Arc, OnceLock};

use gossip_core::rustls::crypto::ring;
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
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

fn settings() -> TlsBuilder {
    static MADE: OnceLock<(CertificateDer<'static>, CertificateDer<'static>, Vec<u8>)> = OnceLock::new();
    let (authority, certificate, key) = MADE.get_or_init(make);
    let key = PrivateKeyDer::try_from(key.clone()).unwrap();
    Tls::builder(Arc::new(ring::default_provider()))
        .identity(vec![certificate.clone()], key)
        .trusted(vec![authority.clone()])
}

/// An authority, the certificate of a node, and its key.
fn make() -> (CertificateDer<'static>, CertificateDer<'static>, Vec<u8>) {
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
