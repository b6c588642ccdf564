//! Taking a received answer apart: the signed object, the octets that are signed, and the signature.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, header};
use yanqian_messages::{Certificate, Members, SignedAttributes, SignedData};
use yanqian_sm::Signature;
use yanqian_vocabulary::Reason;

use super::{AnswerChecker, Expected};
use crate::profile::{Envelope, Layout, MessageText, SignatureForm};
use crate::transport::RawAnswer;

const REFUSED: Reason = Reason::PlatformEnvelope;
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The parts of a received answer.
pub(super) struct Opened<'a> {
    /// The signed object as received.
    pub(super) object: Cow<'a, [u8]>,
    /// What is signed, where that is not the object's own octets.
    canonical: Option<Vec<u8>>,
    pub(super) proof: Proof,
    /// JSON text of the member that holds a sealed reading.
    pub(super) reading: Option<&'a str>,
}

/// A signature as it came. Nothing of it is believed.
pub(super) enum Proof {
    Message(Box<SignedData>),
    /// r and s, and which certificate they are said to be of: octets of its serial number.
    Bare {
        signature: Signature,
        serial: Option<Vec<u8>>,
    },
}

impl Opened<'_> {
    /// The octets that are signed as content.
    pub(super) fn signed(&self) -> &[u8] {
        self.canonical.as_deref().unwrap_or(&self.object)
    }

    pub(super) fn signature(&self) -> &Signature {
        match &self.proof {
            Proof::Message(message) => message.signer().signature(),
            Proof::Bare { signature, .. } => signature,
        }
    }

    pub(super) fn attributes(&self) -> Option<&SignedAttributes> {
        match &self.proof {
            Proof::Message(message) => message.signer().attributes(),
            Proof::Bare { .. } => None,
        }
    }
}

impl AnswerChecker<'_> {
    pub(super) fn open_envelope<'a>(
        &self,
        answer: &'a RawAnswer,
        expected: &Expected<'_>,
        sealed: &mut Option<Range<usize>>,
    ) -> Result<Opened<'a>, Reason> {
        let envelope = &self.profile.answer.envelope;
        if let Layout::Package { package, name, signature } = &envelope.layout {
            let outer = Members::parse(&answer.body).map_err(|_| REFUSED)?;
            let beside = self.profile.answer.reading.as_ref().filter(|_| !expected.recipients.is_empty());
            let reading = beside.and_then(|reading| outer.raw(&reading.envelope));
            // Before anything can fail: whatever becomes of the answer, what is sealed in it is not kept.
            *sealed = reading.map(|raw| place(&answer.body, raw));
            has_type(answer, envelope)?;
            if outer.len() != 2 + usize::from(reading.is_some()) {
                return Err(REFUSED);
            }
            let object = outer.raw(package).ok_or(REFUSED)?.as_bytes();
            let text = outer.text(name).ok_or(REFUSED)?;
            let proof = read_proof(*signature, &text, envelope, object, &answer.headers)?;
            return Ok(Opened { object: Cow::Borrowed(object), canonical: None, proof, reading });
        }
        has_type(answer, envelope)?;
        open_whole(answer, envelope)
    }
}

/// Layouts in which the body is one thing.
fn open_whole<'a>(answer: &'a RawAnswer, envelope: &Envelope) -> Result<Opened<'a>, Reason> {
    let body = &answer.body;
    let opened = |object, canonical, proof| Opened { object, canonical, proof, reading: None };
    match &envelope.layout {
        Layout::Attached { attributes, text } => {
            let octets = match text {
                MessageText::Der => Cow::Borrowed(body),
                MessageText::Text(how) => {
                    let text = std::str::from_utf8(body).map_err(|_| REFUSED)?;
                    Cow::Owned(how.read(text).ok_or(REFUSED)?)
                }
            };
            let message = SignedData::parse(&octets).map_err(|_| REFUSED)?;
            let object = message.content().map(<[u8]>::to_vec).ok_or(REFUSED)?;
            let proof = as_declared(message, *attributes)?;
            Ok(opened(Cow::Owned(object), None, proof))
        }
        Layout::Member { name, canonical, signature } => {
            let text = Members::parse(body).map_err(|_| REFUSED)?.text(name).ok_or(REFUSED)?;
            let signed = canonical.octets(body, name).map_err(|_| REFUSED)?;
            let proof = read_proof(*signature, &text, envelope, body, &answer.headers)?;
            Ok(opened(Cow::Borrowed(body), Some(signed), proof))
        }
        Layout::Header { name, digest, signature } => {
            if *digest && field(&answer.headers, &CONTENT_DIGEST).is_none_or(|text| !names_digest(text, body)) {
                return Err(REFUSED);
            }
            let text = field(&answer.headers, name).ok_or(REFUSED)?;
            let proof = read_proof(*signature, text, envelope, body, &answer.headers)?;
            Ok(opened(Cow::Borrowed(body), None, proof))
        }
        Layout::Package { .. } => Err(REFUSED),
    }
}

fn read_proof(
    form: SignatureForm,
    text: &str,
    envelope: &Envelope,
    object: &[u8],
    headers: &HeaderMap,
) -> Result<Proof, Reason> {
    match form {
        SignatureForm::Message { attributes, text: how } => {
            let message = SignedData::parse(&how.read(text).ok_or(REFUSED)?).map_err(|_| REFUSED)?;
            if message.content().is_some() {
                return Err(REFUSED);
            }
            as_declared(message, attributes)
        }
        SignatureForm::Bare { encoding, text: how } => {
            let signature = how.read(text).and_then(|octets| encoding.read(&octets).ok()).ok_or(REFUSED)?;
            let serial = match (&envelope.certificate, &envelope.layout) {
                (None, _) => None,
                (Some(name), Layout::Header { .. }) => {
                    let name = name.parse().map_err(|_| REFUSED)?;
                    Some(field(headers, &name).map(str::to_owned))
                }
                (Some(name), _) => Some(Members::parse(object).ok().and_then(|members| members.text(name))),
            };
            let serial = match serial {
                None => None,
                Some(text) => Some(text.and_then(|text| serial_octets(&text)).ok_or(REFUSED)?),
            };
            Ok(Proof::Bare { signature, serial })
        }
    }
}

