//! A node of the lab: a child process that runs `gossip run`.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use uuid::Uuid;

use super::{certificates, option_name};
use crate::client::Client;
use crate::commands::run::{RuntimeName, TransportName};
use crate::failure::Failure;

/// How a node of a lab is started.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) interval: Duration,
    pub(super) transport: TransportName,
    pub(super) runtime: RuntimeName,
    pub(super) tls: bool,
    pub(super) dir: PathBuf,
}

/// How long each answer of a node may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many lines of a log are shown.
const TAIL_LINES: usize = 15;

#[derive(Debug)]
pub(super) struct NodeProcess {
    number: u8,
    settings: Settings,
    /// Where it listens, kept from the first start on.
    addresses: Option<Addresses>,
    /// There is one from its start until it was seen to have ended.
    running: Option<Running>,
}

/// Where a node listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Addresses {
    pub(super) gossip: SocketAddr,
    pub(super) admin: SocketAddr,
}

#[derive(Debug)]
struct Running {
    child: Child,
    first_line: Receiver<String>,
    /// Whether the lab has stopped it.
    is_ending: bool,
}

impl NodeProcess {
    pub(super) fn new(number: u8, settings: &Settings) -> Self {
        Self { number, settings: settings.clone(), addresses: None, running: None }
    }

    /// Starts the process: on free ports at first, gossiping on the same one and with the same data afterwards.
    ///
    /// # Errors
    ///
    /// No process can be started.
    pub(super) fn start(&mut self, seed: Option<SocketAddr>) -> Result<(), Failure> {
        let broken = |error| Failure::failed(format!("a node cannot be started: {error}"));
        let listen = match self.addresses {
            Some(Addresses { gossip, .. }) => gossip,
            None => SocketAddr::from((Ipv4Addr::LOCALHOST, kept_port())),
        };
        let log = File::options().create(true).append(true).open(self.log_path()).map_err(broken)?;
        let mut command = Command::new(std::env::current_exe().map_err(broken)?);
        if self.settings.tls {
            let file = |name: &str| self.settings.dir.join(name).into_os_string();
            command
                .args(["run", "--tls", "required"].map(OsStr::new))
                .args([OsStr::new("--tls-cert"), &file(certificates::CERTIFICATE)])
                .args([OsStr::new("--tls-key"), &file(certificates::KEY)])
                .args([OsStr::new("--tls-ca"), &file(certificates::AUTHORITY)]);
        } else {
            command.arg("run");
        }
        command
            .args(["--exit-with-stdin", "--cluster", "gossip lab", "--log-level", "info"])
            .args(["--listen", &listen.to_string(), "--admin", "127.0.0.1:0"])
            .args([OsStr::new("--data-dir"), self.data_dir().as_os_str()])
            .args(["--transport", &option_name(self.settings.transport)])
            .args(["--runtime", &option_name(self.settings.runtime)])
            .args(["--interval", &format!("{}ms", self.settings.interval.as_millis())])
            .args(seed.iter().flat_map(|seed| ["--seed".to_owned(), seed.to_string()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // A signal from the terminal is for the lab, which then stops its nodes.
            .process_group(0);
        let mut child = command.spawn().map_err(broken)?;
        let (sender, first_line) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                // The receiver is gone if the lab has ended.
                let _ = sender.send(read_line(stdout));
            });
        }
        self.running = Some(Running { child, first_line, is_ending: false });
        Ok(())
    }

    /// Where the process listens, once it has said so since its last start.
    pub(super) fn poll_listening(&mut self) -> Option<Addresses> {
        let line = self.running.as_ref()?.first_line.try_recv().ok()?;
        let (gossip, admin) = line.trim().strip_prefix("listening on ")?.split_once(", admin on ")?;
        let addresses = Addresses { gossip: gossip.parse().ok()?, admin: admin.parse().ok()? };
        self.addresses = Some(addresses);
        Some(addresses)
    }

    /// The address under which it gossips.
    pub(super) fn endpoint(&self) -> Option<SocketAddr> {
        Some(self.addresses?.gossip)
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !running.is_ending)
    }

    /// Its admin port.
    ///
    /// # Errors
    ///
    /// It has none yet.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        match self.addresses {
            Some(Addresses { admin, .. }) => Client::new("--admin", &admin.to_string(), PATIENCE),
            None => Err(Failure::failed(format!("{self} does not listen yet"))),
        }
    }

    /// Tells it to stop cleanly.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        if let Some(running) = &mut self.running {
            running.is_ending = true;
        }
        self.client()?.stop().map(drop)
    }

    /// Kills it, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let killed = running.child.kill().and_then(|()| running.child.wait());
        killed.map(drop).map_err(|error| Failure::failed(format!("{self} cannot be killed: {error}")))
    }

    /// Has it stop cleanly, without waiting for it.
    pub(super) fn dismiss(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_ending = true;
            // A node of the lab stops when its standard input ends.
            drop(running.child.stdin.take());
        }
    }

    /// How it ended, once it has.
    pub(super) fn poll_ended(&mut self) -> Option<ExitStatus> {
        let status = self.running.as_mut()?.child.try_wait().ok()??;
        self.running = None;
        Some(status)
    }

    /// How it ended, if the lab did not stop it.
    pub(super) fn ended_by_itself(&mut self) -> Option<ExitStatus> {
        if self.is_running() { self.poll_ended() } else { None }
    }

    /// The last lines that it logged.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.settings.dir.join(format!("node-{}.log", self.number))
    }

    fn data_dir(&self) -> PathBuf {
        self.settings.dir.join(format!("node-{}", self.number))
    }
}

/// A free port that still is free after the node was down: below those that systems give to connections, and to programs that ask for any.
/// While nodes of other labs or tests open connections, one of those would be gone by then.
fn kept_port() -> u16 {
    let random = || Uuid::new_v4().as_u64_pair().0 % 12_000;
    let ports = core::iter::repeat_with(|| 20_000 + u16::try_from(random()).unwrap_or(0)).take(100);
    let mut free = ports.filter(|port| {
        let address = (Ipv4Addr::LOCALHOST, *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    });
    free.next().unwrap_or(0)
}

/// Ends the process: cleanly if it is quick about it.
impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.dismiss();
        let Some(Running { child, .. }) = &mut self.running else { return };
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(1) + self.settings.interval * 3 {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // It may have ended just now.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl fmt::Display for NodeProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.number)
    }
}

/// The first line, which is the only one. An error leaves it empty, and the process is seen to have ended.
fn read_line(stdout: ChildStdout) -> String {
    let mut line = String::new();
    let _ = BufReader::new(stdout).read_line(&mut line);
    line
}
