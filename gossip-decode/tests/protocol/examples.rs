//! What an example must be, by its kind.

use gossip_core::internode::{
    Accept, FrameHeader, FrameKind, Framing, Header, Initiate, Lz4Encoder, Param, Params, wrap,
};
use gossip_core::message::{Codec, Digest, EndpointState, Message, PeerLog, PeerLogRequest, StateMap, Value};
use gossip_core::wire::{JavaStr, Reader, crc24, crc32, encode_str};
use gossip_core::{MessagingVersion, Status, StatusKind, Verb, decode_tokens, encode_tokens};
use gossip_decode::{Options, Record, Shape, decode_bytes};

use crate::fields::{self, Bytes, endpoint, hex, number, quoted, utf, written};
use gossip_testing::pages::Block;

type Checked = Result<(), String>;

/// Checks a block, and says how many examples there were.
pub(crate) fn check(block: &Block) -> Result<usize, String> {
    match block.info.as_str() {
        "mermaid" | "python" | "console" | "text" => return Ok(0),
        "text status" => return each_line(block, status),
        _ => {}
    }
    let words = block.info.strip_prefix("hex ").ok_or_else(|| format!("unknown block {:?}", block.info))?;
    let mut words = words.split(' ');
    let kind = words.next().unwrap_or_default();
    let words: Vec<_> = words.collect();
    match (kind, &words[..]) {
        ("uvint", []) => each_line(block, uvint),
        ("utf", []) => each_line(block, string),
        ("crc24", []) => each_line(block, crc24_of),
        ("crc32", []) => each_line(block, crc32_of),
        ("tokens", []) => each_line(block, tokens),
        ("metadata-id", []) => each_line(block, metadata_id),
        ("frame-header", [framing]) => {
            let framing = framing_of(framing)?;
            each_line(block, |line| frame_header(line, framing))
        }
        ("addr", versions) => {
            let versions = versions_of(versions)?;
            each_line(block, |line| versions.iter().try_for_each(|version| address(line, *version)))
        }
        ("initiate", []) => whole(block, MessagingVersion::V12, initiate),
        ("accept", []) => whole(block, MessagingVersion::V12, accept),
        ("fields", []) => described(block, MessagingVersion::V12),
        ("legacy-handshake", [version]) => {
            let version = version_of(version)?;
            described(block, version)?;
            whole(block, version, legacy_handshake)
        }
        ("frame", [framing, version]) => {
            let framing = framing_of(framing)?;
            whole(block, version_of(version)?, |bytes, version| frames(bytes, framing, version))
        }
        (_, versions) => {
            let check = match kind {
                "value" => value,
                "state" => state,
                "digest" => digest,
                "syn" => |bytes: &[u8], version| body(bytes, Verb::GOSSIP_DIGEST_SYN, version),
                "ack" => |bytes: &[u8], version| body(bytes, Verb::GOSSIP_DIGEST_ACK, version),
                "ack2" => |bytes: &[u8], version| body(bytes, Verb::GOSSIP_DIGEST_ACK2, version),
                "shutdown" => |bytes: &[u8], version| body(bytes, Verb::GOSSIP_SHUTDOWN, version),
                "message" => message,
                _ => return Err(format!("unknown kind of example {kind:?}")),
            };
            for version in versions_of(versions)? {
                whole(block, version, check)?;
            }
            Ok(1)
        }
    }
}

fn version_of(word: &str) -> Result<MessagingVersion, String> {
    let number = word.strip_prefix('v').and_then(|number| number.parse().ok());
    number.and_then(MessagingVersion::from_number).ok_or_else(|| format!("unknown version {word:?}"))
}

fn versions_of(words: &[&str]) -> Result<Vec<MessagingVersion>, String> {
    if words.is_empty() {
        return Err("the kind of example must name its messaging versions".into());
    }
    words.iter().map(|word| version_of(word)).collect()
}

fn framing_of(word: &str) -> Result<Framing, String> {
    match word {
        "crc" => Ok(Framing::Crc),
        "lz4" => Ok(Framing::Lz4),
        "unprotected" => Ok(Framing::Unprotected),
        _ => Err(format!("unknown framing {word:?}")),
    }
}

/// Every line is an example of its own.
fn each_line(block: &Block, check: impl Fn(&str) -> Checked) -> Result<usize, String> {
    if block.lines.is_empty() {
        return Err("there is no line".into());
    }
    for line in &block.lines {
        check(line).map_err(|fault| format!("{line:?}: {fault}"))?;
    }
    Ok(block.lines.len())
}

