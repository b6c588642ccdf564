//! Certificates, lists and stores of any kind, good and bad, on OpenSSL alone.
#![allow(dead_code)] // each suite uses what it needs

use std::path::Path;

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, CrlNumber, ExtendedKeyUsage, KeyUsage};
use openssl::x509::{X509, X509CrlBuilder, X509Extension, X509Name, X509RevokedBuilder};
use yanqian_messages::Certificate;

/// 2026-01-01T00:00:00Z: what tests call now.
pub(crate) const NOW: i64 = 1_767_225_600;
pub(crate) const DAY: i64 = 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sm2,
    P256,
    P384,
    P224,
    Rsa(u32),
}

pub(crate) fn key(algorithm: Algorithm) -> PKey<Private> {
    let curve = |nid| PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(nid).unwrap()).unwrap()).unwrap();
    match algorithm {
        Algorithm::Sm2 => curve(Nid::SM2),
        Algorithm::P256 => curve(Nid::X9_62_PRIME256V1),
        Algorithm::P384 => curve(Nid::SECP384R1),
        Algorithm::P224 => curve(Nid::SECP224R1),
        Algorithm::Rsa(bits) => PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap(),
    }
}

fn digest(algorithm: Algorithm) -> MessageDigest {
    match algorithm {
        Algorithm::Sm2 => MessageDigest::sm3(),
        Algorithm::P384 => MessageDigest::sha384(),
        _ => MessageDigest::sha256(),
    }
}

/// Who signs and is signed.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: PKey<Private>,
    pub x509: X509,
}

impl Identity {
    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::from_der(&self.x509.to_der().unwrap()).unwrap()
    }
}

/// What a certificate says. By default an end entity's that may sign, valid for a year around [`NOW`].
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) subject: String,
    pub(crate) algorithm: Algorithm,
    /// In the place of the issuer's own.
    pub(crate) digest: Option<MessageDigest>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) authority: bool,
    pub(crate) path_length: Option<u32>,
    /// Bits by their names in RFC 5280; none means no extension.
    pub(crate) usage: Vec<&'static str>,
    pub(crate) extended: Vec<&'static str>,
    /// Object identifier, critical, DER.
    pub(crate) extensions: Vec<(&'static str, bool, Vec<u8>)>,
    pub(crate) serial: u32,
}

impl Spec {
    pub(crate) fn end(subject: &str, algorithm: Algorithm) -> Self {
        Self {
            subject: subject.to_owned(),
            algorithm,
            digest: None,
            not_before: NOW - 180 * DAY,
            not_after: NOW + 180 * DAY,
            authority: false,
            path_length: None,
            usage: vec!["digitalSignature", "nonRepudiation"],
            extended: Vec::new(),
            extensions: Vec::new(),
            serial: 0,
        }
    }

    pub(crate) fn authority(subject: &str, algorithm: Algorithm) -> Self {
        Self { authority: true, usage: vec!["keyCertSign", "cRLSign"], ..Self::end(subject, algorithm) }
    }

    pub(crate) fn valid(self, not_before: i64, not_after: i64) -> Self {
        Self { not_before, not_after, ..self }
    }

    /// With a key of its own; self-signed when there is no issuer.
    pub(crate) fn issue(&self, issuer: Option<&Identity>) -> Identity {
        self.issue_for(&key(self.algorithm), issuer)
    }

    pub(crate) fn issue_for(&self, key: &PKey<Private>, issuer: Option<&Identity>) -> Identity {
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let mut serial = BigNum::from_u32(self.serial).unwrap();
        if self.serial == 0 {
            serial.rand(100, openssl::bn::MsbOption::ONE, false).unwrap();
        }
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        let subject = name(&self.subject);
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.x509.subject_name())).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(self.not_before).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(self.not_after).unwrap()).unwrap();
        let public = PKey::public_key_from_der(&key.public_key_to_der().unwrap()).unwrap();
        builder.set_pubkey(&public).unwrap();
        if self.authority {
            let mut basic = BasicConstraints::new();
            basic.critical().ca();
            if let Some(length) = self.path_length {
                basic.pathlen(length);
            }
            builder.append_extension2(&basic.build().unwrap()).unwrap();
        }
        if !self.usage.is_empty() {
            let mut usage = KeyUsage::new();
            usage.critical();
            for bit in &self.usage {
                match *bit {
                    "digitalSignature" => usage.digital_signature(),
                    "nonRepudiation" => usage.non_repudiation(),
                    "keyEncipherment" => usage.key_encipherment(),
                    "dataEncipherment" => usage.data_encipherment(),
                    "keyAgreement" => usage.key_agreement(),
                    "keyCertSign" => usage.key_cert_sign(),
                    "cRLSign" => usage.crl_sign(),
                    other => panic!("{other}"),
                };
            }
            builder.append_extension2(&usage.build().unwrap()).unwrap();
        }
        if !self.extended.is_empty() {
            let mut extended = ExtendedKeyUsage::new();
            for name in &self.extended {
                extended.other(name);
            }
            builder.append_extension2(&extended.build().unwrap()).unwrap();
        }
        for (oid, critical, der) in &self.extensions {
            builder.append_extension2(&extension(oid, *critical, der)).unwrap();
        }
        let signer = issuer.map_or(key, |issuer| &issuer.key);
        let by = issuer.map_or(self.algorithm, |issuer| issuer.algorithm);
        builder.sign(signer, self.digest.unwrap_or_else(|| digest(by))).unwrap();
        Identity { algorithm: self.algorithm, key: key.clone(), x509: builder.build() }
    }
}

