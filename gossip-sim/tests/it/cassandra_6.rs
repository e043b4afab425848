//! Guests in clusters of nodes that behave like those of Cassandra 6.0: their SYNs carry the identifier of the cluster's metadata, and they
//! answer no SYN that carries another.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;

use gossip_core::{
    ApplicationState, CASSANDRA_PARTITIONER, ConfigBuilder, Event, MetadataId, MetadataOrigin, Phase,
    Standing, StatusKind, Timestamp, UpgradeSign, encode_tokens,
};
use gossip_sim::{Builder, Cluster, seconds};

const ID: MetadataId = MetadataId::new(2_130_713_573);
const STATUS: ApplicationState = ApplicationState::STATUS_WITH_PORT;

/// A member of a Cassandra cluster, of this release.
fn member(host: usize, config: ConfigBuilder, release: &str) -> ConfigBuilder {
    config
        .partitioner(CASSANDRA_PARTITIONER)
        .state(ApplicationState::RELEASE_VERSION, release)
        .state(ApplicationState::TOKENS, &encode_tokens(&[i64::try_from(host).unwrap()]))
}

/// One of Cassandra 6.0.
fn member_of_6(host: usize, config: ConfigBuilder, id: MetadataId) -> ConfigBuilder {
    member(host, config, "6.0.0").state(ApplicationState::NET_VERSION, "14").metadata_service(id)
}

/// So many hosts, of which the last is a guest and the others are of 6.0.
fn with_guest(hosts: usize, seed: u64) -> Builder {
    Cluster::new(hosts)
        .seed(seed)
        .seeds(hosts - 1)
        .streams()
        .guests([hosts - 1])
        .configure(|host, config| member_of_6(host, config, ID))
}

/// So many hosts, of which the last only asks and the others are of 6.0.
fn with_question(hosts: usize, ask: impl Fn(ConfigBuilder) -> ConfigBuilder + Send + 'static) -> Cluster {
    let builder = Cluster::new(hosts).seeds(1).streams().configure(move |host, config| {
        if host == hosts - 1 {
            ask(config
                .partitioner(CASSANDRA_PARTITIONER)
                .change_membership(|membership| membership.only_asks = true))
        } else {
            member_of_6(host, config, ID)
        }
    });
    builder.start_only(0..hosts - 1)
}

/// How many SYNs got no answer since they carried another identifier.
fn unanswered(cluster: &Cluster, nodes: impl IntoIterator<Item = usize>) -> u64 {
    nodes.into_iter().map(|host| cluster.gossiper(host).stats().foreign_metadata).sum()
}

fn text(cluster: &Cluster, host: usize, of: usize, key: ApplicationState) -> Option<String> {
    let value = cluster.gossiper(host).value(cluster.endpoint(of), key);
    value.map(|(text, _)| text.to_text().into_owned())
}

#[test]
fn a_guest_asks_for_the_identifier_and_joins() {
    let mut cluster = with_guest(3, 1).start();
    cluster.run_until(|view| view.all_live(), seconds(30));
    cluster.run_rounds(60);
    assert!(cluster.view().all_live());
    assert_eq!(unanswered(&cluster, 0..2), 0, "no SYN went out without it");
    let (id, origin) = cluster.gossiper(2).metadata_id();
    assert_eq!(id, ID);
    assert!(matches!(origin, MetadataOrigin::Answer { .. }), "{origin:?}");
    let changes = cluster.events(2).iter().filter(|(_, event)| {
        matches!(event, Event::MetadataIdChanged { old: MetadataId::NONE, new: ID, .. })
    });
    assert_eq!(changes.count(), 1);
    for host in 0..2 {
        assert_eq!(text(&cluster, host, 2, ApplicationState::NET_VERSION).as_deref(), Some("14"));
        assert_eq!(text(&cluster, host, 2, ApplicationState::RELEASE_VERSION).as_deref(), Some("6.0.0"));
        assert_eq!(cluster.gossiper(host).stats().malformed, 0);
    }
}

