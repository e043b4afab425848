//! TCP connections out of packets: each direction in order, and which packets belong together.

mod half;

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use self::half::{Half, Next};
use crate::connection::Connection;
use crate::env::{End, Ending, Env, Seen};
use crate::packet::Segment;

/// The connections that are remembered.
#[derive(Default)]
pub(crate) struct Flows {
    flows: BTreeMap<Key, Flow>,
    /// Who was used when, the one that was silent for the longest first.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    /// How much memory all of them hold for bytes that wait.
    held: usize,
}

/// The two ends of a connection, in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key([SocketAddr; 2]);

struct Flow {
    connection: Connection,
    dialler_address: SocketAddr,
    dialler: Half,
    acceptor: Half,
    /// Nothing more comes of it; it is remembered so that repetitions do not look like another connection.
    is_closed: bool,
    last_use: u64,
    held: usize,
}

impl Flows {
    /// Takes a segment, if it is one between a dialler and one of the ports that are looked at. Whether it is.
    pub(crate) fn segment(&mut self, segment: &Segment<'_>, seen: Seen, env: &mut Env<'_>) -> bool {
        let is_acceptor = |address: SocketAddr| env.options.ports.contains(&address.port());
        if !is_acceptor(segment.from) && !is_acceptor(segment.to) {
            return false;
        }
        let key = Key::of(segment);
        if self.flows.get(&key).is_some_and(|flow| flow.is_another(segment)) {
            self.forget(key, env);
        }
        let flow = match self.flows.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let Some(flow) = Flow::of_first(segment, is_acceptor) else { return false };
                if !segment.syn && segment.payload.is_empty() {
                    // What only ends or acknowledges is of a connection that carries nothing more.
                    return true;
                }
                vacant.insert(flow)
            }
        };
        self.uses += 1;
        self.by_use.remove(&flow.last_use);
        self.by_use.insert(self.uses, key);
        flow.last_use = self.uses;
        flow.segment(segment, seen, env);
        self.held -= flow.held;
        flow.held = flow.held_now();
        self.held += flow.held;
        self.limit(env);
        true
    }

    /// Nothing more comes of any connection.
    pub(crate) fn finish(&mut self, env: &mut Env<'_>) {
        while let Some((_, key)) = self.by_use.first_key_value() {
            self.forget(*key, env);
        }
    }

    /// Forgets connections until few enough are left, and few enough bytes wait.
    fn limit(&mut self, env: &mut Env<'_>) {
        while self.flows.len() > env.options.max_connections || self.held > env.options.max_held {
            let Some((_, key)) = self.by_use.first_key_value() else { return };
            self.forget(*key, env);
        }
    }

    fn forget(&mut self, key: Key, env: &mut Env<'_>) {
        let Some(mut flow) = self.flows.remove(&key) else { return };
        self.by_use.remove(&flow.last_use);
        self.held -= flow.held;
        flow.close(env);
        env.summary.silent_connections += u64::from(!flow.connection.has_carried());
    }
}

impl Key {
    fn of(segment: &Segment<'_>) -> Self {
        let mut ends = [segment.from, segment.to];
        ends.sort_unstable();
        Self(ends)
    }
}

impl Flow {
    /// The connection whose first segment this is; `None` if the acceptor is not one that is looked at.
    fn of_first(segment: &Segment<'_>, is_acceptor: impl Fn(SocketAddr) -> bool) -> Option<Self> {
        // Who dials is seen when it does; later the port tells.
        let (dialler, acceptor) = match (segment.syn, segment.acknowledged) {
            (true, None) => (segment.from, segment.to),
            (true, Some(_)) => (segment.to, segment.from),
            (false, _) if is_acceptor(segment.to) => (segment.from, segment.to),
            (false, _) => (segment.to, segment.from),
        };
        is_acceptor(acceptor).then(|| Self {
            connection: Connection::new(dialler, acceptor),
            dialler_address: dialler,
            dialler: Half::default(),
            acceptor: Half::default(),
            is_closed: false,
            last_use: 0,
            held: 0,
        })
    }

    /// Whether `segment` is of another connection between the same ports.
    fn is_another(&self, segment: &Segment<'_>) -> bool {
        let half = match self.end_of(segment) {
            End::Dialler => &self.dialler,
            End::Acceptor => &self.acceptor,
        };
        if segment.syn {
            return half.starts_anew(segment.sequence.wrapping_add(1));
        }
        !segment.payload.is_empty() && half.is_far(segment.sequence)
    }

    fn end_of(&self, segment: &Segment<'_>) -> End {
        if segment.from == self.dialler_address { End::Dialler } else { End::Acceptor }
    }

    fn segment(&mut self, segment: &Segment<'_>, seen: Seen, env: &mut Env<'_>) {
        if self.is_closed {
            return;
        }
        let end = self.end_of(segment);
        let (half, other) = match end {
            End::Dialler => (&mut self.dialler, &mut self.acceptor),
            End::Acceptor => (&mut self.acceptor, &mut self.dialler),
        };
        if let Some(acknowledged) = segment.acknowledged {
            other.acknowledge(acknowledged);
        }
        if segment.rst {
            self.close(env);
            return;
        }
        let sequence = if segment.syn { segment.sequence.wrapping_add(1) } else { segment.sequence };
        if segment.syn {
            half.start(sequence);
            self.connection.starts(end);
        }
        if !segment.payload.is_empty() {
            let fresh = half.add(sequence, segment.payload, seen);
            if !fresh.is_empty() {
                self.connection.bytes(end, fresh, seen, env);
            }
        }
        if segment.fin {
            let length = u32::try_from(segment.payload.len()).unwrap_or_default();
            half.finish(sequence.wrapping_add(length));
        }
        for end in [end, other_end(end)] {
            self.deliver(end, seen, env);
        }
        if self.dialler.is_complete() && self.acceptor.is_complete() {
            self.close(env);
        }
    }

    /// Hands on what is in order by now.
    fn deliver(&mut self, end: End, seen: Seen, env: &mut Env<'_>) {
        let half = match end {
            End::Dialler => &mut self.dialler,
            End::Acceptor => &mut self.acceptor,
        };
        loop {
            let next = match half.next_kept() {
                None if half.is_overdue(seen.unix_us, env.options.max_reordered) => half.give_up(),
                next => next,
            };
            match next {
                Some(Next::Bytes(bytes, seen)) => self.connection.bytes(end, &bytes, seen, env),
                Some(Next::Gap(missing)) => self.connection.gap(end, missing, seen, env),
                None => break,
            }
        }
        if half.is_complete() {
            self.connection.end(end, Ending::Finished, env);
        }
    }

    /// Hands on what is there, and ends both directions.
    fn close(&mut self, env: &mut Env<'_>) {
        if core::mem::replace(&mut self.is_closed, true) {
            self.connection.close(env);
            return;
        }
        for (half, end) in [(&mut self.acceptor, End::Acceptor), (&mut self.dialler, End::Dialler)] {
            while let Some(next) = half.next_kept().or_else(|| half.give_up()) {
                match next {
                    Next::Bytes(bytes, seen) => self.connection.bytes(end, &bytes, seen, env),
                    Next::Gap(missing) => self.connection.gap(end, missing, Seen::default(), env),
                }
            }
            if half.is_complete() {
                self.connection.end(end, Ending::Finished, env);
            }
        }
        self.connection.close(env);
    }

    fn held_now(&self) -> usize {
        self.connection.held() + self.dialler.held() + self.acceptor.held()
    }
}

const fn other_end(end: End) -> End {
    match end {
        End::Dialler => End::Acceptor,
        End::Acceptor => End::Dialler,
    }
}
