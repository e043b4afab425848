//! Handles, answers and events, against a node that the test drives by hand.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gossip_adapter::{
    Answer, ApplicationState, Builder, EVENTS, End, Endpoint, Event, EventsError, Generation, Handle,
    LeaveError, Mailbox, Phase, Prepared, Runtime, SetStateError, Snapshot, StartError, StatusKind, Stopped,
    Timestamp, Version,
};
use gossip_core::{Input, Node, Output};

#[test]
fn an_answer_can_be_awaited() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let (waker, woken) = counting();
    let mut context = Context::from_waker(&waker);
    let mut set = pin!(handle.set_state(ApplicationState::DC, "dc1"));
    let mut value = pin!(handle.value(handle.local_endpoint(), ApplicationState::DC));
    assert!(set.as_mut().poll(&mut context).is_pending());
    driver.run();
    assert_eq!(woken.count(), 1);
    let Poll::Ready(Ok(version)) = set.as_mut().poll(&mut context) else { panic!("it was asked for") };
    // This one was not polled before it was there.
    assert_eq!(value.as_mut().poll(&mut context), Poll::Ready(Ok(Some(("dc1".into(), version)))));
    assert_eq!(woken.count(), 1);
    assert!(value.as_mut().poll(&mut context).is_pending(), "it is given once");
}

