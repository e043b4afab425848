//! A message costs no memory.
//!
//! Memory is taken when something new is learned, never because a message came: each call into the protocol in which
//! [`Stats::growth`](gossip_core::Stats::growth) stands still is one that allocates nothing. A binary of its own, because
//! it owns the global allocator.

#![expect(unsafe_code, reason = "an allocator that counts is an allocator, and that trait is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::time::Duration;

use gossip_core::{ApplicationState, Gossiper};
use gossip_sim::{Builder, Cluster, Probe};

const HOSTS: usize = 100;
const ROUNDS: u32 = 1_000;
const RESTARTS: usize = 5;

/// With this in the environment it is printed where the first forbidden allocation came from.
const TRACE_VARIABLE: &str = "ZERO_ALLOC_TRACE";

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Whether the calls of this thread are counted now, and how many there were.
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static IS_TRACING: Cell<bool> = const { Cell::new(false) };
    static TRACE: RefCell<Option<Backtrace>> = const { RefCell::new(None) };
}

/// The system's allocator; counts what each thread takes from it between two marks.
struct Counting;

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count() {
    if !IS_COUNTING.get() {
        return;
    }
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    if IS_TRACING.get() {
        // A trace takes memory itself.
        IS_COUNTING.set(false);
        TRACE.replace(Some(Backtrace::force_capture()));
        IS_COUNTING.set(true);
    }
}

/// Counts from here on this thread.
fn begin() {
    ALLOCATIONS.set(0);
    IS_COUNTING.set(true);
}

/// Says how often this thread has allocated since [`begin`].
fn end() -> u64 {
    IS_COUNTING.set(false);
    ALLOCATIONS.get()
}

/// Counts what calls into the protocol allocate, and nothing else.
#[derive(Debug, Default)]
struct Counter {
    /// [`Stats::growth`](gossip_core::Stats::growth) before the call.
    growth: u64,
    /// Calls in which it stood still, and all.
    steady: u64,
    steps: u64,
    /// Allocations in steady calls, which there must not be, and in others.
    forbidden: u64,
    allowed: u64,
    /// Allocate in this call, so that there is something to find.
    sabotaged_step: Option<u64>,
}

impl Probe for Counter {
    fn before(&mut self, _: usize, gossiper: &Gossiper) {
        self.growth = gossiper.stats().growth();
        begin();
        if self.sabotaged_step == Some(self.steps) {
            drop(std::hint::black_box(Box::new(0_u8)));
        }
    }

    fn after(&mut self, host: usize, gossiper: &Gossiper) {
        let allocations = end();
        self.steps += 1;
        if gossiper.stats().growth() != self.growth {
            self.allowed += allocations;
            return;
        }
        self.steady += 1;
        if allocations > 0 && self.forbidden == 0 && IS_TRACING.get() {
            eprintln!("host {host}, step {}: {:?}", self.steps, TRACE.take());
        }
        self.forbidden += allocations;
    }
}

impl Counter {
    #[track_caller]
    fn check(&self) {
        eprintln!("{self:?}");
        assert_eq!(
            self.forbidden, 0,
            "calls allocated in which nothing grew; {TRACE_VARIABLE}=1 shows where"
        );
        assert!(self.steady * 100 >= self.steps * 95, "something grew in more than 5 % of the calls");
    }
}

#[test]
fn the_counter_counts() {
    begin();
    let taken = std::hint::black_box(vec![1_u8; 100]);
    let boxed = std::hint::black_box(Box::new(1));
    assert_eq!(end(), 2);
    drop((taken, boxed));
    begin();
    let mut grown = std::hint::black_box(Vec::with_capacity(1));
    grown.extend_from_slice(&[1_u64, 2, 3]);
    assert_eq!(end(), 2, "what grows counts again");
    begin();
    let other = std::thread::spawn(|| {
        let _ = std::hint::black_box(vec![0_u8; 1_000]);
        end()
    });
    let spawning = end();
    assert_eq!(other.join().ok(), Some(0), "another thread does not count");
    assert!(spawning > 0);
    let uncounted = std::hint::black_box(vec![1_u8; 100]);
    assert_eq!(ALLOCATIONS.get(), spawning, "nothing counts outside the marks");
    drop(uncounted);
}

#[test]
fn an_allocation_would_be_found() {
    let steps = |sabotaged_step| {
        let counter = Counter { sabotaged_step, ..Counter::default() };
        let mut cluster = Cluster::new(5).streams().probe(counter).start();
        cluster.run_rounds(20);
        cluster.probe().steps - 1
    };
    let last = steps(None);
    let sabotaged = std::panic::catch_unwind(|| {
        let counter = Counter { sabotaged_step: Some(last), ..Counter::default() };
        let mut cluster = Cluster::new(5).streams().probe(counter).start();
        cluster.run_rounds(20);
        cluster.probe().check();
    });
    assert!(sabotaged.is_err(), "one allocation in step {last} was not found");
}

