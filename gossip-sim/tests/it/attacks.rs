//! Some hosts attack the others, clocks are wrong, hosts pause: no honest node is starved meanwhile, and once it is over all agree.

use std::time::Duration;

use gossip_core::{ConfigBuilder, KeyRing, SealKey, Standing};
use gossip_sim::{Attack, Builder, Cluster, View, seconds};

use crate::support::{Choices, all_agree, convictions};

/// The honest hosts come first; the last of them starts late.
const HONEST: usize = 5;
const HOSTS: usize = HONEST + 2;
const NEWCOMER: usize = HONEST - 1;

/// So that what there is of everything can be used up by few.
fn with_small_limits(config: ConfigBuilder) -> ConfigBuilder {
    config.change_limits(|limits| {
        limits.max_inbound_bytes = 1 << 20;
        limits.max_connections = 64;
        limits.max_dials = 8;
        limits.max_handshakes = 16;
        limits.max_endpoints = 5_000;
    })
}

fn under_attack(seed: u64, attack: Attack) -> Cluster {
    // Frames come in pieces, as they do now and then from any socket.
    let cluster = Cluster::new(HOSTS).seed(seed).streams().chunks(4_000).socket_buffer(100_000);
    // With few places for connections, memory could not be used up.
    let max_connections = if attack == Attack::UnfinishedMessages { 512 } else { 64 };
    let configure = move |_, config| {
        with_small_limits(config).change_limits(|limits| limits.max_connections = max_connections)
    };
    cluster.configure(configure).start_only(0..NEWCOMER)
}

