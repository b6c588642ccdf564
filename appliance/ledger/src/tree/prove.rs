//! The whole ledger held against everything that was signed of it, and against every file that the tree consists of.

mod checkpoints;
mod tiles;

use yanqian_evidence::{RootHash, Tree};

use self::checkpoints::StoredCheckpoints;
use self::tiles::StoredTiles;
use super::follow::Follower;
use super::{TileReader, TreeError, TreePlaces};

/// What [`prove_tree`] found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProvenTree {
    pub checkpoints: u64,
    /// Records under the largest of them.
    pub covered: u64,
    /// Files of tiles, partial ones of earlier sizes included.
    pub tiles: u64,
    /// Whether there were keys beside the checkpoints, so that their signatures were proven.
    pub signatures: bool,
}

/// Proves that the ledger's records give the root of each of the checkpoints, by their sizes in order, and that every tile is that of
/// these records; that each checkpoint is what a key that is kept beside them signed; and that the published one is one of them.
/// `durable` is the ledger's last durable record, looked up after the sizes were. Whose keys these are is for those who know keys.
///
/// # Errors
/// [`TreeError::RolledBack`] where the ledger ends before a checkpoint, [`TreeError::Forked`] where its records give another root,
/// [`TreeError::Tile`] for a tile that is missing or another, [`TreeError::Checkpoint`], [`TreeError::OtherCheckpoint`] and
/// [`TreeError::Keys`] for a file in the directory of checkpoints or the published checkpoint.
pub fn prove_tree(places: &TreePlaces, sizes: &[u64], durable: u64) -> Result<ProvenTree, TreeError> {
    let covered = sizes.last().copied().unwrap_or(0);
    let mut proven = ProvenTree { checkpoints: sizes.len() as u64, covered, ..ProvenTree::default() };
    if sizes.is_empty() && !places.tree.exists() {
        return Ok(proven);
    }
    let stored = StoredCheckpoints::open(places)?;
    proven.signatures = stored.have_keys();
    let signed: Vec<RootHash> =
        sizes.iter().map(|size| Ok(stored.prove(*size)?.root)).collect::<Result<_, TreeError>>()?;
    stored.prove_published()?;
    if covered > durable {
        return Err(TreeError::RolledBack { ledger: durable, checkpoint: covered });
    }
    // Leaves of what is in the archive only are taken from the tiles; the roots that were signed prove them.
    let away = crate::read::absent(&places.ledger)?.map_or(0, |absent| absent.records);
    let (kept, mut taken) = (TileReader::new(&places.tree, covered), 0);
    let (mut follower, mut tree) = (Follower::from(&places.ledger, away + 1), Tree::default());
    let mut tiles = StoredTiles::new(&places.tree);
    for (size, root) in sizes.iter().zip(signed) {
        while taken < away.min(*size) {
            let leaf = kept.leaf(taken)?;
            tree.push(leaf);
            tiles.push(leaf)?;
            taken += 1;
        }
        follower.read(*size, |leaf| {
            tree.push(leaf);
            tiles.push(leaf)
        })?;
        if tree.root() != root {
            return Err(TreeError::Forked(*size));
        }
    }
    // Tiles are written ahead of the signature, and stay so while the token is away.
    follower.read(durable, |leaf| tiles.push(leaf))?;
    proven.tiles = tiles.finish(covered)?;
    Ok(proven)
}
