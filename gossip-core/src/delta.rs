//! Writing what a peer lacks: whole, or cut so that nothing can get lost.
//!
//! A message is filled by priority of *endpoints*: those of which only the heartbeat is newer come first. Within one
//! endpoint there is no priority. What is cut holds a prefix of its values in version order, under a heartbeat no newer
//! than the last of them; the receiver then asks from there. Were any value left out below the greatest version that is
//! sent, the receiver would never ask for it.
//!
//! Deviation: Cassandra sends everything in one message, of any size.

use alloc::vec::Vec;
use core::cell::Cell;

use crate::application_state::ApplicationState;
use crate::asked::Asked;
use crate::digest::{Entry, Pending};
use crate::endpoint::Endpoint;
use crate::message::{Codec, encode_heartbeat, pack, pack_heartbeat};
use crate::release::Release;
use crate::slot::Slot;
use crate::table::{EndpointTable, Place, Values};
use crate::time::Timestamp;
use crate::version::Version;
use crate::wire::{AddressForm, Full, JavaStr, Reserved, Writer};

/// The shortest state of an endpoint in a message: an IPv4 address with port, the heartbeat, no values.
const MIN_STATE_SIZE: usize = 19;

/// What stands before the first state of an ACK that requests nothing: the numbers of requests and of states.
const COUNTS: usize = 8;

/// The longest digest in a message: an IPv6 address with port, two numbers.
const MAX_DIGEST_SIZE: usize = 27;

/// Space for putting the values of one endpoint into version order; kept, so that it is taken once.
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    values: Vec<(Version, Place)>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { values: Vec::with_capacity(crate::message::MAX_STATES) }
    }
}

/// Writes the digests by which the peer is asked for what it knows better, as many as fit.
///
/// Endpoints that are unknown, or known under an older generation, are requested from version 0. `asked` remembers them, because only what was
/// requested from version 0 is accepted as complete. The same holds for ourselves.
pub(crate) fn encode_requests(
    table: &EndpointTable,
    pending: &mut Pending,
    (asked, whom, now): (&mut Asked, Endpoint, Timestamp),
    codec: Codec,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    // Requests leave half the room to states, where there are any, and always that for their number. Half of that again may go to
    // endpoints that are unknown here, so that news of known ones does not keep them out.
    let has_states = !pending.has_no_more_states() && pending.gives().len() > 0;
    let for_states = |share: usize| if has_states { (out.room() / share).max(4) } else { 4 };
    let (reserved, reserved_at_last) = (MAX_DIGEST_SIZE + for_states(2), MAX_DIGEST_SIZE + for_states(4));
    let count = out.reserve_i32()?;
    let mut written = 0;
    let mut progress = pending.progress;
    let mut left = pending.wants().get(progress.requests..).unwrap_or_default();
    loop {
        if codec.address_form() == AddressForm::WithPort {
            // Of nearly all a part is asked for, of IPv4 endpoints: that is their digest.
            written += out.places(reserved, |place| {
                let Some((entry, rest)) = left.split_first() else { return false };
                let Some((packed, ours)) = table.older_v4(entry.slot(), entry.known()) else { return false };
                pack(packed, ours, place);
                left = rest;
                true
            });
        }
        let Some((entry, rest)) = left.split_first() else { break };
        let (ours, theirs) = (table.known(entry.slot()), entry.known());
        if theirs <= ours {
            left = rest; // Another peer has sent it meanwhile.
            continue;
        }
        let is_restarted = theirs.generation() != ours.generation();
        let from = if is_restarted { Version::ZERO } else { ours.max_version() };
        if out.room() < reserved {
            break;
        }
        left = rest;
        let (endpoint, generation) = (table.endpoint(entry.slot()), theirs.generation());
        // What others say of ourselves counts only if it was asked for.
        let is_noted = from == Version::ZERO || entry.slot() == Slot::FIRST;
        if is_noted && !asked.ask(endpoint, generation, whom, now) {
            continue;
        }
        let digest = crate::message::Digest { endpoint, generation, max_version: from };
        digest.encode(codec, out)?;
        written += 1;
    }
    progress.requests = pending.wants().len() - left.len();
    let begin = progress.unknown;
    progress.unknown = pending.unknown.len();
    for (at, unknown) in pending.unknown.iter().enumerate().skip(begin) {
        if out.room() < reserved_at_last {
            progress.unknown = at;
            break;
        }
        if table.find(unknown.endpoint).is_some()
            || !asked.ask(unknown.endpoint, unknown.generation, whom, now)
        {
            continue;
        }
        let digest = crate::message::Digest {
            endpoint: unknown.endpoint,
            generation: unknown.generation,
            max_version: Version::ZERO,
        };
        digest.encode(codec, out)?;
        written += 1;
    }
    out.fill(count, written);
    pending.progress = progress;
    Ok(())
}

