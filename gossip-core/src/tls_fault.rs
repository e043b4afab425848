//! Why a connection with TLS came to nothing, or why one without it was refused.

use core::fmt;

/// Why a connection with TLS came to nothing, or why a plain one was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TlsFault {
    /// The peer closed the connection in answer to the first bytes of TLS, and sent nothing.
    NotSpoken,
    /// The peer answered the first bytes of TLS with bytes that are not TLS.
    NotTls,
    /// The peer closed the connection in the middle of the handshake of TLS, and sent no alert.
    Closed,
    /// The peer refused with this alert (RFC 8446, section 6).
    Alert(u8),
    /// This node refused the certificate of the peer.
    Certificate(CertificateFault),
    /// The peer presented no certificate, and this node demands one.
    NoCertificate,
    /// The two have no version of TLS, no cipher suite or no signature scheme in common.
    NothingInCommon,
    /// The peer does something that TLS does not allow.
    Protocol,
    /// The peer needs more memory for one message of TLS than a connection may take.
    TooLarge,
    /// The node does not know yet what the wall clock reads, so it cannot check a certificate.
    NoClock,
    /// The provider of cryptography failed.
    Provider,
    /// The connection is plain, and this node demands TLS of the peer.
    PlainRefused,
    /// The connection begins with TLS, and TLS is off for connections that this node accepts.
    TlsRefused,
}

/// Why a certificate was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CertificateFault {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// No certificate in the trust file has issued it, or a certificate between the two is missing.
    UnknownIssuer,
    /// It does not name the address of the peer.
    WrongAddress,
    /// Its extended key usage does not allow what it is used for.
    WrongPurpose,
    /// It is the certificate of an authority, and is used as that of a node.
    AuthorityAsNode,
    /// It is signed in a way that this node does not know, or the signature is wrong.
    Signature,
    /// It cannot be read.
    Encoding,
    /// The application's own check refused it, or it was revoked.
    Refused,
    /// Anything else.
    Other,
}

impl TlsFault {
    /// After how many of it in a row a further dial would say nothing new; `None` where the next may go well.
    pub(crate) const fn is_clear_after(self) -> Option<u32> {
        match self {
            Self::NotTls
            | Self::Alert(_)
            | Self::Certificate(_)
            | Self::NoCertificate
            | Self::NothingInCommon
            | Self::TooLarge => Some(1),
            // A node that is about to stop does that as well.
            Self::NotSpoken | Self::Closed => Some(3),
            _ => None,
        }
    }

    /// The name of an alert in RFC 8446, if it is a known one.
    pub const fn alert_name(alert: u8) -> Option<&'static str> {
        Some(match alert {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => return None,
        })
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSpoken => "it closed the connection in answer to the first bytes of TLS",
            Self::NotTls => "it answered the first bytes of TLS with something else",
            Self::Closed => "it closed the connection in the middle of the TLS handshake",
            Self::Alert(alert) => {
                return match Self::alert_name(*alert) {
                    Some(name) => write!(f, "it refused TLS with the alert {name} ({alert})"),
                    None => write!(f, "it refused TLS with the alert {alert}"),
                };
            }
            Self::Certificate(fault) => return write!(f, "its certificate was refused: {fault}"),
            Self::NoCertificate => "it presented no certificate, and one is demanded",
            Self::NothingInCommon => "it has no version or cipher suite of TLS in common with this node",
            Self::Protocol => "it broke the rules of TLS",
            Self::TooLarge => "it sent a message of TLS that is larger than a connection may hold",
            Self::NoClock => "its certificate could not be checked: this node does not know the time yet",
            Self::Provider => "the provider of cryptography failed",
            Self::PlainRefused => "it did not use TLS, which this node demands of it",
            Self::TlsRefused => "it used TLS, which is off for connections that this node accepts",
        })
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "it has expired",
            Self::NotYetValid => "it is not valid yet",
            Self::UnknownIssuer => {
                "no certificate of the trust file has issued it, or one between the two is missing"
            }
            Self::WrongAddress => "it does not name the address",
            Self::WrongPurpose => "its extended key usage does not allow this use",
            Self::AuthorityAsNode => "it is the certificate of an authority, and not of a node",
            Self::Signature => "its signature is wrong, or of a kind that this node does not know",
            Self::Encoding => "it cannot be read",
            Self::Refused => "the application refused it",
            Self::Other => "it does not hold",
        })
    }
}
