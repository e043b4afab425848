//! Nodes over real sockets, from their start to their end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use gossip_smol::{
    ApplicationState, Builder, Detector, DownCause, Event, Events, EventsError, Handle, Standing, StartError,
    Stopped, Transport,
};
use smol::future::or;
use smol::{Timer, block_on, unblock};

#[test]
fn connections_let_two_nodes_meet() {
    run(two_nodes_meet_and_part(Transport::Internode));
}

#[test]
fn datagrams_let_two_nodes_meet() {
    run(two_nodes_meet_and_part(Transport::Datagram));
}

async fn two_nodes_meet_and_part(transport: Transport) {
    // A shutdown is announced for so long, on a busy machine too.
    let builder = || {
        let announced = Duration::from_secs(2);
        builder(transport).tune(move |config| {
            config.change_membership(|membership| membership.shutdown_announce = Some(announced))
        })
    };
    let (first, mut events) = builder().start().await.unwrap();
    let (second, _) = builder()
        .seed(first.listen_address())
        .state(ApplicationState::DC, "dc2")
        .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0")
        .start()
        .await
        .unwrap();
    let other = second.local_endpoint();
    until(&mut events, |event| matches!(event, Event::Up { endpoint, .. } if *endpoint == other)).await;
    let (dc, version) = first.value(other, ApplicationState::DC).await.unwrap().unwrap();
    assert_eq!(dc, "dc2");

    let newer = second.set_state(ApplicationState::DC, "dc3").await.unwrap();
    assert!(newer > version);
    let changed = Event::StateChanged { endpoint: other, key: ApplicationState::DC, version: newer };
    until(&mut events, |event| *event == changed).await;

    // It is announced to those who are known as live.
    while live(&second).await < 2 {
        Timer::after(Duration::from_millis(10)).await;
    }
    second.shutdown().await.unwrap();
    assert_eq!(second.shutdown().await, Err(Stopped));
    let down = until(&mut events, |event| matches!(event, Event::Down { .. })).await;
    assert!(
        matches!(down, Event::Down { endpoint, cause: DownCause::Shutdown, .. } if endpoint == other),
        "{down:?}"
    );
    first.shutdown().await.unwrap();
}

#[test]
fn taken_port_cannot_be_listened_on() {
    run(async {
        for transport in [Transport::Internode, Transport::Datagram] {
            let (handle, _) = builder(transport).start().await.unwrap();
            let address = handle.listen_address();
            let again = builder(transport).listen(address).start().await;
            assert!(
                matches!(&again, Err(StartError::Bind { address: taken, error })
                    if *taken == address && error.kind() == io::ErrorKind::AddrInUse),
                "{again:?}"
            );
        }
    });
}

#[test]
fn node_stops_when_its_last_handle_is_dropped() {
    run(async {
        for transport in [Transport::Internode, Transport::Datagram] {
            let (handle, mut events) = builder(transport).start().await.unwrap();
            let address = handle.listen_address();
            let (stopped, clone) = (handle.stopped(), handle.clone());
            drop(handle);
            clone.stats().await.unwrap();
            drop(clone);
            stopped.await;
            // The port is free when the wait for the end is over.
            match transport {
                Transport::Datagram => drop(UdpSocket::bind(address).unwrap()),
                _ => drop(TcpListener::bind(address).unwrap()),
            }
            until(&mut events, |event| *event == Event::Stopped).await;
            assert_eq!(events.recv().await, Err(EventsError::Stopped));
        }
    });
}

#[test]
fn packets_of_strangers_do_no_harm() {
    run(async {
        let silent = UdpSocket::bind(LOCALHOST).unwrap();
        let gone = silent.local_addr().unwrap();
        // What is sent there now is answered by the system with an error.
        drop(silent);
        let (handle, _) = builder(Transport::Datagram).seed(gone).start().await.unwrap();
        let address = handle.listen_address();
        let stranger = UdpSocket::bind(LOCALHOST).unwrap();
        for len in 0..100 {
            stranger.send_to(&vec![0xa5; len], address).unwrap();
        }
        rounds_pass(&handle).await;
        handle.shutdown().await.unwrap();
    });
}

