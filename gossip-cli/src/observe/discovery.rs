//! The members of a cluster as targets of Prometheus: HTTP and file service discovery.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::str::FromStr;

use gossip_adapter::{ApplicationState, KnownEndpoint, StatusKind};
use serde::Serialize;

use crate::model::{EndpointModel, StandingModel};

/// The port of exporters, if no other is named.
const EXPORTER_PORT: u16 = 9500;

/// Which members become targets, and what is said of each.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Discovery {
    /// The port that is scraped on each member
    #[arg(id = "target-port", long = "target-port", value_name = "PORT", default_value_t = EXPORTER_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// A label of each target: one of cluster, dc, rack, host_id, status, release and schema, or NAME=VALUE for a fixed one; repeat it for several; default: cluster, dc and rack
    #[arg(id = "label", long = "label", value_name = "LABEL")]
    labels: Vec<Label>,
    /// Only members in this state: up, down, normal, joining, leaving, moving or shutdown; repeat it for several; default: all members
    #[arg(id = "state", long = "state", value_name = "STATE")]
    states: Vec<State>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { port: EXPORTER_PORT, labels: Vec::new(), states: Vec::new() }
    }
}

impl Discovery {
    /// Changed by the query of a request: `port`, `label` and `state`, of which the last two may be repeated.
    ///
    /// # Errors
    ///
    /// What the query has that there is not.
    pub(crate) fn with_query(mut self, query: &str) -> Result<Self, String> {
        let (mut labels, mut states) = (Vec::new(), Vec::new());
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value =
                decode(value).ok_or_else(|| format!("'{value}' is not text (write it as %XX of UTF-8)"))?;
            match key {
                "port" => {
                    let port = value.parse().ok().filter(|port| *port > 0);
                    self.port = port.ok_or_else(|| format!("port: '{value}' is no port (1 to 65535)"))?;
                }
                "label" => labels.push(value.parse()?),
                "state" => states.push(value.parse()?),
                other => return Err(format!("'{other}' is unknown (there are port, label and state)")),
            }
        }
        if !labels.is_empty() {
            self.labels = labels;
        }
        if !states.is_empty() {
            self.states = states;
        }
        Ok(self)
    }

    /// The query of a request that asks for the same.
    pub(crate) fn query(&self) -> String {
        let labels = self.labels.iter().map(|label| format!("&label={}", encode(&label.to_string())));
        let states = self.states.iter().map(|state| format!("&state={}", state.name()));
        format!("port={}{}{}", self.port, labels.collect::<String>(), states.collect::<String>())
    }

    /// Whether it has to be known who is up.
    pub(crate) fn wants_standing(&self) -> bool {
        self.states.iter().any(|state| matches!(state, State::Up | State::Down))
    }

    fn wants(&self, target: &Target) -> bool {
        let (standings, statuses): (Vec<_>, Vec<_>) =
            self.states.iter().partition(|state| matches!(state, State::Up | State::Down));
        let has_standing = |state: &&State| match state {
            State::Up => target.is_up == Some(true),
            _ => target.is_up == Some(false),
        };
        let has_status = |state: &&State| match state {
            State::Normal => target.status == StatusKind::Normal,
            State::Joining => matches!(target.status, StatusKind::Boot | StatusKind::BootReplace),
            State::Leaving => matches!(target.status, StatusKind::Leaving | StatusKind::Removing),
            State::Moving => target.status == StatusKind::Moving,
            State::Shutdown => target.status == StatusKind::Shutdown,
            State::Up | State::Down => false,
        };
        (standings.is_empty() || standings.into_iter().any(|state| has_standing(&state)))
            && (statuses.is_empty() || statuses.into_iter().any(|state| has_status(&state)))
    }
}

/// A label of each target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Label {
    Fact(Fact),
    Fixed { name: String, value: String },
}

/// What a member says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fact {
    Cluster,
    Dc,
    Rack,
    HostId,
    Status,
    Release,
    Schema,
}

