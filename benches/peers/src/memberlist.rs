//! `memberlist-proto`: the codec of the push/pull message, in which two members of memberlist exchange everything. What memberlist does
//! with that message is private.

use std::hint::black_box;
use std::net::SocketAddr;

use gossip_benches::messages::peer;
use memberlist_proto::{Data, DataRef, PushNodeState, PushPull, State};

use crate::{Subject, record, time};

type Message = PushPull<String, SocketAddr>;
type MessageRef<'a> = <Message as Data>::Ref<'a>;

/// The states of so many members, read into values of their own, and written.
pub fn subjects(known: u32) -> Vec<Subject<'static>> {
    let states = (0..known).map(|n| {
        let address = SocketAddr::new(peer(n).ip(), peer(n).port());
        PushNodeState::new(100, format!("node-{n:05}"), address, State::Alive)
    });
    let message = Message::new(false, states);
    let bytes = message.encode_to_vec().expect("it can be written");
    let runs = (16_000 / known).max(1);
    let items = u64::from(known * runs);
    vec![
        Subject {
            step: record::ACK2,
            name: "memberlist, decoded and not applied".into(),
            items,
            run: Box::new(move || {
                time(|| {
                    for _ in 0..runs {
                        let (_, read) = <MessageRef<'_> as DataRef<'_, Message>>::decode(black_box(&bytes))
                            .expect("it was just written");
                        black_box(Message::from_ref(read).expect("it was just written"));
                    }
                })
            }),
        },
        Subject {
            step: record::ROUND,
            name: "memberlist, push/pull encoded".into(),
            items,
            run: Box::new(move || {
                time(|| {
                    for _ in 0..runs {
                        _ = black_box(black_box(&message).encode_to_vec());
                    }
                })
            }),
        },
    ]
}
