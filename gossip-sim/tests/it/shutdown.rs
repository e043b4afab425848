//! An endpoint that announced its stop is shown as stopped until it starts again.

use gossip_core::{ApplicationState, DownCause, Event, MessagingVersion, Standing, StatusKind, Version};
use gossip_sim::{Cluster, Probe, View, seconds};

use crate::support::convictions;

const HOSTS: usize = 10;

fn is_shown_as_stopped(view: &View<'_>, stopped: gossip_core::Endpoint) -> bool {
    view.all_see(stopped, Standing::Unreachable)
        && view.running().filter(|(_, gossiper)| gossiper.local_endpoint() != stopped).all(|(_, gossiper)| {
            let heartbeat = gossiper.heartbeat(stopped).map(|heartbeat| heartbeat.version);
            let info = gossiper.endpoint_info(stopped);
            heartbeat == Some(Version::SHUTDOWN)
                && info.is_some_and(|info| info.status == StatusKind::Shutdown)
        })
}

/// Stops a node, watches it stay down, starts it again.
fn stop_and_restart<P: Probe>(cluster: &mut Cluster<P>, host: usize) {
    cluster.run_until(|view| view.all_live(), seconds(60));
    let stopped = cluster.endpoint(host);
    let at = cluster.now();
    cluster.shutdown(host);
    let took = cluster.run_until(|view| is_shown_as_stopped(view, stopped), seconds(30));
    eprintln!("shown as stopped everywhere after {took:?}");
    for _ in 0..120 {
        cluster.run_rounds(1);
        assert!(is_shown_as_stopped(&cluster.view(), stopped), "no node finds it up again");
    }
    let view = cluster.view();
    assert!(view.all_have(stopped, ApplicationState::STATUS_WITH_PORT, "shutdown,true"));
    for other in (0..HOSTS).filter(|other| *other != host) {
        let told = cluster.events(other).iter().filter(|(when, _)| *when >= at).map(|(_, event)| *event);
        let told: Vec<Event> = told
            .filter(|event| match event {
                Event::Up { endpoint, .. } | Event::Down { endpoint, .. } => *endpoint == stopped,
                _ => false,
            })
            .collect();
        assert!(
            matches!(told[..], [Event::Down { cause: DownCause::Shutdown, .. }]),
            "host {other} was told once: {told:?}"
        );
    }
    let restarted = cluster.restart(host);
    cluster.run_until(|view| view.all_know(restarted) && view.all_live(), seconds(60));
}

#[test]
fn stopped_node_is_shown_so_until_it_starts_again() {
    for version in [MessagingVersion::V12, MessagingVersion::V13] {
        for loss in [0, 20] {
            for seed in 1..=5 {
                eprint!("{version:?}, {loss} % loss: ");
                let mut cluster =
                    Cluster::new(HOSTS).seed(seed).messaging_version(version).loss_percent(loss).start();
                stop_and_restart(&mut cluster, 4);
                if loss == 0 {
                    assert_eq!(convictions(&cluster, HOSTS), []);
                }
            }
        }
    }
}

#[test]
fn stopped_node_is_shown_so_over_connections() {
    for loss in [0, 20] {
        eprint!("over connections, {loss} % loss: ");
        let mut cluster = Cluster::new(HOSTS).seed(6).streams().loss_percent(loss).start();
        stop_and_restart(&mut cluster, 4);
    }
}

#[test]
fn shutdown_is_learned_by_nodes_that_were_cut_off() {
    let mut cluster = Cluster::new(HOSTS).seed(8).start();
    cluster.run_until(|view| view.all_live(), seconds(60));
    cluster.partition([9], 0..9);
    cluster.stop(4);
    cluster.run_for(seconds(5));
    cluster.heal();
    let stopped = cluster.endpoint(4);
    cluster.run_until(|view| is_shown_as_stopped(view, stopped), seconds(30));
}
