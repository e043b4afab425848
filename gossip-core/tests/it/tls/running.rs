//! While a cluster runs: certificates are replaced, and a run can be repeated.

use gossip_core::{Event, TlsFault};

use super::keys::Keys;
use super::{Net, config, seconds, strict};

#[test]
fn certificates_and_authorities_are_replaced_while_nobody_is_found_down() {
    let (old, new) = (Keys::new("old authority"), Keys::new("new authority"));
    let settings = |number: usize, keys: &Keys, trusted: &[&Keys]| {
        let (chain, key) = keys.node(number);
        gossip_core::Tls::builder(super::keys::provider())
            .identity(chain, key)
            .trusted(trusted.iter().map(|keys| keys.authority()).collect())
            .build()
            .unwrap()
    };
    let mut net = Net::new((0..4).map(|at| {
        config(at).tls(settings(at, &old, &[&old])).change_timeouts(|timeouts| timeouts.idle = seconds(20))
    }));
    net.run(seconds(10));
    assert!(net.are_all_live());
    let opened = net.stats(0).tls_opened;
    // All trust both authorities, then all have a new certificate, then none trusts the old authority any more.
    for (keys, trusted) in [(&old, &[&old, &new][..]), (&new, &[&old, &new]), (&new, &[&new])] {
        for at in 0..4 {
            assert!(net.members[at].node.set_tls(Some(settings(at, keys, trusted))));
            net.run(seconds(2));
        }
    }
    assert_eq!(net.stats(0).tls_opened, opened, "connections that are open go on");
    // All connections are cut, and opened again under the new certificates.
    for ((at, connection), _) in core::mem::take(&mut net.ends) {
        net.arrivals.push_back((at, connection, super::Arrival::Closed));
    }
    net.run(seconds(20));
    assert!(net.are_all_live() && net.stats(0).tls_opened > opened);
    assert_eq!(net.downs(), 0);
    assert!((0..4).all(|at| net.faults(at).is_empty()));
    // A node with the old one is refused.
    net.add(config(4).tls(settings(4, &old, &[&old, &new])));
    net.run(seconds(10));
    assert!(!net.is_live(0, 4));
    assert!(matches!(net.faults(4)[..], [(_, true, TlsFault::Alert(48)), ..]), "{:?}", net.faults(4));
}

#[test]
fn the_same_run_does_the_same_whatever_the_provider_draws() {
    let keys = Keys::new("authority");
    let identities: Vec<_> = (0..3).map(|at| keys.node(at)).collect();
    let run = || {
        let mut net = Net::new(identities.iter().enumerate().map(|(at, (chain, key))| {
            let tls = gossip_core::Tls::builder(super::keys::provider())
                .identity(chain.clone(), key.clone_key())
                .trusted(vec![keys.authority()]);
            config(at).tls(tls.build().unwrap())
        }));
        net.run(seconds(20));
        // What the provider draws at random is within what is written, and nowhere else.
        let written: Vec<_> =
            net.written.iter().map(|(by, connection, bytes)| (*by, *connection, bytes.len())).collect();
        let events: Vec<Vec<Event>> = net.members.iter().map(|member| member.events.clone()).collect();
        (written, events, [0, 1, 2].map(|at| net.stats(at)))
    };
    let (first, second) = (run(), run());
    assert!(first.0.len() > 50);
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, second.1);
    assert_eq!(first.2, second.2);
}

#[test]
fn a_large_answer_and_pings_pass_under_tls_as_they_do_without() {
    let keys = Keys::new("authority");
    let value = "x".repeat(30_000);
    let states = 1_000..1_006;
    let mut net = Net::new((0..2).map(|at| {
        let config = config(at).tls(strict(&keys, at).build().unwrap());
        states
            .clone()
            .fold(config, |config, key| config.state(gossip_core::ApplicationState::new(key), &value))
    }));
    // A node that joins takes the whole state in one answer, larger than an ordinary frame.
    net.run(seconds(5));
    net.add(
        config(2)
            .tls(strict(&keys, 2).build().unwrap())
            .change_membership(|membership| membership.shadow_round = true),
    );
    net.run(seconds(20));
    assert!(net.are_all_live());
    let known = net.members[2].node.gossiper();
    for key in states {
        let found = known.value(super::address(1), gossip_core::ApplicationState::new(key));
        assert!(found.is_some_and(|(found, _)| found.to_string() == value), "{key}");
    }
    assert!(net.stats(0).snapshots > 0);
}
