//! GB/T 35275 `SignedData`, detached or not (PKCS#7 1.5 with SM object identifiers): what the platform makes and what it demands.

use openssl::x509::X509;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::der::{self, DerError, Element, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET, UTC_TIME};
use crate::pki::{Identity, issuer_and_serial};
use crate::{SimError, oids, sm};

/// An algorithm with NULL parameters, as real messages carry it.
pub(crate) fn algorithm(oid: &[u8]) -> Vec<u8> {
    der::join(SEQUENCE, &[oid, &der::null()])
}

pub(crate) fn attribute(n: u32, value: &[u8]) -> Vec<u8> {
    der::join(SEQUENCE, &[&oids::pkcs9(n), &der::tlv(SET, value)])
}

pub(crate) fn utc_time(at: OffsetDateTime) -> Vec<u8> {
    let at = at.to_offset(UtcOffset::UTC);
    let text = format!(
        "{:02}{:02}{:02}{:02}{:02}{:02}Z",
        at.year().rem_euclid(100),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    der::tlv(UTC_TIME, text.as_bytes())
}

fn read_utc_time(text: &[u8]) -> Option<OffsetDateTime> {
    let [digits @ .., b'Z'] = text else { return None };
    if digits.len() != 12 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |i: usize| (digits[i] - b'0') * 10 + (digits[i + 1] - b'0');
    let year = i32::from(two(0)) + if two(0) >= 50 { 1900 } else { 2000 };
    let date = Date::from_calendar_date(year, Month::try_from(two(2)).ok()?, two(4)).ok()?;
    let time = Time::from_hms(two(6), two(8), two(10)).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc())
}

/// The authenticated attributes: contentType, messageDigest, signingTime.
pub(crate) fn attributes(content: &[u8], at: OffsetDateTime) -> Result<Vec<Vec<u8>>, SimError> {
    let mut all = vec![
        attribute(3, &oids::data()),
        attribute(4, &der::tlv(OCTET_STRING, &sm::sm3(content)?)),
        attribute(5, &utc_time(at)),
    ];
    all.sort();
    Ok(all)
}

/// Signs `content` and carries it, too, if `attached`. With `signing_time` there are authenticated attributes (contentType, messageDigest,
/// signingTime) and the signature is over them; without, it is over the content itself.
pub fn build(
    content: &[u8],
    attached: bool,
    signer: &Identity,
    signing_time: Option<OffsetDateTime>,
) -> Result<Vec<u8>, SimError> {
    let attributes = signing_time.map(|at| attributes(content, at)).transpose()?;
    let set = attributes.map(|attributes| der::tlv(SET, &attributes.concat()));
    let signature = sm::sign(&signer.key, set.as_deref().unwrap_or(content))?;
    let mut message = Message::new(issuer_and_serial(&signer.der)?, set.as_deref(), &signature);
    message.certificates = vec![signer.der.clone()];
    message.content = attached.then(|| content.to_vec());
    Ok(message.to_der())
}

/// A message before it is put together. Every part is DER; one that is not there is empty.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) content_type: Vec<u8>,
    pub(crate) version: Vec<u8>,
    pub(crate) digests: Vec<u8>,
    pub(crate) inner_type: Vec<u8>,
    /// The content's octets themselves.
    pub(crate) content: Option<Vec<u8>>,
    /// Whole certificates.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// What stands between certificates and signers.
    pub(crate) lists: Vec<u8>,
    pub(crate) signers: Vec<SignerInfo>,
}

/// The signer's part of a [`Message`].
#[derive(Debug, Clone)]
pub(crate) struct SignerInfo {
    pub(crate) version: Vec<u8>,
    pub(crate) names: Vec<u8>,
    pub(crate) digest: Vec<u8>,
    /// As carried, under \[0\].
    pub(crate) attributes: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    /// Octets of the signature itself.
    pub(crate) signature: Vec<u8>,
    /// What stands behind the signature.
    pub(crate) unsigned: Vec<u8>,
}

