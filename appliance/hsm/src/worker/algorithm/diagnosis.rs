//! What a module did instead of an RSA or ECDSA signature as the profile describes it.

use openssl::sha::sha256;

use super::verify::{ecdsa_to_der, verifies, verifies_bare};
use crate::profile::{AlgorithmForm, DigestInput, EcdsaEncoding};
use crate::protocol::Scheme;

/// One signature and how it came about.
pub(super) struct Case<'a> {
    pub(super) spki: &'a [u8],
    pub(super) form: &'a AlgorithmForm,
    /// What the module was handed.
    pub(super) handed: &'a [u8],
    /// What it gave.
    pub(super) given: &'a [u8],
}

impl Case<'_> {
    /// What the module did, and what to change.
    pub(super) fn advice(&self) -> String {
        let name = self.form.scheme.as_str();
        self.found().map_or_else(
            || format!("the signature of [[algorithms]] {name:?} verifies in no known way"),
            |found| format!("[[algorithms]] {name:?}: {found}"),
        )
    }

    fn found(&self) -> Option<String> {
        let hashed = sha256(self.handed);
        let digests = [(false, self.handed.last_chunk::<32>().copied()), (true, Some(hashed))];
        for (hashes, digest) in digests.into_iter().filter_map(|(hashes, digest)| Some((hashes, digest?))) {
            for (scheme, encoding, signature) in self.readings() {
                if !verifies(self.spki, scheme, &digest, &signature) {
                    continue;
                }
                let mut found = Vec::new();
                if scheme != self.form.scheme {
                    found.push(format!("the mechanism signs by {scheme}"));
                }
                if let Some(encoding) = encoding.filter(|encoding| *encoding != self.form.encoding) {
                    let word = if encoding == EcdsaEncoding::Der { "der" } else { "raw" };
                    found.push(format!("the signature is written otherwise: encoding should be {word:?}"));
                }
                if hashes != (self.form.input == DigestInput::Message) {
                    let word = if hashes { "message" } else { "digest" };
                    found.push(format!(
                        "the module {} its input: input should be {word:?}",
                        if hashes { "hashes" } else { "does not hash" }
                    ));
                }
                if !found.is_empty() {
                    return Some(found.join("; "));
                }
            }
        }
        let bare = self.form.scheme != Scheme::EcdsaP256 && verifies_bare(self.spki, self.handed, self.given);
        bare.then(|| "the module pads its input and adds no DigestInfo: input should be \"digest-info\"".to_owned())
    }

    /// Every way to read what was given.
    fn readings(&self) -> Vec<(Scheme, Option<EcdsaEncoding>, Vec<u8>)> {
        if self.form.scheme != Scheme::EcdsaP256 {
            return [Scheme::RsaPkcs1, Scheme::RsaPss].map(|scheme| (scheme, None, self.given.to_vec())).into();
        }
        [EcdsaEncoding::Raw, EcdsaEncoding::Der]
            .into_iter()
            .filter_map(|encoding| Some((Scheme::EcdsaP256, Some(encoding), ecdsa_to_der(encoding, self.given)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use openssl::ec::{EcGroup, EcKey};
    use openssl::ecdsa::EcdsaSig;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::pkey_ctx::PkeyCtx;
    use openssl::rsa::{Padding, Rsa};

    use super::*;

    const DIGEST: [u8; 32] = [7; 32];

    fn advice(key: &PKey<Private>, scheme: Scheme, input: DigestInput, handed: &[u8], given: &[u8]) -> String {
        let spki = key.public_key_to_der().expect("a key");
        let form = AlgorithmForm { scheme, mechanism: 1, input, encoding: EcdsaEncoding::Raw, keygen_mechanism: None };
        Case { spki: &spki, form: &form, handed, given }.advice()
    }

    #[test]
    fn what_an_ecdsa_mechanism_did_is_named() {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
        let ec = EcKey::generate(&group).expect("a key");
        let key = PKey::from_ec_key(ec.clone()).expect("a key");
        let raw = |signature: &EcdsaSig| {
            [signature.r().to_vec_padded(32).expect("fits"), signature.s().to_vec_padded(32).expect("fits")].concat()
        };
        let signature = EcdsaSig::sign(&DIGEST, &ec).expect("signed");
        let der = advice(&key, Scheme::EcdsaP256, DigestInput::Digest, &DIGEST, &signature.to_der().expect("DER"));
        assert!(der.contains("encoding should be \"der\""), "{der}");
        let twice = EcdsaSig::sign(&sha256(&DIGEST), &ec).expect("signed");
        let twice = advice(&key, Scheme::EcdsaP256, DigestInput::Digest, &DIGEST, &raw(&twice));
        assert!(twice.contains("hashes its input: input should be \"message\""), "{twice}");
        let other = EcdsaSig::sign(&DIGEST, &EcKey::generate(&group).expect("a key")).expect("signed");
        let none = advice(&key, Scheme::EcdsaP256, DigestInput::Digest, &DIGEST, &raw(&other));
        assert!(none.contains("in no known way"), "{none}");
        assert!(advice(&key, Scheme::EcdsaP256, DigestInput::Digest, &DIGEST, &[]).contains("in no known way"));
    }

    #[test]
    fn what_an_rsa_mechanism_did_is_named() {
        let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
        let mut bare = Vec::new();
        let mut context = PkeyCtx::new(&key).expect("a context");
        context.sign_init().expect("a key that signs");
        context.set_rsa_padding(Padding::PKCS1).expect("a padding");
        context.sign_to_vec(&DIGEST, &mut bare).expect("signed");
        let found = advice(&key, Scheme::RsaPss, DigestInput::Digest, &DIGEST, &bare);
        assert!(found.contains("adds no DigestInfo"), "{found}");
        let mut pkcs1 = Vec::new();
        context.set_signature_md(openssl::md::Md::sha256()).expect("a digest");
        context.sign_to_vec(&DIGEST, &mut pkcs1).expect("signed");
        let found = advice(&key, Scheme::RsaPss, DigestInput::Digest, &DIGEST, &pkcs1);
        assert!(found.contains("signs by rsa-pkcs1"), "{found}");
    }
}
