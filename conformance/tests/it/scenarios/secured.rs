//! Nodes under TLS.

use crate::lab::Lab;
use crate::member::{all_live, endpoints, eventually};

/// Where TLS is required there is no plain connection, and a node without it is refused.
pub(crate) fn everything_is_under_tls(lab: &Lab) {
    let members = lab.cluster(3);
    for member in &members {
        let counters = member.counters();
        assert!(counters.tls_opened >= 4 && counters.tls_failed == 0, "{member:?}: {counters:?}");
    }
    let plain = lab.start(lab.plain_spec().seed(members[0].listen_address()));
    eventually("it is refused", || members[0].counters().plain_refused > 0);
    assert!(plain.counters().syns_received == 0 && !members[0].finds_live(&plain));
}

/// Half of the nodes take up TLS while they run, optional at first, and then all require it. No node is convicted meanwhile.
pub(crate) fn half_of_the_nodes_take_up_tls(lab: &Lab) {
    let first = lab.start(lab.plain_spec());
    let seed = first.listen_address();
    let mut members = vec![first];
    for _ in 1..4 {
        members.push(lab.start(lab.plain_spec().seed(seed)));
    }
    all_live(&members);
    let everybody = endpoints(&members);
    for at in [0, 2, 1, 3] {
        members[at].set_tls(Some(crate::tls::optional())).wait().unwrap();
        all_live(&members);
    }
    for member in &members {
        member.set_tls(Some(crate::tls::required())).wait().unwrap();
    }
    // A node that comes now dials all others under TLS, and is dialled so.
    members.push(lab.start(lab.spec().seed(seed)));
    all_live(&members);
    for member in &mut members {
        member.assert_up(&everybody);
        assert!(member.counters().tls_opened > 0);
    }
}
