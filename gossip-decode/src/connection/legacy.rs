//! Connections of before 4.0: messages one after the other, compressed as a whole or not at all.

use gossip_core::wire::Reader;

use super::input::Input;
use crate::body::is_decoded;
use crate::env::{End, Env, Step, Who};
use crate::fault::{Fault, bytes_of};
use crate::legacy::{BLOCK_HEADER, BLOCK_MAGIC, BlockHeader, LegacyHeader, MAGIC, Unread};
use crate::message::{Head, Spot};
use crate::record::{Frame, Place, Record};
use crate::version::Version;

/// The longest header that is believed; it has a few parameters at the most.
const MAX_HEADER: usize = 16 * 1024;

/// The messages of a connection of before 4.0.
pub(super) struct Legacy {
    version: Version,
    storage_port: u16,
    blocks: Option<Blocks>,
    /// How many bytes of a body are still to be skipped.
    skip: usize,
    /// Before how many bytes are there nothing can be taken.
    needed: usize,
    /// Where the next message begins is not known.
    is_lost: bool,
}

/// The layer of a compressed connection under its messages.
#[derive(Default)]
struct Blocks {
    contents: Input,
    /// Where the last block lies.
    place: Place,
    is_lost: bool,
}

impl Legacy {
    pub(super) fn new(version: Version, storage_port: u16, is_compressed: bool) -> Self {
        let blocks = is_compressed.then(Blocks::default);
        Self { version, storage_port, blocks, skip: 0, needed: 0, is_lost: false }
    }

    /// What goes on where something is missing before: in compressed ones at a block, but inside of a message.
    pub(super) fn resumed(version: Version, storage_port: u16, is_compressed: bool) -> Self {
        Self { is_lost: is_compressed, ..Self::new(version, storage_port, is_compressed) }
    }

    pub(super) fn held(&self) -> usize {
        self.blocks.as_ref().map_or(0, |blocks| blocks.contents.held())
    }

    /// Takes one message or block.
    pub(super) fn step(&mut self, input: &mut Input, who: &Who, has_ended: bool, env: &mut Env<'_>) -> Step {
        let Some(mut blocks) = self.blocks.take() else {
            return self.message(input, None, who, has_ended, env);
        };
        let mut step = self.message(&mut blocks.contents, Some(blocks.place), who, false, env);
        if let Step::Wait = step {
            let was_lost = blocks.is_lost;
            step = blocks.step(input, who, env);
            if blocks.is_lost && !was_lost {
                // The message that is there in part lacks the rest of it.
                env.lose(blocks.contents.len());
                blocks.contents.leap(0);
                self.lose_messages();
            }
        }
        self.blocks = Some(blocks);
        step
    }

    /// Something is missing: the next message that can be recognised is looked for.
    pub(super) fn lose(&mut self, env: &mut Env<'_>) {
        self.lose_messages();
        if let Some(blocks) = &mut self.blocks {
            blocks.is_lost = true;
            env.lose(blocks.contents.len());
            blocks.contents.leap(0);
        }
    }

    /// As for frames.
    pub(super) fn unfinished(&mut self, rest: &[u8], env: &mut Env<'_>) -> Option<(String, usize, usize)> {
        if self.is_lost {
            self.lose(env);
            return None;
        }
        let contents = self.blocks.as_ref().map_or(0, |blocks| blocks.contents.len());
        if self.skip > 0 {
            return Some((
                format!("{} more of a message", bytes_of(self.skip as u64)),
                rest.len(),
                rest.len() + contents,
            ));
        }
        if rest.len() + contents == 0 {
            return None;
        }
        let what = if self.blocks.is_some() && !rest.is_empty() { "a compressed block" } else { "a message" };
        Some((format!("the rest of {what}"), rest.len().max(contents), rest.len() + contents))
    }

