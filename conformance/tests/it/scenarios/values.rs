//! Publishing values.

use gossip_adapter::{ApplicationState, Event, SetStateError, Transport};
use gossip_core::SetStateError as Refused;

use crate::lab::Lab;
use crate::member::{all_live, eventually};

const KEY: ApplicationState = ApplicationState::new(1_000);

/// A value reaches everybody; one that is too long is refused, and the longest that is not reaches everybody as well.
pub(crate) fn set_state(lab: &Lab) {
    let mut members = lab.cluster(3);
    let (author, readers) = members.split_first_mut().expect("there are three");
    let endpoint = author.endpoint();

    let version = author.set_state(KEY, "short").wait().unwrap();
    for reader in &mut *readers {
        reader.wait_for(
            "new value",
            |event| matches!(event, Event::StateChanged { endpoint: of, key: KEY, version: of_version } if (*of, *of_version) == (endpoint, version)),
        );
        assert_eq!(reader.value(endpoint, KEY).wait(), Ok(Some(("short".into(), version))));
    }

    let refused = author.set_state(KEY, "x".repeat(100_000)).wait();
    let Err(SetStateError::Refused(Refused::TooLong { key: KEY, length: 100_000, limit })) = refused else {
        panic!("{refused:?}")
    };
    match lab.transport {
        Transport::Datagram => assert!((1_200..1_400).contains(&limit), "{limit}"),
        _ => assert_eq!(limit, 32_767),
    }
    let refused = author.set_state(KEY, "x".repeat(limit + 1)).wait();
    assert!(matches!(refused, Err(SetStateError::Refused(_))), "{refused:?}");
    assert!(author.reads(endpoint, KEY, "short"));

    let longest = "x".repeat(limit);
    author.set_state(KEY, longest.as_str()).wait().unwrap();
    for reader in &*readers {
        eventually((reader, "has the longest value"), || reader.reads(endpoint, KEY, &longest));
    }
    all_live(&members);
}
