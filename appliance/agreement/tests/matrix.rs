//! Every dimension in, out, at its edges and unknown, generated from an agreement's own text; what is inside is worked out from
//! the text again and not from what the room read.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};
use yanqian_agreement::{
    Agreement, Counters, Decision, Gate, Moment, Rate, Request, Source, Standing, Told, decide, explain, rule_names,
};
use yanqian_vocabulary::{DocumentType, Field, Mode, PurposeCode, Timestamp};

const AGREEMENT: &str = r#"
format_version = 1
version = "v"
entity = "e"
platform = "p"
effective_from = 2026-01-01
effective_until = 2026-12-31
modes = ["real-name", "real-person"]
document_types = ["prc-passport", "taiwan-permit", "hong-kong-macao-permit"]
checks_per_day = 1000
checks_per_second = 100
burst = 1
parties = { using_entity = "a", service_provider = "b" }

[[purpose]]
code = "wide"
platform_code = "1"
business_field = "b"
legal_basis = "l"
retention_days = 1
modes = ["real-name", "real-person"]
document_types = ["prc-passport", "taiwan-permit"]
fields = ["number", "name", "birth_date", "portrait"]
checks_per_day = 500
checks_per_second = 50
burst = 1

[[purpose]]
code = "narrow"
platform_code = "2"
business_field = "b"
legal_basis = "l"
retention_days = 1
modes = ["real-name"]
document_types = ["prc-passport"]
fields = ["number"]

[[caller]]
id = "bound"
certificate_name = "bound"
contact = "x"
purposes = ["wide"]
networks = ["10.20.0.0/16"]
hours = ["08:00-20:00"]
checks_per_day = 100
checks_per_second = 10
burst = 1

[[caller]]
id = "free"
certificate_name = "free"
contact = "x"
purposes = ["wide", "narrow"]
"#;

/// 2026-06-01T12:00+08:00.
const NOON: &str = "2026-06-01T12:00:00+08:00";

struct Text(Table);

impl Text {
    fn list<'a>(table: &'a Table, key: &str) -> Option<Vec<&'a str>> {
        Some(table.get(key)?.as_array()?.iter().map(|word| word.as_str().unwrap()).collect())
    }

    fn blocks<'a>(&'a self, kind: &str) -> Vec<&'a Table> {
        self.0[kind].as_array().unwrap().iter().map(|block| block.as_table().unwrap()).collect()
    }

    fn block<'a>(&'a self, kind: &str, key: &str, name: &str) -> Option<&'a Table> {
        self.blocks(kind).into_iter().find(|block| block[key].as_str() == Some(name))
    }

    fn number(table: Option<&Table>, key: &str) -> Option<i64> {
        table?.get(key).and_then(Value::as_integer)
    }
}

/// An instant, and which of the dimensions `effective` and `hours` it lies outside of.
fn times() -> Vec<(Timestamp, bool, bool)> {
    let at = |text: &str| Timestamp::from_rfc3339(text).unwrap();
    vec![
        (at(NOON), true, true),
        (at("2025-12-31T23:59:59.999+08:00"), false, false),
        (at("2026-01-01T00:00:00+08:00"), true, false),
        (at("2026-12-31T23:59:59.999+08:00"), true, false),
        (at("2027-01-01T00:00:00+08:00"), false, false),
        (at("2026-06-01T07:59:59.999+08:00"), true, false),
        (at("2026-06-01T08:00:00+08:00"), true, true),
        (at("2026-06-01T19:59:59.999+08:00"), true, true),
        (at("2026-06-01T20:00:00+08:00"), true, false),
    ]
}

fn sources() -> Vec<(Source, bool)> {
    let peer = |text: &str| Source::Peer(text.parse::<IpAddr>().unwrap());
    vec![
        (Source::Operator, true),
        (peer("10.20.0.0"), true),
        (peer("10.20.255.255"), true),
        (peer("::ffff:10.20.3.4"), true),
        (peer("10.19.255.255"), false),
        (peer("10.21.0.0"), false),
        (peer("2001:db8::1"), false),
    ]
}

