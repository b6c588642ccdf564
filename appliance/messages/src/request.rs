use der::Tag;
use der::asn1::ObjectIdentifier;
use yanqian_sm::{PublicKey, Signature};

use crate::error::MessageError;
use crate::oid;
use crate::tlv::{self, context};

/// A subject name: attributes in the order in which they are written into the certification request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Vec<(ObjectIdentifier, String)>);

/// Attributes that a subject may have; a name of an organisation needs no more.
const KEYWORDS: &[(&str, ObjectIdentifier, usize)] = &[
    ("CN", oid::COMMON_NAME, 64),
    ("C", oid::COUNTRY, 2),
    ("L", oid::LOCALITY, 128),
    ("ST", oid::STATE, 128),
    ("O", oid::ORGANIZATION, 64),
    ("OU", oid::ORGANIZATIONAL_UNIT, 64),
];

impl Subject {
    /// Reads `KEY=value` pairs separated by commas, such as `C=CN, O=Example Bank, CN=Example Bank signing`. Keys: CN, C,
    /// L, ST, O, OU. A backslash takes the next character as it stands.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let attributes: Vec<_> =
            split_unescaped(text)?.iter().map(|part| parse_attribute(part)).collect::<Result<_, _>>()?;
        if attributes.is_empty() {
            return Err(MessageError::Subject("no attribute"));
        }
        Ok(Self(attributes))
    }

    /// DER `Name`. Country is a `PrintableString`, the others `UTF8String` (GB/T 20518-2018 §5.2.3.4).
    pub fn to_der(&self) -> Vec<u8> {
        let names: Vec<Vec<u8>> = self
            .0
            .iter()
            .map(|(kind, value)| {
                let tag = if *kind == oid::COUNTRY { Tag::PrintableString } else { Tag::Utf8String };
                let attribute = tlv::sequence(&[&tlv::oid(kind), &tlv::write(tag, &[value.as_bytes()])]);
                tlv::write(Tag::Set, &[&attribute])
            })
            .collect();
        tlv::sequence(&names.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

fn split_unescaped(text: &str) -> Result<Vec<String>, MessageError> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = parts.len() - 1;
        match character {
            ',' => parts.push(String::new()),
            '\\' => parts[last].push(characters.next().ok_or(MessageError::Subject("ends in a backslash"))?),
            other => parts[last].push(other),
        }
    }
    Ok(parts)
}

fn parse_attribute(part: &str) -> Result<(ObjectIdentifier, String), MessageError> {
    let (key, value) = part.split_once('=').ok_or(MessageError::Subject("expected KEY=value"))?;
    let (key, value) = (key.trim(), value.trim());
    let (_, kind, longest) = KEYWORDS
        .iter()
        .find(|(keyword, ..)| keyword.eq_ignore_ascii_case(key))
        .ok_or(MessageError::Subject("unknown key; use CN, C, L, ST, O, OU"))?;
    let length = value.chars().count();
    if length == 0 || length > *longest || value.chars().any(char::is_control) {
        return Err(MessageError::Subject("a value is empty, too long, or holds control characters"));
    }
    if *kind == oid::COUNTRY && !(length == 2 && value.bytes().all(|c| c.is_ascii_uppercase())) {
        return Err(MessageError::Subject("C is two upper-case letters"));
    }
    Ok((*kind, value.to_owned()))
}

/// PKCS #10 `CertificationRequestInfo` (RFC 2986 §4.1) with an SM2 key and no attributes.
#[derive(Debug, Clone)]
pub struct CertificationRequestInfo {
    der: Vec<u8>,
}

impl CertificationRequestInfo {
    pub fn new(subject: &Subject, key: &PublicKey) -> Self {
        Self::with_spki(subject, &key.to_spki_der())
    }

    /// As [`Self::new`], for a key of any algorithm: DER `SubjectPublicKeyInfo`.
    pub fn with_spki(subject: &Subject, spki: &[u8]) -> Self {
        let der = tlv::sequence(&[
            &tlv::unsigned_integer(&[0]),
            &subject.to_der(),
            spki,
            &tlv::write(context(der::TagNumber(0), true), &[]),
        ]);
        Self { der }
    }

    /// The octets to sign, with Z of the key and the default distinguishing id.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.der
    }

    /// DER `CertificationRequest`, signed with SM2-with-SM3.
    pub fn finish(self, signature: &Signature) -> Vec<u8> {
        self.signed(&tlv::algorithm(&oid::SM2_WITH_SM3, &[]), &signature.to_der())
    }

    /// DER `CertificationRequest`, signed by another algorithm; the signature is in that algorithm's form.
    pub fn finish_with(self, algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
        self.signed(&algorithm.to_der(), signature)
    }

    fn signed(self, algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
        tlv::sequence(&[&self.der, algorithm, &tlv::write(Tag::BitString, &[&[0], signature])])
    }
}

/// Signature algorithms of requests beside SM2-with-SM3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RFC 5758 §3.2.
    EcdsaWithSha256,
    /// RFC 4055 §5.
    RsaWithSha256,
    /// RSASSA-PSS with SHA-256, MGF1 over SHA-256 and a salt of 32 octets (RFC 4055 §3.1).
    RsaPssWithSha256,
}

impl SignatureAlgorithm {
    fn to_der(self) -> Vec<u8> {
        let null = tlv::write(Tag::Null, &[]);
        match self {
            Self::EcdsaWithSha256 => tlv::algorithm(&oid::ECDSA_WITH_SHA256, &[]),
            Self::RsaWithSha256 => tlv::algorithm(&oid::RSA_WITH_SHA256, &null),
            Self::RsaPssWithSha256 => {
                let hash = tlv::algorithm(&oid::SHA256, &null);
                let mask = tlv::algorithm(&oid::MGF1, &hash);
                let explicit = |number, value: &[u8]| tlv::write(context(der::TagNumber(number), true), &[value]);
                let salt = tlv::unsigned_integer(&[32]);
                let parameters = tlv::sequence(&[&explicit(0, &hash), &explicit(1, &mask), &explicit(2, &salt)]);
                tlv::algorithm(&oid::RSA_PSS, &parameters)
            }
        }
    }
}
