//! A ledger around a receipt's records, a key that signs its checkpoints, and a witness.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use yanqian_evidence::{
    Anchor, Checkpoint, CheckpointKey, Inclusion, LeafHash, Nodes, Origin, Receipt, RootHash, SignatureLine,
    SignedCheckpoint, Tree,
};
use yanqian_sm::{PublicKey, Signature};
use yanqian_verify::Ledgers;
use yanqian_vocabulary::Timestamp;

pub const ORIGIN: &str = "example-bank/node-1";
pub const WITNESS: &str = "example-bank/node-2";

/// Who signs checkpoints, by OpenSSL.
pub struct Keeper {
    private: PKey<Private>,
    pub key: CheckpointKey,
}

impl Keeper {
    pub fn new(name: &str) -> Self {
        let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
        let private = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let public = PublicKey::from_spki_der(&private.public_key_to_der().unwrap()).unwrap();
        Self { private, key: CheckpointKey { name: Origin::new(name).unwrap(), public } }
    }

    pub fn sign(&self, checkpoint: &Checkpoint) -> SignatureLine {
        let mut signer = openssl::sign::Signer::new(MessageDigest::sm3(), &self.private).unwrap();
        signer.update(checkpoint.to_string().as_bytes()).unwrap();
        self.key.line(&Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap())
    }

    pub fn base64(&self) -> String {
        STANDARD.encode(self.key.public.to_spki_der())
    }
}

/// All leaves of a tree.
pub struct Leaves(pub Vec<LeafHash>);

impl Nodes for Leaves {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<RootHash, Infallible> {
        let from = usize::try_from(index << level).unwrap();
        let mut tree = Tree::default();
        for leaf in &self.0[from..from + (1 << level)] {
            tree.push(*leaf);
        }
        Ok(tree.root())
    }
}

/// A ledger of 50 records with the receipt's from sequence 41 on.
pub struct Ledger {
    pub keeper: Keeper,
    pub witness: Keeper,
}

impl Ledger {
    pub fn new() -> Self {
        Self { keeper: Keeper::new(ORIGIN), witness: Keeper::new(WITNESS) }
    }

    pub fn toml(&self, minimum: usize) -> String {
        let (ledger, witness) = (self.keeper.base64(), self.witness.base64());
        format!(
            "format_version = 1\nminimum_witnesses = {minimum}\n[[ledgers]]\norigin = \"{ORIGIN}\"\nname = \"{ORIGIN}\"\n\
             key = \"{ledger}\"\n[[witnesses]]\nname = \"{WITNESS}\"\nkey = \"{witness}\"\n"
        )
    }

    pub fn ledgers(&self) -> Ledgers {
        Ledgers::from_toml(&self.toml(1)).unwrap()
    }

    /// A checkpoint of that time over the receipt's records among others.
    pub fn checkpoint(receipt: &Receipt, time: Timestamp) -> (Checkpoint, Leaves) {
        let mut leaves: Vec<_> = (0..50u8).map(|n| LeafHash::of_record(&[n])).collect();
        for (entry, at) in receipt.records.iter().zip(40..) {
            leaves[at] = entry.leaf;
        }
        let mut tree = Tree::default();
        for leaf in &leaves {
            tree.push(*leaf);
        }
        (Checkpoint { origin: Origin::new(ORIGIN).unwrap(), size: 50, root: tree.root(), time }, Leaves(leaves))
    }

    pub fn anchor(&self, receipt: &Receipt, time: Timestamp) -> Anchor {
        let (checkpoint, leaves) = Self::checkpoint(receipt, time);
        let line = self.witness.sign(&checkpoint);
        let mut signed = SignedCheckpoint::new(checkpoint.clone(), self.keeper.sign(&checkpoint));
        signed.add(line).unwrap();
        let proof = |index| Inclusion::of(&leaves, index, 50).unwrap().unwrap();
        let proofs = (40..).take(receipt.records.len()).map(proof).collect();
        Anchor { checkpoint: signed, proofs, timestamp: None }
    }
}