/// The quota that is used up, by the rule that says so, and how all three stand. Every rate has its turn a nanosecond before it
/// opens, and all of them at the moment at which they open.
fn standings(text: &Text, caller: &str, purpose: &str, uptime: Duration) -> Vec<(Option<String>, Counters)> {
    let tables = [
        ("agreement", Some(&text.0)),
        ("purpose", text.block("purpose", "code", purpose)),
        ("caller", text.block("caller", "id", caller)),
    ];
    let mut open = Counters::UNUSED;
    let mut all = Vec::new();
    for pass in 0..2 {
        for (name, table) in tables {
            let slot = |counters: &mut Counters, standing: Standing| match name {
                "agreement" => counters.agreement = standing,
                "purpose" => counters.purpose = standing,
                _ => counters.caller = standing,
            };
            let rate = Text::number(table, "checks_per_second")
                .map(|number| Rate { per_second: u32::try_from(number).unwrap(), burst: 1 });
            let gate = |early: u64| match rate {
                Some(rate) => {
                    let interval = Duration::from_nanos(1_000_000_000 / u64::from(rate.per_second));
                    Gate::used_up(uptime.saturating_sub(interval) + Duration::from_nanos(early), rate)
                }
                None => Gate::used_up(uptime + Duration::from_secs(9), Rate { per_second: 1, burst: 1 }),
            };
            let day = Text::number(table, "checks_per_day");
            // At its edge: the last check of the day, at the moment at which the rate opens.
            let edge = Standing { left_today: u64::from(day.is_some()), gate: gate(0), over_share: false };
            if pass == 0 {
                slot(&mut open, edge);
                continue;
            }
            let mut shut = open;
            slot(&mut shut, Standing { gate: gate(1), ..edge });
            all.push((rate.map(|_| format!("{name}.checks_per_second")), shut));
            let mut used = open;
            slot(&mut used, Standing { left_today: 0, ..edge });
            all.push((day.map(|_| format!("{name}.checks_per_day")), used));
        }
    }
    all.push((None, open));
    all
}

fn field_sets() -> Vec<Vec<Field>> {
    let mut sets: Vec<Vec<Field>> = Field::ALL.iter().map(|field| vec![*field]).collect();
    sets.push(vec![Field::Number, Field::Name]);
    sets.push(Field::ALL.to_vec());
    sets
}

