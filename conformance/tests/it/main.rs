//! One list of scenarios, for each adapter over each transport: `tokio_internode::converge`, and so on. An adapter is added in
//! `adapters.rs`, and gets its two modules here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adapters;
mod dead_ends;
mod lab;
mod member;
mod proxy;
mod random;
mod scenarios;
mod stream;
mod tls;

/// Makes a test of each scenario.
macro_rules! tests {
    ($adapters:expr, $transport:ident: $($scenario:ident),+ $(,)?) => {
        $(#[test]
        fn $scenario() {
            crate::lab::Lab::each(
                concat!(module_path!(), "::", stringify!($scenario)),
                $adapters,
                crate::lab::Kind::$transport,
                crate::scenarios::$scenario,
            );
        })+
    };
}

/// What nodes of different adapters have to do in one cluster.
macro_rules! together {
    ($adapters:expr, $transport:ident) => {
        tests!($adapters, $transport: converge, set_state, stop, kill);
    };
}

/// What an adapter has to do, whatever the transport.
macro_rules! anywhere {
    ($adapters:expr, $transport:ident) => {
        together!($adapters, $transport);
        tests!(
            $adapters, $transport:
            restart,
            partition,
            port_taken,
            last_handle_dropped,
            silent_seed,
            shutdown_while_seeds_are_silent,
            slow_subscriber,
            a_flooded_node_keeps_its_rounds,
        );
    };
}

macro_rules! internode {
    ($adapters:expr) => {
        anywhere!($adapters, Internode);
        tests!($adapters, Internode: slow_peers, garbage_streams, stalled_handshake);
    };
}

/// Cassandra's connections under TLS, which is required in both directions.
macro_rules! tls {
    ($adapters:expr) => {
        together!($adapters, Tls);
        tests!(
            $adapters, Tls:
            restart,
            partition,
            port_taken,
            last_handle_dropped,
            silent_seed,
            shutdown_while_seeds_are_silent,
            slow_subscriber,
            a_flooded_node_keeps_its_rounds,
            slow_peers,
            garbage_streams,
            stalled_handshake,
            everything_is_under_tls,
        );
    };
}

/// Messaging version 14, and guests in such a cluster.
macro_rules! cassandra_6 {
    ($adapters:expr) => {
        together!($adapters, Cassandra6);
        tests!(
            $adapters, Cassandra6:
            restart,
            a_guest_of_6_0_joins_by_the_identifier,
            a_wrong_identifier_is_refused,
        );
    };
}

macro_rules! datagram {
    ($adapters:expr) => {
        anywhere!($adapters, Datagram);
        tests!($adapters, Datagram: garbage_packets);
    };
}

mod tokio_internode {
    internode!(&[crate::adapters::TOKIO]);
}

mod tokio_datagram {
    datagram!(&[crate::adapters::TOKIO]);
}

mod tokio_one_thread_internode {
    internode!(&[crate::adapters::TOKIO_ONE_THREAD]);
}

mod tokio_one_thread_datagram {
    datagram!(&[crate::adapters::TOKIO_ONE_THREAD]);
}

mod tokio_tls {
    tls!(&[crate::adapters::TOKIO]);
}

mod mio_tls {
    tls!(&[crate::adapters::MIO]);
}

mod smol_tls {
    tls!(&[crate::adapters::SMOL]);
}

mod async_std_tls {
    tls!(&[crate::adapters::ASYNC_STD]);
}

mod tokio_cassandra_6 {
    cassandra_6!(&[crate::adapters::TOKIO]);
}

mod mio_cassandra_6 {
    cassandra_6!(&[crate::adapters::MIO]);
}

mod smol_cassandra_6 {
    cassandra_6!(&[crate::adapters::SMOL]);
}

mod async_std_cassandra_6 {
    cassandra_6!(&[crate::adapters::ASYNC_STD]);
}

mod mio_internode {
    internode!(&[crate::adapters::MIO]);
}

mod mio_datagram {
    datagram!(&[crate::adapters::MIO]);
}

mod smol_internode {
    internode!(&[crate::adapters::SMOL]);
}

mod smol_datagram {
    datagram!(&[crate::adapters::SMOL]);
}

mod async_std_internode {
    internode!(&[crate::adapters::ASYNC_STD]);
}

mod async_std_datagram {
    datagram!(&[crate::adapters::ASYNC_STD]);
}

/// Nodes of all adapters in one cluster.
mod mixed {
    mod internode {
        together!(crate::adapters::ALL, Internode);
    }

    mod tls {
        together!(crate::adapters::ALL, Tls);
        tests!(crate::adapters::ALL, Tls: half_of_the_nodes_take_up_tls);
    }

    mod cassandra_6 {
        together!(crate::adapters::ALL, Cassandra6);
        tests!(crate::adapters::ALL, Cassandra6: a_guest_of_6_0_joins_by_the_identifier);
    }

    mod datagram {
        together!(crate::adapters::ALL, Datagram);
    }
}
