//! Events and views as streams.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use gossip_adapter::{
    ApplicationState, Builder, Event, EventsError, Prepared, Runtime, StartError, Timestamp,
};
use gossip_core::{Node, Output};

enum ByHand {}

impl Runtime for ByHand {
    type Start<M: 'static> = Result<Prepared<M>, StartError>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        let listening = builder.listen_on()?;
        builder.prepare(listening)
    }
}

#[test]
fn events_and_views_are_streams_that_end_with_the_node() {
    let Prepared { mut node, mut mailbox, handle, mut events, .. } =
        Builder::<ByHand>::new("a").start().expect("all is in its range");
    let mut run = |then: Timestamp| {
        mailbox.run(&mut node, then);
        let mut buffer = vec![0; Node::MIN_BUFFER];
        loop {
            match node.poll(&mut buffer) {
                Output::Event(event) => mailbox.publish(&node, event),
                Output::Timeout(_) => return mailbox.settle(&node),
                _ => {}
            }
        }
    };
    let view = handle.view();
    run(Timestamp::ZERO);
    let mut view = view.wait().expect("it runs");
    assert!(matches!(next(&mut events), Poll::Pending));
    assert!(next(&mut view).gave(|cluster| cluster.len() == 1), "what is known at first");
    assert!(matches!(next(&mut view), Poll::Pending));

    drop(handle.set_state(ApplicationState::DC, "dc1"));
    run(Timestamp::ZERO);
    let changed = |event: &Result<Event, EventsError>| matches!(event, Ok(Event::StateChanged { .. }));
    assert!(next(&mut events).gave(changed));
    let has_it = |cluster: &std::sync::Arc<gossip_adapter::Snapshot>| {
        cluster.get(handle.local_endpoint()).and_then(|local| local.text(ApplicationState::DC)) == Some("dc1")
    };
    assert!(next(&mut view).gave(has_it));

    drop(handle.abandon());
    run(Timestamp::ZERO);
    drop((mailbox, node));
    let mut last = None;
    while let Poll::Ready(Some(event)) = next(&mut events) {
        last = Some(event);
    }
    assert_eq!(last, Some(Ok(Event::Stopped)));
    assert!(matches!(next(&mut events), Poll::Ready(None)), "and again");
    while let Poll::Ready(Some(_)) = next(&mut view) {}
    assert!(matches!(next(&mut view), Poll::Ready(None)));
}

fn next<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

trait Gave<T> {
    fn gave(self, is_it: impl FnOnce(&T) -> bool) -> bool;
}

impl<T> Gave<T> for Poll<Option<T>> {
    fn gave(self, is_it: impl FnOnce(&T) -> bool) -> bool {
        matches!(self, Self::Ready(Some(item)) if is_it(&item))
    }
}
