//! The anchor: that the records stand in a tree that the ledger's key has signed.

use yanqian_evidence::{Anchor, Receipt, Record, SignedCheckpoint};

use crate::ledgers::Ledgers;
use crate::report::Held;

/// Proves an anchor over the receipt's records, decoded in the same order.
pub(crate) fn prove(anchor: &Anchor, receipt: &Receipt, records: &[Record], ledgers: Option<&Ledgers>) -> Held {
    let ledgers = ledgers.ok_or("the trust directory holds no ledgers.toml, so nobody vouches for the ledger")?;
    let signed = &anchor.checkpoint;
    let checkpoint = &signed.checkpoint;
    let known: Vec<_> = ledgers.ledgers.iter().filter(|(origin, _)| *origin == checkpoint.origin).collect();
    if known.is_empty() {
        return Err(format!("ledgers.toml names no key for the ledger {}", checkpoint.origin));
    }
    // A listed key that is named and signed wrongly says more than one that is not named at all.
    let mut verdicts = known.iter().map(|(_, key)| key.signed(signed));
    let first = verdicts.next().unwrap_or(Ok(()));
    verdicts.fold(first, |best, next| if best.is_ok() { best } else { next }).map_err(|error| error.to_string())?;
    anchor.includes(&receipt.records).map_err(|(number, error)| format!("record {number}: {error}"))?;
    for ((proof, record), number) in anchor.proofs.iter().zip(records).zip(1..) {
        if proof.index.checked_add(1) != Some(record.sequence) {
            return Err(format!("record {number} has sequence {} and leaf index {}", record.sequence, proof.index));
        }
        if record.time > checkpoint.time {
            return Err(format!("record {number} is of {}, after the checkpoint's {}", record.time, checkpoint.time));
        }
    }
    let witnesses = witnesses(signed, ledgers)?;
    Ok(format!(
        "every record is in the tree of {} records that the ledger {} signed at {}{witnesses}",
        checkpoint.size, checkpoint.origin, checkpoint.time
    ))
}

/// Says who cosigned.
fn witnesses(signed: &SignedCheckpoint, ledgers: &Ledgers) -> Held {
    let mut names = Vec::new();
    for witness in &ledgers.witnesses {
        if witness.cosigned(signed).map_err(|error| error.to_string())? {
            names.push(witness.name.as_str());
        }
    }
    if names.len() < ledgers.minimum_witnesses {
        let minimum = ledgers.minimum_witnesses;
        return Err(format!("{} of the listed witnesses cosigned, and {minimum} must have", names.len()));
    }
    Ok(if names.is_empty() { String::new() } else { format!(", cosigned by {}", names.join(", ")) })
}