#[test]
fn an_answer_can_be_waited_for_by_another_thread() {
    let (handle, thread) = on_a_thread();
    let callers: Vec<_> = (0..4).map(|_| (handle.clone(), handle.local_endpoint())).collect();
    let callers = callers.into_iter().map(|(handle, local)| {
        thread::spawn(move || {
            for _ in 0..100 {
                let endpoints = handle.endpoints().wait().expect("it runs");
                assert_eq!(endpoints[0].endpoint, local);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.join().expect("it has its answers");
    }
    assert_eq!(handle.shutdown().wait(), Ok(()));
    thread.join().expect("the driver ends");
    assert_eq!(handle.stats().wait(), Err(Stopped));
}

#[test]
fn everything_asked_of_the_node_is_answered() {
    let (handle, _thread) = on_a_thread();
    let (local, key) = (handle.local_endpoint(), ApplicationState::RACK);
    assert_eq!(handle.value(local, key).wait(), Ok(None));
    let version = handle.set_state(key, "r1").wait().expect("it is short");
    assert_eq!(handle.value(local, key).wait(), Ok(Some(("r1".into(), version))));
    assert!(matches!(handle.set_state(key, "x".repeat(1 << 20)).wait(), Err(SetStateError::Refused(_))));
    assert_eq!(handle.stats().wait().map(|stats| stats.messages_dropped), Ok(0));
    assert_eq!(handle.foreign_cluster().wait(), Ok(None));
    assert_eq!(handle.foreign_partitioner().wait(), Ok(None));
    assert_eq!(handle.is_enabled().wait(), Ok(true));
    assert_eq!(handle.set_seeds(vec![Endpoint::v4([127, 0, 0, 2], 7_000)]).wait(), Ok(true));
    assert_eq!(handle.seeds().wait().map(|seeds| seeds.len()), Ok(1));
    assert_eq!(handle.tombstones().wait().map(|tombstones| tombstones.len()), Ok(0));
    let generation = handle.generation().wait().expect("it runs");
    assert_eq!((handle.disable().wait(), handle.enable().wait()), (Ok(()), Ok(())));
    assert!(handle.generation().wait().is_ok_and(|now| now > generation));
    assert_eq!(handle.assassinate(Endpoint::v4([127, 0, 0, 3], 7_000)).wait(), Ok(()));
    assert_eq!(handle.leave().wait(), Err(LeaveError::NotMember));
    assert!(!format!("{handle:?}").is_empty());
}

#[test]
fn the_end_is_answered_when_it_is_there() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let (first, second, stopped) = (handle.shutdown(), handle.shutdown(), handle.stopped());
    driver.run();
    let (waker, woken) = counting();
    let mut context = Context::from_waker(&waker);
    let [mut first, mut second] = [first, second].map(Box::pin);
    let mut stopped = Box::pin(stopped);
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert!(stopped.as_mut().poll(&mut context).is_pending());
    drop(driver);
    assert_eq!(woken.count(), 3);
    assert_eq!(first.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    assert_eq!(second.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    assert_eq!(stopped.as_mut().poll(&mut context), Poll::Ready(End::Asked));
    assert_eq!(handle.shutdown().wait(), Err(Stopped));
    assert_eq!(handle.leave().wait(), Err(LeaveError::NotRunning));
    assert_eq!(handle.set_state(ApplicationState::DC, "dc1").wait(), Err(SetStateError::Stopped));
    assert_eq!(handle.stopped().wait(), End::Asked);
}

#[test]
fn leaving_is_answered_when_the_node_has_stopped() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let normal = handle.set_state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0");
    let mut left = handle.leave();
    driver.run();
    normal.wait().expect("it may be said");
    assert!(poll_once(&mut left).is_pending());
    driver.run_until_stopped();
    drop(driver);
    assert_eq!(left.wait(), Ok(()));
}

#[test]
fn the_node_shuts_down_with_its_last_handle() {
    let mut driver = Driver::new();
    let (waker, woken) = counting();
    driver.mailbox.register(&waker);
    let handle = driver.handle.take().expect("it was there");
    let clone = handle.clone();
    let mut events = handle.subscribe();
    drop(handle);
    assert!(driver.mailbox.is_empty());
    assert_eq!(woken.count(), 0);
    drop(clone);
    assert!(!driver.mailbox.is_empty());
    assert_eq!(woken.count(), 1);
    driver.run_until_stopped();
    assert!(driver.mailbox.is_empty(), "it is said once");
    assert_eq!(events.wait(), Ok(Event::Stopped));
    assert_eq!(events.wait(), Err(EventsError::Stopped));
}

#[test]
fn the_driver_is_woken_when_its_mailbox_fills() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    // What came before gives no event, and is not forgotten.
    let early = handle.stats();
    let (waker, woken) = counting();
    driver.mailbox.register(&waker);
    assert!(!driver.mailbox.is_empty());
    assert_eq!(woken.count(), 0);
    driver.run();
    early.wait().expect("it is answered");
    let answers = [handle.stats(), handle.stats()];
    assert_eq!(woken.count(), 1, "once for both");
    driver.run();
    assert!(driver.mailbox.is_empty());
    for answer in answers {
        answer.wait().expect("it is answered");
    }
    let (other, other_woken) = counting();
    driver.mailbox.register(&other);
    let _unheard = handle.stats();
    assert_eq!((woken.count(), other_woken.count()), (1, 1));
    // As a task does it.
    let mut context = Context::from_waker(&waker);
    assert!(pin!(driver.mailbox.filled()).poll(&mut context).is_ready());
    driver.run();
    let mut filled = Box::pin(driver.mailbox.filled());
    assert!(filled.as_mut().poll(&mut context).is_pending());
    let _unheard = handle.stats();
    assert_eq!((woken.count(), other_woken.count()), (2, 1));
    assert!(filled.as_mut().poll(&mut context).is_ready());
}

#[test]
fn what_happens_right_after_the_start_is_told() {
    let Prepared { node, mut mailbox, handle, events, .. } =
        Builder::<ByHand>::new("a").start().expect("all is in its range");
    let mut clone = events.clone();
    mailbox.publish(&node, Event::ShadowRoundFailed);
    mailbox.publish(&node, Event::Stopped);
    drop((node, mailbox));
    let mut late = handle.subscribe();
    assert_eq!(late.try_recv(), Some(Err(EventsError::Stopped)), "it has missed all");
    let mut later_clone = clone.clone();
    for events in [events, later_clone.clone()].iter_mut().chain([&mut clone, &mut later_clone]) {
        assert_eq!(events.wait(), Ok(Event::ShadowRoundFailed));
        assert_eq!(events.wait(), Ok(Event::Stopped));
        assert_eq!(events.wait(), Err(EventsError::Stopped));
    }
    assert_eq!(clone.clone().wait(), Err(EventsError::Stopped), "no event comes again");
}

#[test]
fn nobody_is_forgotten_who_waits_for_events() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let mut subscribers: Vec<_> = (0..3).map(|_| (handle.subscribe(), counting())).collect();
    for (events, (waker, _)) in &mut subscribers {
        for _ in 0..2 {
            assert!(events.poll_recv(&mut Context::from_waker(waker)).is_pending());
        }
    }
    driver.publish(up(1));
    driver.publish(up(2));
    for (events, (waker, woken)) in &mut subscribers {
        assert_eq!(woken.count(), 1, "who does not ask again is not woken again");
        assert_eq!(events.try_recv(), Some(Ok(up(1))));
        assert_eq!(events.poll_recv(&mut Context::from_waker(waker)), Poll::Ready(Ok(up(2))));
        assert!(events.poll_recv(&mut Context::from_waker(waker)).is_pending());
    }
    let (_, (_, gone)) = subscribers.remove(0);
    drop(driver);
    assert_eq!(gone.count(), 1, "who has gone is not woken");
    for (mut events, (_, woken)) in subscribers {
        assert_eq!(woken.count(), 2);
        assert_eq!(events.try_recv(), Some(Err(EventsError::Stopped)));
    }
}

#[test]
fn a_later_waker_takes_the_place_of_an_earlier_one() {
    let mut driver = Driver::new();
    let mut events = driver.handle().subscribe();
    let ((first, first_woken), (second, second_woken)) = (counting(), counting());
    assert!(events.poll_recv(&mut Context::from_waker(&first)).is_pending());
    assert!(events.poll_recv(&mut Context::from_waker(&second)).is_pending());
    driver.publish(up(1));
    assert_eq!((first_woken.count(), second_woken.count()), (0, 1));
}

#[test]
fn a_subscriber_that_reads_nothing_holds_up_nobody() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let mut idle = handle.subscribe();
    let mut busy = handle.subscribe();
    for number in 0..1_000 {
        driver.publish(up(number));
        assert_eq!(busy.wait(), Ok(up(number)));
    }
    let mut late = handle.subscribe();
    assert_eq!(late.try_recv(), None);
    for number in 0..1_000 {
        assert_eq!(idle.wait(), Ok(up(number)));
    }
    assert_eq!(idle.wait_timeout(Duration::from_millis(10)), None);
}

#[test]
fn whoever_is_too_slow_is_told_once_what_it_missed() {
    let mut driver = Driver::new();
    let mut events = driver.handle().subscribe();
    let count = i32::try_from(EVENTS).expect("it is small") + 10;
    for number in 0..count {
        driver.publish(up(number));
    }
    assert_eq!(events.wait(), Err(EventsError::Lagged(10)));
    for number in 10..count {
        assert_eq!(events.wait(), Ok(up(number)));
    }
    assert_eq!(events.try_recv(), None);
    driver.publish(Event::Stopped);
    assert_eq!(events.wait(), Ok(Event::Stopped));
    // Also while the driver is still there.
    assert_eq!(events.wait(), Err(EventsError::Stopped));
}

#[test]
fn whoever_is_too_slow_is_told_all_the_same_what_ends_a_wait() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let mut events = handle.subscribe();
    let at = |octet| Endpoint::v4([10, 0, 0, octet], 7_000);
    let assassinated = |octet| Event::Assassinated { endpoint: at(octet), generation: Generation::new(1) };
    driver.publish(up(0));
    driver.publish(Event::ShadowRoundDone);
    driver.publish(assassinated(1));
    driver.publish(assassinated(2));
    let mut late = handle.subscribe();
    // As many as a real cluster of 10,000 nodes brings at once.
    for number in 0..50_000 {
        driver.publish(up(number));
    }
    driver.publish(Event::Removed { generation: Generation::new(2) });
    let mut clone = events.clone();
    assert_eq!(late.try_recv(), Some(Err(EventsError::Lagged(50_001 - EVENTS as u64))));
    assert_eq!(late.try_recv(), Some(Ok(up(50_001 - 4_096))), "it gets no earlier events");
    for events in [&mut events, &mut clone] {
        assert_eq!(events.wait(), Err(EventsError::Lagged(50_002 - EVENTS as u64)));
        for kept in [Event::ShadowRoundDone, assassinated(1), assassinated(2)] {
            assert_eq!(events.wait(), Ok(kept));
        }
        for number in 50_001 - 4_096..50_000 {
            assert_eq!(events.wait(), Ok(up(number)));
        }
        assert_eq!(events.wait(), Ok(Event::Removed { generation: Generation::new(2) }), "it comes once");
        assert_eq!(events.try_recv(), None);
    }
}

