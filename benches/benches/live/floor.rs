//! What this machine takes for what every node has to do, whatever it is written in: to wake up, and to send and receive a packet.

use std::error::Error;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

use gossip_benches::usage::Usage;

/// How often each is done. The system counts processor time in steps of 10 ms.
const TIMES: u32 = 10_000;

/// About the mean length of a packet of a node among two hundred.
const LENGTH: usize = 1_000;

/// Says what a wake-up takes, and what a packet takes behind it and in a loop that never waits, in microseconds of processor time.
pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.connect(receiver.local_addr()?)?;
    let mut buffer = [7; LENGTH];
    let mut packet = || -> std::io::Result<()> {
        sender.send(&buffer)?;
        receiver.recv(&mut buffer).map(drop)
    };
    let sleep = || thread::sleep(Duration::from_micros(500));
    let wake_up = each(|| {
        sleep();
        Ok(())
    })?;
    let both = each(|| {
        sleep();
        packet()
    })?;
    let in_a_loop = each(&mut packet)?;
    println!(
        "a wake-up {wake_up:.1} µs, a packet sent and received behind it {:.1} µs, and in a loop {in_a_loop:.1} µs",
        both - wake_up
    );
    Ok(())
}

/// The processor time of one of many, in microseconds.
fn each(mut what: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    let own = std::process::id();
    let before = Usage::of(own)?;
    for _ in 0..TIMES {
        what()?;
    }
    let after = Usage::of(own)?;
    let took = (after.user + after.system).saturating_sub(before.user + before.system);
    Ok(took.as_secs_f64() * 1e6 / f64::from(TIMES))
}
