//! Destroys the salt of a check's commitment, on an operator's order: whoever has the ledger cannot try anymore whether what was
//! asked was about somebody. The ledger stays as it is and proves what it proved; the receipt says that the salt is gone.

use std::sync::Arc;

use yanqian_evidence::Management;
use yanqian_ledger::LedgerError;
use yanqian_vocabulary::VerificationId;

use super::receipt::SealedReceipt;
use crate::core::Core;
use crate::secrets::ReplyOwner;
use crate::state::StateError;

/// Why a salt was not destroyed, or its destruction not recorded.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    #[error("no receipt of this check is kept: it is unknown, under way, or expired with its salt")]
    NoReceipt,
    #[error("the kept part of the receipt cannot be opened with this state key")]
    Sealed,
    #[error(transparent)]
    State(#[from] StateError),
    /// Asking again records it.
    #[error("the salt is destroyed, but the ledger did not record that ({0}); ask again")]
    NotRecorded(LedgerError),
}

impl Core {
    /// Destroys a check's salt, in the state store's files too, then records that; gives the record's sequence. Once more is
    /// no error: a crash may have kept the record from being made.
    pub async fn forget(self: &Arc<Self>, id: VerificationId, operator: u32) -> Result<u64, ForgetError> {
        let found = self.state.call(move |store| store.find_receipt_of_any(id)).await?;
        let (caller, sealed) = found.ok_or(ForgetError::NoReceipt)?;
        let owner = ReplyOwner { entity: self.entity(), caller: &caller, id };
        let plain = self.keys.open_receipt(&owner, &sealed).map_err(|_| ForgetError::Sealed)?;
        let kept = SealedReceipt::from_octets(&plain).ok_or(ForgetError::Sealed)?;
        let sealed = kept.without_salt().seal(self, &owner);
        self.state.call(move |store| store.replace_receipt(id, &sealed)).await?;
        self.state.call_alone(|store| store.scrub()).await?;
        let record = Management::SaltDestroyed { verification: id, operator: Some(operator) };
        let appended = self.append(record.into()).await.map_err(ForgetError::NotRecorded)?;
        tracing::warn!(verification = %id, operator, "the salt of a check's commitment is destroyed");
        Ok(appended.sequence)
    }
}