#[test]
fn a_guest_survives_another_identifier_with_one_unanswered_syn_at_the_most() {
    for seed in 1..=12 {
        let mut cluster = with_guest(4, seed).start();
        cluster.run_until(|view| view.all_live(), seconds(30));
        cluster.run_rounds(20);
        let before = cluster.events(3).len();
        let new = MetadataId::new(-1_062_724_510);
        for host in 0..3 {
            cluster.set_metadata_service(host, new);
        }
        cluster.run_rounds(60);
        let count = unanswered(&cluster, 0..3);
        assert!(count <= 1, "seed {seed}: {count}");
        assert_eq!(cluster.gossiper(3).metadata_id().0, new, "seed {seed}");
        let told: Vec<_> = cluster.events(3)[before..]
            .iter()
            .filter(|(_, event)| matches!(event, Event::MetadataIdChanged { .. } | Event::Down { .. }))
            .collect();
        assert!(matches!(told[..], [(_, Event::MetadataIdChanged { old: ID, .. })]), "seed {seed}: {told:?}");
        assert!(cluster.view().all_live(), "seed {seed}");
    }
}

#[test]
fn a_question_is_answered_in_less_than_a_second() {
    let mut cluster = with_question(3, |config| config);
    cluster.run_rounds(10);
    let asked = cluster.restart(2);
    let took = cluster.run_until(
        |view| view.gossiper(2).is_some_and(|gossiper| gossiper.phase() == Phase::Disabled),
        seconds(30),
    );
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(unanswered(&cluster, 0..2), 0);
    assert!(text(&cluster, 2, 1, STATUS).is_some());
    for host in 0..2 {
        assert_eq!(cluster.gossiper(host).standing(asked.endpoint), None, "nothing is left of it");
    }
}

#[test]
fn a_wrong_identifier_by_hand_is_told_before_a_syn_goes_out() {
    let wrong = MetadataId::new(5);
    let mut cluster = with_question(3, move |config| config.metadata_id(wrong));
    cluster.run_rounds(10);
    cluster.restart(2);
    let begin = cluster.now();
    cluster.run_rounds(10);
    let by = cluster.endpoint(0);
    let refused = Event::MetadataIdRefused { by, given: wrong, theirs: ID };
    let told: Vec<Timestamp> =
        cluster.events(2).iter().filter(|(_, event)| *event == refused).map(|(at, _)| *at).collect();
    assert!(matches!(told[..], [at] if at.saturating_since(begin) < Duration::from_secs(5)), "{told:?}");
    assert_eq!(unanswered(&cluster, 0..2), 0);
}

#[test]
fn the_right_identifier_by_hand_does_no_harm() {
    let mut cluster = with_question(2, |config| config.metadata_id(ID));
    cluster.run_rounds(10);
    cluster.restart(1);
    cluster.run_until(
        |view| view.gossiper(1).is_some_and(|gossiper| gossiper.phase() == Phase::Disabled),
        seconds(5),
    );
}

/// The log says LEFT under the version under which the member itself said LEAVING: digests do not differ (`docs/protocol/cassandra-6.md`).
#[test]
fn a_guest_sees_that_a_member_has_left_though_no_digest_tells() {
    for seed in 1..=4 {
        let mut cluster = with_guest(4, seed).start();
        cluster.run_until(|view| view.all_live(), seconds(30));
        cluster.set_state(2, STATUS, "LEAVING,2").unwrap();
        let leaving = cluster.endpoint(2);
        cluster.run_until(|view| view.all_have(leaving, STATUS, "LEAVING,2"), seconds(30));
        let version = cluster.gossiper(3).value(leaving, STATUS).unwrap().1;
        for host in 0..2 {
            cluster.merge_from_log(host, leaving, STATUS, "LEFT,2,1900000000000");
        }
        cluster.kill(2);
        cluster.run_until(
            |view| {
                view.gossiper(3).is_some_and(|gossiper| {
                    gossiper.endpoint_info(leaving).is_some_and(|info| info.status == StatusKind::Left)
                })
            },
            seconds(30),
        );
        assert_eq!(cluster.gossiper(3).value(leaving, STATUS).unwrap().1, version);
        cluster.run_rounds(30);
        assert_eq!(cluster.gossiper(3).standing(leaving), Some(Standing::Unreachable));
        let left = |event: &Event| matches!(event, Event::Left { endpoint, .. } if *endpoint == leaving);
        assert_eq!(cluster.events(3).iter().filter(|(_, event)| left(event)).count(), 1, "reported once");
    }
}

