//! Certificates for the nodes of a lab: an authority, and one certificate that all of them present, since all have one address.

use core::net::{IpAddr, Ipv4Addr};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::failure::Failure;

/// The names of the files.
pub(super) const AUTHORITY: &str = "ca.pem";
pub(super) const CERTIFICATE: &str = "node.pem";
pub(super) const KEY: &str = "node.key";

/// Makes them in `dir`.
///
/// # Errors
///
/// They cannot be made or written.
pub(super) fn make(dir: &Path) -> Result<(), Failure> {
    let broken = |error: &dyn core::fmt::Display| {
        Failure::failed(format!("the certificates of the lab cannot be made in {}: {error}", dir.display()))
    };
    let (authority, certificate, key) = issue().map_err(|error| broken(&error))?;
    fs::write(dir.join(AUTHORITY), authority)
        .and_then(|()| fs::write(dir.join(CERTIFICATE), certificate))
        .and_then(|()| {
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(dir.join(KEY))?;
            file.write_all(key.as_bytes())
        })
        .map_err(|error| broken(&error))
}

/// The authority, the certificate and its key, each as PEM.
fn issue() -> Result<(String, String, String), rcgen::Error> {
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut params = named("gossip lab");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    let mut params = named("node of gossip lab");
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok((authority, certificate, key.serialize_pem()))
}
