//! What can be said of a node only if it is a member, or only if it is a gossip-only member of a Cassandra cluster.

use gossip_core::{
    ApplicationState, Config, ConfigBuilder, Endpoint, Generation, GossipOnly, Pad, Transport, Uuid,
};

use super::Builder;

/// How a configuration of each kind begins and ends.
pub(super) struct Kind<M> {
    pub(super) begin: fn(&str, Endpoint, Generation, [u8; 32], Uuid) -> ConfigBuilder<M>,
    pub(super) end: fn(ConfigBuilder<M>, Transport) -> ConfigBuilder<M>,
}

impl<R> Builder<R> {
    /// A node of the cluster of this name, which listens on 127.0.0.1:7000 by default.
    pub fn new(cluster: impl Into<String>) -> Self {
        let kind = Kind {
            begin: |cluster, local, generation, entropy, _| {
                Config::builder(cluster, local, generation, entropy)
            },
            end: ConfigBuilder::transport,
        };
        Self::of(kind, cluster.into())
    }

    /// A gossip-only member of the Cassandra cluster of this name (Cassandra's word is fat client): it hears and is heard, and is no part of
    /// the ring. See [`Config::gossip_only`](gossip_core::Config::gossip_only). It listens on 127.0.0.1:7000 by default; the nodes
    /// of the cluster dial that address.
    pub fn gossip_only(cluster: impl Into<String>) -> Builder<R, GossipOnly> {
        Builder::of(Kind { begin: Config::gossip_only, end: |config, _| config }, cluster.into())
    }

    /// How messages travel: the same for all nodes of a cluster. Default [`Transport::Internode`]. It is chosen here, not by
    /// [`Builder::tune`], since the socket depends on it.
    pub const fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Encrypts all packets, and takes only those that are encrypted under one of these keys. Only [`Transport::Datagram`] encrypts.
    #[cfg(feature = "seal")]
    pub fn keys(mut self, keys: gossip_core::KeyRing) -> Self {
        self.says.push(Box::new(|config| config.keys(keys)));
        self
    }

    /// Adds a value that is published from the start. Versions are given out in the order of the calls.
    pub fn state(mut self, key: ApplicationState, value: impl Into<String>) -> Self {
        let value = value.into();
        self.says.push(Box::new(move |config| config.state(key, &value)));
        self
    }

    /// Adds values that depend on the endpoint as which the node gossips in the end, which port 0 leaves open until it
    /// listens. They come after those of [`Builder::state`].
    pub fn states_with(
        mut self,
        states: impl FnOnce(Endpoint) -> Vec<(ApplicationState, String)> + Send + 'static,
    ) -> Self {
        self.says_with = Some(Box::new(|config, local| {
            states(local).iter().fold(config, |config, (key, value)| config.state(*key, value))
        }));
        self
    }
}

impl<R> Builder<R, GossipOnly> {
    /// The host id, which is to be the same at each start. Default: a random one.
    pub const fn host_id(mut self, host_id: Uuid) -> Self {
        self.host_id = Some(host_id);
        self
    }

    /// Name of the data center. Default `datacenter1`; the members need not have one of that name.
    pub fn data_center(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.says.push(Box::new(move |config| config.data_center(&name)));
        self
    }

    /// Name of the rack. Default `rack1`.
    pub fn rack(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.says.push(Box::new(move |config| config.rack(&name)));
        self
    }

    /// Adds a value of one's own that is published from the start.
    pub fn pad(mut self, pad: Pad, value: impl Into<String>) -> Self {
        let value = value.into();
        self.says.push(Box::new(move |config| config.pad(pad, &value)));
        self
    }
}