impl Message {
    /// By whom `names` (issuer and serial) says, without a certificate; `set`: the signed attributes as a SET OF.
    pub(crate) fn new(names: Vec<u8>, set: Option<&[u8]>, signature: &[u8]) -> Self {
        let signer = SignerInfo {
            version: der::small_integer(1),
            names,
            digest: algorithm(&oids::sm3()),
            // The signature is over the SET OF (tag 0x31); in the message the same octets stand under [0].
            attributes: set.map_or_else(Vec::new, |set| [&[der::context(0)], &set[1..]].concat()),
            algorithm: algorithm(&oids::sm2_signature()),
            signature: signature.to_vec(),
            unsigned: Vec::new(),
        };
        Self {
            content_type: oids::signed_data(),
            version: der::small_integer(1),
            digests: algorithm(&oids::sm3()),
            inner_type: oids::data(),
            content: None,
            certificates: Vec::new(),
            lists: Vec::new(),
            signers: vec![signer],
        }
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        let content = self.content.as_ref().map(|content| der::tlv(der::context(0), &der::tlv(OCTET_STRING, content)));
        let certificates = Some(self.certificates.concat()).filter(|all| !all.is_empty());
        let certificates = certificates.map(|all| der::tlv(der::context(0), &all));
        let signers: Vec<_> = self.signers.iter().map(SignerInfo::to_der).collect();
        let signed_data = der::join(
            SEQUENCE,
            &[
                &self.version,
                &der::tlv(SET, &self.digests),
                &der::join(SEQUENCE, &[&self.inner_type, &content.unwrap_or_default()]),
                &certificates.unwrap_or_default(),
                &self.lists,
                &der::tlv(SET, &signers.concat()),
            ],
        );
        der::join(SEQUENCE, &[&self.content_type, &der::tlv(der::context(0), &signed_data)])
    }
}

impl SignerInfo {
    fn to_der(&self) -> Vec<u8> {
        let signature = der::tlv(OCTET_STRING, &self.signature);
        let parts: [&[u8]; 7] =
            [&self.version, &self.names, &self.digest, &self.attributes, &self.algorithm, &signature, &self.unsigned];
        der::join(SEQUENCE, &parts)
    }
}

/// A signature as read, nothing of it checked yet.
#[derive(Debug)]
pub struct Read<'a> {
    /// What the message carries.
    pub content: Option<&'a [u8]>,
    certificates: Vec<&'a [u8]>,
    issuer_and_serial: &'a [u8],
    attributes: Option<Element<'a>>,
    signature: &'a [u8],
}

fn expect_algorithm(reader: &mut Reader<'_>, oid: &[u8], name: &'static str) -> Result<(), DerError> {
    let mut parts = reader.expect(SEQUENCE, name)?.reader();
    let identifier = parts.expect(OID, name)?;
    let parameters_fit = match parts.optional(5)? {
        Some(null) => null.content.is_empty(),
        None => true,
    };
    parts.end()?;
    if identifier.whole == oid && parameters_fit { Ok(()) } else { Err(DerError(name)) }
}

fn expect_version(reader: &mut Reader<'_>, name: &'static str) -> Result<(), DerError> {
    if reader.expect(INTEGER, name)?.content == [1] { Ok(()) } else { Err(DerError(name)) }
}

/// The content of a `SignedData` that carries one.
pub fn content(input: &[u8]) -> Result<&[u8], DerError> {
    read(input)?.content.ok_or(DerError("SignedData carries no content"))
}

/// Reads a `SignedData` with one signer.
pub fn read(input: &[u8]) -> Result<Read<'_>, DerError> {
    let mut outer = der::single(input, SEQUENCE, "ContentInfo")?.reader();
    if outer.expect(OID, "contentType")?.whole != oids::signed_data() {
        return Err(DerError("contentType is not signedData"));
    }
    let explicit = outer.expect(der::context(0), "content")?;
    outer.end()?;
    let mut signed = der::single(explicit.content, SEQUENCE, "SignedData")?.reader();
    expect_version(&mut signed, "SignedData version")?;
    let mut digests = signed.expect(SET, "digestAlgorithms")?.reader();
    expect_algorithm(&mut digests, &oids::sm3(), "digestAlgorithm")?;
    digests.end()?;
    let mut info = signed.expect(SEQUENCE, "contentInfo")?.reader();
    if info.expect(OID, "content type")?.whole != oids::data() {
        return Err(DerError("signed content is not data"));
    }
    let content = match info.optional(der::context(0))? {
        Some(inside) => Some(der::single(inside.content, OCTET_STRING, "content")?.content),
        None => None,
    };
    info.end()?;
    let mut list = signed.expect(der::context(0), "certificates")?.reader();
    let mut certificates = Vec::new();
    while !list.is_empty() {
        certificates.push(list.expect(SEQUENCE, "certificate")?.whole);
    }
    signed.optional(der::context(1))?;
    let mut signers = signed.expect(SET, "signerInfos")?.reader();
    signed.end()?;
    let mut info = signers.expect(SEQUENCE, "SignerInfo")?.reader();
    signers.end().map_err(|_| DerError("more than one signer"))?;
    expect_version(&mut info, "SignerInfo version")?;
    let issuer_and_serial = info.expect(SEQUENCE, "issuerAndSerialNumber")?.whole;
    expect_algorithm(&mut info, &oids::sm3(), "signer's digestAlgorithm")?;
    let attributes = info.optional(der::context(0))?;
    expect_algorithm(&mut info, &oids::sm2_signature(), "digestEncryptionAlgorithm")?;
    let signature = info.expect(OCTET_STRING, "encryptedDigest")?.content;
    info.optional(der::context(1))?;
    info.end()?;
    Ok(Read { content, certificates, issuer_and_serial, attributes, signature })
}

