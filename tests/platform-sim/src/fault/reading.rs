//! The sealed reading. It is always named by its digest in the signed package, so that only opening it can tell.

use super::{Change, Fault};
use crate::der::{self, INTEGER, OCTET_STRING, Reader, SEQUENCE};
use crate::envelope::Envelope;
use crate::pki::issuer_and_serial;
use crate::{SimError, oids, sm};

/// A reading before it is sealed.
#[derive(Debug)]
pub(crate) struct Sealing<'a> {
    /// JSON.
    pub(crate) plain: &'a str,
    /// The entity's encryption certificate.
    pub(crate) entity: &'a [u8],
    /// Some other encryption certificate.
    pub(crate) other: &'a [u8],
}

type Octets = Result<Vec<u8>, SimError>;

impl Sealing<'_> {
    fn envelope(&self, change: impl FnOnce(&mut Envelope) -> Result<(), SimError>) -> Octets {
        let mut envelope = Envelope::new(self.plain.as_bytes(), self.entity, &sm::random()?)?;
        change(&mut envelope)?;
        Ok(envelope.to_der())
    }

    /// Seals another text.
    fn seal(&self, plain: &str) -> Octets {
        crate::envelope::seal(plain.as_bytes(), self.entity)
    }

    /// The four parts of the sealed key: x, y, hash, ciphertext.
    fn key(&self, change: impl FnOnce(&mut [Vec<u8>; 4])) -> Octets {
        self.envelope(|envelope| {
            let cipher = envelope.recipients[0].key.clone();
            let mut reader = der::single(&cipher, SEQUENCE, "SM2Cipher")?.reader();
            let next = |reader: &mut Reader<'_>| Ok::<_, SimError>(reader.any()?.content.to_vec());
            let mut parts = [next(&mut reader)?, next(&mut reader)?, next(&mut reader)?, next(&mut reader)?];
            change(&mut parts);
            let [x, y, hash, content] = &parts;
            let tags = [INTEGER, INTEGER, OCTET_STRING, OCTET_STRING];
            let parts: Vec<_> =
                tags.into_iter().zip([x, y, hash, content]).map(|(tag, part)| der::tlv(tag, part)).collect();
            envelope.recipients[0].key = der::tlv(SEQUENCE, &parts.concat());
            Ok(())
        })
    }

    /// The sealed key without DER: C1 behind its 04, and what follows in this order.
    fn raw_key(&self, order: fn(Vec<u8>, Vec<u8>) -> [Vec<u8>; 2]) -> Octets {
        self.envelope(|envelope| {
            let cipher = envelope.recipients[0].key.clone();
            let mut reader = der::single(&cipher, SEQUENCE, "SM2Cipher")?.reader();
            let mut raw = vec![4];
            for _ in 0..2 {
                let coordinate = reader.any()?.content;
                let digits = coordinate.strip_prefix(&[0]).filter(|rest| rest.len() == 32).unwrap_or(coordinate);
                raw.extend(std::iter::repeat_n(0, 32 - digits.len()));
                raw.extend(digits);
            }
            let (hash, content) = (reader.any()?.content.to_vec(), reader.any()?.content.to_vec());
            raw.extend(order(hash, content).concat());
            envelope.recipients[0].key = raw;
            Ok(())
        })
    }

    /// A content key of another length than SM4 has.
    fn key_of(&self, key: &[u8]) -> Octets {
        let public = openssl::x509::X509::from_der(self.entity)?.public_key()?;
        self.envelope(|envelope| {
            envelope.recipients[0].key = sm::encrypt_key(&public, key)?;
            Ok(())
        })
    }
}

fn flip(octets: &mut [u8]) {
    if let Some(last) = octets.last_mut() {
        *last ^= 1;
    }
}

fn without_last_member(plain: &str) -> String {
    let at = plain.rfind(",\"").unwrap_or(0);
    format!("{}}}", &plain[..at])
}

const fn row(name: &'static str, change: fn(&Sealing<'_>) -> Octets) -> Fault {
    Fault::new(name, Change::Reading(change))
}

