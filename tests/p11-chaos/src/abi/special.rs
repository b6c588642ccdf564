//! The entries in which a number, a list or octets may be changed on their way.

use std::ffi::c_void;

use cryptoki_sys::{
    CK_BBOOL, CK_BYTE, CK_FALSE, CK_FLAGS, CK_MECHANISM, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_NOTIFY,
    CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_ULONG,
    CK_UTF8CHAR, CKF_TOKEN_PRESENT, CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED, CKR_KEY_HANDLE_INVALID, CKR_OK,
};

use super::{entry, forward};
use crate::function::Function;
use crate::shim::Spoil;

/// Functions whose first argument is a slot.
macro_rules! of_slot {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        pub(super) unsafe extern "C" fn $name(slot: CK_SLOT_ID, $($argument: $kind),*) -> CK_RV {
            entry(|shim| {
                let slot = shim.plan(Function::$name, None)?.state.slot_behind(slot)?;
                let call = shim.list().$name.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
                // SAFETY: the arguments are the application's own, as the standard wants them.
                Ok(unsafe { call(slot, $($argument),*) })
            })
        }
    )*};
}

of_slot! {
    C_GetTokenInfo(info: *mut CK_TOKEN_INFO);
    C_GetMechanismList(list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG);
    C_GetMechanismInfo(mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO);
    C_InitToken(pin: *mut CK_UTF8CHAR, length: CK_ULONG, label: *mut CK_UTF8CHAR);
}

pub(super) unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    entry(|shim| {
        shim.plan(Function::C_Finalize, None)?;
        let call = shim.list().C_Finalize.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
        // SAFETY: the argument is the application's own.
        let rv = unsafe { call(reserved) };
        if rv == CKR_OK {
            shim.sessions.forget_all();
        }
        Ok(rv)
    })
}

/// Without the token there is no slot with a token.
pub(super) unsafe extern "C" fn C_GetSlotList(present: CK_BBOOL, list: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> CK_RV {
    entry(|shim| {
        let state = shim.plan(Function::C_GetSlotList, None)?.state;
        if state.gone && present != CK_FALSE {
            if count.is_null() {
                return Err(CKR_ARGUMENTS_BAD);
            }
            // SAFETY: not NULL, writable by contract.
            unsafe { count.write_unaligned(0) };
            return Ok(CKR_OK);
        }
        let call = shim.list().C_GetSlotList.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
        // SAFETY: the arguments are the application's own.
        let rv = unsafe { call(present, list, count) };
        if rv == CKR_OK && !list.is_null() {
            // SAFETY: after success `count` says how many numbers were written to `list`.
            unsafe {
                for index in 0..usize::try_from(count.read_unaligned()).unwrap_or(0) {
                    let slot = list.add(index);
                    slot.write_unaligned(state.slot_before(slot.read_unaligned()));
                }
            }
        }
        Ok(rv)
    })
}

pub(super) unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    entry(|shim| {
        let state = shim.plan(Function::C_GetSlotInfo, None)?.state;
        let call = shim.list().C_GetSlotInfo.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
        // SAFETY: the arguments are the application's own.
        let rv = unsafe { call(state.slot_behind(slot)?, info) };
        if rv == CKR_OK && state.gone && !info.is_null() {
            // SAFETY: after success `info` holds what the module wrote.
            unsafe {
                let flags = &raw mut (*info).flags;
                flags.write_unaligned(flags.read_unaligned() & !CKF_TOKEN_PRESENT);
            }
        }
        Ok(rv)
    })
}

pub(super) unsafe extern "C" fn C_WaitForSlotEvent(
    flags: CK_FLAGS,
    slot: *mut CK_SLOT_ID,
    reserved: *mut c_void,
) -> CK_RV {
    entry(|shim| {
        let state = shim.plan(Function::C_WaitForSlotEvent, None)?.state;
        let call = shim.list().C_WaitForSlotEvent.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
        // SAFETY: the arguments are the application's own.
        let rv = unsafe { call(flags, slot, reserved) };
        if rv == CKR_OK && !slot.is_null() {
            // SAFETY: after success the module has written a slot there.
            unsafe { slot.write_unaligned(state.slot_before(slot.read_unaligned())) };
        }
        Ok(rv)
    })
}

