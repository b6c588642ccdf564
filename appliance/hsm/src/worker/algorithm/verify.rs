//! Verification of RSA and ECDSA signatures, by OpenSSL.
//!
//! It is in the binary already, for certificates; it takes digests, which `ring` does not, and does both algorithms. The crate `rsa`
//! has an open advisory (RUSTSEC-2023-0071), and a second library would be one more to watch.

use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkey::PKey;
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::RsaPssSaltlen;

use crate::profile::EcdsaEncoding;
use crate::protocol::Scheme;

/// Whether the signature is one over this SHA-256 digest. Whatever cannot be read is none.
pub(super) fn verifies(spki: &[u8], scheme: Scheme, digest: &[u8; 32], signature: &[u8]) -> bool {
    let verified = || -> Result<bool, ErrorStack> {
        let key = PKey::public_key_from_der(spki)?;
        let mut context = PkeyCtx::new(&key)?;
        context.verify_init()?;
        match scheme {
            Scheme::EcdsaP256 => {}
            Scheme::RsaPkcs1 => context.set_rsa_padding(Padding::PKCS1)?,
            Scheme::RsaPss => context.set_rsa_padding(Padding::PKCS1_PSS)?,
        }
        context.set_signature_md(Md::sha256())?;
        if scheme == Scheme::RsaPss {
            context.set_rsa_mgf1_md(Md::sha256())?;
            context.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        }
        context.verify(digest, signature)
    };
    verified().unwrap_or(false)
}

/// Whether an RSA signature is one over octets that were padded as they are, without `DigestInfo` (RFC 8017 §9.2 left out).
pub(super) fn verifies_bare(spki: &[u8], octets: &[u8], signature: &[u8]) -> bool {
    let verified = || -> Result<bool, ErrorStack> {
        let key = PKey::public_key_from_der(spki)?;
        let mut context = PkeyCtx::new(&key)?;
        context.verify_init()?;
        context.set_rsa_padding(Padding::PKCS1)?;
        context.verify(octets, signature)
    };
    verified().unwrap_or(false)
}

/// DER `Ecdsa-Sig-Value` of what a mechanism gave in this encoding.
pub(super) fn ecdsa_to_der(encoding: EcdsaEncoding, octets: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        EcdsaEncoding::Raw if octets.len() == 64 => {
            let (r, s) = octets.split_at(32);
            EcdsaSig::from_private_components(BigNum::from_slice(r).ok()?, BigNum::from_slice(s).ok()?)
                .ok()?
                .to_der()
                .ok()
        }
        EcdsaEncoding::Raw => None,
        // Written anew, so that no second encoding of one signature leaves.
        EcdsaEncoding::Der => EcdsaSig::from_der(octets).ok()?.to_der().ok(),
    }
}