/// The block is one example.
fn whole(
    block: &Block,
    version: MessagingVersion,
    check: impl Fn(&[u8], MessagingVersion) -> Checked,
) -> Result<usize, String> {
    let Bytes { all, .. } = fields::parse(&block.lines, version)?;
    check(&all, version).map(|()| 1)
}

/// The comments describe everything, as there is no other check.
fn described(block: &Block, version: MessagingVersion) -> Result<usize, String> {
    let bytes = fields::parse(&block.lines, version)?;
    if bytes.is_described { Ok(1) } else { Err("comments must describe all bytes".into()) }
}

fn equal(what: &str, found: impl AsRef<[u8]>, expected: &[u8]) -> Checked {
    let found = found.as_ref();
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    Err(format!("{what} encoded again differs from byte {at} on: {found:02x?}"))
}

/// `left = right`.
fn sides(line: &str) -> Result<(&str, &str), String> {
    let (left, right) = line.rsplit_once(" = ").ok_or("there is no ` = `")?;
    Ok((left.trim(), right.trim()))
}

fn failed(error: impl core::fmt::Display) -> String {
    error.to_string()
}

fn uvint(line: &str) -> Checked {
    let (value, bytes) = sides(line)?;
    let (value, bytes) = (number::<u64>(value)?, hex(bytes)?);
    let mut reader = Reader::new(&bytes);
    let found = reader.uvint("it").map_err(failed)?;
    reader.finish().map_err(failed)?;
    if found != value {
        return Err(format!("decoded it is {found}"));
    }
    equal("the number", written(|out| out.uvint(value)), &bytes)
}

fn string(line: &str) -> Checked {
    let (text, bytes) = sides(line)?;
    let (text, bytes) = (quoted(text)?, hex(bytes)?);
    let mut reader = Reader::new(&bytes);
    let found = reader.string("it").map_err(failed)?;
    reader.finish().map_err(failed)?;
    if found.to_text() != text {
        return Err(format!("decoded it is {:?}", found.to_text()));
    }
    equal("the string", utf(&text), &bytes)
}

fn address(line: &str, version: MessagingVersion) -> Checked {
    let (text, bytes) = sides(line)?;
    let (at, bytes) = (endpoint(text)?, hex(bytes)?);
    let form = Codec::new(version).address_form();
    let mut reader = Reader::new(&bytes);
    let found = reader.endpoint(form).map_err(failed)?;
    reader.finish().map_err(failed)?;
    if found != at {
        return Err(format!("decoded it is {found}"));
    }
    equal("the address", written(|out| out.endpoint(at, form)), &bytes)
}

fn crc24_of(line: &str) -> Checked {
    let (bytes, crc) = sides(line)?;
    let found = crc24(&hex(bytes)?);
    if format!("{found:06x}") == crc { Ok(()) } else { Err(format!("it is {found:06x}")) }
}

fn crc32_of(line: &str) -> Checked {
    let (text, crc) = sides(line)?;
    let found = crc32(quoted(text)?.as_bytes());
    if format!("{found:08x}") == crc { Ok(()) } else { Err(format!("it is {found:08x}")) }
}

fn tokens(line: &str) -> Checked {
    let (tokens, bytes) = sides(line)?;
    let tokens: Vec<i64> = tokens.split_whitespace().map(number).collect::<Result<_, _>>()?;
    let bytes = hex(bytes)?;
    let mut reader = Reader::new(&bytes);
    let string = reader.string("it").map_err(failed)?;
    reader.finish().map_err(failed)?;
    let found = decode_tokens(string).ok_or("it is no list of tokens")?;
    let expected: Vec<_> = tokens.iter().map(|token| token.to_be_bytes().to_vec()).collect();
    if found != expected {
        return Err(format!("decoded they are {found:02x?}"));
    }
    equal("the list", utf(&encode_tokens(&tokens)), &bytes)
}

