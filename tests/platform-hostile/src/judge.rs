//! Whether a check ended as its row says: by the row's own check, for the row's own reason.

use crate::rows::{Check, Row};

/// What the ledger says of a check.
#[derive(Debug, Default, Clone)]
pub(crate) struct Told {
    pub(crate) nonces: Vec<String>,
    pub(crate) reason: String,
    pub(crate) verdict: String,
    /// The last step, and the reason for which it refused.
    pub(crate) last: (String, String),
}

/// What is wrong with how a row ended: with what the caller was told, or with what the ledger says of it.
pub(crate) fn judge(row: Row, code: &str, told: Option<&Told>) -> Option<String> {
    let Some(told) = told else { return Some(format!("caller: {code}; no record")) };
    let came = format!("caller: {code}; record: {}{}, last step {:?}", told.verdict, told.reason, told.last);
    let right = match row.stopped {
        None => code == row.subject.verdict() && told.verdict == code,
        Some((check, reason)) => {
            let stopped = match check {
                Check::Store | Check::Transport => told.last.1.is_empty() && told.last.0.is_empty(),
                Check::Step(_) | Check::Unseal => told.last == (check.name().to_owned(), reason.code().to_owned()),
            };
            code == reason.code() && told.reason == reason.code() && stopped
        }
    };
    (!right).then_some(came)
}

#[cfg(test)]
mod tests {
    use yanqian_platform::StepName;
    use yanqian_vocabulary::Reason;

    use super::*;
    use crate::rows::Subject;

    fn row(stopped: Option<(Check, Reason)>) -> Row {
        Row { name: "a/row", stopped, subject: Subject::Fields, patient: false }
    }

    fn told(reason: &str, verdict: &str, last: (&str, &str)) -> Told {
        let last = (last.0.to_owned(), last.1.to_owned());
        Told { nonces: Vec::new(), reason: reason.to_owned(), verdict: verdict.to_owned(), last }
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
}
