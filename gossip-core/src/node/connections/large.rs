//! Messages that go out in pieces, over a connection of their own. What several peers are sent in the same instant is held once.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Connections;
use crate::endpoint::Endpoint;
use crate::gossiper::Audience;
use crate::internode::FrameKind;
use crate::node::frames::PIECE;
use crate::time::Timestamp;

/// The body of a large message, shared by all peers that are sent it.
pub(in crate::node) type Body = Arc<Vec<u8>>;

/// A message that goes out in pieces.
#[derive(Debug)]
pub(super) struct Large {
    /// The header, which each receiver has for itself.
    head: Vec<u8>,
    body: Body,
    sent: usize,
    pub(super) begun: Timestamp,
}

impl Large {
    pub(super) const fn body(&self) -> &Body {
        &self.body
    }
}

/// An answer that holds everything, for peers that ask in the same instant.
#[derive(Debug)]
pub(super) struct Kept {
    body: Body,
    audience: Audience,
    /// How many values were withheld from the receiver.
    withheld: u64,
    made: Timestamp,
}

impl Connections {
    /// A peer that the next piece of a large message may go to.
    pub(in crate::node) fn next_large(&mut self) -> Option<Endpoint> {
        let peer = self.larges.pop_front()?;
        self.peers[peer.0 as usize].as_ref().map(|known| known.endpoint)
    }

    /// Whether a large message to `to` is on its way.
    pub(in crate::node) fn has_large(&self, to: Endpoint) -> bool {
        self.find(to)
            .and_then(|peer| self.peers[peer.0 as usize].as_ref())
            .is_some_and(|peer| peer.large.is_some())
    }

    /// How large a message may be that begins now, in bytes.
    pub(in crate::node) const fn large_room(&self) -> usize {
        self.limits.max_large_bytes.saturating_sub(self.large_bytes)
    }

    /// Begins to send a message.
    pub(in crate::node) fn begin_large(&mut self, now: Timestamp, to: Endpoint, head: Vec<u8>, body: Body) {
        let Some(peer) = self.find(to) else { return };
        let is_new = !self.is_held(&body);
        if let Some(peer) = self.peers[peer.0 as usize].as_mut() {
            self.large_bytes += if is_new { body.len() } else { 0 };
            peer.large = Some(Large { head, body, sent: 0, begun: now });
        }
    }

    /// Lets `write` make a frame of the next piece of the message to `to`, which comes in two parts.
    pub(in crate::node) fn next_piece(
        &mut self,
        to: Endpoint,
        write: impl FnOnce(FrameKind, [&[u8]; 2]) -> usize,
    ) -> Option<usize> {
        let peer = self.find(to)?;
        let place = &mut self.peers[peer.0 as usize].as_mut()?.large;
        let large = place.as_mut()?;
        let (head, total) = (large.head.len(), large.head.len() + large.body.len());
        let (start, end) = (large.sent, total.min(large.sent + PIECE));
        // A message that fits one frame is not a piece.
        let kind = if total <= PIECE { FrameKind::SelfContained } else { FrameKind::Piece };
        let of_head = &large.head[start.min(head)..end.min(head)];
        let of_body = &large.body[start.saturating_sub(head)..end.saturating_sub(head)];
        let len = write(kind, [of_head, of_body]);
        large.sent = end;
        if end == total
            && let Some(sent) = place.take()
        {
            self.let_go(&sent.body);
        }
        Some(len)
    }

    /// Keeps an answer for peers that ask in the same instant.
    pub(in crate::node) fn keep(&mut self, now: Timestamp, audience: Audience, withheld: u64, body: Body) {
        self.large_bytes += if self.is_held(&body) { 0 } else { body.len() };
        if let Some(before) = self.kept.replace(Kept { body, audience, withheld, made: now }) {
            self.let_go(&before.body);
        }
    }

    /// What was kept for such a receiver, and how many values were withheld in it.
    pub(in crate::node) fn kept_for(&self, now: Timestamp, audience: &Audience) -> Option<(Body, u64)> {
        let kept = self.kept.as_ref().filter(|kept| kept.audience == *audience)?;
        let is_fresh = now.saturating_since(kept.made) < self.limits.shared_for;
        is_fresh.then(|| (kept.body.clone(), kept.withheld))
    }

    /// Gives back what was kept for longer than it is shared.
    pub(in crate::node) fn tidy_kept(&mut self, now: Timestamp) {
        let shared_for = self.limits.shared_for;
        let old = self.kept.take_if(|kept| now.saturating_since(kept.made) >= shared_for);
        if let Some(old) = old {
            self.let_go(&old.body);
        }
    }

    /// Gives back what is kept, since another message needs the room. Says whether there was anything.
    pub(in crate::node) fn give_back_kept(&mut self) -> bool {
        let kept = self.kept.take();
        if let Some(kept) = &kept {
            self.let_go(&kept.body);
        }
        kept.is_some()
    }

    /// Lets a peer wait until there is room for a message of `needed` bytes; false if there never will be, or too many wait.
    pub(in crate::node) fn defer_large(&mut self, to: Endpoint, needed: usize) -> bool {
        let is_waiting = self.deferred.contains(&to);
        let is_full = self.deferred.len() >= self.limits.max_deferred;
        if needed == 0 || needed > self.limits.max_large_bytes || (is_full && !is_waiting) {
            return false;
        }
        if !is_waiting {
            self.deferred.push_back(to);
        }
        true
    }

    /// A peer is not sent this body any more, or it is not kept any more.
    pub(super) fn let_go(&mut self, body: &Body) {
        if !self.is_held(body) {
            self.large_bytes -= body.len();
        }
        self.resume_deferred();
    }

    /// Whether a peer is being sent this body, or it is kept.
    fn is_held(&self, body: &Body) -> bool {
        let is_same = |known: &Body| Arc::ptr_eq(known, body);
        self.kept.as_ref().is_some_and(|kept| is_same(&kept.body))
            || self
                .peers
                .iter()
                .flatten()
                .filter_map(|peer| peer.large.as_ref())
                .any(|large| is_same(&large.body))
    }

    /// There may be room again: the peer that waited longest may try.
    fn resume_deferred(&mut self) {
        while let Some(next) = self.deferred.pop_front() {
            // A peer that was forgotten meanwhile leaves the turn to the next.
            if let Some(peer) = self.find(next) {
                if !self.larges.contains(&peer) {
                    self.larges.push_back(peer);
                }
                return;
            }
        }
    }
}
