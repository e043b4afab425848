//! `gossip status`.

use std::collections::{BTreeMap, BTreeSet};

use gossip_adapter::{ApplicationState, Endpoint, StatusKind};

use crate::ask::SeedArgs;
use crate::client::{ClientArgs, Format};
use crate::failure::{Failure, print, print_json};
use crate::hosts::{Hosts, ResolveArgs};
use crate::load::{human_bytes, load};
use crate::model::{EndpointModel, Ports, StandingModel};
use crate::text::{printable, utc};

/// What a member cannot know about others, and what is printed instead.
pub(crate) const AFTER_HELP: &str = "\
A member that is asked over gossip (--seed) does not send its verdicts. So the command asks again after two seconds, and after four if something is unclear. \
An endpoint is up if its heartbeat has grown, and down if it has announced its stop. Others are unknown (?).";

/// What else there is beside the table.
const BESIDE: &str = "\
Below the table, which shows members as nodetool does, is a line for each endpoint that has left or was removed and is still remembered. JSON has \"members\", as in the \
table, and \"left\", with endpoint, status (LEFT or removed), until (when it is forgotten) and host_id.";

/// The end of the year 9999, in milliseconds: a later time is a mistake.
const LATEST: u64 = 253_402_300_799_999;

#[derive(Debug, clap::Args)]
#[command(after_help = [AFTER_HELP, BESIDE].join("\n"))]
pub(crate) struct Args {
    /// Prints ports, even if each endpoint has its own address (also: -pp)
    #[arg(long)]
    print_port: bool,
    #[command(flatten)]
    resolve: ResolveArgs,
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    seed: SeedArgs,
}

/// Prints the members of the cluster, by data center.
///
/// # Errors
///
/// The node cannot be asked, or does not answer.
pub(crate) fn status(args: &Args) -> Result<(), Failure> {
    let endpoints = args.seed.endpoints(&args.client)?;
    let ports = Ports::choose(args.print_port, &endpoints);
    let hosts = args.resolve.hosts(&endpoints, args.client.timeout);
    match args.client.format {
        Format::Json => {
            let members: Vec<_> = members(&endpoints);
            let shared = shared_host_ids(&members);
            let members: Vec<_> = members.iter().map(|member| member.json(&shared, &hosts)).collect();
            let left: Vec<_> = left(&endpoints).iter().map(|left| left.json(&hosts)).collect();
            print_json(&serde_json::json!({ "members": members, "left": left }))
        }
        Format::Text => print(&render(&endpoints, ports, &hosts)),
    }
}

/// The text of `nodetool status`; within a data center by ascending address. Ownership is not computed.
pub(crate) fn render(endpoints: &[EndpointModel], ports: Ports, hosts: &Hosts) -> String {
    let members = members(endpoints);
    let shared = shared_host_ids(&members);
    let one_token = members.iter().all(|member| member.tokens.len() <= 1);
    let mut data_centers: BTreeMap<&str, Vec<&Member<'_>>> = BTreeMap::new();
    for member in &members {
        data_centers.entry(member.data_center).or_default().push(member);
    }
    let header = if one_token {
        ["--", "Address", "Load", "Owns", "Host ID", "Token", "Rack"].map(String::from)
    } else {
        ["--", "Address", "Load", "Tokens", "Owns", "Host ID", "Rack"].map(String::from)
    };
    let row = |member: &Member<'_>| {
        let [state, address, load, owns, host_id, rack] = [
            member.letters(),
            hosts.show(member.endpoint.endpoint, ports),
            member.load.clone(),
            "?".into(),
            printable(member.host_id).into_owned() + if shared.contains(member.host_id) { "!" } else { "" },
            printable(member.rack).into_owned(),
        ];
        if one_token {
            let token = member.tokens.first().cloned().unwrap_or_else(|| "?".into());
            [state, address, load, owns, host_id, token, rack]
        } else {
            [state, address, load, member.tokens.len().to_string(), owns, host_id, rack]
        }
    };
    let rows = members.iter().map(row).chain([header.clone()]);
    // All tables share their widths.
    let mut widths = [0; 7];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(&row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; 7]| {
        let padded: Vec<_> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ") + "\n"
    };
    let mut tables = Vec::new();
    for (data_center, members) in data_centers {
        let heading = format!("Datacenter: {}", printable(data_center));
        let underline = "=".repeat(heading.chars().count());
        let mut table = format!(
            "{heading}\n{underline}\nStatus=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n{}",
            line(&header)
        );
        table.extend(members.into_iter().map(|member| line(&row(member))));
        tables.push(table);
    }
    let notes = shared.iter().map(|host_id| {
        let holders = members.iter().filter(|member| member.is_up() && member.host_id == *host_id);
        let holders: Vec<_> = holders.map(|member| member.endpoint.endpoint.to_string()).collect();
        format!("! Host id {} is that of several live nodes: {}\n", printable(host_id), holders.join(", "))
    });
    let replaced = endpoints.iter().filter_map(|endpoint| {
        let now = endpoint.replaced?;
        Some(format!("Replaced: {} by {}, which has its host id\n", endpoint.endpoint, now))
    });
    tables.join("\n")
        + "\n"
        + &notes.collect::<String>()
        + &replaced.collect::<String>()
        + &left(endpoints).iter().map(|left| left.line(ports, hosts)).collect::<String>()
        + &gossip_only(endpoints, ports, hosts)
}

