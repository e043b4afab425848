//! What a node publishes of itself.

use core::time::Duration;
use std::sync::Arc;

use gossip_adapter::{ApplicationState, Endpoint, Handle, Status};
use gossip_core::encode_tokens;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::options::Options;

/// The greatest messaging version that we speak.
const NET_VERSION: &str = "13";
/// How many intervals after the start the load is told first.
const FIRST_LOAD: u32 = 2;
/// Every how many intervals it is told again.
const LOAD_PERIOD: u32 = 60;

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
        // A client port that nobody serves would send clients astray, so there is none by default.
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

    /// The other states. Tokens come before the status, so that nobody sees a member without them.
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

/// The one token of a host: nobody partitions anything by it, but readers of a cluster want each node to have one.
fn token(host_id: Uuid) -> i64 {
    let (high, _) = host_id.as_u64_pair();
    high.cast_signed()
}

/// Whose the load is to tell: the node's, until the operator gives one.
#[derive(Debug)]
pub(crate) struct Load {
    is_given: Mutex<bool>,
}

impl Load {
    /// Where `set` is given at the start.
    pub(crate) fn new(set: &[(ApplicationState, String)]) -> Self {
        Self { is_given: Mutex::new(set.iter().any(|(key, _)| *key == ApplicationState::LOAD)) }
    }

    /// Publishes what the operator gives, by `publish`; from then on the node leaves it alone.
    pub(crate) async fn give<T, E>(&self, publish: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        // It is held until both are done, so that the node's own value does not come after.
        let mut is_given = self.is_given.lock().await;
        let published = publish.await;
        *is_given |= published.is_ok();
        published
    }
}

/// Tells the memory that the process takes, as its load, until the node stops or the operator gives a load.
pub(crate) async fn publish_load(handle: Handle, interval: Duration, load: Arc<Load>) {
    let mut wait = FIRST_LOAD;
    loop {
        tokio::time::sleep(interval * wait).await;
        wait = LOAD_PERIOD;
        let Some(bytes) = resident_bytes() else { continue };
        let is_given = load.is_given.lock().await;
        if *is_given {
            return;
        }
        // It is refused also while gossip is disabled, which passes.
        let told = handle.set_state(ApplicationState::LOAD, java_double(bytes)).await;
        drop(is_given);
        if told.is_err() && handle.generation().await.is_err() {
            return;
        }
    }
}

/// The resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

/// The text that Java gives a double: plain from 0.001 to below ten million, with an exponent elsewhere, always with
/// a fraction.
pub(crate) fn java_double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        format!("{number:?}")
    } else {
        let text = format!("{number:E}");
        match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_java_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (26_202.0, "26202.0"),
            (224_279.0, "224279.0"),
            (9_999_999.0, "9999999.0"),
            (9_999_999.5, "9999999.5"),
            (10_000_000.0, "1.0E7"),
            (12_345_678.0, "1.2345678E7"),
            (123_456_789_012.0, "1.23456789012E11"),
            (-20_000_000.0, "-2.0E7"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (1e-5, "1.0E-5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(java_double(number), text);
        }
    }

    #[test]
    fn the_token_is_the_head_of_the_host_id() {
        let token_of = |text: &str| token(text.parse().unwrap());
        assert_eq!(token_of("00000000-0000-0005-ffff-ffffffffffff"), 5);
        assert_eq!(token_of("ffffffff-ffff-ffff-0000-000000000000"), -1);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_load_is_known() {
        assert!(resident_bytes().unwrap() > 100_000.0);
    }
}
