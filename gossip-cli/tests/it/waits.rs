//! Every wait ends: with what was waited for, with the reader, or with a message in time.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Instant;

use gossip_tokio::{ApplicationState, Builder, Detector, Handle, Snapshot};

use crate::node::{Node, PATIENCE, command, gossip, refused, until};

#[test]
fn a_watch_ends_when_nobody_reads_it_though_nothing_changes() {
    let node = Node::start(&[]);
    let seed = node.gossip.to_string();
    let admin = node.admin.to_string();
    let by_gossip = ["watch", "--seed", &seed, "--cluster", "Test Cluster"];
    for args in [&["watch", "--admin", &admin][..], &by_gossip] {
        let mut watch = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(watch.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.contains("watching"), "{line:?}");
        assert!(watch.try_wait().unwrap().is_none(), "its output is read");
        drop(lines);
        assert_eq!(exit_code(&mut watch), Some(0), "{args:?}");
        let mut said = String::new();
        BufReader::new(watch.stderr.take().unwrap()).read_line(&mut said).unwrap();
        // Beside other nodes of its machine it may warn.
        assert!(!said.contains("error"), "it is no error: {said}");
    }
}

#[test]
fn a_node_that_takes_connections_and_hangs_is_told_in_the_time_that_was_given() {
    // The system takes connections for it.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = hangs.local_addr().unwrap().to_string();
    let commands: [&[&str]; 14] = [
        &["gossipinfo"],
        &["status"],
        &["describecluster"],
        &["failuredetector"],
        &["info"],
        &["watch"],
        &["set", "1000=x"],
        &["stopdaemon"],
        &["decommission"],
        &["assassinate", "10.0.0.1"],
        &["statusgossip"],
        &["disablegossip"],
        &["enablegossip"],
        &["getseeds"],
    ];
    // A process has to connect within that time, on a busy machine too.
    let admin = &admin;
    thread::scope(|scope| {
        for args in commands {
            scope.spawn(move || {
                let line = refused(1, &[args, &["--admin", admin, "--timeout", "5s"]].concat());
                let words = "takes the connection, and does not answer within 5s";
                assert!(line.contains(words) && !line.contains("is it running"), "{args:?}: {line}");
            });
        }
    });
}

#[test]
fn a_stranger_is_not_assassinated_by_mistake() {
    let node = Node::start(&[]);
    let refused = node.ask(&["assassinate", "10.0.0.7:7000"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(
        refused.stderr.contains("not known here") && refused.stderr.contains("--force"),
        "{}",
        refused.stderr
    );
    assert_eq!(node.endpoints().len(), 1, "there is no phantom");
    let done = node.ask(&["assassinate", "10.0.0.7:7000", "--force"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "10.0.0.7:7000 is declared as left.\n"));
    assert_eq!(node.endpoints().len(), 2);
}

/// How many values each member publishes, and how many members there are: together more changes than wait for a subscriber.
const VALUES: i32 = 230;
const MEMBERS: usize = 20;

#[test]
fn a_member_that_knows_more_than_any_queue_holds_is_asked() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let hub = runtime.block_on(start(None));
    let members: Vec<Handle> =
        (0..MEMBERS).map(|_| runtime.block_on(start(Some(hub.listen_address())))).collect();
    let knows_all = |now: &Snapshot| {
        now.live_count() == MEMBERS + 1
            && now.endpoints().all(|known| known.states.len() > usize::try_from(VALUES).unwrap())
    };
    let mut view = hub.view().wait().unwrap();
    view.wait_until(PATIENCE, knows_all).expect("in time").unwrap();
    assert!(MEMBERS * usize::try_from(VALUES).unwrap() > gossip_adapter::EVENTS);

    let seed = hub.listen_address().to_string();
    for what in ["gossipinfo", "status", "describecluster"] {
        let ask = [what, "--seed", &seed, "--cluster", "Test Cluster", "--timeout", "60s"];
        let asked = gossip(&ask);
        assert_eq!((asked.code, asked.stderr.as_str()), (Some(0), ""), "{what}");
        if what == "gossipinfo" {
            let values = asked.stdout.lines().filter(|line| line.ends_with(":value")).count();
            assert_eq!(values, (MEMBERS + 1) * usize::try_from(VALUES).unwrap());
        }
    }
    drop((members, hub));
}

async fn start(seed: Option<SocketAddr>) -> Handle {
    let mut builder = Builder::new("Test Cluster")
        .listen("127.0.0.1:0".parse().unwrap())
        .interval(Duration::from_millis(100))
        .detector(Detector { phi_convict_threshold: 1_000.0, ..Detector::default() })
        .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0")
        .tune(|config| config.change_limits(|limits| limits.max_states = 250));
    if let Some(seed) = seed {
        builder = builder.seed(seed);
    }
    for number in 0..VALUES {
        builder = builder.state(ApplicationState::new(1_000 + number), "value");
    }
    builder.start().await.unwrap().0
}

fn exit_code(child: &mut Child) -> Option<i32> {
    until("it ends", || child.try_wait().unwrap()).code()
}

#[test]
fn a_command_that_waits_for_a_node_does_not_take_its_silence_for_the_end() {
    let node = Node::start(&[]);
    let admin = node.admin.to_string();
    let mut stop = command(&["stopdaemon", "--admin", &admin, "--timeout", "300ms"]);
    crate::node::signal("STOP", node.child.id());
    let began = Instant::now();
    let stopped = stop.output().unwrap();
    assert_eq!(stopped.status.code(), Some(1), "it hangs: {stopped:?}");
    assert!(began.elapsed() < PATIENCE);
    crate::node::signal("CONT", node.child.id());
    thread::yield_now();
    assert_eq!(gossip(&["stopdaemon", "--admin", &admin]).code, Some(0));
}