#[test]
fn messages_over_connections_cost_no_memory() {
    run(Cluster::new(HOSTS).seed(7).streams()).check();
}

#[test]
fn packets_cost_no_memory() {
    run(Cluster::new(HOSTS).seed(7).datagrams()).check();
}

/// A SYN lists a part of all, an ACK is cut, and what is due waits for the limit.
#[test]
fn small_packets_under_a_low_ceiling_cost_no_memory() {
    let small = Cluster::new(40).seed(5).datagrams().configure(|_, config| {
        config.change_datagrams(|datagrams| {
            datagrams.max_size = 512;
            datagrams.max_per_syn = 1;
            datagrams.max_rate = 1 << 14;
        })
    });
    run_for(small, 40, 400).check();
}

#[test]
fn whole_messages_cost_no_memory() {
    run(Cluster::new(HOSTS).seed(7)).check();
}

#[test]
fn faults_cost_no_memory() {
    let builder = || Cluster::new(12).seed(3).loss_percent(10);
    for builder in [
        builder().duplicate_percent(10).reorder(),
        builder().streams().chunks(300).socket_buffer(1_000),
        builder().datagrams().duplicate_percent(10),
    ] {
        go_through_faults(builder).check();
    }
}

/// What TLS costs, in steady calls: each record takes memory once where it is written and once where it is read, since `rustls` holds what
/// it encrypts and what it has decrypted in memory of its own. Each message is a record of its own here.
#[cfg(feature = "tls")]
#[test]
fn a_message_under_tls_costs_memory_once_at_each_end() {
    use gossip_core::Tls;
    use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::PrivateKeyDer;

    const ROUNDS: u32 = 300;
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("there is randomness");
    let certificate = CertificateParams::default().self_signed(&key).expect("it can be signed").der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
    let suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let provider = CryptoProvider { cipher_suites: suites, ..ring::default_provider() };
    let tls = Tls::builder(provider.into()).identity(vec![certificate.clone()], key);
    let tls = tls.trusted(vec![certificate]).as_cassandra().build().expect("it holds together");
    IS_TRACING.set(std::env::var_os(TRACE_VARIABLE).is_some());
    let builder = Cluster::new(20).seed(7).streams().configure(move |_, config| config.tls(tls.clone()));
    let mut cluster = builder.probe(Counter::default()).start();
    cluster.run_until(|view| view.all_live(), Duration::from_secs(120));
    cluster.run_rounds(50);
    let sent = |cluster: &Cluster<Counter>| -> u64 {
        (0..20).map(|host| cluster.gossiper(host).stats().messages_sent).sum()
    };
    let before = sent(&cluster);
    *cluster.probe_mut() = Counter::default();
    cluster.run_rounds(ROUNDS);
    let messages = sent(&cluster) - before;
    let counter = std::mem::take(cluster.probe_mut());
    eprintln!("{messages} messages: {counter:?}");
    assert!(messages > 10_000, "{messages}");
    assert!((0..20).all(|host| cluster.gossiper(host).stats().tls_opened > 0), "none is plain");
    assert!(counter.forbidden <= 2 * messages, "{} allocations for {messages} messages", counter.forbidden);
    assert!(counter.steady * 100 >= counter.steps * 95, "something grew in more than 5 % of the calls");
}

fn go_through_faults(builder: Builder) -> Counter {
    IS_TRACING.set(std::env::var_os(TRACE_VARIABLE).is_some());
    let mut cluster = builder.probe(Counter::default()).start();
    for round in 0..6 {
        cluster.run_rounds(60);
        cluster.partition(0..4, 4..12);
        cluster.stall(11);
        cluster.kill(round);
        cluster.shutdown(8);
        cluster.run_rounds(30);
        cluster.restart(8);
        cluster.heal();
        cluster.resume(11);
        for other in 0..10 {
            cluster.reset(10, other);
            cluster.reset(11, other);
            cluster.run_rounds(1);
        }
        cluster.restart(round);
    }
    cluster.run_rounds(300);
    assert!(cluster.view().all_live());
    std::mem::take(cluster.probe_mut())
}

fn run(builder: Builder) -> Counter {
    run_for(builder, HOSTS, ROUNDS)
}

fn run_for(builder: Builder, hosts: usize, rounds: u32) -> Counter {
    IS_TRACING.set(std::env::var_os(TRACE_VARIABLE).is_some());
    let mut cluster = builder.loss_percent(5).probe(Counter::default()).start();
    cluster.run_until(|view| view.all_live(), Duration::from_secs(120));
    for restart in 0..RESTARTS {
        for part in 0..10 {
            // Values that get longer, and shorter again.
            let load = "1".repeat(10 + restart * 10 + part);
            cluster.set_state(hosts / 2 + part, ApplicationState::LOAD, &load).expect("it may be set");
            cluster.run_rounds(rounds / 50);
        }
        cluster.restart(10 + restart);
        cluster.reset(1, 20 + restart);
    }
    std::mem::take(cluster.probe_mut())
}
