//! Proofs over the tree: that a record is in it, and that one tree grew into another. The algorithms are those of RFC 9162
//! §2.1.3 and §2.1.4, which are RFC 6962's, with the hashes of [`crate::hash`].

use crate::hash::{LeafHash, RootHash};

/// Hashes of one proof at most: no tree of 2^63 leaves is higher.
pub const MAX_PATH: usize = 63;
/// Hashes of a consistency proof at most: the old tree's last subtree and one for each level above it.
pub const MAX_CONSISTENCY: usize = MAX_PATH + 1;

/// A proof does not prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the leaf's index is not below the tree's size")]
    Index,
    #[error("the sizes are not those of a tree and a later one")]
    Sizes,
    #[error("the proof has another number of hashes than such a tree has")]
    Length,
    #[error("the proof does not lead to the later tree's root")]
    Root,
    #[error("the proof does not lead to the earlier tree's root")]
    EarlierRoot,
}

/// Where the hashes of a tree are read from.
pub trait Nodes {
    type Error;

    /// The root of the complete subtree over the leaves from `index` × 2^`level` on, 2^`level` of them, counted from 0.
    fn node(&self, level: u8, index: u64) -> Result<RootHash, Self::Error>;
}

/// The root of the tree of the first `size` leaves.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<RootHash, N::Error> {
    if size == 0 { Ok(RootHash::empty()) } else { range(nodes, 0, size) }
}

/// Roots of the complete subtrees of the tree of the first `size` leaves, largest first.
pub fn peaks<N: Nodes>(nodes: &N, size: u64) -> Result<Vec<RootHash>, N::Error> {
    let mut from = 0;
    let mut peaks = Vec::new();
    for level in (0..64u8).rev().filter(|level| size >> level & 1 == 1) {
        peaks.push(nodes.node(level, from >> level)?);
        from += 1 << level;
    }
    Ok(peaks)
}

/// The largest power of two below `n`, which is at least 2.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The hash over leaves `from..until`; `from` is a multiple of the power of two that holds the range.
fn range<N: Nodes>(nodes: &N, from: u64, until: u64) -> Result<RootHash, N::Error> {
    let n = until - from;
    if n.is_power_of_two() {
        let level = n.trailing_zeros();
        return nodes.node(u8::try_from(level).unwrap_or(u8::MAX), from >> level);
    }
    let middle = from + split(n);
    Ok(RootHash::above(range(nodes, from, middle)?, range(nodes, middle, until)?))
}

/// That a leaf is in a tree: the hashes beside its way to the root, from the leaf upwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf's place, counted from 0: the record's sequence less one.
    pub index: u64,
    pub path: Vec<RootHash>,
}

impl Inclusion {
    /// The proof for the leaf at `index` in the tree of the first `size` leaves; `None` when it is not in it.
    pub fn of<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Option<Self>, N::Error> {
        if index >= size {
            return Ok(None);
        }
        let (mut from, mut until, mut path) = (0, size, Vec::new());
        while until - from > 1 {
            let middle = from + split(until - from);
            if index < middle {
                path.push(range(nodes, middle, until)?);
                until = middle;
            } else {
                path.push(range(nodes, from, middle)?);
                from = middle;
            }
        }
        path.reverse();
        Ok(Some(Self { index, path }))
    }

    /// Whether it proves `leaf` in the tree of that size and root.
    pub fn verify(&self, leaf: LeafHash, size: u64, root: RootHash) -> Result<(), ProofError> {
        if self.index >= size {
            return Err(ProofError::Index);
        }
        let (mut at, mut last) = (self.index, size - 1);
        let mut hash = RootHash::from(leaf);
        for beside in &self.path {
            if last == 0 {
                return Err(ProofError::Length);
            }
            if at & 1 == 1 || at == last {
                hash = RootHash::above(*beside, hash);
                while at & 1 == 0 && at != 0 {
                    (at, last) = (at >> 1, last >> 1);
                }
            } else {
                hash = RootHash::above(hash, *beside);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        match last {
            0 if hash == root => Ok(()),
            0 => Err(ProofError::Root),
            _ => Err(ProofError::Length),
        }
    }
}

/// That a tree grew into a later one without a leaf being changed, removed or put between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consistency {
    pub path: Vec<RootHash>,
}

impl Consistency {
    /// The proof from the tree of the first `old` leaves to that of the first `new`; `None` unless 1 ≤ `old` ≤ `new`.
    pub fn of<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Option<Self>, N::Error> {
        if old == 0 || old > new {
            return Ok(None);
        }
        let (mut from, mut until, mut path) = (0, new, Vec::new());
        // Whether the old tree began before this subtree: then its root is not known from its own checkpoint.
        let mut inside = false;
        while old != until {
            let middle = from + split(until - from);
            if old <= middle {
                path.push(range(nodes, middle, until)?);
                until = middle;
            } else {
                path.push(range(nodes, from, middle)?);
                from = middle;
                inside = true;
            }
        }
        if inside {
            path.push(range(nodes, from, until)?);
        }
        path.reverse();
        Ok(Some(Self { path }))
    }

    /// Whether it proves that the tree of `old` leaves and that root grew into the other.
    pub fn verify(&self, old: (u64, RootHash), new: (u64, RootHash)) -> Result<(), ProofError> {
        if old.0 == 0 || old.0 > new.0 {
            return Err(ProofError::Sizes);
        }
        if old.0 == new.0 {
            return match self.path.is_empty() {
                false => Err(ProofError::Length),
                true if old.1 == new.1 => Ok(()),
                true => Err(ProofError::EarlierRoot),
            };
        }
        let mut path = self.path.iter();
        let start = if old.0.is_power_of_two() { old.1 } else { *path.next().ok_or(ProofError::Length)? };
        let (mut at, mut last) = (old.0 - 1, new.0 - 1);
        while at & 1 == 1 {
            (at, last) = (at >> 1, last >> 1);
        }
        let (mut earlier, mut later) = (start, start);
        for beside in path {
            if last == 0 {
                return Err(ProofError::Length);
            }
            if at & 1 == 1 || at == last {
                earlier = RootHash::above(*beside, earlier);
                later = RootHash::above(*beside, later);
                while at & 1 == 0 && at != 0 {
                    (at, last) = (at >> 1, last >> 1);
                }
            } else {
                later = RootHash::above(later, *beside);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        match last {
            0 if earlier != old.1 => Err(ProofError::EarlierRoot),
            0 if later != new.1 => Err(ProofError::Root),
            0 => Ok(()),
            _ => Err(ProofError::Length),
        }
    }
}
