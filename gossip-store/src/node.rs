//! What is remembered, and how it reads in JSON.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use gossip_core::{Generation, Tombstone};
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

/// What is remembered of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredNode {
    /// The generation of its process.
    pub generation: i32,
    /// Which host it is.
    pub host_id: Uuid,
    /// The cluster that it belongs to.
    pub cluster: String,
    /// The endpoints that it knows, the unreachable ones included.
    pub endpoints: Vec<StoredEndpoint>,
    /// The endpoints that are gone for good.
    pub tombstones: Vec<StoredTombstone>,
    /// The identifier of the cluster's metadata, as far as it is known: from Cassandra 6.0 on.
    pub metadata_id: Option<i32>,
    /// The data center that the node named at its last start, as far as that is known.
    pub dc: Option<String>,
    /// The rack that the node named at its last start, as far as that is known.
    pub rack: Option<String>,
    /// Whether the node itself has left its cluster, or was removed from it.
    pub left: bool,
    /// Fields of the node that a later release wrote.
    pub unknown: Unknown,
    /// Fields beside the node that a later release wrote. The checksum does not cover them.
    pub beside: Unknown,
}

impl StoredNode {
    /// A node that knows no endpoint.
    pub fn new(generation: i32, host_id: Uuid, cluster: impl Into<String>) -> Self {
        Self {
            generation,
            host_id,
            cluster: cluster.into(),
            endpoints: Vec::new(),
            tombstones: Vec::new(),
            metadata_id: None,
            dc: None,
            rack: None,
            left: false,
            unknown: Unknown::default(),
            beside: Unknown::default(),
        }
    }

    pub(crate) fn from_json(json: &RawValue) -> serde_json::Result<Self> {
        let mut fields = parse::<Unknown>(json)?;
        Ok(Self {
            generation: fields.take("generation")?,
            host_id: fields.take::<Id>("host_id")?.0,
            cluster: fields.take("cluster")?,
            endpoints: each(fields.take("endpoints")?, StoredEndpoint::from_json)?,
            tombstones: each(fields.take_or_default("tombstones")?, StoredTombstone::from_json)?,
            metadata_id: fields.take_or_default("metadata_id")?,
            dc: fields.take_or_default("dc")?,
            rack: fields.take_or_default("rack")?,
            left: fields.take_or_default("left")?,
            unknown: fields,
            beside: Unknown::default(),
        })
    }
}

impl Serialize for StoredNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("generation", &self.generation)?;
        map.serialize_entry("host_id", &Id(self.host_id))?;
        map.serialize_entry("cluster", &self.cluster)?;
        map.serialize_entry("endpoints", &self.endpoints)?;
        // Absent where there is nothing to say, as in files written before there were such fields.
        if !self.tombstones.is_empty() {
            map.serialize_entry("tombstones", &self.tombstones)?;
        }
        if let Some(metadata_id) = self.metadata_id {
            map.serialize_entry("metadata_id", &metadata_id)?;
        }
        for (name, place) in [("dc", &self.dc), ("rack", &self.rack)] {
            if let Some(place) = place {
                map.serialize_entry(name, place)?;
            }
        }
        if self.left {
            map.serialize_entry("left", &self.left)?;
        }
        self.unknown.serialize_into(&mut map)?;
        map.end()
    }
}

/// An endpoint that a node knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredEndpoint {
    /// Its address.
    pub address: SocketAddr,
    /// The host that had this address, as far as that is known.
    pub host_id: Option<Uuid>,
    /// When news of it came last, in milliseconds since the Unix epoch, as far as that is known.
    pub heard_unix_ms: Option<u64>,
    /// Fields that a later release wrote.
    pub unknown: Unknown,
}

impl StoredEndpoint {
    /// An endpoint of which only the address is known.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, host_id: None, heard_unix_ms: None, unknown: Unknown::default() }
    }

    fn from_json(json: &RawValue) -> serde_json::Result<Self> {
        // Format 1 kept the address alone.
        if json.get().starts_with('"') {
            return parse(json).map(Self::new);
        }
        let mut fields = parse::<Unknown>(json)?;
        Ok(Self {
            address: fields.take("address")?,
            host_id: fields.take_or_default::<Option<Id>>("host_id")?.map(|id| id.0),
            heard_unix_ms: fields.take_or_default("heard_unix_ms")?,
            unknown: fields,
        })
    }
}