    /// Takes a message of `input`, which is the contents of blocks if `block` says where those lie.
    fn message(
        &mut self,
        input: &mut Input,
        block: Option<Place>,
        who: &Who,
        has_ended: bool,
        env: &mut Env<'_>,
    ) -> Step {
        if input.is_empty() {
            return Step::Wait;
        }
        if self.skip > 0 {
            let skipped = self.skip.min(input.len());
            self.skip -= skipped;
            input.consume(skipped);
            return Step::Again;
        }
        if self.is_lost && !skip_to(&MAGIC, input, env) {
            return Step::Wait;
        }
        if input.len() < self.needed && !has_ended {
            return Step::Wait;
        }
        let mut reader = Reader::new(input.rest());
        let header = match LegacyHeader::decode(&mut reader, self.storage_port) {
            Ok(header) if self.is_lost && !super::frames::is_known(header.verb) => {
                env.lose(MAGIC.len());
                input.consume(MAGIC.len());
                return Step::Again;
            }
            Ok(header) => header,
            Err(Unread::Truncated) if input.len() < MAX_HEADER => {
                self.needed = input.len() + 1;
                return Step::Wait;
            }
            Err(unread) => {
                if !self.is_lost {
                    let Fault { at, expected, found } = match unread {
                        Unread::Wrong(fault) => fault,
                        Unread::Truncated => Fault {
                            at: 0,
                            expected: format!("a header of at most {MAX_HEADER} bytes"),
                            found: "a longer one".to_owned(),
                        },
                    };
                    let place = spot(input, MAGIC.len(), block, who).at(at);
                    env.damage(place, expected, found);
                    self.lose_messages();
                }
                env.lose(MAGIC.len().min(input.len()));
                input.consume(MAGIC.len());
                return Step::Again;
            }
        };
        let header_size = input.len() - reader.len();
        let size = header_size + header.payload_size;
        let is_wanted = is_decoded(header.verb) || header.payload_size == 0;
        let limit = env.options.max_message;
        if is_wanted && size <= limit {
            let Some(body) = input.rest().get(header_size..size) else {
                self.needed = size;
                return Step::Wait;
            };
            let spot = spot(input, size, block, who).from(header.from);
            self.head(header, size, who).tell(Some(body), spot, env);
            input.consume(size);
        } else {
            let spot = spot(input, header_size, block, who).from(header.from);
            if is_wanted {
                env.note(
                    spot.place,
                    format!("{} of {size} bytes, and {limit} are the most that are kept", header.verb),
                );
                env.lose(header.payload_size);
            }
            self.head(header, size, who).tell(None, spot, env);
            self.skip = size;
        }
        (self.is_lost, self.needed) = (false, 0);
        Step::Again
    }

    fn lose_messages(&mut self) {
        self.is_lost = true;
        (self.skip, self.needed) = (0, 0);
    }

    fn head(&self, header: LegacyHeader, size: usize, who: &Who) -> Head {
        Head {
            kind: who.kind,
            version: self.version,
            storage_port: self.storage_port,
            sender: Some(header.from),
            verb: header.verb,
            id: header.id.into(),
            epoch: None,
            created_at: header.created_at,
            expires_in: None,
            flags: 0,
            params: header.params,
            size,
            payload_size: header.payload_size,
        }
    }
}

impl Blocks {
    /// Takes a block.
    fn step(&mut self, input: &mut Input, who: &Who, env: &mut Env<'_>) -> Step {
        if input.is_empty() || (self.is_lost && !skip_to(&BLOCK_MAGIC, input, env)) {
            return Step::Wait;
        }
        let rest = input.rest();
        let read = BlockHeader::decode(rest).and_then(|header| {
            let after = rest.get(BLOCK_HEADER..).unwrap_or_default();
            header.contents(after).map(|contents| (header, contents))
        });
        let (header, contents) = match read {
            Ok(read) => read,
            Err(Unread::Truncated) => return Step::Wait,
            Err(Unread::Wrong(Fault { at, expected, found })) => {
                if !self.is_lost {
                    let place =
                        who.place(End::Dialler, input.offset() + at as u64, input.seen_all(BLOCK_HEADER));
                    env.damage(place, expected, found);
                    self.is_lost = true;
                }
                env.lose(1);
                input.consume(1);
                return Step::Again;
            }
        };
        self.is_lost = false;
        let size = BLOCK_HEADER + header.len;
        let seen = input.seen_all(size);
        self.place = who.place(End::Dialler, input.offset(), seen);
        env.tell(Record::Frame(Frame {
            place: self.place,
            framing: "lz4_block",
            kind: "block",
            length: header.len,
            uncompressed_length: header.is_compressed.then_some(header.original),
            checksum: "ok",
        }));
        self.contents.push(&contents, seen);
        input.consume(size);
        Step::Again
    }
}

/// Where the first `count` bytes of `input` lie.
fn spot(input: &Input, count: usize, block: Option<Place>, who: &Who) -> Spot {
    let place = who.place(End::Dialler, input.offset(), input.seen_all(count.min(input.len())));
    let place = match block {
        Some(block) => Place { offset: block.offset, uncompressed_offset: Some(input.offset()), ..place },
        None => place,
    };
    Spot { place, is_contiguous: true }
}

/// Passes over what comes before `magic`. Whether that is there; its beginning is kept where the end is missing.
fn skip_to(magic: &[u8], input: &mut Input, env: &mut Env<'_>) -> bool {
    let rest = input.rest();
    let found = rest.windows(magic.len()).position(|window| window == magic);
    let passed = found.unwrap_or_else(|| rest.len().saturating_sub(magic.len() - 1));
    env.lose(passed);
    input.consume(passed);
    found.is_some()
}
