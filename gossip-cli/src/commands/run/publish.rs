//! What a node publishes of itself.

use gossip_adapter::{ApplicationState, Endpoint, Status};
use gossip_core::encode_tokens;
use uuid::Uuid;

use super::options::Options;

/// The greatest messaging version that we speak.
const NET_VERSION: &str = "13";

/// The states of a node at its start.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) options: Options,
    pub(crate) host_id: Uuid,
}

impl Published {
    /// The first states, in the order of their versions.
    pub(crate) fn before_the_address_is_known(&self) -> Vec<(ApplicationState, String)> {
        let options = &self.options;
        let mut states = vec![
            (ApplicationState::NET_VERSION, NET_VERSION.into()),
            (ApplicationState::HOST_ID, self.host_id.to_string()),
        ];
        // A client port that is not served would mislead clients, so there is none by default.
        if let Some(port) = options.native_port {
            let native = Endpoint::new(options.broadcast.unwrap_or(options.listen).ip(), port);
            states.push((
                ApplicationState::NATIVE_ADDRESS_AND_PORT,
                native.java_address_and_port().to_string(),
            ));
        }
        states.push((ApplicationState::RELEASE_VERSION, options.release_version.clone()));
        states
    }

    /// The other states. Tokens come before the status, so that no node sees a member without them.
    pub(crate) fn once_the_address_is_known(&self, endpoint: Endpoint) -> Vec<(ApplicationState, String)> {
        let token = token(self.host_id);
        let mut states = vec![
            (ApplicationState::INTERNAL_ADDRESS_AND_PORT, endpoint.java_address_and_port().to_string()),
            (ApplicationState::DC, self.options.dc.clone()),
            (ApplicationState::RACK, self.options.rack.clone()),
            (ApplicationState::RPC_READY, "false".into()),
        ];
        states.retain(|(key, _)| !self.options.set.iter().any(|(given, _)| given == key));
        states.extend(self.options.set.iter().cloned());
        states.push((ApplicationState::TOKENS, encode_tokens(&[token])));
        let status = Status::Normal { token: &token.to_string() }.to_string();
        states.push((ApplicationState::STATUS_WITH_PORT, status));
        states
    }
}

/// The one token of a host: nothing is partitioned by it, but readers of a cluster want each node to have one.
fn token(host_id: Uuid) -> i64 {
    let (high, _) = host_id.as_u64_pair();
    high.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_the_head_of_the_host_id() {
        let token_of = |text: &str| token(text.parse().unwrap());
        assert_eq!(token_of("00000000-0000-0005-ffff-ffffffffffff"), 5);
        assert_eq!(token_of("ffffffff-ffff-ffff-0000-000000000000"), -1);
    }
}
