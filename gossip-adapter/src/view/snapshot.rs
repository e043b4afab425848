//! What a node knows at one moment. Snapshots share all that is the same in both.

use std::fmt;
use std::sync::Arc;

use bytestring::ByteString;
use gossip_core::{
    ApplicationState, Endpoint, Generation, Gossiper, Phase, Standing, StateInfo, StatusKind, Version,
};

/// How many endpoints are copied at most to change one: they are kept in groups, and only one group is copied.
const GROUP: usize = 64;

/// What a node knew at one moment. It never changes; [`View`](crate::View) gives newer ones.
#[derive(Clone)]
pub struct Snapshot {
    phase: Phase,
    live: usize,
    len: usize,
    /// By ascending endpoint; no group is empty.
    groups: Vec<Arc<Vec<Arc<KnownEndpoint>>>>,
}

/// An endpoint that a node knows, without what changes at each heartbeat. A clone shares the values.
#[derive(Clone, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
pub struct KnownEndpoint {
    /// Who.
    pub endpoint: Endpoint,
    /// Whether it is the node itself.
    pub is_local: bool,
    /// Whether it is live. The node itself always is.
    pub is_live: bool,
    /// Its generation.
    pub generation: Generation,
    /// What the keyword of its status says.
    pub status: StatusKind,
    /// Its values, by ascending key.
    pub states: Vec<KnownState>,
}

/// A value that an endpoint publishes, and its version.
#[derive(Clone, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct KnownState {
    /// What it is.
    pub key: ApplicationState,
    /// The version under which it was set.
    pub version: Version,
    /// The text. A surrogate that stands alone, which no text can hold, is U+FFFD. A clone shares the bytes, and
    /// [`ByteString::into_bytes`] gives them without a copy.
    pub value: ByteString,
}

impl Snapshot {
    /// What the node is doing.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// All that are known, the node itself included, by ascending endpoint.
    pub fn endpoints(&self) -> impl Iterator<Item = &KnownEndpoint> {
        self.groups.iter().flat_map(|group| group.iter()).map(|known| &**known)
    }

    /// All that are live, the node itself included, by ascending endpoint.
    pub fn live(&self) -> impl Iterator<Item = &KnownEndpoint> {
        self.endpoints().filter(|known| known.is_live)
    }

    /// How many are live, the node itself included.
    pub const fn live_count(&self) -> usize {
        self.live
    }

    /// How many are known, the node itself included.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no endpoint is known. Only a view that was not filled is empty.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is known of an endpoint.
    pub fn get(&self, endpoint: Endpoint) -> Option<&KnownEndpoint> {
        let (group, Ok(place)) = self.place(endpoint) else { return None };
        Some(&*self.groups[group][place])
    }

    /// Everything that a node knows now. [`View`](crate::View) keeps one up to date; this is for who drives a node without an adapter.
    pub fn of(gossiper: &Gossiper) -> Self {
        let mut all: Vec<Arc<KnownEndpoint>> = gossiper
            .endpoints()
            .filter_map(|endpoint| KnownEndpoint::of(gossiper, endpoint, None))
            .map(Arc::new)
            .collect();
        all.sort_unstable_by_key(|known| known.endpoint);
        Self {
            phase: gossiper.phase(),
            live: all.iter().filter(|known| known.is_live).count(),
            len: all.len(),
            groups: all.chunks(GROUP / 2).map(|group| Arc::new(group.to_vec())).collect(),
        }
    }

    /// Takes over what the node knows of one endpoint now; says whether that is something else than before.
    pub(super) fn refresh(snapshot: &mut Arc<Self>, gossiper: &Gossiper, endpoint: Endpoint) -> bool {
        let before = snapshot.get(endpoint);
        match (before, gossiper.heartbeat(endpoint)) {
            (None, None) => return false,
            (Some(before), Some(_)) if before.is_still_so(gossiper) => return false,
            _ => {}
        }
        let now = KnownEndpoint::of(gossiper, endpoint, before);
        Arc::make_mut(snapshot).put(endpoint, now);
        true
    }

    /// As [`Snapshot::refresh`], of all.
    pub(super) fn refresh_all(snapshot: &mut Arc<Self>, gossiper: &Gossiper) -> bool {
        *snapshot = Arc::new(Self::of(gossiper));
        true
    }

    /// As [`Snapshot::refresh`], of the node itself.
    pub(super) fn settle(snapshot: &mut Arc<Self>, gossiper: &Gossiper) -> bool {
        let has_changed = Self::refresh(snapshot, gossiper, gossiper.local_endpoint());
        if snapshot.phase == gossiper.phase() {
            return has_changed;
        }
        Arc::make_mut(snapshot).phase = gossiper.phase();
        true
    }

