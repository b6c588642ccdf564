//! The whole ledger held against everything that was signed of it, and against the tiles that are served.

use std::path::Path;

use yanqian_evidence::tile::{HASH, HEIGHT, WIDTH, root_within};
use yanqian_evidence::{LeafHash, RootHash, Tile, Tree};

use super::follow::Follower;
use super::{Checkpoints, TileReader, TreeError, TreePlaces};

/// What [`prove_tree`] found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProvenTree {
    pub checkpoints: u64,
    /// Records under the largest of them.
    pub covered: u64,
    pub tiles: u64,
}

/// Proves that the ledger's records give the root of each of the checkpoints, by their sizes in order, and that the tiles are those of
/// the largest. `durable` is the ledger's last durable record, looked up after the sizes were. Signatures are for those who know keys.
///
/// # Errors
/// [`TreeError::RolledBack`] where the ledger ends before a checkpoint, [`TreeError::Forked`] where its records give another root,
/// [`TreeError::Tile`] for a tile that is missing or another.
pub fn prove_tree(places: &TreePlaces, sizes: &[u64], durable: u64) -> Result<ProvenTree, TreeError> {
    let checkpoints = Checkpoints::new(&places.checkpoints);
    let mut follower = Follower::from(&places.ledger, 1);
    let mut tree = Tree::default();
    let covered = sizes.last().copied().unwrap_or(0);
    let tiles = TileReader::new(&places.tree, covered);
    let mut bottom = Bottom { tiles: &tiles, covered, leaves: Vec::new(), number: 0 };
    for size in sizes {
        let file = || TreeError::OtherCheckpoint(places.checkpoints.clone());
        let root = checkpoints.read(*size)?.ok_or_else(file)?.checkpoint.root;
        if *size > durable {
            return Err(TreeError::RolledBack { ledger: durable, checkpoint: *size });
        }
        follower.read(*size, |leaf| {
            tree.push(leaf);
            bottom.push(leaf)
        })?;
        if tree.root() != root {
            return Err(TreeError::Forked(*size));
        }
    }
    let mut proven = ProvenTree { checkpoints: sizes.len() as u64, covered, tiles: 0 };
    for tile in Tile::added(0, covered) {
        if tile.level > 0 {
            is_over(&tiles, tile, &places.tree)?;
        }
        proven.tiles += 1;
    }
    Ok(proven)
}

/// Tiles of leaf hashes, held against the ledger's.
struct Bottom<'a> {
    tiles: &'a TileReader,
    covered: u64,
    leaves: Vec<u8>,
    number: u64,
}

impl Bottom<'_> {
    fn push(&mut self, leaf: LeafHash) -> Result<(), TreeError> {
        self.leaves.extend_from_slice(RootHash::from(leaf).as_bytes());
        self.number += 1;
        if !self.number.is_multiple_of(WIDTH) && self.number != self.covered {
            return Ok(());
        }
        if let Some((tile, _)) = Tile::holding(0, self.number - 1, self.covered) {
            self.tiles.is(tile, &self.leaves)?;
        }
        self.leaves.clear();
        Ok(())
    }
}

/// Whether each hash of a tile is the root over the tile below it.
fn is_over(tiles: &TileReader, tile: Tile, tree: &Path) -> Result<(), TreeError> {
    let mut expected = Vec::with_capacity(usize::from(tile.width) * HASH);
    for place in 0..u64::from(tile.width) {
        let lower = Tile { level: tile.level - 1, index: tile.index * WIDTH + place, width: 256 };
        let octets = tiles.read(lower)?;
        let halves = (root_within(&octets, HEIGHT - 1, 0), root_within(&octets, HEIGHT - 1, 1));
        let (Some(low), Some(high)) = halves else { return Err(TreeError::Tile(tree.join(lower.path()))) };
        expected.extend_from_slice(RootHash::above(low, high).as_bytes());
    }
    tiles.is(tile, &expected)
}
