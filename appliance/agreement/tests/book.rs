//! What the book lets through, over a store that keeps only what it was told, across crashes, days and callers.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use yanqian_agreement::{
    Agreement, Asked, Book, Decision, Lease, Moment, QuotaDay, Request, Scope, Source, Spent, block,
};
use yanqian_vocabulary::{CallerId, DocumentType, Field, Mode, PurposeCode, Reason, Timestamp};

/// `limits` go to the whole agreement, to the purpose and to the caller `a`; the caller `b` has none of its own.
fn agreement(limits: [&str; 3]) -> Agreement {
    let [whole, purpose, caller] = limits;
    let text = format!(
        r#"
format_version = 1
version = "v"
entity = "e"
platform = "p"
effective_from = 2026-01-01
effective_until = 2035-12-31
modes = ["real-name"]
document_types = ["prc-passport"]
parties = {{ using_entity = "a", service_provider = "b" }}
{whole}
[[purpose]]
code = "p"
platform_code = "1"
business_field = "b"
legal_basis = "l"
retention_days = 1
modes = ["real-name"]
document_types = ["prc-passport"]
fields = ["number"]
{purpose}
[[caller]]
id = "a"
certificate_name = "a"
contact = "x"
purposes = ["p"]
{caller}
[[caller]]
id = "b"
certificate_name = "b"
contact = "x"
purposes = ["p"]
"#
    );
    Agreement::parse(&text, Path::new("agreement.toml")).unwrap()
}

/// 2026-06-01T00:00+08:00.
const MIDNIGHT: i64 = 1_780_243_200_000;

/// As the state store keeps it, by scope and day.
#[derive(Default)]
struct Store(HashMap<(Scope, QuotaDay), u64>);

impl Store {
    fn lease(&mut self, lease: &Lease) -> u64 {
        let leased = self.0.entry((lease.scope.clone(), lease.day)).or_default();
        let granted = lease.wanted.min(lease.limit.saturating_sub(*leased));
        *leased += granted;
        granted
    }
}

fn ask(
    book: &mut Book,
    store: &mut Store,
    agreement: &Agreement,
    caller: &str,
    moment: Moment,
) -> Result<Spent, (String, Reason)> {
    let caller = agreement.caller(&CallerId::new(caller).unwrap()).unwrap();
    let purpose = PurposeCode::new("p").unwrap();
    let request = Request {
        mode: Mode::RealName,
        document_type: DocumentType::PrcPassport,
        purpose: &purpose,
        fields: &[Field::Number],
        source: Source::Operator,
    };
    for _ in 0..4 {
        match book.ask(agreement, caller, &request, moment) {
            Asked::Decided(Decision::Allow { .. }, spent) => return Ok(spent.unwrap()),
            Asked::Decided(Decision::Refuse { rule, reason, .. }, _) => return Err((rule.to_string(), reason)),
            Asked::Needs(lease) => {
                let granted = store.lease(&lease);
                book.granted(&lease, granted);
            }
        }
    }
    panic!("three quotas need three leases at most");
}

fn at(millis: u64) -> Moment {
    let time = Timestamp::from_unix_millis(MIDNIGHT + i64::try_from(millis).unwrap());
    Moment { time, uptime: Duration::from_millis(millis) }
}

#[derive(Debug, Clone)]
enum Step {
    Ask { second: bool },
    GiveBack,
    Crash,
    StopAndStart,
    NextDay,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => any::<bool>().prop_map(|second| Step::Ask { second }),
        4 => Just(Step::GiveBack),
        1 => Just(Step::Crash),
        1 => Just(Step::StopAndStart),
        1 => Just(Step::NextDay),
    ]
}

