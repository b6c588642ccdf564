//! What makes a pending receipt an anchored one.

use yanqian_evidence::{Anchor, Inclusion, LeafHash};

use super::{Checkpoints, TileReader, TreeError, TreePlaces};

/// Proofs for records under the checkpoints of this node. Reads files only; any process may.
#[derive(Debug, Clone)]
pub struct Anchors {
    places: TreePlaces,
}

impl Anchors {
    pub fn new(places: TreePlaces) -> Self {
        Self { places }
    }

    /// The first checkpoint that covers all these records, given by sequence and leaf hash, with a proof for each; `None` while
    /// there is none. The first, because it says the most of when they existed.
    ///
    /// # Errors
    /// [`TreeError::Forked`] when the tree does not hold these records in their places.
    pub fn anchor(&self, records: &[(u64, LeafHash)]) -> Result<Option<Anchor>, TreeError> {
        let Some(last) = records.iter().map(|(sequence, _)| *sequence).max() else { return Ok(None) };
        let checkpoints = Checkpoints::new(&self.places.checkpoints);
        let Some(size) = checkpoints.first_covering(last)? else { return Ok(None) };
        let Some(checkpoint) = checkpoints.read(size)? else { return Ok(None) };
        // As wide as they are now: tiles that were made again have no partial ones of before.
        let tiles = TileReader::new(&self.places.tree, checkpoints.latest()?.unwrap_or(size));
        let mut proofs = Vec::with_capacity(records.len());
        for (sequence, leaf) in records {
            let proof = Inclusion::of(&tiles, sequence.wrapping_sub(1), size)?.ok_or(TreeError::Forked(size))?;
            proof.verify(*leaf, size, checkpoint.checkpoint.root).map_err(|_| TreeError::Forked(size))?;
            proofs.push(proof);
        }
        Ok(Some(Anchor { checkpoint, proofs, timestamp: checkpoints.timestamp(size)? }))
    }
}
