//! Every file of the directory of checkpoints, and the checkpoint that is served.

use std::path::{Path, PathBuf};

use yanqian_evidence::checkpoint::MAX_CHECKPOINT;
use yanqian_evidence::{Checkpoint, SignedCheckpoint};

use super::super::files::read;
use super::super::keys::KnownKeys;
use super::super::{Checkpoints, TreeError, TreePlaces};

pub(super) struct StoredCheckpoints<'a> {
    places: &'a TreePlaces,
    checkpoints: Checkpoints,
    keys: Option<KnownKeys>,
}

impl<'a> StoredCheckpoints<'a> {
    pub(super) fn open(places: &'a TreePlaces) -> Result<Self, TreeError> {
        let keys = KnownKeys::read(&places.checkpoints)?;
        Ok(Self { places, checkpoints: Checkpoints::new(&places.checkpoints), keys })
    }

    pub(super) const fn have_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// The checkpoint of that size: as it was signed, and the same with the lines of witnesses, where there are some.
    pub(super) fn prove(&self, size: u64) -> Result<Checkpoint, TreeError> {
        let file = self.checkpoints.file(size, "");
        let signed = signed_in(&file)?.filter(|signed| is_alone(signed) && signed.checkpoint.size == size);
        let signed = signed.ok_or_else(|| TreeError::OtherCheckpoint(file.clone()))?;
        self.prove_signatures(&file, &signed)?;
        let file = self.checkpoints.file(size, ".cosigned");
        if let Some(cosigned) = signed_in(&file)? {
            if cosigned.without_witnesses() != signed {
                return Err(TreeError::OtherCheckpoint(file));
            }
            self.prove_signatures(&file, &cosigned)?;
        }
        // A token's content is for those who know its authority; that it is one DER value is seen here.
        self.checkpoints.timestamp(size)?;
        Ok(signed.checkpoint)
    }

    fn prove_signatures(&self, file: &Path, signed: &SignedCheckpoint) -> Result<(), TreeError> {
        let proven = self.keys.as_ref().map_or(Ok(()), |keys| keys.prove(signed));
        proven.map_err(|error| TreeError::Checkpoint { file: file.to_owned(), error })
    }

    /// What is served is one of those that are kept, to the octet. There may be nothing yet.
    pub(super) fn prove_published(&self) -> Result<(), TreeError> {
        let file: PathBuf = self.places.tree.join("checkpoint");
        let Some(published) = signed_in(&file)? else { return Ok(()) };
        // Kept before it was published.
        let kept = signed_in(&self.checkpoints.file(published.checkpoint.size, ""))?;
        if kept == Some(published) { Ok(()) } else { Err(TreeError::OtherCheckpoint(file)) }
    }
}

fn is_alone(signed: &SignedCheckpoint) -> bool {
    signed.signatures().len() == 1
}

fn signed_in(file: &Path) -> Result<Option<SignedCheckpoint>, TreeError> {
    let Some(octets) = read(file, MAX_CHECKPOINT)? else { return Ok(None) };
    let signed = SignedCheckpoint::from_octets(&octets);
    signed.map(Some).map_err(|error| TreeError::Checkpoint { file: file.to_owned(), error })
}
