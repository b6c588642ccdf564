//! Keys that are too weak to believe, by name. OpenSSL's security level (112 bits) judges signatures and digests besides.

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use yanqian_messages::{Certificate, oid};

/// Bits of an RSA modulus at least.
const RSA_BITS: usize = 2048;

/// What is wrong with a certificate's key: an RSA key below 2048 bits, a curve other than SM2, P-256 and P-384, or another kind of
/// key altogether. None when nothing is.
pub(crate) fn weakness(certificate: &Certificate) -> Option<String> {
    let Ok((_, spki)) = SubjectPublicKeyInfo::from_der(certificate.spki_der()) else {
        return Some("a key that cannot be read".to_owned());
    };
    let kind = &spki.algorithm.algorithm;
    if *kind == OID_PKCS1_RSAENCRYPTION {
        let bits = match spki.parsed() {
            Ok(PublicKey::RSA(key)) => key.key_size(),
            _ => 0,
        };
        return (bits < RSA_BITS).then(|| format!("an RSA key of {bits} bits, and {RSA_BITS} are the least"));
    }
    if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve: Option<Oid<'_>> = spki.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let taken = curve.as_ref().is_some_and(|curve| {
            *curve == OID_EC_P256 || *curve == OID_NIST_EC_P384 || curve.as_bytes() == oid::SM2_CURVE.as_bytes()
        });
        return (!taken).then(|| "a key on another curve than SM2, P-256 and P-384".to_owned());
    }
    Some("a key of another kind than SM2, ECDSA and RSA".to_owned())
}
