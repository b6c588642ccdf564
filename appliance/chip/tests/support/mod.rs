//! Authorities, document signers and chips, written in DER by hand so that everything in them can be wrong.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, dead_code)]

use der::Encode as _;
use der::asn1::ObjectIdentifier;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use sm2::dsa::signature::Signer as _;
use yanqian_sm::sm3;
use yanqian_vocabulary::{ChipFile, ChipFiles, Timestamp};

/// 2026-11-23, and the validity of certificates around it.
pub(crate) const VALID: (&str, &str) = ("20250101000000Z", "20360101000000Z");

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_392_000_000)
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let length = match length {
        0..=0x7f => vec![u8::try_from(length).unwrap()],
        _ => [&[0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
    };
    // DER wants the shortest.
    let length = if length.len() == 3 && length[1] == 0 { vec![0x81, length[2]] } else { length };
    [&[tag][..], &length, content].concat()
}

pub(crate) fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(crate) fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new_unwrap(text).to_der().unwrap()
}

pub(crate) fn unsigned(octets: &[u8]) -> Vec<u8> {
    let start = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
    let octets = &octets[start..];
    if octets.first().is_none_or(|first| first & 0x80 != 0) { tlv(2, &[&[0], octets].concat()) } else { tlv(2, octets) }
}

pub(crate) fn name(common_name: &str) -> Vec<u8> {
    let part = |kind, tag, text: &str| tlv(0x31, &seq(&[&oid(kind), &tlv(tag, text.as_bytes())]));
    seq(&[&part("2.5.4.6", 0x13, "CN"), &part("2.5.4.3", 0x0c, common_name)])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sm3,
}

impl Hash {
    pub(crate) fn identifier(self) -> Vec<u8> {
        seq(&[&oid(match self {
            Self::Sha1 => "1.3.14.3.2.26",
            Self::Sha224 => "2.16.840.1.101.3.4.2.4",
            Self::Sha256 => "2.16.840.1.101.3.4.2.1",
            Self::Sha384 => "2.16.840.1.101.3.4.2.2",
            Self::Sha512 => "2.16.840.1.101.3.4.2.3",
            Self::Sm3 => "1.2.156.10197.1.401",
        })])
    }

    fn openssl(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha224 => MessageDigest::sha224(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
            Self::Sm3 => MessageDigest::sm3(),
        }
    }

