use der::asn1::{GeneralizedTime, ObjectIdentifier};
use der::{Decode, Tag, TagNumber};
use yanqian_sm::{DistinguishingId, E, Signature};

use super::OcspError;
use super::id::{CertId, key_hash};
use crate::certificate::Certificate;
use crate::error::MessageError;
use crate::oid;
use crate::tlv::{Element, Elements, context};
use crate::verifier::SignatureVerifier;

/// Octets of one response at most: a few certificates' worth.
const MAX_RESPONSE: usize = 64 * 1024;
/// Certificates and single responses that are read at most.
const MAX_ITEMS: usize = 16;

/// What a responder says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    Good,
    Revoked,
    /// It does not know the certificate.
    Unknown,
}

/// What a response says about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleResponse {
    id: CertId,
    pub status: CertStatus,
    /// Seconds since 1970.
    pub this_update: i64,
    /// Seconds since 1970; absent where the responder promises nothing.
    pub next_update: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ResponderId {
    /// DER `Name`.
    Name(Vec<u8>),
    /// SHA-1 of the public key.
    Key(Vec<u8>),
}

/// A successful basic response, as read.
#[derive(Debug, Clone)]
pub struct OcspResponse {
    to_be_signed: Vec<u8>,
    algorithm: ObjectIdentifier,
    algorithm_der: Vec<u8>,
    signature: Vec<u8>,
    responder: ResponderId,
    produced_at: i64,
    singles: Vec<SingleResponse>,
    nonce: Option<Vec<u8>>,
    certificates: Vec<Certificate>,
}

const fn explicit(number: u32) -> Tag {
    context(TagNumber(number), true)
}

impl From<MessageError> for OcspError {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Der(what) | MessageError::Certificate(what) => Self::Der(what),
            MessageError::TooLarge(limit) => Self::TooLarge(limit),
            _ => Self::Der("OCSPResponse"),
        }
    }
}

impl OcspResponse {
    /// Reads one DER `OCSPResponse` with nothing after it.
    pub fn parse(der: &[u8]) -> Result<Self, OcspError> {
        if der.len() > MAX_RESPONSE {
            return Err(OcspError::TooLarge(MAX_RESPONSE));
        }
        let mut outer = Elements::new(der, "OCSPResponse")?;
        let mut response = outer.sequence()?;
        outer.finish()?;
        match response.expect(Tag::Enumerated)?.value {
            [0] => {}
            [status] => return Err(OcspError::Status(*status)),
            _ => return Err(OcspError::Der("responseStatus")),
        }
        let octets = response.expect(explicit(0))?;
        response.finish()?;
        let mut octets = Elements::new(octets.value, "responseBytes")?;
        let mut typed = octets.sequence()?;
        octets.finish()?;
        if typed.oid()? != oid::OCSP_BASIC {
            return Err(OcspError::Type);
        }
        let basic = typed.expect(Tag::OctetString)?;
        typed.finish()?;
        Self::parse_basic(basic.value)
    }

    fn parse_basic(der: &[u8]) -> Result<Self, OcspError> {
        let mut outer = Elements::new(der, "BasicOCSPResponse")?;
        let mut basic = outer.sequence()?;
        outer.finish()?;
        let data = basic.expect(Tag::Sequence)?;
        let algorithm_der = basic.expect(Tag::Sequence)?.whole.to_vec();
        let (algorithm, _) = Elements::new(&algorithm_der, "signatureAlgorithm")?.algorithm()?;
        let signature = match basic.expect(Tag::BitString)?.value {
            [0, signature @ ..] => signature.to_vec(),
            _ => return Err(OcspError::Der("signature")),
        };
        let mut certificates = Vec::new();
        if let Some(held) = basic.optional(explicit(0))? {
            let mut list = Elements::new(held.value, "certs")?;
            let mut each = list.sequence()?;
            list.finish()?;
            while !each.is_empty() {
                certificates.push(Certificate::from_der(each.expect(Tag::Sequence)?.whole)?);
                if certificates.len() > MAX_ITEMS {
                    return Err(OcspError::Der("too many certificates"));
                }
            }
        }
        basic.finish()?;

        let mut fields = Elements::new(data.value, "ResponseData")?;
        if let Some(version) = fields.optional(explicit(0))? {
            let mut version = Elements::new(version.value, "version")?;
            if version.small_integer()? != 0 {
                return Err(OcspError::Der("version"));
            }
            version.finish()?;
        }
        let responder = responder(fields.next()?)?;
        let produced_at = time(fields.expect(Tag::GeneralizedTime)?)?;
        let mut list = fields.sequence()?;
        let mut singles = Vec::new();
        while !list.is_empty() {
            singles.push(single(list.sequence()?)?);
            if singles.len() > MAX_ITEMS {
                return Err(OcspError::Der("too many single responses"));
            }
        }
        let mut nonce = None;
        if let Some(extensions) = fields.optional(explicit(1))? {
            nonce = read_extensions(extensions)?;
        }
        fields.finish()?;
        Ok(Self {
            to_be_signed: data.whole.to_vec(),
            algorithm,
            algorithm_der,
            signature,
            responder,
            produced_at,
            singles,
            nonce,
            certificates,
        })
    }

    /// What it says of a certificate of this issuer. None when it says nothing, or more than one thing.
    pub fn about(&self, certificate: &Certificate, issuer: &Certificate) -> Option<&SingleResponse> {
        let mut about = self.singles.iter().filter(|single| single.id.names(certificate, issuer));
        let first = about.next();
        if about.next().is_some() { None } else { first }
    }

    pub fn singles(&self) -> &[SingleResponse] {
        &self.singles
    }

