//! The one who makes the tree grow and the checkpoints follow each other.

use yanqian_evidence::checkpoint::MAX_CHECKPOINT;
use yanqian_evidence::proof::{self, Consistency};
use yanqian_evidence::{Checkpoint, Origin, SignedCheckpoint};
use yanqian_vocabulary::Timestamp;

use super::files::{read, write};
use super::follow::Follower;
use super::tiles::{TileReader, TileWriter};
use super::{Checkpoints, TreeError, TreePlaces};

/// Owns the tree's files. All operations block on the disk.
#[derive(Debug)]
pub struct TreeKeeper {
    places: TreePlaces,
    origin: Origin,
    tiles: TileWriter,
    follower: Follower,
    last: Option<SignedCheckpoint>,
}

impl TreeKeeper {
    /// Goes on where the last checkpoint stands. `durable` is the sequence of the ledger's last durable record.
    ///
    /// # Errors
    /// [`TreeError::RolledBack`] or [`TreeError::Forked`] when the ledger is not the one that was signed.
    pub fn open(places: TreePlaces, origin: Origin, durable: u64) -> Result<Self, TreeError> {
        let checkpoints = Checkpoints::new(&places.checkpoints);
        let last = checkpoints.latest()?.map(|size| checkpoints.read(size)).transpose()?.flatten();
        let size = last.as_ref().map_or(0, |last| last.checkpoint.size);
        if size > durable {
            return Err(TreeError::RolledBack { ledger: durable, checkpoint: size });
        }
        if last.as_ref().is_some_and(|last| last.checkpoint.origin != origin) {
            return Err(TreeError::OtherCheckpoint(places.checkpoints));
        }
        let tiles = match &last {
            None => TileWriter::empty(&places.tree),
            Some(last) => reopen(&places, last)?,
        };
        // The record that the tree ends with must be the ledger's own. That those before it are, too, is proven by whoever
        // reads them all (`prove_tree`): a start does not.
        let mut follower = Follower::from(&places.ledger, size.max(1));
        if let Some(known) = tiles.last_leaf()? {
            let same = |leaf| {
                if known == yanqian_evidence::RootHash::from(leaf) { Ok(()) } else { Err(TreeError::Forked(size)) }
            };
            follower.read(size, same)?;
        }
        let keeper = Self { places, origin, tiles, follower, last };
        // A crash, or a tree that was made again, may have left another one there.
        if let Some(last) = &keeper.last {
            keeper.show(last)?;
        }
        Ok(keeper)
    }

    /// Puts a checkpoint where it is served.
    fn show(&self, signed: &SignedCheckpoint) -> Result<(), TreeError> {
        let file = self.places.tree.join("checkpoint");
        let text = signed.without_witnesses().to_string();
        if read(&file, MAX_CHECKPOINT)?.is_some_and(|shown| shown == text.as_bytes()) {
            return Ok(());
        }
        write(&self.places.tree, &file, text.as_bytes())
    }

    /// The last checkpoint.
    pub fn last(&self) -> Option<&SignedCheckpoint> {
        self.last.as_ref()
    }

    /// Records that the last checkpoint covers.
    pub fn covered(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.checkpoint.size)
    }

    /// Takes all records up to `durable` into the tree and makes its tiles durable. Gives the checkpoint to sign, if there is
    /// anything new: consistent with the last one, and not before it.
    pub fn advance(&mut self, durable: u64, now: Timestamp) -> Result<Option<Checkpoint>, TreeError> {
        self.grow(durable)?;
        let new = self.tiles.size();
        let old = self.covered();
        if new <= old {
            return Ok(None);
        }
        let root = self.tiles.root();
        let reader = TileReader::new(&self.places.tree, new);
        // From the tiles as they lie there, so that what is signed is what is served.
        if proof::root(&reader, new)? != root {
            return Err(TreeError::Forked(new));
        }
        let mut time = self.follower.last_time.map_or(now, |last| last.max(now));
        if let Some(last) = &self.last {
            let before = (old, last.checkpoint.root);
            let proof = Consistency::of(&reader, old, new)?.unwrap_or(Consistency { path: Vec::new() });
            proof.verify(before, (new, root)).map_err(|error| TreeError::Inconsistent { old, new, error })?;
            time = time.max(last.checkpoint.time);
        }
        Ok(Some(Checkpoint { origin: self.origin.clone(), size: new, root, time }))
    }

    fn grow(&mut self, durable: u64) -> Result<(), TreeError> {
        let tiles = &mut self.tiles;
        let grown = self.follower.read(durable, |leaf| tiles.push(leaf));
        let flushed = self.tiles.flush();
        grown.and(flushed)
    }

    /// Keeps a checkpoint that [`Self::advance`] gave, signed since, and publishes it once it is durable.
    ///
    /// # Errors
    /// [`TreeError::Inconsistent`] for one that is not of the tree as it is: then nothing is kept.
    pub fn publish(&mut self, signed: SignedCheckpoint) -> Result<(), TreeError> {
        let Checkpoint { size, root, .. } = signed.checkpoint;
        let old = self.covered();
        if size <= old || size > self.tiles.size() || self.tiles.root_at(size)? != root {
            let error = yanqian_evidence::ProofError::Root;
            return Err(TreeError::Inconsistent { old, new: size, error });
        }
        Checkpoints::new(&self.places.checkpoints).keep(&signed)?;
        self.show(&signed)?;
        self.last = Some(signed);
        Ok(())
    }

    /// Whether the ledger goes on from what a witness cosigned of it.
    ///
    /// # Errors
    /// [`TreeError::RolledBack`] or [`TreeError::Forked`] when it does not.
    pub fn continues(&mut self, witnessed: &Checkpoint, durable: u64) -> Result<(), TreeError> {
        if witnessed.origin != self.origin {
            return Err(TreeError::Forked(witnessed.size));
        }
        if witnessed.size > durable {
            return Err(TreeError::RolledBack { ledger: durable, checkpoint: witnessed.size });
        }
        self.grow(durable)?;
        if self.tiles.root_at(witnessed.size)? == witnessed.root {
            Ok(())
        } else {
            Err(TreeError::Forked(witnessed.size))
        }
    }
}

/// The tree of the last checkpoint from its tiles, or made again from the segments where the tiles do not give its root.
fn reopen(places: &TreePlaces, last: &SignedCheckpoint) -> Result<TileWriter, TreeError> {
    let (size, root) = (last.checkpoint.size, last.checkpoint.root);
    match TileWriter::open(&places.tree, size) {
        Ok(tiles) if tiles.root() == root => return Ok(tiles),
        Ok(_) => tracing::error!(size, "the tree's tiles are damaged and are made again from the ledger"),
        Err(error) => tracing::error!(%error, "the tree's tiles are damaged and are made again from the ledger"),
    }
    let mut tiles = TileWriter::empty(&places.tree);
    Follower::from(&places.ledger, 1).read(size, |leaf| tiles.push(leaf))?;
    tiles.flush()?;
    if tiles.root() == root { Ok(tiles) } else { Err(TreeError::Forked(size)) }
}
