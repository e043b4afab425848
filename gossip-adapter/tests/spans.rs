//! The records of a message of an exchange name its peer and its verb.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io;
use std::sync::{Arc, Mutex};

use gossip_core::message::Message;
use gossip_core::{Config, Endpoint, Generation, Gossiper, Session, Timestamp};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn the_records_of_an_exchange_name_its_peer_and_its_verb() {
    let lines = Lines::default();
    let log = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .finish();
    let local = Endpoint::v4([127, 0, 0, 1], 7_000);
    let config = Config::builder("a", local, Generation::new(1), [0; 32]).build().unwrap();
    let mut gossiper = Gossiper::new(config, Timestamp::ZERO);
    let from = Endpoint::v4([127, 0, 0, 2], 7_000);
    let guard = log.set_default();
    gossiper.handle_message(Timestamp::ZERO, from, 42, &mut Session::default(), &Message::EchoRequest);
    drop(guard);
    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(lines.contains("exchange{peer=127.0.0.2:7000 verb=ECHO_REQ id=42}"), "{lines}");
}