/// The receiver of a message: its messaging version, and what else it can decode.
///
/// Anything else is withheld from it: a number beyond its table costs a Cassandra node the whole message, a value that it cannot size every
/// later one (`docs/protocol/primitives.md#modified-utf-8`, `docs/protocol/application-states.md#keys`). What is withheld counts as sent: a receiver that cannot decode a value does not miss it.
///
/// Deviation: Cassandra sends everybody everything.
#[derive(Debug)]
pub(crate) struct Receiver {
    codec: Codec,
    max_key: ApplicationState,
    max_len: usize,
    /// Whether it is a node of a Cassandra cluster, or may tell one.
    is_cassandra: bool,
    withheld: Cell<u64>,
}

/// Whether an endpoint has stopped, by its heartbeat, and has no tokens. In a Cassandra cluster such an endpoint is mentioned to no peer.
#[inline]
pub(crate) fn is_stopped_nobody(table: &EndpointTable, slot: Slot) -> bool {
    table.heartbeat(slot).version == Version::SHUTDOWN && !has_tokens(table.values(slot))
}

/// Whether a node of a Cassandra cluster is told nothing of an endpoint.
///
/// Deviation: so it is with another endpoint whose host id is not known; Cassandra tells what it has. Perhaps only a part of the state is known.
/// The node would take that for the complete state, and never request the rest.
#[inline]
pub(crate) fn is_untold(table: &EndpointTable, slot: Slot) -> bool {
    is_stopped_nobody(table, slot) || (slot != Slot::FIRST && table.host_id(slot).is_none())
}

/// Whether these values name tokens.
pub(crate) fn has_tokens(values: &Values) -> bool {
    values.get(ApplicationState::TOKENS).is_some_and(|(text, _)| crate::tokens::has_tokens(text))
}

/// The release that an endpoint names, if it names one.
pub(crate) fn release_of(table: &EndpointTable, slot: Slot) -> Option<Release<'_>> {
    let (text, _) = table.values(slot).get(ApplicationState::RELEASE_VERSION)?;
    Release::parse(text.as_str()?)
}

impl Receiver {
    /// A node like ours.
    pub(crate) const fn of_everything(codec: Codec) -> Self {
        let max_key = ApplicationState::new(i32::MAX);
        Self { codec, max_key, max_len: usize::MAX, is_cassandra: false, withheld: Cell::new(0) }
    }

    /// A node of a Cassandra cluster that decodes numbers up to `max_key`, and values of up to so many encoded bytes.
    pub(crate) const fn of_cassandra(codec: Codec, max_key: ApplicationState, max_len: usize) -> Self {
        Self { codec, max_key, max_len, is_cassandra: true, withheld: Cell::new(0) }
    }

    /// What decides which values it gets.
    pub(crate) const fn limits(&self) -> (Codec, ApplicationState, usize, bool) {
        (self.codec, self.max_key, self.max_len, self.is_cassandra)
    }

    /// How often something was withheld.
    pub(crate) const fn withheld(&self) -> u64 {
        self.withheld.get()
    }

    pub(crate) const fn address_form(&self) -> AddressForm {
        self.codec.address_form()
    }

    fn has(&self, key: ApplicationState, text: JavaStr<'_>) -> bool {
        let has = key <= self.max_key && text.len() <= self.max_len;
        if !has {
            self.withheld.set(self.withheld.get() + 1);
        }
        has
    }
}

/// Whether what finds no room in a message follows in another at once, or has to wait for the next exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// It waits. A large state is cut, and smaller ones behind it take the remaining room.
    Waits,
    /// It follows. A state that fits a message of its own is not cut.
    Follows,
}