/// What the attributes say.
struct Attributes<'a> {
    digest: &'a [u8],
    signing_time: OffsetDateTime,
}

fn read_attributes<'a>(element: &Element<'a>) -> Result<Attributes<'a>, &'static str> {
    let mut reader = element.reader();
    let mut previous: &[u8] = &[];
    let (mut content_type, mut digest, mut signing_time) = (None, None, None);
    while !reader.is_empty() {
        let attribute = reader.expect(SEQUENCE, "attribute").map_err(|e| e.0)?;
        if attribute.whole <= previous {
            return Err("attributes are not in DER order");
        }
        previous = attribute.whole;
        let mut parts = attribute.reader();
        let kind = parts.expect(OID, "attribute type").map_err(|e| e.0)?.whole;
        let mut values = parts.expect(SET, "attribute values").map_err(|e| e.0)?.reader();
        let value = values.any().map_err(|e| e.0)?;
        values.end().and_then(|()| parts.end()).map_err(|_| "attribute with more than one value")?;
        let slot = [(3, &mut content_type), (4, &mut digest), (5, &mut signing_time)]
            .into_iter()
            .find(|(n, _)| oids::pkcs9(*n) == kind);
        if let Some((_, slot)) = slot
            && slot.replace(value).is_some()
        {
            return Err("attribute twice");
        }
    }
    if content_type.ok_or("contentType attribute missing")?.whole != oids::data() {
        return Err("contentType attribute is not data");
    }
    let digest = digest.filter(|value| value.tag == OCTET_STRING).ok_or("messageDigest attribute missing")?.content;
    let signing_time = signing_time
        .filter(|value| value.tag == UTC_TIME)
        .and_then(|value| read_utc_time(value.content))
        .ok_or("signingTime attribute missing")?;
    Ok(Attributes { digest, signing_time })
}

impl Read<'_> {
    /// The embedded certificate that the signer info names.
    pub fn signer(&self) -> Result<X509, &'static str> {
        let der = self
            .certificates
            .iter()
            .find(|der| issuer_and_serial(der).is_ok_and(|found| found == self.issuer_and_serial))
            .ok_or("the signer's certificate is not embedded")?;
        X509::from_der(der).map_err(|_| "the signer's certificate does not parse")
    }

    /// Checks the signature by `signer` over `content` and gives the signing time, if attributes carry one.
    ///
    /// `attributes`: whether the wire form signs over authenticated attributes; the other kind is refused.
    pub fn verify(
        &self,
        signer: &X509,
        content: &[u8],
        attributes: bool,
    ) -> Result<Option<OffsetDateTime>, &'static str> {
        let key = signer.public_key().map_err(|_| "the signer's key does not parse")?;
        match (&self.attributes, attributes) {
            (None, false) => {
                if sm::verify(&key, content, self.signature) {
                    Ok(None)
                } else {
                    Err("signature does not verify")
                }
            }
            (Some(element), true) => {
                let set_of = [&[SET], &element.whole[1..]].concat();
                if !sm::verify(&key, &set_of, self.signature) {
                    return Err("signature does not verify");
                }
                let read = read_attributes(element)?;
                if sm::sm3(content).map_err(|_| "no digest")? != read.digest {
                    return Err("messageDigest is not the digest of the signed octets");
                }
                Ok(Some(read.signing_time))
            }
            (None, true) => Err("authenticated attributes missing"),
            (Some(_), false) => Err("authenticated attributes where the form has none"),
        }
    }
}