impl Fact {
    const ALL: [Self; 7] =
        [Self::Cluster, Self::Dc, Self::Rack, Self::HostId, Self::Status, Self::Release, Self::Schema];

    const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Dc => "dc",
            Self::Rack => "rack",
            Self::HostId => "host_id",
            Self::Status => "status",
            Self::Release => "release",
            Self::Schema => "schema",
        }
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((name, value)) = text.split_once('=') {
            let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
            if !name.starts_with(is_first) || !name.chars().all(|c| is_first(c) || c.is_ascii_digit()) {
                return Err(format!("'{name}' is no name of a label (letters, digits and _)"));
            }
            return Ok(Self::Fixed { name: name.into(), value: value.into() });
        }
        let fact = Fact::ALL.into_iter().find(|fact| fact.name() == text);
        fact.map(Self::Fact).ok_or_else(|| {
            let names = Fact::ALL.map(Fact::name).join(", ");
            format!("'{text}' is no label (there are {names}, and NAME=VALUE)")
        })
    }
}

impl core::fmt::Display for Label {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Fact(fact) => f.write_str(fact.name()),
            Self::Fixed { name, value } => write!(f, "{name}={value}"),
        }
    }
}

/// A state that members may have to be in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Up,
    Down,
    Normal,
    Joining,
    Leaving,
    Moving,
    Shutdown,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Up, Self::Down, Self::Normal, Self::Joining, Self::Leaving, Self::Moving, Self::Shutdown];

    const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Normal => "normal",
            Self::Joining => "joining",
            Self::Leaving => "leaving",
            Self::Moving => "moving",
            Self::Shutdown => "shutdown",
        }
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
            format!("'{text}' is no state (there are {})", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// A member that may become a target.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    ip: IpAddr,
    /// Unknown if it was not looked at.
    is_up: Option<bool>,
    status: StatusKind,
    keyword: String,
    texts: BTreeMap<ApplicationState, String>,
}

impl Target {
    /// A member as a node of this process knows it; `None` for one that is gone, or of which nothing is known.
    pub(crate) fn of_known(known: &KnownEndpoint) -> Option<Self> {
        let text = |key| known.text(key).map(Into::into);
        let keyword = known.status_keyword().unwrap_or_default().to_owned();
        let ip = SocketAddr::from(known.endpoint).ip();
        (known.generation.get() > 0).then_some(())?;
        Self::new(ip, Some(known.is_live), known.status, keyword, text)
    }

    /// A member as another node reports it.
    pub(crate) fn of_model(model: &EndpointModel) -> Option<Self> {
        let text = |key| model.text(key).map(Into::into);
        let is_up = match model.standing() {
            StandingModel::Live => Some(true),
            StandingModel::Unreachable => Some(false),
            StandingModel::Unverified => None,
        };
        (!model.gossip_only && model.generation > 0).then_some(())?;
        let keyword = model.status.clone().unwrap_or_default();
        Self::new(model.endpoint.ip(), is_up, model.status_kind(), keyword, text)
    }

    fn new(
        ip: IpAddr,
        is_up: Option<bool>,
        status: StatusKind,
        keyword: String,
        text: impl Fn(ApplicationState) -> Option<String>,
    ) -> Option<Self> {
        if matches!(status, StatusKind::Left | StatusKind::Removed) {
            return None;
        }
        let keys = [
            ApplicationState::DC,
            ApplicationState::RACK,
            ApplicationState::HOST_ID,
            ApplicationState::RELEASE_VERSION,
            ApplicationState::SCHEMA,
        ];
        let texts = keys.into_iter().filter_map(|key| Some((key, text(key)?))).collect();
        Some(Self { ip, is_up, status, keyword, texts })
    }

    fn text(&self, key: ApplicationState) -> String {
        self.texts.get(&key).cloned().unwrap_or_default()
    }

