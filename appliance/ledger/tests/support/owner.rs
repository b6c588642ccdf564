//! Keys that sign checkpoints, by RustCrypto.

use sm2::dsa::signature::Signer as _;
use yanqian_evidence::{Checkpoint, CheckpointKey, Origin, SignatureLine, SignedCheckpoint};
use yanqian_sm::{PublicKey, Signature};

pub struct Owner {
    name: Origin,
    secret: sm2::dsa::SigningKey,
}

impl Owner {
    /// The ledger's own key.
    pub fn of_this_ledger() -> Self {
        Self::new(super::config().origin, 7)
    }

    pub fn new(name: Origin, seed: u8) -> Self {
        let secret = sm2::SecretKey::from_slice(&[seed; 32]).unwrap();
        Self { name, secret: sm2::dsa::SigningKey::new("1234567812345678", &secret).unwrap() }
    }

    pub fn key(&self) -> CheckpointKey {
        let point = self.secret.verifying_key().to_sec1_bytes();
        CheckpointKey { name: self.name.clone(), public: PublicKey::from_sec1(&point).unwrap() }
    }

    pub fn line(&self, checkpoint: &Checkpoint) -> SignatureLine {
        let signature: sm2::dsa::Signature = self.secret.sign(checkpoint.to_string().as_bytes());
        self.key().line(&Signature::from_raw(&signature.to_bytes().into()).unwrap())
    }

    pub fn signed(&self, checkpoint: &Checkpoint) -> SignedCheckpoint {
        SignedCheckpoint::new(checkpoint.clone(), self.line(checkpoint))
    }
}
