//! Passive authentication (ICAO Doc 9303-11 §5.1): whether a chip's files are those that a document signer signed for whom a
//! configured country signing authority (CSCA) vouches. Asked before anything is sent, where anchors are configured.
//!
//! It shows that the files are unchanged since they were issued. It does not show that the chip is the one they were written
//! to (that takes active or chip authentication, with the chip in hand), that the document is still valid, or that the signer
//! was not revoked: no CSCA's revocation list is read. Signatures of RSA and ECDSA are OpenSSL's to judge, those of SM2 our
//! own engine's.
#![forbid(unsafe_code)]

mod anchors;
mod elements;
mod error;
mod keys;
mod security_object;
mod signature;

use std::collections::BTreeSet;

use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};
use yanqian_documents::listed_data_groups;
use yanqian_messages::Certificate;
use yanqian_vocabulary::{ChipFiles, Timestamp};

pub use anchors::{AnchorError, Anchors};
pub use error::ChipError;

use crate::security_object::{SecurityObject, hashes_of};
use crate::signature::Algorithm;

/// Files that are as their issuer signed them, as far as passive authentication can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentic {
    /// SM3 of the document signer's certificate.
    pub signer: [u8; 32],
    /// SM3 of the authority's certificate.
    pub authority: [u8; 32],
}

/// Judges the files of a chip at a time. The documents room has read them already.
pub fn authenticate(files: &ChipFiles, anchors: &Anchors, now: Timestamp) -> Result<Authentic, ChipError> {
    let object = SecurityObject::read(files.sod.expose()).ok_or(ChipError::SecurityObject)?;
    let (digest, hashes) = hashes_of(object.content).ok_or(ChipError::SecurityObject)?;
    let digest = digest.ok_or(ChipError::Algorithm)?;
    let groups: BTreeSet<u8> = hashes.iter().map(|(number, _)| *number).collect();
    if listed_data_groups(&files.com).into_iter().collect::<BTreeSet<_>>() != groups {
        return Err(ChipError::Groups);
    }
    for (number, file, error) in [(1, &files.dg1, ChipError::Dg1), (2, &files.dg2, ChipError::Dg2)] {
        let hash = hashes.iter().find(|(known, _)| *known == number).map(|(_, hash)| *hash);
        if hash != Some(digest.of(file.expose()).ok_or(ChipError::Algorithm)?.as_slice()) {
            return Err(error);
        }
    }
    let signer = object.signer_certificate().ok_or(ChipError::SignerMissing)?;
    object.verify(&signer)?;
    check_signer(&signer, now)?;
    let authority = anchors.issuer_of(&signer, now)?;
    Ok(Authentic { signer: signer.hash(), authority: authority.hash() })
}

/// Whether a certificate may sign security objects now (Doc 9303-12 §7.1.1).
fn check_signer(signer: &Certificate, now: Timestamp) -> Result<(), ChipError> {
    let signs = signer.key_usage().is_some_and(|usage| usage.digital_signature);
    if signer.is_ca() || !signs || !extensions_are_known(signer) {
        return Err(ChipError::SignerUsage);
    }
    if is_valid(signer, now) { Ok(()) } else { Err(ChipError::SignerValidity) }
}

fn is_valid(certificate: &Certificate, now: Timestamp) -> bool {
    (certificate.not_before()..=certificate.not_after()).contains(&now.unix_millis().div_euclid(1000))
}

/// Critical extensions limit what a certificate may be used for; one that is not known may forbid anything.
fn extensions_are_known(certificate: &Certificate) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate.as_der()) else { return false };
    parsed.extensions().iter().filter(|extension| extension.critical).all(|extension| {
        matches!(extension.parsed_extension(), ParsedExtension::KeyUsage(_) | ParsedExtension::BasicConstraints(_))
    })
}

/// Whether `authority`'s key signed the certificate.
fn signed_by(certificate: &Certificate, authority: &Certificate) -> Result<bool, ChipError> {
    let (_, parsed) = X509Certificate::from_der(certificate.as_der()).map_err(|_| ChipError::SecurityObject)?;
    let algorithm = elements::algorithm_of_certificate(certificate.as_der()).ok_or(ChipError::SecurityObject)?;
    let algorithm = Algorithm::read(algorithm, None).ok_or(ChipError::Algorithm)?;
    let key = keys::Key::read(authority.spki_der()).ok_or(ChipError::Algorithm)?;
    Ok(algorithm.verify(&key, parsed.tbs_certificate.as_ref(), &parsed.signature_value.data))
}
