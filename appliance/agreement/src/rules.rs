//! The rules, in the order in which they are asked. Whatever decides or explains goes through this one table.

use std::net::IpAddr;
use std::time::Duration;

use yanqian_vocabulary::{DocumentType, Field, Mode, PurposeCode, Reason, Timestamp};

use crate::hours::QuotaDay;
use crate::model::{Agreement, Caller, Purpose, Quota};
use crate::rate::{Gate, Rate};

/// Where a check comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The caller's own connection.
    Peer(IpAddr),
    /// An operator of the appliance, in the caller's place (Measures art. 7(3)).
    Operator,
}

/// What a caller wants to ask.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub mode: Mode,
    pub document_type: DocumentType,
    pub purpose: &'a PurposeCode,
    /// The fields that the platform would compare.
    pub fields: &'a [Field],
    pub source: Source,
}

/// The time of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Of days and hours.
    pub time: Timestamp,
    /// Since the program's start; never goes back. Of rates.
    pub uptime: Duration,
}

/// How one quota stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Checks that may still be asked today.
    pub left_today: u64,
    pub gate: Gate,
    /// Others want this quota too, and this caller has had its share of it for now: half of the burst is kept for them.
    pub over_share: bool,
}

impl Standing {
    /// Of a quota of which nothing is used.
    pub const UNUSED: Self = Self { left_today: u64::MAX, gate: Gate::UNUSED, over_share: false };
}

/// How the three quotas of a request stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    pub agreement: Standing,
    pub purpose: Standing,
    pub caller: Standing,
}

impl Counters {
    /// Nothing is used: what remains is whether such a request is within the agreement at all.
    pub const UNUSED: Self = Self { agreement: Standing::UNUSED, purpose: Standing::UNUSED, caller: Standing::UNUSED };
}

/// What a rule looks at.
pub(crate) struct Case<'a, 'b> {
    pub(crate) agreement: &'a Agreement,
    pub(crate) caller: &'b Caller,
    pub(crate) request: &'b Request<'b>,
    /// None when the agreement does not have the stated one.
    pub(crate) purpose: Option<&'a Purpose>,
    pub(crate) counters: &'b Counters,
    pub(crate) now: Moment,
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

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Yes,
    No,
    /// Not now.
    Later(Limited),
}

pub(crate) struct Rule {
    /// In records.
    pub(crate) name: &'static str,
    pub(crate) reason: Reason,
    pub(crate) says: fn(&Case<'_, '_>) -> Says,
    /// The agreement's side and the request's.
    pub(crate) sides: fn(&Case<'_, '_>) -> (String, String),
}

/// Names of the rules that refuse, in their order.
pub fn rule_names() -> impl Iterator<Item = &'static str> {
    all_rules().map(|rule| rule.name)
}

fn yes(is_so: bool) -> Says {
    if is_so { Says::Yes } else { Says::No }
}

/// A purpose that the agreement does not have allows nothing.
fn of_purpose(case: &Case<'_, '_>, allows: impl FnOnce(&Purpose) -> bool) -> Says {
    yes(case.purpose.is_some_and(allows))
}

fn of_rate(quota: Option<&Quota>, standing: &Standing, now: Moment) -> Says {
    let Some(rate) = quota.and_then(|quota| quota.rate) else { return Says::Yes };
    let burst = if standing.over_share { rate.burst.div_ceil(2) } else { rate.burst };
    let wait = standing.gate.wait(now.uptime, Rate { burst, ..rate });
    let limited = Limited { quota: rate.per_second.into(), window_seconds: 1, wait };
    if wait.is_zero() { Says::Yes } else { Says::Later(limited) }
}

fn of_day(quota: Option<&Quota>, standing: &Standing, now: Moment) -> Says {
    match quota.and_then(|quota| quota.per_day) {
        Some(quota) if standing.left_today == 0 => {
            let wait = Duration::from_millis(QuotaDay::millis_left(now.time).unsigned_abs());
            Says::Later(Limited { quota, window_seconds: 86_400, wait })
        }
        _ => Says::Yes,
    }
}

fn list<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    let words: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    if words.is_empty() { "any".to_owned() } else { words.join(", ") }
}

fn purposes<'a>(case: &Case<'a, '_>, what: impl FnOnce(&'a Purpose) -> String) -> String {
    case.purpose.map_or_else(|| "no such purpose".to_owned(), what)
}

fn rate_sides(quota: Option<&Quota>, standing: &Standing) -> (String, String) {
    let agreed = quota.and_then(|quota| quota.rate);
    let agreed = agreed.map(|rate| format!("{} a second, {} at once", rate.per_second, rate.burst));
    let share = if standing.over_share { "over its share" } else { "within its share" };
    (agreed.unwrap_or_else(|| "not limited".to_owned()), share.to_owned())
}

fn day_sides(quota: Option<&Quota>, standing: &Standing) -> (String, String) {
    let agreed = quota.and_then(|quota| quota.per_day).map(|number| format!("{number} a day"));
    let left = match standing.left_today {
        u64::MAX => "not counted".to_owned(),
        left => format!("{left} left today"),
    };
    (agreed.unwrap_or_else(|| "not limited".to_owned()), left)
}

/// The first of these rules that does not allow, with when to come again where it is a quota.
pub(crate) fn first_against<'r>(
    rules: impl IntoIterator<Item = &'r Rule>,
    case: &Case<'_, '_>,
) -> Option<(&'r Rule, Option<Limited>)> {
    rules.into_iter().find_map(|rule| match (rule.says)(case) {
        Says::Yes => None,
        Says::No => Some((rule, None)),
        Says::Later(limited) => Some((rule, Some(limited))),
    })
}