#[test]
fn each_dimension_decides_alone_and_together_as_the_text_says() {
    let agreement = Agreement::parse(AGREEMENT, Path::new("agreement.toml")).unwrap();
    let text = Text(AGREEMENT.parse().unwrap());
    let uptime = Duration::from_secs(1000);
    let mut purposes: Vec<&str> = text.blocks("purpose").iter().map(|block| block["code"].as_str().unwrap()).collect();
    purposes.push("unknown");
    let holds = |table: &Table, key: &str, word: &str| Text::list(table, key).unwrap().contains(&word);
    let (mut decided, mut alone, mut allowed) = (BTreeSet::new(), BTreeSet::new(), 0);
    for caller in agreement.callers() {
        let own = text.block("caller", "id", caller.id.as_str()).unwrap();
        for code in &purposes {
            let purpose = text.block("purpose", "code", code);
            let named = PurposeCode::new(*code).unwrap();
            let of_purpose = |key: &str, word: &str| purpose.is_some_and(|purpose| holds(purpose, key, word));
            let standings = standings(&text, caller.id.as_str(), code, uptime);
            for (mode, kind) in Mode::ALL.iter().flat_map(|mode| DocumentType::ALL.iter().map(move |kind| (mode, kind)))
            {
                for fields in field_sets() {
                    for (source, in_network) in sources() {
                        for (time, effective, in_hours) in times() {
                            for (used_up, counters) in &standings {
                                let bound = |key: &str| own.contains_key(key);
                                let outside = [
                                    ("agreement.effective", effective),
                                    ("caller.networks", in_network || !bound("networks")),
                                    ("caller.hours", in_hours || !bound("hours")),
                                    ("agreement.modes", holds(&text.0, "modes", mode.as_str())),
                                    ("agreement.document_types", holds(&text.0, "document_types", kind.as_str())),
                                    ("agreement.purposes", purpose.is_some()),
                                    ("caller.purposes", holds(own, "purposes", code)),
                                    ("purpose.modes", of_purpose("modes", mode.as_str())),
                                    ("purpose.document_types", of_purpose("document_types", kind.as_str())),
                                    ("purpose.fields", fields.iter().all(|field| of_purpose("fields", field.as_str()))),
                                ];
                                let mut outside: Vec<&str> =
                                    outside.iter().filter(|(_, inside)| !inside).map(|(rule, _)| *rule).collect();
                                outside.extend(used_up.as_deref());
                                let request = Request {
                                    mode: *mode,
                                    document_type: *kind,
                                    purpose: &named,
                                    fields: &fields,
                                    source,
                                };
                                let moment = Moment { time, uptime };
                                match decide(&agreement, caller, &request, counters, moment) {
                                    Decision::Allow { rule, .. } => {
                                        assert!(outside.is_empty(), "{rule} allowed what is outside {outside:?}");
                                        allowed += 1;
                                    }
                                    Decision::Refuse { rule, limited, .. } => {
                                        assert!(
                                            outside.contains(&rule.as_str()),
                                            "{rule} refused; outside {outside:?}"
                                        );
                                        assert_eq!(limited.is_some(), rule.as_str().contains(".checks_per_"), "{rule}");
                                        if outside.len() == 1 {
                                            alone.insert(rule.to_string());
                                        }
                                        decided.insert(rule.to_string());
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(allowed > 100, "{allowed}");
    let rules: BTreeSet<String> = rule_names().map(str::to_owned).collect();
    assert_eq!(decided, rules, "every rule has a case that it decides");
    // What the whole does not allow no purpose allows either, and an unknown purpose is held by no caller.
    for rule in ["agreement.modes", "agreement.document_types", "agreement.purposes"] {
        alone.insert(rule.to_owned());
    }
    assert_eq!(alone, rules, "every other rule has a case that it alone decides");
}

#[test]
fn an_explanation_ends_where_the_decision_does() {
    let agreement = Agreement::parse(AGREEMENT, Path::new("agreement.toml")).unwrap();
    let caller = agreement.callers().next().unwrap();
    let moment = Moment { time: Timestamp::from_rfc3339(NOON).unwrap(), uptime: Duration::from_secs(1) };
    for (purpose, source) in [("wide", "10.20.0.1"), ("wide", "10.21.0.1"), ("narrow", "10.20.0.1"), ("none", "::1")] {
        let purpose = PurposeCode::new(purpose).unwrap();
        let fields = [Field::Number];
        let request = Request {
            mode: Mode::RealName,
            document_type: DocumentType::PrcPassport,
            purpose: &purpose,
            fields: &fields,
            source: Source::Peer(source.parse().unwrap()),
        };
        let told = explain(&agreement, caller, &request, &Counters::UNUSED, moment);
        assert_eq!(told.len(), rule_names().count());
        let deciding: Vec<_> = told.iter().filter(|rule| matches!(rule.told, Told::Decides(_))).collect();
        match decide(&agreement, caller, &request, &Counters::UNUSED, moment) {
            Decision::Allow { .. } => assert!(told.iter().all(|rule| rule.told == Told::Allows)),
            Decision::Refuse { rule, reason, .. } => {
                assert_eq!(deciding.len(), 1);
                assert_eq!((deciding[0].rule, deciding[0].told), (rule.as_str(), Told::Decides(reason)));
            }
        }
    }
}

#[test]
fn faulty_limits_are_refused_by_line_and_key() {
    let cases = [
        ("checks_per_day = 1000\n", "checks_per_day = 0\n", "checks_per_day: expected a number from 1"),
        (
            "checks_per_second = 100\n",
            "checks_per_second = 1000001\n",
            "checks_per_second: expected a number from 1 to",
        ),
        ("checks_per_second = 50\n", "", "purpose `wide`: burst: means nothing"),
        ("[\"10.20.0.0/16\"]", "[\"10.20.0.1/16\"]", "caller `bound`: networks: `10.20.0.1/16`: the address has bits"),
        ("[\"10.20.0.0/16\"]", "[]", "caller `bound`: networks: must not be empty"),
        ("\"08:00-20:00\"", "\"20:00-08:00\"", "caller `bound`: hours: `20:00-08:00`: expected a part of one day"),
        ("\"08:00-20:00\"", "\"08:00-20:00\", \"08:00-20:00\"", "holds `08:00-20:00` twice"),
        ("checks_per_day = 100\n", "checks_per_day = -1\n", "checks_per_day"),
    ];
    for (from, to, named) in cases {
        let changed = AGREEMENT.replacen(from, to, 1);
        assert_ne!(changed, AGREEMENT);
        let error = Agreement::parse(&changed, Path::new("agreement.toml")).unwrap_err().to_string();
        assert!(error.contains(named) && error.starts_with("agreement.toml:"), "{to}: {error}");
    }
}