/// Writes the states of which the peer is behind, as many as fit. Returns one that needs a message of its own, if there is any: one of its
/// values fits no message of this size. Where a value without room waits, it also needs one if it might never find room beside heartbeats.
pub(crate) fn encode_states(
    table: &EndpointTable,
    pending: &mut Pending,
    scratch: &mut Scratch,
    follows: Rest,
    receiver: &Receiver,
    out: &mut Writer<'_>,
) -> Result<Option<Entry>, Full> {
    let total = out.len() + out.room();
    // A list of requests may stand before: of none, it is their number alone.
    let is_first_of_all = out.len() <= 4;
    let count = out.reserve_i32()?;
    let mut written = 0;
    // A quarter stays for endpoints with new values, so that heartbeats, of which there is no end, do not starve them.
    let share = out.room() / 4;
    let form = receiver.address_form();
    let mut progress = pending.progress;
    let gives = |from: usize| (from..).zip(pending.gives().skip(from));
    let has_values_after = |from: usize| {
        gives(from).any(|(_, entry)| {
            behind(table, receiver, entry).is_some_and(|from| table.max_value_version(entry.slot()) > from)
        })
    };
    // Not the first message about it: the states written so far may all have been without values.
    let mut with_values = progress.heartbeats > 0 && has_values_after(progress.values);
    // The room that stays free until it is known whether any endpoint has new values.
    let mut kept = share.max(MIN_STATE_SIZE);
    let mut left = pending.gives_from(progress.heartbeats);
    loop {
        if form == AddressForm::WithPort {
            // Of nearly all there is nothing but a heartbeat, of IPv4 endpoints.
            written += out.places(kept, |place| {
                let Some((entry, rest)) = left.split_last() else { return false };
                let Some((packed, ours)) = table.newer_heartbeat_v4(entry.slot(), entry.known()) else {
                    return false;
                };
                if receiver.is_cassandra && is_untold(table, entry.slot()) {
                    return false;
                }
                pack_heartbeat(packed, ours, place);
                left = rest;
                true
            });
        }
        let Some((entry, rest)) = left.split_last() else { break };
        let (at, entry) = (pending.gives().len() - left.len(), *entry);
        let Some(from) = behind(table, receiver, entry) else {
            left = rest;
            continue;
        };
        if table.max_value_version(entry.slot()) > from {
            with_values = true;
            left = rest;
            continue;
        }
        if out.room() < kept {
            if kept > MIN_STATE_SIZE {
                kept = MIN_STATE_SIZE;
                with_values = with_values || has_values_after(at);
            }
            if out.room() < MIN_STATE_SIZE || with_values {
                break;
            }
        }
        let heartbeat = table.heartbeat(entry.slot());
        if heartbeat.version > from {
            if encode_heartbeat(table.endpoint(entry.slot()), heartbeat, form, out).is_ok() {
                written += 1;
            } else if follows == Rest::Follows && !(written == 0 && is_first_of_all) {
                break;
            }
        }
        left = rest;
    }
    progress.heartbeats = pending.gives().len() - left.len();
    if follows == Rest::Follows && !left.is_empty() {
        // The remaining heartbeats follow in another message. So do the values behind them.
        with_values = with_values || has_values_after(progress.heartbeats);
    }
    let mut too_large = None;
    // New heartbeats may fill three quarters of each message. Then a value never has more than the last quarter.
    let most = match follows {
        Rest::Waits => (total / 4).saturating_sub(2 * MIN_STATE_SIZE),
        Rest::Follows => total,
    };
    let begin = progress.values;
    progress.values = pending.gives().len();
    if with_values {
        for (at, entry) in gives(begin) {
            let Some(from) = behind(table, receiver, entry) else { continue };
            if table.max_value_version(entry.slot()) <= from {
                continue;
            }
            // A message of its own would have more room.
            let may_wait = follows == Rest::Follows && !(written == 0 && is_first_of_all);
            match encode_state(table, entry.slot(), from, scratch, may_wait, receiver, out) {
                Ok(Part::Whole | Part::Prefix) => written += 1,
                Ok(Part::Nothing { needed }) if needed > most => too_large = Some(entry),
                // What is shorter may find room.
                Ok(Part::Nothing { .. }) => {}
                Err(Full) => {
                    progress.values = at;
                    break;
                }
            }
        }
    }
    pending.progress = progress;
    out.fill(count, written);
    Ok(too_large)
}

/// Writes our own state as that of a node that stops.
pub(crate) fn encode_shutdown(
    table: &EndpointTable,
    receiver: &Receiver,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    crate::message::encode_state_head(table.heartbeat(Slot::FIRST), out)?;
    let count = out.reserve_i32()?;
    let mut written = 0;
    for (key, text, version) in
        table.values(Slot::FIRST).iter().filter(|(key, text, _)| receiver.has(*key, *text))
    {
        encode_value(key, text, version, out)?;
        written += 1;
    }
    out.fill(count, written);
    Ok(())
}