pub(super) unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    entry(|shim| {
        let state = shim.plan(Function::C_OpenSession, None)?.state;
        let slot = state.slot_behind(slot)?;
        let call = shim.list().C_OpenSession.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
        Ok(shim.sessions.open_within(state.session_limit, slot, || {
            // SAFETY: the arguments are the application's own; after success the module has written a handle.
            unsafe {
                let rv = call(slot, flags, application, notify, session);
                (rv, if rv == CKR_OK && !session.is_null() { session.read_unaligned() } else { 0 })
            }
        }))
    })
}

pub(super) unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    entry(|shim| {
        shim.plan(Function::C_CloseSession, Some(session))?;
        let rv = shim.target.close_session(session);
        if rv == CKR_OK {
            shim.sessions.forget(session);
        }
        Ok(rv)
    })
}

pub(super) unsafe extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    entry(|shim| {
        let slot = shim.plan(Function::C_CloseAllSessions, None)?.state.slot_behind(slot)?;
        let call = shim.list().C_CloseAllSessions.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
        // SAFETY: takes a number only.
        let rv = unsafe { call(slot) };
        if rv == CKR_OK {
            shim.sessions.forget_slot(slot);
        }
        Ok(rv)
    })
}

pub(super) unsafe extern "C" fn C_GetSessionInfo(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> CK_RV {
    forward(Function::C_GetSessionInfo, Some(session), |list, plan| {
        // SAFETY: the arguments are the application's own.
        let rv = list.C_GetSessionInfo.map(|call| unsafe { call(session, info) })?;
        if rv == CKR_OK && !info.is_null() {
            // SAFETY: after success `info` holds what the module wrote.
            unsafe {
                let slot = &raw mut (*info).slotID;
                slot.write_unaligned(plan.state.slot_before(slot.read_unaligned()));
            }
        }
        Some(rv)
    })
}

/// Where another key is ordered and the session does not find it, the order cannot be carried out, and the call fails.
pub(super) unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    entry(|shim| {
        let plan = shim.plan(Function::C_SignInit, Some(session))?;
        let key = match &plan.key {
            Some(label) => shim.target.private_key(session, label).ok_or(CKR_KEY_HANDLE_INVALID)?,
            None => key,
        };
        let call = shim.list().C_SignInit.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
        // SAFETY: the arguments are the application's own, or a handle that the same session has just found.
        Ok(unsafe { call(session, mechanism, key) })
    })
}

pub(super) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_length: *mut CK_ULONG,
) -> CK_RV {
    forward(Function::C_Sign, Some(session), |list, plan| {
        // SAFETY: the arguments are the application's own; with success the module has kept to them.
        list.C_Sign.map(|call| unsafe {
            spoil(call(session, data, length, signature, signature_length), plan.spoil, signature, signature_length)
        })
    })
}

pub(super) unsafe extern "C" fn C_SignFinal(
    session: CK_SESSION_HANDLE,
    signature: *mut CK_BYTE,
    length: *mut CK_ULONG,
) -> CK_RV {
    forward(Function::C_SignFinal, Some(session), |list, plan| {
        // SAFETY: as in `C_Sign`.
        list.C_SignFinal.map(|call| unsafe { spoil(call(session, signature, length), plan.spoil, signature, length) })
    })
}

pub(super) unsafe extern "C" fn C_Decrypt(
    session: CK_SESSION_HANDLE,
    sealed: *mut CK_BYTE,
    length: CK_ULONG,
    data: *mut CK_BYTE,
    data_length: *mut CK_ULONG,
) -> CK_RV {
    forward(Function::C_Decrypt, Some(session), |list, plan| {
        // SAFETY: as in `C_Sign`.
        list.C_Decrypt.map(|call| unsafe {
            spoil(call(session, sealed, length, data, data_length), plan.spoil, data, data_length)
        })
    })
}

/// Shortens or corrupts what a call gave; a failure or a question for the length gives nothing.
///
/// # Safety
/// With `CKR_OK`, `length` is readable and writable, and a non-NULL `octets` points to `*length` octets.
unsafe fn spoil(rv: CK_RV, spoil: Option<Spoil>, octets: *mut CK_BYTE, length: *mut CK_ULONG) -> CK_RV {
    if rv != CKR_OK || octets.is_null() || length.is_null() {
        return rv;
    }
    // SAFETY: by contract.
    unsafe {
        let count = length.read_unaligned();
        match spoil {
            Some(Spoil::Shorten) if count > 0 => length.write_unaligned(count - 1),
            Some(Spoil::Corrupt) if count > 0 => {
                let last = octets.add(usize::try_from(count - 1).unwrap_or(0));
                last.write(last.read() ^ 1);
            }
            _ => {}
        }
    }
    rv
}
