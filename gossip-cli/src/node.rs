//! The node that runs, of either kind.

use gossip_adapter::{
    Answer, ApplicationState, AssassinateError, Common, Endpoint, GossipOnly, Handle, LeaveError, Pad,
    SetStateError, Version,
};

/// A member of its cluster, or a gossip-only member of a Cassandra cluster.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Member(Handle),
    GossipOnly(Handle<GossipOnly>),
}

impl Node {
    /// For what both can do.
    pub(crate) fn common(&self) -> Handle<Common> {
        match self {
            Self::Member(handle) => handle.common(),
            Self::GossipOnly(handle) => handle.common(),
        }
    }

    /// Publishes a value of the node's own.
    pub(crate) async fn set_state(
        &self,
        key: ApplicationState,
        value: String,
    ) -> Result<Version, SetStateError> {
        match self {
            Self::Member(handle) => handle.set_state(key, value).await,
            Self::GossipOnly(handle) => match Pad::new(key.number()) {
                Some(pad) => handle.set_pad(pad, value).await,
                None => Err(SetStateError::Refused(gossip_core::SetStateError::NotPad { key })),
            },
        }
    }

    /// Begins to leave the cluster for good; see [`Handle::leave`].
    pub(crate) fn leave(&self) -> Result<Answer<Result<(), LeaveError>>, LeaveError> {
        match self {
            Self::Member(handle) => Ok(handle.leave()),
            Self::GossipOnly(_) => Err(LeaveError::NotMember),
        }
    }

    /// Begins to declare an endpoint as left.
    pub(crate) async fn assassinate(&self, endpoint: Endpoint) -> Result<(), AssassinateError> {
        match self {
            Self::Member(handle) => handle.assassinate(endpoint).await,
            Self::GossipOnly(_) => Err(AssassinateError::GossipOnly),
        }
    }
}
