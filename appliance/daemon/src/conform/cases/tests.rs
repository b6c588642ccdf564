#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const SAMPLE: &str = include_str!("../../../../../samples/conform-cases.toml");
const FILE: &str = "/etc/yanqian/conform-cases.toml";

fn agreement() -> Agreement {
    let text = include_str!("../../../../../samples/agreement.toml");
    Agreement::parse(text, Path::new("agreement.toml")).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_unix_millis(1_795_680_000_000)
}

fn parse(text: &str) -> Result<Cases, String> {
    let endpoints = ["https://auth.platform.example".to_owned()];
    Cases::parse(text, Path::new(FILE), &agreement(), &endpoints, now()).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(from: &str, to: &str) -> String {
    assert!(SAMPLE.contains(from), "{from}");
    parse(&SAMPLE.replacen(from, to, 1)).err().unwrap_or_else(|| panic!("{to} must be refused"))
}

#[test]
fn the_sample_is_read_and_the_agreement_allows_its_cases() {
    let cases = parse(SAMPLE).unwrap();
    assert_eq!((cases.checks.len(), cases.refusals.len()), (2, 4));
    assert_eq!(cases.refusals[0].wrong, Wrong::StaleTime { millis: 3_600_000 });
    assert_eq!(cases.checks[1].expect_fields.len(), 2);
    assert_eq!(cases.max_clock_difference_millis, 5000);
}

#[test]
fn every_fault_names_file_line_and_key() {
    let number = "number = \"E12345678\"";
    for (from, to, place, problem) in [
        ("format_version = 1", "format_version = 2", ":5: key `format_version`", "reads format_version = 1"),
        ("caller = \"core-banking\"", "caller = \"nobody\"", ":6: key `caller`", "no caller"),
        ("https://auth.", "https://other.", "key `endpoints`", "nothing is sent"),
        ("max_clock_difference_seconds = 5", "max_clock_difference_seconds = 0", "key `max_clock", "1 to 3600"),
        ("mode = \"real-name\"", "mode = \"real-nam\"", "key `mode`", "real-name"),
        ("name = \"passport-match\"", "name = \"Passport\"", "case 1: key `name`", "a-z"),
        ("name = \"passport-match\"", "name = \"e12345678\"", "case 1: key `name`", "at most 4 digits"),
        ("\"account-opening\"", "\"card\"", "case 1: key `purpose`", "agreement-purpose"),
        ("expect = \"match\"", "expect = \"good\"", "case 1: key `expect`", "mismatch"),
        ("{ name = \"mismatch\"", "{ colour = \"mismatch\"", "case 2: key `expect_fields`", "fields of the API"),
        (number, "number = \"E1234567X\"", "case 1: key `document.number`", "document-number"),
        (number, "# number", "case 1: key `document.number`", "field-missing"),
        ("birth_date = \"1990-01-01\"", "birth_date = \"1990-13-01\"", "case 1: key `document.birth_date`", "date"),
        ("expect = \"match\"", "expect = \"match\"\nportrait = \"none.jpg\"", "case 1: key `portrait`", "none.jpg"),
        ("mode = \"real-name\"", "mode = \"real-person\"", "case 1: key `portrait`", "field-missing"),
        ("passport-other-name", "passport-match", "case 2: key `name`", "stands twice"),
        ("name = \"stale\"", "name = \"passport-match\"", "refusal 1: key `name`", "stands twice"),
        ("case = \"passport-match\"", "case = \"other\"", "refusal 1: key `case`", "no case"),
        ("behind_seconds = 3600", "", "refusal 1: key `behind_seconds`", "stands with stale-time"),
        (
            "\"broken-signature\"\n",
            "\"broken-signature\"\nbehind_seconds = 5\n",
            "refusal 2: key `behind_seconds`",
            "only",
        ),
        ("code = \"2005\"", "code = \"20 05\"", "refusal 1: key `code`", "printable"),
        ("departure = \"stale-time\"", "departure = \"late\"", "key `departure`", "repeated-nonce"),
        ("left_out", "leave_out", ":10: key `leave_out`", "left_out"),
    ] {
        let error = refused(from, to);
        assert!(error.starts_with(FILE) && error.contains(place) && error.contains(problem), "{to}: {error}");
    }
}

#[test]
fn no_fault_repeats_what_stands_in_a_document() {
    let texts = ["E12345678", "12345678", "测试一", "1990-01-01"];
    for (from, to) in [
        ("number = \"E12345678\"", "number = 12345678"),
        ("number = \"E12345678\"", "number = \"E12345678\" x"),
        ("number = \"E12345678\"", "number = \"E12345678"),
        ("number = \"E12345678\"", "number = [\"E12345678\"]"),
        ("number = \"E12345678\"", "number = \"E123456789\""),
        ("number = \"E12345678\"", "\"E12345678\" = 1"),
        ("name = \"测试一\"", "name = 测试一"),
        ("name = \"测试一\"", "name = { \"测试一\" = 1 }"),
        ("name = \"测试一\"", "name = \"测试一\\u0007\""),
        ("birth_date = \"1990-01-01\"", "birth_date = 1990-01-01"),
        ("birth_date = \"1990-01-01\"", "birth_date = \"1990-01-01T00:00\""),
        ("type = \"prc-passport\"", "type = \"E12345678\""),
        ("[case.document]", "[case.E12345678]"),
    ] {
        let error = refused(from, to);
        assert!(texts.iter().all(|text| !error.contains(text)), "{to}: {error}");
        assert!(error.contains("conform-cases.toml:"), "{to}: {error}");
    }
}

#[test]
fn a_file_that_others_can_read_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cases.toml");
    std::fs::write(&file, SAMPLE).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = Cases::load(&file, &agreement(), &[], now()).err().unwrap().to_string();
    assert!(error.contains("cases.toml") && error.contains("can be read"), "{error}");
}
