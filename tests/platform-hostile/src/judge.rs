//! Whether a check ended as its row says: by the row's own check, for the row's own reason, after every check before it and before
//! every check behind it.

use yanqian_platform::StepName;

use crate::rows::{Check, Row};

/// What the ledger says of a check.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    pub(crate) nonces: Vec<String>,
    pub(crate) reason: String,
    pub(crate) verdict: String,
    /// Each step of the last answer's proof, and the reason for which it refused.
    pub(crate) steps: Vec<(String, String)>,
}

/// What is wrong with how a row ended: with what the caller was told, or with what the ledger says of it.
pub(crate) fn judge(row: Row, code: &str, told: Option<&Told>) -> Option<String> {
    let Some(told) = told else { return Some(format!("caller: {code}; no record")) };
    let last = told.steps.last().cloned().unwrap_or_default();
    let came = format!("caller: {code}; record: {}{}, last step {last:?}", told.verdict, told.reason);
    if !in_order(&told.steps) {
        return Some(format!("{came}; steps out of their order: {:?}", told.steps));
    }
    let right = match row.stopped {
        None => code == row.subject.verdict() && told.verdict == code,
        Some((check, reason)) => {
            let stopped = match check {
                Check::Store | Check::Transport => told.steps.is_empty(),
                Check::Step(_) | Check::Unseal => last == (check.name().to_owned(), reason.code().to_owned()),
            };
            code == reason.code() && told.reason == reason.code() && stopped
        }
    };
    (!right).then_some(came)
}

/// Each in the order in which checks are made, none left out, and nothing after one that refused. What is no object, or has no serial
/// to remember, is refused by its schema in the place of the check that would have looked into it; a signature that names nobody and
/// verifies with no known key, in the place of its signer's.
fn in_order(steps: &[(String, String)]) -> bool {
    let mut order = StepName::ALL.iter().map(|step| step.as_str()).chain([Check::Unseal.name()]);
    for (index, (name, refused)) in steps.iter().enumerate() {
        let last = index + 1 == steps.len();
        let due = order.next();
        let place =
            matches!((name.as_str(), due), ("schema", Some("nonce" | "replay")) | ("signature", Some("signer")));
        let early = last && place;
        if (due != Some(name.as_str()) && !early) || (!refused.is_empty() && !last) || (early && refused.is_empty()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use yanqian_platform::StepName;
    use yanqian_vocabulary::Reason;

    use super::*;
    use crate::rows::Subject;

    type Steps = Vec<(String, String)>;

    fn row(stopped: Option<(Check, Reason)>) -> Row {
        Row { name: "a/row", stopped, subject: Subject::Fields, patient: false }
    }

    fn told(reason: &str, verdict: &str, last: (&str, &str)) -> Told {
        let passed = StepName::ALL.iter().map(|step| step.as_str()).take_while(|name| *name != last.0);
        let mut steps: Vec<_> = passed.map(|name| (name.to_owned(), String::new())).collect();
        steps.push((last.0.to_owned(), last.1.to_owned()));
        if last.0.is_empty() {
            steps.clear();
        }
        Told { nonces: Vec::new(), reason: reason.to_owned(), verdict: verdict.to_owned(), steps }
    }

    #[test]
    fn a_row_counts_only_when_its_own_check_refused_for_its_own_reason_in_reply_and_record_alike() {
        let own = row(Some((Check::Step(StepName::Nonce), Reason::PlatformNonce)));
        let good = told("platform-nonce", "", ("nonce", "platform-nonce"));
        assert_eq!(judge(own, "platform-nonce", Some(&good)), None);
        let wrong = [
            ("platform-digest", good.clone()),
            ("match", good.clone()),
            ("platform-nonce", told("platform-digest", "", ("digest", "platform-digest"))),
            ("platform-nonce", told("platform-nonce", "", ("digest", "platform-nonce"))),
            ("platform-nonce", told("platform-nonce", "", ("nonce", ""))),
            ("platform-nonce", told("platform-nonce", "", ("", ""))),
            ("platform-nonce", told("", "match", ("nonce", ""))),
        ];
        for (code, told) in wrong {
            assert!(judge(own, code, Some(&told)).is_some(), "{code}: {told:?}");
        }
        assert!(judge(own, "platform-nonce", None).is_some(), "no record");
    }

    #[test]
    fn what_has_no_answer_has_no_step() {
        let own = row(Some((Check::Transport, Reason::OutcomeUnknown)));
        assert_eq!(judge(own, "outcome-unknown", Some(&told("outcome-unknown", "", ("", "")))), None);
        let stepped = told("outcome-unknown", "", ("status", "outcome-unknown"));
        assert!(judge(own, "outcome-unknown", Some(&stepped)).is_some());
    }

    #[test]
    fn an_oddity_counts_only_when_it_was_believed() {
        let believed = told("", "match", ("code", ""));
        assert_eq!(judge(row(None), "match", Some(&believed)), None);
        for (code, told) in [("mismatch", believed), ("match", told("", "mismatch", ("code", "")))] {
            assert!(judge(row(None), code, Some(&told)).is_some(), "{code}: {told:?}");
        }
    }

    #[test]
    fn checks_out_of_their_order_left_out_or_made_after_a_refusal_do_not_count() {
        let own = row(Some((Check::Step(StepName::Nonce), Reason::PlatformNonce)));
        let good = told("platform-nonce", "", ("nonce", "platform-nonce"));
        let with = |change: &dyn Fn(&mut Steps)| {
            let mut told = good.clone();
            change(&mut told.steps);
            judge(own, "platform-nonce", Some(&told))
        };
        assert_eq!(with(&|_| {}), None);
        assert!(with(&|steps| drop(steps.remove(0))).is_some());
        assert!(with(&|steps| steps.swap(2, 3)).is_some());
        assert!(with(&|steps| steps[1].1 = "platform-envelope".to_owned()).is_some());
        let early = |after: &str| {
            let row = row(Some((Check::Step(StepName::Schema), Reason::PlatformSchema)));
            let mut told = told("platform-schema", "", (after, ""));
            told.steps.push(("schema".to_owned(), "platform-schema".to_owned()));
            judge(row, "platform-schema", Some(&told))
        };
        assert_eq!((early("signature"), early("time")), (None, None));
        assert!(early("chain").is_some() && early("nonce").is_some());
    }
}
