use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::x509::AlgorithmIdentifier;
use yanqian_messages::{Certificate, SignatureVerifier, oid};
use yanqian_sm::{DistinguishingId, E, Signature};

/// What an authority signed with SM2, and how, as it stands in a certificate or list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sm2Signed {
    to_be_signed: Vec<u8>,
    /// As it stands in the BIT STRING: DER `SEQUENCE { r, s }`.
    signature: Vec<u8>,
}

impl Sm2Signed {
    /// None when it is signed in another way than by SM2 with SM3, or cannot be read.
    pub(crate) fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        Self::new(&read.signature_algorithm, read.tbs_certificate.as_ref(), &read.signature_value.data)
    }

    /// The same of a revocation list.
    pub(crate) fn of_list(list: &CertificateRevocationList<'_>) -> Option<Self> {
        Self::new(&list.signature_algorithm, list.tbs_cert_list.as_ref(), &list.signature_value.data)
    }

    fn new(algorithm: &AlgorithmIdentifier<'_>, to_be_signed: &[u8], signature: &[u8]) -> Option<Self> {
        let sm2 = algorithm.algorithm.as_bytes() == oid::SM2_WITH_SM3.as_bytes();
        sm2.then(|| Self { to_be_signed: to_be_signed.to_vec(), signature: signature.to_vec() })
    }

    /// Whether the issuer's key signed it, by our own engine.
    pub(crate) fn is_by(&self, issuer: &Certificate, verifier: &dyn SignatureVerifier) -> bool {
        let (Some(key), Ok(signature)) = (issuer.public_key(), Signature::from_der(&self.signature)) else {
            return false;
        };
        let e = E::of_message(key, &DistinguishingId::default(), &[&self.to_be_signed]);
        verifier.verify(key, &e, &signature).is_ok()
    }
}
