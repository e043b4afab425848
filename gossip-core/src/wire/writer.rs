//! Putting values into a borrowed byte slice.

use core::fmt;

/// Puts values into a borrowed byte slice; integers are big-endian.
///
/// Every method either writes the whole of its value or nothing, and then says [`Full`].
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    written: usize,
}

/// There was no room for the whole of a value.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer is full")
    }
}

impl core::error::Error for Full {}

/// Where a number stands that is known only after what follows it is written; see [`Writer::reserve_i32`].
#[derive(Debug)]
#[must_use]
pub struct Reserved {
    at: usize,
}

impl<'b> Writer<'b> {
    /// Writes from the start of `buffer`.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, written: 0 }
    }

    /// How many bytes were written.
    pub const fn len(&self) -> usize {
        self.written
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// How many bytes there is room for.
    pub const fn room(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// What was written.
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.written).unwrap_or_default()
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    ///
    /// [`Full`] if there is no room for all of them; likewise for all methods that write something.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.written.checked_add(bytes.len()).ok_or(Full)?;
        self.buffer.get_mut(self.written..end).ok_or(Full)?.copy_from_slice(bytes);
        self.written = end;
        Ok(())
    }

    /// Writes the `N` bytes of `array`.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    #[inline]
    pub fn array<const N: usize>(&mut self, array: [u8; N]) -> Result<(), Full> {
        let (_, room) = self.buffer.split_at_mut_checked(self.written).ok_or(Full)?;
        *room.first_chunk_mut().ok_or(Full)? = array;
        self.written += N;
        Ok(())
    }

    /// The next `N` bytes, for the caller to fill in all of them.
    #[inline]
    pub(crate) fn place<const N: usize>(&mut self) -> Result<&mut [u8; N], Full> {
        let (_, room) = self.buffer.split_at_mut_checked(self.written).ok_or(Full)?;
        let place = room.first_chunk_mut().ok_or(Full)?;
        self.written += N;
        Ok(place)
    }

    /// Lets `fill` fill in arrays of bytes one after the other, while there is room for them and for `kept` further bytes before each, and
    /// it says that it did; says how many.
    #[inline]
    pub(crate) fn places<const N: usize>(
        &mut self,
        kept: usize,
        mut fill: impl FnMut(&mut [u8; N]) -> bool,
    ) -> i32 {
        let places = self.buffer.get_mut(self.written..).unwrap_or_default();
        let most = places.len().checked_sub(kept.max(N)).map_or(0, |rest| rest / N + 1);
        let mut count = 0;
        for place in places.as_chunks_mut().0.iter_mut().take(most) {
            if !fill(place) {
                break;
            }
            count += 1;
        }
        self.written += N * count;
        // Fewer than there are bytes in a message.
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// Lets `fill` fill in some of the first of all arrays of bytes that there is room for; it says how many.
    #[inline]
    pub(crate) fn all_places<const N: usize>(&mut self, fill: impl FnOnce(&mut [[u8; N]]) -> usize) -> usize {
        let places = self.buffer.get_mut(self.written..).unwrap_or_default().as_chunks_mut().0;
        let filled = fill(places).min(places.len());
        self.written += N * filled;
        filled
    }

    /// Writes an unsigned byte.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.array([value])
    }

    /// Writes an unsigned 16-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.array(value.to_be_bytes())
    }

    /// Writes an unsigned 32-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.array(value.to_be_bytes())
    }

    /// Writes a signed 32-bit integer.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    #[inline]
    pub fn i32(&mut self, value: i32) -> Result<(), Full> {
        self.array(value.to_be_bytes())
    }

    /// Leaves room for a number that [`Writer::fill`] sets later. Until then it is −1, which no count is.
    ///
    /// # Errors
    ///
    /// As [`Writer::bytes`].
    pub fn reserve_i32(&mut self) -> Result<Reserved, Full> {
        let at = self.written;
        self.i32(-1)?;
        Ok(Reserved { at })
    }

    /// Sets a number that was left open. A place that was taken back meanwhile is left alone.
    #[expect(clippy::needless_pass_by_value, reason = "a place is filled once")]
    pub fn fill(&mut self, reserved: Reserved, value: i32) {
        let room = self.buffer.get_mut(..self.written).and_then(|written| written.get_mut(reserved.at..));
        if let Some(place) = room.and_then(<[u8]>::first_chunk_mut) {
            *place = value.to_be_bytes();
        }
    }

    /// Lets `write` write into at most so many bytes of the room.
    pub fn within<T>(&mut self, room: usize, write: impl FnOnce(&mut Writer<'_>) -> T) -> T {
        let end = self.written + room.min(self.room());
        let mut part = Writer::new(self.buffer.get_mut(self.written..end).unwrap_or_default());
        let result = write(&mut part);
        let written = part.written;
        self.written += written;
        result
    }

    /// Lets `write` write behind `N` bytes, which `head` fills then, given what `write` says and how many bytes it wrote. If anything
    /// finds no room, nothing is written.
    pub(crate) fn with_head<const N: usize, T>(
        &mut self,
        write: impl FnOnce(&mut Writer<'_>) -> Option<T>,
        head: impl FnOnce(T, usize, &mut Writer<'_>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let room = self.buffer.get_mut(self.written..).ok_or(Full)?;
        let (before, behind) = room.split_at_mut_checked(N).ok_or(Full)?;
        let mut body = Writer::new(behind);
        let outcome = write(&mut body).ok_or(Full)?;
        let length = body.written;
        let mut before = Writer::new(before);
        head(outcome, length, &mut before)?;
        self.written += before.written + length;
        Ok(())
    }

    /// Lets `write` write several values, and takes them all back if one of them found no room.
    ///
    /// # Errors
    ///
    /// What `write` returns.
    pub fn atomically<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, Full>) -> Result<T, Full> {
        let before = self.written;
        let result = write(self);
        if result.is_err() {
            self.written = before;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_empty_until_something_is_written() {
        let mut buffer = [0; 1];
        let mut writer = Writer::new(&mut buffer);
        assert!(writer.is_empty());
        writer.u8(7).unwrap();
        assert!(!writer.is_empty());
        assert_eq!(alloc::format!("{}", writer.u8(8).unwrap_err()), "the buffer is full");
    }

    #[test]
    fn nothing_is_written_in_part() {
        let mut buffer = [0; 5];
        let mut writer = Writer::new(&mut buffer);
        let count = writer.reserve_i32().unwrap();
        assert_eq!(writer.u16(7), Err(Full));
        assert_eq!(writer.atomically(|out| out.u8(1).and_then(|()| out.u8(2))), Err(Full));
        assert_eq!(writer.len(), 4);
        writer.fill(count, 1);
        writer.u8(9).unwrap();
        assert_eq!(writer.written(), [0, 0, 0, 1, 9]);
        assert_eq!(writer.room(), 0);
    }

    #[test]
    fn a_place_is_left_open_by_a_number_that_no_count_is() {
        let mut buffer = [0; 4];
        let mut writer = Writer::new(&mut buffer);
        let _ = writer.reserve_i32().unwrap();
        assert_eq!(writer.written(), [0xff; 4]);
    }

    #[test]
    fn arrays_are_filled_in_as_long_as_there_is_room_for_them_and_for_what_is_kept() {
        for (room, kept) in (0..40).flat_map(|room| (0..20).map(move |kept| (room, kept))) {
            let mut buffer = [0; 41];
            let mut writer = Writer::new(&mut buffer[..=room]);
            writer.u8(9).unwrap();
            // As one would write them one after the other.
            let mut left = room;
            let mut expected = 0;
            while left >= kept.max(3) {
                left -= 3;
                expected += 1;
            }
            let count = writer.places(kept, |place: &mut [u8; 3]| {
                *place = [1, 2, 3];
                true
            });
            assert_eq!(count, expected, "of {room}, {kept} kept");
            assert_eq!(writer.room(), left);
            assert!(writer.written()[1..].chunks(3).all(|array| array == [1, 2, 3]));
        }
        let mut buffer = [0; 10];
        let mut writer = Writer::new(&mut buffer);
        let mut turns = 0;
        let count = writer.places(0, |_: &mut [u8; 2]| {
            turns += 1;
            turns < 3
        });
        assert_eq!((count, writer.len()), (2, 4), "what was not filled in is not written");
    }

    #[test]
    fn of_all_places_so_many_are_written_as_were_filled_in() {
        let mut buffer = [7; 10];
        let mut writer = Writer::new(&mut buffer);
        let filled = writer.all_places(|places: &mut [[u8; 3]]| {
            assert_eq!(places.len(), 3);
            places[0] = [1; 3];
            places[1] = [2; 3];
            2
        });
        assert_eq!((filled, writer.written()), (2, [1, 1, 1, 2, 2, 2].as_slice()));
        assert_eq!(writer.all_places(|_: &mut [[u8; 3]]| 9), 1, "no more than there are");
    }
}
