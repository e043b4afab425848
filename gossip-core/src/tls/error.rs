//! What can be wrong with the settings of TLS.

use core::fmt;

use rustls::Error;

use crate::tls_fault::{CertificateFault, TlsFault};

/// Why settings of TLS cannot be used.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TlsError {
    /// Connections with TLS are to be accepted, and there is no certificate to present.
    NoCertificate,
    /// There is no certificate to trust.
    NothingTrusted,
    /// The private key does not belong to the certificate.
    KeyMismatch,
    /// The provider of cryptography cannot use the private key.
    Key(Error),
    /// A certificate cannot be read.
    Certificate(Error),
    /// The provider of cryptography has no version of TLS that is wanted.
    Provider(Error),
    /// The node's own certificate would be refused by a node with the same trusted certificates.
    OwnCertificate(CertificateFault),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => {
                f.write_str("there is no certificate to present to peers that dial with TLS")
            }
            Self::NothingTrusted => f.write_str("there is no certificate to trust"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the certificate"),
            Self::Key(error) => write!(f, "the private key cannot be used: {error}"),
            Self::Certificate(error) => write!(f, "a certificate cannot be read: {error}"),
            Self::Provider(error) => write!(f, "the provider of cryptography cannot be used: {error}"),
            Self::OwnCertificate(fault) => {
                write!(f, "peers with the same trusted certificates would refuse the certificate: {fault}")
            }
        }
    }
}

impl core::error::Error for TlsError {}

/// What an error of `rustls` says of the peer. `has_heard`: whether the peer has sent a record before.
pub(super) fn fault_of(error: &Error, has_heard: bool) -> TlsFault {
    match error {
        Error::AlertReceived(alert) => TlsFault::Alert(u8::from(*alert)),
        Error::InvalidCertificate(error) => TlsFault::Certificate(certificate_fault(error)),
        Error::NoCertificatesPresented => TlsFault::NoCertificate,
        Error::PeerIncompatible(_) => TlsFault::NothingInCommon,
        // Of the signature schemes of the peer none belongs to our key.
        Error::General(text) if text == "incompatible signing key" => TlsFault::NothingInCommon,
        Error::InvalidMessage(_) if !has_heard => TlsFault::NotTls,
        Error::FailedToGetCurrentTime => TlsFault::NoClock,
        Error::FailedToGetRandomBytes | Error::General(_) => TlsFault::Provider,
        _ => TlsFault::Protocol,
    }
}

pub(super) fn certificate_fault(error: &rustls::CertificateError) -> CertificateFault {
    use rustls::CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => CertificateFault::Expired,
        E::NotValidYet | E::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        E::UnknownIssuer => CertificateFault::UnknownIssuer,
        E::NotValidForName | E::NotValidForNameContext { .. } => CertificateFault::WrongAddress,
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => CertificateFault::WrongPurpose,
        E::BadEncoding => CertificateFault::Encoding,
        E::BadSignature
        | E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => CertificateFault::Signature,
        E::ApplicationVerificationFailure | E::Revoked => CertificateFault::Refused,
        // The only error that `webpki` has and `rustls` has not of which a node can say what it means.
        E::Other(other) if alloc::format!("{other:?}").contains("CaUsedAsEndEntity") => {
            CertificateFault::AuthorityAsNode
        }
        _ => CertificateFault::Other,
    }
}