    fn fact(&self, fact: Fact, cluster: &str) -> String {
        match fact {
            Fact::Cluster => cluster.into(),
            Fact::Dc => self.text(ApplicationState::DC),
            Fact::Rack => self.text(ApplicationState::RACK),
            Fact::HostId => self.text(ApplicationState::HOST_ID),
            Fact::Status => self.keyword.clone(),
            Fact::Release => self.text(ApplicationState::RELEASE_VERSION),
            Fact::Schema => self.text(ApplicationState::SCHEMA),
        }
    }
}

/// The list of targets, as Prometheus reads it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Targets(Vec<Group>);

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Group {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl Targets {
    pub(crate) fn new(
        discovery: &Discovery,
        cluster: &str,
        members: impl IntoIterator<Item = Target>,
    ) -> Self {
        let usual = [Fact::Cluster, Fact::Dc, Fact::Rack].map(Label::Fact);
        let labels = if discovery.labels.is_empty() { &usual[..] } else { &discovery.labels };
        let wanted = members.into_iter().filter(|target| discovery.wants(target));
        let groups = wanted.map(|target| Group {
            targets: vec![SocketAddr::new(target.ip, discovery.port).to_string()],
            labels: labels
                .iter()
                .map(|label| match label {
                    Label::Fact(fact) => (fact.name().into(), target.fact(*fact, cluster)),
                    Label::Fixed { name, value } => (name.clone(), value.clone()),
                })
                .chain([
                    ("__meta_gossip_host_id".into(), target.fact(Fact::HostId, cluster)),
                    ("__meta_gossip_status".into(), target.keyword.clone()),
                ])
                .collect(),
        });
        Self(groups.collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A part of a query as it was meant.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(core::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A text as a part of a query.
fn encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(ip: u8, is_up: Option<bool>, status: StatusKind) -> Target {
        let text = |key| (key == ApplicationState::DC).then(|| "dc1".to_owned());
        Target::new([10, 0, 0, ip].into(), is_up, status, "NORMAL".into(), text).unwrap()
    }

    fn shown(discovery: &Discovery, members: &[Target]) -> String {
        serde_json::to_string(&Targets::new(discovery, "Prod", members.to_vec())).unwrap()
    }

    #[test]
    fn targets_are_as_prometheus_reads_them() {
        let told = shown(&Discovery::default(), &[target(1, Some(true), StatusKind::Normal)]);
        let expected = r#"[{"targets":["10.0.0.1:9500"],"labels":{"__meta_gossip_host_id":"","__meta_gossip_status":"NORMAL","cluster":"Prod","dc":"dc1","rack":""}}]"#;
        assert_eq!(told, expected);
        assert_eq!(shown(&Discovery::default(), &[]), "[]");
    }

    #[test]
    fn a_query_chooses_port_labels_and_states() {
        let members = [
            target(1, Some(true), StatusKind::Normal),
            target(2, Some(false), StatusKind::Normal),
            target(3, Some(true), StatusKind::Leaving),
            target(4, None, StatusKind::Normal),
        ];
        let count = |query: &str| {
            let discovery = Discovery::default().with_query(query).unwrap();
            assert_eq!(
                Discovery::default().with_query(&discovery.query()).unwrap().query(),
                discovery.query()
            );
            Targets::new(&discovery, "Prod", members.to_vec()).len()
        };
        assert_eq!([count(""), count("state=up"), count("state=down")], [4, 2, 1]);
        assert_eq!(
            [count("state=normal"), count("state=up&state=NORMAL"), count("state=up&state=down")],
            [3, 1, 3]
        );
        let discovery = Discovery::default().with_query("port=9042&label=dc&label=env%3Da+b").unwrap();
        let told = shown(&discovery, &members[..1]);
        assert!(
            told.contains("10.0.0.1:9042") && told.contains(r#""env":"a b""#) && !told.contains("rack"),
            "{told}"
        );
    }

    #[test]
    fn what_there_is_not_is_refused_in_one_line() {
        for query in
            ["state=gone", "label=color", "label=1a=b", "port=0", "port=x", "x=y", "label=%zz", "label=%ff"]
        {
            let error = Discovery::default().with_query(query).unwrap_err();
            assert_eq!(error.lines().count(), 1, "{query}: {error}");
        }
    }
}
