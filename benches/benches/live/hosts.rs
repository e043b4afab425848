//! A process that holds some of the nodes. It answers each line on its input with one line of numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gossip_adapter::{Events, EventsError, Handle, WeakHandle};
use gossip_benches::usage::Usage;
use gossip_core::{ApplicationState, Endpoint, Event, Standing, Transport, Version};

use crate::adapters::{self, Adapter, Spec, builder};
use crate::process::{Crew, Totals, add};
use crate::trial::Run;

const CLUSTER: &str = "live";

/// The value that is published to see how long it takes until all nodes know it.
const NEWS: ApplicationState = ApplicationState::LOAD;

/// How many false verdicts of a process are shown.
const SHOWN: u64 = 5;

/// How often a thread looks whether it is woken in time.
const LOOK: Duration = Duration::from_millis(100);

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Holds the nodes of a [`Crew`] until the input ends.
pub(crate) fn hold(arguments: &[String]) -> Fallible<()> {
    let crew = Crew::parse(arguments).ok_or("not enough is said of the nodes")?;
    let seen = Arc::new(Seen::new());
    let late = Arc::new(Mutex::new(Duration::ZERO));
    watch_clock(late.clone());
    let executor = Arc::new(smol::Executor::new());
    let watched = executor.clone();
    thread::spawn(move || smol::block_on(watched.run(std::future::pending::<()>())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tokio = runtime.handle().clone();
    if crew.run.adapter == Adapter::Tokio {
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    }
    let memory_before = Usage::of(std::process::id())?.resident_kb;

    let mut handles = Vec::new();
    let mut seed = crew.seed;
    let began = Instant::now();
    for place in 0..crew.count {
        let due = began + crew.run.within.mul_f64(f64::from(place) / f64::from(crew.count));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let (handle, events) = start(&crew.run, seed, &tokio)?;
        if handles.is_empty() {
            println!("{}", handle.listen_address());
            seed.get_or_insert(handle.listen_address());
        }
        let tally = seen.clone();
        let node = lock(&seen.nodes).len();
        lock(&seen.nodes).push(BTreeSet::new());
        let watched = watch(node, handle.downgrade(), events, tally);
        // On the thread of the nodes, where it needs no wake-up.
        match crew.run.adapter {
            Adapter::Tokio => _ = tokio.spawn(watched),
            _ => executor.spawn(watched).detach(),
        }
        handles.push(handle);
    }

    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            // How many live peers the nodes have: the fewest, and all together.
            ["live"] => {
                let nodes = lock(&seen.nodes);
                let counts = nodes.iter().map(BTreeSet::len);
                format!("{} {}", counts.clone().min().unwrap_or(0), counts.sum::<usize>())
            }
            ["totals"] => totals(&handles, memory_before)?.to_string(),
            // The counters of all nodes, added up, in their order.
            ["counters"] => words_of(counters(&handles)?.iter()),
            ["publish", node, value] => {
                let handle = &handles[node.parse::<usize>()? % handles.len()];
                let at = unix_micros();
                let version = handle.set_state(NEWS, value).wait()?;
                format!("{} {version} {at}", handle.local_endpoint())
            }
            // How many nodes know this value, and since when all of them do.
            ["known", endpoint, version] => {
                let value = (endpoint.parse()?, Version::new(version.parse()?));
                let (count, last) = lock(&seen.news).get(&value).copied().unwrap_or_default();
                format!("{count} {last}")
            }
            ["doomed", ref ports @ ..] => {
                let ports: Result<_, _> = ports.iter().map(|port| port.parse::<u16>()).collect();
                *lock(&seen.doomed) = ports?;
                String::from("0")
            }
            ["ports"] => words_of(handles.iter().map(|handle| handle.listen_address().port())),
            // The moments at which doomed nodes were found down.
            ["verdicts"] => words_of(lock(&seen.verdicts).iter()),
            // How many nodes were found down that live; how many events were missed.
            ["false"] => {
                let counts = lock(&seen.counts);
                format!("{} {}", counts.false_verdicts, counts.missed)
            }
            // How late this process was woken at most, in microseconds, since it was asked last.
            ["late"] => mem::take(&mut *lock(&late)).as_micros().to_string(),
            _ => return Err(format!("unknown request {line:?}").into()),
        };
        println!("{answer}");
    }
    Ok(())
}

