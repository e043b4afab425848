//! Why a node that was asked over gossip did not answer, and what to do.

use core::net::SocketAddr;

use gossip_adapter::DialFailure;
use gossip_core::{CertificateFault, TlsFault};

/// How a question was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) partitioner: &'a str,
    /// Where the answer was to go.
    pub(crate) listen: SocketAddr,
    /// Whether it was asked under TLS.
    pub(crate) is_secured: bool,
}

/// What became of it, `times` in a row.
pub(crate) fn outcome(failure: DialFailure, times: u32) -> String {
    match times {
        0 | 1 => failure.to_string(),
        _ => format!("{failure}, {times} times"),
    }
}

/// What may be the cause, and what to do; none if the address is not listened on, or cannot be reached.
pub(crate) fn advice(failure: DialFailure, asked: Asked<'_>) -> Option<String> {
    let Asked { cluster, partitioner, listen, is_secured } = asked;
    Some(match failure {
        // The handshake of TLS is done by then. With TLS 1.3 the other side looks at our certificate only after that.
        DialFailure::Closed if is_secured => {
            "it may not accept the certificate that --tls-cert or --tls-keystore holds, which may have to name the address of this \
             machine, or be a node of ours whose gossip is disabled: its log may say more"
                .into()
        }
        DialFailure::Closed => {
            "it may require TLS between nodes, which --tls is for, or be a node of ours whose gossip is disabled: its log may say more"
                .into()
        }
        DialFailure::NoAnswer => {
            "a member answers this at once: check that it is the storage port of one, which is 7000 unless configured, and that its \
             process does not hang"
                .into()
        }
        DialFailure::Alert => "it takes nothing but TLS there: add --tls required with --tls-cert, --tls-key and --tls-ca".into(),
        DialFailure::Cql => {
            "that is its port for clients: name the storage port, which is 7000 unless configured".into()
        }
        DialFailure::Handshake => {
            "no member of a cluster answers so: name the storage port of one, which is 7000 unless configured".into()
        }
        DialFailure::Version => "gossip speaks with Cassandra 4.0 to 6.0".into(),
        DialFailure::SilentWithoutIdentifier => format!(
            "nodes of Cassandra 6.0 do not answer if their metadata service was initialised in compatibility mode: set \
             storage_compatibility_mode to NONE there and restart them; if the cluster is of an older release, leave --metadata-id out, \
             and check its name, {cluster:?}, which its log would say if it were another"
        ),
        DialFailure::SilentOnIdentifier => format!(
            "no node of Cassandra 6.0 answers without the metadata id of its cluster, and this one does not tell it: give it with \
             --metadata-id, as its log names it after \"Cluster metadata identifier mismatch\"; if its log says nothing, check the \
             name of the cluster, {cluster:?}, and that it can connect to {listen}"
        ),
        DialFailure::Silent => format!(
            "its cluster may have another name than {cluster:?}, as its log would then say, or another partitioner than \
             {partitioner:?}; gossip may be disabled there, as nodetool statusgossip tells; or it cannot connect to {listen}"
        ),
        DialFailure::SilentAndTls => format!(
            "it may answer with TLS only, as where internode_encryption is in force for {listen}: add --tls optional with --tls-cert, \
             --tls-key and --tls-ca"
        ),
        DialFailure::Tls(fault) => tls_advice(fault)?.into(),
        _ => return None,
    })
}

