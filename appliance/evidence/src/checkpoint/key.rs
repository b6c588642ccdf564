use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature, sm3, verify};

use super::{Checkpoint, CheckpointError, SignatureLine, SignedCheckpoint};
use crate::word::Origin;

/// How signed notes name an algorithm without a number of its own: 0xFF and a text.
const ALGORITHM: &[u8] = b"\xffSM2-SM3";

/// A key that signs checkpoints: a ledger's or a witness's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointKey {
    /// Its name in signature lines; a node's is its origin.
    pub name: Origin,
    pub public: PublicKey,
}

impl CheckpointKey {
    /// The first four octets of SM3(name ‖ 0x0A ‖ 0xFF ‖ `SM2-SM3` ‖ uncompressed point of 65 octets).
    pub fn id(&self) -> [u8; 4] {
        let hash = sm3(&[self.name.as_str().as_bytes(), b"\n", ALGORITHM, &self.public.to_sec1()]);
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// What the key's half in the token signs: SM2 with SM3 and the default id over the checkpoint's text.
    pub fn digest(&self, checkpoint: &Checkpoint) -> E {
        E::of_message(&self.public, &DistinguishingId::default(), &[checkpoint.to_string().as_bytes()])
    }

    /// The line of a signature that this key made.
    pub fn line(&self, signature: &Signature) -> SignatureLine {
        SignatureLine { name: self.name.clone(), key_id: self.id(), signature: signature.to_raw() }
    }

    /// Whether it was the ledger's key for this checkpoint: the first line is its own and verifies.
    pub fn signed(&self, signed: &SignedCheckpoint) -> Result<(), CheckpointError> {
        let first = signed.signatures().first().filter(|line| self.is_of(line));
        self.verify(&signed.checkpoint, first.ok_or_else(|| CheckpointError::OtherKey(self.name.clone()))?)
    }

    /// Whether it cosigned: one of the lines after the first is its own. An error when that does not verify.
    pub fn cosigned(&self, signed: &SignedCheckpoint) -> Result<bool, CheckpointError> {
        let line = signed.signatures().iter().skip(1).find(|line| self.is_of(line));
        line.map(|line| self.verify(&signed.checkpoint, line)).transpose().map(|found| found.is_some())
    }

    /// Whether a line says that it is this key's.
    pub fn is_of(&self, line: &SignatureLine) -> bool {
        line.name == self.name && line.key_id == self.id()
    }

    /// Reads a verifier key of C2SP signed-note, without its line feed. The id must be the key's, and the spelling the one that
    /// [`fmt::Display`] gives.
    pub fn from_line(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('+')?;
        let (_, key) = rest.split_once('+')?;
        let octets = STANDARD.decode(key).ok()?;
        let public = PublicKey::from_sec1(octets.strip_prefix(ALGORITHM)?).ok()?;
        let key = Self { name: Origin::new(name).ok()?, public };
        (key.to_string() == line).then_some(key)
    }

    /// # Errors
    /// [`CheckpointError::Unverified`] for a line that is not this key's signature of the checkpoint.
    pub fn verify(&self, checkpoint: &Checkpoint, line: &SignatureLine) -> Result<(), CheckpointError> {
        let signature = Signature::from_raw(&line.signature).ok();
        let holds =
            signature.is_some_and(|signature| verify(&self.public, &self.digest(checkpoint), &signature).is_ok());
        if holds { Ok(()) } else { Err(CheckpointError::Unverified(self.name.clone())) }
    }
}

impl fmt::Display for CheckpointKey {
    /// As a verifier key of C2SP signed-note: name, `+`, id in hexadecimal, `+`, base64 of the algorithm and the uncompressed point.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [ALGORITHM, &self.public.to_sec1()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(key))
    }
}
