use std::sync::{Mutex, PoisonError};

use openssl::asn1::Asn1Time;
use openssl::x509::{CrlStatus, X509, X509Crl};
use x509_parser::prelude::{CertificateRevocationList, FromDer};
use yanqian_messages::Certificate;

use crate::error::SignerError;
use crate::second_opinion::Disputed;
use crate::signed::Sm2Signed;
use crate::verifier::{Subject, Verifier};

/// A revocation list as loaded. Whether its issuer signed it is decided when a chain names the issuer.
pub(crate) struct Crl {
    parsed: X509Crl,
    /// None when it is signed otherwise than by SM2.
    signed: Option<Sm2Signed>,
    issuer: Vec<u8>,
    this_update: i64,
    next_update: i64,
    hash: [u8; 32],
    /// What was last found: neither list nor key changes, and lists may be long.
    judged: Mutex<Option<Judged>>,
}

/// An issuer's `SubjectPublicKeyInfo`, and whether its key signed the list.
type Judged = (Vec<u8>, Result<bool, Disputed>);

/// The revocation data that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlEvidence {
    /// DER `Name`.
    pub issuer: Vec<u8>,
    /// Seconds since 1970.
    pub this_update: i64,
    /// Seconds since 1970.
    pub next_update: i64,
    /// SM3 of the DER list.
    pub hash: [u8; 32],
}

impl Crl {
    /// Reads one list, PEM or DER: complete and direct (no critical extensions), with a `nextUpdate` (RFC 5280 §5.1.2.5).
    pub(crate) fn read(octets: &[u8]) -> Result<Self, String> {
        let parsed = if octets.first() == Some(&0x30) { X509Crl::from_der(octets) } else { X509Crl::from_pem(octets) };
        let parsed = parsed.map_err(|_| "not a certificate revocation list")?;
        let der = parsed.to_der().map_err(|error| error.to_string())?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| "not a certificate revocation list")?;
        if list.extensions().iter().any(|extension| extension.critical) {
            return Err("holds a critical extension: only complete, direct lists are used".into());
        }
        Ok(Self {
            issuer: list.issuer().as_raw().to_vec(),
            this_update: list.last_update().timestamp(),
            next_update: list.next_update().ok_or("has no nextUpdate")?.timestamp(),
            hash: yanqian_sm::sm3(&[&der]),
            signed: Sm2Signed::of_list(&list),
            judged: Mutex::default(),
            parsed,
        })
    }

    pub(crate) const fn next_update(&self) -> i64 {
        self.next_update
    }

    pub(crate) const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The octets that [`Self::hash`] is over.
    pub(crate) fn to_der(&self) -> Option<Vec<u8>> {
        self.parsed.to_der().ok()
    }

    fn evidence(&self) -> CrlEvidence {
        CrlEvidence {
            issuer: self.issuer.clone(),
            this_update: self.this_update,
            next_update: self.next_update,
            hash: self.hash,
        }
    }

    /// Signed by the issuer, by OpenSSL's verdict and, of an SM2 signature, by ours too; and not from the future.
    fn is_for(&self, question: &Question<'_>, verifier: &Verifier) -> Result<bool, Disputed> {
        if self.issuer != question.issuer.subject_der() || self.this_update > question.now {
            return Ok(false);
        }
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        match &*judged {
            Some((key, verdict)) if key == question.issuer.spki_der() => *verdict,
            _ => {
                let verdict = self.is_signed(question, verifier);
                *judged = Some((question.issuer.spki_der().to_vec(), verdict));
                verdict
            }
        }
    }

    fn is_signed(&self, question: &Question<'_>, verifier: &Verifier) -> Result<bool, Disputed> {
        let theirs = question.authority.public_key().and_then(|key| self.parsed.verify(&key)).unwrap_or(false);
        if let Some(signed) = &self.signed {
            verifier.compare(Subject::RevocationList, signed.is_by(question.issuer, verifier), theirs)?;
        }
        Ok(theirs)
    }
}

/// A certificate that lists are asked about.
pub(crate) struct Question<'a> {
    pub(crate) certificate: &'a X509,
    /// The issuer, as OpenSSL and as we read it.
    pub(crate) authority: &'a X509,
    pub(crate) issuer: &'a Certificate,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// Asks the newest valid list of the issuer about one certificate. No list, or only lists past their grace: refuse (I6).
pub(crate) fn check(
    crls: &[Crl],
    question: &Question<'_>,
    grace_seconds: i64,
    verifier: &Verifier,
) -> Result<CrlEvidence, SignerError> {
    let mut valid = Vec::new();
    for crl in crls {
        if crl.is_for(question, verifier).map_err(|_| SignerError::Disputed)? {
            valid.push(crl);
        }
    }
    let newest = valid.into_iter().max_by_key(|crl| crl.this_update).ok_or(SignerError::RevocationStale)?;
    // A list that says "revoked" is believed however old it is; one that does not, only within its grace.
    if matches!(newest.parsed.get_by_cert(question.certificate), CrlStatus::Revoked(_)) {
        return Err(SignerError::Revoked);
    }
    if question.now > newest.next_update.saturating_add(grace_seconds) {
        return Err(SignerError::RevocationStale);
    }
    Ok(newest.evidence())
}

/// Whether `now` lies inside a certificate's validity.
pub(crate) fn is_valid_at(certificate: &X509, now: i64) -> bool {
    Asn1Time::from_unix(now).is_ok_and(|now| *certificate.not_before() <= now && *certificate.not_after() >= now)
}
