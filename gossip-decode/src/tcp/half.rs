//! One direction of a TCP connection, put into order.

use std::collections::BTreeMap;

use crate::env::Seen;

/// How much a sequence number can be off and still belong to the connection, in bytes. No window is larger in practice;
/// what is further away is another connection between the same ports, whose first packet was not captured.
const MAX_JUMP: u64 = 64 << 20;
/// For how long bytes are waited for that the receiver has, in microseconds of the capture. Then they were not captured.
const MAX_WAIT_US: u64 = 1_000_000;
/// What an early segment costs beside its bytes.
const SEGMENT_COST: usize = 96;

/// One direction. Places are counted from the first byte that is known of it, since sequence numbers wrap around.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// The sequence number of the next byte in order, once one is known.
    sequence: Option<u32>,
    /// Where that byte is.
    position: u64,
    /// The sequence number of the first byte, if the start was captured.
    start: Option<u32>,
    /// What came before its time, by place. Nothing in it overlaps.
    early: BTreeMap<u64, (Vec<u8>, Seen)>,
    early_bytes: usize,
    /// Where it ends.
    end: Option<u64>,
    /// Up to where the receiver has it.
    acknowledged: u64,
    /// Since when the receiver has bytes that were not captured.
    overdue_since: Option<u64>,
}

/// What comes next of a direction.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Next {
    Bytes(Vec<u8>, Seen),
    /// So many bytes were not captured.
    Gap(u64),
}

impl Half {
    /// Its first byte has this number.
    pub(super) fn start(&mut self, sequence: u32) {
        self.start = Some(sequence);
        if self.sequence.is_none() {
            self.sequence = Some(sequence);
        }
    }

    /// Whether a first byte with this number is another connection's.
    pub(super) fn starts_anew(&self, sequence: u32) -> bool {
        match self.start {
            Some(start) => start != sequence,
            None => self.sequence.is_some(),
        }
    }

    /// Whether a byte with this number is too far away to belong here.
    pub(super) fn is_far(&self, sequence: u32) -> bool {
        self.ahead(sequence).is_some_and(|ahead| ahead.unsigned_abs() > MAX_JUMP)
    }

    /// How far ahead of the next byte in order the byte with this number is.
    fn ahead(&self, sequence: u32) -> Option<i64> {
        self.sequence.map(|next| sequence.wrapping_sub(next).cast_signed().into())
    }

