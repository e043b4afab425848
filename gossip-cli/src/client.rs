//! Asks a node over its admin port.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::env::VarError;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::RequestBuilder;
use ureq::http::Response;

use crate::address::{ADMIN, ADMIN_PORT, parse_patience};
use crate::failure::Failure;
use crate::model::{
    AssassinateRequest, AssassinationModel, CountersModel, EndpointModel, ErrorResponse, GossipRequest,
    KeysModel, LeaveResponse, NodeModel, SeedsModel, SetRequest, SetResponse, StopResponse,
};
use crate::token::{ENVIRONMENT, Token};

/// Where the admin port is, if no option says it.
const ADMIN_ENVIRONMENT: &str = "GOSSIP_ADMIN";

/// Which node to ask, and how to print the answer.
#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// The admin port of the node; default: GOSSIP_ADMIN, else 127.0.0.1:7079
    #[arg(long, value_name = "ADDR:PORT", conflicts_with_all = ["host", "port"])]
    pub(crate) admin: Option<String>,
    /// The host of the admin port, as in nodetool; default: this machine (also: -h HOST)
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The port of the admin port; default: 7079
    #[arg(short = 'p', long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// A file with the token of the admin port; default: GOSSIP_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How long to wait for each answer
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_patience)]
    pub(crate) timeout: Duration,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

impl ClientArgs {
    /// The node that is to be asked.
    ///
    /// # Errors
    ///
    /// Misuse if the address or the token is none.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let in_environment = from_environment(ENVIRONMENT)?;
        let token = match (&self.token_file, in_environment) {
            (Some(file), _) => Some(Token::read(file).map_err(|error| format!("--token-file: {error}"))),
            (None, text) => {
                text.map(|text| Token::new(&text).map_err(|error| format!("{ENVIRONMENT}: {error}")))
            }
        };
        let token = token.transpose().map_err(Failure::misuse)?;
        let (origin, admin) = self.admin()?;
        Ok(Client { token, ..Client::new(origin, &admin, self.timeout)? })
    }

    /// Where the admin port is, and who says so.
    fn admin(&self) -> Result<(&'static str, String), Failure> {
        if let Some(admin) = &self.admin {
            return Ok(("--admin", admin.trim().to_owned()));
        }
        if self.host.is_some() || self.port.is_some() {
            let host = self.host.as_deref().unwrap_or("127.0.0.1").trim();
            let port = self.port.unwrap_or(ADMIN_PORT);
            return Ok((
                "--host",
                match host.parse() {
                    Ok(ip) => SocketAddr::new(ip, port).to_string(),
                    Err::<IpAddr, _>(_) => format!("{host}:{port}"),
                },
            ));
        }
        let in_environment = from_environment(ADMIN_ENVIRONMENT)?;
        Ok(in_environment.map_or_else(|| ("--admin", ADMIN.into()), |admin| (ADMIN_ENVIRONMENT, admin)))
    }
}

/// What a variable of the environment holds, without white space around it; nothing if that is all.
///
/// # Errors
///
/// Misuse if it is no text.
fn from_environment(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            Err(Failure::misuse(format!("{name}: it is not text (set it anew, or unset it)")))
        }
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// The output of nodetool, if it has the command
    Text,
    /// Everything, for programs
    Json,
}

/// A node's admin port, seen from outside.
#[derive(Debug)]
pub(crate) struct Client {
    admin: String,
    token: Option<Token>,
    patience: Duration,
    agent: ureq::Agent,
}

/// The longest answer that is read. A thousand endpoints take about one megabyte.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