/// An endpoint that has left, or was removed, and is still remembered.
struct Left<'a> {
    endpoint: &'a EndpointModel,
    /// When it is forgotten, as its status says.
    until: Option<String>,
}

/// Those among `endpoints` that are no members any more, by ascending address.
fn left(endpoints: &[EndpointModel]) -> Vec<Left<'_>> {
    let mut left: Vec<_> = endpoints.iter().filter(|endpoint| endpoint.is_gone()).collect();
    left.sort_by_key(|endpoint| Endpoint::from(endpoint.endpoint));
    left.into_iter().map(Left::new).collect()
}

impl<'a> Left<'a> {
    fn new(endpoint: &'a EndpointModel) -> Self {
        let text = endpoint
            .text(ApplicationState::STATUS_WITH_PORT)
            .or_else(|| endpoint.text(ApplicationState::STATUS));
        // LEFT,<token>,<milliseconds>, or removed,<host id>,<milliseconds>.
        let until = text.and_then(|text| text.splitn(3, ',').nth(2)?.parse().ok());
        Self { endpoint, until: until.filter(|ms| *ms <= LATEST).map(utc) }
    }

    fn status(&self) -> &str {
        self.endpoint.status.as_deref().unwrap_or("?")
    }

    fn host_id(&self) -> Option<&str> {
        self.endpoint.text(ApplicationState::HOST_ID)
    }

    fn line(&self, ports: Ports, hosts: &Hosts) -> String {
        let until = self.until.as_ref().map(|until| format!(", remembered until {until}"));
        let host_id = self.host_id().map(|host_id| format!(", host id {}", printable(host_id)));
        let address = hosts.show(self.endpoint.endpoint, ports);
        let [until, host_id] = [until, host_id].map(Option::unwrap_or_default);
        format!("No member any more: {address} ({}{until}{host_id})\n", printable(self.status()))
    }

    fn json(&self, hosts: &Hosts) -> serde_json::Value {
        let mut left = serde_json::json!({
            "endpoint": self.endpoint.endpoint,
            "status": self.status(),
            "until": self.until,
            "host_id": self.host_id(),
        });
        if let Some(name) = hosts.name(self.endpoint.endpoint) {
            left["host_name"] = name.into();
        }
        left
    }
}

/// A line with those who are only in gossip, if there are any: nodetool does not show them.
fn gossip_only(endpoints: &[EndpointModel], ports: Ports, hosts: &Hosts) -> String {
    let shown = endpoints.iter().filter(|endpoint| endpoint.gossip_only).map(|endpoint| {
        let standing = match endpoint.standing() {
            StandingModel::Live => "up",
            StandingModel::Unreachable => "down",
            StandingModel::Unverified => "?",
        };
        format!("{} ({standing})", hosts.show(endpoint.endpoint, ports))
    });
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() { String::new() } else { format!("Gossip-only, no members: {}\n", shown.join(", ")) }
}

