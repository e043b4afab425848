//! Names of hosts in the place of their addresses, as `nodetool -r` shows them.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use crate::model::{EndpointModel, Ports};
use crate::text::printable;

/// How many addresses are looked up at a time.
const LOOKUPS: usize = 16;

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ResolveArgs {
    /// Prints host names instead of addresses, if the system finds them within --timeout
    #[arg(short = 'r', long)]
    resolve_ip: bool,
}

impl ResolveArgs {
    /// The names of the hosts of `endpoints`, if they are wanted.
    pub(crate) fn hosts(self, endpoints: &[EndpointModel], patience: Duration) -> Hosts {
        if !self.resolve_ip {
            return Hosts::default();
        }
        Hosts::find(endpoints.iter().map(|endpoint| endpoint.endpoint.ip()).collect(), patience, |ip| {
            dns_lookup::lookup_addr(&ip).ok()
        })
    }
}

/// The names of hosts, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Hosts(BTreeMap<IpAddr, String>);

impl Hosts {
    /// Looks all up, and takes what is there after `patience` at the latest.
    fn find(
        ips: BTreeSet<IpAddr>,
        patience: Duration,
        look_up: impl Fn(IpAddr) -> Option<String> + Clone + Send + 'static,
    ) -> Self {
        let (sender, found) = mpsc::channel();
        let (threads, wanted) = (ips.len().min(LOOKUPS), Arc::new(Mutex::new(ips)));
        for _ in 0..threads {
            let (sender, wanted, look_up) = (sender.clone(), wanted.clone(), look_up.clone());
            // The system's look-up cannot be interrupted: a thread that comes too late is left behind.
            thread::spawn(move || {
                loop {
                    let next = wanted.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
                    let Some(ip) = next else { return };
                    if sender.send((ip, look_up(ip))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let deadline = Instant::now().checked_add(patience);
        let mut names = BTreeMap::new();
        while let Ok((ip, name)) = match deadline {
            Some(deadline) => found.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok(),
            None => found.recv().ok(),
        }
        .ok_or(())
        {
            // Without a name the system gives the address back.
            let name = name.filter(|name| !name.is_empty() && name.parse::<IpAddr>().is_err());
            names.extend(name.map(|name| (ip, name)));
        }
        // A name that several addresses have would not tell them apart.
        let mut seen = BTreeMap::new();
        names.values().for_each(|name: &String| *seen.entry(name.clone()).or_insert(0) += 1);
        names.retain(|_, name| seen.get(name) == Some(&1));
        Self(names)
    }

    /// The name of the host of `endpoint`, if it is known.
    pub(crate) fn name(&self, endpoint: SocketAddr) -> Option<&str> {
        self.0.get(&endpoint.ip()).map(String::as_str)
    }

    /// The name and, if they are shown, the port; the address where there is no name.
    pub(crate) fn show(&self, endpoint: SocketAddr, ports: Ports) -> String {
        match (self.name(endpoint), ports) {
            (None, _) => ports.show(endpoint),
            (Some(name), Ports::Hidden) => printable(name).into_owned(),
            (Some(name), Ports::Shown) => format!("{}:{}", printable(name), endpoint.port()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(ips: &[&str], patience: Duration) -> Hosts {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Hosts::find(ips, patience, |ip| match ip.to_string().as_str() {
            "10.0.0.1" => Some("one.example".into()),
            "10.0.0.2" | "10.0.0.3" => Some("both.example".into()),
            "10.0.0.4" => Some("10.0.0.4".into()),
            "10.0.0.5" => Some("a\u{202e}b".into()),
            "10.0.0.6" => loop {
                thread::park();
            },
            _ => None,
        })
    }

    #[test]
    fn a_host_is_shown_by_its_name_if_it_has_one_of_its_own() {
        let ips: Vec<_> =
            (1..=60).map(|last| format!("10.0.0.{last}")).filter(|ip| ip != "10.0.0.6").collect();
        let hosts = find(&ips.iter().map(String::as_str).collect::<Vec<_>>(), Duration::MAX);
        for (address, hidden, shown) in [
            ("10.0.0.1:7000", "one.example", "one.example:7000"),
            ("10.0.0.2:7000", "10.0.0.2", "10.0.0.2:7000"),
            ("10.0.0.4:7000", "10.0.0.4", "10.0.0.4:7000"),
            ("10.0.0.5:7000", "a\\u{202e}b", "a\\u{202e}b:7000"),
            ("10.0.0.60:7000", "10.0.0.60", "10.0.0.60:7000"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(hosts.show(address, Ports::Hidden), hidden);
            assert_eq!(hosts.show(address, Ports::Shown), shown);
        }
    }

    #[test]
    fn a_look_up_that_never_ends_is_not_waited_for() {
        let hosts = find(&["10.0.0.6"], Duration::from_millis(10));
        assert_eq!(hosts.name("10.0.0.6:7000".parse().unwrap()), None);
    }
}
