//! What can happen.

use gossip_core::Phase;

use crate::world::World;

/// One thing that happens to a [`World`]. Hosts are numbered from 0, messages by where they lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// A message arrives.
    Deliver(usize),
    /// A message arrives, and will once more.
    Duplicate(usize),
    /// A round begins, whose chances follow from a number.
    Round {
        /// Where.
        host: usize,
        /// What chance makes of it.
        chance: u8,
    },
    /// A node publishes a value.
    Publish(usize),
    /// A process ends without a word.
    Kill(usize),
    /// A process starts that remembers what its host has stored.
    Start(usize),
    /// A process starts that remembers nothing.
    StartForgetful(usize),
    /// A node stops cleanly.
    Stop(usize),
    /// A node leaves for good.
    Leave(usize),
    /// A node declares another as left.
    Assassinate {
        /// Who does.
        by: usize,
        /// Who is declared.
        whom: usize,
    },
    /// A node begins a minute of rounds, and nothing of that arrives anywhere, nor anything there.
    Silence(usize),
    /// A wall clock passes the time at which endpoints that have left are forgotten.
    Expire(usize),
}

/// How many chances of a round are tried among three nodes: among two there is but one peer.
const CHANCES: u8 = 6;

impl World {
    /// What can happen next, as far as the bounds allow.
    pub fn steps(&self) -> Vec<Step> {
        let allowed = self.allowed;
        let mut steps = Vec::new();
        for (at, letter) in self.letters.iter().enumerate() {
            if self.letters[..at].contains(letter) {
                continue;
            }
            if self.is_deliverable(letter) {
                steps.push(Step::Deliver(at));
                if allowed.duplicates > 0 {
                    steps.push(Step::Duplicate(at));
                }
            }
        }
        for host in 0..self.hosts.len() {
            let Some(process) = &self.hosts[host].process else {
                if allowed.starts > 0 {
                    steps.push(Step::Start(host));
                }
                if allowed.forgetful > 0 {
                    steps.push(Step::StartForgetful(host));
                }
                continue;
            };
            let may_move = i32::from(process.moves) + 1 < self.version;
            let is_running = process.gossiper.phase() == Phase::Running;
            if (may_move && allowed.rounds > 0) || !is_running {
                let chances = if self.hosts.len() > 2 { CHANCES } else { 1 };
                steps.extend((0..chances).map(|chance| Step::Round { host, chance }));
            }
            if is_running {
                if may_move && allowed.values > 0 {
                    steps.push(Step::Publish(host));
                }
                if allowed.stops > 0 {
                    steps.push(Step::Stop(host));
                }
                if allowed.leaves > 0 {
                    steps.push(Step::Leave(host));
                }
                if allowed.assassinations > 0 {
                    let others = (0..self.hosts.len()).filter(|whom| *whom != host);
                    steps.extend(others.map(|whom| Step::Assassinate { by: host, whom }));
                }
                if allowed.silences > 0 {
                    steps.push(Step::Silence(host));
                }
            }
            if allowed.kills > 0 {
                steps.push(Step::Kill(host));
            }
            if allowed.expiries > 0 && !self.hosts[host].is_late {
                steps.push(Step::Expire(host));
            }
        }
        steps
    }

    /// A step in words.
    pub fn describe(&self, step: Step) -> String {
        match step {
            Step::Deliver(at) | Step::Duplicate(at) => {
                let letter = &self.letters[at];
                let verb = letter.verb();
                let again = if matches!(step, Step::Duplicate(_)) { ", and will again" } else { "" };
                format!(
                    "{verb} of {}.{} arrives at {}{again}: {:?}",
                    letter.from,
                    letter.from_boot,
                    letter.to,
                    letter.message()
                )
            }
            other => format!("{other:?}"),
        }
    }
}
