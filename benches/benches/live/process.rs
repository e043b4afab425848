//! The processes that hold the nodes, seen from the one that started them.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use crate::adapters::Adapter;
use crate::trial::Run;

/// The argument that makes this program such a process.
pub(crate) const ARGUMENT: &str = "--hold-nodes";

/// What a process is to hold.
pub(crate) struct Crew {
    pub(crate) run: Run,
    pub(crate) count: u32,
    /// The seed of all nodes. If there is none, the first node is the seed of the others.
    pub(crate) seed: Option<SocketAddr>,
}

impl Crew {
    pub(crate) fn parse(words: &[String]) -> Option<Self> {
        let [adapter, is_datagram, nodes, interval, within, count, seed @ ..] = words else { return None };
        let run = Run {
            adapter: Adapter::find(adapter)?,
            is_datagram: is_datagram.parse().ok()?,
            nodes: nodes.parse().ok()?,
            interval: Duration::from_micros(interval.parse().ok()?),
            within: Duration::from_micros(within.parse().ok()?),
        };
        let seed = match seed {
            [] => None,
            [seed, ..] => Some(seed.parse().ok()?),
        };
        Some(Self { run, count: count.parse().ok()?, seed })
    }

    fn words(&self) -> Vec<String> {
        let Run { adapter, is_datagram, nodes, interval, within } = self.run;
        let mut words = vec![
            adapter.name().to_owned(),
            is_datagram.to_string(),
            nodes.to_string(),
            interval.as_micros().to_string(),
            within.as_micros().to_string(),
            self.count.to_string(),
        ];
        words.extend(self.seed.map(|seed| seed.to_string()));
        words
    }
}

/// What the nodes of a process have counted, all together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Connections that were dialled or accepted since the start.
    pub(crate) dials: u64,
    pub(crate) timeouts: u64,
    /// Connections that are open now.
    pub(crate) connections: u64,
    /// By how much the memory of the process has grown since it had no nodes.
    pub(crate) memory_kb: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.dials += other.dials;
        self.timeouts += other.timeouts;
        self.connections += other.connections;
        self.memory_kb += other.memory_kb;
    }

    fn of(numbers: &[u64]) -> Option<Self> {
        let &[messages, bytes, dials, timeouts, connections, memory_kb] = numbers else { return None };
        Some(Self { messages, bytes, dials, timeouts, connections, memory_kb })
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, bytes, dials, timeouts, connections, memory_kb } = self;
        write!(f, "{messages} {bytes} {dials} {timeouts} {connections} {memory_kb}")
    }
}

/// Adds numbers to those at the same places.
pub(crate) fn add(sums: &mut Vec<u64>, numbers: impl IntoIterator<Item = u64>) {
    for (place, number) in numbers.into_iter().enumerate() {
        match sums.get_mut(place) {
            Some(sum) => *sum += number,
            None => sums.push(number),
        }
    }
}

/// Such a process. It ends at the latest when this is dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) count: u32,
}

impl Process {
    /// Starts it, and learns the address of its first node. The others start meanwhile.
    pub(crate) fn start(crew: &Crew) -> io::Result<(Self, SocketAddr)> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .args(crew.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut process = Self { child, input, output: BufReader::new(output), count: crew.count };
        let address = process.answer()?;
        let address = address.parse().map_err(|_| unexpected(&address))?;
        Ok((process, address))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self, line: &str) -> io::Result<String> {
        writeln!(self.input, "{line}")?;
        self.answer()
    }

    pub(crate) fn numbers<T: FromStr>(&mut self, line: &str) -> io::Result<Vec<T>> {
        let answer = self.ask(line)?;
        let numbers = answer.split_whitespace().map(|number| number.parse().ok());
        numbers.collect::<Option<_>>().ok_or_else(|| unexpected(&answer))
    }

    /// Two numbers.
    pub(crate) fn pair(&mut self, line: &str) -> io::Result<(u64, u64)> {
        match self.numbers(line)?[..] {
            [first, second] => Ok((first, second)),
            _ => Err(unexpected(line)),
        }
    }

    pub(crate) fn totals(&mut self) -> io::Result<Totals> {
        Totals::of(&self.numbers("totals")?).ok_or_else(|| unexpected("totals"))
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(io::Error::other("a process with nodes has ended; what it said last is above"));
        }
        Ok(line.trim_end().to_owned())
    }
}

fn unexpected(answer: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected: {answer:?}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be over already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