fn as_declared(message: SignedData, attributes: bool) -> Result<Proof, Reason> {
    if message.signer().attributes().is_some() == attributes {
        Ok(Proof::Message(Box::new(message)))
    } else {
        Err(REFUSED)
    }
}

/// A header field that stands exactly once.
fn field<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a `Content-Digest` field (RFC 9530 §2) names SHA-256 of the body; other algorithms may stand beside it.
fn names_digest(text: &str, body: &[u8]) -> bool {
    let mut named = text.split(',').filter_map(|member| member.trim().strip_prefix("sha-256="));
    let value = named.next().and_then(|value| value.strip_prefix(':')?.strip_suffix(':'));
    let digest = value.and_then(|value| STANDARD.decode(value).ok());
    named.next().is_none() && digest.is_some_and(|digest| digest == openssl::sha::sha256(body))
}

/// The serial number of a certificate as hexadecimal of either case, its leading zeros aside.
fn serial_octets(text: &str) -> Option<Vec<u8>> {
    let even = if text.len().is_multiple_of(2) { Cow::Borrowed(text) } else { Cow::Owned(format!("0{text}")) };
    hex::decode(even.as_ref()).ok().filter(|octets| !octets.is_empty())
}

/// Whether a certificate has this serial number.
pub(super) fn has_serial(certificate: &Certificate, serial: &[u8]) -> bool {
    fn significant(octets: &[u8]) -> &[u8] {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        &octets[zeros..]
    }
    significant(certificate.serial()) == significant(serial)
}

/// Where a substring of the body stands in it.
fn place(body: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(body.as_ptr().addr());
    start..start + part.len()
}

/// The profile's media type, and no coding of which the octets would be the product.
fn has_type(answer: &RawAnswer, envelope: &Envelope) -> Result<(), Reason> {
    if !is_plain(&answer.headers) {
        return Err(REFUSED);
    }
    let text = field(&answer.headers, &header::CONTENT_TYPE).ok_or(REFUSED)?;
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(&envelope.content_type));
    if media && parts.all(|parameter| parameter.eq_ignore_ascii_case("charset=utf-8")) { Ok(()) } else { Err(REFUSED) }
}

/// Nothing is compressed, and one field says where the body ends (RFC 9112 §6.1: two that do are what request smuggling looks
/// like).
fn is_plain(headers: &HeaderMap) -> bool {
    let coded = headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| coding != "identity");
    let framed = match headers.get_all(header::TRANSFER_ENCODING).iter().collect::<Vec<_>>().as_slice() {
        [] => true,
        [coding] => *coding == "chunked" && !headers.contains_key(header::CONTENT_LENGTH),
        _ => false,
    };
    !coded && framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_coded_or_framed_twice_is_refused() {
        let headers = |fields: &[(HeaderName, &'static str)]| {
            let mut all = HeaderMap::new();
            for (name, value) in fields {
                all.append(name, http::HeaderValue::from_static(value));
            }
            all
        };
        let (coding, transfer, length) = (header::CONTENT_ENCODING, header::TRANSFER_ENCODING, header::CONTENT_LENGTH);
        for plain in [
            vec![],
            vec![(coding.clone(), "identity")],
            vec![(transfer.clone(), "chunked")],
            vec![(length.clone(), "3")],
        ] {
            assert!(is_plain(&headers(&plain)), "{plain:?}");
        }
        for other in [
            vec![(coding.clone(), "gzip")],
            vec![(coding.clone(), "identity"), (coding, "br")],
            vec![(transfer.clone(), "gzip, chunked")],
            vec![(transfer.clone(), "chunked"), (length, "3")],
            vec![(transfer.clone(), "chunked"), (transfer, "chunked")],
        ] {
            assert!(!is_plain(&headers(&other)), "{other:?}");
        }
    }

    #[test]
    fn only_the_body_s_own_digest_is_its_digest() {
        let good = format!("sha-256=:{}:", STANDARD.encode(openssl::sha::sha256(b"body")));
        for text in [good.clone(), format!("sha-512=:AAAA:, {good}")] {
            assert!(names_digest(&text, b"body"), "{text}");
        }
        for text in [format!("{good}, {good}"), good.to_uppercase(), good.replace(':', ""), String::new()] {
            assert!(!names_digest(&text, b"body"), "{text}");
        }
        assert!(!names_digest(&good, b"other"));
    }

    #[test]
    fn a_header_field_counts_when_it_stands_once() {
        let name = HeaderName::from_static("x-signature");
        let mut headers = HeaderMap::new();
        assert_eq!(field(&headers, &name), None);
        headers.append(&name, "a".parse().expect("a value"));
        assert_eq!(field(&headers, &name), Some("a"));
        headers.append(&name, "a".parse().expect("a value"));
        assert_eq!(field(&headers, &name), None);
    }

    #[test]
    fn serial_numbers_are_hexadecimal_of_either_case() {
        assert_eq!(serial_octets("0a1B"), Some(vec![0x0a, 0x1b]));
        assert_eq!(serial_octets("a1B"), Some(vec![0x0a, 0x1b]));
        for bad in ["", "0x1b", "g1", "-1"] {
            assert_eq!(serial_octets(bad), None, "{bad}");
        }
    }
}
