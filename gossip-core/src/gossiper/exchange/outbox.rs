//! Who is owed what: intentions, not messages.
//!
//! What is due to a peer is noted here and written when its transport has room, from the newest state. A newer intention of
//! a kind takes the place of the older one, so that a slow peer costs a bounded amount of memory.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::budgets::Budgets;
use crate::config::MIN_PEERS;
use crate::digest::{Entry, Pending, Progress};
use crate::endpoint::Endpoint;
use crate::message::Codec;
use crate::slot::Slot;
use crate::table::Moves;

/// How many answers to echoes may be due to one peer; more replace the oldest.
const MAX_ECHO_RESPONSES: usize = 4;

/// Of how many known endpoints one may be owed something at the same time. A clean stop, which tells all, takes memory for all.
const PEERS_AT_ONCE: usize = 4;

/// Pending messages, by peer.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    index: HashTable<u32>,
    hash: FixedState,
    peers: Vec<Peer>,
    /// How many peers may be owed something at the same time.
    max_peers: usize,
    /// Peers that are owed something and may have room for it, each once.
    ready: VecDeque<u32>,
    /// Where the next peer that is owed nothing is looked for, when all places are taken.
    hand: usize,
    /// Lists of endpoints. One has memory from its first use on: mostly one or two are in use at once.
    lists: Vec<Pending>,
    /// What was freed last is taken first.
    free_lists: Vec<ListId>,
    /// How many endpoints a list has to have room for.
    endpoints: usize,
    budgets: Budgets,
    /// How often a list was given memory at its first use.
    grown: u64,
    /// How much that was due was dropped to make room for something else.
    stolen: u64,
    /// The place of the peer that something was noted or taken out for last. It is mostly looked for again.
    last: u32,
}

/// Names a list of endpoints from the pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ListId(u16);

#[derive(Clone, Debug)]
struct Peer {
    endpoint: Endpoint,
    due: Due,
    is_ready: bool,
    /// How many SYNs were sent to it whose ACKs have not come.
    awaited: u16,
}

/// What is due to one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    /// Its connections lead to a process that is gone, or not heard any more.
    pub(super) reset: bool,
    pub(super) shutdown: bool,
    pub(super) syn: Option<SynDue>,
    /// The question for everything.
    pub(super) shadow_syn: bool,
    /// The question for the identifier of the cluster's metadata.
    pub(super) metadata_request: bool,
    /// Everything, in one message or several.
    pub(super) shadow_reply: Option<Everything>,
    pub(super) ack: Option<ListId>,
    /// How many bytes of bodies the ACK may take together, if its receiver has not proven its address.
    pub(super) ack_limit: Option<u32>,
    pub(super) ack2: Option<ListId>,
    pub(super) echo_request: Option<u32>,
    /// The answer to a question about the cluster.
    pub(super) reply: Option<Reply>,
    echo_responses: EchoResponses,
    /// What is too large for an ordinary message. It goes its own way, and is not counted among the rest.
    pub(super) large: Option<LargeDue>,
}

// A cluster of thousands has as many peers.
const _: () = assert!(size_of::<Peer>() <= 160);

/// The answer to a question about the cluster, with the id of that. A newer one replaces an older one: no peer waits for both.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// Which schema we follow.
    Schema(u64),
    /// Which identifier the cluster's metadata has.
    Metadata(u64),
}

/// The ids of echoes to be answered, the newest first.
#[derive(Clone, Copy, Debug, Default)]
struct EchoResponses {
    ids: [u64; MAX_ECHO_RESPONSES],
    count: u8,
}

impl EchoResponses {
    fn ids(&self) -> &[u64] {
        self.ids.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The oldest gives way where there are too many.
    fn push(&mut self, id: u64) {
        if !self.ids().contains(&id) {
            self.ids.rotate_right(1);
            self.ids[0] = id;
            self.count += u8::from(self.ids().len() < MAX_ECHO_RESPONSES);
        }
    }

    fn pop(&mut self) -> Option<u64> {
        let oldest = *self.ids().last()?;
        self.count -= 1;
        Some(oldest)
    }
}

/// A SYN, in as many messages as it takes to list everybody, or as there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct SynDue {
    /// How many messages there may be yet.
    pub(super) left: u16,
    /// Where in the order of endpoints the first began; `None` before it.
    pub(super) start: Option<u32>,
    /// How many endpoints from there on are listed.
    pub(super) covered: u32,
    /// How many of those with news are listed.
    pub(super) news: u32,
}

