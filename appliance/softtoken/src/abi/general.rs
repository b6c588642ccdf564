//! Library, slot and mechanism functions, and random numbers.

use std::ffi::c_void;

use cryptoki_sys::{
    CK_BBOOL, CK_BYTE_PTR, CK_C_INITIALIZE_ARGS, CK_INFO, CK_INFO_PTR, CK_MECHANISM_INFO, CK_MECHANISM_INFO_PTR,
    CK_MECHANISM_TYPE, CK_MECHANISM_TYPE_PTR, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_SLOT_ID_PTR, CK_SLOT_INFO,
    CK_SLOT_INFO_PTR, CK_ULONG, CK_ULONG_PTR, CK_VERSION, CKF_OS_LOCKING_OK, CKF_TOKEN_PRESENT, CKR_ARGUMENTS_BAD,
    CKR_CANT_LOCK, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR, CKR_FUNCTION_NOT_PARALLEL,
    CKR_RANDOM_SEED_NOT_SUPPORTED,
};
use zeroize::Zeroizing;

use super::entry;
use super::pointers::{deliver_list, octets, put};
use crate::module::{SLOT, check_slot, finalize, initialize, module};
use crate::rv::{Outcome, Rv};

pub(super) const MANUFACTURER: &str = "Yanqian project";
pub(super) const MODEL: &str = "SOFT development";
const LIBRARY: &str = "SOFT SM2 token, development";
const SLOT_DESCRIPTION: &str = "SOFT token, development grade, not an HSM";
/// Of the module and of the token it plays.
pub(super) const VERSION: CK_VERSION = CK_VERSION { major: 0, minor: 1 };
pub(super) const CRYPTOKI: CK_VERSION = CK_VERSION { major: 2, minor: 40 };

/// A blank-padded field, as PKCS#11 wants its texts; too long is cut.
pub(super) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (place, octet) in field.iter_mut().zip(text.bytes()) {
        *place = octet;
    }
    field
}

/// Locking arguments (PKCS#11 v2.40 §5.4): own mutexes of the caller are not used, so a caller who insists is refused.
fn check_arguments(arguments: &CK_C_INITIALIZE_ARGS) -> Outcome<()> {
    let given = [
        arguments.CreateMutex.is_some(),
        arguments.DestroyMutex.is_some(),
        arguments.LockMutex.is_some(),
        arguments.UnlockMutex.is_some(),
    ];
    let (all, any) = (given.iter().all(|given| *given), given.iter().any(|given| *given));
    if !arguments.pReserved.is_null() || all != any {
        return Err(Rv(CKR_ARGUMENTS_BAD));
    }
    if all && arguments.flags & CKF_OS_LOCKING_OK == 0 { Err(Rv(CKR_CANT_LOCK)) } else { Ok(()) }
}

pub(super) unsafe extern "C" fn C_Initialize(pInitArgs: *mut c_void) -> CK_RV {
    entry(|| {
        if !pInitArgs.is_null() {
            // SAFETY: a non-NULL argument is a CK_C_INITIALIZE_ARGS by contract.
            check_arguments(&unsafe { pInitArgs.cast::<CK_C_INITIALIZE_ARGS>().read_unaligned() })?;
        }
        initialize()
    })
}

pub(super) unsafe extern "C" fn C_Finalize(pReserved: *mut c_void) -> CK_RV {
    entry(|| if pReserved.is_null() { finalize() } else { Err(Rv(CKR_ARGUMENTS_BAD)) })
}

pub(super) unsafe extern "C" fn C_GetInfo(pInfo: CK_INFO_PTR) -> CK_RV {
    entry(|| {
        module()?;
        let info = CK_INFO {
            cryptokiVersion: CRYPTOKI,
            manufacturerID: padded(MANUFACTURER),
            flags: 0,
            libraryDescription: padded(LIBRARY),
            libraryVersion: VERSION,
        };
        // SAFETY: by contract.
        unsafe { put(pInfo, info) }
    })
}

