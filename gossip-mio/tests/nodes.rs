//! Nodes over real sockets, driven by threads of their own, or by a poll of the program.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gossip_mio::{
    ApplicationState, Builder, Detector, DownCause, Driver, Event, EventLoop, Events, Generation, Handle,
    Standing, StartError, Stopped, Transport,
};
use mio::{Poll, Token};

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(120);

const TRANSPORTS: [Transport; 2] = [Transport::Internode, Transport::Datagram];

#[test]
fn nodes_meet_and_part_on_threads_of_their_own() {
    for transport in TRANSPORTS {
        meet_and_part(transport, |builder| builder.start().unwrap().0);
    }
}

#[test]
fn nodes_meet_and_part_on_polls_of_the_program() {
    for transport in TRANSPORTS {
        meet_and_part(transport, |builder| {
            let (mut program, handle) = Program::new(builder);
            thread::spawn(move || {
                while !program.driver.is_stopped() {
                    program.step(None);
                }
            });
            handle
        });
    }
}

#[test]
fn two_nodes_share_one_poll() {
    for transport in TRANSPORTS {
        share_a_poll(builder(transport).state(key(0), "a"), builder(transport).state(key(0), "b"), 2);
    }
}

#[test]
fn many_nodes_share_one_poll() {
    const NODES: usize = 5;
    const TOKENS: usize = 100;
    let mut poll = Poll::new().unwrap();
    let waker = gossip_mio::waker(Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap()));
    let mut drivers = Vec::new();
    let mut handles: Vec<Handle> = Vec::new();
    for number in 0..NODES {
        let mut builder = builder(Transport::Internode);
        if let Some(seed) = handles.first() {
            builder = builder.seed(seed.listen_address());
        }
        let tokens = Token(1 + number * TOKENS)..Token(1 + (number + 1) * TOKENS);
        let (driver, handle, _) = Driver::new(builder, poll.registry(), tokens, &waker).unwrap();
        drivers.push(driver);
        handles.push(handle);
    }
    let all_live = thread::spawn(move || {
        for handle in &handles {
            let mut view = handle.view().wait().unwrap();
            view.wait_until(LONG, |now| now.live_count() == NODES).expect("in time").unwrap();
        }
    });
    let mut events = mio::Events::with_capacity(64);
    while drivers.iter().any(|driver| !driver.is_stopped()) {
        let wait = drivers.iter_mut().filter_map(Driver::turn).min();
        if drivers.iter().all(Driver::is_stopped) {
            break;
        }
        poll.poll(&mut events, wait).unwrap();
        for event in &events {
            let takers =
                drivers.iter_mut().map(|driver| driver.on_event(event)).filter(|takes| *takes).count();
            assert_eq!(takers, usize::from(event.token() != Token(0)), "{event:?}");
        }
    }
    all_live.join().unwrap();
}

#[test]
fn without_tokens_nothing_starts_and_with_few_connections_are_refused() {
    let poll = Poll::new().unwrap();
    let waker = std::task::Waker::noop();
    let none = Driver::new(builder(Transport::Internode), poll.registry(), Token(5)..Token(5), waker);
    assert!(matches!(none, Err(StartError::Drive(_))));
    let (mut program, handle) =
        Program::with(builder(Transport::Internode).interval(LONG), Program::FIRST..Token(13));
    let strangers: Vec<_> = (0..5).map(|_| TcpStream::connect(handle.listen_address()).unwrap()).collect();
    let mut closed = 0;
    let began = Instant::now();
    while closed < 3 {
        assert!(began.elapsed() < LONG);
        program.step(Some(Duration::from_millis(10)));
        closed = strangers
            .iter()
            .filter(|stranger| {
                stranger.set_nonblocking(true).unwrap();
                matches!((&mut &**stranger).read(&mut [0]), Ok(0)) || stranger.take_error().unwrap().is_some()
            })
            .count();
    }
    assert_eq!(closed, 3, "two have a token");
}

#[test]
fn what_is_too_much_for_one_turn_is_read_in_several() {
    let mut first = builder(Transport::Internode);
    for number in 0..30 {
        first = first.state(key(number), "x".repeat(30_000));
    }
    // Who asks before it joins is answered all at once.
    let second = builder(Transport::Internode)
        .tune(|config| config.change_membership(|membership| membership.shadow_round = true));
    share_a_poll(first, second, 30);
}

