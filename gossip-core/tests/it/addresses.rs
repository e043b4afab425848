//! What one address may take, and which addresses may connect at all.

use core::net::IpAddr;

use gossip_core::{AddressRefusal, ConfigBuilder, ConnectionId, Event, Input, Limits, Network, Standing};

use crate::hostile_node::{Played, Wanted, dialled, frame_of, initiate};
use crate::support::{State, ack2, builder, digest, endpoint, heartbeat, syn};

const A: &str = "10.0.0.1:7000";
const B: &str = "10.0.0.2:7000";

fn limited(change: impl FnOnce(&mut Limits)) -> Played {
    let mut limits = Limits::default();
    change(&mut limits);
    Played::new(builder(A, 100).limits(limits).build().unwrap())
}

fn source(n: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, n]))
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

impl Played {
    /// Somebody at an address dials, says who it is, and sends this.
    fn accept_at(&mut self, source: Option<IpAddr>, from: &str, bytes: &[u8]) -> Option<ConnectionId> {
        let connection = self.node.accept_from(self.now, source)?;
        self.bytes(connection, &[initiate(from), bytes.to_vec()].concat());
        Some(connection)
    }

    /// A host behind an address tells of endpoints that the node does not know yet, and is asked for them.
    fn hear_of(&mut self, (of, host): (u8, u8), numbers: core::ops::Range<u32>) {
        let from = format!("10.0.0.{host}:7000");
        let name = |n: u32| format!("172.16.{}.{}:7000", n / 250, n % 250 + 1);
        let names: Vec<String> = numbers.map(name).collect();
        let digests: Vec<_> = names.iter().map(|name| digest(name, 1, 1)).collect();
        let connection = self.accept_at(source(of), &from, &frame_of(&syn(&digests))).unwrap();
        // The requests go over a connection of the node's own.
        for wanted in self.wanted() {
            if let Wanted::Connect(dial, to) = wanted
                && to == endpoint(&from)
            {
                self.establish(dial);
            }
        }
        self.wanted();
        let states: Vec<_> =
            names.iter().map(|name| (name.as_str(), State::new(heartbeat(1, 1), &[]))).collect();
        self.bytes(connection, &frame_of(&ack2(&states)));
    }

    /// Time passes, so that the node looks at its connections; what it wants to close.
    fn closed(&mut self, millis: u64) -> Vec<ConnectionId> {
        self.pass(millis);
        self.input(Input::Timeout);
        let closes = |wanted| match wanted {
            Wanted::Close(id) => Some(id),
            _ => None,
        };
        self.wanted().into_iter().filter_map(closes).collect()
    }

    /// What was told of refused addresses.
    fn refused(&mut self) -> Vec<Event> {
        self.closed(1_000);
        let is_it = |event: &Event| matches!(event, Event::AddressRefused { .. });
        core::mem::take(&mut self.events).into_iter().filter(is_it).collect()
    }
}

#[test]
fn an_address_has_no_more_connections_than_it_may() {
    let mut a = limited(|limits| limits.max_address_connections = 3);
    let mut of_one: Vec<_> = (0..5).map(|_| a.accept_at(source(1), B, &[])).collect();
    assert_eq!(of_one.iter().flatten().count(), 3);
    assert!(a.accept_at(source(2), "10.0.0.3:7000", &[]).is_some(), "another address");
    assert!(a.accept_at(None, "10.0.0.4:7000", &[]).is_some(), "one that the driver does not know");
    assert_eq!((a.node.stats().connections_limited, a.node.stats().connections_refused), (2, 0));
    let address = source(1).unwrap();
    let reason = AddressRefusal::Connections;
    assert_eq!(a.refused(), [Event::AddressRefused { address, reason, count: 2, others: 0 }]);
    // One of them ends, and another takes its place.
    a.input(Input::Closed { connection: of_one.remove(0).unwrap() });
    assert!(a.accept_at(source(1), B, &[]).is_some());
    assert!(a.accept_at(source(1), B, &[]).is_none());
    // Addresses of IPv6 in one network are one.
    let v6 = |n: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 0, n, 0, 0, 1]));
    assert_eq!((0..9).filter_map(|n| a.accept_at(v6(n), B, &[])).count(), 3);
}

#[test]
fn an_address_opens_no_more_connections_a_second_than_it_may() {
    let mut a = limited(|limits| limits.max_address_handshakes = 10);
    let open = |a: &mut Played, n: u8, times: u64| {
        let mut count = 0;
        for _ in 0..times {
            let Some(connection) = a.accept_at(source(n), B, &[]) else { continue };
            a.input(Input::Closed { connection });
            count += 1;
        }
        count
    };
    assert_eq!(open(&mut a, 1, 500), 160, "those of sixteen seconds at once");
    assert_eq!(open(&mut a, 2, 100), 100);
    a.pass(1_000);
    assert_eq!(open(&mut a, 1, 100), 10);
    assert_eq!(a.node.stats().connections_limited, 340 + 90);
}

