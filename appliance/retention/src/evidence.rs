//! What the records of a segment name and do not hold: certificates, revocation lists, OCSP responses.

use std::collections::BTreeSet;

use yanqian_ledger::{Entry, each_named};

use crate::name::Name;

/// Each once.
pub(crate) fn named(entries: &[Entry]) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for entry in entries {
        each_named(&entry.record, |kind, hash| {
            names.insert(Name::of_evidence(kind, hash));
        });
    }
    names
}