/// The host ids that more than one live member has: a data directory was copied, or a host id given twice.
fn shared_host_ids<'a>(members: &[Member<'a>]) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let live = members.iter().filter(|member| member.is_up() && member.host_id != "?");
    live.map(|member| member.host_id).filter(|host_id| !seen.insert(*host_id)).collect()
}

/// A line of the table.
struct Member<'a> {
    endpoint: &'a EndpointModel,
    data_center: &'a str,
    rack: &'a str,
    host_id: &'a str,
    load: String,
    tokens: Vec<String>,
}

/// The members among `endpoints`, those that join and those being removed included, by ascending address.
fn members(endpoints: &[EndpointModel]) -> Vec<Member<'_>> {
    // A member that came back at another address is shown there.
    let is_member = |endpoint: &&EndpointModel| {
        state_letter(endpoint).is_some() && !endpoint.gossip_only && endpoint.replaced.is_none()
    };
    let mut sorted: Vec<_> = endpoints.iter().filter(is_member).collect();
    sorted.sort_by_key(|endpoint| Endpoint::from(endpoint.endpoint));
    sorted.into_iter().map(Member::new).collect()
}

impl<'a> Member<'a> {
    fn new(endpoint: &'a EndpointModel) -> Self {
        let load = endpoint.text(ApplicationState::LOAD).and_then(load);
        let tokens = endpoint.tokens().unwrap_or_default();
        Self {
            endpoint,
            data_center: endpoint.text(ApplicationState::DC).unwrap_or("UNKNOWN_DC"),
            rack: endpoint.text(ApplicationState::RACK).unwrap_or("UNKNOWN_RACK"),
            host_id: endpoint.text(ApplicationState::HOST_ID).unwrap_or("?"),
            load: load.map_or_else(|| "?".into(), human_bytes),
            tokens: tokens.iter().map(|token| show_token(token)).collect(),
        }
    }

    fn is_up(&self) -> bool {
        self.endpoint.local || self.endpoint.standing == StandingModel::Live
    }

    fn letters(&self) -> String {
        let standing = match self.endpoint.standing {
            _ if self.endpoint.local => 'U',
            StandingModel::Live => 'U',
            StandingModel::Unreachable => 'D',
            StandingModel::Unverified => '?',
        };
        [standing, state_letter(self.endpoint).unwrap_or('?')].iter().collect()
    }

    fn json(&self, shared: &BTreeSet<&str>, hosts: &Hosts) -> serde_json::Value {
        let mut member = serde_json::json!({
            "shared_host_id": self.is_up() && shared.contains(self.host_id),
            "state": self.letters(),
            "endpoint": self.endpoint.endpoint,
            "status": self.endpoint.status,
            "native_address": self.endpoint.native_address,
            "internal_address": self.endpoint.internal_address,
            "data_center": self.data_center,
            "rack": self.rack,
            "host_id": self.endpoint.text(ApplicationState::HOST_ID),
            "load": self.endpoint.text(ApplicationState::LOAD),
            "tokens": self.tokens,
        });
        if let Some(name) = hosts.name(self.endpoint.endpoint) {
            member["host_name"] = name.into();
        }
        member
    }
}

/// The second letter of a line; `None` for what is no part of the cluster.
fn state_letter(endpoint: &EndpointModel) -> Option<char> {
    match endpoint.status_kind() {
        StatusKind::Boot | StatusKind::BootReplace => Some('J'),
        StatusKind::Leaving | StatusKind::Removing => Some('L'),
        StatusKind::Moving => Some('M'),
        StatusKind::Normal | StatusKind::Shutdown => Some('N'),
        _ => None,
    }
}

