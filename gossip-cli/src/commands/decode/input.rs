//! Where the bytes come from.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use gossip_decode::is_capture;

use super::hex;
use crate::failure::Failure;

/// How much is read at once.
pub(crate) const CHUNK: usize = 256 * 1024;
/// The most bytes that are taken at once where it is no capture.
const MAX_BYTES: usize = 256 << 20;

/// Bytes that are to be decoded.
pub(crate) enum Input {
    /// What stands on the command line.
    Hex(Vec<u8>),
    /// A file, or standard input.
    Reader { name: String, reader: Box<dyn Read>, size: Option<u64> },
}

impl Input {
    /// What the command line names: digits, or files; without either, standard input.
    ///
    /// # Errors
    ///
    /// Misuse if it is neither; failure if the file cannot be opened.
    pub(crate) fn open(words: &[String], files: &[String]) -> Result<Vec<Self>, Failure> {
        let open_all = |names: &[String]| names.iter().map(|name| Self::open_file(name)).collect();
        if !files.is_empty() {
            one_standard_input(files)?;
            return open_all(files);
        }
        if words.is_empty() {
            if io::stdin().is_terminal() {
                return Err(Failure::misuse(
                    "nothing is given to decode (write hexadecimal or the names of files, or have something piped in)",
                ));
            }
            return Ok(vec![Self::open_file("-")?]);
        }
        let text = words.join(" ");
        let is_file = |name: &String| name == "-" || Path::new(name).exists();
        match (hex::parse(&text), words) {
            (_, [name]) if name == "-" => open_all(words),
            (Ok(bytes), _) if !bytes.is_empty() => Ok(vec![Self::Hex(bytes)]),
            (_, [name]) if Path::new(name).exists() => open_all(words),
            (_, [_, _, ..]) if words.iter().all(is_file) => {
                one_standard_input(words)?;
                open_all(words)
            }
            (Err(_), [_, _, ..]) if missing(words).is_some() => {
                let name = missing(words).map_or("", String::as_str);
                Err(Failure::misuse(format!(
                    "there is no file '{name}' (name files only, or write hexadecimal only)"
                )))
            }
            (Ok(_), _) => {
                Err(Failure::misuse("there are no digits (write hexadecimal, or the name of a file)"))
            }
            (Err(error), [name]) if looks_like_a_name(name) => {
                Err(Failure::misuse(format!("there is no file '{name}', and as hexadecimal {error}")))
            }
            (Err(error), _) => {
                Err(Failure::misuse(format!("{error} (write hexadecimal, or the names of files)")))
            }
        }
    }

    /// What it is called; nothing where it stands on the command line.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Hex(_) => "",
            Self::Reader { name, .. } => name,
        }
    }

    /// How many bytes there are, if that is known.
    pub(crate) const fn size(&self) -> Option<u64> {
        match self {
            Self::Hex(bytes) => Some(bytes.len() as u64),
            Self::Reader { size, .. } => *size,
        }
    }

    fn open_file(name: &str) -> Result<Self, Failure> {
        if name == "-" {
            let name = "standard input".to_owned();
            return Ok(Self::Reader { name, reader: Box::new(io::stdin().lock()), size: None });
        }
        let opened = File::open(name).and_then(|file| match file.metadata()?.is_dir() {
            true => Err(io::Error::other("it is a directory")),
            false => Ok(file),
        });
        let file = opened.map_err(|error| {
            Failure::misuse(format!("{name} cannot be read: {error} (check its name and its mode)"))
        })?;
        // A pipe or a device has none.
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        Ok(Self::Reader { name: name.to_owned(), reader: Box::new(file), size })
    }

    /// The first bytes; at least four, if there are so many.
    ///
    /// # Errors
    ///
    /// They cannot be read, or are packed.
    pub(crate) fn first(&mut self) -> Result<Vec<u8>, Failure> {
        let mut first = Vec::new();
        let mut chunk = vec![0; CHUNK];
        while first.len() < 4 {
            match self.read(&mut chunk)? {
                [] => break,
                bytes => first.extend_from_slice(bytes),
            }
        }
        let packed = match first.as_slice() {
            [0x1f, 0x8b, ..] => "gunzip",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "unzstd",
            [0xfd, b'7', b'z', b'X', ..] => "unxz",
            _ => return Ok(first),
        };
        Err(Failure::misuse(format!(
            "the file is compressed (unpack it first: {packed} -c FILE | gossip decode -)"
        )))
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub(crate) fn read<'a>(&mut self, chunk: &'a mut [u8]) -> Result<&'a [u8], Failure> {
        match self {
            Self::Hex(bytes) => {
                let size = bytes.len().min(chunk.len());
                let (room, _) = chunk.split_at_mut(size);
                room.copy_from_slice(&bytes[..size]);
                bytes.drain(..size);
                Ok(room)
            }
            Self::Reader { name, reader, .. } => loop {
                match reader.read(chunk) {
                    Ok(size) => return Ok(&chunk[..size]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Failure::failed(format!("{name} cannot be read: {error}"))),
                }
            },
        }
    }

    /// All bytes, where it is no capture: `first` were read already. Hexadecimal text is taken for what it says.
    ///
    /// # Errors
    ///
    /// They cannot be read, or there are none or too many.
    pub(crate) fn bytes(&mut self, first: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let mut bytes = first;
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.read(&mut chunk)? {
                [] => break,
                more => bytes.extend_from_slice(more),
            }
            if bytes.len() > MAX_BYTES {
                let limit = MAX_BYTES >> 20;
                return Err(Failure::misuse(format!(
                    "more than {limit} MiB, and no capture (pcap or pcapng)"
                )));
            }
        }
        if let (Self::Reader { .. }, Ok(text)) = (&*self, str::from_utf8(&bytes))
            && is_text(text)
        {
            bytes = hex::parse(text).map_err(|error| {
                Failure::misuse(format!("{error} (a text file must be hexadecimal throughout)"))
            })?;
        }
        if bytes.is_empty() {
            let name = match self {
                Self::Reader { name, .. } => name,
                Self::Hex(_) => "what was written",
            };
            return Err(Failure::misuse(format!("{name} is empty (name a capture, or a file of bytes)")));
        }
        if is_capture(&bytes) {
            return Err(Failure::misuse(
                "a capture is read from a file or standard input, not from the command line",
            ));
        }
        Ok(bytes)
    }
}

/// Whether `text` is one for people: bytes of a connection hold zeros, and others that no text has.
fn is_text(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() && !c.is_whitespace())
}

/// # Errors
///
/// Standard input, which has one end, is named more than once.
fn one_standard_input(names: &[String]) -> Result<(), Failure> {
    match names.iter().filter(|name| *name == "-").count() {
        0 | 1 => Ok(()),
        _ => Err(Failure::misuse("standard input can be read only once (name - once)")),
    }
}

/// The first of `words` that is no file, if another one is.
fn missing(words: &[String]) -> Option<&String> {
    let is_file = |name: &&String| *name == "-" || Path::new(name).exists();
    words.iter().find(is_file)?;
    words.iter().find(|name| !is_file(name))
}

fn looks_like_a_name(word: &str) -> bool {
    word.contains(['.', '/', '\\']) && !word.starts_with("\\x")
}
