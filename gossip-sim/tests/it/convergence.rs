//! Everybody learns of everybody, and of what changes.

use std::time::Duration;

use gossip_core::{ApplicationState, Budgets, Event, MessagingVersion, Standing, Timestamp};
use gossip_sim::{Cluster, seconds};

use crate::support::convictions;

#[test]
fn clusters_of_all_sizes_converge() {
    for (hosts, limit) in [(3, 10), (10, 15), (50, 25)] {
        let mut cluster = Cluster::new(hosts).seed(7).seeds(1).start();
        let took = cluster.run_until(|view| view.all_live(), seconds(limit));
        eprintln!("{hosts} nodes: everybody live everywhere after {took:?}");
        let version = cluster.set_state(1, ApplicationState::LOAD, "12345.0").unwrap();
        let endpoint = cluster.endpoint(1);
        let took = cluster.run_until(|view| view.knows_version(endpoint, version), seconds(15));
        eprintln!("{hosts} nodes: a value is everywhere after {took:?}");
        assert!(cluster.view().all_have(endpoint, ApplicationState::LOAD, "12345.0"));
        cluster.run_rounds(60);
        assert_eq!(convictions(&cluster, hosts), []);
        assert!(cluster.view().all_live());
    }
}

/// One of each: less than one counts as one. But where an exchange may be about one endpoint alone, the heartbeats of twenty come too late.
fn least(budgets: &mut Budgets) {
    budgets.max_entries = 8;
    for budget in [
        &mut budgets.max_requests,
        &mut budgets.max_unknown,
        &mut budgets.max_news,
        &mut budgets.first_echoes,
        &mut budgets.max_echoes,
        &mut budgets.max_repeats,
        &mut budgets.max_rows,
        &mut budgets.max_greetings,
        &mut budgets.max_deferred,
        &mut budgets.max_closed,
    ] {
        *budget = 0;
    }
}

#[test]
fn with_the_least_budgets_all_still_learn_of_all() {
    for name in ["messages", "datagrams", "streams"] {
        let builder = || {
            let builder = Cluster::new(20).seed(5).seeds(2);
            match name {
                "datagrams" => builder.datagrams(),
                "streams" => builder.streams(),
                _ => builder,
            }
        };
        let usual = builder().start().run_until(|view| view.all_live(), seconds(60));
        let mut cluster = builder().configure(|_, config| config.change_budgets(least)).start();
        let took = cluster.run_until(|view| view.all_live(), seconds(60));
        eprintln!("{name}: everybody live everywhere after {took:?}, and {usual:?} with the usual budgets");
        assert!(took > usual, "{name}");
        let version = cluster.set_state(1, ApplicationState::LOAD, "12345.0").unwrap();
        let endpoint = cluster.endpoint(1);
        let took = cluster.run_until(|view| view.knows_version(endpoint, version), seconds(60));
        eprintln!("{name}: a value is everywhere after {took:?}");
        cluster.run_rounds(60);
        assert_eq!(convictions(&cluster, 20), [], "{name}");
        assert!(cluster.view().all_live(), "{name}");
    }
}

#[test]
fn short_intervals_scale_everything() {
    let mut cluster = Cluster::new(5)
        .interval(Duration::from_millis(50))
        .latency(Duration::from_micros(100), Duration::from_millis(1))
        .start();
    cluster.run_until(|view| view.all_live(), Duration::from_millis(750));
    cluster.run_rounds(100);
    cluster.kill(4);
    let dead = cluster.endpoint(4);
    let took = cluster.run_until(|view| view.all_see(dead, Standing::Unreachable), seconds(2));
    assert!(took >= Duration::from_millis(750), "{took:?} are 15 intervals");
}

#[test]
fn both_messaging_versions_converge_alone_and_mixed() {
    for version in [MessagingVersion::V12, MessagingVersion::V13] {
        for mixed in [false, true] {
            let mut builder = Cluster::new(6).seed(3).messaging_version(version);
            if mixed {
                builder = builder
                    .messaging_version_of(0, MessagingVersion::V12)
                    .messaging_version_of(1, MessagingVersion::V13);
            }
            let mut cluster = builder.start();
            cluster.run_until(|view| view.all_live(), seconds(20));
            cluster.stop(5);
            let stopped = cluster.endpoint(5);
            cluster.run_until(|view| view.all_see(stopped, Standing::Unreachable), seconds(5));
        }
    }
}

#[test]
fn restarted_node_shows_its_greater_generation_and_is_up_everywhere() {
    for streams in [false, true] {
        let mut builder = Cluster::new(8).seed(11).loss_percent(10);
        if streams {
            builder = builder.streams();
        }
        let mut cluster = builder.start();
        cluster.run_until(|view| view.all_live(), seconds(60));
        let before = cluster.gossiper(2).generation();
        let at = cluster.now();
        let restarted = cluster.restart(2);
        assert!(restarted.generation > before);
        let took = cluster.run_until(|view| view.all_know(restarted) && view.all_live(), seconds(60));
        eprintln!("streams: {streams}: a restarted node is up everywhere after {took:?}");
        for host in (0..8).filter(|host| *host != 2) {
            let told: Vec<Event> =
                cluster.events(host).iter().filter(|event| event.0 >= at).map(|event| event.1).collect();
            let restart =
                Event::Restarted { endpoint: restarted.endpoint, old: before, new: restarted.generation };
            let up = Event::Up { endpoint: restarted.endpoint, generation: restarted.generation };
            let at_restart = told.iter().position(|event| *event == restart);
            let at_up = told.iter().position(|event| *event == up);
            assert!(at_restart.is_some() && at_restart < at_up, "host {host}: {told:?}");
        }
    }
}

#[test]
fn each_others_seeds_meet_in_any_order_of_starts() {
    for streams in [false, true] {
        for (first, second) in [(0, 1), (1, 0)] {
            let mut builder = Cluster::new(2).seeds(2);
            if streams {
                builder = builder.streams();
            }
            let mut cluster = builder.start_only([first]);
            cluster.run_for(seconds(45));
            let silent = |(_, event): &(Timestamp, Event)| matches!(event, Event::SeedsSilent { .. });
            assert!(cluster.events(first).iter().any(silent), "it says that its seed is silent");
            cluster.restart(second);
            cluster.run_until(|view| view.all_live(), seconds(6));
        }
    }
}

#[test]
fn one_seed_gives_one_run() {
    let run = |seed| {
        let mut cluster = Cluster::new(6).seed(seed).loss_percent(5).duplicate_percent(5).reorder().start();
        cluster.run_rounds(30);
        cluster.restart(3);
        cluster.run_rounds(30);
        let events: Vec<_> = (0..6).map(|host| cluster.events(host).to_vec()).collect();
        (events, cluster.traffic())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// With a lesser generation it would have to yield its address, which the others know under another host id.
#[test]
fn a_machine_that_is_set_up_anew_is_live_again_whatever_it_lost() {
    let mut cluster = Cluster::new(5).seed(4_309).streams().start();
    cluster.run_until(|view| view.all_live(), seconds(20));
    let before = cluster.view().gossiper(3).map(|gossiper| gossiper.generation());
    cluster.kill(3);
    cluster.wipe(3);
    cluster.set_clock(3, -1_500);
    cluster.run_rounds(15);
    cluster.change_host_id(3);
    assert!(Some(cluster.restart(3).generation) > before);
    cluster.run_until(|view| view.all_live(), seconds(30));
    assert!(cluster.view().all_live());
}
