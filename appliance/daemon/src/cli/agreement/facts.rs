//! What an agreement says, as facts with a name each, in a form that two versions can be compared in.

use std::collections::BTreeMap;
use std::fmt::Display;

use yanqian_agreement::{Agreement, Quota};

/// Facts by their keys, which are those of the file; blocks by their ids.
pub(super) type Facts = BTreeMap<String, String>;

fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

/// What is left out is said too: it is what another version may change.
fn some_or(list: String, absent: &str) -> String {
    if list.is_empty() { absent.to_owned() } else { list }
}

fn put(facts: &mut Facts, block: &str, key: &str, value: impl Display) {
    facts.insert(format!("{block}{key}"), value.to_string());
}

fn quota(facts: &mut Facts, block: &str, quota: Quota) {
    let number = |number: Option<u64>| number.map_or_else(|| "not limited".to_owned(), |number| number.to_string());
    put(facts, block, "checks_per_day", number(quota.per_day));
    put(facts, block, "checks_per_second", number(quota.rate.map(|rate| rate.per_second.into())));
    if let Some(rate) = quota.rate {
        put(facts, block, "burst", rate.burst);
    }
}

pub(super) fn facts(agreement: &Agreement) -> Facts {
    let mut facts = Facts::new();
    put(&mut facts, "", "version", &agreement.version);
    put(&mut facts, "", "entity", &agreement.entity);
    put(&mut facts, "", "platform", &agreement.platform);
    put(&mut facts, "parties.", "using_entity", &agreement.parties.using_entity);
    put(&mut facts, "parties.", "service_provider", &agreement.parties.service_provider);
    // The instants that decide: the day after the last begins at the second.
    put(&mut facts, "", "effective_from", agreement.effective_from);
    put(&mut facts, "", "effective_until", agreement.effective_until);
    put(&mut facts, "", "modes", list(&agreement.modes));
    put(&mut facts, "", "document_types", list(&agreement.document_types));
    quota(&mut facts, "", agreement.quota);
    for purpose in agreement.purposes() {
        let block = format!("purpose {}: ", purpose.code);
        put(&mut facts, &block, "platform_code", &purpose.platform_code);
        put(&mut facts, &block, "business_field", &purpose.business_field);
        put(&mut facts, &block, "legal_basis", &purpose.legal_basis);
        put(&mut facts, &block, "retention_days", purpose.retention_days);
        put(&mut facts, &block, "modes", list(&purpose.modes));
        put(&mut facts, &block, "document_types", list(&purpose.document_types));
        put(&mut facts, &block, "fields", list(&purpose.fields));
        quota(&mut facts, &block, purpose.quota);
    }
    for caller in agreement.callers() {
        let block = format!("caller {}: ", caller.id);
        put(&mut facts, &block, "certificate_name", &caller.certificate_name);
        put(&mut facts, &block, "contact", &caller.contact);
        put(&mut facts, &block, "purposes", list(&caller.purposes));
        put(&mut facts, &block, "networks", some_or(list(&caller.networks), "anywhere"));
        put(&mut facts, &block, "hours", some_or(list(&caller.hours), "at any time"));
        quota(&mut facts, &block, caller.quota);
    }
    facts
}

/// One line for each fact that differs, by key.
pub(super) fn changes(old: &Facts, new: &Facts) -> Vec<String> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for (key, value) in old {
        match new.get(key) {
            Some(other) if other == value => {}
            Some(other) => lines.push((key, format!("~ {key}: {value} -> {other}"))),
            None => lines.push((key, format!("- {key}: {value}"))),
        }
    }
    lines.extend(
        new.iter()
            .filter(|(key, _)| !old.contains_key(*key))
            .map(|(key, value)| (key.as_str(), format!("+ {key}: {value}"))),
    );
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    const SAMPLE: &str = include_str!("../../../../../samples/agreement.toml");

    fn read(text: &str) -> Facts {
        facts(&Agreement::parse(text, Path::new("agreement.toml")).unwrap())
    }

    #[test]
    fn every_change_of_an_agreement_is_told_and_nothing_else() {
        let old = read(SAMPLE);
        assert_eq!(changes(&old, &read(&SAMPLE.replace("# The use", "# Of the use"))), [""; 0]);
        let cases = [
            ("version = \"2026-01\"", "version = \"2026-02\"", "~ version: 2026-01 -> 2026-02"),
            ("retention_days = 1825", "retention_days = 30", "~ purpose account-opening: retention_days: 1825 -> 30"),
            ("# checks_per_day = 200000", "checks_per_day = 9", "~ checks_per_day: not limited -> 9"),
            (
                "purposes = [\"account-opening\"]",
                "purposes = [\"account-opening\", \"remittance\"]",
                "~ caller branch-kiosk: purposes: account-opening -> account-opening, remittance",
            ),
            ("# hours =", "hours =", "~ caller branch-kiosk: hours: at any time -> 08:00-20:00"),
        ];
        for (from, to, told) in cases {
            let changed = SAMPLE.replacen(from, to, 1);
            assert_ne!(changed, SAMPLE, "{from}");
            assert_eq!(changes(&old, &read(&changed)), [told]);
        }
        let gone = read(SAMPLE.split("[[caller]]\nid = \"branch-kiosk\"").next().unwrap());
        let told = changes(&old, &gone);
        assert!(told.len() > 5 && told.iter().all(|line| line.starts_with("- caller branch-kiosk: ")), "{told:?}");
        let back = changes(&gone, &old);
        assert!(back.len() == told.len() && back.iter().all(|line| line.starts_with("+ ")), "{back:?}");
    }
}
