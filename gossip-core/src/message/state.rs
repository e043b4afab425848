//! What is known of endpoints: heartbeats and values (`gossip-messages.md` §6).

use super::Codec;
use crate::application_state::ApplicationState;
use crate::endpoint::Endpoint;
use crate::version::{Generation, HeartbeatState, Version};
use crate::wire::{AddressForm, DecodeError, Full, JavaStr, Reader, Writer};

/// The most values that one endpoint's state may hold in a message.
pub const MAX_STATES: usize = 256;

/// The shortest value: ordinal, empty string, version.
const MIN_VALUE_SIZE: usize = 10;

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
        let announced = reader.i32(COUNT)?;
        // Cassandra takes a negative number for none.
        let count = usize::try_from(announced).unwrap_or(0);
        if count > MAX_STATES.min(reader.len() / MIN_VALUE_SIZE) {
            return Err(DecodeError::Count { field: COUNT, count: announced });
        }
        let start = reader.rest();
        let mut seen = Seen::default();
        let mut uncommon = None::<Uncommon>;
        for _ in 0..count {
            let key = reader.i32("a value's key")?;
            if !seen.add(key) && !uncommon.get_or_insert_default().add(key) {
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

/// Writes the heartbeat with which every state begins.
pub(crate) fn encode_head(heartbeat: HeartbeatState, out: &mut Writer<'_>) -> Result<(), Full> {
    out.i32(heartbeat.generation.get())?;
    out.i32(heartbeat.version.get())
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

/// All other keys, sorted. No release of Cassandra has them, so that nobody who has them can mean to send one twice.
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
}

impl<'a> StateMap<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, form: AddressForm) -> Result<Self, DecodeError> {
        let count = reader.count(form.min_size() + 12, "the number of endpoint states")?;
        let start = reader.rest();
        for _ in 0..count {
            if form == AddressForm::WithPort && take_heartbeat(reader).is_some() {
                continue;
            }
            reader.endpoint(form)?;
            EndpointState::decode(reader)?;
        }
        let bytes = start.get(..start.len() - reader.len()).unwrap_or_default();
        Ok(Self { bytes, count, form })
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

    /// The endpoints with their states, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = (Endpoint, EndpointState<'a>)> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        let form = self.form;
        core::iter::from_fn(move || {
            if form == AddressForm::WithPort
                && let Some(heartbeat) = take_heartbeat(&mut reader)
            {
                return Some(heartbeat);
            }
            let endpoint = reader.endpoint(form).ok()?;
            let state = EndpointState::skim(&mut reader)?;
            Some((endpoint, state))
        })
    }
}

/// Takes the state of an IPv4 endpoint of which there is only the heartbeat, as it is of most: read at once, it costs half.
#[inline]
fn take_heartbeat<'a>(reader: &mut Reader<'a>) -> Option<(Endpoint, EndpointState<'a>)> {
    let mut ahead = *reader;
    let [_, a, b, c, d, p0, p1, g0, g1, g2, g3, v0, v1, v2, v3, 0, 0, 0, 0] =
        ahead.array_starting::<19>(6)?
    else {
        return None;
    };
    *reader = ahead;
    let endpoint = Endpoint::v4([a, b, c, d], u16::from_be_bytes([p0, p1]));
    let generation = Generation::new(i32::from_be_bytes([g0, g1, g2, g3]));
    let version = Version::new(i32::from_be_bytes([v0, v1, v2, v3]));
    let heartbeat = HeartbeatState { generation, version };
    Some((endpoint, EndpointState { heartbeat, values: &[], count: 0, has_duplicates: false }))
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
