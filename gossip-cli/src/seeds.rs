//! The seeds of a node: the command line and a file name them, and both may name what has no address now.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gossip_adapter::{Common, Endpoint, Handle};

use crate::address::{GOSSIP_PORT, Unresolved, check_syntax, resolve};
use crate::lists::seed_texts;
use crate::reach;

/// After how many intervals names are looked up again while one has no address or no node answers, and for how long at least and at most; the last
/// also otherwise.
const LOOK_UP_PERIOD: u32 = 10;
const LOOK_UP_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Where the seeds come from: the command line, and a file that may change.
#[derive(Clone, Debug)]
pub(crate) struct SeedSource {
    given: Vec<String>,
    file: Option<PathBuf>,
    own_ip: IpAddr,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last addresses of each name.
    addresses: BTreeMap<String, Vec<SocketAddr>>,
    /// The addresses that the node was given.
    asked: Vec<SocketAddr>,
    /// What was warned of when the seeds were read last.
    warned: Vec<String>,
    /// All that is named, and where, as it was read last.
    texts: Vec<(&'static str, String)>,
    /// Whether names are looked up again and again already.
    is_looked_up: bool,
}

/// The seeds as they are now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seeds {
    /// The addresses of those that are good.
    pub(crate) addresses: Vec<SocketAddr>,
    /// A line for each that is not.
    pub(crate) warnings: Vec<String>,
    /// Whether there are names without an address, which may have one later.
    pub(crate) is_unresolved: bool,
}

impl SeedSource {
    /// # Errors
    ///
    /// What is no address on the command line. Whether names have addresses is seen when the seeds are read.
    pub(crate) fn new(given: Vec<String>, file: Option<PathBuf>, own_ip: IpAddr) -> Result<Self, String> {
        for text in &given {
            let checked = check_syntax(text, GOSSIP_PORT);
            let checked = checked.and_then(|address| address.map_or(Ok(()), reach::check_seed));
            checked.map_err(|error| format!("--seed: {error}"))?;
        }
        Ok(Self { given, file, own_ip, known: Arc::default() })
    }

    /// The seeds as they are now. One that is not good does not stand in the way of the others. A name that has no address now keeps
    /// those that it had.
    ///
    /// # Errors
    ///
    /// Why the file cannot be read, or that it names none.
    pub(crate) fn read(&self) -> Result<Seeds, String> {
        let from_file = self.file.as_deref().map(seed_texts).transpose();
        let from_file = from_file.map_err(|error| format!("--seeds-file: {error}"))?.unwrap_or_default();
        let given = self.given.iter().map(|text| ("--seed", text.clone()));
        let all = given.chain(from_file.into_iter().map(|text| ("--seeds-file", text)));
        self.known().texts = all.collect();
        Ok(self.look_up())
    }

    /// Looks all names up that were read last; see [`SeedSource::read`].
    fn look_up(&self) -> Seeds {
        let all = self.known().texts.clone();
        let mut seeds = Seeds::default();
        for (option, text) in &all {
            match self.addresses_of(text) {
                Ok(addresses) => {
                    self.known().addresses.insert(text.clone(), addresses.clone());
                    seeds.addresses.extend(addresses);
                }
                Err(Unresolved { error, may_come }) => {
                    seeds.is_unresolved |= may_come;
                    let before = self.known().addresses.get(text).filter(|_| may_come).cloned();
                    let kept = match &before {
                        Some(before) => format!("; it keeps the addresses that it had, {}", listed(before)),
                        None => String::new(),
                    };
                    let then = if may_come { "it is looked up again" } else { "this seed is left out" };
                    seeds.warnings.push(format!("{option}: {error}{kept}; {then}"));
                    seeds.addresses.extend(before.unwrap_or_default());
                }
            }
        }
        seeds.addresses.sort_unstable();
        seeds.addresses.dedup();
        self.known().asked.clone_from(&seeds.addresses);
        seeds
    }

    /// The addresses that were asked; names may have others by now.
    pub(crate) fn asked(&self) -> Vec<SocketAddr> {
        self.known().asked.clone()
    }

