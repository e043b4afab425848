//! What the played endpoints know, and what they say to the node.
//!
//! Nothing is kept of them: how far a heartbeat has come is a function of time.

use std::time::{Duration, Instant};

use gossip_benches::messages::{CODEC, body, int, string};
use gossip_core::message::{Ack, Ack2, Digest, StateMap, Syn};
use gossip_core::{ApplicationState, DEFAULT_PARTITIONER, Endpoint, Generation, Version};

/// The name of the cluster.
pub(crate) const CLUSTER: &str = "idle";

/// The generation of all played endpoints.
const GENERATION: Generation = Generation::new(1_700_000_000);

/// Where their heartbeats begin: above the versions of all their values.
const FIRST_HEARTBEAT: u128 = 1_000;

/// How many states go into one message, whole or not: it has to fit 65,515 bytes.
const STATES_PER_MESSAGE: usize = 80;
const HEARTBEATS_PER_MESSAGE: usize = 2_000;

/// One of the played endpoints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Who(pub(crate) u16);

/// All of them.
pub(crate) struct World {
    count: u16,
    port: u16,
    interval: Duration,
    began: Instant,
    /// How far the node is known.
    node: Option<Digest>,
    /// How many states the node received, and sent.
    pub(crate) states_in: u64,
    pub(crate) states_out: u64,
}

impl World {
    pub(crate) fn new(count: u16, port: u16, interval: Duration) -> Self {
        Self { count, port, interval, began: Instant::now(), node: None, states_in: 0, states_out: 0 }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.count).map(Who)
    }

    pub(crate) fn endpoint(&self, who: Who) -> Endpoint {
        let [high, low] = (who.0 + 1).to_be_bytes();
        Endpoint::v4([127, 1, high, low], self.port)
    }

    pub(crate) fn find(&self, endpoint: Endpoint) -> Option<Who> {
        let std::net::IpAddr::V4(ip) = endpoint.ip() else { return None };
        let [127, 1, high, low] = ip.octets() else { return None };
        let number = u16::from_be_bytes([high, low]).checked_sub(1)?;
        (endpoint.port() == self.port && number < self.count).then_some(Who(number))
    }

    /// The SYN by which an endpoint opens an exchange: it lists everybody, in our order.
    pub(crate) fn syn(&self, sender: Who) -> Vec<u8> {
        let view = self.view(sender);
        body(|out| {
            string(out, CLUSTER);
            string(out, DEFAULT_PARTITIONER);
            let count = usize::from(self.count) + usize::from(self.node.is_some());
            int(out, i32::try_from(count).expect("a count of 16 bits"));
            let others = self.all().map(|who| view.digest(who));
            for digest in self.node.into_iter().chain(others) {
                digest.encode(CODEC, out).expect("room");
            }
        })
    }

    /// The ACK with which an endpoint answers: what it knows better, and what it wants to know.
    pub(crate) fn answer_syn(&mut self, answerer: Who, syn: &Syn<'_>) -> Vec<u8> {
        let mut requests = Vec::new();
        let mut newer = Vec::new();
        let view = self.view(answerer);
        for digest in syn.digests.iter() {
            let Some(who) = self.find(digest.endpoint) else {
                let known = self.node.filter(|known| known.generation == digest.generation);
                let nothing = Digest { max_version: Version::new(0), ..digest };
                requests.push(known.unwrap_or(nothing));
                continue;
            };
            let ours = view.digest(who);
            if ours.max_version > digest.max_version {
                newer.push((who, digest.max_version));
            } else if ours.max_version < digest.max_version {
                requests.push(ours);
            }
        }
        newer.truncate(limit(&newer));
        let ack = body(|out| {
            int(out, i32::try_from(requests.len()).expect("no more than the SYN has"));
            for request in &requests {
                request.encode(CODEC, out).expect("room");
            }
            view.write_states(&newer, out);
        });
        self.states_in += newer.len() as u64;
        ack
    }

    /// The ACK2s that give the node what it asks for: more than one, where it asks for more than a message can hold.
    pub(crate) fn answer_ack(&mut self, answerer: Who, ack: &Ack<'_>) -> Vec<Vec<u8>> {
        self.hear(&ack.states);
        let view = self.view(answerer);
        let asked = ack.requests.iter();
        let asked: Vec<_> =
            asked.filter_map(|digest| Some((self.find(digest.endpoint)?, digest.max_version))).collect();
        let mut bodies = Vec::new();
        let mut rest = &asked[..];
        loop {
            let (now, later) = rest.split_at(limit(rest));
            bodies.push(body(|out| view.write_states(now, out)));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        self.states_in += asked.len() as u64;
        bodies
    }

    pub(crate) fn take_ack2(&mut self, ack2: &Ack2<'_>) {
        self.hear(&ack2.states);
    }

    /// Of what the node tells only its own state matters; all else they know.
    fn hear(&mut self, states: &StateMap<'_>) {
        self.states_out += states.len() as u64;
        for (endpoint, state) in states.iter() {
            if self.find(endpoint).is_none() {
                let (generation, max_version) = (state.heartbeat.generation, state.max_version());
                self.node = Some(Digest { endpoint, generation, max_version });
            }
        }
    }

    /// What this endpoint knows at this moment.
    fn view(&self, whose: Who) -> View<'_> {
        View { world: self, whose, elapsed: self.began.elapsed() }
    }
}

