//! Certificates for the tests, made when they run.

use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr};

use gossip_core::rustls::crypto::CryptoProvider;
use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};

use super::address;

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A provider of one version of TLS alone.
pub(super) fn provider_of(suites: &[rustls::SupportedCipherSuite]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: suites.to_vec(), ..rustls::crypto::ring::default_provider() })
}

/// The chain of a node, leaf first, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// An authority, and what it issues.
pub(super) struct Keys {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

fn key() -> KeyPair {
    // Its signatures are all of one length, and so are the messages.
    KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()
}

fn der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).unwrap()
}

impl Keys {
    pub(super) fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = key();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(super) fn authority(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// A certificate that names the address of the node of that number.
    pub(super) fn node(&self, number: usize) -> Identity {
        self.naming(address(number).ip())
    }

    pub(super) fn naming(&self, address: IpAddr) -> Identity {
        self.issue(|params| params.subject_alt_names.push(SanType::IpAddress(address)))
    }

    pub(super) fn unnamed(&self) -> Identity {
        self.issue(|_| {})
    }

    pub(super) fn expired(&self) -> Identity {
        self.issue(|params| params.not_after = date_time_ymd(2021, 1, 1))
    }

    pub(super) fn not_yet_valid(&self) -> Identity {
        self.issue(|params| params.not_before = date_time_ymd(2039, 1, 1))
    }

    pub(super) fn for_servers_only(&self) -> Identity {
        self.issue(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// With a key on the curve P-256.
    pub(super) fn with_p256(&self) -> Identity {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = named("a node").signed_by(&key, &self.issuer).unwrap();
        (vec![leaf.der().clone()], der(&key))
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = named("a node");
        change(&mut params);
        let key = key();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (vec![leaf.der().clone()], der(&key))
    }

    /// Through an authority in between, whose certificate is left out unless the chain is to be complete.
    pub(super) fn through_another(&self, is_complete: bool) -> Identity {
        let mut params = named("between");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let between_key = key();
        let between = params.signed_by(&between_key, &self.issuer).unwrap().der().clone();
        let issuer = Issuer::new(params, between_key);
        let key = key();
        let leaf = named("a node").signed_by(&key, &issuer).unwrap().der().clone();
        let chain = if is_complete { vec![leaf, between] } else { vec![leaf] };
        (chain, der(&key))
    }
}

/// A certificate that is its own issuer, as `openssl req -x509` makes it (with the bit of an authority) or `keytool -genkeypair`
/// (without).
pub(super) fn self_signed(is_authority: bool, is_expired: bool) -> Identity {
    let mut params = named("on its own");
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    if is_expired {
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = key();
    (vec![params.self_signed(&key).unwrap().der().clone()], der(&key))
}

/// An address that no node has.
pub(super) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

/// An application's own check: one certificate, and no other.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) accepted: CertificateDer<'static>,
}

impl rustls::server::danger::ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        if *end_entity == self.accepted {
            Ok(rustls::server::danger::ClientCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
