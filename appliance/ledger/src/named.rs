//! What records name of the archive: without it a receipt is not whole.

use std::collections::BTreeMap;

use yanqian_evidence::{Body, Record, Revocation, RevocationKind};
use yanqian_vocabulary::CertificateHash;

use crate::archive::{Archive, ArchiveError, Archived};

/// Shows each file of the archive that a record names, by its SM3.
pub fn each_named(record: &Record, mut show: impl FnMut(Archived, [u8; 32])) {
    let mut proof = |signer: Option<&CertificateHash>, chain: &[CertificateHash], revocation: &[Revocation]| {
        for certificate in signer.into_iter().chain(chain) {
            show(Archived::Certificate, *certificate.as_bytes());
        }
        for evidence in revocation {
            let kind = match evidence.kind {
                RevocationKind::Crl => Archived::Crl,
                RevocationKind::Ocsp => Archived::Ocsp,
            };
            show(kind, *evidence.hash.as_bytes());
        }
    };
    match &record.body {
        Body::Exchange(exchange) => proof(Some(&exchange.signer.hash), &exchange.chain, &exchange.revocation),
        Body::Outcome(outcome) => {
            proof(outcome.signer.as_ref().map(|signer| &signer.hash), &outcome.chain, &outcome.revocation);
        }
        _ => {}
    }
    proof(Some(&record.context.certificate), record.context.encryption_certificate.as_slice(), &[]);
}

/// Files of the archive that records name, each with the first of these records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedFiles(BTreeMap<(Archived, [u8; 32]), u64>);

impl NamedFiles {
    /// Takes in what a record names. Records come in their order.
    pub fn add(&mut self, record: &Record) {
        each_named(record, |kind, hash| {
            self.0.entry((kind, hash)).or_insert(record.sequence);
        });
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an archive holds each of them. What is there may still be damaged: [`Archive::verify`] reads it.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`] with the earliest record that names what is not there.
    pub fn are_in(&self, archive: &Archive) -> Result<(), ArchiveError> {
        let mut missing: Option<(u64, String)> = None;
        for ((kind, hash), sequence) in &self.0 {
            if missing.as_ref().is_some_and(|(earlier, _)| earlier <= sequence) || archive.has(*kind, hash)? {
                continue;
            }
            missing = Some((*sequence, kind.file_name(hash)));
        }
        missing.map_or(Ok(()), |(sequence, file)| Err(ArchiveError::Missing { file, sequence }))
    }
}
