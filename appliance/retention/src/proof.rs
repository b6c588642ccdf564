//! What proves a segment's records once nothing else of the ledger is there: their leaf hashes, and the first checkpoint that
//! covers them with the proof that the tree of all records up to the segment's last grew into it.

use minicbor::{Decode, Encode};
use yanqian_evidence::{CheckpointKey, Consistency, LeafHash, RootHash, SignedCheckpoint, proof};
use yanqian_ledger::tree::{Checkpoints, TileReader, TreePlaces};

use crate::error::ArchiveError;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Proof {
    /// 32 octets for each record, in order.
    #[cbor(n(0), with = "minicbor::bytes")]
    leaves: Vec<u8>,
    #[n(1)]
    checkpoint: Option<Signed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Signed {
    /// The signed note.
    #[n(0)]
    note: String,
    /// Consistency proof (RFC 9162 2.1.4), 32 octets for each hash.
    #[cbor(n(1), with = "minicbor::bytes")]
    path: Vec<u8>,
    /// DER `TimeStampToken`, where there was one; empty otherwise.
    #[cbor(n(2), with = "minicbor::bytes")]
    timestamp: Vec<u8>,
}

impl Proof {
    /// For a segment that ends with record `last`.
    ///
    /// # Errors
    /// [`ArchiveError::NotCovered`] while no checkpoint covers it.
    pub(crate) fn make(
        segment: u64,
        last: u64,
        leaves: &[LeafHash],
        places: Option<&TreePlaces>,
    ) -> Result<Self, ArchiveError> {
        let leaves = leaves.iter().flat_map(|leaf| *leaf.as_bytes()).collect();
        let Some(places) = places else { return Ok(Self { leaves, checkpoint: None }) };
        let checkpoints = Checkpoints::new(&places.checkpoints);
        let size = checkpoints.first_covering(last)?.ok_or(ArchiveError::NotCovered(segment))?;
        let signed = checkpoints.read(size)?.ok_or(ArchiveError::NotCovered(segment))?;
        let tiles = TileReader::new(&places.tree, checkpoints.latest()?.unwrap_or(size));
        let path = Consistency::of(&tiles, last, size)?.ok_or(ArchiveError::NotCovered(segment))?;
        let earlier = (last, proof::root(&tiles, last)?);
        path.verify(earlier, (size, signed.checkpoint.root)).map_err(|error| (segment, error))?;
        let timestamp = checkpoints.timestamp(size)?.map(|token| token.as_bytes().to_vec()).unwrap_or_default();
        let path = path.path.iter().flat_map(|hash| *hash.as_bytes()).collect();
        Ok(Self { leaves, checkpoint: Some(Signed { note: signed.to_string(), path, timestamp }) })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).unwrap_or_default() // writing into memory does not fail
    }

    pub(crate) fn decode(segment: u64, octets: &[u8]) -> Result<Self, ArchiveError> {
        let proof: Self = minicbor::decode(octets).map_err(|error| ArchiveError::proof(segment, error))?;
        let whole = proof.leaves.len().is_multiple_of(32) && proof.encode() == octets;
        if whole { Ok(proof) } else { Err(ArchiveError::proof(segment, "not the encoding of one")) }
    }

    pub(crate) fn leaves(&self) -> impl ExactSizeIterator<Item = LeafHash> + '_ {
        self.leaves.as_chunks::<32>().0.iter().map(|leaf| LeafHash::new(*leaf))
    }

    /// The checkpoint, with its time-stamp token, once it is proven over the tree of the first `last` records with that root.
    pub(crate) fn checkpoint(
        &self,
        segment: u64,
        last: u64,
        root: RootHash,
        key: Option<&CheckpointKey>,
    ) -> Result<Option<(SignedCheckpoint, &[u8])>, ArchiveError> {
        let Some(Signed { note, path, timestamp }) = &self.checkpoint else { return Ok(None) };
        let signed = SignedCheckpoint::from_octets(note.as_bytes()).map_err(|error| (segment, error))?;
        if let Some(key) = key {
            key.signed(&signed).map_err(|error| (segment, error))?;
        }
        let (hashes, rest) = path.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(ArchiveError::proof(segment, "its path is cut off"));
        }
        let path = Consistency { path: hashes.iter().map(|hash| RootHash::new(*hash)).collect() };
        let checkpoint = &signed.checkpoint;
        path.verify((last, root), (checkpoint.size, checkpoint.root)).map_err(|error| (segment, error))?;
        Ok(Some((signed, timestamp)))
    }
}
