//! The entries in which nothing but orders stands between the application and the module behind.

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_INFO, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG, CK_USER_TYPE,
    CK_UTF8CHAR,
};
use std::ffi::c_void;

use crate::function::Function;

type Handle = CK_OBJECT_HANDLE;

/// Functions without slot and session.
macro_rules! of_library {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        pub(super) unsafe extern "C" fn $name($($argument: $kind),*) -> CK_RV {
            super::forward(Function::$name, None, |list, _| {
                // SAFETY: the arguments are the application's own, as the standard wants them.
                list.$name.map(|call| unsafe { call($($argument),*) })
            })
        }
    )*};
}

/// Functions whose first argument is a session.
macro_rules! of_session {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        pub(super) unsafe extern "C" fn $name(session: CK_SESSION_HANDLE, $($argument: $kind),*) -> CK_RV {
            super::forward(Function::$name, Some(session), |list, _| {
                // SAFETY: the arguments are the application's own, as the standard wants them.
                list.$name.map(|call| unsafe { call(session, $($argument),*) })
            })
        }
    )*};
}

of_library! {
    C_Initialize(arguments: *mut c_void);
    C_GetInfo(info: *mut CK_INFO);
}

of_session! {
    C_InitPIN(pin: *mut CK_UTF8CHAR, length: CK_ULONG);
    C_SetPIN(old: *mut CK_UTF8CHAR, old_length: CK_ULONG, new: *mut CK_UTF8CHAR, new_length: CK_ULONG);
    C_GetOperationState(state: *mut CK_BYTE, length: *mut CK_ULONG);
    C_SetOperationState(state: *mut CK_BYTE, length: CK_ULONG, encryption: Handle, authentication: Handle);
    C_Login(user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, length: CK_ULONG);
    C_Logout();
    C_CreateObject(template: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut Handle);
    C_CopyObject(object: Handle, template: *mut CK_ATTRIBUTE, count: CK_ULONG, copy: *mut Handle);
    C_DestroyObject(object: Handle);
    C_GetObjectSize(object: Handle, size: *mut CK_ULONG);
    C_GetAttributeValue(object: Handle, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_SetAttributeValue(object: Handle, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_FindObjectsInit(template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    C_FindObjects(objects: *mut Handle, room: CK_ULONG, count: *mut CK_ULONG);
    C_FindObjectsFinal();
    C_EncryptInit(mechanism: *mut CK_MECHANISM, key: Handle);
    C_Encrypt(data: *mut CK_BYTE, length: CK_ULONG, sealed: *mut CK_BYTE, sealed_length: *mut CK_ULONG);
    C_EncryptUpdate(part: *mut CK_BYTE, length: CK_ULONG, sealed: *mut CK_BYTE, sealed_length: *mut CK_ULONG);
    C_EncryptFinal(sealed: *mut CK_BYTE, sealed_length: *mut CK_ULONG);
    C_DecryptInit(mechanism: *mut CK_MECHANISM, key: Handle);
    C_DecryptUpdate(sealed: *mut CK_BYTE, length: CK_ULONG, part: *mut CK_BYTE, part_length: *mut CK_ULONG);
    C_DecryptFinal(part: *mut CK_BYTE, part_length: *mut CK_ULONG);
    C_DigestInit(mechanism: *mut CK_MECHANISM);
    C_Digest(data: *mut CK_BYTE, length: CK_ULONG, digest: *mut CK_BYTE, digest_length: *mut CK_ULONG);
    C_DigestUpdate(part: *mut CK_BYTE, length: CK_ULONG);
    C_DigestKey(key: Handle);
    C_DigestFinal(digest: *mut CK_BYTE, digest_length: *mut CK_ULONG);
    C_SignUpdate(part: *mut CK_BYTE, length: CK_ULONG);
    C_SignRecoverInit(mechanism: *mut CK_MECHANISM, key: Handle);
    C_SignRecover(data: *mut CK_BYTE, length: CK_ULONG, signature: *mut CK_BYTE, signature_length: *mut CK_ULONG);
    C_VerifyInit(mechanism: *mut CK_MECHANISM, key: Handle);
    C_Verify(data: *mut CK_BYTE, length: CK_ULONG, signature: *mut CK_BYTE, signature_length: CK_ULONG);
    C_VerifyUpdate(part: *mut CK_BYTE, length: CK_ULONG);
    C_VerifyFinal(signature: *mut CK_BYTE, length: CK_ULONG);
    C_VerifyRecoverInit(mechanism: *mut CK_MECHANISM, key: Handle);
    C_VerifyRecover(signature: *mut CK_BYTE, length: CK_ULONG, data: *mut CK_BYTE, data_length: *mut CK_ULONG);
    C_DigestEncryptUpdate(part: *mut CK_BYTE, length: CK_ULONG, sealed: *mut CK_BYTE, sealed_length: *mut CK_ULONG);
    C_DecryptDigestUpdate(sealed: *mut CK_BYTE, length: CK_ULONG, part: *mut CK_BYTE, part_length: *mut CK_ULONG);
    C_SignEncryptUpdate(part: *mut CK_BYTE, length: CK_ULONG, sealed: *mut CK_BYTE, sealed_length: *mut CK_ULONG);
    C_DecryptVerifyUpdate(sealed: *mut CK_BYTE, length: CK_ULONG, part: *mut CK_BYTE, part_length: *mut CK_ULONG);
    C_GenerateKey(mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut Handle);
    C_GenerateKeyPair(
        mechanism: *mut CK_MECHANISM,
        public_template: *mut CK_ATTRIBUTE,
        public_count: CK_ULONG,
        private_template: *mut CK_ATTRIBUTE,
        private_count: CK_ULONG,
        public: *mut Handle,
        private: *mut Handle
    );
    C_WrapKey(
        mechanism: *mut CK_MECHANISM,
        wrapping: Handle,
        key: Handle,
        wrapped: *mut CK_BYTE,
        length: *mut CK_ULONG
    );
    C_UnwrapKey(
        mechanism: *mut CK_MECHANISM,
        unwrapping: Handle,
        wrapped: *mut CK_BYTE,
        length: CK_ULONG,
        template: *mut CK_ATTRIBUTE,
        count: CK_ULONG,
        key: *mut Handle
    );
    C_DeriveKey(
        mechanism: *mut CK_MECHANISM,
        base: Handle,
        template: *mut CK_ATTRIBUTE,
        count: CK_ULONG,
        key: *mut Handle
    );
    C_SeedRandom(seed: *mut CK_BYTE, length: CK_ULONG);
    C_GenerateRandom(octets: *mut CK_BYTE, count: CK_ULONG);
    C_GetFunctionStatus();
    C_CancelFunction();
}
