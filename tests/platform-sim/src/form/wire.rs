//! How object and signature travel together in each form: taking a request apart, putting an answer together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::value::RawValue;

use super::{Form, quoted};
use crate::Refusal;
use crate::json::Members;

/// Header fields of the signed-body form.
const SIGNATURE: &str = "x-signature";
const CERTIFICATE: &str = "x-certificate-serial";
const DIGEST: &str = "content-digest";

/// A signature as it travels.
#[derive(Debug, Clone)]
pub enum Proof {
    /// DER of a `SignedData`, detached unless the form is attached.
    Message(Vec<u8>),
    /// r and s alone.
    Bare {
        /// DER `SEQUENCE { r, s }`.
        signature: Vec<u8>,
        /// Serial number of the signer's certificate in hexadecimal, where the form says it.
        serial: Option<String>,
    },
}

/// A request taken apart.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The signed object.
    pub object: Cow<'a, [u8]>,
    /// The octets that are signed.
    pub signed: Vec<u8>,
    /// The signature.
    pub proof: Proof,
}

/// An answer as it goes out.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The body.
    pub body: Vec<u8>,
    /// Header fields besides the content type.
    pub headers: Vec<(&'static str, String)>,
}

impl Form {
    /// Whether the signature is a `SignedData` message.
    pub fn has_messages(self) -> bool {
        !matches!(self, Self::SortedPairs | Self::CanonicalJson | Self::SignedBody)
    }

    /// Whether package and signature are two members of an object.
    pub fn has_package(self) -> bool {
        matches!(self, Self::Reference | Self::Second | Self::TwoStep)
    }

    /// Media type of bodies.
    pub fn content_type(self) -> &'static str {
        if self == Self::Attached { "application/pkcs7-mime" } else { "application/json" }
    }

    /// Takes a request's body apart.
    pub fn open<'a>(self, body: &'a [u8], headers: &HeaderMap) -> Result<Parts<'a>, Refusal> {
        let shape = Refusal::Shape;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let base64 = |text: Option<&str>| text.and_then(|text| STANDARD.decode(text).ok());
        match self {
            Self::Reference | Self::TwoStep | Self::Second => {
                let (package, sign) = self.members();
                let outer = Members::parse(body, &[package, sign], &[], shape("not package and signature"))?;
                let object = outer.raw(package).ok_or(shape("package"))?.as_bytes();
                let message = base64(outer.text(sign).as_deref()).ok_or(shape("signature"))?;
                Ok(Parts { object: Cow::Borrowed(object), signed: object.to_vec(), proof: Proof::Message(message) })
            }
            Self::Attached => {
                let object = crate::signed_data::content(body).map_err(|error| shape(error.0))?.to_vec();
                Ok(Parts { signed: object.clone(), object: Cow::Owned(object), proof: Proof::Message(body.to_vec()) })
            }
            Self::SortedPairs => {
                let members = any_members(body)?;
                let text =
                    |name: &str| members.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
                let raw = text("sign").and_then(|text| hex::decode(text).ok()).ok_or(shape("sign"))?;
                let signature = der_of(&raw).ok_or(shape("sign"))?;
                let proof = Proof::Bare { signature, serial: text("certSerial") };
                Ok(Parts { object: Cow::Borrowed(body), signed: pairs(&members), proof })
            }
            Self::CanonicalJson => {
                let members = any_members(body)?;
                let text = members.get("sign").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
                let signature = base64(text.as_deref()).ok_or(shape("sign"))?;
                let signed = sorted(&members).ok_or(shape("not JSON"))?;
                Ok(Parts { object: Cow::Borrowed(body), signed, proof: Proof::Bare { signature, serial: None } })
            }
            Self::SignedBody => {
                let raw = base64(header(SIGNATURE)).ok_or(shape("signature field"))?;
                let signature = der_of(&raw).ok_or(shape("signature field"))?;
                if header(DIGEST) != Some(&content_digest(body)) {
                    return Err(shape("Content-Digest"));
                }
                let serial = header(CERTIFICATE).map(str::to_owned);
                Ok(Parts {
                    object: Cow::Borrowed(body),
                    signed: body.to_vec(),
                    proof: Proof::Bare { signature, serial },
                })
            }
        }
    }

    /// The octets to sign for an answer's object.
    pub fn to_sign(self, object: &[u8]) -> Vec<u8> {
        let members = || any_members(object).unwrap_or_default();
        match self {
            Self::SortedPairs => pairs(&members()),
            Self::CanonicalJson => sorted(&members()).unwrap_or_default(),
            _ => object.to_vec(),
        }
    }

    /// Puts object and signature together. A signature that is no DER (a fault that was ordered) goes out as it is.
    pub fn close(self, object: &[u8], proof: &Proof) -> Wire {
        let plain = |body| Wire { body, headers: Vec::new() };
        let beside = |text: String| {
            let sign = format!(",\"sign\":{}}}", quoted(&text));
            plain([object.strip_suffix(b"}").unwrap_or(object), sign.as_bytes()].concat())
        };
        match (self, proof) {
            (Self::Attached, Proof::Message(message)) => plain(message.clone()),
            (Self::SortedPairs, Proof::Bare { signature, .. }) => beside(hex::encode(raw_of(signature))),
            (Self::CanonicalJson, Proof::Bare { signature, .. }) => beside(STANDARD.encode(signature)),
            (Self::SignedBody, Proof::Bare { signature, serial }) => {
                let mut headers =
                    vec![(SIGNATURE, STANDARD.encode(raw_of(signature))), (DIGEST, content_digest(object))];
                headers.extend(serial.clone().map(|serial| (CERTIFICATE, serial)));
                Wire { body: object.to_vec(), headers }
            }
            (form, Proof::Message(signature) | Proof::Bare { signature, .. }) => {
                let (package, sign) = form.members();
                let sign = format!(",\"{sign}\":\"{}\"}}", STANDARD.encode(signature));
                plain([format!("{{\"{package}\":").as_bytes(), object, sign.as_bytes()].concat())
            }
        }
    }

    /// Writes the signer's serial number into an answer's object, where the form has a member for it.
    pub fn with_serial(self, object: String, serial: &str) -> String {
        if self != Self::SortedPairs {
            return object;
        }
        format!("{},\"certSerial\":{}}}", object.strip_suffix('}').unwrap_or(&object), quoted(serial))
    }
}

