//! Decryption and unwrapping with an SM2 private key.

use cryptoki_sys::{
    CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CKA_CLASS, CKA_DECRYPT, CKA_UNWRAP, CKO_PRIVATE_KEY, CKO_SECRET_KEY,
    CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_GENERAL_ERROR, CKR_KEY_FUNCTION_NOT_PERMITTED,
    CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT, CKR_OPERATION_NOT_INITIALIZED, CKR_TEMPLATE_INCOMPLETE,
    CKR_TEMPLATE_INCONSISTENT, CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
    CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE,
};

use crate::attribute::Template;
use crate::dialect::Asked;
use crate::encoding::cipher_der;
use crate::envelope;
use crate::key::plaintext_length;
use crate::making::{self, Origin};
use crate::module::Module;
use crate::objects::admissible;
use crate::rv::{Outcome, Reply, Room, Rv};

/// Longest ciphertext taken. SM2 encryption is for keys and short data.
const MAX_CIPHERTEXT: usize = 64 * 1024;
/// Longest secret key unwrapped, in bytes.
const MAX_SECRET: usize = 512;

impl Module {
    /// `C_DecryptInit`.
    pub(crate) fn decrypt_init(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Asked,
        handle: CK_OBJECT_HANDLE,
    ) -> Outcome<()> {
        self.dialect.must_be_cipher(mechanism)?;
        let state = self.read()?;
        state.session(session)?.start(|operations| &mut operations.decrypt, || state.private_key(handle, CKA_DECRYPT))
    }

    /// `C_Decrypt`. A length query looks only at the ciphertext's form.
    pub(crate) fn decrypt(&self, session: CK_SESSION_HANDLE, arguments: Outcome<(&[u8], Room)>) -> Outcome<Reply> {
        self.within(session, |operations| {
            let key = operations.decrypt.take().ok_or(Rv(CKR_OPERATION_NOT_INITIALIZED))?;
            let (ciphertext, room) = arguments?;
            if ciphertext.len() > MAX_CIPHERTEXT {
                return Err(Rv(CKR_ENCRYPTED_DATA_LEN_RANGE));
            }
            let cipher = self.dialect.cipher.ok_or(Rv(CKR_GENERAL_ERROR))?;
            let ciphertext = cipher_der(cipher.form, ciphertext).ok_or(Rv(CKR_ENCRYPTED_DATA_INVALID))?;
            let length = plaintext_length(&ciphertext)?;
            if !room.holds(length) {
                operations.decrypt = Some(key);
                return Ok(Reply::Length(length));
            }
            Ok(Reply::Octets(key.decrypt(&ciphertext)?))
        })
    }

    /// `C_UnwrapKey`. A secret key comes as a DER `SM2Cipher`, an SM2 private key as a DER `SM2EnvelopedKey`
    /// (GM/T 0009 §7.4), the form in which Chinese CAs deliver encryption keys.
    pub(crate) fn unwrap_key(
        &self,
        session: CK_SESSION_HANDLE,
        mechanism: &Asked,
        handle: CK_OBJECT_HANDLE,
        wrapped: &[u8],
        mut template: Template,
    ) -> Outcome<CK_OBJECT_HANDLE> {
        let key = {
            let state = self.read()?;
            admissible(&state, session, &template, true)?;
            self.dialect.must_be_unwrap(mechanism)?;
            state.private_key(handle, CKA_UNWRAP).map_err(|error| match error.0 {
                CKR_KEY_HANDLE_INVALID => Rv(CKR_UNWRAPPING_KEY_HANDLE_INVALID),
                CKR_KEY_TYPE_INCONSISTENT => Rv(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
                _ => Rv(CKR_KEY_FUNCTION_NOT_PERMITTED),
            })?
        };
        if wrapped.len() > MAX_CIPHERTEXT {
            return Err(Rv(CKR_WRAPPED_KEY_LEN_RANGE));
        }
        let object = match template.take_ulong(CKA_CLASS)?.ok_or(Rv(CKR_TEMPLATE_INCOMPLETE))? {
            CKO_SECRET_KEY => {
                let value = key.decrypt(wrapped).map_err(|_| Rv(CKR_WRAPPED_KEY_INVALID))?;
                if value.is_empty() || value.len() > MAX_SECRET {
                    return Err(Rv(CKR_WRAPPED_KEY_LEN_RANGE));
                }
                making::secret_key(template, value)?
            }
            CKO_PRIVATE_KEY => {
                let opened = envelope::open(&key, wrapped).ok_or(Rv(CKR_WRAPPED_KEY_INVALID))?;
                making::private_key(&self.dialect, template, opened, Origin::Imported)?
            }
            _ => return Err(Rv(CKR_TEMPLATE_INCONSISTENT)),
        };
        self.add(session, vec![object])?.pop().ok_or(Rv(CKR_GENERAL_ERROR))
    }
}
