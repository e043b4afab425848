//! What is to happen, whatever drives the nodes.

mod cassandra_6;
mod ends;
mod events;
mod flood;
mod garbage;
mod membership;
mod partition;
mod peers;
mod secured;
mod values;

pub(crate) use cassandra_6::{
    a_guest_of_6_0_joins_by_the_identifier, a_wrong_identifier_is_refused, like_6_0,
};
pub(crate) use ends::{
    kill, last_handle_dropped, port_taken, restart, shutdown_while_seeds_are_silent, stop,
};
pub(crate) use events::slow_subscriber;
pub(crate) use flood::a_flooded_node_keeps_its_rounds;
pub(crate) use garbage::{garbage_packets, garbage_streams, stalled_handshake};
pub(crate) use membership::converge;
pub(crate) use partition::partition;
pub(crate) use peers::{silent_seed, slow_peers};
pub(crate) use secured::{everything_is_under_tls, half_of_the_nodes_take_up_tls};
pub(crate) use values::set_state;
