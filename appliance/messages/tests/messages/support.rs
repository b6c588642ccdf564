//! Keys and certificates by OpenSSL, and a DER writer that also writes what no standard has.
#![allow(dead_code, clippy::unwrap_used)]

use der::Encode;
use der::asn1::ObjectIdentifier;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::sign::Signer;
use openssl::x509::extension::SubjectKeyIdentifier;
use openssl::x509::{X509, X509NameBuilder};
use yanqian_messages::{Certificate, sm2_cipher_to_der};
use yanqian_sm::{Signature, Sm2Ciphertext, Sm4Key};

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The private key of GB/T 32918.5-2017 Annex A.2.
pub(crate) fn annex_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
    let scalar = BigNum::from_hex_str("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8").unwrap();
    let mut point = EcPoint::new(&group).unwrap();
    point.mul_generator2(&group, &scalar, &mut BigNumContext::new().unwrap()).unwrap();
    let key = PKey::from_ec_key(EcKey::from_private_components(&group, &scalar, &point).unwrap()).unwrap();
    // Through DER, so that OpenSSL holds it as a provider key: its CMS takes no other.
    PKey::private_key_from_der(&key.private_key_to_pkcs8().unwrap()).unwrap()
}

/// An entity with an SM2 key and a certificate that it issued to itself.
pub(crate) struct Party {
    pub(crate) key: PKey<Private>,
    pub(crate) x509: X509,
    pub(crate) certificate: Certificate,
}

impl Party {
    pub(crate) fn new(serial: u32) -> Self {
        Self::build(serial, false)
    }

    /// With a subject key identifier in its certificate.
    pub(crate) fn with_key_id(serial: u32) -> Self {
        Self::build(serial, true)
    }

    fn build(serial: u32, key_id: bool) -> Self {
        let group = EcGroup::from_curve_name(Nid::SM2).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        // Through DER, so that OpenSSL holds it as a provider key: its CMS takes no other.
        let key = PKey::private_key_from_der(&key.private_key_to_pkcs8().unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "party").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&openssl::asn1::Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&openssl::asn1::Asn1Time::days_from_now(9).unwrap()).unwrap();
        if key_id {
            let extension = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(extension).unwrap();
        }
        builder.sign(&key, MessageDigest::sm3()).unwrap();
        let x509 = builder.build();
        let certificate = Certificate::from_der(&x509.to_der().unwrap()).unwrap();
        Self { key, x509, certificate }
    }

    pub(crate) fn sign(&self, octets: &[u8]) -> Signature {
        let mut signer = Signer::new(MessageDigest::sm3(), &self.key).unwrap();
        signer.update(octets).unwrap();
        Signature::from_der(&signer.sign_to_vec().unwrap()).unwrap()
    }

    pub(crate) fn unseal(&self, sealed: &Sm2Ciphertext) -> Option<Sm4Key> {
        unseal(&self.key, sealed)
    }

    pub(crate) fn issuer_and_serial(&self) -> Vec<u8> {
        tlv(0x30, &[self.certificate.issuer_der(), &tlv(2, &[self.certificate.serial()])])
    }
}

/// Opens a session key with the private key, by OpenSSL.
pub(crate) fn unseal(key: &PKey<Private>, sealed: &Sm2Ciphertext) -> Option<Sm4Key> {
    let mut context = PkeyCtx::new(key).unwrap();
    context.decrypt_init().unwrap();
    let mut session = Vec::new();
    context.decrypt_to_vec(&sm2_cipher_to_der(sealed), &mut session).ok()?;
    Some(Sm4Key::new(session.try_into().unwrap()))
}

/// One element, with its length in as few octets as it takes.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=0x7f => out.push(u8::try_from(short).unwrap()),
        middle @ 0x80..=0xff => out.extend([0x81, u8::try_from(middle).unwrap()]),
        long => {
            out.push(0x82);
            out.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    out.extend(content);
    out
}

pub(crate) fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new(text).unwrap().to_der().unwrap()
}

pub(crate) fn algorithm(text: &str, parameters: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&oid(text), parameters])
}

pub(crate) const NULL: &[u8] = &[5, 0];
pub(crate) const GM: &str = "1.2.156.10197.6.1.4.2";
pub(crate) const PKCS7: &str = "1.2.840.113549.1.7";
pub(crate) const SM3: &str = "1.2.156.10197.1.401";
pub(crate) const SM2_SIGN: &str = "1.2.156.10197.1.301.1";
pub(crate) const SM2_ENCRYPT: &str = "1.2.156.10197.1.301.3";
pub(crate) const SM4_CBC: &str = "1.2.156.10197.1.104.2";

