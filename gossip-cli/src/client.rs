//! Asks a node over its admin port.

use core::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::ADMIN;
use crate::failure::Failure;
use crate::model::{EndpointModel, ErrorResponse, NodeModel, SetRequest, SetResponse, StopResponse};

/// Whom to ask, and how to print the answer.
#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// The node's admin port
    #[arg(long, value_name = "ADDR:PORT", default_value = ADMIN)]
    pub(crate) admin: String,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// As nodetool prints it
    Text,
    /// Everything, for programs
    Json,
}

/// A node's admin port, seen from outside.
#[derive(Debug)]
pub(crate) struct Client {
    admin: String,
    agent: ureq::Agent,
}

/// The longest answer that is read. A thousand endpoints take about one megabyte.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

impl Client {
    /// For the admin port at `admin`, which is an address and a port.
    ///
    /// # Errors
    ///
    /// Misuse if that is no address.
    pub(crate) fn new(admin: &str) -> Result<Self, Failure> {
        let is_authority = |text: &str| {
            let Some((host, port)) = text.rsplit_once(':') else { return false };
            let is_host_char = |c: char| c.is_ascii_alphanumeric() || "-_.[]:".contains(c);
            !host.is_empty() && host.chars().all(is_host_char) && port.parse::<u16>().is_ok()
        };
        if !is_authority(admin) {
            return Err(Failure::misuse(format!(
                "--admin '{admin}' is no address (write ADDR:PORT, such as {ADMIN})"
            )));
        }
        let config = ureq::Agent::config_builder()
            // The node is on this machine; a proxy meant for the world would not find it.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_global(Some(Duration::from_secs(30)))
            .user_agent(concat!("gossip/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { admin: admin.into(), agent: config.new_agent() })
    }

    /// Everything that the node knows, by ascending address.
    ///
    /// # Errors
    ///
    /// The node cannot be asked.
    pub(crate) fn endpoints(&self) -> Result<Vec<EndpointModel>, Failure> {
        self.get("/v1/endpoints")
    }

    /// Who the node is.
    ///
    /// # Errors
    ///
    /// The node cannot be asked.
    pub(crate) fn node(&self) -> Result<NodeModel, Failure> {
        self.get("/v1/node")
    }

    /// Changes a state.
    ///
    /// # Errors
    ///
    /// The node cannot be asked, or refuses.
    pub(crate) fn set(&self, key: &str, value: &str) -> Result<SetResponse, Failure> {
        self.post("/v1/states", &SetRequest { key: key.into(), value: value.into() })
    }

    /// Has the node stop. It has not yet stopped when this returns.
    ///
    /// # Errors
    ///
    /// The node cannot be asked, or refuses.
    pub(crate) fn stop(&self) -> Result<StopResponse, Failure> {
        self.post("/v1/stop", &serde_json::json!({}))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(self.agent.get(self.url(path)).call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.answer(self.agent.post(self.url(path)).send_json(body))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let admin = &self.admin;
        let mut response = response.map_err(|error| {
            let error = match error {
                ureq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            };
            Failure::failed(format!(
                "no gossip node answers on {admin}: {error} (is it running? start one with `gossip run`, or name \
                 its admin port with --admin)"
            ))
        })?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let body =
            body.map_err(|error| Failure::failed(format!("the answer of {admin} broke off: {error}")))?;
        if !status.is_success() {
            return Err(Failure::failed(match serde_json::from_slice::<ErrorResponse>(&body) {
                Ok(ErrorResponse { error }) => error,
                Err(_) => not_a_node(admin, &format!("it answers {status}")),
            }));
        }
        serde_json::from_slice(&body).map_err(|error| Failure::failed(not_a_node(admin, &error.to_string())))
    }
}

fn not_a_node(admin: &str, why: &str) -> String {
    format!(
        "what listens on {admin} is no gossip node of this release: {why} (name its admin port with --admin)"
    )
}