#[rustfmt::skip]
pub(super) const ALL: &[Fault] = &[
    row("reading/to-somebody-else", |s| crate::envelope::seal(s.plain.as_bytes(), s.other)),
    row("reading/key-of-somebody-else-under-our-name", |s| { let names = issuer_and_serial(s.entity)?; let mut envelope = Envelope::new(s.plain.as_bytes(), s.other, &sm::random()?)?; envelope.recipients[0].names = names; Ok(envelope.to_der()) }),
    row("reading/hash-of-the-key-altered", |s| s.key(|[_, _, hash, _]| flip(hash))),
    row("reading/hash-of-the-key-zero", |s| s.key(|[_, _, hash, _]| hash.fill(0))),
    row("reading/hash-of-the-key-short", |s| s.key(|[_, _, hash, _]| hash.truncate(31))),
    row("reading/key-altered", |s| s.key(|[_, _, _, key]| flip(key))),
    row("reading/key-empty", |s| s.key(|[_, _, _, key]| key.clear())),
    row("reading/point-off-the-curve", |s| s.key(|[_, y, _, _]| flip(y))),
    row("reading/point-zero", |s| s.key(|[x, y, _, _]| { *x = vec![0]; *y = vec![0]; })),
    row("reading/point-above-the-field", |s| s.key(|[x, _, _, _]| *x = [&[0][..], &[0xff; 32]].concat())),
    row("reading/key-of-15-octets", |s| s.key_of(&[7; 15])),
    row("reading/key-of-32-octets", |s| s.key_of(&[7; 32])),
    row("reading/key-as-c1-c3-c2", |s| s.raw_key(|hash, content| [hash, content])),
    row("reading/key-as-c1-c2-c3", |s| s.raw_key(|hash, content| [content, hash])),
    row("reading/another-key", |s| s.key_of(&[7; 16])),
    row("reading/padding-altered", |s| s.envelope(|e| { let at = e.content.len() - 17; e.content[at] ^= 0x40; Ok(()) })),
    row("reading/last-block-missing", |s| s.envelope(|e| { e.content.truncate(e.content.len() - 16); Ok(()) })),
    row("reading/last-octet-missing", |s| s.envelope(|e| { e.content.pop(); Ok(()) })),
    row("reading/content-empty", |s| s.envelope(|e| { e.content.clear(); Ok(()) })),
    row("reading/first-block-altered", |s| s.envelope(|e| { e.content[0] ^= 1; Ok(()) })),
    row("reading/iv-of-eight-octets", |s| s.envelope(|e| { e.algorithm = der::join(SEQUENCE, &[&oids::sm4_cbc(), &der::tlv(OCTET_STRING, &[7; 8])]); Ok(()) })),
    row("reading/iv-missing", |s| s.envelope(|e| { e.algorithm = der::join(SEQUENCE, &[&oids::sm4_cbc()]); Ok(()) })),
    row("reading/by-aes", |s| s.envelope(|e| { e.algorithm = der::join(SEQUENCE, &[&der::oid(&[2, 16, 840, 1, 101, 3, 4, 1, 2]), &der::tlv(OCTET_STRING, &[7; 16])]); Ok(()) })),
    row("reading/key-by-rsa", |s| s.envelope(|e| { e.recipients[0].algorithm = der::join(SEQUENCE, &[&der::oid(&[1, 2, 840, 113_549, 1, 1, 1]), &der::null()]); Ok(()) })),
    row("reading/no-recipient", |s| s.envelope(|e| { e.recipients.clear(); Ok(()) })),
    row("reading/version-nine", |s| s.envelope(|e| { e.version = der::small_integer(9); Ok(()) })),
    row("reading/of-a-message-type", |s| s.envelope(|e| { e.content_type = oids::signed_data(); Ok(()) })),
    row("reading/octets-after-it", |s| Ok([crate::envelope::seal(s.plain.as_bytes(), s.entity)?, vec![0, 0]].concat())),
    row("reading/cut", |s| { let mut sealed = crate::envelope::seal(s.plain.as_bytes(), s.entity)?; sealed.truncate(sealed.len() / 2); Ok(sealed) }),
    row("reading/empty", |_| Ok(Vec::new())),
    row("reading/not-sealed", |s| Ok(s.plain.as_bytes().to_vec())),
    row("reading/text-empty", |s| s.seal("")),
    row("reading/text-not-an-object", |s| s.seal(&format!("[{}]", s.plain))),
    row("reading/member-missing", |s| s.seal(&without_last_member(s.plain))),
    row("reading/member-more", |s| s.seal(&format!("{},\"approved\":true}}", s.plain.trim_end_matches('}')))),
    row("reading/member-twice", |s| s.seal(&format!("{},{}", without_last_member(s.plain).trim_end_matches('}'), &s.plain[1..]))),
    row("reading/two-objects", |s| s.seal(&format!("{0}{0}", s.plain))),
    row("reading/larger-than-any-reading", |s| s.seal(&format!("{}{}", s.plain, " ".repeat(17 << 10)))),
    row("reading/number-in-lowercase", |s| { let mut chars: Vec<char> = s.plain.chars().collect(); if let Some(at) = s.plain.find("\":\"E") { chars[at + 3] = 'e'; } s.seal(&chars.into_iter().collect::<String>()) }),
    row("reading/birth-date-impossible", |s| { let text = s.plain; let at = text.find("irth").and_then(|at| text[at..].find("\":\"").map(|more| at + more + 3)).or_else(|| text.find("dob\":\"").map(|at| at + 6)).unwrap_or(0); let mut octets = text.as_bytes().to_vec(); octets[at..at + 4].copy_from_slice(b"99-9"); s.seal(&String::from_utf8_lossy(&octets)) }),
];
