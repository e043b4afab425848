//! Private keys as `keytool` keeps them.

use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Encode};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use sec1::EcPrivateKey;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Keys on elliptic curves (RFC 5480).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Adds the public key to an EC key without it, which `keytool` leaves out and rustls demands: it is the one in the certificate. Any
/// other key stays as it is, and what is wrong with it is found when it is used.
pub(super) fn completed(
    key: PrivateKeyDer<'static>,
    leaf: Option<&CertificateDer<'_>>,
) -> PrivateKeyDer<'static> {
    let PrivateKeyDer::Pkcs8(pkcs8) = &key else { return key };
    let completed = leaf.and_then(|leaf| with_public_key(pkcs8.secret_pkcs8_der(), leaf));
    completed.map_or(key, |completed| PrivateKeyDer::Pkcs8(completed.into()))
}

fn with_public_key(pkcs8: &[u8], leaf: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let info = PrivateKeyInfoRef::from_der(pkcs8).ok().filter(|info| info.algorithm.oid == EC)?;
    let inner = EcPrivateKey::from_der(info.private_key.as_bytes()).ok()?;
    if inner.public_key.is_some() {
        return None;
    }
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let public_key = Some(&*certificate.public_key().subject_public_key.data);
    let inner = EcPrivateKey { public_key, ..inner }.to_der().ok()?;
    PrivateKeyInfoRef::new(info.algorithm, OctetStringRef::new(&inner).ok()?).to_der().ok()
}
