use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509StoreContext, X509VerifyResult};
use yanqian_messages::Certificate;

use crate::error::SignerError;
use crate::revocation::{self, CrlEvidence};
use crate::store::TrustStore;

/// A signer that is believed, and what that rests on.
#[derive(Debug, Clone)]
pub struct SignerVerdict {
    /// The certificates above the signer's, up to and with the anchor.
    pub chain: Vec<Certificate>,
    /// One list for each certificate of the chain but the anchor.
    pub crls: Vec<CrlEvidence>,
}

/// X.509 verification results (OpenSSL's `X509_V_ERR_*`) that mean "outside its validity".
const NOT_YET_VALID: i32 = 9;
const HAS_EXPIRED: i32 = 10;

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

    /// Chains the signer to an anchor at `now` (seconds since 1970), with every signature and validity on the way.
    pub fn build_chain(
        &self,
        signer: &Certificate,
        embedded: &[Certificate],
        now: i64,
    ) -> Result<Vec<Certificate>, SignerError> {
        let leaf = X509::from_der(signer.as_der()).map_err(|_| SignerError::Chain)?;
        let (result, chain) = self.openssl_chain(&leaf, embedded, now).map_err(|_| SignerError::Chain)?;
        match result.as_raw() {
            0 => {}
            NOT_YET_VALID | HAS_EXPIRED => return Err(SignerError::Validity),
            _ => return Err(SignerError::Chain),
        }
        chain.iter().skip(1).map(|der| Certificate::from_der(der).map_err(|_| SignerError::Chain)).collect()
    }

    fn openssl_chain(
        &self,
        leaf: &X509,
        embedded: &[Certificate],
        now: i64,
    ) -> Result<(X509VerifyResult, Vec<Vec<u8>>), openssl::error::ErrorStack> {
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
            Ok((context.error(), chain))
        })
    }

    /// Asks revocation lists about the signer and every intermediate; the anchor vouches for itself.
    pub fn check_revocation(
        &self,
        signer: &Certificate,
        chain: &[Certificate],
        now: i64,
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
                let name = issuer.subject_der();
                revocation::check(&self.crls, &certificate, &authority, name, now, self.grace_seconds)
            })
            .collect()
    }

    /// All of the above in order: pin, usage, chain with validity, revocation.
    pub fn verify_signer(
        &self,
        signer: &Certificate,
        embedded: &[Certificate],
        now: i64,
    ) -> Result<SignerVerdict, SignerError> {
        self.check_pin(signer)?;
        self.check_usage(signer)?;
        let chain = self.build_chain(signer, embedded, now)?;
        let crls = self.check_revocation(signer, &chain, now)?;
        Ok(SignerVerdict { chain, crls })
    }
}
