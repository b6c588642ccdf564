//! The hashes of the ledger, each with its own first octet, so that no input of one is an input of another.
//!
//! | hash | value |
//! |---|---|
//! | leaf (RFC 6962 §2.1) | SM3(0x00 ‖ record octets) |
//! | node (RFC 6962 §2.1) | SM3(0x01 ‖ left ‖ right) |
//! | chain link | SM3(0x02 ‖ chain value before ‖ leaf hash) |
//! | chain at a segment's start | SM3(0x03 ‖ segment header octets) |
//! | segment | SM3(all octets of the sealed file), so that a plain digest tool can check an archive |

use std::fmt;

use yanqian_sm::sm3;

macro_rules! hashes {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 32 octets; printed as 64 lowercase hexadecimal digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            pub const fn new(octets: [u8; 32]) -> Self {
                Self(octets)
            }

            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

hashes! {
    /// Names one record: SM3(0x00 ‖ record octets).
    LeafHash;
    /// Commits to every record up to one point, in order.
    ChainValue;
    /// SM3 of all octets of a sealed segment file.
    SegmentHash;
    /// The RFC 6962 tree hash over a range of leaves.
    RootHash;
    /// HMAC-SM3 over caller and idempotency key: names the key in a record without holding it.
    IdempotencyTag;
    /// The SM2 digest e = SM3(Z ‖ message) that a token signs when a profile has no signed attributes.
    SignedDigest;
}

impl ChainValue {
    /// What the first segment names as the chain before it.
    pub const ORIGIN: Self = Self([0; 32]);

    /// The value a segment's frames start from. The header holds the previous segment's last value, so this links both.
    pub fn of_header(header_octets: &[u8]) -> Self {
        Self(sm3(&[&[0x03], header_octets]))
    }

    #[must_use]
    pub fn link(self, leaf: LeafHash) -> Self {
        Self(sm3(&[&[0x02], &self.0, &leaf.0]))
    }
}

impl SegmentHash {
    /// What the first segment names as the segment before it.
    pub const ORIGIN: Self = Self([0; 32]);

    pub fn of_file(octets: &[u8]) -> Self {
        Self(sm3(&[octets]))
    }
}

impl LeafHash {
    pub fn of_record(record: &[u8]) -> Self {
        Self(sm3(&[&[0x00], record]))
    }
}

impl RootHash {
    /// The hash of a tree without leaves: SM3 of nothing (RFC 6962 §2.1).
    pub fn empty() -> Self {
        Self(sm3(&[]))
    }

    /// The root over two ranges that follow one another.
    #[must_use]
    pub fn above(left: Self, right: Self) -> Self {
        Self(node(&left.0, &right.0))
    }
}

impl From<LeafHash> for RootHash {
    /// A range of one leaf.
    fn from(leaf: LeafHash) -> Self {
        Self(leaf.0)
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sm3(&[&[0x01], left, right])
}

/// An RFC 6962 tree with SM3 that keeps only the roots of its complete subtrees: at most 64 hashes for any ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    leaves: u64,
    /// Roots of complete subtrees, largest first; one for each bit set in `leaves`.
    peaks: Vec<[u8; 32]>,
}

impl Tree {
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// A tree of that many leaves from the roots of its complete subtrees, largest first; `None` unless there is one for each
    /// bit set in `leaves`.
    pub fn from_peaks(leaves: u64, peaks: &[RootHash]) -> Option<Self> {
        let whole = u32::try_from(peaks.len()) == Ok(leaves.count_ones());
        whole.then(|| Self { leaves, peaks: peaks.iter().map(|peak| peak.0).collect() })
    }

    pub fn push(&mut self, leaf: LeafHash) {
        let mut hash = leaf.0;
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.leaves += 1;
    }

    pub fn root(&self) -> RootHash {
        let mut peaks = self.peaks.iter().rev();
        let Some(smallest) = peaks.next() else { return RootHash::empty() };
        RootHash(peaks.fold(*smallest, |right, left| node(left, &right)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 6962 §2.1 word for word: MTH(D[n]) splits at the largest power of two smaller than n.
    fn mth(leaves: &[LeafHash]) -> [u8; 32] {
        match leaves {
            [] => sm3(&[]),
            [leaf] => leaf.0,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&mth(&leaves[..split]), &mth(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_running_root_is_the_rfc_6962_tree_hash_at_every_size() {
        let leaves: Vec<_> = (0u8..70).map(|n| LeafHash::of_record(&[n])).collect();
        let mut tree = Tree::default();
        for size in 0..leaves.len() {
            assert_eq!(tree.root().0, mth(&leaves[..size]), "size {size}");
            tree.push(leaves[size]);
        }
    }

    #[test]
    fn the_empty_tree_is_sm3_of_nothing() {
        // The value that every SM3 implementation gives for the empty message.
        let known = "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b";
        assert_eq!(Tree::default().root().to_string(), known);
    }

    #[test]
    fn leaf_node_and_chain_hashes_of_the_same_octets_differ() {
        let pair = [7; 64];
        let halves = ([7; 32], [7; 32]);
        let all = [
            LeafHash::of_record(&pair).0,
            node(&halves.0, &halves.1),
            ChainValue(halves.0).link(LeafHash(halves.1)).0,
            ChainValue::of_header(&pair).0,
            SegmentHash::of_file(&pair).0,
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| other != one));
        }
    }
}