#[test]
fn why_a_node_has_stopped_is_known_to_whoever_asks() {
    for is_asked_before in [true, false] {
        let mut driver = Driver::new();
        let handle = driver.handle();
        let mut before = is_asked_before.then(|| handle.stopped());
        let shutdown = handle.shutdown();
        driver.run();
        assert_eq!(before.as_mut().and_then(Answer::try_take), None);
        driver.run_until_stopped();
        drop(driver);
        assert_eq!(shutdown.wait(), Ok(()));
        if let Some(before) = &mut before {
            assert_eq!(before.try_take(), Some(End::Asked));
            assert_eq!(before.try_take(), None, "it is given once");
        }
        assert_eq!(handle.stopped().wait(), End::Asked, "it is never forgotten");
    }
}

#[test]
fn a_view_shows_what_is_so_and_wakes_whoever_waits_for_it() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let local = handle.local_endpoint();
    let asked = handle.view();
    driver.run();
    let mut view = asked.wait().expect("it runs");
    let first = view.snapshot();
    assert_eq!((first.phase(), first.len(), first.live_count()), (Phase::Running, 1, 1));
    assert!(first.get(local).is_some_and(|known| known.is_local && known.is_live));
    let (waker, woken) = counting();
    let mut context = Context::from_waker(&waker);
    assert!(view.poll_changed(&mut context).is_pending());

    // Its own values make no event.
    drop(handle.set_state(ApplicationState::DC, "dc1"));
    drop(handle.set_state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0"));
    driver.run();
    assert_eq!(woken.count(), 1, "two changes come as one");
    let Poll::Ready(Ok(changed)) = view.poll_changed(&mut context) else { panic!("it has changed") };
    let known = changed.get(local).expect("it knows itself");
    assert_eq!((known.text(ApplicationState::DC), known.status), (Some("dc1"), StatusKind::Normal));
    assert_eq!(first.get(local).and_then(|known| known.text(ApplicationState::DC)), None, "it never changes");
    assert!(view.poll_changed(&mut context).is_pending());

    let mut clone = view.clone();
    let waiting = thread::spawn(move || {
        let left = clone.wait_until(Duration::from_secs(60), |now| now.phase() == Phase::Left);
        (left, clone.wait_until(Duration::from_secs(60), |now| now.live_count() == 2))
    });
    let left = handle.leave();
    driver.run_until_stopped();
    drop(driver);
    assert_eq!(left.wait(), Ok(()));
    assert_eq!(handle.stopped().wait(), End::Left);
    let (left, never) = waiting.join().expect("it ends");
    // It may have seen the end only.
    assert!(matches!(left, Some(Ok(_) | Err(Stopped))), "{left:?}");
    assert!(matches!(never, Some(Err(Stopped))), "{never:?}");
    assert_eq!(view.snapshot().phase(), Phase::Stopped);
    assert!(matches!(view.poll_changed(&mut context), Poll::Ready(Err(Stopped))));
    assert!(handle.view().wait().is_err());
}

