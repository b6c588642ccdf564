//! OCSP responses (RFC 6960) with SM2 signatures, judged at one time.

use yanqian_messages::ocsp::{CertStatus, OcspResponse};
use yanqian_messages::{Certificate, PlainVerifier};
use yanqian_vocabulary::Timestamp;

use crate::x509::{Coverage, Disbelief, check_itself, is_issued_by};

/// A response as read.
pub(crate) struct Ocsp(OcspResponse);

impl Ocsp {
    /// Reads one DER response with nothing after it.
    pub(crate) fn read(der: &[u8]) -> Result<Self, Disbelief> {
        OcspResponse::parse(der).map(Self).map_err(|_| Disbelief::Unreadable)
    }

    /// What it says of when, about one certificate.
    pub(crate) fn coverage(&self, certificate: &Certificate, issuer: &Certificate) -> Result<Coverage, Disbelief> {
        let single = self.0.about(certificate, issuer).ok_or(Disbelief::NotAbout)?;
        Ok(Coverage::of(single.this_update, single.next_update))
    }

    /// Signed by the issuer or a responder of its choice, covering `at`, and good. Gives the responder's certificate where that
    /// one needs a list (no `id-pkix-ocsp-nocheck`). `above` is the issuer and what is above it.
    pub(crate) fn clears(
        &self,
        certificate: &Certificate,
        above: &[Certificate],
        at: Timestamp,
        grace_seconds: u32,
    ) -> Result<Option<Certificate>, Disbelief> {
        let issuer = above.first().ok_or(Disbelief::Issuer)?;
        let responder = self.0.responder(above).ok_or(Disbelief::Responder)?;
        if !self.0.is_sm2() {
            return Err(Disbelief::Algorithm);
        }
        if !self.0.is_signed_by(responder, &PlainVerifier) {
            return Err(Disbelief::Signature);
        }
        let needs_list = if responder == issuer { None } else { delegate(responder, issuer, at)? };
        match self.0.about(certificate, issuer).map(|single| single.status) {
            Some(CertStatus::Good) => self.coverage(certificate, issuer)?.covers(at, grace_seconds)?,
            Some(CertStatus::Revoked) => return Err(Disbelief::Revoked),
            Some(CertStatus::Unknown) | None => return Err(Disbelief::NotAbout),
        }
        Ok(needs_list)
    }
}

/// Whether the issuer lets this one answer for it at `at` (RFC 6960 §4.2.2.2).
fn delegate(responder: &Certificate, issuer: &Certificate, at: Timestamp) -> Result<Option<Certificate>, Disbelief> {
    let may_sign = responder.key_usage().is_none_or(|usage| usage.digital_signature || usage.non_repudiation);
    if !responder.may_sign_ocsp() || !may_sign || responder.is_ca() {
        return Err(Disbelief::Responder);
    }
    is_issued_by(responder, issuer)?;
    check_itself(responder, at)?;
    Ok((!responder.is_ocsp_nocheck()).then(|| responder.clone()))
}
