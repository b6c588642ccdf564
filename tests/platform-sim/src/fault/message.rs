//! The `SignedData` around a signature.

use openssl::pkey::PKeyRef;
use time::OffsetDateTime;

use super::{Change, Desk, Fault};
use crate::der::{self, INTEGER, OCTET_STRING, SEQUENCE, SET};
use crate::pki::issuer_and_serial;
use crate::signed_data::{Message, algorithm, attribute, utc_time};
use crate::{SimError, oids, sm};

type Done = Result<(), SimError>;

const fn message(name: &'static str, change: fn(&mut Message, &Desk<'_>) -> Done) -> Fault {
    Fault::new(name, Change::Message(change))
}

const fn attributes(name: &'static str, change: fn(&mut Vec<Vec<u8>>)) -> Fault {
    Fault::new(name, Change::Attributes(change))
}

const fn octets(name: &'static str, change: fn(&mut Vec<u8>)) -> Fault {
    Fault::new(name, Change::Octets(change))
}

fn sha_256() -> Vec<u8> {
    algorithm(&der::oid(&[2, 16, 840, 1, 101, 3, 4, 2, 1]))
}

/// The attributes that are there, without those of one kind.
fn without(all: &mut Vec<Vec<u8>>, kind: u32) {
    let oid = oids::pkcs9(kind);
    all.retain(|attribute| !attribute.windows(oid.len()).any(|window| window == oid));
}

fn digest_of(octets: &[u8]) -> Vec<u8> {
    attribute(4, &der::tlv(OCTET_STRING, octets))
}

/// The signer once more, with a signature of its own by another key over the same.
fn second_signer(message: &mut Message, desk: &Desk<'_>, key: &PKeyRef<openssl::pkey::Private>) -> Done {
    let mut second = message.signers[0].clone();
    second.signature = sm::sign(key, desk.set.unwrap_or(desk.content))?;
    message.signers.push(second);
    Ok(())
}

/// The outermost length, which takes two octets, written in more.
fn long_form(octets: &mut Vec<u8>) {
    let head = 1 + usize::from(octets[1] & 0x7f) + 1;
    let length = octets[2..head].to_vec();
    octets.splice(1..head, [&[0x80 | 4][..], &vec![0; 4 - length.len()], &length].concat());
}