proptest! {
    /// The slack of I7: nothing above the quota, and of it at most one block lost for each crash, and what was given back since the
    /// start before it.
    #[test]
    fn no_day_has_more_checks_than_its_quota_and_a_crash_takes_one_block_and_what_was_given_back_at_most(
        limits in prop_oneof![[1u64..300, 1u64..300, 1u64..300], [1u64..5, 1u64..5, 1u64..5]],
        steps in proptest::collection::vec(step(), 1..600),
    ) {
        let words = limits.map(|limit| format!("checks_per_day = {limit}"));
        let agreement = agreement([&words[0], &words[1], &words[2]]);
        let scopes = [
            Scope::Agreement,
            Scope::Purpose(PurposeCode::new("p").unwrap()),
            Scope::Caller(CallerId::new("a").unwrap()),
        ];
        let rules = ["agreement.checks_per_day", "purpose.checks_per_day", "caller.checks_per_day"];
        let (mut book, mut store) = (Book::new(Duration::ZERO), Store::default());
        let (mut day, mut counts, mut given, mut lost, mut last) = (0u64, [0u64; 3], [0u64; 3], [0u64; 3], None);
        for step in steps {
            match step {
                Step::Ask { second } => {
                    let moment = at(day * 86_400_000);
                    match ask(&mut book, &mut store, &agreement, if second { "b" } else { "a" }, moment) {
                        Ok(spent) => {
                            last = Some((spent, second));
                            counts[0] += 1;
                            counts[1] += 1;
                            counts[2] += u64::from(!second);
                        }
                        Err((rule, reason)) => {
                            prop_assert_eq!(reason, Reason::AgreementQuota);
                            let place = rules.iter().position(|name| *name == rule).unwrap();
                            let found = counts[place] + lost[place];
                            prop_assert!(found >= limits[place], "{rule}: {counts:?} of {limits:?}, lost {lost:?}");
                        }
                    }
                }
                Step::GiveBack => if let Some((spent, second)) = last.take() {
                    book.give_back(&spent);
                    for (place, back) in [1, 1, u64::from(!second)].into_iter().enumerate() {
                        counts[place] -= back;
                        given[place] += back;
                    }
                },
                Step::Crash => {
                    book = Book::new(Duration::ZERO);
                    for (place, given) in given.iter_mut().enumerate() {
                        lost[place] += block(limits[place]) + std::mem::take(given);
                    }
                    last = None;
                }
                Step::StopAndStart => {
                    for (scope, day, left) in book.close_day() {
                        *store.0.get_mut(&(scope, day)).unwrap() -= left;
                    }
                    book = Book::new(Duration::ZERO);
                    (given, last) = ([0; 3], None);
                }
                Step::NextDay => {
                    (day, counts, given, lost, last) = (day + 1, [0; 3], [0; 3], [0; 3], None);
                }
            }
            for (place, scope) in scopes.iter().enumerate() {
                prop_assert!(counts[place] <= limits[place], "{scope}: {counts:?} of {limits:?}");
            }
        }
    }
}

#[test]
fn what_was_counted_under_another_limit_is_not_given_back_to_this_one() {
    let (wide, narrow) = (agreement(["checks_per_day = 9", "", ""]), agreement(["checks_per_day = 2", "", ""]));
    let (mut book, mut store) = (Book::new(Duration::ZERO), Store::default());
    let sent: Vec<_> = (0..4).map(|_| ask(&mut book, &mut store, &wide, "a", at(0)).unwrap()).collect();
    let refused = Err(("agreement.checks_per_day".to_owned(), Reason::AgreementQuota));
    assert_eq!(ask(&mut book, &mut store, &narrow, "a", at(0)), refused);
    book.give_back(&sent[0]);
    assert_eq!(ask(&mut book, &mut store, &narrow, "a", at(0)), refused, "three are sent, and two allowed");
}

#[test]
fn a_check_that_never_reached_the_platform_is_given_back() {
    let agreement = agreement(["checks_per_day = 1", "", ""]);
    let (mut book, mut store) = (Book::new(Duration::ZERO), Store::default());
    let spent = ask(&mut book, &mut store, &agreement, "a", at(0)).unwrap();
    let refused = Err(("agreement.checks_per_day".to_owned(), Reason::AgreementQuota));
    assert_eq!(ask(&mut book, &mut store, &agreement, "b", at(0)), refused);
    book.give_back(&spent);
    assert!(ask(&mut book, &mut store, &agreement, "b", at(0)).is_ok());
    assert_eq!(ask(&mut book, &mut store, &agreement, "a", at(0)), refused);
    // Of yesterday's nothing is given back to today.
    let today = at(86_400_000);
    assert!(ask(&mut book, &mut store, &agreement, "a", today).is_ok());
    book.give_back(&spent);
    assert_eq!(ask(&mut book, &mut store, &agreement, "a", today), refused);
}