impl SynDue {
    pub(super) const fn new(messages: u16) -> Self {
        Self { left: messages, start: None, covered: 0, news: 0 }
    }
}

/// A message that is too large for an ordinary one.
#[derive(Clone, Copy, Debug)]
pub(super) enum LargeDue {
    /// Everything, for a node in its shadow round.
    ShadowReply,
    /// The state of one endpoint, of which a value does not fit an ordinary message.
    State(Entry),
}

impl Peer {
    const fn owes_nothing(&self) -> bool {
        self.due.is_nothing() && self.due.large.is_none()
    }
}

impl Due {
    pub(super) const fn is_nothing(&self) -> bool {
        !self.reset
            && !self.shutdown
            && self.syn.is_none()
            && !self.shadow_syn
            && !self.metadata_request
            && self.shadow_reply.is_none()
            && self.ack.is_none()
            && self.ack2.is_none()
            && self.echo_request.is_none()
            && self.reply.is_none()
            && self.echo_responses.count == 0
    }

    /// Whether a message is due that has a body in this version.
    pub(super) const fn has_body_for(&self, codec: Codec) -> bool {
        (self.shutdown && codec.version.has_shutdown_body())
            || self.reply.is_some()
            || self.syn.is_some()
            || self.shadow_syn
            || self.metadata_request
            || self.shadow_reply.is_some()
            || self.ack.is_some()
            || self.ack2.is_some()
    }

    /// The id of an echo to be answered, the oldest first.
    pub(super) fn pop_echo_response(&mut self) -> Option<u64> {
        self.echo_responses.pop()
    }
}

/// How much of everything is still to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Everything {
    /// All of it: no message has told any.
    All,
    /// What a message before could not tell: from this row on, which may be the first.
    From(u32),
}

impl Everything {
    const fn has_begun(self) -> bool {
        matches!(self, Self::From(_))
    }
}

/// Why something could not be noted.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRoom;

impl Outbox {
    pub(super) fn new(hash_key: u64, max_lists: usize, max_peers: usize) -> Self {
        let max_lists = u16::try_from(max_lists).unwrap_or(u16::MAX);
        let mut outbox = Self {
            index: HashTable::new(),
            hash: FixedState::with_seed(hash_key),
            peers: Vec::new(),
            max_peers,
            ready: VecDeque::new(),
            hand: 0,
            lists: (0..max_lists).map(|_| Pending::default()).collect(),
            free_lists: (0..max_lists).map(ListId).collect(),
            endpoints: 0,
            budgets: Budgets::USUAL,
            grown: 0,
            stolen: 0,
            last: 0,
        };
        outbox.reserve(0);
        outbox
    }

    /// The same, with lists of other sizes.
    pub(super) fn with_budgets(self, budgets: Budgets) -> Self {
        Self { budgets, ..self }
    }

