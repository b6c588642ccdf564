//! Session functions.

use std::ffi::c_void;

use cryptoki_sys::{
    CK_FLAGS, CK_NOTIFY, CK_RV, CK_SESSION_HANDLE, CK_SESSION_HANDLE_PTR, CK_SESSION_INFO_PTR, CK_SLOT_ID,
    CKR_ARGUMENTS_BAD,
};

use super::entry;
use super::pointers::put;
use crate::module::{check_slot, module};
use crate::rv::Rv;

pub(super) unsafe extern "C" fn C_OpenSession(
    slotID: CK_SLOT_ID,
    flags: CK_FLAGS,
    _pApplication: *mut c_void,
    // Software is never taken out: there is nothing to notify of.
    _Notify: CK_NOTIFY,
    phSession: CK_SESSION_HANDLE_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        check_slot(slotID)?;
        if phSession.is_null() {
            return Err(Rv(CKR_ARGUMENTS_BAD));
        }
        let handle = module.open_session(flags)?;
        // SAFETY: by contract.
        unsafe { put(phSession, handle) }
    })
}

pub(super) unsafe extern "C" fn C_CloseSession(hSession: CK_SESSION_HANDLE) -> CK_RV {
    entry(|| module()?.close_session(hSession))
}

pub(super) unsafe extern "C" fn C_CloseAllSessions(slotID: CK_SLOT_ID) -> CK_RV {
    entry(|| {
        let module = module()?;
        check_slot(slotID)?;
        module.close_all_sessions()
    })
}

pub(super) unsafe extern "C" fn C_GetSessionInfo(hSession: CK_SESSION_HANDLE, pInfo: CK_SESSION_INFO_PTR) -> CK_RV {
    entry(|| {
        let info = module()?.session_info(hSession)?;
        // SAFETY: by contract.
        unsafe { put(pInfo, info) }
    })
}
