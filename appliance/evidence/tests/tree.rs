//! Proofs over the tree, held against RFC 6962's definition written down naively, and against the crate `ct-merkle` over
//! RustCrypto's SM3: neither knows of this crate's hashes.
#![allow(clippy::unwrap_used)]

use ct_merkle::HashableLeaf;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sm3::{Digest, Sm3};
use yanqian_evidence::proof::{self, Consistency, Inclusion, Nodes, ProofError};
use yanqian_evidence::{LeafHash, RootHash, Tree};

fn record(n: u64) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

/// RFC 6962 §2.1 word for word, with another SM3.
fn mth(from: u64, until: u64) -> [u8; 32] {
    match until - from {
        0 => Sm3::digest([]).into(),
        1 => Sm3::new().chain_update([0]).chain_update(record(from)).finalize().into(),
        n => {
            let k = n.next_power_of_two() / 2;
            let (left, right) = (mth(from, from + k), mth(from + k, until));
            Sm3::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
        }
    }
}

/// RFC 6962 §2.1.1 word for word.
fn path(m: u64, from: u64, until: u64) -> Vec<[u8; 32]> {
    let n = until - from;
    if n == 1 {
        return Vec::new();
    }
    let k = n.next_power_of_two() / 2;
    let (mut path, beside) = if m < k {
        (path(m, from, from + k), mth(from + k, until))
    } else {
        (path(m - k, from + k, until), mth(from, from + k))
    };
    path.push(beside);
    path
}

/// RFC 6962 §2.1.2 word for word.
fn subproof(m: u64, from: u64, until: u64, whole: bool) -> Vec<[u8; 32]> {
    let n = until - from;
    if m == n {
        return if whole { Vec::new() } else { vec![mth(from, until)] };
    }
    let k = n.next_power_of_two() / 2;
    let (mut path, beside) = if m <= k {
        (subproof(m, from, from + k, whole), mth(from + k, until))
    } else {
        (subproof(m - k, from + k, until, false), mth(from, from + k))
    };
    path.push(beside);
    path
}

struct Naive;

impl Nodes for Naive {
    type Error = std::convert::Infallible;

    fn node(&self, level: u8, index: u64) -> Result<RootHash, Self::Error> {
        Ok(RootHash::new(mth(index << level, (index + 1) << level)))
    }
}

fn leaf(n: u64) -> LeafHash {
    LeafHash::of_record(&record(n))
}

fn root(size: u64) -> RootHash {
    RootHash::new(mth(0, size))
}

fn octets(path: &[RootHash]) -> Vec<[u8; 32]> {
    path.iter().map(|hash| *hash.as_bytes()).collect()
}

fn inclusion(index: u64, size: u64) -> Inclusion {
    Inclusion::of(&Naive, index, size).unwrap().unwrap()
}

fn consistency(old: u64, new: u64) -> Consistency {
    Consistency::of(&Naive, old, new).unwrap().unwrap()
}

const SIZES: u64 = 40;

#[test]
fn roots_and_peaks_are_those_of_the_definition() {
    let mut tree = Tree::default();
    for size in 0..SIZES {
        assert_eq!(proof::root(&Naive, size).unwrap(), root(size));
        let again = Tree::from_peaks(size, &proof::peaks(&Naive, size).unwrap()).unwrap();
        assert_eq!(again, tree, "size {size}");
        tree.push(leaf(size));
    }
    assert_eq!(Tree::from_peaks(3, &[root(2)]), None);
}

#[test]
fn every_proof_of_every_small_tree_is_that_of_the_definition_and_proves() {
    for size in 1..SIZES {
        for index in 0..size {
            let proof = inclusion(index, size);
            assert_eq!(octets(&proof.path), path(index, 0, size), "{index} of {size}");
            assert_eq!(proof.verify(leaf(index), size, root(size)), Ok(()));
        }
        assert_eq!(Inclusion::of(&Naive, size, size).unwrap(), None);
        for old in 1..=size {
            let proof = consistency(old, size);
            assert_eq!(octets(&proof.path), subproof(old, 0, size, true), "{old} of {size}");
            assert_eq!(proof.verify((old, root(old)), (size, root(size))), Ok(()));
        }
        assert_eq!(Consistency::of(&Naive, size + 1, size).unwrap(), None);
        assert_eq!(Consistency::of(&Naive, 0, size).unwrap(), None);
    }
}

/// A record as `ct-merkle` hashes it.
struct Record(Vec<u8>);

