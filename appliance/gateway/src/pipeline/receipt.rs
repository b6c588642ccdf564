//! The receipt of a check: what its caller may keep and any auditor can verify without this appliance. It is put together
//! when asked for, from the ledger, the archive, and the little that is kept apart from both: where the records stand and
//! the salt of the commitment.

use std::collections::BTreeSet;
use std::sync::Arc;

use yanqian_evidence::receipt::Receipt;
use yanqian_evidence::{LeafHash, Record};
use yanqian_ledger::{Archived, each_named, read_record_at};
use yanqian_vocabulary::{CallerId, VerificationId};
use zeroize::Zeroizing;

use super::dossier::{Dossier, Place};
use crate::core::Core;
use crate::metrics::RejectCause;
use crate::reply::Shed;
use crate::secrets::ReplyOwner;

/// What of a receipt is kept apart from the ledger.
pub(crate) struct SealedReceipt {
    places: Vec<Place>,
    salt: Option<[u8; 32]>,
}

/// Records of one check at most: intent, exchange, outcome.
const MAX_PLACES: usize = 8;

impl SealedReceipt {
    pub(super) fn of(dossier: &Dossier) -> Self {
        Self { places: dossier.places.clone(), salt: dossier.salt }
    }

    /// Of a check that a crash cut off: the salt of its commitment went with the process.
    pub(super) fn of_places(places: &[Place]) -> Self {
        Self { places: places.to_vec(), salt: None }
    }

    /// The same of a check whose salt is to go.
    pub(super) fn without_salt(self) -> Self {
        Self { salt: None, ..self }
    }

    pub(super) fn seal(&self, core: &Core, owner: &ReplyOwner<'_>) -> Vec<u8> {
        core.keys.seal_receipt(owner, core.random(), &self.to_octets())
    }

    /// Version 1, 1 octet; then 1 and the salt of 32 octets, or 0; then for each record segment and offset, 8 octets
    /// big-endian each, and its leaf hash of 32.
    fn to_octets(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(34 + 48 * self.places.len()));
        out.push(1);
        match &self.salt {
            Some(salt) => {
                out.push(1);
                out.extend_from_slice(salt);
            }
            None => out.push(0),
        }
        for place in &self.places {
            out.extend_from_slice(&place.segment.to_be_bytes());
            out.extend_from_slice(&place.offset.to_be_bytes());
            out.extend_from_slice(place.leaf.as_bytes());
        }
        out
    }

    pub(super) fn from_octets(octets: &[u8]) -> Option<Self> {
        let (salt, places) = match octets {
            [1, 1, rest @ ..] => rest.split_first_chunk::<32>().map(|(salt, rest)| (Some(*salt), rest))?,
            [1, 0, rest @ ..] => (None, rest),
            _ => return None,
        };
        let (places, rest) = places.as_chunks::<48>();
        if !rest.is_empty() || places.len() > MAX_PLACES {
            return None;
        }
        let number = |octets: &[u8]| octets.try_into().map(u64::from_be_bytes).ok();
        let places = places.iter().map(|octets| {
            let leaf = LeafHash::new(octets[16..].try_into().ok()?);
            Some(Place { segment: number(&octets[..8])?, offset: number(&octets[8..16])?, leaf })
        });
        Some(Self { places: places.collect::<Option<_>>()?, salt })
    }
}

/// `GET /v1/verifications/{id}/receipt`, for the caller who asked; for anyone else there is no such check.
pub(crate) async fn receipt(
    core: &Arc<Core>,
    names: &[String],
    id: VerificationId,
) -> Result<Result<String, Shed>, RejectCause> {
    let caller = core.caller(names)?;
    let asker = caller.clone();
    let sealed = match core.state.call(move |store| store.find_receipt(&asker, id)).await {
        Ok(Some(sealed)) => sealed,
        Ok(None) => return Err(RejectCause::NotFound),
        Err(error) => {
            tracing::error!(%error, "receipt cannot be looked up");
            return Ok(Err(Shed::StateUnavailable));
        }
    };
    let core = Arc::clone(core);
    let made = tokio::task::spawn_blocking(move || make(&core, &caller, id, &sealed)).await;
    Ok(match made {
        Ok(Ok(receipt)) => Ok(receipt.to_json()),
        Ok(Err(problem)) => {
            tracing::error!(problem, verification = %id, "receipt cannot be made");
            Err(Shed::EvidenceUnavailable)
        }
        Err(_) => Err(Shed::EvidenceUnavailable),
    })
}

fn make(core: &Core, caller: &CallerId, id: VerificationId, sealed: &[u8]) -> Result<Receipt, String> {
    let owner = ReplyOwner { entity: core.entity(), caller, id };
    let plain = core.keys.open_receipt(&owner, sealed).map_err(|error| error.to_string())?;
    let kept = SealedReceipt::from_octets(&plain).ok_or("the kept part has another form")?;
    let mut records = Vec::with_capacity(kept.places.len());
    let (mut named, mut leaves) = (BTreeSet::new(), Vec::new());
    for place in &kept.places {
        let octets = read_record_at(&core.ledger_directory, place.segment, place.offset, place.leaf)
            .map_err(|error| error.to_string())?;
        let record = Record::decode(&octets).map_err(|error| error.to_string())?;
        each_named(&record, |kind, hash| named.extend([(kind, hash)]));
        leaves.push((record.sequence, place.leaf));
        records.push(octets);
    }
    let (mut certificates, mut revocation) = (Vec::new(), Vec::new());
    for (kind, hash) in named {
        let der = core.archive.get(kind, &hash).map_err(|error| error.to_string())?;
        if kind == Archived::Certificate { certificates.push(der) } else { revocation.push(der) }
    }
    let receipt = Receipt::new(records, certificates, revocation, kept.salt).map_err(|error| error.to_string())?;
    match core.anchors.as_ref().map(|anchors| anchors.anchor(&leaves)) {
        Some(Ok(Some(anchor))) => receipt.anchored(anchor).map_err(|error| error.to_string()),
        // What the receipt holds is proven all the same, and the auditor sees that it is not anchored.
        Some(Err(error)) => {
            tracing::error!(%error, verification = %id, "a receipt cannot be anchored and stays pending");
            Ok(receipt)
        }
        Some(Ok(None)) | None => Ok(receipt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_a_receipt_is_read_back() {
        let places = [1, 2, 3].map(|n| Place { segment: n, offset: n << 40, leaf: LeafHash::new([7; 32]) }).to_vec();
        for salt in [None, Some([9; 32])] {
            let kept = SealedReceipt { places: places.clone(), salt };
            let octets = kept.to_octets();
            let read = SealedReceipt::from_octets(&octets).map(|read| (read.places, read.salt));
            assert_eq!(read, Some((places.clone(), salt)));
            for length in 0..octets.len() {
                let whole = SealedReceipt::from_octets(&octets[..length]).is_none_or(|read| read.places.len() < 3);
                assert!(whole, "{length}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>) {
            let _ = SealedReceipt::from_octets(&octets);
        }
    }
}
