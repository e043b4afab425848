//! The name of a row: what the table, the arrivals and the lists of an exchange have in common.

/// Names a row of the table.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Slot(u32);

impl Slot {
    /// The row of the node itself.
    pub(crate) const FIRST: Self = Self(0);

    /// The row with this number, which the table gave out before.
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}