    pub(crate) fn of(self, octets: &[u8]) -> Vec<u8> {
        if self == Self::Sm3 { sm3(&[octets]).to_vec() } else { hash(self.openssl(), octets).unwrap().to_vec() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Pkcs1(u32),
    Pss,
    Ecdsa(Nid),
    /// The curve spelt out.
    Explicit(Nid),
    Sm2,
}

/// Somebody who signs.
pub(crate) struct Party {
    pub(crate) spki: Vec<u8>,
    /// `AlgorithmIdentifier` of the signatures.
    pub(crate) algorithm: Vec<u8>,
    pub(crate) hash: Hash,
    scheme: Scheme,
    key: Option<PKey<Private>>,
    sm2: Option<sm2::dsa::SigningKey>,
}

impl Party {
    pub(crate) fn new(scheme: Scheme, hash: Hash) -> Self {
        let null: &[u8] = &[5, 0];
        let spki;
        let (mut key, mut sm2) = (None, None);
        let algorithm = match scheme {
            Scheme::Pkcs1(bits) => {
                let rsa = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
                spki = rsa.public_key_to_der().unwrap();
                key = Some(rsa);
                let kind = match hash {
                    Hash::Sha1 => "1.2.840.113549.1.1.5",
                    Hash::Sha384 => "1.2.840.113549.1.1.12",
                    Hash::Sha512 => "1.2.840.113549.1.1.13",
                    _ => "1.2.840.113549.1.1.11",
                };
                seq(&[&oid(kind), null])
            }
            Scheme::Pss => {
                let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
                spki = rsa.public_key_to_der().unwrap();
                key = Some(rsa);
                let mask = seq(&[&oid("1.2.840.113549.1.1.8"), &hash.identifier()]);
                let salt = tlv(0xa2, &unsigned(&[32]));
                let parameters = seq(&[&tlv(0xa0, &hash.identifier()), &tlv(0xa1, &mask), &salt]);
                seq(&[&oid("1.2.840.113549.1.1.10"), &parameters])
            }
            Scheme::Ecdsa(nid) | Scheme::Explicit(nid) => {
                let group = EcGroup::from_curve_name(nid).unwrap();
                let ec = EcKey::generate(&group).unwrap();
                let mut context = BigNumContext::new().unwrap();
                let point = ec.public_key().to_bytes(&group, PointConversionForm::UNCOMPRESSED, &mut context).unwrap();
                let pkey = PKey::from_ec_key(ec).unwrap();
                spki = if scheme == Scheme::Ecdsa(nid) {
                    pkey.public_key_to_der().unwrap()
                } else {
                    spelt_out(&explicit(nid, &generator(nid)), &point)
                };
                key = Some(pkey);
                seq(&[&oid(match hash {
                    Hash::Sha1 => "1.2.840.10045.4.1",
                    Hash::Sha224 => "1.2.840.10045.4.3.1",
                    Hash::Sha384 => "1.2.840.10045.4.3.3",
                    Hash::Sha512 => "1.2.840.10045.4.3.4",
                    _ => "1.2.840.10045.4.3.2",
                })])
            }
            Scheme::Sm2 => {
                let secret = sm2::SecretKey::from_slice(&openssl_random()).unwrap();
                let signing = sm2::dsa::SigningKey::new("1234567812345678", &secret).unwrap();
                let sec1: [u8; 65] = signing.verifying_key().to_sec1_bytes()[..].try_into().unwrap();
                spki = yanqian_sm::PublicKey::from_sec1(&sec1).unwrap().to_spki_der();
                sm2 = Some(signing);
                seq(&[&oid("1.2.156.10197.1.501")])
            }
        };
        Self { spki, algorithm, hash, scheme, key, sm2 }
    }

    pub(crate) fn sign(&self, octets: &[u8]) -> Vec<u8> {
        let Some(key) = &self.key else {
            let signature: sm2::dsa::Signature = self.sm2.as_ref().unwrap().sign(octets);
            let raw = signature.to_bytes();
            return seq(&[&unsigned(&raw[..32]), &unsigned(&raw[32..])]);
        };
        let mut signer = Signer::new(self.hash.openssl(), key).unwrap();
        if self.scheme == Scheme::Pss {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::custom(32)).unwrap();
            signer.set_rsa_mgf1_md(self.hash.openssl()).unwrap();
        }
        signer.sign_oneshot_to_vec(octets).unwrap()
    }
}

fn openssl_random() -> [u8; 32] {
    let mut octets = [0; 32];
    openssl::rand::rand_bytes(&mut octets[1..]).unwrap();
    octets
}

pub(crate) fn generator(nid: Nid) -> Vec<u8> {
    let group = EcGroup::from_curve_name(nid).unwrap();
    let mut context = BigNumContext::new().unwrap();
    group.generator_opt().unwrap().to_bytes(&group, PointConversionForm::UNCOMPRESSED, &mut context).unwrap()
}

/// `SpecifiedECDomain` of a curve with some base point.
pub(crate) fn explicit(nid: Nid, base: &[u8]) -> Vec<u8> {
    let group = EcGroup::from_curve_name(nid).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let [mut p, mut a, mut b, mut n] = [0; 4].map(|_| BigNum::new().unwrap());
    group.components_gfp(&mut p, &mut a, &mut b, &mut context).unwrap();
    group.order(&mut n, &mut context).unwrap();
    let length = p.num_bytes();
    let padded = |number: &BigNum| tlv(4, &number.to_vec_padded(length).unwrap());
    seq(&[
        &unsigned(&[1]),
        &seq(&[&oid("1.2.840.10045.1.1"), &unsigned(&p.to_vec())]),
        &seq(&[&padded(&a), &padded(&b)]),
        &tlv(4, base),
        &unsigned(&n.to_vec()),
        &unsigned(&[1]),
    ])
}

pub(crate) fn spelt_out(parameters: &[u8], point: &[u8]) -> Vec<u8> {
    seq(&[&seq(&[&oid("1.2.840.10045.2.1"), parameters]), &tlv(3, &[&[0], point].concat())])
}

pub(crate) fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    seq(&[&oid(kind), critical, &tlv(4, value)])
}

pub(crate) fn key_usage(bits: u8, unused: u8) -> Vec<u8> {
    extension("2.5.29.15", true, &tlv(3, &[unused, bits]))
}

pub(crate) fn of_authority() -> Vec<u8> {
    [extension("2.5.29.19", true, &seq(&[&[1, 1, 0xff], &unsigned(&[0])])), key_usage(0x06, 1)].concat()
}

pub(crate) fn of_signer() -> Vec<u8> {
    [key_usage(0x80, 7), extension("2.23.136.1.1.6.2", false, &seq(&[&unsigned(&[0]), &tlv(0x31, &tlv(0x13, b"P"))]))]
        .concat()
}

/// A certificate as it is described.
pub(crate) struct Described<'a> {
    pub(crate) subject: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) serial: u8,
    pub(crate) spki: &'a [u8],
    pub(crate) validity: (&'a str, &'a str),
    pub(crate) extensions: Vec<u8>,
}