fn indefinite(octets: &mut Vec<u8>) {
    let head = 1 + usize::from(octets[1] & 0x7f) + 1;
    octets.splice(1..head, [0x80]);
    octets.extend([0, 0]);
}

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    octets("message/empty", Vec::clear),
    octets("message/one-octet", |o| o.truncate(1)),
    octets("message/cut-in-the-middle", |o| o.truncate(o.len() / 2)),
    octets("message/last-octet-missing", |o| { o.pop(); }),
    octets("message/octets-after-it", |o| o.extend([0, 0])),
    octets("message/twice", |o| { let again = o.clone(); o.extend(again); }),
    octets("message/indefinite-length", indefinite),
    octets("message/length-in-more-octets", long_form),
    octets("message/length-of-gigabytes", |o| { o.splice(1..4, [0x84, 0x7f, 0xff, 0xff, 0xff]); }),
    octets("message/length-that-overflows", |o| { o.splice(1..4, [0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]); }),
    octets("message/high-tag-number", |o| { o.splice(0..1, [0x3f, 0x10]); }),
    octets("message/deeply-nested", |o| *o = (0..300).fold(Vec::new(), |inner, _| der::tlv(SEQUENCE, &inner))),
    octets("message/without-content-info", |o| { let whole = o.clone(); if let Ok(outer) = der::single(&whole, SEQUENCE, "") { let mut parts = outer.reader(); let _ = parts.any(); if let Ok(explicit) = parts.any() { *o = explicit.content.to_vec(); } } }),
    octets("message/in-pem", |o| *o = format!("-----BEGIN PKCS7-----\n{}\n-----END PKCS7-----\n", openssl::base64::encode_block(o)).into_bytes()),

    message("message/content-type-data", |m, _| { m.content_type = oids::data(); Ok(()) }),
    message("message/content-type-enveloped", |m, _| { m.content_type = oids::enveloped_data(); Ok(()) }),
    message("message/content-type-unknown", |m, _| { m.content_type = der::oid(&[1, 2, 156, 10197, 6, 1, 4, 2, 9]); Ok(()) }),
    message("message/version-zero", |m, _| { m.version = der::small_integer(0); Ok(()) }),
    message("message/version-nine", |m, _| { m.version = der::small_integer(9); Ok(()) }),
    message("message/version-negative", |m, _| { m.version = der::tlv(INTEGER, &[0xff]); Ok(()) }),
    message("message/version-in-two-octets", |m, _| { m.version = der::tlv(INTEGER, &[0, 1]); Ok(()) }),
    message("message/digest-sha-256", |m, _| { m.digests = sha_256(); Ok(()) }),
    message("message/digest-sha-256-beside-sm3", |m, _| { m.digests.extend(sha_256()); Ok(()) }),
    message("message/inner-content-type-signed", |m, _| { m.inner_type = oids::signed_data(); Ok(()) }),
    message("message/content-the-other-way-round", |m, d| { m.content = m.content.take().map_or_else(|| Some(d.content.to_vec()), |_| None); Ok(()) }),
    message("message/content-of-something-else", |m, _| { m.content = Some(b"{}".to_vec()); Ok(()) }),
    message("message/no-signer", |m, _| { m.signers.clear(); Ok(()) }),
    message("message/two-signers", |m, d| second_signer(m, d, &d.pki.signing.key)),
    message("message/two-signers-the-wrong-one-first", |m, d| { second_signer(m, d, &d.pki.unpinned.key)?; m.signers.reverse(); Ok(()) }),
    message("message/no-certificates", |m, _| { m.certificates.clear(); Ok(()) }),
    message("message/another-certificate-in-its-place", |m, d| { m.certificates = vec![d.pki.unpinned.der.clone()]; Ok(()) }),
    message("message/element-before-the-signers", |m, _| { m.lists = der::tlv(der::context(2), &[]); Ok(()) }),
    message("message/element-after-the-signature", |m, _| { m.signers[0].unsigned = der::tlv(der::context(2), &[]); Ok(()) }),
    message("signer/version-zero", |m, _| { m.signers[0].version = der::small_integer(0); Ok(()) }),
    message("signer/version-three", |m, _| { m.signers[0].version = der::small_integer(3); Ok(()) }),
    message("signer/names-another-certificate", |m, d| { m.signers[0].names = issuer_and_serial(&d.pki.unpinned.der)?; Ok(()) }),
    message("signer/names-another-that-is-there", |m, d| { m.signers[0].names = issuer_and_serial(&d.pki.unpinned.der)?; m.certificates.push(d.pki.unpinned.der.clone()); Ok(()) }),
    message("signer/names-the-authority-that-is-there", |m, d| { m.signers[0].names = issuer_and_serial(&d.pki.issuing.der)?; m.certificates.push(d.pki.issuing.der.clone()); Ok(()) }),
    message("signer/names-the-revoked-that-is-there", |m, d| { m.signers[0].names = issuer_and_serial(&d.pki.revoked.der)?; m.certificates.push(d.pki.revoked.der.clone()); Ok(()) }),
    message("signer/serial-with-a-zero-octet-too-many", |m, d| { let names = issuer_and_serial(&d.pki.signing.der)?; let mut parts = der::single(&names, SEQUENCE, "")?.reader(); let (issuer, serial) = (parts.any()?, parts.any()?); m.signers[0].names = der::join(SEQUENCE, &[issuer.whole, &der::tlv(INTEGER, &[&[0], serial.content].concat())]); Ok(()) }),
    message("signer/named-by-key-identifier", |m, _| { m.signers[0].names = der::tlv(der::context_primitive(0), &[7; 20]); Ok(()) }),
    message("signer/digest-sha-256", |m, _| { m.signers[0].digest = sha_256(); Ok(()) }),
    message("signer/algorithm-ecdsa-with-sha-256", |m, _| { m.signers[0].algorithm = algorithm(&der::oid(&[1, 2, 840, 10045, 4, 3, 2])); Ok(()) }),
    message("signer/algorithm-rsa", |m, _| { m.signers[0].algorithm = algorithm(&der::oid(&[1, 2, 840, 113_549, 1, 1, 1])); Ok(()) }),
    message("signer/algorithm-sm9", |m, _| { m.signers[0].algorithm = algorithm(&der::oid(&[1, 2, 156, 10197, 1, 302, 1])); Ok(()) }),
    message("signer/algorithm-with-parameters", |m, _| { m.signers[0].algorithm = der::join(SEQUENCE, &[&oids::sm2_signature(), &der::small_integer(1)]); Ok(()) }),
    message("signer/signature-in-a-bit-string", |m, _| { let signature = der::tlv(der::BIT_STRING, &[&[0], &m.signers[0].signature[..]].concat()); m.signers[0].unsigned = signature; m.signers[0].signature.clear(); Ok(()) }),

    message("attributes/taken-away", |m, _| { m.signers[0].attributes.clear(); Ok(()) }),
    message("attributes/unsigned-ones-where-the-form-has-none", |m, d| { m.signers[0].attributes = der::tlv(der::context(0), &digest_of(&sm::sm3(d.content)?)); Ok(()) }),
    message("attributes/one-more-that-is-not-signed", |m, _| { let carried = std::mem::take(&mut m.signers[0].attributes); let inside = der::single(&carried, der::context(0), "")?.content; m.signers[0].attributes = der::tlv(der::context(0), &[inside, &attribute(99, &der::null())].concat()); Ok(()) }),
    message("attributes/sent-in-another-order-than-signed", |m, _| { let carried = std::mem::take(&mut m.signers[0].attributes); let mut parts = der::single(&carried, der::context(0), "")?.reader(); let mut all = Vec::new(); while !parts.is_empty() { all.push(parts.any()?.whole); } all.reverse(); m.signers[0].attributes = der::tlv(der::context(0), &all.concat()); Ok(()) }),
    attributes("attributes/none-inside", Vec::clear),
    attributes("attributes/digest-of-something-else", |a| { without(a, 4); a.push(digest_of(&sm::sm3(b"something else").unwrap_or_default())); }),
    attributes("attributes/digest-missing", |a| without(a, 4)),
    attributes("attributes/digest-twice", |a| { let again = a.iter().max_by_key(|one| one.len()).cloned(); a.extend(again); }),
    attributes("attributes/digest-with-two-values", |a| { without(a, 4); let value = der::tlv(OCTET_STRING, &[7; 32]); a.push(attribute(4, &[&value[..], &value].concat())); }),
    attributes("attributes/digest-without-a-value", |a| { without(a, 4); a.push(attribute(4, &[])); }),
    attributes("attributes/digest-of-31-octets", |a| { without(a, 4); a.push(digest_of(&[7; 31])); }),
    attributes("attributes/digest-in-hexadecimal", |a| { without(a, 4); a.push(digest_of(&[b'7'; 64])); }),
    attributes("attributes/content-type-signed", |a| { without(a, 3); a.push(attribute(3, &oids::signed_data())); }),
    attributes("attributes/content-type-twice", |a| a.push(attribute(3, &oids::data()))),
    attributes("attributes/signing-time-twice", |a| a.push(attribute(5, &utc_time(OffsetDateTime::UNIX_EPOCH)))),
    attributes("attributes/signing-time-not-a-time", |a| { without(a, 5); a.push(attribute(5, &der::tlv(OCTET_STRING, b"now"))); }),
    attributes("attributes/signing-time-impossible", |a| { without(a, 5); a.push(attribute(5, &der::tlv(der::UTC_TIME, b"261399000000Z"))); }),
    attributes("attributes/an-octet-string-among-them", |a| a.push(der::tlv(OCTET_STRING, b"attribute"))),

    message("honest/version-four", |m, _| { m.version = der::small_integer(4); Ok(()) }),
    message("honest/pkcs-7-content-types", |m, _| { m.content_type = der::oid(&[1, 2, 840, 113_549, 1, 7, 2]); m.inner_type = der::oid(&[1, 2, 840, 113_549, 1, 7, 1]); Ok(()) }),
    message("honest/algorithms-without-parameters", |m, _| { let bare = |oid: Vec<u8>| der::join(SEQUENCE, &[&oid]); m.digests = bare(oids::sm3()); m.signers[0].digest = bare(oids::sm3()); m.signers[0].algorithm = bare(oids::sm2_signature()); Ok(()) }),
    message("honest/algorithm-sm2-with-sm3", |m, _| { m.signers[0].algorithm = algorithm(&der::oid(&[1, 2, 156, 10197, 1, 501])); Ok(()) }),
    message("honest/unsigned-attributes", |m, _| { m.signers[0].unsigned = der::tlv(der::context(1), &attribute(99, &der::null())); Ok(()) }),
    message("honest/revocation-lists-along", |m, _| { m.lists = der::tlv(der::context(1), &der::join(SET, &[])); Ok(()) }),
    attributes("honest/attributes-signed-out-of-order", |a| a.reverse()),
    attributes("honest/attributes-of-unknown-kinds", |a| a.push(attribute(99, &der::null()))),
    attributes("honest/no-signing-time", |a| without(a, 5)),
];
