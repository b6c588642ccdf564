use yanqian_evidence::{Decision, Intent, Outcome};
use yanqian_vocabulary::{Field, FieldVerdict, FieldVerdicts, Mode, ReasonClass, Verdict};

use crate::answer::SignedAnswer;
use crate::case::{Case, End, Part};
use crate::report::Held;

/// The checks that every accepted answer has passed, in the order of `docs/platform-protocol.md`.
const EVERY_STEP: [&str; 13] = [
    "status",
    "envelope",
    "signer",
    "key-usage",
    "chain",
    "revocation",
    "signature",
    "nonce",
    "digest",
    "time",
    "replay",
    "schema",
    "code",
];

/// Whether the decision follows from what the records say of the way to it.
pub(crate) fn consistent(case: &Case<'_>) -> Held {
    for part in case.parts.iter().filter(|part| part.accepted) {
        all_passed(part)?;
    }
    let outcome = match &case.end {
        End::Outcome(outcome) => outcome,
        End::Unknown => return Ok("the end of this check was lost in a crash: its outcome is unknown".to_owned()),
        End::Refusal(refusal) => {
            return Ok(format!("the check was refused before anything was signed: {}", refusal.reason));
        }
    };
    let intent = case.intent.ok_or("an outcome without an intent")?;
    match &outcome.decision {
        Decision::Verdict { overall, fields } => {
            verdict(intent, *overall, fields)?;
            Ok(format!("the verdict {overall} is about the fields that were asked and does not contradict itself"))
        }
        Decision::Refused { reason } => {
            refused(outcome)?;
            Ok(format!("the check was refused for {reason}, and the steps on record end there"))
        }
    }
}

fn all_passed(part: &Part<'_>) -> Result<(), String> {
    if let Some(refused) = part.steps.iter().find(|step| step.refused.is_some()) {
        return Err(format!("the answer was taken though the record says that step {} refused it", refused.name));
    }
    match EVERY_STEP.iter().find(|step| !part.passed(step)) {
        Some(missing) => Err(format!("the answer was taken without step {missing}")),
        None => Ok(()),
    }
}

fn verdict(intent: &Intent, overall: Verdict, fields: &FieldVerdicts) -> Result<(), String> {
    let about_what_was_asked =
        if overall == Verdict::NotFound { fields.is_empty() } else { fields.keys().eq(&intent.fields) };
    if !about_what_was_asked {
        return Err("the verdict is about other fields than those asked".to_owned());
    }
    let mode_fits = match intent.mode {
        Mode::RealName => !intent.fields.contains(&Field::Portrait) && !intent.fields.contains(&Field::Chip),
        Mode::RealPerson => intent.fields.contains(&Field::Portrait) && !intent.fields.contains(&Field::Chip),
        Mode::ChipReading => intent.fields.iter().eq(&[Field::Chip]),
    };
    if !mode_fits {
        return Err(format!("a {} check does not ask about these fields", intent.mode));
    }
    let any = |verdict| fields.values().any(|found| *found == verdict);
    let agrees = match overall {
        Verdict::Match => fields.values().all(|found| *found == FieldVerdict::Match),
        Verdict::Mismatch => any(FieldVerdict::Mismatch),
        Verdict::Undecided => any(FieldVerdict::Undecided) && !any(FieldVerdict::Mismatch),
        Verdict::NotFound => true,
    };
    if agrees { Ok(()) } else { Err("the verdict contradicts its fields".to_owned()) }
}

/// A refusal names the step that refused, which is the last one.
fn refused(outcome: &Outcome) -> Result<(), String> {
    let Decision::Refused { reason } = outcome.decision else { return Ok(()) };
    if matches!(reason.class(), ReasonClass::Request | ReasonClass::Agreement) {
        return Err(format!("{reason} refuses a check before its intent, not after it"));
    }
    let refusing = outcome.steps.iter().position(|step| step.refused.is_some());
    match refusing {
        Some(at) if at + 1 != outcome.steps.len() => Err("steps were made after one that refused".to_owned()),
        Some(at) if outcome.steps[at].refused != Some(reason) => {
            Err("the decision and the step that refused give different reasons".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether the reading that was delivered is the one that the platform's signature names; `None` when there is nothing to say.
pub(crate) fn reading(case: &Case<'_>, signed: Option<&SignedAnswer<'_>>) -> Option<Held> {
    let (End::Outcome(outcome), Some(intent)) = (&case.end, case.intent) else { return None };
    let matched = matches!(outcome.decision, Decision::Verdict { overall: Verdict::Match, .. });
    let due = intent.mode == Mode::ChipReading && matched;
    match (outcome.reading, due) {
        (None, false) => None,
        (None, true) => Some(Err("the chip matched, and the record names no reading".to_owned())),
        (Some(_), false) => Some(Err("the record names a reading where none could be".to_owned())),
        (Some(digest), true) => Some(if signed.is_some_and(|signed| signed.names(digest.as_bytes())) {
            Ok("the answer names the sealed reading that was delivered; the reading itself is kept nowhere".to_owned())
        } else {
            Err("the answer does not name the reading that the record says was delivered".to_owned())
        }),
    }
}
