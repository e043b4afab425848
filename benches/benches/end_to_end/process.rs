//! The process that is measured: a node, or the bare loop beside it.

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use cpu_time::ProcessTime;
use gossip_benches::messages::CLUSTER;
use gossip_core::{ConfigBuilder, Datagrams, Detector, Standing, Transport};

use crate::adapters::{self, Adapter, Spec};
use crate::bare;

/// The argument that makes this program such a process.
pub(crate) const ARGUMENT: &str = "--be-the-server";

/// The gossip interval of the node. Its rounds cost little beside the exchanges that are measured.
const INTERVAL: Duration = Duration::from_millis(200);

/// What runs in the process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Node,
    Bare,
}

/// Is the server: prints where it listens, answers each line with a [`Report`], and ends when its input does.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [kind, adapter, transport] = arguments else { return Err("three arguments are needed".into()) };
    let adapter = Adapter::find(adapter).ok_or("no such adapter")?;
    let is_datagram = transport == "datagram";
    if kind == "bare" {
        println!("{}", bare::start(adapter, is_datagram)?);
        for line in io::stdin().lines() {
            line?;
            println!("{}", Report { live: 0, cpu: ProcessTime::now().as_duration() });
        }
        return Ok(());
    }
    let tune = |config: ConfigBuilder| {
        config
            // No budget is to be measured.
            .datagrams(Datagrams { max_rate: u32::MAX, ..Datagrams::default() })
            // Heartbeats come in bursts here, and no peer but the client is there to be asked.
            .detector(Detector {
                phi_convict_threshold: 1_000.0,
                probe_after: Some(Duration::MAX),
                ..Detector::default()
            })
    };
    let transport = if is_datagram { Transport::Datagram } else { Transport::Internode };
    let spec = Spec { cluster: CLUSTER, seed: None, interval: INTERVAL, transport, tune: Box::new(tune) };
    // Events that are not read are dropped.
    let (handle, _events) = adapters::start(adapter, spec)?;
    println!("{}", handle.listen_address());
    for line in io::stdin().lines() {
        line?;
        let known = handle.endpoints().wait()?;
        let live = known.iter().filter(|info| !info.is_local && info.standing == Standing::Live).count();
        println!("{}", Report { live, cpu: ProcessTime::now().as_duration() });
    }
    Ok(())
}

/// Such a process, seen from the one that started it. It ends at the latest when that does.
pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) fn start(kind: Kind, adapter: Adapter, is_datagram: bool) -> Result<Self, Box<dyn Error>> {
        let kind = match kind {
            Kind::Node => "node",
            Kind::Bare => "bare",
        };
        let transport = if is_datagram { "datagram" } else { "internode" };
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, kind, adapter.name(), transport])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        Ok(Self { child, lines, address: line.trim().parse()? })
    }

    /// Asks for a report.
    pub(crate) fn report(&mut self) -> Result<Report, Box<dyn Error>> {
        self.child.stdin.as_mut().ok_or("no input")?.write_all(b"\n")?;
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        Ok(Report::parse(&line).ok_or("the server has ended")?)
    }
}

/// What the server says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    /// How many endpoints the node finds live.
    pub(crate) live: usize,
    /// Processor time that the process has used.
    pub(crate) cpu: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.live, self.cpu.as_nanos())
    }
}

impl Report {
    fn parse(line: &str) -> Option<Self> {
        let (live, nanos) = line.trim().split_once(' ')?;
        Some(Self { live: live.parse().ok()?, cpu: Duration::from_nanos(nanos.parse().ok()?) })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
