//! One claim for each rule, and the claim that nothing outside any dimension is ever allowed.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use yanqian_agreement::{Agreement, CallerError, Decision, Request, decide};
use yanqian_vocabulary::{DocumentType, Field, Mode, PurposeCode, Reason, Timestamp};

const SAMPLE: &str = include_str!("../../../samples/agreement.toml");

fn parse(text: &str) -> Result<Agreement, String> {
    Agreement::parse(text, Path::new("agreement.toml")).map_err(|error| error.to_string())
}

/// 2026-11-23.
fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_392_000_000)
}

const BASIC: &[Field] = &[Field::Number, Field::Name, Field::BirthDate];

fn ask(
    agreement: &Agreement,
    caller: &str,
    request: (Mode, DocumentType, &str, &[Field]),
    now: Timestamp,
) -> Result<String, (String, Reason)> {
    let caller = agreement.callers().find(|known| known.id.as_str() == caller).unwrap();
    let (mode, document_type, purpose, fields) = request;
    let purpose = PurposeCode::new(purpose).unwrap();
    match decide(agreement, caller, &Request { mode, document_type, purpose: &purpose, fields }, now) {
        Decision::Allow { rule, purpose } => {
            assert_eq!(rule.as_str(), format!("purpose.{}", purpose.code));
            Ok(purpose.platform_code.clone())
        }
        Decision::Refuse { rule, reason, .. } => Err((rule.to_string(), reason)),
    }
}

#[test]
fn each_rule_refuses_what_it_names() {
    use DocumentType::{PrcPassport, TaiwanPermit};
    use Mode::{RealName, RealPerson};
    let agreement = parse(SAMPLE).unwrap();
    let good = (RealName, PrcPassport, "account-opening", BASIC);
    assert_eq!(ask(&agreement, "core-banking", good, now()), Ok("P001".to_owned()));

    let expect = |caller, request, rule: &str, reason| {
        assert_eq!(ask(&agreement, caller, request, now()), Err((rule.to_owned(), reason)));
    };
    expect(
        "core-banking",
        (RealPerson, PrcPassport, "account-opening", BASIC),
        "agreement.modes",
        Reason::AgreementMode,
    );
    expect("core-banking", (RealName, PrcPassport, "marketing", BASIC), "agreement.purposes", Reason::AgreementPurpose);
    expect(
        "branch-kiosk",
        (RealName, PrcPassport, "remittance", BASIC),
        "caller.purposes",
        Reason::AgreementCallerPurpose,
    );
    expect(
        "core-banking",
        (RealName, TaiwanPermit, "remittance", BASIC),
        "purpose.document_types",
        Reason::AgreementDocumentType,
    );
    let more = &[Field::Number, Field::Expiry];
    expect("core-banking", (RealName, PrcPassport, "remittance", more), "purpose.fields", Reason::AgreementField);

    let narrow = parse(&SAMPLE.replace("    \"taiwan-permit\",\n", "")).unwrap();
    let asked = ask(&narrow, "core-banking", (RealName, TaiwanPermit, "account-opening", BASIC), now());
    assert_eq!(asked, Err(("agreement.document_types".to_owned(), Reason::AgreementDocumentType)));
}

#[test]
fn the_agreement_is_in_force_from_its_first_day_to_its_last_in_shanghai() {
    let agreement = parse(SAMPLE).unwrap();
    let good = (Mode::RealName, DocumentType::PrcPassport, "account-opening", BASIC);
    let refused = Err(("agreement.effective".to_owned(), Reason::AgreementNotInForce));
    // 2026-01-01T00:00+08:00 and 2036-01-01T00:00+08:00.
    let (first, after) = (1_767_196_800_000, 2_082_729_600_000);
    assert_eq!(ask(&agreement, "core-banking", good, Timestamp::from_unix_millis(first - 1)), refused);
    assert!(ask(&agreement, "core-banking", good, Timestamp::from_unix_millis(first)).is_ok());
    assert!(ask(&agreement, "core-banking", good, Timestamp::from_unix_millis(after - 1)).is_ok());
    assert_eq!(ask(&agreement, "core-banking", good, Timestamp::from_unix_millis(after)), refused);
}