/// A node knows of others what its log says, before it has heard of them by gossip.
#[test]
fn a_question_shows_members_that_are_known_from_the_log_alone() {
    let mut cluster = with_question(2, |config| config);
    let unheard = gossip_core::Endpoint::v4([10, 9, 9, 9], 7000);
    cluster.merge_from_log(0, unheard, ApplicationState::DC, "dc1");
    cluster.merge_from_log(0, unheard, STATUS, "NORMAL,9");
    cluster.restart(1);
    cluster.run_until(
        |view| view.gossiper(1).is_some_and(|gossiper| gossiper.phase() == Phase::Disabled),
        seconds(5),
    );
    let info = cluster.gossiper(1).endpoint_info(unheard).unwrap();
    assert_eq!((info.status, info.heartbeat.version.get()), (StatusKind::Normal, 0));
}

/// 6.0 on data of an older release, beside nodes of 4.1 and 5.0: no identifier, and guests are to stay away.
#[test]
fn a_mixed_cluster_gossips_without_an_identifier_and_takes_no_guest() {
    let mut cluster = Cluster::new(4)
        .streams()
        .seeds(3)
        .guests([3])
        .configure(|host, config| match host {
            0 => member_of_6(host, config, MetadataId::NONE),
            1 => member(host, config, "5.0.2"),
            _ => member(host, config, "4.1.7"),
        })
        .start_only(0..3);
    cluster.run_until(|view| view.all_live(), seconds(30));
    assert_eq!(unanswered(&cluster, [0]), 0);
    cluster.restart(3);
    cluster.run_rounds(10);
    let ended = cluster.events(3).iter().find_map(|(_, event)| match *event {
        Event::Withdrawn { sign, .. } => Some(sign),
        _ => None,
    });
    assert!(matches!(ended, Some(UpgradeSign::Release | UpgradeSign::Version)), "{:?}", cluster.events(3));
    for host in 0..3 {
        assert_eq!(cluster.gossiper(host).standing(cluster.endpoint(3)), None, "nothing is left of it");
    }
    // Once the service is initialised, it comes and stays.
    cluster.kill(1);
    cluster.kill(2);
    cluster.set_metadata_service(0, ID);
    cluster.restart(3);
    let guest = cluster.endpoint(3);
    cluster.run_until(
        |view| view.gossiper(0).is_some_and(|node| node.standing(guest) == Some(Standing::Live)),
        seconds(10),
    );
}

/// Three nodes of 6.0 on data of an older release, and a guest, which has left for that.
fn upgrading(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(4)
        .seed(seed)
        .streams()
        .seeds(3)
        .guests([3])
        .configure(|host, config| match host {
            3 => config.partitioner(CASSANDRA_PARTITIONER),
            _ => member_of_6(host, config, MetadataId::NONE),
        })
        .start_only(0..3);
    cluster.run_until(|view| view.all_live(), seconds(30));
    cluster.restart(3);
    cluster.run_rounds(10);
    assert_eq!(count(&cluster, |event| matches!(event, Event::Withdrawn { .. })), 1, "seed {seed}");
    cluster
}

/// `cms initialize`, and a round in which the last SYNs of members without the identifier arrive.
fn switch(cluster: &mut Cluster) {
    for host in 0..3 {
        cluster.set_metadata_service(host, ID);
    }
    cluster.run_rounds(1);
}

/// How many events of the guest are such.
fn count(cluster: &Cluster, is_it: impl Fn(&Event) -> bool) -> usize {
    cluster.events(3).iter().filter(|(_, event)| is_it(event)).count()
}

