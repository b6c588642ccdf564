//! What the records of a segment name and do not hold: certificates, revocation lists, OCSP responses.

use std::collections::BTreeSet;

use yanqian_evidence::{Body, Revocation, RevocationKind, Signer};
use yanqian_ledger::{Archived, Entry};
use yanqian_vocabulary::CertificateHash;

use crate::name::Name;

/// Each once. Certificates that stand in a record themselves are not among them.
pub(crate) fn named(entries: &[Entry]) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for entry in entries {
        let context = &entry.record.context;
        let ours = std::iter::once(&context.certificate).chain(&context.encryption_certificate);
        names.extend(ours.map(certificate));
        match &entry.record.body {
            Body::Outcome(outcome) => add(&mut names, outcome.signer.as_ref(), &outcome.chain, &outcome.revocation),
            Body::Exchange(exchange) => add(&mut names, Some(&exchange.signer), &exchange.chain, &exchange.revocation),
            _ => {}
        }
    }
    names
}

fn certificate(hash: &CertificateHash) -> Name {
    Name::of_evidence(Archived::Certificate, *hash.as_bytes())
}

fn add(names: &mut BTreeSet<Name>, signer: Option<&Signer>, chain: &[CertificateHash], revocation: &[Revocation]) {
    names.extend(signer.map(|signer| certificate(&signer.hash)));
    names.extend(chain.iter().map(certificate));
    names.extend(revocation.iter().map(|used| {
        let kind = match used.kind {
            RevocationKind::Crl => Archived::Crl,
            RevocationKind::Ocsp => Archived::Ocsp,
        };
        Name::of_evidence(kind, *used.hash.as_bytes())
    }));
}
