//! An OCSP responder's answers (RFC 6960), honest or not: whatever a test puts in is signed. `CertID`s are OpenSSL's; the rest of the
//! encoding is written here, because the `openssl` crate reads responses and cannot make them.

use openssl::hash::MessageDigest;
use openssl::ocsp::{OcspCertId, OcspRequest};
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::Signer;
use openssl::x509::{X509, X509Ref};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::profile::{digest_for, is_sm2};
use crate::{DevPkiError, Layout, files};

/// What is said of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspStatus {
    Good,
    Revoked,
    Unknown,
}

/// One single response. Times are seconds since 1970.
#[derive(Debug, Clone)]
pub struct OcspSingle {
    /// DER `CertID`, see [`cert_id`].
    pub cert_id: Vec<u8>,
    pub status: OcspStatus,
    pub this_update: i64,
    pub next_update: Option<i64>,
}

/// Who answers, and how.
#[derive(Debug, Clone)]
pub struct OcspResponder {
    pub certificate: X509,
    pub key: PKey<Private>,
    /// Certificates that go with every answer.
    pub include: Vec<X509>,
    /// Names itself by its name; otherwise by the SHA-1 of its key.
    pub by_name: bool,
    /// Writes the signature's algorithm with NULL parameters where the standard leaves them out.
    pub null_parameters: bool,
    /// Signs over SHA-1; with an RSA key only.
    pub sha1: bool,
}

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=0x7f => out.extend(u8::try_from(short)),
        long => {
            let octets: Vec<u8> = long.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
            out.push(0x80 | u8::try_from(octets.len()).unwrap_or(0));
            out.extend(octets);
        }
    }
    out.extend(content);
    out
}

/// Tag, content, whole, and what is behind it.
type Element<'a> = (u8, &'a [u8], &'a [u8], &'a [u8]);

fn first(octets: &[u8]) -> Option<Element<'_>> {
    let (tag, length) = (*octets.first()?, *octets.get(1)?);
    let (start, length) = if length < 0x80 {
        (2, usize::from(length))
    } else {
        let count = usize::from(length & 0x7f);
        let digits = octets.get(2..2 + count).filter(|digits| digits.len() <= 4)?;
        (2 + count, digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)))
    };
    let end = start.checked_add(length)?;
    Some((tag, octets.get(start..end)?, octets.get(..end)?, octets.get(end..)?))
}

/// The one `CertID` of an unsigned request, and its nonce.
pub fn ocsp_asked(request: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let (_, request, _, _) = first(request)?;
    let (_, tbs, _, _) = first(request)?;
    let (_, list, _, rest) = first(tbs)?;
    let (_, single, _, _) = first(list)?;
    let (_, _, cert_id, _) = first(single)?;
    let nonce = first(rest).filter(|(tag, ..)| *tag == 0xa2).and_then(|(_, extensions, ..)| {
        let (_, list, _, _) = first(extensions)?;
        let (_, extension, _, _) = first(list)?;
        let (_, _, _, value) = first(extension)?;
        let (_, wrapped, _, _) = first(value)?;
        first(wrapped).map(|(_, nonce, ..)| nonce.to_vec())
    });
    Some((cert_id.to_vec(), nonce))
}

/// The serial number's INTEGER value octets in a DER `CertID`.
pub fn ocsp_serial(cert_id: &[u8]) -> Option<Vec<u8>> {
    let (_, mut rest, _, _) = first(cert_id)?;
    for _ in 0..3 {
        (_, _, _, rest) = first(rest)?;
    }
    first(rest).map(|(_, serial, ..)| serial.to_vec())
}

/// DER `CertID` of a certificate, by OpenSSL.
pub fn cert_id(hash: MessageDigest, subject: &X509Ref, issuer: &X509Ref) -> Result<Vec<u8>, DevPkiError> {
    let mut request = OcspRequest::new()?;
    request.add_id(OcspCertId::from_cert(hash, subject, issuer)?)?;
    Ok(ocsp_asked(&request.to_der()?).map(|(cert_id, _)| cert_id).unwrap_or_default())
}

/// The same of `platform/NAME`, which the issuing authority issued, by SM3.
pub fn platform_cert_id(layout: &Layout, name: &str) -> Result<Vec<u8>, DevPkiError> {
    let read = |name: &str| Ok::<_, DevPkiError>(X509::from_pem(&files::read(&layout.platform(name).certificate)?)?);
    cert_id(MessageDigest::sm3(), &*read(name)?, &*read("issuing")?)
}

fn generalized(seconds: i64) -> Vec<u8> {
    let format = format_description!("[year][month][day][hour][minute][second]Z");
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(format).ok());
    tlv(0x18, &[time.unwrap_or_default().as_bytes()])
}