/// Initialises the metadata service. The guest comes back once, stays, and sends no SYN without the identifier.
fn switch_and_see_it_back(cluster: &mut Cluster, seed: u64) {
    switch(cluster);
    let before = unanswered(cluster, 0..3);
    cluster.run_until(|view| view.all_live(), seconds(660));
    cluster.run_rounds(60);
    assert!(cluster.view().all_live(), "seed {seed}: it stays");
    assert_eq!(unanswered(cluster, 0..3), before, "seed {seed}: no SYN went out without the identifier");
    assert_eq!(count(cluster, |event| matches!(event, Event::Returned { .. })), 1, "seed {seed}");
}

/// `cms initialize` in the middle of a run: `docs/protocol/cassandra-6.md#upgrades-and-gossip-only-members`.
#[test]
fn a_guest_that_left_for_an_upgrade_comes_back_once_the_service_is_initialised() {
    for seed in 1..=6 {
        let mut cluster = upgrading(seed);
        let guest = cluster.endpoint(3);
        let asked = |cluster: &Cluster| -> u64 {
            (0..3).map(|host| cluster.gossiper(host).stats().syns_received).sum()
        };
        // A long upgrade, in which members gossip with one another alone.
        for _ in 0..30 {
            cluster.run_rounds(60);
            for host in 0..3 {
                assert_eq!(
                    cluster.gossiper(host).standing(guest),
                    None,
                    "seed {seed}: nothing is left of it"
                );
            }
        }
        assert_eq!(cluster.gossiper(3).phase(), Phase::Disabled, "seed {seed}");
        let sent = cluster.gossiper(3).stats().syns_sent;
        assert!(
            asked(&cluster) > 0 && sent <= 3,
            "seed {seed}: {sent} SYNs, one to each seed in its shadow round"
        );
        switch_and_see_it_back(&mut cluster, seed);
        assert_eq!(count(&cluster, |event| matches!(event, Event::Withdrawn { .. })), 1, "seed {seed}");
        assert_eq!(cluster.gossiper(3).metadata_id().0, ID, "seed {seed}");
    }
}

/// A rolling upgrade under a guest that is a member already, from its first node to the switch.
#[test]
fn a_guest_goes_when_an_upgrade_begins_and_comes_back_when_it_is_done() {
    for seed in 1..=4 {
        let upgraded = Arc::new(AtomicUsize::new(0));
        let of_6 = upgraded.clone();
        let mut cluster = Cluster::new(4)
            .seed(seed)
            .streams()
            .seeds(3)
            .guests([3])
            .configure(move |host, config| match host {
                3 => config.partitioner(CASSANDRA_PARTITIONER),
                _ if host < of_6.load(Ordering::Relaxed) => member_of_6(host, config, MetadataId::NONE),
                _ => member(host, config, "5.0.2"),
            })
            .start();
        cluster.run_until(|view| view.all_live(), seconds(30));
        assert_eq!(count(&cluster, |event| matches!(event, Event::Withdrawn { .. })), 0, "seed {seed}");
        for host in 0..3 {
            upgraded.store(host + 1, Ordering::Relaxed);
            cluster.restart(host);
            cluster.run_rounds(120);
            let standing = cluster.gossiper(host).standing(cluster.endpoint(3));
            assert_ne!(standing, Some(Standing::Live), "seed {seed}: it is away");
        }
        assert_eq!(count(&cluster, |event| matches!(event, Event::Withdrawn { .. })), 1, "seed {seed}");
        switch_and_see_it_back(&mut cluster, seed);
    }
}

/// The metadata service was initialised where nodes speak version 12 alone: no SYN can carry the identifier.
#[test]
fn a_node_that_cannot_answer_is_not_sent_a_syn_each_round() {
    let mut cluster = with_guest(3, 3).start();
    cluster.run_until(|view| view.all_live(), seconds(30));
    // Both take another identifier, and no node says so to the guest: it is asked for again, but seldom.
    cluster.cut(0, 2);
    cluster.cut(1, 2);
    for host in 0..2 {
        cluster.set_metadata_service(host, MetadataId::new(9));
    }
    cluster.run_rounds(30);
    let count = unanswered(&cluster, 0..2);
    assert!(count <= 30, "{count}");
    cluster.heal();
    cluster.run_rounds(90);
    assert_eq!(cluster.gossiper(2).metadata_id().0, MetadataId::new(9));
}
