//! Finding each other.

use gossip_adapter::Event;

use crate::lab::Lab;
use crate::member::endpoints;

/// Nodes that know one of them find all of them, and say so.
pub(crate) fn converge(lab: &Lab) {
    let mut members = lab.cluster(4);
    let everybody = endpoints(&members);
    let [seed, others @ ..] = members.as_mut_slice() else { unreachable!("there are four") };
    for other in others {
        let (endpoint, generation) = (other.endpoint(), other.generation);
        seed.wait_for(("start of", endpoint), |event| *event == Event::Joined { endpoint, generation });
        seed.wait_for(("life of", endpoint), |event| *event == Event::Up { endpoint, generation });
        assert_eq!(other.seeds().wait(), Ok(vec![seed.endpoint()]));
    }
    for member in &mut members {
        member.assert_up(&everybody);
        let known = member.endpoints().wait().unwrap();
        assert_eq!(known.len(), 4, "{known:#?}");
        let counters = member.counters();
        assert!(counters.rounds > 0 && counters.bytes_sent > 0 && counters.bytes_received > 0);
    }
}
