//! The function list, and the stubs behind its unused places.

use cryptoki_sys::{
    CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR_PTR, CK_RV, CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED, CKR_OK,
};

use super::general::CRYPTOKI;
use super::{crypto, general, objects, sessions, token};

/// Functions of the list that this module does not have. Never NULL: many callers do not look.
mod absent {
    use cryptoki_sys::{
        CK_ATTRIBUTE, CK_BYTE, CK_FLAGS, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG,
    };

    /// Each stub takes what its type says and looks at nothing.
    macro_rules! absent {
        ($($name:ident($($kind:ty),*);)*) => {$(
            pub(super) unsafe extern "C" fn $name($(_: $kind),*) -> CK_RV {
                super::CKR_FUNCTION_NOT_SUPPORTED
            }
        )*};
    }

    absent! {
        C_GetOperationState(CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG);
        C_SetOperationState(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);
        C_CopyObject(CK_SESSION_HANDLE, CK_OBJECT_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE);
        C_GetObjectSize(CK_SESSION_HANDLE, CK_OBJECT_HANDLE, *mut CK_ULONG);
        C_EncryptInit(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE);
        C_Encrypt(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_EncryptUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_EncryptFinal(CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG);
        C_DecryptUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_DecryptFinal(CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG);
        C_DigestKey(CK_SESSION_HANDLE, CK_OBJECT_HANDLE);
        C_SignRecoverInit(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE);
        C_SignRecover(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_VerifyRecoverInit(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE);
        C_VerifyRecover(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_DigestEncryptUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_DecryptDigestUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_SignEncryptUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_DecryptVerifyUpdate(CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG);
        C_GenerateKey(CK_SESSION_HANDLE, *mut CK_MECHANISM, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE);
        C_WrapKey(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE, *mut CK_BYTE, *mut CK_ULONG);
        C_DeriveKey(CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE);
        C_WaitForSlotEvent(CK_FLAGS, *mut CK_SLOT_ID, *mut std::ffi::c_void);
    }
}

static LIST: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
    version: CRYPTOKI,
    C_Initialize: Some(general::C_Initialize),
    C_Finalize: Some(general::C_Finalize),
    C_GetInfo: Some(general::C_GetInfo),
    C_GetFunctionList: Some(C_GetFunctionList),
    C_GetSlotList: Some(general::C_GetSlotList),
    C_GetSlotInfo: Some(general::C_GetSlotInfo),
    C_GetTokenInfo: Some(token::C_GetTokenInfo),
    C_GetMechanismList: Some(general::C_GetMechanismList),
    C_GetMechanismInfo: Some(general::C_GetMechanismInfo),
    C_InitToken: Some(token::C_InitToken),
    C_InitPIN: Some(token::C_InitPIN),
    C_SetPIN: Some(token::C_SetPIN),
    C_OpenSession: Some(sessions::C_OpenSession),
    C_CloseSession: Some(sessions::C_CloseSession),
    C_CloseAllSessions: Some(sessions::C_CloseAllSessions),
    C_GetSessionInfo: Some(sessions::C_GetSessionInfo),
    C_GetOperationState: Some(absent::C_GetOperationState),
    C_SetOperationState: Some(absent::C_SetOperationState),
    C_Login: Some(token::C_Login),
    C_Logout: Some(token::C_Logout),
    C_CreateObject: Some(objects::C_CreateObject),
    C_CopyObject: Some(absent::C_CopyObject),
    C_DestroyObject: Some(objects::C_DestroyObject),
    C_GetObjectSize: Some(absent::C_GetObjectSize),
    C_GetAttributeValue: Some(objects::C_GetAttributeValue),
    C_SetAttributeValue: Some(objects::C_SetAttributeValue),
    C_FindObjectsInit: Some(objects::C_FindObjectsInit),
    C_FindObjects: Some(objects::C_FindObjects),
    C_FindObjectsFinal: Some(objects::C_FindObjectsFinal),
    C_EncryptInit: Some(absent::C_EncryptInit),
    C_Encrypt: Some(absent::C_Encrypt),
    C_EncryptUpdate: Some(absent::C_EncryptUpdate),
    C_EncryptFinal: Some(absent::C_EncryptFinal),
    C_DecryptInit: Some(crypto::C_DecryptInit),
    C_Decrypt: Some(crypto::C_Decrypt),
    C_DecryptUpdate: Some(absent::C_DecryptUpdate),
    C_DecryptFinal: Some(absent::C_DecryptFinal),
    C_DigestInit: Some(crypto::C_DigestInit),
    C_Digest: Some(crypto::C_Digest),
    C_DigestUpdate: Some(crypto::C_DigestUpdate),
    C_DigestKey: Some(absent::C_DigestKey),
    C_DigestFinal: Some(crypto::C_DigestFinal),
    C_SignInit: Some(crypto::C_SignInit),
    C_Sign: Some(crypto::C_Sign),
    C_SignUpdate: Some(crypto::C_SignUpdate),
    C_SignFinal: Some(crypto::C_SignFinal),
    C_SignRecoverInit: Some(absent::C_SignRecoverInit),
    C_SignRecover: Some(absent::C_SignRecover),
    C_VerifyInit: Some(crypto::C_VerifyInit),
    C_Verify: Some(crypto::C_Verify),
    C_VerifyUpdate: Some(crypto::C_VerifyUpdate),
    C_VerifyFinal: Some(crypto::C_VerifyFinal),
    C_VerifyRecoverInit: Some(absent::C_VerifyRecoverInit),
    C_VerifyRecover: Some(absent::C_VerifyRecover),
    C_DigestEncryptUpdate: Some(absent::C_DigestEncryptUpdate),
    C_DecryptDigestUpdate: Some(absent::C_DecryptDigestUpdate),
    C_SignEncryptUpdate: Some(absent::C_SignEncryptUpdate),
    C_DecryptVerifyUpdate: Some(absent::C_DecryptVerifyUpdate),
    C_GenerateKey: Some(absent::C_GenerateKey),
    C_GenerateKeyPair: Some(objects::C_GenerateKeyPair),
    C_WrapKey: Some(absent::C_WrapKey),
    C_UnwrapKey: Some(objects::C_UnwrapKey),
    C_DeriveKey: Some(absent::C_DeriveKey),
    C_SeedRandom: Some(general::C_SeedRandom),
    C_GenerateRandom: Some(general::C_GenerateRandom),
    C_GetFunctionStatus: Some(general::C_GetFunctionStatus),
    C_CancelFunction: Some(general::C_CancelFunction),
    C_WaitForSlotEvent: Some(absent::C_WaitForSlotEvent),
};

/// The one exported symbol: the table of everything else.
///
/// # Safety
/// A non-NULL `ppFunctionList` is writable for one pointer. The list behind it lives as long as the library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(ppFunctionList: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    if ppFunctionList.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not NULL, writable by contract. Callers only read the list; the pointer is mutable by C's habit.
    unsafe { ppFunctionList.write_unaligned((&raw const LIST).cast_mut()) };
    CKR_OK
}
