//! `signers.toml`: which certificates may stand for a platform, and as what. A pin is no trust by itself, only the second
//! lock beside a valid, unrevoked chain.

use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Name};

use crate::certificate::Certificate;

/// What a pinned certificate does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinRole {
    /// Signs answers.
    Signing,
    /// Is the platform's end of TLS connections.
    Tls,
    /// Receives envelopes.
    Encryption,
}

/// Certificates by what they are pinned by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pin {
    /// SM3 of the DER `SubjectPublicKeyInfo`: every certificate of the key.
    Key([u8; 32]),
    /// SM3 of the DER certificate: this one only.
    Certificate([u8; 32]),
    /// Whatever key an authority of the store certifies under this name, and where `issuer` is given, this authority only.
    Subject { subject: Name, issuer: Option<Name> },
    /// One certificate of one authority. Octets without leading zeros.
    Serial { issuer: Name, serial: Vec<u8> },
}

/// Why a file of pins cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    #[error("{0}")]
    Syntax(String),
    #[error("key `{key}` of signer `{signer}`: {problem}")]
    Value { signer: String, key: &'static str, problem: &'static str },
    #[error("key `format_version`: expected 1")]
    Version,
}

/// The pins of one platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(Vec<(PinRole, Pin)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPins {
    format_version: u32,
    signer: Vec<RawPin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPin {
    name: String,
    role: PinRole,
    key_id: Option<String>,
    certificate: Option<String>,
    subject: Option<Vec<String>>,
    issuer: Option<Vec<String>>,
    serial: Option<String>,
}

impl Pins {
    /// Reads `signers.toml` (certs/README.md).
    pub fn from_toml(text: &str) -> Result<Self, PinError> {
        let raw: RawPins = toml::from_str(text).map_err(|error| PinError::Syntax(error.to_string()))?;
        if raw.format_version != 1 {
            return Err(PinError::Version);
        }
        raw.signer.into_iter().map(|raw| Ok((raw.role, raw.pin()?))).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a pin of the role names the certificate.
    pub fn allow(&self, role: PinRole, certificate: &Certificate) -> bool {
        self.of(role).any(|pin| pin.names(certificate))
    }

    /// Whether there is a pin of the role at all.
    pub fn restrict(&self, role: PinRole) -> bool {
        self.of(role).next().is_some()
    }

    /// The keys that pins of the role name (SM3 of `SubjectPublicKeyInfo`). Other pins tell no key ahead.
    pub fn key_ids(&self, role: PinRole) -> impl Iterator<Item = [u8; 32]> {
        self.of(role).filter_map(|pin| if let Pin::Key(id) = pin { Some(*id) } else { None })
    }

    fn of(&self, role: PinRole) -> impl Iterator<Item = &Pin> {
        self.0.iter().filter(move |(of, _)| *of == role).map(|(_, pin)| pin)
    }
}

impl RawPin {
    fn pin(self) -> Result<Pin, PinError> {
        let error = |key, problem| PinError::Value { signer: self.name.clone(), key, problem };
        let hash = |key, text: &str| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash).map_err(|_| error(key, "expected 64 hexadecimal digits"))?;
            Ok(hash)
        };
        let name = |key, parts: &[String]| Name::parse(parts).map_err(|problem| error(key, problem));
        let issuer = self.issuer.as_deref().map(|parts| name("issuer", parts)).transpose()?;
        match (&self.key_id, &self.certificate, &self.subject, &self.serial) {
            (Some(id), None, None, None) if issuer.is_none() => hash("key_id", id).map(Pin::Key),
            (None, Some(id), None, None) if issuer.is_none() => hash("certificate", id).map(Pin::Certificate),
            (None, None, Some(subject), None) => Ok(Pin::Subject { subject: name("subject", subject)?, issuer }),
            (None, None, None, Some(serial)) => {
                let issuer = issuer.ok_or_else(|| error("issuer", "a serial number is nothing without its issuer"))?;
                let octets =
                    hex::decode(serial).map_err(|_| error("serial", "expected pairs of hexadecimal digits"))?;
                Ok(Pin::Serial { issuer, serial: significant(&octets).to_vec() })
            }
            (None, None, None, None) => {
                Err(error("key_id", "one of `key_id`, `certificate`, `subject`, `serial` must be given"))
            }
            _ => {
                let problem =
                    "only one of `key_id`, `certificate`, `subject`, `serial`; `issuer` beside the last two only";
                Err(error("key_id", problem))
            }
        }
    }
}

