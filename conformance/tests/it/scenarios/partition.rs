//! When the network breaks and is repaired.

use gossip_adapter::{ApplicationState, DownCause};

use crate::lab::Lab;
use crate::member::{Member, all_live, endpoints, eventually};
use crate::proxy::Network;

/// Two halves that do not reach each other convict each other, and no node of their own; they find each other again.
pub(crate) fn partition(lab: &Lab) {
    let mut network = Network::new(lab);
    let mut left = network.cluster(lab, 4);
    let mut right = left.split_off(2);
    let ends = [endpoints(&left), endpoints(&right)];
    left.iter_mut().chain(&mut right).for_each(Member::forget_events);

    network.cut(&ends[0], &ends[1]);
    for (side, own, others) in [(&mut left, &ends[0], &ends[1]), (&mut right, &ends[1], &ends[0])] {
        for member in side {
            for other in others {
                let cause = member.wait_for_down(*other);
                assert!(matches!(cause, DownCause::Convicted { .. }), "{cause:?}");
            }
            member.assert_up(own);
        }
    }
    left[1].set_state(ApplicationState::DC, "left").wait().unwrap();
    right[1].set_state(ApplicationState::DC, "right").wait().unwrap();

    network.heal();
    let members: Vec<Member> = left.into_iter().chain(right).collect();
    all_live(&members);
    for (author, value) in [(ends[0][1], "left"), (ends[1][1], "right")] {
        for member in &members {
            eventually((member, "reads", value), || member.reads(author, ApplicationState::DC, value));
        }
    }
}
