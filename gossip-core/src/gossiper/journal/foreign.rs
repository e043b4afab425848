//! The names of other clusters that SYNs carried.

use alloc::string::String;
use core::time::Duration;

use smallvec::SmallVec;

use crate::endpoint::Endpoint;
use crate::time::Timestamp;
use crate::wire::JavaStr;

/// How many senders of another cluster are reported in a minute: SYNs come every second, and a peer can send them under any name.
const MAX_FOREIGNERS: usize = 8;

/// A name in the SYN of another node, cut to what is worth showing.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct ForeignName {
    text: SmallVec<[u8; 64]>,
    from: Option<Endpoint>,
    /// The endpoints that were reported, and when.
    told: [Option<(Endpoint, Timestamp)>; MAX_FOREIGNERS],
}

impl ForeignName {
    /// Notes a name. Returns whether to report it: once in `silence` for a sender, and for few senders in all.
    pub(in super::super) fn note(
        &mut self,
        from: Endpoint,
        name: JavaStr<'_>,
        now: Timestamp,
        silence: Duration,
    ) -> bool {
        let is_recent = |told: Timestamp| now.saturating_since(told) < silence;
        let is_told = self.told.iter().flatten().any(|(whom, at)| *whom == from && is_recent(*at));
        let place = self.told.iter_mut().find(|told| told.is_none_or(|(_, at)| !is_recent(at)));
        let Some(place) = place.filter(|_| !is_told) else { return false };
        *place = Some((from, now));
        let mut end = name.len().min(64);
        while JavaStr::new(&name.as_bytes()[..end]).is_err() {
            end -= 1;
        }
        self.text.clear();
        self.text.extend_from_slice(&name.as_bytes()[..end]);
        self.from = Some(from);
        true
    }

    pub(in super::super) fn to_text(&self) -> Option<(Endpoint, String)> {
        self.from.map(|from| (from, JavaStr::from_checked(&self.text).to_text().into_owned()))
    }
}
