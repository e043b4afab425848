//! Whether addresses can work at all: each by itself, and against each other.

use core::net::{IpAddr, SocketAddr};
use std::net::UdpSocket;

use gossip_adapter::Transport;

use crate::failure::Failure;

/// The addresses of the node itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) listen: SocketAddr,
    /// Port 0 stands for the port that is listened on.
    pub(crate) broadcast: Option<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) transport: Transport,
}

/// Checks a seed by itself.
///
/// # Errors
///
/// Why no node can be reached there.
pub(crate) fn check_seed(address: SocketAddr) -> Result<(), String> {
    let why = match address.ip() {
        _ if address.port() == 0 => Some("it has no port"),
        ip => unreachable(ip),
    };
    match why {
        Some(why) => {
            Err(format!("no node can be reached at {address}: {why} (name the address and port of a seed)"))
        }
        None => Ok(()),
    }
}

/// Why no node can have this address.
fn unreachable(ip: IpAddr) -> Option<&'static str> {
    match ip {
        _ if ip.is_unspecified() => Some("it stands for every address of a machine"),
        _ if ip.is_multicast() => Some("it is the address of a group"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("it is the address of everybody"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => {
            Some("a link-local address needs a scope, and gossip carries none")
        }
        _ => None,
    }
}

impl Own {
    /// As the node has its addresses: one of IPv4 that is written as IPv6 is the former.
    pub(crate) fn canonical(self) -> Self {
        Self {
            listen: canonical(self.listen),
            broadcast: self.broadcast.map(canonical),
            admin: canonical(self.admin),
            ..self
        }
    }

    /// The address that is announced to others, but for a port that is not known yet.
    fn told(&self) -> SocketAddr {
        let mut told = self.broadcast.unwrap_or(self.listen);
        if told.port() == 0 {
            told.set_port(self.listen.port());
        }
        told
    }

    /// Checks the node's own addresses against each other.
    ///
    /// # Errors
    ///
    /// Misuse: what cannot work.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let misuse = |text: String| Err(Failure::misuse(text));
        let (listen, told) = (self.listen.ip(), self.told().ip());
        if let Some(why) = unreachable(listen).filter(|_| !listen.is_unspecified()) {
            return misuse(format!(
                "--listen: no node can be reached at {listen}: {why} (name an address of this machine)"
            ));
        }
        if let Some(why) = unreachable(told) {
            let option = if self.broadcast.is_some() { "--broadcast" } else { "--listen" };
            return misuse(format!(
                "{option}: no node can be reached at {told}: {why} (name an address of this machine)"
            ));
        }
        let is_dual = listen == IpAddr::from([0_u16; 8]);
        if listen.is_ipv4() != told.is_ipv4() && !is_dual {
            return misuse(format!(
                "--broadcast: other nodes would dial {told}, but this node listens on {listen} only (take addresses of one family, \
                 or --listen [::])"
            ));
        }
        if told.is_loopback() && !listen.is_loopback() && !listen.is_unspecified() {
            return misuse(format!(
                "--broadcast: other nodes would dial {told}, but this node listens on {listen} only (name {listen}, or leave \
                 --broadcast out)"
            ));
        }
        let is_one_ip =
            self.admin.ip() == listen || self.admin.ip().is_unspecified() || listen.is_unspecified();
        let is_one_port = self.admin.port() == self.listen.port() && self.admin.port() != 0;
        if self.transport == Transport::Internode && is_one_ip && is_one_port {
            return misuse(format!(
                "--admin: {} is where the node gossips (choose another port with --admin or --listen)",
                self.admin
            ));
        }
        Ok(())
    }

    /// Checks the seeds against the node's own addresses. A seed that is the node itself, under another address than it tells, becomes
    /// that. Returns what is doubtful, a line each.
    ///
    /// # Errors
    ///
    /// Misuse: the seeds cannot reach this node.
    pub(crate) fn check_seeds(&self, seeds: &mut [SocketAddr]) -> Result<Vec<String>, Failure> {
        self.check_seeds_where(seeds, is_of_this_machine)
    }

    fn check_seeds_where(
        &self,
        seeds: &mut [SocketAddr],
        is_here: impl Fn(IpAddr) -> bool,
    ) -> Result<Vec<String>, Failure> {
        let told = self.told();
        let listen = self.listen.ip();
        let mut warnings = Vec::new();
        if listen.is_loopback() && !told.ip().is_loopback() {
            warnings.push(format!(
                "--listen: {listen} is reached from this machine only, but other nodes dial {told}: connections to {told} must be \
                 forwarded to {listen}"
            ));
        }
        for seed in seeds {
            *seed = canonical(*seed);
            let is_listened_on = seed.ip() == listen || (listen.is_unspecified() && is_here(seed.ip()));
            if *seed != told && is_listened_on && seed.port() == self.listen.port() && seed.port() != 0 {
                warnings.push(format!(
                    "the seed {seed} is this node itself, which other nodes know as {told}: {told} is used instead"
                ));
                *seed = told;
                continue;
            }
            if told.ip().is_loopback() && !is_here(seed.ip()) {
                return Err(Failure::misuse(format!(
                    "this node would be known as {told}, which is reached from this machine only, but the seed {seed} is on another \
                     machine (name an address that other machines reach, with --listen or --broadcast)"
                )));
            }
            if seed.ip().is_loopback() && !told.ip().is_loopback() {
                warnings.push(format!(
                    "the seed {seed} is reached from this machine only, but this node is known as {told}: nodes on other machines \
                     cannot reach that seed"
                ));
            }
            if seed.is_ipv4() != told.is_ipv4() {
                warnings.push(format!(
                    "the seed {seed} and this node, {told}, have addresses of different families: each must be able to dial the other"
                ));
            }
        }
        Ok(warnings)
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether an address is one of this machine's: a socket can have it.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listen: &str, broadcast: Option<&str>) -> Own {
        Own {
            listen: listen.parse().unwrap(),
            broadcast: broadcast.map(|text| text.parse().unwrap()),
            admin: "127.0.0.1:7079".parse().unwrap(),
            transport: Transport::Internode,
        }
    }

    /// 10.0.0.1 is an address of this machine.
    fn check(own: Own, seeds: &[&str]) -> Result<(Vec<String>, Vec<String>), Failure> {
        let mut seeds: Vec<SocketAddr> = seeds.iter().map(|text| text.parse().unwrap()).collect();
        own.check()?;
        let is_here = |ip: IpAddr| ip.is_loopback() || ip == IpAddr::from([10, 0, 0, 1]);
        let warnings = own.check_seeds_where(&mut seeds, is_here)?;
        Ok((seeds.iter().map(ToString::to_string).collect(), warnings))
    }

    #[test]
    fn addresses_that_cannot_work_are_refused() {
        for (listen, broadcast, seeds) in [
            ("127.0.0.1:7000", None, &["10.0.0.2:7000"][..]),
            ("0.0.0.0:7000", Some("127.0.0.1:7000"), &["10.0.0.2:7000"]),
            ("127.0.0.1:7000", None, &["10.0.0.1:7000", "10.0.0.2:7000"]),
            ("[::1]:7000", None, &["[2001:db8::1]:7000"]),
            ("224.0.0.1:7000", None, &[]),
            ("255.255.255.255:7000", None, &[]),
            ("[fe80::1]:7000", None, &[]),
            ("0.0.0.0:7000", Some("239.1.1.1:7000"), &[]),
            ("0.0.0.0:7000", Some("[fe80::1]:7000"), &[]),
            ("0.0.0.0:7000", Some("[2001:db8::1]:7000"), &[]),
            ("10.0.0.1:7000", Some("[2001:db8::1]:7000"), &[]),
            ("[2001:db8::1]:7000", Some("10.0.0.1:7000"), &[]),
            ("10.0.0.1:7000", Some("127.0.0.1:7000"), &[]),
            ("127.0.0.1:7079", None, &[]),
            ("0.0.0.0:7079", Some("10.0.0.1:0"), &[]),
        ] {
            let refused = check(own(listen, broadcast), seeds);
            let Err(Failure::Misuse(line)) = refused else {
                panic!("{listen} {broadcast:?} {seeds:?}: {refused:?}")
            };
            assert_eq!(line.lines().count(), 1, "{line}");
        }
        for seed in [
            "0.0.0.0:7000",
            "10.0.0.1:0",
            "239.1.1.1:7000",
            "255.255.255.255:7000",
            "[fe80::1]:7000",
            "[ff02::1]:7000",
        ] {
            assert!(check_seed(seed.parse().unwrap()).is_err(), "{seed}");
        }
    }

    #[test]
    fn addresses_that_may_work_are_taken() {
        for (listen, broadcast, seeds, warnings) in [
            ("127.0.0.1:7000", None, &["127.0.0.2:7000", "127.0.0.1:7000"][..], 0),
            // A seed on the same machine may dial back.
            ("127.0.0.1:7000", None, &["10.0.0.1:7000"], 0),
            ("10.0.0.1:7000", None, &["10.0.0.2:7000", "10.0.0.1:7000"], 0),
            ("[::]:7000", Some("10.0.0.1:0"), &["10.0.0.2:7000"], 0),
            ("0.0.0.0:0", Some("10.0.0.1:0"), &["10.0.0.1:7000"], 0),
            ("127.0.0.1:7000", Some("10.0.0.9:7000"), &["10.0.0.2:7000"], 1),
            ("10.0.0.1:7000", None, &["127.0.0.1:7001"], 1),
            ("10.0.0.1:7000", None, &["[2001:db8::1]:7000"], 1),
        ] {
            let taken = check(own(listen, broadcast), seeds).unwrap();
            assert_eq!(taken.1.len(), warnings, "{listen} {broadcast:?} {seeds:?}: {:?}", taken.1);
            assert_eq!(taken.0, seeds);
        }
    }

    #[test]
    fn a_seed_that_is_the_node_itself_gets_the_address_that_others_know() {
        let (seeds, warnings) =
            check(own("0.0.0.0:7000", Some("192.0.2.1:7000")), &["10.0.0.1:7000"]).unwrap();
        assert_eq!((&seeds[..], warnings.len()), (&["192.0.2.1:7000".to_owned()][..], 1));
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_when_it_is_written_as_ipv6() {
        for (listen, seed) in [
            ("[::ffff:127.0.0.1]:7000", "127.0.0.1:7000"),
            ("127.0.0.1:7000", "[::ffff:127.0.0.1]:7000"),
            ("[::ffff:10.0.0.1]:7000", "10.0.0.2:7000"),
        ] {
            let (seeds, warnings) = check(own(listen, None).canonical(), &[seed]).unwrap();
            assert_eq!(warnings, [""; 0], "{listen} {seed}");
            assert_eq!(seeds, [seed.replace("[::ffff:", "").replace(']', "")]);
        }
        assert!(check(own("[::ffff:127.0.0.1]:7000", None).canonical(), &["10.0.0.2:7000"]).is_err());
    }
}