type AnyMembers<'a> = BTreeMap<String, &'a RawValue>;

fn any_members(body: &[u8]) -> Result<AnyMembers<'_>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Shape("not UTF-8"))?;
    serde_json::from_str(text).map_err(|_| Refusal::Shape("not an object"))
}

/// `k=v&…` over all members but `sign` and empty ones, by their names.
fn pairs(members: &AnyMembers<'_>) -> Vec<u8> {
    let mut out = String::new();
    for (name, raw) in members.iter().filter(|(name, _)| *name != "sign") {
        let value = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        if value.is_empty() || value == "null" {
            continue;
        }
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(&value);
    }
    out.into_bytes()
}

/// RFC 8785 for what these messages hold, which is strings and objects of strings under ASCII names: keys sorted, no white
/// space, and `serde_json`'s escapes are the ones that the RFC wants.
fn sorted(members: &AnyMembers<'_>) -> Option<Vec<u8>> {
    let members = members.iter().filter(|(name, _)| *name != "sign");
    let values: BTreeMap<&str, serde_json::Value> = members
        .map(|(name, raw)| Some((name.as_str(), serde_json::from_str(raw.get()).ok()?)))
        .collect::<Option<_>>()?;
    serde_json::to_vec(&values).ok()
}

fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(openssl::sha::sha256(body)))
}

/// DER of `r ‖ s`, by OpenSSL.
fn der_of(raw: &[u8]) -> Option<Vec<u8>> {
    let number = |octets| openssl::bn::BigNum::from_slice(octets).ok();
    let (r, s) = raw.split_at_checked(32).filter(|(_, s)| s.len() == 32)?;
    openssl::ecdsa::EcdsaSig::from_private_components(number(r)?, number(s)?).ok()?.to_der().ok()
}

/// `r ‖ s` of DER; what is no DER stays as it is.
fn raw_of(der: &[u8]) -> Vec<u8> {
    let raw = |der: &[u8]| {
        let read = openssl::ecdsa::EcdsaSig::from_der(der).ok()?;
        // OpenSSL reads past what stands behind it.
        if read.to_der().ok()? != der {
            return None;
        }
        Some([read.r().to_vec_padded(32).ok()?, read.s().to_vec_padded(32).ok()?].concat())
    };
    raw(der).unwrap_or_else(|| der.to_vec())
}
