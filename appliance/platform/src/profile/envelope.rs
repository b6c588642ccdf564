//! How a signed object and its signature travel together, in requests and in answers.

use http::HeaderName;
use serde::Deserialize;
use yanqian_messages::{CanonicalForm, SignatureEncoding};

use super::build::Fault;

/// An envelope form.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) layout: Layout,
    /// Media type of the body, without parameters.
    pub(crate) content_type: String,
    /// Member of the signed object, or header field in [`Layout::Header`], that holds the serial number of the signer's
    /// certificate in hexadecimal; only beside a bare signature.
    pub(crate) certificate: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Layout {
    /// `{package: OBJECT, name: SIGNATURE}`; the octets of the object as they are sent are signed.
    Package { package: String, name: String, signature: SignatureForm },
    /// The body is a GB/T 35275-2017 `SignedData` that carries the object.
    Attached { attributes: bool, text: MessageText },
    /// The body is the object, with the signature as its member `name`; the canonical form of the other members is signed.
    Member { name: String, canonical: CanonicalForm, signature: SignatureForm },
    /// The body is the object, as it is signed; the signature is in the header field `name`. `digest`: a `Content-Digest` field
    /// (RFC 9530) with SHA-256 of the body goes along.
    Header { name: HeaderName, digest: bool, signature: SignatureForm },
}

/// How a signature is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureForm {
    /// A detached GB/T 35275-2017 `SignedData`, over authenticated attributes or over the content itself.
    Message { attributes: bool, text: SignatureText },
    /// r and s alone.
    Bare { encoding: SignatureEncoding, text: SignatureText },
}

/// How octets are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureText {
    /// RFC 4648 §4, padded. `lax`: white space is skipped, and padding may be missing.
    Base64 { lax: bool },
    /// Lowercase. `lax`: of either case.
    Hex { lax: bool },
}

/// How a `SignedData` is a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageText {
    /// Its octets.
    Der,
    /// A text of them.
    Text(SignatureText),
}

