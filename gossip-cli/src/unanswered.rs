//! Why somebody who was asked over gossip did not answer, and what to do.

use core::net::SocketAddr;

use gossip_adapter::DialFailure;

/// How a question was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) partitioner: &'a str,
    /// Where the answer was to go.
    pub(crate) listen: SocketAddr,
}

/// What became of it, `times` in a row.
pub(crate) fn outcome(failure: DialFailure, times: u32) -> String {
    match times {
        0 | 1 => failure.to_string(),
        _ => format!("{failure}, {times} times"),
    }
}

/// What may be the cause, and what to do; none where nobody listens there, or cannot be reached.
pub(crate) fn advice(failure: DialFailure, asked: Asked<'_>) -> Option<String> {
    let Asked { cluster, partitioner, listen } = asked;
    Some(match failure {
        DialFailure::Closed => {
            "it may require TLS between nodes, which gossip does not speak yet, or be a node of ours whose gossip is disabled: its log \
             may say more"
                .into()
        }
        DialFailure::NoAnswer => {
            "a member answers this at once: check that it is the storage port of one, which is 7000 unless configured, and that its \
             process does not hang"
                .into()
        }
        DialFailure::Alert => "it takes nothing but TLS there, which gossip does not speak yet".into(),
        DialFailure::Cql => {
            "that is its port for clients: name the storage port, which is 7000 unless configured".into()
        }
        DialFailure::Handshake => {
            "no member of a cluster answers so: name the storage port of one, which is 7000 unless configured".into()
        }
        DialFailure::Version => "gossip speaks with Cassandra 4.0 to 5.0".into(),
        DialFailure::Silent => format!(
            "its cluster may have another name than {cluster:?}, as its log would then say, or another partitioner than \
             {partitioner:?}; gossip may be disabled there, as nodetool statusgossip tells; or it cannot connect to {listen}"
        ),
        DialFailure::SilentAndTls => format!(
            "it may answer with TLS only, which gossip does not speak yet: so it is where internode_encryption is in force for \
             {listen}"
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_said_to_be_possible() {
        let listen = SocketAddr::from(([10, 0, 0, 1], 7000));
        let asked = Asked { cluster: "here", partitioner: "P", listen };
        let text = |failure| advice(failure, asked).unwrap();
        assert!(text(DialFailure::Closed).contains("may require TLS"));
        assert!(text(DialFailure::Alert).contains("takes nothing but TLS"));
        assert!(text(DialFailure::Cql).contains("storage port"));
        let silent = text(DialFailure::Silent);
        for cause in ["\"here\"", "\"P\"", "statusgossip", "10.0.0.1:7000"] {
            assert!(silent.contains(cause), "{silent}");
        }
        assert!(!silent.contains("TLS"), "{silent}");
        assert!(advice(DialFailure::Refused, asked).is_none());
        assert_eq!(outcome(DialFailure::Closed, 3), format!("{}, 3 times", DialFailure::Closed));
    }
}