/// Runs until `is_done`; says who does not know whom, if that takes too long.
fn wait(cluster: &mut Cluster, limit: u64, mut is_done: impl FnMut(&View<'_>) -> bool) -> Duration {
    let begin = cluster.now();
    while !is_done(&cluster.view()) {
        if cluster.now() >= begin + seconds(limit) {
            let mut told = String::new();
            for (host, gossiper) in cluster.view().running() {
                for (other, process) in cluster.view().running() {
                    let endpoint = process.local_endpoint();
                    let known = gossiper.heartbeat(endpoint).map(|known| known.generation);
                    if gossiper.standing(endpoint) != Some(Standing::Live)
                        || known != Some(process.generation())
                    {
                        let (standing, own) = (gossiper.standing(endpoint), process.generation());
                        told += &format!("{host} finds {other} {standing:?}, at {known:?} of {own:?}; ");
                    }
                }
            }
            panic!("not done within {limit} s: {told}");
        }
        cluster.run_for(Duration::from_millis(100));
    }
    cluster.now().saturating_since(begin)
}

/// Two hosts attack all others, for minutes. What would take seconds without them takes not much longer.
fn nobody_honest_is_starved_by(attack: Attack) {
    for seed in 1..=2 {
        let mut cluster = under_attack(seed, attack);
        cluster.run_until(|view| view.all_live(), seconds(20));
        for host in HONEST..HOSTS {
            cluster.attack(host, attack);
        }
        cluster.run_for(seconds(30));
        assert_eq!(convictions(&cluster, HONEST), [], "{attack:?}, seed {seed}");
        // A newcomer that no node knows.
        let newcomer = cluster.restart(NEWCOMER);
        let took = wait(&mut cluster, 30, |view| view.all_know(newcomer) && view.all_live());
        eprintln!("{attack:?}, seed {seed}: {took:?} until all are live");
        // The seed that all ask first, and one that is no seed.
        for host in [0, 3] {
            let restarted = cluster.restart(host);
            let took = wait(&mut cluster, 30, |view| view.all_know(restarted) && view.all_live());
            eprintln!("{attack:?}, seed {seed}: {took:?} until {host} is live again");
        }
        for host in HONEST..HOSTS {
            cluster.kill(host);
        }
        wait(&mut cluster, 10, |view| view.all_live() && all_agree(view));
    }
}

#[test]
fn nobody_is_starved_by_connections_that_stay_silent() {
    nobody_honest_is_starved_by(Attack::SilentConnections);
}

#[test]
fn nobody_is_starved_by_connections_that_are_idle() {
    nobody_honest_is_starved_by(Attack::IdleConnections);
}

#[test]
fn nobody_is_starved_by_messages_that_are_never_finished() {
    nobody_honest_is_starved_by(Attack::UnfinishedMessages);
}

#[test]
fn nobody_is_starved_by_names_that_cannot_be_reached() {
    nobody_honest_is_starved_by(Attack::UnreachableNames);
}

#[test]
fn nobody_is_starved_by_claims_without_substance() {
    nobody_honest_is_starved_by(Attack::EmptyClaims);
}

/// A hostile host opens its connections anew as they end, more of them than there are places.
#[test]
fn a_restarted_neighbour_is_live_within_three_seconds_while_one_host_floods_all_others() {
    for attack in [Attack::SilentConnections, Attack::IdleConnections] {
        for seed in 1..=4 {
            let cluster = Cluster::new(4).seed(seed).streams().chunks(4_000).socket_buffer(100_000);
            // It has forty to each of the others: all places for connections, and more than there are for handshakes.
            let configure = |_, config| {
                with_small_limits(config).change_limits(|limits: &mut gossip_core::Limits| {
                    limits.max_connections = 40;
                    limits.max_handshakes = 16;
                })
            };
            let mut cluster = cluster.configure(configure).start_only(0..3);
            cluster.run_until(|view| view.all_live(), seconds(20));
            cluster.attack(3, attack);
            cluster.run_for(seconds(30));
            for host in [1, 2, 0] {
                let restarted = cluster.restart(host);
                let took = wait(&mut cluster, 3, |view| view.all_know(restarted) && view.all_live());
                eprintln!("{attack:?}, seed {seed}: {took:?} until {host} is live again");
                cluster.run_for(seconds(5));
            }
        }
    }
}

const DAY: i64 = 24 * 60 * 60;

/// All faults are over. A host whose clock was more than a year ahead starts again, as one that died does: it may have a generation that
/// no node takes, and may have taken one of another such host.
fn calm(cluster: &mut Cluster, far_ahead: &mut [bool; HONEST]) {
    for host in HONEST..HOSTS {
        cluster.kill(host);
    }
    for (host, was_far_ahead) in far_ahead.iter_mut().enumerate() {
        cluster.set_clock(host, 0);
        cluster.resume(host);
        if std::mem::take(was_far_ahead) || cluster.view().gossiper(host).is_none() {
            cluster.restart(host);
        }
    }
}

/// Clocks are ahead or behind, hosts lose what they stored, stand still, or attack. Now and then all of it is over.
fn meddle(builder: Builder, seed: u64, episodes: usize) {
    let mut cluster = builder.seed(seed).start_only(0..HONEST);
    let mut choices = Choices(seed);
    let can_attack = cluster.carries_bytes();
    let mut far_ahead = [false; HONEST];
    for episode in 0..episodes {
        for _ in 0..8 {
            let host = choices.below(HONEST);
            match choices.below(if can_attack { 11 } else { 9 }) {
                0 | 1 => {
                    let ahead = [60, DAY, 200 * DAY, 730 * DAY, -DAY, -730 * DAY][choices.below(6)];
                    cluster.set_clock(host, ahead);
                    far_ahead[host] |= ahead > 365 * DAY;
                }
                2 => cluster.set_clock(host, 0),
                3 | 4 => {
                    cluster.restart(host);
                }
                5 => {
                    // A new disk, and a clock that is set right.
                    cluster.set_clock(host, 0);
                    cluster.wipe(host);
                    cluster.restart(host);
                }
                6 => cluster.stall(host),
                7 => cluster.resume(host),
                8 => cluster.kill(host),
                _ => cluster.attack(HONEST + choices.below(HOSTS - HONEST), Attack::ALL[choices.below(5)]),
            }
            cluster.run_for(seconds(1 + choices.below(20) as u64));
        }
        calm(&mut cluster, &mut far_ahead);
        // A node that lost its generation has to raise the new one above it, which it does now and then.
        let took = wait(&mut cluster, 2 * 3_600, |view| view.all_live() && all_agree(view));
        eprintln!("seed {seed}, episode {episode}: {took:?} until all agree");
    }
    cluster.run_rounds(60);
    assert!(cluster.view().all_live() && all_agree(&cluster.view()), "they agreed, and do no more");
}

fn sealed(config: ConfigBuilder) -> ConfigBuilder {
    config.keys(KeyRing::new([SealKey::new([7; 32])]).expect("there is a key"))
}

#[test]
fn nodes_agree_once_clocks_are_right_and_attacks_are_over() {
    for seed in 1..=3 {
        let streams = Cluster::new(HOSTS).streams().chunks(4_000).socket_buffer(100_000);
        meddle(streams.configure(|_, config| with_small_limits(config)), seed, 3);
    }
}

#[test]
fn nodes_that_send_packets_agree_once_clocks_are_right() {
    for seed in 1..=3 {
        meddle(Cluster::new(HOSTS).datagrams(), seed, 6);
        meddle(Cluster::new(HOSTS).datagrams().configure(|_, config| sealed(config)), seed, 6);
    }
}

/// A host starts while its clock is ahead; then the clock is set right, its disk is replaced, and it starts again.
#[test]
fn a_node_is_heard_whose_clock_was_ahead_and_whose_generation_is_lost() {
    for seed in 1..=3 {
        for ahead in [3_600, 200 * DAY, 730 * DAY] {
            for builder in [
                Cluster::new(4).streams(),
                Cluster::new(4).datagrams(),
                Cluster::new(4).datagrams().configure(|_, config| sealed(config)),
            ] {
                let mut cluster = builder.seed(seed).start();
                wait(&mut cluster, 20, |view| view.all_live());
                cluster.set_clock(3, ahead);
                cluster.restart(3);
                cluster.run_for(seconds(20));
                cluster.set_clock(3, 0);
                cluster.wipe(3);
                cluster.restart(3);
                wait(&mut cluster, 60, |view| view.all_live() && all_agree(view));
            }
        }
    }
}