#[test]
fn a_certificate_stands_for_exactly_one_caller() {
    let agreement = parse(SAMPLE).unwrap();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = agreement.caller_by_certificate_name(&names(&["x", "core-banking.callers.example"])).unwrap();
    assert_eq!(found.id.as_str(), "core-banking");
    let both = names(&["branch-kiosk.callers.example", "core-banking.callers.example"]);
    assert_eq!(agreement.caller_by_certificate_name(&both), Err(CallerError::Ambiguous));
    assert_eq!(agreement.caller_by_certificate_name(&names(&["core-banking"])), Err(CallerError::Unknown));
    assert_eq!(agreement.caller_by_certificate_name(&[]), Err(CallerError::Unknown));
}

#[test]
fn a_faulty_agreement_is_refused_by_file_and_key() {
    let cases = [
        ("format_version = 1", "format_version = 2", "format_version"),
        ("version = \"2026-01\"", "version = \"2026-01\"\ncolour = 1", "colour"),
        ("2035-12-31", "2025-12-31", "effective_until"),
        ("2035-12-31", "2035-12-31T00:00:00", "effective_until"),
        ("[\"real-name\"]  ", "[]  ", "modes"),
        ("purposes = [\"account-opening\"]", "purposes = [\"loans\"]", "`loans`"),
        ("branch-kiosk.callers", "core-banking.callers", "certificate_name"),
        ("id = \"branch-kiosk\"", "id = \"core-banking\"", "stands twice"),
        ("code = \"remittance\"", "code = \"account-opening\"", "stands twice"),
        ("fields = [\"number\", \"name\", \"birth_date\"]", "fields = [\"number\", \"shoe_size\"]", "line"),
        ("retention_days = 1825", "retention_days = -1", "retention_days"),
    ];
    for (from, to, named) in cases {
        assert!(SAMPLE.contains(from), "{from}");
        let error = parse(&SAMPLE.replacen(from, to, 1)).expect_err(to);
        assert!(error.contains("agreement.toml") && error.contains(named), "{to}: {error}");
    }
}

fn subset<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Vec<T>> {
    proptest::sample::subsequence(all, 1..=all.len())
}

fn quoted<T: std::fmt::Display>(list: &[T]) -> String {
    let words: Vec<_> = list.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}

proptest! {
    #[test]
    fn nothing_outside_any_dimension_is_ever_allowed(
        modes in subset(Mode::ALL),
        types in subset(DocumentType::ALL),
        fields in subset(Field::ALL),
        asked_mode in proptest::sample::select(Mode::ALL),
        asked_type in proptest::sample::select(DocumentType::ALL),
        asked_fields in subset(Field::ALL),
        purpose in proptest::sample::select(&["p1", "p2", "p3"][..]),
        time in 1_700_000_000_000i64..2_200_000_000_000,
    ) {
        let (modes_text, types_text, fields_text) = (quoted(&modes), quoted(&types), quoted(&fields));
        let text = format!(r#"
            format_version = 1
            version = "v"
            entity = "e"
            platform = "p"
            effective_from = 2026-01-01
            effective_until = 2026-12-31
            modes = {modes_text}
            document_types = {types_text}
            parties = {{ using_entity = "a", service_provider = "b" }}
            purpose = [
                {{ code = "p1", platform_code = "1", business_field = "b", legal_basis = "l", retention_days = 1, modes = {modes_text}, document_types = {types_text}, fields = {fields_text} }},
                {{ code = "p2", platform_code = "2", business_field = "b", legal_basis = "l", retention_days = 1, modes = {modes_text}, document_types = {types_text}, fields = {fields_text} }},
            ]
            caller = [{{ id = "core-banking", certificate_name = "c", contact = "x", purposes = ["p1"] }}]
        "#);
        let agreement = parse(&text).unwrap();
        let now = Timestamp::from_unix_millis(time);
        let inside = modes.contains(&asked_mode)
            && types.contains(&asked_type)
            && asked_fields.iter().all(|field| fields.contains(field))
            && purpose == "p1"
            && (1_767_196_800_000..1_798_732_800_000).contains(&time);
        let allowed = ask(&agreement, "core-banking", (asked_mode, asked_type, purpose, &asked_fields), now).is_ok();
        prop_assert_eq!(allowed, inside);
    }
}
