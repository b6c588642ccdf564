use std::fmt;

use der::Tag;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};
use yanqian_sm::{PublicKey, sm3};

use crate::error::MessageError;
use crate::tlv::{Elements, context};

/// Octets of one certificate at most.
const MAX_CERTIFICATE: usize = 64 * 1024;

/// The key usage bits that decide what an SM2 certificate may do (RFC 5280 §4.2.1.3, GB/T 20518-2018 dual certificates).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// The bits of one extension, not a state machine.
#[allow(clippy::struct_excessive_bools)]
pub struct KeyUsage {
    pub digital_signature: bool,
    pub non_repudiation: bool,
    pub key_encipherment: bool,
    pub data_encipherment: bool,
    pub key_agreement: bool,
    pub key_cert_sign: bool,
    pub crl_sign: bool,
}

impl KeyUsage {
    /// Whether signing is what the certificate is for, and receiving is not (GB/T 20518-2018: one certificate for each).
    pub const fn only_signs(self) -> bool {
        (self.digital_signature || self.non_repudiation) && !self.receives()
    }

    /// Whether receiving is what the certificate is for, and signing is not.
    pub const fn only_receives(self) -> bool {
        self.receives() && !self.digital_signature && !self.non_repudiation
    }

    const fn receives(self) -> bool {
        self.key_encipherment || self.data_encipherment || self.key_agreement
    }
}

/// A certificate as read. Reading proves nothing: chains and revocation are the trust room's.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    subject_text: String,
    issuer_text: String,
    serial: Vec<u8>,
    spki: Vec<u8>,
    key: Option<PublicKey>,
    not_before: i64,
    not_after: i64,
    key_usage: Option<KeyUsage>,
    subject_key_id: Option<Vec<u8>>,
    is_ca: bool,
    ocsp_signing: bool,
    ocsp_nocheck: bool,
}

/// Whether the signature's algorithm is the same, octet by octet, outside what is signed and inside it (RFC 5280 §4.1.1.2): the one
/// outside is covered by no signature.
fn names_one_algorithm(der: &[u8]) -> Result<bool, MessageError> {
    let mut certificate = Elements::new(der, "Certificate")?.sequence()?;
    let mut tbs = certificate.sequence()?;
    let outside = certificate.expect(Tag::Sequence)?.whole;
    tbs.optional(context(der::TagNumber(0), true))?;
    tbs.expect(Tag::Integer)?;
    Ok(tbs.expect(Tag::Sequence)?.whole == outside)
}

impl Certificate {
    /// Reads one DER certificate with nothing after it.
    pub fn from_der(der: &[u8]) -> Result<Self, MessageError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(MessageError::TooLarge(MAX_CERTIFICATE));
        }
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| MessageError::Certificate("not X.509 DER"))?;
        if !rest.is_empty() {
            return Err(MessageError::Certificate("octets after the certificate"));
        }
        if !names_one_algorithm(der)? {
            return Err(MessageError::Certificate("two signature algorithms"));
        }
        // Readers differ in what they do with the rest of the last octet.
        if parsed.signature_value.unused_bits != 0 {
            return Err(MessageError::Certificate("a signature that is not whole octets"));
        }
        let key_usage = parsed
            .key_usage()
            .map_err(|_| MessageError::Certificate("key usage"))?
            .map(|extension| extension.value)
            .map(|usage| KeyUsage {
                digital_signature: usage.digital_signature(),
                non_repudiation: usage.non_repudiation(),
                key_encipherment: usage.key_encipherment(),
                data_encipherment: usage.data_encipherment(),
                key_agreement: usage.key_agreement(),
                key_cert_sign: usage.key_cert_sign(),
                crl_sign: usage.crl_sign(),
            });
        let subject_key_id = parsed.get_extension_unique(&OID_X509_EXT_SUBJECT_KEY_IDENTIFIER);
        let subject_key_id =
            subject_key_id.map_err(|_| MessageError::Certificate("subject key identifier"))?.and_then(|extension| {
                match extension.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                    _ => None,
                }
            });
        let is_ca = parsed
            .basic_constraints()
            .map_err(|_| MessageError::Certificate("basic constraints"))?
            .is_some_and(|extension| extension.value.ca);
        let ocsp_signing =
            parsed.extended_key_usage().ok().flatten().is_some_and(|extension| extension.value.ocsp_signing);
        let nocheck = |oid: &[u8]| oid == crate::oid::OCSP_NOCHECK.as_bytes();
        let ocsp_nocheck = parsed.extensions().iter().any(|extension| nocheck(extension.oid.as_bytes()));
        let spki = parsed.public_key().raw.to_vec();
        Ok(Self {
            issuer: parsed.issuer().as_raw().to_vec(),
            subject: parsed.subject().as_raw().to_vec(),
            subject_text: parsed.subject().to_string(),
            issuer_text: parsed.issuer().to_string(),
            serial: parsed.raw_serial().to_vec(),
            key: PublicKey::from_spki_der(&spki).ok(),
            spki,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            key_usage,
            subject_key_id,
            is_ca,
            ocsp_signing,
            ocsp_nocheck,
            der: der.to_vec(),
        })
    }

    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// SM3 of the DER certificate.
    pub fn hash(&self) -> [u8; 32] {
        sm3(&[&self.der])
    }

    /// SM3 of the DER `SubjectPublicKeyInfo`.
    pub fn key_id(&self) -> [u8; 32] {
        sm3(&[&self.spki])
    }

    /// The SM2 key, or none when the certificate holds a key of another kind.
    pub const fn public_key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }

    /// DER `Name`.
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer
    }

    /// DER `Name`.
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    /// The subject in one line, for people.
    pub fn subject(&self) -> &str {
        &self.subject_text
    }

    /// The issuer in one line, for people.
    pub fn issuer(&self) -> &str {
        &self.issuer_text
    }

    /// The serial number's INTEGER value octets; compare as octets, never as a number.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// DER `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Seconds since 1970.
    pub const fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Seconds since 1970.
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Absent when the certificate has no key usage extension.
    pub const fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// The key identifier extension's octets, where the certificate has one (RFC 5280 §4.2.1.2).
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    pub const fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// Whether its issuer lets it answer for it (id-kp-OCSPSigning, RFC 6960 §4.2.2.2).
    pub const fn may_sign_ocsp(&self) -> bool {
        self.ocsp_signing
    }

    /// Whether its issuer vouches for it while it is valid (id-pkix-ocsp-nocheck, RFC 6960 §4.2.2.2.1).
    pub const fn is_ocsp_nocheck(&self) -> bool {
        self.ocsp_nocheck
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.subject_text)
    }
}