    /// Each peer: whether anything is due to it, and of how many SYNs the answers are awaited.
    #[cfg(feature = "model")]
    pub(super) fn entries(&self) -> impl Iterator<Item = (Endpoint, bool, u16)> + '_ {
        self.peers.iter().map(|peer| (peer.endpoint, !peer.owes_nothing(), peer.awaited))
    }

    /// Takes memory for exchanges about so many endpoints. Lists that were never used get theirs when they are.
    pub(super) fn reserve(&mut self, endpoints: usize) {
        self.endpoints = endpoints;
        for list in self.lists.iter_mut().filter(|list| list.has_memory()) {
            list.reserve(endpoints, &self.budgets);
        }
        // Messages wait only while a transport has no room for them: seldom for more than a few peers at once.
        self.reserve_peers(endpoints / PEERS_AT_ONCE + 16);
    }

    /// Takes memory for messages to so many peers at once.
    pub(super) fn reserve_peers(&mut self, peers: usize) {
        let needed = peers.clamp(MIN_PEERS, self.max_peers);
        let room = self.peers.capacity();
        if needed > room {
            // An eighth more: a place is large, and twice as many would leave half of them unused for long.
            let peers = needed.max(room + room / 8).min(self.max_peers);
            self.peers.reserve_exact(peers - self.peers.len());
            self.ready.reserve_exact(peers - self.ready.len());
            // Twice the places: entries that come and go never make the index grow then.
            let Self { index, hash, peers: all, .. } = self;
            index.reserve(peers * 2 - index.len(), |at| hash.hash_one(all[*at as usize].endpoint));
        }
    }

    /// How many lists there are, and how many peers have places. A list that was freed twice counts.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.lists.len().max(self.free_lists.len()), self.peers.len())
    }

    /// A list from the pool, empty. When all are taken, that of a peer which does not take its messages: there always is
    /// one, or else all are about to go out.
    pub(super) fn take_list(&mut self) -> Option<ListId> {
        let id = self.free_lists.pop().or_else(|| {
            let stuck =
                |peer: &&mut Peer| !peer.is_ready && (peer.due.ack.is_some() || peer.due.ack2.is_some());
            let due = &mut self.peers.iter_mut().find(stuck)?.due;
            self.stolen += 1;
            due.ack.take().or_else(|| due.ack2.take())
        })?;
        let list = &mut self.lists[usize::from(id.0)];
        if !list.has_memory() {
            list.reserve(self.endpoints, &self.budgets);
            self.grown += 1;
        }
        list.clear();
        Some(id)
    }

    /// How often a list was given memory at its first use: at most once each.
    pub(super) const fn grown(&self) -> u64 {
        self.grown
    }

    pub(super) fn list_mut(&mut self, id: ListId) -> &mut Pending {
        &mut self.lists[usize::from(id.0)]
    }

    pub(super) fn free_list(&mut self, id: ListId) {
        self.free_lists.push(id);
    }

    /// Removes rows from all lists, because other endpoints will get them.
    pub(super) fn retain(&mut self, is_kept: impl Fn(Slot) -> bool) {
        for list in &mut self.lists {
            list.retain(&is_kept);
        }
        for peer in &mut self.peers {
            peer.due.large.take_if(|large| matches!(large, LargeDue::State(entry) if !is_kept(entry.slot())));
        }
    }

    /// Rows have moved.
    pub(super) fn rename(&mut self, moves: &Moves<'_>) {
        for list in &mut self.lists {
            list.rename(moves);
        }
        for peer in &mut self.peers {
            if let Some(LargeDue::State(entry)) = &mut peer.due.large {
                *entry = entry.renamed(moves);
            }
        }
    }

    /// Whether everything is being sent to a peer, in several messages, and goes on from some row: none may move until it is over.
    pub(super) fn goes_on_from_a_row(&self) -> bool {
        self.peers.iter().any(|peer| peer.due.shadow_reply.is_some_and(Everything::has_begun))
    }

    /// Notes a SYN in so many messages at most. One that has begun goes on, from the newest state. If it began again, the endpoints that it lists
    /// last might never be listed.
    pub(super) fn syn(&mut self, to: Endpoint, messages: u16) -> Result<(), NoRoom> {
        self.owe(to, |due| {
            if due.syn.is_none_or(|syn| syn.start.is_none()) {
                due.syn = Some(SynDue::new(messages));
            }
        })
    }

    pub(super) fn shadow_syn(&mut self, to: Endpoint) -> Result<(), NoRoom> {
        self.owe(to, |due| due.shadow_syn = true)
    }

    pub(super) fn shadow_reply(&mut self, to: Endpoint) -> Result<(), NoRoom> {
        self.owe(to, |due| due.shadow_reply = Some(Everything::All))
    }

    /// Notes an ACK about the endpoints of `list`, which goes back to the pool when it is written or replaced.
    pub(super) fn ack(&mut self, to: Endpoint, list: ListId, limit: Option<u32>) -> Result<(), NoRoom> {
        self.owe_list(to, list, |due| {
            due.ack_limit = limit;
            due.ack.replace(list)
        })
    }

    /// The list of an ACK that is due to `to`, of which nothing is written yet: what else the peer asks in further packets goes there, too.
    pub(super) fn unwritten_ack(&self, to: Endpoint) -> Option<ListId> {
        let due = &self.peers[self.find(to)? as usize].due;
        due.ack.filter(|list| due.ack_limit.is_none() && self.is_unwritten(*list))
    }

    /// As [`Outbox::unwritten_ack`], of an ACK2.
    pub(super) fn unwritten_ack2(&self, to: Endpoint) -> Option<ListId> {
        let due = &self.peers[self.find(to)? as usize].due;
        due.ack2.filter(|list| self.is_unwritten(*list))
    }

    fn is_unwritten(&self, list: ListId) -> bool {
        self.lists[usize::from(list.0)].progress == Progress::default()
    }

    /// Notes an ACK2; as [`Outbox::ack`].
    pub(super) fn ack2(&mut self, to: Endpoint, list: ListId) -> Result<(), NoRoom> {
        self.owe_list(to, list, |due| due.ack2.replace(list))
    }

    pub(super) fn echo_request(&mut self, to: Endpoint, id: u32) -> Result<(), NoRoom> {
        self.owe(to, |due| due.echo_request = Some(id))
    }

    pub(super) fn echo_response(&mut self, to: Endpoint, id: u64) -> Result<(), NoRoom> {
        self.owe(to, |due| due.echo_responses.push(id))
    }

    pub(super) fn schema_response(&mut self, to: Endpoint, id: u64) -> Result<(), NoRoom> {
        self.owe(to, |due| due.reply = Some(Reply::Schema(id)))
    }

    pub(super) fn metadata_request(&mut self, to: Endpoint) -> Result<(), NoRoom> {
        self.owe(to, |due| due.metadata_request = true)
    }

    pub(super) fn metadata_response(&mut self, to: Endpoint, id: u64) -> Result<(), NoRoom> {
        self.owe(to, |due| due.reply = Some(Reply::Metadata(id)))
    }

    /// Whether a SYN to `to` is without an answer.
    pub(super) fn is_awaited(&self, to: Endpoint) -> bool {
        self.find(to).is_some_and(|at| self.peers[at as usize].awaited > 0)
    }

    pub(super) fn shutdown(&mut self, to: Endpoint) -> Result<(), NoRoom> {
        self.owe(to, |due| due.shutdown = true)
    }

    /// Drops all pending shutdowns.
    pub(super) fn forget_shutdowns(&mut self) {
        for peer in &mut self.peers {
            peer.due.shutdown = false;
        }
    }

    /// Notes that connections to `to` are to be closed; what else is due to it stays.
    pub(super) fn reset(&mut self, to: Endpoint) -> Result<(), NoRoom> {
        self.owe(to, |due| due.reset = true)
    }

    fn owe_list(
        &mut self,
        to: Endpoint,
        list: ListId,
        replace: impl FnOnce(&mut Due) -> Option<ListId>,
    ) -> Result<(), NoRoom> {
        let mut replaced = None;
        let result = self.owe(to, |due| replaced = replace(due));
        if result.is_err() {
            self.free_list(list);
        }
        if let Some(replaced) = replaced {
            self.free_list(replaced);
        }
        result
    }

    fn owe(&mut self, to: Endpoint, note: impl FnOnce(&mut Due)) -> Result<(), NoRoom> {
        let at = self.find(to).or_else(|| self.place_for(to)).ok_or(NoRoom)?;
        self.last = at;
        let peer = &mut self.peers[at as usize];
        note(&mut peer.due);
        if !peer.is_ready {
            peer.is_ready = true;
            self.ready.push_back(at);
        }
        Ok(())
    }

    fn find(&self, endpoint: Endpoint) -> Option<u32> {
        if self.peers.get(self.last as usize).is_some_and(|peer| peer.endpoint == endpoint) {
            return Some(self.last);
        }
        let found =
            self.index.find(self.hash.hash_one(endpoint), |at| self.peers[*at as usize].endpoint == endpoint);
        found.copied()
    }

    /// The place that another peer takes: of a peer that is owed nothing, and that has answered; else of one whose answer has not come;
    /// else of one that does not take what is due to it.
    fn least_needed(&self) -> Option<usize> {
        let need = |at: &usize| {
            let peer = &self.peers[*at];
            match peer.owes_nothing() {
                true if peer.awaited == 0 => 0,
                true => 1,
                false => 2,
            }
        };
        let mut found = None;
        for at in (self.hand..self.peers.len()).chain(0..self.hand) {
            if self.peers[at].is_ready {
                continue;
            }
            let need = need(&at);
            if need == 0 {
                return Some(at);
            }
            if found.is_none_or(|(least, _)| need < least) {
                found = Some((need, at));
            }
        }
        found.map(|(_, at)| at)
    }

    /// A place for a peer that has none: a free one, or that of another peer.
    fn place_for(&mut self, endpoint: Endpoint) -> Option<u32> {
        let peer = Peer { endpoint, due: Due::default(), is_ready: false, awaited: 0 };
        let at = if self.peers.len() < self.peers.capacity() {
            self.peers.push(peer);
            self.peers.len() - 1
        } else {
            let count = self.peers.len();
            if self.ready.len() >= count {
                return None;
            }
            let at = self.least_needed()?;
            self.hand = (at + 1) % count;
            self.stolen += self.forget(self.peers[at].endpoint);
            let old = core::mem::replace(&mut self.peers[at], peer).endpoint;
            if let Ok(entry) = self.index.find_entry(self.hash.hash_one(old), |found| *found as usize == at) {
                entry.remove();
            }
            at
        };
        // At most `max_peers`.
        let at = u32::try_from(at).ok()?;
        let Self { index, hash, peers, .. } = self;
        index.insert_unique(hash.hash_one(endpoint), at, |at| hash.hash_one(peers[*at as usize].endpoint));
        Some(at)
    }

    /// The next peer that is owed something and may have room for it. It is not named again before something new is due or
    /// [`Outbox::resume`] says that there is room.
    pub(super) fn next_ready(&mut self) -> Option<Endpoint> {
        loop {
            let at = self.ready.pop_front()?;
            let peer = &mut self.peers[at as usize];
            peer.is_ready = false;
            if !peer.owes_nothing() {
                self.last = at;
                return Some(peer.endpoint);
            }
        }
    }

    /// Says that there is room again for what is due to `to`.
    pub(super) fn resume(&mut self, to: Endpoint) {
        let Some(at) = self.find(to) else { return };
        let peer = &mut self.peers[at as usize];
        if !peer.is_ready && !peer.owes_nothing() {
            peer.is_ready = true;
            self.ready.push_back(at);
        }
    }

    /// A SYN was sent to `to`; `is_first` of those that belong together.
    pub(super) fn await_ack(&mut self, to: Endpoint, is_first: bool) {
        if let Some(at) = self.find(to) {
            let awaited = &mut self.peers[at as usize].awaited;
            *awaited = if is_first { 1 } else { awaited.saturating_add(1) };
        }
    }

    /// Whether an ACK from `from` answers a SYN of ours; each has one answer.
    pub(super) fn take_awaited(&mut self, from: Endpoint) -> bool {
        let Some(at) = self.find(from) else { return false };
        let awaited = &mut self.peers[at as usize].awaited;
        let is_awaited = *awaited > 0;
        *awaited = awaited.saturating_sub(1);
        is_awaited
    }

    /// Whether there are peers that are owed something and may have room for it.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How much that was due was dropped to make room for something else.
    pub(super) const fn stolen(&self) -> u64 {
        self.stolen
    }

    /// What is due to `to`, to be taken out.
    pub(super) fn due(&mut self, to: Endpoint) -> Option<&mut Due> {
        let at = self.find(to)?;
        Some(&mut self.peers[at as usize].due)
    }

    /// Forgets the answers that are due to `to`, who is another process than the one that asked; says how many messages that were.
    pub(super) fn forget_answers(&mut self, to: Endpoint) -> u64 {
        let Some(due) = self.due(to) else { return 0 };
        let lists = [due.ack.take(), due.ack2.take()];
        let echoes = core::mem::take(&mut due.echo_responses);
        let is_reply_due = due.shadow_reply.take().is_some();
        due.ack_limit = None;
        let mut count = u64::from(echoes.count) + u64::from(is_reply_due);
        for list in lists.into_iter().flatten() {
            self.free_list(list);
            count += 1;
        }
        count
    }

    /// Forgets what is due to everybody.
    pub(super) fn forget_all(&mut self) {
        for at in 0..self.peers.len() {
            self.forget(self.peers[at].endpoint);
            self.peers[at].due = Due::default();
        }
    }

    /// Forgets what is due to `to`; says how many messages that were.
    pub(super) fn forget(&mut self, to: Endpoint) -> u64 {
        let Some(due) = self.due(to) else { return 0 };
        let due = core::mem::take(due);
        if let Some(mine) = self.due(to) {
            mine.large = due.large;
        }
        for list in [due.ack, due.ack2].into_iter().flatten() {
            self.free_list(list);
        }
        let messages = [
            due.shutdown,
            due.syn.is_some(),
            due.shadow_reply.is_some(),
            due.ack.is_some(),
            due.ack2.is_some(),
            due.echo_request.is_some(),
            due.reply.is_some(),
        ];
        messages.into_iter().map(u64::from).sum::<u64>() + u64::from(due.echo_responses.count)
    }
}

#[cfg(test)]
mod tests;
