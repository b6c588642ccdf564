//! Each encoding of a signature, each text of it, read strictly and laxly: honest answers of the simulator, written otherwise as
//! another profile declares it. In these forms the signature is no part of what is signed.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderValue;
use serde_json::Value;
use yanqian_platform::{AnswerChecker, Expected, Profile, RawAnswer, SignedRequest};
use yanqian_platform_sim::form::Form;
use yanqian_sm::Signature;
use yanqian_vocabulary::Reason;

use crate::support::{FIELDS, Memory, Site, claim_of, holder, now, site};

const TEXTS: [&str; 2] = ["base64", "hex"];

/// Where the signature stands in an answer, and how it is encoded there.
#[derive(Clone, Copy)]
enum Place {
    /// A member in base64.
    Member(&'static str),
    /// A member in hexadecimal.
    HexMember(&'static str),
    /// A header field in base64.
    Header(&'static str),
    /// The whole body is the message.
    Body,
}

impl Place {
    fn octets(self, answer: &RawAnswer) -> Vec<u8> {
        let text =
            |name: &str| serde_json::from_slice::<Value>(&answer.body).unwrap()[name].as_str().unwrap().to_owned();
        match self {
            Self::Member(name) => STANDARD.decode(text(name)).unwrap(),
            Self::HexMember(name) => hex::decode(text(name)).unwrap(),
            Self::Header(name) => STANDARD.decode(&answer.headers[name]).unwrap(),
            Self::Body => answer.body.clone(),
        }
    }

    /// The answer with another text there; nothing else of it changes.
    fn with(self, answer: &RawAnswer, text: &str) -> RawAnswer {
        let mut answer = answer.clone();
        match self {
            Self::Member(name) | Self::HexMember(name) => {
                let body = String::from_utf8(answer.body).unwrap();
                let old = serde_json::from_str::<Value>(&body).unwrap()[name].as_str().unwrap().to_owned();
                assert_eq!(body.matches(&old).count(), 1);
                let escaped = text.replace('\n', "\\n");
                answer.body = body.replace(&old, &escaped).into_bytes();
            }
            Self::Header(name) => drop(answer.headers.insert(name, HeaderValue::from_str(text).unwrap())),
            Self::Body => answer.body = text.as_bytes().to_vec(),
        }
        answer
    }
}

/// The shipped profile with answers declared otherwise.
fn declared(form: Form, keys: &[(&str, toml::Value)]) -> Profile {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../platform-profiles/{form}.toml"));
    let mut table: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let answer = table["answer"].as_table_mut().unwrap();
    for (key, value) in keys {
        answer.insert((*key).to_owned(), value.clone());
    }
    Profile::parse(&toml::to_string(&table).unwrap(), &file).unwrap()
}

/// A text as a strict reader takes it, and one that only a lax reader does. A header field has no line feeds.
fn spelled(text: &str, octets: &[u8], place: Place) -> (String, String) {
    match (text, place) {
        ("hex", _) => (hex::encode(octets), hex::encode_upper(octets)),
        (_, Place::Header(_)) => (STANDARD.encode(octets), STANDARD.encode(octets).replacen('A', " A", 1) + " "),
        _ => {
            let mut lines = STANDARD_NO_PAD.encode(octets);
            lines.insert(16, '\n');
            (STANDARD.encode(octets), lines)
        }
    }
}

/// DER of r and s with a zero octet before r that does not belong there.
fn padded(der: &[u8]) -> Vec<u8> {
    let mut der = der.to_vec();
    der[1] += 1;
    der[3] += 1;
    der.insert(4, 0);
    der
}

fn reason(site: &Site, profile: &Profile, request: &SignedRequest, answer: &RawAnswer) -> Option<Reason> {
    let memory = Memory::default();
    let checker = AnswerChecker { profile, trust: &site.trust, verifier: &site.verifier, replay: &memory };
    let expected = Expected { nonce: request.nonce(), digest: request.digest(), fields: FIELDS, recipients: &[] };
    checker.check(answer, &expected, now()).result.err()
}

/// Every text of these octets under this encoding: its strict spelling is always taken, the other one only by a lax profile.
#[track_caller]
fn assert_spellings(
    asked: &(Site, SignedRequest, RawAnswer),
    (form, place): (Form, Place),
    encoding: Option<&str>,
    octets: &[u8],
) {
    let (site, request, answer) = asked;
    for text in TEXTS {
        let (strict, other) = spelled(text, octets, place);
        for lax in [false, true] {
            let mut keys = vec![("text", text.into()), ("lax", lax.into())];
            keys.extend(encoding.map(|encoding| ("encoding", encoding.into())));
            let profile = declared(form, &keys);
            let label = format!("{form} {encoding:?} {text} lax {lax}");
            let said = |spelling: &str| reason(site, &profile, request, &place.with(answer, spelling));
            assert_eq!(said(&strict), None, "{label}");
            assert_eq!(said(&other), (!lax).then_some(Reason::PlatformEnvelope), "{label}: {other}");
            // The text of the other kind is never taken, whatever the profile allows.
            let kind = if text == "hex" { "base64" } else { "hex" };
            let foreign = spelled(kind, octets, place).0;
            assert!(said(&foreign).is_some(), "{label}: {foreign}");
        }
    }
}

async fn asked(form: Form) -> (Site, SignedRequest, RawAnswer) {
    let site = site(form).await;
    let request = site.request(&claim_of(&holder()));
    let answer = site.client.send(&request, &site.trust).await.unwrap();
    (site, request, answer)
}

#[tokio::test]
async fn a_message_is_read_in_each_text_as_its_profile_declares_it() {
    for (form, place) in [(Form::Reference, Place::Member("sign")), (Form::Attached, Place::Body)] {
        let asked = asked(form).await;
        let octets = place.octets(&asked.2);
        assert_spellings(&asked, (form, place), None, &octets);
    }
}

#[tokio::test]
async fn a_bare_signature_is_read_in_each_encoding_and_text_as_its_profile_declares_it() {
    for (form, place) in [
        (Form::SortedPairs, Place::HexMember("sign")),
        (Form::CanonicalJson, Place::Member("sign")),
        (Form::SignedBody, Place::Header("x-signature")),
    ] {
        let asked = asked(form).await;
        let octets = place.octets(&asked.2);
        let raw = <&[u8; 64]>::try_from(octets.as_slice()).ok().and_then(|raw| Signature::from_raw(raw).ok());
        let signature = raw.unwrap_or_else(|| Signature::from_der(&octets).unwrap());
        let der = signature.to_der();
        assert_spellings(&asked, (form, place), Some("raw"), &signature.to_raw());
        assert_spellings(&asked, (form, place), Some("der"), &der);
        for lax in [false, true] {
            let profile = declared(form, &[("encoding", "der".into()), ("text", "hex".into()), ("lax", lax.into())]);
            let answer = place.with(&asked.2, &hex::encode(padded(&der)));
            let expected = (!lax).then_some(Reason::PlatformEnvelope);
            assert_eq!(reason(&asked.0, &profile, &asked.1, &answer), expected, "{form} lax {lax}");
        }
    }
}