impl Pin {
    fn names(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Key(id) => *id == certificate.key_id(),
            Self::Certificate(hash) => *hash == certificate.hash(),
            Self::Subject { subject, issuer } => {
                subject.is(certificate.subject_der())
                    && issuer.as_ref().is_none_or(|issuer| issuer.is(certificate.issuer_der()))
            }
            Self::Serial { issuer, serial } => {
                issuer.is(certificate.issuer_der()) && *serial == significant(certificate.serial())
            }
        }
    }
}

/// Without leading zeros, of which an INTEGER may have one and a tool that prints it none.
fn significant(octets: &[u8]) -> &[u8] {
    &octets[octets.iter().take_while(|octet| **octet == 0).count()..]
}

/// Attribute types that a name may be spelled with; others by their object identifier.
const TYPES: [(&str, &str); 8] = [
    ("C", "2.5.4.6"),
    ("ST", "2.5.4.8"),
    ("L", "2.5.4.7"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("CN", "2.5.4.3"),
    ("serialNumber", "2.5.4.5"),
    ("organizationIdentifier", "2.5.4.97"),
];

/// A distinguished name: object identifiers and values, in the certificate's order, one attribute in each RDN. One text for
/// the whole name would let a comma in a value pass for two attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name(Vec<(String, String)>);

impl Name {
    fn parse(parts: &[String]) -> Result<Self, &'static str> {
        if parts.is_empty() {
            return Err("an empty name");
        }
        let attribute = |part: &String| {
            let (kind, value) = part.split_once('=').ok_or("expected an array of \"TYPE=value\"")?;
            let known = TYPES.iter().find(|(short, _)| *short == kind).map(|(_, oid)| *oid);
            let dotted = kind.contains('.') && kind.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.');
            match known.or(dotted.then_some(kind)) {
                Some(oid) => Ok((oid.to_owned(), value.to_owned())),
                None => Err("an unknown attribute type; write its object identifier"),
            }
        };
        parts.iter().map(attribute).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a DER `Name` is this one, value for value. Of string types the UTF-8, printable, IA5 and numeric are read.
    fn is(&self, der: &[u8]) -> bool {
        let Ok((_, name)) = X509Name::from_der(der) else { return false };
        let mut expected = self.0.iter();
        name.iter_rdn().all(|rdn| {
            let mut attributes = rdn.iter();
            let (Some(found), None, Some((oid, value))) = (attributes.next(), attributes.next(), expected.next())
            else {
                return false;
            };
            found.attr_type().to_id_string() == *oid && found.as_str().is_ok_and(|found| found == value)
        }) && expected.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::x509::{X509, X509Name as OpenSslName};

    use super::*;

    fn key() -> PKey<Private> {
        let group = openssl::ec::EcGroup::from_curve_name(Nid::SM2).unwrap();
        PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap()
    }

    fn name(parts: &[(&str, &str)]) -> OpenSslName {
        let mut name = OpenSslName::builder().unwrap();
        for (kind, value) in parts {
            name.append_entry_by_text(kind, value).unwrap();
        }
        name.build()
    }

    fn certificate(
        key: &PKey<Private>,
        subject: &[(&str, &str)],
        issuer: &[(&str, &str)],
        serial: &str,
    ) -> Certificate {
        let mut builder = X509::builder().unwrap();
        builder.set_subject_name(&name(subject)).unwrap();
        builder.set_issuer_name(&name(issuer)).unwrap();
        builder.set_serial_number(&BigNum::from_hex_str(serial).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.sign(key, MessageDigest::sm3()).unwrap();
        Certificate::from_der(&builder.build().to_der().unwrap()).unwrap()
    }

    const SUBJECT: [(&str, &str); 3] = [("C", "CN"), ("O", "平台"), ("CN", "Signing")];
    const ISSUER: [(&str, &str); 2] = [("C", "CN"), ("CN", "Authority")];

    fn pins(pin: &str) -> Result<Pins, PinError> {
        Pins::from_toml(&format!("format_version = 1\n[[signer]]\nname = \"s\"\nrole = \"signing\"\n{pin}\n"))
    }

    fn allows(pin: &str, certificate: &Certificate) -> bool {
        pins(pin).unwrap().allow(PinRole::Signing, certificate)
    }

    #[test]
    fn each_kind_of_pin_names_its_certificates_and_no_others() {
        let (this, next) = (key(), key());
        let first = certificate(&this, &SUBJECT, &ISSUER, "00a1b2");
        let renewed = certificate(&this, &SUBJECT, &ISSUER, "a1b3");
        let rotated = certificate(&next, &SUBJECT, &ISSUER, "a1b4");
        let foreign = certificate(&next, &SUBJECT, &[("C", "CN"), ("CN", "Other")], "a1b2");
        let all = [&first, &renewed, &rotated, &foreign];
        let named = |pin: &str| all.map(|certificate| allows(pin, certificate));
        let issuer = "issuer = [\"C=CN\", \"CN=Authority\"]";
        let subject = "subject = [\"C=CN\", \"O=平台\", \"CN=Signing\"]";
        assert_eq!(named(&format!("key_id = \"{}\"", hex::encode(first.key_id()))), [true, true, false, false]);
        assert_eq!(named(&format!("certificate = \"{}\"", hex::encode(first.hash()))), [true, false, false, false]);
        assert_eq!(named(subject), [true, true, true, true]);
        assert_eq!(named(&format!("{subject}\n{issuer}")), [true, true, true, false]);
        assert_eq!(named(&format!("serial = \"a1b2\"\n{issuer}")), [true, false, false, false]);
        assert_eq!(named(&format!("serial = \"00A1B4\"\n{issuer}")), [false, false, true, false]);
    }

    #[test]
    fn a_name_is_pinned_value_for_value() {
        let key = key();
        let signer = certificate(&key, &SUBJECT, &ISSUER, "01");
        assert!(allows("subject = [\"2.5.4.6=CN\", \"2.5.4.10=平台\", \"2.5.4.3=Signing\"]", &signer));
        for other in [
            "[\"C=CN\", \"O=平台\"]",
            "[\"C=CN\", \"O=平台\", \"CN=Signing\", \"OU=x\"]",
            "[\"O=平台\", \"C=CN\", \"CN=Signing\"]",
            "[\"C=CN\", \"O=平台\", \"CN=signing\"]",
            "[\"C=CN\", \"O=平台\", \"OU=Signing\"]",
        ] {
            assert!(!allows(&format!("subject = {other}"), &signer), "{other}");
        }
        let comma = certificate(&key, &[("C", "CN"), ("O", "平台, CN=Signing")], &ISSUER, "01");
        assert!(!allows("subject = [\"C=CN\", \"O=平台\", \"CN=Signing\"]", &comma));
    }

    #[test]
    fn a_pin_is_for_its_own_role() {
        let signer = certificate(&key(), &SUBJECT, &ISSUER, "01");
        let text = |role: &str| {
            format!(
                "format_version = 1\n[[signer]]\nname = \"s\"\nrole = \"{role}\"\nkey_id = \"{}\"\n",
                hex::encode(signer.key_id())
            )
        };
        let roles = [("signing", PinRole::Signing), ("tls", PinRole::Tls), ("encryption", PinRole::Encryption)];
        for (written, role) in roles {
            let pins = Pins::from_toml(&text(written)).unwrap();
            for (_, other) in roles {
                assert_eq!(pins.allow(other, &signer), other == role);
                assert_eq!(pins.restrict(other), other == role);
            }
        }
    }

    #[test]
    fn a_faulty_pin_is_refused_by_its_key_and_signer() {
        for (pin, key) in [
            ("", "key_id"),
            ("key_id = \"aa\"", "key_id"),
            ("key_id = \"aa\"\nserial = \"01\"", "key_id"),
            ("certificate = \"zz\"", "certificate"),
            ("subject = []", "subject"),
            ("subject = [\"Signing\"]", "subject"),
            ("subject = [\"XY=Signing\"]", "subject"),
            ("serial = \"01\"", "issuer"),
            ("serial = \"1\"\nissuer = [\"CN=a\"]", "serial"),
        ] {
            let error = pins(pin).expect_err(pin).to_string();
            assert!(error.contains(&format!("key `{key}` of signer `s`")), "{pin}: {error}");
        }
        assert!(pins("colour = 1").is_err());
        assert_eq!(Pins::from_toml("format_version = 2\nsigner = []"), Err(PinError::Version));
    }
}
