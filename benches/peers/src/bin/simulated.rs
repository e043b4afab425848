//! How long a virtual second of a simulated cluster takes, whose nodes gossip in packets.

use std::process::ExitCode;
use std::time::Instant;

use gossip_sim::{Cluster, seconds};

fn main() -> ExitCode {
    let sizes = match std::env::args().nth(1).as_deref() {
        None => vec![100, 1_000],
        // To see that it runs.
        Some("--test") => vec![10],
        Some(_) => {
            eprintln!("usage: simulated [--test]");
            return ExitCode::from(2);
        }
    };
    for hosts in sizes {
        let mut cluster = Cluster::new(hosts).seed(1).datagrams().start();
        let joined = cluster.run_until(|view| view.all_live(), seconds(600));
        if !cluster.view().all_live() {
            eprintln!("simulated: not all {hosts} nodes are live after {joined:?}");
            return ExitCode::FAILURE;
        }
        cluster.run_rounds(5);
        let (mut times, sent) = (Vec::new(), cluster.traffic().sent);
        for _ in 0..11 {
            let began = Instant::now();
            cluster.run_for(seconds(1));
            times.push(began.elapsed());
        }
        let sent = (cluster.traffic().sent - sent) / times.len() as u64;
        times.sort_unstable();
        println!(
            "{hosts} nodes: a virtual second takes {:.1?}, median of {}; {sent} packets are sent in it",
            times[times.len() / 2],
            times.len(),
        );
    }
    ExitCode::SUCCESS
}
