//! A node that runs, and all its events.

use std::fmt::Debug;
use std::ops::Deref;
use std::thread;
use std::time::{Duration, Instant};

use gossip_adapter::{
    DownCause, Endpoint, EndpointInfo, Event, Events, EventsError, Generation, Handle,
    Member as OfOurCluster, Standing, Stats,
};

use crate::lab::TooSlow;

/// How long anything may take: far more than it takes on a machine that is busy with something else.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A member of a cluster of ours, or a gossip-only member.
pub(crate) struct Member<M = OfOurCluster> {
    handle: Handle<M>,
    adapter: &'static str,
    pub(crate) generation: Generation,
    events: Events,
    told: Vec<Event>,
}

impl<M> Member<M> {
    pub(crate) fn new(handle: Handle<M>, events: Events, adapter: &'static str) -> Self {
        let generation = handle.generation().wait().expect("it has just started");
        Self { handle, adapter, generation, events, told: Vec::new() }
    }

    /// Under which endpoint the others know it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.handle.local_endpoint()
    }

    pub(crate) fn counters(&self) -> Stats {
        self.stats().wait().expect("the node runs")
    }

    /// Whether tasks of the application run beside the node.
    pub(crate) fn has_a_runtime(&self) -> bool {
        self.adapter != crate::adapters::MIO.name
    }

    /// What the node knows of `endpoint`.
    pub(crate) fn info(&self, endpoint: Endpoint) -> Option<EndpointInfo> {
        let known = self.endpoints().wait().expect("the node runs");
        known.into_iter().find(|info| info.endpoint == endpoint)
    }

    /// Whether it takes this process for live.
    pub(crate) fn finds_live<N>(&self, other: &Member<N>) -> bool {
        self.info(other.endpoint()).is_some_and(|info| {
            info.standing == Standing::Live && info.heartbeat.generation == other.generation
        })
    }

    /// Whether it has this value of that endpoint.
    pub(crate) fn reads(
        &self,
        endpoint: Endpoint,
        key: gossip_adapter::ApplicationState,
        text: &str,
    ) -> bool {
        let value = self.value(endpoint, key).wait().expect("the node runs");
        value.is_some_and(|(value, _)| value == text)
    }

    /// All events since the start, or since [`Member::forget_events`].
    pub(crate) fn told(&mut self) -> &[Event] {
        while let Some(Ok(event)) = self.events.try_recv() {
            self.told.push(event);
        }
        &self.told
    }

    pub(crate) fn forget_events(&mut self) {
        self.told();
        self.told.clear();
    }

    /// Waits for an event.
    pub(crate) fn wait_for(&mut self, what: impl Debug, is_it: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + DEADLINE;
        let mut looked_at = 0;
        loop {
            if let Some(event) = self.told[looked_at..].iter().find(|event| is_it(event)) {
                return *event;
            }
            looked_at = self.told.len();
            match self.events.wait_timeout(deadline.saturating_duration_since(Instant::now())) {
                Some(Ok(event)) => self.told.push(event),
                end => panic!("{self:?}: no {what:?}, but {end:?} after {:#?}", self.told),
            }
        }
    }

    /// Events from here on, beside those of the test.
    pub(crate) fn events_from_here(&mut self) -> Events {
        self.forget_events();
        self.events.clone()
    }

    /// Waits until `endpoint` is reported to have shut down.
    pub(crate) fn wait_for_shutdown(&mut self, endpoint: Endpoint) {
        match self.wait_for_down(endpoint) {
            DownCause::Shutdown => {}
            cause @ DownCause::Convicted { .. } => self.too_slow(endpoint, cause),
            cause => panic!("{self:?}: {endpoint} is down: {cause:?}"),
        }
    }

    /// Waits until `endpoint` is reported to be down, and why.
    pub(crate) fn wait_for_down(&mut self, endpoint: Endpoint) -> DownCause {
        let is_it = |event: &Event| matches!(event, Event::Down { endpoint: down, .. } if *down == endpoint);
        match self.wait_for(("end of", endpoint), is_it) {
            Event::Down { cause, .. } => cause,
            _ => unreachable!("nothing else is waited for"),
        }
    }

    /// Checks that none of those was reported to be down.
    pub(crate) fn assert_up(&mut self, endpoints: &[Endpoint]) {
        let is_down =
            |event: &&Event| matches!(event, Event::Down { endpoint, .. } if endpoints.contains(endpoint));
        match self.told().iter().find(is_down).copied() {
            None => {}
            Some(Event::Down { endpoint, cause: cause @ DownCause::Convicted { .. }, .. }) => {
                self.too_slow(endpoint, cause);
            }
            down => panic!("{down:?} is reported by {self:?}"),
        }
    }

    fn too_slow(&self, endpoint: Endpoint, cause: DownCause) -> ! {
        TooSlow(format!("{self:?} tells that {endpoint} is down: {cause:?}")).end()
    }

    /// Waits until the node has stopped, and gives all events.
    pub(crate) fn told_to_the_end(mut self) -> Vec<Event> {
        self.told.extend(told_to_the_end(self.events));
        self.told
    }
}

impl<M> Deref for Member<M> {
    type Target = Handle<M>;

    fn deref(&self) -> &Handle<M> {
        &self.handle
    }
}

/// Waits until a node has stopped, and gives its events up to then.
pub(crate) fn told_to_the_end(mut events: Events) -> Vec<Event> {
    let mut told = Vec::new();
    loop {
        match events.wait_timeout(DEADLINE) {
            Some(Ok(event)) => told.push(event),
            Some(Err(EventsError::Stopped)) => return told,
            end => panic!("{end:?} where the end should be"),
        }
    }
}

/// Asks until it is so.
pub(crate) fn eventually(what: impl Debug, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came true: {what:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until each of them finds each other live.
pub(crate) fn all_live(members: &[Member]) {
    for (place, member) in members.iter().enumerate() {
        for other in &members[..place] {
            eventually((member, "finds live", other), || member.finds_live(other));
            eventually((other, "finds live", member), || other.finds_live(member));
        }
    }
}

/// The endpoints of all.
pub(crate) fn endpoints(members: &[Member]) -> Vec<Endpoint> {
    members.iter().map(Member::endpoint).collect()
}

impl<M> Debug for Member<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.endpoint(), self.adapter)
    }
}