#[test]
fn a_handle_is_used_by_several_threads() {
    let (handle, _) = builder(Transport::Internode).start().unwrap();
    let callers: Vec<_> = (0..4)
        .map(|number| {
            let handle = handle.clone();
            thread::spawn(move || {
                for round in 0..50 {
                    let value = format!("{number} {round}");
                    let version = handle.set_state(key(number), value.clone()).wait().unwrap();
                    let stored = handle.value(handle.local_endpoint(), key(number)).wait();
                    assert_eq!(stored, Ok(Some((value, version))));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    assert_eq!(handle.shutdown().wait(), Ok(()));
    assert_eq!(handle.stats().wait(), Err(Stopped));
}

#[test]
fn a_taken_port_is_told() {
    for transport in TRANSPORTS {
        let (handle, _) = builder(transport).start().unwrap();
        let address = handle.listen_address();
        let again = builder(transport).listen(address).start();
        assert!(matches!(again, Err(StartError::Bind { address: taken, .. }) if taken == address));
    }
}

#[test]
fn without_handles_the_loop_ends_and_the_port_is_free() {
    for transport in TRANSPORTS {
        let (event_loop, handle, _) = EventLoop::new(builder(transport)).unwrap();
        let address = handle.listen_address();
        let thread = thread::spawn(|| event_loop.run());
        drop(handle);
        join(thread).unwrap();
        assert_is_free(address, transport);

        let (handle, _) = builder(transport).start().unwrap();
        let address = handle.listen_address();
        let stopped = handle.stopped();
        drop(handle);
        stopped.wait();
        assert_is_free(address, transport);
    }
}

#[test]
fn a_driver_that_has_stopped_holds_nothing() {
    for transport in TRANSPORTS {
        let (mut program, handle) = Program::new(builder(transport));
        let address = handle.listen_address();
        let shutdown = handle.shutdown();
        let began = Instant::now();
        while !program.driver.is_stopped() {
            assert!(began.elapsed() < LONG);
            program.step(None);
        }
        assert_eq!(shutdown.wait(), Ok(()));
        assert_is_free(address, transport);
        assert_eq!(program.driver.turn(), None);
    }
}

#[test]
fn a_driver_that_is_dropped_leaves_nobody_waiting() {
    let (program, handle) = Program::new(builder(Transport::Internode));
    let stats = handle.stats();
    drop(program);
    assert_eq!(stats.wait(), Err(Stopped));
    assert_is_free(handle.listen_address(), Transport::Internode);
}

#[test]
fn packets_come_in_a_bounded_number_each_turn() {
    let (mut program, handle) = Program::new(builder(Transport::Datagram).interval(LONG));
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for _ in 0..40 {
        stranger.send_to(b"nonsense", handle.listen_address()).unwrap();
    }
    let packets = |program: &mut Program| {
        let stats = handle.stats();
        let wait = program.driver.turn();
        let stats = stats.wait().unwrap();
        (wait == Some(Duration::ZERO), stats.packets_received)
    };
    assert_eq!(packets(&mut program).1, 0, "the poll has reported nothing yet");
    program.step(None);
    takes_in_a_bounded_number_each_turn(|| packets(&mut program));
}

#[test]
fn connections_come_in_a_bounded_number_each_turn() {
    let (mut program, handle) = Program::new(builder(Transport::Internode).interval(LONG));
    let strangers: Vec<_> = (0..40).map(|_| TcpStream::connect(handle.listen_address()).unwrap()).collect();
    let connections = |program: &mut Program| {
        let stats = handle.stats();
        let wait = program.driver.turn();
        let stats = stats.wait().unwrap();
        (wait == Some(Duration::ZERO), stats.connections + stats.connections_refused)
    };
    program.step(None);
    takes_in_a_bounded_number_each_turn(|| connections(&mut program));
    drop(strangers);
}

/// Asserts what each turn takes in of the 40 that came: 16 at the most, fewer on a machine so slow that the turn's time is over
/// before, and all of them in the end. `turn` takes one, and tells whether there is more to do at once and how many came so far.
fn takes_in_a_bounded_number_each_turn(mut turn: impl FnMut() -> (bool, u64)) {
    let (mut seen, began) = (0, Instant::now());
    while seen < 40 {
        assert!(began.elapsed() < LONG, "{seen} of 40 came");
        // What was asked is answered before more is taken in, so a turn tells what the one before it took.
        let (is_more, now) = turn();
        assert!(is_more || now + 16 >= 40, "{now} of 40 came, and the driver would wait");
        assert!((seen..=seen + 16).contains(&now), "{now} after {seen}");
        seen = now;
    }
    assert_eq!(turn().1, 40, "nothing comes twice");
}

#[test]
fn strangers_do_no_harm() {
    for transport in TRANSPORTS {
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let gone = silent.local_addr().unwrap();
        // What is sent there now is answered by the system with an error, and so is a dial.
        drop(silent);
        let (handle, _) = builder(transport).seed(gone).start().unwrap();
        let address = handle.listen_address();
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for len in 0..100 {
            stranger.send_to(&vec![0xa5; len], address).unwrap();
        }
        if transport == Transport::Internode {
            for len in 0..100 {
                let mut stranger = TcpStream::connect(address).unwrap();
                // It may be closed before all is written.
                let _ = stranger.write_all(&vec![0xa5; len * 10_000]);
            }
        }
        let rounds = handle.stats().wait().unwrap().rounds;
        wait_for_rounds(&handle, rounds + 3);
    }
}

#[test]
fn a_raised_generation_is_stored_before_the_node_goes_on() {
    let (stored, storing) = mpsc::channel();
    let started = builder(Transport::Internode).persist_generation(move |generation| {
        stored.send(generation).unwrap();
        Err(std::io::Error::other("the disk is full, which is survived"))
    });
    let (handle, mut events) = started.generation(Generation::new(7)).start().unwrap();
    handle.disable().wait().unwrap();
    handle.enable().wait().unwrap();
    let generation = handle.generation().wait().unwrap();
    assert!(generation > Generation::new(7));
    until(&mut events, |event| matches!(event, Event::GenerationRaised { .. }));
    assert_eq!(storing.try_recv(), Ok(generation));
    wait_for_rounds(&handle, handle.stats().wait().unwrap().rounds + 1);
}

/// A program with a poll of its own.
struct Program {
    poll: Poll,
    events: mio::Events,
    waker: std::task::Waker,
    driver: Driver,
}

impl Program {
    const WAKER: Token = Token(3);
    const FIRST: Token = Token(10);
    const END: Token = Token(1_000);

    fn new(builder: Builder) -> (Self, Handle) {
        Self::with(builder, Self::FIRST..Self::END)
    }

    fn with(builder: Builder, tokens: std::ops::Range<Token>) -> (Self, Handle) {
        let poll = Poll::new().expect("there are file descriptors");
        let waker = gossip_mio::waker(Arc::new(
            mio::Waker::new(poll.registry(), Self::WAKER).expect("it is the only one"),
        ));
        let (driver, handle, _) =
            Driver::new(builder, poll.registry(), tokens, &waker).expect("the port is free");
        (Self { poll, events: mio::Events::with_capacity(16), waker, driver }, handle)
    }

    fn step(&mut self, wait: Option<Duration>) {
        self.step_beside(wait, |_| false);
    }

    /// A turn of the loop, in which others may have their part.
    fn step_beside(
        &mut self,
        others_wait: Option<Duration>,
        mut is_others: impl FnMut(&mio::event::Event) -> bool,
    ) {
        let wait = self.driver.turn().into_iter().chain(others_wait).min();
        if self.driver.is_stopped() && wait.is_none() {
            return;
        }
        self.poll.poll(&mut self.events, wait).expect("nothing interrupts it");
        for event in &self.events {
            let is_known = is_others(event) || self.driver.on_event(event) || event.token() == Self::WAKER;
            assert!(is_known);
        }
    }
}

fn builder(transport: Transport) -> Builder {
    // No node is convicted, however busy the machine.
    Builder::new("a")
        .transport(transport)
        .listen((Ipv4Addr::LOCALHOST, 0).into())
        .interval(Duration::from_millis(20))
        .detector(Detector { phi_convict_threshold: 1_000.0, ..Detector::default() })
}

fn key(number: i32) -> ApplicationState {
    ApplicationState::new(1_000 + number)
}

fn meet_and_part(transport: Transport, start: impl Fn(Builder) -> Handle) {
    // A shutdown is announced for so long, on a busy machine too.
    let builder = || {
        let announced = Duration::from_secs(2);
        builder(transport).tune(move |config| {
            config.change_membership(|membership| membership.shutdown_announce = Some(announced))
        })
    };
    let first = start(builder());
    let mut events = first.subscribe();
    let second = start(builder().seed(first.listen_address()));
    let mut events_of_second = second.subscribe();
    let other = second.local_endpoint();
    until(&mut events, |event| matches!(event, Event::Up { endpoint, .. } if endpoint == other));
    // It announces its stop only to those that it knows as live.
    if !is_live(&second, &first) {
        until(&mut events_of_second, |event| matches!(event, Event::Up { .. }));
    }
    second.shutdown().wait().expect("it runs");
    assert_is_free(second.listen_address(), transport);
    until(
        &mut events,
        |event| matches!(event, Event::Down { endpoint, cause: DownCause::Shutdown, .. } if endpoint == other),
    );
}

fn is_live(handle: &Handle, other: &Handle) -> bool {
    let endpoints = handle.endpoints().wait().expect("it runs");
    endpoints.iter().any(|info| info.endpoint == other.local_endpoint() && info.standing == Standing::Live)
}

/// Drives two nodes on one thread until each is live to the other and both together have learned so many values of the tests'
/// own, and then until they have stopped.
fn share_a_poll(first: Builder, second: Builder, values: usize) {
    let (mut program, first) = Program::new(first);
    let second = second.seed(first.listen_address());
    let (mut driver, second, _) =
        Driver::new(second, program.poll.registry(), Program::END..=Token(2_000), &program.waker)
            .expect("the port is free");
    let mut subscribed =
        [(first.local_endpoint(), first.subscribe()), (second.local_endpoint(), second.subscribe())];
    let (mut handles, mut live, mut states) = (Some([first, second]), BTreeSet::new(), BTreeSet::new());
    let began = Instant::now();
    while !program.driver.is_stopped() || !driver.is_stopped() {
        assert!(began.elapsed() < LONG);
        let wait = driver.turn();
        program.step_beside(wait, |event| {
            // Each takes its own only, whichever is asked first.
            let is_seconds = driver.on_event(event);
            assert_eq!(is_seconds, event.token() >= Program::END, "{event:?}");
            is_seconds
        });
        for (local, events) in &mut subscribed {
            while let Some(Ok(event)) = events.try_recv() {
                match event {
                    Event::Up { endpoint, .. } => {
                        live.insert(endpoint);
                    }
                    Event::StateChanged { endpoint, key, .. }
                        if endpoint != *local && key >= ApplicationState::FIRST_CUSTOM =>
                    {
                        states.insert((endpoint, key));
                    }
                    _ => {}
                }
            }
        }
        if live.len() == 2 && states.len() == values {
            handles = None;
        }
    }
    assert!(handles.is_none(), "they are stopped by nothing else");
}

fn until(events: &mut Events, is_it: impl Fn(Event) -> bool) {
    while !is_it(events.wait_timeout(LONG).expect("something happens").expect("it runs")) {}
}

fn wait_for_rounds(handle: &Handle, rounds: u64) {
    let began = Instant::now();
    while handle.stats().wait().expect("it runs").rounds < rounds {
        assert!(began.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
}

fn assert_is_free(address: SocketAddr, transport: Transport) {
    match transport {
        Transport::Datagram => drop(UdpSocket::bind(address).expect("it is free")),
        _ => drop(TcpListener::bind(address).expect("it is free")),
    }
}

fn join<T>(thread: JoinHandle<T>) -> T {
    let began = Instant::now();
    while !thread.is_finished() {
        assert!(began.elapsed() < LONG);
        thread::sleep(Duration::from_millis(5));
    }
    thread.join().expect("it does not panic")
}
