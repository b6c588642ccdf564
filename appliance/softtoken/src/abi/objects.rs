//! Object and key management functions.

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_PTR, CK_BYTE_PTR, CK_MECHANISM_PTR, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE_PTR, CK_RV,
    CK_SESSION_HANDLE, CK_ULONG, CK_ULONG_PTR, CK_UNAVAILABLE_INFORMATION, CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL,
};

use super::entry;
use super::pointers::{attributes, deliver_list, mechanism, octets, put, template};
use crate::module::module;
use crate::rv::{Outcome, Rv};

pub(super) unsafe extern "C" fn C_CreateObject(
    hSession: CK_SESSION_HANDLE,
    pTemplate: CK_ATTRIBUTE_PTR,
    ulCount: CK_ULONG,
    phObject: CK_OBJECT_HANDLE_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        writable(&[phObject])?;
        // SAFETY: by contract.
        let template = unsafe { template(pTemplate, ulCount)? };
        let handle = module.create(hSession, template)?;
        // SAFETY: by contract.
        unsafe { put(phObject, handle) }
    })
}

pub(super) unsafe extern "C" fn C_DestroyObject(hSession: CK_SESSION_HANDLE, hObject: CK_OBJECT_HANDLE) -> CK_RV {
    entry(|| module()?.destroy(hSession, hObject))
}

pub(super) unsafe extern "C" fn C_GetAttributeValue(
    hSession: CK_SESSION_HANDLE,
    hObject: CK_OBJECT_HANDLE,
    pTemplate: CK_ATTRIBUTE_PTR,
    ulCount: CK_ULONG,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        // SAFETY: by contract.
        let asked = unsafe { attributes(pTemplate, ulCount)? };
        let kinds: Vec<_> = asked.iter().map(|attribute| attribute.type_).collect();
        let answers = module.attributes(hSession, hObject, &kinds)?;
        // One bad attribute does not keep the others back (PKCS#11 v2.40 §5.7).
        let mut result = Ok(());
        for (index, (attribute, answer)) in asked.into_iter().zip(answers).enumerate() {
            // SAFETY: `attribute` is a copy of the element at `index`, whose buffer is writable by contract.
            let (length, outcome) = unsafe { fill(&attribute, answer) };
            // SAFETY: the element is within the array that was read above.
            unsafe { put(&raw mut (*pTemplate.add(index)).ulValueLen, length)? };
            result = result.and(outcome);
        }
        result
    })
}

/// Writes one value; gives the length to report, which is "unavailable" when it could not be written.
///
/// # Safety
/// A non-NULL `pValue` is writable for `ulValueLen` octets.
unsafe fn fill(attribute: &CK_ATTRIBUTE, answer: Outcome<zeroize::Zeroizing<Vec<u8>>>) -> (CK_ULONG, Outcome<()>) {
    let value = match answer {
        Ok(value) => value,
        Err(error) => return (CK_UNAVAILABLE_INFORMATION, Err(error)),
    };
    let length = value.len() as CK_ULONG;
    if attribute.pValue.is_null() {
        return (length, Ok(()));
    }
    if attribute.ulValueLen < length {
        return (CK_UNAVAILABLE_INFORMATION, Err(Rv(CKR_BUFFER_TOO_SMALL)));
    }
    // SAFETY: not NULL, and large enough by the check above.
    unsafe { attribute.pValue.cast::<u8>().copy_from_nonoverlapping(value.as_ptr(), value.len()) };
    (length, Ok(()))
}

pub(super) unsafe extern "C" fn C_SetAttributeValue(
    hSession: CK_SESSION_HANDLE,
    hObject: CK_OBJECT_HANDLE,
    pTemplate: CK_ATTRIBUTE_PTR,
    ulCount: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.set_attributes(hSession, hObject, &unsafe { template(pTemplate, ulCount)? }))
}

