//! What a start settles, and what is forgotten as time goes by.

use std::collections::BTreeMap;
use std::sync::Arc;

use yanqian_vocabulary::VerificationId;

use crate::StateError;
use crate::core::Core;
use crate::pipeline::{Place, unknown_reply};
use crate::state::Orphan;

impl Core {
    /// The checks whose idempotency keys a crash left open. Ask once, before serving.
    pub async fn orphans(&self) -> Result<Vec<Orphan>, StateError> {
        self.state.call(|store| store.orphans()).await
    }

    /// Settles them: a key is free when the ledger holds no record of its check, and `outcome-unknown` for good when it
    /// does (I4). `records` says where the ledger holds them.
    pub async fn settle_orphans(
        self: &Arc<Self>,
        orphans: Vec<Orphan>,
        records: &BTreeMap<VerificationId, Vec<Place>>,
    ) -> Result<(), StateError> {
        for orphan in orphans {
            let unknown = records.get(&orphan.id).map(|places| unknown_reply(self, &orphan, places));
            self.state
                .call(move |store| match unknown {
                    Some(finish) => store.finish(&finish),
                    None => store.release(&orphan.caller, &orphan.tag, orphan.id),
                })
                .await?;
        }
        Ok(())
    }

    /// Whether somebody vouches for the clock, or nobody was to.
    pub fn clock_is_trusted(&self) -> bool {
        self.clock_health.is_trusted()
    }

    /// Forgets expired replies, receipts with their salts, and nonces, and has the store's log cut; nothing while nobody vouches for
    /// the clock.
    pub async fn purge(&self) -> Result<usize, StateError> {
        if !self.clock_is_trusted() {
            return Ok(0);
        }
        let now = self.clock.now();
        let gone = self.state.call(move |store| store.purge(now)).await?;
        if let Err(error) = self.state.call_alone(|store| store.scrub()).await {
            tracing::warn!(%error, "what was forgotten is not yet gone from the store's files; it is tried again");
        }
        Ok(gone)
    }
}
