//! Peers that do not do their part.

use std::time::{Duration, Instant};

use gossip_adapter::{ApplicationState, Standing, Transport};

use crate::adapters::BUSY_INTERVAL;
use crate::dead_ends::Mute;
use crate::lab::Lab;
use crate::member::{Member, all_live, endpoints, eventually};
use crate::proxy::{Network, address};

/// How long a node waits for a peer that takes nothing. Its other peers have to answer its handshake within that time, through a proxy and
/// on a busy machine.
const PATIENCE: Duration = Duration::from_secs(1);

/// A seed that takes everything and never says anything is given up and tried again, and keeps no node from the others.
pub(crate) fn silent_seed(lab: &Lab) {
    let mut silent = Mute::new(lab.transport);
    let spec = || {
        let mut spec = lab
            .spec()
            .seed(silent.address)
            .tune(|config| config.change_timeouts(|timeouts| timeouts.handshake = PATIENCE));
        spec.saved.push(silent.address);
        spec
    };
    let mut members = vec![lab.start(spec())];
    let first = members[0].listen_address();
    members.extend([lab.start(spec().seed(first)), lab.start(spec().seed(first))]);
    all_live(&members);
    let is_tried = |member: &Member| {
        let counters = member.counters();
        match lab.transport {
            Transport::Datagram => counters.rounds >= 20,
            _ => counters.timeouts >= 2,
        }
    };
    eventually("the silent one is tried again", || members.iter().all(is_tried));
    members[0].set_state(ApplicationState::DC, "heard").wait().unwrap();
    let author = members[0].endpoint();
    for member in &members {
        eventually("the others are heard", || member.reads(author, ApplicationState::DC, "heard"));
        let info = member.info(silent.address.into());
        assert!(info.is_none_or(|info| info.standing != Standing::Live), "{member:?}");
    }
    let everybody = endpoints(&members);
    members.iter_mut().for_each(|member| member.assert_up(&everybody));
    match lab.transport {
        Transport::Datagram => {
            let packets = silent.packets();
            let rounds: u64 = members.iter().map(|member| member.counters().rounds).sum();
            assert!(!packets.is_empty() && packets.iter().all(|length| *length <= 1_400), "{packets:?}");
            assert!(packets.len() as u64 <= 3 * rounds, "{} packets in {rounds} rounds", packets.len());
        }
        // The one for gossip, and the one for what is too large for that.
        _ => assert!(silent.open_connections() <= 2 * members.len(), "{}", silent.open_connections()),
    }
}

/// Peers whose connections are not read cost a node neither its memory nor its other peers.
pub(crate) fn slow_peers(lab: &Lab) {
    let mut network = Network::with_small_buffers(lab);
    let spec = || {
        let mut spec = lab.spec();
        spec.interval = lab.interval.max(BUSY_INTERVAL);
        spec.tune(|config| {
            config.change_timeouts(|timeouts| timeouts.handshake = PATIENCE).change_limits(|limits| {
                limits.max_pending_acks = 2;
                limits.max_message = 1 << 20;
                limits.max_inbound_bytes = 1 << 20;
            })
        })
    };
    let author = lab.start(spec());
    let endpoint = author.endpoint();
    let seed = author.listen_address();
    let reader = lab.start(spec().seed(seed));
    let slow = [network.start(lab, spec().seed(seed)), network.start(lab, spec().seed(seed))];
    let mut members = vec![author, reader];
    members.extend(slow);
    all_live(&members);

    let held_up = [members[2].endpoint(), members[3].endpoint()];
    let healthy = endpoints(&members[..2]);
    let before: u64 = held_up.iter().map(|slow| network.dialled(*slow)).sum();
    let began = Instant::now();
    held_up.iter().for_each(|slow| network.hold_up(*slow));
    // The slow ones go on to ask for what is new, and do not take the answers. Whether an answer that waits for them loses its place to
    // another peer is a matter of chance: it does only while both of them and the reader are due at once.
    let mut turn = 0;
    eventually("connections that are not read are closed", || {
        turn += 1;
        for number in 0..8 {
            let value = format!("{turn} {}", "x".repeat(30_000));
            members[0].set_state(ApplicationState::new(1_000 + number), value).wait().unwrap();
        }
        members[0].counters().timeouts >= 3
    });
    let last = format!("{turn} {}", "x".repeat(30_000));
    eventually("the other reads on", || members[1].reads(endpoint, ApplicationState::new(1_007), &last));
    for member in &mut members[..2] {
        member.assert_up(&healthy);
    }
    // Three nodes dial each of them, over up to three connections each, and give each up no sooner than they may.
    let patience_lost = u64::try_from(began.elapsed().as_millis() / PATIENCE.as_millis()).unwrap() + 1;
    let dials: u64 = held_up.iter().map(|slow| network.dialled(*slow)).sum::<u64>() - before;
    assert!(dials <= 2 * 3 * 3 * patience_lost, "{dials} dials");

    network.let_go();
    all_live(&members);
    for slow in &members[2..] {
        assert_ne!(slow.listen_address(), address(slow.endpoint()));
        eventually("the slow ones catch up", || slow.reads(endpoint, ApplicationState::new(1_007), &last));
    }
}
