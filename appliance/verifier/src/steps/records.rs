use yanqian_evidence::receipt::{Receipt, check_of};
use yanqian_evidence::{Kind, LeafHash, Record};

use crate::evidence::Evidence;
use crate::report::Held;

/// Decodes every record and compares its hash with the one that the receipt states.
pub(crate) fn decode(receipt: &Receipt) -> Result<(Vec<Record>, String), String> {
    let mut records = Vec::new();
    for (entry, number) in receipt.records.iter().zip(1..) {
        if LeafHash::of_record(&entry.octets) != entry.leaf {
            return Err(format!("record {number} does not have the leaf hash that the receipt states"));
        }
        records.push(entry.decode().map_err(|error| format!("record {number}: {error}"))?);
    }
    let kinds: Vec<&str> = records.iter().map(|record| record.body.kind().as_str()).collect();
    let says = format!("every record decodes in its one encoding and has its leaf hash ({})", kinds.join(", "));
    Ok((records, says))
}

/// Whether the records are the whole story of one check, written by one node under one key.
pub(crate) fn belong_together(receipt: &Receipt, records: &[Record]) -> Held {
    let verification = check_of(records).ok_or("the records are not those of one check, whole and in order")?;
    if verification != receipt.verification {
        return Err(format!("the records are of verification {verification}, the receipt of {}", receipt.verification));
    }
    for pair in records.windows(2) {
        let (one, other) = (&pair[0].context, &pair[1].context);
        let same = (&one.entity, &one.node, &one.platform, one.key, one.certificate, one.grade)
            == (&other.entity, &other.node, &other.platform, other.key, other.certificate, other.grade);
        if !same {
            return Err(
                "the records were written by different entities, nodes or keys, or for different platforms".into()
            );
        }
    }
    let has_intent = records.iter().any(|record| record.body.kind() == Kind::Intent);
    if receipt.salt.is_some() && !has_intent {
        return Err("there is a salt and no commitment that it could open".to_owned());
    }
    let sequences: Vec<String> = records.iter().map(|record| record.sequence.to_string()).collect();
    let context = &records[0].context;
    Ok(format!(
        "the records belong to one check of {} on node {} with a token of grade {} (sequence {})",
        context.entity,
        context.node,
        context.grade,
        sequences.join(", ")
    ))
}

/// Whether the receipt holds nothing that its records do not lead to: what is not looked at proves nothing.
pub(crate) fn nothing_else(evidence: &Evidence<'_>) -> Held {
    let (certificates, lists) = evidence.stray();
    if certificates + lists > 0 {
        return Err(format!("{certificates} certificates and {lists} lists in the receipt belong to nothing in it"));
    }
    Ok("every certificate and list in the receipt is one that its records lead to".to_owned())
}