#[test]
fn values_are_shared_by_all_that_take_them_out_of_a_view() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let local = handle.local_endpoint();
    let place =
        |snapshot: &Snapshot, key| snapshot.get(local).and_then(|known| known.text(key)).map(str::as_ptr);
    drop(handle.set_state(ApplicationState::RACK, "a long name of a rack"));
    let asked = handle.view();
    driver.run();
    let mut view = asked.wait().expect("it runs");
    let first = view.snapshot();
    let rack = place(&first, ApplicationState::RACK);
    assert!(rack.is_some());
    assert_eq!(place(&view.clone().snapshot(), ApplicationState::RACK), rack);
    assert_eq!(place(&Snapshot::clone(&first), ApplicationState::RACK), rack);
    let taken = first.get(local).and_then(|known| known.state(ApplicationState::RACK)).cloned();
    let bytes = taken.expect("it is known").value.into_bytes();
    assert_eq!(Some(bytes.as_ptr()), rack, "a clone of a value, or its bytes, are no copy");

    drop(handle.set_state(ApplicationState::DC, "dc1"));
    driver.run();
    let second = view.snapshot();
    assert_eq!(second.get(local).and_then(|known| known.text(ApplicationState::DC)), Some("dc1"));
    assert_eq!(place(&second, ApplicationState::RACK), rack, "what has not changed is not copied");

    drop(handle.set_state(ApplicationState::RACK, "another name of a rack"));
    driver.run();
    assert_ne!(place(&view.snapshot(), ApplicationState::RACK), rack);
    assert_eq!(place(&first, ApplicationState::RACK), rack, "it never changes");
}