/// All rules in their order.
pub(crate) fn all_rules() -> impl Iterator<Item = &'static Rule> {
    SCOPE.iter().chain(QUOTAS)
}

/// What the agreement covers at all.
pub(crate) static SCOPE: &[Rule] = &[
    Rule {
        name: "agreement.effective",
        reason: Reason::AgreementNotInForce,
        says: |case| yes((case.agreement.effective_from..case.agreement.effective_until).contains(&case.now.time)),
        sides: |case| {
            let Agreement { effective_from, effective_until, .. } = case.agreement;
            (format!("{effective_from} to {effective_until}"), case.now.time.to_string())
        },
    },
    Rule {
        name: "caller.networks",
        reason: Reason::AgreementNetwork,
        says: |case| match case.request.source {
            Source::Peer(address) if !case.caller.networks.is_empty() => {
                yes(case.caller.networks.iter().any(|network| network.contains(address)))
            }
            Source::Peer(_) | Source::Operator => Says::Yes,
        },
        sides: |case| {
            let from = match case.request.source {
                Source::Peer(address) => address.to_string(),
                Source::Operator => "an operator".to_owned(),
            };
            (list(&case.caller.networks), from)
        },
    },
    Rule {
        name: "caller.hours",
        reason: Reason::AgreementHours,
        says: |case| {
            let hours = &case.caller.hours;
            yes(hours.is_empty() || hours.iter().any(|hours| hours.contains(case.now.time)))
        },
        sides: |case| (list(&case.caller.hours), case.now.time.to_string()),
    },
    Rule {
        name: "agreement.modes",
        reason: Reason::AgreementMode,
        says: |case| yes(case.agreement.modes.contains(&case.request.mode)),
        sides: |case| (list(&case.agreement.modes), case.request.mode.to_string()),
    },
    Rule {
        name: "agreement.document_types",
        reason: Reason::AgreementDocumentType,
        says: |case| yes(case.agreement.document_types.contains(&case.request.document_type)),
        sides: |case| (list(&case.agreement.document_types), case.request.document_type.to_string()),
    },
    Rule {
        name: "agreement.purposes",
        reason: Reason::AgreementPurpose,
        says: |case| yes(case.purpose.is_some()),
        sides: |case| (list(case.agreement.purposes.keys()), case.request.purpose.to_string()),
    },
    Rule {
        name: "caller.purposes",
        reason: Reason::AgreementCallerPurpose,
        says: |case| yes(case.caller.purposes.contains(case.request.purpose)),
        sides: |case| (list(&case.caller.purposes), case.request.purpose.to_string()),
    },
    Rule {
        name: "purpose.modes",
        reason: Reason::AgreementMode,
        says: |case| of_purpose(case, |purpose| purpose.modes.contains(&case.request.mode)),
        sides: |case| (purposes(case, |purpose| list(&purpose.modes)), case.request.mode.to_string()),
    },
    Rule {
        name: "purpose.document_types",
        reason: Reason::AgreementDocumentType,
        says: |case| of_purpose(case, |purpose| purpose.document_types.contains(&case.request.document_type)),
        sides: |case| (purposes(case, |purpose| list(&purpose.document_types)), case.request.document_type.to_string()),
    },
    Rule {
        name: "purpose.fields",
        reason: Reason::AgreementField,
        says: |case| of_purpose(case, |purpose| case.request.fields.iter().all(|field| purpose.fields.contains(field))),
        sides: |case| (purposes(case, |purpose| list(&purpose.fields)), list(case.request.fields)),
    },
];

/// How much. Rates stand before days, so that nothing of a day is set aside for a check that must wait.
pub(crate) static QUOTAS: &[Rule] = &[
    Rule {
        name: "caller.checks_per_second",
        reason: Reason::AgreementRate,
        says: |case| of_rate(Some(&case.caller.quota), &case.counters.caller, case.now),
        sides: |case| rate_sides(Some(&case.caller.quota), &case.counters.caller),
    },
    Rule {
        name: "purpose.checks_per_second",
        reason: Reason::AgreementRate,
        says: |case| of_rate(case.purpose.map(|purpose| &purpose.quota), &case.counters.purpose, case.now),
        sides: |case| rate_sides(case.purpose.map(|purpose| &purpose.quota), &case.counters.purpose),
    },
    Rule {
        name: "agreement.checks_per_second",
        reason: Reason::AgreementRate,
        says: |case| of_rate(Some(&case.agreement.quota), &case.counters.agreement, case.now),
        sides: |case| rate_sides(Some(&case.agreement.quota), &case.counters.agreement),
    },
    Rule {
        name: "caller.checks_per_day",
        reason: Reason::AgreementQuota,
        says: |case| of_day(Some(&case.caller.quota), &case.counters.caller, case.now),
        sides: |case| day_sides(Some(&case.caller.quota), &case.counters.caller),
    },
    Rule {
        name: "purpose.checks_per_day",
        reason: Reason::AgreementQuota,
        says: |case| of_day(case.purpose.map(|purpose| &purpose.quota), &case.counters.purpose, case.now),
        sides: |case| day_sides(case.purpose.map(|purpose| &purpose.quota), &case.counters.purpose),
    },
    Rule {
        name: "agreement.checks_per_day",
        reason: Reason::AgreementQuota,
        says: |case| of_day(Some(&case.agreement.quota), &case.counters.agreement, case.now),
        sides: |case| day_sides(Some(&case.agreement.quota), &case.counters.agreement),
    },
];
