//! The nodes of a trial: how much room they have, and whether they ask before they join.

use gossip_core::{Budgets, ConfigBuilder};

use super::{Carrier, Plan};
use crate::builder::Builder;
use crate::cluster::Cluster;
use crate::rng::Rng;

/// Each of more nodes than these has room for fewer pending messages and events than by default, so that thousands need less memory.
const MANY: usize = 1_000;

/// What a SYN without digests takes at the most in a trial, and a digest, in bytes.
const SYN_HEAD: usize = 128;
const DIGEST: usize = 15;

/// Nodes and network as the plan wants them.
pub(super) fn of(plan: &Plan, seed: u64) -> Builder {
    let builder: Builder = Cluster::<crate::NoProbe>::new(plan.nodes);
    let mut builder = builder
        .seed(seed)
        .latency(plan.latency.0, plan.latency.1)
        .loss_percent(plan.loss_percent)
        .duplicate_percent(plan.duplicate_percent);
    if plan.reorders {
        builder = builder.reorder();
    }
    if plan.is_tight {
        builder = tighten(builder, plan, seed);
    } else if plan.nodes > MANY {
        // Nodes that take in all that arrives at once seldom owe anything to more than a few.
        builder = builder.configure(|_, config| {
            config.change_limits(|limits| {
                limits.max_pending_acks = 2;
                limits.max_pending_peers = 256;
                limits.max_pending_events = 16;
            })
        });
    }
    if plan.ask_first {
        builder = ask_first(builder, plan, seed);
    }
    match plan.carrier {
        Carrier::Messages => builder,
        Carrier::Internode => builder.streams(),
        Carrier::Datagram => builder.datagrams(),
    }
}

/// Lets half of the nodes of a trial ask before they join. Each may take the address of a member that is not live.
fn ask_first(builder: Builder, plan: &Plan, seed: u64) -> Builder {
    let plan = plan.clone();
    builder.configure(move |host, config| {
        let is_asking = asks(&plan, seed, host);
        config.change_membership(|membership| {
            membership.shadow_round |= is_asking;
            membership.replace |= is_asking;
        })
    })
}

/// Whether the nodes of a host ask before they join.
pub(super) fn asks(plan: &Plan, seed: u64, host: usize) -> bool {
    plan.ask_first && Rng::split(seed, 0x6173_6b00_0000 + host as u64).percent(50)
}

/// Gives each node of a trial little room: half of its limits, chosen by the seed, are as low as a cluster of this size can do with.
fn tighten(builder: Builder, plan: &Plan, seed: u64) -> Builder {
    let nodes = plan.nodes;
    // All send packets of the same size. A SYN of all addresses fits one message, so that failures are found in time.
    let mut common = Rng::split(seed, 0x7469_6768);
    let addresses = 2 * nodes;
    let room = SYN_HEAD + addresses * DIGEST + between(&mut common, 0, 2_000);
    let packet = between(&mut common, 700, 1_400);
    // A node that does little at once seldom runs short of dials. So only half of the seeds lower both.
    let is_buggified = common.percent(50);
    let configure = move |host: usize, config: ConfigBuilder| {
        let mut rng = Rng::split(seed, 0x7469_6768_0000 + host as u64);
        let config = config.change_limits(|limits| {
            let mut tighten = |limit: &mut usize, low: usize, high: usize| {
                if rng.percent(50) {
                    *limit = between(&mut rng, low, high);
                }
            };
            // Each host has two addresses.
            tighten(&mut limits.max_endpoints, addresses, addresses + 4);
            tighten(&mut limits.max_tombstones, 1, addresses);
            // A node publishes nine values, and a receiver adds three when it stops.
            tighten(&mut limits.max_states, 12, 14);
            tighten(&mut limits.max_state_bytes, 1_024, 2_048);
            tighten(&mut limits.max_pending_acks, 2, 4);
            tighten(&mut limits.max_pending_peers, 256, 260);
            tighten(&mut limits.max_pending_events, 16, 32);
            // One each way with every node. With fewer, connections give way to each other.
            tighten(&mut limits.max_connections, nodes + nodes.div_ceil(2), addresses);
            tighten(&mut limits.max_dials, 1, 4);
            tighten(&mut limits.max_handshakes, 2, 8);
            tighten(&mut limits.max_address_connections, 2, 4);
            tighten(&mut limits.max_address_handshakes, 1, 4);
            tighten(&mut limits.max_address_endpoints, nodes, addresses);
            tighten(&mut limits.max_stranger_dials, 1, 4);
        });
        let config = match is_buggified {
            true => config.change_budgets(|budgets| buggify(budgets, nodes, seed, host)),
            false => config,
        };
        config.change_datagrams(|datagrams| {
            datagrams.max_size = packet;
            if rng.percent(50) {
                datagrams.max_per_syn = 2 + u16::from(rng.percent(50));
            }
            if rng.percent(50) {
                datagrams.max_rate = 16 << 10;
            }
        })
    };
    builder.room(room).configure(configure)
}

/// Makes half of the budgets of a node tiny, so that few nodes reach bounds that otherwise only thousands reach.
fn buggify(budgets: &mut Budgets, nodes: usize, seed: u64, host: usize) {
    let mut rng = Rng::split(seed, 0x6275_6767_0000 + host as u64);
    let mut lower = |budget: &mut usize, low: usize, high: usize| {
        if rng.percent(50) {
            *budget = between(&mut rng, low, high);
        }
    };
    lower(&mut budgets.max_requests, 4, 16);
    // Heartbeats of half of all fit an exchange. With fewer they would come too late.
    lower(&mut budgets.max_entries, nodes / 2, nodes);
    lower(&mut budgets.max_unknown, 2, 8);
    lower(&mut budgets.max_news, 1, 4);
    lower(&mut budgets.max_rows, 1, 4);
    lower(&mut budgets.max_greetings, 1, 2);
    lower(&mut budgets.max_deferred, 1, 2);
    lower(&mut budgets.max_closed, 1, 2);
    lower(&mut budgets.first_echoes, 1, 8);
    lower(&mut budgets.max_echoes, 1, 8);
    lower(&mut budgets.max_repeats, 1, 2);
}

fn between(rng: &mut Rng, low: usize, high: usize) -> usize {
    low + usize::try_from(rng.below((high - low + 1) as u64)).unwrap_or(0)
}
