use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509StoreContext};
use yanqian_messages::{Certificate, KeyUsage, PinRole};

use crate::error::SignerError;
use crate::revocation::RevocationEvidence;
use crate::signed::Sm2Signed;
use crate::store::TrustStore;
use crate::strength::weakness;
use crate::verdict::{Case, Span, edges_of};
use crate::verifier::{Subject, Verifier};

/// A signer that is believed, and what that rests on.
#[derive(Debug, Clone)]
pub struct SignerVerdict {
    /// The certificates above the signer's, up to and with the anchor.
    pub chain: Vec<Certificate>,
    /// What was found for each certificate of the chain but the anchor, in the chain's order.
    pub revocation: Vec<RevocationEvidence>,
}

/// A signer whose certificate leads to an anchor, and what revocation data say of it.
#[derive(Debug, Clone)]
pub struct Chained {
    /// The certificates above the signer's, up to and with the anchor.
    pub chain: Vec<Certificate>,
    pub revocation: Result<Vec<RevocationEvidence>, SignerError>,
}

// X.509 verification results (OpenSSL's `X509_V_ERR_*`).
const OK: i32 = 0;
const SIGNATURE_FAILURE: i32 = 7;
const NOT_YET_VALID: i32 = 9;
const HAS_EXPIRED: i32 = 10;
/// Keys of end entities, of authorities, and digests: below the security level.
const TOO_WEAK: [i32; 3] = [66, 67, 68];

/// What OpenSSL says of a chain.
struct Judged {
    result: i32,
    /// Place in the chain of the certificate that the result is about.
    depth: usize,
    /// DER of the certificates from the leaf up, as far as they were found.
    chain: Vec<Vec<u8>>,
}

impl TrustStore {
    /// Whether a pin names the certificate for signing.
    pub fn check_pin(&self, signer: &Certificate) -> Result<(), SignerError> {
        if self.pins.allow(PinRole::Signing, signer) { Ok(()) } else { Err(SignerError::NotPinned) }
    }

    /// Whether the certificate may sign: digitalSignature or nonRepudiation, nothing that encrypts (GB/T 20518-2018, dual
    /// certificates), and not an authority's.
    pub fn check_usage(&self, signer: &Certificate) -> Result<(), SignerError> {
        let may_sign = signer.key_usage().is_some_and(KeyUsage::only_signs);
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
            weak if TOO_WEAK.contains(&weak) => return Err(SignerError::Weak),
            SIGNATURE_FAILURE => {
                let broken = chain.iter().skip(judged.depth).zip(chain.iter().skip(judged.depth + 1)).take(1);
                agree(broken, false, verifier)?;
                return Err(SignerError::Chain);
            }
            _ => return Err(SignerError::Chain),
        }
        if chain.iter().any(|certificate| weakness(certificate).is_some()) {
            return Err(SignerError::Weak);
        }
        agree(chain.iter().zip(chain.iter().skip(1)), true, verifier)?;
        chain.remove(0);
        Ok(chain)
    }

    fn openssl_chain(&self, leaf: &X509, embedded: &[Certificate], now: i64) -> Result<Judged, ErrorStack> {
        let mut untrusted = Stack::new()?;
        for certificate in self.intermediates.iter().chain(embedded) {
            untrusted.push(X509::from_der(certificate.as_der())?)?;
        }
        let store = anchors_at(&self.anchors, now)?;
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

    /// Chain and revocation in one, and from memory where the same certificates were believed before and nothing that the
    /// verdict rests on began or ended since.
    pub fn judge(
        &self,
        signer: &Certificate,
        embedded: &[Certificate],
        now: i64,
        verifier: &Verifier,
    ) -> Result<Chained, SignerError> {
        let case = Case::of(signer, embedded);
        let known = self.verdicts.find(&case, now);
        verifier.count_verdict(known.is_some());
        if let Some(known) = known {
            return Ok(Chained { chain: known.chain.clone(), revocation: Ok(known.revocation.clone()) });
        }
        let chain = self.build_chain(signer, embedded, now, verifier)?;
        self.met.add(signer, &chain);
        let revocation = self.check_revocation(signer, &chain, now, verifier);
        if let Ok(found) = &revocation {
            let brought = std::iter::once(signer).chain(embedded).flat_map(edges_of);
            let span = Span::around(now, self.edges.iter().copied().chain(brought));
            let verdict = SignerVerdict { chain: chain.clone(), revocation: found.clone() };
            self.verdicts.keep(case, span, Arc::new(verdict));
        }
        Ok(Chained { chain, revocation })
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
        let Chained { chain, revocation } = self.judge(signer, embedded, now, verifier)?;
        Ok(SignerVerdict { chain, revocation: revocation? })
    }
}

/// Anchors for a verification at `now`. The time belongs to the store's parameters, so the store is made anew; it holds a few
/// anchors.
pub(crate) fn anchors_at(anchors: &[X509], now: i64) -> Result<X509Store, ErrorStack> {
    let mut parameters = X509VerifyParam::new()?;
    parameters.set_time(now);
    parameters.set_depth(8);
    // 112 bits: RSA from 2048, no SHA-1.
    parameters.set_auth_level(2);
    let mut store = X509StoreBuilder::new()?;
    for anchor in anchors {
        store.add_cert(anchor.clone())?;
    }
    store.set_param(&parameters)?;
    Ok(store.build())
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
