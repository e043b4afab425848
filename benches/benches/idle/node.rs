//! The process that is measured: one node, and nothing else.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use gossip_adapter::Handle;
use gossip_core::{ConfigBuilder, Event, Standing, Transport};

use crate::adapters::{self, Adapter, Spec};
use crate::secured::Keys;
use crate::world::CLUSTER;

/// The argument that makes this program such a process.
pub(crate) const ARGUMENT: &str = "--be-the-node";

/// Is the node: says where it listens, then answers each line with a [`Report`], and ends when its input does.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [adapter, seed, interval, rest @ ..] = arguments else {
        return Err("not enough is said of the node".into());
    };
    let adapter = Adapter::find(adapter).ok_or("no such adapter")?;
    let tls = match rest {
        [] => None,
        [keys, ..] => Some(Keys::parse(keys).ok_or("no keys")?.node()?),
    };
    let (seed, interval) = (Some(seed.parse()?), Duration::from_millis(interval.parse()?));
    let tune = move |config: ConfigBuilder| match tls {
        Some(tls) => config.tls(tls),
        None => config,
    };
    let transport = Transport::Internode;
    let spec = Spec { cluster: CLUSTER, seed, interval, transport, tune: Box::new(tune) };
    let (handle, mut events) = adapters::start(adapter, spec)?;
    let downs = Arc::new(AtomicU64::new(0));
    let counter = downs.clone();
    // In a steady cluster there are no events, so this costs nothing.
    thread::spawn(move || {
        loop {
            match events.wait() {
                Ok(Event::Down { .. }) => _ = counter.fetch_add(1, Ordering::Relaxed),
                Err(gossip_adapter::EventsError::Stopped) => return,
                Ok(_) | Err(_) => {}
            }
        }
    });
    println!("{}", handle.listen_address());
    for line in io::stdin().lines() {
        line?;
        println!("{}", report(&handle, downs.load(Ordering::Relaxed))?);
    }
    Ok(())
}

fn report(handle: &Handle, downs: u64) -> Result<String, Box<dyn std::error::Error>> {
    let known = handle.endpoints().wait()?;
    let live = known.iter().filter(|info| !info.is_local && info.standing == Standing::Live).count();
    let stats = handle.stats().wait()?;
    let troubles = stats.malformed
        + stats.corrupt_frames
        + stats.unrequested_states
        + stats.connections_failed
        + stats.connections_refused
        + stats.tls_failed
        + stats.timeouts
        + stats.messages_dropped
        + stats.exchanges_dropped
        + stats.probes_failed;
    Ok(format!("{live} {downs} {troubles}"))
}

/// What the node says of itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Report {
    /// How many others it finds live.
    pub(crate) live: u64,
    /// How often an endpoint ceased to be so.
    pub(crate) downs: u64,
    /// How often something came to it, or was to go out, that was of no use.
    pub(crate) troubles: u64,
}

/// Such a process, seen from the one that started it. It ends at the latest when that does.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(
        adapter: Adapter,
        seed: SocketAddr,
        interval: Duration,
        keys: Option<&Keys>,
    ) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .args([adapter.name(), &seed.to_string(), &interval.as_millis().to_string()])
            .args(keys.map(Keys::word))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().expect("it is piped");
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self) -> io::Result<()> {
        self.child.stdin.as_mut().expect("it is piped").write_all(b"\n")
    }

    /// What it has said, if it has.
    pub(crate) fn line(&self) -> io::Result<Option<String>> {
        match self.lines.try_recv() {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err(io::Error::other("the node has ended")),
        }
    }
}

impl Report {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { live: next()?, downs: next()?, troubles: next()? })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be over already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
