//! What a check's end means for its step.

use yanqian_agreement::Agreement;
use yanqian_vocabulary::{FieldVerdicts, Mode, Reason, Verdict};

use super::cases::{Case, Cases, RefusalCase};
use super::facts::Ending;
use super::report::{AddressFacts, CheckFacts, ClockFacts, StepResult};

/// Every service of the agreement is either asked about as one that works, or left out by the cases file.
pub(super) fn coverage(cases: &Cases, agreement: &Agreement) -> Result<String, String> {
    let matches = |mode: &Mode| cases.checks.iter().any(|case| case.mode == *mode && case.expect == Verdict::Match);
    let words = |modes: Vec<&Mode>| modes.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(", ");
    let missing: Vec<_> =
        agreement.modes.iter().filter(|mode| !matches(mode) && !cases.left_out.contains(mode)).collect();
    if !missing.is_empty() {
        return Err(format!("no case is expected to match: {}", words(missing)));
    }
    let left_out: Vec<_> = agreement.modes.iter().filter(|mode| cases.left_out.contains(mode)).collect();
    let all = words(agreement.modes.iter().filter(|mode| !cases.left_out.contains(mode)).collect());
    Ok(if left_out.is_empty() { all } else { format!("{all}; left out by the cases file: {}", words(left_out)) })
}

/// One address that requests can go to is enough; what keeps them from the others is told.
pub(super) fn endpoint(addresses: &[AddressFacts]) -> Result<String, String> {
    let problem = |one: &AddressFacts| Some(format!("{} {}", one.address, one.problem.as_ref()?));
    let problems = addresses.iter().filter_map(problem).collect::<Vec<_>>().join("; ");
    let Some(good) = addresses.iter().find(|one| one.connected) else { return Err(problems) };
    let suite = good.suite.as_ref().map(|suite| format!(", {suite}")).unwrap_or_default();
    let told = format!("{}{suite} at {}", good.tls.as_deref().unwrap_or("plain HTTP"), good.address);
    Ok(if problems.is_empty() { told } else { format!("{told}; not at {problems}") })
}

/// The check that refused an answer, if one did.
fn refusing(facts: &CheckFacts) -> Option<&str> {
    let last = facts.exchanges.last()?.checks.last()?;
    (last.result == StepResult::Fail).then_some(last.name.as_str())
}

fn refused(reason: Reason, field: Option<&str>, facts: &CheckFacts) -> String {
    match (refusing(facts), field) {
        (Some(check), _) => format!("the answer's check `{check}` refused it: {}", reason.code()),
        (None, Some(field)) => format!("{}, field {field}", reason.code()),
        (None, None) => reason.code().to_owned(),
    }
}

/// A check must end as its case says, within the time that the file allows.
pub(super) fn case(
    case: &Case,
    ending: Option<&Ending>,
    facts: &CheckFacts,
    max_latency: Option<i64>,
) -> Result<String, String> {
    let (overall, fields) = match ending {
        Some(Ending::Verdict { overall, fields }) => (*overall, fields),
        Some(Ending::Refused { reason, field, .. }) => return Err(refused(*reason, field.as_deref(), facts)),
        None => return Err("the ledger has no end of it".to_owned()),
    };
    if overall != case.expect {
        return Err(format!("expected {}, found {overall}", case.expect));
    }
    if let Some(problem) = other_field(&case.expect_fields, fields) {
        return Err(problem);
    }
    let latency = facts.latency_ms.unwrap_or_default();
    if let Some(most) = max_latency.filter(|most| latency > *most) {
        return Err(format!("{overall}, but after {latency} ms, and at most {most} ms are allowed"));
    }
    let checks: usize = facts.exchanges.iter().map(|exchange| exchange.checks.len()).sum();
    Ok(format!("{overall} after {latency} ms, {checks} checks passed"))
}

fn other_field(expected: &FieldVerdicts, found: &FieldVerdicts) -> Option<String> {
    let (field, wanted) = expected.iter().find(|(field, wanted)| found.get(field) != Some(wanted))?;
    let found = found.get(field).map_or("nothing", |verdict| verdict.as_str());
    Some(format!("{field}: expected {wanted}, found {found}"))
}

