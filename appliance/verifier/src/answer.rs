//! The platform's answer as it was received, taken apart without the profile that names its members: the signed object is
//! what the signature covers, and there is nothing beside it but the signature.

use std::borrow::Cow;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use base64::{Engine as _, alphabet};
use yanqian_evidence::{Answer, Der};
use yanqian_messages::{
    CanonicalForm, Certificate, Members, PlainVerifier, SignatureVerifier, SignedAttributes, SignedData,
};
use yanqian_sm::{DistinguishingId, E, Signature, sm3};

/// An answer whose signature holds.
pub(crate) struct SignedAnswer<'a> {
    /// The signed object as it stands in the answer.
    pub(crate) object: Cow<'a, str>,
    /// Its members that are strings.
    texts: Vec<String>,
}

/// Finds the signed object and verifies the platform's signature over it with the signer's key. Says what does not hold.
pub(crate) fn open<'a>(answer: &'a Answer, signer: &Certificate) -> Result<SignedAnswer<'a>, String> {
    let octets = answer.octets.as_bytes();
    let proof = Recorded { answer, signer };
    if let Some(message) = carried(octets) {
        let object = proof.attached(&message)?;
        return SignedAnswer::of(Cow::Owned(object));
    }
    let members = Members::parse(octets).map_err(|_| "the answer is not one JSON object without duplicates")?;
    if let Some((object, text)) = package(&members) {
        proof.package(object, text)?;
        return SignedAnswer::of(Cow::Borrowed(object));
    }
    let whole = std::str::from_utf8(octets).map_err(|_| "the answer is not UTF-8")?;
    if proof.inside(&members, octets) || proof.covers(octets).is_ok() {
        return SignedAnswer::of(Cow::Borrowed(whole));
    }
    Err("the platform's signature covers neither the answer, nor an object in it, nor its other members".to_owned())
}

/// A `SignedData` that is the whole answer, as its octets or as text.
fn carried(octets: &[u8]) -> Option<SignedData> {
    SignedData::parse(octets).ok().or_else(|| message(octets))
}

/// A `SignedData` in one of the spellings that profiles know.
fn message(text: &[u8]) -> Option<SignedData> {
    spelled(text).find_map(|octets| SignedData::parse(&octets).ok())
}

/// Base64 as some peers write it, without padding.
const UNPADDED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a text may mean: hexadecimal of either case, and base64 with white space or without padding, which many a hexadecimal
/// text is too.
fn spelled(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let dense: Vec<u8> = text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    [UNPADDED.decode(dense).ok(), hex::decode(text).ok()].into_iter().flatten()
}

