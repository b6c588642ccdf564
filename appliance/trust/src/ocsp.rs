use openssl::error::ErrorStack;
use openssl::ocsp::{OcspBasicResponse, OcspFlag, OcspResponse as OpenSslResponse};
use openssl::stack::Stack;
use openssl::x509::X509;
use x509_parser::prelude::FromDer;
use x509_parser::x509::AlgorithmIdentifier;
use yanqian_messages::Certificate;
use yanqian_messages::ocsp::{CertStatus, OcspResponse, SingleResponse};

use crate::chain::anchors_at;
use crate::revocation::{Kind, Question, RevocationEvidence, Said};
use crate::second_opinion::Disputed;
use crate::signed::Sm2Signed;
use crate::store::TrustStore;
use crate::strength::weak_signature;
use crate::verdict::edges_of;
use crate::verifier::{Subject, Verifier};

/// An OCSP response as loaded. Whose word it is, is decided when a chain names the issuer.
pub(crate) struct Ocsp {
    der: Vec<u8>,
    hash: [u8; 32],
    read: OcspResponse,
    /// The same octets as OpenSSL reads them.
    parsed: OcspBasicResponse,
}

impl Ocsp {
    /// Reads one successful response, DER, each of whose single responses has a `nextUpdate`: one that promises nothing cannot be
    /// late, and what cannot be late is not kept.
    pub(crate) fn read(der: &[u8]) -> Result<Self, String> {
        let read = OcspResponse::parse(der).map_err(|error| error.to_string())?;
        if read.singles().is_empty() || read.singles().iter().any(|single| single.next_update.is_none()) {
            return Err("has no nextUpdate".into());
        }
        let (_, algorithm) = AlgorithmIdentifier::from_der(read.signature_algorithm())
            .map_err(|_| "is signed by an algorithm that cannot be read")?;
        if let Some(weakness) = weak_signature(&algorithm) {
            return Err(weakness);
        }
        let parsed = OpenSslResponse::from_der(der).and_then(|response| response.basic());
        let parsed = parsed.map_err(|_| "OpenSSL does not read it")?;
        Ok(Self { hash: yanqian_sm::sm3(&[der]), der: der.to_vec(), read, parsed })
    }

    pub(crate) const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn nonce(&self) -> Option<&[u8]> {
        self.read.nonce()
    }

    fn ends(&self) -> impl Iterator<Item = (i64, i64)> {
        let times = |single: &SingleResponse| Some((single.this_update, single.next_update?));
        self.read.singles().iter().filter_map(times)
    }

    /// When the first of what it says ends, without grace.
    pub(crate) fn next_update(&self) -> Option<i64> {
        self.ends().map(|(_, next)| next).min()
    }

    /// When the first of what it says was so.
    pub(crate) fn this_update(&self) -> Option<i64> {
        self.ends().map(|(this, _)| this).min()
    }

    /// When anything of it begins to count or ends with its grace.
    pub(crate) fn edges(&self, grace_seconds: i64) -> Vec<i64> {
        let ends = self.ends().flat_map(|(from, to)| [from, to.saturating_add(grace_seconds)]);
        ends.chain(self.read.certificates().iter().flat_map(edges_of)).collect()
    }

    /// What it says of the certificate, whoever says it.
    pub(crate) fn about(&self, question: &Question<'_>) -> Option<(Said, RevocationEvidence)> {
        let single = self.read.about(question.subject, question.issuer)?;
        let said = match single.status {
            CertStatus::Good => Said::Good,
            CertStatus::Revoked => Said::Revoked,
            CertStatus::Unknown => Said::Unknown,
        };
        let evidence = RevocationEvidence {
            kind: Kind::Ocsp,
            issuer: question.issuer.subject_der().to_vec(),
            this_update: single.this_update,
            next_update: single.next_update?,
            hash: self.hash,
        };
        Some((said, evidence))
    }
}

impl TrustStore {
    /// Whether the response is the word of the certificate's issuer, or of a responder that the issuer let answer for it: OpenSSL
    /// and we must both say so, and of an SM2 signature our own engine too. Some holds the list that clears the responder, where
    /// it needs one.
    pub(crate) fn vouches(
        &self,
        response: &Ocsp,
        question: &Question<'_>,
        verifier: &Verifier,
    ) -> Result<Option<Vec<RevocationEvidence>>, Disputed> {
        let Some(responder) = response.read.responder(question.above) else { return Ok(None) };
        let is_issuer = responder == question.issuer;
        let theirs = self.openssl_vouches(response, question).unwrap_or(false);
        // A key that nobody vouches for may be anything, and two readers need not agree about it: that is no dispute.
        if response.read.is_sm2() && (theirs || is_issuer) {
            let ours = response.read.is_signed_by(responder, verifier);
            verifier.compare(Subject::OcspResponse, ours, openssl_signature(response, question).unwrap_or(false))?;
        }
        if !theirs || is_issuer {
            return Ok(theirs.then(Vec::new));
        }
        self.is_delegate(responder, question, verifier)
    }

    /// A responder's certificate: from the same issuer, for this and nothing that an authority does, and itself not revoked. One
    /// without `id-pkix-ocsp-nocheck` needs the issuer's list (RFC 6960 §4.2.2.2.1).
    fn is_delegate(
        &self,
        responder: &Certificate,
        question: &Question<'_>,
        verifier: &Verifier,
    ) -> Result<Option<Vec<RevocationEvidence>>, Disputed> {
        let issuer = question.issuer;
        let may_sign = responder.key_usage().is_none_or(|usage| usage.digital_signature || usage.non_repudiation);
        if !responder.may_sign_ocsp()
            || !may_sign
            || responder.is_ca()
            || responder.issuer_der() != issuer.subject_der()
        {
            return Ok(None);
        }
        if let Some(signed) = Sm2Signed::of_certificate(responder.as_der()) {
            // OpenSSL chained it a moment ago.
            verifier.compare(Subject::Certificate, signed.is_by(issuer, verifier), true)?;
        }
        if responder.is_ocsp_nocheck() {
            return Ok(Some(Vec::new()));
        }
        let Ok(certificate) = X509::from_der(responder.as_der()) else { return Ok(None) };
        let about = Question { certificate: &certificate, subject: responder, ..*question };
        self.clearing_list(&about, verifier)
    }

    /// OpenSSL's verdict on responder and delegation, as of the question's time.
    fn openssl_vouches(&self, response: &Ocsp, question: &Question<'_>) -> Result<bool, ErrorStack> {
        let anchors = anchors_at(&self.anchors, question.now)?;
        Ok(response.parsed.verify(&*above(question)?, &anchors, OcspFlag::empty()).is_ok())
    }
}

/// OpenSSL's verdict on the signature alone.
fn openssl_signature(response: &Ocsp, question: &Question<'_>) -> Result<bool, ErrorStack> {
    let anchors = anchors_at(&[], question.now)?;
    Ok(response.parsed.verify(&*above(question)?, &anchors, OcspFlag::NO_VERIFY).is_ok())
}

fn above(question: &Question<'_>) -> Result<Stack<X509>, ErrorStack> {
    let mut stack = Stack::new()?;
    for certificate in question.above {
        stack.push(X509::from_der(certificate.as_der())?)?;
    }
    Ok(stack)
}
