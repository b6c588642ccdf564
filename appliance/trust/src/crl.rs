use std::sync::{Mutex, PoisonError};

use openssl::x509::{CrlStatus, X509Crl};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::revocation::{Kind, Question, RevocationEvidence, Said};
use crate::second_opinion::Disputed;
use crate::signed::Sm2Signed;
use crate::strength::weak_signature;
use crate::verifier::{Subject, Verifier};

/// id-ce-deltaCRLIndicator, 2.5.29.27.
const DELTA: &[u8] = &[0x55, 0x1d, 0x1b];

/// A revocation list as loaded. Whether its issuer signed it is decided when a chain names the issuer.
pub(crate) struct Crl {
    parsed: X509Crl,
    /// None when it is signed otherwise than by SM2.
    signed: Option<Sm2Signed>,
    issuer: Vec<u8>,
    number: Option<Vec<u8>>,
    this_update: i64,
    next_update: i64,
    hash: [u8; 32],
    /// What was last found: neither list nor key changes, and lists may be long.
    judged: Mutex<Option<Judged>>,
}

/// An issuer's `SubjectPublicKeyInfo`, and whether its key signed the list.
type Judged = (Vec<u8>, Result<bool, Disputed>);

impl Crl {
    /// Reads one list, PEM or DER: complete and direct (no critical extensions), with a `nextUpdate` (RFC 5280 §5.1.2.5).
    pub(crate) fn read(octets: &[u8]) -> Result<Self, String> {
        let parsed = if octets.first() == Some(&0x30) { X509Crl::from_der(octets) } else { X509Crl::from_pem(octets) };
        let parsed = parsed.map_err(|_| "not a certificate revocation list")?;
        let der = parsed.to_der().map_err(|error| error.to_string())?;
        let (_, list) = CertificateRevocationList::from_der(&der).map_err(|_| "not a certificate revocation list")?;
        if list.extensions().iter().any(|extension| extension.oid.as_bytes() == DELTA) {
            return Err("is a delta list (deltaCRLIndicator): only complete lists are used".into());
        }
        if list.extensions().iter().any(|extension| extension.critical) {
            return Err("holds a critical extension: only complete, direct lists are used".into());
        }
        if let Some(weakness) = weak_signature(&list.signature_algorithm) {
            return Err(weakness);
        }
        Ok(Self {
            issuer: list.issuer().as_raw().to_vec(),
            number: list.crl_number().map(x509_parser::num_bigint::BigUint::to_bytes_be),
            this_update: list.last_update().timestamp(),
            next_update: list.next_update().ok_or("has no nextUpdate")?.timestamp(),
            hash: yanqian_sm::sm3(&[&der]),
            signed: Sm2Signed::of_list(&list),
            judged: Mutex::default(),
            parsed,
        })
    }

    /// DER `Name`.
    pub(crate) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// CRL number (RFC 5280 §5.2.3), in the order of numbers: octets without leading zeros, the fewer the smaller.
    pub(crate) fn number(&self) -> Option<(usize, &[u8])> {
        self.number.as_deref().map(|number| (number.len(), number))
    }

    pub(crate) const fn this_update(&self) -> i64 {
        self.this_update
    }

    pub(crate) const fn next_update(&self) -> i64 {
        self.next_update
    }

    pub(crate) const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// When it begins to count, and when it ends with its grace.
    pub(crate) const fn edges(&self, grace_seconds: i64) -> [i64; 2] {
        [self.this_update, self.next_update.saturating_add(grace_seconds)]
    }

    /// The octets that [`Self::hash`] is over.
    pub(crate) fn to_der(&self) -> Option<Vec<u8>> {
        self.parsed.to_der().ok()
    }

    pub(crate) fn evidence(&self) -> RevocationEvidence {
        RevocationEvidence {
            kind: Kind::Crl,
            issuer: self.issuer.clone(),
            this_update: self.this_update,
            next_update: self.next_update,
            hash: self.hash,
        }
    }

    /// Whether the certificate is on it.
    pub(crate) fn says(&self, question: &Question<'_>) -> Said {
        let revoked = matches!(self.parsed.get_by_cert(question.certificate), CrlStatus::Revoked(_));
        if revoked { Said::Revoked } else { Said::Good }
    }

    /// Signed by the issuer, by OpenSSL's verdict and, of an SM2 signature, by ours too; not from the future; and the issuer may sign
    /// lists (cRLSign, RFC 5280 §6.3.3 f).
    pub(crate) fn is_for(&self, question: &Question<'_>, verifier: &Verifier) -> Result<bool, Disputed> {
        let may_sign = question.issuer.key_usage().is_none_or(|usage| usage.crl_sign);
        if self.issuer != question.issuer.subject_der() || self.this_update > question.now || !may_sign {
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
