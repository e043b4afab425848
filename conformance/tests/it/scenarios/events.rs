//! Telling what happens to those who listen, and to those who do not.

use std::time::Duration;

use gossip_adapter::{ApplicationState, Event, EventsError};

use crate::lab::Lab;
use crate::member::{DEADLINE, all_live, eventually};

/// How many events wait for a subscriber.
const KEPT: usize = gossip_adapter::EVENTS;

/// A subscriber that does not read misses the first events and learns how many; neither the node nor another subscriber
/// minds.
pub(crate) fn slow_subscriber(lab: &Lab) {
    let spec = || {
        let mut spec = lab.spec();
        spec.interval = Duration::from_millis(20);
        // Many values in a row are no reason to take anybody for dead, on a slow machine either.
        spec.tune(|config| config.change_detector(|detector| detector.phi_convict_threshold = 100.0))
    };
    let author = lab.start(spec());
    let mut reader = lab.start(spec().seed(author.listen_address()));
    let mut sleeper = reader.events_from_here();
    let members = [author, reader];
    all_live(&members);
    let [author, mut reader] = members;

    let mut turn = 0;
    eventually("enough events for the sleeper to miss some", || {
        turn += 1;
        for number in 0..40 {
            author.set_state(ApplicationState::new(1_000 + number), turn.to_string()).wait().unwrap();
        }
        reader.told().len() > KEPT + 100
    });
    assert!(reader.stats().wait().is_ok());
    reader.shutdown().wait().unwrap();

    // Both get the same events: one has read all the time, the other begins now.
    let told = reader.told_to_the_end();
    assert_eq!(told.last(), Some(&Event::Stopped));
    let Some(Err(EventsError::Lagged(missed))) = sleeper.wait_timeout(DEADLINE) else {
        panic!("the sleeper has missed something")
    };
    let mut late = Vec::new();
    while let Some(Ok(event)) = sleeper.wait_timeout(DEADLINE) {
        late.push(event);
    }
    assert_eq!(sleeper.wait_timeout(DEADLINE), Some(Err(EventsError::Stopped)));
    assert_eq!(late.len(), KEPT);
    let skipped = usize::try_from(missed).unwrap();
    assert_eq!(told[told.len() - KEPT..], late);
    assert_eq!(told.len(), KEPT + skipped);
}
