//! Every command in every phase of a node: it is carried out, or refused with a reason. Each cell of the table is a node of its
//! own, whose time is moved by hand, behind an admin port of its own.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use gossip_adapter::{ApplicationState, Builder, Handle, Phase, Prepared, Runtime, StartError, Timestamp};
use gossip_core::{Event, Input, Node as CoreNode, Output};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use super::options::Options;
use crate::admin::{self, Admin, Assassinations};
use crate::client::Client;
use crate::failure::Failure;
use crate::load::Load;
use crate::log::LogDropped;
use crate::node::Node;

const PHASES: [Phase; 8] = [
    Phase::Asking,
    Phase::Running,
    Phase::Leaving,
    Phase::Left,
    Phase::Disabling,
    Phase::Disabled,
    Phase::Stopping,
    Phase::Stopped,
];

const KNOWN: &str = "10.0.0.2:7000";
const UNKNOWN: &str = "10.0.0.3:7000";

/// A command, and for each phase nothing if it is carried out, or what the refusal must say.
type Row = (&'static str, fn(&Client) -> Result<(), Failure>, [&'static str; 8]);

const GONE: &str = "the node has stopped";
const NOT_YET: &str = "still asks its seeds";
const LEAVES: &str = "leaving";
const DISABLED: &str = "gossip is disabled";
const STOPS: &str = "stopping";
const NO_SEEDS: &str = "no file of seeds";
const NO_KEYS: &str = "no file of keys";
const STRANGER: &str = "is not known here";

const TABLE: [Row; 14] = [
    ("gossipinfo", |client| client.endpoints().map(drop), ["", "", "", "", "", "", "", GONE]),
    ("info", |client| client.node().map(drop), ["", "", "", "", "", "", "", GONE]),
    ("counters", |client| client.counters().map(drop), ["", "", "", "", "", "", "", GONE]),
    ("getseeds", |client| client.seeds().map(drop), ["", "", "", "", "", "", "", GONE]),
    ("watch", watch, ["", "", "", "", "", "", "", GONE]),
    ("set", |client| client.set("1000", "x").map(drop), ["", "", "", "has left", "", "", STOPS, GONE]),
    ("stopdaemon", |client| client.stop().map(drop), ["", "", "", "", "", "", "", ""]),
    (
        "decommission",
        |client| client.decommission().map(drop),
        [NOT_YET, "", LEAVES, "has left", DISABLED, DISABLED, STOPS, GONE],
    ),
    (
        "disablegossip",
        |client| client.set_gossip(false).map(drop),
        ["joining", "", LEAVES, LEAVES, "", "", STOPS, "has stopped"],
    ),
    (
        "enablegossip",
        |client| client.set_gossip(true).map(drop),
        ["asking its seeds", "", "", STOPS, "", "", STOPS, "has stopped"],
    ),
    (
        "assassinate",
        |client| client.assassinate(parse(KNOWN), false).map(drop),
        [NOT_YET, "", LEAVES, "has left", DISABLED, DISABLED, STOPS, GONE],
    ),
    (
        "assassinate of a stranger",
        |client| client.assassinate(parse(UNKNOWN), false).map(drop),
        [STRANGER, STRANGER, STRANGER, STRANGER, STRANGER, STRANGER, STRANGER, GONE],
    ),
    ("reloadseeds", |client| client.reload_seeds().map(drop), [NO_SEEDS; 8]),
    ("reloadkeys", |client| client.reload_keys().map(drop), [NO_KEYS; 8]),
];