    /// Whether there is a file to read again.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Whether none were asked for, not even in a file.
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.file.is_none()
    }

    /// How long it takes until names are looked up again.
    pub(crate) fn pause(interval: Duration) -> Duration {
        (interval * LOOK_UP_PERIOD).clamp(LOOK_UP_BOUNDS.0, LOOK_UP_BOUNDS.1)
    }

    /// Whether any seed is a name, whose addresses may change.
    fn has_names(&self) -> bool {
        let is_name = |(_, text): &(&str, String)| matches!(check_syntax(text, GOSSIP_PORT), Ok(None));
        self.known().texts.iter().any(is_name)
    }

    /// Looks names up again for as long as the node runs: each minute, and more often while a name has no address or the node hears of
    /// no other node. One name of an orchestrator leads to other addresses each time. A second call changes nothing.
    pub(crate) async fn look_up_again(
        self,
        handle: Handle<Common>,
        interval: Duration,
        mut was_unresolved: bool,
    ) {
        if !self.has_names() || core::mem::replace(&mut self.known().is_looked_up, true) {
            return;
        }
        let mut is_urgent = true;
        loop {
            tokio::time::sleep(if is_urgent { Self::pause(interval) } else { LOOK_UP_BOUNDS.1 }).await;
            let source = self.clone();
            let Ok(seeds) = tokio::task::spawn_blocking(move || source.look_up()).await else { continue };
            let endpoints = seeds.addresses.iter().copied().map(Endpoint::from).collect();
            match handle.set_seeds(endpoints).await {
                Ok(true) => tracing::info!("the seeds have changed: {}", listed(&seeds.addresses)),
                Ok(false) => {}
                Err(_) => return,
            }
            if was_unresolved && !seeds.is_unresolved {
                tracing::info!("all names of seeds have addresses now");
            }
            self.warn(&seeds);
            was_unresolved = seeds.is_unresolved;
            is_urgent = seeds.is_unresolved || is_alone(&handle).await;
        }
    }

    /// Logs a line for each seed that is not good, unless the log says so since the seeds were read before.
    pub(crate) fn warn(&self, seeds: &Seeds) {
        for warning in self.news(seeds) {
            tracing::warn!("{warning}");
        }
    }

    /// What is to be warned of that was not when the seeds were read before.
    fn news(&self, seeds: &Seeds) -> Vec<String> {
        let before = core::mem::replace(&mut self.known().warned, seeds.warnings.clone());
        seeds.warnings.iter().filter(|warning| !before.contains(warning)).cloned().collect()
    }

    /// A name may have addresses of both families, of which our peers hear only one.
    fn addresses_of(&self, text: &str) -> Result<Vec<SocketAddr>, Unresolved> {
        let addresses = resolve(text, GOSSIP_PORT)?;
        for address in &addresses {
            reach::check_seed(*address).map_err(Unresolved::for_good)?;
        }
        let is_own_family = |address: &SocketAddr| address.is_ipv4() == self.own_ip.is_ipv4();
        let same_family: Vec<_> = addresses.iter().copied().filter(is_own_family).collect();
        Ok(if same_family.is_empty() { addresses } else { same_family })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A change is one step.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the node hears of no other node now: it asks its seeds, or all that it knows are down.
async fn is_alone(handle: &Handle<Common>) -> bool {
    match handle.view().await {
        Ok(mut view) => view.snapshot().live_count() <= 1,
        Err(_) => false,
    }
}

/// How many addresses a line names.
const MAX_LISTED: usize = 16;

/// Addresses in a line; of very many the first.
pub(crate) fn listed(addresses: &[SocketAddr]) -> String {
    let mut named: Vec<_> = addresses.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    match addresses.len() - named.len() {
        0 => {}
        more => named.push(format!("and {more} more")),
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const OWN: &str = "127.0.0.1";
    /// RFC 6761: no name under this has an address.
    const NOBODY: &str = "nobody.invalid";

    fn source(given: &[&str], file: Option<PathBuf>) -> Result<SeedSource, String> {
        SeedSource::new(given.iter().map(ToString::to_string).collect(), file, OWN.parse().unwrap())
    }

    #[test]
    fn a_name_without_an_address_does_not_stand_in_the_way_of_the_others() {
        let seeds = source(&[NOBODY, "127.0.0.2"], None).unwrap().read().unwrap();
        assert_eq!(listed(&seeds.addresses), "127.0.0.2:7000");
        assert!(seeds.is_unresolved && seeds.warnings.len() == 1, "{seeds:?}");
        assert!(seeds.warnings[0].contains(NOBODY) && seeds.warnings[0].lines().count() == 1, "{seeds:?}");
        // Text that is no address is a mistake of the operator.
        assert!(source(&["10.0.0", "127.0.0.2"], None).is_err());
        assert!(source(&["0.0.0.0", "127.0.0.2"], None).is_err());
    }

    #[test]
    fn a_bad_line_does_not_stand_in_the_way_of_the_others() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("seeds");
        std::fs::write(&file, format!("10.0.0\n127.0.0.3\n{NOBODY}\n127.0.0.4:0\n239.1.1.1\n")).unwrap();
        let source = source(&["127.0.0.2"], Some(file.clone())).unwrap();
        let seeds = source.read().unwrap();
        assert_eq!(listed(&seeds.addresses), "127.0.0.2:7000, 127.0.0.3:7000");
        assert_eq!((seeds.warnings.len(), source.asked()), (4, seeds.addresses.clone()));
        let then = |warning: &String| warning.rsplit_once("; ").unwrap().1.to_owned();
        let [bad, name, port, group] = &seeds.warnings[..] else { panic!("{seeds:?}") };
        assert_eq!(then(name), "it is looked up again");
        assert!(
            [bad, port, group].iter().all(|warning| then(warning) == "this seed is left out"),
            "{seeds:?}"
        );
        assert_eq!(source.news(&seeds), seeds.warnings);
        assert_eq!(source.news(&source.read().unwrap()), [""; 0], "nothing has changed");
        std::fs::write(&file, "10.0.0\n").unwrap();
        let seeds = source.read().unwrap();
        assert_eq!((listed(&seeds.addresses), seeds.is_unresolved), ("127.0.0.2:7000".into(), false));
    }

    #[test]
    fn of_very_many_addresses_a_line_names_the_first() {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert_eq!(listed(&[at(1), at(2)]), "10.0.0.1:1, 10.0.0.1:2");
        let line = listed(&(1..=10_000).map(at).collect::<Vec<_>>());
        assert!(line.ends_with("10.0.0.1:16, and 9984 more"), "{line}");
    }

    #[test]
    fn a_name_that_loses_its_address_keeps_the_one_that_it_had() {
        let source = source(&[NOBODY], None).unwrap();
        let before = vec!["127.0.0.9:7000".parse().unwrap()];
        source.known().addresses.insert(NOBODY.into(), before.clone());
        let seeds = source.read().unwrap();
        assert_eq!((seeds.addresses, seeds.is_unresolved), (before, true));
        assert!(seeds.warnings[0].contains("127.0.0.9:7000"), "{:?}", seeds.warnings);
    }
}
