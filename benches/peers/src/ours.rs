//! The steps of this library, each with its baseline.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use gossip_benches::floor::walk;
use gossip_benches::messages::{DIGEST, ordinary_states, syn_head};
use gossip_benches::order::{Hash, Order};
use gossip_benches::steps::{Bench, Bodies, News, Step};
use gossip_benches::world::World;

use crate::{Subject, record, time};

/// All steps of an exchange for a table of this size. Each is followed by its baseline.
pub fn exchanges(known: u32) -> Vec<Subject<'static>> {
    let cases = [
        (Step::SynToAck, News::Nothing, record::SYN_NOTHING),
        (Step::SynToAck, News::TwoThirds, record::SYN_TWO_THIRDS),
        (Step::SynToAck, News::Values, record::SYN_VALUES),
        (Step::AckToAck2, News::TwoThirds, record::ACK),
        (Step::Ack2, News::TwoThirds, record::ACK2),
    ];
    let orders = [Order::Own, Order::Shuffled, Order::Cassandra(Hash::V40)];
    let mut subjects = Vec::new();
    for (step, news, picture) in cases {
        for order in orders.into_iter().filter(|order| step.orders().contains(order)) {
            // What is applied in one case must not change what is new in another.
            let bench = Rc::new(RefCell::new(Bench::new(known)));
            let mut work = bench.borrow_mut().work(step, news, order);
            work.shorten(16_000);
            let items = work.items();
            let bodies: Rc<RefCell<Option<Bodies>>> = Rc::default();
            let (run_bench, run_bodies) = (Rc::clone(&bench), Rc::clone(&bodies));
            subjects.push(Subject {
                step: picture,
                name: format!("gossip, {}", order.name()),
                items,
                run: Box::new(move || {
                    let mut bodies = work.prepare();
                    let took = time(|| run_bench.borrow_mut().run(step, &mut bodies));
                    *run_bodies.borrow_mut() = Some(bodies);
                    took
                }),
            });
            let floor_bench = Rc::clone(&bench);
            subjects.push(Subject {
                step: picture,
                name: format!("floor, {}", order.name()),
                items,
                run: Box::new(move || {
                    let bodies = bodies.borrow();
                    let bodies = bodies.as_ref().expect("the step ran before its floor");
                    time(|| _ = black_box(floor_bench.borrow().run_floor(order, bodies)))
                }),
            });
        }
    }
    subjects
}

/// What a node does once in an interval, for a table of this size.
pub fn rounds(known: u32) -> Vec<Subject<'static>> {
    let world = Rc::new(RefCell::new(World::new(known, 100, ordinary_states)));
    let digests = {
        let mut world = world.borrow_mut();
        world.round();
        let size = world.drain();
        world.written(size)[syn_head()..].to_vec()
    };
    let items = (digests.len() / DIGEST) as u64;
    let (swept, own) = (Rc::clone(&world), world);
    vec![
        Subject {
            step: record::ROUND,
            name: "gossip, a round without its SYN".into(),
            items: u64::from(known) + 1,
            run: Box::new(move || {
                let mut world = swept.borrow_mut();
                world.drain();
                time(|| world.round())
            }),
        },
        Subject {
            step: record::ROUND,
            name: "gossip, our own SYN".into(),
            items,
            run: Box::new(move || {
                let mut world = own.borrow_mut();
                world.drain();
                world.round();
                time(|| _ = black_box(world.drain()))
            }),
        },
        Subject {
            step: record::ROUND,
            name: "floor, a walk over the SYN".into(),
            items,
            run: Box::new(move || time(|| _ = black_box(walk::<DIGEST>(black_box(&digests))))),
        },
    ]
}
