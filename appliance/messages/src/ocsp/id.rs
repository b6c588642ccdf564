use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::certificate::Certificate;
use crate::oid;
use crate::tlv::{self, Elements, context};

/// What a `CertID` is made with. Responders understand one or several of them; it protects nothing, it only names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertIdHash {
    Sm3,
    Sha256,
    Sha1,
}

impl CertIdHash {
    pub const ALL: [Self; 3] = [Self::Sm3, Self::Sha256, Self::Sha1];

    pub(super) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sm3 => oid::SM3,
            Self::Sha256 => oid::SHA256,
            Self::Sha1 => oid::SHA1,
        }
    }

    fn of(self, octets: &[u8]) -> Vec<u8> {
        match self {
            Self::Sm3 => yanqian_sm::sm3(&[octets]).to_vec(),
            Self::Sha256 => Sha256::digest(octets).to_vec(),
            Self::Sha1 => Sha1::digest(octets).to_vec(),
        }
    }
}

/// SHA-1 of a certificate's public key, as responders name themselves by (RFC 6960 §4.2.1, `KeyHash`).
pub(super) fn key_hash(certificate: &Certificate) -> Option<Vec<u8>> {
    subject_public_key(certificate).map(|key| CertIdHash::Sha1.of(&key))
}

/// The octets of the `subjectPublicKey` BIT STRING without tag, length and count of unused bits.
fn subject_public_key(certificate: &Certificate) -> Option<Vec<u8>> {
    let mut outer = Elements::new(certificate.spki_der(), "SubjectPublicKeyInfo").ok()?;
    let mut spki = outer.sequence().ok()?;
    spki.expect(Tag::Sequence).ok()?;
    let key = spki.expect(Tag::BitString).ok()?;
    key.value.get(1..).map(<[u8]>::to_vec)
}

/// A certificate as OCSP names it: by its issuer's name and key, hashed, and its serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertId {
    pub(super) hash: ObjectIdentifier,
    pub(super) issuer_name: Vec<u8>,
    pub(super) issuer_key: Vec<u8>,
    /// INTEGER value octets.
    pub(super) serial: Vec<u8>,
}

impl CertId {
    fn new(hash: CertIdHash, certificate: &Certificate, issuer: &Certificate) -> Option<Self> {
        Some(Self {
            hash: hash.oid(),
            issuer_name: hash.of(issuer.subject_der()),
            issuer_key: hash.of(&subject_public_key(issuer)?),
            serial: certificate.serial().to_vec(),
        })
    }

    /// Whether it names this certificate of this issuer. Another hash than ours names nothing.
    pub(super) fn names(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let hash = CertIdHash::ALL.into_iter().find(|hash| hash.oid() == self.hash);
        hash.and_then(|hash| Self::new(hash, certificate, issuer)).as_ref() == Some(self)
    }
}

/// DER `OCSPRequest` about one certificate, unsigned. A nonce of 1 to 32 octets (RFC 9654) where the responder takes one, none
/// where it is empty. None when the issuer's key cannot be read.
pub fn ocsp_request(
    hash: CertIdHash,
    certificate: &Certificate,
    issuer: &Certificate,
    nonce: &[u8],
) -> Option<Vec<u8>> {
    let id = CertId::new(hash, certificate, issuer)?;
    let cert_id = tlv::sequence(&[
        &tlv::algorithm(&id.hash, &tlv::write(Tag::Null, &[])),
        &tlv::octet_string(&id.issuer_name),
        &tlv::octet_string(&id.issuer_key),
        &tlv::write(Tag::Integer, &[&id.serial]),
    ]);
    let list = tlv::sequence(&[&tlv::sequence(&[&cert_id])]);
    let extensions = if nonce.is_empty() {
        Vec::new()
    } else {
        let value = tlv::octet_string(&tlv::octet_string(nonce));
        let extension = tlv::sequence(&[&tlv::oid(&oid::OCSP_NONCE), &value]);
        tlv::write(context(TagNumber(2), true), &[&tlv::sequence(&[&extension])])
    };
    Some(tlv::sequence(&[&tlv::sequence(&[&list, &extensions])]))
}
