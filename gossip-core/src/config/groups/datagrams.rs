//! How large packets are, and how many there may be.

use super::{Bounds, all_in_range, group};
use crate::config::ConfigError;

/// What a UDP datagram has room for.
pub(in crate::config) const MAX_SIZE: usize = 65_507;

group! {
    /// Packets of [`Transport::Datagram`](crate::Transport::Datagram). The other transport does not use these settings.
    ///
    /// ```
    /// # use gossip_core::Datagrams;
    /// let datagrams = Datagrams { max_size: 8_900, ..Datagrams::default() };
    /// ```
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub struct Datagrams {
        /// The bytes of the largest packet that is sent, without the headers of UDP and IP. It must be the same on all nodes of
        /// a cluster, because a value that one node can send must fit the packets of all. Half of it must have room for
        /// the names of cluster and partitioner. Default 1,400; 512 to 65,507.
        pub max_size: usize,
        /// The number of packets over which a SYN may spread. If they cannot list all endpoints, endpoints with news come
        /// first, the others take turns, and failures take as many times longer to detect
        /// (`Gossiper::digest_rotation`). Default 16, which is about 1,300 endpoints; 1 to 1,024.
        pub max_per_syn: u16,
        /// The bytes of packets that are sent in a second. Messages beyond it wait. Each node of a cluster of 1,000 needs about
        /// 100 KiB/s. Default 1 MiB/s; 16 KiB/s to 4 GiB/s.
        pub max_rate: u32,
    }
}

impl Default for Datagrams {
    fn default() -> Self {
        Self { max_size: 1_400, max_per_syn: 16, max_rate: 1 << 20 }
    }
}

impl Datagrams {
    pub(in crate::config) fn check(&self) -> Result<(), ConfigError> {
        all_in_range([
            Bounds("datagrams.max_size", self.max_size, 512, MAX_SIZE),
            Bounds("datagrams.max_per_syn", usize::from(self.max_per_syn), 1, 1_024),
            Bounds("datagrams.max_rate", self.max_rate as usize, 1 << 14, u32::MAX as usize),
        ])
    }
}
