//! Where a profile and its module do not fit: the profile's key to change, and a signature in another encoding than it says.

use cryptoki_sys as ck;
use yanqian_sm::Signature;

use crate::binding::{BindingError, code_name};
use crate::profile::{Profile, SignEncoding};

/// Names the profile's key that the module objects to.
pub(super) fn misfit(profile: &Profile, error: &BindingError) -> String {
    let sign = profile.sign.as_ref();
    let mechanism = sign.map_or(0, |sign| sign.mechanism);
    let (function, rv) = match error {
        BindingError::Pkcs11(error) => (error.function.as_ref(), error.rv),
        _ => ("", 0),
    };
    let field = match (function, rv) {
        ("C_SignInit", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
            format!("sign.mechanism = {mechanism:#x}")
        }
        ("C_SignInit", ck::CKR_KEY_TYPE_INCONSISTENT | ck::CKR_KEY_FUNCTION_NOT_PERMITTED) => {
            format!("sign.mechanism = {mechanism:#x}, which is not for this key,")
        }
        ("C_Sign", ck::CKR_DATA_LEN_RANGE | ck::CKR_DATA_INVALID) => {
            format!("sign.input = {:?}", sign.map_or("", |sign| sign.input.as_str()))
        }
        ("C_DecryptInit", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
            format!("unseal.mechanism = {:#x}", profile.unseal.as_ref().map_or(0, |unseal| unseal.mechanism))
        }
        ("C_Decrypt" | "C_DecryptInit", ck::CKR_KEY_TYPE_INCONSISTENT | ck::CKR_KEY_FUNCTION_NOT_PERMITTED) => {
            "unseal.mechanism, which is not for this key,".to_owned()
        }
        ("C_UnwrapKey", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
            format!("import.mechanism = {:#x}", profile.import.as_ref().map_or(0, |import| import.mechanism))
        }
        ("C_GenerateKeyPair", ck::CKR_MECHANISM_INVALID | ck::CKR_MECHANISM_PARAM_INVALID) => {
            format!("key.keygen_mechanism = {:#x}", profile.key.keygen_mechanism.unwrap_or_default())
        }
        ("C_GenerateKeyPair", ck::CKR_CURVE_NOT_SUPPORTED | ck::CKR_DOMAIN_PARAMS_INVALID) => {
            "key.ec_params".to_owned()
        }
        ("C_UnwrapKey", _) => "key.type, key.never_send or import.mechanism".to_owned(),
        ("C_GenerateKeyPair", _) => "key.type, key.ec_params or key.never_send".to_owned(),
        _ => "a field".to_owned(),
    };
    format!(
        "{field} of profile {:?} ({}) does not fit this module: {function}: {}",
        profile.name,
        profile.file().display(),
        code_name(rv)
    )
}

/// A signature in the profile's encoding, or what the module gave instead.
pub(super) fn decode(encoding: SignEncoding, octets: &[u8]) -> Result<Signature, String> {
    let read = match encoding {
        SignEncoding::Raw => octets.try_into().ok().and_then(|raw| Signature::from_raw(raw).ok()),
        SignEncoding::Der => Signature::from_der(octets).ok(),
        SignEncoding::DerLax => Signature::from_der_lax(octets).ok(),
    };
    read.ok_or_else(|| {
        let looks = match octets {
            [0x30, ..] if Signature::from_der(octets).is_ok() => "which is DER",
            [0x30, ..] if Signature::from_der_lax(octets).is_ok() => "which is DER with defects (der-lax)",
            _ if octets.len() == 64 => "which is the length of raw",
            _ => "of no known form",
        };
        format!(
            "the module gave {} octets {looks}, where the profile's sign.encoding is {:?}",
            octets.len(),
            encoding.as_str()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_read_as_itself_and_named_when_it_is_another() {
        let signature = Signature::from_raw(&[1; 64]).expect("in range");
        let (raw, der) = (signature.to_raw().to_vec(), signature.to_der());
        for (encoding, octets) in [(SignEncoding::Raw, &raw), (SignEncoding::Der, &der), (SignEncoding::DerLax, &der)] {
            assert_eq!(decode(encoding, octets), Ok(signature));
        }
        let error = decode(SignEncoding::Raw, &der).expect_err("DER is not raw");
        assert!(error.contains("which is DER") && error.contains("\"raw\""), "{error}");
        assert!(decode(SignEncoding::Der, &raw).expect_err("raw is not DER").contains("length of raw"));
        assert!(decode(SignEncoding::Raw, &[0; 64]).is_err(), "r and s are never zero");
        assert!(decode(SignEncoding::Raw, &[]).is_err());
    }
}
