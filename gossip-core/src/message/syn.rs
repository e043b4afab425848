//! The SYN: opens an exchange (`docs/protocol/gossip-messages.md#syn`).

use super::{Codec, Digests};
use crate::metadata::MetadataId;
use crate::wire::{DecodeError, Full, JavaStr, Reader, Writer};

/// Opens an exchange: what the sender knows, as digests. Without any it asks for everything (a shadow SYN).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Syn<'a> {
    /// Name of the sender's cluster.
    pub cluster: JavaStr<'a>,
    /// Class name of the sender's partitioner.
    pub partitioner: JavaStr<'a>,
    /// Id of the cluster metadata: version 14 only, else none.
    pub metadata_id: MetadataId,
    /// How far the sender knows which endpoint.
    pub digests: Digests<'a>,
}

impl<'a> Syn<'a> {
    pub(super) fn decode(reader: &mut Reader<'a>, codec: Codec) -> Result<Self, DecodeError> {
        let cluster = reader.string("the cluster name")?;
        let partitioner = reader.string("the partitioner")?;
        let has_id = codec.version.has_metadata_id();
        let metadata_id = if has_id { MetadataId::decode(reader)? } else { MetadataId::NONE };
        let digests = Digests::decode(reader, codec.address_form())?;
        Ok(Self { cluster, partitioner, metadata_id, digests })
    }

    pub(super) fn encode(&self, codec: Codec, out: &mut Writer<'_>) -> Result<(), Full> {
        encode_head(self.cluster, self.partitioner, self.metadata_id, codec, out)?;
        self.digests.encode(codec, out)
    }
}

/// Writes all of a SYN up to its digests.
pub(crate) fn encode_head(
    cluster: JavaStr<'_>,
    partitioner: JavaStr<'_>,
    metadata_id: MetadataId,
    codec: Codec,
    out: &mut Writer<'_>,
) -> Result<(), Full> {
    out.string(cluster)?;
    out.string(partitioner)?;
    if codec.version.has_metadata_id() { metadata_id.encode(out) } else { Ok(()) }
}
