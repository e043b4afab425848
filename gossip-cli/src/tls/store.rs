//! Key stores and trust stores, as Java keeps them.

use std::path::{Path, PathBuf};

use gossip_core::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use p12_keystore::error::Error;
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};

use crate::file::{read_bytes, read_secret};

/// What a JKS file begins with.
const JKS: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

/// A PKCS#12 file.
#[derive(Clone, Debug)]
pub(super) struct Store {
    option: &'static str,
    file: PathBuf,
    password_file: Option<PathBuf>,
}

/// What kind of store the bytes are, if they are one.
pub(super) fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        bytes if bytes.starts_with(&JKS) => Some("JKS"),
        // A sequence of DER with a length of two or more bytes.
        [0x30, 0x80..=0x84, ..] => Some("PKCS#12"),
        _ => None,
    }
}

impl Store {
    pub(super) fn new(option: &'static str, file: &Path, password_file: Option<&Path>) -> Self {
        Self { option, file: file.into(), password_file: password_file.map(Into::into) }
    }

    pub(super) fn shown(&self) -> String {
        format!("{} {}", self.option, self.file.display())
    }

    pub(super) fn files(&self) -> Vec<&Path> {
        core::iter::once(&*self.file).chain(self.password_file.as_deref()).collect()
    }

    /// The certificate with those behind it, and its key.
    pub(super) fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        let store = self.open()?;
        let Some((_, chain)) = store.private_key_chain() else {
            return Err(format!(
                "{}: there is no private key in it (a trust store has none: name the key store of a node)",
                self.shown()
            ));
        };
        let key = PrivateKeyDer::try_from(chain.key().as_der().to_vec());
        let key = key.map_err(|error| {
            format!("{}: its private key cannot be read: {error} (make it anew)", self.shown())
        })?;
        let certificates = chain.certs().iter().map(|certificate| certificate.as_der().to_vec().into());
        Ok((certificates.collect(), key))
    }

    /// All certificates that it trusts.
    pub(super) fn trusted(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let store = self.open()?;
        let mut trusted = Vec::new();
        for (_, entry) in store.entries() {
            match entry {
                KeyStoreEntry::Certificate(certificate) => trusted.push(certificate.as_der().to_vec().into()),
                // As Java: of an entry with a key the first certificate is trusted.
                KeyStoreEntry::PrivateKeyChain(chain) => {
                    let first = chain.certs().first();
                    trusted.extend(first.map(|certificate| certificate.as_der().to_vec().into()));
                }
                _ => {}
            }
        }
        if trusted.is_empty() {
            return Err(format!(
                "{}: there is no certificate in it (import that of the authority with keytool -importcert)",
                self.shown()
            ));
        }
        Ok(trusted)
    }

    fn open(&self) -> Result<KeyStore, String> {
        let shown = self.shown();
        let bytes = read_bytes(&self.file).map_err(|error| format!("{}: {error}", self.option))?;
        if bytes.starts_with(&JKS) {
            let file = self.file.display();
            return Err(format!(
                "{shown} is a JKS file, which is not read here (convert it: keytool -importkeystore -srckeystore {file} -destkeystore \
                 {file}.p12 -deststoretype PKCS12)"
            ));
        }
        if bytes.starts_with(b"-----BEGIN") {
            let other =
                if self.option == "--tls-truststore" { "--tls-ca" } else { "--tls-cert and --tls-key" };
            return Err(format!("{shown} is PEM, and PKCS#12 is wanted (name it with {other})"));
        }
        if bytes.is_empty() {
            return Err(format!("{shown} is empty (name a PKCS#12 file)"));
        }
        let password = match &self.password_file {
            None => String::new(),
            Some(file) => {
                let bytes =
                    read_secret(file).map_err(|error| format!("{}-password-file: {error}", self.option))?;
                let text = String::from_utf8(bytes);
                let text = text.map_err(|_| {
                    format!("{}-password-file {} is not text (save it as UTF-8)", self.option, file.display())
                })?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        KeyStore::from_pkcs12(&bytes, &password, Pkcs12ImportPolicy::Relaxed).map_err(|error| match error {
            Error::MacError(_) | Error::UnpadError => match &self.password_file {
                Some(file) => format!(
                    "{shown}: the password in {} does not open it (write the password of the store on the first line)",
                    file.display()
                ),
                None => format!("{shown} has a password (name a file with it: {}-password-file)", self.option),
            },
            error => format!("{shown} is no PKCS#12 file that can be read: {error} (make it anew with keytool or openssl pkcs12)"),
        })
    }
}
