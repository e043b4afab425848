//! Nodes that behave like those of Cassandra 6.0, and guests among them.

use gossip_adapter::{ApplicationState, ConfigBuilder, Event, MetadataId, MetadataOrigin};
use gossip_core::{CASSANDRA_PARTITIONER, encode_tokens};

use crate::lab::Lab;
use crate::member::{endpoints, eventually};

const ID: MetadataId = MetadataId::new(-1_062_724_510);

/// A member of a cluster of 6.0 whose metadata service is initialised.
pub(crate) fn like_6_0(config: ConfigBuilder) -> ConfigBuilder {
    config
        .partitioner(CASSANDRA_PARTITIONER)
        .state(ApplicationState::NET_VERSION, "14")
        .state(ApplicationState::RELEASE_VERSION, "6.0.0")
        .state(ApplicationState::TOKENS, &encode_tokens(&[7]))
        .metadata_service(ID)
}

/// A guest that is given nothing but a seed asks for the identifier, joins, and sends no SYN without it. It ends in silence.
pub(crate) fn a_guest_of_6_0_joins_by_the_identifier(lab: &Lab) {
    let mut members = lab.cluster(2);
    let everybody = endpoints(&members);
    let guest = lab.start_guest(lab.plain_spec().seed(members[0].listen_address()));
    for member in &members {
        eventually((member, "finds live", &guest), || member.finds_live(&guest));
        eventually((&guest, "finds live", member), || guest.finds_live(member));
    }
    let (id, origin) = guest.metadata_id().wait().unwrap();
    assert_eq!(id, ID);
    assert!(matches!(origin, MetadataOrigin::Answer { .. } | MetadataOrigin::Syn { .. }), "{origin:?}");
    for member in &members {
        assert_eq!(member.counters().foreign_metadata, 0, "no SYN went out without the identifier");
        let (endpoint, key) = (guest.endpoint(), ApplicationState::NET_VERSION);
        eventually(("version of", endpoint), || member.reads(endpoint, key, "14"));
        assert!(guest.reads(member.endpoint(), ApplicationState::RELEASE_VERSION, "6.0.0"));
    }
    let gone = guest.endpoint();
    guest.shutdown().wait().unwrap();
    for member in &mut members {
        // Nothing is announced: silence alone tells.
        member.wait_for_down(gone);
        assert!(member.info(gone).is_none_or(|info| info.status_text().is_none()));
        member.assert_up(&everybody);
    }
}

/// A guest that is given another identifier says so, and ends before it sends a SYN.
pub(crate) fn a_wrong_identifier_is_refused(lab: &Lab) {
    let members = lab.cluster(1);
    let given = MetadataId::new(5);
    let by = members[0].endpoint();
    let told = lab.told_by_guest(lab.plain_spec().metadata_id(given).seed(members[0].listen_address()));
    let refused = Event::MetadataIdRefused { by, given, theirs: ID };
    assert!(told.contains(&refused), "{told:#?}");
    assert_eq!(members[0].counters().foreign_metadata, 0, "no SYN went out with it");
}
