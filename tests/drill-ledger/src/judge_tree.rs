//! What must hold of the tree after a fault: every checkpoint that was published is kept, every file of the tree is of the ledger's
//! records, and in the end every acknowledged record is proven.

use std::path::Path;

use yanqian_evidence::{Consistency, Inclusion, RootHash, SignedCheckpoint};
use yanqian_ledger::tree::{Checkpoints, TileReader, TreePlaces, prove_tree};
use yanqian_ledger::{Depth, read_records, sound_dir};

use crate::judge::{Acknowledged, Tally};

impl Acknowledged {
    /// Looks at everything in `root` as `ledger verify` does; `ended` also asks for the proofs.
    pub(crate) fn judge_tree(&self, root: &Path, ended: bool, what: &str) -> Tally {
        let mut tally = Tally::default();
        let mut problems: Vec<String> = self.wrong.clone();
        let places = TreePlaces::in_state(root);
        let checkpoints = Checkpoints::new(&places.checkpoints);
        for (size, root) in &self.published {
            let kept = checkpoints.read(*size).ok().flatten();
            if kept.is_none_or(|kept| kept.checkpoint.root.to_string() != *root) {
                tally.lost += 1;
                problems.push(format!("published checkpoint {size} is not there"));
            }
        }
        let verified = verify(&places);
        let verified = verified.and_then(|last| if ended { self.prove(&places, &last) } else { Ok(()) });
        if let Err(problem) = verified {
            tally.unverifiable += 1;
            problems.push(problem);
        }
        tally.problems.extend(problems.into_iter().map(|problem| format!("{what}: {problem}")));
        tally
    }

    /// Proofs from the tiles: of each acknowledged record, and that each published checkpoint grew into the last.
    fn prove(&self, places: &TreePlaces, last: &SignedCheckpoint) -> Result<(), String> {
        let (size, root) = (last.checkpoint.size, last.checkpoint.root);
        let tiles = TileReader::new(&places.tree, size);
        for entry in read_records(&places.ledger).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            let sequence = entry.record.sequence;
            if !self.records.contains_key(&sequence) {
                continue;
            }
            let proof = Inclusion::of(&tiles, sequence - 1, size).map_err(|error| error.to_string())?;
            let proof = proof.ok_or_else(|| format!("the last checkpoint does not cover record {sequence}"))?;
            proof.verify(entry.leaf, size, root).map_err(|error| format!("record {sequence}: {error}"))?;
        }
        let checkpoints = Checkpoints::new(&places.checkpoints);
        for old in checkpoints.sizes().map_err(|error| error.to_string())?.into_iter().filter(|old| *old < size) {
            let before: RootHash = match checkpoints.read(old).map_err(|error| error.to_string())? {
                Some(kept) => kept.checkpoint.root,
                None => return Err(format!("checkpoint {old} is not there")),
            };
            let proof = Consistency::of(&tiles, old, size).map_err(|error| error.to_string())?;
            let proof = proof.ok_or_else(|| format!("no proof from checkpoint {old}"))?;
            proof.verify((old, before), (size, root)).map_err(|error| format!("checkpoint {old}: {error}"))?;
        }
        Ok(())
    }
}

/// The whole ledger, every checkpoint with its signature, every tile; gives the last checkpoint.
fn verify(places: &TreePlaces) -> Result<SignedCheckpoint, String> {
    let checkpoints = Checkpoints::new(&places.checkpoints);
    let sizes = checkpoints.sizes().map_err(|error| error.to_string())?;
    let sound = sound_dir(&places.ledger, Depth::Full, &mut |_| {}).map_err(|error| error.to_string())?;
    let proven = prove_tree(places, &sizes, sound.provable(&sizes)).map_err(|error| error.to_string())?;
    if !proven.signatures {
        return Err("there are no keys beside the checkpoints".to_owned());
    }
    let last = checkpoints.read(proven.covered).map_err(|error| error.to_string())?;
    last.ok_or_else(|| "there is no checkpoint".to_owned())
}