/// `address = number = bytes`: the identifier of cluster metadata, Java's hash of an address and port.
fn metadata_id(line: &str) -> Checked {
    let (rest, bytes) = sides(line)?;
    let (address, value) = sides(rest)?;
    let (address, value, bytes) = (endpoint(address)?, number::<i32>(value)?, hex(bytes)?);
    let hash = match core::net::SocketAddr::from(address).ip() {
        core::net::IpAddr::V4(ip) => i32::from_be_bytes(ip.octets()),
        core::net::IpAddr::V6(ip) => ip.octets().chunks(4).fold(0_i32, |sum, group| {
            // Java's bytes are signed.
            let group = group.iter().fold(0_i32, |value, byte| {
                value.wrapping_mul(256).wrapping_add(i32::from(byte.cast_signed()))
            });
            sum.wrapping_add(group)
        }),
    };
    let hash = hash.wrapping_add(i32::from(core::net::SocketAddr::from(address).port()));
    if hash != value {
        return Err(format!("it is {hash}"));
    }
    let mut reader = Reader::new(&bytes);
    let found = reader.uvint("it").map_err(failed)?.cast_signed();
    reader.finish().map_err(failed)?;
    if found != i64::from(value) {
        return Err(format!("decoded it is {found}"));
    }
    equal("the identifier", written(|out| out.uvint(i64::from(value).cast_unsigned())), &bytes)
}

fn status(line: &str) -> Checked {
    let status = Status::parse(line);
    if matches!(status, Status::Unparsed(_)) || status.kind() == StatusKind::of_keyword("") {
        return Err("it is no status".into());
    }
    if status.to_string() == line { Ok(()) } else { Err(format!("written again it is {status}")) }
}

/// `11 self-contained = bytes`.
fn frame_header(line: &str, framing: Framing) -> Checked {
    let (words, bytes) = sides(line)?;
    let (length, kind) = words.split_once(' ').ok_or("name length and kind")?;
    let kind = match kind {
        "self-contained" => FrameKind::SelfContained,
        "piece" => FrameKind::Piece,
        _ => return Err(format!("unknown kind of frame {kind:?}")),
    };
    let (len, bytes) = (number::<usize>(length)?, hex(bytes)?);
    let header = FrameHeader::decode(framing, &bytes).map_err(failed)?;
    if header != Some(FrameHeader { kind, len, decompressed: None }) {
        return Err(format!("decoded it is {header:?}"));
    }
    let start = framing.header_len();
    let mut buffer = vec![0; start + len + framing.trailer_len()];
    wrap(framing, kind, &mut buffer, start..start + len).map_err(failed)?;
    equal("the header", &buffer[..start], &bytes)
}

fn initiate(bytes: &[u8], _: MessagingVersion) -> Checked {
    let (initiate, size) = Initiate::decode(bytes).map_err(failed)?.ok_or("it is not complete")?;
    if size != bytes.len() {
        return Err(format!("it has {size} bytes"));
    }
    equal("the Initiate", written(|out| initiate.encode(out)), bytes)
}

fn accept(bytes: &[u8], _: MessagingVersion) -> Checked {
    let (accept, size) = Accept::decode(bytes).map_err(failed)?.ok_or("it is not complete")?;
    if size != bytes.len() {
        return Err(format!("it has {size} bytes"));
    }
    equal("the Accept", accept.to_bytes(), bytes)
}

/// What a dialler of before 4.0 sends.
fn legacy_handshake(bytes: &[u8], _: MessagingVersion) -> Checked {
    let records = loose(bytes, Shape::Connection, None)?;
    let is_legacy = |record: &Record| matches!(record, Record::Handshake(handshake) if handshake.legacy);
    if records.iter().any(is_legacy) { Ok(()) } else { Err(format!("it is no such handshake: {records:?}")) }
}

/// What the decoder of captures makes of bytes; anything that it cannot read is an error.
fn loose(bytes: &[u8], shape: Shape, version: Option<MessagingVersion>) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    let options = Options { version, ..Options::default() };
    decode_bytes(bytes, Some(shape), &options, &mut |record| records.push(record)).map_err(failed)?;
    match records.iter().find(|record| matches!(record, Record::Damage(_))) {
        Some(damage) => Err(format!("{damage:?}")),
        None => Ok(records),
    }
}

fn value(bytes: &[u8], _: MessagingVersion) -> Checked {
    let mut reader = Reader::new(bytes);
    let value = Value::decode(&mut reader).map_err(failed)?;
    reader.finish().map_err(failed)?;
    equal("the value", written(|out| value.encode(out)), bytes)
}