pub(super) unsafe extern "C" fn C_GetSlotList(
    _tokenPresent: CK_BBOOL,
    pSlotList: CK_SLOT_ID_PTR,
    pulCount: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        module()?;
        // The token cannot be taken out, so both lists are the same. SAFETY: by contract.
        unsafe { deliver_list(&[SLOT], pSlotList, pulCount) }
    })
}

pub(super) unsafe extern "C" fn C_GetSlotInfo(slotID: CK_SLOT_ID, pInfo: CK_SLOT_INFO_PTR) -> CK_RV {
    entry(|| {
        module()?;
        check_slot(slotID)?;
        let info = CK_SLOT_INFO {
            slotDescription: padded(SLOT_DESCRIPTION),
            manufacturerID: padded(MANUFACTURER),
            flags: CKF_TOKEN_PRESENT,
            hardwareVersion: CK_VERSION { major: 0, minor: 0 },
            firmwareVersion: VERSION,
        };
        // SAFETY: by contract.
        unsafe { put(pInfo, info) }
    })
}

pub(super) unsafe extern "C" fn C_GetMechanismList(
    slotID: CK_SLOT_ID,
    pMechanismList: CK_MECHANISM_TYPE_PTR,
    pulCount: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        check_slot(slotID)?;
        // SAFETY: by contract.
        unsafe { deliver_list(&module.dialect.numbers(), pMechanismList, pulCount) }
    })
}

pub(super) unsafe extern "C" fn C_GetMechanismInfo(
    slotID: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    pInfo: CK_MECHANISM_INFO_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        check_slot(slotID)?;
        let known = module.dialect.info(mechanism)?;
        let info = CK_MECHANISM_INFO { ulMinKeySize: known.bits, ulMaxKeySize: known.bits, flags: known.flags };
        // SAFETY: by contract.
        unsafe { put(pInfo, info) }
    })
}

pub(super) unsafe extern "C" fn C_SeedRandom(
    hSession: CK_SESSION_HANDLE,
    pSeed: CK_BYTE_PTR,
    ulSeedLen: CK_ULONG,
) -> CK_RV {
    entry(|| {
        module()?.read()?.session(hSession)?;
        // SAFETY: by contract.
        unsafe { octets(pSeed, ulSeedLen)? };
        // The kernel seeds itself; a caller's seed could add nothing that may be relied on.
        Err(Rv(CKR_RANDOM_SEED_NOT_SUPPORTED))
    })
}

pub(super) unsafe extern "C" fn C_GenerateRandom(
    hSession: CK_SESSION_HANDLE,
    pRandomData: CK_BYTE_PTR,
    ulRandomLen: CK_ULONG,
) -> CK_RV {
    entry(|| {
        module()?.read()?.session(hSession)?;
        let mut left = usize::try_from(ulRandomLen).map_err(|_| Rv(CKR_ARGUMENTS_BAD))?;
        if pRandomData.is_null() {
            return if left == 0 { Ok(()) } else { Err(Rv(CKR_ARGUMENTS_BAD)) };
        }
        let mut place = pRandomData;
        let mut buffer = Zeroizing::new([0; 4096]);
        while left > 0 {
            let part = buffer.get_mut(..left.min(4096)).ok_or(Rv(CKR_DEVICE_ERROR))?;
            getrandom::fill(part).map_err(|_| Rv(CKR_DEVICE_ERROR))?;
            // SAFETY: `left` octets from `place` on are writable by contract, and `part` is no longer than that.
            unsafe {
                place.copy_from_nonoverlapping(part.as_ptr(), part.len());
                place = place.add(part.len());
            }
            left -= part.len();
        }
        Ok(())
    })
}

pub(super) unsafe extern "C" fn C_GetFunctionStatus(_hSession: CK_SESSION_HANDLE) -> CK_RV {
    legacy()
}

pub(super) unsafe extern "C" fn C_CancelFunction(_hSession: CK_SESSION_HANDLE) -> CK_RV {
    legacy()
}

/// Parallel functions left PKCS#11 in version 2.0; this is the answer it asks for.
fn legacy() -> CK_RV {
    if module().is_ok() { CKR_FUNCTION_NOT_PARALLEL } else { CKR_CRYPTOKI_NOT_INITIALIZED }
}
