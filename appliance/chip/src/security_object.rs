//! EF.SOD (Doc 9303-10 §4.6.2): a CMS `SignedData` (RFC 5652 §5) over the digests of the data groups.

use der::Tag;
use der::asn1::ObjectIdentifier;
use yanqian_messages::Certificate;

use crate::elements::{Elements, context};
use crate::error::ChipError;
use crate::keys::Key;
use crate::signature::{Algorithm, Digest};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const LDS_SECURITY_OBJECT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.136.1.1.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// The file's own tag, application 23.
const FILE: Tag = Tag::Application { constructed: true, number: der::TagNumber(23) };
/// Certificates in it at most; there is one.
const MAX_CERTIFICATES: usize = 8;

/// What stands in the file. Nothing of it is believed yet.
pub(crate) struct SecurityObject<'a> {
    /// DER `LDSSecurityObject`.
    pub(crate) content: &'a [u8],
    certificates: Vec<Certificate>,
    signer: SignerId<'a>,
    digest_algorithm: ObjectIdentifier,
    /// `[0] IMPLICIT SET OF Attribute`, as it stands there.
    attributes: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

enum SignerId<'a> {
    /// DER `Name`, and the serial number's value octets.
    IssuerAndSerial(&'a [u8], &'a [u8]),
    SubjectKeyId(&'a [u8]),
}

impl<'a> SecurityObject<'a> {
    pub(crate) fn read(file: &'a [u8]) -> Option<Self> {
        let mut message = Elements::inside(file, FILE)?;
        let mut info = message.take_inside(Tag::Sequence)?;
        message.end()?;
        if info.oid()? != SIGNED_DATA {
            return None;
        }
        let mut explicit = info.take_inside(context(0))?;
        info.end()?;
        let mut data = explicit.take_inside(Tag::Sequence)?;
        explicit.end()?;

        data.small_integer()?;
        data.take(Tag::Set)?;
        let content = content(data.take(Tag::Sequence)?.value)?;
        let certificates = data.take_if(context(0))?.value;
        data.take_if(context(1));
        let mut infos = data.take_inside(Tag::Set)?;
        data.end()?;
        let mut info = infos.take_inside(Tag::Sequence)?;
        infos.end()?;

        info.small_integer()?;
        let key_id = info.take_if(Tag::ContextSpecific { constructed: false, number: der::TagNumber(0) });
        let signer = if let Some(key_id) = key_id {
            SignerId::SubjectKeyId(key_id.value)
        } else {
            let mut name = info.take_inside(Tag::Sequence)?;
            let named = (name.take(Tag::Sequence)?.whole, name.take(Tag::Integer)?.value);
            name.end()?;
            SignerId::IssuerAndSerial(named.0, named.1)
        };
        let (digest_algorithm, _) = info.algorithm()?;
        let attributes = info.take(context(0))?.whole;
        let algorithm = info.take(Tag::Sequence)?.whole;
        let signature = info.take(Tag::OctetString)?.value;
        info.take_if(context(1));
        info.end()?;
        let certificates = read_certificates(certificates)?;
        Some(Self { content, certificates, signer, digest_algorithm, attributes, algorithm, signature })
    }

    pub(crate) fn signer_certificate(&self) -> Option<Certificate> {
        let named = |certificate: &&Certificate| match self.signer {
            SignerId::IssuerAndSerial(issuer, serial) => {
                certificate.issuer_der() == issuer && certificate.serial() == serial
            }
            SignerId::SubjectKeyId(key_id) => certificate.subject_key_id() == Some(key_id),
        };
        self.certificates.iter().find(named).cloned()
    }

    /// Whether the signer's key signed the content, by way of the signed attributes, which Doc 9303 wants.
    pub(crate) fn verify(&self, signer: &Certificate) -> Result<(), ChipError> {
        let digest = Digest::of_oid(self.digest_algorithm).ok_or(ChipError::Algorithm)?;
        let algorithm = Algorithm::read(self.algorithm, Some(digest)).ok_or(ChipError::Algorithm)?;
        let key = Key::read(signer.spki_der()).ok_or(ChipError::Algorithm)?;
        let content = digest.of(self.content).ok_or(ChipError::Algorithm)?;
        let (kind, stated) = attributes(self.attributes).ok_or(ChipError::SecurityObject)?;
        // What is signed has the tag of a SET in the place of [0] (RFC 5652 §5.4).
        let set = [&[0x31], &self.attributes[1..]].concat();
        if kind == LDS_SECURITY_OBJECT && stated == content && algorithm.verify(&key, &set, self.signature) {
            Ok(())
        } else {
            Err(ChipError::Signature)
        }
    }
}

/// `EncapsulatedContentInfo` with an `LDSSecurityObject`.
fn content(octets: &[u8]) -> Option<&[u8]> {
    let mut info = Elements::read(octets)?;
    if info.oid()? != LDS_SECURITY_OBJECT {
        return None;
    }
    let mut explicit = info.take_inside(context(0))?;
    info.end()?;
    let content = explicit.take(Tag::OctetString)?.value;
    explicit.end()?;
    Some(content)
}

fn read_certificates(octets: &[u8]) -> Option<Vec<Certificate>> {
    let mut elements = Elements::read(octets)?;
    let mut certificates = Vec::new();
    while !elements.is_empty() {
        let certificate = elements.take(Tag::Sequence)?;
        certificates.push(Certificate::from_der(certificate.whole).ok()?);
        if certificates.len() > MAX_CERTIFICATES {
            return None;
        }
    }
    Some(certificates)
}

/// Content type and message digest, each there once with one value; others mean nothing here.
fn attributes(whole: &[u8]) -> Option<(ObjectIdentifier, &[u8])> {
    let mut all = Elements::inside(whole, context(0))?;
    let (mut kind, mut digest) = (None, None);
    while !all.is_empty() {
        let mut attribute = all.take_inside(Tag::Sequence)?;
        let name = attribute.oid()?;
        let mut values = attribute.take_inside(Tag::Set)?;
        attribute.end()?;
        let twice = match name {
            CONTENT_TYPE => kind.replace(values.oid()?).is_some(),
            MESSAGE_DIGEST => digest.replace(values.take(Tag::OctetString)?.value).is_some(),
            _ => continue,
        };
        values.end()?;
        if twice {
            return None;
        }
    }
    Some((kind?, digest?))
}

/// The digest algorithm of an `LDSSecurityObject`, none where it does not count, and the digests by number of data group. A number
/// stands there once.
#[allow(clippy::type_complexity)] // once, and destructured at once
pub(crate) fn hashes_of(content: &[u8]) -> Option<(Option<Digest>, Vec<(u8, &[u8])>)> {
    let mut object = Elements::inside(content, Tag::Sequence)?;
    let version = object.small_integer()?;
    let (algorithm, _) = object.algorithm()?;
    let mut groups = object.take_inside(Tag::Sequence)?;
    if version == 1 {
        object.take(Tag::Sequence)?;
    }
    object.end()?;
    let mut hashes: Vec<(u8, &[u8])> = Vec::new();
    while !groups.is_empty() {
        let mut group = groups.take_inside(Tag::Sequence)?;
        let number = group.small_integer()?;
        let hash = group.take(Tag::OctetString)?.value;
        group.end()?;
        if !(1..=16).contains(&number) || hashes.iter().any(|(known, _)| *known == number) {
            return None;
        }
        hashes.push((number, hash));
    }
    (version <= 1).then_some((Digest::of_oid(algorithm), hashes))
}