    /// The group in which an endpoint is or belongs, and its place there, or where it belongs.
    fn place(&self, endpoint: Endpoint) -> (usize, Result<usize, usize>) {
        let after = self
            .groups
            .partition_point(|group| group.first().is_some_and(|first| first.endpoint <= endpoint));
        let group = after.saturating_sub(1);
        let place = self
            .groups
            .get(group)
            .map_or(Err(0), |group| group.binary_search_by(|known| known.endpoint.cmp(&endpoint)));
        (group, place)
    }

    fn put(&mut self, endpoint: Endpoint, now: Option<KnownEndpoint>) {
        let (group, place) = self.place(endpoint);
        let before = place.ok().map(|place| self.groups[group][place].is_live);
        self.live = self.live - usize::from(before == Some(true))
            + usize::from(now.as_ref().is_some_and(|now| now.is_live));
        self.len = self.len - usize::from(before.is_some()) + usize::from(now.is_some());
        match (place, now) {
            (Ok(place), Some(now)) => Arc::make_mut(&mut self.groups[group])[place] = Arc::new(now),
            (Err(place), Some(now)) => {
                if self.groups.is_empty() {
                    self.groups.push(Arc::default());
                }
                let members = Arc::make_mut(&mut self.groups[group]);
                members.insert(place, Arc::new(now));
                if members.len() > GROUP {
                    let upper = members.split_off(GROUP / 2);
                    self.groups.insert(group + 1, Arc::new(upper));
                }
            }
            (Ok(place), None) => {
                let members = Arc::make_mut(&mut self.groups[group]);
                members.remove(place);
                if members.is_empty() {
                    self.groups.remove(group);
                }
            }
            (Err(_), None) => {}
        }
    }
}

impl Default for Snapshot {
    /// Of a node of which nothing is known yet.
    fn default() -> Self {
        Self { phase: Phase::Running, live: 0, len: 0, groups: Vec::new() }
    }
}

impl KnownEndpoint {
    /// The value under `key`.
    pub fn state(&self, key: ApplicationState) -> Option<&KnownState> {
        let place = self.states.binary_search_by_key(&key, |state| state.key);
        place.ok().map(|place| &self.states[place])
    }

    /// The text under `key`.
    pub fn text(&self, key: ApplicationState) -> Option<&str> {
        self.state(key).map(|state| &*state.value)
    }

    /// Its status, whole: the newer of STATUS_WITH_PORT and STATUS.
    pub fn status_text(&self) -> Option<&str> {
        self.newer(ApplicationState::STATUS_WITH_PORT, ApplicationState::STATUS)
    }

    /// The keyword of its status, such as `NORMAL` or `shutdown`.
    pub fn status_keyword(&self) -> Option<&str> {
        self.status_text().and_then(|text| text.split(',').next())
    }

    /// Where it serves clients: the newer of NATIVE_ADDRESS_AND_PORT and RPC_ADDRESS, which has no port.
    pub fn native_address(&self) -> Option<&str> {
        self.newer(ApplicationState::NATIVE_ADDRESS_AND_PORT, ApplicationState::RPC_ADDRESS)
    }

    /// Whether it has a place in the cluster: it has tokens, or has published a status. An endpoint without both only takes part in gossip.
    pub fn has_place(&self) -> bool {
        self.status != StatusKind::None
            || self.text(ApplicationState::TOKENS).is_some_and(StateInfo::names_tokens)
    }

    /// See [`StateInfo::newer`].
    fn newer(&self, with_port: ApplicationState, without: ApplicationState) -> Option<&str> {
        let value = |key| self.state(key).map(|state| (state.version, &*state.value));
        StateInfo::newer(value(with_port), value(without))
    }

    /// What the node knows of an endpoint. Values that were known `before` are shared, not copied.
    fn of(gossiper: &Gossiper, endpoint: Endpoint, before: Option<&Self>) -> Option<Self> {
        let generation = gossiper.heartbeat(endpoint)?.generation;
        let before = before.filter(|before| before.generation == generation);
        let value = |(key, text, version): (ApplicationState, gossip_core::wire::JavaStr<'_>, Version)| {
            let known = before.and_then(|before| before.state(key)).filter(|known| known.version == version);
            let value = known.map_or_else(|| text.to_text().into_owned().into(), |known| known.value.clone());
            KnownState { key, version, value }
        };
        Some(Self {
            endpoint,
            is_local: endpoint == gossiper.local_endpoint(),
            is_live: gossiper.standing(endpoint) == Some(Standing::Live),
            generation,
            status: gossiper.status(endpoint).unwrap_or_default(),
            states: gossiper.values(endpoint).map(value).collect(),
        })
    }

