//! Where the hashes of the tree lie: C2SP tlog-tiles with tiles of height 8.
//!
//! Hash `i` of tile `n` at level `l` is the root of the complete subtree of 2^(8 l) leaves with the number 256 n + i. A tile
//! of 256 hashes is full; the last one of a level may be partial. Files are hashes one after the other and never change.

use crate::hash::RootHash;

/// Levels of the tree in one tile.
pub const HEIGHT: u8 = 8;
/// Hashes of a full tile.
pub const WIDTH: u64 = 256;
/// Octets of a hash.
pub const HASH: usize = 32;

/// One tile of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// 0 for leaf hashes; at most 7.
    pub level: u8,
    pub index: u64,
    /// Hashes in it, 1 to 256.
    pub width: u16,
}

/// Leaves under one hash of a tile of that level; 0 when no tree is so high.
const fn span(level: u8) -> u64 {
    match 1u64.checked_shl(HEIGHT as u32 * level as u32) {
        Some(span) => span,
        None => 0,
    }
}

impl Tile {
    /// The tile that holds hash `number` of a level in the tree of `size` leaves, and the hash's place in it; `None` when that
    /// tree does not have it.
    pub fn holding(level: u8, number: u64, size: u64) -> Option<(Self, usize)> {
        let hashes = size.checked_div(span(level))?;
        let index = number / WIDTH;
        let width = hashes.saturating_sub(index * WIDTH).min(WIDTH);
        let place = number % WIDTH;
        let tile = Self { level, index, width: u16::try_from(width).ok()? };
        (place < width).then_some((tile, usize::try_from(place).ok()?))
    }

    /// The tiles that a tree has when it grows from `old` to `new` leaves and that it did not have before: lowest level first, in
    /// order.
    pub fn added(old: u64, new: u64) -> impl Iterator<Item = Self> {
        (0..HEIGHT).flat_map(move |level| {
            let hashes = |size: u64| size.checked_div(span(level)).unwrap_or(0);
            let (before, after) = (hashes(old), hashes(new));
            let tiles = if before < after { before / WIDTH..after.div_ceil(WIDTH) } else { 0..0 };
            tiles.map(move |index| {
                let width = (after - index * WIDTH).min(WIDTH);
                Self { level, index, width: u16::try_from(width).unwrap_or(u16::MAX) }
            })
        })
    }

    pub fn is_full(self) -> bool {
        u64::from(self.width) == WIDTH
    }

    /// The same tile when it is full.
    #[must_use]
    pub fn full(self) -> Self {
        Self { width: 256, ..self }
    }

    /// Path below the directory that is served, such as `tile/0/x001/x234/067` or `tile/0/x001/x234/067.p/8`.
    pub fn path(self) -> String {
        let path = format!("tile/{}/{}", self.level, number_path(self.index));
        if self.is_full() { path } else { format!("{path}.p/{}", self.width) }
    }

    /// Octets of the file.
    pub fn octets(self) -> usize {
        usize::from(self.width) * HASH
    }
}

/// A number in groups of three digits, each a path element, all but the last with `x` before it.
pub fn number_path(number: u64) -> String {
    let last = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    let mut groups = vec![last];
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    groups.join("/")
}

/// The root over 2^`height` hashes of a tile's file from the one numbered `from` × 2^`height` on; `height` is below 8. `None` when
/// the octets do not reach so far.
pub fn root_within(octets: &[u8], height: u8, from: usize) -> Option<RootHash> {
    let count = 1usize.checked_shl(u32::from(height))?;
    let (start, end) = (from.checked_mul(count)?.checked_mul(HASH)?, from.checked_add(1)?.checked_mul(count)?);
    let hashes = octets.get(start..end.checked_mul(HASH)?)?;
    let (hashes, _) = hashes.as_chunks::<HASH>();
    let mut row: Vec<RootHash> = hashes.iter().map(|hash| RootHash::new(*hash)).collect();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| RootHash::above(*left, *right)).collect();
    }
    row.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_tlog_tiles() {
        let tile = |level, index, width| Tile { level, index, width }.path();
        assert_eq!(tile(0, 0, 256), "tile/0/000");
        assert_eq!(tile(0, 1_234_067, 8), "tile/0/x001/x234/067.p/8");
        assert_eq!(tile(3, 1000, 256), "tile/3/x001/000");
        assert_eq!(tile(7, 999, 1), "tile/7/999.p/1");
    }

    #[test]
    fn a_grown_tree_has_exactly_the_tiles_of_its_size_that_it_did_not_have() {
        // 70 000 leaves: 273 full tiles and one of 112; one full tile of 256 and one of 17; one of 1.
        let all: Vec<Tile> = Tile::added(0, 70_000).collect();
        let count = |level| all.iter().filter(|tile| tile.level == level).count();
        assert_eq!([count(0), count(1), count(2), count(3)], [274, 2, 1, 0]);
        assert_eq!(all.last(), Some(&Tile { level: 2, index: 0, width: 1 }));
        let more: Vec<String> = Tile::added(70_000, 70_144).map(Tile::path).collect();
        assert_eq!(more, ["tile/0/273", "tile/1/001.p/18"]);
        assert_eq!(Tile::added(70_000, 70_000).count(), 0);
        assert_eq!(Tile::added(u64::MAX - 1, u64::MAX).count(), 1);
    }

    #[test]
    fn a_hash_is_held_by_one_tile_of_a_tree_that_has_it() {
        assert_eq!(Tile::holding(0, 300, 301), Some((Tile { level: 0, index: 1, width: 45 }, 44)));
        assert_eq!(Tile::holding(0, 300, 300), None);
        assert_eq!(Tile::holding(1, 0, 256), Some((Tile { level: 1, index: 0, width: 1 }, 0)));
        assert_eq!(Tile::holding(1, 0, 255), None);
        assert_eq!(Tile::holding(8, 0, u64::MAX), None, "no tree is so high");
        assert_eq!(Tile::holding(0, u64::MAX, u64::MAX), None);
    }
}
