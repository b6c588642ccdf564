//! Token information, initialisation and PINs.

use cryptoki_sys::{
    CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_TOKEN_INFO, CK_TOKEN_INFO_PTR, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CK_USER_TYPE, CK_UTF8CHAR_PTR, CK_VERSION, CKR_ARGUMENTS_BAD,
};

use super::entry;
use super::general::{MANUFACTURER, MODEL, VERSION, padded};
use super::pointers::{octets, put};
use crate::module::{check_slot, module};
use crate::pin::{MAX_PIN, MIN_PIN};
use crate::rv::{Outcome, Rv};

/// A PIN; NULL would mean a protected authentication path, which software has not.
///
/// # Safety
/// As `octets`.
unsafe fn pin<'a>(data: CK_UTF8CHAR_PTR, length: CK_ULONG) -> Outcome<&'a [u8]> {
    if data.is_null() {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    // SAFETY: by the caller's contract.
    unsafe { octets(data, length) }
}

pub(super) unsafe extern "C" fn C_GetTokenInfo(slotID: CK_SLOT_ID, pInfo: CK_TOKEN_INFO_PTR) -> CK_RV {
    entry(|| {
        let module = module()?;
        check_slot(slotID)?;
        let state = module.token_state()?;
        let info = CK_TOKEN_INFO {
            label: state.label,
            manufacturerID: padded(MANUFACTURER),
            model: padded(MODEL),
            serialNumber: state.serial,
            flags: state.flags,
            ulMaxSessionCount: module.max_sessions() as CK_ULONG,
            ulSessionCount: state.sessions as CK_ULONG,
            ulMaxRwSessionCount: module.max_sessions() as CK_ULONG,
            ulRwSessionCount: state.writable_sessions as CK_ULONG,
            ulMaxPinLen: MAX_PIN as CK_ULONG,
            ulMinPinLen: MIN_PIN as CK_ULONG,
            ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
            ulFreePublicMemory: CK_UNAVAILABLE_INFORMATION,
            ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
            ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
            hardwareVersion: CK_VERSION { major: 0, minor: 0 },
            firmwareVersion: VERSION,
            utcTime: [b' '; 16],
        };
        // SAFETY: by contract.
        unsafe { put(pInfo, info) }
    })
}

pub(super) unsafe extern "C" fn C_InitToken(
    slotID: CK_SLOT_ID,
    pPin: CK_UTF8CHAR_PTR,
    ulPinLen: CK_ULONG,
    pLabel: CK_UTF8CHAR_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        check_slot(slotID)?;
        // SAFETY: by contract; a label has 32 octets.
        let (pin, label) = unsafe { (pin(pPin, ulPinLen)?, octets(pLabel, 32)?) };
        module.init_token(pin, label.try_into().map_err(|_| Rv(CKR_ARGUMENTS_BAD))?)
    })
}

pub(super) unsafe extern "C" fn C_InitPIN(
    hSession: CK_SESSION_HANDLE,
    pPin: CK_UTF8CHAR_PTR,
    ulPinLen: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.init_pin(hSession, unsafe { pin(pPin, ulPinLen)? }))
}

pub(super) unsafe extern "C" fn C_SetPIN(
    hSession: CK_SESSION_HANDLE,
    pOldPin: CK_UTF8CHAR_PTR,
    ulOldLen: CK_ULONG,
    pNewPin: CK_UTF8CHAR_PTR,
    ulNewLen: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.set_pin(hSession, unsafe { pin(pOldPin, ulOldLen)? }, unsafe { pin(pNewPin, ulNewLen)? }))
}

pub(super) unsafe extern "C" fn C_Login(
    hSession: CK_SESSION_HANDLE,
    userType: CK_USER_TYPE,
    pPin: CK_UTF8CHAR_PTR,
    ulPinLen: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.login(hSession, userType, unsafe { pin(pPin, ulPinLen)? }))
}

pub(super) unsafe extern "C" fn C_Logout(hSession: CK_SESSION_HANDLE) -> CK_RV {
    entry(|| module()?.logout(hSession))
}