#[test]
fn debug_output_of_what_applications_hold_is_short() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    drop(handle.set_state(ApplicationState::RACK, "x".repeat(10_000)));
    let asked = handle.view();
    driver.run();
    let mut view = asked.wait().expect("it runs");
    let snapshot = view.snapshot();
    let known = snapshot.get(handle.local_endpoint()).expect("it knows itself");
    for shown in
        [format!("{view:?}"), format!("{snapshot:?}"), format!("{known:?}"), format!("{:?}", known.states[0])]
    {
        assert!(shown.len() < 300, "{shown}");
    }
    assert!(format!("{known:?}").contains(&handle.local_endpoint().to_string()));
}

#[test]
fn a_view_is_refreshed_before_the_event_is_told() {
    let mut driver = Driver::new();
    let handle = driver.handle();
    let (saved, asked) = (Endpoint::v4([127, 0, 0, 3], 7_000), handle.view());
    driver.run();
    let mut view = asked.wait().expect("it runs");
    let mut events = handle.subscribe();
    let assassinated = handle.assassinate(saved);
    driver.mailbox.run(&mut driver.node, driver.now);
    assert_eq!(assassinated.wait(), Ok(()));
    let mut told = 0;
    while let Output::Event(event) = driver.node.poll(&mut driver.buffer) {
        driver.publish(event);
        while let Some(Ok(event)) = events.try_recv() {
            told += 1;
            if event.endpoint() == Some(saved) {
                assert!(view.snapshot().get(saved).is_some(), "{event:?}");
            }
        }
    }
    assert!(told > 0);
    // Once it is read no more it is kept no more, and is whole when it is read again.
    drop(view);
    driver.run();
    let asked = handle.view();
    driver.run();
    let mut again = asked.wait().expect("it runs");
    assert_eq!(again.snapshot().len(), 2);
}

#[test]
fn a_weak_handle_keeps_no_node_running() {
    let mut driver = Driver::new();
    let handle = driver.handle.take().expect("it was there");
    let weak = handle.downgrade();
    assert_eq!(weak.clone().upgrade().map(|again| again.local_endpoint()), Some(handle.local_endpoint()));
    assert!(driver.mailbox.is_empty());
    drop(handle);
    assert!(weak.upgrade().is_none());
    driver.run_until_stopped();
}