#[test]
fn connections_of_strangers_do_no_harm() {
    run(async {
        let (handle, _) = builder(Transport::Internode).start().await.unwrap();
        let address = handle.listen_address();
        let strangers = [(); 20].map(|()| TcpStream::connect(address).unwrap());
        for mut stranger in &strangers {
            stranger.write_all(&[0xa5; 1_000]).unwrap();
        }
        rounds_pass(&handle).await;
        handle.shutdown().await.unwrap();
        TcpListener::bind(address).unwrap();
    });
}

#[test]
fn connection_that_the_node_closes_is_closed() {
    run(async {
        let silent = TcpListener::bind(LOCALHOST).unwrap();
        let start = builder(Transport::Internode).seed(silent.local_addr().unwrap());
        let start = start
            .tune(|config| config.change_timeouts(|timeouts| timeouts.handshake = Duration::from_secs(1)));
        let (handle, _) = start.start().await.unwrap();
        // What it says is not answered: the node gives up, and its wait for an answer does not keep the socket.
        let said = unblock(move || {
            let (mut stream, _) = silent.accept()?;
            let mut said = Vec::new();
            stream.read_to_end(&mut said)?;
            Ok::<_, io::Error>(said)
        });
        assert!(!said.await.unwrap().is_empty());
        handle.shutdown().await.unwrap();
    });
}

#[test]
fn raised_generation_is_stored_before_anything_more_is_sent() {
    run(async {
        let (sender, stored) = mpsc::channel();
        let start = builder(Transport::Internode).persist_generation(move |raised| {
            sender.send(raised).map_err(io::Error::other)?;
            Err(io::Error::other("as the test wants"))
        });
        let (handle, _) = start.start().await.unwrap();
        raise(&handle).await;
        assert_eq!(handle.generation().await.unwrap(), stored.try_recv().unwrap());
        raise(&handle).await;
        assert_eq!(handle.generation().await.unwrap(), stored.try_recv().unwrap());
    });
}

#[test]
fn node_goes_on_when_storing_its_generation_panics() {
    run(async {
        let start = builder(Transport::Internode).persist_generation(|_| panic!("as the test wants"));
        let (handle, _) = start.start().await.unwrap();
        raise(&handle).await;
        rounds_pass(&handle).await;
    });
}

const LOCALHOST: &str = "127.0.0.1:0";

fn builder(transport: Transport) -> Builder {
    let address: SocketAddr = LOCALHOST.parse().unwrap();
    // No node is convicted, however busy the machine.
    Builder::new("a")
        .transport(transport)
        .listen(address)
        .interval(Duration::from_millis(20))
        .detector(Detector { phi_convict_threshold: 1_000.0, ..Detector::default() })
}

fn run(test: impl Future<Output = ()>) {
    let too_late = async {
        Timer::after(Duration::from_secs(120)).await;
        panic!("the test does not end in time");
    };
    block_on(or(test, too_late));
}

/// The next event that is looked for.
async fn until(events: &mut Events, is_it: impl Fn(&Event) -> bool) -> Event {
    loop {
        let event = events.recv().await.unwrap();
        if is_it(&event) {
            return event;
        }
    }
}

/// How many the node knows as live, itself included.
async fn live(handle: &Handle) -> usize {
    let endpoints = handle.endpoints().await.unwrap();
    endpoints.iter().filter(|info| info.standing == Standing::Live).count()
}

async fn rounds_pass(handle: &Handle) {
    let rounds = handle.stats().await.unwrap().rounds;
    while handle.stats().await.unwrap().rounds < rounds + 3 {
        Timer::after(Duration::from_millis(10)).await;
    }
}

/// Has the node raise its generation, and waits until that is reported.
async fn raise(handle: &Handle) {
    let mut events = handle.subscribe();
    handle.disable().await.unwrap();
    handle.enable().await.unwrap();
    until(&mut events, |event| matches!(event, Event::GenerationRaised { .. })).await;
}
