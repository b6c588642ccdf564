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
        let der = tlv::sequence(&[
            &tlv::unsigned_integer(&[0]),
            &subject.to_der(),
            &key.to_spki_der(),
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
        let signature = tlv::write(Tag::BitString, &[&[0], &signature.to_der()]);
        tlv::sequence(&[&self.der, &tlv::algorithm(&oid::SM2_WITH_SM3, &[]), &signature])
    }
}
