//! What binds a receipt to the ledger: a checkpoint, and for each record the proof that it is in the checkpoint's tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use yanqian_vocabulary::ContentDigest;

use super::json::{Object, hash, octets, present};
use super::{Entry, MAX_RECORDS, ReceiptError};
use crate::checkpoint::SignedCheckpoint;
use crate::hash::RootHash;
use crate::proof::{Inclusion, MAX_PATH, ProofError};
use crate::word::Der;

/// The anchor of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub checkpoint: SignedCheckpoint,
    /// One for each record, in the receipt's order.
    pub proofs: Vec<Inclusion>,
    /// A DER `TimeStampToken` (RFC 3161) over SM3 of the checkpoint without its witnesses. Not judged here.
    pub timestamp: Option<Der>,
}

impl Anchor {
    /// Whether there is a proof for each record that leads to the checkpoint's root; with the number of the first that has none.
    pub fn includes(&self, records: &[Entry]) -> Result<(), (usize, ProofError)> {
        let tree = &self.checkpoint.checkpoint;
        if self.proofs.len() != records.len() {
            return Err((self.proofs.len().min(records.len()) + 1, ProofError::Length));
        }
        let mut pairs = self.proofs.iter().zip(records).zip(1..);
        pairs.try_for_each(|((proof, entry), number)| {
            proof.verify(entry.leaf, tree.size, tree.root).map_err(|error| (number, error))
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireAnchor {
    checkpoint: String,
    proofs: Vec<Object<WireProof>>,
    #[serde(deserialize_with = "present")]
    timestamp: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProof {
    index: u64,
    path: Vec<String>,
}

impl From<&Anchor> for WireAnchor {
    fn from(anchor: &Anchor) -> Self {
        let proof = |proof: &Inclusion| WireProof {
            index: proof.index,
            path: proof.path.iter().map(|hash| ContentDigest::new(*hash.as_bytes()).to_string()).collect(),
        };
        Self {
            checkpoint: anchor.checkpoint.to_string(),
            proofs: anchor.proofs.iter().map(proof).map(Object).collect(),
            timestamp: anchor.timestamp.as_ref().map(|token| STANDARD.encode(token.as_bytes())),
        }
    }
}

impl TryFrom<WireAnchor> for Anchor {
    type Error = ReceiptError;

    fn try_from(wire: WireAnchor) -> Result<Self, ReceiptError> {
        let proof = |Object(proof): Object<WireProof>| {
            if proof.path.len() > MAX_PATH {
                return Err(ReceiptError::Count("anchor.proofs.path"));
            }
            let path = proof.path.iter().map(|text| hash(text, "anchor.proofs.path").map(RootHash::new));
            Ok(Inclusion { index: proof.index, path: path.collect::<Result<_, _>>()? })
        };
        if wire.proofs.len() > MAX_RECORDS {
            return Err(ReceiptError::Count("anchor.proofs"));
        }
        let token = |text: String| {
            let name = "anchor.timestamp";
            Der::new(octets(&text, name)?).map_err(|_| ReceiptError::Value(name))
        };
        Ok(Self {
            checkpoint: wire.checkpoint.parse().map_err(ReceiptError::Checkpoint)?,
            proofs: wire.proofs.into_iter().map(proof).collect::<Result<_, _>>()?,
            timestamp: wire.timestamp.map(token).transpose()?,
        })
    }
}
