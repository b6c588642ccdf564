use yanqian_messages::{Certificate, SignedData};
use yanqian_trust::SignerError;
use yanqian_vocabulary::{Reason, Timestamp};

use super::{AnswerChecker, StepName, Walk};

const fn reason(error: SignerError) -> Reason {
    match error {
        SignerError::NotPinned => Reason::PlatformSignerUnknown,
        SignerError::Chain => Reason::PlatformChain,
        SignerError::Disputed => Reason::PlatformChainDisputed,
        SignerError::Validity => Reason::PlatformCertificateValidity,
        SignerError::KeyUsage => Reason::PlatformCertificateUsage,
        SignerError::Revoked => Reason::PlatformSignerRevoked,
        SignerError::RevocationStale => Reason::PlatformRevocationStale,
    }
}

impl AnswerChecker<'_> {
    /// Finds the signer's certificate in the message and asks the trust store about it.
    pub(super) fn check_signer(
        &self,
        walk: &mut Walk,
        message: &SignedData,
        now: Timestamp,
    ) -> Result<Certificate, Reason> {
        let now = now.unix_seconds();
        let found = message.signer_certificate().map_err(|_| Reason::PlatformSignerUnknown);
        if let Ok(certificate) = found {
            walk.found.signer = Some(certificate.clone());
        }
        let pinned = found.and_then(|certificate| {
            self.trust.check_pin(certificate).map_err(reason)?;
            Ok(certificate.clone())
        });
        let certificate = walk.step(StepName::Signer, pinned)?;
        walk.step(StepName::KeyUsage, self.trust.check_usage(&certificate).map_err(reason))?;
        let chain = self.trust.build_chain(&certificate, message.certificates(), now, self.verifier).map_err(reason);
        walk.found.chain = walk.step(StepName::Chain, chain)?;
        let crls = self.trust.check_revocation(&certificate, &walk.found.chain, now, self.verifier).map_err(reason);
        walk.found.crls = walk.step(StepName::Revocation, crls)?;
        Ok(certificate)
    }
}