fn single(single: &OcspSingle) -> Vec<u8> {
    let this_update = generalized(single.this_update);
    let status = match single.status {
        OcspStatus::Good => tlv(0x80, &[]),
        OcspStatus::Revoked => tlv(0xa1, &[&this_update]),
        OcspStatus::Unknown => tlv(0x82, &[]),
    };
    let next = single.next_update.map(|next| tlv(0xa0, &[&generalized(next)])).unwrap_or_default();
    tlv(SEQUENCE, &[&single.cert_id, &status, &this_update, &next])
}

impl OcspResponder {
    /// The issuer itself, by its name.
    pub fn of(certificate: &X509Ref, key: &PKey<Private>) -> Self {
        Self {
            certificate: certificate.to_owned(),
            key: key.clone(),
            include: Vec::new(),
            by_name: true,
            null_parameters: false,
            sha1: false,
        }
    }

    /// `platform/ocsp`, which answers for the issuing authority and sends its certificate along.
    pub fn of_platform(layout: &Layout) -> Result<Self, DevPkiError> {
        let pair = layout.platform("ocsp");
        let certificate = X509::from_pem(&files::read(&pair.certificate)?)?;
        let key = PKey::private_key_from_pem(&files::read(&pair.key)?)?;
        let include = vec![certificate.clone()];
        Ok(Self { certificate, key, include, by_name: true, null_parameters: false, sha1: false })
    }

    fn algorithm(&self) -> Vec<u8> {
        let (oid, null): (&[u8], bool) = if self.key.id() == Id::RSA {
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, if self.sha1 { 0x05 } else { 0x0b }], true)
        } else if is_sm2(&self.key) {
            (&[0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75], self.null_parameters)
        } else {
            (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], self.null_parameters)
        };
        tlv(SEQUENCE, &[&tlv(0x06, &[oid]), if null { &[5, 0] } else { &[] }])
    }

    fn id(&self) -> Result<Vec<u8>, DevPkiError> {
        if self.by_name {
            return Ok(tlv(0xa1, &[&self.certificate.subject_name().to_der()?]));
        }
        let spki = self.certificate.public_key()?.public_key_to_der()?;
        // The BIT STRING's octets, which come last, behind the algorithm and one octet of unused bits.
        let key = first(&spki).and_then(|(_, spki, ..)| first(spki)).and_then(|(.., rest)| first(rest));
        let key = key.and_then(|(_, bits, ..)| bits.get(1..)).unwrap_or_default();
        Ok(tlv(0xa2, &[&tlv(OCTET_STRING, &[&*openssl::hash::hash(MessageDigest::sha1(), key)?])]))
    }

    /// DER `OCSPResponse` that says this, produced at `now`; with the nonce where there is one.
    pub fn answer(&self, singles: &[OcspSingle], nonce: Option<&[u8]>, now: i64) -> Result<Vec<u8>, DevPkiError> {
        let singles: Vec<Vec<u8>> = singles.iter().map(single).collect();
        let extensions = nonce.map_or_else(Vec::new, |nonce| {
            let oid = tlv(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2]]);
            let extension = tlv(SEQUENCE, &[&oid, &tlv(OCTET_STRING, &[&tlv(OCTET_STRING, &[nonce])])]);
            tlv(0xa1, &[&tlv(SEQUENCE, &[&extension])])
        });
        let data = tlv(SEQUENCE, &[&self.id()?, &generalized(now), &tlv(SEQUENCE, &[&singles.concat()]), &extensions]);
        let digest = if self.sha1 { MessageDigest::sha1() } else { digest_for(&self.key) };
        let mut signer = Signer::new(digest, &self.key)?;
        let signature = signer.sign_oneshot_to_vec(&data)?;
        let held = self.include.iter().map(|certificate| certificate.to_der()).collect::<Result<Vec<_>, _>>()?;
        let held = if held.is_empty() { Vec::new() } else { tlv(0xa0, &[&tlv(SEQUENCE, &[&held.concat()])]) };
        let basic = tlv(SEQUENCE, &[&data, &self.algorithm(), &tlv(0x03, &[&[0], &signature]), &held]);
        let kind = tlv(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]]);
        let typed = tlv(SEQUENCE, &[&kind, &tlv(OCTET_STRING, &[&basic])]);
        Ok(tlv(SEQUENCE, &[&[0x0a, 1, 0], &tlv(0xa0, &[&typed])]))
    }
}

/// DER `OCSPResponse` without content: malformedRequest 1, internalError 2, tryLater 3, sigRequired 5, unauthorized 6.
pub fn ocsp_error(status: u8) -> Vec<u8> {
    tlv(SEQUENCE, &[&[0x0a, 1, status]])
}
