//! The country signing authorities that are believed.

use std::path::{Path, PathBuf};

use yanqian_messages::{Certificate, certificates_from_pem_or_der};
use yanqian_vocabulary::Timestamp;

use crate::error::ChipError;
use crate::keys::Key;
use crate::{extensions_are_known, is_valid, signed_by};

/// Certificates of country signing authorities (Doc 9303-12 §7.1.1), each an anchor of its own: link certificates are not followed.
///
/// Whoever stands here vouches for every document that is read, whatever its issuing state: only authorities of the state whose
/// documents are asked about belong here.
pub struct Anchors(Vec<Certificate>);

impl std::fmt::Debug for Anchors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(Certificate::subject)).finish()
    }
}

/// A directory of anchors could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct AnchorError {
    pub file: PathBuf,
    pub problem: String,
}

impl Anchors {
    /// Reads every file of a directory but those whose names begin with a dot: certificates as PEM (several in a file) or DER. One
    /// that is no authority's makes the whole unusable.
    pub fn read(directory: &Path) -> Result<Self, AnchorError> {
        let fail = |file: &Path, problem: String| AnchorError { file: file.to_owned(), problem };
        let entries = std::fs::read_dir(directory).map_err(|error| fail(directory, error.to_string()))?;
        let mut anchors = Vec::new();
        for entry in entries {
            let file = entry.map_err(|error| fail(directory, error.to_string()))?.path();
            if file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let octets = std::fs::read(&file).map_err(|error| fail(&file, error.to_string()))?;
            let certificates = certificates_from_pem_or_der(&octets).map_err(|error| fail(&file, error.to_string()))?;
            for certificate in certificates {
                check(&certificate).map_err(|problem| fail(&file, problem.to_owned()))?;
                anchors.push(certificate);
            }
        }
        if anchors.is_empty() {
            return Err(fail(directory, "holds no certificate of a country signing authority".to_owned()));
        }
        Ok(Self(anchors))
    }

    /// The authority that issued a document signer's certificate. An authority may have several keys under one name.
    pub(crate) fn issuer_of(&self, signer: &Certificate, now: Timestamp) -> Result<&Certificate, ChipError> {
        let mut found = Err(ChipError::AuthorityUnknown);
        for anchor in self.0.iter().filter(|anchor| anchor.subject_der() == signer.issuer_der()) {
            if signed_by(signer, anchor)? {
                if is_valid(anchor, now) {
                    return Ok(anchor);
                }
                found = Err(ChipError::AuthorityValidity);
            }
        }
        found
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check(certificate: &Certificate) -> Result<(), &'static str> {
    if !certificate.is_ca() || !certificate.key_usage().is_some_and(|usage| usage.key_cert_sign) {
        return Err("is no certificate of an authority: basicConstraints CA and keyCertSign are wanted (Doc 9303-12)");
    }
    if !extensions_are_known(certificate) {
        return Err("has a critical extension that is not known");
    }
    if Key::read(certificate.spki_der()).is_none() {
        return Err(
            "has a key that is not known or too weak: RSA from 2048 bits, NIST and Brainpool curves from 224, SM2",
        );
    }
    Ok(())
}
