//! Sealing what goes out and opening what comes in. Without the feature `seal`, or without keys, packets go as they are.

use alloc::vec::Vec;

use crate::config::Config;
use crate::datagram::{Header, Seal};
use crate::endpoint::Endpoint;

#[cfg(feature = "seal")]
use crate::datagram::{KeyRing, OpenError, TAG};
#[cfg(feature = "seal")]
use crate::rng::{Purpose, Rng};
#[cfg(feature = "seal")]
use crate::wire::{AddressForm, Writer};

/// Why a packet is dropped before its messages are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// It has to be sealed and is not, or is and there is nothing to open it with.
    Unsealed,
    /// No key opens it, or it is not as it was sealed.
    #[cfg(feature = "seal")]
    Forged,
}

#[derive(Debug)]
pub(crate) struct Sealer {
    #[cfg(feature = "seal")]
    keys: Option<KeyRing>,
    #[cfg(feature = "seal")]
    process: [u8; 12],
    #[cfg(feature = "seal")]
    counter: u64,
    /// What is authenticated though it is not encrypted: the header, the receiver of the packet, and the names of the cluster,
    /// which stand there always.
    #[cfg(feature = "seal")]
    associated: Vec<u8>,
    #[cfg(feature = "seal")]
    names: usize,
    /// Where packets are opened.
    opened: Vec<u8>,
}

#[cfg(not(feature = "seal"))]
impl Sealer {
    pub(crate) const fn new(_: &Config) -> Self {
        Self { opened: Vec::new() }
    }

    #[expect(clippy::unused_self, reason = "the sealer with keys counts")]
    pub(crate) const fn next(&mut self) -> Option<Seal> {
        None
    }

    #[expect(clippy::unused_self, reason = "the sealer with keys has some")]
    pub(crate) const fn seal(
        &mut self,
        _: &Header,
        _: Endpoint,
        _: usize,
        _: &mut [u8],
        length: usize,
    ) -> Option<usize> {
        Some(length)
    }

    pub(crate) fn open(
        &mut self,
        header: &Header,
        _: Endpoint,
        _: &[u8],
        messages: &[u8],
    ) -> Result<Option<Vec<u8>>, Refused> {
        debug_assert!(self.opened.is_empty() && messages.len() <= usize::from(u16::MAX));
        if header.seal.is_some() { Err(Refused::Unsealed) } else { Ok(None) }
    }

    pub(crate) fn give_back(&mut self, opened: Vec<u8>) {
        self.opened = opened;
    }
}

#[cfg(feature = "seal")]
impl Sealer {
    pub(crate) fn new(config: &Config) -> Self {
        let mut rng = Rng::new(&config.entropy, Purpose::Nonce);
        let mut process = [0; 12];
        process[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
        process[8..].copy_from_slice(&rng.next_u64().to_be_bytes()[..4]);
        let mut associated = Vec::with_capacity(config.cluster.len() + config.partitioner.len() + 8 + 256);
        for name in [&config.cluster, &config.partitioner] {
            // Its length before each, so that no two pairs of names look the same.
            associated.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
            associated.extend_from_slice(name);
        }
        let names = associated.len();
        let opened = Vec::with_capacity(config.datagrams.max_size);
        Self { keys: config.keys.clone(), process, counter: 0, associated, names, opened }
    }

    pub(crate) fn set_keys(&mut self, keys: KeyRing) {
        self.keys = Some(keys);
    }

    /// What the header of the next packet says of its seal.
    pub(crate) fn next(&mut self) -> Option<Seal> {
        let key = self.keys.as_ref()?.sealing().bytes();
        // A thousand million packets a second for six hundred years: it does not wrap.
        self.counter += 1;
        Some(Seal { key, process: self.process, counter: self.counter })
    }

    /// Seals the messages that stand in `packet` from `start` to `length`, if the header says so; gives the length with the tag behind
    /// them.
    pub(crate) fn seal(
        &mut self,
        header: &Header,
        to: Endpoint,
        start: usize,
        packet: &mut [u8],
        length: usize,
    ) -> Option<usize> {
        let Some(seal) = &header.seal else { return Some(length) };
        self.associate(packet.get(..start)?, to)?;
        let messages = packet.get_mut(start..length)?;
        let tag = self.keys.as_ref()?.seal(header.generation, seal, &self.associated, messages)?;
        packet.get_mut(length..length + TAG)?.copy_from_slice(&tag);
        Some(length + TAG)
    }

    /// Opens the messages of a packet for `to` that begins with `front`. Gives them in memory to be given back, or none if they
    /// are not sealed and need not be.
    pub(crate) fn open(
        &mut self,
        header: &Header,
        to: Endpoint,
        front: &[u8],
        messages: &[u8],
    ) -> Result<Option<Vec<u8>>, Refused> {
        let seal = match (&header.seal, &self.keys) {
            (None, None) => return Ok(None),
            (None, Some(_)) | (Some(_), None) => return Err(Refused::Unsealed),
            (Some(seal), Some(_)) => seal,
        };
        let (sealed, tag) = messages.split_last_chunk::<TAG>().ok_or(Refused::Forged)?;
        // All nodes have packets of the same size; a longer one comes from none of them.
        if sealed.len() > self.opened.capacity() {
            return Err(Refused::Forged);
        }
        self.associate(front, to).ok_or(Refused::Forged)?;
        let mut opened = core::mem::take(&mut self.opened);
        opened.clear();
        opened.extend_from_slice(sealed);
        let keys = self.keys.as_ref().ok_or(OpenError::UnknownKey);
        let outcome =
            keys.and_then(|keys| keys.open(header.generation, seal, &self.associated, &mut opened, tag));
        match outcome {
            Ok(()) => Ok(Some(opened)),
            Err(_) => {
                self.opened = opened;
                Err(Refused::Forged)
            }
        }
    }

    /// Takes back the memory in which a packet was opened.
    pub(crate) fn give_back(&mut self, opened: Vec<u8>) {
        self.opened = opened;
    }

    fn associate(&mut self, front: &[u8], to: Endpoint) -> Option<()> {
        let mut address = [0; 19];
        let mut out = Writer::new(&mut address);
        out.endpoint(to, AddressForm::WithPort).ok()?;
        self.associated.truncate(self.names);
        self.associated.extend_from_slice(front);
        self.associated.extend_from_slice(out.written());
        Some(())
    }
}
