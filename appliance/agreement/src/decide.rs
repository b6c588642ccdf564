use yanqian_vocabulary::{Reason, RuleId};

use crate::model::{Agreement, Caller, Purpose};
use crate::rules::{Case, Counters, Limited, Moment, Request, Rule, all_rules, first_against};

/// The agreement's answer, with the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'a> {
    Allow {
        /// `purpose.` and the purpose's code.
        rule: RuleId,
        purpose: &'a Purpose,
    },
    Refuse {
        rule: RuleId,
        reason: Reason,
        /// The purpose, when the agreement has it: then and only then its code is more than the caller's own text.
        purpose: Option<&'a Purpose>,
        /// Of a quota that is used up.
        limited: Option<Limited>,
    },
}

/// Decides: the first rule of the table that does not allow refuses; a request that passes all is allowed.
pub fn decide<'a>(
    agreement: &'a Agreement,
    caller: &Caller,
    request: &Request<'_>,
    counters: &Counters,
    now: Moment,
) -> Decision<'a> {
    let case = Case { agreement, caller, request, purpose: agreement.purposes.get(request.purpose), counters, now };
    decision(&case, first_against(all_rules(), &case))
}

/// The decision to which the first rule against a case leads, or none against it.
pub(crate) fn decision<'a>(case: &Case<'a, '_>, against: Option<(&Rule, Option<Limited>)>) -> Decision<'a> {
    match (against, case.purpose) {
        (Some((rule, limited)), purpose) => {
            Decision::Refuse { rule: named(rule.name), reason: rule.reason, purpose, limited }
        }
        (None, Some(purpose)) => Decision::Allow { rule: purpose_rule(purpose), purpose },
        // A rule stands against an unknown purpose; without it nothing would be allowed either.
        (None, None) => {
            let rule = named("agreement.purposes");
            Decision::Refuse { rule, reason: Reason::AgreementPurpose, purpose: None, limited: None }
        }
    }
}

fn named(rule: &'static str) -> RuleId {
    RuleId::new(rule).expect("rule names are constants of lower-case letters, '.' and '_'")
}

/// `purpose.CODE`; purpose codes are limited to 48 characters when the agreement is read, so the rule fits.
fn purpose_rule(purpose: &Purpose) -> RuleId {
    RuleId::new(format!("purpose.{}", purpose.code)).unwrap_or_else(|_| named("purpose"))
}