impl Serialize for StoredEndpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("address", &self.address)?;
        if let Some(host_id) = self.host_id {
            map.serialize_entry("host_id", &Id(host_id))?;
        }
        if let Some(heard_unix_ms) = self.heard_unix_ms {
            map.serialize_entry("heard_unix_ms", &heard_unix_ms)?;
        }
        self.unknown.serialize_into(&mut map)?;
        map.end()
    }
}

/// As [`Tombstone`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredTombstone {
    /// The endpoint that is gone.
    pub endpoint: SocketAddr,
    /// Up to which generation it is refused.
    pub generation: i32,
    /// Until when, in milliseconds since the Unix epoch.
    pub until_unix_ms: u64,
    /// Fields that a later release wrote.
    pub unknown: Unknown,
}

impl StoredTombstone {
    fn from_json(json: &RawValue) -> serde_json::Result<Self> {
        let mut fields = parse::<Unknown>(json)?;
        Ok(Self {
            endpoint: fields.take("endpoint")?,
            generation: fields.take("generation")?,
            until_unix_ms: fields.take("until_unix_ms")?,
            unknown: fields,
        })
    }
}

impl Serialize for StoredTombstone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("endpoint", &self.endpoint)?;
        map.serialize_entry("generation", &self.generation)?;
        map.serialize_entry("until_unix_ms", &self.until_unix_ms)?;
        self.unknown.serialize_into(&mut map)?;
        map.end()
    }
}

impl From<Tombstone> for StoredTombstone {
    fn from(tombstone: Tombstone) -> Self {
        Self {
            endpoint: tombstone.endpoint.into(),
            generation: tombstone.generation.get(),
            until_unix_ms: tombstone.until_unix_ms,
            unknown: Unknown::default(),
        }
    }
}

impl From<&StoredTombstone> for Tombstone {
    fn from(stored: &StoredTombstone) -> Self {
        Self {
            endpoint: stored.endpoint.into(),
            generation: Generation::new(stored.generation),
            until_unix_ms: stored.until_unix_ms,
        }
    }
}

/// Fields that this release does not know, by name. They are kept to the byte, and written back.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Unknown(BTreeMap<String, Box<RawValue>>);

impl Unknown {
    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a field, as a later release would. It replaces one of the same name.
    ///
    /// # Errors
    ///
    /// `json` is no JSON.
    pub fn insert(&mut self, name: impl Into<String>, json: &str) -> serde_json::Result<()> {
        self.0.insert(name.into(), serde_json::from_str(json)?);
        Ok(())
    }

    /// Takes out a field that this release knows.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &str) -> serde_json::Result<T> {
        let missing = || serde::de::Error::custom(format_args!("it has no field {name:?}"));
        parse(&self.0.remove(name).ok_or_else(missing)?)
    }

    pub(crate) fn take_or_default<T: DeserializeOwned + Default>(
        &mut self,
        name: &str,
    ) -> serde_json::Result<T> {
        self.0.remove(name).map_or_else(|| Ok(T::default()), |json| parse(&json))
    }

    pub(crate) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(name, json)| map.serialize_entry(name, json))
    }
}

impl PartialEq for Unknown {
    fn eq(&self, other: &Self) -> bool {
        let mut both = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len()
            && both.all(|(ours, theirs)| ours.0 == theirs.0 && ours.1.get() == theirs.1.get())
    }
}

impl Eq for Unknown {}

fn parse<T: DeserializeOwned>(json: &RawValue) -> serde_json::Result<T> {
    serde_json::from_str(json.get())
}

fn each<T>(
    all: Vec<Box<RawValue>>,
    read: impl Fn(&RawValue) -> serde_json::Result<T>,
) -> serde_json::Result<Vec<T>> {
    all.iter().map(|json| read(json)).collect()
}

/// A UUID as text.
struct Id(Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}