/// A `SignedData` in parts, each of which a test may replace. As made, it is what the standard says.
#[derive(Clone)]
pub(crate) struct SignedParts {
    pub(crate) outer: String,
    pub(crate) version: u8,
    pub(crate) digests: Vec<u8>,
    pub(crate) content_type: String,
    pub(crate) content: Vec<u8>,
    pub(crate) certificates: Vec<u8>,
    pub(crate) crls: Vec<u8>,
    pub(crate) signers: Vec<Vec<u8>>,
}

/// A `SignerInfo` in parts.
#[derive(Clone)]
pub(crate) struct SignerParts {
    pub(crate) version: u8,
    pub(crate) id: Vec<u8>,
    pub(crate) digest: Vec<u8>,
    pub(crate) attributes: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) unauthenticated: Vec<u8>,
}

impl SignerParts {
    pub(crate) fn new(party: &Party, signature: &Signature) -> Self {
        Self {
            version: 1,
            id: party.issuer_and_serial(),
            digest: algorithm(SM3, &[]),
            attributes: Vec::new(),
            algorithm: algorithm(SM2_SIGN, &[]),
            signature: signature.to_der(),
            unauthenticated: Vec::new(),
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        tlv(
            0x30,
            &[
                &[2, 1, self.version],
                &self.id,
                &self.digest,
                &self.attributes,
                &self.algorithm,
                &tlv(4, &[&self.signature]),
                &self.unauthenticated,
            ],
        )
    }
}

impl SignedParts {
    pub(crate) fn new(party: &Party, signer: &SignerParts) -> Self {
        Self {
            outer: format!("{GM}.2"),
            version: 1,
            digests: algorithm(SM3, &[]),
            content_type: format!("{GM}.1"),
            content: Vec::new(),
            certificates: tlv(0xa0, &[party.certificate.as_der()]),
            crls: Vec::new(),
            signers: vec![signer.der()],
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let body = tlv(
            0x30,
            &[
                &[2, 1, self.version],
                &tlv(0x31, &[&self.digests]),
                &tlv(0x30, &[&oid(&self.content_type), &self.content]),
                &self.certificates,
                &self.crls,
                &tlv(0x31, &[&self.signers.concat()]),
            ],
        );
        tlv(0x30, &[&oid(&self.outer), &tlv(0xa0, &[&body])])
    }
}

/// An `EnvelopedData` in parts.
#[derive(Clone)]
pub(crate) struct EnvelopedParts {
    pub(crate) outer: String,
    pub(crate) version: u8,
    pub(crate) recipients: Vec<Vec<u8>>,
    pub(crate) content_type: String,
    pub(crate) algorithm: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) shared: Vec<u8>,
}

/// A `RecipientInfo` in parts.
#[derive(Clone)]
pub(crate) struct RecipientParts {
    pub(crate) version: u8,
    pub(crate) id: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    pub(crate) encrypted_key: Vec<u8>,
}

impl RecipientParts {
    pub(crate) fn new(party: &Party, encrypted_key: &Sm2Ciphertext) -> Self {
        Self {
            version: 1,
            id: party.issuer_and_serial(),
            algorithm: algorithm(SM2_ENCRYPT, &[]),
            encrypted_key: sm2_cipher_to_der(encrypted_key),
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        tlv(0x30, &[&[2, 1, self.version], &self.id, &self.algorithm, &tlv(4, &[&self.encrypted_key])])
    }
}

impl EnvelopedParts {
    pub(crate) fn new(recipient: &RecipientParts, iv: &[u8; 16], ciphertext: Vec<u8>) -> Self {
        Self {
            outer: format!("{GM}.3"),
            version: 1,
            recipients: vec![recipient.der()],
            content_type: format!("{GM}.1"),
            algorithm: algorithm(SM4_CBC, &tlv(4, &[iv])),
            ciphertext,
            shared: Vec::new(),
        }
    }

    pub(crate) fn content(&self) -> Vec<u8> {
        tlv(0x30, &[&oid(&self.content_type), &self.algorithm, &tlv(0x80, &[&self.ciphertext]), &self.shared])
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let body = tlv(0x30, &[&[2, 1, self.version], &tlv(0x31, &[&self.recipients.concat()]), &self.content()]);
        tlv(0x30, &[&oid(&self.outer), &tlv(0xa0, &[&body])])
    }
}