/// What one of them knows at one moment: of itself everything, of others a little less, as it is with news that travels.
struct View<'a> {
    world: &'a World,
    whose: Who,
    elapsed: Duration,
}

impl View<'_> {
    fn digest(&self, who: Who) -> Digest {
        let endpoint = self.world.endpoint(who);
        Digest { endpoint, generation: GENERATION, max_version: self.heartbeat(who) }
    }

    /// Heartbeats grow once an interval, each at its own time.
    fn heartbeat(&self, who: Who) -> Version {
        let interval = self.world.interval.as_millis();
        let phase = interval * u128::from(who.0) / u128::from(self.world.count);
        let grown = (self.elapsed.as_millis() + phase) / interval;
        let version = (FIRST_HEARTBEAT + grown - u128::from(self.lag(who))).min(i32::MAX as u128);
        Version::new(i32::try_from(version).unwrap_or(i32::MAX))
    }

    /// How many heartbeats of `who` have not come here yet: none as often as one or two.
    fn lag(&self, who: Who) -> u8 {
        if who == self.whose {
            return 0;
        }
        let moment = u64::try_from(self.elapsed.as_millis() / self.world.interval.as_millis()).unwrap_or(0);
        let all = moment << 32 | u64::from(self.whose.0) << 16 | u64::from(who.0);
        [0, 0, 1, 2][(mix(all) % 4) as usize]
    }

    /// Of each what is newer than this version: heartbeats, or everything.
    fn write_states(&self, states: &[(Who, Version)], out: &mut gossip_core::wire::Writer<'_>) {
        int(out, i32::try_from(states.len()).expect("no more than there are endpoints"));
        for (who, above) in states {
            out.endpoint(self.world.endpoint(*who), CODEC.address_form()).expect("room");
            int(out, GENERATION.get());
            int(out, self.heartbeat(*who).get());
            if !is_whole(*above) {
                int(out, 0);
                continue;
            }
            let values = values(self.world.endpoint(*who));
            int(out, i32::try_from(values.len()).expect("a dozen"));
            for (version, (key, text)) in (1..).zip(values) {
                int(out, key.number());
                string(out, &text);
                int(out, version);
            }
        }
    }
}

/// Whether an endpoint's values are wanted, whose versions come before those of all heartbeats.
fn is_whole(above: Version) -> bool {
    u128::try_from(above.get()).unwrap_or(0) < FIRST_HEARTBEAT / 2
}

/// How many of these go into one message.
fn limit(states: &[(Who, Version)]) -> usize {
    let has_whole = states.iter().any(|(_, above)| is_whole(*above));
    states.len().min(if has_whole { STATES_PER_MESSAGE } else { HEARTBEATS_PER_MESSAGE })
}

/// A dozen values such as a member of a real cluster has.
fn values(endpoint: Endpoint) -> [(ApplicationState, String); 12] {
    let number = mix(u64::from(endpoint.port()) << 32 | who_bits(endpoint));
    let ip = endpoint.ip();
    let id = |kind: u64| {
        let bits = mix(number ^ kind);
        format!(
            "{:08x}-{:04x}-4{:03x}-8000-{:012x}",
            bits >> 32,
            bits & 0xffff,
            bits >> 20 & 0xfff,
            bits >> 16
        )
    };
    [
        (ApplicationState::STATUS_WITH_PORT, format!("NORMAL,{}", number.cast_signed())),
        (ApplicationState::LOAD, format!("{}.0", number >> 30)),
        (ApplicationState::SCHEMA, "e84b6a60-24cf-30ca-9b58-452d92911703".into()),
        (ApplicationState::DC, "datacenter1".into()),
        (ApplicationState::RACK, format!("rack{}", number % 3 + 1)),
        (ApplicationState::RELEASE_VERSION, "5.0.2".into()),
        (ApplicationState::NET_VERSION, "13".into()),
        (ApplicationState::HOST_ID, id(1)),
        (ApplicationState::RPC_READY, "true".into()),
        (ApplicationState::INTERNAL_ADDRESS_AND_PORT, format!("{ip}:{}", endpoint.port())),
        (ApplicationState::NATIVE_ADDRESS_AND_PORT, format!("{ip}:9042")),
        (ApplicationState::SSTABLE_VERSIONS, "big-nb,big-oa".into()),
    ]
}

fn who_bits(endpoint: Endpoint) -> u64 {
    match endpoint.ip() {
        std::net::IpAddr::V4(ip) => u64::from(ip.to_bits()),
        std::net::IpAddr::V6(_) => 0,
    }
}

/// Scatters the bits of a number (the last step of SplitMix64).
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