/// What may be the cause where TLS failed with a node that was dialled, or that dialled, and what to do.
pub(crate) const fn tls_advice(fault: TlsFault) -> Option<&'static str> {
    Some(match fault {
        TlsFault::NotSpoken => {
            "it may not speak TLS there: try --tls optional, which takes plain then, or leave --tls out"
        }
        TlsFault::NotTls => {
            "it does not speak TLS there: check that it is the storage port of a node, and try --tls optional or leave --tls out"
        }
        TlsFault::Closed => "its log may say what it does not like",
        // `docs/protocol/tls.md`: a node with OpenSSL says nothing more, whatever it does not like about the certificate.
        TlsFault::Alert(80) => {
            "Cassandra nodes answer so when they do not trust the certificate that --tls-cert or --tls-keystore holds: import the \
             authority that issued it into their truststore, and where require_endpoint_verification is on, have it name the \
             address of this machine"
        }
        TlsFault::Alert(42 | 43 | 46 | 48 | 49) => {
            "it does not trust the certificate that --tls-cert or --tls-keystore holds: it must trust the authority that issued it, \
             and may want it to name the address of this machine"
        }
        TlsFault::Alert(45) => {
            "by its clock the certificate of this node has expired: have a new one issued, or check its clock"
        }
        TlsFault::Alert(116) => {
            "it demands a certificate: name one with --tls-cert and --tls-key, or --tls-keystore"
        }
        TlsFault::Alert(40) => {
            "it may demand a certificate that it does not get, or have no cipher suite in common: gossip has those with ECDHE and \
             AES-GCM"
        }
        TlsFault::Alert(70) | TlsFault::NothingInCommon => {
            "gossip speaks TLS 1.2 and 1.3 with ECDHE and AES-GCM: accepted_protocols and cipher_suites of the node must allow one of them"
        }
        TlsFault::Certificate(CertificateFault::UnknownIssuer) => {
            "add the authority that issued it to --tls-ca or --tls-truststore, or have the node present the whole chain"
        }
        TlsFault::Certificate(CertificateFault::Expired) => "have a new one issued for that node",
        TlsFault::Certificate(CertificateFault::NotYetValid) => "compare the clocks of the two machines",
        TlsFault::Certificate(CertificateFault::WrongAddress) => {
            "have one issued that names the address of that node, or use --tls-verify-address false"
        }
        TlsFault::Certificate(CertificateFault::WrongPurpose) => {
            "have one issued whose extended key usage has serverAuth and clientAuth, or that has none"
        }
        TlsFault::Certificate(_) => "look at it with openssl s_client -connect",
        TlsFault::NoCertificate => {
            "give that node a certificate, or do not demand one: --tls-client-auth off"
        }
        TlsFault::PlainRefused => "have it speak TLS with this node, or accept both here: --tls optional",
        TlsFault::TlsRefused => "accept both here: --tls optional or required",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_said_to_be_possible() {
        let listen = SocketAddr::from(([10, 0, 0, 1], 7000));
        let asked = Asked { cluster: "here", partitioner: "P", listen, is_secured: false };
        let text = |failure| advice(failure, asked).unwrap();
        assert!(text(DialFailure::Closed).contains("may require TLS"));
        let under_tls = advice(DialFailure::Closed, Asked { is_secured: true, ..asked }).unwrap();
        assert!(under_tls.contains("may not accept the certificate") && !under_tls.contains("--tls is for"));
        assert!(text(DialFailure::Alert).contains("takes nothing but TLS"));
        assert!(text(DialFailure::Cql).contains("storage port"));
        let silent = text(DialFailure::Silent);
        for cause in ["\"here\"", "\"P\"", "statusgossip", "10.0.0.1:7000"] {
            assert!(silent.contains(cause), "{silent}");
        }
        assert!(!silent.contains("TLS"), "{silent}");
        let compatible = text(DialFailure::SilentWithoutIdentifier);
        assert!(compatible.contains("--metadata-id") && compatible.contains("NONE"), "{compatible}");
        let untold = text(DialFailure::SilentOnIdentifier);
        assert!(untold.contains("--metadata-id") && untold.contains("identifier mismatch"), "{untold}");
        assert!(advice(DialFailure::Refused, asked).is_none());
        assert_eq!(outcome(DialFailure::Closed, 3), format!("{}, 3 times", DialFailure::Closed));
    }
}
