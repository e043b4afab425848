//! What is known of endpoints: heartbeats and values (`docs/protocol/gossip-messages.md#endpoint-state`).

use super::Codec;
use super::digest::{PACKED, pack, read_packed};
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::version::{Generation, HeartbeatState, Known, Version};
use crate::wire::{AddressForm, DecodeError, Full, JavaStr, Reader, Writer};

/// The most values that one endpoint's state may hold in a message.
pub const MAX_STATES: usize = 256;

/// The shortest value: ordinal, empty string, version.
const MIN_VALUE_SIZE: usize = 10;

/// The size of the state of an IPv4 endpoint with its port, if there is nothing but the heartbeat.
pub(crate) const HEARTBEAT: usize = PACKED + 4;

/// A value and the version under which it was set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value<'a> {
    /// What was set.
    pub text: JavaStr<'a>,
    /// When, in the endpoint's own counting.
    pub version: Version,
}

impl<'a> Value<'a> {
    /// Takes a value; public because Cassandra keeps loose ones in files.
    ///
    /// # Errors
    ///
    /// What [`Reader::string`] says.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let text = reader.string("a value")?;
        let version = Version::new(reader.i32("a value's version")?);
        Ok(Self { text, version })
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// As [`Writer::string`].
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            out.string(self.text)?;
            out.i32(self.version.get())
        })
    }
}

/// What a message says of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointState<'a> {
    /// Its generation and heartbeat.
    pub heartbeat: HeartbeatState,
    values: &'a [u8],
    count: usize,
    has_duplicates: bool,
}

impl<'a> EndpointState<'a> {
    /// Takes a state; public because Cassandra keeps loose ones in files.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Count`] for more than [`MAX_STATES`] values; else what [`Value::decode`] says.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        const COUNT: &str = "the number of values";
        let generation = Generation::new(reader.i32("a generation")?);
        let version = Version::new(reader.i32("a heartbeat's version")?);
        let before = *reader;
        let announced = reader.i32(COUNT)?;
        // Cassandra takes a negative number for none.
        let count = usize::try_from(announced).unwrap_or(0);
        if count > MAX_STATES.min(reader.len() / MIN_VALUE_SIZE) {
            *reader = before;
            return Err(DecodeError::Count { field: COUNT, count: announced });
        }
        let start = reader.rest();
        let mut seen = Seen::default();
        let mut uncommon = None::<Uncommon>;
        for _ in 0..count {
            let before = *reader;
            let key = reader.i32("a value's key")?;
            if !seen.add(key) && !uncommon.get_or_insert_default().add(key) {
                *reader = before;
                return Err(DecodeError::DuplicateKey { key });
            }
            Value::decode(reader)?;
        }
        let values = start.get(..start.len() - reader.len()).unwrap_or_default();
        let heartbeat = HeartbeatState { generation, version };
        Ok(Self { heartbeat, values, count, has_duplicates: seen.twice })
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    pub fn encode(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.atomically(|out| {
            encode_head(self.heartbeat, out)?;
            out.i32(i32::try_from(self.count).map_err(|_| Full)?)?;
            out.bytes(self.values)
        })
    }

    /// How many values the message holds, those included that a later one of the same key replaces.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is nothing but the heartbeat.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values, in the order of the message. Of several with the same key only the last is there.
    ///
    /// Deviation: a number without a name is a key like any other; Cassandra loses the message over one beyond its table.
    pub fn values(&self) -> impl Iterator<Item = (ApplicationState, Value<'a>)> + use<'a> {
        // How often each common key is still to come; others are there once.
        let mut to_come = [0_u16; 64];
        if self.has_duplicates {
            for (key, _) in Entries(Reader::new(self.values)) {
                if let Some(count) = Seen::place(key.number()).and_then(|place| to_come.get_mut(place)) {
                    *count += 1;
                }
            }
        }
        Entries(Reader::new(self.values)).filter(move |(key, _)| {
            let place = Seen::place(key.number());
            let Some(count) = place.and_then(|place| to_come.get_mut(place)).filter(|count| **count > 0)
            else {
                return true;
            };
            *count -= 1;
            *count == 0
        })
    }

    /// The value under `key`.
    pub fn value(&self, key: ApplicationState) -> Option<Value<'a>> {
        self.values().find_map(|(found, value)| (found == key).then_some(value))
    }

    /// The greatest version of the heartbeat and all values.
    pub fn max_version(&self) -> Version {
        self.values().map(|(_, value)| value.version).fold(self.heartbeat.version, Version::max)
    }
}

