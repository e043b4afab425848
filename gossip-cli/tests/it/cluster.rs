//! A cluster run by hand, and everything that can be asked of it.

use serde_json::json;

use crate::node::{cluster, loopback, signal, until};

#[test]
fn three_nodes_answer_like_nodetool() {
    let nodes = cluster(3, &["--state", "1000=ROLE", "--set", "ROLE=worker", "--dc", "east", "--rack", "r7"]);
    let [first, second, third] = &nodes[..] else { panic!("three nodes") };
    let mut sorted: Vec<_> = nodes.iter().map(|node| node.gossip).collect();
    sorted.sort_unstable();

    let info = first.ask(&["gossipinfo"]);
    assert_eq!((info.code, info.stderr.as_str()), (Some(0), ""));
    // All share an address, so their ports are shown.
    let heads: Vec<_> = info.stdout.lines().filter(|line| line.starts_with('/')).map(String::from).collect();
    assert_eq!(heads, sorted.iter().map(|address| format!("/{address}")).collect::<Vec<_>>());
    assert!(info.stdout.ends_with(":<hidden>\n\n"), "{}", info.stdout);
    for line in ["  DC:5:east", "  RACK:6:r7", "  NET_VERSION:1:13", "  RPC_READY:7:false", "  ROLE:8:worker"]
    {
        assert_eq!(info.stdout.lines().filter(|other| *other == line).count(), 3, "{line}: {}", info.stdout);
    }
    assert_eq!(first.ask(&["gossipinfo", "-pp"]).code, Some(0));

    until("all are up in the table", || {
        let status = first.ask(&["status"]).stdout;
        let lines: Vec<_> = status.lines().collect();
        assert_eq!(&lines[..3], ["Datacenter: east", "================", "Status=Up/Down"]);
        (lines.iter().filter(|line| line.starts_with(&format!("UN  {}:", loopback()))).count() == 3)
            .then_some(())
    });

    until("both others have a phi", || {
        let detector = first.ask(&["failuredetector"]).stdout;
        assert!(detector.starts_with("  Endpoint,             Phi\n"), "{detector}");
        (detector.lines().count() == 3).then_some(())
    });

    let set = second.ask(&["set", "ROLE=leader"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    until("the others see the new role", || {
        let seen = third.endpoint(second.gossip)?;
        let role = seen["states"].as_array()?.iter().find(|state| state["name"] == "ROLE")?.clone();
        (role["value"] == "leader").then_some(())
    });
    assert_eq!(second.ask(&["set", "TOKENS=x"]).code, Some(1));
    assert_eq!(second.ask(&["set", "NOPE=x"]).code, Some(1));
}

#[test]
fn a_node_that_stops_is_shown_as_stopped() {
    let mut nodes = cluster(3, &[]);
    let mut last = nodes.pop().unwrap();
    let stopped = last.ask(&["stopdaemon"]);
    assert_eq!((stopped.code, stopped.stdout), (Some(0), format!("{} has shut down.\n", last.gossip)));
    assert_eq!(last.wait(), Some(0));
    for node in &nodes {
        let seen = until("it is down", || {
            node.endpoint(last.gossip).filter(|seen| seen["standing"] == "unreachable")
        });
        assert_eq!((&seen["status"], &seen["heartbeat"]), (&json!("shutdown"), &json!(i32::MAX)));
        let status = node.ask(&["status"]).stdout;
        assert!(status.lines().any(|line| line.starts_with(&format!("DN  {}", last.gossip))), "{status}");
    }
}

#[test]
fn signals_stop_a_node_in_good_order() {
    for name in ["TERM", "INT"] {
        let mut nodes = cluster(2, &[]);
        let mut last = nodes.pop().unwrap();
        signal(name, last.child.id());
        assert_eq!(last.wait(), Some(0), "{}", last.log());
        until("its shutdown was heard", || {
            nodes[0].endpoint(last.gossip).filter(|seen| seen["status"] == "shutdown")
        });
    }
}

#[test]
fn a_node_ends_with_its_standard_input() {
    let mut node = cluster(1, &[]).pop().unwrap();
    drop(node.child.stdin.take());
    assert_eq!(node.wait(), Some(0));
}

#[test]
fn the_admin_port_speaks_http_to_this_machine_only() {
    let node = cluster(1, &[]).pop().unwrap();
    let host = format!("host: {}", node.admin);
    let json = "content-type: application/json";
    let (status, body) = node.http(&["GET /v1/node HTTP/1.1", &host], "");
    assert_eq!(status, 200);
    assert_eq!(body["endpoint"], node.gossip.to_string());
    assert_eq!(body["cluster"], "Test Cluster");
    let (status, body) = node.http(&["GET /v1/endpoints HTTP/1.1", &host], "");
    assert_eq!((status, body[0]["local"].as_bool()), (200, Some(true)));
    let (status, body) =
        node.http(&["POST /v1/states HTTP/1.1", &host, json], "{\"key\": \"10\", \"value\": \"0.5\"}");
    assert_eq!((status, body["name"].as_str()), (200, Some("SEVERITY")));

    let rebound = format!("host: evil.example:{}", node.admin.port());
    for (expected, head, body) in [
        (403, &["GET /v1/node HTTP/1.1", &rebound][..], ""),
        (403, &["POST /v1/stop HTTP/1.1", &rebound], ""),
        (403, &["POST /v1/stop HTTP/1.1", &host, "origin: https://evil.example"], ""),
        (404, &["GET /v2 HTTP/1.1", &host], ""),
        (405, &["GET /v1/stop HTTP/1.1", &host], ""),
        (415, &["POST /v1/states HTTP/1.1", &host], "{}"),
        (400, &["POST /v1/states HTTP/1.1", &host, json], "{"),
        (422, &["POST /v1/states HTTP/1.1", &host, json], "{\"key\": \"LOAD\"}"),
        (400, &["POST /v1/states HTTP/1.1", &host, json], "{\"key\": \"NOPE\", \"value\": \"\"}"),
        (409, &["POST /v1/states HTTP/1.1", &host, json], "{\"key\": \"HOST_ID\", \"value\": \"\"}"),
    ] {
        let (status, answer) = node.http(head, body);
        assert_eq!(status, expected, "{head:?} {body}: {answer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
}
