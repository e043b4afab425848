//! foca: a gossip message with an update for each member, with what is known already and with a newer incarnation of each.

use std::cell::RefCell;
use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::Duration;

use foca::{
    Codec, Config, Foca, Header, Member, Message, NoCustomBroadcast, Notification, PostcardCodec, Runtime,
    State, Timer,
};
use gossip_benches::messages::peer;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{Subject, record, time};

type Node = Foca<SocketAddrV4, PostcardCodec, StdRng, NoCustomBroadcast>;

/// A runtime for foca that sends no messages and starts no timers.
struct Nothing;

impl Runtime<SocketAddrV4> for Nothing {
    fn notify(&mut self, _: Notification<'_, SocketAddrV4>) {}
    fn send_to(&mut self, _: SocketAddrV4, _: &[u8]) {}
    fn submit_after(&mut self, _: Timer<SocketAddrV4>, _: Duration) {}
}

fn address(n: u32) -> SocketAddrV4 {
    match SocketAddr::new(peer(n).ip(), peer(n).port()) {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => unreachable!("the peers have IPv4 addresses"),
    }
}

const LOCAL: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 7000);

/// A message of the first member with an update for each.
fn message(known: u32, incarnation: u16) -> Vec<u8> {
    let mut codec = PostcardCodec;
    let mut bytes = Vec::new();
    let header =
        Header { src: address(0), src_incarnation: incarnation, dst: LOCAL, message: Message::Gossip };
    codec.encode_header(&header, &mut bytes).expect("it fits");
    bytes.extend(u16::try_from(known).expect("a list that fits a message").to_be_bytes());
    for n in 0..known {
        codec
            .encode_member(&Member::new(address(n), incarnation, State::Alive), &mut bytes)
            .expect("it fits");
    }
    bytes
}

/// Both kinds of messages, for so many members.
pub fn subjects(known: u32) -> Vec<Subject<'static>> {
    let config = Config { max_packet_size: NonZeroUsize::new(1 << 17).expect("not 0"), ..Config::simple() };
    let mut node: Node = Foca::new(LOCAL, config, StdRng::seed_from_u64(1), PostcardCodec);
    node.apply_many((0..known).map(|n| Member::alive(address(n))), false, Nothing)
        .expect("members are taken in");
    let node = Rc::new(RefCell::new(node));
    let runs = u16::try_from((4_000 / known).max(1)).expect("they are few");
    let items = u64::from(known) * u64::from(runs);
    let incarnation = Rc::new(RefCell::new(0_u16));
    let run = move |name: &str, step_up: u16| {
        let (node, incarnation) = (Rc::clone(&node), Rc::clone(&incarnation));
        Subject {
            step: record::ACK2,
            name: name.into(),
            items,
            run: Box::new(move || {
                let mut newest = incarnation.borrow_mut();
                let messages: Vec<Vec<u8>> = (0..runs)
                    .map(|_| {
                        *newest += step_up;
                        message(known, *newest)
                    })
                    .collect();
                let mut node = node.borrow_mut();
                let took = time(|| {
                    for message in &messages {
                        node.handle_data(message, Nothing).expect("the message is sound");
                    }
                });
                let have_newest = node.iter_members().all(|member| member.incarnation() == *newest);
                assert!(have_newest, "foca took every update in");
                took
            }),
        }
    };
    vec![run("foca, known updates", 0), run("foca, newer updates", 1)]
}