pub(super) unsafe extern "C" fn C_FindObjectsInit(
    hSession: CK_SESSION_HANDLE,
    pTemplate: CK_ATTRIBUTE_PTR,
    ulCount: CK_ULONG,
) -> CK_RV {
    // SAFETY: by contract.
    entry(|| module()?.find_init(hSession, &unsafe { template(pTemplate, ulCount)? }))
}

pub(super) unsafe extern "C" fn C_FindObjects(
    hSession: CK_SESSION_HANDLE,
    phObject: CK_OBJECT_HANDLE_PTR,
    ulMaxObjectCount: CK_ULONG,
    pulObjectCount: CK_ULONG_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        if pulObjectCount.is_null() || (phObject.is_null() && ulMaxObjectCount > 0) {
            return Err(Rv(CKR_ARGUMENTS_BAD));
        }
        let found = module.find(hSession, usize::try_from(ulMaxObjectCount).unwrap_or(usize::MAX))?;
        if found.is_empty() {
            // SAFETY: by contract.
            return unsafe { put(pulObjectCount, 0) };
        }
        // SAFETY: there is room for `ulMaxObjectCount` handles by contract, and no more were found.
        unsafe {
            put(pulObjectCount, ulMaxObjectCount)?;
            deliver_list(&found, phObject, pulObjectCount)
        }
    })
}

pub(super) unsafe extern "C" fn C_FindObjectsFinal(hSession: CK_SESSION_HANDLE) -> CK_RV {
    entry(|| module()?.find_final(hSession))
}

pub(super) unsafe extern "C" fn C_GenerateKeyPair(
    hSession: CK_SESSION_HANDLE,
    pMechanism: CK_MECHANISM_PTR,
    pPublicKeyTemplate: CK_ATTRIBUTE_PTR,
    ulPublicKeyAttributeCount: CK_ULONG,
    pPrivateKeyTemplate: CK_ATTRIBUTE_PTR,
    ulPrivateKeyAttributeCount: CK_ULONG,
    phPublicKey: CK_OBJECT_HANDLE_PTR,
    phPrivateKey: CK_OBJECT_HANDLE_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        writable(&[phPublicKey, phPrivateKey])?;
        // SAFETY: by contract.
        let (mechanism, public, private) = unsafe {
            (
                mechanism(pMechanism)?,
                template(pPublicKeyTemplate, ulPublicKeyAttributeCount)?,
                template(pPrivateKeyTemplate, ulPrivateKeyAttributeCount)?,
            )
        };
        let (public, private) = module.generate_key_pair(hSession, &mechanism, public, private)?;
        // SAFETY: by contract.
        unsafe {
            put(phPublicKey, public)?;
            put(phPrivateKey, private)
        }
    })
}

pub(super) unsafe extern "C" fn C_UnwrapKey(
    hSession: CK_SESSION_HANDLE,
    pMechanism: CK_MECHANISM_PTR,
    hUnwrappingKey: CK_OBJECT_HANDLE,
    pWrappedKey: CK_BYTE_PTR,
    ulWrappedKeyLen: CK_ULONG,
    pTemplate: CK_ATTRIBUTE_PTR,
    ulAttributeCount: CK_ULONG,
    phKey: CK_OBJECT_HANDLE_PTR,
) -> CK_RV {
    entry(|| {
        let module = module()?;
        writable(&[phKey])?;
        // SAFETY: by contract.
        let (mechanism, wrapped, template) = unsafe {
            (mechanism(pMechanism)?, octets(pWrappedKey, ulWrappedKeyLen)?, template(pTemplate, ulAttributeCount)?)
        };
        let handle = module.unwrap_key(hSession, &mechanism, hUnwrappingKey, wrapped, template)?;
        // SAFETY: by contract.
        unsafe { put(phKey, handle) }
    })
}

/// Nothing is made for a caller who left no place for its handle.
fn writable(places: &[CK_OBJECT_HANDLE_PTR]) -> Outcome<()> {
    if places.iter().any(|place| place.is_null()) { Err(Rv(CKR_ARGUMENTS_BAD)) } else { Ok(()) }
}