    /// Seconds since 1970.
    pub const fn produced_at(&self) -> i64 {
        self.produced_at
    }

    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// Certificates that came with it, for a responder that is not the issuer itself.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Who signed it, by its own word: the first of these that it names, or of those that came with it.
    pub fn responder<'a>(&'a self, known: &'a [Certificate]) -> Option<&'a Certificate> {
        known.iter().chain(&self.certificates).find(|certificate| match &self.responder {
            ResponderId::Name(name) => name == certificate.subject_der(),
            ResponderId::Key(hash) => key_hash(certificate).as_ref() == Some(hash),
        })
    }

    /// DER `AlgorithmIdentifier` of its signature.
    pub fn signature_algorithm(&self) -> &[u8] {
        &self.algorithm_der
    }

    /// Whether it is signed with SM2 and SM3 (GM/T 0006-2012).
    pub fn is_sm2(&self) -> bool {
        self.algorithm == oid::SM2_WITH_SM3
    }

    /// Whether the certificate's key signed it, with SM2 and SM3; false for every other algorithm.
    pub fn is_signed_by(&self, responder: &Certificate, verifier: &dyn SignatureVerifier) -> bool {
        let (true, Some(key), Ok(signature)) =
            (self.is_sm2(), responder.public_key(), Signature::from_der(&self.signature))
        else {
            return false;
        };
        let e = E::of_message(key, &DistinguishingId::default(), &[&self.to_be_signed]);
        verifier.verify(key, &e, &signature).is_ok()
    }
}

fn time(element: Element<'_>) -> Result<i64, OcspError> {
    let time = GeneralizedTime::from_der(element.whole).map_err(|_| OcspError::Der("GeneralizedTime"))?;
    i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| OcspError::Der("GeneralizedTime"))
}

fn responder(element: Element<'_>) -> Result<ResponderId, OcspError> {
    let mut inner = Elements::new(element.value, "responderID")?;
    let responder = match element.tag {
        tag if tag == explicit(1) => ResponderId::Name(inner.expect(Tag::Sequence)?.whole.to_vec()),
        tag if tag == explicit(2) => ResponderId::Key(inner.expect(Tag::OctetString)?.value.to_vec()),
        _ => return Err(OcspError::Der("responderID")),
    };
    inner.finish()?;
    Ok(responder)
}

fn single(mut fields: Elements<'_>) -> Result<SingleResponse, OcspError> {
    let mut id = fields.sequence()?;
    let (hash, _) = id.algorithm()?;
    let (issuer_name, issuer_key) = (id.expect(Tag::OctetString)?.value, id.expect(Tag::OctetString)?.value);
    let serial = id.expect(Tag::Integer)?.value;
    id.finish()?;
    let id =
        CertId { hash, issuer_name: issuer_name.to_vec(), issuer_key: issuer_key.to_vec(), serial: serial.to_vec() };
    let status = match fields.next()?.tag {
        Tag::ContextSpecific { constructed: false, number: TagNumber(0) } => CertStatus::Good,
        Tag::ContextSpecific { constructed: true, number: TagNumber(1) } => CertStatus::Revoked,
        Tag::ContextSpecific { constructed: false, number: TagNumber(2) } => CertStatus::Unknown,
        _ => return Err(OcspError::Der("certStatus")),
    };
    let this_update = time(fields.expect(Tag::GeneralizedTime)?)?;
    let next_update = match fields.optional(explicit(0))? {
        Some(next) => {
            let mut inner = Elements::new(next.value, "nextUpdate")?;
            let next = time(inner.expect(Tag::GeneralizedTime)?)?;
            inner.finish()?;
            Some(next)
        }
        None => None,
    };
    if let Some(extensions) = fields.optional(explicit(1))? {
        read_extensions(extensions)?;
    }
    fields.finish()?;
    Ok(SingleResponse { id, status, this_update, next_update })
}

/// The nonce, where there is one; another critical extension is refused.
fn read_extensions(held: Element<'_>) -> Result<Option<Vec<u8>>, OcspError> {
    let mut outer = Elements::new(held.value, "Extensions")?;
    let mut list = outer.sequence()?;
    outer.finish()?;
    let mut nonce = None;
    while !list.is_empty() {
        let mut extension = list.sequence()?;
        let name = extension.oid()?;
        let critical = extension.optional(Tag::Boolean)?.is_some_and(|flag| flag.value != [0]);
        let value = extension.expect(Tag::OctetString)?.value;
        extension.finish()?;
        if name == oid::OCSP_NONCE {
            // Some responders give the octets back bare (RFC 9654 §2.1 asks for an OCTET STRING inside).
            let bare = Elements::new(value, "nonce").and_then(|mut inner| inner.expect(Tag::OctetString));
            if nonce.replace(bare.map_or(value, |inner| inner.value).to_vec()).is_some() {
                return Err(OcspError::Der("two nonces"));
            }
        } else if critical {
            return Err(OcspError::Critical);
        }
    }
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_are_no_response_and_never_panic(octets: Vec<u8>) {
            proptest::prop_assert!(OcspResponse::parse(&octets).is_err());
        }
    }

    #[test]
    fn an_error_is_told_by_its_status_and_nothing_stands_behind_a_response() {
        let told = |octets: &[u8]| OcspResponse::parse(octets).map(|_| ());
        assert_eq!(told(&[0x30, 3, 0x0a, 1, 6]), Err(OcspError::Status(6)));
        assert!(matches!(told(&[0x30, 3, 0x0a, 1, 6, 0]), Err(OcspError::Der(_))));
        assert!(matches!(told(&[0x30, 3, 0x0a, 1, 0]), Err(OcspError::Der(_))));
        assert_eq!(told(&vec![0; MAX_RESPONSE + 1]), Err(OcspError::TooLarge(MAX_RESPONSE)));
    }
}
