//! Every file of a tile, full or partial, held against the leaves.

use std::io;
use std::path::{Path, PathBuf};

use yanqian_evidence::tile::{HASH, HEIGHT, WIDTH, root_within};
use yanqian_evidence::{LeafHash, RootHash, Tile};

use super::super::TreeError;
use super::super::files::{at, read};

/// Octets of the largest tile.
const FULL: usize = 256 * HASH;

/// The tree's right edge as the ledger's leaves give it, and what was found of its tiles so far.
pub(super) struct StoredTiles<'a> {
    directory: &'a Path,
    leaves: u64,
    /// Hashes of the tile of each level that is not full yet.
    edge: [Vec<u8>; HEIGHT as usize],
    files: u64,
}

impl<'a> StoredTiles<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self { directory, leaves: 0, edge: Default::default(), files: 0 }
    }

    /// The next leaf. Tiles that it makes full are looked at.
    pub(super) fn push(&mut self, leaf: LeafHash) -> Result<(), TreeError> {
        let mut hash = RootHash::from(leaf);
        self.leaves += 1;
        for level in 0..HEIGHT {
            let edge = &mut self.edge[usize::from(level)];
            edge.extend_from_slice(hash.as_bytes());
            if edge.len() < FULL {
                break;
            }
            let octets = std::mem::take(edge);
            let index = (self.leaves >> (HEIGHT * level)) / WIDTH - 1;
            self.look_at(level, index, &octets)?;
            let halves = (root_within(&octets, HEIGHT - 1, 0), root_within(&octets, HEIGHT - 1, 1));
            let (Some(low), Some(high)) = halves else { break };
            hash = RootHash::above(low, high);
        }
        Ok(())
    }

    /// Looks at the tiles that are not full, and that none is missing of the tree of `covered` leaves; gives the number of files.
    pub(super) fn finish(mut self, covered: u64) -> Result<u64, TreeError> {
        for level in 0..HEIGHT {
            let octets = std::mem::take(&mut self.edge[usize::from(level)]);
            if !octets.is_empty() {
                self.look_at(level, (self.leaves >> (HEIGHT * level)) / WIDTH, &octets)?;
            }
        }
        for tile in Tile::added(0, covered) {
            // A partial tile may be gone once the full one is there; a full one stays.
            if !self.file(tile).exists() && !self.file(tile.full()).exists() {
                return Err(TreeError::Tile(self.file(tile)));
            }
        }
        Ok(self.files)
    }

    fn file(&self, tile: Tile) -> PathBuf {
        self.directory.join(tile.path())
    }

    /// Holds the files of one tile against its hashes: the full one, and partial ones of when it was smaller.
    fn look_at(&mut self, level: u8, index: u64, hashes: &[u8]) -> Result<(), TreeError> {
        let full = Tile { level, index, width: 256 };
        if hashes.len() == FULL {
            self.look_at_file(full, hashes)?;
        }
        let mut partial = self.file(full).into_os_string();
        partial.push(".p");
        let partial = Path::new(&partial);
        let entries = match std::fs::read_dir(partial) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => at(partial, entries)?,
        };
        for entry in entries {
            let name = at(partial, entry)?.file_name();
            let width = name.to_str().and_then(|name| name.parse().ok()).filter(|width| (1..256).contains(width));
            // An unfinished file; or one of records that became durable after this began.
            if let Some(width) = width
                && usize::from(width) * HASH <= hashes.len()
            {
                self.look_at_file(Tile { level, index, width }, hashes)?;
            }
        }
        Ok(())
    }

    /// A file that is not there is none: it may just have gone, or is missed in the end.
    fn look_at_file(&mut self, tile: Tile, hashes: &[u8]) -> Result<(), TreeError> {
        let file = self.file(tile);
        let Some(octets) = read(&file, FULL)? else { return Ok(()) };
        if hashes.get(..tile.octets()) != Some(octets.as_slice()) {
            return Err(TreeError::Tile(file));
        }
        self.files += 1;
        Ok(())
    }
}