/// Nothing that one address sends costs more than it may: it loses the connection over which it sends too much.
#[test]
fn an_address_sends_no_more_than_it_may() {
    let question = frame_of(&syn(&[digest(B, 1, 1)]));
    let mut a = limited(|limits| limits.max_address_messages = 10);
    let flooder = a.accept_at(source(1), B, &question).unwrap();
    let other = a.accept_at(source(2), "10.0.0.3:7000", &question).unwrap();
    for _ in 0..158 {
        a.bytes(flooder, &question);
    }
    assert_eq!(a.closed(0), []);
    a.bytes(flooder, &question);
    assert_eq!(a.closed(0), [flooder]);
    assert_eq!((a.node.stats().messages_limited, a.node.stats().connections_failed), (1, 1));
    // What comes at once over another connection of the address is too much as well.
    a.accept_at(source(1), B, &question);
    assert_eq!(a.closed(0).len(), 1);
    a.bytes(other, &question);
    assert_eq!(a.closed(0), []);
    a.pass(5_000);
    a.accept_at(source(1), B, &question);
    assert_eq!(a.closed(0), [], "some time later it is heard again");

    let mut a = limited(|limits| limits.max_address_bytes = 1 << 16);
    let flooder = a.accept_at(source(1), B, &[]).unwrap();
    let many = question.repeat((1 << 20) / question.len() / 2 + 1);
    a.bytes(flooder, &many);
    assert_eq!(a.closed(0), []);
    a.bytes(flooder, &many);
    assert_eq!(a.closed(0), [flooder]);
    assert_eq!((a.node.stats().bytes_limited, a.node.stats().messages_limited), (1, 0));
}

/// The endpoints that it tells of are learned later, or of others.
#[test]
fn an_address_tells_of_no_more_new_endpoints_a_minute_than_it_may() {
    let mut a = limited(|limits| limits.max_address_endpoints = 10);
    a.hear_of((1, 11), 0..100);
    assert_eq!((a.node.stats().endpoints_learned, a.node.stats().endpoints_limited), (40, 60));
    a.hear_of((2, 12), 100..130);
    assert_eq!(a.node.stats().endpoints_learned, 70, "another address");
    a.pass(60_000);
    a.hear_of((1, 13), 200..300);
    assert_eq!(a.node.stats().endpoints_learned, 80, "a minute later there are some more");
    let told = a.refused();
    assert!(
        matches!(told[..], [Event::AddressRefused { reason: AddressRefusal::Endpoints, .. }]),
        "{told:?}"
    );
}

/// Who claims endpoints does not decide how many hosts this node dials.
#[test]
fn endpoints_that_were_never_live_are_dialled_at_a_limited_rate() {
    let mut a = limited(|limits| limits.max_stranger_dials = 2);
    a.hear_of((1, 2), 0..200);
    // One led to the peer itself, which is not proven either.
    let mut dials = 1;
    let mut refuse_all = |a: &mut Played, millis: u64| {
        a.pass(millis);
        a.input(Input::Timeout);
        loop {
            let dial = |wanted: Wanted| match wanted {
                Wanted::Connect(connection, _) => Some(connection),
                _ => None,
            };
            let connections: Vec<_> = a.wanted().into_iter().filter_map(dial).collect();
            if connections.is_empty() {
                return dials;
            }
            dials += connections.len();
            // Nothing listens there, and each answers so at once.
            connections.into_iter().for_each(|connection| a.input(Input::Failed { connection }));
        }
    };
    assert_eq!(refuse_all(&mut a, 0), 32, "those of sixteen seconds at once");
    for _ in 0..60 {
        refuse_all(&mut a, 1_000);
    }
    let dials = refuse_all(&mut a, 0);
    assert!((33..=32 + 2 * 60).contains(&dials), "{dials}");
    assert!(a.node.stats().dials_limited > 0);
}

