//! The addresses that peers may have.

use core::net::SocketAddr;
use std::path::PathBuf;

use gossip_adapter::Network;

use crate::lists::network_texts;

/// Networks of the command line, and of a file that may change while the node runs.
#[derive(Clone, Debug)]
pub(crate) struct AllowSource {
    given: Vec<Network>,
    file: Option<PathBuf>,
}

impl AllowSource {
    /// # Errors
    ///
    /// Which word of the command line is no network.
    pub(crate) fn new(given: &[String], file: Option<PathBuf>) -> Result<Self, String> {
        let parse = |text: &String| text.parse().map_err(|error| format!("--allow: '{text}': {error}"));
        Ok(Self { given: given.iter().map(parse).collect::<Result<_, _>>()?, file })
    }

    /// Whether there is a file to read again.
    pub(crate) const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The networks as they are now; none if all addresses are allowed.
    ///
    /// # Errors
    ///
    /// Why the file cannot be read, or which line is no network. A file that names none is an error, since an empty list would allow all.
    pub(crate) fn read(&self) -> Result<Vec<Network>, String> {
        let mut networks = self.given.clone();
        let Some(file) = &self.file else { return Ok(networks) };
        let shown = file.display();
        let before = networks.len();
        for (line, text) in network_texts(file).map_err(|error| format!("--allow-file: {error}"))? {
            let network = text.trim().parse();
            networks.push(network.map_err(|error| format!("--allow-file: {shown}, line {line}: {error}"))?);
        }
        if networks.len() == before {
            return Err(format!("--allow-file: {shown} names no network (write ADDR[/LENGTH], one a line)"));
        }
        Ok(networks)
    }
}

/// A line for each of `addresses` that is in none of `networks`.
pub(crate) fn seeds_outside(networks: &[Network], addresses: &[SocketAddr]) -> Vec<String> {
    let is_outside = |address: &&SocketAddr| {
        !networks.is_empty() && !networks.iter().any(|network| network.contains(address.ip()))
    };
    let warn = |address: &SocketAddr| {
        format!("the seed {address} is not contacted: its address is not allowed (add it with --allow)")
    };
    addresses.iter().filter(is_outside).map(warn).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn networks_come_from_the_command_line_and_a_file() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("allowed");
        std::fs::write(&file, "# ours\n10.0.0.0/8\n\n 2001:db8::/32 \n").unwrap();
        let source = AllowSource::new(&["127.0.0.1".into()], Some(file.clone())).unwrap();
        let shown: Vec<_> = source.read().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]);
        std::fs::write(&file, "10.0.0.0/8\n10.0.0.0/40\n").unwrap();
        assert!(source.read().unwrap_err().contains("line 2"));
        std::fs::write(&file, "# none\n").unwrap();
        assert!(source.read().unwrap_err().contains("names no network"), "an empty list would allow all");
        assert!(AllowSource::new(&["10.0.0".into()], None).unwrap_err().starts_with("--allow: '10.0.0': "));
        assert_eq!(AllowSource::new(&[], None).unwrap().read(), Ok(Vec::new()));
    }

    #[test]
    fn a_seed_outside_of_the_networks_is_named() {
        let (inside, outside) = ("10.0.0.1:7000".parse().unwrap(), "11.0.0.1:7000".parse().unwrap());
        let networks = ["10.0.0.0/8".parse().unwrap()];
        let warnings = seeds_outside(&networks, &[inside, outside]);
        assert!(warnings.len() == 1 && warnings[0].contains("11.0.0.1:7000"), "{warnings:?}");
        assert_eq!(seeds_outside(&[], &[inside, outside]), [""; 0]);
    }
}
