//! Object identifiers, by the names of GB/T 33560-2017 and RFC 5280.

use der::asn1::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// GB/T 35275 content types.
pub const DATA: ObjectIdentifier = oid("1.2.156.10197.6.1.4.2.1");
pub const SIGNED_DATA: ObjectIdentifier = oid("1.2.156.10197.6.1.4.2.2");
pub const ENVELOPED_DATA: ObjectIdentifier = oid("1.2.156.10197.6.1.4.2.3");
pub const SIGNED_AND_ENVELOPED_DATA: ObjectIdentifier = oid("1.2.156.10197.6.1.4.2.4");
/// PKCS #7 content types, which some peers send with SM algorithms; read, never written.
pub const PKCS7_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
pub const PKCS7_SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
pub const PKCS7_ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.3");
pub const PKCS7_SIGNED_AND_ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.4");

pub const SM3: ObjectIdentifier = oid("1.2.156.10197.1.401");
/// SM3 without key, a longer name of the same that some peers send.
pub const SM3_UNKEYED: ObjectIdentifier = oid("1.2.156.10197.1.401.1");
pub const SM2_SIGN: ObjectIdentifier = oid("1.2.156.10197.1.301.1");
pub const SM2_WITH_SM3: ObjectIdentifier = oid("1.2.156.10197.1.501");
pub const SM2_ENCRYPT: ObjectIdentifier = oid("1.2.156.10197.1.301.3");
pub const SM2_CURVE: ObjectIdentifier = oid("1.2.156.10197.1.301");
/// Without a mode: CBC where an initial vector follows it, else ECB. Read, never written; so is ECB.
pub const SM4: ObjectIdentifier = oid("1.2.156.10197.1.104");
pub const SM4_ECB: ObjectIdentifier = oid("1.2.156.10197.1.104.1");
pub const SM4_CBC: ObjectIdentifier = oid("1.2.156.10197.1.104.2");
pub const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
pub const ECDSA_WITH_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
pub const RSA_WITH_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
pub const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
pub const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
pub const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");

/// With SHA-256, what OCSP may name certificates with beside SM3.
pub const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");

/// OCSP (RFC 6960).
pub const OCSP_BASIC: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.1");
pub const OCSP_NONCE: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.2");
pub const OCSP_NOCHECK: ObjectIdentifier = oid("1.3.6.1.5.5.7.48.1.5");

/// PKCS #9 attributes.
pub const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
pub const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
pub const SIGNING_TIME: ObjectIdentifier = oid("1.2.840.113549.1.9.5");

/// X.520 attribute types.
pub const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
pub const COUNTRY: ObjectIdentifier = oid("2.5.4.6");
pub const LOCALITY: ObjectIdentifier = oid("2.5.4.7");
pub const STATE: ObjectIdentifier = oid("2.5.4.8");
pub const ORGANIZATION: ObjectIdentifier = oid("2.5.4.10");
pub const ORGANIZATIONAL_UNIT: ObjectIdentifier = oid("2.5.4.11");
