//! Bytes without a capture around them, given as such.

use core::fmt;

use gossip_core::internode::{Accept, FrameHeader, Framing, Header, Initiate};
use gossip_core::message::{Codec, EndpointState, Message};
use gossip_core::wire::Reader;
use gossip_core::{MessagingVersion, Verb};

use crate::body::{Body, Reading, State};
use crate::connection::{Connection, framing_of, loose_answer, messages, splits};
use crate::env::{End, Ending, Env, Seen, Who};
use crate::fault::{Fault, bytes_of};
use crate::learned::Learned;
use crate::legacy::MAGIC;
use crate::options::Options;
use crate::record::{Damage, LooseBody, Place, Record, Summary};
use crate::tokens::hex;
use crate::version::Version;

/// The most bytes that are decoded without a checksum, if their kind was not given.
const MAX_GUESSED: usize = 16 << 20;
/// How many messages in a row may be the same, with their ids and times: no node sends that.
const MAX_ALIKE: usize = 16;

/// What bytes are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shape {
    /// What a dialler sends, from its handshake on.
    Connection,
    /// What an acceptor answers.
    Answer,
    /// Frames.
    Frames,
    /// Messages, one after the other.
    Messages,
    /// The body of a GOSSIP_DIGEST_SYN.
    Syn,
    /// The body of a GOSSIP_DIGEST_ACK.
    Ack,
    /// The body of a GOSSIP_DIGEST_ACK2.
    Ack2,
    /// The body of a GOSSIP_SHUTDOWN.
    Shutdown,
    /// The state of one endpoint.
    State,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Connection,
        Self::Answer,
        Self::Frames,
        Self::Messages,
        Self::Syn,
        Self::Ack,
        Self::Ack2,
        Self::Shutdown,
        Self::State,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Answer => "accept",
            Self::Frames => "frames",
            Self::Messages => "messages",
            Self::Syn => "syn",
            Self::Ack => "ack",
            Self::Ack2 => "ack2",
            Self::Shutdown => "shutdown",
            Self::State => "state",
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes are not decoded at all: their kind was not given, and cannot be found out.
#[derive(Clone, Debug, PartialEq)]
pub enum Unrecognised {
    /// They are nothing that is known.
    Nothing {
        /// What they are the longest, and what is wrong then.
        nearest: Option<(Shape, Box<Damage>)>,
    },
    /// They begin as nothing that has a checksum, and are too many to be taken for something without one.
    TooMany,
    /// They are several things, from the first byte to the last.
    Ambiguous {
        /// All of them.
        candidates: Vec<Shape>,
    },
}

impl fmt::Display for Unrecognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing { nearest: None } => f.write_str("there are no bytes"),
            Self::Nothing { nearest: Some((shape, damage)) } => {
                let Damage { place: Place { offset, .. }, expected, found, .. } = &**damage;
                write!(
                    f,
                    "the bytes are nothing that is known; as {shape}, offset {offset}: expected {expected}, found {found}"
                )
            }
            Self::TooMany => write!(
                f,
                "the bytes begin with neither a handshake nor a frame, and of more than {} MiB nothing else is believed",
                MAX_GUESSED >> 20
            ),
            Self::Ambiguous { candidates } => {
                let names: Vec<_> = candidates.iter().map(|shape| shape.name()).collect();
                write!(f, "the bytes say too little of what they are: {}", names.join(" or "))
            }
        }
    }
}

impl core::error::Error for Unrecognised {}

/// Decodes bytes that are `shape`, or what they say themselves that they are. The last record is a [`Summary`].
///
/// # Errors
///
/// [`Unrecognised`], if no `shape` is given and they do not say. Nothing is handed out then.
pub fn decode_bytes(
    bytes: &[u8],
    shape: Option<Shape>,
    options: &Options,
    sink: &mut dyn FnMut(Record),
) -> Result<Summary, Unrecognised> {
    let fitting = match shape {
        Some(shape) => Fitting::only(shape),
        None => recognise(bytes, options)?,
    };
    let mut learned = Learned::default();
    let (mut summary, mut scratch) = (Summary::default(), Vec::new());
    let mut env = Env { options, learned: &mut learned, summary: &mut summary, scratch: &mut scratch, sink };
    decode_as(bytes, fitting, &mut env);
    // Bytes that were given belong to no connection that could be distinguished from others.
    summary.connections = 0;
    sink(Record::Summary(summary.clone()));
    Ok(summary)
}

