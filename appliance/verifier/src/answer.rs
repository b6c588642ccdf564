//! The platform's answer as it was received, taken apart without the profile that names its members: the signed object is
//! the member whose octets the signature covers, and there is nothing beside it but the signature.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use yanqian_evidence::Answer;
use yanqian_messages::{Certificate, PlainVerifier, SignedAttributes, SignedData};
use yanqian_sm::{DistinguishingId, sm3};

use yanqian_messages::Members;

/// An answer whose signature holds.
pub(crate) struct SignedAnswer<'a> {
    /// The signed object's octets.
    pub(crate) object: &'a str,
    /// Its members that are strings.
    texts: Vec<String>,
}

/// Finds the signed object and verifies the platform's signature over it with the signer's key. Says what does not hold.
pub(crate) fn open<'a>(answer: &'a Answer, signer: &Certificate) -> Result<SignedAnswer<'a>, String> {
    let members =
        Members::parse(answer.octets.as_bytes()).ok_or("the answer is not one JSON object without duplicates")?;
    let (mut objects, mut messages) = (Vec::new(), Vec::new());
    for value in members.values() {
        match value.as_bytes().first() {
            Some(b'{') => objects.push(value),
            Some(b'"') => messages.push(value),
            // The place of an attachment that was sealed to the entity and is not kept.
            _ if value == "null" => {}
            _ => return Err("the answer has a member that no signature covers".to_owned()),
        }
    }
    let ([object], [message]) = (objects.as_slice(), messages.as_slice()) else {
        return Err("the answer is not one object with one signature".to_owned());
    };
    let text: String = serde_json::from_str(message).map_err(|_| "the answer's signature is not a text")?;
    let message = STANDARD.decode(text).map_err(|_| "the answer's signature is not base64")?;
    let message = SignedData::parse(&message).map_err(|error| format!("the answer's signature: {error}"))?;
    // A copy that differs would be taken for the certificate by whoever reads the answer alone.
    if message.signer_certificate().is_ok_and(|embedded| embedded != signer) {
        return Err("the answer carries another certificate of its signer than the record".to_owned());
    }
    let recorded = answer.signature.as_ref().map(yanqian_evidence::Der::as_bytes);
    if recorded != Some(message.signer().signature().to_der().as_slice()) {
        return Err("the record names another signature than the one in the answer".to_owned());
    }
    let attributes = message.signer().attributes();
    if answer.attributes.as_ref().map(yanqian_evidence::Der::as_bytes) != attributes.map(SignedAttributes::as_der) {
        return Err("the record names other signed attributes than those in the answer".to_owned());
    }
    if attributes.is_some_and(|attributes| *attributes.message_digest() != sm3(&[object.as_bytes()])) {
        return Err("the signed attributes name another content than the answer's object".to_owned());
    }
    message
        .verify_detached(signer, &DistinguishingId::default(), object.as_bytes(), &PlainVerifier)
        .map_err(|error| format!("the platform's signature over the answer: {error}"))?;
    let texts = Members::parse(object.as_bytes()).ok_or("the signed object holds a key twice")?.texts();
    Ok(SignedAnswer { object, texts })
}

impl SignedAnswer<'_> {
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