/// As [`encode_shutdown`], of the status alone.
pub(crate) fn encode_shutdown_status(table: &EndpointTable, out: &mut Writer<'_>) -> Result<(), Full> {
    let key = ApplicationState::STATUS_WITH_PORT;
    let (text, version) = table.values(Slot::FIRST).get(key).ok_or(Full)?;
    crate::message::encode_state_head(table.heartbeat(Slot::FIRST), out)?;
    out.i32(1)?;
    encode_value(key, text, version, out)
}

/// Writes one endpoint as the only one of a list of states: all that the peer lacks of it.
pub(crate) fn encode_whole(
    table: &EndpointTable,
    entry: Entry,
    receiver: &Receiver,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    let Some(from) = behind(table, receiver, entry) else { return Err(Full) };
    out.i32(1)?;
    out.endpoint(table.endpoint(entry.slot()), receiver.address_form())?;
    encode_newer(table, entry.slot(), from, receiver, out)
}

/// The size of an endpoint's whole state in a list of states, in bytes.
pub(crate) fn state_size(table: &EndpointTable, slot: Slot, form: AddressForm) -> usize {
    let address = form.min_size() + if table.endpoint(slot).ip().is_ipv6() { 12 } else { 0 };
    let values = table.values(slot);
    address + 12 + values.len() * 10 + values.text_bytes()
}

/// From which version a peer lacks something of an endpoint.
#[inline]
fn behind(table: &EndpointTable, receiver: &Receiver, entry: Entry) -> Option<Version> {
    let (ours, theirs) = (table.known(entry.slot()), entry.known());
    if theirs >= ours || (receiver.is_cassandra && is_untold(table, entry.slot())) {
        return None;
    }
    // Of a later process it is all, also what was never given a version.
    let is_restarted = theirs.generation() != ours.generation();
    Some(if is_restarted { Version::EMPTY } else { theirs.max_version() })
}

/// Writes all of an endpoint that is newer than `from`, or nothing; says which.
pub(crate) fn encode_if_whole(
    table: &EndpointTable,
    slot: Slot,
    from: Version,
    receiver: &Receiver,
    out: &mut Writer<'_>,
) -> bool {
    let withheld = receiver.withheld();
    let whole = out.atomically(|out| {
        out.endpoint(table.endpoint(slot), receiver.address_form())?;
        encode_newer(table, slot, from, receiver, out)
    });
    if whole.is_err() {
        // It was not written, and so not withheld.
        receiver.withheld.set(withheld);
    }
    whole.is_ok()
}

/// Writes what fits of an endpoint, beginning with the oldest of what is newer than `from`; says whether that is anything.
pub(crate) fn encode_part(
    table: &EndpointTable,
    slot: Slot,
    from: Version,
    scratch: &mut Scratch,
    receiver: &Receiver,
    out: &mut Writer<'_>,
) -> bool {
    matches!(encode_state(table, slot, from, scratch, false, receiver, out), Ok(Part::Whole | Part::Prefix))
}

/// How much of an endpoint's state was written.
enum Part {
    Whole,
    Prefix,
    /// Not even the values of the least version found room; a message that tells nothing else needs so many bytes.
    Nothing {
        needed: usize,
    },
}