#[test]
fn events_wake_a_thread_that_waits() {
    let mut driver = Driver::new();
    let mut events = driver.handle().subscribe();
    let waiting = thread::spawn(move || {
        let first = events.wait();
        (first, events.wait_timeout(Duration::from_secs(60)), events.wait_timeout(Duration::MAX))
    });
    driver.publish(up(1));
    thread::sleep(Duration::from_millis(20));
    driver.publish(up(2));
    drop(driver);
    let (first, second, end) = waiting.join().expect("it ends");
    assert_eq!((first, second, end), (Ok(up(1)), Some(Ok(up(2))), Some(Err(EventsError::Stopped))));
}

#[test]
fn nobody_can_dial_a_wildcard() {
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7_000));
    let started = Builder::<ByHand>::new("a").listen(listen).start();
    assert!(matches!(started, Err(StartError::UnspecifiedBroadcast { listen: at }) if at == listen));
    let broadcast = SocketAddr::from(([10, 0, 0, 1], 0));
    let started = Builder::<ByHand>::new("a").listen(listen).broadcast(broadcast).start();
    assert_eq!(
        started.expect("it can be dialled").handle.local_endpoint(),
        Endpoint::v4([10, 0, 0, 1], 7_000)
    );
}

/// A runtime in which nothing runs by itself.
enum ByHand {}

impl Runtime for ByHand {
    type Start<M: 'static> = Result<Prepared<M>, StartError>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        let listening = builder.listen_on()?;
        builder.prepare(listening)
    }
}

/// A driver without sockets, under a time of its own.
struct Driver {
    node: Node,
    mailbox: Mailbox,
    handle: Option<Handle>,
    buffer: Vec<u8>,
    now: Timestamp,
    is_stopped: bool,
}

impl Driver {
    fn new() -> Self {
        let started = Builder::<ByHand>::new("a").interval(Duration::from_millis(10)).start();
        let Prepared { node, mailbox, handle, .. } = started.expect("all is in its range");
        let buffer = vec![0; Node::MIN_BUFFER];
        Self { node, mailbox, handle: Some(handle), buffer, now: Timestamp::ZERO, is_stopped: false }
    }

    fn handle(&self) -> Handle {
        self.handle.clone().expect("it is there until the test takes it")
    }

    fn run(&mut self) -> Option<Timestamp> {
        self.mailbox.run(&mut self.node, self.now);
        loop {
            match self.node.poll(&mut self.buffer) {
                Output::Connect { connection, .. } => {
                    self.node.handle_input(self.now, Input::Failed { connection });
                }
                Output::Event(event) => {
                    self.is_stopped |= event == Event::Stopped;
                    self.publish(event);
                }
                Output::Timeout(deadline) => {
                    self.mailbox.settle(&self.node);
                    return deadline;
                }
                _ => {}
            }
        }
    }

    fn publish(&mut self, event: Event) {
        self.mailbox.publish(&self.node, event);
    }

    fn run_until_stopped(&mut self) {
        while let Some(deadline) = self.run() {
            self.now = deadline;
            self.node.handle_input(self.now, Input::Timeout);
        }
        assert!(self.is_stopped);
    }
}

/// A driver on a thread of its own, as fast as its deadlines allow.
fn on_a_thread() -> (Handle, JoinHandle<()>) {
    let mut driver = Driver::new();
    let handle = driver.handle.take().expect("it is there");
    let thread = thread::spawn(move || {
        driver.mailbox.register(&gossip_adapter::this_thread());
        while let Some(deadline) = driver.run() {
            thread::park_timeout(Duration::from_millis(1));
            driver.now = deadline;
            driver.node.handle_input(driver.now, Input::Timeout);
        }
    });
    (handle, thread)
}

/// An event that differs from the others.
fn up(number: i32) -> Event {
    let endpoint = Endpoint::v4([127, 0, 0, 1], 7_000);
    Event::StateChanged { endpoint, key: ApplicationState::DC, version: Version::new(number) }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Waker, Arc<Woken>) {
    let woken = Arc::new(Woken::default());
    (woken.clone().into(), woken)
}
