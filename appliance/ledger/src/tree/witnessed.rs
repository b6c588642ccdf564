//! Witnesses on both sides: what this node cosigned of others, and what others cosigned of this node.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use yanqian_evidence::checkpoint::MAX_CHECKPOINT;
use yanqian_evidence::{Checkpoint, CheckpointError, CheckpointKey, Consistency, Origin, ProofError, SignedCheckpoint};
use yanqian_sm::sm3;
use yanqian_vocabulary::{ContentDigest, Timestamp};

use super::files::{at, make, read, write};
use super::{TreeError, TreePlaces};

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    #[error("a node does not cosign its own ledger")]
    OwnOrigin,
    #[error("no key is known for the ledger {0}")]
    UnknownOrigin(Origin),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A smaller tree than one that was cosigned before.
    #[error("a checkpoint of {cosigned} records was cosigned before; this one is of {offered}")]
    Smaller { cosigned: u64, offered: u64 },
    /// A time before that of what was cosigned: whoever signs it would say that new records are old.
    #[error("a checkpoint of {cosigned} was cosigned before; this one says {offered}")]
    Earlier { cosigned: Timestamp, offered: Timestamp },
    /// The one thing that must never be explained away: keep both checkpoints, they prove it.
    #[error(
        "the ledger was FORKED: {cosigned} records were cosigned before, and this checkpoint did not grow out of them ({error})"
    )]
    Forked { cosigned: u64, error: ProofError },
    /// No proof was given.
    #[error("nothing shows that what was cosigned before is kept")]
    Unproven,
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// What this node cosigned of other ledgers: the last checkpoint of each, durable before it is signed.
#[derive(Debug)]
pub struct Witness {
    directory: PathBuf,
    /// Two runs at once could cosign two histories.
    _lock: File,
}

impl Witness {
    /// Opens the directory, making it if need be, and waits for its lock.
    pub fn open(directory: &Path) -> Result<Self, TreeError> {
        make(directory, directory)?;
        let file = directory.join("lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o640).open(&file);
        let lock = at(&file, opened)?;
        at(&file, rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(io::Error::from))?;
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    fn file(&self, origin: &Origin) -> PathBuf {
        let name = ContentDigest::new(sm3(&[origin.as_str().as_bytes()])).to_string();
        self.directory.join(name)
    }

    /// The last checkpoint of that ledger that was admitted.
    pub fn last(&self, origin: &Origin) -> Result<Option<SignedCheckpoint>, TreeError> {
        let file = self.file(origin);
        let Some(octets) = read(&file, MAX_CHECKPOINT)? else { return Ok(None) };
        let signed = SignedCheckpoint::from_octets(&octets);
        let signed = signed.map_err(|error| TreeError::Checkpoint { file: file.clone(), error })?;
        if signed.checkpoint.origin == *origin { Ok(Some(signed)) } else { Err(TreeError::OtherCheckpoint(file)) }
    }

    /// Admits a checkpoint for cosigning: signed by one of `keys`, which are that ledger's, not of `own` ledger, and grown out of
    /// the last one. `prove` gives the proof from the size of that to its own. When this returns it is the last one, durably.
    pub fn admit(
        &self,
        signed: &SignedCheckpoint,
        own: &Origin,
        keys: &[CheckpointKey],
        prove: impl FnOnce(u64) -> Result<Consistency, WitnessError>,
    ) -> Result<(), WitnessError> {
        let Checkpoint { origin, size, root, .. } = &signed.checkpoint;
        if origin == own {
            return Err(WitnessError::OwnOrigin);
        }
        let mut verdicts = keys.iter().map(|key| key.signed(signed));
        let first = verdicts.next().ok_or_else(|| WitnessError::UnknownOrigin(origin.clone()))?;
        verdicts.fold(first, |best, next| if best.is_ok() { best } else { next })?;
        if let Some(last) = self.last(origin)? {
            let (cosigned, before) = (last.checkpoint.size, last.checkpoint.root);
            if *size < cosigned {
                return Err(WitnessError::Smaller { cosigned, offered: *size });
            }
            let proof = if *size == cosigned { Consistency { path: Vec::new() } } else { prove(cosigned)? };
            let (then, now) = (last.checkpoint.time, signed.checkpoint.time);
            if now < then {
                return Err(WitnessError::Earlier { cosigned: then, offered: now });
            }
            let grown = proof.verify((cosigned, before), (*size, *root));
            grown.map_err(|error| WitnessError::Forked { cosigned, error })?;
        }
        Ok(write(&self.directory, &self.file(origin), signed.without_witnesses().to_string().as_bytes())?)
    }
}

/// The file that holds the last checkpoint of this ledger that a witness cosigned.
#[derive(Debug, Clone)]
pub struct Cosigned {
    file: PathBuf,
}

impl Cosigned {
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// `None` when no witness ever cosigned, or somebody took the file away.
    pub fn read(&self) -> Result<Option<SignedCheckpoint>, TreeError> {
        let Some(octets) = read(&self.file, MAX_CHECKPOINT)? else { return Ok(None) };
        let signed = SignedCheckpoint::from_octets(&octets);
        signed.map(Some).map_err(|error| TreeError::Checkpoint { file: self.file.clone(), error })
    }

    /// Takes what witnesses made of one of this node's own checkpoints: kept beside that, and put into the file unless that holds
    /// a larger one. Gives whether the file was changed.
    ///
    /// # Errors
    /// [`TreeError::OtherCheckpoint`] when this node never signed that checkpoint.
    pub fn take(&self, signed: &SignedCheckpoint, places: &TreePlaces) -> Result<bool, TreeError> {
        let checkpoints = super::Checkpoints::new(&places.checkpoints);
        let size = signed.checkpoint.size;
        let own = checkpoints.read(size)?.filter(|own| own.without_witnesses() == signed.without_witnesses());
        let mut own = own.ok_or_else(|| TreeError::OtherCheckpoint(places.checkpoints.clone()))?;
        for line in signed.signatures().iter().skip(1) {
            let _ = own.add(line.clone()); // it was there before
        }
        checkpoints.keep_cosigned(&own)?;
        let larger = self.read()?.is_none_or(|present| present.checkpoint.size <= size);
        if larger {
            let directory = self.file.parent().unwrap_or(Path::new("."));
            write(directory, &self.file, own.to_string().as_bytes())?;
        }
        Ok(larger)
    }
}