fn decode_as(bytes: &[u8], fitting: Fitting, env: &mut Env<'_>) {
    let shape = fitting.shape;
    let version = |usual: MessagingVersion| {
        Version::given_or_assumed(env.options.version, fitting.version.unwrap_or(usual))
    };
    match shape {
        Shape::Connection => run(Connection::loose(), bytes, env),
        Shape::Frames => {
            let version = version(MessagingVersion::V12);
            let framing = env.options.framing.or(fitting.framing);
            match framing.or_else(|| fitting_framing(bytes, version, env.options)) {
                Some(framing) => run(Connection::loose_frames(framing, version), bytes, env),
                None => no_frame(bytes, env),
            }
        }
        Shape::Messages => {
            let usual = if bytes.starts_with(&MAGIC) { MessagingVersion::V11 } else { MessagingVersion::V12 };
            let mut version = version(usual);
            if version.number < MessagingVersion::V12 {
                run(Connection::loose_legacy(version, env.options.storage_port()), bytes, env);
                return;
            }
            if version.is_assumed {
                version.number = fitting_version(bytes).unwrap_or(version.number);
            }
            env.summary.bytes += bytes.len() as u64;
            messages(bytes, version, Place::default(), &Who::default(), env);
        }
        Shape::Answer => {
            env.summary.bytes += bytes.len() as u64;
            match loose_answer(bytes) {
                Ok((handshake, size)) => {
                    env.tell(Record::Handshake(handshake));
                    if let Some(rest) = bytes.get(size..).filter(|rest| !rest.is_empty()) {
                        let place = Place { offset: size as u64, ..Place::default() };
                        env.lose(rest.len());
                        env.damage(place, "the end", format!("{} more", bytes_of(rest.len() as u64)));
                    }
                }
                Err(fault) => body_damage(bytes, fault, env),
            }
        }
        Shape::Syn | Shape::Ack | Shape::Ack2 | Shape::Shutdown | Shape::State => {
            let usual = match shape {
                // Before, it has no body.
                Shape::Shutdown if !bytes.is_empty() => MessagingVersion::V13,
                _ => MessagingVersion::V12,
            };
            let mut version = version(usual);
            if version.is_assumed && fitting.version.is_none() {
                version.number = fitting_body(bytes, shape, env.options).unwrap_or(version.number);
            }
            body(bytes, shape, version, env);
        }
    }
}

fn run(mut connection: Connection, bytes: &[u8], env: &mut Env<'_>) {
    connection.bytes(End::Dialler, bytes, Seen::default(), env);
    connection.end(End::Dialler, Ending::Finished, env);
    connection.close(env);
}

fn no_frame(bytes: &[u8], env: &mut Env<'_>) {
    env.summary.bytes += bytes.len() as u64;
    env.lose(bytes.len());
    let (front, _) = bytes.split_at(bytes.len().min(Framing::Lz4.header_len()));
    let found = if front.is_empty() { "the end".to_owned() } else { hex(front) };
    let expected = "a frame header, which begins with 3 or 5 bytes and their checksum in 3 more";
    env.damage(Place::default(), expected, found);
}

fn body(bytes: &[u8], shape: Shape, version: Version, env: &mut Env<'_>) {
    env.summary.bytes += bytes.len() as u64;
    let codec = Codec { version: version.number, storage_port: env.options.storage_port() };
    let mut reading = Reading { codec, sender: None, learned: env.learned, names: &env.options.names };
    let decoded = match verb(shape) {
        Some(verb) => Body::decode(verb, bytes, &mut reading),
        None => {
            let mut reader = Reader::new(bytes);
            let state = EndpointState::decode(&mut reader)
                .and_then(|state| reader.finish().map(|()| state))
                .map(|state| Body::State(State::of(None, &state, &mut reading)))
                .map_err(|error| Fault::new(error, bytes, &reader));
            Some(state)
        }
    };
    match decoded {
        Some(Ok(body)) => env.tell(Record::Body(LooseBody {
            place: Place::default(),
            kind: shape.name(),
            version: version.number.number(),
            length: bytes.len(),
            body,
        })),
        Some(Err(fault)) => body_damage(bytes, fault, env),
        None => {}
    }
}

fn body_damage(bytes: &[u8], Fault { at, expected, found }: Fault, env: &mut Env<'_>) {
    env.lose(bytes.len());
    env.damage(Place { offset: at as u64, ..Place::default() }, expected, found);
}

/// The verb under which a body travels; a state is in bodies only.
const fn verb(shape: Shape) -> Option<Verb> {
    Some(match shape {
        Shape::Syn => Verb::GOSSIP_DIGEST_SYN,
        Shape::Ack => Verb::GOSSIP_DIGEST_ACK,
        Shape::Ack2 => Verb::GOSSIP_DIGEST_ACK2,
        Shape::Shutdown => Verb::GOSSIP_SHUTDOWN,
        _ => return None,
    })
}