/// Writes what is newer than `from`: all of it, else, unless it may wait, as many of the oldest values as fit.
fn encode_state(
    table: &EndpointTable,
    slot: Slot,
    from: Version,
    scratch: &mut Scratch,
    may_wait: bool,
    receiver: &Receiver,
    out: &mut Writer<'_>,
) -> Result<Part, Full> {
    let endpoint = table.endpoint(slot);
    if encode_if_whole(table, slot, from, receiver, out) {
        return Ok(Part::Whole);
    }
    if may_wait {
        return Err(Full);
    }
    if out.room() < MIN_STATE_SIZE + 10 {
        return Err(Full);
    }
    let values = table.values(slot);
    scratch.values.clear();
    scratch.values.extend(
        values
            .with_places()
            .filter(|(_, key, text, version)| *version > from && receiver.has(*key, *text))
            .map(|(place, _, _, version)| (version, place)),
    );
    scratch.values.sort_unstable();
    let prefix = out.atomically(|out| {
        out.endpoint(endpoint, receiver.address_form())?;
        let heartbeat = table.heartbeat(slot);
        out.i32(heartbeat.generation.get())?;
        let version: Reserved = out.reserve_i32()?;
        let count = out.reserve_i32()?;
        let (mut written, mut highest) = (0, None);
        // Values of one version stay together: the receiver asks from above it.
        for group in scratch.values.chunk_by(|a, b| a.0 == b.0) {
            let fits = out.atomically(|out| {
                group.iter().try_for_each(|(_, place)| match values.at(*place) {
                    Some((key, text, version)) => encode_value(key, text, version, out),
                    None => Ok(()),
                })
            });
            if fits.is_err() {
                break;
            }
            written += i32::try_from(group.len()).unwrap_or(0);
            highest = group.first().map(|(version, _)| *version);
        }
        let highest = highest.ok_or(Full)?;
        out.fill(version, heartbeat.version.min(highest).get());
        out.fill(count, written);
        Ok(())
    });
    if prefix.is_ok() {
        return Ok(Part::Prefix);
    }
    let first = scratch.values.chunk_by(|a, b| a.0 == b.0).next().unwrap_or_default();
    let texts = first.iter().filter_map(|(_, place)| values.at(*place));
    let texts = texts.map(|(_, text, _)| 10 + text.len()).sum::<usize>();
    let needed = COUNTS + MIN_STATE_SIZE + if endpoint.ip().is_ipv6() { 12 } else { 0 } + texts;
    Ok(Part::Nothing { needed })
}

/// Writes the heartbeat and all values above `from`, by ascending key.
pub(crate) fn encode_newer(
    table: &EndpointTable,
    slot: Slot,
    from: Version,
    receiver: &Receiver,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    crate::message::encode_state_head(table.heartbeat(slot), out)?;
    let count = out.reserve_i32()?;
    let mut written = 0;
    let newer = |(key, text, version): &(_, _, _)| *version > from && receiver.has(*key, *text);
    for (key, text, version) in table.values(slot).iter().filter(newer) {
        encode_value(key, text, version, out)?;
        written += 1;
    }
    out.fill(count, written);
    Ok(())
}