pub(crate) fn extension(oid: &str, critical: bool, der: &[u8]) -> X509Extension {
    let oid = Asn1Object::from_str(oid).unwrap();
    X509Extension::new_from_der(&oid, critical, &Asn1OctetString::new_from_bytes(der).unwrap()).unwrap()
}

/// `C=CN`, `O=Test`, and the common name.
pub(crate) fn name(common_name: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COUNTRYNAME, "CN").unwrap();
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Test").unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, common_name).unwrap();
    name.build()
}

/// A complete list, PEM.
pub(crate) fn crl(issuer: &Identity, revoked: &[&Identity], this_update: i64, next_update: i64) -> Vec<u8> {
    crl_with(issuer, revoked, this_update, next_update, &[])
}

/// A complete and empty list, PEM, signed over this digest.
pub(crate) fn crl_signed_with(by: MessageDigest, issuer: &Identity, this_update: i64, next_update: i64) -> Vec<u8> {
    make_crl(issuer, &[], [this_update, next_update], &[], by)
}

pub(crate) fn crl_with(
    issuer: &Identity,
    revoked: &[&Identity],
    this_update: i64,
    next_update: i64,
    extensions: &[(&str, bool, Vec<u8>)],
) -> Vec<u8> {
    make_crl(issuer, revoked, [this_update, next_update], extensions, digest(issuer.algorithm))
}

fn make_crl(
    issuer: &Identity,
    revoked: &[&Identity],
    [this_update, next_update]: [i64; 2],
    extensions: &[(&str, bool, Vec<u8>)],
    by: MessageDigest,
) -> Vec<u8> {
    let mut builder = X509CrlBuilder::new().unwrap();
    builder.set_issuer_name(issuer.x509.subject_name()).unwrap();
    let this_update = Asn1Time::from_unix(this_update).unwrap();
    builder.set_last_update(&this_update).unwrap();
    builder.set_next_update(&Asn1Time::from_unix(next_update).unwrap()).unwrap();
    for identity in revoked {
        let mut entry = X509RevokedBuilder::new().unwrap();
        let serial = identity.x509.serial_number().to_bn().unwrap();
        entry.set_serial_number(&Asn1Integer::from_bn(&serial).unwrap()).unwrap();
        entry.set_revocation_date(&this_update).unwrap();
        builder.add_revoked(entry.build()).unwrap();
    }
    builder.append_extension(CrlNumber::new(BigNum::from_u32(1).unwrap()).unwrap().build().unwrap()).unwrap();
    // The crate wants an authority key identifier; nobody here reads it.
    let id = [&[0x30, 22, 0x80, 20][..], &issuer.certificate().key_id()[..20]].concat();
    builder.append_extension(extension("2.5.29.35", false, &id)).unwrap();
    for (oid, critical, der) in extensions {
        builder.append_extension(extension(oid, *critical, der)).unwrap();
    }
    builder.sign(&issuer.key, by).unwrap();
    builder.build().unwrap().to_pem().unwrap()
}

pub(crate) fn write(directory: &Path, file: &str, content: &[u8]) {
    let file = directory.join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

/// The folders of a store with these anchors and intermediates, and an encryption certificate; pins as given.
pub(crate) fn store(directory: &Path, anchors: &[&Identity], intermediates: &[&Identity], signers: &str) {
    for (folder, all) in [("anchors", anchors), ("intermediates", intermediates), ("tls-anchors", anchors)] {
        std::fs::create_dir_all(directory.join(folder)).unwrap();
        for (number, identity) in all.iter().enumerate() {
            write(directory, &format!("{folder}/{number}.pem"), &identity.x509.to_pem().unwrap());
        }
    }
    std::fs::create_dir_all(directory.join("crls")).unwrap();
    let mut encryption = Spec::end("encryption", Algorithm::Sm2);
    encryption.usage = vec!["keyEncipherment", "dataEncipherment", "keyAgreement"];
    write(directory, "encryption.pem", &encryption.issue(None).x509.to_pem().unwrap());
    write(directory, "signers.toml", signers.as_bytes());
}

/// `signers.toml` that pins these by their keys.
pub(crate) fn pins(signers: &[&Identity]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("format_version = 1\n");
    for signer in signers {
        let id = hex::encode(signer.certificate().key_id());
        let _ = write!(text, "\n[[signer]]\nname = \"s\"\nrole = \"signing\"\nkey_id = \"{id}\"\n");
    }
    text
}
