//! Revocation data that the daemon fetched: what is asked for, what is taken of what comes back, and where it is kept. How it travels
//! is the daemon's; nothing is trusted for the way that it came.
//!
//! What is taken was proven as it will be proven again when it is used, and is newer than what was there: a network that replays
//! an old list or response takes nothing away.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use openssl::x509::X509;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use yanqian_messages::Certificate;

use crate::crl::Crl;
use crate::ocsp::Ocsp;
use crate::revocation::{Kind, Question, Said};
use crate::store::TrustStore;
use crate::verifier::Verifier;

/// Signers that are remembered for prefetching.
const MAX_MET: usize = 16;
/// Seconds that a responder's clock may be ahead of ours.
const AHEAD: i64 = 300;

/// Why something that was fetched is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Unreadable(String),
    #[error("no authority of the trust store signed it")]
    Signature,
    #[error("two implementations disagree about its signature")]
    Disputed,
    #[error("it is older than what is there")]
    Older,
    #[error("it begins in the future")]
    Future,
    #[error("it ended, its grace included")]
    Ended,
    #[error("it answers another question: the nonce is not ours")]
    Nonce,
    #[error("it says nothing about the certificate")]
    NotAbout,
    #[error("the responder does not know the certificate")]
    Unknown,
}

impl FetchError {
    /// Every label of [`Self::code`].
    pub const CODES: [&'static str; 9] =
        ["unreadable", "signature", "disputed", "older", "future", "ended", "nonce", "not-about", "unknown"];

    /// A stable label.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Signature => "signature",
            Self::Disputed => "disputed",
            Self::Older => "older",
            Self::Future => "future",
            Self::Ended => "ended",
            Self::Nonce => "nonce",
            Self::NotAbout => "not-about",
            Self::Unknown => "unknown",
        }
    }
}

/// What to do about a nonce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nonce {
    /// Sent; an answer without it is refused.
    Require,
    /// Sent; an answer without one is taken for its times.
    #[default]
    Offer,
    /// Not sent: the responder signs ahead.
    Omit,
}

/// A certificate that a responder is asked about, with its issuer and what is above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub subject: Certificate,
    /// The issuer first, the anchor last.
    pub above: Vec<Certificate>,
}

/// Something that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub der: Vec<u8>,
    /// Seconds since 1970.
    pub this_update: i64,
    /// Seconds since 1970, without grace.
    pub next_update: i64,
}

/// Signers that came with answers, and TLS peers, that were chained: the last ones.
#[derive(Debug, Default)]
pub(crate) struct Met(Mutex<Vec<Asked>>);

/// What [`TrustStore::subjects`] depends on beside the time: another token, another answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectsToken([u8; 32]);

impl Met {
    pub(crate) fn add(&self, signer: &Certificate, chain: &[Certificate]) {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.iter().any(|asked| asked.subject == *signer) {
            return;
        }
        if met.len() == MAX_MET {
            met.remove(0);
        }
        met.push(Asked { subject: signer.clone(), above: chain.to_vec() });
    }

    pub(crate) fn handed_on(&self) -> Self {
        Self(Mutex::new(self.all()))
    }

    fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn distribution_points_of(certificate: &Certificate) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate.as_der()) else { return Vec::new() };
    let mut all = Vec::new();
    for extension in parsed.extensions() {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else { continue };
        for point in points.iter() {
            if let Some(DistributionPointName::FullName(names)) = &point.distribution_point {
                all.extend(names.iter().filter_map(|name| match name {
                    GeneralName::URI(uri) => Some((*uri).to_owned()),
                    _ => None,
                }));
            }
        }
    }
    all
}

/// Whatever can be read of a folder of fetched files. What cannot be read is as if it had not been fetched: it can only be missed.
pub(crate) fn fetched_files<T>(folder: &Path, item: impl Fn(&[u8]) -> Result<T, String>) -> Vec<T> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if file.extension().is_none_or(|extension| extension != "der") {
            continue;
        }
        match std::fs::read(&file).map_err(|error| error.to_string()).and_then(|octets| item(&octets)) {
            Ok(read) => all.push(read),
            Err(problem) => tracing::warn!(file = %file.display(), problem, "fetched revocation data not used"),
        }
    }
    all
}

impl TrustStore {
    /// Certificates that a responder may be asked about ahead of need: the signers known ahead and those met, and the
    /// intermediates of both.
    pub fn subjects(&self, now: i64, verifier: &Verifier) -> Vec<Asked> {
        let known = self.signing.iter().chain(&self.intermediates).filter_map(|subject| {
            let above = self.build_chain(subject, &[], now, verifier).ok()?;
            Some(Asked { subject: subject.clone(), above })
        });
        let mut all: Vec<Asked> = known.collect();
        for met in self.met.all() {
            // Whoever it came with, too; the anchor vouches for itself.
            let above = (1..met.above.len())
                .map(|place| Asked { subject: met.above[place - 1].clone(), above: met.above[place..].to_vec() });
            for asked in above.collect::<Vec<_>>().into_iter().chain([met]) {
                if !all.iter().any(|known| known.subject == asked.subject) {
                    all.push(asked);
                }
            }
        }
        all
    }

