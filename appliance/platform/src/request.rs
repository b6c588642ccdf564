//! Building requests. Personal data is written into the sealed payload and nowhere else, and a portrait goes through it in
//! small pieces: the only large thing that a request leaves in memory is its own body.

use std::fmt;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use rand_core::TryCryptoRng;
use yanqian_messages::{
    Certificate, Recipient, Sealer, SignedAttributes, encode_attached, encode_detached, sealed_length,
};
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature};
use yanqian_vocabulary::{Claim, ContentDigest, Mode, Nonce, Timestamp};

use crate::answer::Applied;
use crate::json::quote;
use crate::payload::{Piece, payload};
use crate::profile::{Layout, MessageText, Profile, SignatureForm, Source};

/// What surrounds the claim in a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// The entity's number at the platform.
    pub customer: &'a str,
    pub application: &'a str,
    /// The agreement's purpose code at the platform.
    pub purpose_code: &'a str,
    pub mode: Mode,
    pub now: Timestamp,
    pub nonce: Nonce,
    /// What the platform answered to the application, where the profile has one.
    pub applied: Option<&'a Applied>,
    /// The certificate of the key that will sign.
    pub certificate: &'a Certificate,
}

/// A request could not be built. Never says what the claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("the profile has no word for this mode")]
    Mode,
    #[error("the time cannot be written in the profile's form")]
    Time,
    #[error("the claim cannot be sealed to the platform's encryption certificate")]
    Seal,
    #[error("the signed message cannot be written")]
    Message,
    /// The entity's own numbers and words come from the configuration and the agreement.
    #[error("a member holds a separator of the form in which requests are signed")]
    Canonical,
    #[error("the profile needs an answered application first, or has none")]
    Application,
}

/// Octets of the signature's part of a body: a detached message with one certificate and no chain.
const SIGNATURE_ROOM: usize = 8 * 1024;
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// A request before its signature: the octets that will be sent, and what is to be signed.
#[derive(Clone)]
pub struct Outbound {
    path: String,
    /// The body up to the end of the signed object; the signature is appended to it, so that no copy is made.
    body: Vec<u8>,
    /// Where the signed object begins.
    start: usize,
    /// What is signed, where that is not the object's own octets.
    canonical: Option<Vec<u8>>,
    attributes: Option<SignedAttributes>,
    nonce: Nonce,
    digest: ContentDigest,
}

/// A request as it will be sent, once or, where nothing was sent, again: the same octets and the same nonce.
#[derive(Clone)]
pub struct SignedRequest {
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) content_type: HeaderValue,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    nonce: Nonce,
    digest: ContentDigest,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound({}, {} octets, {})", self.path, self.body.len(), self.nonce)
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedRequest({}, {} octets, {})", self.path, self.body.len(), self.nonce)
    }
}

impl Profile {
    /// Builds the request for a claim, sealed to `recipient`: the platform's encryption certificate, at best with its table.
    pub fn encode<R: TryCryptoRng>(
        &self,
        context: &RequestContext<'_>,
        claim: &Claim,
        recipient: Recipient<'_>,
        rng: &mut R,
    ) -> Result<Outbound, EncodeError> {
        let mode = self.request.modes.get(&claim.mode()).ok_or(EncodeError::Mode)?;
        if context.applied.is_some() != self.applies_first() || context.mode != claim.mode() {
            return Err(EncodeError::Application);
        }
        let pieces = payload(&self.request.payload, claim).ok_or(EncodeError::Mode)?;
        let length = pieces.iter().map(Piece::length).sum();
        let room = sealed_length(recipient, length).div_ceil(3) * 4;
        self.build(context, &mode.path, &self.request.members, room, |out| {
            let mut base64 = EncoderWriter::new(out, &STANDARD);
            // Writing into memory does not fail.
            let sink = |octets: &[u8]| drop(base64.write_all(octets));
            let mut sealer = Sealer::new(recipient, length, rng, sink).map_err(|_| EncodeError::Seal)?;
            for piece in &pieces {
                piece.push(&mut sealer).map_err(|_| EncodeError::Seal)?;
            }
            sealer.finish().map_err(|_| EncodeError::Seal)?;
            base64.finish().map(drop).map_err(|_| EncodeError::Seal)
        })
    }

    /// Builds the first step of a two-step exchange. No personal data is in it.
    pub fn encode_application(&self, context: &RequestContext<'_>) -> Result<Outbound, EncodeError> {
        let apply = self.apply.as_ref().ok_or(EncodeError::Application)?;
        self.build(context, &apply.path, &apply.members, 0, |_| Err(EncodeError::Message))
    }