impl Described<'_> {
    pub(crate) fn signed_by(&self, issuer: &Party) -> Vec<u8> {
        let day = |text: &str| tlv(0x18, text.as_bytes());
        // RFC 5280: two digits of the year until 2049.
        let time = |text: &str| if text < "2050" { tlv(0x17, &text.as_bytes()[2..]) } else { day(text) };
        let tbs = seq(&[
            &tlv(0xa0, &unsigned(&[2])),
            &unsigned(&[self.serial]),
            &issuer.algorithm,
            &name(self.issuer),
            &seq(&[&time(self.validity.0), &time(self.validity.1)]),
            &name(self.subject),
            self.spki,
            &tlv(0xa3, &tlv(0x30, &self.extensions)),
        ]);
        seq(&[&tbs, &issuer.algorithm, &tlv(3, &[&[0][..], &issuer.sign(&tbs)].concat())])
    }
}

pub(crate) fn authority(party: &Party, subject: &str) -> Vec<u8> {
    let extensions = of_authority();
    Described { subject, issuer: subject, serial: 1, spki: &party.spki, validity: VALID, extensions }.signed_by(party)
}

/// What stands in EF.SOD, part by part.
pub(crate) struct Object<'a> {
    pub(crate) groups: Vec<(u8, Vec<u8>)>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) issuer: &'a str,
    pub(crate) serial: u8,
    pub(crate) content_type: &'a str,
}

impl Object<'_> {
    pub(crate) fn content(&self, hash: Hash) -> Vec<u8> {
        let group = |(number, digest): &(u8, Vec<u8>)| seq(&[&unsigned(&[*number]), &tlv(4, digest)]);
        let groups: Vec<u8> = self.groups.iter().flat_map(group).collect();
        seq(&[&unsigned(&[0]), &hash.identifier(), &tlv(0x30, &groups)])
    }

    pub(crate) fn attributes(&self, hash: Hash) -> Vec<u8> {
        let attribute = |kind, value: &[u8]| seq(&[&oid(kind), &tlv(0x31, value)]);
        let digest = tlv(4, &hash.of(&self.content(hash)));
        [attribute("1.2.840.113549.1.9.3", &oid(self.content_type)), attribute("1.2.840.113549.1.9.4", &digest)]
            .concat()
    }

    /// The `ContentInfo`, signed.
    pub(crate) fn message(&self, signer: &Party) -> Vec<u8> {
        let hash = signer.hash;
        let attributes = self.attributes(hash);
        let info = seq(&[
            &unsigned(&[1]),
            &seq(&[&name(self.issuer), &unsigned(&[self.serial])]),
            &hash.identifier(),
            &tlv(0xa0, &attributes),
            &signer.algorithm,
            &tlv(4, &signer.sign(&tlv(0x31, &attributes))),
        ]);
        let content = tlv(4, &self.content(hash));
        let data = seq(&[
            &unsigned(&[3]),
            &tlv(0x31, &hash.identifier()),
            &seq(&[&oid("2.23.136.1.1.1"), &tlv(0xa0, &content)]),
            &tlv(0xa0, &self.certificate),
            &tlv(0x31, &info),
        ]);
        seq(&[&oid("1.2.840.113549.1.7.2"), &tlv(0xa0, &data)])
    }
}

pub(crate) const COM: &[u8] = &[0x60, 0x04, 0x5c, 0x02, 0x61, 0x75];
pub(crate) const DG1: &[u8] = b"\x61\x05ZONES";
pub(crate) const DG2: &[u8] = b"\x75\x08PORTRAIT";

pub(crate) fn groups(hash: Hash) -> Vec<(u8, Vec<u8>)> {
    vec![(1, hash.of(DG1)), (2, hash.of(DG2))]
}

pub(crate) fn files(message: &[u8]) -> ChipFiles {
    with(COM, DG1, DG2, message)
}

pub(crate) fn with(com: &[u8], dg1: &[u8], dg2: &[u8], message: &[u8]) -> ChipFiles {
    let file = |octets: &[u8]| ChipFile::new(octets.to_vec());
    ChipFiles { com: file(com), dg1: file(dg1), dg2: file(dg2), sod: file(&tlv(0x77, message)) }
}

/// An authority, a document signer, and what they make.
pub(crate) struct Country {
    pub(crate) authority: Party,
    pub(crate) signer: Party,
    root: Vec<u8>,
}

impl Country {
    pub(crate) fn new(authority: Party, signer: Party) -> Self {
        let root = self::authority(&authority, "CSCA");
        Self { authority, signer, root }
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        self.root.clone()
    }

    pub(crate) fn described(&self) -> Described<'_> {
        let extensions = of_signer();
        Described { subject: "DS", issuer: "CSCA", serial: 7, spki: &self.signer.spki, validity: VALID, extensions }
    }

    pub(crate) fn object(&self, certificate: Vec<u8>) -> Object<'static> {
        let groups = groups(self.signer.hash);
        Object { groups, certificate, issuer: "CSCA", serial: 7, content_type: "2.23.136.1.1.1" }
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        self.object(self.described().signed_by(&self.authority)).message(&self.signer)
    }
}