/// What bytes are, as far as they tell it themselves.
#[derive(Clone, Copy, Debug)]
struct Fitting {
    shape: Shape,
    version: Option<MessagingVersion>,
    framing: Option<Framing>,
}

impl Fitting {
    const fn only(shape: Shape) -> Self {
        Self { shape, version: None, framing: None }
    }
}

fn recognise(bytes: &[u8], options: &Options) -> Result<Fitting, Unrecognised> {
    if bytes.starts_with(&MAGIC) {
        return Ok(Fitting::only(connection_or_messages(bytes, options)));
    }
    if matches!(bytes, [0x16, 3, 0..=4, ..]) {
        return Ok(Fitting::only(Shape::Connection));
    }
    if bytes.len() == Accept::SIZE && matches!(Accept::decode(bytes), Ok(Some(_))) {
        return Ok(Fitting::only(Shape::Answer));
    }
    let begins_frame =
        |framing: Framing| matches!(FrameHeader::decode(framing, bytes), Ok(Some(header)) if header.len > 0);
    if options.framing.map_or_else(|| framing_of(bytes).is_some(), begins_frame) {
        return Ok(Fitting::only(Shape::Frames));
    }
    if bytes.len() > MAX_GUESSED {
        return Err(Unrecognised::TooMany);
    }
    let allowed = |version: &MessagingVersion| options.version.is_none_or(|given| given == *version);
    let is_likely = |version: &MessagingVersion| allowed(version) && are_likely(bytes, *version);
    if let Some(version) = fitting_version(bytes).filter(is_likely) {
        return Ok(Fitting { version: Some(version), ..Fitting::only(Shape::Messages) });
    }
    let bodies = [Shape::Syn, Shape::Ack, Shape::Ack2, Shape::State];
    let fitting = |shape| {
        let version = Some(fitting_body(bytes, shape, options)?);
        Some(Fitting { shape, version, framing: None })
    };
    let mut candidates: Vec<Fitting> = bodies.into_iter().filter_map(fitting).collect();
    if let [only] = candidates.as_slice()
        && says_something(bytes, only)
    {
        return Ok(*only);
    }
    // Bytes that cannot be decoded are taken for messages of gossip, or frames of them, if they look like it.
    if looks_like_gossip(bytes) {
        return Ok(Fitting::only(Shape::Messages));
    }
    for framing in [Framing::Crc, Framing::Lz4] {
        if bytes.get(framing.header_len()..).is_some_and(looks_like_gossip) {
            return Ok(Fitting { framing: Some(framing), ..Fitting::only(Shape::Frames) });
        }
    }
    if let Some(0..=20) = bytes.first_chunk().map(|word| u32::from_be_bytes(*word))
        && bytes.len() == 4
    {
        candidates.push(Fitting::only(Shape::Answer));
    }
    if !candidates.is_empty() {
        let candidates = candidates.into_iter().map(|fitting| fitting.shape).collect();
        return Err(Unrecognised::Ambiguous { candidates });
    }
    // Of several that get as far the last one counts: the most general ones come first.
    let shapes = [Shape::State, Shape::Ack2, Shape::Ack, Shape::Syn, Shape::Messages];
    let attempts = shapes.into_iter().filter_map(|shape| Some((shape, first_damage(bytes, shape, options)?)));
    let nearest = attempts.max_by_key(|(_, damage)| damage.place.offset);
    let nearest = nearest.filter(|_| !bytes.is_empty());
    Err(Unrecognised::Nothing { nearest: nearest.map(|(shape, damage)| (shape, Box::new(damage))) })
}

/// Whether a body has more in it than zeros and numbers, which anything could be.
fn says_something(bytes: &[u8], fitting: &Fitting) -> bool {
    let codec = Codec::new(fitting.version.unwrap_or(MessagingVersion::V12));
    let message = verb(fitting.shape).and_then(|verb| Message::decode(verb, bytes, codec)?.ok());
    match message {
        Some(Message::Syn(syn)) => !syn.partitioner.is_empty(),
        Some(Message::Ack(ack)) => !ack.requests.is_empty() || !ack.states.is_empty(),
        Some(Message::Ack2(ack2)) => !ack2.states.is_empty(),
        _ => EndpointState::decode(&mut Reader::new(bytes)).is_ok_and(|state| !state.is_empty()),
    }
}

/// What begins with the magic: a connection, or messages of before 4.0.
fn connection_or_messages(bytes: &[u8], options: &Options) -> Shape {
    if matches!(Initiate::decode(bytes), Ok(Some(_))) {
        return Shape::Connection;
    }
    let is_right = |shape| first_damage(bytes, shape, options).is_none();
    if !is_right(Shape::Connection) && is_right(Shape::Messages) {
        Shape::Messages
    } else {
        Shape::Connection
    }
}

