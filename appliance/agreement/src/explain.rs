use yanqian_vocabulary::Reason;

use crate::model::{Agreement, Caller};
use crate::rules::{Case, Counters, Moment, Request, Says, all_rules};

/// What a rule says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Allows,
    /// It is the first that does not allow, so it decides.
    Decides(Reason),
    /// It would not allow either.
    WouldRefuse(Reason),
}

/// One rule, with both sides of it in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub rule: &'static str,
    pub told: Told,
    pub agreed: String,
    pub asked: String,
}

/// Every rule with what it says, in the order in which [`crate::decide`] asks them.
pub fn explain(
    agreement: &Agreement,
    caller: &Caller,
    request: &Request<'_>,
    counters: &Counters,
    now: Moment,
) -> Vec<Explained> {
    let purpose = agreement.purposes.get(request.purpose);
    let case = Case { agreement, caller, request, purpose, counters, now };
    let mut decided = false;
    let told = all_rules().map(|rule| {
        let told = match (rule.says)(&case) {
            Says::Yes => Told::Allows,
            Says::No | Says::Later(_) if decided => Told::WouldRefuse(rule.reason),
            Says::No | Says::Later(_) => Told::Decides(rule.reason),
        };
        decided |= told != Told::Allows;
        let (agreed, asked) = (rule.sides)(&case);
        Explained { rule: rule.name, told, agreed, asked }
    });
    told.collect()
}
