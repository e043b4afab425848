//! The ring of Cassandra's Murmur3 partitioner: which endpoint has which tokens, and which share of the ring is its own.

use std::collections::BTreeMap;
use std::ops::Range;

use gossip_core::{Endpoint, decode_tokens, wire};

/// How many tokens there are on the ring.
const TOKENS: u128 = 1 << 64;

/// The tokens of all endpoints, by ascending token.
///
/// An endpoint owns what lies between the token before its own, exclusive, and its own, inclusive. The first token also owns what lies
/// above the last one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ring {
    /// By ascending token; of equal tokens the smaller endpoint first.
    tokens: Vec<(i64, Endpoint)>,
}

impl Ring {
    /// The ring of endpoints whose TOKENS are given as text, as [`StateInfo`](gossip_core::StateInfo) has it. `None` if a value is malformed, or
    /// a token is not one of the Murmur3 partitioner.
    pub fn new<'a>(tokens: impl IntoIterator<Item = (Endpoint, &'a str)>) -> Option<Self> {
        let mut all = Vec::new();
        let mut encoded = Vec::new();
        for (endpoint, text) in tokens {
            encoded.clear();
            wire::encode_str(text, &mut encoded);
            for token in decode_tokens(wire::JavaStr::new(&encoded).ok()?)? {
                all.push((i64::from_be_bytes(token.try_into().ok()?), endpoint));
            }
        }
        all.sort_unstable();
        Some(Self { tokens: all })
    }

    /// How many tokens a value of TOKENS names, whatever the partitioner. `None` if it is malformed.
    pub fn count(text: &str) -> Option<usize> {
        let mut encoded = Vec::new();
        wire::encode_str(text, &mut encoded);
        decode_tokens(wire::JavaStr::new(&encoded).ok()?).map(|tokens| tokens.len())
    }

    /// All tokens and their endpoints, by ascending token.
    pub fn tokens(&self) -> &[(i64, Endpoint)] {
        &self.tokens
    }

    /// The share of the ring that each endpoint owns, from 0 to 1. Replication is not considered.
    pub fn shares(&self) -> BTreeMap<Endpoint, f64> {
        let mut owned: BTreeMap<Endpoint, u128> = BTreeMap::new();
        for (index, (_, endpoint)) in self.tokens.iter().enumerate() {
            *owned.entry(*endpoint).or_default() += self.width(index);
        }
        #[expect(clippy::cast_precision_loss, reason = "a share is shown")]
        owned.into_iter().map(|(endpoint, width)| (endpoint, width as f64 / TOKENS as f64)).collect()
    }

    /// The ranges of which fewer than a quorum of `replicas` endpoints are up, and the share of the ring that they are together. The
    /// replicas of a range are the owner of its token and the next endpoints on the ring, as `SimpleStrategy` has it.
    pub fn without_quorum(&self, replicas: usize, is_up: impl Fn(Endpoint) -> bool) -> (Vec<Lost>, f64) {
        let mut lost: Vec<Lost> = Vec::new();
        let mut width = 0_u128;
        for index in 0..self.tokens.len() {
            let owners = self.replicas(index, replicas);
            let up = owners.iter().filter(|owner| is_up(**owner)).count();
            if up > replicas / 2 {
                continue;
            }
            width += self.width(index);
            let before = if index == 0 { self.tokens.len() - 1 } else { index - 1 };
            let range = self.tokens[before].0..self.tokens[index].0;
            let mut down: Vec<_> = owners.into_iter().filter(|owner| !is_up(*owner)).collect();
            down.sort_unstable();
            match lost.last_mut() {
                Some(last) if last.range.end == range.start && last.down == down => {
                    last.range.end = range.end
                }
                _ => lost.push(Lost { range, down }),
            }
        }
        // The last one may go on at the start.
        if lost.len() > 1
            && let Some(last) = lost.pop()
        {
            match lost.first_mut() {
                Some(first) if first.range.start == last.range.end && first.down == last.down => {
                    first.range.start = last.range.start;
                }
                _ => lost.push(last),
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a share is shown")]
        let share = width as f64 / TOKENS as f64;
        (lost, share)
    }

    /// The owner of a token, and the next endpoints on the ring, each once.
    fn replicas(&self, index: usize, count: usize) -> Vec<Endpoint> {
        let mut replicas = Vec::with_capacity(count.min(self.tokens.len()));
        let around = self.tokens[index..].iter().chain(&self.tokens[..index]);
        for (_, endpoint) in around {
            if replicas.len() == count {
                break;
            }
            if !replicas.contains(endpoint) {
                replicas.push(*endpoint);
            }
        }
        replicas
    }

    /// How many tokens lie in the range that ends with this one.
    fn width(&self, index: usize) -> u128 {
        let own = self.tokens[index].0;
        if self.tokens.len() == 1 {
            return TOKENS;
        }
        let before = if index == 0 { self.tokens.len() - 1 } else { index - 1 };
        // On a ring the distance is that modulo its size. Equal tokens: the first has the range, unless all are equal.
        let distance = own.wrapping_sub(self.tokens[before].0).cast_unsigned();
        if distance == 0 && index == 0 { TOKENS } else { u128::from(distance) }
    }
}

/// A part of the ring that has lost its quorum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost {
    /// From the token before it, exclusive, to its last one, inclusive. It may go round the end of the ring: the start is then not
    /// below the end.
    pub range: Range<i64>,
    /// The replicas that are not up.
    pub down: Vec<Endpoint>,
}