/// The text of a token: Murmur3's where it has the size of one, otherwise its bytes.
fn show_token(token: &[u8]) -> String {
    match token.try_into() {
        Ok(bytes) => i64::from_be_bytes(bytes).to_string(),
        Err(_) => token.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StateModel;

    #[test]
    fn several_tokens_are_counted() {
        let a = member("10.0.0.1:7000", StandingModel::Live, "NORMAL", Some("26204.0"), &[1, 2, 3, 4]);
        let b = member("10.0.0.2:7000", StandingModel::Unreachable, "shutdown", Some("123456.0"), &[5]);
        let mut c = member("10.0.0.10:7000", StandingModel::Unverified, "LEAVING", None, &[6]);
        c.states.iter_mut().find(|state| state.key == 3).unwrap().value = "west".into();
        let expected = "\
Datacenter: dc1
===============
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address    Load        Tokens  Owns  Host ID                               Rack 
UN  10.0.0.1   25.59 KiB   4       ?     7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e  rack1
DN  10.0.0.2   120.56 KiB  1       ?     7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e  rack1

Datacenter: west
================
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address    Load        Tokens  Owns  Host ID                               Rack 
?L  10.0.0.10  ?           1       ?     7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e  rack1

";
        assert_eq!(render(&[c, b, a], Ports::Hidden, &Hosts::default()), expected);
    }

    #[test]
    fn one_token_a_node_is_shown() {
        let a = member("127.0.0.1:7000", StandingModel::Live, "NORMAL", Some("1048576.0"), &[-5]);
        let mut b = member("127.0.0.1:7001", StandingModel::Live, "BOOT", None, &[]);
        b.states[2].value = "93e2f0eb-e71b-4d0d-940f-bd6dd9453e30".into();
        let gone = member("127.0.0.1:7002", StandingModel::Unreachable, "LEFT", None, &[]);
        let expected = "\
Datacenter: dc1
===============
Status=Up/Down
|/ State=Normal/Leaving/Joining/Moving
--  Address         Load   Owns  Host ID                               Token  Rack 
UN  127.0.0.1:7000  1 MiB  ?     7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e  -5     rack1
UJ  127.0.0.1:7001  ?      ?     93e2f0eb-e71b-4d0d-940f-bd6dd9453e30  ?      rack1

";
        let endpoints = [a, b, gone];
        let shown = render(&endpoints, Ports::choose(false, &endpoints), &Hosts::default());
        let table = shown
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("No member any more: 127.0.0.1:7002 (LEFT, "));
        assert_eq!(table.collect::<String>(), expected);
    }

    #[test]
    fn who_has_left_is_told_below_the_table_until_it_is_forgotten() {
        let a = member("10.0.0.1:7000", StandingModel::Live, "NORMAL", None, &[-5]);
        let gone = |address, status: &str, text: &str| {
            let mut gone = member(address, StandingModel::Unreachable, status, None, &[]);
            gone.states.push(StateModel {
                key: ApplicationState::STATUS_WITH_PORT.number(),
                name: "STATUS_WITH_PORT".into(),
                version: 9,
                value: text.into(),
            });
            gone
        };
        let endpoints = [
            gone(
                "10.0.0.3:7000",
                "removed",
                "removed,7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e,18446744073709551615",
            ),
            a,
            gone("10.0.0.2:7000", "LEFT", "LEFT,-5,1900000000000"),
        ];
        let shown = render(&endpoints, Ports::Hidden, &Hosts::default());
        let id = "7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e";
        let expected = format!(
            "\n\nNo member any more: 10.0.0.2 (LEFT, remembered until 2030-03-17T17:46:40.000Z, host id {id})\n\
             No member any more: 10.0.0.3 (removed, host id {id})\n"
        );
        assert!(shown.ends_with(&expected) && !shown.contains("DN"), "{shown}");
        let json: Vec<_> = left(&endpoints).iter().map(|left| left.json(&Hosts::default())).collect();
        assert_eq!(json[0]["until"], "2030-03-17T17:46:40.000Z");
        assert_eq!((&json[1]["until"], &json[1]["status"]), (&serde_json::Value::Null, &"removed".into()));
    }

    #[test]
    fn a_host_id_that_several_live_nodes_have_is_marked() {
        let live = |address| member(address, StandingModel::Live, "NORMAL", None, &[]);
        let gone = member("127.0.0.1:7002", StandingModel::Unreachable, "NORMAL", None, &[]);
        let text = render(&[live("127.0.0.1:7000"), gone.clone()], Ports::Shown, &Hosts::default());
        assert!(!text.contains('!'), "{text}");
        let text =
            render(&[live("127.0.0.1:7000"), live("127.0.0.1:7001"), gone], Ports::Shown, &Hosts::default());
        assert!(text.ends_with("of several live nodes: 127.0.0.1:7000, 127.0.0.1:7001\n"), "{text}");
    }

    #[test]
    fn who_is_only_in_gossip_is_told_apart() {
        let partitioner = gossip_core::CASSANDRA_PARTITIONER;
        let a = member("10.0.0.1:7000", StandingModel::Live, "NORMAL", Some("1048576.0"), &[-5]);
        let mut watching = member("10.0.0.9:7000", StandingModel::Live, "", Some("0.0"), &[]);
        watching.status = None;
        // As earlier releases left, and as real nodes tell it.
        let gone = member("10.0.0.10:7000", StandingModel::Unreachable, "shutdown", Some("0.0"), &[]);
        let endpoints = [a, watching, gone].map(|endpoint| endpoint.in_cluster(partitioner));
        let shown = render(&endpoints, Ports::Hidden, &Hosts::default());
        assert!(shown.contains("\nUN  10.0.0.1 "), "{shown}");
        assert!(!shown.contains("DN"), "{shown}");
        assert!(shown.ends_with("\n\nGossip-only, no members: 10.0.0.9 (up), 10.0.0.10 (down)\n"), "{shown}");
        // In a cluster of ours a status is enough.
        let ours = member("10.0.0.2:7000", StandingModel::Unreachable, "shutdown", None, &[]);
        assert!(!ours.in_cluster(gossip_core::DEFAULT_PARTITIONER).gossip_only);
    }

    #[test]
    fn a_member_that_came_back_at_another_address_is_shown_once() {
        let mut endpoints = [
            member("10.0.0.1:7000", StandingModel::Unreachable, "NORMAL", None, &[]),
            member("10.0.0.2:7000", StandingModel::Live, "NORMAL", None, &[]),
        ];
        EndpointModel::mark_replaced(&mut endpoints);
        assert_eq!(endpoints[0].replaced, None, "neither is newer");
        endpoints[1].generation += 1;
        EndpointModel::mark_replaced(&mut endpoints);
        let shown = render(&endpoints, Ports::Hidden, &Hosts::default());
        assert!(shown.contains("UN  10.0.0.2") && !shown.contains("DN"), "{shown}");
        assert!(
            shown.ends_with("Replaced: 10.0.0.1:7000 by 10.0.0.2:7000, which has its host id\n"),
            "{shown}"
        );
    }

    fn member(
        address: &str,
        standing: StandingModel,
        status: &str,
        load: Option<&str>,
        tokens: &[i64],
    ) -> EndpointModel {
        let state = |key: ApplicationState, value: &str| StateModel {
            key: key.number(),
            name: key.to_string(),
            version: 1,
            value: value.into(),
        };
        let mut states = vec![
            state(ApplicationState::DC, "dc1"),
            state(ApplicationState::RACK, "rack1"),
            state(ApplicationState::HOST_ID, "7d8a9ff0-5ba5-4b39-a8b1-bbcf5a9efb3e"),
        ];
        states.extend(load.map(|load| state(ApplicationState::LOAD, load)));
        if !tokens.is_empty() {
            states.push(state(ApplicationState::TOKENS, &gossip_core::encode_tokens(tokens)));
        }
        EndpointModel { standing, status: Some(status.into()), states, ..EndpointModel::sample(address) }
    }
}
