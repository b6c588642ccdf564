//! DER messages, read and written: GB/T 35275-2017 (the SM2 form of PKCS #7), GB/T 35276-2017 `SM2Cipher`, OCSP, certificates
//! as read and the pins that name them, and certification requests; JSON as received, and in the forms in which it is signed. Pure:
//! octets in, octets out.
//!
//! Reading is tolerant where real peers differ (object identifiers, NULL parameters, version numbers, and the rest of the
//! list in docs/platform-protocol.md) and strict where tolerance would let one message have two meanings: definite minimal
//! lengths, no trailing octets, exactly one value per attribute, exactly one signer, one recipient that is ours. Writing is
//! always canonical.
#![forbid(unsafe_code)]

mod attributes;
mod canonical;
mod certificate;
mod encodings;
mod enveloped;
mod enveloped_key;
mod enveloped_key_blob;
mod error;
mod json;
pub mod ocsp;
pub mod oid;
mod pem;
mod pins;
mod request;
mod signed;
mod signed_enveloped;
mod sm2cipher;
mod tlv;
mod verifier;

pub use attributes::SignedAttributes;
pub use canonical::CanonicalForm;
pub use certificate::{Certificate, KeyUsage};
pub use encodings::{CipherEncoding, Encodings, SignatureEncoding};
pub use enveloped::{EnvelopedData, Recipient, Sealer, seal, sealed_length};
pub use enveloped_key::Sm2EnvelopedKey;
pub use enveloped_key_blob::{BlobError, enveloped_key_from_blob, is_enveloped_key_blob};
pub use error::MessageError;
pub use json::Members;
pub use pem::{certificates_from_pem_or_der, pem_encode};
pub use pins::{PinError, PinRole, Pins};
pub use request::{CertificationRequestInfo, SignatureAlgorithm, Subject};
pub use signed::{SignedData, SignerInfo, VerifiedSignature, encode_attached, encode_detached};
pub use signed_enveloped::{SignedAndEnvelopedData, seal_signed};
pub use sm2cipher::{sm2_cipher_from_der, sm2_cipher_to_der};
pub use verifier::{PlainVerifier, SignatureVerifier};
