//! What becomes of a world in which nothing goes wrong any more.

use gossip_core::{Gossiper, Standing};

use crate::host::endpoint_of;
use crate::world::World;

/// After so many rounds all must agree: who is dead is convicted by then, who is ignored for its silence is heard again, and who was asked in
/// vain has been asked anew.
const ROUNDS: u64 = 150;

/// For so many rounds it must stay so.
const STAYS: u32 = 2;

/// How many messages one round of all leads to, at the most.
const MAX_LETTERS: usize = 200;

/// Lets rounds begin in turn and every message arrive, until all agree. False if they do not within the bound.
pub(crate) fn come_to_rest(world: &mut World) -> bool {
    let mut stays = 0;
    for round in 0..ROUNDS {
        for host in 0..world.hosts.len() {
            if world.hosts[host].process.is_some() {
                world.round(host, round);
            }
            let mut arrived = 0;
            while !world.letters.is_empty() {
                let letter = world.letters.remove(0);
                if world.is_deliverable(&letter) {
                    world.deliver(&letter);
                }
                arrived += 1;
                if arrived > MAX_LETTERS {
                    return false;
                }
            }
        }
        if world.broken.is_some() {
            return false;
        }
        stays = if agrees(world) { stays + 1 } else { 0 };
        if stays >= STAYS {
            return true;
        }
    }
    false
}

/// Whether all that run know of each other what each says of itself, and take each other, and no other node, for live.
fn agrees(world: &World) -> bool {
    let running = || world.hosts.iter().filter_map(|host| Some((host.number, host.gossiper()?)));
    running().all(|(number, gossiper)| {
        (0..world.hosts.len()).filter(|other| *other != number).all(|other| {
            let endpoint = endpoint_of(other);
            let is_live = gossiper.standing(endpoint) == Some(Standing::Live);
            match world.hosts[other].gossiper() {
                // Its operator declared it as left, and it does not know. It is not heard, and so hears nothing.
                Some(owner) if refuses(gossiper, owner) => !is_live,
                Some(owner) if refuses(owner, gossiper) => true,
                Some(owner) => is_live && knows_as(gossiper, owner),
                None => {
                    // What is left of it is the same everywhere.
                    let same = |also: &Gossiper| {
                        let (ours, theirs) = (gossiper.heartbeat(endpoint), also.heartbeat(endpoint));
                        ours.is_none()
                            || theirs.is_none()
                            || (ours == theirs && values(gossiper, other).eq(values(also, other)))
                    };
                    !is_live && running().all(|(_, also)| same(also))
                }
            }
        })
    })
}

/// Whether a tombstone keeps this process of another endpoint away.
fn refuses(gossiper: &Gossiper, other: &Gossiper) -> bool {
    let (endpoint, generation) = (other.local_endpoint(), other.generation());
    gossiper.tombstones().any(|gone| gone.endpoint == endpoint && generation <= gone.generation)
}

fn knows_as(gossiper: &Gossiper, owner: &Gossiper) -> bool {
    let endpoint = owner.local_endpoint();
    gossiper.heartbeat(endpoint).is_some_and(|heartbeat| heartbeat.generation == owner.generation())
        && gossiper.values(endpoint).eq(owner.values(endpoint))
}

fn values(
    gossiper: &Gossiper,
    of: usize,
) -> impl Iterator<Item = (gossip_core::ApplicationState, gossip_core::wire::JavaStr<'_>, gossip_core::Version)>
{
    gossiper.values(endpoint_of(of))
}
