use super::*;
use yanqian_harness::{Fault, Misbehaviour};

#[test]
fn every_misbehaviour_of_the_simulator_has_exactly_one_row_and_every_row_is_one() {
    let mut counted: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for row in reference() {
        *counted.entry(row.name).or_default() += 1;
    }
    assert!(counted.values().all(|count| *count == 1), "{counted:?}");
    let known: BTreeSet<_> =
        Fault::all().map(Fault::name).chain(Misbehaviour::ALL.iter().map(|one| one.name())).collect();
    assert_eq!(names(), known);
}

/// Rows beside the simulator's: what lies in the store or is fetched, and what comes after a restart.
fn others() -> impl Iterator<Item = &'static str> {
    crate::store::names().chain(crate::published::names()).chain(crate::restart::names())
}

#[test]
fn no_row_has_the_name_of_another() {
    let mut all = names();
    for name in others() {
        assert!(all.insert(name), "{name}");
    }
}

#[test]
fn every_kind_of_misbehaviour_that_the_readme_names_has_its_rows() {
    let readme = include_str!("../../README.md");
    let kinds: Vec<_> = readme.lines().skip_while(|line| *line != "| Kind | Rows |").skip(2).collect();
    let kinds: Vec<_> = kinds.into_iter().take_while(|line| line.starts_with('|')).collect();
    assert!(kinds.len() >= 25, "{}", kinds.len());
    let all: Vec<_> = names().into_iter().chain(others()).collect();
    for line in kinds {
        // Tests of other rooms are written with underscores, which rows never have.
        let patterns: Vec<_> = line.split('`').skip(1).step_by(2).filter(|pattern| !pattern.contains('_')).collect();
        assert!(!patterns.is_empty(), "{line}");
        for pattern in patterns {
            let found = match pattern.strip_suffix('…') {
                Some(start) => all.iter().any(|name| name.starts_with(start)),
                None => all.contains(&pattern),
            };
            assert!(found, "no row {pattern}: {line}");
        }
    }
}

#[test]
fn every_check_has_a_row_that_it_stops_for_a_reason_of_its_own() {
    let stopped: BTreeSet<Check> = groups().filter(|group| !group.names.is_empty()).map(|group| group.check).collect();
    let mut checks = BTreeSet::from([Check::Transport, Check::Unseal]);
    checks.extend(StepName::ALL.iter().map(|step| Check::Step(*step)));
    assert_eq!(stopped, checks);
}

#[test]
fn every_reason_that_a_platform_can_cause_has_a_row() {
    // These are caused by who runs the appliance, by its disk, or by two implementations that disagree.
    const OURS: [&str; 6] = [
        "platform-unproven",
        "platform-trust-unusable",
        "platform-stopped",
        "platform-encoding",
        "platform-chain-disputed",
        "platform-signature-disputed",
    ];
    let stopped: BTreeSet<&str> = groups().map(|group| group.reason.code()).collect();
    for reason in Reason::ALL {
        let code = reason.code();
        if code.starts_with("platform-") && !OURS.contains(&code) {
            assert!(stopped.contains(code), "{code} has no row");
        }
    }
    assert!(stopped.contains("outcome-unknown"));
}

#[test]
fn there_are_many_rows_and_every_form_has_its_share() {
    let refused = |form| of(form).iter().filter(|row| row.stopped.is_some()).count();
    assert!(refused(Form::Reference) >= 150, "{}", refused(Form::Reference));
    for form in [Form::Second, Form::TwoStep, Form::Attached, Form::SortedPairs, Form::CanonicalJson, Form::SignedBody]
    {
        for family in ["nonce/", "digest/", "time/", "serial/", "signature/", "encoding/", "altered/"] {
            assert!(of(form).iter().any(|row| row.name.starts_with(family)), "{form}: {family}");
        }
    }
}

#[test]
fn patience_is_asked_for_by_rows_that_are_there() {
    let names = names();
    for name in wires::PATIENT {
        assert!(names.contains(name), "{name}");
    }
}