#[test]
fn another_agreements_limits_count_at_once_and_nothing_is_gained_by_the_change() {
    let refused = Err(("agreement.checks_per_day".to_owned(), Reason::AgreementQuota));
    let [open, wide, narrow] =
        ["", "checks_per_day = 640", "checks_per_day = 5"].map(|limit| agreement([limit, "", ""]));
    let (mut book, mut store) = (Book::new(Duration::ZERO), Store::default());
    // Counted without a limit, so nothing is given back to one that came later.
    let unlimited = ask(&mut book, &mut store, &open, "a", at(0)).unwrap();
    ask(&mut book, &mut store, &wide, "a", at(0)).unwrap();
    // A block of ten is set aside of the wide one: more than the narrow one has.
    assert_eq!(ask(&mut book, &mut store, &narrow, "a", at(0)), refused);
    book.give_back(&unlimited);
    assert_eq!(ask(&mut book, &mut store, &narrow, "a", at(0)), refused);
    for (scope, day, left) in book.close_day() {
        *store.0.get_mut(&(scope, day)).unwrap() -= left;
    }
    for _ in 0..4 {
        ask(&mut book, &mut store, &narrow, "a", at(0)).unwrap();
    }
    assert_eq!(ask(&mut book, &mut store, &narrow, "a", at(0)), refused);
}

#[test]
fn a_start_takes_every_burst_for_used_up() {
    let agreement = agreement(["", "", "checks_per_second = 10"]);
    let (mut book, mut store) = (Book::new(Duration::from_secs(5)), Store::default());
    let refused = Err(("caller.checks_per_second".to_owned(), Reason::AgreementRate));
    assert_eq!(ask(&mut book, &mut store, &agreement, "a", at(5_000)), refused);
    assert_eq!(ask(&mut book, &mut store, &agreement, "a", at(5_099)), refused);
    assert!(ask(&mut book, &mut store, &agreement, "a", at(5_100)).is_ok());
    assert_eq!(ask(&mut book, &mut store, &agreement, "a", at(5_100)), refused);
}

#[test]
fn nothing_of_a_day_is_set_aside_for_a_check_that_must_wait() {
    let agreement = agreement(["checks_per_second = 1\nchecks_per_day = 10", "", ""]);
    let (mut book, mut store) = (Book::new(Duration::ZERO), Store::default());
    assert_eq!(ask(&mut book, &mut store, &agreement, "a", at(0)).unwrap_err().1, Reason::AgreementRate);
    assert!(store.0.is_empty());
}

#[test]
fn a_caller_that_floods_a_shared_rate_leaves_another_its_share() {
    let agreement = agreement(["checks_per_second = 100\nburst = 20", "", ""]);
    let (mut book, mut store) = (Book::new(Duration::ZERO), Store::default());
    let (mut greedy, mut modest, mut modest_asked) = (0, 0, 0);
    for millis in 1_000..11_000 {
        // The one asks every millisecond and is first each time; the other wants 40 a second, less than its half.
        greedy += u32::from(ask(&mut book, &mut store, &agreement, "a", at(millis)).is_ok());
        if millis % 25 == 0 {
            modest_asked += 1;
            modest += u32::from(ask(&mut book, &mut store, &agreement, "b", at(millis)).is_ok());
        }
    }
    assert!(modest_asked - modest <= 2, "{modest} of {modest_asked}");
    assert!(greedy >= 550, "what the other leaves is used: {greedy}");
    assert!(greedy + modest <= 1_020, "{greedy} and {modest}");
}