fn words_of<T: ToString>(numbers: impl Iterator<Item = T>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// Starts a node. All on tokio share one runtime.
fn start(run: &Run, seed: Option<SocketAddr>, tokio: &tokio::runtime::Handle) -> Fallible<(Handle, Events)> {
    let spec = Spec {
        cluster: CLUSTER,
        seed,
        interval: run.interval,
        transport: if run.is_datagram { Transport::Datagram } else { Transport::Internode },
        tune: Box::new(|config| config),
    };
    match run.adapter {
        Adapter::Tokio => Ok(tokio.block_on(builder::<gossip_tokio::Tokio>(spec).start())?),
        other => adapters::start(other, spec),
    }
}

/// The events of the nodes of this process.
struct Seen {
    began: Instant,
    /// By node: the ports of its live peers.
    nodes: Mutex<Vec<BTreeSet<u16>>>,
    /// By value: how many nodes know it, and when the last of them heard of it.
    news: Mutex<BTreeMap<(Endpoint, Version), (u64, u64)>>,
    doomed: Mutex<BTreeSet<u16>>,
    verdicts: Mutex<Vec<u64>>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    false_verdicts: u64,
    missed: u64,
}

/// Takes in what happens to a node, until it has stopped.
async fn watch(node: usize, handle: WeakHandle, mut events: Events, seen: Arc<Seen>) {
    loop {
        match events.recv().await {
            Ok(event) => seen.note(node, event),
            Err(EventsError::Stopped) => return,
            Err(EventsError::Lagged(missed)) => {
                lock(&seen.counts).missed += missed;
                let Some(handle) = handle.upgrade() else { return };
                let Ok(known) = handle.endpoints().await else { return };
                let live = known.iter().filter(|info| !info.is_local && info.standing == Standing::Live);
                lock(&seen.nodes)[node] = live.map(|info| info.endpoint.port()).collect();
            }
        }
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            nodes: Mutex::default(),
            news: Mutex::default(),
            doomed: Mutex::default(),
            verdicts: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    fn note(&self, node: usize, event: Event) {
        match event {
            Event::Up { endpoint, .. } => _ = lock(&self.nodes)[node].insert(endpoint.port()),
            Event::Down { endpoint, cause, .. } => {
                lock(&self.nodes)[node].remove(&endpoint.port());
                if lock(&self.doomed).contains(&endpoint.port()) {
                    lock(&self.verdicts).push(unix_micros());
                } else {
                    let mut counts = lock(&self.counts);
                    counts.false_verdicts += 1;
                    if counts.false_verdicts <= SHOWN {
                        let since = self.began.elapsed();
                        eprintln!(
                            "live: {since:.1?}: node {node} of a process finds {endpoint} down: {cause:?}"
                        );
                    }
                }
            }
            Event::StateChanged { endpoint, key: NEWS, version } => {
                let mut news = lock(&self.news);
                let (count, last) = news.entry((endpoint, version)).or_default();
                (*count, *last) = (*count + 1, unix_micros());
            }
            _ => {}
        }
    }
}

fn totals(handles: &[Handle], memory_before: u64) -> Fallible<Totals> {
    let mut totals = Totals::default();
    for handle in handles {
        let vitals = handle.vitals(Vec::new()).wait()?;
        totals.messages += vitals.stats.messages_sent;
        totals.bytes += vitals.stats.bytes_sent;
        totals.dials += vitals.stats.connections;
        totals.timeouts += vitals.stats.timeouts;
        totals.connections += u64::from(vitals.connections.accepted + vitals.connections.dialled);
    }
    totals.memory_kb = Usage::of(std::process::id())?.resident_kb.saturating_sub(memory_before);
    Ok(totals)
}

fn counters(handles: &[Handle]) -> Fallible<Vec<u64>> {
    let mut sums = Vec::new();
    for handle in handles {
        let stats = handle.vitals(Vec::new()).wait()?.stats;
        add(&mut sums, stats.counters().map(|counter| counter.value));
    }
    Ok(sums)
}

/// Notes by how much a thread is woken too late. If it is by seconds, the machine has no time for the nodes, and they are not to blame.
fn watch_clock(late: Arc<Mutex<Duration>>) {
    thread::spawn(move || {
        loop {
            let began = Instant::now();
            thread::sleep(LOOK);
            let by = began.elapsed().saturating_sub(LOOK);
            let mut greatest = lock(&late);
            *greatest = by.max(*greatest);
        }
    });
}

/// The time of the wall clock, which all processes share.
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