fn allowing(networks: &[&str], change: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Played {
    let builder = networks.iter().fold(builder(A, 100), |builder, text| builder.allow(network(text)));
    Played::new(change(builder).build().unwrap())
}

#[test]
fn only_allowed_addresses_connect_and_are_dialled() {
    let question = frame_of(&syn(&[digest(B, 1, 1)]));
    let mut a = allowing(&["10.0.0.0/24", "192.0.2.7"], |builder| builder.seed(endpoint("10.9.9.9:7000")));
    for (address, is_allowed) in [
        ("10.0.0.2", true),
        ("::ffff:10.0.0.2", true),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("::1", false),
    ] {
        let accepted = a.accept_at(Some(address.parse().unwrap()), B, &question);
        assert_eq!(accepted.is_some(), is_allowed, "{address}");
    }
    assert!(a.accept_at(None, B, &question).is_none(), "nobody knows which it is");
    assert_eq!(dialled(&a.wanted()), [endpoint(B)]);
    // An allowed peer names one that is not, and so does the configuration.
    let elsewhere = "10.0.1.1:7000";
    let told = ack2(&[(elsewhere, State::new(heartbeat(1, 1), &[]))]);
    let bytes = [frame_of(&syn(&[digest(elsewhere, 1, 1)])), frame_of(&told)].concat();
    a.accept_at(source(7), "10.0.0.3:7000", &bytes).unwrap();
    let mut to = Vec::new();
    for _ in 0..30 {
        a.pass(1_000);
        a.input(Input::Timeout);
        to.extend(dialled(&a.wanted()));
    }
    assert!(!to.is_empty() && to.iter().all(|to| to.to_string().starts_with("10.0.0.")), "{to:?}");
    assert_ne!(a.node.gossiper().standing(endpoint(elsewhere)), Some(Standing::Live));
    assert!(a.node.stats().not_allowed > 3);
    let told = a.refused();
    assert!(
        matches!(told[..], [Event::AddressRefused { reason: AddressRefusal::NotAllowed, .. }]),
        "{told:?}"
    );
}

#[test]
fn a_new_list_of_allowed_addresses_closes_the_connections_of_others() {
    let mut a = allowing(&[], |builder| builder);
    let stays = a.accept_at(source(1), B, &[]).unwrap();
    let goes = a.accept_at(source(2), "10.0.0.3:7000", &frame_of(&syn(&[digest("10.0.0.3:7000", 1, 1)])));
    let wanted = a.wanted();
    let Some(Wanted::Connect(dial, _)) = wanted.last().cloned() else { panic!("{wanted:?}") };
    a.node.set_allowed(a.now, &[network("192.0.2.1"), network("10.0.0.2")]);
    let mut closed = a.closed(0);
    closed.sort();
    let mut expected = vec![goes.unwrap(), dial];
    expected.sort();
    assert_eq!(closed, expected);
    assert!(!closed.contains(&stays));
    a.node.set_allowed(a.now, &[]);
    assert!(a.accept_at(source(2), "10.0.0.3:7000", &[]).is_some());
}

/// The report says who, and how often, and comes once a minute however many there are.
#[test]
fn refused_addresses_are_told_of_once_a_minute() {
    let mut a = allowing(&["10.0.0.0/24"], |builder| builder);
    let mut told = Vec::new();
    for second in 0..240 {
        for n in 1..=5 {
            (0..n).for_each(|_| assert!(a.node.accept_from(a.now, source(n)).is_none()));
        }
        told.extend(a.refused());
        assert_eq!(told.len(), second / 60 + 1);
    }
    let address = source(5).unwrap();
    let reason = AddressRefusal::NotAllowed;
    assert_eq!(told[0], Event::AddressRefused { address, reason, count: 5, others: 10 });
    assert_eq!(told[1], Event::AddressRefused { address, reason, count: 300, others: 600 });
}

/// A peer behind a slow link needs time for its handshake, and until it has answered an echo it is a stranger.
#[test]
fn connections_of_one_address_do_not_displace_those_of_others() {
    let limits = Limits { max_connections: 64, max_handshakes: 16, ..Limits::default() };
    for flooder in [source(1), Some("2001:db8::1".parse().unwrap()), None] {
        for says_a_name in [false, true] {
            let mut a = Played::new(builder(A, 100).limits(limits).build().unwrap());
            let mut closed = Vec::new();
            let mut number = 0;
            let mut flood = |a: &mut Played, millis: u64| {
                for _ in 0..millis / 10 {
                    for _ in 0..5 {
                        let connection = a.node.accept_from(a.now, flooder).expect("an older one gives way");
                        if says_a_name {
                            a.bytes(
                                connection,
                                &initiate(&format!("172.16.{}.{}:7000", number / 250, number % 250)),
                            );
                        }
                        number += 1;
                    }
                    let closes = |wanted| match wanted {
                        Wanted::Close(id) => Some(id),
                        _ => None,
                    };
                    closed.extend(a.wanted().into_iter().filter_map(closes));
                    a.pass(10);
                }
                closed.clone()
            };
            flood(&mut a, 1_000);
            let slow = a.node.accept_from(a.now, source(2)).expect("a connection of the flooder gives way");
            assert!(!flood(&mut a, 500).contains(&slow), "before its handshake");
            a.bytes(slow, &initiate(B));
            let closed = flood(&mut a, 2_000);
            assert!(!closed.contains(&slow), "before it was proven");
            assert!(closed.len() > 100, "the flood goes on at its own cost");
        }
    }
}
