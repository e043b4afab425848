//! What arrived of one direction and is not decoded yet.

use std::collections::VecDeque;

use crate::env::Seen;

/// The capacity up to which the memory of bytes that are consumed is kept for the next ones.
const KEPT_CAPACITY: usize = 4 * 1024;

/// The bytes that follow what was consumed, in one piece.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// How many of `bytes` are consumed.
    head: usize,
    /// Where in its direction the first byte lies that is not consumed.
    offset: u64,
    /// From which offset on bytes came with which packet.
    marks: VecDeque<(u64, Seen)>,
}

impl Input {
    pub(crate) fn push(&mut self, bytes: &[u8], seen: Seen) {
        // What is consumed goes when it is the larger part, so that each byte is moved once at most.
        if self.head > self.bytes.len() / 2 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        if self.marks.back().is_none_or(|(_, last)| *last != seen) {
            self.marks.push_back((self.offset + self.len() as u64, seen));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes.
    pub(crate) fn rest(&self) -> &[u8] {
        self.bytes.get(self.head..).unwrap_or_default()
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where in its direction [`Input::rest`] begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Consumes the first `count` bytes, of which there are so many.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.len());
        self.head += count;
        self.offset += count as u64;
        if self.is_empty() {
            self.head = 0;
            if self.bytes.capacity() > KEPT_CAPACITY {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        }
        while self.marks.get(1).is_some_and(|(start, _)| *start <= self.offset) {
            self.marks.pop_front();
        }
    }

    /// Goes on `missing` bytes further, where the next bytes are; those that are there are consumed.
    pub(crate) fn leap(&mut self, missing: u64) {
        self.consume(self.len());
        self.offset += missing;
    }

    /// When the byte at `offset` came, which is not consumed; that of the last one for whatever is not there.
    pub(crate) fn seen_at(&self, offset: u64) -> Seen {
        let mark = self.marks.iter().rev().find(|(start, _)| *start <= offset).or(self.marks.front());
        mark.map(|(_, seen)| *seen).unwrap_or_default()
    }

    /// When the first `count` bytes were all there.
    pub(crate) fn seen_all(&self, count: usize) -> Seen {
        self.seen_at(self.offset + (count as u64).saturating_sub(1))
    }

    /// How much memory is held for bytes that wait.
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity() + self.marks.len() * size_of::<(u64, Seen)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seen(packet: u64) -> Seen {
        Seen { packet: Some(packet), unix_us: None }
    }

    #[test]
    fn each_byte_knows_its_packet() {
        let mut input = Input::default();
        input.leap(100);
        input.push(b"abc", seen(1));
        input.push(b"de", seen(2));
        assert_eq!((input.rest(), input.seen_all(3), input.seen_all(4)), (&b"abcde"[..], seen(1), seen(2)));
        input.consume(4);
        assert_eq!((input.rest(), input.offset(), input.seen_all(1)), (&b"e"[..], 104, seen(2)));
        input.push(b"f", seen(3));
        assert_eq!((input.rest(), input.seen_at(104), input.seen_at(105)), (&b"ef"[..], seen(2), seen(3)));
        input.leap(10);
        input.push(b"g", seen(4));
        assert_eq!((input.rest(), input.offset(), input.seen_all(1)), (&b"g"[..], 116, seen(4)));
    }

    #[test]
    fn what_is_consumed_is_given_back() {
        let mut input = Input::default();
        for packet in 0..10_000 {
            input.push(&[0; 100], seen(packet));
            input.consume(99);
            input.consume(1);
        }
        assert!(input.held() < 1_000, "{}", input.held());
    }
}