    /// Takes a segment. What of it is the next in order is returned; what came too early is kept.
    pub(super) fn add<'a>(&mut self, sequence: u32, bytes: &'a [u8], seen: Seen) -> &'a [u8] {
        let known = match self.ahead(sequence) {
            // Where the start was not captured, the first bytes that were stand for it.
            None => {
                self.sequence = Some(sequence);
                0
            }
            Some(ahead) => ahead,
        };
        let (at, bytes) = match usize::try_from(-known) {
            Ok(old) => (self.position, bytes.get(old..).unwrap_or_default()),
            Err(_) => (self.position.saturating_add_signed(known), bytes),
        };
        if self.early.is_empty() && at == self.position {
            self.advance(bytes.len() as u64);
            return bytes;
        }
        self.keep(at, bytes, seen);
        &[]
    }

    /// Keeps what is not there yet: of bytes that were sent twice, those that came first count.
    fn keep(&mut self, mut at: u64, mut bytes: &[u8], seen: Seen) {
        while !bytes.is_empty() {
            if let Some((start, (before, _))) = self.early.range(..=at).next_back() {
                let known = (start + before.len() as u64).saturating_sub(at);
                let known = usize::try_from(known).unwrap_or(usize::MAX).min(bytes.len());
                at += known as u64;
                bytes = bytes.get(known..).unwrap_or_default();
            }
            let room = self.early.range(at..).next().map_or(u64::MAX, |(next, _)| next - at);
            let (fresh, rest) = bytes.split_at(usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
            if !fresh.is_empty() {
                self.early_bytes += fresh.len();
                self.early.insert(at, (fresh.to_vec(), seen));
            }
            at += fresh.len() as u64;
            bytes = rest;
        }
    }

    /// The next bytes in order of what was kept.
    pub(super) fn next_kept(&mut self) -> Option<Next> {
        let (bytes, seen) = self.early.remove(&self.position)?;
        self.early_bytes -= bytes.len();
        self.advance(bytes.len() as u64);
        self.overdue_since = None;
        Some(Next::Bytes(bytes, seen))
    }

    /// Gives up waiting for the bytes before those that were kept, or before the end, and goes on after them.
    pub(super) fn give_up(&mut self) -> Option<Next> {
        let first = self.early.keys().next().copied();
        // The receiver counts the end itself, too.
        let has_all = self.end.unwrap_or(self.acknowledged.saturating_sub(1));
        let missing = first.unwrap_or(has_all).saturating_sub(self.position);
        if missing == 0 {
            return None;
        }
        self.advance(missing);
        self.overdue_since = None;
        Some(Next::Gap(missing))
    }

    /// Whether it is of no use to wait any longer: the receiver has had the bytes for a while, or too many were kept.
    pub(super) fn is_overdue(&mut self, now_us: Option<u64>, max_kept: usize) -> bool {
        let Some(first) = self.early.keys().next() else { return false };
        if self.held() > max_kept {
            return true;
        }
        if self.acknowledged <= *first {
            return false;
        }
        let Some(now) = now_us else { return false };
        now.saturating_sub(*self.overdue_since.get_or_insert(now)) > MAX_WAIT_US
    }

    /// The receiver has everything before this number.
    pub(super) fn acknowledge(&mut self, sequence: u32) {
        if let Some(ahead) = self.ahead(sequence).filter(|ahead| ahead.unsigned_abs() <= MAX_JUMP) {
            self.acknowledged = self.acknowledged.max(self.position.saturating_add_signed(ahead));
        }
    }

    /// It ends before this number.
    pub(super) fn finish(&mut self, sequence: u32) {
        if let Some(ahead) = self.ahead(sequence) {
            self.end.get_or_insert(self.position.saturating_add_signed(ahead));
        }
    }

    /// Whether all of it came.
    pub(super) fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| end <= self.position)
    }

    /// How much memory is held for what was kept.
    pub(super) fn held(&self) -> usize {
        self.early_bytes + self.early.len() * SEGMENT_COST
    }

    fn advance(&mut self, bytes: u64) {
        self.position += bytes;
        #[expect(clippy::cast_possible_truncation, reason = "numbers wrap around")]
        let next = self.sequence.map(|sequence| sequence.wrapping_add(bytes as u32));
        self.sequence = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seen(packet: u64) -> Seen {
        Seen { packet: Some(packet), unix_us: None }
    }

    /// A direction that starts shortly before its numbers wrap around.
    fn half() -> Half {
        let mut half = Half::default();
        half.start(START);
        half
    }

    const START: u32 = u32::MAX - 2;

    impl Half {
        /// All that comes of a segment that begins `at` bytes after the start.
        fn give(&mut self, at: u32, bytes: &[u8], packet: u64) -> String {
            let mut all = self.add(START.wrapping_add(at), bytes, seen(packet)).to_vec();
            while let Some(Next::Bytes(bytes, _)) = self.next_kept() {
                all.extend(bytes);
            }
            String::from_utf8(all).unwrap()
        }
    }

    #[test]
    fn bytes_in_order_pass_through_the_wrap_of_their_numbers() {
        let mut half = half();
        assert_eq!(half.give(0, b"abcd", 1), "abcd");
        assert_eq!(half.give(4, b"ef", 2), "ef");
        assert_eq!((half.position, half.sequence), (6, Some(3)));
    }

    #[test]
    fn repetitions_are_dropped() {
        let mut half = half();
        assert_eq!(half.give(0, b"abcd", 1), "abcd");
        assert_eq!(half.give(0, b"abcd", 2), "");
        assert_eq!(half.give(2, b"XXef", 3), "ef");
        // Probes that keep a connection alive repeat the last byte.
        assert_eq!(half.give(5, b"X", 4), "");
        assert_eq!(half.give(6, b"g", 5), "g");
    }

    #[test]
    fn what_overtook_waits() {
        let mut half = half();
        assert_eq!(half.give(6, b"g", 1), "");
        assert_eq!(half.give(2, b"cd", 2), "");
        assert_eq!(half.give(0, b"ab", 3), "abcd");
        assert_eq!(half.give(4, b"ef", 4), "efg");
        assert_eq!(half.held(), 0);
    }

    #[test]
    fn of_what_overlaps_the_first_counts() {
        let mut half = half();
        assert_eq!(half.give(4, b"ef", 1), "");
        assert_eq!(half.give(8, b"ij", 2), "");
        assert_eq!(half.give(2, b"cdXXghXXkl", 3), "");
        assert_eq!(half.give(0, b"abX", 4), "abcdefghijkl");
    }

    #[test]
    fn each_byte_keeps_its_packet() {
        let mut half = half();
        assert_eq!(half.add(START.wrapping_add(2), b"cd", seen(1)), b"");
        assert_eq!(half.add(START, b"abXXe", seen(2)), b"");
        let packets: Vec<_> = core::iter::from_fn(|| half.next_kept()).collect();
        assert_eq!(
            packets,
            [
                Next::Bytes(b"ab".to_vec(), seen(2)),
                Next::Bytes(b"cd".to_vec(), seen(1)),
                Next::Bytes(b"e".to_vec(), seen(2)),
            ]
        );
    }

    #[test]
    fn a_gap_is_given_up_when_the_receiver_had_it_for_a_second() {
        let mut half = half();
        assert_eq!(half.give(5, b"fg", 1), "");
        assert!(!half.is_overdue(Some(9_000_000), 1_000));
        half.acknowledge(START.wrapping_add(7));
        assert!(!half.is_overdue(Some(9_000_000), 1_000));
        assert!(!half.is_overdue(Some(10_000_000), 1_000));
        assert!(half.is_overdue(Some(10_000_001), 1_000));
        assert_eq!(half.give_up(), Some(Next::Gap(5)));
        assert_eq!(half.next_kept(), Some(Next::Bytes(b"fg".to_vec(), seen(1))));
        assert_eq!(half.give_up(), None);
    }

    #[test]
    fn a_gap_is_given_up_when_too_much_is_kept() {
        let mut half = half();
        for at in 0..10 {
            assert_eq!(half.give(100 + 2 * at, b"x", 1), "");
        }
        assert!(half.is_overdue(None, 900) && !half.is_overdue(None, 1_000));
    }

    #[test]
    fn an_end_that_was_not_captured_is_missing() {
        let mut half = half();
        assert_eq!(half.give(0, b"ab", 1), "ab");
        half.acknowledge(START.wrapping_add(3));
        assert_eq!(half.give_up(), None, "it may be the end that is acknowledged");
        half.finish(START.wrapping_add(5));
        assert!(!half.is_complete());
        assert_eq!(half.give_up(), Some(Next::Gap(3)));
        assert!(half.is_complete());
    }

    #[test]
    fn without_its_start_a_direction_begins_with_what_is_there() {
        let mut half = Half::default();
        half.acknowledge(77);
        assert_eq!(half.add(1_000, b"cd", seen(1)), b"cd");
        assert_eq!(half.add(998, b"abcd", seen(2)), b"", "what comes before is not known");
        assert_eq!(half.add(1_000, b"cdef", seen(3)), b"ef");
        assert!(half.starts_anew(5), "a connection that begins is another one");
        assert!(half.is_far(1_000_000_000) && !half.is_far(2_000) && !half.is_far(0));
        assert!(!self::half().starts_anew(START) && self::half().starts_anew(START + 1));
    }
}