    /// Whether that is still what the node knows.
    fn is_still_so(&self, gossiper: &Gossiper) -> bool {
        let states = self.states.iter().map(|state| (state.key, state.version));
        let is_live = gossiper.standing(self.endpoint) == Some(Standing::Live);
        is_live == self.is_live
            && gossiper.heartbeat(self.endpoint).is_some_and(|now| now.generation == self.generation)
            && gossiper.values(self.endpoint).map(|(key, _, version)| (key, version)).eq(states)
    }
}

/// The phase and the endpoints.
#[cfg(feature = "serde")]
impl serde::Serialize for Snapshot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The endpoints of all groups as one list.
        struct Endpoints<'a>(&'a Snapshot);

        impl serde::Serialize for Endpoints<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.endpoints())
            }
        }

        let mut fields = serde::Serializer::serialize_struct(serializer, "Snapshot", 2)?;
        serde::ser::SerializeStruct::serialize_field(&mut fields, "phase", &self.phase)?;
        serde::ser::SerializeStruct::serialize_field(&mut fields, "endpoints", &Endpoints(self))?;
        serde::ser::SerializeStruct::end(fields)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("phase", &self.phase)
            .field("known", &self.len)
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

/// How many characters of a value are shown in debug output.
const SHOWN: usize = 48;

impl fmt::Debug for KnownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("KnownState");
        fields.field("key", &self.key).field("version", &self.version);
        match self.value.char_indices().nth(SHOWN) {
            None => fields.field("value", &self.value).finish(),
            Some((end, _)) => fields.field("value", &&self.value[..end]).finish_non_exhaustive(),
        }
    }
}

impl fmt::Debug for KnownEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownEndpoint")
            .field("endpoint", &self.endpoint)
            .field("is_live", &self.is_live)
            .field("generation", &self.generation)
            .field("status", &self.status)
            .field("states", &self.states.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(number: u32, is_live: bool) -> KnownEndpoint {
        let [_, a, b, c] = number.to_be_bytes();
        KnownEndpoint {
            endpoint: Endpoint::v4([10, a, b, c], 7_000),
            is_local: false,
            is_live,
            generation: Generation::new(1),
            status: StatusKind::None,
            states: Vec::new(),
        }
    }

    #[test]
    fn a_change_copies_one_group_whatever_the_size_of_the_cluster() {
        const ENDPOINTS: u32 = 10_000;
        let mut snapshot = Arc::new(Snapshot::default());
        // In an order that is not theirs.
        for number in 0..ENDPOINTS {
            let number = number * 7_919 % ENDPOINTS;
            let put = known(number, false);
            Arc::make_mut(&mut snapshot).put(put.endpoint, Some(put));
        }
        assert_eq!((snapshot.len(), snapshot.live_count()), (10_000, 0));
        assert!(snapshot.endpoints().map(|known| known.endpoint).is_sorted());
        let before = snapshot.clone();
        let changed = known(5_000, true);
        Arc::make_mut(&mut snapshot).put(changed.endpoint, Some(changed.clone()));
        assert_eq!(snapshot.get(changed.endpoint), Some(&changed));
        assert!(!before.get(changed.endpoint).expect("it is known").is_live, "a snapshot never changes");
        assert_eq!((before.live_count(), snapshot.live_count()), (0, 1));
        let copied: Vec<_> = before
            .groups
            .iter()
            .zip(&snapshot.groups)
            .filter(|(before, now)| !Arc::ptr_eq(before, now))
            .collect();
        assert_eq!(copied.len(), 1);
        let copied = copied[0].0.iter().zip(&**copied[0].1).filter(|(before, now)| !Arc::ptr_eq(before, now));
        assert_eq!(copied.count(), 1);
    }

    #[test]
    fn all_that_are_taken_out_are_gone() {
        let mut snapshot = Snapshot::default();
        let all: Vec<_> = (0..300).map(|number| known(number, number % 3 == 0)).collect();
        for known in &all {
            snapshot.put(known.endpoint, Some(known.clone()));
        }
        assert_eq!((snapshot.len(), snapshot.live_count(), snapshot.live().count()), (300, 100, 100));
        for known in all.iter().rev() {
            assert!(snapshot.get(known.endpoint).is_some());
            snapshot.put(known.endpoint, None);
            assert!(snapshot.get(known.endpoint).is_none());
        }
        assert!(snapshot.is_empty() && snapshot.groups.is_empty());
        snapshot.put(all[0].endpoint, None);
        assert_eq!((snapshot.len(), snapshot.live_count()), (0, 0));
    }
}