/// Fills in the state of an IPv4 endpoint in 48 bits, with its port, of which there is only the heartbeat.
#[inline]
pub(crate) fn pack_heartbeat(packed: u64, heartbeat: Known, state: &mut [u8; HEARTBEAT]) {
    if let Some((digest, values)) = state.split_first_chunk_mut() {
        pack(packed, heartbeat, digest);
        values.fill(0);
    }
}

/// Writes the heartbeat with which every state begins.
pub(crate) fn encode_head(heartbeat: HeartbeatState, out: &mut Writer<'_>) -> Result<(), Full> {
    out.i32(heartbeat.generation.get())?;
    out.i32(heartbeat.version.get())
}

/// Writes the state of an endpoint of which there is only the heartbeat, as it is of most.
#[inline]
pub(crate) fn encode_heartbeat(
    endpoint: Endpoint,
    heartbeat: HeartbeatState,
    form: AddressForm,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    if form == AddressForm::WithPort
        && let Some(packed) = endpoint.packed_v4()
    {
        pack_heartbeat(packed, Known::new(heartbeat.generation, heartbeat.version), out.place()?);
        return Ok(());
    }
    out.atomically(|out| {
        out.endpoint(endpoint, form)?;
        encode_head(heartbeat, out)?;
        out.i32(0)
    })
}

/// Which of the keys below 64 came by, and whether one came twice.
#[derive(Default)]
struct Seen {
    common: u64,
    twice: bool,
}

impl Seen {
    fn place(number: i32) -> Option<usize> {
        usize::try_from(number).ok().filter(|place| *place < 64)
    }

    /// False if the key is not a common one.
    fn add(&mut self, number: i32) -> bool {
        let Some(place) = Self::place(number) else { return false };
        let bit = 1_u64 << place;
        self.twice |= self.common & bit != 0;
        self.common |= bit;
        true
    }
}

/// All other keys, sorted. No release of Cassandra has them, so no correct sender sends one of them twice.
struct Uncommon {
    keys: [i32; MAX_STATES],
    count: usize,
}

impl Default for Uncommon {
    fn default() -> Self {
        Self { keys: [0; MAX_STATES], count: 0 }
    }
}

impl Uncommon {
    /// False if the key was there, or there is no room for it.
    fn add(&mut self, key: i32) -> bool {
        let Some(found) = self.keys.get(..self.count).map(|keys| keys.binary_search(&key)) else {
            return false;
        };
        let Err(at) = found else { return false };
        let Some(tail) = self.keys.get_mut(at..=self.count) else { return false };
        tail.rotate_right(1);
        if let Some(place) = tail.first_mut() {
            *place = key;
        }
        self.count += 1;
        true
    }
}

/// All entries of a state that was checked before.
#[derive(Clone)]
struct Entries<'a>(Reader<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (ApplicationState, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = ApplicationState::new(self.0.i32("").ok()?);
        let text = self.0.checked_string("").ok()?;
        let version = Version::new(self.0.i32("").ok()?);
        Some((key, Value { text, version }))
    }
}

/// What a message says of several endpoints, in the order of the message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateMap<'a> {
    bytes: &'a [u8],
    count: usize,
    form: AddressForm,
    /// Whether all are of IPv4 endpoints with ports, and nothing but heartbeats.
    is_packed: bool,
}

impl<'a> StateMap<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, form: AddressForm) -> Result<Self, DecodeError> {
        let count = reader.count(form.min_size() + 12, "the number of endpoint states")?;
        let start = reader.rest();
        let mut left = count;
        let mut is_packed = form == AddressForm::WithPort;
        while left > 0 {
            if form == AddressForm::WithPort {
                let run = heartbeats(reader.rest());
                let run = run.get(..left).unwrap_or(run);
                reader.bytes(run.as_flattened().len(), "the heartbeats")?;
                left -= run.len();
            }
            if left > 0 {
                is_packed = false;
                reader.endpoint(form)?;
                EndpointState::decode(reader)?;
                left -= 1;
            }
        }
        let bytes = start.get(..start.len() - reader.len()).unwrap_or_default();
        Ok(Self { bytes, count, form, is_packed })
    }

    pub(super) fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        out.i32(i32::try_from(self.count).map_err(|_| Full)?)?;
        if codec.address_form() == self.form {
            return out.bytes(self.bytes);
        }
        self.iter().try_for_each(|(endpoint, state)| {
            out.endpoint(endpoint, codec.address_form())?;
            state.encode(out)
        })
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// As [`StateMap::iter`], with all heartbeats together that follow each other.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        let (form, is_packed) = (self.form, self.is_packed);
        core::iter::from_fn(move || {
            if form == AddressForm::WithPort {
                let run = if is_packed { reader.rest().as_chunks().0 } else { heartbeats(reader.rest()) };
                if !run.is_empty() {
                    reader.bytes(run.as_flattened().len(), "").ok()?;
                    return Some(Run::Heartbeats(run));
                }
            }
            let endpoint = reader.endpoint(form).ok()?;
            let state = EndpointState::skim(&mut reader)?;
            Some(Run::State(endpoint, state))
        })
    }

    /// The endpoints with their states, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = (Endpoint, EndpointState<'a>)> + use<'a> {
        let mut run: &[[u8; HEARTBEAT]] = &[];
        let mut runs = self.runs();
        core::iter::from_fn(move || {
            if run.is_empty() {
                match runs.next()? {
                    Run::State(endpoint, state) => return Some((endpoint, state)),
                    Run::Heartbeats(next) => run = next,
                }
            }
            let (first, rest) = run.split_first()?;
            run = rest;
            let (packed, known) = read_heartbeat(first);
            Some((Endpoint::from_packed_v4(packed), EndpointState::of_heartbeat(known)))
        })
    }
}

