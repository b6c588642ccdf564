//! Signing, verification, decryption and digests.
//!
//! Arguments are checked here but judged inside, because a bad argument must end the active operation there.

use cryptoki_sys::{CK_BYTE_PTR, CK_MECHANISM_PTR, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG, CK_ULONG_PTR};

use super::entry;
use super::pointers::{deliver, mechanism, octets, room};
use crate::module::module;
use crate::rv::{Outcome, Room};

/// Data in and room for the answer.
///
/// # Safety
/// As `octets` and `room`.
unsafe fn data_and_room<'a>(
    data: CK_BYTE_PTR,
    length: CK_ULONG,
    buffer: CK_BYTE_PTR,
    count: CK_ULONG_PTR,
) -> Outcome<(&'a [u8], Room)> {
    // SAFETY: by the caller's contract.
    Ok(unsafe { (octets(data, length)?, room(buffer, count)?) })
}

pub(super) unsafe extern "C" fn C_SignInit(
    hSession: CK_SESSION_HANDLE,
    pMechanism: CK_MECHANISM_PTR,
    hKey: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.sign_init(hSession, &unsafe { mechanism(pMechanism)? }, hKey))
}

pub(super) unsafe extern "C" fn C_Sign(
    hSession: CK_SESSION_HANDLE,
    pData: CK_BYTE_PTR,
    ulDataLen: CK_ULONG,
    pSignature: CK_BYTE_PTR,
    pulSignatureLen: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        // SAFETY: by contract; the data is no longer in use when the answer is written, so the two may overlap.
        let reply =
            module()?.sign(hSession, unsafe { data_and_room(pData, ulDataLen, pSignature, pulSignatureLen) })?;
        // SAFETY: by contract.
        unsafe { deliver(reply, pSignature, pulSignatureLen) }
    })
}

pub(super) unsafe extern "C" fn C_SignUpdate(
    hSession: CK_SESSION_HANDLE,
    pPart: CK_BYTE_PTR,
    ulPartLen: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.sign_update(hSession, unsafe { octets(pPart, ulPartLen) }))
}

pub(super) unsafe extern "C" fn C_SignFinal(
    hSession: CK_SESSION_HANDLE,
    pSignature: CK_BYTE_PTR,
    pulSignatureLen: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        // SAFETY: by contract.
        let reply = module()?.sign_final(hSession, unsafe { room(pSignature, pulSignatureLen) })?;
        // SAFETY: by contract.
        unsafe { deliver(reply, pSignature, pulSignatureLen) }
    })
}

pub(super) unsafe extern "C" fn C_VerifyInit(
    hSession: CK_SESSION_HANDLE,
    pMechanism: CK_MECHANISM_PTR,
    hKey: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.verify_init(hSession, &unsafe { mechanism(pMechanism)? }, hKey))
}

pub(super) unsafe extern "C" fn C_Verify(
    hSession: CK_SESSION_HANDLE,
    pData: CK_BYTE_PTR,
    ulDataLen: CK_ULONG,
    pSignature: CK_BYTE_PTR,
    ulSignatureLen: CK_ULONG,
) -> CK_RV {
    entry(|| {
        // SAFETY: by contract.
        let data = unsafe { octets(pData, ulDataLen) };
        // SAFETY: by contract.
        let signature = unsafe { octets(pSignature, ulSignatureLen) };
        module()?.verify(hSession, data.and_then(|data| Ok((data, signature?))))
    })
}

pub(super) unsafe extern "C" fn C_VerifyUpdate(
    hSession: CK_SESSION_HANDLE,
    pPart: CK_BYTE_PTR,
    ulPartLen: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.verify_update(hSession, unsafe { octets(pPart, ulPartLen) }))
}

pub(super) unsafe extern "C" fn C_VerifyFinal(
    hSession: CK_SESSION_HANDLE,
    pSignature: CK_BYTE_PTR,
    ulSignatureLen: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.verify_final(hSession, unsafe { octets(pSignature, ulSignatureLen) }))
}

pub(super) unsafe extern "C" fn C_DecryptInit(
    hSession: CK_SESSION_HANDLE,
    pMechanism: CK_MECHANISM_PTR,
    hKey: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.decrypt_init(hSession, &unsafe { mechanism(pMechanism)? }, hKey))
}

pub(super) unsafe extern "C" fn C_Decrypt(
    hSession: CK_SESSION_HANDLE,
    pEncryptedData: CK_BYTE_PTR,
    ulEncryptedDataLen: CK_ULONG,
    pData: CK_BYTE_PTR,
    pulDataLen: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        // SAFETY: by contract; the ciphertext is no longer in use when the answer is written.
        let arguments = unsafe { data_and_room(pEncryptedData, ulEncryptedDataLen, pData, pulDataLen) };
        let reply = module()?.decrypt(hSession, arguments)?;
        // SAFETY: by contract.
        unsafe { deliver(reply, pData, pulDataLen) }
    })
}

pub(super) unsafe extern "C" fn C_DigestInit(hSession: CK_SESSION_HANDLE, pMechanism: CK_MECHANISM_PTR) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.digest_init(hSession, &unsafe { mechanism(pMechanism)? }))
}

pub(super) unsafe extern "C" fn C_Digest(
    hSession: CK_SESSION_HANDLE,
    pData: CK_BYTE_PTR,
    ulDataLen: CK_ULONG,
    pDigest: CK_BYTE_PTR,
    pulDigestLen: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        // SAFETY: by contract; the data is no longer in use when the answer is written.
        let reply = module()?.digest(hSession, unsafe { data_and_room(pData, ulDataLen, pDigest, pulDigestLen) })?;
        // SAFETY: by contract.
        unsafe { deliver(reply, pDigest, pulDigestLen) }
    })
}

pub(super) unsafe extern "C" fn C_DigestUpdate(
    hSession: CK_SESSION_HANDLE,
    pPart: CK_BYTE_PTR,
    ulPartLen: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.digest_update(hSession, unsafe { octets(pPart, ulPartLen) }))
}

pub(super) unsafe extern "C" fn C_DigestFinal(
    hSession: CK_SESSION_HANDLE,
    pDigest: CK_BYTE_PTR,
    pulDigestLen: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        // SAFETY: by contract.
        let reply = module()?.digest_final(hSession, unsafe { room(pDigest, pulDigestLen) })?;
        // SAFETY: by contract.
        unsafe { deliver(reply, pDigest, pulDigestLen) }
    })
}