fn state(bytes: &[u8], _: MessagingVersion) -> Checked {
    let mut reader = Reader::new(bytes);
    let state = EndpointState::decode(&mut reader).map_err(failed)?;
    reader.finish().map_err(failed)?;
    let mut again = Vec::new();
    put_state(&state, &mut again);
    equal("the state", again, bytes)
}

fn digest(bytes: &[u8], version: MessagingVersion) -> Checked {
    let codec = Codec::new(version);
    let mut reader = Reader::new(bytes);
    let digest = Digest::decode(&mut reader, codec.address_form()).map_err(failed)?;
    reader.finish().map_err(failed)?;
    equal("the digest", written(|out| digest.encode(codec, out)), bytes)
}

/// A state, from its values one by one: the codec itself copies what it has decoded.
fn put_state(state: &EndpointState<'_>, out: &mut Vec<u8>) {
    out.extend(state.heartbeat.generation.get().to_be_bytes());
    out.extend(state.heartbeat.version.get().to_be_bytes());
    put_count(state.len(), out);
    for (key, value) in state.values() {
        out.extend(key.number().to_be_bytes());
        // By way of the text, as a reader of the value has it.
        let mut text = Vec::new();
        encode_str(&value.text.to_text(), &mut text);
        let text = JavaStr::new(&text).unwrap();
        out.extend(written(|out| Value { text, version: value.version }.encode(out)));
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    out.extend(i32::try_from(count).unwrap().to_be_bytes());
}

fn put_states(states: &StateMap<'_>, codec: Codec, out: &mut Vec<u8>) {
    put_count(states.len(), out);
    for (endpoint, state) in states.iter() {
        out.extend(written(|out| out.endpoint(endpoint, codec.address_form())));
        put_state(&state, out);
    }
}

fn put_digests(digests: impl Iterator<Item = Digest>, count: usize, codec: Codec, out: &mut Vec<u8>) {
    put_count(count, out);
    for digest in digests {
        out.extend(written(|out| digest.encode(codec, out)));
    }
}

/// The body of one of the messages of gossip.
fn body(bytes: &[u8], verb: Verb, version: MessagingVersion) -> Checked {
    let codec = Codec::new(version);
    let message = Message::decode(verb, bytes, codec).ok_or("it is no verb of gossip")?.map_err(failed)?;
    let mut again = Vec::new();
    match &message {
        Message::Syn(syn) => {
            again.extend(utf(&syn.cluster.to_text()));
            again.extend(utf(&syn.partitioner.to_text()));
            if version == MessagingVersion::V14 {
                again.extend(written(|out| syn.metadata_id.encode(out)));
            }
            put_digests(syn.digests.iter(), syn.digests.len(), codec, &mut again);
        }
        Message::Ack(ack) => {
            put_digests(ack.requests.iter(), ack.requests.len(), codec, &mut again);
            put_states(&ack.states, codec, &mut again);
        }
        Message::Ack2(ack2) => put_states(&ack2.states, codec, &mut again),
        Message::Shutdown(shutdown) => {
            shutdown.state.iter().for_each(|state| put_state(state, &mut again));
        }
        Message::EchoRequest | Message::EchoResponse => {}
    }
    equal("the body", &again, bytes)?;
    equal("the message", written(|out| message.encode(codec, out)), bytes)
}

/// One or more whole messages.
fn message(bytes: &[u8], version: MessagingVersion) -> Checked {
    if version < MessagingVersion::V12 {
        return legacy_message(bytes, version);
    }
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let before = reader.rest();
        let header = Header::decode(&mut reader, version).map_err(failed)?;
        let encoded = before.len() - reader.len();
        let payload = reader.bytes(header.payload_size, "the body").map_err(failed)?;
        let mut params = Vec::new();
        params.extend(header.params.iter().map(|Param { id, value }| Param { id, value }));
        let mut buffer = [0; 256];
        let params = Params::new(&params, &mut buffer).map_err(failed)?;
        let again = written(|out| Header { params, ..header }.encode(version, out));
        equal("the header", again, &before[..encoded])?;
        if header.encoded_len(version) != encoded {
            return Err("the size of the header differs".into());
        }
        if Message::decode(header.verb, payload, Codec::new(version)).is_some() {
            body(payload, header.verb, version)?;
        } else if [Verb::TCM_FETCH_PEER_LOG_REQ, Verb::TCM_FETCH_PEER_LOG_RSP].contains(&header.verb) {
            peer_log(payload, header.verb)?;
        } else if header.verb.name().is_none() {
            return Err(format!("{:?} is no verb", header.verb));
        }
    }
    if bytes.is_empty() { Err("there is no message".into()) } else { Ok(()) }
}

