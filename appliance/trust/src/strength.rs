//! Keys and signatures that are too weak to believe, by name. In a chain OpenSSL's security level (112 bits) judges signatures and
//! digests besides; of lists and responses it asks no level, so their algorithms are judged here.

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384,
    OID_NIST_HASH_SHA512, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};
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

/// Signatures that count on a list or response, beside SM2 with SM3 and RSASSA-PSS.
const STRONG: [Oid<'static>; 6] = [
    OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512,
    OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA,
];
/// Digests that count in RSASSA-PSS.
const STRONG_DIGESTS: [Oid<'static>; 3] = [OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512];

/// What is wrong with the algorithm that a list or response is signed by: none of SM2 with SM3, and ECDSA and RSA with SHA-256, SHA-384
/// and SHA-512. None when nothing is.
pub(crate) fn weak_signature(algorithm: &AlgorithmIdentifier<'_>) -> Option<String> {
    let name = &algorithm.algorithm;
    let strong = name.as_bytes() == oid::SM2_WITH_SM3.as_bytes()
        || STRONG.contains(name)
        || matches!(SignatureAlgorithm::try_from(algorithm), Ok(SignatureAlgorithm::RSASSA_PSS(parameters))
            if STRONG_DIGESTS.contains(parameters.hash_algorithm_oid()));
    (!strong).then(|| format!("is signed by an algorithm that is too weak or not known ({name})"))
}