    /// Changes with the store and with the signers that were met.
    pub fn subjects_token(&self) -> SubjectsToken {
        let met = self.met.all();
        let hashes: Vec<_> = met.iter().map(|asked| asked.subject.hash()).collect();
        SubjectsToken(yanqian_sm::sm3(&[self.hash().as_slice(), hashes.as_flattened()]))
    }

    /// Where certificates that are known or were met say that lists lie (cRLDistributionPoints), as they say it.
    pub fn distribution_points(&self) -> Vec<String> {
        let met = self.met.all();
        let met = met.iter().flat_map(|asked| std::iter::once(&asked.subject).chain(&asked.above));
        let known = self.intermediates.iter().chain(&self.signing).chain(met);
        let mut all: Vec<_> = known.flat_map(distribution_points_of).collect();
        all.sort();
        all.dedup();
        all
    }

    /// When the oldest of the data in use began: seconds since 1970, of lists by authority, of responses one by one.
    pub fn oldest_update(&self, kind: Kind) -> Option<i64> {
        if kind == Kind::Ocsp {
            return self.responses.iter().filter_map(Ocsp::this_update).min();
        }
        self.newest_of_lists(Crl::this_update).min()
    }

    /// Whose lists are taken: the store's authorities, and those above certificates that were met, which lead to its anchors.
    pub(crate) fn may_list(&self) -> Vec<Certificate> {
        let met = self.met.all().into_iter().flat_map(|asked| asked.above);
        let known = self.authorities.iter().chain(&self.tls_authorities).cloned();
        known.chain(met).collect()
    }

    /// Takes a list, PEM or DER: complete, signed by such an authority, not older than what is there.
    pub fn take_list(&self, octets: &[u8], now: i64, verifier: &Verifier) -> Result<Fetched, FetchError> {
        let list = Crl::read(octets).map_err(FetchError::Unreadable)?;
        self.check_times(list.this_update(), list.next_update(), now)?;
        let mut signed = false;
        for issuer in self.may_list().iter().filter(|authority| authority.subject_der() == list.issuer()) {
            let Ok(authority) = X509::from_der(issuer.as_der()) else { continue };
            let above = std::slice::from_ref(issuer);
            let question = Question {
                certificate: &authority,
                subject: issuer,
                authority: &authority,
                issuer,
                above,
                now: now.saturating_add(AHEAD),
            };
            signed |= list.is_for(&question, verifier).map_err(|_| FetchError::Disputed)?;
        }
        if !signed {
            return Err(FetchError::Signature);
        }
        let held = self.crls.iter().filter(|held| held.issuer() == list.issuer());
        for held in held {
            let counted_back = matches!((list.number(), held.number()), (Some(new), Some(old)) if new < old);
            if counted_back || list.this_update() < held.this_update() {
                return Err(FetchError::Older);
            }
        }
        let der = list.to_der().ok_or(FetchError::Signature)?;
        Ok(Fetched { der, this_update: list.this_update(), next_update: list.next_update() })
    }

    /// Takes an OCSP response about a certificate: from its issuer or who answers for it, about it, not older than what is
    /// there. That the certificate is revoked is taken too.
    pub fn take_response(
        &self,
        octets: &[u8],
        asked: &Asked,
        nonce: Option<(&[u8], Nonce)>,
        now: i64,
        verifier: &Verifier,
    ) -> Result<Fetched, FetchError> {
        let response = Ocsp::read(octets).map_err(FetchError::Unreadable)?;
        if let Some((sent, wanted)) = nonce {
            match response.nonce() {
                Some(back) if back == sent => {}
                None if wanted != Nonce::Require => {}
                _ => return Err(FetchError::Nonce),
            }
        }
        let issuer = asked.above.first().ok_or(FetchError::NotAbout)?;
        let read = |certificate: &Certificate| X509::from_der(certificate.as_der()).map_err(|_| FetchError::NotAbout);
        let (certificate, authority) = (read(&asked.subject)?, read(issuer)?);
        let question = Question {
            certificate: &certificate,
            subject: &asked.subject,
            authority: &authority,
            issuer,
            above: &asked.above,
            now,
        };
        let (said, evidence) = response.about(&question).ok_or(FetchError::NotAbout)?;
        if self.vouches(&response, &question, verifier).map_err(|_| FetchError::Disputed)?.is_none() {
            return Err(FetchError::Signature);
        }
        if said == Said::Unknown {
            return Err(FetchError::Unknown);
        }
        self.check_times(evidence.this_update, evidence.next_update, now)?;
        for held in &self.responses {
            let newer = held
                .about(&question)
                .is_some_and(|(word, held)| (held.this_update, word) > (evidence.this_update, said));
            if newer && self.vouches(held, &question, verifier).map_err(|_| FetchError::Disputed)?.is_some() {
                return Err(FetchError::Older);
            }
        }
        Ok(Fetched { der: octets.to_vec(), this_update: evidence.this_update, next_update: evidence.next_update })
    }

    fn check_times(&self, this_update: i64, next_update: i64, now: i64) -> Result<(), FetchError> {
        if this_update > now.saturating_add(AHEAD) {
            return Err(FetchError::Future);
        }
        if now > next_update.saturating_add(self.grace_seconds()) {
            return Err(FetchError::Ended);
        }
        Ok(())
    }
}
