//! Bytes with typed comments: `00 02   # u16 2: the length`.
//!
//! A comment is about all bytes since the comment before it. It begins with a type, and most types with a value.

use core::net::SocketAddr;

use gossip_core::message::Codec;
use gossip_core::wire::{JavaStr, Reader, Writer, encode_str};
use gossip_core::{Endpoint, MessagingVersion};

/// The bytes of a block.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub(crate) all: Vec<u8>,
    /// Whether comments cover all of them.
    pub(crate) is_described: bool,
}

/// The bytes of `lines`. Every comment is checked against the bytes that it is about.
pub(crate) fn parse(lines: &[String], version: MessagingVersion) -> Result<Bytes, String> {
    let mut all = Vec::new();
    let mut described = 0;
    for line in lines {
        let (bytes, comment) = match line.split_once('#') {
            Some((bytes, comment)) => (bytes, Some(comment.trim())),
            None => (line.as_str(), None),
        };
        all.extend(hex(bytes)?);
        if let Some(comment) = comment {
            check(&all[described..], comment, version).map_err(|fault| format!("{comment:?}: {fault}"))?;
            described = all.len();
        }
    }
    if all.is_empty() && described == 0 && lines.iter().all(|line| !line.contains('#')) {
        return Err("there are no bytes".into());
    }
    let is_described = described == all.len();
    if described > 0 && !is_described {
        return Err(format!("no comment is about the last {} bytes", all.len() - described));
    }
    Ok(Bytes { all, is_described })
}

pub(crate) fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .split_whitespace()
        .flat_map(str::chars)
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.ok_or_else(|| format!("{text:?} is not hexadecimal"))?;
    if !digits.len().is_multiple_of(2) {
        return Err(format!("{text:?} has an odd number of digits"));
    }
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// What `write` writes.
pub(crate) fn written<E: core::fmt::Debug>(write: impl FnOnce(&mut Writer<'_>) -> Result<(), E>) -> Vec<u8> {
    let mut buffer = vec![0xa5; 1 << 16];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer).unwrap();
    writer.written().to_vec()
}

/// What is written like a string of JSON.
pub(crate) fn quoted(text: &str) -> Result<String, String> {
    serde_json::from_str(text).map_err(|error| format!("{text}: {error}"))
}

pub(crate) fn number<T: core::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not such a number"))
}

pub(crate) fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse::<SocketAddr>().map(Endpoint::from).map_err(|error| format!("{text:?}: {error}"))
}

/// Modified UTF-8 with its length.
pub(crate) fn utf(text: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    encode_str(text, &mut encoded);
    written(|out| out.string(JavaStr::new(&encoded).unwrap()))
}

/// Decodes `bytes` as the comment says, and encodes the value of the comment again.
fn check(bytes: &[u8], comment: &str, version: MessagingVersion) -> Result<(), String> {
    let (what, words) = split(comment);
    let (kind, value) = what.split_once(' ').unwrap_or((what, ""));
    if words.is_empty() {
        return Err("say after a colon what it is".into());
    }
    let form = Codec::new(version).address_form();
    let mut reader = Reader::new(bytes);
    let (found, again) = match kind {
        "u8" => (reader.u8("").map(|n| n.to_string()), [number::<u8>(value)?].to_vec()),
        "u16" => (reader.u16("").map(|n| n.to_string()), number::<u16>(value)?.to_be_bytes().to_vec()),
        "u32" => (reader.u32("").map(|n| n.to_string()), number::<u32>(value)?.to_be_bytes().to_vec()),
        "i32" => (reader.i32("").map(|n| n.to_string()), number::<i32>(value)?.to_be_bytes().to_vec()),
        "u24le" => {
            let found = reader.array("").map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]).to_string());
            (found, number::<u32>(value)?.to_le_bytes()[..3].to_vec())
        }
        "u32le" => {
            let found = reader.array("").map(|bytes| u32::from_le_bytes(bytes).to_string());
            (found, number::<u32>(value)?.to_le_bytes().to_vec())
        }
        "uvint" => {
            // Negative numbers are extended to 64 bits.
            let number: i128 = number(value)?;
            let number = i64::try_from(number).map(i64::cast_unsigned).or_else(|_| u64::try_from(number));
            let number = number.map_err(|error| error.to_string())?;
            let found = reader.uvint("").map(|n| if n == number { value.into() } else { n.to_string() });
            (found, written(|out| out.uvint(number)))
        }
        "utf" => {
            let found = reader.string("").map(|string| format!("{:?}", string.to_text()));
            let text = quoted(value)?;
            let found = found.map(|found| if found == format!("{text:?}") { value.into() } else { found });
            (found, utf(&text))
        }
        "text" => {
            let found =
                reader.bytes(bytes.len(), "").map(|bytes| format!("{:?}", bytes.escape_ascii().to_string()));
            (found, quoted(value)?.into_bytes())
        }
        "addr" => {
            let found = reader.endpoint(form).map(|endpoint| endpoint.to_string());
            (found, written(|out| out.endpoint(endpoint(value).unwrap(), form)))
        }
        "bytes" => {
            let found = reader.bytes(bytes.len(), "").map(|bytes| bytes.len().to_string());
            (found, bytes.to_vec())
        }
        // The check of the whole block includes the checksum.
        "crc24" if bytes.len() == 3 && value.is_empty() => return Ok(()),
        "crc32" if bytes.len() == 4 && value.is_empty() => return Ok(()),
        "empty" if bytes.is_empty() && value.is_empty() => return Ok(()),
        _ => return Err(format!("{kind:?} with {} bytes is no type of field", bytes.len())),
    };
    let found = found.map_err(|error| error.to_string())?;
    if found != value || !reader.is_empty() {
        return Err(format!("{found}, and {} bytes left over", reader.len()));
    }
    if again != bytes {
        return Err(format!("encoded again it is {again:02x?}"));
    }
    Ok(())
}

/// What stands before and after the first colon that is in no string and in no address.
fn split(comment: &str) -> (&str, &str) {
    let mut is_quoted = false;
    for (at, c) in comment.char_indices() {
        if c == '"' {
            is_quoted = !is_quoted;
        }
        if !is_quoted && let Some(words) = comment[at..].strip_prefix(": ") {
            return (&comment[..at], words);
        }
    }
    (comment, "")
}