impl<'a> EndpointState<'a> {
    /// A heartbeat alone.
    pub(crate) const fn of_heartbeat(known: Known) -> Self {
        let heartbeat = HeartbeatState { generation: known.generation(), version: known.max_version() };
        Self { heartbeat, values: &[], count: 0, has_duplicates: false }
    }
}

/// What stands next in a list of states.
#[derive(Debug)]
pub(crate) enum Run<'a> {
    /// Of so many IPv4 endpoints only their heartbeats, as of nearly all. Each begins as a digest does.
    Heartbeats(&'a [[u8; HEARTBEAT]]),
    /// Anything else.
    State(Endpoint, EndpointState<'a>),
}

/// The states at the front of `bytes` that are of IPv4 endpoints with ports, and nothing but heartbeats.
#[inline]
fn heartbeats(bytes: &[u8]) -> &[[u8; HEARTBEAT]] {
    let states = bytes.as_chunks().0;
    let is_heartbeat =
        |state: &[u8; HEARTBEAT]| state[0] == 6 && state.last_chunk() == Some(&[0; HEARTBEAT - PACKED]);
    let end = states.iter().position(|state| !is_heartbeat(state)).unwrap_or(states.len());
    states.get(..end).unwrap_or_default()
}

/// Endpoint, in 48 bits, and heartbeat of one of [`Run::Heartbeats`].
#[inline]
pub(crate) fn read_heartbeat(state: &[u8; HEARTBEAT]) -> (u64, Known) {
    read_packed(state.first_chunk().unwrap_or(&[0; PACKED]))
}

impl<'a> EndpointState<'a> {
    /// Takes a state that was checked before, without looking into its strings again.
    fn skim(reader: &mut Reader<'a>) -> Option<Self> {
        let generation = Generation::new(reader.i32("").ok()?);
        let version = Version::new(reader.i32("").ok()?);
        let count = usize::try_from(reader.i32("").ok()?).unwrap_or(0);
        let heartbeat = HeartbeatState { generation, version };
        let start = reader.rest();
        let mut entries = Entries(*reader);
        let mut seen = Seen::default();
        for _ in 0..count {
            let (key, _) = entries.next()?;
            seen.add(key.number());
        }
        *reader = entries.0;
        let values = start.get(..start.len() - reader.len()).unwrap_or_default();
        Some(Self { heartbeat, values, count, has_duplicates: seen.twice })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const WITHOUT_PORT: AddressForm = AddressForm::WithoutPort { storage_port: 7_000 };

    fn endpoint(n: u8) -> Endpoint {
        Endpoint::v4([10, 0, 0, n], 7_000)
    }

    fn heartbeat(version: i32) -> HeartbeatState {
        HeartbeatState { generation: Generation::new(5), version: Version::new(version) }
    }

    /// A list of states: a heartbeat alone, or one value.
    fn list(states: &[(Endpoint, Option<&str>)], form: AddressForm) -> Vec<u8> {
        let mut buffer = [0; 400];
        let mut out = Writer::new(&mut buffer);
        out.i32(i32::try_from(states.len()).unwrap()).unwrap();
        for (endpoint, value) in states {
            let Some(value) = value else {
                encode_heartbeat(*endpoint, heartbeat(9), form, &mut out).unwrap();
                continue;
            };
            out.endpoint(*endpoint, form).unwrap();
            encode_head(heartbeat(9), &mut out).unwrap();
            out.i32(1).unwrap();
            out.i32(ApplicationState::LOAD.number()).unwrap();
            out.string(JavaStr::new(value.as_bytes()).unwrap()).unwrap();
            out.i32(8).unwrap();
        }
        out.written().to_vec()
    }

    #[test]
    fn a_heartbeat_alone_is_a_state_without_values_in_each_form() {
        for form in [AddressForm::WithPort, WITHOUT_PORT] {
            for endpoint in [endpoint(1), "[2001:db8::1]:7000".parse().unwrap()] {
                let mut buffer = [0; 40];
                let mut out = Writer::new(&mut buffer);
                encode_heartbeat(endpoint, heartbeat(9), form, &mut out).unwrap();
                let mut reader = Reader::new(out.written());
                assert_eq!(reader.endpoint(form), Ok(endpoint));
                let state = EndpointState::decode(&mut reader).unwrap();
                assert_eq!((state.heartbeat, state.len(), reader.len()), (heartbeat(9), 0, 0));
            }
        }
    }

    #[test]
    fn heartbeats_that_follow_each_other_are_taken_together() {
        let states = [
            (endpoint(1), None),
            (endpoint(2), None),
            (endpoint(3), Some("x")),
            ("[2001:db8::1]:7000".parse().unwrap(), None),
            (endpoint(4), None),
        ];
        let lengths = |bytes: &[u8], form| {
            let map = StateMap::decode(&mut Reader::new(bytes), form).unwrap();
            let lengths = map.runs().map(|run| match run {
                Run::Heartbeats(run) => run.len(),
                Run::State(..) => 0,
            });
            (lengths.collect::<Vec<_>>(), map.is_packed)
        };
        let bytes = list(&states, AddressForm::WithPort);
        assert_eq!(lengths(&bytes, AddressForm::WithPort), ([2, 0, 0, 1].to_vec(), false));
        assert_eq!(
            lengths(&list(&states[..2], AddressForm::WithPort), AddressForm::WithPort),
            ([2].to_vec(), true)
        );
        assert_eq!(lengths(&list(&states, WITHOUT_PORT), WITHOUT_PORT), ([0; 5].to_vec(), false));
        let map = StateMap::decode(&mut Reader::new(&bytes), AddressForm::WithPort).unwrap();
        let held: Vec<_> = map.iter().map(|(endpoint, state)| (endpoint, state.len())).collect();
        let expected: Vec<_> =
            states.iter().map(|(endpoint, value)| (*endpoint, usize::from(value.is_some()))).collect();
        assert_eq!(held, expected);
    }

    #[test]
    fn what_follows_a_list_of_states_is_left() {
        let mut bytes = list(&[(endpoint(1), Some("x")), (endpoint(2), None)], AddressForm::WithPort);
        bytes.extend([1, 2, 3]);
        let mut reader = Reader::new(&bytes);
        let map = StateMap::decode(&mut reader, AddressForm::WithPort).unwrap();
        assert_eq!((map.iter().count(), reader.rest()), (2, [1, 2, 3].as_slice()));
    }

    /// Where addresses have no port they begin with 4 or 16.
    #[test]
    fn a_heartbeat_with_port_is_none_where_addresses_have_no_port() {
        let bytes = list(&[(endpoint(1), None)], AddressForm::WithPort);
        assert!(StateMap::decode(&mut Reader::new(&bytes), WITHOUT_PORT).is_err());
    }

    #[test]
    fn of_values_under_one_key_the_last_counts_and_whether_there_are_any_is_known() {
        let state = |keys: &[i32]| {
            let mut buffer = [0; 200];
            let mut out = Writer::new(&mut buffer);
            encode_head(heartbeat(9), &mut out).unwrap();
            out.i32(i32::try_from(keys.len()).unwrap()).unwrap();
            for (version, key) in (1..).zip(keys) {
                out.i32(*key).unwrap();
                out.string(JavaStr::new(b"x").unwrap()).unwrap();
                out.i32(version).unwrap();
            }
            let bytes = out.written().to_vec();
            let state = EndpointState::decode(&mut Reader::new(&bytes)).unwrap();
            let values = state.values().map(|(key, value)| (key.number(), value.version.get()));
            (values.collect::<Vec<_>>(), state.has_duplicates)
        };
        assert_eq!(state(&[5, 5]), ([(5, 2)].to_vec(), true));
        assert_eq!(state(&[5, 6, 5]), ([(6, 2), (5, 3)].to_vec(), true));
        assert_eq!(state(&[5, 6, 63]), ([(5, 1), (6, 2), (63, 3)].to_vec(), false));
    }
}