/// A wrong request must be refused by the platform, in words that are its own where the file says which.
pub(super) fn refusal(case: &RefusalCase, ending: Option<&Ending>, facts: &CheckFacts) -> Result<String, String> {
    let code = facts.code.as_deref().unwrap_or("none");
    match (ending, &case.code) {
        (Some(Ending::Refused { reason: Reason::PlatformRefused, .. }), Some(wanted)) if wanted != code => {
            Err(format!("refused with code {code}, expected {wanted}"))
        }
        (Some(Ending::Refused { reason: Reason::PlatformRefused, .. }), _) => {
            Ok(format!("refused with code {code}, signed by the platform"))
        }
        (Some(Ending::Refused { reason: Reason::PlatformStatus, http_status: Some(status @ 400..=499), .. }), None) => {
            Ok(format!("refused with HTTP {status}, which nobody signed"))
        }
        (Some(Ending::Verdict { overall, .. }), _) => Err(format!("the platform performed it and answered {overall}")),
        (Some(Ending::Refused { reason, field, .. }), _) => {
            Err(format!("no refusal of the platform's: {}", refused(*reason, field.as_deref(), facts)))
        }
        (None, _) => Err("the ledger has no end of it".to_owned()),
    }
}

/// Judged by the answer that took least time, which says most.
pub(super) fn clock(differences: &[(i64, i64)], most: i64) -> (Result<String, String>, Option<ClockFacts>) {
    let Some((low, high)) = differences.iter().min_by_key(|(low, high)| high - low).copied() else {
        return (Err("no proven answer told the platform's time".to_owned()), None);
    };
    let facts = ClockFacts { at_least_ms: low, at_most_ms: high, answers: differences.len() };
    let told = format!("the platform's clock is {low} to {high} ms ahead");
    let ended = if low >= -most && high <= most {
        Ok(told)
    } else {
        Err(format!("{told}, and at most {} s are allowed", most / 1000))
    };
    (ended, Some(facts))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::cases::Wrong;
    use super::*;

    fn facts(code: Option<&str>) -> CheckFacts {
        CheckFacts {
            mode: String::new(),
            document_type: String::new(),
            purpose: String::new(),
            expected: String::new(),
            found: String::new(),
            fields: BTreeMap::new(),
            verification: String::new(),
            latency_ms: None,
            code: code.map(str::to_owned),
            exchanges: Vec::new(),
            records: Vec::new(),
        }
    }

    fn refusal_with(code: Option<&str>) -> RefusalCase {
        RefusalCase { name: "r".to_owned(), case: 0, wrong: Wrong::RepeatedNonce, code: code.map(str::to_owned) }
    }

    const fn ended(reason: Reason, http_status: Option<u16>) -> Ending {
        Ending::Refused { reason, field: None, http_status }
    }

    #[test]
    fn only_a_refusal_of_the_platforms_own_passes() {
        let any = refusal_with(None);
        let signed = ended(Reason::PlatformRefused, Some(200));
        assert!(refusal(&any, Some(&signed), &facts(Some("2004"))).is_ok());
        assert!(refusal(&any, Some(&ended(Reason::PlatformStatus, Some(400))), &facts(None)).is_ok());
        for status in [200, 302, 399, 500, 503] {
            assert!(refusal(&any, Some(&ended(Reason::PlatformStatus, Some(status))), &facts(None)).is_err());
        }
        for reason in [Reason::OutcomeUnknown, Reason::PlatformUnreachable, Reason::PlatformSignature] {
            assert!(refusal(&any, Some(&ended(reason, Some(400))), &facts(None)).is_err(), "{reason:?}");
        }
        let performed = Ending::Verdict { overall: Verdict::Match, fields: FieldVerdicts::new() };
        let said = refusal(&any, Some(&performed), &facts(Some("0000")));
        assert_eq!(said, Err("the platform performed it and answered match".to_owned()));
        assert!(refusal(&any, None, &facts(None)).is_err());
    }

    #[test]
    fn a_code_that_is_asked_for_must_come_signed() {
        let asked = refusal_with(Some("2004"));
        let signed = ended(Reason::PlatformRefused, Some(200));
        assert!(refusal(&asked, Some(&signed), &facts(Some("2004"))).is_ok());
        assert!(refusal(&asked, Some(&signed), &facts(Some("2005"))).is_err());
        assert!(refusal(&asked, Some(&signed), &facts(None)).is_err());
        assert!(refusal(&asked, Some(&ended(Reason::PlatformStatus, Some(400))), &facts(None)).is_err());
    }

    #[test]
    fn clocks_are_judged_by_the_answer_that_took_least_time() {
        let (ended, told) = clock(&[(-4000, 900), (-40, 10), (-900, 200)], 50);
        assert!(ended.is_ok());
        assert_eq!(told.map(|told| (told.at_least_ms, told.at_most_ms, told.answers)), Some((-40, 10, 3)));
        assert!(clock(&[(-40, 10)], 39).0.is_err());
        assert!(clock(&[(10, 60)], 59).0.is_err());
        assert!(clock(&[], 1000).0.is_err());
    }
}
