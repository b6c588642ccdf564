use yanqian_messages::Certificate;
use yanqian_trust::{Chained, SignerError};
use yanqian_vocabulary::{Reason, Timestamp};

use super::envelope::{Opened, Proof, has_serial};
use super::{AnswerChecker, StepName, Walk};

const fn reason(error: SignerError) -> Reason {
    match error {
        SignerError::NotPinned => Reason::PlatformSignerUnknown,
        SignerError::Chain | SignerError::Weak => Reason::PlatformChain,
        SignerError::Disputed => Reason::PlatformChainDisputed,
        SignerError::Validity => Reason::PlatformCertificateValidity,
        SignerError::KeyUsage => Reason::PlatformCertificateUsage,
        SignerError::Revoked => Reason::PlatformSignerRevoked,
        SignerError::RevocationStale => Reason::PlatformRevocationStale,
    }
}

impl AnswerChecker<'_> {
    /// Finds the signer's certificate, in the message or in the store, and asks the store about it.
    pub(super) fn check_signer(
        &self,
        walk: &mut Walk,
        envelope: &Opened<'_>,
        now: Timestamp,
    ) -> Result<Certificate, Reason> {
        let now = now.unix_seconds();
        let found = match self.signer_of(envelope) {
            // No known key made it, so there is no signer to ask about.
            Err(Reason::PlatformSignature) => return walk.step(StepName::Signature, Err(Reason::PlatformSignature)),
            found => found,
        };
        if let Ok(certificate) = found {
            walk.found.signer = Some(certificate.clone());
        }
        let pinned = found.and_then(|certificate| {
            self.trust.check_pin(certificate).map_err(reason)?;
            Ok(certificate.clone())
        });
        let certificate = walk.step(StepName::Signer, pinned)?;
        let embedded = match &envelope.proof {
            Proof::Message(message) => message.certificates(),
            Proof::Bare { .. } => &[],
        };
        walk.step(StepName::KeyUsage, self.trust.check_usage(&certificate).map_err(reason))?;
        let chained = self.trust.judge(&certificate, embedded, now, self.verifier).map_err(reason);
        let Chained { chain, revocation } = walk.step(StepName::Chain, chained)?;
        walk.found.chain = chain;
        walk.found.revocation = walk.step(StepName::Revocation, revocation.map_err(reason))?;
        Ok(certificate)
    }
    /// A message brings its signer's certificate along. A bare signature is of one of the store's signing certificates: of the
    /// one that the answer names, or else of the one whose key it verifies with.
    fn signer_of<'e>(&'e self, envelope: &'e Opened<'_>) -> Result<&'e Certificate, Reason> {
        match &envelope.proof {
            Proof::Message(message) => message.signer_certificate().map_err(|_| Reason::PlatformSignerUnknown),
            Proof::Bare { serial: Some(serial), .. } => {
                let mut named = self.trust.signing_certificates().iter().filter(|known| has_serial(known, serial));
                named.next().filter(|_| named.next().is_none()).ok_or(Reason::PlatformSignerUnknown)
            }
            Proof::Bare { serial: None, .. } => {
                let mut known = self.trust.signing_certificates().iter();
                known.find(|certificate| self.verifies(envelope, certificate)).ok_or(Reason::PlatformSignature)
            }
        }
    }
}
