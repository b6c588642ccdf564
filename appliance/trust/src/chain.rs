use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509StoreContext};
use yanqian_messages::Certificate;

use crate::error::SignerError;
use crate::revocation::{self, CrlEvidence, Question};
use crate::signed::Sm2Signed;
use crate::store::TrustStore;
use crate::verifier::{Subject, Verifier};

/// A signer that is believed, and what that rests on.
#[derive(Debug, Clone)]
pub struct SignerVerdict {
    /// The certificates above the signer's, up to and with the anchor.
    pub chain: Vec<Certificate>,
    /// One list for each certificate of the chain but the anchor.
    pub crls: Vec<CrlEvidence>,
}

// X.509 verification results (OpenSSL's `X509_V_ERR_*`).
const OK: i32 = 0;
const SIGNATURE_FAILURE: i32 = 7;
const NOT_YET_VALID: i32 = 9;
const HAS_EXPIRED: i32 = 10;

/// What OpenSSL says of a chain.
struct Judged {
    result: i32,
    /// Place in the chain of the certificate that the result is about.
    depth: usize,
    /// DER of the certificates from the leaf up, as far as they were found.
    chain: Vec<Vec<u8>>,
}

impl TrustStore {
    /// Whether the key is pinned for signing.
    pub fn check_pin(&self, signer: &Certificate) -> Result<(), SignerError> {
        if self.pinned.contains(&signer.key_id()) { Ok(()) } else { Err(SignerError::NotPinned) }
    }

    /// Whether the certificate may sign: digitalSignature or nonRepudiation, and not an authority's (GB/T 20518-2018, dual
    /// certificates: one that encrypts cannot sign).
    pub fn check_usage(&self, signer: &Certificate) -> Result<(), SignerError> {
        let may_sign = signer.key_usage().is_some_and(|usage| usage.digital_signature || usage.non_repudiation);
        if may_sign && !signer.is_ca() { Ok(()) } else { Err(SignerError::KeyUsage) }
    }

    /// Chains the signer to an anchor at `now` (seconds since 1970), with every signature and validity on the way. OpenSSL
    /// decides; of each SM2 signature on the way our own engine must say the same.
    pub fn build_chain(
        &self,
        signer: &Certificate,
        embedded: &[Certificate],
        now: i64,
        verifier: &Verifier,
    ) -> Result<Vec<Certificate>, SignerError> {
        let leaf = X509::from_der(signer.as_der()).map_err(|_| SignerError::Chain)?;
        let judged = self.openssl_chain(&leaf, embedded, now).map_err(|_| SignerError::Chain)?;
        let chain = judged.chain.iter().map(|der| Certificate::from_der(der).map_err(|_| SignerError::Chain));
        let mut chain = chain.collect::<Result<Vec<_>, _>>()?;
        match judged.result {
            OK => {}
            NOT_YET_VALID | HAS_EXPIRED => return Err(SignerError::Validity),
            SIGNATURE_FAILURE => {
                let broken = chain.iter().skip(judged.depth).zip(chain.iter().skip(judged.depth + 1)).take(1);
                agree(broken, false, verifier)?;
                return Err(SignerError::Chain);
            }
            _ => return Err(SignerError::Chain),
        }
        agree(chain.iter().zip(chain.iter().skip(1)), true, verifier)?;
        chain.remove(0);
        Ok(chain)
    }

    fn openssl_chain(
        &self,
        leaf: &X509,
        embedded: &[Certificate],
        now: i64,
    ) -> Result<Judged, openssl::error::ErrorStack> {
        let mut untrusted = Stack::new()?;
        for certificate in self.intermediates.iter().chain(embedded) {
            untrusted.push(X509::from_der(certificate.as_der())?)?;
        }
        let mut parameters = X509VerifyParam::new()?;
        parameters.set_time(now);
        parameters.set_depth(8);
        // The time of verification belongs to the store's parameters, so the store is made anew; it holds a few anchors.
        let mut store = X509StoreBuilder::new()?;
        for anchor in &self.anchors {
            store.add_cert(anchor.clone())?;
        }
        store.set_param(&parameters)?;
        let store = store.build();
        let mut context = X509StoreContext::new()?;
        context.init(&store, leaf, &untrusted, |context| {
            let _ = context.verify_cert()?;
            let mut chain = Vec::new();
            for certificate in context.chain().into_iter().flatten() {
                chain.push(certificate.to_der()?);
            }
            let depth = usize::try_from(context.error_depth()).unwrap_or(usize::MAX);
            Ok(Judged { result: context.error().as_raw(), depth, chain })
        })
    }

    /// Asks revocation lists about the signer and every intermediate; the anchor vouches for itself.
    pub fn check_revocation(
        &self,
        signer: &Certificate,
        chain: &[Certificate],
        now: i64,
        verifier: &Verifier,
    ) -> Result<Vec<CrlEvidence>, SignerError> {
        let subjects = std::iter::once(signer).chain(chain);
        subjects
            .zip(chain)
            .map(|(subject, issuer)| {
                let certificate = X509::from_der(subject.as_der()).map_err(|_| SignerError::Chain)?;
                let authority = X509::from_der(issuer.as_der()).map_err(|_| SignerError::Chain)?;
                if !revocation::is_valid_at(&authority, now) {
                    return Err(SignerError::Validity);
                }
                let question = Question { certificate: &certificate, authority: &authority, issuer, now };
                revocation::check(&self.crls, &question, self.grace_seconds, verifier)
            })
            .collect()
    }

    /// All of the above in order: pin, usage, chain with validity, revocation.
    pub fn verify_signer(
        &self,
        signer: &Certificate,
        embedded: &[Certificate],
        now: i64,
        verifier: &Verifier,
    ) -> Result<SignerVerdict, SignerError> {
        self.check_pin(signer)?;
        self.check_usage(signer)?;
        let chain = self.build_chain(signer, embedded, now, verifier)?;
        let crls = self.check_revocation(signer, &chain, now, verifier)?;
        Ok(SignerVerdict { chain, crls })
    }
}

/// Holds our engine's verdict on certificates, each with its issuer's, against OpenSSL's. Those signed otherwise than by SM2 are
/// OpenSSL's alone.
fn agree<'a>(
    signed: impl Iterator<Item = (&'a Certificate, &'a Certificate)>,
    openssl: bool,
    verifier: &Verifier,
) -> Result<(), SignerError> {
    for (subject, issuer) in signed {
        let Some(signed) = Sm2Signed::of_certificate(subject.as_der()) else { continue };
        let ours = signed.is_by(issuer, verifier);
        verifier.compare(Subject::Certificate, ours, openssl).map_err(|_| SignerError::Disputed)?;
    }
    Ok(())
}