/// One object and one text, and otherwise only the places of attachments that were sealed to the entity and are not kept.
fn package<'a>(members: &Members<'a>) -> Option<(&'a str, &'a str)> {
    let (mut object, mut text) = (None, None);
    for (_, value) in members.iter() {
        let place = match value.as_bytes().first() {
            Some(b'{') => &mut object,
            Some(b'"') => &mut text,
            _ if value == "null" => continue,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    object.zip(text)
}

/// What the record says of the answer's signature.
struct Recorded<'a> {
    answer: &'a Answer,
    signer: &'a Certificate,
}

impl Recorded<'_> {
    fn signature(&self) -> Option<&[u8]> {
        self.answer.signature.as_ref().map(Der::as_bytes)
    }

    /// A message in the answer must be the one that the record tells of.
    fn is_of(&self, message: &SignedData) -> Result<(), String> {
        // A copy that differs would be taken for the certificate by whoever reads the answer alone.
        if message.signer_certificate().is_ok_and(|embedded| embedded != self.signer) {
            return Err("the answer carries another certificate of its signer than the record".to_owned());
        }
        if !message.signer().names(self.signer) {
            return Err("the answer says that another certificate signed it than the record".to_owned());
        }
        if self.signature() != Some(message.signer().signature().to_der().as_slice()) {
            return Err("the record names another signature than the one in the answer".to_owned());
        }
        let attributes = message.signer().attributes().map(SignedAttributes::as_der);
        if self.answer.attributes.as_ref().map(Der::as_bytes) != attributes {
            return Err("the record names other signed attributes than those in the answer".to_owned());
        }
        Ok(())
    }

    fn attached(&self, message: &SignedData) -> Result<String, String> {
        self.is_of(message)?;
        let content = message.content().ok_or("the answer is a signature without the content that it signs")?;
        self.covers(content)?;
        String::from_utf8(content.to_vec()).map_err(|_| "the signed content is not UTF-8".to_owned())
    }

    fn package(&self, object: &str, text: &str) -> Result<(), String> {
        let text: String = serde_json::from_str(text).map_err(|_| "the answer's signature is not a text")?;
        if self.is_bare(&text) {
            return self.covers(object.as_bytes());
        }
        let message =
            message(text.as_bytes()).ok_or("the answer's signature is no message in base64 or hexadecimal")?;
        self.is_of(&message)?;
        if message.content().is_some() {
            return Err("the answer's signature carries a content of its own".to_owned());
        }
        self.covers(object.as_bytes())
    }

    /// Whether a text is r and s of the recorded signature, in one of the spellings that profiles know.
    fn is_bare(&self, text: &str) -> bool {
        spelled(text.as_bytes()).any(|octets| {
            let raw = octets.as_slice().try_into().ok().and_then(|raw| Signature::from_raw(raw).ok());
            let read = raw.or_else(|| Signature::from_der_lax(&octets).ok());
            read.is_some_and(|read| self.signature() == Some(read.to_der().as_slice()))
        })
    }

    /// Whether one member is the recorded signature, and that covers the others.
    fn inside(&self, members: &Members<'_>, octets: &[u8]) -> bool {
        members.keys().any(|key| {
            let Some(text) = members.text(key) else { return false };
            let is_message = || message(text.as_bytes()).is_some_and(|message| self.is_of(&message).is_ok());
            let recorded = self.is_bare(&text) || is_message();
            let signed = || CanonicalForm::ALL.into_iter().filter_map(|form| form.octets(octets, key).ok());
            recorded && signed().any(|signed| self.covers(&signed).is_ok())
        })
    }

    /// The recorded signature over a content: over the attributes that name its digest where there are some.
    fn covers(&self, content: &[u8]) -> Result<(), String> {
        let signed = match &self.answer.attributes {
            None => content,
            Some(der) => {
                let attributes = SignedAttributes::from_der(der.as_bytes())
                    .map_err(|error| format!("the answer's signed attributes: {error}"))?;
                if *attributes.message_digest() != sm3(&[content]) {
                    return Err("the signed attributes name another content than the answer's object".to_owned());
                }
                der.as_bytes()
            }
        };
        let signature = self.signature().and_then(|der| Signature::from_der(der).ok());
        let signature = signature.ok_or("the record names no signature of the answer")?;
        let key = self.signer.public_key().ok_or("the signer's key is not an SM2 key")?;
        let e = E::of_message(key, &DistinguishingId::default(), &[signed]);
        PlainVerifier
            .verify(key, &e, &signature)
            .map_err(|_| "the platform's signature over the answer does not verify".to_owned())
    }
}

impl<'a> SignedAnswer<'a> {
    fn of(object: Cow<'a, str>) -> Result<Self, String> {
        let members = Members::parse(object.as_bytes()).map_err(|_| "the signed object holds a key twice")?;
        let texts = members.iter().filter_map(|(_, value)| serde_json::from_str(value).ok()).collect();
        Ok(Self { object, texts })
    }

    /// Whether a member of the signed object is exactly this text.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.texts.iter().any(|found| found == text)
    }

    /// Whether a member of the signed object is these octets in one of the spellings that profiles know: lowercase
    /// hexadecimal, base64, or base64url without padding.
    pub(crate) fn names(&self, octets: &[u8]) -> bool {
        [hex::encode(octets), STANDARD.encode(octets), URL_SAFE_NO_PAD.encode(octets)]
            .iter()
            .any(|text| self.says(text))
    }
}
