use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_core::TryCryptoRng;
use yanqian_messages::{Certificate, SignedAttributes, encode_detached, seal};
use yanqian_sm::{DistinguishingId, E, PublicKey, Signature};
use yanqian_vocabulary::{ContentDigest, DocumentClaim, Field, Mode, Nonce, Timestamp};
use zeroize::Zeroizing;

use crate::json::quote;
use crate::profile::{PayloadForm, Profile, Source};

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
}

/// A request before its signature: the octets that will be sent, and what is to be signed.
#[derive(Debug, Clone)]
pub struct Outbound {
    package: Vec<u8>,
    attributes: Option<SignedAttributes>,
    nonce: Nonce,
    digest: ContentDigest,
}

/// A request as it will be sent, once or, where nothing was sent, again: the same octets and the same nonce.
#[derive(Debug, Clone)]
pub struct SignedRequest {
    pub(crate) body: Vec<u8>,
    nonce: Nonce,
    digest: ContentDigest,
}

impl Profile {
    /// Builds the request for a claim. Personal data is written into the sealed payload and nowhere else.
    pub fn encode<R: TryCryptoRng>(
        &self,
        context: &RequestContext<'_>,
        claim: &DocumentClaim,
        fields: &[Field],
        recipient: &Certificate,
        rng: &mut R,
    ) -> Result<Outbound, EncodeError> {
        let payload = payload(&self.request.payload, claim, fields);
        let envelope = seal(recipient, payload.as_bytes(), rng).map_err(|_| EncodeError::Seal)?;
        let mut package = String::from("{");
        for (index, (name, source)) in self.request.members.iter().enumerate() {
            if index > 0 {
                package.push(',');
            }
            package.push_str(&quote(name));
            package.push(':');
            package.push_str(&quote(&self.value(source, context, &envelope)?));
        }
        package.push('}');
        let package = package.into_bytes();
        let digest = yanqian_sm::sm3(&[&package]);
        let attributes = if self.request.attributes {
            Some(SignedAttributes::new(digest, context.now.unix_seconds()).map_err(|_| EncodeError::Message)?)
        } else {
            None
        };
        Ok(Outbound { package, attributes, nonce: context.nonce, digest: ContentDigest::new(digest) })
    }

    fn value(&self, source: &Source, context: &RequestContext<'_>, envelope: &[u8]) -> Result<String, EncodeError> {
        Ok(match source {
            Source::Constant(text) => text.clone(),
            Source::Customer => context.customer.to_owned(),
            Source::Application => context.application.to_owned(),
            Source::Time => self.forms.time.write(context.now, self.forms.offset).ok_or(EncodeError::Time)?,
            Source::Nonce => self.forms.nonce.write(context.nonce),
            Source::Mode => self.request.modes.get(&context.mode).ok_or(EncodeError::Mode)?.clone(),
            Source::Purpose => context.purpose_code.to_owned(),
            Source::Payload => STANDARD.encode(envelope),
        })
    }
}

/// The JSON that is sealed. Its capacity is set at once, so that growing leaves no unwiped copy behind.
fn payload(form: &PayloadForm, claim: &DocumentClaim, fields: &[Field]) -> Zeroizing<String> {
    let mut json = Zeroizing::new(String::with_capacity(4096));
    let document_type = form.document_types.get(&claim.document_type).map_or("", String::as_str);
    json.push('{');
    push_member(&mut json, &form.document_type, document_type);
    for field in fields {
        let name = form.fields.get(field).map_or("", String::as_str);
        let value = match field {
            Field::Number => Zeroizing::new(claim.number.expose().to_owned()),
            Field::Name => Zeroizing::new(claim.name.expose().to_owned()),
            Field::BirthDate => Zeroizing::new(form.days.write(claim.birth_date.0)),
            Field::Nationality => match &claim.nationality {
                Some(nationality) => Zeroizing::new(nationality.expose().to_owned()),
                None => continue,
            },
            Field::Expiry => match claim.expiry {
                Some(expiry) => Zeroizing::new(form.days.write(expiry.0)),
                None => continue,
            },
        };
        json.push(',');
        push_member(&mut json, name, &value);
    }
    json.push('}');
    json
}

fn push_member(json: &mut String, name: &str, value: &str) {
    json.push_str(&quote(name));
    json.push(':');
    json.push_str(&Zeroizing::new(quote(value)));
}

impl Outbound {
    /// SM3 of the signed object's octets as they will be sent.
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

    /// The octets to sign with Z: the attributes, or the signed object itself.
    pub fn to_be_signed(&self) -> &[u8] {
        self.attributes().unwrap_or(&self.package)
    }

    /// The digest to sign.
    pub fn e(&self, key: &PublicKey, id: &DistinguishingId) -> E {
        E::of_message(key, id, &[self.to_be_signed()])
    }

    /// Puts the signature in. The caller has verified it with the certificate's key.
    pub fn finish(
        self,
        profile: &Profile,
        signature: &Signature,
        certificate: &Certificate,
    ) -> Result<SignedRequest, EncodeError> {
        let message =
            encode_detached(certificate, self.attributes.as_ref(), signature).map_err(|_| EncodeError::Message)?;
        let mut body = Vec::with_capacity(self.package.len() + message.len() * 2);
        body.push(b'{');
        body.extend_from_slice(quote(&profile.request.package).as_bytes());
        body.push(b':');
        body.extend_from_slice(&self.package);
        body.push(b',');
        body.extend_from_slice(quote(&profile.request.signature).as_bytes());
        body.push(b':');
        body.extend_from_slice(quote(&STANDARD.encode(message)).as_bytes());
        body.push(b'}');
        Ok(SignedRequest { body, nonce: self.nonce, digest: self.digest })
    }
}

impl SignedRequest {
    pub const fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// SM3 of the signed object's octets.
    pub const fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// The whole body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}
