//! The sessions that are open behind this module, so that they can be limited and lost.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::{CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_OK, CKR_SESSION_COUNT};

/// Handles and their slots, as the module behind numbers them.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<CK_SESSION_HANDLE, CK_SLOT_ID>>);

impl Sessions {
    fn open(&self) -> MutexGuard<'_, HashMap<CK_SESSION_HANDLE, CK_SLOT_ID>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens one more unless there are `limit`. Opening takes turns, or two could pass the limit together.
    pub(crate) fn open_within(
        &self,
        limit: Option<u64>,
        slot: CK_SLOT_ID,
        open: impl FnOnce() -> (CK_RV, CK_SESSION_HANDLE),
    ) -> CK_RV {
        let mut sessions = self.open();
        if limit.is_some_and(|limit| sessions.len() as u64 >= limit) {
            return CKR_SESSION_COUNT;
        }
        let (rv, handle) = open();
        if rv == CKR_OK {
            sessions.insert(handle, slot);
        }
        rv
    }

    pub(crate) fn forget(&self, handle: CK_SESSION_HANDLE) {
        self.open().remove(&handle);
    }

    pub(crate) fn forget_slot(&self, slot: CK_SLOT_ID) {
        self.open().retain(|_, of| *of != slot);
    }

    pub(crate) fn forget_all(&self) {
        self.open().clear();
    }
}
