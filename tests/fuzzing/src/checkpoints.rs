use yanqian_evidence::{CheckpointKey, Consistency, Inclusion, LeafHash, Origin, RootHash, SignedCheckpoint};
use yanqian_sm::PublicKey;

use crate::input::Input;
use crate::party::certificate;

/// Checkpoints: what is read is written as it was, and no text makes a key's signature hold over another text.
pub fn checkpoints(octets: &[u8]) {
    let Ok(signed) = SignedCheckpoint::from_octets(octets) else { return };
    assert_eq!(signed.to_string().as_bytes(), octets);
    assert!(signed.checkpoint.size > 0);
    let public: PublicKey = *certificate().public_key().expect("the key of the seeds");
    for line in signed.signatures() {
        let key = CheckpointKey { name: line.name.clone(), public };
        let other = CheckpointKey { name: Origin::new("nobody").expect("a name"), public };
        if key.signed(&signed).is_ok() {
            let mut changed = signed.clone();
            changed.checkpoint.size ^= 1;
            assert!(key.signed(&changed).is_err());
            assert!(line.name == other.name || other.signed(&signed).is_err());
        }
    }
}

/// Proofs of any shape: none holds for two roots, and an inclusion proof that holds is as long as its tree is high at most.
pub fn proofs(octets: &[u8]) {
    let mut input = Input(octets);
    let (one, two) = (u64::from_be_bytes(input.octets()), u64::from_be_bytes(input.octets()));
    let (leaf, other): ([u8; 32], [u8; 32]) = (input.octets(), input.octets());
    let rest = input.rest();
    let path: Vec<RootHash> = rest.as_chunks::<32>().0.iter().map(|hash| RootHash::new(*hash)).collect();
    let (root, another) = (RootHash::new(leaf), RootHash::new(other));
    let inclusion = Inclusion { index: one, path: path.clone() };
    let holds = |root| inclusion.verify(LeafHash::new(leaf), two, root).is_ok();
    assert!(!(holds(root) && holds(another)) || root == another);
    if holds(another) {
        assert!(one < two && path.len() <= 64);
    }
    let consistency = Consistency { path };
    let holds = |new| consistency.verify((one, root), (two, new)).is_ok();
    assert!(!(holds(root) && holds(another)) || root == another);
    if holds(another) {
        assert!(one > 0 && one <= two);
    }
}
