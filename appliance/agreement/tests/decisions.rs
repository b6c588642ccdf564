//! One claim for each rule, and the claim that nothing outside any dimension is ever allowed.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use yanqian_agreement::{Agreement, CallerError, Counters, Decision, Moment, Request, Source, decide};
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
    let request = Request { mode, document_type, purpose: &purpose, fields, source: Source::Operator };
    let moment = Moment { time: now, uptime: Duration::ZERO };
    match decide(agreement, caller, &request, &Counters::UNUSED, moment) {
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
    expect("core-banking", (RealPerson, PrcPassport, "remittance", BASIC), "purpose.modes", Reason::AgreementMode);
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

    let all = "modes = [\"real-name\", \"real-person\", \"chip-reading\"]";
    let real_name_only = parse(&SAMPLE.replace(all, "modes = [\"real-name\"]")).unwrap();
    let asked = ask(&real_name_only, "core-banking", (RealPerson, PrcPassport, "account-opening", BASIC), now());
    assert_eq!(asked, Err(("agreement.modes".to_owned(), Reason::AgreementMode)));

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
fn a_faulty_agreement_is_refused_by_file_line_and_key() {
    /// The agreement's own, not a purpose's: a comment follows it.
    const ALL_MODES: &str = "[\"real-name\", \"real-person\", \"chip-reading\"]  ";
    let cases = [
        ("format_version = 1", "format_version = 2", "format_version"),
        ("version = \"2026-01\"", "version = \"2026-01\"\ncolour = 1", "colour"),
        ("version = \"2026-01\"", "version = \"\"", "version"),
        ("2035-12-31", "2025-12-31", "effective_until"),
        ("2035-12-31", "2035-12-31T00:00:00", "effective_until"),
        ("2026-01-01", "2026-02-30", "line"),
        (ALL_MODES, "[]  ", "modes"),
        (ALL_MODES, "[\"real-name\", \"real-name\"]  ", "`real-name` twice"),
        ("purposes = [\"account-opening\"]", "purposes = [\"loans\"]", "caller `branch-kiosk`: purposes: `loans`"),
        ("purposes = [\"account-opening\"]", "purposes = []", "caller `branch-kiosk`: purposes"),
        (
            "purposes = [\"account-opening\"]",
            "purposes = [\"account-opening\", \"account-opening\"]",
            "`account-opening` twice",
        ),
        ("branch-kiosk.callers", "core-banking.callers", "certificate_name"),
        ("id = \"branch-kiosk\"", "id = \"core-banking\"", "caller `core-banking`: stands twice"),
        ("code = \"remittance\"", "code = \"account-opening\"", "purpose `account-opening`: stands twice"),
        ("fields = [\"number\", \"name\", \"birth_date\"]", "fields = [\"number\", \"shoe_size\"]", "shoe_size"),
        ("retention_days = 1825", "retention_days = -1", "retention_days"),
        ("using_entity = \"Example Bank Co., Ltd.\"", "using_entity = \"a\\u0000b\"", "parties.using_entity"),
    ];
    for (from, to, named) in cases {
        let start = SAMPLE.find(from).expect(from);
        let line = 1 + SAMPLE[..start].matches('\n').count() + to.trim_end().matches('\n').count();
        let error = parse(&SAMPLE.replacen(from, to, 1)).expect_err(to);
        assert!(error.starts_with("agreement.toml:") && error.contains(named), "{to}: {error}");
        let lined = error.starts_with(&format!("agreement.toml:{line}: ")) || error.contains(&format!("line {line},"));
        assert!(lined, "{to}: line {line}: {error}");
    }
    // What the whole does not allow, no purpose may: the fault lies with the purpose, and so does the line.
    let error = parse(&SAMPLE.replacen(ALL_MODES, "[\"real-person\", \"chip-reading\"]  ", 1)).unwrap_err();
    let line =
        1 + SAMPLE.lines().position(|line| line == r#"modes = ["real-name", "real-person", "chip-reading"]"#).unwrap();
    assert!(error.starts_with(&format!("agreement.toml:{line}: purpose `account-opening`: modes: ")), "{error}");
}

#[test]
fn an_agreement_without_purposes_or_callers_is_refused() {
    let (head, blocks) = SAMPLE.split_once("# One block for each purpose").unwrap();
    let (purposes, callers) = blocks.split_once("# One block for each internal system").unwrap();
    let after_hash = |text: &str| format!("# {text}");
    assert!(parse(&format!("{head}{}", after_hash(callers))).unwrap_err().contains("missing field `purpose`"));
    assert!(parse(&format!("{head}{}", after_hash(purposes))).unwrap_err().contains("missing field `caller`"));
    // Top-level keys stand before the first table.
    let error = parse(&format!("purpose = []\n{head}{}", after_hash(callers))).unwrap_err();
    assert!(error.starts_with("agreement.toml:1: purpose: "), "{error}");
    let error = parse(&format!("caller = []\n{head}{}", after_hash(purposes))).unwrap_err();
    assert!(error.starts_with("agreement.toml:1: caller: "), "{error}");
}

fn subset<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Vec<T>> {
    proptest::sample::subsequence(all, 1..=all.len())
}

fn quoted<T: std::fmt::Display>(list: &[T]) -> String {
    let words: Vec<_> = list.iter().map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}

/// What of `wanted` the agreement's own list holds; the whole list when that is nothing.
fn within<T: Copy + PartialEq>(list: &[T], wanted: &[T]) -> Vec<T> {
    let inside: Vec<T> = wanted.iter().copied().filter(|value| list.contains(value)).collect();
    if inside.is_empty() { list.to_vec() } else { inside }
}

/// One purpose's scope in a generated agreement.
#[derive(Debug)]
struct Scope {
    modes: Vec<Mode>,
    types: Vec<DocumentType>,
    fields: Vec<Field>,
}

impl Scope {
    fn block(&self, code: &str) -> String {
        let (modes, types, fields) = (quoted(&self.modes), quoted(&self.types), quoted(&self.fields));
        format!(
            "[[purpose]]\ncode = \"{code}\"\nplatform_code = \"1\"\nbusiness_field = \"b\"\nlegal_basis = \"l\"\n\
             retention_days = 1\nmodes = {modes}\ndocument_types = {types}\nfields = {fields}\n"
        )
    }
}

fn scope() -> impl Strategy<Value = Scope> {
    (subset(Mode::ALL), subset(DocumentType::ALL), subset(Field::ALL)).prop_map(|(modes, types, fields)| Scope {
        modes,
        types,
        fields,
    })
}

proptest! {
    #[test]
    fn nothing_outside_any_dimension_is_ever_allowed(
        whole in scope(),
        mut purposes in [scope(), scope()],
        asked_mode in proptest::sample::select(Mode::ALL),
        asked_type in proptest::sample::select(DocumentType::ALL),
        asked_fields in subset(Field::ALL),
        asked_purpose in 0usize..3,
        second_caller: bool,
        shared: bool,
        time in 1_750_000_000_000i64..1_810_000_000_000,
    ) {
        for purpose in &mut purposes {
            purpose.modes = within(&whole.modes, &purpose.modes);
            purpose.types = within(&whole.types, &purpose.types);
        }
        let (modes, types) = (quoted(&whole.modes), quoted(&whole.types));
        let (first, second) = (purposes[0].block("p0"), purposes[1].block("p1"));
        // c0 holds p0, and with `shared` p1 as well; c1 holds p1 only.
        let held = if shared { r#"["p0", "p1"]"# } else { r#"["p0"]"# };
        let text = format!(r#"
            format_version = 1
            version = "v"
            entity = "e"
            platform = "p"
            effective_from = 2026-01-01
            effective_until = 2026-12-31
            modes = {modes}
            document_types = {types}
            parties = {{ using_entity = "a", service_provider = "b" }}
            caller = [
                {{ id = "c0", certificate_name = "c0", contact = "x", purposes = {held} }},
                {{ id = "c1", certificate_name = "c1", contact = "x", purposes = ["p1"] }},
            ]
            {first}
            {second}
        "#);
        let agreement = parse(&text).unwrap();
        let held = match (second_caller, asked_purpose) {
            (false, 0) | (true, 1) => true,
            (false, 1) => shared,
            _ => false,
        };
        let inside = (1_767_196_800_000..1_798_732_800_000).contains(&time)
            && held
            && purposes.get(asked_purpose).is_some_and(|purpose| {
                purpose.modes.contains(&asked_mode)
                    && purpose.types.contains(&asked_type)
                    && asked_fields.iter().all(|field| purpose.fields.contains(field))
            });
        let request = (asked_mode, asked_type, ["p0", "p1", "p2"][asked_purpose], &asked_fields[..]);
        let caller = if second_caller { "c1" } else { "c0" };
        let asked = ask(&agreement, caller, request, Timestamp::from_unix_millis(time));
        prop_assert_eq!(asked.is_ok(), inside, "{:?}", asked);
    }

    #[test]
    fn no_text_panics_the_reader(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_damage_to_an_agreement_panics_the_reader(
        places in proptest::collection::vec((0..SAMPLE.len(), any::<u8>()), 1..8),
        length in 0..=SAMPLE.len(),
    ) {
        let mut octets = SAMPLE.as_bytes().to_vec();
        for (place, octet) in places {
            octets[place] = octet;
        }
        octets.truncate(length.max(SAMPLE.len() / 2));
        let _ = parse(&String::from_utf8_lossy(&octets));
    }
}
