//! Proves that `gossip-core` needs no standard library: this static library has a panic handler of its own, of which there can
//! be but one, so it builds only as long as none comes with `std`. `main.c` runs it.

#![no_std]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{c_int, c_void};
use core::panic::PanicInfo;
use core::time::Duration;

use gossip_core::{
    Config, ConnectionId, Endpoint, Generation, Input, KeyRing, Node, Output, SealKey, Standing, Timestamp,
    Transport,
};

/// Two seconds more than a node takes to find another that it has as its seed.
const SECONDS: u64 = 12;

unsafe extern "C" {
    fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn free(memory: *mut c_void);
    fn abort() -> !;
}

/// The memory of the C library.
struct Memory;

// SAFETY: `aligned_alloc` returns memory of the size and alignment asked for, or null.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let alignment = layout.align().max(size_of::<*const ()>());
        // SAFETY: the alignment is a power of two, the size a multiple of it.
        unsafe { aligned_alloc(alignment, layout.size().next_multiple_of(alignment)).cast() }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: it came from `alloc`.
        unsafe { free(memory.cast()) }
    }
}

#[global_allocator]
static MEMORY: Memory = Memory;

#[panic_handler]
fn on_panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it does not return.
    unsafe { abort() }
}

/// Lets two nodes find each other over sealed packets, and two over connections. 0 if they do.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
pub extern "C" fn gossip_no_std() -> c_int {
    let found =
        [Transport::Datagram, Transport::Internode].map(|transport| Pair::new(transport).find_each_other());
    c_int::from(found != [true, true])
}

/// Two nodes and the connections between them.
struct Pair {
    nodes: [Node; 2],
    /// What each of the two calls a connection.
    connections: Vec<[ConnectionId; 2]>,
    buffer: Vec<u8>,
}

fn endpoint(host: usize) -> Endpoint {
    Endpoint::v4([10, 0, 0, if host == 0 { 1 } else { 2 }], 7000)
}

impl Pair {
    fn new(transport: Transport) -> Self {
        let node = |host| {
            let mut config = Config::builder("proof", endpoint(host), Generation::new(1), [7; 32])
                .transport(transport)
                .seed(endpoint(0));
            if transport == Transport::Datagram {
                config = config.keys(KeyRing::new([SealKey::new([7; 32])]).expect("it is one key"));
            }
            Node::new(config.build().expect("the configuration is valid"), Timestamp::ZERO)
        };
        Self { nodes: [node(0), node(1)], connections: Vec::new(), buffer: vec![0; Node::MIN_BUFFER] }
    }

    fn find_each_other(mut self) -> bool {
        for second in 0..SECONDS {
            let now = Timestamp::ZERO + Duration::from_secs(second);
            for node in &mut self.nodes {
                node.handle_input(now, Input::Timeout);
            }
            while self.drain(now, 0) | self.drain(now, 1) {}
        }
        let live = |host: usize, other| {
            let info = self.nodes[host].gossiper().endpoint_info(endpoint(other));
            info.is_some_and(|info| info.standing == Standing::Live)
        };
        live(0, 1) && live(1, 0)
    }

    /// Does what a node wants; false if that is nothing.
    fn drain(&mut self, now: Timestamp, host: usize) -> bool {
        let [first, second] = &mut self.nodes;
        let (node, other) = if host == 0 { (first, second) } else { (second, first) };
        let mut has_done = false;
        loop {
            match node.poll(&mut self.buffer) {
                Output::Timeout(_) => return has_done,
                Output::Connect { connection, .. } => {
                    if let Some(accepted) = other.accept(now) {
                        let names = if host == 0 { [connection, accepted] } else { [accepted, connection] };
                        self.connections.push(names);
                        node.handle_input(now, Input::Opened { connection });
                    } else {
                        node.handle_input(now, Input::Failed { connection });
                    }
                }
                Output::Write { connection, bytes } => {
                    if let Some(names) = self.connections.iter().find(|names| names[host] == connection) {
                        other.handle_input(now, Input::Bytes { connection: names[1 - host], bytes });
                    }
                    node.handle_input(now, Input::Writable { connection });
                }
                Output::Close { connection } => {
                    if let Some(at) = self.connections.iter().position(|names| names[host] == connection) {
                        let names = self.connections.swap_remove(at);
                        other.handle_input(now, Input::Closed { connection: names[1 - host] });
                    }
                }
                Output::Datagram { bytes, .. } => other.handle_input(now, Input::Datagram { bytes }),
                _ => {}
            }
            has_done = true;
        }
    }
}