impl Client {
    /// For the admin port at `admin`, which is an address and a port, and wants no token. `origin` is who named it. Each answer has `patience`
    /// to come.
    ///
    /// # Errors
    ///
    /// Misuse if that is no address.
    pub(crate) fn new(origin: &str, admin: &str, patience: Duration) -> Result<Self, Failure> {
        let is_authority = |text: &str| {
            let Some((host, port)) = text.rsplit_once(':') else { return false };
            let is_host_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let is_ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let is_host = match is_ipv6 {
                Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
                None => !host.is_empty() && host.chars().all(is_host_char),
            };
            is_host && port.parse::<u16>().is_ok()
        };
        if !is_authority(admin) {
            return Err(Failure::misuse(format!(
                "{origin}: '{admin}' is no address (write ADDR:PORT, such as {ADMIN} or [::1]:{ADMIN_PORT})"
            )));
        }
        let config = ureq::Agent::config_builder()
            // The node is on this machine; a proxy meant for the world would not find it.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            // The shorter one first, so that it is known which of them it was.
            .timeout_connect(Some(patience / 2))
            .timeout_global(Some(patience))
            .user_agent(concat!("gossip/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { admin: admin.into(), token: None, patience, agent: config.new_agent() })
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

    /// Has the node leave its cluster. It still runs when this returns.
    ///
    /// # Errors
    ///
    /// The node cannot be asked, or refuses; likewise for what follows.
    pub(crate) fn decommission(&self) -> Result<LeaveResponse, Failure> {
        self.post("/v1/decommission", &serde_json::json!({}))
    }

    /// Has the node take part in gossip, or not.
    pub(crate) fn set_gossip(&self, active: bool) -> Result<GossipRequest, Failure> {
        self.post("/v1/gossip", &GossipRequest { active })
    }

    /// Begins to declare an endpoint as left; with `force` also one that the node does not know.
    pub(crate) fn assassinate(
        &self,
        endpoint: SocketAddr,
        force: bool,
    ) -> Result<AssassinationModel, Failure> {
        self.post("/v1/assassinations", &AssassinateRequest { endpoint, force })
    }

    /// What became of assassinations.
    pub(crate) fn assassinations(&self) -> Result<Vec<AssassinationModel>, Failure> {
        self.get("/v1/assassinations")
    }

    /// The counters.
    pub(crate) fn counters(&self) -> Result<CountersModel, Failure> {
        self.get("/v1/counters")
    }

    /// The members as targets of Prometheus, as the node answers this query.
    pub(crate) fn targets(&self, query: &str) -> Result<serde_json::Value, Failure> {
        self.get(&format!("/sd?{query}"))
    }

    /// The seeds.
    pub(crate) fn seeds(&self) -> Result<SeedsModel, Failure> {
        self.get("/v1/seeds")
    }

    /// Has the node read its files of TLS again.
    pub(crate) fn reload_ssl(&self) -> Result<serde_json::Value, Failure> {
        self.post("/v1/ssl/reload", &serde_json::json!({}))
    }

    /// Has the node read its keys again.
    pub(crate) fn reload_keys(&self) -> Result<KeysModel, Failure> {
        self.post("/v1/keys/reload", &serde_json::json!({}))
    }

    /// Has the node read its seeds again.
    pub(crate) fn reload_seeds(&self) -> Result<SeedsModel, Failure> {
        self.post("/v1/seeds/reload", &serde_json::json!({}))
    }

    /// Whether a node of this address still runs there. One that does not answer in time may; one that is gone does not take the
    /// connection, and one that has stopped says so.
    pub(crate) fn still_runs(&self, endpoint: SocketAddr) -> bool {
        match self.with_token(self.agent.get(self.url("/v1/node"))).call() {
            Err(ureq::Error::Timeout(_)) => true,
            response => self.answer::<NodeModel>(response).is_ok_and(|node| node.endpoint == endpoint),
        }
    }

    /// Changes as they happen, a line each, for as long as they are read.
    pub(crate) fn watch(&self) -> Result<impl BufRead + use<>, Failure> {
        let request = self.agent.get(self.url("/v1/watch")).config();
        // The answer begins at once, and has no end.
        let request = request.timeout_global(None).timeout_recv_response(Some(self.patience)).build();
        let response = self.accepted(self.with_token(request).call())?;
        Ok(BufReader::new(response.into_body().into_reader()))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.answer(self.with_token(self.agent.get(self.url(path))).call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.answer(self.with_token(self.agent.post(self.url(path))).send_json(body))
    }

    fn with_token<Body>(&self, request: RequestBuilder<Body>) -> RequestBuilder<Body> {
        match &self.token {
            Some(token) => request.header("authorization", token.header()),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        response: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let body = self.read(&mut self.accepted(response)?)?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::failed(not_a_node(&self.admin, &error.to_string())))
    }

    /// The response, unless there is none, or it is a refusal.
    fn accepted(
        &self,
        response: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Response<ureq::Body>, Failure> {
        let admin = &self.admin;
        let mut response = response.map_err(|error| Failure::failed(self.unanswered(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.read(&mut response)?;
        Err(Failure::failed(match serde_json::from_slice::<ErrorResponse>(&body) {
            Ok(ErrorResponse { error }) => error,
            Err(_) => not_a_node(admin, &format!("it answers {status}")),
        }))
    }

    /// Why there is no answer, as far as that was seen.
    fn unanswered(&self, error: &ureq::Error) -> String {
        let Self { admin, patience, .. } = self;
        match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => format!(
                "{admin} cannot be reached within {:?} (check the host and the port of --admin, or wait longer with --timeout)",
                *patience / 2
            ),
            ureq::Error::Timeout(_) => format!(
                "{admin} takes the connection, and does not answer within {patience:?}: the node hangs or is busy, or that is \
                 no admin port (wait longer with --timeout)"
            ),
            ureq::Error::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
                ) =>
            {
                format!(
                    "{admin} takes the connection, and closes it without an answer: that is no admin port, or its node \
                     has just ended (name the admin port with --admin: `gossip run` prints it)"
                )
            }
            error => format!(
                "no gossip node answers on {admin}: {error} (is it running? start one with `gossip run`, or name its admin \
                 port with --admin)"
            ),
        }
    }

    fn read(&self, response: &mut Response<ureq::Body>) -> Result<Vec<u8>, Failure> {
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        body.map_err(|error| Failure::failed(format!("the answer of {} broke off: {error}", self.admin)))
    }
}

fn not_a_node(admin: &str, why: &str) -> String {
    format!(
        "what listens on {admin} is no gossip node of this release: {why} (name its admin port with --admin)"
    )
}
