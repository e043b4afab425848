//! Running the command from tests.

use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicU16, Ordering};
use core::time::Duration;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use serde_json::Value;

/// Short, so that tests are quick; twenty of them still pass before anybody is convicted.
pub(crate) const INTERVAL: &str = "200ms";
/// For whatever should happen soon, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static LOOPBACK: Ipv4Addr = next_loopback();
}

/// An address of this machine that this test alone uses. All nodes are of one cluster by their name: if the port of a node that has ended
/// went to a node of another test, the two clusters would become one.
pub(crate) fn loopback() -> Ipv4Addr {
    LOOPBACK.with(|address| *address)
}

fn next_loopback() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [_, _, _, process] = std::process::id().to_be_bytes();
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let own = Ipv4Addr::new(127, 100 + process % 100, 1 + high, low);
    // Some systems have the usual one alone.
    if TcpListener::bind((own, 0)).is_ok() { own } else { Ipv4Addr::LOCALHOST }
}

/// A port of that address without a listener.
pub(crate) fn free_address() -> String {
    TcpListener::bind((loopback(), 0)).unwrap().local_addr().unwrap().to_string()
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossip"));
    command
        .args(args)
        .env_remove("RUST_LOG")
        .env_remove("GOSSIP_ADMIN")
        .env_remove("GOSSIP_TOKEN")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

pub(crate) fn gossip(args: &[&str]) -> Output {
    let output = command(args).output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that must fail with `code`, and returns the one line that it says.
pub(crate) fn refused(code: i32, args: &[&str]) -> String {
    let output = gossip(args);
    assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
    assert_eq!(output.stdout, "", "{args:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{args:?}: {}", output.stderr);
    assert!(output.stderr.starts_with("error: "), "{args:?}: {}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{args:?}: {}", output.stderr);
    output.stderr
}

/// Asks until `look` has an answer.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited too long: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn signal(name: &str, pid: u32) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(sent.success());
}

/// A running node, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) child: Child,
    pub(crate) gossip: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Node {
    /// Starts a node on free ports.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_at(&format!("{}:0", loopback()), args)
    }

    pub(crate) fn start_at(listen: &str, args: &[&str]) -> Self {
        Self::spawn(command(&[]), listen, args)
    }

    /// Starts a node that may have so many open files, and cannot raise that.
    pub(crate) fn start_with_open_files(limit: u32, args: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_gossip")]);
        Self::spawn(shell, &format!("{}:0", loopback()), args)
    }

    /// Starts a node that looks names up in a file of its own instead of /etc/hosts; `None` where the system does not allow that.
    pub(crate) fn start_with_hosts(hosts: &std::path::Path, listen: &str, args: &[&str]) -> Option<Self> {
        let script = "mount --bind \"$HOSTS\" /etc/hosts";
        let is_allowed =
            Command::new("unshare").args(["-m", "sh", "-c", script]).env("HOSTS", hosts).output();
        if !is_allowed.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut shell = Command::new("unshare");
        let script = format!("{script} && exec \"$0\" \"$@\"");
        shell.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_gossip")]).env("HOSTS", hosts);
        Some(Self::spawn(shell, listen, args))
    }

    pub(crate) fn spawn(mut command: Command, listen: &str, args: &[&str]) -> Self {
        let run = ["run", "--listen", listen, "--admin", "127.0.0.1:0"];
        let interval = if args.contains(&"--interval") { &[][..] } else { &["--interval", INTERVAL] };
        let mut child = command
            .args(run)
            .args(interval)
            .arg("--exit-with-stdin")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut stderr, shared) = (child.stderr.take().unwrap(), log.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = stderr.read(&mut buffer) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..len]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses =
            line.trim_end().strip_prefix("listening on ").and_then(|rest| rest.split_once(", admin on "));
        let Some((gossip, admin)) = addresses else {
            thread::sleep(Duration::from_millis(200));
            panic!("no node: {line:?}, log: {}", log.lock().unwrap());
        };
        Self { gossip: gossip.parse().unwrap(), admin: admin.parse().unwrap(), child, log }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The first line of the log with all of `words` in it.
    pub(crate) fn wait_for_log(&self, words: &[&str]) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| words.iter().all(|word| line.contains(word))) {
                return line.to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "no line with {words:?} in the log:\n{log}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a client command on this node.
    pub(crate) fn ask(&self, args: &[&str]) -> Output {
        let admin = self.admin.to_string();
        gossip(&[args, &["--admin", &admin]].concat())
    }

    /// Everything that the node knows.
    pub(crate) fn endpoints(&self) -> Vec<Value> {
        let output = self.ask(&["gossipinfo", "--format", "json"]);
        assert_eq!(output.code, Some(0), "{output:?}");
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// How many endpoints it shows as members that are up.
    pub(crate) fn count_up(&self) -> usize {
        let is_up = |endpoint: &&Value| endpoint["standing"] == "live" && endpoint["status"] == "NORMAL";
        self.endpoints().iter().filter(is_up).count()
    }

    /// What it shows of another.
    pub(crate) fn endpoint(&self, address: SocketAddr) -> Option<Value> {
        self.endpoints().into_iter().find(|endpoint| endpoint["endpoint"] == address.to_string())
    }

    /// Waits for the end, and returns the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        until("the process ends", || self.child.try_wait().unwrap()).code()
    }

    /// Sends a request as it is, with the given line ends, and returns status code and body.
    pub(crate) fn http(&self, head: &[&str], body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = format!("content-length: {}", body.len());
        let head = [head, &[&length, "connection: close", "", ""]].concat().join("\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("log of {}:\n{}", self.gossip, self.log());
        }
    }
}

/// Starts a cluster, and waits until all show all UP.
pub(crate) fn cluster(count: usize, args: &[&str]) -> Vec<Node> {
    let mut nodes = vec![Node::start(args)];
    let seed = nodes[0].gossip.to_string();
    for _ in 1..count {
        nodes.push(Node::start(&[args, &["--seed", &seed]].concat()));
    }
    for node in &nodes {
        until("all nodes are up", || (node.count_up() == count).then_some(()));
    }
    nodes
}
