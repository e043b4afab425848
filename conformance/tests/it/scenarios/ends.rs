//! How nodes end, and begin again.

use std::time::Instant;

use gossip_adapter::{
    DownCause, Event, EventsError, Generation, Standing, StartError, Status, StatusKind, Stopped, Transport,
    Version,
};

use crate::dead_ends::DeadEnd;
use crate::lab::{Lab, TooSlow};
use crate::member::{DEADLINE, all_live, endpoints, eventually};

/// A node that is shut down says so, answers nothing more, and leaves its port.
pub(crate) fn stop(lab: &Lab) {
    let mut members = lab.cluster(3);
    let stopped = members.pop().expect("there are three");
    let (endpoint, address) = (stopped.endpoint(), stopped.listen_address());
    let (first, second, end) = (stopped.shutdown(), stopped.shutdown(), stopped.stopped());
    assert_eq!((first.wait(), second.wait()), (Ok(()), Ok(())));
    assert!(lab.is_free(address), "the port is free when the wait for the end is over");
    end.wait();

    assert_eq!(stopped.shutdown().wait(), Err(Stopped));
    assert_eq!(stopped.stats().wait(), Err(Stopped));
    assert!(stopped.endpoints().wait().is_err());
    assert!(stopped.set_state(gossip_adapter::ApplicationState::DC, "dc1").wait().is_err());
    stopped.stopped().wait();
    stopped.abandon().wait();
    let mut late = stopped.subscribe();
    assert_eq!(late.wait_timeout(DEADLINE), Some(Err(EventsError::Stopped)));
    assert_eq!(stopped.told_to_the_end().last(), Some(&Event::Stopped));

    for member in &mut members {
        member.wait_for_shutdown(endpoint);
        let info = member.info(endpoint).expect("it is still known");
        assert_eq!(info.heartbeat.version, Version::SHUTDOWN);
        assert_eq!((info.standing, info.status), (Standing::Unreachable, StatusKind::Shutdown));
        let status = info.text(gossip_adapter::ApplicationState::STATUS_WITH_PORT);
        assert_eq!(status, Some(Status::SHUTDOWN_TEXT));
    }
    let left = endpoints(&members);
    members.iter_mut().for_each(|member| member.assert_up(&left));
}

/// A node that comes back on its port, under a greater generation, is a later process of the same endpoint, however the
/// earlier one has ended.
pub(crate) fn restart(lab: &Lab) {
    let mut members = lab.cluster(3);
    for is_crash in [false, true] {
        let ended = members.pop().expect("there are three");
        let (endpoint, address, old) = (ended.endpoint(), ended.listen_address(), ended.generation);
        if is_crash {
            ended.abandon().wait();
        } else {
            ended.shutdown().wait().unwrap();
            for member in &mut members {
                member.wait_for_shutdown(endpoint);
            }
        }
        let new = Generation::new(old.get() + 10);
        let seed = members[0].listen_address();
        let spec = || {
            let mut spec = lab.spec().seed(seed);
            spec.generation = Some(new);
            spec
        };
        members.push(lab.restart(address, spec));
        all_live(&members);
        assert_eq!(members[2].generation, new);
        for member in &mut members[..2] {
            let restarted = Event::Restarted { endpoint, old, new };
            member.wait_for(restarted, |event| *event == restarted);
            let up = Event::Up { endpoint, generation: new };
            member.wait_for(up, |event| *event == up);
        }
    }
}

/// A node that vanishes without a word is convicted, after some silence; no other is.
pub(crate) fn kill(lab: &Lab) {
    let mut members = lab.cluster(3);
    let interval = lab.interval;
    let killed = members.pop().expect("there are three");
    let everybody = endpoints(&members).into_iter().chain([killed.endpoint()]).collect::<Vec<_>>();
    members.iter_mut().for_each(|member| member.assert_up(&everybody));
    let killed_at = Instant::now();
    killed.abandon().wait();
    for member in &mut members {
        let cause = member.wait_for_down(killed.endpoint());
        let silence = killed_at.elapsed();
        assert!(matches!(cause, DownCause::Convicted { phi } if phi > 8.0), "{cause:?}");
        if silence < interval * 5 {
            // It may have been silent before.
            TooSlow(format!("{member:?} convicts {killed:?} after {silence:?}")).end();
        }
        assert_eq!(member.info(killed.endpoint()).expect("it is known").standing, Standing::Unreachable);
    }
    let left = endpoints(&members);
    members.iter_mut().for_each(|member| member.assert_up(&left));
    all_live(&members);
}

/// A port that is taken cannot be listened on; the error names it.
pub(crate) fn port_taken(lab: &Lab) {
    let first = lab.start(lab.spec());
    let second = lab.try_start(lab.spec().listen(first.listen_address()));
    match second.map(|member| member.endpoint()) {
        Err(StartError::Bind { address, .. }) => assert_eq!(address, first.listen_address()),
        other => panic!("{other:?}"),
    }
    assert!(first.stats().wait().is_ok());
}

/// A node whose last handle is dropped shuts down as if it were asked to.
pub(crate) fn last_handle_dropped(lab: &Lab) {
    let mut members = lab.cluster(2);
    let dropped = members.pop().expect("there are two");
    let (endpoint, address) = (dropped.endpoint(), dropped.listen_address());
    let clone = (*dropped).clone();
    drop(dropped);
    assert!(clone.stats().wait().is_ok(), "one handle is left");
    let mut events = clone.subscribe();
    drop(clone);
    members[0].wait_for_shutdown(endpoint);
    while events.wait_timeout(DEADLINE).expect("the end is reported").is_ok() {}
    eventually((address, "is free"), || lab.is_free(address));
}

/// A node whose seeds do not answer does what it is asked, and does not wait for them to stop.
pub(crate) fn shutdown_while_seeds_are_silent(lab: &Lab) {
    let (seed, saved) = (DeadEnd::new(lab.transport), DeadEnd::new(lab.transport));
    let long = DEADLINE * 20;
    let spec = || {
        let mut spec = lab.spec().seed(seed.address).tune(move |config| {
            config.change_timeouts(|timeouts| {
                timeouts.connect = long;
                timeouts.handshake = long;
                timeouts.idle = long;
            })
        });
        spec.saved.push(saved.address);
        spec
    };
    let lonely = lab.start(spec());
    let other = lab.start(spec());
    let members = [lab.start(spec().seed(other.listen_address())), other];
    all_live(&members);
    for node in members.iter().chain([&lonely]) {
        eventually((node, "has tried its seed"), || {
            let counters = node.counters();
            match lab.transport {
                Transport::Datagram => counters.packets_sent > 0,
                _ => counters.connections > 0,
            }
        });
        let asked = Instant::now();
        node.shutdown().wait().unwrap();
        assert!(asked.elapsed() < DEADLINE, "{:?}", asked.elapsed());
        assert!(lab.is_free(node.listen_address()));
    }
}