/// The keys of `[request]` and `[answer]` alike, as they stand in the file.
#[derive(Debug, Default)]
pub(super) struct RawEnvelope {
    pub(super) form: RawForm,
    pub(super) package: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) attributes: Option<bool>,
    pub(super) encoding: RawEncoding,
    pub(super) text: Option<RawText>,
    pub(super) canonical: Option<RawCanonical>,
    pub(super) empty: Option<bool>,
    pub(super) content_digest: Option<RawDigest>,
    pub(super) certificate: Option<String>,
    pub(super) content_type: Option<String>,
    /// Of answers only.
    pub(super) lax: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawForm {
    #[default]
    Package,
    Attached,
    Member,
    Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum RawEncoding {
    #[default]
    #[serde(rename = "gb35275")]
    Message,
    #[serde(rename = "der")]
    Der,
    #[serde(rename = "raw")]
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawText {
    Base64,
    Hex,
    Der,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum RawCanonical {
    #[serde(rename = "sorted-pairs")]
    SortedPairs,
    #[serde(rename = "rfc8785")]
    Rfc8785,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum RawDigest {
    #[serde(rename = "sha-256")]
    Sha256,
}

/// The names of the keys in one of the two tables, for errors.
pub(super) struct Keys {
    package: &'static str,
    signature: &'static str,
    attributes: &'static str,
    encoding: &'static str,
    text: &'static str,
    canonical: &'static str,
    empty: &'static str,
    content_digest: &'static str,
    certificate: &'static str,
    content_type: &'static str,
}

pub(super) const REQUEST: Keys = Keys {
    package: "request.package",
    signature: "request.signature",
    attributes: "request.attributes",
    encoding: "request.encoding",
    text: "request.text",
    canonical: "request.canonical",
    empty: "request.empty",
    content_digest: "request.content_digest",
    certificate: "request.certificate",
    content_type: "request.content_type",
};

pub(super) const ANSWER: Keys = Keys {
    package: "answer.package",
    signature: "answer.signature",
    attributes: "answer.attributes",
    encoding: "answer.encoding",
    text: "answer.text",
    canonical: "answer.canonical",
    empty: "answer.empty",
    content_digest: "answer.content_digest",
    certificate: "answer.certificate",
    content_type: "answer.content_type",
};

const NOT_HERE: &str = "means nothing in this form";

impl RawEnvelope {
    pub(super) fn build(self, keys: &Keys) -> Result<Envelope, Fault> {
        self.fits(keys)?;
        let content_type = match (&self.content_type, self.form) {
            (Some(media), _) => {
                media_type(media).ok_or((keys.content_type, "expected a media type without parameters"))?
            }
            (None, RawForm::Attached) => "application/pkcs7-mime".to_owned(),
            (None, _) => "application/json".to_owned(),
        };
        let name = || self.signature.clone().ok_or((keys.signature, "is needed in this form"));
        let layout = match self.form {
            RawForm::Package => Layout::Package {
                package: self.package.clone().ok_or((keys.package, "is needed in this form"))?,
                name: name()?,
                signature: self.signature_form(keys)?,
            },
            RawForm::Attached => Layout::Attached {
                attributes: self.attributes.ok_or((keys.attributes, "is needed in this form"))?,
                text: match self.text {
                    None | Some(RawText::Der) => MessageText::Der,
                    Some(RawText::Base64) => MessageText::Text(SignatureText::Base64 { lax: self.lax }),
                    Some(RawText::Hex) => MessageText::Text(SignatureText::Hex { lax: self.lax }),
                },
            },
            RawForm::Member => Layout::Member {
                name: name()?,
                canonical: match self.canonical.ok_or((keys.canonical, "is needed in this form"))? {
                    RawCanonical::SortedPairs => CanonicalForm::SortedPairs { empty: self.empty.unwrap_or(false) },
                    RawCanonical::Rfc8785 => CanonicalForm::Rfc8785,
                },
                signature: self.signature_form(keys)?,
            },
            RawForm::Header => Layout::Header {
                name: name()?.parse().map_err(|_| (keys.signature, "is not a header field's name"))?,
                digest: self.content_digest.is_some(),
                signature: self.signature_form(keys)?,
            },
        };
        Ok(Envelope { layout, content_type, certificate: self.certificate })
    }

    /// No key stands where it means nothing: what a platform's document says of it would be lost silently.
    fn fits(&self, keys: &Keys) -> Result<(), Fault> {
        let (form, bare) = (self.form, self.encoding != RawEncoding::Message);
        let pairs = self.canonical == Some(RawCanonical::SortedPairs);
        let stands = [
            (self.package.is_some(), form == RawForm::Package, keys.package),
            (self.signature.is_some(), form != RawForm::Attached, keys.signature),
            (self.attributes.is_some(), !bare, keys.attributes),
            (bare, form != RawForm::Attached, keys.encoding),
            (self.canonical.is_some(), form == RawForm::Member, keys.canonical),
            (self.empty.is_some(), pairs, keys.empty),
            (self.content_digest.is_some(), form == RawForm::Header, keys.content_digest),
            (self.certificate.is_some(), bare, keys.certificate),
        ];
        match stands.into_iter().find(|(there, may, _)| *there && !may) {
            Some((_, _, key)) => Err((key, NOT_HERE)),
            None => Ok(()),
        }
    }

    fn signature_form(&self, keys: &Keys) -> Result<SignatureForm, Fault> {
        let text = match self.text {
            None | Some(RawText::Base64) => SignatureText::Base64 { lax: self.lax },
            Some(RawText::Hex) => SignatureText::Hex { lax: self.lax },
            Some(RawText::Der) => return Err((keys.text, "\"base64\" or \"hex\" in this form")),
        };
        Ok(match self.encoding {
            RawEncoding::Message => SignatureForm::Message {
                attributes: self.attributes.ok_or((keys.attributes, "is needed with encoding \"gb35275\""))?,
                text,
            },
            RawEncoding::Der if self.lax => SignatureForm::Bare { encoding: SignatureEncoding::LaxDer, text },
            RawEncoding::Der => SignatureForm::Bare { encoding: SignatureEncoding::Der, text },
            RawEncoding::Raw => SignatureForm::Bare { encoding: SignatureEncoding::Raw, text },
        })
    }
}

fn media_type(text: &str) -> Option<String> {
    let (kind, rest) = text.split_once('/')?;
    let token =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&c));
    (token(kind) && token(rest)).then(|| text.to_ascii_lowercase())
}

impl Envelope {
    /// Whether signatures are over authenticated attributes.
    pub(crate) const fn attributes(&self) -> bool {
        match self.layout {
            Layout::Attached { attributes, .. } => attributes,
            Layout::Package { signature, .. } | Layout::Member { signature, .. } | Layout::Header { signature, .. } => {
                matches!(signature, SignatureForm::Message { attributes: true, .. })
            }
        }
    }

    /// Names of members of the signed object that belong to the envelope.
    pub(crate) fn own_members(&self) -> impl Iterator<Item = &str> {
        let signature = match &self.layout {
            Layout::Member { name, .. } => Some(name.as_str()),
            _ => None,
        };
        let certificate = self.certificate.as_deref().filter(|_| !matches!(self.layout, Layout::Header { .. }));
        signature.into_iter().chain(certificate)
    }
}