fn encode_value(
    key: ApplicationState,
    text: JavaStr<'_>,
    version: Version,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    out.i32(key.number())?;
    out.string(text)?;
    out.i32(version.get())
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use core::time::Duration;

    use super::*;
    use crate::budgets::Budgets;
    use crate::digest::Unknown;
    use crate::message::Message;
    use crate::phi::Settings;
    use crate::verb::Verb;
    use crate::version::{Generation, HeartbeatState, Known, MessagingVersion};

    const PEER: Endpoint = Endpoint::v4([10, 1, 0, 1], 7_000);
    const CODEC: Codec = Codec::new(MessagingVersion::V12);

    /// The size of an IPv6 endpoint in a list of states, with nothing but its heartbeat.
    const V6_STATE_SIZE: usize = MIN_STATE_SIZE + 12;

    fn table() -> EndpointTable {
        let second = Duration::from_secs(1);
        EndpointTable::new(7, 1_000, Settings { window: 4, initial: second, max: second, pace: None })
    }

    fn v4(n: u8) -> Endpoint {
        Endpoint::v4([10, 0, 0, n], 7_000)
    }

    fn v6(n: u8) -> Endpoint {
        Endpoint::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n], 7_000)
    }

    /// Of generation 3, with heartbeat 10, and values under versions from 6 on.
    fn insert(table: &mut EndpointTable, endpoint: Endpoint, values: &[&str]) -> Slot {
        let heartbeat = HeartbeatState { generation: Generation::new(3), version: Version::new(10) };
        let slot = table.insert(endpoint, heartbeat).unwrap();
        for (n, text) in (0..).zip(values) {
            let text = JavaStr::new(text.as_bytes()).unwrap();
            let _ = table.set_value(slot, ApplicationState::new(n), text, Version::new(6 + n));
        }
        slot
    }

    fn known(version: i32) -> Known {
        Known::new(Generation::new(3), Version::new(version))
    }

    fn given(slots: impl IntoIterator<Item = (Slot, i32)>) -> Pending {
        let mut pending = Pending::default();
        pending.reserve(1_000, &Budgets::USUAL);
        for (slot, version) in slots {
            pending.give(Entry::new(slot, known(version)));
        }
        pending
    }

    /// What a message told: endpoint, heartbeat, and the versions of its values.
    type Told = Vec<(Endpoint, i32, Vec<i32>)>;

    /// Lists of states in messages of this size, until there is nothing more to tell. What each told, and how much room was left in it.
    fn messages(
        table: &EndpointTable,
        pending: &mut Pending,
        rest: Rest,
        size: usize,
    ) -> Vec<(Told, usize, Option<Slot>)> {
        let receiver = Receiver::of_everything(CODEC);
        let mut scratch = Scratch::new();
        let mut messages = Vec::new();
        loop {
            let mut buffer = alloc::vec![0; size];
            let mut out = Writer::new(&mut buffer);
            let before = pending.progress;
            let too_large = encode_states(table, pending, &mut scratch, rest, &receiver, &mut out).unwrap();
            let decoded = Message::decode(Verb::GOSSIP_DIGEST_ACK2, out.written(), CODEC);
            let Some(Ok(Message::Ack2(ack2))) = decoded else { panic!("{decoded:?}") };
            let told = ack2.states.iter().map(|(endpoint, state)| {
                let versions = state.values().map(|(_, value)| value.version.get()).collect();
                (endpoint, state.heartbeat.version.get(), versions)
            });
            messages.push((told.collect(), out.room(), too_large.map(Entry::slot)));
            if rest == Rest::Waits || pending.has_no_more_states() || pending.progress == before {
                return messages;
            }
            assert!(messages.len() < 1_000, "it goes on and on");
        }
    }

    #[test]
    fn the_size_of_a_state_is_how_many_bytes_it_takes() {
        let mut table = table();
        let cases: [(Endpoint, &[&str]); 5] = [
            (v4(1), &[]),
            (v4(2), &["a value"]),
            (v6(1), &[]),
            (v6(2), &["x"]),
            (v6(3), &["one", "", "three"]),
        ];
        for (endpoint, values) in cases {
            let slot = insert(&mut table, endpoint, values);
            for version in [MessagingVersion::V12, MessagingVersion::V11] {
                let codec = Codec::new(version);
                let receiver = Receiver::of_everything(codec);
                let mut buffer = [0; 200];
                let mut out = Writer::new(&mut buffer);
                assert!(encode_if_whole(&table, slot, Version::EMPTY, &receiver, &mut out));
                assert_eq!(out.len(), state_size(&table, slot, codec.address_form()), "{endpoint}");
                let size = 4 + out.len();
                let mut out = Writer::new(&mut buffer);
                let entry = Entry::new(slot, Known::new(Generation::new(2), Version::new(9)));
                encode_whole(&table, entry, &receiver, &mut out).unwrap();
                assert_eq!((out.len(), &out.written()[..4]), (size, [0, 0, 0, 1].as_slice()));
                let entry = Entry::new(slot, table.known(slot));
                assert_eq!(encode_whole(&table, entry, &receiver, &mut out), Err(Full), "nothing is newer");
            }
        }
    }

    #[test]
    fn requests_leave_half_the_room_to_states_and_only_where_there_are_any() {
        let mut table = table();
        let slot = insert(&mut table, v4(0), &[]);
        for size in 60..400 {
            let requests = |pending: &mut Pending| {
                let mut buffer = alloc::vec![0; size];
                let mut out = Writer::new(&mut buffer);
                let mut asked = Asked::new(7, 1_024, Duration::from_secs(5), Duration::from_secs(1));
                encode_requests(&table, pending, (&mut asked, PEER, Timestamp::ZERO), CODEC, &mut out)
                    .unwrap();
                let left = out.room();
                let count = i32::from_be_bytes(*out.written().first_chunk().unwrap());
                (usize::try_from(count).unwrap(), left)
            };
            let unknown = |pending: &mut Pending| {
                pending
                    .unknown
                    .extend((1..200).map(|n| Unknown { endpoint: v4(n), generation: Generation::new(3) }));
            };
            // The longest digest and the number of states would still have found room before the last.
            let mut pending = given([]);
            unknown(&mut pending);
            let (count, _) = requests(&mut pending);
            assert_eq!(
                count,
                ((size - 4).saturating_sub(MAX_DIGEST_SIZE + 4) / 15 + 1).min(199),
                "of {size}"
            );
            let mut pending = given([(slot, 5)]);
            unknown(&mut pending);
            let (_, left) = requests(&mut pending);
            assert!(left >= size / 4, "{left} of {size}");
            // All states are written: what is left belongs to requests again.
            (pending.progress.heartbeats, pending.progress.values) = (1, 1);
            pending.progress.unknown = 0;
            assert_eq!(requests(&mut pending).0, count, "of {size}");
        }
    }

    #[test]
    fn heartbeats_fill_messages_that_follow_each_other_and_none_is_left_out() {
        let mut table = table();
        let mut slots = Vec::new();
        for n in 0..60 {
            // Values that the peer has are no reason to leave room for values.
            slots.push((insert(&mut table, v4(n), &["", "", "x"]), 8));
            slots.push((insert(&mut table, v6(n), &["", "", "x"]), 8));
            slots.push((insert(&mut table, v4(100 + n), &[]), 9));
        }
        for size in (60..600).step_by(7) {
            let mut pending = given(slots.iter().copied());
            let messages = messages(&table, &mut pending, Rest::Follows, size);
            let (last, others) = messages.split_last().unwrap();
            for (told, room, _) in others {
                assert!(*room < V6_STATE_SIZE, "{room} are left of {size}, after {}", told.len());
            }
            assert!(!last.0.is_empty());
            let mut told: Vec<_> = messages.into_iter().flat_map(|(told, ..)| told).collect();
            assert!(told.iter().all(|(_, heartbeat, values)| *heartbeat == 10 && values.is_empty()));
            told.sort_unstable();
            told.dedup();
            assert_eq!(told.len(), slots.len(), "of {size}");
        }
    }

    #[test]
    fn values_find_room_beside_heartbeats_and_nothing_gets_lost_in_messages_that_follow_each_other() {
        let mut table = table();
        let texts: Vec<String> = (0..6).map(|n| "x".repeat(n * 9)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut slots = alloc::vec![(insert(&mut table, v4(99), &texts), 0)];
        for n in 0..40 {
            slots.push((insert(&mut table, v4(n), &[]), 9));
            slots.push((insert(&mut table, v6(n), &[]), 9));
            if n % 4 == 0 {
                // All of its values are new, or the last four.
                slots.push((insert(&mut table, v4(100 + n), &texts), if n % 8 == 0 { 0 } else { 7 }));
                slots.push((insert(&mut table, v6(100 + n), &texts), 5));
            }
        }
        let lacking: BTreeMap<Endpoint, i32> =
            slots.iter().map(|(slot, version)| (table.endpoint(*slot), *version)).collect();
        for size in (128..900).step_by(11) {
            let mut pending = given(slots.iter().copied());
            let messages = messages(&table, &mut pending, Rest::Follows, size);
            let mut told = BTreeMap::<Endpoint, Vec<i32>>::new();
            for (endpoint, heartbeat, values) in messages.iter().flat_map(|(told, ..)| told) {
                let before = told.entry(*endpoint).or_default();
                before.extend(values);
                // The heartbeat of a state that was cut is no newer than its last value.
                let is_whole = *heartbeat == 10;
                assert!(is_whole || values.iter().max() == Some(heartbeat), "{endpoint} of {size}");
            }
            assert!(messages.iter().all(|(.., too_large)| too_large.is_none()));
            for (endpoint, version) in &lacking {
                let expected: Vec<i32> = match table.values(table.find(*endpoint).unwrap()).len() {
                    0 => Vec::new(),
                    _ => (6..12).filter(|known| known > version).collect(),
                };
                let mut told =
                    told.remove(endpoint).unwrap_or_else(|| panic!("{endpoint} is missing of {size}"));
                told.sort_unstable();
                // Those that are cut tell the rest in the next exchange.
                assert!(expected.starts_with(&told), "{endpoint}: {told:?} of {size}");
                assert!(expected.is_empty() || !told.is_empty(), "{endpoint} of {size}");
            }
        }
    }

    #[test]
    fn of_a_state_that_is_cut_as_many_values_are_told_as_fit() {
        let mut table = table();
        let slot = insert(
            &mut table,
            v4(1),
            &["", "four", "", "twelve bytes", "", "and the longest of all of them"],
        );
        let sizes = [0, 4, 0, 12, 0, 30];
        for size in 8..200 {
            let mut pending = given([(slot, 5)]);
            let messages = messages(&table, &mut pending, Rest::Waits, size);
            let (told, ..) = &messages[0];
            // In the order of versions.
            let mut room = (size - 4).checked_sub(MIN_STATE_SIZE);
            let mut fitting = 0;
            for value in sizes {
                room = room.and_then(|room| room.checked_sub(10 + value));
                fitting += usize::from(room.is_some());
            }
            let expected: Vec<i32> = (6..).take(fitting).collect();
            match told.first() {
                Some((_, _, values)) => assert_eq!(*values, expected, "of {size}"),
                None => assert!(expected.is_empty(), "nothing of {size}"),
            }
        }
    }

    #[test]
    fn a_value_that_fits_no_message_is_told_apart_and_holds_up_no_other() {
        for (rest, make) in
            [Rest::Waits, Rest::Follows].into_iter().flat_map(|rest| [(rest, v4 as fn(u8) -> _), (rest, v6)])
        {
            for length in 0..80 {
                let mut table = table();
                let long = "x".repeat(length);
                let large = insert(&mut table, make(1), &[&long]);
                let small = insert(&mut table, make(2), &["y"]);
                let mut pending = given([(large, 5), (small, 5)]);
                let messages = messages(&table, &mut pending, rest, 80);
                let is_told = |slot: Slot| {
                    let endpoint = table.endpoint(slot);
                    messages.iter().flat_map(|(told, ..)| told).any(|(other, ..)| *other == endpoint)
                };
                let fits = 4 + state_size(&table, large, AddressForm::WithPort) <= 80;
                assert_eq!(is_told(large), fits, "{rest:?}, {length}");
                let is_large = messages.iter().any(|(.., too_large)| *too_large == Some(large));
                assert_eq!(is_large, !fits, "{rest:?}, {length}");
                // Where nothing follows it may be the turn of the other in the next exchange.
                assert!(is_told(small) || (rest == Rest::Waits && fits), "{rest:?}, {length}");
            }
        }
    }

    #[test]
    fn values_follow_also_where_requests_leave_too_little_room_for_a_heartbeat() {
        let mut table = table();
        let mut slots: Vec<_> = (0..3).map(|n| (insert(&mut table, v6(n), &[]), 9)).collect();
        slots.push((insert(&mut table, v4(9), &["x"]), 5));
        for room in 4..200 {
            let mut pending = given(slots.iter().copied());
            let receiver = Receiver::of_everything(CODEC);
            let mut scratch = Scratch::new();
            let mut told = 0;
            // Requests stand before the states of the first message.
            for before in [100, 0, 0, 0, 0] {
                let mut buffer = alloc::vec![0; if before == 0 { 100 } else { before + room }];
                let mut out = Writer::new(&mut buffer);
                out.bytes(&alloc::vec![0; before]).unwrap();
                let rest = Rest::Follows;
                encode_states(&table, &mut pending, &mut scratch, rest, &receiver, &mut out).unwrap();
                told += i32::from_be_bytes(*out.written()[before..].first_chunk().unwrap());
            }
            assert!(pending.has_no_more_states());
            assert_eq!(told, 4, "{room} bytes beside the requests");
        }
    }

    #[test]
    fn once_all_values_are_told_heartbeats_take_all_the_room() {
        let mut table = table();
        let mut slots: Vec<_> = (0..5).map(|n| (insert(&mut table, v6(200 + n), &["x"]), 5)).collect();
        slots.extend((0..100).map(|n| (insert(&mut table, v6(n), &["", "", "x"]), 8)));
        for size in (1_100..1_900).step_by(13) {
            let mut pending = given(slots.iter().copied());
            let messages = messages(&table, &mut pending, Rest::Follows, size);
            assert_eq!(
                messages[0].0.iter().filter(|(.., values)| !values.is_empty()).count(),
                5,
                "of {size}"
            );
            let room = messages.iter().skip(1).rev().skip(1).map(|(_, room, _)| *room).max();
            assert!(room.is_none_or(|room| room < V6_STATE_SIZE), "{room:?} of {size}");
            let told: usize = messages.iter().map(|(told, ..)| told.len()).sum();
            assert_eq!(told, 105);
        }
    }

    #[test]
    fn where_nothing_follows_what_is_shorter_takes_the_room_that_is_left() {
        let mut table = table();
        let mut slots = Vec::new();
        for n in 0..9 {
            slots.extend((0..n).map(|m| insert(&mut table, v6(10 * n + m), &[])));
            slots.push(insert(&mut table, v4(n), &[]));
        }
        for size in 60..900 {
            let mut room = size - 4;
            let mut expected = Vec::new();
            for slot in &slots {
                let taken = state_size(&table, *slot, AddressForm::WithPort);
                if taken <= room {
                    room -= taken;
                    expected.push(table.endpoint(*slot));
                }
            }
            let mut pending = given(slots.iter().map(|slot| (*slot, 9)));
            let messages = messages(&table, &mut pending, Rest::Waits, size);
            let told: Vec<_> = messages[0].0.iter().map(|(endpoint, ..)| *endpoint).collect();
            assert_eq!(told, expected, "of {size}");
        }
    }
}