/// What comes up first if `bytes` are `shape`.
fn first_damage(bytes: &[u8], shape: Shape, options: &Options) -> Option<Damage> {
    let mut first = None;
    try_run(options, &mut first, |env| decode_as(bytes, Fitting::only(shape), env));
    first
}

/// Runs something of which only the first damage matters.
fn try_run(options: &Options, first: &mut Option<Damage>, run: impl FnOnce(&mut Env<'_>)) {
    let (mut learned, mut summary, mut scratch) = (Learned::default(), Summary::default(), Vec::new());
    let mut sink = |record| {
        if let Record::Damage(damage) = record
            && first.is_none()
        {
            *first = Some(damage);
        }
    };
    run(&mut Env {
        options,
        learned: &mut learned,
        summary: &mut summary,
        scratch: &mut scratch,
        sink: &mut sink,
    });
}

/// The framing with which `bytes` are frames; else the first with which they begin as one.
fn fitting_framing(bytes: &[u8], version: Version, options: &Options) -> Option<Framing> {
    let is_right = |framing: &Framing| {
        let mut first = None;
        try_run(options, &mut first, |env| run(Connection::loose_frames(*framing, version), bytes, env));
        first.is_none()
    };
    let begun = framing_of(bytes)?;
    [Framing::Crc, Framing::Lz4, Framing::Unprotected].into_iter().find(is_right).or(Some(begun))
}

/// The version from 12 on in which `bytes` are whole messages.
fn fitting_version(bytes: &[u8]) -> Option<MessagingVersion> {
    let versions = [MessagingVersion::V12, MessagingVersion::V13, MessagingVersion::V14];
    versions.into_iter().find(|version| !bytes.is_empty() && splits(bytes, *version))
}

/// The version in which `bytes` are a body. Those between which the body does not change are one.
fn fitting_body(bytes: &[u8], shape: Shape, options: &Options) -> Option<MessagingVersion> {
    let versions: &[MessagingVersion] = match shape {
        Shape::Shutdown if bytes.is_empty() => &[MessagingVersion::V12],
        Shape::Shutdown => &[MessagingVersion::V13],
        Shape::State => &[MessagingVersion::V12],
        Shape::Syn => &[MessagingVersion::V12, MessagingVersion::V11, MessagingVersion::V14],
        _ => &[MessagingVersion::V12, MessagingVersion::V11],
    };
    let given = options.version.map(|version| [version]);
    let versions = given.as_ref().map_or(versions, |given| &given[..]);
    versions.iter().copied().find(|version| match verb(shape) {
        Some(verb) => matches!(Message::decode(verb, bytes, Codec::new(*version)), Some(Ok(_))),
        None => {
            let mut reader = Reader::new(bytes);
            EndpointState::decode(&mut reader).is_ok() && reader.is_empty()
        }
    })
}

/// Whether messages, into which `bytes` can be cut, are such as a node sends: zeros can be cut as well.
fn are_likely(bytes: &[u8], version: MessagingVersion) -> bool {
    const MAX_EXPIRY_MS: u64 = 24 * 60 * 60 * 1_000;
    const MAX_PARAMS: u64 = 16;
    const MAX_FLAGS: u64 = 0xff;
    let mut reader = Reader::new(bytes);
    let (mut before, mut alike) = (&bytes[..0], 0);
    while !reader.is_empty() {
        let start = bytes.len() - reader.len();
        let Ok(header) = Header::decode(&mut reader, version) else { return false };
        if !(1..=MAX_EXPIRY_MS).contains(&header.expires_in.unsigned_abs())
            || header.flags > MAX_FLAGS
            || header.params.len() > MAX_PARAMS
            || reader.bytes(header.payload_size, "the body").is_err()
        {
            return false;
        }
        let message = &bytes[start..bytes.len() - reader.len()];
        alike = if message == before { alike + 1 } else { 0 };
        if alike >= MAX_ALIKE {
            return false;
        }
        before = message;
    }
    true
}

/// Whether `bytes` begin with a header of gossip as it is in practice.
fn looks_like_gossip(bytes: &[u8]) -> bool {
    const MAX_EXPIRY_MS: i64 = 600_000;
    let mut reader = Reader::new(bytes);
    Header::decode(&mut reader, MessagingVersion::V12).is_ok_and(|header| {
        header.verb.is_gossip()
            && (1..=MAX_EXPIRY_MS).contains(&header.expires_in)
            && header.flags <= 1
            && header.params.is_empty()
    })
}
