//! Tiles in a directory: hashes read from them, and leaves put into them.

use std::path::{Path, PathBuf};

use yanqian_evidence::proof::{self, Nodes};
use yanqian_evidence::tile::{HASH, HEIGHT, WIDTH, root_within};
use yanqian_evidence::{LeafHash, RootHash, Tile, Tree};

use super::TreeError;
use super::files::{read, write};

/// Octets of the largest tile.
const FULL: usize = 256 * HASH;

/// A tree of known size, read from its tiles. Any directory in the layout of C2SP tlog-tiles will do, this node's or another's.
#[derive(Debug, Clone)]
pub struct TileReader {
    directory: PathBuf,
    size: u64,
}

impl TileReader {
    /// The tree of the first `size` leaves in `directory`.
    pub fn new(directory: &Path, size: u64) -> Self {
        Self { directory: directory.to_owned(), size }
    }

    /// The leaf at `index`, counted from 0.
    ///
    /// # Errors
    /// [`TreeError::Tile`] where the tree is not so large.
    pub fn leaf(&self, index: u64) -> Result<LeafHash, TreeError> {
        self.node(0, index).map(|node| LeafHash::new(*node.as_bytes()))
    }

    /// A tile's hashes. Partial tiles may be gone once the full one is there.
    fn read(&self, tile: Tile) -> Result<Vec<u8>, TreeError> {
        let mut fallback = Some(tile.full()).filter(|full| *full != tile);
        let mut next = Some(tile);
        while let Some(wanted) = next {
            let file = self.directory.join(wanted.path());
            if let Some(octets) = read(&file, FULL)? {
                if octets.len() != wanted.octets() {
                    return Err(TreeError::Tile(file));
                }
                return Ok(octets);
            }
            next = fallback.take();
        }
        Err(TreeError::Tile(self.directory.join(tile.path())))
    }
}

impl Nodes for TileReader {
    type Error = TreeError;

    fn node(&self, level: u8, index: u64) -> Result<RootHash, TreeError> {
        let (tile_level, height) = (level / HEIGHT, level % HEIGHT);
        let missing = || TreeError::Tile(self.directory.clone());
        let last = index.checked_add(1).and_then(|next| next.checked_mul(1 << height)).ok_or_else(missing)? - 1;
        let (tile, place) = Tile::holding(tile_level, last, self.size).ok_or_else(missing)?;
        root_within(&self.read(tile)?, height, place >> height).ok_or_else(missing)
    }
}

/// The tree's right edge: on each level of tiles the hashes of the tile that is not full yet.
#[derive(Debug)]
pub(super) struct TileWriter {
    directory: PathBuf,
    size: u64,
    edge: [Vec<RootHash>; 8],
    /// Levels whose tile became full since its partial ones were last removed, with that tile's index.
    filled: Vec<(u8, u64)>,
}

impl TileWriter {
    /// A tree without leaves.
    pub(super) fn empty(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), size: 0, edge: Default::default(), filled: Vec::new() }
    }

    /// Goes on with the tree of `size` leaves that the directory holds. [`Self::root`] depends on every hash read here.
    pub(super) fn open(directory: &Path, size: u64) -> Result<Self, TreeError> {
        let reader = TileReader::new(directory, size);
        let mut writer = Self { size, ..Self::empty(directory) };
        for (level, edge) in (0..HEIGHT).zip(&mut writer.edge) {
            let hashes = size >> (HEIGHT * level);
            if hashes.is_multiple_of(WIDTH) {
                continue;
            }
            let Some((tile, _)) = Tile::holding(level, hashes - 1, size) else { continue };
            let octets = reader.read(tile)?;
            let hashes = octets[..tile.octets()].as_chunks::<HASH>().0;
            edge.extend(hashes.iter().map(|hash| RootHash::new(*hash)));
        }
        Ok(writer)
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The last leaf, where this tree's edge still shows it.
    pub(super) fn last_leaf(&self) -> Result<Option<RootHash>, TreeError> {
        match (self.size, self.edge[0].last()) {
            (0, _) => Ok(None),
            (_, Some(leaf)) => Ok(Some(*leaf)),
            (size, None) => TileReader::new(&self.directory, size).node(0, size - 1).map(Some),
        }
    }

    /// Puts one leaf at the end. Tiles that become full are written at once, each durably.
    pub(super) fn push(&mut self, leaf: LeafHash) -> Result<(), TreeError> {
        let mut hash = RootHash::from(leaf);
        self.size += 1;
        for level in 0..HEIGHT {
            let edge = &mut self.edge[usize::from(level)];
            edge.push(hash);
            if edge.len() < 256 {
                break;
            }
            let octets: Vec<u8> = edge.iter().flat_map(RootHash::as_bytes).copied().collect();
            let index = (self.size >> (HEIGHT * level)) / WIDTH - 1;
            edge.clear();
            self.write(Tile { level, index, width: 256 }, &octets)?;
            self.filled.push((level, index));
            let (low, high) = (root_within(&octets, 7, 0), root_within(&octets, 7, 1));
            let (Some(low), Some(high)) = (low, high) else { break };
            hash = RootHash::above(low, high);
        }
        Ok(())
    }

    /// Writes the partial tiles of the tree as it is, and removes those of tiles that are full now.
    pub(super) fn flush(&mut self) -> Result<(), TreeError> {
        for level in 0..HEIGHT {
            let edge = &self.edge[usize::from(level)];
            let Ok(width) = u16::try_from(edge.len()) else { continue };
            if width == 0 {
                continue;
            }
            let octets: Vec<u8> = edge.iter().flat_map(RootHash::as_bytes).copied().collect();
            let index = (self.size >> (HEIGHT * level)) / WIDTH;
            self.write(Tile { level, index, width }, &octets)?;
        }
        for (level, index) in self.filled.drain(..) {
            let full = self.directory.join(Tile { level, index, width: 256 }.path());
            let mut partial = full.into_os_string();
            partial.push(".p");
            // They are only in the way; what stays after an error is harmless.
            let _ = std::fs::remove_dir_all(partial);
        }
        Ok(())
    }

    fn write(&self, tile: Tile, octets: &[u8]) -> Result<(), TreeError> {
        let file = self.directory.join(tile.path());
        // A crash may have kept the name from becoming durable, so what is there already is written again once.
        write(&self.directory, &file, octets)
    }

    /// Over all leaves so far.
    pub(super) fn root(&self) -> RootHash {
        let mut peaks = Vec::new();
        for edge in self.edge.iter().rev() {
            let octets: Vec<u8> = edge.iter().flat_map(RootHash::as_bytes).copied().collect();
            let mut from = 0;
            for height in (0..HEIGHT).rev().filter(|height| edge.len() >> height & 1 == 1) {
                peaks.extend(root_within(&octets, height, from >> height));
                from += 1 << height;
            }
        }
        Tree::from_peaks(self.size, &peaks).map_or_else(RootHash::empty, |tree| tree.root())
    }

    /// The root of the first `size` leaves, from tiles.
    pub(super) fn root_at(&self, size: u64) -> Result<RootHash, TreeError> {
        if size == self.size {
            Ok(self.root())
        } else {
            proof::root(&TileReader::new(&self.directory, self.size), size)
        }
    }
}