#[cfg(test)]
mod tests {
    use gossip_core::encode_tokens;

    use super::*;

    fn endpoint(n: u8) -> Endpoint {
        Endpoint::v4([10, 0, 0, n], 7000)
    }

    fn ring(all: &[(u8, &[i64])]) -> Ring {
        let texts: Vec<_> = all.iter().map(|(n, tokens)| (endpoint(*n), encode_tokens(tokens))).collect();
        Ring::new(texts.iter().map(|(endpoint, text)| (*endpoint, text.as_str()))).expect("Murmur3's")
    }

    #[test]
    fn shares_are_what_lies_below_each_token() {
        let quarter = 1_i64 << 62;
        let ring = ring(&[(1, &[-quarter]), (2, &[0]), (3, &[quarter])]);
        let shares: Vec<_> = ring.shares().into_values().collect();
        assert_eq!(shares, [0.5, 0.25, 0.25]);
        assert!((ring.shares().values().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_token_owns_everything() {
        assert_eq!(ring(&[(1, &[5])]).shares()[&endpoint(1)], 1.0);
        let same = ring(&[(1, &[5]), (2, &[5])]).shares();
        assert_eq!((same[&endpoint(1)], same[&endpoint(2)]), (1.0, 0.0));
        assert!(ring(&[]).shares().is_empty());
    }

    #[test]
    fn tokens_of_another_partitioner_have_no_shares() {
        let latin1 = "\0\0\0\u{3}abc\0\0\0\0";
        assert_eq!(Ring::new([(endpoint(1), latin1)]), None);
        assert_eq!(Ring::new([(endpoint(1), "no tokens at all")]), None);
        // A joining node of 6.0 publishes an empty list.
        assert_eq!(Ring::new([(endpoint(1), "\0\0\0\0")]), Some(Ring::default()));
    }

    #[test]
    fn a_range_loses_its_quorum_when_most_of_its_replicas_are_down() {
        let ring = ring(&[(1, &[-300, 100]), (2, &[-200, 200]), (3, &[-100, 300]), (4, &[0, 400])]);
        let is_up = |down: &'static [u8]| move |other: Endpoint| !down.iter().any(|n| endpoint(*n) == other);
        assert_eq!(ring.without_quorum(3, is_up(&[1])), (vec![], 0.0));
        let (lost, share) = ring.without_quorum(3, is_up(&[1, 2]));
        // The three from 1 or from 4 on hold both; one range goes round the end of the ring.
        let ranges: Vec<_> = lost.iter().map(|lost| (lost.range.start, lost.range.end)).collect();
        assert_eq!(ranges, [(300, -300), (-100, 100)]);
        assert!(share > 0.9 && lost.iter().all(|lost| lost.down.len() == 2), "{share} {lost:?}");
        // With one replica each owner matters alone.
        assert_eq!(ring.without_quorum(1, is_up(&[3])).0.len(), 2);
        // Fewer endpoints than replicas can have no quorum of four out of seven.
        assert_eq!(ring.without_quorum(9, is_up(&[])).0.len(), 1);
    }
}
