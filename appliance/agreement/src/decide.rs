use std::time::Duration;

use yanqian_vocabulary::{Reason, RuleId};

use crate::model::{Agreement, Caller, Purpose};
use crate::rules::{Case, Counters, Moment, RULES, Request, Says};

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

/// A quota that lets no more through for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Checks in a window.
    pub quota: u64,
    /// 1 or 86400.
    pub window_seconds: u32,
    /// Until it would let one through, if nobody else asks.
    pub wait: Duration,
}

/// Decides: the first rule of the table that does not allow refuses; a request that passes all is allowed.
pub fn decide<'a>(
    agreement: &'a Agreement,
    caller: &Caller,
    request: &Request<'_>,
    counters: &Counters,
    now: Moment,
) -> Decision<'a> {
    let purpose = agreement.purposes.get(request.purpose);
    let case = Case { agreement, caller, request, purpose, counters, now };
    for rule in RULES {
        let limited = match (rule.says)(&case) {
            Says::Yes => continue,
            Says::No => None,
            Says::Later { quota, window_seconds, wait } => Some(Limited { quota, window_seconds, wait }),
        };
        return Decision::Refuse { rule: named(rule.name), reason: rule.reason, purpose, limited };
    }
    match purpose {
        Some(purpose) => Decision::Allow { rule: purpose_rule(purpose), purpose },
        // The rule `agreement.purposes` has refused it already; without it nothing is allowed either.
        None => {
            let rule = named("agreement.purposes");
            Decision::Refuse { rule, reason: Reason::AgreementPurpose, purpose, limited: None }
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
