//! Certification requests of keys of other algorithms.

use openssl::sha::sha256;
use yanqian_messages::{CertificationRequestInfo, SignatureAlgorithm, Subject};

use super::KnownKey;
use super::Lane;
use super::Problem;
use crate::protocol::{Refusal, Scheme, codes};

impl Lane {
    /// A PKCS #10 request, signed by the first scheme that the profile has for the key.
    pub(in crate::worker) fn request_other(&mut self, key: &KnownKey, subject: &Subject) -> Result<Vec<u8>, Problem> {
        let form = self.engine.profile.scheme_for(key.public.algorithm()).copied();
        let form = form.ok_or_else(|| {
            Refusal::new(codes::PROFILE, format!("the profile has no [[algorithms]] for {}", key.public.algorithm()))
        })?;
        let info = CertificationRequestInfo::with_spki(subject, &key.public.spki());
        let message = info.to_be_signed();
        let signature = self.sign_other(key, &form, &sha256(message), Some(message))?;
        let algorithm = match form.scheme {
            Scheme::EcdsaP256 => SignatureAlgorithm::EcdsaWithSha256,
            Scheme::RsaPkcs1 => SignatureAlgorithm::RsaWithSha256,
            Scheme::RsaPss => SignatureAlgorithm::RsaPssWithSha256,
        };
        Ok(info.finish_with(algorithm, &signature))
    }
}
