use openssl::asn1::Asn1Time;
use openssl::x509::X509;
use serde::Deserialize;
use yanqian_messages::Certificate;

use crate::error::SignerError;
use crate::second_opinion::Disputed;
use crate::store::TrustStore;
use crate::verifier::Verifier;

/// What a verdict about revocation rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Crl,
    Ocsp,
}

/// The revocation data that a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationEvidence {
    pub kind: Kind,
    /// DER `Name` of the authority of the certificate that was asked about.
    pub issuer: Vec<u8>,
    /// Seconds since 1970.
    pub this_update: i64,
    /// Seconds since 1970.
    pub next_update: i64,
    /// SM3 of the DER list or response.
    pub hash: [u8; 32],
}

/// Whose word counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decides {
    /// The issuer's list.
    #[default]
    Crl,
    /// The issuer's responder.
    Ocsp,
    /// One of both; a certificate that either calls revoked is revoked.
    Either,
    /// Both.
    Both,
}

impl Decides {
    const fn sources(self) -> &'static [Kind] {
        match self {
            Self::Crl => &[Kind::Crl],
            Self::Ocsp => &[Kind::Ocsp],
            Self::Either | Self::Both => &[Kind::Ocsp, Kind::Crl],
        }
    }
}

/// What decides on revocation, by what a certificate does, and how long it may be late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevocationPolicy {
    pub signer: Decides,
    pub authorities: Decides,
    /// Of the certificate that the platform shows in TLS; none: only the handshake and pins judge it. With it, `authorities` decides on
    /// those above.
    pub tls: Option<Decides>,
    /// Seconds that a list or response may be used past its `nextUpdate`.
    pub grace_seconds: u32,
}

/// What one source says of a certificate; of two words of the same second the later one here counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Good,
    /// A responder that does not know the certificate says nothing for it.
    Unknown,
    Revoked,
}

/// A certificate that revocation data are asked about.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) certificate: &'a X509,
    pub(crate) subject: &'a Certificate,
    /// The issuer, as OpenSSL and as we read it.
    pub(crate) authority: &'a X509,
    pub(crate) issuer: &'a Certificate,
    /// The issuer and the certificates above it, up to the anchor.
    pub(crate) above: &'a [Certificate],
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// The newest valid word of one source.
struct Word {
    said: Said,
    evidence: RevocationEvidence,
    /// The list that clears a responder.
    beside: Vec<RevocationEvidence>,
}

impl TrustStore {
    /// Asks revocation data about the signer and every intermediate; the anchor vouches for itself.
    pub fn check_revocation(
        &self,
        signer: &Certificate,
        chain: &[Certificate],
        now: i64,
        verifier: &Verifier,
    ) -> Result<Vec<RevocationEvidence>, SignerError> {
        self.ask_along(signer, chain, self.policy.signer, now, verifier)
    }

    /// The same of any leaf, about which `leaf` says whose word counts.
    pub(crate) fn ask_along(
        &self,
        signer: &Certificate,
        chain: &[Certificate],
        leaf: Decides,
        now: i64,
        verifier: &Verifier,
    ) -> Result<Vec<RevocationEvidence>, SignerError> {
        let mut all = Vec::new();
        for (place, (subject, issuer)) in std::iter::once(signer).chain(chain).zip(chain).enumerate() {
            let certificate = X509::from_der(subject.as_der()).map_err(|_| SignerError::Chain)?;
            let authority = X509::from_der(issuer.as_der()).map_err(|_| SignerError::Chain)?;
            if !is_valid_at(&authority, now) {
                return Err(SignerError::Validity);
            }
            let above = &chain[place..];
            let question = Question { certificate: &certificate, subject, authority: &authority, issuer, above, now };
            let decides = if place == 0 { leaf } else { self.policy.authorities };
            all.extend(self.ask(&question, decides, verifier)?);
        }
        Ok(all)
    }

    /// No word, or only words past their grace: refuse (I6).
    fn ask(
        &self,
        question: &Question<'_>,
        decides: Decides,
        verifier: &Verifier,
    ) -> Result<Vec<RevocationEvidence>, SignerError> {
        let mut good = Vec::new();
        for source in decides.sources() {
            let word = match source {
                Kind::Crl => self.newest_list(question, verifier)?,
                Kind::Ocsp => self.newest_response(question, verifier)?,
            };
            let Some(Word { said, evidence, beside }) = word else { continue };
            // A word that says "revoked" is believed however old it is; one that does not, only within its grace.
            match said {
                Said::Revoked => return Err(SignerError::Revoked),
                Said::Good if question.now <= evidence.next_update.saturating_add(self.grace_seconds()) => {
                    good.push(std::iter::once(evidence).chain(beside));
                }
                Said::Good | Said::Unknown => {}
            }
        }
        let enough = if decides == Decides::Both { 2 } else { 1 };
        if good.len() < enough {
            return Err(SignerError::RevocationStale);
        }
        let mut all: Vec<_> = good.into_iter().take(enough).flatten().collect();
        // A responder's list may be the one that decides, too.
        all.dedup();
        Ok(all)
    }

    fn newest_list(&self, question: &Question<'_>, verifier: &Verifier) -> Result<Option<Word>, SignerError> {
        let mut valid = Vec::new();
        for list in &self.crls {
            if list.is_for(question, verifier).map_err(|_| SignerError::Disputed)? {
                valid.push(list);
            }
        }
        let newest = valid.into_iter().max_by_key(|list| (list.this_update(), list.number(), list.says(question)));
        Ok(newest.map(|list| Word { said: list.says(question), evidence: list.evidence(), beside: Vec::new() }))
    }

    fn newest_response(&self, question: &Question<'_>, verifier: &Verifier) -> Result<Option<Word>, SignerError> {
        let mut newest: Option<Word> = None;
        for response in &self.responses {
            let Some((said, evidence)) = response.about(question) else { continue };
            let age = (evidence.this_update, said);
            if evidence.this_update > question.now
                || newest.as_ref().is_some_and(|word| (word.evidence.this_update, word.said) >= age)
            {
                continue;
            }
            let vouched = self.vouches(response, question, verifier).map_err(|_| SignerError::Disputed)?;
            if let Some(beside) = vouched {
                newest = Some(Word { said, evidence, beside });
            }
        }
        Ok(newest)
    }

    /// The issuer's newest list, where it is in force and does not hold the certificate.
    pub(crate) fn clearing_list(
        &self,
        question: &Question<'_>,
        verifier: &Verifier,
    ) -> Result<Option<Vec<RevocationEvidence>>, Disputed> {
        match self.ask(question, Decides::Crl, verifier) {
            Ok(list) => Ok(Some(list)),
            Err(SignerError::Disputed) => Err(Disputed),
            Err(_) => Ok(None),
        }
    }

    pub(crate) fn grace_seconds(&self) -> i64 {
        self.policy.grace_seconds.into()
    }
}

/// Whether `now` lies inside a certificate's validity.
pub(crate) fn is_valid_at(certificate: &X509, now: i64) -> bool {
    Asn1Time::from_unix(now).is_ok_and(|now| *certificate.not_before() <= now && *certificate.not_after() >= now)
}