impl HashableLeaf for Record {
    fn hash<H: digest_of_ct_merkle::Update>(&self, hasher: &mut H) {
        hasher.update(&self.0);
    }
}

use ct_merkle::digest as digest_of_ct_merkle;

#[test]
fn another_implementation_makes_the_same_proofs() {
    let mut theirs = MemoryBackedTree::<Sm3, Record>::new();
    for size in 1..SIZES {
        theirs.push(Record(record(size - 1)));
        assert_eq!(theirs.root().as_bytes().as_slice(), root(size).as_bytes());
        let place = |n: u64| usize::try_from(n).unwrap();
        for index in 0..size {
            let proof = theirs.prove_inclusion(place(index));
            assert_eq!(proof.as_bytes(), octets(&inclusion(index, size).path).concat());
        }
        for old in 1..size {
            let proof = theirs.prove_consistency(place(size - old));
            assert_eq!(proof.as_bytes(), octets(&consistency(old, size).path).concat(), "{old} of {size}");
        }
    }
}

#[test]
fn a_proof_holds_for_nothing_else() {
    for size in 1..20 {
        for index in 0..size {
            let proof = inclusion(index, size);
            for other in 0..size {
                let moved = Inclusion { index: other, ..proof.clone() };
                assert_eq!(moved.verify(leaf(index), size, root(size)).is_ok(), other == index, "{index} as {other}");
                assert_eq!(proof.verify(leaf(other), size, root(size)).is_ok(), other == index);
                assert_eq!(proof.verify(leaf(index), size, root(other + 1)).is_ok(), other + 1 == size);
            }
            assert_eq!(proof.verify(leaf(index), index, root(index)), Err(ProofError::Index));
            let longer = Inclusion { path: [proof.path.clone(), vec![root(1)]].concat(), ..proof.clone() };
            assert_eq!(longer.verify(leaf(index), size, root(size)), Err(ProofError::Length));
            if let Some((_, shorter)) = proof.path.split_last() {
                let shorter = Inclusion { path: shorter.to_vec(), ..proof.clone() };
                assert_eq!(shorter.verify(leaf(index), size, root(size)), Err(ProofError::Length));
            }
        }
        for old in 1..=size {
            let proof = consistency(old, size);
            let (before, after) = ((old, root(old)), (size, root(size)));
            let forked = RootHash::new([7; 32]);
            assert!(proof.verify((old, forked), after).is_err());
            assert!(proof.verify(before, (size, forked)).is_err());
            assert_eq!(proof.verify(after, before).is_ok(), old == size, "a tree does not shrink");
            let longer = Consistency { path: [proof.path.clone(), vec![root(1)]].concat() };
            assert_eq!(longer.verify(before, after), Err(ProofError::Length));
            if let Some((_, shorter)) = proof.path.split_last() {
                assert_eq!(Consistency { path: shorter.to_vec() }.verify(before, after), Err(ProofError::Length));
            }
            assert_eq!(proof.verify((0, RootHash::empty()), after), Err(ProofError::Sizes));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_one_bit_of_a_proof_changed_proves_nothing(
        size in 2u64..300, at in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), bit in 0usize..256,
    ) {
        let flip = |path: &mut Vec<RootHash>| {
            let hash = place.index(path.len());
            let mut octets = *path[hash].as_bytes();
            octets[bit / 8] ^= 1 << (bit % 8);
            path[hash] = RootHash::new(octets);
        };
        let index = at.index(usize::try_from(size).unwrap()) as u64;
        let mut proof = inclusion(index, size);
        flip(&mut proof.path);
        prop_assert_eq!(proof.verify(leaf(index), size, root(size)), Err(ProofError::Root));
        let old = index.max(1);
        let mut proof = consistency(old, size);
        if old < size {
            flip(&mut proof.path);
            prop_assert!(proof.verify((old, root(old)), (size, root(size))).is_err());
        }
    }

    #[test]
    fn proofs_of_any_shape_and_size_never_panic(
        index: u64, size: u64, old: u64, path in proptest::collection::vec(any::<[u8; 32]>(), 0..70), leaf: [u8; 32],
    ) {
        let path: Vec<_> = path.into_iter().map(RootHash::new).collect();
        let any = RootHash::new(leaf);
        let proven = Inclusion { index, path: path.clone() }.verify(LeafHash::new(leaf), size, any).is_ok();
        prop_assert_eq!(proven, index == 0 && size == 1 && path.is_empty());
        let _ = Consistency { path }.verify((old, any), (size, any));
    }
}