/// The question for the id of the cluster metadata, or its answer.
fn peer_log(bytes: &[u8], verb: Verb) -> Checked {
    let mut reader = Reader::new(bytes);
    let again = if verb == Verb::TCM_FETCH_PEER_LOG_REQ {
        let request = PeerLogRequest::decode(&mut reader).map_err(failed)?;
        written(|out| request.encode(out))
    } else {
        let log = PeerLog::decode(&mut reader).map_err(failed)?;
        written(|out| log.encode(out))
    };
    reader.finish().map_err(failed)?;
    equal("the body", &again, bytes)
}

/// A message of before 4.0.
fn legacy_message(bytes: &[u8], version: MessagingVersion) -> Checked {
    loose(bytes, Shape::Messages, Some(version))?;
    let form = Codec::new(version).address_form();
    let mut reader = Reader::new(bytes);
    let mut again = Vec::new();
    let mut copy = |reader: &mut Reader<'_>| -> Result<i32, String> {
        let number = reader.i32("a number").map_err(failed)?;
        again.extend(number.to_be_bytes());
        Ok(number)
    };
    let magic = copy(&mut reader)?;
    if magic.cast_unsigned() != 0xca55_2dfa {
        return Err(format!("the magic is {magic:08x}"));
    }
    copy(&mut reader)?;
    copy(&mut reader)?;
    let from = reader.endpoint(form).map_err(failed)?;
    again.extend(written(|out| out.endpoint(from, form)));
    let mut copy = |reader: &mut Reader<'_>| -> Result<i32, String> {
        let number = reader.i32("a number").map_err(failed)?;
        again.extend(number.to_be_bytes());
        Ok(number)
    };
    let verb = copy(&mut reader)?;
    let params = copy(&mut reader)?;
    let size = copy(&mut reader)?;
    if params != 0 {
        return Err("examples with parameters cannot be encoded again".into());
    }
    let payload = reader.bytes(usize::try_from(size).map_err(failed)?, "the body").map_err(failed)?;
    reader.finish().map_err(failed)?;
    let verb = Verb::new(u64::try_from(verb).map_err(failed)?);
    if Message::decode(verb, payload, Codec::new(version)).is_some() {
        body(payload, verb, version)?;
    } else if !payload.is_empty() {
        return Err(format!("the body of {verb:?} cannot be encoded again"));
    }
    again.extend(payload);
    equal("the message", again, bytes)
}

/// One or more frames, each with whole messages.
fn frames(bytes: &[u8], framing: Framing, version: MessagingVersion) -> Checked {
    let mut rest = bytes;
    while !rest.is_empty() {
        let header =
            FrameHeader::decode(framing, rest).map_err(failed)?.ok_or("the header is not complete")?;
        let start = framing.header_len();
        let end = start + header.len;
        let sent = rest.get(start..end).ok_or("the payload is not complete")?;
        let frame = rest.get(..end + framing.trailer_len()).ok_or("the checksum is not complete")?;
        let payload = match header.decompressed {
            None => sent.to_vec(),
            Some(size) => {
                let mut payload = vec![0; size];
                let found = lz4_flex::block::decompress_into(sent, &mut payload).map_err(failed)?;
                if found != size {
                    return Err(format!("decompressed it has {found} bytes"));
                }
                payload
            }
        };
        if header.kind == FrameKind::SelfContained {
            message(&payload, version)?;
        }
        if header.decompressed.is_some() {
            // The example must be what our compressor makes: another one's block may differ.
            let mut out = vec![0; Lz4Encoder::room(payload.len())];
            let size = Lz4Encoder::new().encode(header.kind, &payload, &mut out).map_err(failed)?;
            equal("the frame", &out[..size], frame)?;
        } else {
            let mut buffer = vec![0; frame.len()];
            buffer[start..end].copy_from_slice(sent);
            wrap(framing, header.kind, &mut buffer, start..end).map_err(failed)?;
            equal("the frame", &buffer, frame)?;
        }
        rest = &rest[frame.len()..];
    }
    if bytes.is_empty() { Err("there is no frame".into()) } else { Ok(()) }
}