#[test]
fn every_command_in_every_phase_is_carried_out_or_refused_with_a_reason() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut wrong = Vec::new();
    for (command, ask, expected) in TABLE {
        for (phase, expected) in PHASES.into_iter().zip(expected) {
            let driven = Driven::new(phase);
            let client = runtime.block_on(driven.serve());
            let said = ask(&client);
            let is_right = match &said {
                Ok(()) => expected.is_empty(),
                Err(Failure::Failed(why)) => !expected.is_empty() && why.contains(expected),
                Err(_) => false,
            };
            if !is_right {
                wrong.push(format!("{command} while {phase:?}: {said:?}, not {expected:?}"));
            }
            // What was refused has changed nothing.
            if !expected.is_empty() {
                assert_eq!(driven.phase(), phase, "{command}");
            }
            driven.thread_ends();
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_a_command_has_done_shows_in_the_phase() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (from, to, active) in [
        (Phase::Running, Phase::Disabling, false),
        (Phase::Disabling, Phase::Running, true),
        (Phase::Disabled, Phase::Running, true),
    ] {
        let driven = Driven::new(from);
        let client = runtime.block_on(driven.serve());
        client.set_gossip(active).unwrap();
        assert_eq!(driven.phase(), to, "{from:?}");
        driven.thread_ends();
    }
    let driven = Driven::new(Phase::Running);
    runtime.block_on(driven.serve()).decommission().unwrap();
    assert_eq!(driven.phase(), Phase::Leaving);
}

fn watch(client: &Client) -> Result<(), Failure> {
    let mut line = String::new();
    client.watch()?.read_line(&mut line).unwrap();
    assert!(line.contains("watching"), "{line:?}");
    Ok(())
}

fn parse(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A runtime in which nothing runs by itself.
enum ByHand {}

impl Runtime for ByHand {
    type Start<M: 'static> = Result<Prepared<M>, StartError>;

    fn start<M: 'static>(builder: Builder<Self, M>) -> Self::Start<M> {
        builder.prepare(SocketAddr::from((Ipv4Addr::LOCALHOST, 7_000)))
    }
}

/// A node on a thread of its own, whose clock stands still unless the test moves it.
struct Driven {
    handle: Handle,
    millis: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

impl Driven {
    /// A node in that phase.
    fn new(phase: Phase) -> Self {
        let mut builder = Builder::<ByHand>::new("Test Cluster")
            .state(ApplicationState::STATUS_WITH_PORT, "NORMAL,0")
            .saved_endpoint(parse(KNOWN));
        if phase == Phase::Asking {
            builder = builder
                .seed(parse(KNOWN))
                .tune(|config| config.change_membership(|membership| membership.shadow_round = true));
        }
        let prepared = builder.start().unwrap();
        let (handle, millis) = (prepared.handle.clone(), Arc::new(AtomicU64::new(0)));
        let now = millis.clone();
        let thread = thread::spawn(move || drive(prepared, &now));
        let driven = Self { handle, millis, thread };
        match phase {
            Phase::Leaving | Phase::Left => drop(driven.handle.leave()),
            Phase::Disabling | Phase::Disabled => driven.handle.disable().wait().unwrap(),
            Phase::Stopping | Phase::Stopped => drop(driven.handle.shutdown()),
            _ => {}
        }
        let began = Instant::now();
        while driven.phase() != phase {
            assert!(began.elapsed() < Duration::from_secs(60), "{phase:?} does not come");
            driven.millis.fetch_add(100, Ordering::SeqCst);
        }
        driven
    }

    fn phase(&self) -> Phase {
        self.handle.phase().wait().unwrap_or(Phase::Stopped)
    }

    /// Opens an admin port for it.
    async fn serve(&self) -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = ["gossip", "run", "--seed", KNOWN];
        let crate::Command::Run(args) = crate::Cli::parse_from(line).command else { panic!("it is `run`") };
        let options = Options::new(*args).unwrap();
        let admin = Admin {
            handle: self.handle.common(),
            load: Arc::new(Load::new(&[])),
            log_dropped: LogDropped::none(),
            node: Node::Member(self.handle.clone()),
            names: options.names.clone(),
            cluster: options.cluster.clone(),
            partitioner: options.partitioner().into(),
            host_id: Uuid::nil(),
            interval: options.interval,
            phi: 8.0,
            started: Instant::now(),
            address,
            token: None,
            seeds: options.seeds.clone(),
            allowed: options.allowed.clone(),
            keys: None,
            tls: None,
            assassinations: Assassinations::default(),
            stop: Arc::default(),
            leaving: Arc::default(),
        };
        tokio::spawn(admin::serve(listener, Arc::new(admin), Arc::new(Notify::new())));
        Client::new("--admin", &address.to_string(), Duration::from_secs(60)).unwrap()
    }

    fn thread_ends(self) {
        drop(self.handle.abandon());
        self.thread.join().unwrap();
    }
}

fn drive(prepared: Prepared, millis: &AtomicU64) {
    let Prepared { mut node, mut mailbox, handle, .. } = prepared;
    drop(handle);
    let mut buffer = vec![0; CoreNode::MIN_BUFFER];
    mailbox.register(&gossip_adapter::this_thread());
    loop {
        let now = Timestamp::from_millis(millis.load(Ordering::SeqCst));
        node.handle_input(now, Input::Timeout);
        mailbox.run(&mut node, now);
        loop {
            match node.poll(&mut buffer) {
                Output::Connect { connection, .. } => node.handle_input(now, Input::Failed { connection }),
                Output::Event(event) => {
                    mailbox.publish(&node, event);
                    if event == Event::Stopped {
                        return;
                    }
                }
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        mailbox.settle(&node);
        if mailbox.is_empty() {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}
