use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;

/// The linked OpenSSL cannot be relied on for SM2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    #[error("OpenSSL 4 is required, this is {0}")]
    Version(String),
    #[error("OpenSSL refuses a valid SM2 signature made with the default id")]
    DefaultIdRefused,
    #[error("OpenSSL accepts an SM2 signature made with an empty id")]
    EmptyIdAccepted,
    #[error("OpenSSL: {0}")]
    OpenSsl(String),
}

/// The signer of GB/T 32918.5-2017 Annex A.2, as `SubjectPublicKeyInfo`.
const KEY: &str = "3059301306072a8648ce3d020106082a811ccf5501822d0342000409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13";
const MESSAGE: &[u8] = b"message digest";
/// That annex's signature, with the default id.
const DEFAULT_ID: &str = "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa";
/// A signature by the same key over the same message with the empty id, made with OpenSSL 3.0, whose default that is.
const EMPTY_ID: &str = "3045022100f2a9d4911b55bfb639e738df67f6789214666539640d9a7b6173bde6be24d8730220385c29e3a8648a699c3622cdad9ac5ad8049f820c77216aecbbb1c9ac30e5f8f";

/// Proves that this OpenSSL verifies SM2 as the field does. OpenSSL 3 uses the empty id by default, so it refuses what is
/// good and accepts what nobody else accepts; a build against it must not start.
pub fn openssl_self_test() -> Result<(), SelfTestError> {
    let error = |error: openssl::error::ErrorStack| SelfTestError::OpenSsl(error.to_string());
    if openssl::version::number() < 0x4000_0000 {
        return Err(SelfTestError::Version(openssl::version::version().to_owned()));
    }
    let octets = |text: &str| hex::decode(text).map_err(|error| SelfTestError::OpenSsl(error.to_string()));
    let key = PKey::public_key_from_der(&octets(KEY)?).map_err(error)?;
    let verifies = |signature: &str| {
        let mut verifier = Verifier::new(MessageDigest::sm3(), &key).map_err(error)?;
        verifier.update(MESSAGE).map_err(error)?;
        // A signature of the wrong shape is an error for OpenSSL; here it is simply not valid.
        Ok(verifier.verify(&octets(signature)?).unwrap_or(false))
    };
    if !verifies(DEFAULT_ID)? {
        return Err(SelfTestError::DefaultIdRefused);
    }
    if verifies(EMPTY_ID)? {
        return Err(SelfTestError::EmptyIdAccepted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_openssl_passes() {
        assert_eq!(openssl_self_test(), Ok(()));
    }
}