    /// Writes the members in their order; `write_payload` writes the text of the one that is sealed.
    fn build(
        &self,
        context: &RequestContext<'_>,
        path: &str,
        members: &[(String, Source)],
        payload_room: usize,
        write_payload: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<Outbound, EncodeError> {
        let mut body = Vec::with_capacity(payload_room + 2 * SIGNATURE_ROOM);
        let mut write_payload = Some(write_payload);
        if let Layout::Package { package, .. } = &self.request.envelope.layout {
            body.push(b'{');
            body.extend_from_slice(quote(package).as_bytes());
            body.push(b':');
        }
        let start = body.len();
        for (index, (name, source)) in members.iter().enumerate() {
            body.push(if index == 0 { b'{' } else { b',' });
            body.extend_from_slice(quote(name).as_bytes());
            body.push(b':');
            if *source == Source::Payload {
                body.push(b'"');
                write_payload.take().ok_or(EncodeError::Message)?(&mut body)?;
                body.push(b'"');
            } else {
                body.extend_from_slice(self.value(source, context)?.as_bytes());
            }
        }
        body.push(b'}');
        let canonical = match &self.request.envelope.layout {
            Layout::Member { name, canonical, .. } => {
                Some(canonical.octets(&body[start..], name).map_err(|_| EncodeError::Canonical)?)
            }
            _ => None,
        };
        let digest = yanqian_sm::sm3(&[canonical.as_deref().unwrap_or(&body[start..])]);
        let attributes = if self.request.envelope.attributes() {
            Some(SignedAttributes::new(digest, context.now.unix_seconds()).map_err(|_| EncodeError::Message)?)
        } else {
            None
        };
        let digest = ContentDigest::new(digest);
        Ok(Outbound { path: path.to_owned(), body, start, canonical, attributes, nonce: context.nonce, digest })
    }

    /// A member's JSON.
    fn value(&self, source: &Source, context: &RequestContext<'_>) -> Result<String, EncodeError> {
        if *source == Source::Time {
            return self.forms.times.write(context.now).ok_or(EncodeError::Time);
        }
        let applied = || context.applied.ok_or(EncodeError::Application);
        Ok(quote(&match source {
            Source::Constant(text) => text.clone(),
            Source::Customer => context.customer.to_owned(),
            Source::Application => context.application.to_owned(),
            Source::Nonce => self.forms.nonce.write(context.nonce),
            Source::Mode => self.request.modes.get(&context.mode).ok_or(EncodeError::Mode)?.word.clone(),
            Source::Purpose => context.purpose_code.to_owned(),
            Source::CertificateSerial => serial_number(context.certificate),
            Source::BusinessSerial => applied()?.serial.clone(),
            Source::ApplyDigest => self.forms.digest.write(applied()?.digest.as_bytes()),
            Source::Time | Source::Payload => return Err(EncodeError::Message),
        }))
    }
}

impl Outbound {
    /// SM3 of the content that is signed: the signed object's octets as they will be sent, or its canonical form.
    pub const fn digest(&self) -> ContentDigest {
        self.digest
    }

    pub const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// DER of the authenticated attributes, where the profile signs them.
    pub fn attributes(&self) -> Option<&[u8]> {
        self.attributes.as_ref().map(SignedAttributes::as_der)
    }

    /// The octets to sign with Z: the attributes, or the signed content itself.
    pub fn to_be_signed(&self) -> &[u8] {
        self.attributes().unwrap_or_else(|| self.canonical.as_deref().unwrap_or(&self.body[self.start..]))
    }

    /// The digest to sign.
    pub fn e(&self, key: &PublicKey, id: &DistinguishingId) -> E {
        E::of_message(key, id, &[self.to_be_signed()])
    }

    /// Puts the signature in. The caller has verified it with the certificate's key.
    pub fn finish(
        mut self,
        profile: &Profile,
        signature: &Signature,
        certificate: &Certificate,
    ) -> Result<SignedRequest, EncodeError> {
        let envelope = &profile.request.envelope;
        let mut headers = Vec::new();
        match &envelope.layout {
            Layout::Package { name, signature: form, .. } => {
                let text = self.signature_text(*form, signature, certificate)?;
                self.append_member(name, &text);
            }
            Layout::Member { name, signature: form, .. } => {
                let text = self.signature_text(*form, signature, certificate)?;
                self.body.pop();
                self.append_member(name, &text);
            }
            Layout::Attached { text, .. } => {
                let message = encode_attached(certificate, &self.body, self.attributes.as_ref(), signature);
                let message = message.map_err(|_| EncodeError::Message)?;
                self.body = match text {
                    MessageText::Der => message,
                    MessageText::Text(text) => text.write(&message).into_bytes(),
                };
            }
            Layout::Header { name, digest, signature: form } => {
                let text = self.signature_text(*form, signature, certificate)?;
                headers.push((name.clone(), field(&text)?));
                if *digest {
                    let digest = STANDARD.encode(openssl::sha::sha256(&self.body));
                    headers.push((CONTENT_DIGEST, field(&format!("sha-256=:{digest}:"))?));
                }
                if let Some(name) = &envelope.certificate {
                    let name = name.parse().map_err(|_| EncodeError::Message)?;
                    headers.push((name, field(&serial_number(certificate))?));
                }
            }
        }
        let content_type = field(&envelope.content_type)?;
        let body = Bytes::from(self.body);
        Ok(SignedRequest { path: self.path, body, content_type, headers, nonce: self.nonce, digest: self.digest })
    }

    fn signature_text(
        &self,
        form: SignatureForm,
        signature: &Signature,
        certificate: &Certificate,
    ) -> Result<String, EncodeError> {
        Ok(match form {
            SignatureForm::Message { text, .. } => {
                let message = encode_detached(certificate, self.attributes.as_ref(), signature);
                text.write(&message.map_err(|_| EncodeError::Message)?)
            }
            SignatureForm::Bare { encoding, text } => text.write(&encoding.write(signature)),
        })
    }

    /// The last member of the object that the body is.
    fn append_member(&mut self, name: &str, text: &str) {
        self.body.push(b',');
        self.body.extend_from_slice(quote(name).as_bytes());
        self.body.push(b':');
        self.body.extend_from_slice(quote(text).as_bytes());
        self.body.push(b'}');
    }
}

/// Hexadecimal, without the zero octet that keeps a DER INTEGER positive.
fn serial_number(certificate: &Certificate) -> String {
    let serial = certificate.serial();
    hex::encode(serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial))
}

fn field(text: &str) -> Result<HeaderValue, EncodeError> {
    HeaderValue::from_str(text).map_err(|_| EncodeError::Message)
}

impl SignedRequest {
    pub const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// SM3 of the content that is signed.
    pub const fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// The whole body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}
