//! The service of the examples: peers with a port of their own, reactions to up and down, a clean stop.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "the test calls what `main` does")]
#[path = "../examples/service_async_std.rs"]
mod service;

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// An instance that runs.
struct Instance {
    stop: async_std::channel::Sender<()>,
    said: Receiver<String>,
    thread: JoinHandle<()>,
    /// Where it gossips.
    address: SocketAddr,
}

#[test]
fn instances_of_a_service_find_each_other_and_stop_in_good_order() {
    let first = Instance::start(8_001, Vec::new());
    let second = Instance::start(8_002, vec![first.address]);
    first.wait_for(&format!("{} is up, its service has port 8002", second.address));
    second.wait_for(&format!("{} is up, its service has port 8001", first.address));
    second.stop();
    first.wait_for(&format!("{} is down: shut down", second.address));
    second.thread.join().unwrap();
    first.stop();
    first.thread.join().unwrap();
}

impl Instance {
    fn start(port: u16, seeds: Vec<SocketAddr>) -> Self {
        let (say, said) = mpsc::channel();
        let (stop, stopped) = async_std::channel::bounded(1);
        let thread = thread::spawn(move || {
            let say = move |line| drop(say.send(line));
            let addresses = ("127.0.0.1:0".parse().unwrap(), port, seeds);
            async_std::task::block_on(service::serve(addresses, stopped.recv(), say)).unwrap();
        });
        let first: String = said.recv_timeout(LONG).unwrap();
        let address = first.strip_prefix("gossiping on ").unwrap().parse().unwrap();
        Self { stop, said, thread, address }
    }

    fn wait_for(&self, line: &str) {
        while self.said.recv_timeout(LONG).unwrap() != line {}
    }

    fn stop(&self) {
        self.stop.try_send(()).unwrap();
    }
}

/// Far more than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);
